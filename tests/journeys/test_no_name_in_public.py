"""Nothing public names anybody: the log, the broker's books, every exported ledger and every statement, searched whole.

Everybody tells everybody everything there is, asks, answers, claims, seals and recalls; then every name of the
simulation, and every word that somebody really wrote, is looked for. The search proves itself by what is planted.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agencies.node.app import build_node
from agencies.node.service import Node
from agencies.node.settings import Settings
from exchange.commands_audit import export
from exercises import script
from exercises.demo import run
from exercises.hourglass import let_time_pass
from exercises.names import Search, names_of
from exercises.refuge import UNKNOWN
from exercises.stage import CAST, Stage
from exercises.world import SAMPLES, World, sample
from keys.encoding import b64u
from keys.errors import Refusal
from tests.agencies.node.conftest import WHY

NORTH, SOUTH, BORDER, FIU, NGO, HUB = CAST
PHRASE = "a lantern over the western pier"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which everything was told that the exercises have to tell."""
    with World(tmp_path_factory.mktemp("world"), CAST) as made:
        everybody_tells_everybody(made)
        a_victim_and_somebody_who_fled(made)
        asks_recalls_and_notices(made)
        made.settle()
        yield made


def everybody_tells_everybody(world: World) -> None:
    """Every invented case from every agency to two others, whatever comes of it: permitted, denied or refused."""
    contents = [sample(path.stem) for path in sorted(SAMPLES.glob("*.json"))]
    contents += [script.reply(script.request())[0], script.victim()[0], script.hit()]
    for place, sender in enumerate(CAST):
        node = world.node(sender)
        for number, content in enumerate(contents):
            to = CAST[(place + 1 + number % 5) % 6]
            facts: dict[str, Any] = {"handling": ["H2", "H3"]} if "referral" in content else {}
            for agreement in world.agreements.values():
                with suppress(Refusal):
                    sent = node.send(content, to, agr=agreement, ruling=True, **facts)
                    if sent.state == "pending_release":
                        node.release(sent.ref)
    world.settle()
    for node in world.nodes:
        for message in node.inbox():
            with suppress(Refusal):
                node.open(message)


def a_victim_and_somebody_who_fled(world: World) -> None:
    world.protect(NGO, {o.id: PHRASE for o in world.node(NGO).officers if "protection_officer" in o.roles})
    south, north, ngo = (world.node(agency) for agency in (SOUTH, NORTH, NGO))
    content, _ = script.victim()
    part = south.service.protection.seal(script.identity(), content, [NGO], south.officer(), WHY)
    sealed = {**content, "sealed_parts": [part]}
    facts: dict[str, Any] = {"purpose": "victim_protection", "crime": "human_trafficking", "handling": ["H2", "H3"]}
    told = south.send(sealed, NGO, agr=world.agreements["victim-referral"], **facts)
    told = south.release(told.ref)
    assert told.state == "sent"
    ngo.collect()
    keeper = ngo.officer("protection_officer")
    (name,) = (one["id"] for one in ngo.open(str(told.msg))["sealed_parts"])
    assert ngo.service.protection.open(str(told.msg), name, PHRASE, keeper, WHY) == script.identity()
    south.service.protection.claim(script.claimant(), ["XN"], south.officer("protection_officer"), WHY)
    for names, reference, ground in (
        (script.claimant()["names"], "XN-2026/0901", "asylum_confidentiality"),
        (UNKNOWN, "XN-2026/0902", "not_available"),
    ):
        asked = north.send(script.question_about(names, reference), SOUTH)
        south.collect()
        south.service.answering.refuse(str(asked.msg), ground, "for the auditor alone", south.officer(), WHY)
    world.clock.advance(hours=5)


def asks_recalls_and_notices(world: World) -> None:
    border, south = world.node(BORDER), world.node(SOUTH)
    hit = border.send(script.hit(), SOUTH)
    south.collect()
    until = world.clock() + timedelta(days=9)
    ask = south.service.consents.ask(
        str(hit.msg), south.officer(), WHY, want="onward", to=[NORTH, HUB], purposes=["investigate"], until=until
    )
    border.collect()
    border.service.consents.decide(ask.digest, border.officer("release_officer"), WHY, approve=True)
    border.service.recalls.give("recall", str(hit.msg), border.officer("release_officer"), WHY, ground="inaccurate")
    for agreement in world.agreements.values():
        for kind in ("suspend", "resume"):
            world.clock.advance(minutes=1)
            south.service.give_notice(kind, agreement, south.officer("release_officer"), "an exercise in stopping")


def public(world: World, folder: Path) -> Path:
    """All that is public of a world, or that the broker or an auditor of another agency sees, in one folder."""
    with redirect_stdout(StringIO()):
        export(str(world.home), folder / "export")
    with (
        closing(sqlite3.connect(world.broker_database)) as live,
        closing(sqlite3.connect(folder / "broker.db")) as copy,
    ):
        live.backup(copy)  # all of it, and once: its write-ahead log has every page many times
    for node in world.nodes:
        exported(node.service, folder / "ledgers" / node.id)
    return folder


def exported(node: Node, folder: Path) -> None:
    """A node's ledger as it is handed to whoever is to check it."""
    node.heads.sign()  # unless the newest act is under one already
    with node.office.store.reading() as books:
        head = books.last_head()
        if head is None:  # who was told nothing has done nothing
            return
        for path, data in node.book.export(books, head.size, head.note):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


@pytest.fixture(scope="module")
def shown(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public(world, tmp_path_factory.mktemp("public"))


@pytest.fixture(scope="module")
def search(world: World) -> Search:
    return Search(names_of(world.nodes))


@pytest.mark.slow
@pytest.mark.spec("LOG-32", "NODE-48", "NODE-51", "NODE-193")
def test_nothing_public_names_anybody(world: World, shown: Path, search: Search) -> None:
    audit = world.audit()
    assert audit.report.clean, audit.report.findings
    assert {entry.entry.from_ for entry in audit.report.disclosures} >= {NORTH, SOUTH, BORDER}
    assert audit.report.denials
    assert all(list((shown / "export" / kind).iterdir()) for kind in ("agreements", "notices", "acts", "receipts"))
    ids = {officer.id for node in world.nodes for officer in node.officers if "auditor" in officer.roles}
    assert {"Zephandra", "Ostrander-Vey", "Pellinor", "SIM-BT-0921", "XN-2026/0901", "Larkspur"} <= set(
        search.names.values()
    )
    assert ids <= set(search.names.values())
    assert search.under(shown) == []


@pytest.mark.slow
def test_one_name_in_any_of_it_would_have_been_found(world: World, shown: Path, search: Search, tmp_path: Path) -> None:
    """One at a time: a case reference in an entry, an officer in an act, an alias in a statement and in the books."""
    planted = tmp_path / "planted"
    places: dict[str, tuple[str, Any]] = {
        "export/tile/entries/x": ("XN-2026/0417", lambda data: data + b'{"v":"ix/1","case":"xn-2026/0417"}'),
        f"ledgers/{SOUTH}/tile/entries/x": ("sp-duty-1", lambda data: data + b'{"by":"sp-duty-1"}'),
        "export/acts/x": (
            "Zephandra",
            lambda data: data.replace(b'"payload":"', b'"payload":"' + hidden("ZEPHANDRA"), 1),
        ),
    }
    for prefix, (name, plant) in places.items():
        source = next(p for p in sorted((shown / prefix).parent.rglob("*")) if p.is_file())
        planted.mkdir()
        (planted / "file").write_bytes(plant(source.read_bytes()))
        assert search.under(planted) == [f"file: {name}"], prefix
        shutil.rmtree(planted)
    planted.mkdir()
    shutil.copyfile(shown / "broker.db", planted / "broker.db")
    with closing(sqlite3.connect(planted / "broker.db")) as books:
        books.execute("UPDATE entry SET data = CAST(data AS TEXT) || ? WHERE seq = 3", ("Tobin Marrow",))
        books.commit()
    assert {"broker.db: Tobin", "broker.db: Marrow"} <= set(search.under(planted))


def hidden(name: str) -> bytes:
    """A name in a payload as statements have it."""
    return b'"payload":"' + b64u(b'{"note":"\\u002d ' + name.encode() + b' was seen there"}').encode()


@pytest.mark.slow
def test_what_time_does_leaves_no_name_behind(world: World, search: Search, tmp_path: Path) -> None:
    """What time does is played as the demo plays it; the books of its broker are searched like any other."""
    stage = Stage(tmp_path / "out", now=world.clock)
    let_time_pass(stage)
    folder = stage.home / "hourglass"
    for path in folder.iterdir():
        if not path.name.startswith(("broker.db", "export")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert search.under(folder) == []


@pytest.mark.slow
def test_the_demos_story_leaves_no_name_where_others_read(search: Search, tmp_path: Path) -> None:
    """The whole story on real processes: the broker's folder, the exported log, every node's exported ledger."""
    with Stage(tmp_path / "out", keep=True) as stage:
        document = run(stage, Console(file=StringIO()))
        assert document["ok"], document["steps"][-1]
        for agency in CAST:
            home = stage.home / "nodes" / agency
            secret = (home / "passphrase").read_text(encoding="utf-8").strip()
            with redirect_stderr(StringIO()), closing(build_node(Settings.from_home(home, secret))) as node:
                exported(node, tmp_path / "ledgers" / agency)
        assert len(list((tmp_path / "ledgers").iterdir())) >= len(CAST) - 1
        assert search.under(stage.home / "broker") == []
        assert search.under(stage.evidence / "export") == []
        assert search.under(tmp_path / "ledgers") == []
