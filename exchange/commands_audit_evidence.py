"""``ix audit evidence``: judge offline what a node kept against the log or a member (WIT-50 to WIT-54)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exchange.audit.contradiction import Judged, judge_evidence
from exchange.commands_audit_common import FOUND, At, Fed, Json, moment, pinned, reading
from exchange.commands_audit_showing import INDENT, Page
from exchange.protocol.errors import ContradictionUnproven
from keys.commands import plain

app = typer.Typer()


@app.command("evidence", epilog="Example: ix audit evidence kept.json --fed=$FED")
def evidence(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `ix auditor evidence --json` wrote.")],
    federation: Fed,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Check, with nothing else at hand, what a node kept as evidence: does it prove that the log, or a member, lied?"""
    pinned(federation)
    now = moment(at)
    with reading():
        try:
            judged = judge_evidence(file.read_bytes(), fed=federation, now=now)
        except ContradictionUnproven as refusal:
            typer.echo(f"{refusal.code}: {plain(refusal.sentence)}", err=True)
            raise typer.Exit(FOUND) from None
    if as_json:
        typer.echo(json.dumps(judged.to_json(), indent=2, ensure_ascii=True))
    else:
        _show(judged, Page(Console()))
    if not judged.proven:
        raise typer.Exit(FOUND)


def _show(judged: Judged, page: Page) -> None:
    for one in judged.proven:
        page.line(f"{one.code}: {one.who}", style="bold red")
        page.line(f"{one.sentence}.", lead=INDENT)
        for name, fact in one.facts.items():
            page.line(f"{name.replace('_', ' ')}: {fact}", lead=INDENT)
    for place, sentence in judged.unproven:
        page.line(f"number {place} proves nothing by itself: {sentence}")
    page.line()
    page.line(f"{len(judged.proven)} proven, {len(judged.unproven)} not, {judged.others} of kinds for people to judge")
