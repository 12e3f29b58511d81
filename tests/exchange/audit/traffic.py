"""Traffic of a small federation, made up from a seed: what the log and every ledger have of it, and who can prove what.

Digests, trees and manifests are real; nothing is signed, for what an agency or the log signed is only ever made by
whoever holds that key: ``lies`` gives a liar its own book and nobody else's. What is made here knows nothing of how
books are compared.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from exchange.audit.ledger_lines import GIVEN, HEARD, HeldProof, LedgerBook, Line
from exchange.audit.log_book import LogBook
from exchange.protocol.act import Act as Signed
from exchange.protocol.act import parse_act, write_act
from exchange.protocol.entry import (
    ActEntry,
    LogEntry,
    NodeHeadEntry,
    ReceiptEntry,
    agreement_entry,
    denial_entry,
    disclosure_entry,
    notice_entry,
    parse_entry,
    record_entry,
    signature_entry,
)
from exchange.protocol.log import Checkpoint
from exchange.protocol.manifest import Manifest, parse_manifest
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.receipt import ReceiptBatch, ReceiptItem
from exchange.protocol.vocabulary import Act, ActKind, ReceiptStatus
from keys.encoding import b64u, digest, stamp, write_json
from keys.signing import Statement
from tests.vectors.stage import NOW

AGENCIES = ("a.police.sim", "b.police.sim", "c.police.sim", "d.ngo.sim", "e.fiu.sim")
FED = digest(b"traffic")
POLICY = digest(b"policy")
AGREEMENTS = tuple(digest(f"agreement {n}".encode()) for n in range(3))
PURPOSES = ("investigate", "prevent", "detect")
CATS = ("data_transport", "person_suspect", "person_victim", "smug_a_routes")
QUIET = timedelta(days=9)
"""How long nothing happens before the books are taken, so that everything has come to its end."""


@dataclass(eq=False)
class Slot:
    """One entry of the log before it has its place; a head is made when the ledgers are known."""

    at: datetime
    entry: LogEntry | None = None
    head_of: str | None = None
    index: int = -1
    last: Slot | None = None
    """The last entry of the commit that it came in: the tree it was proved in ends there."""


@dataclass(eq=False)
class Written:
    """One act of a ledger before its number and its index are known."""

    line: Line
    at: datetime
    slot: Slot | None = None
    claimed: datetime | None = None
    """When it says that it was written, if that is a lie."""


@dataclass(eq=False)
class Kept:
    """A proof that an agency was given."""

    slot: Slot
    about: str
    manifest: Manifest | None = None


@dataclass
class Ledger:
    """What one agency wrote and was given."""

    acts: list[Written] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


@dataclass
class Message:
    """A message as it really was."""

    msg: str
    manifest: Manifest
    slot: Slot
    recalled: bool = False
    erased: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)


class Traffic:
    """A history of some weeks; ``log`` and ``ledgers`` are what everybody honestly has of it."""

    def __init__(self, seed: int, *, messages: int = 14, withheld: float = 0.0, quiet: timedelta = QUIET) -> None:
        self.random = random.Random(seed)
        self.now = NOW
        self.log: list[Slot] = []
        self.ledgers = {agency: Ledger() for agency in AGENCIES}
        self.messages: list[Message] = []
        self.batches: dict[str, ReceiptBatch] = {}
        self.acts: dict[str, Signed] = {}
        self.told: dict[str, tuple[str, ...]] = {}
        self.lost_on_the_way: list[tuple[str, Message]] = []
        """What a broker that withholds never put into a mailbox."""
        self._withheld = withheld
        self._waiting: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._seed = seed
        for agency in AGENCIES:
            self._log(parse_entry(record_entry(agency, 1, digest(agency.encode()), self.now)))
        for n in range(messages):
            self._later(timedelta(hours=self.random.uniform(0, 240)), self._something(n))
        for agency in AGENCIES:
            for day in range(0, 12, 2):
                self._later(timedelta(days=day, minutes=self.random.uniform(0, 600)), self._head(agency))
        while self._waiting:
            at, _, what = heapq.heappop(self._waiting)
            self.now = max(self.now, at)
            what()
        self.now += quiet
        for agency in AGENCIES:
            self._head(agency)()
        self.now += timedelta(minutes=2)

    # -- what happens --

    def _something(self, n: int) -> Callable[[], None]:
        return lambda: self._choose(n)()

    def _choose(self, n: int) -> Callable[[], None]:
        kinds: list[tuple[float, Callable[[], None]]] = [
            (10, lambda: self._send(n)),
            (1.5, lambda: self._deny(n)),
            (1, self._rules),
            (1, self._local),
        ]
        return self.random.choices([what for _, what in kinds], [weight for weight, _ in kinds])[0]

    def _send(self, n: int, sender: str | None = None, src: Message | None = None) -> None:
        rng = self.random
        sender = sender or rng.choice(AGENCIES)
        to = tuple(rng.sample([one for one in AGENCIES if one != sender], rng.choice((1, 1, 1, 2, 3))))
        manifest, msg = self._manifest(sender, to, f"{n} {len(self.messages)}", src)
        clauses = [sorted(rng.sample(("c1", "c2", "c3"), rng.choice((1, 2)))) for _ in to]
        slot = self._log(parse_entry(disclosure_entry(manifest, msg, clauses, POLICY, self.now)))
        message = Message(msg, manifest, slot)
        self.messages.append(message)
        line = self._line(Act.DISCLOSE, manifest, msg, tuple(dict.fromkeys(c for one in clauses for c in one)))
        self._write(sender, replace(line, outcome="done", by=manifest.by), slot, wait=rng.uniform(0, 40))
        self.ledgers[sender].kept.append(Kept(slot, msg, manifest))
        for agency in to:
            if rng.random() < self._withheld:
                self.lost_on_the_way.append((agency, message))
            else:
                self._later(timedelta(hours=rng.uniform(0.01, 60)), lambda who=agency: self._collect(who, message))  # type: ignore[misc]
        if rng.random() < 0.15:
            kind = rng.choice((ActKind.RECALL, ActKind.RESTRICT))
            self._later(timedelta(hours=rng.uniform(1, 150)), lambda: self._after(message, kind))

    def _deny(self, n: int) -> None:
        rng = self.random
        sender = rng.choice(AGENCIES)
        to = tuple(rng.sample([one for one in AGENCIES if one != sender], 2))
        manifest, msg = self._manifest(sender, to, f"{n} denied {self.now}", None)
        if rng.random() < 0.3:  # stopped inside the node: the log never hears of it
            line = replace(self._line(Act.ATTEMPT_DENIED, manifest, None, ()), outcome="no_permit", by=manifest.by)
            self._write(sender, line, None)
            return
        reasons = [("no_permit", "c1"), ("no_permit", None)]
        slot = self._log(parse_entry(denial_entry(manifest, msg, reasons, "no_permit", POLICY, self.now)))
        line = self._line(Act.ATTEMPT_DENIED, manifest, msg, ("c1",))
        self._write(sender, replace(line, outcome="no_permit", by=manifest.by), slot)
        self.ledgers[sender].kept.append(Kept(slot, msg, manifest))

    def _rules(self) -> None:
        """An agreement that replaces another, a notice, or the next record of an agency with a new key."""
        rng, name = self.random, digest(f"{self.now} {self._seed}".encode())
        parties = tuple(rng.sample(AGENCIES, 3))
        what = rng.random()
        if what < 0.4:
            for party in parties:
                self._log(parse_entry(signature_entry(name, party, self.now)))
            self._log(parse_entry(agreement_entry(name, parties, rng.choice(AGREEMENTS), self.now)))
        elif what < 0.7:
            self._log(parse_entry(notice_entry(AGREEMENTS[0], parties[0], "suspend", name, self.now)))
        else:
            self._log(parse_entry(record_entry(parties[0], 2, name, self.now)))

    def _local(self) -> None:
        agency = self.random.choice(AGENCIES)
        act = self.random.choice((Act.CONSULT, Act.LOG_QUERY, Act.COLLECT))
        self._write(agency, Line(act, outcome="2 messages", by=digest(agency.encode())), None)

    def _collect(self, agency: str, message: Message) -> None:
        rng, sender = self.random, message.manifest.from_
        if message.recalled:
            line = Line(Act.RECEIVE, message.msg, outcome="message_recalled")
            self._write(agency, line, message.slot)
            return
        if rng.random() < 0.08:
            line = Line(Act.RECEIVE, message.msg, outcome="commitment_mismatch")
            self._write(agency, line, message.slot)
            self._soon(lambda: self._receipt(agency, message, ReceiptStatus.REJECTED, "commitment_mismatch"))
            return
        entry: Any = message.slot.entry
        clauses = tuple(dict.fromkeys(c for to in entry.to for c in to.clauses))
        line = replace(self._line(Act.RECEIVE, message.manifest, message.msg, clauses), outcome="delivered")
        self._write(agency, line, message.slot)
        self.ledgers[agency].kept.append(Kept(message.slot, message.msg, message.manifest))
        message.taken.add(agency)
        self._soon(lambda: self._receipt(agency, message, ReceiptStatus.DELIVERED))
        if rng.random() < 0.7:
            self._later(timedelta(hours=rng.uniform(0.1, 30)), lambda: self._open(agency, message))
        what = rng.random()
        if what < 0.12:
            self._later(timedelta(hours=rng.uniform(40, 120)), lambda: self._erase(agency, message))
        elif what < 0.2:
            self._later(timedelta(hours=rng.uniform(1, 30)), lambda: self._ask(agency, message))
        elif what < 0.28:
            self._later(timedelta(hours=1), lambda: self._act(agency, message, ActKind.ACKNOWLEDGE, (sender,)))
        elif what < 0.36:
            self._later(timedelta(hours=rng.uniform(1, 30)), lambda: self._forward(agency, message))

    def _forward(self, agency: str, message: Message) -> None:
        if agency not in message.erased and not message.recalled:
            self._send(1000 + len(self.messages), agency, message)

    def _open(self, agency: str, message: Message) -> None:
        if agency in message.erased or message.recalled:
            return
        by, first = digest(f"officer of {agency}".encode()), True
        for _ in range(self.random.choice((1, 1, 1, 2))):
            self._write(agency, Line(Act.OPEN, message.msg, outcome="done", by=by, purpose="investigate"), message.slot)
            if first:
                self._soon(lambda: self._receipt(agency, message, ReceiptStatus.OPENED))
            first = False
        if self.random.random() < 0.1:
            self._write(agency, Line(Act.EXPORT, message.msg, outcome="done", by=by), message.slot)

    def _receipt(self, agency: str, message: Message, status: ReceiptStatus, code: str | None = None) -> None:
        item = ReceiptItem(msg=message.msg, status=status, **({"code": code} if code else {}))
        payload = write_json({"by": agency, "msg": message.msg, "status": str(status), "at": stamp(self.now)})
        batch = ReceiptBatch(agency, FED, self.now, (item,), Statement(b64u(payload), payload, ()))
        if self.random.random() < 0.7:  # the others are left out of the export
            self.batches[batch.digest] = batch
        entry = ReceiptEntry(
            ts=stamp(self.now), msg=message.msg, by=agency, status=status, code=code, batch=batch.digest
        )
        slot = self._log(entry)
        if self.random.random() < 0.8:  # the sender has heard of it
            about = f"{message.msg} {agency} {status}"
            self.ledgers[message.manifest.from_].kept.append(Kept(slot, about))

    # -- acts --

    def _act(self, by: str, message: Message, kind: ActKind, told: tuple[str, ...], **members: Any) -> tuple[str, Slot]:
        payload = write_act(kind, fed=FED, by=by, ts=self.now, msg=message.msg, **members)
        terms, name = parse_act(payload), digest(payload)
        entry = ActEntry(ts=stamp(self.now), act=kind, by=by, msg=message.msg, re=terms.refers_to, statement=name)
        slot = self._log(entry)
        self.acts[name] = Signed(name, Statement(b64u(payload), payload, ()), terms, self.now)
        self.told[name] = told
        said = str(getattr(terms, "outcome", kind))
        line = Line(GIVEN[kind], message.msg, sender=by, to=told, outcome=said, by=digest(by.encode()))
        self._write(by, line, slot)
        self.ledgers[by].kept.append(Kept(slot, name))
        for agency in told:
            heard = Line(HEARD[kind], message.msg, sender=by, to=(agency,), outcome=said)
            self._later(
                timedelta(hours=self.random.uniform(0.1, 20)), lambda a=agency, h=heard: self._hear(a, h, slot, name)
            )  # type: ignore[misc]
        return name, slot

    def _hear(self, agency: str, line: Line, slot: Slot, name: str) -> None:
        self._write(agency, line, slot)
        self.ledgers[agency].kept.append(Kept(slot, name))

    def _ask(self, agency: str, message: Message) -> None:
        sender = message.manifest.from_
        whole = {"want": "purpose", "purposes": ["investigate"], "fields": [""], "until": self.now + timedelta(days=20)}
        asked, _ = self._act(agency, message, ActKind.ASK, (sender,), **whole)

        def decide() -> None:
            if self.random.random() < 0.5:
                self._act(sender, message, ActKind.DECLINE, (agency,), re=asked, ground="request_incomplete")
                return
            until = self.now + timedelta(days=20)
            given, _ = self._act(
                sender, message, ActKind.CONSENT, (agency,), re=asked, holder=agency, **{**whole, "until": until}
            )
            if self.random.random() < 0.3:
                take_back = lambda: self._act(sender, message, ActKind.WITHDRAW, (agency,), re=given)  # noqa: E731
                self._later(timedelta(hours=9), lambda: take_back() and None)

        self._later(timedelta(hours=self.random.uniform(21, 50)), decide)

    def _after(self, message: Message, kind: ActKind) -> None:
        if message.recalled:
            return
        sender = message.manifest.from_
        tree = [message]
        for one in self.messages:
            if any(parent.msg in (one.manifest.src or ()) for parent in tree) and one not in tree:
                tree.append(one)
        holders = tuple(sorted({to.id for one in tree for to in one.manifest.to} - {sender}))
        if kind is ActKind.RECALL:
            for one in tree:
                one.recalled = True
        said, _ = self._act(sender, message, kind, holders, ground="inaccurate")
        for agency in holders:
            self._later(
                timedelta(hours=self.random.uniform(61, 70)),
                lambda who=agency: self._answer(who, message, tree, said, kind),  # type: ignore[misc]
            )

    def _answer(self, agency: str, message: Message, tree: list[Message], said: str, kind: ActKind) -> None:
        sender, outcome = message.manifest.from_, "restricted"
        if kind is ActKind.RECALL and self.random.random() < 0.8:
            outcome = "erased"
            for one in tree:
                if agency in one.taken and agency not in one.erased:
                    self._gone(agency, one, "recall")
        self._act(agency, message, ActKind.ANSWER, (sender,), re=said, outcome=outcome)

    def _erase(self, agency: str, message: Message) -> None:
        if agency not in message.erased and not message.recalled:
            self._gone(agency, message, "retention")
            self._act(agency, message, ActKind.ERASED, (message.manifest.from_,), cause="retention")

    def _gone(self, agency: str, message: Message, cause: str) -> None:
        message.erased.add(agency)
        line = Line(Act.ERASE, message.msg, outcome=cause)
        self._write(agency, line, message.slot, wait=0)
        ledger = self.ledgers[agency]
        ledger.kept = [one for one in ledger.kept if one.about != message.msg]  # the parcel goes with its proof

    # -- writing --

    def _manifest(self, sender: str, to: tuple[str, ...], label: str, src: Message | None) -> tuple[Manifest, str]:
        rng, name = self.random, f"{self._seed} {label}"
        fresh = digest(name.encode())
        hexed = f"{int.from_bytes(name.encode()[-6:].rjust(6, b'0'), 'big') & 0xFFFFFFFFFFFF:012x}"
        members: dict[str, Any] = {
            "v": "ix/1", "typ": "msg", "fed": FED, "id": f"019ab000-{rng.randrange(65536):04x}-7000-8000-{hexed}",
            "ts": stamp(self.now), "exp": stamp(self.now + timedelta(days=20)), "from": sender,
            "to": [{"id": one, "kid": fresh, "wrap": fresh} for one in to], "agr": rng.choice(AGREEMENTS),
            "type": "spontaneous_info", "purpose": rng.choice(PURPOSES), "crime": "immigrant_smuggling",
            "class": "restricted", "handling": ["H2"], "cats": sorted(rng.sample(CATS, 2)), "urgency": "none",
            **({"src": [src.msg]} if src else {}),
            "by": digest(f"officer of {sender}".encode()), "body": {"sha256": fresh, "len": 600, "commit": fresh},
            "att": [], "sig": ["Ed25519", "ML-DSA-44"],
        }  # fmt: skip
        payload = write_json(members)
        return parse_manifest(payload), digest(payload)

    def _line(self, act: Act, manifest: Manifest, msg: str | None, clauses: tuple[str, ...]) -> Line:
        return Line(
            act, msg, agr=manifest.agr, sender=manifest.from_, to=tuple(to.id for to in manifest.to), clauses=clauses,
            purpose=manifest.purpose, cats=frozenset(manifest.cats),
        )  # fmt: skip

    def _log(self, entry: LogEntry) -> Slot:
        self.now += timedelta(milliseconds=self.random.randrange(1, 900))
        if self.log and self.log[-1].at > self.now:
            self.now = self.log[-1].at
        slot = Slot(self.now, entry.model_copy(update={"ts": stamp(self.now)}))
        slot.last = slot
        if self.log and self.random.random() < 0.2 and self.log[-1].head_of is None:
            self.log[-1].last = slot  # both came in one commit
        self.log.append(slot)
        return slot

    def _write(self, agency: str, line: Line, slot: Slot | None, *, wait: float = 1.0) -> None:
        self.now += timedelta(seconds=wait)
        self.ledgers[agency].acts.append(Written(line, self.now, slot))

    def _head(self, agency: str) -> Callable[[], None]:
        def sign() -> None:
            if self.ledgers[agency].acts:
                self.now += timedelta(seconds=1)
                slot = Slot(self.now, head_of=agency)
                slot.last = slot
                self.log.append(slot)
                self.ledgers[agency].kept.append(Kept(slot, f"head {len(self.log)}"))

        return sign

    def _later(self, after: timedelta, what: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (self.now + after, next(self._order), what))

    def _soon(self, what: Callable[[], None]) -> None:
        """Within two days: some receipts come late."""
        late = self.random.random() < 0.15
        self._later(timedelta(hours=self.random.uniform(20, 60) if late else self.random.uniform(0, 0.2)), what)


# --- books out of it ------------------------------------------------------------------------------------


def as_leaf(line: Line) -> bytes:
    """Something that is another whenever an act is: what a ledger's tree is made of here."""
    return repr(line).encode()


def numbered(acts: list[Written]) -> list[Line]:
    """The acts of a ledger as it is handed in, each with its number, time and index."""
    return [
        replace(one.line, n=n, ts=one.claimed or one.at, index=one.slot.index if one.slot else one.line.index)
        for n, one in enumerate(acts, start=1)
    ]


class Books:
    """The log and the ledgers as they stand at the end, before and after somebody lied."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        for index, slot in enumerate(traffic.log):
            slot.index = index
        self.lines = {agency: numbered(ledger.acts) for agency, ledger in traffic.ledgers.items()}
        self.entries: list[LogEntry] = []
        trees: dict[str, tuple[Tree, list[Line]]] = {agency: (Tree(), lines) for agency, lines in self.lines.items()}
        self.notes: dict[str, Checkpoint] = {}
        for slot in traffic.log:
            if slot.head_of is not None:
                tree, lines = trees[slot.head_of]
                acts = traffic.ledgers[slot.head_of].acts
                size = max(tree.size, sum(1 for act in acts if act.at <= slot.at))
                tree.append([leaf_hash(as_leaf(line)) for line in lines[tree.size : size]])
                name = digest(f"{slot.head_of} {size} {slot.index}".encode())
                self.notes[name] = Checkpoint(slot.head_of, max(size, 1), tree.root(), slot.at)
                slot.entry = NodeHeadEntry(
                    ts=stamp(slot.at), by=slot.head_of, size=max(size, 1), root=b64u(tree.root()), head=name
                )
            assert slot.entry is not None
            self.entries.append(slot.entry)
        true = Tree()
        true.append([leaf_hash(entry.to_bytes()) for entry in self.entries])
        self.proofs = {
            agency: [
                HeldProof(
                    f"{one.about} {one.slot.index}", one.slot.index, self.entries[one.slot.index],
                    self._size(one.slot), true.root(self._size(one.slot)), one.manifest,
                )
                for one in ledger.kept
            ]
            for agency, ledger in traffic.ledgers.items()
        }  # fmt: skip

    @staticmethod
    def _size(slot: Slot) -> int:
        return (slot.last.index if slot.last is not None else slot.index) + 1

    def log(self) -> LogBook:
        """The log as exported, with its root at every size that a proof speaks of."""
        tree = Tree()
        tree.append([leaf_hash(entry.to_bytes()) for entry in self.entries])
        sizes = {proof.size for some in self.proofs.values() for proof in some if proof.size <= tree.size}
        traffic = self.traffic
        return LogBook(
            dict(enumerate(self.entries)), len(self.entries), traffic.now, traffic.batches, traffic.acts, traffic.told,
            self.notes, {size: tree.root(size) for size in sizes},
        )  # fmt: skip

    def ledger(self, agency: str) -> LedgerBook:
        """A ledger as exported, under a head of its own that was signed just now."""
        lines = self.lines[agency]
        tree, roots = Tree(), {}
        sizes = {entry.size for entry in self.entries if isinstance(entry, NodeHeadEntry) and entry.by == agency}
        tree.append([leaf_hash(as_leaf(line)) for line in lines])
        roots = {size: tree.root(size) for size in sizes if size <= tree.size}
        return LedgerBook(
            agency, tuple(lines), self.traffic.now, tuple(self.proofs[agency]), len(lines), tree.root(), roots
        )

    def ledgers(self) -> list[LedgerBook]:
        """All of them."""
        return [self.ledger(agency) for agency in self.lines]
