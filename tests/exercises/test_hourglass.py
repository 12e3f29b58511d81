"""What the demo's story says of time holds in one process, whatever the running ones do."""

from __future__ import annotations

from pathlib import Path

import pytest

from exercises.hourglass import let_time_pass
from exercises.stage import Stage


@pytest.mark.spec("SAFE-33", "ACT-14", "NODE-94")
def test_answers_leave_at_their_hour_silence_is_overdue_and_content_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stage(tmp_path / "out") as stage:
        scene = let_time_pass(stage)
        assert (stage.evidence / "logs" / "hourglass.log").is_file()
    assert scene.facts["answers"]["public"] == "cannot_respond"
    assert scene.facts["overdue"] == "south.police.sim"
    assert (scene.facts["warned_on_day"], scene.facts["erased_on_day"]) == (135, 180)
    assert any("in one process" in sentence for sentence in scene.said)
    assert capsys.readouterr().out == ""  # the one JSON document of `ix demo --json` stays alone
