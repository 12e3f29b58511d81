"""Lies about made-up traffic, and what must follow from each: found or not, and whom it convicts.

A liar changes its own book and nobody else's. ``at once``: it lied when it wrote, so that whatever it signed later
(heads, the log's own proofs) fits its lie. ``afterwards``: it rewrites a book of which others hold signed pieces. What
must be found, and who must be named alone, is worked out here from who holds which signed piece, and from nothing else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from exchange.audit.ledger_lines import Line
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, LogEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act, ReceiptStatus
from keys.encoding import digest, stamp
from tests.exchange.audit.traffic import AGENCIES, POLICY, Books, Kept, Message, Slot, Traffic, Written, numbered

DROP, DOUBLE, ALTER, INVENT = OPERATIONS = ("drop", "double", "alter", "invent")
BROKER = "broker"
OTHER = digest(b"another message")
LOCAL = frozenset({Act.CONSULT, Act.LOG_QUERY, Act.COLLECT, Act.EXPORT})
"""Acts of which nobody but the node ever knows."""
LONG = timedelta(days=20)


@dataclass
class Lie:
    """One lie: by whom, what, about which messages, acts or places; and what must come of it."""

    liar: str
    what: str
    about: set[str]
    found: bool = True
    """Whether it can be found at all."""
    proved: bool = False
    """Whether the liar must be named alone."""
    written: Written | None = None

    def concerns(self, evidence: dict[str, str], n: str | None) -> bool:
        """Whether a finding with this evidence is about it; ``n`` is the number of the act it is about."""
        said = set(evidence.values())
        return bool(self.about & said) or (n is not None and evidence.get("n") == n)


class Agency:
    """An agency that lies at once, in its own ledger."""

    def __init__(self, traffic: Traffic, liar: str, rng: random.Random) -> None:
        self.traffic, self.me, self.rng = traffic, liar, rng
        self.ledger = traffic.ledgers[liar]
        self.used: set[str | None] = set()
        self.lies: list[Lie] = []

    def tell(self, operation: str) -> None:
        """Lie once, about something that was not lied about before."""
        if operation == INVENT:
            self._invent()
            return
        acts = [one for one in self.ledger.acts[2:] if one.line.msg is None or one.line.msg not in self.used]
        if not acts:
            return
        act = self.rng.choice(acts)
        self.used.add(act.line.msg)
        {DROP: self._drop, DOUBLE: self._double, ALTER: self._alter}[operation](act)

    def _note(self, what: str, act: Written, *, found: bool = True, proved: bool = False, **more: Any) -> None:
        about = {one for one in (act.line.msg, more.get("other")) if one}
        self.lies.append(Lie(self.me, what, about, found, proved, act))

    # -- who could show it --

    def _forget(self, act: Written) -> None:
        """A careful liar also loses its own proofs; half of them are."""
        if self.rng.random() < 0.5:
            self.ledger.kept = [one for one in self.ledger.kept if one.slot is not act.slot]

    def _own(self, act: Written) -> bool:
        return any(one.slot is act.slot for one in self.ledger.kept)

    def _manifest(self, act: Written) -> bool:
        every = (one for ledger in self.traffic.ledgers.values() for one in ledger.kept)
        return any(one.about == act.line.msg and one.manifest is not None for one in every)

    def _signed(self, act: Written, *status: ReceiptStatus) -> bool:
        """Whether a receipt of this agency about the message was exported with its signed batch."""
        entries = [slot.entry for slot in self.traffic.log if isinstance(slot.entry, ReceiptEntry)]
        mine = [one for one in entries if one.by == self.me and one.msg == act.line.msg]
        return any(one.batch in self.traffic.batches and (not status or one.status in status) for one in mine)

    def _same(self, act: Written, kind: Act) -> list[Written]:
        return [one for one in self.ledger.acts if one.line.act is kind and one.line.msg == act.line.msg]

    def _is_answer(self, act: Written) -> bool:
        return act.slot is not None and isinstance(act.slot.entry, ActEntry)

    # -- the lies --

    def _drop(self, act: Written) -> None:
        line, what = act.line, f"drops {act.line.act} {act.line.outcome}"
        self._forget(act)
        kind = line.act
        if self._is_answer(act):
            mine = isinstance(entry := act.slot.entry, ActEntry) and entry.by == self.me  # type: ignore[union-attr]
            self._note(what, act, proved=mine or self._own(act))
        elif kind in LOCAL or act.slot is None:
            self._note(what, act, found=False)
        elif kind is Act.OPEN:
            only = len(self._same(act, Act.OPEN)) == 1
            self._note(what, act, found=only, proved=self._signed(act, ReceiptStatus.OPENED))
        elif kind is Act.ERASE:
            self._note(what, act, proved=True)  # it signed that it erased
        elif kind is Act.RECEIVE:
            touched = any(one.line.act in (Act.OPEN, Act.EXPORT, Act.ERASE) for one in self.ledger.acts
                          if one.line.msg == line.msg and not self._is_answer(one))  # fmt: skip
            silent = not any(isinstance(s.entry, ReceiptEntry) and (s.entry.by, s.entry.msg) == (self.me, line.msg)
                             for s in self.traffic.log)  # fmt: skip
            self._note(what, act, proved=self._signed(act) or (silent and (touched or self._own(act))))
        elif kind is Act.DISCLOSE:
            self._note(what, act, proved=self._own(act) or self._manifest(act))
        else:
            self._note(what, act, proved=self._own(act) or self._manifest(act))
        self.ledger.acts.remove(act)

    def _double(self, act: Written) -> None:
        place = self.ledger.acts.index(act)
        again = Written(act.line, act.at, act.slot)
        self.ledger.acts.insert(place + 1, again)
        local = act.line.act in LOCAL or act.line.act is Act.OPEN or act.slot is None
        once = self._is_answer(act) or not local
        self._note(f"doubles {act.line.act} {act.line.outcome}", again, found=once, proved=once)

    def _alter(self, act: Written) -> None:
        line = act.line
        options = ["ts"]
        if line.sender is not None and not self._is_answer(act) and act.slot is not None:
            options += ["parties", "agr", "purpose", "cats", "clauses", "index", "msg"]
        elif self._is_answer(act):
            options += ["outcome", "sender", "index", "msg"]
        elif line.act is Act.RECEIVE:
            options += ["outcome", "msg"]
        elif line.act is Act.ERASE:
            options += ["msg"]
        elif line.act is Act.OPEN:
            options += ["msg", "nobody", "reason"]
        else:
            options += ["case"] + (["reason"] if line.act in (Act.CONSULT, Act.EXPORT) else [])
        if line.act is Act.DISCLOSE:
            options.append("reason")
        if line.act is Act.ATTEMPT_DENIED and act.slot is not None:
            options.append("outcome")
        what = self.rng.choice(options)
        self._forget(act)
        getattr(self, f"_alter_{what}")(act)

    def _altered(self, act: Written, what: str, line: Line, *, found: bool = True, proved: bool) -> None:
        old, act.line = act.line.msg, line
        self._note(f"alters {what} of {line.act} {line.outcome}", act, found=found, proved=proved, other=old)

    def _alter_ts(self, act: Written) -> None:
        act.claimed = act.at - LONG
        self._altered(act, "the time", act.line, proved=True)  # its own book says what came before

    def _shown(self, act: Written) -> bool:
        return self._own(act) or self._manifest(act)

    def _alter_parties(self, act: Written) -> None:
        other = next(one for one in AGENCIES if one not in act.line.to and one != act.line.sender)
        self._altered(act, "the parties", replace(act.line, to=(*act.line.to[1:], other)), proved=self._shown(act))

    def _alter_agr(self, act: Written) -> None:
        self._altered(act, "the agreement", replace(act.line, agr=OTHER), proved=self._shown(act))

    def _alter_purpose(self, act: Written) -> None:
        self._altered(act, "the purpose", replace(act.line, purpose="prosecute"), proved=self._shown(act))

    def _alter_cats(self, act: Written) -> None:
        self._altered(
            act, "the categories", replace(act.line, cats=frozenset({"smug_b_groups"})), proved=self._shown(act)
        )

    def _alter_clauses(self, act: Written) -> None:
        self._altered(act, "the clauses", replace(act.line, clauses=("c9",)), proved=self._own(act))

    def _alter_reason(self, act: Written) -> None:
        line = replace(act.line, reasoned=False, by=act.line.by or OTHER)
        self._altered(act, "the reason", line, proved=True)

    def _alter_nobody(self, act: Written) -> None:
        self._altered(act, "the officer", replace(act.line, by=None), proved=True)

    def _alter_case(self, act: Written) -> None:
        self._altered(act, "the officer", replace(act.line, by=OTHER), found=False, proved=False)

    def _alter_msg(self, act: Written) -> None:
        fresh = digest(f"no message {self.rng.random()}".encode())
        self._altered(act, "the message", replace(act.line, msg=fresh), proved=True)  # of which nobody can show a proof

    def _alter_sender(self, act: Written) -> None:
        other = next(one for one in AGENCIES if one != act.line.sender)
        self._altered(act, "who said it", replace(act.line, sender=other), proved=True)  # the act is signed

    def _alter_index(self, act: Written) -> None:
        answer, before = self._is_answer(act), act.slot
        proved = answer or self._own(act)
        others = [one for one in self.traffic.log if not isinstance(one.entry, ActEntry) and one is not before]
        act.slot = self.rng.choice(others)
        self._altered(act, "the place", act.line, proved=proved)

    def _alter_outcome(self, act: Written) -> None:
        line = act.line
        if self._is_answer(act):
            said, proved = ("retained" if line.outcome != "retained" else "erased"), True
        elif line.act is Act.ATTEMPT_DENIED:
            said, proved = "purpose_refused", self._own(act)
        elif line.outcome == "delivered":
            said, proved = "seal_mismatch", self._signed(act, ReceiptStatus.DELIVERED)
        elif line.outcome == "message_recalled":
            said, proved = "delivered", False
        else:
            said, proved = "seal_mismatch", self._signed(act, ReceiptStatus.REJECTED)
        if self._is_answer(act) and line.act in (Act.CONSULT, Act.REVIEW, Act.ERASE):
            proved = True  # then it is no answer to the act that it signed
        self._altered(act, "the outcome", replace(line, outcome=said), proved=proved)

    def _invent(self) -> None:
        fresh = digest(f"invented {self.rng.random()}".encode())
        place = self.rng.randrange(2, len(self.ledger.acts))
        at, slot = self.ledger.acts[place - 1].at, self.rng.choice(self.traffic.log)
        by = digest(b"somebody")
        held = [one for one in self.traffic.messages if self.me in one.taken and one.msg not in self.used]
        shut = [one for one in held if self.me not in one.erased]
        unopened = [one for one in shut if not any(
            act.line.act is Act.OPEN and act.line.msg == one.msg for act in self.ledger.acts)]  # fmt: skip
        kinds = ["disclose", "receive", "act", "open", "local", "erase", "look"]
        kind = self.rng.choice(kinds)
        others = tuple(one for one in AGENCIES if one != self.me)
        line, found, proved = Line(Act.LOG_QUERY, outcome="done", by=by), False, False
        if kind == "disclose":
            line, found, proved = (
                Line(Act.DISCLOSE, fresh, sender=self.me, to=others[:1], outcome="done", by=by),
                True,
                True,
            )
        elif kind == "receive":
            line = Line(Act.RECEIVE, fresh, sender=others[0], to=(self.me,), outcome="delivered")
            found = proved = True
        elif kind == "act":
            slot = self.rng.choice([one for one in self.traffic.log if not isinstance(one.entry, ActEntry)])
            line = Line(Act.RECALL, fresh, sender=self.rng.choice(AGENCIES), outcome="recall")
            found = proved = True
        elif kind == "open":
            line, found, proved = Line(Act.OPEN, fresh, outcome="done", by=by), True, True
        elif kind == "erase" and shut:
            one: Message = self.rng.choice(shut)
            self.used.add(one.msg)
            line, slot, found = Line(Act.ERASE, one.msg, outcome="retention"), one.slot, True
            place = max(place, 1 + max(i for i, act in enumerate(self.ledger.acts) if act.line.msg == one.msg))
            at = self.ledger.acts[place - 1].at
        elif kind == "look" and unopened:
            one = self.rng.choice(unopened)
            self.used.add(one.msg)
            line, slot, found = Line(Act.OPEN, one.msg, outcome="done", by=by), one.slot, True
            place = max(place, 1 + max(i for i, act in enumerate(self.ledger.acts) if act.line.msg == one.msg))
            at = self.ledger.acts[place - 1].at
        act = Written(line, at, slot if line.msg else None)
        self.ledger.acts.insert(place, act)
        self._note(f"invents {line.act}", act, found=found, proved=proved)


def rewrite_ledger(books: Books, liar: str, operation: str, rng: random.Random) -> Lie:
    """Change an act of a ledger whose head was signed and logged: whatever it is, the signed root tells.

    Of an act that is left out, only a head between it and the end: without one the ledger may have been handed in
    a moment before, under a head as old as the logged one.
    """
    lines = books.lines[liar]
    place = rng.randrange(len(lines))
    line = lines[place]
    between = [head.size for _, head in books.log().heads.get(liar, ()) if place < head.size < len(lines)]
    tells = operation != DROP or bool(between)
    if operation == DROP:
        del lines[place]
    elif operation == DOUBLE:
        lines.insert(place, line)
    elif operation == ALTER:
        lines[place] = replace(line, by=OTHER)
    else:
        lines.insert(place, Line(Act.CONSULT, outcome="done", by=OTHER, ts=line.ts))
    lines[:] = [replace(one, n=n) for n, one in enumerate(lines, start=1)]
    return Lie(liar, f"{operation}s {line.act} afterwards", {liar}, True, tells)


class Broker:
    """A broker that lies at once: what it proves fits what it shows."""

    def __init__(self, traffic: Traffic, rng: random.Random) -> None:
        self.traffic, self.rng = traffic, rng
        self.lies = [Lie(BROKER, "withholds", {one.msg}) for _, one in traffic.lost_on_the_way]
        self.used = {one.msg for _, one in traffic.lost_on_the_way}

    def tell(self, operation: str) -> None:
        """Lie once."""
        {DROP: self._drop, DOUBLE: self._double, ALTER: self._alter, INVENT: self._invent}[operation]()

    def _pick(self, *kinds: type) -> Slot | None:
        free = [one for one in self.traffic.log if isinstance(one.entry, kinds) and one.entry.msg not in self.used]  # type: ignore[union-attr]
        slot = self.rng.choice(free) if free else None
        if slot is not None:
            self.used.add(slot.entry.msg)  # type: ignore[union-attr]
        return slot

    def _end(self) -> int:
        """Behind all that happened, and long enough before the books were taken."""
        return next(n for n, one in enumerate(self.traffic.log) if one.at > self.traffic.now - timedelta(days=8))

    def _insert(self, place: int, entry: LogEntry) -> None:
        slot = Slot(self.traffic.log[place - 1].at, entry)
        slot.last = slot
        self.traffic.log.insert(place, slot)

    def _drop(self) -> None:
        slot = self._pick(ReceiptEntry)  # the rest it cannot drop at once: nobody settles anything without a proof
        if slot is None:
            return
        for one in self.traffic.log:
            if one.last is slot:
                one.last = one
        self.traffic.log.remove(slot)
        for ledger in self.traffic.ledgers.values():
            ledger.kept = [one for one in ledger.kept if one.slot is not slot]
        self.lies.append(Lie(BROKER, "drops a receipt", {slot.entry.msg}))  # type: ignore[union-attr]

    def _double(self) -> None:
        slot = self._pick(DisclosureEntry, DenialEntry, ReceiptEntry, ActEntry)
        if slot is not None and slot.entry is not None:
            self._insert(self.traffic.log.index(slot) + 1, slot.entry.model_copy())
            self.lies.append(Lie(BROKER, f"doubles {slot.entry.typ}", {slot.entry.msg}, True, True))  # type: ignore[union-attr]

    def _alter(self) -> None:
        log = self.traffic.log
        slot = self._pick(DisclosureEntry, ReceiptEntry)
        if slot is None or slot.entry is None:
            return
        if isinstance(slot.entry, ReceiptEntry) and slot.entry.status is ReceiptStatus.DELIVERED:
            to = {"status": ReceiptStatus.REJECTED, "code": "seal_mismatch"}
            proved = slot.entry.batch in self.traffic.batches
            slot.entry = slot.entry.model_copy(update=to)
            self.lies.append(Lie(BROKER, "alters a receipt", {slot.entry.msg}, True, proved))
            return
        later = slot.at + LONG
        msg = slot.entry.msg  # type: ignore[union-attr]
        slot.entry = slot.entry.model_copy(update={"ts": stamp(later)})
        following = log[log.index(slot) + 1 :]
        self.lies.append(Lie(BROKER, "alters a time", {msg, stamp(later)}, True, bool(following)))

    def _invent(self) -> None:
        rng, traffic = self.rng, self.traffic
        place = rng.randrange(len(AGENCIES), self._end())
        kind = rng.choice(("disclosure", "denial", "receipt", "act"))
        if kind in ("disclosure", "denial"):
            wanted = DisclosureEntry if kind == "disclosure" else DenialEntry
            like = [one.entry for one in traffic.log if isinstance(one.entry, wanted)]
            if not like:
                return
            fresh = digest(f"made up {rng.random()}".encode())
            to = {"msg": fresh, "ts": stamp(traffic.log[place - 1].at), "policy": POLICY}
            if kind == "disclosure":
                to["src"] = None  # type: ignore[assignment]
            self._insert(place, rng.choice(like).model_copy(update=to))
            self.lies.append(Lie(BROKER, f"invents a {kind}", {fresh}))
            return
        entry: LogEntry
        if kind == "receipt":
            told = {(one.entry.by, one.entry.msg) for one in traffic.log if isinstance(one.entry, ReceiptEntry)
                    and one.entry.status is ReceiptStatus.OPENED}  # fmt: skip
            free = [(who, one) for one in traffic.messages for who in sorted(one.taken)
                    if (who, one.msg) not in told and one.msg not in self.used]  # fmt: skip
            if not free:
                return
            who, message = rng.choice(free)
            self.used.add(message.msg)
            place = self._end()
            now = stamp(traffic.log[place - 1].at)
            entry = ReceiptEntry(ts=now, msg=message.msg, by=who, status=ReceiptStatus.OPENED, batch=OTHER)
            self.lies.append(Lie(BROKER, "invents a receipt", {message.msg}))
        else:
            message = rng.choice(traffic.messages)
            place = self._end()
            name = digest(f"act {rng.random()}".encode())
            by, now = message.manifest.from_, stamp(traffic.log[place - 1].at)
            entry = ActEntry(ts=now, act="recall", by=by, msg=message.msg, statement=name)
            self.lies.append(Lie(BROKER, "invents an act", {name}, True, True))
        self._insert(place, entry)


def rewrite_log(books: Books, operation: str, rng: random.Random) -> Lie:
    """Change an entry of a log of which others hold proofs; somebody always holds a later one."""
    entries = books.entries
    held = [proof for some in books.proofs.values() for proof in some]
    last = max(proof.size for proof in held)
    place = rng.randrange(last - 1)
    entry = entries[place]
    name = getattr(entry, "statement", None) or getattr(entry, "msg", None)
    about = {name} if name and any(proof.index == place for proof in held) else {BROKER}
    if operation == DROP:
        del entries[place]
    elif operation == DOUBLE:
        entries.insert(place, entry)
        about = {BROKER}
    elif operation == ALTER:
        entries[place] = entry.model_copy(update={"ts": entries[max(0, place - 1)].ts[:-2] + "7Z"})
        if entries[place] == entry:
            entries[place] = entry.model_copy(update={"ts": entry.ts[:-2] + "3Z"})
    else:
        like = next(one for one in entries if isinstance(one, DisclosureEntry))
        entries.insert(place, like.model_copy(update={"msg": digest(f"{rng.random()}".encode()), "ts": entry.ts}))
        about = {BROKER}
    return Lie(BROKER, f"{operation}s {entry.typ} afterwards", about, True, True)


__all__ = ["ALTER", "BROKER", "DOUBLE", "DROP", "INVENT", "LOCAL", "OPERATIONS", "Agency", "Broker", "Kept", "Lie",
           "numbered", "rewrite_ledger", "rewrite_log"]  # fmt: skip
