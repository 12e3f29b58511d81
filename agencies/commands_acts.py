"""``ix ask``, ``ix consent``, ``ix recall``, ``ix duties``, ``ix status``: what was disclosed, afterwards (CLI).

Each talks to a running node with the officer's bearer token, like ``ix send``. Digests stand behind an option's name,
because one in 64 begins with a dash. Exit codes: 0 done; 1 refused, or for `ix status` somebody is overdue or was
found out; 2 the command was misused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from agencies.commands import AsJson, Code, Reason, Session, at_a_node, show, tell
from exchange.protocol.vocabulary import AfterGround, HolderAnswer, RefusalGround, RetainGround

app = typer.Typer(name="acts", no_args_is_help=True, rich_markup_mode=None)


def any_of(codes: Iterable[str]) -> str:
    """Name codes for a help text."""
    *others, last = map(str, codes)
    return f"{', '.join(others)} or {last}"


Message = Annotated[str, typer.Option("--msg", help="The message's digest.")]
Until = Annotated[str, typer.Option("--until", help="Until when, such as 2026-12-31T00:00:00.000Z.")]


@app.command(
    "ask",
    epilog="Example: ix ask --msg=DIGEST --want onward --to east.border.sim --purpose investigate "
    "--until 2026-12-31T00:00:00.000Z --node http://127.0.0.1:8405 --officer np-duty-1 --why 'they hold the crossing'",
)
@at_a_node
def ask(
    session: Session,
    msg: Message,
    want: Annotated[
        str, typer.Option(help="onward: pass it on. purpose: use it for another. evidence: use it in court.")
    ],
    purpose: Annotated[list[str], typer.Option(help="For which purposes.")],
    until: Until,
    why: Reason,
    to: Annotated[list[str] | None, typer.Option(help="To whom it would be passed on.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="Which fields, as JSON pointers; else the whole.")] = None,
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Ask a message's originator for its consent."""
    asked: dict[str, Any] = {"want": want, "purposes": purpose, "until": until}
    asked |= {"to": to or [], "fields": field or [], "justification": {"code": code, "text": why}}
    with session() as call:
        found = call("POST", f"/v1/messages/{msg}/ask", asked)
    tell(found, as_json, f"{found['state']}: {found['act']}")


@app.command(
    "consent",
    epilog="Example: ix consent --act=DIGEST --approve --officer np-release "
    "--why 'the crossing has to know of this lorry'",
)
@at_a_node
def consent(
    session: Session,
    act: Annotated[str, typer.Option("--act", help="The ask to decide, or the consent to withdraw.")] = "",
    approve: Annotated[bool, typer.Option("--approve", help="Consent to what was asked.")] = False,
    decline: Annotated[
        str, typer.Option("--decline", help=f"Decline, on one of these grounds: {any_of(RefusalGround)}.")
    ] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take this consent of ours back.")] = False,
    why: Reason = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List asks and consents, decide about one, or take one back."""
    if bool(act) != (approve + bool(decline) + withdraw == 1) or (not act and (approve or decline or withdraw)):
        raise typer.BadParameter("with --act, say one of --approve, --decline GROUND and --withdraw")
    reason = {"justification": {"code": code, "text": why}}
    with session() as call:
        if not act:
            found = call("GET", "/v1/consents", None)
        elif withdraw:
            found = call("POST", f"/v1/consents/{act}/withdraw", reason)
        else:
            said = {"approve": approve, **({"ground": decline} if decline else {})}
            found = call("POST", f"/v1/consents/{act}/decide", said | reason)
    if act or as_json:
        tell(found, as_json, f"{found.get('state')}: {found.get('act')}")
        return
    for one in found["consents"]:
        whom = f"{one['holder']} -> {', '.join(one['to'])}" if one["to"] else one["holder"]
        came = "to us" if one["kind"] == "consent" else "of us"
        way = came if one["way"] == "in" else "by us"
        show(f"{one['act']}  {one['kind']} {way}  {one['state']:9}  {one['want']}  {whom}  until {one['until']}")
    if not found["consents"]:
        show("nobody has asked for anything")


@app.command(
    "recall",
    epilog="Example: ix recall --msg=DIGEST --ground inaccurate --officer np-release "
    "--why 'the plate was read wrongly at the crossing'",
)
@at_a_node
def recall(
    session: Session,
    msg: Message,
    ground: Annotated[str, typer.Option(help=f"{any_of(AfterGround)}.")],
    why: Reason,
    act: Annotated[str, typer.Option("--as", help="recall, restrict or rectify.")] = "recall",
    by_msg: Annotated[str, typer.Option("--by-msg", help="For rectify: the digest of the correcting message.")] = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Recall, restrict or rectify a message, wherever it went."""
    asked: dict[str, Any] = {"act": act, "ground": ground, "justification": {"code": code, "text": why}}
    asked |= {"by_msg": by_msg} if by_msg else {}
    with session() as call:
        found = call("POST", f"/v1/messages/{msg}/recall", asked)
    tell(found, as_json, f"{found['state']}: {found['act']}")


@app.command(
    "duties",
    epilog="Example: ix duties --act=DIGEST --outcome erased --officer sp-release "
    "--why 'the sender has taken this back as wrong'",
)
@at_a_node
def duties(
    session: Session,
    act: Annotated[str, typer.Option("--act", help="What to answer; without it, the list is shown.")] = "",
    outcome: Annotated[str, typer.Option(help=f"{any_of(HolderAnswer)}; rectified answers a rectify alone.")] = "",
    ground: Annotated[str, typer.Option(help=f"For retained: {any_of(RetainGround)}.")] = "",
    why: Reason = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List what originators want done here, or do it and answer."""
    if bool(act) != bool(outcome):
        raise typer.BadParameter("say both --act and --outcome, or neither")
    with session() as call:
        if act:
            said = {"outcome": outcome, **({"ground": ground} if ground else {})}
            said_why = {"justification": {"code": code, "text": why}}
            found = call("POST", f"/v1/duties/{act}/answer", said | said_why)
        else:
            found = call("GET", "/v1/duties", None)
    if act or as_json:
        tell(found, as_json, f"{found.get('state')}: {found.get('act')}")
        return
    for one in found["duties"]:
        state = "OVERDUE" if one["overdue"] else one["outcome"] or one["state"]
        show(f"{one['act']}  {one['kind']} by {one['originator']}: {one['ground']}  {state}  by {one['due']}")
        for message in one["held"]:
            show(f"  concerns {message}")
    if not found["duties"]:
        show("nobody wants anything done")


@app.command("status", epilog="Example: ix status --msg=DIGEST --node http://127.0.0.1:8405 --officer np-duty-1")
@at_a_node
def status(
    session: Session,
    msg: Annotated[str, typer.Option("--msg", help="The message's digest; else everything that was recalled.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="By the node's own books, without the broker.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who holds a message, what each was told and answered, or since when it is silent."""
    if not msg:
        _recalls(session, as_json)
        return
    with session() as call:
        found = call("GET", f"/v1/messages/{msg}/status{'?read=false' if offline else ''}", None)
    wrong = found["overdue"] or found["contradicted"]
    if as_json:
        tell(found, True, "")
        raise typer.Exit(1 if wrong else 0)
    for one in found["told"]:
        show(f"{one['kind']} ({one['ground']}) given {one['at'] or 'and not logged yet'}")
    for one in found["holders"]:
        deep = min(way["depth"] for way in one["through"])
        show(f"{'  ' * deep}{one['id']}: {_stands(one)}")
        for wrongs in one["contradictions"]:
            show(f"{'  ' * deep}  FOUND OUT: {wrongs['did']} at {wrongs['at']}, though it said it was erased")
    raise typer.Exit(1 if wrong else 0)


def _recalls(session: Session, as_json: bool) -> None:
    with session() as call:
        found = call("GET", "/v1/recalls", None)
    if as_json:
        tell(found, True, "")
    for one in () if as_json else found["recalls"]:
        kinds = ", ".join(told["kind"] for told in one["told"])
        show(
            f"{one['msg']}  {kinds}  {'settled' if one['settled'] else 'silent: ' + (', '.join(one['silent']) or '-')}"
        )
        for name in one["overdue"]:
            show(f"  OVERDUE {name}")
        for name in one["contradicted"]:
            show(f"  FOUND OUT {name}")
    if not as_json and not found["recalls"]:
        show("nothing was recalled from here")
    raise typer.Exit(1 if any(one["overdue"] or one["contradicted"] for one in found["recalls"]) else 0)


def _stands(one: dict[str, Any]) -> str:
    if one["silent_since"]:
        return f"silent since {one['silent_since']}{', OVERDUE' if one['overdue'] else ''}"
    said = [answer["answer"] for answer in one["answers"] if answer["answer"]]
    if not said:
        return f"holds it since {one['through'][0]['at']}"
    return f"{said[-1]['outcome']}{' (' + said[-1]['ground'] + ')' if said[-1]['ground'] else ''} at {said[-1]['at']}"
