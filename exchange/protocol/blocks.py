"""The parts of a case message around its entities: case, passages, attachments, one block per type (CNT-40 to CNT-43).

Every type of message has exactly one *block*, which holds what its kind of message must say. A request has
the mandatory content of Directive (EU) 2023/977 art. 4; a refusal has a ground and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from exchange.protocol import case_vocabulary as terms
from exchange.protocol import vocabulary as voc
from exchange.protocol.entities import AgencyId, Asserted, Day, Id, Language, Line, Necessity, Part, Text, fault
from exchange.protocol.vocabulary import Category, MessageType
from keys.encoding import b64u, digest, unb64u

MAX_ATTACHMENT: Final = 64 * 1024

Reference = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z][0-9A-Z/._-]{0,39}$")]
InformationCode = Literal[
    Category.SMUG_A_ROUTES,
    Category.SMUG_B_GROUPS,
    Category.SMUG_C_DOCUMENTS,
    Category.SMUG_D_CONCEALMENT,
    Category.SMUG_E_LEGISLATIVE,
    Category.SMUG_F_TECHNICAL,
    Category.TRAF_A_STATUS,
    Category.TRAF_B_DOCUMENTS,
    Category.TRAF_C_METHODS,
]
"""Categories a sender may declare for a passage of text, because no machine can read them off it."""


class CaseLink(Part):
    """Another case this one belongs with."""

    reference: Reference
    relation: Literal["same", "related", "parent", "child"]


class Case(Part):
    """Which case of the sender's this is; the reference means nothing to anybody else."""

    reference: Reference
    title: Line | None = None
    links: Annotated[tuple[CaseLink, ...], Field(max_length=16)] = ()


class Passage(Asserted):
    """One passage of narrative, in its own language; ``about`` declares the information categories in it."""

    text: Text
    lang: Language
    about: Annotated[tuple[InformationCode, ...], Field(max_length=9)] = ()


class Contact(Part):
    """Whom to answer: a desk of an agency, never a person (CNT-42)."""

    agency: AgencyId
    desk: terms.ContactRole


class UrgencyClaim(Part):
    """How soon an answer is needed; urgent only with a coded and a written reason (Directive 2023/977 art. 4)."""

    code: Literal[voc.Urgency.U_DIRECT, voc.Urgency.U_INDIRECT, voc.Urgency.NORMAL]
    reason: terms.UrgencyReason | None = None
    text: Necessity | None = None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        urgent = self.code != voc.Urgency.NORMAL
        if urgent != (self.reason is not None) or urgent != (self.text is not None):
            raise fault("needs `reason` and `text` exactly when it is urgent")
        return self


class PersonLink(Part):
    """Why a person named in a request has to do with its purpose."""

    entity: Id
    text: Text


class Question(Part):
    """The mandatory content of a request for information (Directive (EU) 2023/977 art. 4; CNT-40)."""

    sought: Text
    facts: Text
    crime: voc.CrimeArea
    purpose: voc.Purpose
    grounds: Text
    urgency: UrgencyClaim
    links: Annotated[tuple[PersonLink, ...], Field(max_length=64)] = ()
    restrictions: Text | None = None
    contact: Contact


class Answer(Part):
    """The answer to the request the manifest names in ``re``."""

    text: Text
    outstanding: Text | None = None


class RefusalBlock(Part):
    """Why a request is not answered, as the requester may see it."""

    ground: voc.RefusalGround
    text: Text | None = None

    @model_validator(mode="after")
    def _neutral(self) -> Self:
        if self.ground == voc.RefusalGround.CANNOT_RESPOND and self.text is not None:
            raise fault("explains the neutral ground `cannot_respond`, which says nothing more by design")
        return self


class Point(Part):
    """One member of a request that is unclear, or has been made clear."""

    about: Literal["sought", "facts", "crime", "purpose", "grounds", "urgency", "links", "restrictions", "entities"]
    text: Text


Points = Annotated[tuple[Point, ...], Field(min_length=1, max_length=16)]


class Clarification(Part):
    """What is unclear in a request, or the sender's explanation of it."""

    points: Points


class Spontaneous(Part):
    """Why information is sent unasked, and what the recipient may not do with it (Directive 2023/977 art. 7)."""

    reason: Text
    restrictions: Text | None = None
    contact: Contact


class Hit(Part):
    """A match on an alert: where and when, and what was done."""

    alert: Reference
    on: Day
    action: terms.AlertAction
    place: Id
    text: Text | None = None
    contact: Contact


class Referral(Part):
    """A victim passed on to those who help: needs first, and who agreed to it."""

    needs: Annotated[tuple[terms.Need, ...], Field(min_length=1, max_length=7)]
    consent: terms.Consent
    text: Text | None = None
    contact: Contact


class SafetyNotice(Part):
    """A warning about somebody's safety, with what to do until when."""

    level: terms.DangerLevel
    advice: Text
    until: Day
    contact: Contact


class Transfer(Part):
    """Evidence handed over: who seized it, when, under which act."""

    seized_on: Day
    seized_by: AgencyId
    authority: Text
    contact: Contact


class Exculpatory(Part):
    """Word that there is material which speaks for the person suspected, to whoever suspects (CNT-6).

    What it is and where to ask for it, not the material itself: so that no restriction can stand in its way.
    """

    kinds: Annotated[tuple[terms.Exculpation, ...], Field(min_length=1, max_length=6)]
    text: Text
    contact: Contact


class Inject(Part):
    """A step of an exercise, marked as such."""

    exercise: Reference
    step: Annotated[int, Field(ge=1, le=9_999)]
    text: Text


class Attachment(Part):
    """A small file inside the content; ``sha256`` is over its bytes, ``data`` is base64url."""

    name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,79}$")]
    media_type: Literal[
        "text/plain",
        "text/csv",
        "application/json",
        "application/ld+json",
        "application/pdf",
        "image/png",
        "image/jpeg",
    ]
    sha256: Annotated[str, StringConstraints(min_length=43, max_length=43)]
    data: Annotated[str, StringConstraints(max_length=MAX_ATTACHMENT * 4 // 3 + 4)]

    def content(self) -> bytes:
        """The file's bytes."""
        return unb64u(self.data)


Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
_Sealed = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)*$", max_length=200)]
"""A JSON Pointer (RFC 6901); the empty one is the whole."""


class PartKey(Part):
    """The content key of a sealed part, wrapped for one recipient's key of use ``prot``."""

    id: AgencyId
    kid: Digest
    wrap: Annotated[_Sealed, StringConstraints(max_length=2_000)]


class SealedPart(Part):
    """A protected person's identity, sealed to a role; what is inside is ``exchange.protocol.identity``'s (CNT-70)."""

    id: Id
    for_: terms.SealedFor = Field(alias="for")
    subject: Id
    keys: Annotated[tuple[PartKey, ...], Field(min_length=1, max_length=20)]
    body: Annotated[_Sealed, StringConstraints(max_length=100_000)]
    commit: Digest


class SourceUse(Part):
    """A message this content draws on, and where in it: what the manifest's ``src`` names (CNT-50)."""

    msg: Digest
    fields: Annotated[tuple[Pointer, ...], Field(min_length=1, max_length=16)]


def attach(name: str, media_type: str, data: bytes) -> dict[str, str]:
    """The JSON of an attachment for these bytes."""
    return {"name": name, "media_type": media_type, "sha256": digest(data), "data": b64u(data)}


BLOCKS: Final = {
    MessageType.INFO_REQUEST: "question",
    MessageType.INFO_REPLY: "answer",
    MessageType.INFO_PARTIAL: "answer",
    MessageType.INFO_REFUSAL: "refusal",
    MessageType.CLARIFICATION_REQUEST: "clarification",
    MessageType.CLARIFICATION: "clarification",
    MessageType.SPONTANEOUS_INFO: "spontaneous",
    MessageType.HIT_REPORT: "hit",
    MessageType.VICTIM_REFERRAL: "referral",
    MessageType.SAFETY_NOTICE: "notice",
    MessageType.EVIDENCE_TRANSFER: "transfer",
    MessageType.EXCULPATORY_NOTICE: "exculpatory",
    MessageType.EXERCISE_INJECT: "inject",
}
"""The one block each type of message has, and must have (CNT-6)."""
ANSWERS: Final = frozenset(
    {
        MessageType.INFO_REPLY,
        MessageType.INFO_PARTIAL,
        MessageType.INFO_REFUSAL,
        MessageType.CLARIFICATION_REQUEST,
        MessageType.CLARIFICATION,
        MessageType.EXCULPATORY_NOTICE,
    }
)
"""Types that mean nothing without the message they are about; their manifest has ``re`` (CNT-7)."""
