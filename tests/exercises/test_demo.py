"""The demo does what the story says, on real processes, and leaves evidence that verifies with nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from exercises.demo import run
from exercises.processes import here
from exercises.stage import CAST, OutInUse, Stage
from exercises.story import STEPS

IX = [sys.executable, "-m", "ix"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One real run of ``ix demo --json``."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [*IX, "demo", "--json", "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=here(), check=False), out


@pytest.fixture
def document(told: tuple[subprocess.CompletedProcess[str], Path]) -> dict[str, Any]:
    ran, _ = told
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return dict(json.loads(ran.stdout))


@pytest.mark.slow
@pytest.mark.spec("CLI-4", "CLI-30")
def test_it_prints_one_document_and_every_step_is_as_told(document: dict[str, Any]) -> None:
    assert document["ok"] is True
    assert [step["name"] for step in document["steps"]] == ["start", *(step.name for step in STEPS)]
    assert all(step["ok"] and step["ms"] >= 0 and "problem" not in step for step in document["steps"])
    assert len(document["steps"][0]["detail"]["processes"]) == 1 + len(CAST) >= 6


@pytest.mark.slow
def test_the_steps_come_to_what_the_story_needs(document: dict[str, Any]) -> None:
    detail = {step["name"]: step["detail"] for step in document["steps"]}
    assert detail["urgent_request"]["clause"] == "ask"
    assert detail["no_clause"]["nearest"]["ask-fiu"] == ["cats"]
    assert detail["victim_data"]["forbidden"] == "no-victims"
    assert detail["victim_data"]["clause"] == "refer"
    assert detail["same_bytes"]["index"] == detail["urgent_request"]["index"]
    assert set(detail["attacks"]["refused"].values()) == {
        "content_digest_mismatch",
        "call_replayed",
        "signature_invalid",
        "seal_mismatch",
        "sender_mismatch",
    }
    assert detail["attacks"]["resigned"]["rejected"] == "unsealing_failed"
    assert detail["victim_data"]["released_by"] == 2
    assert detail["audit"]["findings"] == []
    assert detail["audit"]["plaintext_found"] == 0
    assert detail["tampered"]["edited"] in detail["tampered"]["named"]


@pytest.mark.slow
def test_agreements_run(document: dict[str, Any]) -> None:
    """The second chapter: what the tools said, what consent let pass, who answered a recall, who learned nothing."""
    detail = {step["name"]: step["detail"] for step in document["steps"]}
    assert detail["drafting"]["errors"] > 20
    assert {"not_binding", "group_empty", "unreachable"} <= set(detail["drafting"]["codes"])
    assert (detail["drafting"]["yes"], detail["drafting"]["no"]) == (["warn"], "no_clause")
    assert (detail["consent"]["refused"], detail["consent"]["past_the_node"]) == ("onward_refused", "consent_missing")
    answers = {"south.police.sim": "erased", "north.police.sim": "retained", "coast.hub.sim": None}
    assert detail["recall"]["answers"] == answers == detail["audit"]["recall"]
    assert detail["recall"]["silent"] == ["coast.hub.sim"]
    assert (detail["firewall"]["refused"], detail["firewall"]["public"]) == ("safeguard_refused", "cannot_respond")
    assert detail["time"]["in_one_process"] is True
    assert (detail["time"]["answers"]["alike"], detail["time"]["overdue"]) == (True, "south.police.sim")
    assert detail["time"]["warned_on_day"] < detail["time"]["erased_on_day"] == 180
    assert detail["audit"]["counts"]["decided_again"] == detail["audit"]["disclosures"] + detail["audit"]["denials"]


@pytest.mark.slow
def test_three_books(document: dict[str, Any], told: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """The third chapter: who asked, who denied, who wrote what anew, who shows two logs, what a month took along."""
    detail = {step["name"]: step["detail"] for step in document["steps"]}
    assert detail["asking"]["purpose"] == "lawfulness_check"
    assert set(detail["asking"]["received"]) == {"north.police.sim", "south.police.sim"}
    honest = {"north.police.sim", "north.fiu.sim", "harbour.ngo.sim", "coast.hub.sim"}
    assert set(detail["books"]["clean"]) == honest
    assert detail["books"]["found"].keys() == {
        "east.border.sim: logged_not_disclosed", "east.border.sim or broker: logged_not_disclosed",
        "south.police.sim or broker: not_in_ledger",
    }  # fmt: skip
    assert detail["lies"]["named"] == {"south.police.sim": "ledger_rewritten", "broker": "disclosed_not_logged"}
    assert (detail["two_logs"]["proven"], detail["two_logs"]["who"]) == ("log_forked", "broker")
    assert detail["shredding"]["refused"] == "shred_refused"
    assert detail["shredding"]["clean"]
    assert 0 < detail["shredding"]["acts"] < detail["shredding"]["verified"]
    folder = Path(document["evidence"]["folder"])
    assert sorted(path.name for path in (folder / "books").iterdir()) == sorted([*CAST, "log"])
    assert (folder / "lies" / "two-logs.json").is_file()


@pytest.mark.slow
def test_the_list_of_a_recall_is_left_with_its_proofs(
    document: dict[str, Any], told: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    folder = Path(document["evidence"]["folder"])
    status = json.loads((folder / "recall" / "status.json").read_text())
    for holder in status["holders"]:
        (asked,) = holder["answers"]
        assert (folder / "recall" / f"{holder['id']}.tlog-proof").is_file() is (asked["answer"] is not None)
    assert len(list((folder / "export" / "acts").glob("*.json"))) == document["steps"][-2]["detail"]["counts"]["act"]


@pytest.mark.slow
def test_the_evidence_verifies_again_and_the_edited_log_does_not(
    document: dict[str, Any], told: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    evidence = document["evidence"]
    for name, code in (("verify", 0), ("tampered", 1), ("reconcile", 1)):
        command = [*IX, *evidence[name].split()[1:]]
        assert subprocess.run(command, capture_output=True, env=here(), check=False, timeout=60).returncode == code
    folder = Path(evidence["folder"])
    for wanted in ("export/checkpoint", "audit.json", "transcripts.json", "demo.json", "logs/hourglass.log"):
        assert wanted in evidence["files"] or (folder / wanted).is_file(), wanted
    assert any(name.startswith("receipts/") for name in evidence["files"])
    assert any(name.startswith("proofs/") for name in evidence["files"])
    assert "SIMULATION" in (told[1] / "SIMULATION.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_key_stays_behind_and_no_process(
    document: dict[str, Any], told: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    assert not (told[1] / "homes").exists()
    for pid in document["steps"][0]["detail"]["processes"].values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
@pytest.mark.spec("CLI-31")
def test_an_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    demo = subprocess.Popen(
        [*IX, "demo", "--json", "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=here(),
        preexec_fn=_heed_interrupts,
    )  # fmt: skip
    log = out / "evidence" / "logs" / "broker.log"
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) != 0
    assert _mentioning(out) == []


def _heed_interrupts() -> None:
    """A shell in which nobody works starts its background jobs deaf to interrupts, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _mentioning(out: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(out).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.spec("CLI-32")
def test_a_folder_that_no_demo_filled_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = subprocess.run(
        [*IX, "demo", "--out", str(tmp_path)], capture_output=True, text=True, env=here(), check=False, timeout=60
    )
    assert refused.returncode == 2
    assert "--out" in refused.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.spec("CLI-30")
def test_a_story_that_cannot_start_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Stage) -> None:
        raise RuntimeError("no ports left")

    monkeypatch.setattr(Stage, "found", broken)
    with Stage(tmp_path / "out") as stage:
        document = run(stage, Console(quiet=True))
    assert document["ok"] is False
    assert document["steps"] == [
        {
            "name": "start",
            "ok": False,
            "ms": document["steps"][0]["ms"],
            "title": document["steps"][0]["title"],
            "detail": {},
            "problem": "RuntimeError: no ports left",
        }
    ]


def test_an_earlier_demos_folder_is_made_anew_and_no_other(tmp_path: Path) -> None:
    with Stage(tmp_path / "out") as stage:
        (stage.out / "old").write_text("from before")
    with Stage(tmp_path / "out") as again:
        assert not (again.out / "old").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(OutInUse), Stage(tmp_path / "mine"):
        pass
