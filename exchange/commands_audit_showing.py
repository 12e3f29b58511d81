"""How ``ix audit`` shows things to people: a page of a console, and what `verify` says on it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from exchange.audit.export import AuditReport
from exchange.audit.finding import Finding
from exchange.protocol.act import Act, Answer
from exchange.protocol.entry import DenialEntry, DisclosureEntry
from keys.commands import plain
from keys.encoding import stamp

INDENT: Final = "       "
_IN_WORDS: Final = {
    "decided_again": "{} decided again here, from the agreements alone",
    "signed_receipts": "{} of the receipts checked against the signature of the agency that gave it",
    "unsigned_receipts": "{} unsigned receipts: the export lacks the signed batch, so only the log vouches for them",
    "views_compared": "{} times the log that an agency said it had seen held against this one",
    "not_judged": "{} entries not judged: they cannot be believed, or rest on one that cannot; nothing is said of them",
}


class Page:
    """Lines for a console: broken between words only, and what continues a line stands under it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str = "", *, lead: str = "", style: str = "") -> None:
        """Print a text behind its lead; what is long goes on under it, and no word is broken."""
        lines = textwrap.wrap(
            plain(text), max(self._console.width, 40), initial_indent=plain(lead), subsequent_indent=" " * len(lead),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        for one in lines or [""]:
            self._console.print(Text(one, style=style), soft_wrap=True)

    def rest(self, items: Sequence[object], rows: int) -> None:
        """Say how many items were left out."""
        if rows and len(items) > rows:
            self.line(f"{len(items) - rows} more: --rows 0 shows all, --json gives everything")


def show(report: AuditReport, console: Console, rows: int) -> None:
    """Everything ``ix audit verify`` tells people."""
    page = Page(console)
    _summary(report, page)
    findings(report.findings, page, rows)
    _disclosures(report, page, rows)
    _denials(report, page, rows)
    _followed(report, page, rows)
    _heads(report, page, rows)
    page.line()
    if report.clean:
        page.line(
            "every entry is the one that was signed, and every decision follows from the agreements", lead="clean: "
        )
    else:
        wrong = sum(finding.severity == "error" for finding in report.findings)
        said = f"{wrong} finding{'s' if wrong != 1 else ''}: this log is not to be relied on"
        page.line(said, style="bold red")


def _summary(report: AuditReport, page: Page) -> None:
    page.line(report.name or "not believed", lead="federation  ")
    page.line(report.fed, lead=" " * 12)
    head = report.checkpoint
    if head is None:
        page.line("no checkpoint to believe", lead="log         ", style="red")
    else:
        day, time = day_and_time(stamp(head.at))
        said = f"{head.origin}, {head.size} entries, signed by both its keys on {day} at {time} UTC"
        page.line(said, lead="log         ")
        for one in report.closed:
            page.line(f"{one.origin}, {one.size} entries, closed", lead=" " * 12)
    kinds = [
        f"{n} {kind.replace('_', ' ')}{'s' * (n != 1)}" for kind, n in report.counts.items() if kind not in _IN_WORDS
    ]
    page.line(", ".join(kinds) or "none", lead="entries     ")
    for kind, words in _IN_WORDS.items():
        if report.counts.get(kind):
            page.line(words.format(report.counts[kind]), lead=" " * 12)


def findings(found: Sequence[Finding], page: Page, rows: int, said: str = "what is wrong") -> None:
    """What is wrong, or worth knowing, each with its evidence."""
    if not found:
        return
    title(page, said)
    for finding in some(found, rows):
        style = "red" if finding.severity == "error" else "yellow"
        at = "" if finding.index is None else f"{finding.index:5}  "
        note = "" if finding.severity == "error" else "note, "
        page.line(f"{note}{finding.code}: {finding.sentence}", lead=at or INDENT, style=style)
        for name, value in finding.evidence.items():
            page.line(f"{name}: {value}", lead=INDENT)
    page.rest(found, rows)


def _disclosures(report: AuditReport, page: Page, rows: int) -> None:
    if not report.disclosures:
        return
    title(page, "who disclosed what to whom (times in UTC)")
    day = ""
    for one in some(report.disclosures, rows):
        day = _decided(page, one.index, one.entry, [to.agency for to in one.told], day)
        for to in one.told:
            whom = f"{to.agency}: " if len(one.told) > 1 else ""
            receipts = ", ".join(to.receipts) or "no receipt"
            page.line(f"{whom}under {one.agreement} {', '.join(to.clauses)}; {receipts}", lead=INDENT)
    page.rest(report.disclosures, rows)


def _denials(report: AuditReport, page: Page, rows: int) -> None:
    if not report.denials:
        return
    title(page, "what was denied (times in UTC)")
    day = ""
    for one in some(report.denials, rows):
        day = _decided(page, one.index, one.entry, [to.id for to in one.entry.to], day)
        for to in one.entry.to:
            whom = f"{to.id}: " if len(one.entry.to) > 1 else ""
            nearest = f", nearest clause {to.nearest}" if to.nearest else ""
            page.line(f"{whom}denied: {to.code}{nearest}", lead=INDENT)
    page.rest(report.denials, rows)


def _followed(report: AuditReport, page: Page, rows: int) -> None:
    """Every restriction, rectification and recall, with what each holder answered (LOG-47)."""
    if not report.followed:
        return
    title(page, "what was restricted, rectified or recalled, and who answered (times in UTC)")
    for one in some(report.followed, rows):
        day, time = day_and_time(stamp(one.act.at))
        page.line(f"{one.act.kind} by {one.act.terms.by} on {day}, of message", lead=f"{one.seq:5}  {time}  ")
        page.line(one.act.terms.msg, lead=INDENT)
        for holder in one.holders:
            page.line(f"{holder}: {_answer(one.answers.get(holder))}", lead=INDENT)
    page.rest(report.followed, rows)


def _heads(report: AuditReport, page: Page, rows: int) -> None:
    """How far each agency has put its own ledger under its signature and the log's (LOG-97)."""
    if not report.newest_heads:
        return
    title(page, "the ledgers that agencies signed, newest heads (times in UTC)")
    for head in some(report.newest_heads, rows):
        day, time = day_and_time(head.entry.ts)
        said = f"{head.entry.by}, {head.entry.size} act{'s' * (head.entry.size != 1)} by {day}, under the root"
        page.line(said, lead=f"{head.index:5}  {time}  ")
        page.line(head.entry.root, lead=INDENT)
    page.rest(report.newest_heads, rows)


def _answer(answer: tuple[int, Act] | None) -> str:
    if answer is None or not isinstance(terms := answer[1].terms, Answer):
        return "no answer"
    ground = f" ({terms.ground})" if terms.ground else ""
    return f"{terms.outcome}{ground}, entry {answer[0]}"


def _decided(page: Page, index: int, entry: DisclosureEntry | DenialEntry, to: Sequence[str], before: str) -> str:
    """The lines every decision has: parties, purpose, categories, under its day if that is a new one."""
    day, time = day_and_time(entry.ts)
    if day != before:
        page.line(day)
    parties = f"{entry.from_} -> "
    page.line(parties + to[0] if to else parties, lead=f"{index:5}  {time}  ")
    for another in to[1:]:
        page.line(f"-> {another}", lead=" " * (14 + 2 + len(entry.from_)))
    page.line(f"{entry.type.value} for {entry.purpose.value}", lead=INDENT)
    page.line(", ".join(entry.cats) or "no categories", lead=f"{INDENT}  ")
    return day


def title(page: Page, said: str) -> None:
    """Begin a part."""
    page.line()
    page.line(said, style="bold")


def day_and_time(ts: str) -> tuple[str, str]:
    """A log time as people read it, to the second."""
    day, _, time = ts.partition("T")
    return day, time[:8]


def some(items: Any, rows: int) -> Any:
    """The first of them, or all."""
    return items[:rows] if rows else items
