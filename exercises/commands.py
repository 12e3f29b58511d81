"""``ix demo``, ``ix bench`` and ``ix federation init``: the exercises' own commands (`spec/cli.md`)."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
federation = typer.Typer(help="A whole federation, for simulation.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]


@app.command(epilog="Example: ix demo --out demo-out")
def demo(
    as_json: AsJson = False,
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="Where the evidence goes.")] = Path("demo-out"),
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the parties' homes: books and keys.")] = False,
    pause: Annotated[bool, typer.Option("--pause/--no-pause", help="Wait for Enter after each step.")] = False,
) -> None:
    """Tell the story: a broker and six agencies, each its own process, over real HTTP on this machine.

    Exit code 1 if any step did not do what the story says.
    """
    from rich.console import Console

    from exercises.demo import run
    from exercises.stage import OutInUse, Stage

    console = Console(quiet=as_json)
    try:
        with Stage(out, keep=keep) as stage:
            document = run(stage, console, pause=pause and not as_json)
    except OutInUse as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from None
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if not document["ok"]:
        raise typer.Exit(1)


@app.command(epilog="Example: ix bench > bench.json")
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A few messages of everything: does it run?")] = False,
) -> None:
    """Measure floor, broker, naive broker, sender to opened, and a day, side by side; one JSON on standard output."""
    from exercises.bench import main

    raise typer.Exit(main(["--quick"] if quick else []))


@federation.command("init", epilog="Example: ix federation init sim --port 8400")
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", file_okay=False)],
    port: Annotated[int, typer.Option(min=1, max=65000, help="The broker's port; the nodes' follow it.")] = 8400,
    host: Annotated[str, typer.Option(help="Where everybody listens.")] = "127.0.0.1",
    broker_address: Annotated[
        str, typer.Option(help="The broker's name and port as nodes call it, if not HOST:PORT.")
    ] = "",
    once: Annotated[
        bool, typer.Option("--once", help="If the folder holds a federation already, leave it be.")
    ] = False,
) -> None:
    """Make a whole simulated federation: root, broker home, and a home for every agency in the profiles.

    Says how to start them. Every passphrase is drawn at random and lies beside what it opens, mode 0600.
    """
    from agencies.profiles import load_plans
    from exercises.federation import Addresses, Federation, settle_on_disk

    if once and (folder / "federation.json").exists():
        typer.echo(f"`{folder}` holds a federation already; it is left as it is", err=True)
        return
    if folder.exists() and any(path.is_file() for path in folder.rglob("*")):  # folders may be mounted volumes
        raise typer.BadParameter(f"`{folder}` is not empty: a federation begins in a folder of its own")
    plans = load_plans()
    made = Federation.found(plans, datetime.now(UTC))
    at = Addresses(
        broker_address or f"{host}:{port}", {plan.id: f"{host}:{port + n}" for n, plan in enumerate(plans, 1)}
    )
    settle_on_disk(made, folder, at)
    typer.echo(made.fed)
    homes = [("broker", folder / "broker", port)]
    homes += [("node", folder / "nodes" / plan.id, port + n) for n, plan in enumerate(plans, 1)]
    for what, home, listens in homes:
        typer.echo(f"ix {what} serve {home} --port {listens} --passphrase-file {home}/passphrase", err=True)
