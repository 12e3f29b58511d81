"""Messages: draft to envelope, envelope to parcel, parcel to plaintext (`spec/messages.md`, MSG-1 to MSG-35).

An *envelope* is what the sender signs and submits: a manifest (all that the broker sees), two
signatures over its exact bytes, one wrapped content key per recipient and one sealed body. A *parcel*
is what one recipient collects: the same manifest, signatures and body, its own wrap only, and the log
entry with its proof.

Parsing believes nothing; ``verify`` believes signatures; ``open_parcel`` believes a message only after
every check of the spec, in order, each failing with its own code. No clock, no randomness but what
``keys`` draws, and the bytes that were signed are never written again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exchange.protocol.content import CaseMessage, Content, parse_content, read_content, undeclared
from exchange.protocol.errors import (
    AlreadyReceived,
    EnvelopeMalformed,
    FederationMismatch,
    MessageFromTheFuture,
    Misdeclared,
    NotAddressedToMe,
    ProofMismatch,
    SealMismatch,
    SuiteUnknown,
)
from exchange.protocol.log import DisclosureEntry, parse_entry, verify_tlog_proof
from exchange.protocol.manifest import (
    MAX_ENVELOPE,
    MAX_RECIPIENTS,
    MAX_SKEW,
    Addressee,
    Manifest,
    context,
    context_of,
    parse_manifest,
    verify_times,
)
from exchange.protocol.standing import Standings, verify_in_force
from keys.encoding import b64u, digest, instant, read_json, stamp, unb64u, write_json
from keys.sealing import (
    SUITE,
    SYSTEM_CHANCE,
    Chance,
    OpeningKey,
    SealingKey,
    new_content_key,
    open_body,
    seal_body,
)
from keys.signing import ALGORITHMS, Signer, Statement, Typ, sign, signatures_json, statement_from, verify_pair
from keys.trust import Directory, LogIdentity

MEDIA_TYPE: Final = "application/ix-message+json"
NDJSON: Final = "application/ix-message+ndjson"
_KID = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a sender decides before sealing. ``recipients`` pairs each agency with its encryption key."""

    fed: str
    id: str
    ts: datetime
    exp: datetime
    sender: str
    recipients: tuple[tuple[str, SealingKey], ...]
    agreement: str
    purpose: str
    crime: str
    classification: str
    handling: tuple[str, ...]
    urgency: str
    by: str
    re: str | None = None
    src: tuple[str, ...] = ()
    """The messages it is derived from (MSG-34)."""
    exempt: str | None = None
    """Why a single point of contact gets no copy this once (MSG-35)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; well-formed, nothing verified. ``digest`` names the message everywhere else."""

    raw: bytes
    statement: Statement
    manifest: Manifest
    digest: str
    wraps: tuple[tuple[str, bytes], ...]
    body: bytes


def compose(draft: Draft, content: bytes, signer: Signer, chance: Chance = SYSTEM_CHANCE) -> bytes:
    """Seal a case message for every recipient, declare what it carries, sign it: the envelope's bytes.

    The type and the categories are read from the content, so an honest sender cannot misdeclare.
    """
    return seal(draft, read_content(content), signer, chance).raw


def seal(draft: Draft, content: Content, signer: Signer, chance: Chance = SYSTEM_CHANCE) -> Envelope:
    """Do the same with a content that was read before; ``raw`` of the envelope is what travels."""
    case = content.case
    ctx = context(
        draft.fed, draft.id, draft.sender, draft.agreement, [(agency, key.kid) for agency, key in draft.recipients]
    )
    content_key = new_content_key(chance)
    wraps = [key.wrap(content_key, ctx) for _, key in draft.recipients]
    body, commitment = seal_body(content.data, content_key, ctx, chance)
    manifest = {
        "v": "ix/1",
        "typ": "msg",
        "fed": draft.fed,
        "id": draft.id,
        "ts": stamp(draft.ts),
        "exp": stamp(draft.exp),
        "from": draft.sender,
        "to": [
            {"id": agency, "kid": key.kid, "wrap": digest(wrap)}
            for (agency, key), wrap in zip(draft.recipients, wraps, strict=True)
        ],
        "agr": draft.agreement,
        "type": case.type,
        "purpose": draft.purpose,
        "crime": draft.crime,
        "class": draft.classification,
        "handling": sorted(draft.handling),
        "cats": list(case.categories),
        "urgency": draft.urgency,
        **_optional(draft),
        "by": draft.by,
        "body": {"sha256": digest(body), "len": len(body), "commit": b64u(commitment)},
        "att": [],
        "sig": list(ALGORITHMS),
    }
    # Refuse here what every reader would refuse there.
    verify_declaration(declared := parse_manifest(payload := write_json(manifest)), case)
    kids = [key.kid for _, key in draft.recipients]
    raw = assemble(statement := sign(payload, signer, Typ.MESSAGE), kids, wraps, body)
    if len(raw) > MAX_ENVELOPE:
        raise EnvelopeMalformed(f"the envelope has {len(raw)} bytes; at most {MAX_ENVELOPE} may travel")
    return Envelope(raw, statement, declared, statement.digest, tuple(zip(kids, wraps, strict=True)), body)


def _optional(draft: Draft) -> dict[str, Any]:
    """The members that stand in a manifest only where they say something."""
    said = {"re": draft.re, "src": sorted(set(draft.src)) or None, "exempt": draft.exempt}
    return {name: value for name, value in said.items() if value is not None}


def assemble(statement: Statement, kids: Sequence[str], wraps: Sequence[bytes], body: bytes) -> bytes:
    """Put a signed manifest and its sealed part together as they travel (MSG-2)."""
    keys = [{"kid": kid, "wrap": b64u(wrap)} for kid, wrap in zip(kids, wraps, strict=True)]
    return write_json({**statement.to_json(), "sealed": {"suite": SUITE, "keys": keys, "body": b64u(body)}})


def parse(data: bytes) -> Envelope:
    """Read an envelope strictly; nothing in it is believed yet. At most 256 KiB."""
    value = read_json(data, limit=MAX_ENVELOPE)
    if type(value) is not dict or value.keys() != {"payload", "signatures", "sealed"}:
        raise EnvelopeMalformed("an envelope has exactly the members `payload`, `signatures` and `sealed`")
    statement = statement_from(value["payload"], value["signatures"])
    wraps, body = _parse_sealed(value["sealed"])
    return Envelope(data, statement, parse_manifest(statement.payload), statement.digest, wraps, body)


def _parse_sealed(sealed: Any) -> tuple[tuple[tuple[str, bytes], ...], bytes]:
    if type(sealed) is not dict or sealed.keys() != {"suite", "keys", "body"}:
        raise EnvelopeMalformed("`sealed` has exactly the members `suite`, `keys` and `body`")
    if sealed["suite"] != SUITE:
        raise SuiteUnknown(f"the only suite of ix/1 is `{SUITE}`")
    keys, body = sealed["keys"], sealed["body"]
    if type(keys) is not list or not 1 <= len(keys) <= MAX_RECIPIENTS or type(body) is not str:
        raise EnvelopeMalformed(f"`keys` is a list of 1 to {MAX_RECIPIENTS} and `body` a string")
    for key in keys:
        if type(key) is not dict or key.keys() != {"kid", "wrap"} or not all(type(v) is str for v in key.values()):
            raise EnvelopeMalformed("an item of `keys` has exactly the strings `kid` and `wrap`")
        if not _KID.fullmatch(key["kid"]):
            raise EnvelopeMalformed("the `kid` of an item of `keys` is a digest")
    return tuple((key["kid"], unb64u(key["wrap"])) for key in keys), unb64u(body)


def verify(envelope: Envelope, directory: Directory, at: datetime) -> None:
    """Check an envelope as the broker must: federation, both signatures, sealed part, recipients' keys.

    ``at`` is the log time that signatures and keys are judged by. Raises the exact refusal.
    """
    manifest = envelope.manifest
    verify_signatures(envelope.statement, manifest, directory, at)
    if [kid for kid, _ in envelope.wraps] != [a.kid for a in manifest.to]:
        raise SealMismatch("the wrapped keys are not those of the manifest's recipients, in order")
    for addressee, (_, wrap) in zip(manifest.to, envelope.wraps, strict=True):
        _verify_wrap(addressee, wrap)
        directory.sealing_kid_valid(addressee.id, addressee.kid, at)
    _verify_body(manifest, envelope.body)


def verify_signatures(statement: Statement, manifest: Manifest, directory: Directory, at: datetime) -> None:
    """Check that the named sender, and nobody else, signed the manifest with both keys valid at ``at``."""
    if manifest.fed != directory.fed:
        raise FederationMismatch("the message belongs to another federation")
    if len(statement.pairs) != 1:
        raise SuiteUnknown("a message is signed by its sender alone: one pair of signatures")
    verify_pair(statement.raw_payload, statement.pairs[0], directory.signing_lookup(manifest.from_, at), Typ.MESSAGE)


def _verify_wrap(addressee: Addressee, wrap: bytes) -> None:
    if digest(wrap) != addressee.wrap:
        raise SealMismatch(f"the wrapped key for `{addressee.id}` is not the one the manifest names")


def _verify_body(manifest: Manifest, body: bytes) -> None:
    if len(body) != manifest.body.len or digest(body) != manifest.body.sha256:
        raise SealMismatch("the sealed body is not the one the manifest names")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one recipient gets of one message: its own wrap only, and the log entry with its proof."""

    seq: int
    statement: Statement
    wrap: bytes
    body: bytes
    entry: bytes
    proof: str

    def to_json(self) -> dict[str, Any]:
        """The members of a mailbox item of kind ``message``."""
        return {
            "kind": "message",
            "seq": self.seq,
            "payload": self.statement.raw_payload,
            "signatures": signatures_json(self.statement.pairs),
            "wrap": b64u(self.wrap),
            "body": b64u(self.body),
            "entry": b64u(self.entry),
            "proof": self.proof,
        }

    @classmethod
    def from_json(cls, item: Any) -> Parcel:
        """Read a mailbox item of kind ``message`` strictly; nothing is verified."""
        if type(item) is not dict or item.keys() != _PARCEL or item["kind"] != "message":
            raise EnvelopeMalformed("a parcel has exactly the members of MSG-18, and `kind` is `message`")
        if type(seq := item["seq"]) is not int or seq < 0 or any(type(item[name]) is not str for name in _PARCEL_TEXTS):
            raise EnvelopeMalformed("a parcel has exactly the members of MSG-18, each of its form")
        statement = statement_from(item["payload"], item["signatures"])
        wrap, body, entry = unb64u(item["wrap"]), unb64u(item["body"]), unb64u(item["entry"])
        return cls(item["seq"], statement, wrap, body, entry, item["proof"])


_PARCEL_TEXTS: Final = ("wrap", "body", "entry", "proof")
_PARCEL: Final = {"kind", "seq", "payload", "signatures", *_PARCEL_TEXTS}


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that passed every check; only from here on may anything of it be shown."""

    manifest: Manifest
    digest: str
    content: CaseMessage
    content_bytes: bytes
    entry: DisclosureEntry
    index: int


def open_parcel(
    parcel: Parcel,
    *,
    me: str,
    opening_keys: Mapping[str, OpeningKey],
    directory: Directory,
    log: LogIdentity,
    now: datetime,
    seen: Container[str] | Callable[[str], bool] = (),
    standing: Standings | None = None,
) -> Opened:
    """Open a message, or refuse it with the code of the first check that fails (MSG-20 to MSG-33, in order).

    ``standing`` is how agreements stand by the recipient's own books, ``PolicyBook.standing``; without it nobody
    asks whether the agreement lapsed on the way, which is for those who look at a message long after.
    """
    # 0-1  Logged before delivered: the entry is in the log and says what the manifest says.
    manifest, entry = verify_logged(parcel, log)
    name = parcel.statement.digest
    # 2  Signed by the sender with keys valid at log time.
    verify_signatures(parcel.statement, manifest, directory, instant(entry.ts))
    # 3  Addressed to me, under a key that I hold.
    addressee = next((a for a in manifest.to if a.id == me), None)
    if addressee is None or addressee.kid not in opening_keys:
        raise NotAddressedToMe("the message does not name this agency with a key it holds")
    # 4  The sealed bytes are the ones that were signed for.
    _verify_wrap(addressee, parcel.wrap)
    _verify_body(manifest, parcel.body)
    # 5-8  HPKE, key commitment and chunks, padding, plaintext commitment: each refused by keys.sealing.
    ctx = context_of(manifest)
    content_key = opening_keys[addressee.kid].unwrap(parcel.wrap, ctx)
    content = open_body(parcel.body, content_key, ctx, unb64u(manifest.body.commit))
    # 9  In time, not seen before, and its agreement did not lapse on the way.
    verify_times(manifest, now)
    if entry.at > now + MAX_SKEW:
        raise MessageFromTheFuture(f"it was logged at {entry.ts}, ahead of the clock here")
    if seen(name) if callable(seen) else name in seen:
        raise AlreadyReceived("this message was received before")
    if standing is not None:
        verify_in_force(manifest, standing, now)
    # 10  It carries what it declares, no more and no less.
    case = parse_content(content)
    verify_declaration(manifest, case)
    return Opened(manifest, name, case, content, entry, parcel.seq)


def verify_logged(parcel: Parcel, log: LogIdentity) -> tuple[Manifest, DisclosureEntry]:
    """Check what a broker cannot blame on a sender: that this manifest is logged at this number (steps 0 and 1)."""
    manifest = parse_manifest(parcel.statement.payload)
    index, _ = verify_tlog_proof(parcel.proof, parcel.entry, log)
    entry = _disclosure_of(parcel.entry, manifest, parcel.statement.digest)
    if index != parcel.seq:
        raise ProofMismatch("the parcel's number is not the index its proof shows")
    return manifest, entry


def verify_declaration(manifest: Manifest, case: CaseMessage) -> None:
    """Refuse a message whose manifest does not declare what its content says (MSG-31, CNT-61)."""
    wrong = undeclared(
        case,
        type=manifest.type,
        purpose=manifest.purpose,
        crime=manifest.crime,
        urgency=manifest.urgency,
        handling=manifest.handling,
        cats=manifest.cats,
        re=manifest.re,
        src=manifest.src or (),
        parties=frozenset((manifest.from_, *(one.id for one in manifest.to))),
    )
    if not wrong:
        return
    sentence = f"the manifest does not declare what the content says: {', '.join(f'`{m}`' for m in wrong)}"
    if "cats" in wrong:
        carried, declared = set(case.categories), {str(c) for c in manifest.cats}
        hidden = ", ".join(sorted(carried - declared)) or "nothing"
        absent = ", ".join(sorted(declared - carried)) or "nothing"
        sentence += f"; carried undeclared: {hidden}; declared in vain: {absent}"
    raise Misdeclared(sentence)


def _disclosure_of(data: bytes, manifest: Manifest, name: str) -> DisclosureEntry:
    entry = parse_entry(data)
    if not isinstance(entry, DisclosureEntry):
        raise ProofMismatch("the log entry is not a disclosure")
    said = (entry.msg, entry.id, entry.from_, entry.agr, tuple(r.id for r in entry.to), tuple(entry.cats))
    signed = (name, manifest.id, manifest.from_, manifest.agr, tuple(a.id for a in manifest.to), tuple(manifest.cats))
    facts = (entry.type, entry.purpose, entry.crime, entry.class_, tuple(entry.handling), entry.urgency, entry.re)
    rules = (entry.src, entry.exempt)
    declared = (
        manifest.type,
        manifest.purpose,
        manifest.crime,
        manifest.class_,
        manifest.handling,
        manifest.urgency,
        manifest.re,
    )
    if said != signed or facts != declared or rules != (manifest.src, manifest.exempt):
        raise ProofMismatch("the log entry does not say what the sender signed")
    if not manifest.sent_at - MAX_SKEW <= entry.at < manifest.expires_at:
        raise ProofMismatch("the log entry is dated before the message was sent or after it had expired")
    return entry
