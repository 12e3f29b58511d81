"""``ix audit reconcile``: sender's ledger, broker's log and recipient's ledger against each other (LOG-100 to LOG-108).

Needs the exported log, the ledgers that agencies handed in and the federation's id; no server, nobody's word. For
people, for machines (``--json``), and as a page that needs nothing else (``--page``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exchange.audit.finding import Finding
from exchange.audit.ledger_book import PROOFS
from exchange.audit.log_book import Patience
from exchange.audit.reconciled import CANNOT, Reconciled, reconcile_export
from exchange.commands_audit_common import FOUND, At, Fed, Folder, Json, moment, pinned, reader, reading
from exchange.commands_audit_showing import INDENT, Page, day_and_time, some, title
from exchange.reconcile_page import reconcile_page
from keys.encoding import stamp

app = typer.Typer()


@app.command("reconcile", epilog="Example: ix audit reconcile evidence --fed=$FED --ledger north --ledger south")
def reconcile(
    folder: Folder,
    federation: Fed,
    ledger: Annotated[
        list[Path],
        typer.Option("--ledger", file_okay=False, help="A ledger as an agency exported it; as often as needed."),
    ],
    as_json: Json = False,
    page: Annotated[Path | None, typer.Option("--page", dir_okay=False, help="Write one page for people here.")] = None,
    grace: Annotated[int, typer.Option(min=0, help="Hours that a book may lack what another has.")] = 72,
    tolerance: Annotated[int, typer.Option(min=0, help="Seconds between two clocks that mean nothing.")] = 300,
    rows: Annotated[int, typer.Option(min=0, help="Findings shown; 0 shows all.")] = 50,
    at: At = "",
) -> None:
    """Hold sender, broker and receiver against each other, and name who lied, about what and with which proof."""
    pinned(federation)
    now = moment(at)
    patience = Patience(timedelta(hours=grace), timedelta(seconds=tolerance))
    with reading():
        ledgers = [(reader(one), _proofs(one)) for one in ledger]
        result = reconcile_export(reader(folder), ledgers, fed=federation, now=now, patience=patience)
    said = result.to_json()
    if page is not None:
        try:
            page.write_text(reconcile_page(said), encoding="utf-8")
        except OSError as wrong:
            raise typer.BadParameter(f"`{page}` cannot be written: {wrong.strerror}") from None
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=True))
    else:
        show(result, Page(Console()), rows)
    if not result.clean:
        raise typer.Exit(FOUND)


def _proofs(ledger: Path) -> list[str]:
    """The names of the proofs that were handed in with a ledger."""
    return sorted(path.stem for path in (ledger / PROOFS).glob("*.json"))


def show(result: Reconciled, page: Page, rows: int) -> None:
    """Everything ``ix audit reconcile`` tells people."""
    _books(result, page)
    if result.findings:
        title(page, "who, what, and with which proof")
        for finding in some(result.findings, rows):
            _finding(finding, page)
        page.rest(result.findings, rows)
    _verdict(result, page)
    title(page, "what no comparison of books can show")
    for sentence in CANNOT:
        page.line(sentence, lead="  - ")


def _books(result: Reconciled, page: Page) -> None:
    head = result.report.checkpoint
    page.line(result.report.name or "not believed", lead="federation  ")
    if head is None:
        page.line("no checkpoint to believe: nothing was compared", lead="log         ", style="red")
    else:
        day, time = day_and_time(stamp(head.at))
        page.line(f"{head.origin}, {head.size} entries, signed on {day} at {time} UTC", lead="log         ")
    for taken in result.ledgers:
        book = taken.book
        if book is None or book.at is None:
            page.line(f"{taken.agency}: not believed", lead="ledger      ", style="red")
            continue
        day, time = day_and_time(stamp(book.at))
        known = f"{result.heads.get(taken.agency, 0)} heads in the log, {len(book.proofs)} proofs held"
        page.line(
            f"{taken.agency}, {len(book.lines)} acts, signed on {day} at {time} UTC; {known}", lead="ledger      "
        )
    if result.not_handed_in:
        page.line(
            f"of {', '.join(result.not_handed_in)}: nothing is said of what only their books show", lead="no ledger   "
        )
    hours = result.patience.grace.total_seconds() / 3600
    waiting = sum(result.on_its_way.values())
    said = f"{waiting} {'fact' if waiting == 1 else 'facts'} that another book may still lack"
    page.line(f"{said}: younger than {hours:g} hours, or than two clocks may differ", lead="on its way  ")


def _finding(finding: Finding, page: Page) -> None:
    error = finding.severity == "error"
    at = f"{finding.index:5}  " if finding.index is not None else INDENT
    note = "" if error else "note, "
    page.line(f"{finding.who}: {note}{finding.code}", lead=at, style="red" if error else "yellow")
    page.line(finding.sentence, lead=INDENT)
    if proof := finding.evidence.get("proof"):
        page.line(proof, lead=f"{INDENT}proof: ")
    elif " or " in finding.who:
        page.line("none that tells which of them; ask both for what they signed", lead=f"{INDENT}proof: ")
    for name, value in finding.evidence.items():
        if name != "proof":
            page.line(f"{name}: {value}", lead=f"{INDENT}  ")


def _verdict(result: Reconciled, page: Page) -> None:
    page.line()
    if result.clean:
        page.line("the log and these ledgers tell one story", lead="clean: ")
        return
    wrong = [one for one in result.findings if one.severity == "error"]
    page.line(f"{_counted(wrong)}: {_named(wrong)}", style="bold red")


def _counted(found: Sequence[Finding]) -> str:
    return f"{len(found)} finding{'s' if len(found) != 1 else ''}"


def _named(found: Sequence[Finding]) -> str:
    """Who is answerable for how much, the most first."""
    counts = {who: sum(one.who == who for one in found) for who in {one.who for one in found}}
    ordered = sorted(counts, key=lambda who: (-counts[who], who))
    return ", ".join(f"{who} {counts[who]}" for who in ordered)
