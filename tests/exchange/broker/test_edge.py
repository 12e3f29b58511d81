"""Nobody is heard who does not prove who calls; no answer leaves unsigned. See `spec/http.md`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from exchange.http import content_digest, new_nonce, read_answer_proof, sign_request
from exchange.protocol.errors import CallProofMissing
from exchange.protocol.message import MEDIA_TYPE, NDJSON
from keys.keystore import Identity
from tests.exchange.broker.office import FIU, HOST, NGO, NORTH, SOUTH, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


@pytest.mark.spec("HTTP-1", "HTTP-2")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"), ("GET", "/v1/mailbox"), ("POST", "/v1/receipts"), ("GET", "/v1/agreements"),
        ("POST", "/v1/agreements"), ("GET", "/v1/directory"), ("POST", "/v1/records"), ("GET", "/v1/nothing"),
    ],
)  # fmt: skip
def test_every_call_needs_a_proof(office: Office, method: str, path: str) -> None:
    got = office.call(None, method, path, b"{}" if method == "POST" else b"", media=MEDIA_TYPE)
    assert (got.status, got.code) == (401, "call_proof_missing")


@pytest.mark.spec("HTTP-1")
def test_the_log_and_the_health_are_open(office: Office) -> None:
    for path in ("/log/checkpoint", "/log/tile/0/000.p/1", "/healthz", "/readyz", "/metrics"):
        got = office.call(None, "GET", path)
        assert got.status == 200
        assert "signature" not in got.headers


@pytest.mark.spec("HTTP-9")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/mailbox", 200),
        ("POST", "/v1/messages", 415),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/mailbox", 405),
    ],
)
def test_every_answer_to_a_proved_call_is_signed_whatever_it_says(
    office: Office, method: str, path: str, status: int
) -> None:
    got = office.call(NORTH, method, path)  # the office verifies the proof
    assert got.status == status
    assert "signature" in got.headers


@pytest.mark.spec("HTTP-9", "HTTP-10")
def test_an_answer_altered_on_the_way_is_not_the_brokers(office: Office) -> None:
    got = office.call(NORTH, "GET", "/v1/mailbox")
    with pytest.raises(CallProofMissing):
        read_answer_proof({})
    assert got.headers["content-digest"] != content_digest(got.body + b" ")


@pytest.mark.spec("HTTP-8")
def test_the_same_call_twice_is_a_replay(office: Office) -> None:
    nonce = new_nonce()
    assert office.call(NORTH, "GET", "/v1/mailbox", nonce=nonce).status == 200
    assert office.call(NORTH, "GET", "/v1/mailbox", nonce=nonce).code == "call_replayed"
    assert office.call(SOUTH, "GET", "/v1/mailbox", nonce=nonce).status == 200


@pytest.mark.spec("HTTP-6", "HTTP-8")
def test_a_stale_call_and_one_from_before_the_start_are_refused(office: Office) -> None:
    began = int(office.clock.now.timestamp())
    assert office.call(NORTH, "GET", "/v1/mailbox", created=began - 1).code == "call_proof_stale"
    office.clock.advance(hours=1)
    later = int(office.clock.now.timestamp())
    assert office.call(NORTH, "GET", "/v1/mailbox", created=later - 61).code == "call_proof_stale"
    assert office.call(NORTH, "GET", "/v1/mailbox", created=later + 61).code == "call_proof_stale"
    assert office.call(NORTH, "GET", "/v1/mailbox", created=later - 60).status == 200


@pytest.mark.spec("HTTP-5", "HTTP-7")
def test_a_call_altered_on_the_way_is_refused(office: Office) -> None:
    altered = office.call(NORTH, "POST", "/v1/messages", b'{"a":1}', media=MEDIA_TYPE, sent=b'{"a":2}')
    assert altered.code == "content_digest_mismatch"
    both = {"Content-Digest": content_digest(b'{"a":2}')}
    altered = office.call(NORTH, "POST", "/v1/messages", b'{"a":1}', media=MEDIA_TYPE, sent=b'{"a":2}', tampered=both)
    assert altered.code == "call_proof_invalid"
    foreign = {"Signature-Input": "sig1=()"}
    assert office.call(NORTH, "GET", "/v1/mailbox", tampered=foreign).code == "call_proof_malformed"


@pytest.mark.spec("HTTP-4")
def test_a_call_signed_for_another_host_is_refused(office: Office) -> None:
    assert office.call(NORTH, "GET", "/v1/mailbox", host="elsewhere.sim:8400").code == "authority_mismatch"


@pytest.mark.spec("HTTP-5")
def test_a_key_nobody_lists_is_refused_and_so_is_the_brokers_own(office: Office) -> None:
    assert office.call(Identity.generate("ghost.police.sim"), "GET", "/v1/mailbox").code == "key_unknown"
    itself = Identity.generate("broker.sim")
    object.__setattr__(itself, "transport", office.cast.keys.transport)
    assert office.call(itself, "GET", "/v1/mailbox").code == "agency_unknown"


@pytest.mark.spec("HTTP-2", "HTTP-3")
def test_a_proof_field_that_appears_twice_is_refused(office: Office) -> None:
    async def scene() -> httpx.Response:
        signer, created = office.cast.identities[NORTH].transport, int(office.clock.now.timestamp())
        proof = sign_request("GET", HOST, "/v1/mailbox", "", b"", signer, created=created, nonce=new_nonce())
        fields = [*proof.items(), ("Signature", proof["Signature"])]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url=f"http://{HOST}") as client:
            return await client.get("/v1/mailbox", headers=fields)

    (answer,) = office.together(scene())
    assert answer.json()["code"] == "call_proof_malformed"


@pytest.mark.spec("HTTP-11")
def test_a_body_is_read_up_to_its_limit_and_not_a_byte_further(office: Office) -> None:
    limit = 256 * 1024
    assert office.call(NORTH, "POST", "/v1/messages", b" " * limit, media=MEDIA_TYPE).code == "malformed"
    assert office.call(NORTH, "POST", "/v1/messages", b" " * (limit + 1), media=MEDIA_TYPE).code == "too_large"
    line = b" " * limit + b"\n"
    assert office.call(NORTH, "POST", "/v1/messages", line * 63, media=NDJSON).status == 200
    assert office.call(NORTH, "POST", "/v1/messages", line * 64, media=NDJSON).code == "too_large"


@pytest.mark.spec("HTTP-11")
def test_a_body_that_hides_its_length_is_cut_off_while_it_streams(office: Office) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b" " * 64 * 1024

    async def scene() -> httpx.Response:
        signer, created = office.cast.identities[NORTH].transport, int(office.clock.now.timestamp())
        proof = sign_request("POST", HOST, "/v1/messages", "", b"", signer, created=created, nonce=new_nonce())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url=f"http://{HOST}") as client:
            headers = {**proof, "Content-Type": MEDIA_TYPE}
            return await client.post("/v1/messages", headers=headers, content=endless())

    (answer,) = office.together(asyncio.wait_for(scene(), 10))
    assert answer.json()["code"] == "too_large"
    assert read < 10


@pytest.mark.spec("HTTP-16")
def test_of_somebody_unknown_a_small_record_is_read_and_nothing_else(office: Office) -> None:
    stranger, media = Identity.generate("ghost.police.sim"), "application/jose+json"
    limit = 64 * 1024
    assert office.call(stranger, "POST", "/v1/records", b" " * limit, media=media).code == "malformed"
    assert office.call(stranger, "POST", "/v1/records", b" " * (limit + 1), media=media).code == "too_large"
    assert office.call(stranger, "POST", "/v1/agreements", b" " * (limit + 1), media=media).code == "key_unknown"


@pytest.mark.spec("HTTP-16", "HTTP-17")
def test_a_call_refused_for_its_rate_is_neither_read_nor_remembered(tmp_path: Path) -> None:
    with open_office(tmp_path, rate=0.001, burst=1) as office:
        assert office.call(NORTH, "GET", "/v1/mailbox").status == 200
        for _ in range(3):  # were it remembered, the second time would be a replay; were it read, its body too large
            got = office.call(NORTH, "POST", "/v1/messages", b" " * 300_000, media=MEDIA_TYPE, nonce="A" * 22)
            assert got.code == "rate_limited"


@pytest.mark.spec("HTTP-14")
def test_a_denial_costs_as_many_calls_as_it_has_recipients(tmp_path: Path) -> None:
    with open_office(tmp_path, rate=0.001, burst=6) as office:
        agreement = office.agree(NORTH, SOUTH, NGO, FIU)
        denied = office.cast.compose(agreement, SOUTH, NGO, FIU, classification="confidential")
        assert office.submit(denied).json["outcome"] == "deny"
        assert [office.call(NORTH, "GET", "/v1/mailbox").status for _ in range(3)] == [200, 200, 429]
        permitted = office.cast.compose(agreement, NORTH, sender=SOUTH)
        assert office.submit(permitted, SOUTH).json["outcome"] == "permit"
        assert [office.call(SOUTH, "GET", "/v1/mailbox").status for _ in range(6)] == [200] * 5 + [429]


@pytest.mark.spec("HTTP-14")
def test_a_caller_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with open_office(tmp_path, rate=0.5, burst=3) as office:
        for _ in range(3):
            assert office.call(NORTH, "GET", "/v1/mailbox").status == 200
        got = office.call(NORTH, "GET", "/v1/mailbox")
        assert (got.status, got.code, got.headers["retry-after"]) == (429, "rate_limited", "2")
        assert office.call(SOUTH, "GET", "/v1/mailbox").status == 200
        assert office.submit_batch([b"{}"] * 90, SOUTH).code == "rate_limited"


@pytest.mark.spec("HTTP-22", "HTTP-51")
def test_a_fault_of_ours_is_a_bare_500_and_tells_nothing(
    capsys: pytest.CaptureFixture[str], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise RuntimeError("the secret of the day")

    monkeypatch.setattr(office.broker, "_mail", stumble)
    monkeypatch.setattr(office.broker, "checkpoint", stumble)
    for who, path in ((NORTH, "/v1/mailbox"), (None, "/log/checkpoint")):
        got = office.call(who, "GET", path)
        assert (got.status, got.code) == (500, "fault")
        assert b"secret" not in got.body
    logged = capsys.readouterr().err
    assert "RuntimeError" in logged
    assert "stumble" in logged
    assert "secret" not in logged


@pytest.mark.spec("HTTP-51")
def test_a_log_line_holds_codes_and_agencies_and_no_text_a_caller_chose(
    capsys: pytest.CaptureFixture[str], office: Office
) -> None:
    office.call(NORTH, "GET", "/v1/Somebody")
    office.submit(b'{"Somebody":1}')
    office.call(NORTH, "GET", "/v1/mailbox", query="after=Somebody")
    logged = capsys.readouterr().err
    assert logged.count('"event":"refused"') == 3
    assert '"code":"parameter_invalid"' in logged
    assert "Somebody" not in logged


@pytest.mark.spec("HTTP-15")
def test_a_full_queue_refuses_and_writes_nothing_of_the_call(tmp_path: Path) -> None:
    with open_office(tmp_path, max_queue=3) as office:
        agreement = office.agree(NORTH, SOUTH)
        size = office.size
        got = office.submit_batch([office.cast.compose(agreement) for _ in range(4)])
        assert (got.status, got.code) == (503, "overloaded")
        assert office.size == size
        assert len(office.submit_batch([office.cast.compose(agreement) for _ in range(3)]).lines) == 3
