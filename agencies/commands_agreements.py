"""``ix agreements``: the agreements of an agency at its node, from the first signature to the last notice (CLI).

``ix agreement`` writes and reads agreements as files and sends nothing; what is done here counts. Each command talks to
a running node with the officer's bearer token, like ``ix send``; all but `list` and `show` take a release officer. What
is signed is read first: the terms are printed from the very bytes that the signature is over. Exit codes: 0 done; 1
refused or not confirmed, with one sentence on standard error; 2 the command was misused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agencies.commands import AsJson, Session, at_a_node, show, tell
from exchange.agreement_files import NOBODY, Lang, TermsFile, answering, load, read_statement
from exchange.commands_agreement import describe, print_terms
from exchange.protocol.errors import AgreementMalformed
from exchange.protocol.labels import Language
from exchange.protocol.terms import parse_terms, write_terms
from keys.encoding import write_json
from keys.signing import parse_statement

app = typer.Typer(
    name="agreements",
    help="The agreements of an agency at its node: list, show, propose, sign, suspend, resume, leave. They are written "
    "and checked as files, with `ix agreement`.",
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
    "show", epilog="Example: ix agreements show --agr=DIGEST --node http://127.0.0.1:8407 --officer sp-release"
)
@at_a_node
def show_agreement(
    session: Session,
    agr: Agreement,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Show an agreement of this agency in words, a proposed one as well: what is permitted, forbidden, and signed."""
    with session() as call:
        found = call("GET", f"/v1/agreements/{agr}", None)
    if as_json:
        tell(found, True, "")
        return
    _print(agr, found, lang)


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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Sign what is shown without being asked.")] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Show what another party proposed, and on a yes add this agency's signature; with the last it is complete."""
    with session() as call:
        found = call("GET", f"/v1/agreements/{agr}", None)
        _print(agr, found, lang, err=as_json)
        if found["state"] != "proposed":
            show(f"not_waiting: it waits for no signature: {found['sentence']}", err=True)
            raise typer.Exit(1)
        if not yes and not typer.confirm("sign these terms for your agency?", err=True):
            show("not signed", err=True)
            raise typer.Exit(1)
        _told(call("POST", f"/v1/agreements/{agr}/sign", None), as_json)


def _print(agr: str, found: dict[str, Any], lang: Language | None, *, err: bool = False) -> None:
    """Print the terms from what the signatures are over, and from nothing that merely stands beside it."""
    with answering():
        statement = parse_statement(write_json(found["statement"]))
        if statement.digest != agr:
            raise AgreementMalformed("the node shows another agreement than the one that was asked for")
        terms = parse_terms(statement.payload)
    described = describe(terms, statement, None, lang)
    missing = [party for party in terms.parties if party not in found["signed_by"]]
    print_terms(terms, {**described, "signed_by": found["signed_by"], "missing": missing}, lang, err=err)
    show(f"{found['state']}: {found['sentence']}", err=err)


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
