"""``ix audit report``: an audit as one page for people, or as JSON for machines (LOG-71, LOG-72)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from exchange.audit.anomalies import Thresholds, anomalies
from exchange.audit.export import examine_export
from exchange.audit_page import audit_page
from exchange.commands_audit_common import FOUND, At, Fed, Folder, Json, moment, pinned, reader, reading

app = typer.Typer()


@app.command("report", epilog="Example: ix audit report evidence --fed=$FED --out audit.html")
def report(
    folder: Folder,
    federation: Fed,
    out: Annotated[Path | None, typer.Option("--out", "-o", dir_okay=False, help="The page's file.")] = None,
    as_json: Json = False,
    answer_within: Annotated[int, typer.Option(min=0, help="Hours of silence until it is noted.")] = 72,
    at: At = "",
) -> None:
    """Verify an export and write one page for people that needs nothing else, or one JSON document."""
    if out is None and not as_json:
        raise typer.BadParameter("say where the page goes, with --out, or take --json")
    pinned(federation)
    now = moment(at)
    with reading():
        log = examine_export(reader(folder), fed=federation, now=now, answer_within=timedelta(hours=answer_within))
        head = log.report.checkpoint
        notes = anomalies(log, Thresholds(), head.at if head else None)
        said = log.report.to_json() | {"unusual": [one.to_json() for one in notes]}
    if out is not None:
        try:
            out.write_text(audit_page(said), encoding="utf-8")
        except OSError as wrong:
            raise typer.BadParameter(f"`{out}` cannot be written: {wrong.strerror}") from None
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=True))
    else:
        typer.echo(f"{'clean' if log.report.clean else 'not clean'}: `{out}`")
    if not log.report.clean:
        raise typer.Exit(FOUND)
