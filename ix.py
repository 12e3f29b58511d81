"""The one command, ``ix``: every room's own small app, joined (`spec/cli.md`).

Heavy imports stay inside the commands that need them, so that ``ix --help`` is quick.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from agencies.commands import app as parties
from agencies.commands_acts import app as acts
from agencies.commands_agreements import app as agreements
from agencies.commands_auditing import app as auditor
from agencies.commands_cases import app as cases
from agencies.commands_held import app as held
from agencies.commands_ledger import app as ledger
from agencies.node.commands import app as node
from exchange.broker.commands import app as broker
from exchange.commands_agreement import app as agreement
from exchange.commands_audit import app as audit
from exchange.commands_offline import app as offline
from exercises.commands import app as exercises
from exercises.commands import federation
from keys.commands import app as keys

app = typer.Typer(
    name="ix",
    help="A simulated inter-agency exchange: sealed case messages, agreements that decide, a log anybody can check. "
    "SIMULATION - synthetic data only.",
    epilog="Start with: ix demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for room in (exercises, parties, acts, held, cases, offline):  # rooms whose commands stand at the top
    app.registered_commands.extend(room.registered_commands)
node.registered_commands.extend(ledger.registered_commands)
app.add_typer(keys, name="keys")
app.add_typer(federation, name="federation")
app.add_typer(agreement, name="agreement")
app.add_typer(agreements, name="agreements")
app.add_typer(auditor, name="auditor")
app.add_typer(broker, name="broker")
app.add_typer(node, name="node")
app.add_typer(audit, name="audit")


def _version(asked: bool) -> None:
    if not asked:
        return
    try:
        which = version("ix-exchange")
    except PackageNotFoundError:  # run from its source tree
        project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))
        which = project["project"]["version"]
    typer.echo(f"ix {which}")
    raise typer.Exit


@app.callback()
def ix(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which ix.")] = False,
) -> None:
    """Only what stands before every command; what ``ix`` is says the app itself."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
