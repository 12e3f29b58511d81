"""``ix audit bundle`` and ``ix audit verify-bundle``: evidence about a few messages in one file (LOG-73 to LOG-77)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exchange.audit.bundle import CANNOT, Verified, verify_evidence, write_evidence
from exchange.audit.export import examine_export
from exchange.audit.questions import Record
from exchange.commands_audit_common import DIGEST, FOUND, At, Fed, Folder, Json, moment, pinned, reader, reading
from exchange.commands_audit_showing import INDENT, Page, findings, title
from exchange.protocol.errors import EvidenceMalformed, QuestionMalformed, QuorumMissing, TrustPolicyMalformed
from exchange.protocol.quorum import parse_policy
from keys.commands import plain
from keys.encoding import read_json, stamp
from keys.errors import Refusal

app = typer.Typer()


def _refused(refusal: Refusal) -> typer.Exit:
    typer.echo(f"{refusal.code}: {plain(refusal.sentence)}", err=True)
    return typer.Exit(FOUND)


@app.command("bundle", epilog="Example: ix audit bundle evidence --fed=$FED --msg=DIGEST --out evidence.json")
def bundle(
    folder: Folder,
    federation: Fed,
    msg: Annotated[list[str], typer.Option("--msg", help="A message's digest; may be given again.")],
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="The file to write.")],
    exchange: Annotated[bool, typer.Option("--exchange", help="Take the whole exchange of these messages.")] = False,
    at: At = "",
) -> None:
    """Write chosen entries, their proofs and all that they rest on into one file that can be verified offline."""
    pinned(federation)
    if not all(map(DIGEST.fullmatch, msg)):
        raise typer.BadParameter("name messages by the 43 characters of their digests")
    now = moment(at)
    with reading():
        read = reader(folder)
        log = examine_export(read, fed=federation, now=now)
        try:
            data = write_evidence(read, log, Record(log).thread(msg) if exchange else msg)
        except QuestionMalformed as refusal:
            raise _refused(refusal) from None
    try:
        out.write_bytes(data)
    except OSError as wrong:
        raise typer.BadParameter(f"`{out}` cannot be written: {wrong.strerror}") from None
    typer.echo(f"{len(data)} bytes in `{out}`; check them with: ix audit verify-bundle {out} --fed=ID")
    if not log.report.clean:
        typer.echo("the log it is from is not clean; the file shows what it shows all the same", err=True)


@app.command("verify-bundle", epilog="Example: ix audit verify-bundle evidence.json --fed=$FED")
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file of evidence.")],
    federation: Fed,
    witnesses: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A policy of witnesses that must have signed.")
    ] = None,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Verify a file of evidence with nothing else at hand, and say what it shows and what it cannot show."""
    pinned(federation)
    now = moment(at)
    with reading():
        data = file.read_bytes()
        try:
            found = verify_evidence(data, fed=federation, now=now)
            seen = {}
            if witnesses is not None:
                seen = parse_policy(witnesses.read_bytes()).verify(read_json(data, limit=len(data))["checkpoint"])
        except (EvidenceMalformed, QuorumMissing, TrustPolicyMalformed) as refusal:
            raise _refused(refusal) from None
    if as_json:
        said = found.to_json() | {"witnesses": {name: stamp(when) for name, when in seen.items()}}
        typer.echo(json.dumps(said, indent=2, ensure_ascii=True))
    else:
        _show(found, sorted(seen), Page(Console()))
    if not found.holds:
        raise typer.Exit(FOUND)


def _show(found: Verified, seen: list[str], page: Page) -> None:
    report, head = found.report, found.report.checkpoint
    page.line(report.name or "not believed", lead="federation  ")
    if head is not None:
        page.line(f"{head.origin}, {head.size} entries, signed {stamp(head.at)}", lead="log         ")
    if seen:
        page.line(", ".join(seen), lead="witnessed   ")
    elif found.others:
        page.line(f"{', '.join(found.others)}: names on the checkpoint that were not checked here", lead=" " * 12)
    for one in report.disclosures:
        page.line(f"entry {one.index}, {one.entry.ts}: {one.entry.from_} disclosed to")
        for told in one.told:
            receipts = ", ".join(told.receipts) or "no receipt here"
            page.line(f"{told.agency}, under {one.agreement} {', '.join(told.clauses)}; {receipts}", lead=INDENT)
    for denied in report.denials:
        to = ", ".join(one.id for one in denied.entry.to)
        page.line(
            f"entry {denied.index}, {denied.entry.ts}: {denied.entry.from_} to {to} was denied: {denied.entry.code}"
        )
    findings(report.findings, page, 0)
    page.line()
    if found.holds:
        counts = report.counts
        decided = f"{counts.get('decided_again', 0)} decisions made again"
        left = f", {counts['not_judged']} entries not judged" if counts.get("not_judged") else ""
        page.line(f"{len(found.indices)} entries proven, {decided}{left}", lead="holds: ")
    else:
        page.line("this file shows nothing that can be relied on", style="bold red")
    title(page, "what it cannot show")
    for cannot in CANNOT:
        page.line(cannot, lead="- ")
