"""The page of a reconciliation: everything in it that somebody else wrote is text, and it needs nothing else."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest

from exchange.audit.reconciled import CANNOT
from exchange.reconcile_page import reconcile_page

EVIL = "<script>alert(1)</script>"


def said(**changes: Any) -> dict[str, Any]:
    finding = {
        "code": "facts_differ", "severity": "error", "who": f"a.police.sim or {EVIL}", "index": 4, "sentence": EVIL,
        "evidence": {"msg": EVIL, EVIL: "x"},
    }  # fmt: skip
    ledger = {"agency": EVIL, "acts": None, "root": None, "signed": None, "heads": 0, "proofs": 0}
    log = {"origin": EVIL, "size": 9, "root": EVIL, "signed": "2026-11-21T16:20:00.000Z"}
    members: dict[str, Any] = {
        "clean": False, "federation": {"id": EVIL, "name": EVIL}, "log": log, "ledgers": [ledger],
        "not_handed_in": [EVIL], "grace_hours": 72.0, "tolerance_seconds": 300.0, "on_its_way": {"not_in_log": 2},
        "findings": [finding], "cannot_show": list(CANNOT),
    }  # fmt: skip
    return members | changes


@pytest.mark.spec("LOG-72", "LOG-107", "LOG-108")
def test_nothing_on_the_page_is_markup_of_others_and_it_loads_nothing() -> None:
    page = reconcile_page(said())
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8
    assert "http" not in page.split("<body>")[1]
    assert "SIMULATION" in page
    assert "2 facts that another book may still lack: younger than 72 hours" in page
    assert all(escape(sentence) in page for sentence in CANNOT)
    assert "none that tells which of them" in page


@pytest.mark.spec("LOG-107")
def test_the_verdict_comes_first_and_names_who() -> None:
    assert "1 finding</h2>" in reconcile_page(said())
    clean = reconcile_page(said(clean=True, findings=[], log=None))
    assert clean.index("Clean") < clean.index("On its way")
    assert "Who, what" not in clean
