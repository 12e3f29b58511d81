"""Who a protected person is: sealed to a role at the recipient, never in the open (CNT-70 to CNT-72).

A sealed part travels inside a content and opens with a key that the recipient's node does not hold: an
officer of the role does. It is bound to sender, case, part and person, so it opens nowhere else; whoever
passes a message on takes it out. Before anything is sealed, the open texts are searched for it.

Pure: keys, ids and randomness come in as arguments.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from exchange.protocol import case_vocabulary as terms
from exchange.protocol.blocks import Attachment, PartKey, SealedPart
from exchange.protocol.content import CaseMessage, Simulation, write_content
from exchange.protocol.entities import VALUE_FORMS, Country, Day, Line, Name, Number, Part, Text, Year, fault
from exchange.protocol.errors import ContentMalformed, IdentityExposed, NotAddressedToMe
from exchange.protocol.synthetic import refuse_real, texts, where
from keys.encoding import b64u, digest, read_json, unb64u, write_json
from keys.errors import MalformedEncoding, TooLarge
from keys.sealing import SYSTEM_CHANCE, Chance, OpeningKey, SealingKey, new_content_key, open_body, seal_body

MAX_IDENTITY: Final = 64 * 1024
SHORTEST: Final = 3
"""Letters of the shortest word of a name that is looked for in open texts."""


class IdentityDocument(Part):
    """A document of the person's own."""

    document: terms.DocumentKind
    number: Number | None = None
    issuer: Country | None = None


class IdentityContact(Part):
    """How the person can be reached."""

    medium: terms.CommunicationKind
    value: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _unreal(self) -> Self:
        if not VALUE_FORMS[self.medium].search(self.value):
            raise fault("has a `value` that is not of the fictional form CNT-11 to CNT-13 give for its medium")
        return self


class Relative(Part):
    """Somebody close, whose name would tell the person's."""

    names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    relation: Line


class ProtectedIdentity(Part):
    """What a sealed part holds (CNT-71)."""

    v: Literal["ix-identity/1"]
    simulation: Simulation
    subject: str
    names: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    birth: Day | Year | None = None
    documents: Annotated[tuple[IdentityDocument, ...], Field(max_length=8)] = ()
    contacts: Annotated[tuple[IdentityContact, ...], Field(max_length=8)] = ()
    accounts: Annotated[tuple[Number, ...], Field(max_length=8)] = ()
    relatives: Annotated[tuple[Relative, ...], Field(max_length=8)] = ()
    whereabouts: Text | None = None
    photo: Attachment | None = None
    note: Text | None = None

    def to_json(self) -> dict[str, Any]:
        """The members as they are sealed and shown, those at their default left out."""
        members: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return members


def read_identity(data: bytes) -> ProtectedIdentity:
    """Read an identity as strictly as a content; the refusal names the member, never its value."""
    try:
        value = read_json(data, limit=MAX_IDENTITY)
    except (MalformedEncoding, TooLarge) as error:
        raise ContentMalformed(
            f"the identity is not I-JSON of at most {MAX_IDENTITY} bytes: {error.sentence}"
        ) from None
    shown = value
    if type(value) is dict and type(photo := value.get("photo")) is dict:  # opaque, as an attachment's bytes are
        shown = {**value, "photo": {name: photo[name] for name in photo if name not in ("data", "sha256")}}
    refuse_real(shown, write_json(shown))
    try:
        identity = ProtectedIdentity.model_validate_json(data)
        if identity.photo is not None and digest(identity.photo.content()) != identity.photo.sha256:
            raise ContentMalformed("`photo.sha256` is not the digest of its data")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ContentMalformed(f"the identity's `{where(first['loc'])}` is not as CNT-71 says") from None
    except MalformedEncoding:
        raise ContentMalformed("`photo.data` is not base64url in its one spelling") from None
    return identity


def part_context(fed: str, sender: str, case: str, part: str, subject: str, keys: Sequence[tuple[str, str]]) -> bytes:
    """Hash what a sealed part is bound to (32 bytes): federation, sender, case, part, person, and for whom."""
    lines = ["ix/1 part", f"fed {fed}", f"from {sender}", f"case {case}", f"part {part}"]
    lines += [f"for {terms.SealedFor.PROTECTION_OFFICER}", f"subject {subject}"]
    lines += [f"to {agency} {kid}" for agency, kid in keys]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).digest()


_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")
"""An id of digits could look like a real number (CNT-16)."""


def seal_identity(
    identity: ProtectedIdentity,
    *,
    fed: str,
    sender: str,
    case: str,
    recipients: Sequence[tuple[str, SealingKey]],
    chance: Chance = SYSTEM_CHANCE,
) -> dict[str, Any]:
    """Seal an identity for the protection role of each recipient: a member of ``sealed_parts``, as JSON."""
    part = "i" + chance(15).hex().translate(_LETTERS)
    keys = [(agency, key.kid) for agency, key in recipients]
    context = part_context(fed, sender, case, part, identity.subject, keys)
    content_key = new_content_key(chance)
    body, commitment = seal_body(write_json(identity.to_json()), content_key, context, chance)
    wraps = [{"id": agency, "kid": key.kid, "wrap": b64u(key.wrap(content_key, context))} for agency, key in recipients]
    role = str(terms.SealedFor.PROTECTION_OFFICER)
    sealed = {"keys": wraps, "body": b64u(body), "commit": b64u(commitment)}
    return {"id": part, "for": role, "subject": identity.subject, **sealed}


def open_identity(
    part: SealedPart, *, fed: str, sender: str, case: str, me: str, keys: Mapping[str, OpeningKey]
) -> ProtectedIdentity:
    """Open a sealed part of a message by ``sender``; refused with the code of the first step that fails."""
    mine = next((key for key in part.keys if key.id == me), None)
    if mine is None or mine.kid not in keys:
        raise NotAddressedToMe("this identity is not sealed to a role key that this agency holds")
    context = part_context(fed, sender, case, part.id, part.subject, [(key.id, key.kid) for key in part.keys])
    content_key = keys[mine.kid].unwrap(unb64u(mine.wrap), context)
    identity = read_identity(open_body(unb64u(part.body), content_key, context, unb64u(part.commit)))
    if identity.subject != part.subject:
        raise ContentMalformed("the identity is of another person than the part says (CNT-71)")
    return identity


# --- what tells it -------------------------------------------------------------------------------


def refuse_if_exposed(identity: ProtectedIdentity, message: CaseMessage) -> None:
    """Refuse a content whose open texts tell the identity, wherever they stand; no value is repeated (CNT-72)."""
    words, values = telling(identity)
    for text in open_texts(message):
        said = folded(text)
        if not words.isdisjoint(words_of(text)) or any(value in said for value in values):
            raise IdentityExposed("an open text of the content tells the identity that is to be sealed: take it out")


def open_texts(message: CaseMessage) -> Iterator[str]:
    """Every text of a content that its reader sees, those of attached text files among them."""
    yield from texts(read_json(write_content(message), limit=256 * 1024))
    for attachment in message.attachments:
        if attachment.media_type in _READABLE:
            yield attachment.content().decode("utf-8", "replace")


_READABLE: Final = frozenset({"text/plain", "text/csv", "application/json", "application/ld+json"})


def telling(identity: ProtectedIdentity) -> tuple[frozenset[str], frozenset[str]]:
    """The words of names, and the numbers and addresses, by which the person would be known; folded."""
    named = [*identity.names, *(name for one in identity.relatives for name in one.names)]
    found = {word for name in named for word in _of_name(name)}
    foreign = {word for word in found if any(char >= _UNSPACED for char in word) and len(word) > 1}
    words = frozenset(word for word in found - foreign if len(word) >= SHORTEST)
    numbers = [one.number for one in identity.documents if one.number] + list(identity.accounts)
    plain = [*numbers, *(one.value for one in identity.contacts)]
    return words, frozenset(folded(value) for value in plain) | foreign


_UNSPACED: Final = "\u0590"
"""From here on stand scripts that join words to others, or write them without spaces."""


def folded(text: str) -> str:
    """A text as it is compared: NFKC, case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """The runs of letters of a text, folded."""
    return _WORD.findall(folded(text))


_WORD = re.compile(r"[^\W\d_]+")


def _of_name(name: Name) -> Iterator[str]:
    for half in (name.family, name.given):
        yield from words_of(half or "")


__all__ = [
    "MAX_IDENTITY",
    "PartKey",
    "ProtectedIdentity",
    "folded",
    "open_identity",
    "open_texts",
    "part_context",
    "read_identity",
    "refuse_if_exposed",
    "seal_identity",
    "telling",
    "words_of",
]
