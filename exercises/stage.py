"""The demo's stage: a federation on disk, a broker and its nodes as real processes, officers at their desks.

Everything is made afresh: keys, passphrases, books, ports. The evidence a story leaves goes to
``<out>/evidence``; what only the running parties need lies in ``<out>/homes`` and is removed at the end
unless it is to be kept, for it holds private keys.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from agencies.node.broker_client import BrokerClient, new_client
from agencies.profiles import load_plans, load_terms
from exercises.desk import Desk
from exercises.federation import Addresses, Federation, settle_on_disk
from exercises.processes import Child, Processes, free_ports, here
from keys.encoding import write_json

CAST: Final = (
    "north.police.sim",
    "south.police.sim",
    "east.border.sim",
    "north.fiu.sim",
    "harbour.ngo.sim",
    "coast.hub.sim",
)
"""Police of two countries, a border guard, an FIU, a victim-support organisation, and the hub that signs with them."""
TASK_FORCE: Final = "smuggling-task-force"
REFERRAL: Final = "victim-referral"
MARK: Final = "SIMULATION.txt"
NOTICE: Final = "SIMULATION - synthetic data only. Everything in this folder was invented by `ix demo`.\n"


class OutInUse(ValueError):
    """The folder for the evidence holds something that no demo put there."""


@dataclass
class Stage:
    """Where a story is played. A context manager: every process it started has ended when it is left."""

    out: Path
    keep: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    transcript: list[dict[str, Any]] = field(default_factory=list)
    agreements: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """What one step found out and a later one needs."""
    secrets: set[str] = field(default_factory=set)
    """Passages of the messages, to be looked for where they must not be."""

    def __post_init__(self) -> None:
        self.home, self.evidence = self.out / "homes", self.out / "evidence"
        self._desks: dict[tuple[str, str, int], Desk] = {}
        self._lines: list[Any] = []

    # -- setting up --

    def found(self) -> None:
        """Hold the ceremonies and write everybody's home."""
        self.federation = Federation.found([plan for plan in load_plans() if plan.id in CAST], self.now())
        self.ports = dict(zip(("broker", *CAST), free_ports(1 + len(CAST)), strict=True))
        nodes = {agency: f"127.0.0.1:{self.ports[agency]}" for agency in CAST}
        self.processes = Processes(self.evidence / "logs")
        settle_on_disk(self.federation, self.home, Addresses(self.broker_address, nodes), wait=5, every=1)

    def start(self, tell: Callable[[Child], None]) -> None:
        """Start the broker, then every node, and wait until all are ready."""
        self._serve("broker", self.home / "broker", self.ports["broker"])
        self.processes.wait_ready(tell)
        for agency in CAST:
            self._serve(agency, self.home / "nodes" / agency, self.ports[agency])
        self.processes.wait_ready(tell)

    def _serve(self, name: str, home: Path, port: int) -> None:
        what = "broker" if name == "broker" else "node"
        arguments: list[str | Path] = [
            "ix",
            what,
            "serve",
            home,
            "--port",
            str(port),
            "--passphrase-file",
            home / "passphrase",
        ]
        self.processes.start(name, arguments, url=f"http://127.0.0.1:{port}")

    # -- who does things --

    @property
    def broker_address(self) -> str:
        """Host and port of the broker."""
        return f"127.0.0.1:{self.ports['broker']}"

    def desk(self, agency: str, role: str = "officer", number: int = 1) -> Desk:
        """The desk of an agency's first officer with a role, signed in; or of the second."""
        key = (agency, role, number)
        if key not in self._desks:
            officer, passphrase = self._officer(agency, role, number)
            self._desks[key] = Desk(self._address(agency), agency, officer, passphrase, self.transcript)
        return self._desks[key]

    def signs_in(self, agency: str, role: str = "officer") -> tuple[str | Path, ...]:
        """Where an ``ix`` command finds a node, and as whom: an agency's first officer with a role."""
        officer, passphrase = self._officer(agency, role, 1)
        return "--node", self._address(agency), "--officer", officer, "--passphrase-file", passphrase

    def _officer(self, agency: str, role: str, number: int) -> tuple[str, Path]:
        planned = [o for o in self.federation.plans[agency].officers if role in o.roles][number - 1]
        return planned.id, self.home / "nodes" / agency / "officers" / f"{planned.id}.passphrase"

    def _address(self, agency: str) -> str:
        return f"http://127.0.0.1:{self.ports[agency]}"

    def caller(self, agency: str) -> BrokerClient:
        """Somebody who holds an agency's transport key and speaks to the broker past any node."""
        url = f"http://{self.broker_address}"
        line = new_client(url)
        self._lines.append(line)
        signer = self.federation.identities[agency].transport
        return BrokerClient(line, url, signer, lambda: self.federation.directory, self.now)

    def terms(self, name: str) -> dict[str, Any]:
        """The terms of an agreement, as the profiles have them."""
        return load_terms()[name]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run an ``ix`` command of its own, as an auditor would."""
        command = [sys.executable, "-m", "ix", *map(str, arguments)]
        environment = {**here(), "COLUMNS": "120"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)

    # -- what is left --

    def keep_evidence(self, name: str, value: Any) -> Path:
        """Put something into the evidence: bytes and text as they are, anything else as JSON."""
        path = self.evidence / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else write_json(value)
        path.write_bytes(data)
        return path

    def silence(self) -> None:
        """End every process; nobody answers any more."""
        for closing in (*self._desks.values(), *self._lines):
            closing.close()
        self._desks.clear()
        self._lines.clear()
        self.processes.stop_all()

    def __enter__(self) -> Self:
        try:
            _clear(self.out)
            self._mark = _held(self.out / MARK)
            (self.out / MARK).write_text(NOTICE, encoding="utf-8")
        except OSError as wrong:
            raise OutInUse(f"`{self.out}` cannot be used: {wrong.strerror}; name another folder with --out") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if hasattr(self, "processes"):
            self.silence()
        if not self.keep:
            shutil.rmtree(self.home, ignore_errors=True)
        os.close(self._mark)


def _clear(out: Path) -> None:
    """Make room, but only where an earlier demo was, and none is now."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).is_file():
            raise OutInUse(f"`{out}` holds something that no demo put there; name another folder with --out")
        held = _held(out / MARK)
        shutil.rmtree(out)
        os.close(held)
    out.mkdir(parents=True, exist_ok=True)


def _held(mark: Path) -> int:
    """Hold a folder by its mark, so that two demos at once do not take it from each other."""
    handle = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OutInUse(f"another demo is at work in `{mark.parent}`; name another folder with --out") from None
    return handle


def agencies(stage: Stage, ids: Iterable[str]) -> str:
    """Names of agencies for a sentence."""
    return ", ".join(stage.federation.plans[agency].name.removesuffix(" (SIMULATION)") for agency in ids)
