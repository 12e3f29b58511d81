"""What the broker tells its operator: counts and timings, and log lines of codes (HTTP-50, HTTP-51).

No content, no subject, no name of a person, and no text a caller chose. Agencies are named only in the log
lines about their own refused calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from exchange.broker.clerk import Group
from exchange.broker.page import ACT, EXEMPT
from keys.encoding import write_json

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Meters:
    """The counters of one app. Each app has its own registry, so that several can live in one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._messages = Counter(
            "ix_messages", "Messages decided, by outcome and code.", ["outcome", "code"], registry=registry
        )
        self._acts = Counter("ix_acts", "Acts logged, by kind.", ["act"], registry=registry)
        self._exemptions = Counter(
            "ix_copy_exemptions", "Messages disclosed without the copy a clause asks for, by code.", ["code"],
            registry=registry,
        )  # fmt: skip
        self._refusals = Counter("ix_refusals", "Calls and batch lines refused, by code.", ["code"], registry=registry)
        self._jobs = Histogram(
            "ix_commit_jobs",
            "Things written in one transaction.",
            registry=registry,
            buckets=[1, 2, 5, 10, 20, 50, 100, 256],
        )
        self._seconds = Histogram(
            "ix_commit_seconds",
            "Seconds from opening a transaction to its commit.",
            registry=registry,
            buckets=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
        )
        self._log_size = Gauge("ix_log_size", "Entries in the log.", registry=registry)
        self._rows = Gauge("ix_rows", "Rows in the tables that grow.", ["table"], registry=registry)
        self._witnesses = Counter("ix_witness_answers", "Witnesses asked, by outcome.", ["outcome"], registry=registry)
        self._published = Gauge("ix_published_size", "Entries under the published checkpoint.", registry=registry)
        self._lag = Gauge(
            "ix_publishing_lag_seconds", "For how long there has been a head that is not published.", registry=registry
        )
        self._outcomes: dict[tuple[str, str], Any] = {}

    def committed(self, group: Group) -> None:
        """Count one commit."""
        for outcome, times in group.outcomes.items():
            counter = self._outcomes.get(outcome)
            if counter is None:
                counter = self._outcomes[outcome] = self._counter(*outcome)
            counter.inc(times)
        self._jobs.observe(group.jobs)
        self._seconds.observe(group.seconds)
        self._log_size.set(group.log_size)

    def _counter(self, outcome: str, code: str) -> Any:
        if outcome == ACT:
            return self._acts.labels(code)
        return self._exemptions.labels(code) if outcome == EXEMPT else self._messages.labels(outcome, code)

    def refused(self, code: str) -> None:
        """Count one refusal."""
        self._refusals.labels(code).inc()

    def asked_witness(self, outcome: str) -> None:
        """Count one witness that was asked."""
        self._witnesses.labels(outcome).inc()

    def publishing(self, size: int, seconds: int) -> None:
        """Note how far publishing is behind."""
        self._published.set(size)
        self._lag.set(seconds)

    def text(self, counts: Callable[[], dict[str, int]]) -> bytes:
        """All of it, as Prometheus reads it. ``counts`` is asked for table sizes, by table and ``log``."""
        sizes = counts()
        self._log_size.set(sizes.pop("log"))
        for table, rows in sizes.items():
            self._rows.labels(table).set(rows)
        return generate_latest(self._registry)


class _Stderr:
    """Where log lines go, whatever standard error is by then."""

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")

    info = error = msg


def new_log() -> Any:
    """A logger that writes one JSON object a line to standard error."""
    return structlog.wrap_logger(
        _Stderr(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda _logger, _name, members: write_json(members).decode(),
        ],
        wrapper_class=structlog.BoundLogger,
        service="broker",
    )


def trace(fault: BaseException) -> list[str]:
    """Where a fault came from: kinds and places only, because an exception's text may quote anything."""
    places: list[str] = []
    step = fault.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 3)[-1]}:{step.tb_lineno}:{code.co_name}")
        step = step.tb_next
    return [type(fault).__name__, *places]
