"""``ix demo``: the story on real processes over real HTTP, told to people or printed as one JSON document.

Everything the story needs is made here and now, and every step asserts what it tells. What is left
afterwards is evidence that needs none of this code to have been right: ``ix audit verify`` reads it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from exercises.books import BOOKS
from exercises.scene import BORDER, SOUTH, Scene, Step
from exercises.stage import CAST, Stage
from exercises.story import STEPS

BANNER = "SIMULATION - synthetic data only - no real agency, person or case"


@dataclass(slots=True)
class Played:
    """What became of one step."""

    name: str
    ok: bool
    ms: int
    title: str
    detail: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The step as the JSON document has it; ``problem`` only where there is one."""
        members = asdict(self)
        if not self.problem:
            del members["problem"]
        return members


def run(stage: Stage, console: Console, *, pause: bool = False) -> dict[str, Any]:
    """Play the story up to its end, or to the first step that fails; the document of ``--json``."""
    began, played = time.perf_counter(), []
    console.print(Panel(Text(BANNER, justify="center"), style="black on yellow"))
    start = _timed(
        Step("start", "Keys are made, and a broker and the nodes start", lambda s: _start(s, console)), stage
    )
    played.append(start[0])
    if start[0].ok:
        for number, step in enumerate(STEPS, 1):
            if step.chapter:
                console.rule(f"[bold]{step.chapter}[/]", style="dim")
            result, scene = _timed(step, stage)
            played.append(result)
            _tell(console, number, result, scene)
            if not result.ok:
                break
            if pause:
                console.input("[dim]Enter to go on[/] ")
    else:
        _tell(console, 0, *start)
    if stage.evidence.is_dir():
        stage.keep_evidence("transcripts.json", stage.transcript)
    document = {
        "simulation": True,
        "ok": all(one.ok for one in played) and len(played) == 1 + len(STEPS),
        "ms": round(1000 * (time.perf_counter() - began)),
        "steps": [one.to_json() for one in played],
        "evidence": _evidence(stage, played),
    }
    if stage.evidence.is_dir():
        stage.keep_evidence("demo.json", document)
    _end(console, document)
    return document


def _start(stage: Stage, console: Console) -> Scene:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("root ceremony, enrolment, keys", total=2 + len(CAST))
        stage.found()
        progress.advance(task)
        progress.update(task, description="the broker and the nodes are starting")

        def tell(child: Any) -> None:
            progress.update(task, advance=1, description=f"{child.name} is ready")

        stage.start(tell)
    started = {name: child.process.pid for name, child in stage.processes.children.items()}
    return Scene((), facts={"processes": started, "fed": stage.federation.fed})


def _timed(step: Step, stage: Stage) -> tuple[Played, Scene]:
    began = time.perf_counter()
    scene, problem = Scene(()), ""
    try:
        scene = step.play(stage)
    except Exception as wrong:  # noqa: BLE001  # whatever it is, the step did not do what the story says
        problem = f"{type(wrong).__name__}: {wrong}"
    ms = round(1000 * (time.perf_counter() - began))
    return Played(step.name, not problem, ms, step.title, scene.facts, problem), scene


def _tell(console: Console, number: int, result: Played, scene: Scene) -> None:
    lines: list[Any] = [_listed(scene.said)] if scene.said else []
    if scene.sees:
        table = Table("who", "sees", box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for who, what in scene.sees.items():
            table.add_row(Text(who, style="cyan"), Text.from_markup(_highlighted(what)))
        lines += [Text(), table]
    if result.problem:
        lines.append(Text(result.problem, style="bold red"))
    mark = "[green]as told[/]" if result.ok else "[bold red]NOT as told[/]"
    title = f"[bold]{number}  {result.title}[/]"
    console.print(
        Panel(Group(*lines), title=title, subtitle=f"{mark} in {result.ms} ms", title_align="left", padding=(1, 2))
    )


def _listed(sentences: tuple[str, ...]) -> Table:
    listed = Table.grid(padding=(0, 1, 0, 0))
    for sentence in sentences:
        listed.add_row("[dim]-[/]", Text.from_markup(_highlighted(sentence)))
    return listed


def _highlighted(sentence: str) -> str:
    parts = escape(sentence).split("`")
    return "".join(f"[bold magenta]{part}[/]" if place % 2 else part for place, part in enumerate(parts))


def _federations(played: list[Played]) -> dict[str, str]:
    """The federations' ids by step, of the steps that say one: some are played in a federation of their own."""
    return {one.name: one.detail["fed"] for one in played if "fed" in one.detail}


def _evidence(stage: Stage, played: list[Played]) -> dict[str, Any]:
    if not stage.evidence.is_dir():
        return {"folder": str(stage.out)}
    files = sorted(p.relative_to(stage.evidence).as_posix() for p in stage.evidence.rglob("*") if p.is_file())
    export, books = stage.evidence / "export", stage.evidence / BOOKS
    ledgers = " ".join(f"--ledger {books / agency}" for agency in (SOUTH, BORDER))
    forked, other = stage.evidence / "lies" / "two-logs.json", _federations(played).get("two_logs", "")
    return {
        "folder": str(stage.evidence),
        "fed": stage.federation.fed,
        "verify": f"ix audit verify {export} --fed={stage.federation.fed}",
        "tampered": f"ix audit verify {stage.evidence / 'tampered' / 'export'} --fed={stage.federation.fed}",
        "reconcile": f"ix audit reconcile {books / 'log'} --fed={stage.federation.fed} --grace 0 {ledgers}",
        "shredded": _shredded(stage, played),
        "two_logs": f"ix audit evidence {forked} --fed={other}",
        "files": [name for name in files if "/tile/" not in name],
    }


def _shredded(stage: Stage, played: list[Played]) -> str:
    """How to check the books of a world whose clock is ahead of the reader's."""
    folder, facts = stage.evidence / "shredded", next((one.detail for one in played if one.name == "shredding"), {})
    ledgers = " ".join(f"--ledger {one}" for one in sorted(folder.glob("*.sim")))
    return f"ix audit reconcile {folder / 'log'} --fed={facts.get('fed', '')} --at {facts.get('at', '')} {ledgers}"


def _end(console: Console, document: dict[str, Any]) -> None:
    evidence = document["evidence"]
    if not document["ok"]:
        console.print(f"[bold red]The story did not go as told.[/] Logs and evidence: {escape(evidence['folder'])}")
        return
    lines = (
        f"{len(STEPS)} steps, each as told, in {document['ms'] / 1000:.1f} s.",
        "The exported log and ledgers; proofs, receipts, lies; what the tools said, every process's own log:",
        f"[bold]{escape(evidence['folder'])}[/]",
    )
    console.print(Panel(Group(*map(Text.from_markup, lines)), title="The evidence", title_align="left", padding=(1, 2)))
    console.print("Verify it yourself, with nothing running; then the edited log; then two ledgers against the log;")
    console.print("then what convicts the broker with two faces, by the id of that step's own federation:", end="\n\n")
    for name in ("verify", "tampered", "reconcile", "two_logs"):
        console.print(Text(f"  {_here(evidence[name])}", style="bold"), soft_wrap=True)


def _here(command: str) -> str:
    """A command as it can be typed in this terminal, where `ix` may not be on the path."""
    beside = Path(sys.executable).with_name("ix")
    if which("ix") or not beside.is_file():
        return command
    place = beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside
    return command.replace("ix", str(place), 1)
