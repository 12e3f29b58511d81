"""``ix node``: make an agency's node, serve it, check its ledger (CLI; `spec/nodes.md`, NODE-1 to NODE-3).

A node's home holds ``node.json`` (settings), ``keys.json`` (encrypted), ``trust.json``, ``profile.json``
(officers) and ``node.db`` (the books). Exit codes: 0 done; 1 refused, with one sentence on standard error;
2 the command was misused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keys.commands import FEDERATION_ID, TRUST, PassphraseFile, read_passphrase
from keys.encoding import b64u
from keys.errors import Refusal
from keys.vault import fresh

if TYPE_CHECKING:
    from agencies.node.settings import Settings

app = typer.Typer(
    name="node",
    help="An agency's own post room: it holds the keys, the books and the officers' way in. Its ledger is taken out "
    "here to be checked, and old months' keys are destroyed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Home = Annotated[Path, typer.Argument(help="The node's home folder.", file_okay=False)]


@app.command(
    "init",
    epilog="Example: ix node init federation north-home --keys north/keys.json --broker http://127.0.0.1:8400 "
    "--officer np-duty-1:officer --officer np-audit:auditor",
)
def init(
    federation: Annotated[Path, typer.Argument(help="The federation's folder, made by `ix keys init`.", exists=True)],
    home: Home,
    keys: Annotated[Path, typer.Option(help="The agency's key file, made by `ix keys enrol`.", exists=True)],
    broker: Annotated[str, typer.Option(help="The broker's address.")],
    officer: Annotated[list[str], typer.Option(help="`id:role[,role]`; roles: officer, release_officer, auditor.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a node's home. Each officer's passphrase is drawn here and printed once."""
    from agencies.node.profile import new_officer, new_profile
    from agencies.node.settings import new_witness, write_home
    from keys.keystore import Identity

    if home.exists() and any(home.iterdir()):
        raise typer.BadParameter(f"`{home}` is not empty: a node begins in a folder of its own")
    with answering():
        passphrase = read_passphrase(passphrase_file)
        agency = Identity.load(keys, passphrase).agency
        drawn = {one.partition(":")[0]: b64u(fresh(18)) for one in officer}
        officers = [new_officer(n, drawn[n], r.split(",")) for n, _, r in (one.partition(":") for one in officer)]
        fed = (federation / FEDERATION_ID).read_text(encoding="ascii").strip()
        trust = (federation / TRUST).read_bytes()
        write_home(home, fed=fed, broker=broker, trust=trust, profile=new_profile(agency, officers))
        shutil.copyfile(keys, home / "keys.json")
        (home / "keys.json").chmod(0o600)
        new_witness(home, agency, passphrase)
    for name, passphrase in drawn.items():
        typer.echo(f"{name} {passphrase}")


@app.command("serve", epilog="Example: ix node serve north-home --port 8401")
def serve(
    home: Home,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8401,
    unsafe_open_wire: Annotated[
        bool, typer.Option(help="Allow plain HTTP beyond this machine, as inside a container network.")
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Serve a node's home over HTTP until told to stop (SIGTERM or Ctrl-C)."""
    from agencies.node.settings import LOOPBACK

    with answering():
        settings = _settings(home, passphrase_file, unsafe_open_wire=unsafe_open_wire)
        if host not in LOOPBACK and not settings.unsafe_open_wire:
            raise ValueError(f"on `{host}` officers' tokens would travel in the clear: see --unsafe-open-wire")
        if settings.unsafe_open_wire:
            typer.echo("unsafe: plain HTTP beyond this machine is allowed", err=True)
        _serve(settings, host, port)


@app.command("check", epilog="Example: ix node check north-home")
def check(home: Home, passphrase_file: PassphraseFile = None) -> None:
    """Verify the ledger: seals, numbers, and every head signed over it, with no broker running."""
    from agencies.node.app import build_node

    with answering(), closing(build_node(_settings(home, passphrase_file, unsafe_open_wire=True))) as node:
        number, root = node.verify_ledger()
    typer.echo(f"{number} acts hold; the root over them is {root}")


@app.command("witness", epilog="Example: ix node witness north-home --url https://north.example/witness")
def show_witness(
    home: Home,
    url: Annotated[str, typer.Option(help="The prefix under which this node witnesses, for whoever asks it.")] = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Print the lines by which a policy names this node as a witness; makes its keys where it has none yet."""
    from agencies.node.settings import new_witness

    with answering():
        settings = _settings(home, passphrase_file, unsafe_open_wire=True)
        agency = settings.identity.agency
        cosigner = settings.witness or new_witness(home, agency, read_passphrase(passphrase_file))
    name = agency.removesuffix(".sim")
    for kind, key in zip(("ed25519", "mldsa44"), cosigner.keys, strict=True):
        typer.echo(" ".join(filter(None, ["witness", f"{name}-{kind}", str(key), url])))
    typer.echo(f"group {name} all {name}-ed25519 {name}-mldsa44")


def _settings(home: Path, passphrase_file: Path | None, *, unsafe_open_wire: bool) -> Settings:
    from agencies.node.settings import FILE, Settings

    if not (home / FILE).exists():
        raise ValueError(f"`{home}` is no node's home: it has no `{FILE}`; make one with: ix node init")
    return Settings.from_home(home, read_passphrase(passphrase_file), unsafe_open_wire=unsafe_open_wire)


def _serve(settings: Settings, host: str, port: int) -> None:
    import uvicorn

    from agencies.node.app import create_app
    from exchange import serving

    with serving.taken(host, port) as sockets:
        served = create_app(settings)
        serving.settle_memory()
        config = uvicorn.Config(
            served, host=host, port=port, access_log=False, log_level="warning", server_header=False,
            ws="none", timeout_graceful_shutdown=5,
        )  # fmt: skip
        serving.Server(config).run(sockets)


@contextmanager
def answering() -> Iterator[None]:
    """What keeps a command from doing its work is one sentence and exit code 1."""
    try:
        yield
    except Refusal as refusal:
        said = f"{refusal.code}: {refusal.sentence}"
    except ValueError as wrong:
        said = str(wrong)
    except OSError as wrong:
        said = f"`{wrong.filename}`: {wrong.strerror}" if wrong.filename else str(wrong.strerror or wrong)
    else:
        return
    typer.echo(said, err=True)
    raise typer.Exit(1)
