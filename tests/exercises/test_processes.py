"""Children are waited for, measured, and gone when the block is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exercises.processes import ChildFailed, Processes, free_ports

SERVER = """
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_server.py").write_text(SERVER)
    (tmp_path / "a_failure.py").write_text("raise SystemExit('no database')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_server"


def test_ports_are_free_and_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_child_becomes_ready_and_is_gone_afterwards(tmp_path: Path, server: str) -> None:
    (port,) = free_ports(1)
    ready: list[str] = []
    with Processes(tmp_path / "logs") as processes:
        child = processes.start("north", [server, str(port)], url=f"http://127.0.0.1:{port}")
        processes.wait_ready(lambda child: ready.append(child.name))
        assert 0 < child.cpu_seconds() < 10
        assert "GET /readyz" in child.ending()
    assert ready == ["north"]
    with pytest.raises(ProcessLookupError):
        os.kill(child.process.pid, 0)


def test_children_are_gone_after_an_interruption(tmp_path: Path, server: str) -> None:
    (port,) = free_ports(1)
    with pytest.raises(KeyboardInterrupt), Processes(tmp_path / "logs") as processes:  # noqa: PT012
        child = processes.start("north", [server, str(port)], url=f"http://127.0.0.1:{port}")
        raise KeyboardInterrupt
    assert child.process.returncode is not None


def test_a_child_that_ends_early_is_reported_with_its_log(tmp_path: Path, server: str) -> None:
    with Processes(tmp_path / "logs") as processes:
        processes.start("north", ["a_failure"], url="http://127.0.0.1:9")
        with pytest.raises(ChildFailed, match="no database"):
            processes.wait_ready()
