"""``ix broker``: make a broker's home, serve it, check its books, take up newer trust, drop what has expired.

Exit codes: 0 done; 1 the broker would not start or the books do not agree, with one sentence on standard
error that says why; 2 the command was misused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keys.commands import BROKER, FEDERATION_ID, TRUST, PassphraseFile, read_passphrase
from keys.encoding import write_json
from keys.errors import Refusal

if TYPE_CHECKING:
    from exchange.broker.settings import Settings

app = typer.Typer(
    name="broker",
    help="The post office: it judges, logs and delivers what it cannot open.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")

Home = Annotated[Path, typer.Argument(help="The broker's home folder.", file_okay=False)]


@app.command("init", epilog="Example: ix broker init federation broker-home")
def init(
    federation: Annotated[Path, typer.Argument(help="The federation's folder, made by `ix keys init`.", exists=True)],
    home: Home,
    authority: Annotated[list[str] | None, typer.Option(help="A name, with its port, it is called under.")] = None,
) -> None:
    """Make a broker's home from a federation's folder: settings, keys and trust, and no books yet."""
    if home.exists() and any(home.iterdir()):
        raise typer.BadParameter(f"`{home}` is not empty: a broker begins in a folder of its own")
    with _answering():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        fed = (federation / FEDERATION_ID).read_text(encoding="ascii").strip()
        shutil.copyfile(federation / BROKER, home / "keys.json")
        (home / "keys.json").chmod(0o600)
        shutil.copyfile(federation / TRUST, home / "trust.json")
        told = {"fed": fed, **({"authorities": authority} if authority else {})}
        (home / "broker.json").write_bytes(write_json(told) + b"\n")
    typer.echo(f"made `{home}`; start it with: ix broker serve {home}")


@app.command("serve", epilog="Example: ix broker serve broker-home --port 8400")
def serve(
    home: Home,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8400,
    authority: Annotated[
        list[str] | None, typer.Option(help="A further name, with its port, under which it is called.")
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Serve a broker's home over HTTP until told to stop (SIGTERM or Ctrl-C)."""
    names = set(authority or ())
    if host in (*LOOPBACK, "::1"):
        names |= {f"{name}:{port}" for name in LOOPBACK}
    with _answering():
        settings = _settings(home, passphrase_file, names)
        if settings.authorities is None:
            raise ValueError(
                f"listening on `{host}`, name the host it is called under: --authority broker.example:{port}"
            )
        _serve(settings, host, port)


@app.command("check", epilog="Example: ix broker check broker-home")
def check(home: Home, passphrase_file: PassphraseFile = None) -> None:
    """Hash every entry and every tile again and compare with the signed head."""
    from exchange.broker.app import system_clock
    from exchange.broker.books_check import check_books
    from exchange.broker.store import Store
    from keys.trust import Directory

    with _answering():
        settings = _settings(home, passphrase_file, set())
        trust = Directory.from_bytes(settings.trust, fed=settings.fed, now=system_clock())
        store = Store(settings.database)
        try:
            head = check_books(store, trust.root.log, every_entry=True)
        finally:
            store.close()
    typer.echo(f"{head.size} entries, tiles, head and checkpoint agree")


@app.command("purge", epilog="Example: ix broker purge broker-home")
def purge(home: Home, passphrase_file: PassphraseFile = None) -> None:
    """Drop the sealed bodies of expired messages. The log keeps their entries."""
    from exchange.broker.app import open_broker, system_clock
    from exchange.broker.meters import Meters

    with _answering():
        broker = open_broker(_settings(home, passphrase_file, set()), system_clock, Meters())
        try:
            gone = broker.purge()
        finally:
            broker.close()
    typer.echo(f"{gone} sealed bodies dropped")


@app.command("trust", epilog="Example: ix broker trust broker-home federation/trust.json")
def trust(
    home: Home,
    file: Annotated[Path, typer.Argument(help="The newer directory: roots and records.", exists=True, dir_okay=False)],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Take up the roots and records of a newer directory and log them, also while the broker serves this home."""
    from exchange.broker.app import open_broker, system_clock
    from exchange.broker.meters import Meters

    with _answering():
        settings = replace(_settings(home, passphrase_file, set()), trust=file.read_bytes())
        broker = open_broker(settings, system_clock, Meters())
        try:
            held = broker.directory
        finally:
            broker.close()
    typer.echo(f"the books hold root version {held.root.version} and {len(held.records())} records")


def _settings(home: Path, passphrase_file: Path | None, authorities: set[str]) -> Settings:
    from exchange.broker.app import system_clock
    from exchange.broker.settings import Settings

    passphrase = read_passphrase(passphrase_file)
    return Settings.from_home(home, passphrase, system_clock(), authorities=frozenset(authorities))


def _serve(settings: Settings, host: str, port: int) -> None:
    import uvicorn

    from exchange import serving
    from exchange.broker.app import create_app

    class Server(serving.Server):
        """Lets go of long polls when told to stop, so that stopping does not wait for them."""

        def handle_exit(self, sig: int, frame: object) -> None:
            served.state.broker.hush()
            super().handle_exit(sig, frame)  # type: ignore[arg-type]  # the frame is passed through

    with serving.taken(host, port) as sockets:
        served = create_app(settings)
        serving.settle_memory()
        # No access log, no date and server fields: each costs more than deciding a message.
        config = uvicorn.Config(
            served, host=host, port=port, access_log=False, log_level="warning", server_header=False, date_header=False,
            proxy_headers=False, ws="none", timeout_keep_alive=75, timeout_graceful_shutdown=5, backlog=2048,
        )  # fmt: skip
        Server(config).run(sockets)


@contextmanager
def _answering() -> Iterator[None]:
    """What keeps a command from doing its work is one sentence and exit code 1."""
    from exchange.broker.store import BooksDamaged, unreadable

    try:
        yield
    except Refusal as refusal:
        said = f"{refusal.code}: {refusal.sentence}"
    except (BooksDamaged, ValueError) as wrong:
        said = str(wrong)
    except OSError as wrong:
        said = f"`{wrong.filename}`: {wrong.strerror}" if wrong.filename else str(wrong.strerror or wrong)
    except Exception as wrong:
        if not unreadable(wrong):
            raise
        cause = getattr(wrong, "orig", None) or wrong
        said = f"the books cannot be read or written ({cause}): see to the disk and its free space, and start again"
    else:
        return
    typer.echo(said, err=True)
    raise typer.Exit(1)
