"""A small federation with keys that everybody can know, for tests and vectors of messages. TEST KEYS ONLY.

Every seed is SHA-256 of a label, so the same parties stand on the stage in every run. ``Forge`` is the
hostile sender: it writes envelopes by hand from the primitives of ``keys``, so that one thing can be wrong
and everything around it right, signatures included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from exchange.protocol.content import parse_content, write_content
from exchange.protocol.log import LogSigner, disclosure_entry, sign_checkpoint, tlog_proof
from exchange.protocol.manifest import context
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.message import Draft, Parcel, assemble, compose, parse
from keys.ceremony import AgencyKeys, RootPlan, enrol, federation_id, new_root, revoke
from keys.encoding import b64u, digest, read_json, write_json
from keys.sealing import Chance, OpeningKey, commit, encrypt_chunks, new_message_id, pad, pseudonym
from keys.signing import Signer, Statement, TransportSigner, Typ, sign
from keys.trust import Directory

NOW: Final = datetime(2026, 11, 21, 16, 20, 0, 123000, tzinfo=UTC)
ORIGIN: Final = "vectors.ix.sim/log"
NORTH, SOUTH, NGO, FIU = "north.police.sim", "south.police.sim", "harbour.ngo.sim", "south.fiu.sim"
ROLES: Final = {NORTH: ("police", "XN"), SOUTH: ("police", "XS"), NGO: ("ngo", "XS"), FIU: ("fiu", "XS")}
AGREEMENT: Final = digest(b"an agreement that only the tests know")
POLICY: Final = digest(b"the policy of the tests")


def seed(label: str) -> bytes:
    """32 bytes that anybody can compute."""
    return hashlib.sha256(f"ix/1 TEST VECTOR {label}".encode()).digest()


def signer(label: str) -> Signer:
    """A signer whose private keys are public."""
    return Signer.from_seeds(seed(f"{label} ed25519"), seed(f"{label} mldsa44"))


class Repeatable:
    """Stands in for the system's randomness: SHAKE-256 of a label, read on and on; keeps what it gave."""

    def __init__(self, label: str) -> None:
        self._stream = hashlib.shake_256(seed(label))
        self._at = 0
        self.drawn: list[bytes] = []

    def __call__(self, n: int) -> bytes:
        self._at += n
        self.drawn.append(self._stream.digest(self._at)[-n:] if n else b"")
        return self.drawn[-1]


@dataclass(frozen=True)
class Party:
    """An agency with all its private keys."""

    id: str
    signer: Signer
    opening: OpeningKey
    transport: TransportSigner

    @classmethod
    def of(cls, agency: str) -> Party:
        return cls(
            agency,
            signer(agency),
            OpeningKey.from_seed(seed(f"{agency} sealing")),
            TransportSigner.from_seed(seed(f"{agency} transport")),
        )

    @property
    def keys(self) -> dict[str, OpeningKey]:
        return {self.opening.public.kid: self.opening}


@dataclass(frozen=True)
class Stage:
    """The federation: parties, directory, log."""

    fed: str
    root: bytes
    enrolment: Signer
    parties: dict[str, Party]
    directory: Directory
    log: LogSigner

    @classmethod
    def build(cls) -> Stage:
        roots, enrolment = (signer("root 1"), signer("root 2")), signer("enrolment")
        log = LogSigner(ORIGIN, signer("log"))
        plan = RootPlan(
            name="Federation of the test vectors (SIMULATION)",
            root_keys=tuple(one.public for one in roots),
            threshold=2,
            enrolment=(enrolment.public,),
            origin=ORIGIN,
            log=log.signer.public,
            broker="broker.vectors.sim",
            transport=(TransportSigner.from_seed(seed("broker transport")).public,),
        )
        begun = NOW - timedelta(days=30)
        root = new_root(plan, roots, now=begun)
        fed = federation_id(root)
        parties = {agency: Party.of(agency) for agency in ROLES}
        records = [
            enrol(
                fed,
                AgencyKeys(party.signer.public, party.opening.public, party.transport.public),
                enrolment,
                agency=agency,
                name=f"{agency} (test vectors)",
                roles=(ROLES[agency][0],),
                territory=ROLES[agency][1],
                ceiling="confidential",
                now=begun,
            )
            for agency, party in parties.items()
        ]
        return cls(fed, root, enrolment, parties, Directory.build([root], records, fed=fed, now=begun), log)

    def __getitem__(self, agency: str) -> Party:
        return self.parties[agency]

    def without_keys_of(self, agency: str, at: datetime) -> Directory:
        """The directory after an agency's signing keys were revoked."""
        record = self.directory.agency(agency)
        kids = [entry.kid for entry in record.keys if entry.use == "sig"]
        revoked = revoke(self.fed, record, kids, self.enrolment, reason="compromised", now=at)
        return self.directory.with_record(revoked, at)

    def draft(self, content: bytes, to: Sequence[str] = (SOUTH,), *, label: str = "one", **changes: Any) -> Draft:
        """A draft that declares what the content says; ``changes`` overrides any of its members."""
        case = parse_content(content)
        question = case.question
        members: dict[str, Any] = {
            "fed": self.fed,
            "id": new_message_id(NOW, Repeatable(f"id {label}")),
            "ts": NOW,
            "exp": NOW + timedelta(days=7),
            "sender": NORTH,
            "recipients": tuple((agency, self[agency].opening.public) for agency in to),
            "agreement": AGREEMENT,
            "purpose": question.purpose if question else "investigate",
            "crime": question.crime if question else "immigrant_smuggling",
            "classification": "restricted",
            "handling": ("H2", "H3") if case.handling_text else ("H2",),
            "urgency": question.urgency.code if question else "none",
            "by": pseudonym(seed("pseudonyms"), "officer", "officer 1"),
            "re": digest(b"the message answered"),
        }
        return Draft(**{**members, **changes})

    def compose(self, content: bytes, to: Sequence[str] = (SOUTH,), *, label: str = "one", **changes: Any) -> bytes:
        """An honest envelope."""
        made = self.draft(content, to, label=label, **changes)
        return compose(made, content, self[made.sender].signer, Repeatable(label))

    def deliver(self, data: bytes, to: str = SOUTH, **changes: Any) -> Parcel:
        """What the recipient would get, with a log of three entries of which this is the second."""
        envelope = parse(data)
        manifest = envelope.manifest
        entry = changes.pop("entry", None) or disclosure_entry(
            manifest, envelope.digest, [["c1"]] * len(manifest.to), POLICY, NOW + timedelta(seconds=1)
        )
        wraps = {a.id: wrap for a, (_, wrap) in zip(manifest.to, envelope.wraps, strict=False)}
        members: dict[str, Any] = {
            "seq": 1,
            "statement": envelope.statement,
            "wrap": wraps.get(to, envelope.wraps[0][1]),
            "body": envelope.body,
            "entry": entry,
            "proof": self.prove(entry),
        }
        return Parcel(**{**members, **changes})

    def prove(self, entry: bytes) -> str:
        """A tlog-proof of this entry at index 1 of a log of three."""
        tree = Tree()
        tree.append([leaf_hash(b"before"), leaf_hash(entry), leaf_hash(b"after")])
        note = sign_checkpoint(tree.size, tree.root(), self.log, NOW + timedelta(seconds=2))
        return tlog_proof(1, tree.inclusion(1), note)


@cache
def stage() -> Stage:
    """The one stage; building it signs a dozen statements."""
    return Stage.build()


SMALL: Final = write_json(
    {
        "v": "ix-case/1",
        "simulation": True,
        "type": "spontaneous_info",
        "case": {"reference": "XN-2026/0001"},
        "as_of": "2026-11-20",
        "language": "en",
        "narrative": [{"assertion": "fact", "lang": "en", "text": "A grey van was seen at the berths."}],
        "entities": [{"kind": "transport", "id": "t1", "assertion": "fact", "means": "van"}],
        "spontaneous": {"reason": "It may sail to you.", "contact": {"agency": NORTH, "desk": "duty_desk"}},
    }
)
"""A content of one category, `data_transport`."""


def content_of(sample: dict[str, Any]) -> bytes:
    """A sample as it is sealed."""
    return write_content(parse_content(write_json(sample)))


@dataclass
class Forge:
    """Builds one envelope by hand. Set what is to be wrong; everything else follows honestly from it.

    ``plaintext``, ``content_keys`` and ``body`` replace what would be sealed; ``change`` edits the manifest
    before it is signed; ``signer`` and ``typ`` sign it; ``finish`` edits the envelope after.
    """

    content: bytes = SMALL
    to: Sequence[str] = (SOUTH,)
    sender: str = NORTH
    signer: Signer | None = None
    typ: Typ = Typ.MESSAGE
    content_keys: Sequence[bytes] | None = None
    plaintext: Callable[[bytes, bytes], bytes] = pad
    commitment: bytes | None = None
    body: Callable[[bytes], bytes] = lambda body: body
    wrap: Callable[[bytes], bytes] = lambda wrap: wrap
    change: Callable[[dict[str, Any]], object] = lambda manifest: None
    finish: Callable[[dict[str, Any]], object] = lambda envelope: None
    chance: Chance = field(default_factory=lambda: Repeatable("forge"))

    def strike(self, on: Stage) -> bytes:
        """The envelope's bytes."""
        honest = read_json(parse(on.compose(self.content, self.to, sender=self.sender)).statement.payload, limit=2**20)
        recipients = [(agency, on[agency].opening.public) for agency in self.to]
        ctx = context(
            honest["fed"], honest["id"], self.sender, honest["agr"], [(agency, key.kid) for agency, key in recipients]
        )
        content_key, k, salt = self.chance(32), self.chance(32), self.chance(24)
        keys = self.content_keys or [content_key] * len(recipients)
        wraps = [self.wrap(key.wrap(cek, ctx)) for (_, key), cek in zip(recipients, keys, strict=True)]
        body = self.body(encrypt_chunks(self.plaintext(k, self.content), keys[0], b"ix/1 body\n" + ctx, salt=salt))
        honest["to"] = [
            {"id": agency, "kid": key.kid, "wrap": digest(wrap)}
            for (agency, key), wrap in zip(recipients, wraps, strict=True)
        ]
        commitment = self.commitment or commit(k, ctx, self.content)
        honest["body"] = {"sha256": digest(body), "len": len(body), "commit": b64u(commitment)}
        self.change(honest)
        statement = sign(write_json(honest), self.signer or on[self.sender].signer, self.typ)
        envelope = read_json(assemble(statement, [key.kid for _, key in recipients], wraps, body), limit=2**22)
        self.finish(envelope)
        return write_json(envelope)


def resigned(data: bytes, on: Stage, change: Callable[[dict[str, Any]], object], by: str = NORTH) -> bytes:
    """An honest envelope whose manifest was edited and signed again, sealed part untouched."""
    envelope = read_json(data, limit=2**20)
    manifest = read_json(parse(data).statement.payload, limit=2**20)
    change(manifest)
    statement: Statement = sign(write_json(manifest), on[by].signer, Typ.MESSAGE)
    return write_json({**statement.to_json(), "sealed": envelope["sealed"]})
