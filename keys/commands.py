"""``ix keys``: begin a federation, enrol an agency, change its keys, take keys away, look (KEY-37, KEY-38).

The folder of a federation holds ``federation.id`` (what everybody pins), ``trust.json`` (the directory),
``root-N.keys``, ``enrolment.keys`` and ``broker.keys``. In earnest each root key would lie with another
person; in this simulation one passphrase opens them all.

Exit codes: 0 done; 1 refused, with ``code: sentence`` on standard error; 2 the command was misused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from keys.ceremony import RootPlan, enrol, federation_id, new_root, protect, revoke, rotate
from keys.encoding import instant, stamp
from keys.errors import KeyUnknown, RecordRefused, Refusal
from keys.keystore import Authority, BrokerKeys, Identity, locked, read_private, replace_file
from keys.rolekey import RoleKey
from keys.sealing import SealingKey
from keys.signing import Signer
from keys.trust import AgencyRecord, Directory, KeyEntry

app = typer.Typer(
    name="keys",
    help="Who is who: the federation's root, agencies' records, and their keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FEDERATION_ID: Final = "federation.id"
TRUST: Final = "trust.json"
ENROLMENT: Final = "enrolment.keys"
BROKER: Final = "broker.keys"
ROLES: Final = ("police", "border_guard", "fiu", "prosecutor", "hub", "ngo", "oversight")
"""The roles an agreement can name. The exchange's vocabulary says so; a test holds this list to it."""

Folder = Annotated[Path, typer.Argument(help="The federation's folder.", file_okay=False)]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="IX_PASSPHRASE_FILE",
        dir_okay=False,
        help="A file whose first line is the passphrase; else the variable IX_PASSPHRASE, else you are asked.",
    ),
]
AgencyPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--agency-passphrase-file",
        envvar="IX_AGENCY_PASSPHRASE_FILE",
        dir_okay=False,
        help="A file whose first line is the agency's passphrase; else one passphrase opens both key files.",
    ),
]
Agency = Annotated[str, typer.Argument(help="The agency's id, such as north.police.sim.")]


@app.command("init", epilog="Example: ix keys init federation --name 'Exercise Harbour'")
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="What the federation is called.")] = "ix simulation",
    broker: Annotated[str, typer.Option(help="The broker's id.")] = "broker.sim",
    origin: Annotated[str, typer.Option(help="The log's origin line.")] = "log.broker.sim/ix",
    root_keys: Annotated[int, typer.Option(min=1, max=16, help="How many root keys to make.")] = 3,
    threshold: Annotated[int, typer.Option(min=1, max=16, help="How many of them must sign a root.")] = 2,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Begin a federation: root keys, an enrolment key, the broker's keys, and the signed root."""
    if threshold > root_keys:
        raise typer.BadParameter("the threshold is higher than the number of root keys")
    with _answering():
        if folder.exists() and any(folder.iterdir()):
            raise typer.BadParameter(f"`{folder}` is not empty: a federation begins in a folder of its own")
        passphrase = read_passphrase(passphrase_file, new=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        roots, enrolment = [Signer.generate() for _ in range(root_keys)], Signer.generate()
        keys, now = BrokerKeys.generate(broker), _now()
        plan = RootPlan(
            name=name,
            root_keys=tuple(signer.public for signer in roots),
            threshold=threshold,
            enrolment=(enrolment.public,),
            origin=origin,
            log=keys.log.public,
            broker=broker,
            transport=(keys.transport.public,),
        )
        root = new_root(plan, roots[:threshold], now=now)
        directory = Directory.build([root], [], fed=federation_id(root), now=now)
        for number, signer in enumerate(roots, 1):
            Authority(f"root-{number}", (signer,)).save(folder / f"root-{number}.keys", passphrase)
        Authority("enrolment", (enrolment,)).save(folder / ENROLMENT, passphrase)
        keys.save(folder / BROKER, passphrase)
        replace_file(folder / TRUST, directory.to_bytes(), 0o644)
        replace_file(folder / FEDERATION_ID, f"{directory.fed}\n".encode(), 0o644)
        typer.echo(directory.fed)


@app.command(
    "enrol",
    epilog="Example: ix keys enrol federation north.police.sim --name 'North Police' --role police "
    "--territory XN --ceiling confidential --keys north/keys.json",
)
def enrol_agency(
    folder: Folder,
    agency: Agency,
    name: Annotated[str, typer.Option(help="The agency's full name.")],
    role: Annotated[
        list[str], typer.Option(help=f"A role an agreement can name: {', '.join(ROLES)}; may be given several times.")
    ],
    territory: Annotated[str, typer.Option(help="A user-assigned ISO 3166 code, such as XN.")],
    ceiling: Annotated[str, typer.Option(help="The highest classification it may receive.")],
    keys: Annotated[Path, typer.Option(dir_okay=False, help="Its key file; made if it does not exist.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long its keys are valid.")] = 365,
    passphrase_file: PassphraseFile = None,
    agency_passphrase_file: AgencyPassphraseFile = None,
) -> None:
    """Enrol an agency: make its keys, or take those of an existing key file, and sign its first record.

    This writes the federation's trust.json and tells nobody: `ix broker trust` takes that file to the broker.
    """
    unknown = [one for one in role if one not in ROLES]
    if unknown:
        raise typer.BadParameter(f"`{plain(unknown[0])}` is no role an agreement can name: {', '.join(ROLES)}")
    with _answering():
        passphrase = read_passphrase(passphrase_file)
        theirs = read_passphrase(agency_passphrase_file) if agency_passphrase_file else passphrase
        with locked(folder):
            directory, now = _directory(folder), _now()
            made_before = keys.exists()
            identity = _own(keys, agency, directory, theirs) if made_before else Identity.generate(agency)
            record = enrol(
                directory.fed, identity.public, _enrolment(folder, passphrase), agency=agency, name=name, roles=role,
                territory=territory, ceiling=ceiling, now=now, exp=now + timedelta(days=days),
            )  # fmt: skip
            directory = directory.with_record(record, now)
            if not made_before:  # and before the record: a record without its keys would be of no use
                keys.parent.mkdir(parents=True, exist_ok=True)
                identity.save(keys, theirs)
            replace_file(folder / TRUST, directory.to_bytes(), 0o644)
        typer.echo(directory.agency(agency).digest)
        _say_next(folder)


@app.command("rotate", epilog="Example: ix keys rotate federation north.police.sim --keys north/keys.json")
def rotate_keys(
    folder: Folder,
    agency: Agency,
    keys: Annotated[Path, typer.Option(dir_okay=False, exists=True, help="The agency's key file, replaced.")],
    overlap: Annotated[int, typer.Option(min=0, max=365, help="Days for which the old keys stay valid.")] = 14,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the new keys are valid.")] = 365,
    passphrase_file: PassphraseFile = None,
    agency_passphrase_file: AgencyPassphraseFile = None,
) -> None:
    """Give an agency new keys; the old ones stay valid for a while, so that nothing on its way is lost.

    This writes the key file and the federation's trust.json and tells nobody: `ix broker trust` takes that file to
    the broker, and a node reads its new key file when it starts.
    """
    with _answering():
        passphrase = read_passphrase(passphrase_file)
        theirs = read_passphrase(agency_passphrase_file) if agency_passphrase_file else passphrase
        with locked(folder):
            directory, now = _directory(folder), _now()
            renewed = _own(keys, agency, directory, theirs).renewed()
            record = rotate(
                directory.fed, directory.agency(agency), renewed.public, _enrolment(folder, passphrase),
                now=now, overlap=timedelta(days=overlap), exp=now + timedelta(days=days),
            )  # fmt: skip
            directory = directory.with_record(record, now)
            _publish(folder, directory, renewed, keys, theirs)
        typer.echo(directory.agency(agency).digest)
        _say_next(folder)


@app.command(
    "revoke",
    epilog="Example: ix keys revoke federation north.police.sim --all --reason 'laptop stolen' --keys north/keys.json",
)
def revoke_keys(
    folder: Folder,
    agency: Agency,
    reason: Annotated[str, typer.Option(help="Why, for everyone to read; name no person.")],
    kid: Annotated[list[str] | None, typer.Option(help="A key id; may be given several times.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every key that is still valid.")] = False,
    keys: Annotated[
        Path | None, typer.Option(dir_okay=False, exists=True, help="Its key file, to be given new keys at once.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long new keys are valid.")] = 365,
    passphrase_file: PassphraseFile = None,
    agency_passphrase_file: AgencyPassphraseFile = None,
) -> None:
    """Take keys away from now on: what they sign later counts for nothing, what they signed before stands.

    This writes the federation's trust.json and tells nobody: until `ix broker trust` has taken that file to the
    broker, the keys still count there.
    """
    if bool(kid) == every:
        raise typer.BadParameter("name keys with --kid, or take --all")
    with _answering():
        passphrase = read_passphrase(passphrase_file)
        theirs = read_passphrase(agency_passphrase_file) if agency_passphrase_file else passphrase
        with locked(folder):
            directory, now = _directory(folder), _now()
            record = directory.agency(agency)
            gone = kid or [entry.kid for entry in record.keys if entry.revoked is None and now < entry.exp]
            if not gone:
                raise KeyUnknown(f"`{agency}` has no key left to revoke")
            renewed = _own(keys, agency, directory, theirs).renewed() if keys else None
            following = revoke(
                directory.fed, record, gone, _enrolment(folder, passphrase), reason=reason, now=now,
                replacement=renewed.public if renewed else None, exp=now + timedelta(days=days),
            )  # fmt: skip
            directory = directory.with_record(following, now)
            _publish(folder, directory, renewed, keys, theirs)
        typer.echo(directory.agency(agency).digest)
        _say_next(folder)


RoleKeyFile = Annotated[Path, typer.Option("--role-key", dir_okay=False, help="The role's key file, of its own.")]
OfficerPassphraseFile = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="A file whose first line is the officer's own passphrase; else you are asked."),
]


@app.command(
    "protect",
    epilog="Example: ix keys protect federation harbour.ngo.sim --role-key harbour/protection.json --officer hn-keeper",
)
def protect_agency(
    folder: Folder,
    agency: Agency,
    role_key: RoleKeyFile,
    officer: Annotated[str, typer.Option(help="The officer's id at the agency's node; one who opens identities.")],
    renew: Annotated[bool, typer.Option(help="Make another key; the old one stays to open what it opened.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the key is valid.")] = 365,
    passphrase_file: PassphraseFile = None,
    officer_passphrase_file: OfficerPassphraseFile = None,
) -> None:
    """Give an agency a role key for protected identities, which opens to this officer's passphrase alone.

    This writes the role's key file and the federation's trust.json and tells nobody: `ix broker trust` takes that file
    to the broker, and a node reads its `protection.json` when it starts.
    """
    with _answering():
        passphrase = read_passphrase(passphrase_file)
        own = _officers(officer, officer_passphrase_file, not role_key.exists())
        with locked(folder):
            directory, now = _directory(folder), _now()
            record = directory.agency(agency)
            role, public = _role(role_key, record, officer, own, renew)
            role_key.parent.mkdir(parents=True, exist_ok=True)
            replace_file(role_key, role.to_bytes())  # first: a key in the directory that nobody has would be of no use
            following = protect(
                directory.fed, record, public, _enrolment(folder, passphrase), now=now, exp=now + timedelta(days=days)
            )
            directory = directory.with_record(following, now)
            replace_file(folder / TRUST, directory.to_bytes(), 0o644)
        typer.echo(directory.agency(agency).digest)
        _say_next(folder)


@app.command("admit", epilog="Example: ix keys admit harbour/protection.json --officer hn-second --by hn-keeper")
def admit_officer(
    role_key: Annotated[Path, typer.Argument(dir_okay=False, exists=True, help="The role's key file, replaced.")],
    officer: Annotated[str, typer.Option(help="Who is to open identities from now on.")],
    by: Annotated[str, typer.Option(help="Who already does, and is here.")],
    officer_passphrase_file: OfficerPassphraseFile = None,
    by_passphrase_file: OfficerPassphraseFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the officer's lock away instead.")] = False,
) -> None:
    """Let another officer open what a role key opens, in the presence of one who does; or no longer."""
    with _answering(), locked(role_key.parent):
        role = RoleKey.from_bytes(read_private(role_key))
        present = _officers(by, by_passphrase_file, False)
        if remove:
            role.unlock(by, present)
            changed = role.without(officer)
        else:
            phrase = _officers(officer, officer_passphrase_file, True)
            changed = role.admit(officer, phrase, by=by, by_passphrase=present)
        replace_file(role_key, changed.to_bytes())
        typer.echo("\n".join(changed.officers))


def _role(path: Path, record: AgencyRecord, officer: str, phrase: str, renew: bool) -> tuple[RoleKey, SealingKey]:
    """The role key to publish: a new one, or one whose publishing was cut off before."""
    if not path.exists():
        return RoleKey.generate(record.agency, {officer: phrase})
    role = RoleKey.from_bytes(read_private(path))
    if role.agency != record.agency:
        raise RecordRefused(f"the role key is `{role.agency}`'s, not `{record.agency}`'s")
    newest = role.unlock(officer, phrase)[0].public
    if newest.kid not in {entry.kid for entry in record.keys}:
        return role, newest
    if not renew:
        raise RecordRefused("this role key is in the agency's record already; say --renew to make another")
    return role.renewed(officer, phrase)


def _officers(officer: str, file: Path | None, new: bool) -> str:
    """An officer's own passphrase: never the federation's, and never from the environment."""
    if file is not None:
        return read_passphrase(file)
    return str(typer.prompt(f"Passphrase of {plain(officer)}", hide_input=True, confirmation_prompt=new, err=True))


@app.command("show", epilog="Example: ix keys show federation --json")
def show(
    folder: Folder,
    at: Annotated[str | None, typer.Option(help="Judge validity at this instant, 2026-11-21T16:20:00Z.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show the federation's root and every agency's keys, verified from the pinned id up."""
    with _answering():
        directory = _directory(folder)
        when = instant(at) if at else _now()
        if as_json:
            typer.echo(json.dumps(describe(directory, when), ensure_ascii=False, indent=2))
        else:
            _print(directory, when)


def describe(directory: Directory, at: datetime) -> dict[str, Any]:
    """The directory as ``show --json`` prints it: public values only, each key with its state at ``at``."""
    root = directory.root
    return {
        "fed": directory.fed,
        "name": root.name,
        "root": {"version": root.version, "threshold": root.threshold, "keys": len(root.root_keys),
                 "expires": stamp(root.expires)},
        "broker": root.broker.id,
        "log": root.log.origin,
        "at": stamp(at),
        "agencies": [_agency(record, at) for record in directory.agencies()],
    }  # fmt: skip


def _agency(record: AgencyRecord, at: datetime) -> dict[str, Any]:
    keys = [
        {"use": key.use, "alg": key.alg, "kid": key.kid, "state": _state(key, at), "nbf": stamp(key.nbf),
         "exp": stamp(key.exp), **({"reason": key.reason} if key.reason else {})}
        for key in record.keys
    ]  # fmt: skip
    return {"agency": record.agency, "name": record.name, "roles": list(record.roles), "territory": record.territory,
            "ceiling": record.ceiling, "version": record.version, "record": record.digest, "keys": keys}  # fmt: skip


def _state(key: KeyEntry, at: datetime) -> str:
    if key.revoked is not None and at >= key.revoked:
        return "revoked"
    if at < key.nbf:
        return "not yet"
    return "valid" if at < key.exp else "expired"


def _print(directory: Directory, at: datetime) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    root = directory.root
    title = f"{root.name}: root {root.version}, {root.threshold} of {len(root.root_keys)}, until {stamp(root.expires)}"
    table = Table(title=escape(title), caption=f"fed {directory.fed}\nSIMULATION - synthetic data only")
    for column in ("agency", "use", "key", "state", "until"):
        table.add_column(column, overflow="fold")
    for record in directory.agencies():
        about = [record.name, ", ".join(record.roles), f"{record.territory}, up to {record.ceiling}"]
        lines = [f"{record.agency}, record {record.version}", *about, *[""] * len(record.keys)]
        for line, key in zip(lines, record.keys, strict=False):
            until = stamp(key.revoked or key.exp)[:10]
            table.add_row(escape(line), f"{key.use} {key.alg[:9]}", key.kid[:8], _state(key, at), until)
        table.add_section()
    Console().print(table)


def plain(text: str) -> str:
    """Text of others for a terminal: whatever is not printable gives way, for it could steer the terminal (CLI-8)."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def read_passphrase(file: Path | None, *, new: bool = False) -> str:
    """Get a passphrase: the first line of a file, else ``IX_PASSPHRASE``, else by asking (twice if ``new``)."""
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise typer.BadParameter(f"the passphrase file `{file}` cannot be read") from None
        if not lines or not lines[0]:
            raise typer.BadParameter(f"the passphrase file `{file}` is empty")
        return lines[0]
    known = os.environ.get("IX_PASSPHRASE")
    return known or str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


@contextmanager
def _answering() -> Iterator[None]:
    """A refusal is printed and ends the command with 1; so does a file that cannot be had."""
    try:
        yield
    except Refusal as refusal:
        typer.echo(f"{refusal.code}: {refusal.sentence}", err=True)
        raise typer.Exit(1) from None
    except OSError as wrong:
        typer.echo(f"file: {wrong.strerror}: `{wrong.filename}`", err=True)
        raise typer.Exit(1) from None


def _say_next(folder: Path) -> None:
    typer.echo(f"the broker does not know yet: ix broker trust <broker home> {folder / TRUST}", err=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _directory(folder: Path) -> Directory:
    fed = (folder / FEDERATION_ID).read_text(encoding="ascii").strip()
    return Directory.from_bytes((folder / TRUST).read_bytes(), fed=fed, now=_now())


def _enrolment(folder: Path, passphrase: str) -> Signer:
    return Authority.load(folder / ENROLMENT, passphrase).signers[0]


def _next(keys: Path) -> Path:
    return keys.with_name(f"{keys.name}.next")


def _publish(folder: Path, directory: Directory, renewed: Identity | None, keys: Path | None, passphrase: str) -> None:
    """Write the new keys beside the old, then the record, then swap: whatever dies between, ``_own`` mends."""
    if renewed and keys:
        renewed.save(_next(keys), passphrase)
    replace_file(folder / TRUST, directory.to_bytes(), 0o644)
    if renewed and keys:
        _next(keys).replace(keys)


def _own(keys: Path, agency: str, directory: Directory, passphrase: str) -> Identity:
    """Read an agency's key file, first finishing or dropping a change that was interrupted."""
    waiting = _next(keys)
    if waiting.exists():
        listed = {entry.kid for entry in directory.agency(agency).keys}
        if Identity.load(waiting, passphrase).opening.public.kid in listed:
            waiting.replace(keys)
        else:
            waiting.unlink()
    identity = Identity.load(keys, passphrase)
    if identity.agency != agency:
        raise RecordRefused(f"the key file is `{identity.agency}`'s, not `{agency}`'s")
    return identity
