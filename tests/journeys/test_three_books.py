"""Sender, broker and recipient lie, each with the keys it has; one command names who, what and with which proof."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agencies.node.office import Office
from exchange.commands_audit import app, export
from exchange.protocol.log import LogSigner, bundle, parse_bundle, sign_checkpoint
from exchange.protocol.merkle import WIDTH, Tree, bundles, entries_path, leaf_hash, tile_path, tiles
from exchange.protocol.vocabulary import Act
from exercises.world import World, WorldNode
from keys.encoding import b64u, unb64u
from tests.agencies.node.tree import CONTENT, WHY, A, B, C, D, answer, chain, lorry_watch, recalled, told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


def a_year(world: World) -> tuple[str, str]:
    """Some of everything: told on by consent, opened, denied, keys changed, restricted, recalled and erased."""
    first, _, third = chain(world)
    for agency, message in ((B, first), (D, third)):
        world.node(agency).open(message)
    world.settle()
    world.rotate(A)
    world.node(A).open(first)
    ruled = world.node(A).draft(CONTENT, B, purpose="prosecute")
    denied = world.node(A).service.send(ruled, world.node(A).officer(), WHY, ruling=True)
    assert denied.state == "denied"
    world.node(A).send(CONTENT, B, purpose="prosecute")
    recalled(world, first)
    answer(world.node(B), "erased")
    answer(world.node(C), "erased")
    answer(world.node(D), "retained", "judicial_proceedings")
    world.settle()
    second = told(world, B, C)
    world.node(B).service.export(second, world.node(B).officer(), WHY)
    world.node(B).service.erase(second, world.node(B).officer("release_officer"), WHY)
    world.settle()
    return first, second


def handed_in(world: World, folder: Path, hours: float = 80) -> list[str]:
    """Everything as its keeper exports it, some days later; the command's arguments."""
    world.clock.advance(hours=hours)
    arguments = []
    for node in world.nodes:
        _, _, files = node.service.export_ledger(node.officer("auditor"), WHY)
        for name, data in files:
            path = folder / node.id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        arguments += ["--ledger", str(folder / node.id)]
    export(str(world.home), folder / "log")
    at = world.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    return ["reconcile", str(folder / "log"), "--fed", world.federation.fed, "--at", at, *arguments]


def run(arguments: list[str], *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments, *more])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def findings(arguments: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(arguments, "--json")[1])["findings"]
    return [one for one in found if one["severity"] == "error"]


def leaves_out(node: WorldNode, monkeypatch: pytest.MonkeyPatch, *kinds: Act) -> None:
    """Have a node not write some kinds of acts any more; its heads are signed over the rest."""
    record = Office.record

    def some(office: Office, books: Any, now: Any, *acts: Any) -> None:
        lies = office.me == node.id
        record(office, books, now, *(act for act in acts if not (lies and act.act in kinds)))

    monkeypatch.setattr(Office, "record", some)


@dataclass(frozen=True)
class Handed:
    """Honest books of one year as they were handed in, for a liar to begin with."""

    world: World
    folder: Path
    message: str
    arguments: list[str]

    def copied(self, to: Path) -> list[str]:
        """The same in another place, to be changed; the command's arguments."""
        shutil.copytree(self.folder, to)
        return [one.replace(str(self.folder), str(to)) for one in self.arguments]

    def index(self) -> int:
        """Where the log has the message."""
        held = json.loads((self.folder / A / "proofs" / f"{self.message}.json").read_text())
        assert self.message in unb64u(held["entry"]).decode()
        return int(held["proof"].split("\n")[1].removeprefix("index "))


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handed]:
    home = tmp_path_factory.mktemp("year")
    with lorry_watch(home / "world") as made:
        a_year(made)
        message = told(made, C)
        made.settle()
        yield Handed(made, home / "handed", message, handed_in(made, home / "handed"))


def rewritten(world: World, log: Path, drop: int) -> None:
    """The broker takes an entry out of its log and signs what is left, as nobody but the broker can."""
    size = int((log / "checkpoint").read_text().split("\n")[1])
    entries = [one for n, w in bundles(size) for one in parse_bundle((log / entries_path(n, w)).read_bytes(), w)]
    for path in sorted((log / "tile").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    del entries[drop]
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, entries))}
    files = {tile_path(*name): rows[name[:2]] for name in tiles(len(entries))}
    files |= {entries_path(n, w): bundle(entries[n * WIDTH : n * WIDTH + w]) for n, w in bundles(len(entries))}
    signer = LogSigner(world.federation.directory.root.log.origin, world.federation.broker.log)
    files["checkpoint"] = sign_checkpoint(len(entries), tree.root(), signer, world.clock()).encode()
    for name, data in files.items():
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(data)


@pytest.mark.spec("LOG-100", "LOG-107", "LOG-108")
def test_honest_books_of_real_nodes_tell_one_story(handed: Handed) -> None:
    arguments = handed.arguments
    code, text = run(arguments)
    assert code == 0, text
    assert "clean: the log and these ledgers tell one story" in text
    said = json.loads(run(arguments, "--json")[1])
    assert list(said) == [
        "clean", "federation", "log", "ledgers", "not_handed_in", "grace_hours", "tolerance_seconds", "on_its_way",
        "findings", "cannot_show",
    ]  # fmt: skip
    assert [one["agency"] for one in said["ledgers"]] == [node.id for node in handed.world.nodes]
    assert all(one["acts"] and one["heads"] for one in said["ledgers"])
    assert said["not_handed_in"] == []
    assert sum(one["proofs"] for one in said["ledgers"]) > 20


@pytest.mark.spec("LOG-101", "LOG-107")
def test_what_is_on_its_way_is_counted_and_is_no_finding(world: World, tmp_path: Path) -> None:
    sent = world.node(A).send(CONTENT, B)
    late = handed_in(world, tmp_path / "late", hours=1)
    said = json.loads(run(late, "--json")[1])
    assert sent.state == "sent"
    assert said["clean"], said["findings"]
    assert said["on_its_way"]["logged_not_delivered"] == 1
    arguments = handed_in(world, tmp_path / "after", hours=73)
    (found,) = findings(arguments)
    assert (found["code"], found["who"], found["evidence"]["msg"]) == (
        "logged_not_delivered",
        f"{B} or broker",
        sent.msg,
    )
    assert json.loads(run([*arguments[:-2]], "--json")[1])["not_handed_in"] == [arguments[-1].rsplit("/", 1)[1]]


@pytest.mark.spec("LOG-102", "LOG-103")
def test_a_sender_that_keeps_a_disclosure_out_of_its_ledger_is_convicted_by_its_own_manifest(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves_out(world.node(A), monkeypatch, Act.DISCLOSE)
    message = told(world, B)
    world.settle()
    arguments = handed_in(world, tmp_path / "handed")
    for proof in (tmp_path / "handed" / A / "proofs").glob(f"{message}.json"):
        proof.unlink()  # it hides its own proof as well
    (found,) = findings(arguments)
    assert (found["code"], found["who"]) == ("logged_not_disclosed", A)
    assert found["evidence"]["msg"] == message
    assert found["evidence"]["proof"] == f"the manifest signed by `{A}`, held by `{B}`"


@pytest.mark.spec("LOG-102", "LOG-103")
def test_a_recipient_that_keeps_a_message_out_of_its_ledger_is_convicted_by_its_own_receipt(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = world.node(B)
    leaves_out(liar, monkeypatch, Act.RECEIVE, Act.OPEN)
    message = told(world, B)
    liar.open(message)
    world.settle()
    (found,) = findings(handed_in(world, tmp_path / "handed"))
    assert (found["code"], found["who"]) == ("receipt_without_message", B)
    assert found["evidence"]["msg"] == message
    assert found["evidence"]["proof"].endswith(f"signed by `{B}`")


@pytest.mark.spec("LOG-102", "LOG-103", "LOG-106")
def test_a_broker_that_takes_a_disclosure_out_of_its_log_is_convicted_by_the_proofs_it_gave(
    handed: Handed, tmp_path: Path
) -> None:
    arguments, index = handed.copied(tmp_path / "lie"), handed.index()
    rewritten(handed.world, tmp_path / "lie" / "log", index)
    found = findings(arguments)
    assert {one["who"] for one in found} == {"broker"}, found
    named = [one for one in found if one["code"] == "disclosed_not_logged"]
    assert {one["evidence"]["msg"] for one in named} == {handed.message}
    assert f"`{A}` holds entry {index} proved" in named[0]["evidence"]["proof"]
    page = tmp_path / "page.html"
    code, text = run(arguments, "--page", str(page))
    assert code == 1
    assert "broker: disclosed_not_logged" in text
    assert "proof: signed by the log" in text
    html = page.read_text()
    assert html.startswith("<!doctype html>")
    assert "SIMULATION" in html
    assert handed.message in html
    assert "<script" not in html
    assert "http" not in html.split("<body>")[1]


@pytest.mark.spec("LOG-100", "LOG-103")
def test_a_ledger_that_was_rewritten_after_its_head_was_logged_convicts_its_agency(
    handed: Handed, tmp_path: Path
) -> None:
    arguments, folder, world = handed.copied(tmp_path / "lie"), tmp_path / "lie" / B, handed.world
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    ((n, w),) = list(bundles(size))
    acts = list(parse_bundle((folder / entries_path(n, w)).read_bytes(), w))
    place = next(i for i, one in enumerate(acts) if b'"act":"export"' in one)
    acts[place] = acts[place].replace(b'"act":"export"', b'"act":"review"')
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, acts))}
    for level, at, width in tiles(size):
        (folder / tile_path(level, at, width)).write_bytes(rows[level, at])
    (folder / entries_path(n, w)).write_bytes(bundle(acts))
    assert {(one["code"], one["who"]) for one in findings(arguments)} == {("ledger_altered", B)}
    origin = f"{world.federation.directory.root.log.origin}/ledger/{B}"
    signer = LogSigner(origin, world.federation.identities[B].signer)
    at = datetime.fromisoformat(arguments[arguments.index("--at") + 1])  # the world's clock may have gone on
    (folder / "checkpoint").write_text(sign_checkpoint(size, tree.root(), signer, at))
    assert {(one["code"], one["who"]) for one in findings(arguments)} == {("ledger_rewritten", B)}


@pytest.mark.spec("LOG-100", "LOG-102")
def test_a_made_up_proof_is_used_against_nobody_but_who_hands_it_in(handed: Handed, tmp_path: Path) -> None:
    arguments, proofs = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C / "proofs"
    path = proofs / f"{handed.message}.json"
    held = json.loads(path.read_text())
    entry = unb64u(held["entry"]).replace(b'"purpose":"investigate"', b'"purpose":"border_check"')
    path.write_text(json.dumps({**held, "entry": b64u(entry)}))
    (found,) = findings(arguments)
    assert (found["code"], found["who"]) == ("held_proof_refused", C)


@pytest.mark.spec("LOG-101", "LOG-103")
def test_a_ledger_that_ends_before_heads_the_log_has_is_found(handed: Handed, tmp_path: Path) -> None:
    handed_in(handed.world, tmp_path / "heads", hours=1)
    later = handed_in(handed.world, tmp_path / "later", hours=80)
    place = later.index(str(tmp_path / "later" / B))
    later[place] = str(handed.folder / B)
    assert {(one["code"], one["who"]) for one in findings(later)} == {("ledger_behind", B)}


@pytest.mark.spec("LOG-100")
def test_a_folder_that_is_no_ledger_and_one_given_twice_are_said_so(handed: Handed) -> None:
    result = CliRunner().invoke(app, [*handed.arguments[:-2], "--ledger", handed.arguments[1]])
    assert result.exit_code == 3
    assert "no ledger of an agency" in result.output
    result = CliRunner().invoke(app, [*handed.arguments, *handed.arguments[-2:]])
    assert result.exit_code == 3
    assert "handed in twice" in result.output
