"""Oversight: what an auditor may ask the log through a node, each question in the ledger before it is answered
(`spec/nodes.md`, NODE-200 to NODE-204; Directive (EU) 2016/680 article 25).

The log is public and has no cases: who reads its tiles leaves no trace anywhere. What only a node can do is to say
which messages a case is, because it alone has the key to its pseudonyms; so that is asked for here, for a purpose of
a closed list, with a reason, and written down first. The answer rests on entries verified against the log's signed
root, judged again by the statements that this node has; what others signed and never showed it is counted, not blamed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from agencies.node.errors import DraftMalformed, NotHere, PurposeRefused
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from agencies.node.watch import LogWatch
from exchange.audit import questions
from exchange.audit.anomalies import Thresholds, unusual
from exchange.audit.export import CHECKPOINT, TRUST, Examined, examine_export
from exchange.audit.shards import SHARDS
from exchange.audit.statistics import stats
from exchange.protocol.errors import QuestionMalformed
from exchange.protocol.vocabulary import Act, LogPurpose
from keys.encoding import instant, write_json
from keys.errors import MalformedEncoding

RULES: Final = ("agreements/", "notices/")
"""Statements that every node is shown; of the others only those that concern it."""
KINDS: Final[Mapping[str, tuple[Mapping[str, type], Mapping[str, type]]]] = {
    "who": ({}, {"case": str, "messages": list, "alone": bool}),
    "to": ({"agency": str}, {}),
    "holders": ({"message": str}, {}),
    "breach": ({"agency": str, "since": str}, {"until": str, "aware": str}),
    "stats": ({"year": int}, {"all": bool}),
    "anomalies": ({}, {}),
}
"""What each question has to say, and what it may say."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One question as it was put: which, and what it says."""

    kind: str
    said: Mapping[str, Any]

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Question:
        """Read a question strictly."""
        kind = str(told.get("question"))
        if kind not in KINDS:
            raise QuestionMalformed(f"`question` is one of: {', '.join(KINDS)}")
        wanted, allowed = KINDS[kind]
        said = {name: value for name, value in told.items() if name != "question"}
        if not wanted.keys() <= said.keys() <= wanted.keys() | allowed.keys():
            names = ", ".join(f"`{name}`" for name in (*wanted, *allowed)) or "nothing"
            raise QuestionMalformed(f"the question `{kind}` says {names}")
        for name, value in said.items():
            if type(value) is not {**wanted, **allowed}[name]:
                raise QuestionMalformed(f"`{name}` is of the wrong type")
        if kind == "who" and ("case" in said) == ("messages" in said):
            raise QuestionMalformed("the question `who` names a `case` of this node, or `messages` by their digests")
        if kind == "stats" and not 2000 <= said["year"] <= 9999:
            raise QuestionMalformed("`year` is a year of four digits")
        return cls(kind, said)

    @property
    def messages(self) -> tuple[str, ...]:
        """The digests it names itself."""
        if self.kind == "holders":
            return questions.read_messages(write_json([self.said["message"]]))
        return questions.read_messages(write_json(self.said["messages"])) if "messages" in self.said else ()

    @property
    def about(self) -> str:
        """What it is about, as the ledger may say it: no case, and nobody's name."""
        said = [f"{name} {self.said[name]}" for name in ("since", "until", "aware") if name in self.said]
        return " ".join([self.kind, *(str(self.said[name]) for name in ("agency", "year") if name in self.said), *said])

    def time(self, name: str) -> datetime | None:
        """An instant it says, or none."""
        try:
            return instant(self.said[name]) if name in self.said else None
        except MalformedEncoding as wrong:
            raise QuestionMalformed(f"`{name}`: {wrong.sentence}") from None


class Oversight:
    """Answers the auditors of one office. One examination of the log is kept: of a million entries it takes a while."""

    def __init__(self, office: Office, watch: LogWatch) -> None:
        self._office, self._watch = office, watch
        self._guard = threading.Lock()
        self._last: tuple[Any, Examined, int] | None = None

    def ask(self, told: Mapping[str, Any], purpose: str, officer: Officer, why: Why) -> Json:
        """Answer one question about the log, after the ledger says who asked it, why and what for."""
        officer.must_be(OfficerRole.AUDITOR)
        question = Question.read(told)
        named, times = question.messages, {name: question.time(name) for name in ("since", "until", "aware")}
        office = self._office
        if "agency" in question.said:
            _must_be_known(office, question.said["agency"])  # what is none goes into no act: it may be anything
        meant = self.purpose(purpose, officer, why)
        with office.store.writing() as books:
            case = office.scribe.case_name(question.said["case"]) if "case" in question.said else None
            named = of_case(books, case) if case else named
            act = LedgerAct(
                Act.LOG_QUERY, officer.id, why, purpose=meant, case=case, message=named[0] if len(named) == 1 else None,
                outcome=f"{question.about}: {len(named)} messages" if question.kind == "who" else question.about,
            )  # fmt: skip
            office.record(books, office.clock(), act)
        if case and not named:
            raise NotHere("no message of that case is here")
        examined, unseen = self._examined()
        answer = _answered(question, examined, named, times, office.clock())
        cautions = [*answer["cautions"], *([_UNSEEN.format(unseen)] if unseen else [])]
        return {**answer, "cautions": cautions, "unseen": unseen, "purpose": meant}

    def purpose(self, said: str, officer: Officer, why: Why | None = None) -> LogPurpose:
        """What a log is read for, if that is allowed; a refusal is written down."""
        try:
            return LogPurpose(said)
        except ValueError:
            refusal = PurposeRefused(f"a log is read for one of these alone: {', '.join(LogPurpose)}")
            self._office.record_alone(LedgerAct(Act.ATTEMPT_DENIED, officer.id, why, outcome=refusal.code))
            raise refusal from None

    def _examined(self) -> tuple[Examined, int]:
        """The log as it is now, verified and judged again; and how many statements of others are not here."""
        office = self._office
        with self._guard:
            self._watch.look()
            note = self._watch.newest()
            assert note is not None  # noqa: S101  # `look` found one
            with office.store.reading() as books:
                had = tuple(books.count(table) for table in ("signed", "acts", "heard"))
            state = (note, office.trust.directory.to_bytes(), had)
            if self._last is not None and self._last[0] == state:
                return self._last[1], self._last[2]
            self._last = None  # before the next one, for a log may be large
            read = _files(office, self._watch, note)
            found, unseen = _excused(examine_export(read, fed=office.trust.directory.fed, now=office.clock()))
            if found.report.clean:  # what came spoiled is asked for again
                self._last = (state, found, unseen)
            return found, unseen


_UNSEEN: Final = (
    "{} acts and heads that others signed are not here, so only what the log says of them counts; an export of the "
    "whole log has them"
)


def _must_be_known(office: Office, agency: str) -> None:
    if all(one.agency != agency for one in office.trust.directory.agencies()):
        raise QuestionMalformed("no agency of that id in this federation")


def of_case(books: Books, case: str) -> tuple[str, ...]:
    """The messages of a case, by the pseudonym under which these books have it."""
    rows = [*books.rows("inbox", case_name=case), *books.rows("outbox", case_name=case)]
    return tuple(dict.fromkeys(row.msg for row in rows if row.msg is not None))


def _answered(
    question: Question, log: Examined, named: tuple[str, ...], times: Mapping[str, datetime | None], now: datetime
) -> Json:
    said = question.said
    if question.kind == "who":
        return questions.who(log, named, alone=said.get("alone", False))
    if question.kind == "to":
        return questions.to(log, said["agency"])
    if question.kind == "holders":
        return questions.holders(log, said["message"])
    if question.kind == "stats":
        return stats(log, said["year"], everything=said.get("all", False))
    if question.kind == "anomalies":
        return unusual(log, Thresholds())
    since = times["since"]
    if since is None:
        raise DraftMalformed("`since` is a time")
    return questions.breach(log, said["agency"], since, times["until"], aware=times["aware"], now=now)


# -- the log as this node has it ----------------------------------------------------------------------------


def _files(office: Office, watch: LogWatch, note: str) -> Callable[[str], bytes | None]:
    """An export of the log as this node can put it together: what the log serves, and the statements that are here."""
    shown = {f"{prefix}{CHECKPOINT}": text.encode() for prefix, text in watch.ends(note)}

    def read(path: str) -> bytes | None:
        if path == TRUST:
            return office.trust.directory.to_bytes()
        if "tile/" in path:
            return watch.file(path)
        if path == SHARDS:
            return "".join(f"{origin.rpartition('/')[2]}\n" for origin, _ in office.trust.log.shards).encode() or None
        if path.endswith(CHECKPOINT):
            return shown.get(path, b"") or None
        kind, _, name = path.removesuffix(".json").partition("/")
        table = {"agreements": "signed", "notices": "signed", "acts": "acts", "receipts": "heard"}.get(kind)
        with office.store.reading() as books:
            if kind == "heads":
                head = books.get("heads", digest=name)
                return head.note.encode() if head else None
            row = books.get(table, digest=name) if table else None
        return bytes(row.jws) if row else None

    return read


def _excused(examined: Examined) -> tuple[Examined, int]:
    """Leave out what is missing because nobody showed it to this node: it can be judged by an export of the whole."""
    report = examined.report
    missing = [
        one for one in report.findings
        if one.code == "file_missing" and not one.evidence.get("path", "").startswith(RULES)
    ]  # fmt: skip
    left = tuple(one for one in report.findings if one not in missing)
    return replace(examined, report=replace(report, findings=left)), len(missing)


__all__ = ["KINDS", "Oversight", "Question", "of_case"]
