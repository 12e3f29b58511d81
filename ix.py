"""The one command, ``ix``: every room's own small app, joined (`spec/cli.md`).

Heavy imports stay inside the commands that need them, so that ``ix --help`` is quick.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final

import typer

from agencies.commands import app as parties
from agencies.commands_acts import app as acts
from agencies.commands_agreements import app as agreements
from agencies.commands_auditing import app as auditor
from agencies.commands_cases import app as cases
from agencies.commands_held import app as held
from agencies.commands_ledger import app as ledger
from agencies.commands_periods import app as periods
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
# What stands at the top is sorted by who works with it; the groups stand beside the commands they belong to.
_PLAY: Final = "See it run"
_OFFICERS: Final = "Officers, at their agency's node"
_OTHERS: Final = "Release officers and auditors, at their agency's node"
_FILES: Final = "Anybody, with files and no server"
_OPERATE: Final = "Whoever runs it"
_ORDER: Final = (
    "send", "inbox", "case", "forward", "release", "refuse", "flags", "offence", "emergency", "holdings", "keep",
    "erase", "ask", "consent", "recall", "duties", "status",
)  # fmt: skip
"""An officer's commands in the order of the work: telling and reading, answering, keeping, and what comes after."""

for panel, rooms in ((_PLAY, [exercises]), (_OFFICERS, [parties, acts, held, cases]), (_FILES, [offline])):
    for command in [one for room in rooms for one in room.registered_commands]:  # rooms whose commands stand at the top
        command.rich_help_panel = panel
        app.registered_commands.append(command)
app.registered_commands.sort(key=lambda one: _ORDER.index(one.name) if one.name in _ORDER else -1)
node.registered_commands.extend([*ledger.registered_commands, *periods.registered_commands])
app.add_typer(federation, name="federation", rich_help_panel=_PLAY)
app.add_typer(agreements, name="agreements", rich_help_panel=_OTHERS)
app.add_typer(auditor, name="auditor", rich_help_panel=_OTHERS)
app.add_typer(agreement, name="agreement", rich_help_panel=_FILES)
app.add_typer(audit, name="audit", rich_help_panel=_FILES)
app.add_typer(keys, name="keys", rich_help_panel=_OPERATE)
app.add_typer(broker, name="broker", rich_help_panel=_OPERATE)
app.add_typer(node, name="node", rich_help_panel=_OPERATE)


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
