"""Questions to a verified log: who received, what came to an agency, who holds what, whom a breach concerns (LOG-60).

Pure functions over what an audit of an export left (``Examined``). Each gives one JSON value, the same for people, for
pages and for machines. The log has no cases, no names and no contents, so a question about a case is a question about
messages: whoever knows one of them is led by ``re``, ``src`` and corrections to the others of the same exchange.
"""

from __future__ import annotations

import re as patterns
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from exchange.audit.export import Examined
from exchange.audit.report import Denied, Disclosed, Told
from exchange.protocol.act import Act, Answer, Consent, Erased, Keep, Rectify
from exchange.protocol.errors import QuestionMalformed
from exchange.protocol.vocabulary import HolderAnswer
from keys.encoding import read_json, stamp
from keys.errors import Refusal

BREACH_CLOCK: Final = timedelta(hours=72)
"""Directive (EU) 2016/680 art. 30(1): the supervisory authority is told within 72 hours of becoming aware."""
MAX_MESSAGES: Final = 100_000
"""Messages that one file of digests may name."""
_DIGEST: Final = patterns.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", patterns.ASCII)

NO_CASES: Final = "the log names no case: what is asked for is the exchange that these messages belong to"
NO_CONTENT: Final = "the log has no content: what exactly was told is known to sender and recipients alone"
JOINED: Final = "a message that draws on two exchanges joins them here; `--alone` keeps to the messages named"
UNLOGGED: Final = "what was passed on outside the federation, or without naming its source, is in no log"

Json = dict[str, Any]


def read_messages(data: bytes) -> tuple[str, ...]:
    """The digests in a file: one a line, a JSON list, or a JSON object whose ``messages`` is such a list (LOG-61)."""
    text = data.decode("utf-8", errors="replace").strip()
    named: Any = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if text.startswith(("[", "{")):
        try:
            value = read_json(data, limit=len(data) or 1)
        except Refusal as refusal:
            raise QuestionMalformed(f"the file of messages is no JSON: {refusal.sentence}") from None
        named = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(named, list) or not named or len(named) > MAX_MESSAGES:
        raise QuestionMalformed(f"a file of messages names 1 to {MAX_MESSAGES} digests")
    for number, one in enumerate(named, 1):
        if not isinstance(one, str) or not _DIGEST.fullmatch(one):
            raise QuestionMalformed(f"entry {number} of the file of messages is no digest")
    return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class Record:
    """What a verified log says, with what questions need by hand."""

    examined: Examined
    _below: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for one in self.examined.report.disclosures:
            for source in one.entry.src or ():
                self._below.setdefault(source, []).append(one.entry.msg)

    @cached_property
    def disclosed(self) -> Mapping[str, Disclosed]:
        """Every disclosure by its message."""
        return {one.entry.msg: one for one in self.examined.report.disclosures}

    @cached_property
    def denied(self) -> Mapping[str, Denied]:
        """Every denial by its message."""
        return {one.entry.msg: one for one in self.examined.report.denials}

    @cached_property
    def _above(self) -> Mapping[str, tuple[str, ...]]:
        return {name: one.entry.src for name, one in self.disclosed.items() if one.entry.src}

    @cached_property
    def _linked(self) -> Mapping[str, set[str]]:
        """Which messages name each other: as answered, as source, as what corrects them."""
        linked: dict[str, set[str]] = {}
        pairs = [(one.entry.msg, named) for one in self.disclosed.values() for named in _named(one)]
        pairs += [(one.entry.msg, named) for one in self.denied.values() for named in one.entry.src or ()]
        for msg in self.disclosed:
            for _, act in self.examined.lineage.about(msg):
                if isinstance(act.terms, Rectify):
                    pairs.append((act.terms.by_msg, msg))
        for one, other in pairs:
            linked.setdefault(one, set()).add(other)
            linked.setdefault(other, set()).add(one)
        return linked

    def index(self, msg: str) -> int:
        """Where this message was decided; past the end for one that was not."""
        found = self.disclosed.get(msg) or self.denied.get(msg)
        return found.index if found else 2**53

    def in_order(self, messages: Iterable[str]) -> list[str]:
        """These messages as the log has them."""
        return sorted(set(messages), key=lambda msg: (self.index(msg), msg))

    def thread(self, messages: Iterable[str]) -> list[str]:
        """These messages and all that belong to the same exchange (LOG-60)."""
        found, waiting = set(messages), list(messages)
        while waiting:
            for other in self._linked.get(waiting.pop(), ()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return self.in_order(found)

    def family(self, messages: Iterable[str]) -> set[str]:
        """These messages and all that are tied to them by derivation or correction, near and far, up and down."""
        tied: dict[str, set[str]] = {}
        decided: list[Disclosed | Denied] = [*self.disclosed.values(), *self.denied.values()]
        for one in decided:
            for source in one.entry.src or ():
                tied.setdefault(one.entry.msg, set()).add(source)
                tied.setdefault(source, set()).add(one.entry.msg)
        for msg in self.disclosed:
            for _, act in self.examined.lineage.about(msg):
                if isinstance(act.terms, Rectify):
                    tied.setdefault(msg, set()).add(act.terms.by_msg)
                    tied.setdefault(act.terms.by_msg, set()).add(msg)
        return _closure(messages, tied)

    def below(self, msg: str) -> list[str]:
        """This message and everything derived from it, in the order of the log; only what was disclosed."""
        return self.in_order(name for name in _closure([msg], self._below) if name in self.disclosed)

    def above(self, msg: str) -> list[str]:
        """Everything this message was derived from, near and far, as far as the log has it."""
        return self.in_order(name for name in _closure([msg], self._above) if name in self.disclosed and name != msg)

    def acts(self, messages: Iterable[str], by: str | None = None) -> list[tuple[int, Act]]:
        """The acts about these messages, of one agency or of all, in the order of the log."""
        every = [one for msg in messages for one in self.examined.lineage.about(msg)]
        return sorted((one for one in every if by in (None, one[1].terms.by)), key=lambda one: one[0])

    def gone(self, agency: str, msg: str) -> Act | None:
        """The act by which this agency said that it has this message no more (ACT-20)."""
        index, last = self.index(msg), None
        own = {msg}
        for place, act in self.acts([msg, *self.above(msg)], agency):
            said = isinstance(act.terms, Erased) and act.terms.msg in own
            said |= isinstance(act.terms, Answer) and act.terms.outcome is HolderAnswer.ERASED
            if said and place > index:
                last = last or act
        return last

    # -- as JSON --

    def row(self, msg: str) -> Json:
        """One disclosure with its clauses' titles, its receipts and the acts about it."""
        one = self.disclosed[msg]
        members = one.to_json()
        members["to"] = [self._told(one, told) for told in one.told]
        members["acts"] = [said(*act) for act in self.acts([msg])]
        return members

    def _told(self, one: Disclosed, told: Told) -> Json:
        agreement = self.examined.book.get(one.entry.agr)
        titles = {clause.id: clause.title for clause in agreement.terms.clauses} if agreement else {}
        clauses = [{"id": name, "title": titles.get(name, "")} for name in told.clauses]
        return {"id": told.agency, "clauses": clauses, "receipts": dict(told.receipts), **self.standing(one, told)}

    def standing(self, one: Disclosed, told: Told) -> Json:
        """What is known of one recipient's copy: received, only rejected, no receipt, or said to be erased."""
        act = self.gone(told.agency, one.entry.msg)
        if act is not None:
            return {"standing": "said_erased", "erased": stamp(act.at)}
        if any(status != "rejected" for status in told.receipts):
            return {"standing": "received"}
        return {"standing": "rejected" if told.receipts else "no_receipt"}


def _named(one: Disclosed) -> tuple[str, ...]:
    return (*(one.entry.src or ()), *((one.entry.re,) if one.entry.re else ()))


def _closure(begin: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    waiting = list(begin)
    found = set(waiting)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def said(index: int, act: Act) -> Json:
    """An act as answers write it."""
    terms = act.terms
    members: Json = {"index": index, "ts": stamp(act.at), "act": act.kind.value, "by": terms.by, "msg": terms.msg}
    if terms.refers_to is not None:
        members["re"] = terms.refers_to
    for name in ("outcome", "ground", "cause", "until", "by_msg", "want", "holder"):
        value = getattr(terms, name, None)
        if value is not None and (name != "until" or isinstance(terms, Keep | Consent)):
            members[name] = str(value)
    return {**members, "statement": act.digest}


def proven(examined: Examined) -> Json:
    """What stands before every answer: which log it is from, and whether that log can be relied on (LOG-60)."""
    report = examined.report.to_json()
    wrong = [one for one in report["findings"] if one["severity"] == "error"]
    return {
        "federation": report["federation"],
        "log": report["log"],
        "clean": report["clean"],
        "findings": wrong,
        "not_judged": report["counts"].get("not_judged", 0),
    }


# --- the questions ------------------------------------------------------------------------------------------


def who(examined: Examined, messages: Iterable[str], *, alone: bool = False) -> Json:
    """Who received anything in the exchange that these messages belong to: from whom, when, why, under which clause."""
    record, asked = Record(examined), tuple(dict.fromkeys(messages))
    every = record.in_order(asked) if alone else record.thread(asked)
    told: dict[str, list[str]] = {}
    for msg in every:
        for to in record.disclosed[msg].told if msg in record.disclosed else ():
            told.setdefault(to.agency, []).append(msg)
    return {
        "question": "who",
        **proven(examined),
        "asked": list(asked),
        "unknown": [msg for msg in every if msg not in record.disclosed and msg not in record.denied],
        "received": [{"id": agency, "messages": told[agency]} for agency in sorted(told)],
        "disclosures": [record.row(msg) for msg in every if msg in record.disclosed],
        "denials": [record.denied[msg].to_json() for msg in every if msg in record.denied],
        "cautions": [NO_CASES, NO_CONTENT, *([] if alone else [JOINED]), UNLOGGED],
    }


def to(examined: Examined, agency: str) -> Json:
    """Everything that an agency received, and what was denied it."""
    record = Record(examined)
    _enrolled(examined, agency)
    rows = [record.row(msg) for msg, one in record.disclosed.items() if any(t.agency == agency for t in one.told)]
    for row in rows:
        row["to"] = [told for told in row["to"] if told["id"] == agency]
    denials = [one.to_json() for one in record.denied.values() if any(t.id == agency for t in one.entry.to)]
    return {
        "question": "to",
        **proven(examined),
        "agency": agency,
        "disclosures": rows,
        "denials": denials,
        "cautions": [
            NO_CONTENT,
            "a receipt is the recipient's own word; without one nobody knows whether it collected",
        ],
    }


def holders(examined: Examined, msg: str) -> Json:
    """Everyone who holds a message or what was derived from it, through which, and what each did since."""
    record = Record(examined)
    if msg not in record.disclosed:
        was = "was denied, so nobody received it" if msg in record.denied else "is not in this log"
        raise QuestionMalformed(f"the message {was}")
    tree = record.below(msg)
    through: dict[str, list[Json]] = {}
    for name in tree:
        one = record.disclosed[name]
        for told in one.told:
            held = {"msg": name, "index": one.index, "ts": one.entry.ts, "from": one.entry.from_}
            held |= {"receipts": dict(told.receipts), **record.standing(one, told)}
            through.setdefault(told.agency, []).append(held)
    originator = record.disclosed[msg].entry.from_
    return {
        "question": "holders",
        **proven(examined),
        "msg": msg,
        "originator": originator,
        "message": record.row(msg),
        "derived": [name for name in tree if name != msg],
        "holders": [
            {"id": agency, "originator": agency == originator, "through": through[agency],
             "acts": [said(*act) for act in record.acts(tree, agency)]}
            for agency in sorted(through)
        ],
        "cautions": [UNLOGGED, "that something was erased is its holder's own word"],
    }  # fmt: skip


def breach(
    examined: Examined,
    agency: str,
    since: datetime,
    until: datetime | None = None,
    *,
    aware: datetime | None = None,
    now: datetime | None = None,
) -> Json:
    """Who has to be told about what an agency held at any time from ``since`` to ``until`` (LOG-64, LOG-65)."""
    if until is not None and until < since:
        raise QuestionMalformed("a breach ends after it begins")
    record = Record(examined)
    _enrolled(examined, agency)
    held, own = _held(record, agency, since, until)
    tell = _concerned(record, agency, held, own)
    return {
        "question": "breach",
        **proven(examined),
        "agency": agency,
        "since": stamp(since),
        "until": None if until is None else stamp(until),
        "clock": _clock(aware, now),
        "tell": [_to_tell(record, one, tell[one]) for one in sorted(tell)],
        "held": [record.row(msg) for msg in held],
        "own": own,
        "cautions": [
            f"the supervisory authority of `{agency}` is told first; the log knows neither it nor any person",
            "held is what was disclosed to it and not said to be erased before; what it never collected is among it",
            NO_CONTENT,
            UNLOGGED,
        ],
    }


def _held(record: Record, agency: str, since: datetime, until: datetime | None) -> tuple[list[str], list[str]]:
    """What came to it and what it sent itself, and had at any time in between."""
    held, own = [], []
    for msg, one in record.disclosed.items():
        if until is not None and one.entry.at > until:
            continue
        if one.entry.from_ == agency:
            own.append(msg)
        elif any(told.agency == agency for told in one.told):
            act = record.gone(agency, msg)
            if act is None or act.at >= since:
                held.append(msg)
    return held, own


def _concerned(record: Record, agency: str, held: list[str], own: list[str]) -> dict[str, dict[str, set[str]]]:
    """Everybody to tell, as what, and about which messages."""
    tell: dict[str, dict[str, set[str]]] = {}
    for msg in held:
        for source in (msg, *record.above(msg)):
            _concern(tell, record.disclosed[source].entry.from_, "originator", msg)
        passed_on = [name for name in record.below(msg) if record.disclosed[name].entry.from_ == agency]
        for told in _told_of(record, passed_on):
            _concern(tell, told, "derived_holder", msg)
    for msg in own:
        for told in _told_of(record, [msg]):
            _concern(tell, told, "recipient", msg)
    tell.pop(agency, None)
    return tell


def _told_of(record: Record, messages: Iterable[str]) -> set[str]:
    """Who was told one of these, or what came from it."""
    every = {name for msg in messages for name in record.below(msg)}
    return {told.agency for name in every for told in record.disclosed[name].told}


def _clock(aware: datetime | None, now: datetime | None) -> Json:
    if aware is None:
        sentence = "when it became known is in no log: give it with `--aware`, and the 72 hours are reckoned from there"
        return {"aware": None, "deadline": None, "overdue": None, "sentence": sentence}
    deadline = aware + BREACH_CLOCK
    overdue = None if now is None else now > deadline
    return {"aware": stamp(aware), "deadline": stamp(deadline), "overdue": overdue, "sentence": ""}


def _concern(tell: dict[str, dict[str, set[str]]], agency: str, role: str, msg: str) -> None:
    tell.setdefault(agency, {}).setdefault(role, set()).add(msg)


def _to_tell(record: Record, agency: str, roles: Mapping[str, set[str]]) -> Json:
    messages = record.in_order(set().union(*roles.values()))
    entries = [record.disclosed[msg].entry for msg in messages]
    return {
        "id": agency,
        "as": sorted(roles),
        "messages": messages,
        "cats": sorted({cat.value for entry in entries for cat in entry.cats}),
        "class": sorted({entry.class_.value for entry in entries}),
    }


def _enrolled(examined: Examined, agency: str) -> None:
    known = examined.directory.agencies() if examined.directory else ()
    if examined.directory and all(one.agency != agency for one in known):
        raise QuestionMalformed(f"no agency `{agency[:40]}` in this federation")
