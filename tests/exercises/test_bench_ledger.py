"""The bench of a node's ledger measures a ledger that is what it says."""

from __future__ import annotations

from pathlib import Path

from exercises import bench_ledger


def test_a_small_ledger_is_written_verified_headed_and_exported(tmp_path: Path) -> None:
    found = bench_ledger.measure(tmp_path, 300)
    assert found["ledger_acts"] == 300
    assert found["ledger_verify_us_per_act"] > 0
    assert found["ledger_write_ms"] > 0
    assert found["ledger_next_head_ms"] > 0
    assert found.keys() >= {"ledger_verify_s", "ledger_export_s", "ledger_export_mb"}
