"""``ix audit who``, ``to``, ``holders``, ``breach``, ``stats`` and ``anomalies``: questions to a log (LOG-60).

Each verifies the whole export first and says above its answer whether that log can be relied on. Reading an export is
not logged anywhere: whoever has the folder has it. Exit codes are those of ``ix audit verify``: 1 also where a question
was answered from a log in which something is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from exchange.audit import questions, statistics
from exchange.audit.anomalies import Thresholds, unusual
from exchange.audit.export import Examined, examine_export
from exchange.audit.finding import Finding
from exchange.commands_audit_common import DIGEST, FOUND, At, Fed, Folder, Json, moment, pinned, reader, reading
from exchange.commands_audit_showing import INDENT, Page, findings, title
from exchange.protocol.errors import QuestionMalformed
from keys.commands import plain
from keys.encoding import instant
from keys.errors import Refusal

app = typer.Typer()

Answer = dict[str, Any]
UNRECORDED = "reading this folder is recorded nowhere; who must record a reading asks where a ledger is kept"
Message = Annotated[str, typer.Option("--msg", help="The message's digest.")]
Messages = Annotated[list[str] | None, typer.Option("--msg", help="A message's digest; may be given again.")]


def asked(folder: Path, federation: str, at: str, question: Callable[[Examined], Answer]) -> Answer:
    """Verify the export, then ask; a question it cannot be asked is refused in one sentence."""
    pinned(federation)
    now = moment(at)
    with reading():
        examined = examine_export(reader(folder), fed=federation, now=now)
        try:
            return question(examined)
        except QuestionMalformed as refusal:
            typer.echo(f"{refusal.code}: {plain(refusal.sentence)}", err=True)
            raise typer.Exit(FOUND) from None


def answered(answer: Answer, as_json: bool, recorded: str = UNRECORDED) -> None:
    """Print the answer for machines or for people; 1 if the log it is from has something wrong in it.

    ``recorded`` says where it is written that this was asked.
    """
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=True))
    else:
        page = Page(Console())
        _log(answer, page)
        _SHOWING[answer["question"]](answer, page)
        page.line()
        for caution in (*answer["cautions"], recorded):
            page.line(caution, lead="note: ")
    if not answer["clean"]:
        raise typer.Exit(FOUND)


def when(name: str, text: str) -> datetime:
    """The instant an option names."""
    try:
        return instant(text)
    except Refusal:
        raise typer.BadParameter(f"`{name}` takes an instant such as 2026-11-21T16:20:00Z, not `{text}`") from None


def _log(answer: Answer, page: Page) -> None:
    head = answer["log"]
    page.line(answer["federation"]["name"] or "not believed", lead="federation  ")
    if head is not None:
        page.line(f"{head['origin']}, {head['size']} entries, signed {_time(head['signed'])}", lead="log         ")
    if answer["clean"]:
        page.line("verified: nothing in it is wrong; what was never logged, no log can show", lead=" " * 12)
    else:
        said = f"{len(answer['findings'])} findings: this log is not to be relied on; see `ix audit verify`"
        page.line(said, lead=" " * 12, style="bold red")


def _time(ts: str) -> str:
    return f"{ts[:10]} {ts[11:19]}"


def _row(row: Answer, page: Page) -> None:
    page.line(
        f"{row['from']} -> {', '.join(to['id'] for to in row['to'])}", lead=f"{row['index']:5}  {_time(row['ts'])}  "
    )
    page.line(row["msg"], lead=INDENT)
    page.line(
        f"{row['type']} for {row['purpose']}, about {row['crime']}; {row['class']}; {row['urgency']}", lead=INDENT
    )
    page.line(", ".join(row["cats"]) or "no categories", lead=INDENT)
    for to in row["to"]:
        clauses = ", ".join(f"{one['id']} ({one['title']})" for one in to["clauses"])
        page.line(f"{to['id']}: under {row['agreement']} {clauses}; {_standing(to)}", lead=INDENT)
    for act in row["acts"]:
        page.line(_act(act), lead=INDENT)


def _standing(to: Answer) -> str:
    receipts = ", ".join(f"{status} {_time(ts)}" for status, ts in to["receipts"].items()) or "no receipt"
    return f"{receipts}; said on {_time(to['erased'])} that it erased it" if "erased" in to else receipts


def _act(act: Answer) -> str:
    more = ", ".join(str(act[name]) for name in ("outcome", "ground", "cause", "until") if name in act)
    return f"{_time(act['ts'])} {act['act']} by {act['by']}{f' ({more})' if more else ''}, entry {act['index']}"


def _denial(row: Answer, page: Page) -> None:
    page.line(
        f"{row['from']} -> {', '.join(to['id'] for to in row['to'])}", lead=f"{row['index']:5}  {_time(row['ts'])}  "
    )
    page.line(f"denied: {row['code']}; {row['type']} for {row['purpose']}", lead=INDENT)


def _rows(answer: Answer, page: Page, told: str) -> None:
    title(page, told if answer["disclosures"] else "nothing was disclosed")
    for row in answer["disclosures"]:
        _row(row, page)
    if answer["denials"]:
        title(page, "what was denied")
        for row in answer["denials"]:
            _denial(row, page)


# --- who, to, holders -----------------------------------------------------------------------------------


@app.command("who", epilog="Example: ix audit who evidence --fed=$FED --msg=DIGEST")
def who(
    folder: Folder,
    federation: Fed,
    msg: Messages = None,
    messages: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file of digests: lines, or JSON.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Only these messages, not the whole exchange.")] = False,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Say who received anything in an exchange, from whom, when, why and under which clause.

    The log has no cases. One message leads to the others of its exchange; a node that has the case has the digests.
    """
    named = list(msg or [])
    if messages is not None:
        try:
            named += questions.read_messages(messages.read_bytes())
        except QuestionMalformed as refusal:
            typer.echo(f"{refusal.code}: {plain(refusal.sentence)}", err=True)
            raise typer.Exit(FOUND) from None
    if not named or not all(map(DIGEST.fullmatch, named)):
        raise typer.BadParameter("name at least one message by the 43 characters of its digest: --msg or --messages")
    answer = asked(folder, federation, at, lambda log: questions.who(log, named, alone=alone))
    answered(answer, as_json)


def _who(answer: Answer, page: Page) -> None:
    title(page, "who received anything")
    for one in answer["received"]:
        page.line(f"{one['id']}: {_count(len(one['messages']), 'message')}", lead=INDENT)
    if not answer["received"]:
        page.line("nobody", lead=INDENT)
    for name in answer["unknown"]:
        page.line(f"not in this log: {name}", lead=INDENT, style="yellow")
    _rows(answer, page, "how (times in UTC)")


@app.command("to", epilog="Example: ix audit to south.police.sim evidence --fed=$FED")
def to(
    agency: Annotated[str, typer.Argument(help="The agency's id.")],
    folder: Folder,
    federation: Fed,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Say everything that an agency received: from whom, when, why, under which clause, with its receipts."""
    answer = asked(folder, federation, at, lambda log: questions.to(log, agency))
    answered(answer, as_json)


def _to(answer: Answer, page: Page) -> None:
    _rows(answer, page, f"what {answer['agency']} received (times in UTC)")


@app.command("holders", epilog="Example: ix audit holders evidence --fed=$FED --msg=DIGEST")
def holders(folder: Folder, federation: Fed, msg: Message, as_json: Json = False, at: At = "") -> None:
    """Say who holds a message or anything derived from it, through which message, and what each said since."""
    answered(asked(folder, federation, at, lambda log: questions.holders(log, msg)), as_json)


def _holders(answer: Answer, page: Page) -> None:
    title(page, "the message (times in UTC)")
    _row(answer["message"], page)
    title(page, "who holds it, or what was derived from it")
    for one in answer["holders"]:
        page.line(f"{one['id']}{', its own originator' if one['originator'] else ''}", lead=INDENT, style="bold")
        for held in one["through"]:
            how = "the message itself" if held["msg"] == answer["msg"] else f"through {held['msg']}"
            page.line(f"{how}, from {held['from']}; {_standing(held)}", lead=INDENT + "  ")
        for act in one["acts"]:
            page.line(_act(act), lead=INDENT + "  ")


# --- breach ---------------------------------------------------------------------------------------------


@app.command(
    "breach",
    epilog="Example: ix audit breach south.police.sim 2026-11-20T00:00:00Z evidence --fed=$FED "
    "--aware 2026-11-21T09:00:00Z",
)
def breach(
    agency: Annotated[str, typer.Argument(help="The agency that was broken into.")],
    since: Annotated[str, typer.Argument(help="Since when, such as 2026-11-20T00:00:00Z.")],
    folder: Folder,
    federation: Fed,
    until: Annotated[str, typer.Option(help="Until when; else it goes on.")] = "",
    aware: Annotated[str, typer.Option(help="When it became known: the 72 hours begin then.")] = "",
    as_json: Json = False,
    at: At = "",
) -> None:
    """Say who must be told about what an agency held: originators, derived holders, and whom it told itself."""
    begun, now = when("since", since), moment(at)
    ended = when("until", until) if until else None
    known = when("aware", aware) if aware else None
    answer = asked(
        folder, federation, at, lambda log: questions.breach(log, agency, begun, ended, aware=known, now=now)
    )
    answered(answer, as_json)


def _breach(answer: Answer, page: Page) -> None:
    clock = answer["clock"]
    title(page, f"who must be told about what {answer['agency']} held since {_time(answer['since'])} UTC")
    if clock["deadline"] is None:
        page.line(clock["sentence"], lead=INDENT)
    else:
        late = ", which has passed" if clock["overdue"] else ""
        said = f"by {_time(clock['deadline'])} UTC{late}: 72 hours from {_time(clock['aware'])}"
        page.line(said, lead=INDENT, style="bold red" if clock["overdue"] else "bold")
    for one in answer["tell"]:
        roles = ", ".join(role.replace("_", " ") for role in one["as"])
        page.line(f"{one['id']} ({roles}): {_count(len(one['messages']), 'message')}", lead=INDENT, style="bold")
        page.line(f"{', '.join(one['cats']) or 'no categories'}; {', '.join(one['class'])}", lead=INDENT + "  ")
    if not answer["tell"]:
        page.line("nobody: it held nothing of others and had told nobody anything", lead=INDENT)
    title(page, f"what it held: {_count(len(answer['held']), 'message')} of others, {len(answer['own'])} of its own")
    for row in answer["held"]:
        _row(row, page)


# --- stats, anomalies -----------------------------------------------------------------------------------


@app.command("stats", epilog="Example: ix audit stats evidence --fed=$FED --year 2026")
def stats(
    folder: Folder,
    federation: Fed,
    year: Annotated[int, typer.Option(min=2000, max=9999, help="The year, by the log's times in UTC.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Every count as it is, for the operator; else small ones are suppressed.")
    ] = False,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Count a year: submitted, received, denied by ground, exempt, urgent, recalled and answered, per pair."""

    found = asked(folder, federation, at, lambda log: statistics.stats(log, year, everything=everything))
    answered(found, as_json)


_COLUMNS = ("submitted", "disclosed", "received", "urgent", "exempt", "recalls", "recalls_answered")


def _stats(answer: Answer, page: Page) -> None:
    title(page, f"{answer['year']}, per pair")
    for row in answer["pairs"]:
        _counted(f"{row['from']} -> {row['to']}", row, page)
    title(page, "altogether")
    _counted("all agencies", answer["all"], page)
    share = answer["all"]["urgent_share"]
    page.line("urgent share: " + ("not to be told" if share is None else f"{100 * share:.1f}%"), lead=INDENT)


def _counted(name: str, row: Answer, page: Page) -> None:
    page.line(name, lead=INDENT, style="bold")
    page.line(", ".join(f"{column.replace('_', ' ')} {_shown(row[column])}" for column in _COLUMNS), lead=INDENT + "  ")
    if row["denied"]:
        denied = ", ".join(f"{code} {_shown(n)}" for code, n in row["denied"].items())
        page.line(f"denied: {denied}", lead=INDENT + "  ")


def _shown(value: Any) -> str:
    return f"{value['least']} to {value['most']}" if isinstance(value, dict) else str(value)


@app.command("anomalies", epilog="Example: ix audit anomalies evidence --fed=$FED --denials 20 --within 24")
def noted(
    folder: Folder,
    federation: Fed,
    denials: Annotated[int, typer.Option(min=1, help="Denials of one agency within the time.")] = 10,
    asked_: Annotated[int, typer.Option("--asked", min=2, help="Agencies one agency asks within the time.")] = 5,
    within: Annotated[float, typer.Option(min=0.1, help="That time, in hours.")] = 24.0,
    night: Annotated[str, typer.Option(help="When it is night, in hours UTC; weekends always are.")] = "22-6",
    at_night: Annotated[int, typer.Option(min=1, help="Messages of one agency in one night, none urgent.")] = 5,
    urgent: Annotated[int, typer.Option(min=1, help="Messages from which on an urgent share is looked at.")] = 20,
    urgent_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="The share that is noted.")] = 0.8,
    unanswered: Annotated[int, typer.Option(min=1, help="Recalls one agency left unanswered.")] = 3,
    as_json: Json = False,
    at: At = "",
) -> None:
    """Note what is unusual: bursts of denials, nights, one who asks many, always urgent, recalls ignored.

    A note is a reason to ask and spoils nothing: the exit code is that of the log.
    """
    limits = Thresholds(
        denials, asked_, timedelta(hours=within), _hours(night), at_night, urgent, urgent_share, unanswered
    )

    answered(asked(folder, federation, at, lambda log: unusual(log, limits)), as_json)


def _unusual(answer: Answer, page: Page) -> None:
    notes = [Finding(one["code"], one["sentence"], one["index"], one["evidence"]) for one in answer["notes"]]
    findings(notes, page, 0, "what is unusual")


def _hours(night: str) -> tuple[int, int]:
    begins, _, ends = night.partition("-")
    if not (begins.isdecimal() and ends.isdecimal() and int(begins) < 24 and int(ends) <= 24):
        raise typer.BadParameter(f"--night takes two hours such as 22-6, not `{night}`")
    return int(begins), int(ends)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


_SHOWING: Final[dict[str, Callable[[Answer, Page], None]]] = {
    "who": _who, "to": _to, "holders": _holders, "breach": _breach, "stats": _stats, "anomalies": _unusual,
}  # fmt: skip
"""How the answer to each question is shown to people."""
