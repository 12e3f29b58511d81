"""``ix seal``, ``ix open`` and ``ix inspect``: messages as files, with no server (CLI-20 to CLI-23, `spec/cli.md`).

Key file in, envelope out, and back: so that somebody who writes another implementation can compare bytes.
Nothing here speaks to a network, and nothing is looked up: the federation is the trust file given, pinned
by its id. ``seal`` asks no agreement whether the message may pass; only a node and a broker do that.
``inspect`` needs no key and never shows content.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange.protocol import message
from exchange.protocol.content import parse_content
from exchange.protocol.errors import NotAddressedToMe, SealMismatch
from exchange.protocol.manifest import MAX_ENVELOPE, MAX_MANIFEST, context_of, verify_times
from exchange.protocol.vocabulary import Classification, CrimeArea, Handling, Purpose, Urgency
from keys.commands import PassphraseFile, plain, read_passphrase
from keys.encoding import b64u, digest, instant, read_json, unb64u, write_json
from keys.errors import Refusal
from keys.keystore import Identity
from keys.sealing import OpeningKey, new_message_id, new_period_key, open_body, pseudonym
from keys.trust import Directory

app = typer.Typer(no_args_is_help=True, help="Messages as files, with no server: seal, open, inspect.")

REFUSED: Final = 1
UNUSABLE: Final = 2
NOT_CHECKED: Final = "not_checked"

KeyFile = Annotated[
    Path, typer.Option("--key", exists=True, dir_okay=False, help="The agency's key file (`ix keys enrol` made it).")
]
TrustFile = Annotated[Path, typer.Option("--trust", exists=True, dir_okay=False, help="The federation's trust.json.")]
MaybeTrustFile = Annotated[
    Path | None, typer.Option("--trust", exists=True, dir_okay=False, help="The federation's trust.json.")
]
Fed = Annotated[str, typer.Option("--fed", envvar="IX_FED", help="The pinned federation id.")]
MaybeFed = Annotated[str, typer.Option("--fed", envvar="IX_FED", help="The pinned federation id.")]
At = Annotated[str, typer.Option("--at", help="Judge as of this instant, 2026-11-21T16:20:00Z; else now.")]


@app.command(
    epilog="Example: ix seal case.json --key north/keys.json --trust trust.json --fed $FED --to south.police.sim "
    "--agreement $AGR -o envelope.json"
)
def seal(
    content: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The case message, JSON.")],
    key: KeyFile,
    trust: TrustFile,
    fed: Fed,
    to: Annotated[list[str], typer.Option("--to", help="A recipient; repeat for more.")],
    agreement: Annotated[str, typer.Option("--agreement", help="The digest of the agreement.")],
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="Where the envelope goes.")],
    purpose: Annotated[Purpose | None, typer.Option(help="Else what the content's question says.")] = None,
    crime: Annotated[CrimeArea | None, typer.Option(help="Else what the content's question says.")] = None,
    classification: Annotated[Classification, typer.Option("--class")] = Classification.RESTRICTED,
    handling: Annotated[
        list[Handling] | None, typer.Option("--handling", help="Repeat to combine; else H0 or H3.")
    ] = None,
    officer: Annotated[str, typer.Option(help="Who sends it; only a pseudonym travels.")] = "offline",
    answers: Annotated[str, typer.Option("--re", help="The digest of the message this one answers.")] = "",
    days: Annotated[int, typer.Option(min=1, max=30, help="Days until it expires.")] = 7,
    at: At = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Seal and sign a case message for its recipients.

    What the manifest declares is read from the content: type, categories, urgency, and purpose and crime
    where the content has a question. The policy is not asked: a broker may still deny it.
    """
    with _refusals():
        now, me = _at(at), _identity(key, passphrase_file)
        directory = Directory.from_bytes(trust.read_bytes(), fed=fed, now=now)
        data = content.read_bytes()
        case = parse_content(data)
        question = case.question
        draft = message.Draft(
            fed=directory.fed,
            id=new_message_id(now),
            ts=now,
            exp=now + timedelta(days=days),
            sender=me.agency,
            recipients=tuple((agency, directory.sealing_key(agency, now)) for agency in to),
            agreement=agreement,
            purpose=purpose or (question.purpose if question else Purpose.INVESTIGATE),
            crime=crime or (question.crime if question else CrimeArea.IMMIGRANT_SMUGGLING),
            classification=classification,
            handling=tuple(sorted(set(handling or [Handling.H3 if case.handling_text else Handling.H0]))),
            urgency=question.urgency.code if question else Urgency.NONE,
            by=pseudonym(new_period_key(), "officer", officer),  # no books, no month's key: nobody links two
            re=answers or None,
        )
        envelope = message.compose(draft, data, me.signer)
        _write(out, envelope)
        typer.echo(f"sealed {len(envelope)} bytes, message {message.parse(envelope).digest}", err=True)


@app.command(
    "open", epilog="Example: ix open envelope.json --key south/keys.json --trust trust.json --fed $FED -o case.json"
)
def open_(
    sealed: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An envelope, or a mailbox item.")],
    key: KeyFile,
    trust: TrustFile,
    fed: Fed,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the content goes; else standard output.")
    ] = None,
    at: At = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Open a message addressed to this key, after every check of the spec.

    A mailbox item is checked in full. A bare envelope has no proof that it was logged, so that one check
    cannot be made, and a sentence on standard error says so; a node would not open it.
    """
    with _refusals():
        now, me = _at(at), _identity(key, passphrase_file)
        directory = Directory.from_bytes(trust.read_bytes(), fed=fed, now=now)
        content, logged = unseal(sealed.read_bytes(), me, directory, now)
    if not logged:
        typer.echo("note: a bare envelope carries no proof that it was logged; a node would not open it", err=True)
    if out:
        _write(out, content, mode=0o600)  # it is what was sealed
    else:
        sys.stdout.buffer.write(content)


@app.command(epilog="Example: ix inspect envelope.json --trust trust.json --fed $FED")
def inspect(
    sealed: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An envelope.")],
    trust: MaybeTrustFile = None,
    fed: MaybeFed = "",
    at: At = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Show what a stranger can see of an envelope, and which checks it passes; never its content.

    Exit code 1 if a check fails. Without a trust file the signatures cannot be judged, and are not.
    """
    if trust and not fed:
        _unusable("a trust file is believed only with --fed, the federation id it must have")
    with _refusals():
        now = _at(at)
        directory = Directory.from_bytes(trust.read_bytes(), fed=fed, now=now) if trust else None
        report = inspection(sealed.read_bytes(), directory, now)
    if as_json:
        sys.stdout.write(write_json(report).decode() + "\n")
    else:
        _show(report)
    if any(check["code"] not in ("ok", NOT_CHECKED) for check in report["checks"]):
        raise typer.Exit(REFUSED)


def inspection(data: bytes, directory: Directory | None, now: datetime) -> dict[str, Any]:
    """Everything about an envelope that needs no private key: members, sizes, digests and checks, as plain JSON."""
    envelope = message.parse(data)
    return {
        "simulation": True,
        "message": envelope.digest,
        "bytes": {"envelope": len(data), "manifest": len(envelope.statement.payload), "body": len(envelope.body)},
        "manifest": read_json(envelope.statement.payload, limit=MAX_MANIFEST),
        "signatures": [{"alg": s.alg, "kid": s.kid, "typ": s.typ} for pair in envelope.statement.pairs for s in pair],
        "wraps": [{"kid": kid, "bytes": len(wrap), "sha256": digest(wrap)} for kid, wrap in envelope.wraps],
        "body": {"sha256": digest(envelope.body)},
        "context": b64u(context_of(envelope.manifest)),
        "checks": [_check(name, check) for name, check in _checks(envelope, directory, now).items()],
    }


Check = Callable[[], object]


def _checks(envelope: message.Envelope, directory: Directory | None, now: datetime) -> dict[str, Check | None]:
    manifest = envelope.manifest
    public: dict[str, Check | None] = {
        "well formed": lambda: None,  # it was parsed
        "wraps and body are those the manifest names": lambda: _verify_sealed(envelope),
        "in time": lambda: verify_times(manifest, now),
        "signed by the sender, both algorithms": None,
        "recipients' keys valid": None,
    }
    if directory:
        statement = envelope.statement
        public["signed by the sender, both algorithms"] = lambda: message.verify_signatures(
            statement, manifest, directory, now
        )
        public["recipients' keys valid"] = lambda: message.verify(envelope, directory, now)
    return public


def _check(name: str, check: Check | None) -> dict[str, str]:
    if check is None:
        return {"check": name, "code": NOT_CHECKED, "why": "no trust file was given"}
    try:
        check()
    except Refusal as refusal:
        return {"check": name, "code": refusal.code, "why": refusal.sentence}
    return {"check": name, "code": "ok", "why": ""}


def _verify_sealed(envelope: message.Envelope) -> None:
    manifest = envelope.manifest
    named = [(a.kid, a.wrap) for a in manifest.to]
    if [(kid, digest(wrap)) for kid, wrap in envelope.wraps] != named:
        raise SealMismatch("the wrapped keys are not those the manifest names")
    if (digest(envelope.body), len(envelope.body)) != (manifest.body.sha256, manifest.body.len):
        raise SealMismatch("the sealed body is not the one the manifest names")


def unseal(data: bytes, me: Identity, directory: Directory, now: datetime) -> tuple[bytes, bool]:
    """Open a mailbox item, or a bare envelope; returns the content and whether it was shown to be logged."""
    value = read_json(data, limit=2 * MAX_ENVELOPE)
    keys = {key.public.kid: key for key in me.openings}
    if type(value) is dict and "proof" in value:
        parcel, log = message.Parcel.from_json(value), directory.root.log
        opened = message.open_parcel(parcel, me=me.agency, opening_keys=keys, directory=directory, log=log, now=now)
        return opened.content_bytes, True
    return _unseal_envelope(message.parse(data), me.agency, keys, directory, now), False


def _unseal_envelope(
    envelope: message.Envelope, me: str, keys: Mapping[str, OpeningKey], directory: Directory, now: datetime
) -> bytes:
    manifest = envelope.manifest
    message.verify(envelope, directory, now)
    wrap = next(
        (w for a, (kid, w) in zip(manifest.to, envelope.wraps, strict=True) if a.id == me and kid in keys), None
    )
    if wrap is None:
        raise NotAddressedToMe("the message does not name this agency with a key it holds")
    kid = next(a.kid for a in manifest.to if a.id == me)
    context = context_of(manifest)
    content = open_body(envelope.body, keys[kid].unwrap(wrap, context), context, unb64u(manifest.body.commit))
    verify_times(manifest, now)
    message.verify_declaration(manifest, parse_content(content))
    return content


def _show(report: dict[str, Any]) -> None:
    console = Console()
    console.print("[bold yellow]SIMULATION[/] - synthetic data only. What anybody on the way can see, and no more:")
    facts = Table("member", "value", box=None, pad_edge=False)
    facts.add_row("message", report["message"])
    for member, value in report["manifest"].items():
        facts.add_row(member, _shown(value if isinstance(value, str) else write_json(value).decode()))
    for signature in report["signatures"]:
        facts.add_row(_shown(f"signature {signature['alg']}"), _shown(signature["kid"]))
    for wrap in report["wraps"]:
        facts.add_row(f"wrap of {wrap['bytes']} bytes", _shown(wrap["kid"]))
    facts.add_row("bytes", ", ".join(f"{name} {count}" for name, count in report["bytes"].items()))
    facts.add_row("context", report["context"])
    console.print(facts)
    for check in report["checks"]:
        mark = {"ok": "[green]passes[/]", NOT_CHECKED: "[dim]not checked[/]"}.get(
            check["code"], f"[red]{check['code']}[/]"
        )
        console.print(f"  {mark}  {check['check']}", f"[dim]{_shown(check['why'])}[/]" if check["why"] else "")


def _shown(text: str) -> str:
    """Text of others for the console: nothing in it steers the terminal, or is markup."""
    return escape(plain(text))


def _at(text: str) -> datetime:
    try:
        return instant(text) if text else datetime.now(UTC)
    except Refusal:
        _unusable(f"--at takes an instant such as 2026-11-21T16:20:00Z, not `{text}`")


def _write(out: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file, readable by others only if ``mode`` says so, also where there was a file before."""
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            if mode == 0o600 and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), mode)
            file.write(data)
    except OSError as wrong:
        _unusable(f"`{out}` cannot be written: {wrong.strerror}")


def _identity(path: Path, passphrase_file: Path | None) -> Identity:
    return Identity.load(path, read_passphrase(passphrase_file))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a refusal into one line on standard error and exit code 1 (CLI-3)."""
    try:
        yield
    except Refusal as refusal:
        typer.echo(plain(f"{refusal.code}: {refusal.sentence}"), err=True)
        raise typer.Exit(REFUSED) from None
    except OSError as wrong:
        _unusable(f"`{wrong.filename}` cannot be read: {wrong.strerror}")


def _unusable(sentence: str) -> NoReturn:
    typer.echo(plain(sentence), err=True)
    raise typer.Exit(UNUSABLE)
