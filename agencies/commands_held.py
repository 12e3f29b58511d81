"""``ix forward``, ``ix release``, ``ix holdings``, ``ix keep``: what is held, passed on and let go (CLI).

Each command talks to a running node with the officer's bearer token, like ``ix send``. Digests stand behind an option's
name. Exit codes: 0 done; 1 refused, denied or stopped; 2 the command was misused.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agencies.commands import AsJson, Code, Reason, Session, at_a_node, show, tell
from agencies.commands_acts import Message, Until, any_of
from exchange.protocol.vocabulary import RetainGround

app = typer.Typer(name="held", no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "forward",
    epilog="Example: ix forward --msg=DIGEST --to east.border.sim --field /entities/0 --purpose investigate "
    "--text 'The lorry is on its way to you.' --officer sp-duty-1 --why 'they hold the crossing'",
)
@at_a_node
def forward(
    session: Session,
    msg: Message,
    to: Annotated[list[str], typer.Option(help="To whom; may be given again.")],
    field: Annotated[
        list[str],
        typer.Option(help="What of it, as a JSON pointer such as /entities/0; may be given again. '' is the whole."),
    ],
    purpose: Annotated[str, typer.Option(help="For what purpose.")],
    text: Annotated[str, typer.Option(help="What this desk says about it, to the recipients.")],
    why: Reason,
    re: Annotated[str, typer.Option("--re", help="Pass it on as the answer to this request, by digest.")] = "",
    desk: Annotated[str, typer.Option(help="The desk that may be asked about it; else duty_desk.")] = "",
    agr: Annotated[str, typer.Option("--agr", help="Under this agreement, by digest; else under any.")] = "",
    class_: Annotated[str, typer.Option("--class", help="Classified so; else, and at least, like it.")] = "",
    handling: Annotated[
        list[str] | None, typer.Option(help="Handling codes, at least those it has; else those it has.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="For how many days it may be collected; else 7.")] = 0,
    key: Annotated[str, typer.Option(help="Name this request: sent twice, it discloses once.")] = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Pass chosen fields of a received message on, if its originator lets it."""
    asked: dict[str, Any] = {"to": to, "fields": field, "purpose": purpose, "text": text}
    perhaps = {"re": re, "desk": desk, "agr": agr, "class": class_, "handling": handling, "days": days, "key": key}
    asked |= {name: value for name, value in perhaps.items() if value}
    asked |= {"justification": {"code": code, "text": why}}
    with session() as call:
        found = call("POST", f"/v1/messages/{msg}/forward", asked)
    recipients = (found["reasons"] or {}).get("recipients", [])
    tell(found, as_json, f"{found['state']}: {found['msg'] or found['ref']}", recipients)
    raise typer.Exit(0 if found["state"] in ("sent", "pending", "pending_release") else 1)


@app.command(
    "release",
    epilog="Example: ix release REF --approve --node http://127.0.0.1:8405 --officer np-release "
    "--why 'the prosecutor has asked for this'",
)
@at_a_node
def release(
    session: Session,
    ref: Annotated[str, typer.Argument(help="The reference of what waits; without it, all that waits is listed.")] = "",
    approve: Annotated[bool, typer.Option("--approve", help="Let it go.")] = False,
    withhold: Annotated[bool, typer.Option("--withhold", help="Keep it back for good.")] = False,
    why: Reason = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List the messages that wait for a release officer, let one go, or keep it back."""
    if approve + withhold != bool(ref):
        raise typer.BadParameter("say what waits, and one of --approve and --withhold; or neither, for the list")
    with session() as call:
        if ref:
            asked = {"approve": approve, "justification": {"code": code, "text": why}}
            found = call("POST", f"/v1/releases/{ref}", asked)
        else:
            found = call("GET", "/v1/outbox?state=pending_release&limit=500", None)
    if ref:
        recipients = (found["reasons"] or {}).get("recipients", [])
        tell(found, as_json, f"{found['state']}: {found['msg'] or found['ref']}", recipients)
        if found["state"] == "pending_release":
            show("it waits for a second release officer", err=True)
        wanted = ("sent", "pending", "pending_release") if approve else ("withheld",)
        raise typer.Exit(0 if found["state"] in wanted else 1)
    if as_json:
        tell(found, True, "")
        return
    for one in found["messages"]:
        agreed = "  one release officer agrees, waits for a second" if one["approved"] else ""
        what = f"{one['type']}  {one['class']}  to {one['purpose']}"
        show(f"{one['ref']}  {one['made']}  -> {', '.join(one['to'])}  {what}{agreed}")
    if not found["messages"]:
        show("nothing waits for a release")


@app.command("holdings", epilog="Example: ix holdings --node http://127.0.0.1:8407 --officer sp-duty-1")
@at_a_node
def holdings(
    session: Session,
    state: Annotated[str, typer.Option(help="Only what is held, restricted or erased.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many of the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what is held, what it ties this agency to, and when it is reviewed and erased."""
    which = f"state={state}&" if state in ("held", "restricted", "erased") else ""
    if state and not which:
        raise typer.BadParameter("the state is held, restricted or erased")
    with session() as call:
        found = call("GET", f"/v1/holdings?{which}limit={limit}", None)
    if as_json:
        tell(found, True, "")
        return
    rows = [("message", "state", "from", "for", "review", "erase", "tied to")]
    for one in found["holdings"]:
        dates = (one["review_at"] or "-")[:10], (one["erase_at"] or "-")[:10]
        rows.append((one["msg"], one["state"], one["from"], one["purpose"], *dates, _strings(one)))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
    if len(rows) == 1:
        show("nothing is held")
        return
    for row in rows:
        show("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]))


@app.command(
    "keep",
    epilog="Example: ix keep --msg=DIGEST --ground case_open --until 2026-12-31T00:00:00.000Z "
    "--officer sp-release --why 'the trial is set for the autumn'",
)
@at_a_node
def keep(
    session: Session,
    msg: Message,
    ground: Annotated[str, typer.Option(help=f"{any_of(RetainGround)}.")],
    until: Until,
    why: Reason,
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Decide at a review to keep a message until a time; its originator is told."""
    asked = {"ground": ground, "until": until, "justification": {"code": code, "text": why}}
    with session() as call:
        found = call("POST", f"/v1/messages/{msg}/keep", asked)
    tell(found, as_json, f"kept until {found['kept_until']}: {found['msg']}")


def _strings(one: dict[str, Any]) -> str:
    """What binds the holder of a message, in short words."""
    owes, readers = one["obligations"], one["obligations"].get("readers") or {}
    releases = "two releases" if owes["second_approver"] else "a release" if owes["human_release"] else ""
    said = [
        " ".join(code for code in one["handling"] if code != "H0"),
        f"onward {owes['onward']}",
        "" if owes["evidence"] else "no evidence",
        releases,
        f"cleared for {readers['clearance']}" if readers.get("clearance") else "",
        f"trained in {' '.join(readers['training'])}" if readers.get("training") else "",
        f"read by {' '.join(readers['roles'])}" if readers.get("roles") is not None else "",
        f"{one['ground']}" if one["ground"] else "",
        f"kept for {one['kept']}" if one["kept"] else "",
        f"gone by {one['cause']}" if one["cause"] else "",
        "" if one["agreement_known"] else "agreement not known yet",
        "ends soon" if one["warned"] and one["state"] != "erased" else "",
    ]
    return ", ".join(filter(None, said))
