"""Folders and heads made to name somebody who did nothing, or to keep an auditor from an answer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit.reconciled import judged
from exchange.commands_audit import app
from exchange.protocol.log import LogSigner, bundle, parse_bundle, sign_checkpoint, unverified_checkpoint
from exchange.protocol.merkle import Tree, bundles, entries_path, leaf_hash, tile_path, tiles
from keys.ceremony import RootPlan, next_root
from keys.encoding import b64u, instant, unb64u
from keys.signing import Signer
from tests.agencies.node.tree import A, B, C
from tests.journeys.test_three_books import Handed, findings, handed, handed_in, rewritten, run
from tests.vectors.logbook import Logbook
from tests.vectors.stage import NORTH

__all__ = ["handed"]


def origin(one: Handed, agency: str) -> str:
    return f"{one.world.federation.directory.root.log.origin}/ledger/{agency}"


def acts_of(folder: Path) -> list[bytes]:
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    return [one for n, w in bundles(size) for one in parse_bundle((folder / entries_path(n, w)).read_bytes(), w)]


def signed_anew(one: Handed, folder: Path, agency: str, acts: list[bytes]) -> None:
    """The agency writes its ledger anew and signs it, as it can."""
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, acts))}
    for level, at, width in tiles(len(acts)):
        path = folder / tile_path(level, at, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows[level, at])
    for n, w in bundles(len(acts)):
        path = folder / entries_path(n, w)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle(acts[n * 256 : n * 256 + w]))
    signer = LogSigner(origin(one, agency), one.world.federation.identities[agency].signer)
    (folder / "checkpoint").write_text(sign_checkpoint(len(acts), tree.root(), signer, one.world.clock()))


def other_signature(statement: bytes, kid: str) -> bytes:
    """A statement whose payload, and so whose name, stays, under signatures that say another key."""
    value = json.loads(statement)
    for signature in value["signatures"]:
        protected = json.loads(unb64u(signature["protected"]))
        signature["protected"] = b64u(json.dumps({**protected, "kid": kid}, separators=(",", ":")).encode())
    return json.dumps(value, separators=(",", ":")).encode()


def beside(folder: Path, member: str, change: Callable[[bytes], bytes]) -> int:
    """Change what stands beside proofs in a folder; says in how many."""
    changed = 0
    for path in sorted((folder / "proofs").glob("*.json")):
        held = json.loads(path.read_text())
        if member in held and not unb64u(held[member]).startswith(b"ix"):
            try:
                made = b64u(change(unb64u(held[member])))
            except ValueError:
                continue  # a head is a note
            path.write_text(json.dumps({**held, member: made}, separators=(",", ":")))
            changed += 1
    return changed


@pytest.mark.spec("LOG-100", "LOG-102")
@pytest.mark.parametrize("member", ["manifest", "statement"])
def test_signatures_put_in_the_place_of_others_convict_no_broker(handed: Handed, tmp_path: Path, member: str) -> None:
    """What is signed is named by its payload, so who hands in a proof can put any signature beside it."""
    arguments = handed.copied(tmp_path / "lie")
    kid = "A" * 43
    assert beside(tmp_path / "lie" / C, member, lambda one: other_signature(one, kid))
    found = findings(arguments)
    assert found
    assert {(one["code"], one["who"]) for one in found} == {("key_not_valid_then", f"{C} or broker")}


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("size", [2**40, 2**53 - 1])
def test_a_head_of_more_acts_than_there_are_files_is_found_in_seconds(
    handed: Handed, tmp_path: Path, size: int
) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    signer = LogSigner(origin(handed, C), handed.world.federation.identities[C].signer)
    (folder / "checkpoint").write_text(sign_checkpoint(size, bytes(32), signer, handed.world.clock()))
    began = time.monotonic()
    found = findings(arguments)
    assert time.monotonic() - began < 10
    assert "ledger_altered" in {one["code"] for one in found}
    assert {one["who"] for one in found} == {C}


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("spoil", [lambda data: data[:-10], lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:]])
def test_what_was_spoiled_on_the_way_is_not_said_to_be_missing(
    handed: Handed, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """An act that cannot be read is no act that the agency left out."""
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    path = folder / entries_path(0, len(acts_of(folder)))
    path.write_bytes(spoil(path.read_bytes()))
    assert {(one["code"], one["who"]) for one in findings(arguments)} == {("ledger_altered", C)}


@pytest.mark.spec("LOG-109")
def test_a_head_that_somebody_else_put_there_is_not_said_to_be_signed(handed: Handed, tmp_path: Path) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    signer = LogSigner(origin(handed, C), Signer.generate())
    (folder / "checkpoint").write_text(sign_checkpoint(7, bytes(32), signer, handed.world.clock()))
    (found,) = findings(arguments)
    assert (found["evidence"]["ledger"], found["evidence"]["proof"]) == (C, f"the ledger as `{C}` handed it in")


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("ts", [5, None, [], {}, True])
def test_an_act_with_a_time_that_is_no_text_is_a_finding(handed: Handed, tmp_path: Path, ts: Any) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    acts = acts_of(folder)
    acts[-1] = json.dumps({**json.loads(acts[-1]), "ts": ts}, separators=(",", ":")).encode()
    signed_anew(handed, folder, C, acts)
    assert {one["who"] for one in findings(arguments)} == {C}


@pytest.mark.parametrize("member", ["v", "typ", "n", "act", "by", "code", "why", "clauses", "to", "index", "outcome"])
@pytest.mark.parametrize("value", [5, -1, 10**15, [], {}, [[]], [{}], True, "\x00", "\u202eabc", {"a": [[[[1]]]]}])
@pytest.mark.slow
def test_no_value_of_an_act_is_a_traceback(handed: Handed, tmp_path: Path, member: str, value: Any) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    acts = acts_of(folder)
    acts[-1] = json.dumps({**json.loads(acts[-1]), member: value}, separators=(",", ":")).encode()
    signed_anew(handed, folder, C, acts)
    assert {one["who"] for one in findings(arguments)} <= {C}


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "proofs/x.json"])
def test_what_is_no_file_is_not_waited_for(handed: Handed, tmp_path: Path, name: str) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    path = folder / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    began = time.monotonic()
    run(arguments)
    assert time.monotonic() - began < 20


@pytest.mark.spec("LOG-100")
def test_a_folder_that_leads_elsewhere_is_not_read(handed: Handed, tmp_path: Path) -> None:
    """A ring of links would be as many tiles as anybody signs for, and another's file no part of what was handed in."""
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / C
    path = folder / "checkpoint"
    path.unlink()
    for target in ("/dev/zero", "/etc/passwd", "checkpoint"):
        path.symlink_to(target)
        result = CliRunner().invoke(app, arguments)
        path.unlink()
        assert result.exit_code == 3, target
        assert "Traceback" not in result.output


@pytest.mark.slow
@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("kind", ["receive", "open", "erase"])
def test_one_message_acted_on_without_end_takes_no_more_than_its_length(
    handed: Handed, tmp_path: Path, kind: str
) -> None:
    arguments, folder = handed.copied(tmp_path / "lie"), tmp_path / "lie" / B
    acts = acts_of(folder)
    one = next(json.loads(act) for act in acts if f'"act":"{kind}"'.encode() in act)
    last = json.loads(acts[-1])
    for n in range(len(acts) + 1, 30_000):
        outcome = f"o{n}" if kind == "receive" else one["outcome"]
        more = {**one, "n": n, "ts": last["ts"], "outcome": outcome}
        acts.append(json.dumps(more, separators=(",", ":")).encode())
    signed_anew(handed, folder, B, acts)
    began = time.monotonic()
    assert {found["who"] for found in findings(arguments)} <= {B, f"{B} or broker"}
    assert time.monotonic() - began < 30


# --- heads ----------------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-103")
def test_a_head_of_the_same_moment_as_a_smaller_one_rewrites_nothing(handed: Handed, tmp_path: Path) -> None:
    """A head says its time to the second: two of one second, one of which is handed in, are an honest node's."""
    world = handed.world
    first = handed_in(world, tmp_path / "first", hours=1)
    kept = tmp_path / "first" / A
    handed_in(world, tmp_path / "same", hours=0)
    log = handed_in(world, tmp_path / "log", hours=0)
    assert acts_of(tmp_path / "same" / A)[: len(acts_of(kept))] == acts_of(kept)
    log = [one.replace(str(tmp_path / "log" / A), str(kept)) for one in log]
    assert first
    assert findings(log) == []


@pytest.mark.spec("LOG-95", "LOG-97", "LOG-105")
def test_heads_that_the_log_has_in_another_order_convict_who_keeps_the_log() -> None:
    """Two honest heads, the larger one taken up first: that is the broker's order, whatever the agency signed."""
    book = Logbook()
    book.head(NORTH, 5)
    smaller = json.loads(book.entries.pop())
    book.head(NORTH, 9)
    later = {**smaller, "ts": json.loads(book.entries[-1])["ts"]}
    book.entries.append(json.dumps(later, separators=(",", ":")).encode())
    report = book.audit()
    (shrank,) = [one for one in report.findings if one.code == "head_shrank"]
    assert judged(shrank).who == "broker"


@pytest.mark.spec("LOG-95", "LOG-105")
def test_a_ledger_that_shrank_later_convicts_its_agency() -> None:
    book = Logbook()
    book.head(NORTH, 9)
    book.now += timedelta(minutes=6)
    book.head(NORTH, 5)
    (shrank,) = [one for one in book.audit().findings if one.code == "head_shrank"]
    assert judged(shrank).who == NORTH


# --- keys that were replaced ----------------------------------------------------------------------------


@pytest.mark.spec("LOG-100", "LOG-102")
def test_a_proof_under_keys_that_the_log_has_no_more_convicts_not_who_kept_it(handed: Handed, tmp_path: Path) -> None:
    """Else a broker takes out a disclosure, has its keys replaced, and the sender stands there without a proof."""
    arguments, world = handed.copied(tmp_path / "lie"), handed.world
    federation, log, index = world.federation, tmp_path / "lie" / "log", handed.index()
    rewritten(world, log, index)
    signer = Signer.generate()
    plan = replace(RootPlan.of(federation.directory.root), log=signer.public)
    now = instant(arguments[arguments.index("--at") + 1])
    root = next_root(federation.directory.root, plan, federation.root.signers[:2], now=now)
    trust = json.loads((log / "trust.json").read_text())
    trust["roots"].append(json.loads(root))
    (log / "trust.json").write_text(json.dumps(trust))
    _, size, own = unverified_checkpoint((log / "checkpoint").read_text())
    origin = federation.directory.root.log.origin
    (log / "checkpoint").write_text(sign_checkpoint(size, own, LogSigner(origin, signer), now))
    found = findings(arguments)
    about = [one for one in found if one["evidence"].get("msg") == handed.message]
    assert {one["code"] for one in about} >= {"disclosed_not_logged"}
    assert A not in {one["who"] for one in found}, [one for one in found if one["who"] == A]
    refused = [one for one in found if one["code"] == "held_proof_refused"]
    assert {one["who"] for one in refused} <= {f"{node.id} or broker" for node in world.nodes}
