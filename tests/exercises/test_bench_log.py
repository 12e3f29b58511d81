"""The bench of the log alone measures what it says, and would not call a broken log clean."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agencies.profiles import load_plans
from exchange.protocol.log import LogSigner, bundle, sign_checkpoint
from exchange.protocol.merkle import Tree, entries_path, leaf_hash, tile_path
from exercises import bench_log
from exercises.federation import Federation
from keys.signing import Signer

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_small_log_is_grown_proved_and_verified(tmp_path: Path) -> None:
    directory = Federation.found(load_plans()[:2], NOW).directory
    found = bench_log.measure(tmp_path / "log", directory, 700, lambda _: None)
    assert found["log_entries"] == 700
    for name in ("log_append_per_s", "log_append_per_cpu_s", "log_verify_mb"):
        assert found[name] > 0
    assert {"log_proof_ms", "log_verify_s", "log_verify_with_forms_s", "log_newest_s"} < found.keys()
    assert "pymerkle" in found or "pymerkle_append_per_s" in found


def test_a_log_with_one_changed_entry_is_no_figure(tmp_path: Path) -> None:
    log = LogSigner(bench_log.ORIGIN, Signer.generate())
    entries, tree = [bench_log.entry(n) for n in range(5)], Tree()
    (row,) = tree.append([leaf_hash(entry) for entry in entries])
    files = {
        tile_path(0, 0, 5): row.hashes,
        entries_path(0, 5): bundle([*entries[:4], bench_log.entry(9)]),
        "checkpoint": sign_checkpoint(5, tree.root(), log, NOW).encode(),
        "older": tree.root(0),
    }
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    for what in ("whole", "newest"):
        with pytest.raises(RuntimeError, match="found wrong"):
            bench_log.verify(what, tmp_path, log.identity)
