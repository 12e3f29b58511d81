"""What an officer wants to send, and what would happen to it (`spec/nodes.md`, NODE-20 to NODE-22).

The type and the categories are not the officer's to say: they are read from the content. What may be
left out is the agreement, if exactly one in force permits the draft.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from agencies.node.errors import DraftMalformed
from agencies.node.held.holding import STRICTEST
from agencies.node.office import Office
from exchange.protocol.agreement import Agreement
from exchange.protocol.content import CaseMessage, Content, read_content, undeclared
from exchange.protocol.decision import Decision
from exchange.protocol.errors import Misdeclared
from exchange.protocol.manifest import MAX_SOURCES
from exchange.protocol.matching import Request, Source
from exchange.protocol.obligations import Obligations
from exchange.protocol.policy import State
from exchange.protocol.synthetic import where
from exchange.protocol.terms import Permit
from exchange.protocol.vocabulary import Category, Classification, CopyExemption, CrimeArea, Handling, Purpose, Urgency
from keys.encoding import write_json

MAX_DAYS: Final = 30
MAX_LAPSED: Final = 8
"""Agreements not in force that a denial names."""
MAX_WHY: Final = 1000
"""Characters of the reason for an exemption."""

_AsText = Field(strict=False)
Agency = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$", max_length=40)]
Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]


class OfficerDraft(BaseModel):
    """A draft as an officer's desk hands it in; ``content`` is the case message, ``agr`` an agreement's digest."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)

    to: Annotated[tuple[Agency, ...], Field(strict=False, min_length=1, max_length=20)]
    agr: Digest | None = None
    purpose: Annotated[Purpose, _AsText]
    crime: Annotated[CrimeArea, _AsText]
    class_: Annotated[Classification, _AsText] = Field(alias="class")
    handling: Annotated[tuple[Annotated[Handling, _AsText], ...], Field(strict=False, min_length=1, max_length=4)]
    urgency: Annotated[Urgency, _AsText] = Urgency.NONE
    re: Digest | None = None
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 7
    src: Annotated[tuple[Digest, ...], Field(strict=False, max_length=MAX_SOURCES)] = ()
    exempt: Annotated[CopyExemption, _AsText] | None = None
    exempt_why: Annotated[str, StringConstraints(max_length=MAX_WHY)] | None = None
    content: dict[str, Any]

    @field_validator("src")
    @classmethod
    def _ascending(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(one >= other for one, other in pairwise(value)):
            raise ValueError("sources stand in ascending order, each once")
        return value

    @cached_property
    def content_bytes(self) -> bytes:
        """The content as it will be sealed."""
        return write_json(self.content)

    @cached_property
    def read(self) -> Content:
        """The content read strictly, once for whoever asks; refused if it is none."""
        return read_content(self.content_bytes)

    @property
    def life(self) -> timedelta:
        """How long the message may be collected and opened."""
        return timedelta(days=self.days)

    def to_json(self) -> dict[str, Any]:
        """The draft as it was handed in."""
        told = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return told if self.src else {name: value for name, value in told.items() if name != "src"}


def read_draft(value: Any) -> OfficerDraft:
    """Read a draft strictly; the refusal names the member, never its value."""
    try:
        return OfficerDraft.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise DraftMalformed(f"draft member `{where(first['loc'])}` is not as NODE-20 says: {first['type']}") from None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen to a draft now: the decision with its reasons, and whether a second officer must agree."""

    draft: OfficerDraft
    content: Content
    decision: Decision
    agreement: Agreement | None = None
    lapsed: tuple[str, ...] = ()
    """Of a draft that is denied: which other agreements of all these parties do not count now, and why."""

    @property
    def case(self) -> CaseMessage:
        """What the content says."""
        return self.content.case

    @property
    def categories(self) -> tuple[str, ...]:
        """What the content carries."""
        return self.case.categories

    @property
    def waits(self) -> bool:
        """Whether a message that may go, or whose sender wants a ruling, has to wait for release officers."""
        return self.approvals > 0 and (self.decision.permitted or self.unsure)

    @property
    def unsure(self) -> bool:
        """Whether it is denied here: the broker may know better, and so permit on a ruling what this node would not."""
        return not self.decision.permitted

    @property
    def approvals(self) -> int:
        """How many release officers must agree: two where a clause or special categories of data ask for a second."""
        bound = self._strings() if self.unsure else [one.obligations for one in self.decision.per_recipient]
        if Category.DATA_SPECIAL_CATEGORY in self.categories or any(one.second_approver for one in bound if one):
            return 2
        return 1 if any(one.human_release for one in bound if one) else 0

    def _strings(self) -> list[Obligations]:
        """What the agreement's clauses for such a message ask for, whether or not they match; all, if it is unknown."""
        if self.agreement is None:
            return [STRICTEST]
        return [
            Obligations.of(clause.conditions, str(self.draft.class_), None)
            for clause in self.agreement.terms.clauses
            if isinstance(clause, Permit) and self.case.type in clause.types and self.draft.purpose in clause.purposes
        ]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it would be denied, one sentence per recipient and nearest clause; empty if it would not."""
        said: list[str] = []
        for one in self.decision.per_recipient:
            if one.outcome == "deny":
                said.append(f"{one.recipient}: {one.code}: {one.sentence}")
                said += [f"{one.recipient}: nearest {near.clause}: {near.sentence}" for near in one.nearest]
        return (*said, *[f"not in force: {sentence}" for sentence in self.lapsed])

    def explanation(self) -> dict[str, Any]:
        """The decision with its reasons, and what else there would be if it were in force."""
        return {**self.decision.to_json(), **({"not_in_force": list(self.lapsed)} if self.lapsed else {})}

    def to_json(self) -> dict[str, Any]:
        """The answer to `what would happen if I sent this?`."""
        return {
            **self.explanation(),
            "type": str(self.case.type),
            "cats": list(self.categories),
            "waits_for_release": self.waits and self.decision.permitted,
            "approvals": self.approvals if self.decision.permitted else 0,
        }


def forecast(office: Office, draft: OfficerDraft, now: datetime, sources: tuple[Source, ...] = ()) -> Forecast:
    """Decide about a draft as the broker would now; nothing is written and nothing leaves.

    ``sources`` is what is known here of the messages that it is derived from.
    """
    if len(set(draft.to)) != len(draft.to) or office.me in draft.to:
        raise DraftMalformed("each recipient is named once, and nobody writes to itself")
    if (draft.exempt is None) != (draft.exempt_why is None):
        raise DraftMalformed("an exemption has a code in `exempt` and a reason in `exempt_why`")
    content = draft.read
    _must_declare(office, draft, content.case)
    if draft.agr is not None:
        made = _ask(office, draft, content.case, draft.agr, now, sources)
        seen = Forecast(draft, content, made, office.trust.book.get(draft.agr))
    else:
        seen = _choose(office, draft, content, now, sources)
    return seen if seen.decision.permitted else replace(seen, lapsed=_lapsed(office, seen, now))


def _lapsed(office: Office, seen: Forecast, now: datetime) -> tuple[str, ...]:
    """Why the other agreements of all these parties do not count; what a later version replaced explains nothing."""
    parties, book = {office.me, *seen.draft.to}, office.trust.book
    others = [a for a in book.agreements if parties <= set(a.terms.parties) and a.digest != seen.decision.agreement]
    standings = [book.standing(a.digest, now) for a in others]
    return tuple(
        [one.sentence for one in standings if one.state not in (State.IN_FORCE, State.SUPERSEDED)][:MAX_LAPSED]
    )


def _must_declare(office: Office, draft: OfficerDraft, case: CaseMessage) -> None:
    """Refuse here, before anything waits or is sealed, what every recipient would reject."""
    wrong = undeclared(
        case, type=case.type, purpose=draft.purpose, crime=draft.crime, urgency=draft.urgency, handling=draft.handling,
        cats=case.categories, re=draft.re, src=draft.src, parties=frozenset((office.me, *draft.to)),
    )  # fmt: skip
    if wrong:
        raise Misdeclared(f"the draft does not declare what its content says: {', '.join(f'`{m}`' for m in wrong)}")


def _ask(
    office: Office, draft: OfficerDraft, case: CaseMessage, agreement: str, now: datetime, sources: tuple[Source, ...]
) -> Decision:
    request = Request(
        discloser=office.party(office.me),
        recipients=tuple(office.party(agency) for agency in draft.to),
        agreement=agreement,
        type=str(case.type),
        purpose=str(draft.purpose),
        crime=str(draft.crime),
        cats=frozenset(case.categories),
        classification=str(draft.class_),
        handling=frozenset(str(code) for code in draft.handling),
        urgency=str(draft.urgency),
        exempt=draft.exempt and str(draft.exempt),
        sources=sources,
    )
    return office.decide(request, now)


def _choose(
    office: Office, draft: OfficerDraft, content: Content, now: datetime, sources: tuple[Source, ...]
) -> Forecast:
    parties = {office.me, *draft.to}
    book = office.trust.book
    shared = [a.digest for a in book.in_force(now) if parties <= set(a.terms.parties)]
    if not shared:  # one that lapsed explains more than none
        shared = [a.digest for a in book.agreements if parties <= set(a.terms.parties)][-1:]
    made = [_ask(office, draft, content.case, digest, now, sources) for digest in shared]
    permitted = [decision for decision in made if decision.permitted]
    if len(permitted) > 1:
        raise DraftMalformed("several agreements permit this; name the one to send it under")
    if not made:
        raise DraftMalformed("no agreement has all these parties; name one to learn what it says")
    chosen = (permitted or made)[0]
    named = draft.model_copy(update={"agr": chosen.agreement})
    return Forecast(named, content, chosen, book.get(chosen.agreement))
