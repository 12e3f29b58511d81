"""A small broker without a network: decides, logs, signs and exports, for tests and vectors of the log. TEST KEYS ONLY.

``Logbook`` keeps honest books. A test that wants them otherwise edits the exported files, which is what
somebody would do who got at a broker's database.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from exchange.audit.export import AuditReport, statement_path, verify_export
from exchange.protocol.act import read_act, sign_act, write_act
from exchange.protocol.agreement import read_agreement, read_notice
from exchange.protocol.decision import decide
from exchange.protocol.entry import (
    DisclosureEntry,
    act_entry,
    agreement_entry,
    denial_entry,
    disclosure_entry,
    node_head_entry,
    notice_entry,
    parse_entry,
    receipt_entry,
    record_entry,
    signature_entry,
)
from exchange.protocol.errors import EntryMalformed
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.lineage import Lineage
from exchange.protocol.log import LogSigner, bundle, sign_checkpoint
from exchange.protocol.manifest import Manifest, parse_manifest
from exchange.protocol.matching import Party, Request
from exchange.protocol.merkle import WIDTH, Tree, bundles, entries_path, leaf_hash, tile_path, tiles
from exchange.protocol.policy import PolicyBook
from exchange.protocol.receipt import ReceiptItem, build_receipts
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import ReceiptStatus
from keys.ceremony import amend
from keys.encoding import b64u, digest, stamp, write_json
from keys.sealing import new_message_id
from keys.signing import Signer, Statement, Typ, cosign, parse_statement, sign
from keys.trust import Directory
from tests.vectors.stage import FIU, NGO, NORTH, NOW, SOUTH, Repeatable, Stage, seed, stage

Export = dict[str, bytes]

CLAUSES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "c1",
        "effect": "permit",
        "title": "Requests and answers about smuggling",
        "from": ["party:any"],
        "to": ["role:police"],
        "types": ["info_request", "info_reply", "spontaneous_info"],
        "purposes": ["investigate"],
        "crimes": ["immigrant_smuggling"],
        "cats": ["data_transport", "person_suspect", "smug_a_routes"],
        "class_max": "restricted",
        "conditions": {
            "handling_required": ["H2"],
            "urgency": ["u_direct", "normal", "none"],
            "onward": "by_consent",
            "retention_days": 365,
            "evidence": False,
            "human_release": True,
        },
    },
    {
        "id": "c2",
        "effect": "permit",
        "title": "Victims to those who help them",
        "from": ["role:police"],
        "to": ["role:ngo"],
        "types": ["victim_referral"],
        "purposes": ["victim_protection"],
        "crimes": ["human_trafficking"],
        "cats": ["person_victim"],
        "class_max": "restricted",
        "conditions": {
            "handling_required": ["H2"],
            "urgency": ["none"],
            "onward": "none",
            "evidence": False,
            "human_release": True,
        },
    },
    {
        "id": "f1",
        "effect": "forbid",
        "title": "No victim data for anybody else",
        "from": ["party:any"],
        "to": ["role:police"],
        "types": ["any"],
        "purposes": ["any"],
        "crimes": ["any"],
        "cats": ["person_victim"],
    },
)


REFERRAL: Final[dict[str, Any]] = {
    "type": "victim_referral",
    "purpose": "victim_protection",
    "crime": "human_trafficking",
    "cats": ["person_victim"],
}


def terms(on: Stage, parties: Sequence[str] = (NORTH, SOUTH, NGO), **changes: Any) -> bytes:
    """The payload of an agreement between these parties."""
    members: dict[str, Any] = {
        "fed": on.fed,
        "id": "north-south",
        "version": 1,
        "title": "North and South against smuggling",
        "kind": "police_cooperation",
        "parties": list(parties),
        "bases": ["smuggling_prot_10"],
        "territory": ["XN", "XS"],
        "start": NOW - timedelta(days=1),
        "end": NOW + timedelta(days=365),
        "clauses": list(CLAUSES),
    }
    return write_terms({**members, **changes})


def signed_by_all(on: Stage, payload: bytes, parties: Sequence[str]) -> bytes:
    """An agreement with every party's signatures."""
    statement: Statement = sign(payload, on[parties[0]].signer, Typ.AGREEMENT)
    for party in parties[1:]:
        statement = cosign(statement, on[party].signer, Typ.AGREEMENT)
    return statement.to_bytes()


@dataclass
class Logbook:
    """Entries in order, and the signed statements they name. Time moves a second per entry."""

    on: Stage = field(default_factory=stage)
    entries: list[bytes] = field(default_factory=list)
    statements: Export = field(default_factory=dict)
    book: PolicyBook = field(default_factory=PolicyBook)
    lineage: Lineage = field(default_factory=Lineage)
    now: datetime = NOW
    directory: Directory = field(init=False)
    agreement: str = ""
    enrolled: int = 4
    """How many agencies' first records are logged before anything else."""

    def __post_init__(self) -> None:
        self.directory = self.on.directory
        for record in self.directory.agencies()[: self.enrolled]:
            self.log(record_entry(record.agency, record.version, record.digest, self.now))

    def log(self, entry: bytes) -> int:
        """Append an entry; the clock moves on."""
        self.entries.append(entry)
        with suppress(EntryMalformed):
            said = parse_entry(entry)
            if isinstance(said, DisclosureEntry):
                under = self.book.get(said.agr)
                self.lineage.with_disclosure(len(self.entries) - 1, said, under.terms if under else None)
        self.now += timedelta(seconds=1)
        return len(self.entries) - 1

    def agree(
        self, parties: Sequence[str] = (NORTH, SOUTH, NGO), signed: Sequence[str] | None = None, **changes: Any
    ) -> str:
        """Log an agreement that all parties have signed, and their signatures before it; returns its digest."""
        data = signed_by_all(self.on, terms(self.on, parties, **changes), parties)
        agreement = read_agreement(data, self.directory, self.now)
        self.book = self.book.admit(agreement)
        self.statements[statement_path("agreements", agreement.digest)] = data
        for party in parties if signed is None else signed:
            self.log(signature_entry(agreement.digest, party, self.now))
        self.log(agreement_entry(agreement.digest, agreement.terms.parties, agreement.terms.replaces, self.now))
        self.agreement = self.agreement or agreement.digest
        return agreement.digest

    def act(
        self, kind: str, by: str, msg: str, *, lie: bool = False, at: datetime | None = None, **members: Any
    ) -> str:
        """Log an act; returns its digest. With ``lie``, even one that its author has not the standing for."""
        payload = write_act(kind, fed=self.on.fed, by=by, ts=at or self.now, msg=msg, **members)
        data = sign_act(payload, self.on[by].signer)
        act = read_act(data, self.directory, self.now)
        if not lie:
            self.lineage.may(act.terms)
        self.statements[statement_path("acts", act.digest)] = data
        place = self.log(act_entry(act.kind, by, msg, act.terms.refers_to, act.digest, self.now))
        if not lie:
            self.lineage.with_act(place, act)
        return act.digest

    def consent(self, holder: str, to: Sequence[str], msg: str, by: str = NORTH, **members: Any) -> str:
        """Log a consent of the originator that the holder passes a whole message on."""
        said = {"purposes": ["investigate"], "fields": [""], "until": self.now + timedelta(days=30), **members}
        return self.act("consent", by, msg, want="onward", holder=holder, to=to, **said)

    def notify(self, act: Any, by: str = SOUTH) -> str:
        """Log a party's notice about the agreement; returns its digest."""
        payload = write_notice(
            act,
            fed=self.on.fed,
            agreement=self.agreement,
            by=by,
            ts=self.now,
            reason="We must look into something first.",
        )
        data = sign(payload, self.on[by].signer, Typ.NOTICE).to_bytes()
        notice = read_notice(data, self.directory, self.now)
        self.book = self.book.admit(notice)
        self.statements[statement_path("notices", notice.digest)] = data
        self.log(notice_entry(self.agreement, by, act, notice.digest, self.now))
        return notice.digest

    def record(self, data: bytes, agency: str) -> None:
        """Take up and log the next version of an agency's record."""
        self.directory = self.directory.with_record(data, self.now)
        newest = self.directory.agency(agency)
        self.log(record_entry(agency, newest.version, newest.digest, self.now))

    def manifest(self, sender: str = NORTH, to: Sequence[str] = (SOUTH,), **changes: Any) -> tuple[Manifest, str]:
        """A manifest and its digest; nothing is sealed, for the log looks at manifests alone."""
        label = f"logbook {len(self.entries)}"
        members: dict[str, Any] = {
            "v": "ix/1",
            "typ": "msg",
            "fed": self.on.fed,
            "id": new_message_id(self.now, Repeatable(label)),
            "ts": stamp(self.now),
            "exp": stamp(self.now + timedelta(days=7)),
            "from": sender,
            "to": [{"id": a, "kid": self.on[a].opening.public.kid, "wrap": digest(label.encode())} for a in to],
            "agr": self.agreement,
            "type": "spontaneous_info",
            "purpose": "investigate",
            "crime": "immigrant_smuggling",
            "class": "restricted",
            "handling": ["H2"],
            "cats": ["data_transport"],
            "urgency": "none",
            "by": b64u(seed("officer")),
            "body": {"sha256": digest(b"body"), "len": 600, "commit": b64u(seed("commitment"))},
            "att": [],
            "sig": ["Ed25519", "ML-DSA-44"],
        }
        payload = write_json({**members, **changes})
        return parse_manifest(payload), digest(payload)

    def send(self, sender: str = NORTH, to: Sequence[str] = (SOUTH,), **changes: Any) -> str:
        """Decide about a message and log the decision; returns its digest."""
        manifest, name = self.manifest(sender, to, **changes)
        decision = decide(self.request(manifest), self.book, self.now)
        if decision.permitted:
            clauses = [one.clauses for one in decision.per_recipient]
            self.log(disclosure_entry(manifest, name, clauses, decision.policy, self.now))
        else:
            why = [(one.code, one.logged_nearest) for one in decision.per_recipient]
            self.log(denial_entry(manifest, name, why, decision.code, decision.policy, self.now))
        return name

    def pretend(self, sender: str, to: Sequence[str], clauses: list[list[str]], **changes: Any) -> str:
        """Log a disclosure whatever the agreements say; returns the message's digest."""
        manifest, name = self.manifest(sender, to, **changes)
        self.log(disclosure_entry(manifest, name, clauses, self.book.policy(self.now), self.now))
        return name

    def request(self, manifest: Manifest) -> Request:
        """The question a manifest puts to the agreements."""
        return Request(
            discloser=self.party(manifest.from_),
            recipients=tuple(self.party(a.id) for a in manifest.to),
            agreement=manifest.agr,
            type=manifest.type,
            purpose=manifest.purpose,
            crime=manifest.crime,
            cats=frozenset(manifest.cats),
            classification=manifest.class_,
            handling=frozenset(manifest.handling),
            urgency=manifest.urgency,
            exempt=manifest.exempt,
            sources=self.lineage.sources_for(manifest.src or (), manifest.from_),
        )

    def party(self, agency: str) -> Party:
        """An agency with the roles and the ceiling of its newest record."""
        record = self.directory.agency(agency)
        return Party(agency, record.roles, record.ceiling, record.territory)

    def receipt(
        self,
        *messages: str,
        by: str = SOUTH,
        status: str = "opened",
        code: str | None = None,
        seen: str | None = None,
    ) -> str:
        """Log a signed batch of receipts; returns its digest. ``seen`` is the checkpoint that its giver tells."""
        items = [
            ReceiptItem(msg=msg, status=ReceiptStatus(status), **({"code": code} if code else {})) for msg in messages
        ]
        data = build_receipts(items, by=by, fed=self.on.fed, ts=self.now, signer=self.on[by].signer, seen=seen)
        name = digest(_payload(data))
        self.statements[statement_path("receipts", name)] = data
        for msg in messages:
            self.log(receipt_entry(msg, by, status, code, name, self.now))
        return name

    def head(
        self, by: str, size: int, root: bytes | None = None, *, signer: Signer | None = None, said: int | None = None
    ) -> str:
        """Log the head of an agency's ledger of so many acts; returns the digest of its note. ``said`` is the lie."""
        root = ledger_root(by, size) if root is None else root
        origin = ledger_origin(self.on.log.origin, by)
        note = sign_checkpoint(size, root, LogSigner(origin, signer or self.on[by].signer), self.now)
        name = digest(note.encode())
        self.statements[statement_path("heads", name)] = note.encode()
        self.log(node_head_entry(by, said or size, root, name, self.now))
        return name

    def seen(self) -> str:
        """The checkpoint of what is logged so far, as its own log signs it."""
        tree = self.tree()
        return sign_checkpoint(tree.size, tree.root(), self.on.log, self.now)

    def tree(self) -> Tree:
        """The tree over all entries."""
        tree = Tree()
        tree.append([leaf_hash(entry) for entry in self.entries])
        return tree

    def export(self) -> Export:
        """The folder an auditor gets, as a dictionary of its files."""
        tree, size = Tree(), len(self.entries)
        rows = {(row.level, row.index): row.hashes for row in tree.append([leaf_hash(e) for e in self.entries])}
        note = sign_checkpoint(size, tree.root(), self.on.log, self.now)
        files = {"checkpoint": note.encode(), "trust.json": self.directory.to_bytes(), **self.statements}
        files |= {tile_path(level, n, width): rows[level, n] for level, n, width in tiles(size)}
        files |= {
            entries_path(n, width): bundle(self.entries[n * WIDTH : n * WIDTH + width]) for n, width in bundles(size)
        }
        return files

    def audit(self, files: Export | None = None) -> AuditReport:
        """Audit an export, by default one made now."""
        files = self.export() if files is None else files
        return verify_export(files.get, fed=self.on.fed, now=self.now)


def ledger_root(by: str, size: int) -> bytes:
    """The root of a ledger whose acts are the texts "<agency> act <n>", n from 1."""
    tree = Tree()
    tree.append([leaf_hash(f"{by} act {n}".encode()) for n in range(1, size + 1)])
    return tree.root()


def _payload(data: bytes) -> bytes:
    return parse_statement(data).payload


def story() -> Logbook:
    """A short, honest history with one entry of every kind, and a message that is passed on and taken back."""
    book = Logbook()
    book.agree()
    first = book.send(type="info_request", urgency="u_direct", cats=["person_suspect"])
    book.receipt(first, status="delivered")
    book.receipt(first)
    answer = book.send(SOUTH, (NORTH,), type="info_reply", re=first)
    book.receipt(answer, by=NORTH)
    book.send(cats=["person_victim"], type="info_reply", re=answer)
    referral = book.send(to=(NGO,), **REFERRAL)
    book.receipt(referral, by=NGO, status="rejected", code="commitment_mismatch")
    book.send(purpose="detect")
    book.notify("suspend")
    book.send()
    book.notify("resume")
    book.send()
    told = book.send(handling=["H2", "H3"])
    book.receipt(told)
    book.act("acknowledge", SOUTH, told)
    book.send(SOUTH, (NGO,), src=[told], **REFERRAL)
    ask = book.act("ask", SOUTH, told, **_whole(book, [NGO]))
    consent = book.act("consent", NORTH, told, re=ask, holder=SOUTH, **_whole(book, [NGO]))
    book.send(SOUTH, (NGO,), src=[told], exempt="source_protection", **REFERRAL)
    book.act("withdraw", NORTH, told, re=consent)
    book.send(SOUTH, (NGO,), src=[told], exempt="source_protection", **REFERRAL)
    recall = book.act("recall", NORTH, told, ground="inaccurate")
    book.send(SOUTH, (NORTH,), type="info_reply", re=told, src=[told])
    book.act("answer", SOUTH, told, re=recall, outcome="erased")
    book.head(NORTH, 9)
    book.head(SOUTH, 6)
    return book


def _whole(book: Logbook, to: Sequence[str]) -> dict[str, Any]:
    """A consent to pass a whole message on to these for as long as a test needs."""
    until = book.now + timedelta(days=30)
    return {"want": "onward", "to": to, "purposes": ["victim_protection"], "fields": [""], "until": until}


def lies() -> Logbook:
    """What a broker writes that does not keep to acts, sources and signatures; each line is one lie."""
    book = Logbook()
    book.agree(signed=(NORTH, SOUTH, FIU))  # not the one who has to sign, and one who has not
    told, later = book.send(handling=["H2", "H3"]), timedelta(hours=80)
    book.pretend(SOUTH, (NGO,), [["c2"]], src=[told], **REFERRAL)  # nobody consented
    book.pretend(NGO, (SOUTH,), [["c1"]], src=[digest(b"not logged")])  # never had it
    book.act("acknowledge", NGO, told, lie=True)  # it was not disclosed to it
    book.act("recall", SOUTH, told, lie=True, ground="inaccurate")  # it is not its own
    book.act("withdraw", NORTH, told, lie=True, re=digest(b"no consent"))
    book.act("erased", SOUTH, told, cause="retention")
    book.receipt(told)  # opened after it was erased
    book.act("recall", NORTH, told, ground="unlawful")
    book.send(SOUTH, (NORTH,), type="info_reply", src=[told])  # denied, but it had erased it
    book.head(NORTH, 9)
    book.head(NORTH, 8)  # an act less
    book.head(NORTH, 9, seed("another ledger"))  # as many, and others
    book.head(SOUTH, 6, signer=book.on[NORTH].signer)  # not signed by its keeper
    book.head(SOUTH, 6, said=7)  # the entry says more than the head
    book.now += later  # and nobody answers the recall
    return book


def between_two_agreements() -> Logbook:
    """Under one agreement victim data may go to the police; another of the same parties forbids it, and wins."""
    book = Logbook()
    permit, forbid = CLAUSES[0], {**CLAUSES[2], "id": "theirs"}
    book.agree(clauses=[{**permit, "cats": sorted([*permit["cats"], "person_victim"])}])
    book.agree(id="a-second", clauses=[forbid])
    book.send(cats=["person_victim"])
    return book


def ceilings() -> Logbook:
    """A clause goes up to secret; South may receive less, then as much, then less again, as its records say."""
    book = Logbook()
    book.agree(clauses=[{**CLAUSES[0], "class_max": "secret"}])
    for ceiling in ("confidential", "secret", "restricted"):
        record = book.directory.agency(SOUTH)
        if record.ceiling != ceiling:
            book.record(amend(book.on.fed, record, book.on.enrolment, now=book.now, ceiling=ceiling), SOUTH)
        book.send(**{"class": "secret"})
        book.send(**{"class": "confidential"})
    return book


@cache
def told() -> tuple[Logbook, Export]:
    """The story and its export, made once; copy the dictionary before editing it."""
    book = story()
    return book, book.export()
