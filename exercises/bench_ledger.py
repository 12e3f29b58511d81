"""What a node's ledger costs: an act written, all of it verified, the next head signed, and all of it exported.

A real node on a real file, with fsync. Acts are looks at a case, the commonest kind, each with a reason that is locked.
Times are of the processor for what is reckoned, which other work on the machine blurs less, and of the wall's clock
for what waits for the disk and for verifying all. Alone: ``python -m exercises.bench_ledger [--quick]``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from agencies.node.ledger import LedgerAct
from exchange.protocol.vocabulary import Act
from exercises.processes import here
from exercises.world import WHY, World, WorldNode

SIZE: Final = 100_000
QUICK: Final = 2000
AGENCY: Final = "north.police.sim"
AT_ONCE: Final = 1000
ALONE: Final = 200
"""Acts written one by one, each on disk before the next."""


def look(number: int) -> LedgerAct:
    """One look at a case, with its reason."""
    return LedgerAct(Act.CONSULT, "np-duty-1", WHY, case=f"case-{number % 500}", outcome=f"{number % 7} messages")


def measure(home: Path, size: int) -> dict[str, Any]:
    """Fill a ledger up to ``size`` acts, verify it, sign its next head, export it; the figures."""
    with World(home, [AGENCY], agreements=()) as world:
        node = world.node(AGENCY)
        for first in range(0, size - ALONE, AT_ONCE):
            many = range(first, min(first + AT_ONCE, size - ALONE))
            node.service.office.record_alone(*[look(number) for number in many])
        written = [_alone(node, number) for number in range(size - ALONE, size)]
        found, verifying, waited = _timed(node)
        node.service.heads.sign()
        node.service.office.record_alone(look(size))
        began = time.process_time()
        node.service.heads.sign()
        head = time.process_time() - began
        began = time.process_time()
        handed = node.service.export_ledger(node.officer("auditor"), WHY)
        files = sum(len(data) for _, data in handed.files)
        exporting = time.process_time() - began
    return {
        "ledger_acts": found,
        "ledger_write_ms": round(1000 * statistics.median(written), 2),
        "ledger_verify_us_per_act": round(1e6 * verifying / found, 1),
        "ledger_verify_s": round(waited, 2),
        "ledger_next_head_ms": round(1000 * head, 2),
        "ledger_export_s": round(exporting, 2),
        "ledger_export_mb": round(files / 1e6, 1),
    }


def _alone(node: WorldNode, number: int) -> float:
    began = time.perf_counter()
    node.service.office.record_alone(look(number))
    return time.perf_counter() - began


def _timed(node: WorldNode) -> tuple[int, float, float]:
    """How many acts there are, and the seconds of the processor and of the wall's clock to verify them all."""
    busy, began = time.process_time(), time.perf_counter()
    size, _ = node.service.verify_ledger()
    return size, time.process_time() - busy, time.perf_counter() - began


def measure_apart(*, quick: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "exercises.bench_ledger", *(["--quick"] if quick else [])]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=here(), check=True)
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def main(arguments: Sequence[str]) -> None:
    """Measure, and print one JSON document on standard output."""
    size = QUICK if "--quick" in arguments else SIZE
    with tempfile.TemporaryDirectory(prefix="ix-bench-") as home, redirect_stdout(sys.stderr):
        sys.stderr.write(f"bench: a ledger of {size:,} acts\n")
        figures = measure(Path(home), size)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
