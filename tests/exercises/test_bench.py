"""The bench runs, measures everything the issue names, and says on what."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from exchange.protocol.message import parse, verify
from exercises.bench_load import agreement_digest, compose, floor_us, found, pairs
from exercises.bench_worker import pack, unpack
from exercises.processes import here
from keys.keystore import Identity

WANTED = (
    "floor_us",
    "broker_single_us",
    "broker_batch_us",
    "single_over_floor",
    "batch_over_floor",
    "http_msgs_per_s",
    "opened_p50_ms",
    "opened_p99_ms",
    "naive_msgs_per_s",
    "siena_day_s",
)


@pytest.mark.slow
@pytest.mark.spec("CLI-33")
def test_a_quick_bench_prints_one_document_with_every_figure() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ix", "bench", "--quick"],
        capture_output=True,
        text=True,
        env=here(),
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    document = json.loads(ran.stdout)
    assert all(document[name] > 0 for name in WANTED)
    assert document["quick"] is True
    assert document["machine"].keys() >= {"cpu", "cores", "python", "sqlite", "fsync"}
    assert document["opened_p50_ms"] <= document["opened_p99_ms"]
    assert document["siena"]["log_entries"] == dict.fromkeys(
        ("disclosure", "delivered", "opened"), document["siena"]["messages"]
    )
    assert document["decisions"].keys() == {"10", "300"}
    assert "decision_growth_us" in document
    assert document["log_entries"] == 3000
    assert all(document[name] > 0 for name in ("log_append_per_s", "log_proof_ms", "log_verify_s", "log_verify_mb"))
    assert document["ledger_acts"] == 2000
    assert all(document[name] > 0 for name in ("ledger_write_ms", "ledger_verify_us_per_act", "ledger_next_head_ms"))


def test_the_load_is_made_of_messages_a_broker_admits() -> None:
    federation = found(16, _now())
    assert len(federation.agreements) == 2
    drawn = pairs(federation, 30)
    assert {pair.sender for pair in drawn} == set(federation.identities)
    assert all(pair.sender != pair.recipient for pair in drawn)
    assert {pair.agreement for pair in drawn} <= {agreement_digest(a) for a in federation.agreements.values()}
    envelopes = compose(federation, drawn[:3])
    for envelope in envelopes:
        verify(parse(envelope), federation.directory, _now())
    assert floor_us(federation, envelopes) > 10


def test_an_identity_travels_to_a_worker_whole() -> None:
    identity = Identity.generate("agency-00.sim")
    again = unpack(pack(identity))
    assert again.signer.public == identity.signer.public
    assert again.opening.public.kid == identity.opening.public.kid
    assert again.transport.public == identity.transport.public
    assert again.pseudonym_key == identity.pseudonym_key


def _now() -> datetime:
    return datetime.now(UTC)
