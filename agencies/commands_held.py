"""``ix forward``: what is done with what was received, from a terminal (CLI).

Each command talks to a running node with the officer's bearer token, like ``ix send``. Digests stand behind an option's
name. Exit codes: 0 done; 1 refused, denied or stopped; 2 the command was misused.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agencies.commands import HERE, AsJson, Code, Node, PassphraseFile, Reason, TokenFile, Who, signed_in, tell

app = typer.Typer(name="held", no_args_is_help=True, rich_markup_mode=None)

Message = Annotated[str, typer.Option("--msg", help="The message's digest.")]


@app.command(
    "forward",
    epilog="Example: ix forward --msg=DIGEST --to east.border.sim --field /entities/0 --purpose investigate "
    "--text 'The lorry is on its way to you.' --officer sp-duty-1 --why 'they hold the crossing'",
)
def forward(
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
    node: Node = HERE,
    officer: Who = "",
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Pass chosen fields of a received message on, if its originator lets it."""
    asked: dict[str, Any] = {"to": to, "fields": field, "purpose": purpose, "text": text}
    perhaps = {"re": re, "desk": desk, "agr": agr, "class": class_, "handling": handling, "days": days, "key": key}
    asked |= {name: value for name, value in perhaps.items() if value}
    asked |= {"justification": {"code": code, "text": why}}
    with signed_in(node, officer, passphrase_file, token_file) as call:
        found = call("POST", f"/v1/messages/{msg}/forward", asked)
    recipients = (found["reasons"] or {}).get("recipients", [])
    tell(found, as_json, f"{found['state']}: {found['msg'] or found['ref']}", recipients)
    raise typer.Exit(0 if found["state"] in ("sent", "pending", "pending_release") else 1)
