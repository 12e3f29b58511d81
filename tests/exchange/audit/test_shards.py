"""Auditing a log of several shards, honest and lying (LOG-120 to LOG-132)."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.bundle import read_evidence, verify_evidence, write_evidence
from exchange.audit.contradiction import judge_evidence
from exchange.audit.export import examine_export, verify_export
from exchange.audit.shards import audit_log, audit_log_growth, audit_shard
from exchange.commands_audit import export
from exchange.protocol.entry import ShardEntry, parse_entry
from exchange.protocol.errors import EvidenceMalformed
from exchange.protocol.log import (
    Checkpoint,
    LogSigner,
    bundle,
    parse_bundle,
    sign_checkpoint,
    tlog_proof,
    verify_checkpoint,
)
from exchange.protocol.merkle import Tree, leaf_hash
from exercises.federation import ORIGIN
from exercises.world import World
from keys.encoding import b64u, read_json, write_json
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, TERMS

Files = dict[str, bytes]
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


class Made:
    """A federation that crossed a New Year, its export before and after, and its log's keys."""

    def __init__(self, world: World) -> None:
        world.agreements["shore"] = world.agree(TERMS)
        north, south = world.node(NORTH), world.node(SOUTH)
        self.world, self.old = world, north.send(REQUEST, SOUTH).msg or ""
        south.collect()
        self.before = self.files("before")
        south.open(self.old)
        world.clock.advance(seconds=int((NEW_YEAR - world.clock()).total_seconds()) + 60)
        self.new = north.send(REQUEST, SOUTH).msg or ""
        south.collect()
        self.after = self.files("after")
        self.fed, self.log = world.federation.fed, world.federation.directory.root.log
        self.signer = world.federation.broker.log

    def files(self, name: str) -> Files:
        folder = self.world.home / name
        export(str(self.world.home), folder)
        return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    def findings(self, files: Files) -> list[tuple[str, int | None]]:
        report = verify_export(files.get, fed=self.fed, now=self.world.clock())
        return [(one.code, one.index) for one in report.findings if one.severity == "error"]

    def entries(self, prefix: str) -> list[bytes]:
        (path,) = [name for name in self.after if name.startswith(f"{prefix}tile/entries/")]
        return list(parse_bundle(self.after[path], int(path.rpartition("/")[2])))

    def signed(self, prefix: str, entries: list[bytes]) -> Files:
        """These entries as a tree that the log signed under the name of this shard."""
        tree = Tree()
        rows = tree.append(map(leaf_hash, entries))
        signer = LogSigner(ORIGIN + (f"/{prefix[:-1]}" if prefix else ""), self.signer)
        size = len(entries)
        return {
            f"{prefix}checkpoint": sign_checkpoint(size, tree.root(), signer, self.world.clock()).encode(),
            f"{prefix}tile/entries/000.p/{size}": bundle(entries),
            **{f"{prefix}tile/{row.level}/000.p/{row.width}": row.hashes for row in rows},
        }

    def but(self, prefix: str, entries: list[bytes]) -> Files:
        """The export with another tree in one shard's place."""
        kept = {name: data for name, data in self.after.items() if not name.startswith(f"{prefix}tile/")}
        return {**kept, **self.signed(prefix, entries)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with World(tmp_path_factory.mktemp("world"), [NORTH, SOUTH], agreements=()) as world:
        yield Made(world)


@pytest.mark.spec("LOG-128", "LOG-131", "LOG-127")
def test_an_export_has_a_folder_for_each_year_and_is_clean(made: Made) -> None:
    assert "shards" not in made.before
    assert made.findings(made.before) == []
    assert made.after["shards"] == b"2027\n"
    assert {name.partition("/")[0] for name in made.after} >= {"checkpoint", "tile", "2027", "trust.json"}
    report = verify_export(made.after.get, fed=made.fed, now=made.world.clock())
    assert [one.severity for one in report.findings if one.severity == "error"] == []
    assert report.checkpoint is not None
    assert [one.origin for one in (*report.closed, report.checkpoint)] == [ORIGIN, f"{ORIGIN}/2027"]
    assert {one.entry.msg for one in report.disclosures} == {made.old, made.new}
    assert report.counts["decided_again"] == 2  # the second by an agreement that was logged in another year
    said = report.to_json()
    assert said["log"]["base"] == said["closed"][0]["size"]


@pytest.mark.spec("LOG-124", "LOG-132")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"base": 1}, "shard_refused"),
        ({"origin": f"{ORIGIN}/2025"}, "shard_refused"),
        ({"size": 5}, "shard_refused"),
        ({"root": b64u(bytes(32))}, "shard_refused"),
        ({"checkpoint": b64u(bytes(32))}, "shard_refused"),
        ({"ts": "2028-01-01T00:00:00.000Z"}, "shard_refused"),
    ],
)
def test_a_shard_that_begins_with_a_lie_is_found_though_the_log_signed_it(
    made: Made, change: dict[str, Any], code: str
) -> None:
    first, *rest = made.entries("2027/")
    lied = write_json({**read_json(first, limit=4096), **change})
    assert (code, len(made.entries(""))) in made.findings(made.but("2027/", [lied, *rest]))


@pytest.mark.spec("LOG-122", "LOG-124")
def test_a_shard_without_its_entry_or_with_two_is_found(made: Made) -> None:
    first, *rest = made.entries("2027/")
    base = len(made.entries(""))
    assert ("shard_refused", base) in made.findings(made.but("2027/", rest))
    assert ("shard_refused", base + 1 + len(rest)) in made.findings(made.but("2027/", [first, *rest, first]))
    assert ("shard_refused", base) in made.findings(made.but("", [*made.entries(""), first]))


@pytest.mark.spec("LOG-126", "LOG-132")
def test_a_closed_shard_that_was_extended_convicts_the_log(made: Made) -> None:
    old, new = made.entries(""), made.entries("2027/")
    later = old[-1]
    base = len(old) + 1
    assert ("shard_reopened", base) in made.findings(made.but("", [*old, later]))
    assert ("shard_refused", len(old) - 1) in made.findings(made.but("", old[:-1]))
    tree = Tree()
    tree.append(map(leaf_hash, new))
    detail = {
        "newer": made.signed("", [*old, later])["checkpoint"].decode(),
        "entry": b64u(new[0]),
        "proof": tlog_proof(0, tree.inclusion(0), made.after["2027/checkpoint"].decode()),
    }
    (proven,) = judged(made, detail).proven
    assert (proven.code, proven.who) == ("shard_reopened", "broker")
    honest = {**detail, "newer": made.after["checkpoint"].decode()}
    assert judged(made, honest).proven == ()


def judged(made: Made, detail: dict[str, Any]) -> Any:
    trust = read_json(made.after["trust.json"], limit=2**24)
    value = {"evidence": [{"kind": "shard_reopened", "detail": detail}], "trust": trust}
    return judge_evidence(write_json(value), fed=made.fed, now=made.world.clock())


@pytest.mark.spec("LOG-83", "LOG-131")
def test_a_tree_that_was_cut_or_changed_is_found_under_its_shard(made: Made) -> None:
    for name in ("2027/checkpoint", "checkpoint", *[one for one in made.after if "tile/0" in one]):
        missing = {path: data for path, data in made.after.items() if path != name}
        if name == "checkpoint":
            continue
        assert any(code == "file_missing" for code, _ in made.findings(missing)), name
    (path,) = [name for name in made.after if name.startswith("2027/tile/entries/")]
    changed = {**made.after, path: made.after[path].replace(SOUTH.encode(), NORTH.encode(), 1)}
    assert made.findings(changed)[0] == ("entry_altered", len(made.entries("")) + 1)
    swapped = {**made.after, "2027/checkpoint": made.after["checkpoint"]}
    assert made.findings(swapped)[0][0] == "checkpoint_refused"


@pytest.mark.spec("LOG-129")
def test_one_shard_is_verified_alone(made: Made) -> None:
    only = {path: data for path, data in made.after.items() if path.startswith("2027/")}
    alone = audit_shard(only.get, made.log, "2027")
    assert (alone.findings, alone.checkpoint and alone.checkpoint.base) == ([], len(made.entries("")))
    first = audit_shard(made.after.get, made.log, "")
    assert (first.findings, len(first.entries)) == ([], len(made.entries("")))
    headless = made.but("2027/", made.entries("2027/")[1:])
    assert [one.code for one in audit_shard(headless.get, made.log, "2027").findings] == ["shard_refused"]


@pytest.mark.spec("LOG-128", "LOG-54")
def test_what_was_added_is_verified_across_the_turn(made: Made) -> None:
    older = verify_checkpoint(made.before["checkpoint"].decode(), made.log)
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return made.after.get(path)

    grown = audit_log_growth(read, made.log, older)
    assert grown.findings == []
    assert grown.checkpoint is not None
    assert grown.checkpoint.end == len(made.entries("")) + len(made.entries("2027/"))
    newer = grown.checkpoint
    again = audit_log_growth(made.after.get, replace(made.log, shards=((newer.origin, newer.base),)), newer)
    assert again.findings == []
    other = replace(older, root=bytes(32))
    assert [one.code for one in audit_log_growth(made.after.get, made.log, other).findings] == ["log_rewritten"]
    gone = Checkpoint(f"{ORIGIN}/2026", 3, bytes(32), older.at)
    assert [one.code for one in audit_log_growth(made.after.get, made.log, gone).findings] == ["log_rewritten"]
    extended = made.but("", [*made.entries(""), made.entries("")[-1]])
    assert "shard_reopened" in [one.code for one in audit_log_growth(extended.get, made.log, older).findings]


@pytest.mark.spec("LOG-130")
def test_evidence_from_two_years_is_verified_from_one_file(made: Made) -> None:
    examined = examine_export(made.after.get, fed=made.fed, now=made.world.clock())
    for messages in ([made.old], [made.new], [made.old, made.new]):
        data = write_evidence(made.after.get, examined, messages)
        found = verify_evidence(data, fed=made.fed, now=made.world.clock())
        assert found.holds, found.report.findings
        assert {one.entry.msg for one in found.report.disclosures} >= set(messages)
    assert [list(read_json(data, limit=2**24))[3:5]] == [["checkpoint", "closed"]]
    value = read_json(data, limit=2**24)
    shard = next(n for n, one in enumerate(value["entries"]) if '"typ":"shard"' in one["entry"])
    entries = [one for n, one in enumerate(value["entries"]) if n != shard]
    without = verify_evidence(write_json({**value, "entries": entries}), fed=made.fed, now=made.world.clock())
    assert [one.code for one in without.report.findings] == ["checkpoint_refused"]
    with pytest.raises(EvidenceMalformed):
        read_evidence(write_json({**value, "closed": []}))
    hidden = {name: member for name, member in value.items() if name != "closed"}
    assert not verify_evidence(write_json(hidden), fed=made.fed, now=made.world.clock()).holds


@pytest.mark.spec("LOG-81", "LOG-131")
def test_a_plain_web_server_shows_every_shard(made: Made, tmp_path: Path) -> None:
    folder = made.world.home / "after"
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        export(f"http://127.0.0.1:{server.server_port}", tmp_path / "fetched")
    finally:
        server.shutdown()
        server.server_close()
    fetched = {
        str(one.relative_to(tmp_path / "fetched")): one.read_bytes()
        for one in (tmp_path / "fetched").rglob("*") if one.is_file()
    }  # fmt: skip
    assert fetched == made.after


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_the_first_entry_is_read_as_what_it_is(made: Made) -> None:
    first = parse_entry(made.entries("2027/")[0])
    assert isinstance(first, ShardEntry)
    assert audit_log(made.after.get, made.log).begins == {first.base: 2027}
