"""Attacks on the broker's door: by whoever sees the wire, by somebody without a key, by a member that floods it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exchange.http import new_nonce, read_answer_proof, read_call_proof, sign_request, verify_answer
from exchange.protocol.errors import CallProofInvalid
from exchange.protocol.message import MEDIA_TYPE
from keys.signing import TransportSigner
from tests.exchange.broker.office import HOST, NGO, NORTH, SOUTH, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def proof(
    office: Office, who: str = NORTH, method: str = "GET", path: str = "/v1/mailbox", query: str = "", body: bytes = b""
) -> dict[str, str]:
    signer, created = office.cast.identities[who].transport, int(office.clock.now.timestamp())
    return sign_request(method, HOST, path, query, body, signer, created=created, nonce=new_nonce())


def knock(
    office: Office,
    headers: Mapping[str, str] | list[tuple[str, str]],
    *,
    method: str = "GET",
    path: str = "/v1/mailbox",
    raw: str | None = None,
    query: str = "",
    body: list[bytes] | None = None,
) -> tuple[int, dict[str, Any], int]:
    """Say exactly these bytes to the app; returns status, body and how many pieces of the call's body it took."""
    pieces, taken, said = body or [b""], 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": pieces[taken - 1], "more_body": taken < len(pieces)}

    async def send(message: Any) -> None:
        said.append(message)

    listed = list(headers.items()) if isinstance(headers, Mapping) else headers
    fields = [(b"host", HOST.encode())] if not any(name == "host" for name, _ in listed) else []
    fields += [(name.lower().encode(), value.encode()) for name, value in listed]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": (raw or path).encode(), "root_path": "", "query_string": query.encode(),
        "headers": fields, "client": ("thief", 1), "server": ("broker", 1), "state": {},
    }  # fmt: skip
    office.loop.run_until_complete(office.app(scope, receive, send))
    answer = b"".join(m.get("body", b"") for m in said)
    return said[0]["status"], json.loads(answer) if answer[:1] == b"{" else {}, taken


# --- a thief on the wire ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twice", ["host", "signature", "signature-input", "content-digest"])
def test_a_field_smuggled_in_beside_the_signed_one_is_refused(office: Office, twice: str) -> None:
    fields = [("host", HOST), *proof(office).items()]
    doubled = next((name, value) for name, value in fields if name.lower() == twice)
    for extra in (doubled, (twice, "other")):
        for order in ([*fields, extra], [extra, *fields]):
            assert knock(office, order)[:1] == (401,)


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/v1/mailbox", "/v1/%6dailbox"), ("/v1/mailbox", "//v1/mailbox"),
        ("/v1/mailbox", "/V1/mailbox"), ("/v1/directory", "/v1/directory"), ("/v1/mailbox/", "/v1/mailbox/"),
    ],
)  # fmt: skip
def test_a_proof_is_for_one_spelling_of_one_path(office: Office, path: str, raw: str) -> None:
    status, said, _ = knock(office, proof(office), path=path, raw=raw)
    assert (status, said["code"]) == (401, "call_proof_invalid")


@pytest.mark.parametrize(
    "path", ["//v1/mailbox", "/V1/mailbox", "/v1", "/log/../v1/mailbox", "/v1;/mailbox", "/v1//mailbox"]
)
def test_no_spelling_of_a_path_walks_past_the_proof(office: Office, path: str) -> None:
    status, said, _ = knock(office, {}, path=path)
    assert status in (401, 404), said


def test_method_query_authority_and_body_are_what_was_signed(office: Office) -> None:
    fields = proof(office)
    assert knock(office, fields, query="after=5")[1]["code"] == "call_proof_invalid"
    assert knock(office, proof(office), method="POST")[1]["code"] == "call_proof_invalid"
    assert knock(office, [("host", "other.sim:8400"), *proof(office).items()])[1]["code"] == "authority_mismatch"
    assert knock(office, proof(office), body=[b"more"])[1]["code"] == "content_digest_mismatch"


def test_a_call_is_heard_once(office: Office) -> None:
    fields = proof(office)
    assert knock(office, fields)[0] == 200
    assert knock(office, fields)[1]["code"] == "call_replayed"
    later = fields | {"Signature-Input": fields["Signature-Input"].replace('tag="ix-call"', 'tag="ix-call" ')}
    assert knock(office, later)[0] == 401


def test_only_a_transport_key_calls(office: Office) -> None:
    """Signing keys, the broker's own key, and keys of nobody."""
    identity, created = office.cast.identities[NORTH], int(office.clock.now.timestamp())
    signing = TransportSigner.from_seed(identity.signer.unsafe_seeds()[0])
    for key, code in (
        (signing, "key_not_valid"),
        (office.cast.keys.transport, "agency_unknown"),
        (TransportSigner.generate(), "key_unknown"),
    ):
        fields = sign_request("GET", HOST, "/v1/mailbox", "", b"", key, created=created, nonce=new_nonce())
        assert knock(office, fields)[1]["code"] == code


def test_an_answer_to_one_call_is_none_to_another(office: Office) -> None:
    """Two calls of one agency at one moment, their answers exchanged on the way."""
    one, other = proof(office), proof(office, query="after=5")
    got = office.call(NORTH, "GET", "/v1/directory")
    key = office.cast.keys.transport.public
    for call in (one, other):
        with pytest.raises(CallProofInvalid):
            verify_answer(read_answer_proof(got.headers), key, 200, got.headers, got.body, call, now=office.clock.now)
    assert read_call_proof({name.lower(): value for name, value in one.items()}).nonce


# --- a member with what is not its own -------------------------------------------------------------------------------


def test_a_stolen_envelope_is_taken_from_its_sender_only(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    before = office.size
    for thief in (SOUTH, NGO):
        assert office.submit(envelope, thief).code == "sender_mismatch"
    assert office.size == before


def test_receipts_are_given_for_what_one_got_and_for_nothing_else(office: Office) -> None:
    """For somebody else's message, for a denied one, for one nobody knows; and the batch of another."""
    agreement = office.agree(NORTH, SOUTH)
    sent = office.submit(office.cast.compose(agreement)).json["msg"]
    denied = office.submit(office.cast.compose(agreement, purpose="prevent", classification="secret")).json
    assert denied["outcome"] == "deny"
    now, before = office.clock.now, office.size
    for who, message in ((NGO, sent), (SOUTH, denied["msg"]), (NORTH, sent), (SOUTH, "A" * 43)):
        got = office.statement(who, "/v1/receipts", office.cast.receipts(who, now, (message, "opened")))
        assert got.code == "receipt_not_theirs"
    assert (
        office.statement(NGO, "/v1/receipts", office.cast.receipts(SOUTH, now, (sent, "opened"))).code
        == "sender_mismatch"
    )
    assert office.size == before


def test_a_mailbox_shows_nobody_elses_mail(office: Office) -> None:
    office.submit(office.cast.compose(office.agree(NORTH, SOUTH)))
    assert [item["kind"] for item in office.mailbox(NGO)["items"]] == []
    assert [item["kind"] for item in office.mailbox(NORTH)["items"]] == ["agreement"]


@pytest.mark.parametrize(
    "path",
    [
        "../../broker.db",
        "..%2f..%2fbroker.db",
        "0/000.p/300",
        "0/x000/000",
        "0/-01",
        "99/000",
        "entries/",
        "0/\u0660" * 3,
    ],
)
def test_the_log_serves_tiles_and_no_other_file(office: Office, path: str) -> None:
    assert office.call(None, "GET", f"/log/tile/{path}").status == 404


# --- floods ----------------------------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-16")
def test_who_proves_nothing_is_not_listened_to(office: Office) -> None:
    """A key id is no secret. The signature covers the digest, so it can be checked before a byte of the body."""
    thief, known = TransportSigner.generate(), office.cast.identities[NORTH].transport.public.kid
    created = int(office.clock.now.timestamp())
    fields = sign_request("POST", HOST, "/v1/messages", "", b"", thief, created=created, nonce=new_nonce())
    fields["Signature-Input"] = fields["Signature-Input"].replace(thief.public.kid, known)
    fields["Content-Type"] = "application/ix-message+ndjson"
    status, said, taken = knock(office, fields, method="POST", path="/v1/messages", body=[b"x" * 65_536] * 100)
    assert (status, said["code"]) == (401, "call_proof_invalid")
    assert taken == 0


@pytest.mark.spec("HTTP-17")
def test_one_member_cannot_fill_the_memory_of_nonces_for_all(tmp_path: Path) -> None:
    with open_office(tmp_path, nonces=1000, rate=1.0, burst=5) as office:
        for _ in range(1000):
            knock(office, proof(office))
        assert office.call(SOUTH, "GET", "/v1/mailbox").status == 200


@pytest.mark.spec("HTTP-35")
def test_one_member_cannot_keep_the_broker_busy_by_waiting(office: Office) -> None:
    looks = 0
    honest = office.broker._mail

    def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return honest(*args)

    office.broker._mail = counted
    office.together(*[office.acall(NORTH, "GET", "/v1/mailbox", query="wait=1") for _ in range(60)])
    assert looks < 300


@pytest.mark.spec("ADM-33")
def test_one_member_cannot_bury_another_under_proposals(office: Office) -> None:
    """What South has to fetch before it learns of the next suspension; beyond 64 MiB its node learns nothing more."""
    for number in range(120):
        offered = office.cast.agreement(NORTH, SOUTH, signers=[NORTH], id=f"flood-{number}")
        if office.statement(NORTH, "/v1/agreements", offered.to_bytes()).status != 200:
            break
    else:
        pytest.fail(f"{len(office.call(SOUTH, 'GET', '/v1/proposals').body)} bytes of proposals nobody asked for")


def test_a_batch_of_bad_lines_spoils_nothing_for_the_good_one(office: Office) -> None:
    good = office.cast.compose(office.agree(NORTH, SOUTH))
    bad = [b"[" * 5000, b'{"payload":1}', b"1" * 5000, b"\xff", b'{"a":' * 15 + b"1" + b"}" * 15, b"{}"]
    found = office.submit_batch([*bad, good, *bad]).lines
    assert [line.get("outcome") for line in found] == [None] * 6 + ["permit"] + [None] * 6
    assert all(
        line["code"] in ("malformed", "too_large", "envelope_malformed") for line in found if "outcome" not in line
    )


@pytest.mark.parametrize("body", [b"", b"\n" * 101, b"{}\n" * 101])
def test_a_batch_has_a_size(office: Office, body: bytes) -> None:
    got = office.call(NORTH, "POST", "/v1/messages", body, media="application/ix-message+ndjson")
    assert got.code in ("malformed", "too_large")


def test_a_problem_tells_nothing_of_what_was_sent(office: Office) -> None:
    """The marker stands wherever a sender can write text; no refusal repeats it."""
    marker = "Zebra-Quartz-4711"
    for body in (
        json.dumps({"payload": marker, "signatures": [], "sealed": {}}).encode(),
        json.dumps({marker: marker}).encode(),
        marker.encode(),
    ):
        got = office.call(NORTH, "POST", "/v1/messages", body, media=MEDIA_TYPE)
        assert marker not in got.body.decode()
