"""The log and the ledgers of three agencies over some days, honest or with one lie in them. TEST KEYS ONLY.

The liar lies when it writes: what it signs fits what it shows. What it does to finished books is done to their files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from exchange.audit.export import statement_path
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, ReceiptEntry, act_entry, parse_entry
from exchange.protocol.entry import receipt_entry as receipted
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner, bundle, sign_checkpoint, tlog_proof
from exchange.protocol.manifest import Manifest
from exchange.protocol.merkle import WIDTH, Tree, bundles, entries_path, leaf_hash, tile_path, tiles
from keys.encoding import b64u, digest, stamp, write_json
from keys.signing import Typ, sign
from tests.vectors.logbook import REFERRAL, Export, Logbook
from tests.vectors.stage import NGO, NORTH, SOUTH, seed

OWNERS: Final = (NORTH, SOUTH, NGO)
OTHER: Final = digest(b"something else")
LONG: Final = timedelta(hours=80)
ALIKE: Final = {"to": (NORTH,), "type": "info_reply"}


@dataclass
class Writing(Logbook):
    """A log whose manifests are kept."""

    manifests: dict[str, bytes] = field(default_factory=dict)

    def manifest(self, sender: str = NORTH, to: Any = (SOUTH,), **changes: Any) -> tuple[Manifest, str]:
        read, _ = super().manifest(sender, to, **changes)
        payload = write_json(read.model_dump(mode="json", by_alias=True, exclude_none=True))
        name = digest(payload)
        self.manifests[name] = payload
        return read, name


@dataclass
class Books:
    """What is written as things happen; ``files`` is what is handed in."""

    log: Writing = field(default_factory=Writing)
    ledgers: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {agency: [] for agency in OWNERS})
    held: list[tuple[str, int, bool]] = field(default_factory=list)
    """Who holds a proof of which entry, with what is signed about it or without."""
    named: dict[str, str] = field(default_factory=dict)
    """The messages, by what the story calls them."""
    heads: bool = True
    wait: timedelta = LONG
    shown: Export = field(default_factory=dict)

    # -- what happens --

    def write(self, agency: str, act: str, /, *, at: datetime | None = None, **members: Any) -> None:
        """An act of a ledger; its number comes when the ledger is closed."""
        empty = dict.fromkeys(
            ("by", "code", "why", "purpose", "agr", "clauses", "case", "msg", "from", "to", "persons", "cats")
        )
        said = {**empty, "outcome": "done", "reasons": [], "index": None, "released_by": None, **members}
        lists = {name: said[name] or [] for name in ("clauses", "to", "persons", "cats")}
        self.ledgers[agency].append({"ts": stamp(at or self.log.now), "act": act, **said, **lists})

    def officer(self, agency: str) -> dict[str, Any]:
        return {"by": b64u(seed("officer")), "code": "case_assigned", "why": b64u(seed(f"why of {agency}"))}

    def facts(self, index: int) -> dict[str, Any]:
        """What an act repeats of a decision."""
        entry: Any = parse_entry(self.log.entries[index])
        denied = isinstance(entry, DenialEntry)
        clauses = [one.nearest for one in entry.to] if denied else [c for one in entry.to for c in one.clauses]
        return {
            "purpose": entry.purpose, "agr": entry.agr, "clauses": sorted({one for one in clauses if one}),
            "msg": entry.msg, "from": entry.from_, "to": [one.id for one in entry.to], "index": index,
            "persons": [one for one in entry.cats if one.startswith("person_")],
            "cats": [one for one in entry.cats if not one.startswith("person_")],
        }  # fmt: skip

    def send(self, name: str, sender: str = NORTH, to: tuple[str, ...] = (SOUTH,), **changes: Any) -> str:
        """Disclosed or denied, and the sender's act and proof of it."""
        msg = self.log.send(sender, to, **changes)
        index, self.named[name] = len(self.log.entries) - 1, msg
        entry = parse_entry(self.log.entries[index])
        said: dict[str, Any] = {"outcome": entry.code} if isinstance(entry, DenialEntry) else {}
        act = "attempt_denied" if said else "disclose"
        self.write(sender, act, **said, **self.facts(index), **self.officer(sender))
        self.held.append((sender, index, bool(said)))  # who it went to holds its manifest
        return msg

    def place(self, msg: str) -> int:
        return next(n for n, one in enumerate(self.log.entries)
                    if getattr(parse_entry(one), "msg", "") == msg)  # fmt: skip

    def receive(self, msg: str, agency: str = SOUTH, outcome: str = "delivered") -> None:
        index = self.place(msg)
        self.write(agency, "receive", outcome=outcome, **self.facts(index))
        status = {"status": "delivered"} if outcome == "delivered" else {"status": "rejected", "code": outcome}
        self.log.receipt(msg, by=agency, **status)
        self.held.append((agency, index, True))
        self.held.append((self.facts(index)["from"], len(self.log.entries) - 1, False))

    def open(self, msg: str, agency: str = SOUTH) -> None:
        self.write(agency, "open", **self.facts(self.place(msg)), **self.officer(agency))
        self.log.receipt(msg, by=agency)
        self.held.append((self.facts(self.place(msg))["from"], len(self.log.entries) - 1, False))

    def erase(self, msg: str, agency: str, cause: str) -> None:
        self.write(agency, "erase", **{**self.facts(self.place(msg)), "outcome": cause}, **self.officer(agency))

    def say(self, kind: str, given: str, by: str, msg: str, told: dict[str, str], **members: Any) -> str:
        """A signed act, logged, written down by who gave it and by whom it is told to."""
        outcome = members.get("outcome", kind)
        name = self.log.act(kind, by, msg, **members)
        index = len(self.log.entries) - 1
        about = {"msg": msg, "from": by, "outcome": outcome, "index": index}
        self.write(by, given, to=list(told), **about, **self.officer(by))
        self.held.append((by, index, True))
        for agency, heard in told.items():
            self.write(agency, heard, to=[agency], **about)
            self.held.append((agency, index, False))
        return name

    # -- what lies are made of --

    def act(self, agency: str, act: str, msg: str = "", outcome: str = "") -> dict[str, Any]:
        """The first act of this kind, about a message as the story calls it."""
        fits = {"act": act} | ({"msg": self.named[msg]} if msg else {}) | ({"outcome": outcome} if outcome else {})
        return next(one for one in self.ledgers[agency] if fits.items() <= one.items())

    def drop(self, agency: str, act: str, msg: str = "", outcome: str = "") -> None:
        self.ledgers[agency].remove(self.act(agency, act, msg, outcome))

    def forget(self, msg: str) -> None:
        """Nobody has kept a proof of anything about a message."""
        about = self.named[msg].encode()
        self.held = [one for one in self.held if about not in self.log.entries[one[1]]]

    def withhold(self, msg: str) -> None:
        """The batches of receipts for a message are left out of the export."""
        for data in self.log.entries:
            entry = parse_entry(data)
            if isinstance(entry, ReceiptEntry) and entry.msg == self.named[msg]:
                self.log.statements.pop(statement_path("receipts", entry.batch), None)

    # -- what is handed in --

    def lines(self, agency: str) -> list[bytes]:
        head = {"v": "ix/1", "typ": "act"}
        return [
            write_json({**head, "n": n, "ts": said["ts"], "act": said["act"], "agency": agency, **said})
            for n, said in enumerate(self.ledgers[agency], start=1)
        ]

    def close(self) -> Books:
        """Some days later: every ledger's head is logged, then read out and handed in."""
        self.log.now += timedelta(minutes=10)
        for agency in OWNERS if self.heads else ():
            lines = self.lines(agency)
            self.log.head(agency, len(lines), root_of(lines))
        self.log.now += self.wait
        for agency in OWNERS:
            self.write(agency, "log_query", **{**self.officer(agency), "purpose": "integrity_security"})
        self.log.now += timedelta(seconds=1)
        self.shown = {f"log/{name}": data for name, data in self.log.export().items()}
        for agency in OWNERS:
            self.hand_in(agency, self.lines(agency))
            for owner, index, whole in self.held:
                if owner == agency:
                    name, held = self.proof(index, whole=whole)
                    self.shown[f"{agency}/proofs/{name}.json"] = held
        return self

    def hand_in(self, agency: str, lines: list[bytes]) -> None:
        """The folder of a ledger with these acts, as its agency signs it now."""
        self.shown = {name: data for name, data in self.shown.items() if not name.startswith(f"{agency}/tile/")}
        origin = ledger_origin(self.log.on.log.origin, agency)
        made = served(lines, LogSigner(origin, self.log.on[agency].signer), self.log.now)
        self.shown |= {f"{agency}/{name}": data for name, data in made.items()}

    def proof(self, index: int, *, whole: bool) -> tuple[str, bytes]:
        """What the broker gave as proof of an entry when it was logged."""
        raw = self.log.entries[index]
        entry: Any = parse_entry(raw)
        tree = Tree()
        tree.append([leaf_hash(one) for one in self.log.entries[: index + 1]])
        note = sign_checkpoint(tree.size, tree.root(), self.log.on.log, self.log.now)
        beside: dict[str, str] = {}
        name = getattr(entry, "msg", "")
        if isinstance(entry, ReceiptEntry):
            name = digest(raw)
            beside = {"statement": b64u(self.log.statements.get(statement_path("receipts", entry.batch), b""))}
        elif isinstance(entry, ActEntry):
            name = entry.statement
            beside = {"statement": b64u(self.log.statements.get(statement_path("acts", entry.statement), b""))}
        elif isinstance(entry, DisclosureEntry | DenialEntry):
            manifest = self.log.manifests[entry.msg]
            beside = {"manifest": b64u(sign(manifest, self.log.on[entry.from_].signer, Typ.MESSAGE).to_bytes())}
        proof = tlog_proof(index, tree.inclusion(index, tree.size), note)
        held = {"v": "ix/1", "typ": "held-proof", "msg": name, "entry": b64u(raw), "proof": proof}
        return name, write_json(held | (beside if whole and all(beside.values()) else {}))

    def rewrite_log(self, entries: list[bytes]) -> None:
        """The broker shows another log, signed as nobody but it can."""
        self.shown = {name: data for name, data in self.shown.items() if not name.startswith("log/tile/")}
        made = served(entries, self.log.on.log, self.log.now)
        self.shown |= {f"log/{name}": data for name, data in made.items()}


def root_of(entries: list[bytes]) -> bytes:
    tree = Tree()
    tree.append([leaf_hash(one) for one in entries])
    return tree.root()


def served(entries: list[bytes], signer: LogSigner, now: datetime) -> Export:
    """A log in files."""
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append([leaf_hash(one) for one in entries])}
    files = {tile_path(level, n, w): rows[level, n] for level, n, w in tiles(len(entries))}
    files |= {entries_path(n, w): bundle(entries[n * WIDTH : n * WIDTH + w]) for n, w in bundles(len(entries))}
    return files | {"checkpoint": sign_checkpoint(len(entries), tree.root(), signer, now).encode()}


def days() -> Books:
    """Asked, answered, denied, refused, passed on by consent, recalled, kept and erased."""
    on = Books()
    on.log.agree()
    asked = on.send("asked", type="info_request", urgency="u_direct", cats=["person_suspect"])
    on.receive(asked)
    on.open(asked)
    answered = on.send("answered", SOUTH, (NORTH,), type="info_reply", re=asked)
    on.receive(answered, NORTH)
    on.open(answered, NORTH)
    on.send("denied", purpose="detect")
    refused = on.send("refused", to=(NGO,), **REFERRAL)
    on.receive(refused, NGO, "commitment_mismatch")
    told = on.send("told", handling=["H2", "H3"])
    on.receive(told)
    on.open(told)
    on.say("acknowledge", "consult", SOUTH, told, {NORTH: "consent"})
    wish = {"want": "onward", "to": [NGO], "purposes": ["victim_protection"], "fields": [""]}
    until = {"until": on.log.now + timedelta(days=30)}
    ask = on.say("ask", "consent", SOUTH, told, {NORTH: "consent"}, **wish, **until)
    on.say("consent", "consent", NORTH, told, {SOUTH: "consent", NGO: "consent"}, re=ask, holder=SOUTH, **wish, **until)
    further = on.send("further", SOUTH, (NGO,), src=[told], exempt="source_protection", **REFERRAL)
    on.receive(further, NGO)
    on.open(further, NGO)
    recall = on.say("recall", "recall", NORTH, told, {SOUTH: "recall", NGO: "recall"}, ground="inaccurate")
    on.erase(told, SOUTH, "recall")
    on.say("answer", "recall_ack", SOUTH, told, {NORTH: "recall_ack"}, re=recall, outcome="erased")
    on.erase(further, NGO, "recall")
    on.say("answer", "recall_ack", NGO, told, {NORTH: "recall_ack"}, re=recall, outcome="erased")
    kept = on.send("kept")
    on.receive(kept)
    on.open(kept)
    on.write(SOUTH, "export", **on.facts(on.place(kept)), **on.officer(SOUTH))
    gone = on.send("gone")
    on.receive(gone)
    on.erase(gone, SOUTH, "retention")
    on.say("erased", "erase", SOUTH, gone, {NORTH: "consent"}, cause="retention")
    return on


Lie = Callable[[Books], object]


def _changed(agency: str, act: str, about: str, /, **members: Any) -> Lie:
    return lambda on: on.act(agency, act, about).update(members)


def _doubled(agency: str, act: str, msg: str) -> Lie:
    def lie(on: Books) -> None:
        line = on.act(agency, act, msg)
        on.ledgers[agency].insert(on.ledgers[agency].index(line) + 1, dict(line))

    return lie


def _and(*lies: Lie) -> Lie:
    return lambda on: [lie(on) for lie in lies] and None


def _dropped(agency: str, act: str, msg: str, outcome: str = "") -> Lie:
    return lambda on: on.drop(agency, act, msg, outcome)


def _invented_disclosure(on: Books) -> None:
    made = on.log.pretend(NORTH, (SOUTH,), [["c1"]])
    on.named["invented"] = made


def _invented_receipt(on: Books) -> None:
    on.log.log(receipted(on.named["gone"], SOUTH, "opened", None, OTHER, on.log.now))


def _invented_act(on: Books) -> None:
    on.log.log(act_entry("recall", NORTH, on.named["kept"], None, OTHER, on.log.now))


def _fresh(agency: str, act: str, /, **members: Any) -> Lie:
    """An act that nothing bears out, behind all others, with the place of an entry that says something else."""
    return lambda on: on.write(agency, act, **{"msg": OTHER, "index": 3, **on.officer(agency), **members})


def _late_look(on: Books) -> None:
    on.write(SOUTH, "open", **on.facts(on.place(on.named["gone"])), **on.officer(SOUTH))


def _quiet_erasure(on: Books) -> None:
    on.erase(on.named["kept"], SOUTH, "retention")


def _no_receipt(on: Books) -> None:
    last = on.send("silent")
    on.write(SOUTH, "receive", outcome="delivered", **on.facts(on.place(last)))


def _recent(on: Books) -> None:
    """Not a lie: logged so late that its recipient may not have it yet, nor the log the heads."""
    on.log.now += LONG
    on.send("recent")
    on.wait = timedelta(minutes=1)


EARLY: Final = "2026-11-01T00:00:00.000Z"

LIES: Final[dict[str, Lie]] = {
    "nobody lies": lambda on: None,
    "what is on its way": _recent,
    "the sender leaves out a disclosure": _dropped(NORTH, "disclose", "kept"),
    "the same, and nobody kept a proof": _and(lambda on: on.forget("kept"), _dropped(NORTH, "disclose", "kept")),
    "the sender leaves out a denial": _dropped(NORTH, "attempt_denied", "denied"),
    "the sender names another purpose": _changed(NORTH, "disclose", "kept", purpose="prosecute"),
    "the same of which nobody kept a proof": _and(
        lambda on: on.forget("kept"), _changed(NORTH, "disclose", "kept", purpose="prosecute")
    ),
    "the sender names another agreement": _changed(NORTH, "disclose", "kept", agr=OTHER),
    "the sender names another recipient": _changed(NORTH, "disclose", "kept", to=[NGO]),
    "the sender names other categories": _changed(NORTH, "disclose", "kept", cats=["smug_a_routes"]),
    "the sender names other clauses": _changed(NORTH, "disclose", "kept", clauses=["c2"]),
    "the sender names another place": _changed(NORTH, "disclose", "kept", index=5),
    "the sender names another officer": _changed(NORTH, "disclose", "kept", by=OTHER),
    "the sender names another message": _changed(NORTH, "disclose", "kept", msg=OTHER),
    "the sender gives no reason": _changed(NORTH, "disclose", "kept", why=None),
    "the sender has it twice": _doubled(NORTH, "disclose", "kept"),
    "the sender dates it long before": _changed(NORTH, "disclose", "kept", ts=EARLY),
    "the sender makes one up": _fresh(NORTH, "disclose", **{"from": NORTH, "to": [SOUTH]}),
    "a denial for another reason": _changed(NORTH, "attempt_denied", "denied", outcome="not_a_party"),
    "the recipient leaves out a message": _and(_dropped(SOUTH, "receive", "asked"), _dropped(SOUTH, "open", "asked")),
    "the same without the batches": _and(
        _dropped(SOUTH, "receive", "asked"), _dropped(SOUTH, "open", "asked"), lambda on: on.withhold("asked"),
        lambda on: on.forget("asked"),
    ),
    "the recipient leaves out an opening": _dropped(SOUTH, "open", "asked"),
    "the recipient had another outcome": _changed(SOUTH, "receive", "asked", outcome="seal_mismatch"),
    "the recipient names other clauses": _changed(SOUTH, "receive", "kept", clauses=["c9"]),
    "the recipient makes a message up": _fresh(
        SOUTH, "receive", **{"from": NORTH, "to": [SOUTH], "outcome": "delivered"}
    ),
    "the recipient makes an opening up": _fresh(SOUTH, "open"),
    "opened by nobody": _changed(SOUTH, "open", "asked", by=None, code=None, why=None),
    "exported without a reason": _changed(SOUTH, "export", "kept", code=None),
    "received twice": _doubled(SOUTH, "receive", "kept"),
    "opened twice": _doubled(SOUTH, "open", "kept"),
    "a receipt that never came": _no_receipt,
    "its own act left out": _dropped(SOUTH, "consult", "told", "acknowledge"),
    "an act told to it left out": _dropped(NGO, "recall", "told"),
    "the same, and its proofs too": _and(_dropped(NGO, "recall", "told"), lambda on: on.forget("told")),
    "an act told to it that says otherwise": _changed(NORTH, "recall_ack", "told", outcome="retained"),
    "an act told to it by somebody else": _changed(NORTH, "recall_ack", "told", **{"from": NGO}),
    "an act made up": _fresh(NORTH, "recall", **{"from": NORTH, "to": [SOUTH], "outcome": "recall"}),
    "an erasure that was none": _dropped(SOUTH, "erase", "gone", "retention"),
    "an erasure by a recall that was none": _dropped(NGO, "erase", "further"),
    "opened after it was erased": _late_look,
    "erased and told nobody": _quiet_erasure,
    "the broker makes a disclosure up": _invented_disclosure,
    "the broker makes a receipt up": _invented_receipt,
    "the broker makes an act up": _invented_act,
    "no head is logged": lambda on: setattr(on, "heads", False),
}  # fmt: skip
"""What somebody writes when it happens."""


def _log_without(on: Books) -> None:
    place = on.place(on.named["kept"])
    on.rewrite_log([one for n, one in enumerate(on.log.entries) if n != place])


def _rewritten(on: Books) -> None:
    on.act(SOUTH, "export", "kept")["act"] = "review"
    on.hand_in(SOUTH, on.lines(SOUTH))


def _behind(on: Books) -> None:
    on.hand_in(SOUTH, on.lines(SOUTH)[:-4])


def _edited(on: Books) -> None:
    name = next(name for name in on.shown if name.startswith(f"{SOUTH}/tile/entries/"))
    on.shown[name] = on.shown[name].replace(b'"act":"export"', b'"act":"review"', 1)


def _forged_proof(on: Books) -> None:
    name = f"{SOUTH}/proofs/{on.named['kept']}.json"
    on.shown[name] = on.shown[name].replace(b"index ", b"index 1", 1)


def _another_manifest(on: Books) -> None:
    name, other = (f"{SOUTH}/proofs/{on.named[one]}.json" for one in ("kept", "gone"))
    beside = [on.shown[one].split(b'"manifest":')[1] for one in (name, other)]
    on.shown[name] = on.shown[name].replace(beside[0], beside[1])


AFTERWARDS: Final[dict[str, Lie]] = {
    "the broker takes an entry out of its log": _log_without,
    "a ledger is written anew": _rewritten,
    "a ledger ends before its head": _behind,
    "an act is edited": _edited,
    "a proof is forged": _forged_proof,
    "a proof has the manifest of another message": _another_manifest,
}
"""What somebody does to books of which others have proofs."""


def made(name: str) -> Books:
    """The books with one lie in them."""
    on = days()
    LIES.get(name, LIES["nobody lies"])(on)
    on.close()
    AFTERWARDS.get(name, LIES["nobody lies"])(on)
    return on
