"""What time does, played in one process: running processes have no clock that a story could move.

It is the same code: nodes, broker, store, keys, agreements. Only the sockets and the clock are the world's. It has a
federation of its own, with two police forces and a border guard, under the clauses of the task force.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final, TypeVar

from agencies.profiles import load_terms
from exercises.refuge import UNKNOWN
from exercises.scene import BORDER, NORTH, SOUTH, Scene, expect
from exercises.script import claimant, hit, question_about
from exercises.stage import TASK_FORCE, Stage
from exercises.world import WHY, World, WorldNode
from keys.encoding import read_json, unb64u

PARTIES: Final = (NORTH, SOUTH, BORDER)
LIMIT: Final = 1024 * 1024
W = TypeVar("W", bound=World)


def let_time_pass(stage: Stage) -> Scene:
    """Four hours, three days, half a year: the answers leave, the silence is overdue, the content goes."""
    with in_one_process(stage, "hourglass", World) as world:
        answers = _four_hours(world)
        overdue = _three_days(world)
        warned, ended = _half_a_year(world)
        audit = world.audit()
        expect(audit.clean, f"this world's audit should be clean: {audit.findings}")
        entries = audit.report.checkpoint.end if audit.report.checkpoint else 0
    said = (
        "Running processes cannot be given another clock. This is played in one process, by the same code.",
        "Four hours: the North asked about two persons, and to the last second it has heard nothing.",
        f"Then both answers come, {answers['bytes']} sealed bytes each, with the same words: `{answers['public']}`.",
        f"Three days: a recall that nobody answered is listed as overdue: {overdue}.",
        f"Half a year: clause `hit` ends after 180 days. On day {warned} a warning stands in the ledger.",
        f"On day {ended} the content is gone without anybody's doing, and the originator has a signed act of it.",
        f"This world's log is audited like any other: {entries} entries, clean.",
    )
    facts = {"answers": answers, "overdue": overdue, "warned_on_day": warned, "erased_on_day": ended}
    return Scene(said, facts={**facts, "in_one_process": True, "entries": entries})


@contextmanager
def in_one_process(stage: Stage, name: str, kind: type[W]) -> Iterator[W]:
    """A small federation in one process, with what its parts say written into a log of its own."""
    home = stage.home / name
    home.mkdir(parents=True)
    log = stage.evidence / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as said,
        redirect_stdout(said),
        redirect_stderr(said),
        kind(home, PARTIES, agreements=(), start=stage.now()) as world,
    ):
        world.agreements[TASK_FORCE] = world.agree({**load_terms()[TASK_FORCE], "parties": list(PARTIES)})
        yield world


def _four_hours(world: World) -> dict[str, Any]:
    north, south = world.node(NORTH), world.node(SOUTH)
    south.service.protection.claim(claimant(), ["XN"], south.officer("protection_officer"), WHY)
    asked = []
    for names, reference, ground in (
        (claimant()["names"], "XN-2026/0901", "asylum_confidentiality"),
        (UNKNOWN, "XN-2026/0902", "not_available"),
    ):
        sent = north.send(question_about(names, reference), SOUTH)
        south.collect()
        south.service.answering.refuse(sent.msg or "", ground, "for the auditor alone", south.officer(), WHY)
        asked.append(sent.msg)
    world.clock.advance(hours=4, seconds=-1)
    world.settle()
    expect(not north.inbox(), "nothing should be heard before the hour")
    world.clock.advance(seconds=1)
    world.settle()
    came = {one["re"]: one["msg"] for one in north.service.inbox()}
    expect(set(came) == set(asked), "both should be answered at the hour")
    opened = [north.open(came[name]) for name in asked]
    alike = [{**one, "case": None} for one in opened]
    expect(alike[0] == alike[1], "both answers should say the same")
    sizes = {_sealed_bytes(north, message) for message in came.values()}
    expect(len(sizes) == 1, f"both answers should be of one size: {sizes}")
    return {"public": opened[0]["refusal"]["ground"], "bytes": sizes.pop(), "alike": True}


def _sealed_bytes(node: WorldNode, message: str) -> int:
    """How long the sealed body of a message is, as whoever watches the line sees it."""
    with node.store.reading() as books:
        (row,) = books.inbox_of([message])
    return len(unb64u(read_json(row.parcel or b"", limit=LIMIT)["body"]))


def _three_days(world: World) -> str:
    """A recall that nobody answers: who is silent, once that is too long."""
    border = world.node(BORDER)
    sent = border.send(hit(), SOUTH)
    world.settle()
    given = border.service.recalls.give(
        "recall", sent.msg or "", border.officer("release_officer"), WHY, ground="inaccurate"
    )
    expect(given.state == "sent", f"the recall should be in the log, not {given.state}")
    world.settle()
    world.clock.advance(hours=72)
    expect(_silent(border, sent.msg or "") == (True, False), "72 hours should not be too long")
    world.clock.advance(seconds=1)
    expect(_silent(border, sent.msg or "") == (True, True), "and a second more should be")
    (listed,) = border.service.whereabouts.listed()
    expect(listed["overdue"] == [SOUTH], f"the originator's list should say so: {listed['overdue']}")
    return SOUTH


def _silent(border: WorldNode, message: str) -> tuple[bool, bool]:
    border.service.following.read_on()
    (holder,) = border.service.whereabouts.of(message)["holders"]
    return holder["silent_since"] is not None, holder["overdue"]


def _half_a_year(world: World) -> tuple[int, int]:
    """A message that nobody touches: the day of its warning and the day of its end, of which its sender is told."""
    border, south = world.node(BORDER), world.node(SOUTH)
    again = {**hit(), "case": {"reference": "XB-2026/0099"}}
    sent = border.send(again, SOUTH)
    world.settle()
    warned = ended = 0
    for day in range(1, 190):
        world.clock.advance(days=1)
        swept = south.service.sweep()
        warned = warned or (day if sent.msg in swept.warned else 0)
        if (sent.msg, "retention") in swept.erased:
            ended = day
            break
    expect(0 < warned < ended, f"it should be warned of and then end: day {warned}, day {ended}")
    world.settle()
    told = [deed for deed in border.service.acts.about(sent.msg or "") if deed.kind == "erased" and deed.way == "in"]
    expect([deed.by for deed in told] == [SOUTH], "the originator should have been told by a signed act")
    return warned, ended
