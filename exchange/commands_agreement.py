"""``ix agreement``: write, check, sign and read agreements as files, with no server (`spec/agreements.md`).

``new`` turns terms that people wrote (YAML or JSON) into the one payload to sign; each party signs that file
in turn, and what the last one hands back is the agreement. Nothing here decides or sends anything: agreements are
proposed and signed through the parties' nodes, which sign the same payload and so have the same digest.

Exit codes: 0 done; 1 refused, or ``check`` found an error; 2 the command was misused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange import commands_agreement_asking as asking
from exchange import commands_agreement_comparing as comparing
from exchange.agreement_files import (
    REFUSED,
    AgencyFolder,
    AsJson,
    At,
    Fed,
    Lang,
    TermsFile,
    TrustFile,
    Written,
    answering,
    completed,
    directory_of,
    instant_of,
    load,
    parties_of,
    read_statement,
    read_terms,
    read_written,
)
from exchange.drafting.check import Finding, check_draft
from exchange.drafting.coded import coded_clause, coded_whole
from exchange.drafting.wording import in_words, whole_in_words
from exchange.protocol.agreement import Agreement, read_agreement
from exchange.protocol.errors import SignedTwice, SignerNotParty
from exchange.protocol.labels import Language, word
from exchange.protocol.terms import AgreementTerms, parse_terms, write_terms
from keys.commands import plain, read_passphrase
from keys.encoding import digest, stamp
from keys.keystore import Identity
from keys.signing import Statement, Typ, cosign, sign

app = typer.Typer(
    name="agreement",
    help="Who may tell whom what: write, check, sign, read and compare agreements as files. Nothing here is sent: a "
    "release officer proposes terms through a node (ix agreements propose), and the others sign at theirs "
    "(docs/by-hand.md; docs/agreements.md is a handbook).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Out = Annotated[
    Path | None, typer.Option("--out", "-o", dir_okay=False, help="Where the result goes; else to the file's name.")
]


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
    with answering():
        terms = load(file.read_bytes())
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
    with answering():
        statement, payload = read_statement(file.read_bytes())
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
def show(
    file: TermsFile,
    trust: TrustFile = None,
    fed: Fed = "",
    at: At = "",
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Show an agreement in words: its parties, who has signed, and each clause. Verifies signatures if it can.

    With --lang its codes stand there beside what they are called in that language, and no sentence.
    """
    with answering():
        data = file.read_bytes()
        terms, statement, _ = read_terms(data, fed)
        directory = directory_of(trust, fed, at)
        verified = read_agreement(data, directory, instant_of(at)) if statement and directory else None
        described = describe(terms, statement, verified, lang)
    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=True, indent=2))
    else:
        print_terms(terms, described, lang)


@app.command("check", epilog="Example: ix agreement check task-force.yaml --agencies agencies/profiles")
def check(
    file: TermsFile,
    trust: TrustFile = None,
    fed: Fed = "",
    agencies: AgencyFolder = None,
    at: At = "",
    as_json: AsJson = False,
) -> None:
    """Find all that is wrong with terms before anybody signs them, in plain words. Exit code 1 if there is an error."""
    with answering():
        written = read_written(file.read_bytes())
        known = parties_of(directory_of(trust, fed, at), agencies)
        findings = check_draft(completed(written.members, fed), known, instant_of(at) if at else None)
    if as_json:
        found = [_finding(finding, written) for finding in findings]
        typer.echo(json.dumps({**_named(written), "findings": found}, ensure_ascii=True, indent=2))
    else:
        _print_findings(file, written, findings, checked_agencies=known is not None)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(REFUSED)


def _finding(finding: Finding, written: Written) -> dict[str, Any]:
    line = written.line(finding.place)
    members = {"code": finding.code, "level": finding.level, "clause": finding.clause}
    where = {"place": ".".join(map(str, finding.place)), **({"line": line} if line else {})}
    return {**members, **where, "sentence": finding.sentence}


def _named(written: Written) -> dict[str, Any]:
    return {"agreement": written.members.get("id"), "version": written.members.get("version")}


def describe(
    terms: AgreementTerms, statement: Statement | None, verified: Agreement | None, lang: Language | None = None
) -> dict[str, Any]:
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
    clauses = [{"id": c.id, "effect": c.effect, "title": c.title} for c in terms.clauses]
    if lang is None:
        said = [{**head, "in_words": in_words(c)} for head, c in zip(clauses, terms.clauses, strict=True)]
        return {**members, "in_words": whole_in_words(terms), "clauses": said}
    labelled = [
        {**head, "labelled": [line.to_json() for line in coded_clause(c, lang)]}
        for head, c in zip(clauses, terms.clauses, strict=True)
    ]
    whole = [line.to_json() for line in coded_whole(terms, lang)]
    return {**members, "lang": lang.value, "labelled": whole, "clauses": labelled}


def print_terms(terms: AgreementTerms, described: dict[str, Any], lang: Language | None, *, err: bool = False) -> None:
    """Print an agreement for people, as ``describe`` has it; ``err`` where standard output is for a machine."""
    if "signed_by" in described:
        missing = ", ".join(described["missing"])
        signed = f"verified: {', '.join(described['signed_by'])}" + (f"; still to sign: {missing}" if missing else "")
    elif described["signatures"]:
        signed = f"{described['signatures']} of {len(terms.parties)} parties, not verified (no --trust)"
    else:
        signed = f"by none of {len(terms.parties)} parties"
    title = f"{terms.title}\n{terms.id} version {terms.version}"
    if lang is not None:
        _print_coded(terms, title, f"signed {signed}\ndigest {described['agreement'] or 'not yet signed'}", lang, err)
        return
    caption = (
        f"parties {', '.join(terms.parties)}\n"
        + "".join(f"{line}\n" for line in described["in_words"])
        + f"legal bases {', '.join(terms.bases) or 'none'}\nsigned {signed}\n"
        f"digest {described['agreement'] or 'not yet signed'}"
    )
    table = Table(title=escape(title), caption=escape(caption), caption_justify="left", show_lines=True)
    for column in ("clause", "effect", "in words"):
        table.add_column(column, overflow="fold")
    for clause in described["clauses"]:
        table.add_row(escape(clause["id"]), clause["effect"], escape(f"{clause['title']}.\n{clause['in_words']}"))
    Console(stderr=err).print(table)


def _print_coded(terms: AgreementTerms, title: str, signed: str, lang: Language, err: bool) -> None:
    whole = "\n".join(map(str, coded_whole(terms, lang)))
    caption = escape(f"{whole}\n{signed}")
    table = Table(title=escape(title), caption=caption, caption_justify="left", show_lines=True)
    for name in ("id", "clauses"):
        table.add_column(word(name, lang), overflow="fold")
    for clause in terms.clauses:
        lines = "\n".join([clause.title, *map(str, coded_clause(clause, lang))])
        table.add_row(escape(clause.id), escape(lines))
    Console(stderr=err).print(table)


def _print_findings(file: Path, written: Written, findings: tuple[Finding, ...], *, checked_agencies: bool) -> None:
    for finding in findings:
        line, clause = written.line(finding.place), f"clause {finding.clause}: " if finding.clause else ""
        where = f"{file.name}:{line}: " if line else ""
        typer.echo(plain(f"{where}{finding.level}: {clause}{finding.sentence} [{finding.code}]"))
    errors = sum(finding.level == "error" for finding in findings)
    counted = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"
    named = _named(written)
    typer.echo(plain(f"{named['agreement']} version {named['version']}: {counted}"))
    if not checked_agencies:
        _say("agencies, roles and what clauses do to one another were not checked: no --trust and no --agencies")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _write(target: Path, data: bytes) -> None:
    try:
        target.write_bytes(data)
    except OSError as wrong:
        raise typer.BadParameter(f"`{target}` cannot be written: {wrong.strerror}") from None


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name.removesuffix(file.suffix).removesuffix(".payload") + ending)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


asking.join(app)
comparing.join(app)
