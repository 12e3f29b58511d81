"""``ix agreement``: write, check, sign and read agreements as files, with no server (`spec/agreements.md`).

``new`` turns terms that people wrote (YAML or JSON) into the one payload to sign; each party signs that file
in turn, and what the last one hands back is the agreement. Nothing here decides or sends anything: agreements are
proposed and signed through the parties' nodes, which sign the same payload and so have the same digest.

Exit codes: 0 done; 1 refused, or ``check`` found an error; 2 the command was misused.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange.protocol.agreement import Agreement, read_agreement
from exchange.protocol.drafting import Finding, find_faults, in_words
from exchange.protocol.errors import AgreementMalformed, SignedTwice, SignerNotParty
from exchange.protocol.terms import MAX_TERMS, AgreementTerms, parse_terms, write_terms
from keys.commands import read_passphrase
from keys.encoding import digest, instant, stamp
from keys.errors import Refusal
from keys.keystore import Identity
from keys.signing import Statement, Typ, cosign, parse_statement, sign
from keys.trust import Directory

app = typer.Typer(
    name="agreement",
    help="Who may tell whom what: write, check, sign and read agreements as files. Nothing here is sent: a release "
    "officer proposes terms through a node (POST /v1/agreements), and the others sign at theirs (docs/by-hand.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

REFUSED: Final = 1

TermsFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="Terms (YAML or JSON), a payload, or a signed agreement.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", dir_okay=False, help="Where the result goes; else to the file's name.")
]
Fed = Annotated[str, typer.Option("--fed", envvar="IX_FED", help="The federation id the agreement belongs to.")]
TrustFile = Annotated[
    Path | None,
    typer.Option(
        "--trust", exists=True, dir_okay=False, help="The federation's trust.json, to know agencies and keys."
    ),
]
At = Annotated[str, typer.Option("--at", help="Judge as of this instant, 2026-11-21T16:20:00Z; else now.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]

NOBODY: Final = "A" * 43
"""Stands for the federation while terms are only being checked."""


@app.command("new", epilog="Example: ix agreement new task-force.yaml --fed $FED -o task-force.payload.json")
def new(
    file: TermsFile,
    fed: Fed = "",
    replaces: Annotated[str, typer.Option(help="The digest of the version this one replaces.")] = "",
    out: Out = None,
) -> None:
    """Turn terms into the payload that all parties sign, and print its digest.

    A node that is given the same terms to propose makes the same payload, and so the same digest.
    """
    with _answering():
        terms = _load(file.read_bytes())
        terms |= {name: value for name, value in (("fed", fed), ("replaces", replaces)) if value}
        payload = write_terms(terms)
        target = out or _beside(file, ".payload.json")
        if target == file:
            raise typer.BadParameter("the payload would overwrite the terms: name another file with --out")
        _write(target, payload)
        typer.echo(digest(payload))
        _say(f"{len(payload)} bytes to sign in {target}; parties: {', '.join(parse_terms(payload).parties)}")


@app.command(
    "sign", epilog="Example: ix agreement sign task-force.payload.json --key north/keys.json -o task-force.json"
)
def sign_it(
    file: TermsFile,
    key: Annotated[Path, typer.Option("--key", exists=True, dir_okay=False, help="The party's key file.")],
    out: Out = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file",
            envvar="IX_PASSPHRASE_FILE",
            dir_okay=False,
            help="Else IX_PASSPHRASE, else you are asked.",
        ),
    ] = None,
) -> None:
    """Sign a payload, or add a signature to an agreement that others signed before.

    The result is a file to keep and to show. To bring an agreement into force, its parties sign it at their nodes.
    """
    with _answering():
        statement, payload = _statement(file.read_bytes())
        terms = parse_terms(payload)
        me = Identity.load(key, read_passphrase(passphrase_file))
        if me.agency not in terms.parties:
            raise SignerNotParty(f"`{me.agency}` is no party to this agreement")
        if statement and any(pair[0].kid == me.signer.public.ed25519.kid for pair in statement.pairs):
            raise SignedTwice(f"`{me.agency}` has signed this agreement already")
        signed = cosign(statement, me.signer, Typ.AGREEMENT) if statement else sign(payload, me.signer, Typ.AGREEMENT)
        target = out or (file if statement else _beside(file, ".signed.json"))
        _write(target, signed.to_bytes())
        typer.echo(signed.digest)
        _say(f"{len(signed.pairs)} of {len(terms.parties)} have signed; written to {target}")


@app.command("show", epilog="Example: ix agreement show task-force.json --trust trust.json --fed $FED")
def show(file: TermsFile, trust: TrustFile = None, fed: Fed = "", at: At = "", as_json: AsJson = False) -> None:
    """Show an agreement in words: its parties, who has signed, and each clause. Verifies signatures if it can."""
    with _answering():
        data = file.read_bytes()
        terms, statement = _read(data, fed)
        directory = _directory(trust, fed, at)
        verified = read_agreement(data, directory, _at(at)) if statement and directory else None
        described = describe(terms, statement, verified)
    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=False, indent=2))
    else:
        _print(terms, described)


@app.command("check", epilog="Example: ix agreement check task-force.yaml --trust trust.json --fed $FED")
def check(file: TermsFile, trust: TrustFile = None, fed: Fed = "", at: At = "", as_json: AsJson = False) -> None:
    """Find what is wrong with terms, in plain words, before anybody signs them. Exit code 1 if there is an error."""
    with _answering():
        terms, _ = _read(file.read_bytes(), fed)
        directory = _directory(trust, fed, at)
        known = {record.agency: record for record in directory.agencies()} if directory else None
        findings = find_faults(terms, known)
    if as_json:
        found = [{"code": f.code, "level": f.level, "clause": f.clause, "sentence": f.sentence} for f in findings]
        typer.echo(json.dumps({"agreement": terms.id, "version": terms.version, "findings": found}, indent=2))
    else:
        _print_findings(terms, findings, checked_agencies=known is not None)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(REFUSED)


def describe(terms: AgreementTerms, statement: Statement | None, verified: Agreement | None) -> dict[str, Any]:
    """An agreement as ``show --json`` prints it; ``signed_by`` only where signatures were verified."""
    members: dict[str, Any] = {
        "simulation": True,
        "agreement": statement.digest if statement else None,
        "id": terms.id,
        "version": terms.version,
        "title": terms.title,
        "parties": list(terms.parties),
        "start": stamp(terms.start),
        "end": stamp(terms.end),
        "signatures": len(statement.pairs) if statement else 0,
    }
    if verified:
        members |= {"signed_by": list(verified.signed_by), "missing": list(verified.missing)}
    clauses = [{"id": c.id, "effect": c.effect, "title": c.title, "in_words": in_words(c)} for c in terms.clauses]
    return {**members, "clauses": clauses}


def _print(terms: AgreementTerms, described: dict[str, Any]) -> None:
    if "signed_by" in described:
        missing = ", ".join(described["missing"])
        signed = f"verified: {', '.join(described['signed_by'])}" + (f"; still to sign: {missing}" if missing else "")
    elif described["signatures"]:
        signed = f"{described['signatures']} of {len(terms.parties)} parties, not verified (no --trust)"
    else:
        signed = f"by none of {len(terms.parties)} parties"
    title = f"{terms.title}\n{terms.id} version {terms.version}"
    caption = (
        f"parties {', '.join(terms.parties)}\nin force from {stamp(terms.start)} to {stamp(terms.end)}\n"
        f"legal bases {', '.join(terms.bases) or 'none'}\nsigned {signed}\n"
        f"digest {described['agreement'] or 'not yet signed'}"
    )
    table = Table(title=escape(title), caption=escape(caption), caption_justify="left", show_lines=True)
    for column in ("clause", "effect", "in words"):
        table.add_column(column, overflow="fold")
    for clause in described["clauses"]:
        table.add_row(escape(clause["id"]), clause["effect"], escape(f"{clause['title']}.\n{clause['in_words']}"))
    Console().print(table)


def _print_findings(terms: AgreementTerms, findings: tuple[Finding, ...], *, checked_agencies: bool) -> None:
    for finding in findings:
        where = f"clause {finding.clause}: " if finding.clause else ""
        typer.echo(f"{finding.level}: {where}{finding.sentence} [{finding.code}]")
    errors = sum(finding.level == "error" for finding in findings)
    counted = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"
    typer.echo(f"{terms.id} version {terms.version}: {counted}")
    if not checked_agencies:
        _say("agencies and roles were not checked: no --trust")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _read(data: bytes, fed: str) -> tuple[AgreementTerms, Statement | None]:
    """Terms from whatever the file holds: a signed agreement, a payload, or terms as people write them."""
    try:
        statement, payload = _statement(data)
        return parse_terms(payload), statement
    except Refusal:
        terms = _load(data)
        if "signatures" in terms:
            raise
        return parse_terms(write_terms({"fed": fed or NOBODY, **terms})), None


def _statement(data: bytes) -> tuple[Statement | None, bytes]:
    """A signed agreement with its payload, or a payload alone."""
    try:
        statement = parse_statement(data)
    except Refusal:
        if data.startswith(b'{"payload":'):
            raise
        return None, data
    return statement, statement.payload


class _Loader(yaml.SafeLoader):
    """YAML without aliases, tags that run anything, or a member written twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise AgreementMalformed("an alias (`*name`) is used: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise AgreementMalformed(f"member `{min(map(str, twice))[:40]}` is written twice")
        return super().construct_mapping(node, deep)


def _write(target: Path, data: bytes) -> None:
    try:
        target.write_bytes(data)
    except OSError as wrong:
        raise typer.BadParameter(f"`{target}` cannot be written: {wrong.strerror}") from None


def _load(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_TERMS:
        raise AgreementMalformed(f"{len(data)} bytes where at most {MAX_TERMS} are allowed")
    try:
        value = yaml.load(data, _Loader)  # noqa: S506 - a safe loader, made stricter
    except yaml.MarkedYAMLError as wrong:
        where = f", at line {wrong.problem_mark.line + 1}" if wrong.problem_mark else ""
        raise AgreementMalformed(f"the file is neither YAML nor JSON{where}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise AgreementMalformed("the file is neither YAML nor JSON") from None
    if type(value) is not dict or not all(type(name) is str for name in value):
        raise AgreementMalformed("terms are members with names, such as `title:` and `clauses:`")
    return value


def _directory(trust: Path | None, fed: str, at: str) -> Directory | None:
    if trust is None:
        return None
    if not fed:
        raise typer.BadParameter("a trust file is believed only with --fed, the federation id it must have")
    return Directory.from_bytes(trust.read_bytes(), fed=fed, now=_at(at))


def _at(text: str) -> datetime:
    return instant(text) if text else datetime.now(UTC)


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name.removesuffix(file.suffix).removesuffix(".payload") + ending)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


@contextmanager
def _answering() -> Iterator[None]:
    """A refusal is printed and ends the command with 1; so does a file that cannot be had."""
    try:
        yield
    except Refusal as refusal:
        typer.echo(f"{refusal.code}: {refusal.sentence}", err=True)
        raise typer.Exit(REFUSED) from None
    except OSError as wrong:
        typer.echo(f"file: {wrong.strerror}: `{wrong.filename}`", err=True)
        raise typer.Exit(REFUSED) from None
