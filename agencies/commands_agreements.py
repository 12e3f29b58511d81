"""``ix agreements``: the agreements of an agency at its node, from the first signature to the last notice (CLI).

``ix agreement`` writes and reads agreements as files and sends nothing; what is done here counts. Each command talks to
a running node with the officer's bearer token, like ``ix send``; all but the list take a release officer. Exit codes: 0
done; 1 refused, with one sentence on standard error; 2 the command was misused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agencies.commands import AsJson, Session, at_a_node, show, tell
from exchange.agreement_files import NOBODY, TermsFile, answering, load, read_statement
from exchange.protocol.terms import write_terms

app = typer.Typer(
    name="agreements",
    help="The agreements of an agency at its node: list, propose, sign, suspend, resume, leave. They are written and "
    "checked as files, with `ix agreement`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Agreement = Annotated[str, typer.Option("--agr", help="The agreement's digest.")]
Why = Annotated[str, typer.Option("--reason", help="The reason, in a sentence; signed, for all parties to read.")]


@app.command("list", epilog="Example: ix agreements list --node http://127.0.0.1:8405 --officer np-duty-1")
@at_a_node
def listing(
    session: Session,
    as_json: AsJson = False,
) -> None:
    """List the agreements of this agency, complete and proposed, and how each stands now."""
    with session() as call:
        found = call("GET", "/v1/agreements", None)
    if as_json:
        tell(found, True, "")
        return
    for one in found["agreements"]:
        days = f"{one['start'][:10]} to {one['end'][:10]}"
        show(f"{one['agr']}  {one['state']:10}  {one['id']} v{one['version']}  {days}  {one['title']}")
        show(f"  {', '.join(one['parties'])}: {one['sentence']}")
    if not found["agreements"]:
        show("this agency is a party to no agreement")


@app.command(
    "propose", epilog="Example: ix agreements propose terms.yaml --node http://127.0.0.1:8405 --officer np-release"
)
@at_a_node
def propose(
    session: Session,
    file: TermsFile,
    replaces: Annotated[str, typer.Option(help="The digest of the version this one replaces.")] = "",
    as_json: AsJson = False,
) -> None:
    """Sign terms for this agency and put them to the other parties; prints the digest that they sign."""
    with answering():
        statement, payload = read_statement(file.read_bytes())
        members = load(payload if statement is not None else file.read_bytes())
        members |= {"replaces": replaces} if replaces else {}
        terms = json.loads(write_terms({"fed": NOBODY, **members}))  # the node puts its own federation there
    with session() as call:
        _told(call("POST", "/v1/agreements", {"terms": terms}), as_json)


@app.command(
    "sign", epilog="Example: ix agreements sign --agr=DIGEST --node http://127.0.0.1:8407 --officer sp-release"
)
@at_a_node
def sign(
    session: Session,
    agr: Agreement,
    as_json: AsJson = False,
) -> None:
    """Add this agency's signature to what another party proposed; with the last one it is complete."""
    with session() as call:
        _told(call("POST", f"/v1/agreements/{agr}/sign", None), as_json)


@app.command(
    "suspend",
    epilog="Example: ix agreements suspend --agr=DIGEST --reason 'under review in parliament' --officer sp-release",
)
@at_a_node
def suspend(
    session: Session,
    agr: Agreement,
    reason: Why,
    as_json: AsJson = False,
) -> None:
    """Suspend an agreement, alone and at once."""
    _give(session, "suspend", agr, reason, as_json)


@app.command(
    "resume",
    epilog="Example: ix agreements resume --agr=DIGEST --reason 'parliament has agreed' --officer sp-release",
)
@at_a_node
def resume(
    session: Session,
    agr: Agreement,
    reason: Why,
    as_json: AsJson = False,
) -> None:
    """Take back this agency's own suspension."""
    _give(session, "resume", agr, reason, as_json)


@app.command(
    "leave",
    epilog="Example: ix agreements leave --agr=DIGEST --reason 'a new treaty takes its place' --officer sp-release",
)
@at_a_node
def leave(
    session: Session,
    agr: Agreement,
    reason: Why,
    as_json: AsJson = False,
) -> None:
    """Leave an agreement for good; there is no way back but a new version."""
    _give(session, "leave", agr, reason, as_json)


def _give(session: Session, act: str, agr: str, reason: str, as_json: bool) -> None:
    with session() as call:
        _told(call("POST", f"/v1/agreements/{agr}/{act}", {"reason": reason}), as_json)


def _told(found: dict[str, Any], as_json: bool) -> None:
    tell(found, as_json, f"{found['state']}: {found['agr']}")
    if not as_json:
        show(f"signed by {', '.join(found['signed_by'])}", err=True)
