"""``ix case``, ``erase``, ``refuse``, ``flags``, ``offence``, ``emergency``: a case, and what stands in its way (CLI).

Each command talks to a running node with the officer's bearer token, like ``ix send``. Digests and ids stand behind an
option's name. Exit codes: 0 done; 1 refused, or for the list of `ix emergency` a review is overdue; 2 the command was
misused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from agencies.commands import AsJson, Code, Reason, Session, at_a_node, in_headers, pretty, show, tell, text_of
from agencies.commands_acts import Message, any_of
from exchange.protocol.vocabulary import Danger, RefusalGround

app = typer.Typer(name="cases", no_args_is_help=True, rich_markup_mode=None)

MaybeMessage = Annotated[str, typer.Option("--msg", help="The message's digest.")]


@app.command("case", epilog="Example: ix case XN-2026/0417 --officer np-duty-1 --why 'assigned to me this morning'")
@at_a_node
def case(
    session: Session,
    reference: Annotated[str, typer.Argument(help="The case's reference, our own or the sender's.")],
    why: Reason,
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List the messages of a case, in and out, the oldest first; without content."""
    with session() as call:
        found = call("GET", f"/v1/cases/{quote(reference, safe='')}", None, in_headers(code, why))
    if as_json:
        tell(found, True, "")
        return
    for one in found["messages"]:
        came = one["direction"] == "in"
        state = ("erased" if one["erased"] else "opened" if one["opened"] else "new") if came else one["state"]
        whom = f"from {one['from']}" if came else f"to {', '.join(one['to'])}"
        show(f"{one['msg'] or one['ref']}  {one['direction']:3}  {state:15}  {one['when']}  {one['type']}  {whom}")
    if not found["messages"]:
        show("no message of that case is here")


@app.command("erase", epilog="Example: ix erase --msg=DIGEST --officer sp-release --why 'the case was closed for good'")
@at_a_node
def erase(
    session: Session,
    msg: Message,
    why: Reason,
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Take a received message's content away for good, and what was made of it here; its originator is told."""
    with session() as call:
        found = call("POST", f"/v1/messages/{msg}/erase", {"justification": {"code": code, "text": why}})
    tell(found, as_json, f"{found['state']}: {found['msg']}")


# --- what cannot be executed ------------------------------------------------------------------------------


@app.command(
    "refuse",
    epilog="Example: ix refuse --msg=DIGEST --ground jeopardise_investigation_or_safety "
    "--reason 'an observation of the same house goes on' --officer sp-duty-1 --why 'the request is mine to answer'",
)
@at_a_node
def refuse(
    session: Session,
    msg: Message,
    why: Reason,
    ground: Annotated[str, typer.Option(help=f"{any_of(RefusalGround)}.")] = "",
    reason: Annotated[str, typer.Option(help="With --ground: the whole reason, which stays here, for auditors.")] = "",
    flag: Annotated[bool, typer.Option("--flag", help="Instead: with ground and reason of the flag on it.")] = False,
    offence: Annotated[
        str, typer.Option(help="Instead: with what this agency's table says of that code of an offence.")
    ] = "",
    text: Annotated[str, typer.Option(help="What is said to the requester, instead of the usual sentence.")] = "",
    code: Code = "request_answer",
    as_json: AsJson = False,
) -> None:
    """Refuse a request, or show how its refusal stands; the requester is told no more than is safe to tell."""
    ways = bool(ground) + flag + bool(offence)
    if ways > 1 or bool(ground) != bool(reason) or (text and not ways):
        raise typer.BadParameter("say --ground with --reason, or --flag, or --offence; or none, to see how it stands")
    asked: dict[str, Any] = {"justification": {"code": code, "text": why}, **({"text": text} if text else {})}
    with session() as call:
        if not ways:
            found = call("GET", f"/v1/messages/{msg}/refuse", None, in_headers(code, why))
        elif ground:
            found = call("POST", f"/v1/messages/{msg}/refuse", {**asked, "ground": ground, "reason": reason})
        elif flag:
            found = call("POST", f"/v1/messages/{msg}/flag", asked)
        else:
            found = call("POST", f"/v1/messages/{msg}/offence", {**asked, "code": offence})
    said = found["answer"] if offence else found
    if said is None:  # nothing of the table stands in the way, so nothing was sent
        tell(found, as_json, f"not refused: {found['sentence']}" if found.get("sentence") else "not refused")
        raise typer.Exit(1)
    tell(found, as_json, f"{said['state']}: {said['public']}")


@app.command("offence", epilog="Example: ix offence 'XN-PC 211' --node http://127.0.0.1:8405 --officer np-duty-1")
@at_a_node
def offence(
    session: Session,
    code: Annotated[str, typer.Argument(help="The code of an offence, as the requester cites it.")],
    as_json: AsJson = False,
) -> None:
    """Say how this agency reads an offence of another law: its crime area here, how sure, the highest penalty."""
    with session() as call:
        found = call("GET", f"/v1/offences?{urlencode({'code': code})}", None)
    one = found["offence"]
    if one is None:
        tell(found, as_json, f"{code}: nobody has placed it here")
        return
    area = one["crime"] or "no offence here"
    tell(found, as_json, f"{code}: {one['title']}; {area}; {one['confidence']} of 100 sure; {_years(one['max_years'])}")


def _years(years: int) -> str:
    return {0: "a fine", 99: "up to life"}.get(years, f"up to {years} years")


@app.command(
    "flags",
    epilog="Example: ix flags --msg=DIGEST --ground jeopardise_investigation_or_safety "
    "--until 2026-12-31T00:00:00.000Z --officer sp-duty-1 --why 'an observation of the same house goes on'",
)
@at_a_node
def flags(
    session: Session,
    msg: MaybeMessage = "",
    case_of: Annotated[str, typer.Option("--case-of", help="Flag the case that this message belongs to.")] = "",
    ground: Annotated[str, typer.Option(help=f"{any_of(RefusalGround)}.")] = "",
    until: Annotated[str, typer.Option("--until", help="Until when, 90 days at most.")] = "",
    flag: Annotated[str, typer.Option("--id", help="A flag that is there: with --until it is renewed.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="With --id: end it before its time.")] = False,
    state: Annotated[str, typer.Option(help="List only what is live, expired or lifted.")] = "",
    why: Reason = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List what cannot be executed here and until when; flag a message or its case, renew a flag, or lift it."""
    new, old = bool(msg) + bool(case_of), bool(flag)
    wrong = new + old > 1 or (new and not (ground and until)) or (not new and ground) or (lift and not old)
    if wrong or (old and lift == bool(until)) or (not (new or old) and until) or (state and (new or old)):
        raise typer.BadParameter("--msg or --case-of, with --ground and --until; or --id, with --until or --lift")
    asked: dict[str, Any] = {"justification": {"code": code, "text": why}}
    with session() as call:
        if new:
            on = {"message": msg} if msg else {"case_of": case_of}
            found = call("POST", "/v1/flags", {**asked, "on": on, "ground": ground, "until": until})
        elif old:
            path, more = ("lift", {}) if lift else ("renew", {"until": until})
            found = call("POST", f"/v1/flags/{flag}/{path}", {**asked, **more})
        else:
            found = call("GET", f"/v1/flags{f'?state={quote(state)}' if state else ''}", None)
    if new or old or as_json:
        tell(found, as_json, f"{found.get('state')}: {found.get('id')} until {found.get('until')}")
        return
    for one in found["flags"]:
        what = f"message {one['msg']}" if one["msg"] else "a case"
        show(f"{one['id']}  {one['state']:7}  until {one['until']}  {what}  from {one['sender']}")
    if not found["flags"]:
        show("nothing is flagged")


# --- imminent danger --------------------------------------------------------------------------------------


@app.command(
    "emergency",
    epilog="Example: ix emergency --msg=DIGEST --second sp-release --danger danger_to_life --purpose locate_person "
    "--officer sp-duty-1 --why 'a boat with forty people has lost its engine'",
)
@at_a_node
def emergency(
    session: Session,
    msg: MaybeMessage = "",
    second: Annotated[str, typer.Option(help="The officer who opens it with you.")] = "",
    second_passphrase_file: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A file with that officer's passphrase; else it is asked for.")
    ] = None,
    danger: Annotated[str, typer.Option(help=f"{any_of(Danger)}.")] = "",
    purpose: Annotated[str, typer.Option(help="prevent, locate_person, missing_person or victim_protection.")] = "",
    review: Annotated[str, typer.Option("--review", help="Review this opening, as somebody who took no part.")] = "",
    justified: Annotated[bool, typer.Option("--justified", help="With --review: it was.")] = False,
    unjustified: Annotated[bool, typer.Option("--unjustified", help="With --review: it was not.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="List only what nobody reviewed in time.")] = False,
    why: Reason = "",
    code: Code = "urgent_danger",
    as_json: AsJson = False,
) -> None:
    """Open a message past its readers' rules, two officers together; review such an opening; or list them all."""
    named = (second, danger, purpose)
    if bool(msg) + bool(review) + overdue > 1 or bool(msg) != all(named) or (any(named) and not msg):
        raise typer.BadParameter("--msg, with --second, --danger and --purpose; or --review; or neither, for the list")
    if justified + unjustified != bool(review):
        raise typer.BadParameter("with --review, say one of --justified and --unjustified")
    reason = {"justification": {"code": code, "text": why}}
    if msg:
        told = {"second": second, "passphrase": _passphrase(second, second_passphrase_file)}
        with session() as call:
            found = call(
                "POST", f"/v1/messages/{msg}/emergency", {**reason, **told, "danger": danger, "purpose": purpose}
            )
        typer.echo(pretty(found if as_json else found["content"]))
        known = found["emergency"]
        show(f"passed over: {', '.join(known['passed'])}; to be reviewed by {known['due']}: {known['id']}", err=True)
        return
    with session() as call:
        if review:
            found = call("POST", f"/v1/emergencies/{review}/review", {**reason, "justified": justified})
        else:
            found = call("GET", f"/v1/emergencies{'?overdue=true' if overdue else ''}", None)
    if review:
        tell(found, as_json, f"{found['verdict']}: {found['id']}")
        return
    if as_json:
        tell(found, True, "")
    for one in () if as_json else found["emergencies"]:
        stands = "CHANGED" if one["changed"] else one["verdict"] or ("OVERDUE" if one["overdue"] else "to be reviewed")
        show(f"{one['id']}  {stands}  by {one['due']}  {one['msg']}  {one['danger']}  originator: {one['originator']}")
    if not as_json and not found["emergencies"]:
        show("nothing was opened in an emergency")
    raise typer.Exit(1 if any(one["overdue"] for one in found["emergencies"]) else 0)


def _passphrase(officer: str, file: Path | None) -> str:
    """The second officer's passphrase; never from where the first one's is taken."""
    if file is not None:
        return (text_of(file, "passphrase file").splitlines() or [""])[0]
    return str(typer.prompt(f"passphrase of {officer}", hide_input=True, err=True))
