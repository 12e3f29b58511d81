"""``ix auditor``: what an auditor reads at its agency's own node, each reading in the ledger (CLI-70; NODE-200 to 204).

``ix audit`` checks files and leaves no trace; here the node is asked, says in its ledger who asked it and why, and then
answers: its ledger, what it kept as evidence, whether ledger and log agree, and the questions that need to know which
messages a case is. Exit codes: 0 done; 1 refused, or something was found wrong; 2 the command was misused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from agencies.commands import AsJson, Reason, Session, at_a_node, in_headers, show, tell
from exchange.protocol.vocabulary import Act, Justification, LogPurpose

app = typer.Typer(
    name="auditor",
    help="An auditor at its agency's own node: read the ledger, hold it against the log, ask who was told. Every look "
    "is itself in the ledger. Files are checked with `ix audit`, which leaves no trace.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RECORDED: Final = "that this was asked, why and what for stands in the node's ledger"
Purpose = Annotated[
    LogPurpose, typer.Option("--for", help="What the log is read for; it is kept for nothing else.", show_choices=True)
]
Code = Annotated[Justification, typer.Option("--code", help="The justification's code.")]
Since = Annotated[str, typer.Option("--since", help="From then on, such as 2026-11-20T00:00:00.000Z.")]
Until = Annotated[str, typer.Option("--until", help="Up to then.")]


# --- the ledger -----------------------------------------------------------------------------------------


@app.command("ledger", epilog="Example: ix auditor ledger --act open --case XN-2026/0417 --officer np-audit "
             "--why 'the quarterly look at what was opened'")  # fmt: skip
@at_a_node
def ledger(
    session: Session,
    why: Reason = "",
    code: Code = Justification.SUPERVISION,
    purpose: Purpose = LogPurpose.SELF_MONITORING,
    act: Annotated[Act | None, typer.Option(help="Only acts of this kind.", show_choices=False)] = None,
    by: Annotated[str, typer.Option(help="Only what this officer did.")] = "",
    msg: Annotated[str, typer.Option("--msg", help="Only what concerns this message.")] = "",
    case: Annotated[str, typer.Option(help="Only what concerns this case, by its reference.")] = "",
    since: Since = "",
    until: Until = "",
    after: Annotated[int, typer.Option(min=0, help="Only acts behind this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many at most, the oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Verify the ledger and read it: who did what, when, why, by which clause; by any of these filters together."""
    told = {"act": act, "officer": by, "msg": msg, "case": case, "since": since, "until": until, "after": after or ""}
    query = urlencode({"limit": limit, "purpose": purpose, **{name: one for name, one in told.items() if one}})
    with session() as call:
        found = call("GET", f"/v1/ledger?{query}", None, in_headers(code, why))
    if as_json:
        tell(found, True, "")
        return
    for one in found["acts"]:
        show(_line(one))
        for more in filter(None, (_facts(one), one["why"] and f"{one['code']}: {one['why']}")):
            show(f"       {more}")
    verified = found["verified"]
    show(f"verified: all {verified['n']} acts hold; root {verified['root']}", err=True)
    if len(found["acts"]) == limit:
        show(f"there may be more: --after {found['acts'][-1]['n']}", err=True)


def _line(act: dict[str, Any]) -> str:
    who = act.get("officer") or act["by"] or "the node"
    return f"{act['n']:5}  {act['ts'][:10]} {act['ts'][11:19]}  {act['act']:14}  {who}  {act['outcome']}"


def _facts(act: dict[str, Any]) -> str:
    whom = f"{act['from'] or ''} -> {', '.join(act['to'])}" if act["to"] else act["from"] and f"from {act['from']}"
    said = [
        act["msg"], whom, act["purpose"] and f"for {act['purpose']}",
        act["clauses"] and f"under {', '.join(act['clauses'])}", act["reasons"] and ", ".join(act["reasons"]),
        act["released_by"] and f"with {act['released_by']}", act["index"] is not None and f"entry {act['index']}",
    ]  # fmt: skip
    return "  ".join(str(one) for one in said if one)


@app.command("reconcile", epilog="Example: ix auditor reconcile --node http://127.0.0.1:8405 --officer np-audit")
@at_a_node
def reconcile(session: Session, as_json: AsJson = False) -> None:
    """Hold the node's ledger against the log, both verified: what was disclosed and not logged, and the reverse."""
    with session() as call:
        found = call("GET", "/v1/reconciliation", None)
    wrong = [one for one in found["findings"] if one.get("severity", "error") == "error"]
    if as_json:
        tell(found, True, "")
    for one in () if as_json else found["findings"]:
        where = "" if one["index"] is None else f", entry {one['index']}"
        show(f"{one['severity']}: {one['sentence']}{where} [{one['code']}]")
    if not as_json:
        show(f"{found['acts']} acts held against {found['size']} entries: {_count(len(wrong), 'error')}")
    raise typer.Exit(1 if wrong else 0)


@app.command("evidence", epilog="Example: ix auditor evidence --json --node http://127.0.0.1:8405 --officer np-audit")
@at_a_node
def evidence(
    session: Session, why: Reason = "", code: Code = Justification.SUPERVISION, as_json: AsJson = False
) -> None:
    """Show what should not have been and was kept whole: two faces of the log, forged proofs, strange mail."""
    with session() as call:
        found = call("GET", "/v1/evidence", None, in_headers(code, why))
    if as_json:
        tell(found, True, "")
        return
    for one in found["evidence"]:
        show(f"{one['at']}  {one['kind']}")
        for name, value in one["detail"].items() if isinstance(one["detail"], dict) else ():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            show(f"  {name}: {text[:200]}{' ...' if len(text) > 200 else ''}")
    if not found["evidence"]:
        show("nothing was kept as evidence")


# --- questions ------------------------------------------------------------------------------------------

For = Annotated[LogPurpose, typer.Option("--for", help="What this is asked for; nothing else is answered.")]


@app.command("who", epilog="Example: ix auditor who XN-2026/0417 --for lawfulness_check --officer np-audit "
             "--why 'a complaint says that too many were told'")  # fmt: skip
@at_a_node
def who(
    session: Session,
    purpose: For,
    why: Reason,
    case: Annotated[str, typer.Argument(help="The case, by its reference; or --msg.")] = "",
    msg: Annotated[list[str] | None, typer.Option("--msg", help="A message's digest; may be given again.")] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Only these messages, not the whole exchange.")] = False,
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Say who received anything in a case of this agency: from whom, when, why and under which clause."""
    if bool(case) == bool(msg):
        raise typer.BadParameter("name a case, or messages by --msg")
    said: dict[str, Any] = {"case": case} if case else {"messages": msg}
    _ask(session, "who", purpose, code, why, as_json, **said, **({"alone": True} if alone else {}))


@app.command("to", epilog="Example: ix auditor to south.police.sim --for self_monitoring --officer np-audit "
             "--why 'what we and others told them this year'")  # fmt: skip
@at_a_node
def to(
    session: Session,
    agency: Annotated[str, typer.Argument(help="The agency's id.")],
    purpose: For,
    why: Reason,
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Say everything that an agency received: from whom, when, why, under which clause, with its receipts."""
    _ask(session, "to", purpose, code, why, as_json, agency=agency)


@app.command("holders", epilog="Example: ix auditor holders --msg=DIGEST --for lawfulness_check --officer np-audit "
             "--why 'the person concerned asks who has it'")  # fmt: skip
@at_a_node
def holders(
    session: Session,
    msg: Annotated[str, typer.Option("--msg", help="The message's digest.")],
    purpose: For,
    why: Reason,
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Say who holds a message or anything derived from it, through which message, and what each said since."""
    _ask(session, "holders", purpose, code, why, as_json, message=msg)


@app.command("breach", epilog="Example: ix auditor breach south.police.sim 2026-11-20T00:00:00Z "
             "--aware 2026-11-21T09:00:00Z --for integrity_security --officer np-audit "
             "--why 'their server room was broken into'")  # fmt: skip
@at_a_node
def breach(
    session: Session,
    agency: Annotated[str, typer.Argument(help="The agency that was broken into.")],
    since: Annotated[str, typer.Argument(help="Since when, such as 2026-11-20T00:00:00Z.")],
    purpose: For,
    why: Reason,
    until: Annotated[str, typer.Option(help="Until when; else it goes on.")] = "",
    aware: Annotated[str, typer.Option(help="When it became known: the 72 hours begin then.")] = "",
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Say who must be told about what an agency held, and by when."""
    times = {name: one for name, one in (("until", until), ("aware", aware)) if one}
    _ask(session, "breach", purpose, code, why, as_json, agency=agency, since=since, **times)


@app.command("stats", epilog="Example: ix auditor stats --year 2026 --for self_monitoring --officer np-audit "
             "--why 'the figures for the yearly report'")  # fmt: skip
@at_a_node
def stats(
    session: Session,
    year: Annotated[int, typer.Option(min=2000, max=9999, help="The year, by the log's times in UTC.")],
    purpose: For,
    why: Reason,
    everything: Annotated[
        bool, typer.Option("--all", help="Every count as it is; else small ones are hidden.")
    ] = False,
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Count a year: submitted, received, denied by ground, exempt, urgent, recalled and answered, per pair."""
    _ask(session, "stats", purpose, code, why, as_json, year=year, **({"all": True} if everything else {}))


@app.command("anomalies", epilog="Example: ix auditor anomalies --for self_monitoring --officer np-audit "
             "--why 'the monthly look for what is unusual'")  # fmt: skip
@at_a_node
def anomalies(
    session: Session,
    purpose: For,
    why: Reason,
    code: Code = Justification.SUPERVISION,
    as_json: AsJson = False,
) -> None:
    """Note what is unusual in the log, by the usual thresholds; a note is a reason to ask."""
    _ask(session, "anomalies", purpose, code, why, as_json)


def _ask(
    session: Session, question: str, purpose: LogPurpose, code: Justification, why: str, as_json: bool, **said: Any
) -> None:
    from exchange.commands_audit_questions import answered

    asked = {"question": question, "purpose": purpose, "justification": {"code": code, "text": why}, **said}
    with session() as call:
        found = call("POST", "/v1/questions", asked)
    answered(found, as_json, RECORDED)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
