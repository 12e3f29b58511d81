"""The one door out: what is said is proved, and nothing unproved is believed (NODE-30, NODE-31)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agencies.node.broker_client import MAX_ANSWER, MAX_LOG_FILE, Answer, BrokerClient
from agencies.node.errors import BrokerRefused, BrokerUnreachable
from exchange.http import content_digest, read_call_proof, sign_answer
from exercises.wire import Fault
from exercises.world import BROKER_HOST, World, WorldNode
from keys.encoding import write_json
from keys.signing import TransportSigner
from tests.agencies.node.conftest import HARBOUR, NORTH, REQUEST, SOUTH


def client_of(world: World, node: WorldNode, transport: Any) -> BrokerClient:
    """A client of one node on a line of its own."""
    signer = world.federation.identities[node.id].transport
    line = httpx.Client(transport=httpx.MockTransport(transport))
    return BrokerClient(line, f"http://{BROKER_HOST}", signer, lambda: world.federation.directory, world.clock)


def answering(world: World, signer: TransportSigner, body: bytes, status: int = 200) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        call = read_call_proof(request.headers)
        headers = sign_answer(status, body, call, signer, created=int(world.clock().timestamp()))
        return httpx.Response(status, content=body, headers=headers)

    return answer


@pytest.fixture
def broker_key(world: World) -> TransportSigner:
    return world.federation.broker.transport


BOX = write_json({"items": [], "next": 7})


@pytest.mark.spec("NODE-30")
def test_an_answer_by_the_broker_over_this_call_is_believed(
    world: World, north: WorldNode, broker_key: TransportSigner
) -> None:
    assert client_of(world, north, answering(world, broker_key, BOX)).mailbox(7) == ([], 7)


@pytest.mark.spec("NODE-30")
def test_an_answer_by_anybody_else_is_not(world: World, north: WorldNode) -> None:
    for signer in (TransportSigner.generate(), world.federation.identities[SOUTH].transport):
        with pytest.raises(BrokerUnreachable):
            client_of(world, north, answering(world, signer, BOX)).mailbox(7)


@pytest.mark.spec("NODE-30")
@pytest.mark.parametrize(
    "change",
    [
        lambda r: httpx.Response(200, content=r.content),
        lambda r: httpx.Response(200, content=BOX + b" ", headers=r.headers),
        lambda r: httpx.Response(
            200, content=BOX + b" ", headers={**r.headers, "content-digest": content_digest(BOX + b" ")}
        ),
        lambda r: httpx.Response(201, content=r.content, headers=r.headers),
    ],
)
def test_an_answer_that_was_changed_is_not(
    world: World, north: WorldNode, broker_key: TransportSigner, change: Any
) -> None:
    honest = answering(world, broker_key, BOX)

    def changed(request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = honest(request)
        answer.headers.pop("content-length", None)
        return change(answer)  # type: ignore[no-any-return]

    with pytest.raises(BrokerUnreachable, match="not proved"):
        client_of(world, north, changed).mailbox(7)


@pytest.mark.spec("NODE-30")
def test_an_answer_to_an_earlier_call_is_not(world: World, north: WorldNode, broker_key: TransportSigner) -> None:
    honest, kept = answering(world, broker_key, BOX), []

    def replaying(request: httpx.Request) -> httpx.Response:
        kept.append(honest(request))
        return kept[0]

    client = client_of(world, north, replaying)
    client.mailbox(7)
    with pytest.raises(BrokerUnreachable):
        client.mailbox(7)


@pytest.mark.spec("NODE-31")
@pytest.mark.parametrize(
    ("status", "code", "lasting"),
    [
        (422, "message_expired", True), (403, "sender_mismatch", True), (409, "id_reused", True),
        (400, "envelope_malformed", True), (413, "too_large", True), (401, "call_replayed", False),
        (429, "rate_limited", False), (503, "overloaded", False), (500, "fault", False),
        (421, "authority_mismatch", False), (400, "content_digest_mismatch", False),
    ],
)  # fmt: skip
def test_a_refusal_is_final_only_if_it_is_about_what_was_said(
    world: World, north: WorldNode, broker_key: TransportSigner, status: int, code: str, lasting: bool
) -> None:
    body = write_json({"code": code, "status": status, "detail": "a sentence"})
    with pytest.raises(BrokerRefused) as refusal:
        client_of(world, north, answering(world, broker_key, body, status)).submit(b"{}")
    assert (refusal.value.reason, refusal.value.detail, refusal.value.lasting) == (code, "a sentence", lasting)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"not json", b'{"items":{},"next":1}', b'{"items":[],"next":"1"}', b'{"items":[]}']
)
def test_a_mailbox_that_is_none_is_refused(
    world: World, north: WorldNode, broker_key: TransportSigner, body: bytes
) -> None:
    with pytest.raises(BrokerUnreachable):
        client_of(world, north, answering(world, broker_key, body)).mailbox(0)


def test_a_batch_with_an_answer_missing_is_refused(world: World, north: WorldNode, broker_key: TransportSigner) -> None:
    with pytest.raises(BrokerUnreachable, match="1 answers to 2"):
        client_of(world, north, answering(world, broker_key, b"{}\n")).submit_batch([b"{}", b"{}"])


def test_an_answer_without_its_members_is_refused() -> None:
    for value in (None, {}, {"outcome": "permit", "code": "x", "msg": "x", "entry": 7, "proof": ""}):
        with pytest.raises(BrokerUnreachable):
            Answer.read(value)


def test_a_proof_made_by_a_clock_that_is_wrong_is_refused(world: World, north: WorldNode) -> None:
    honest = north.service.office.broker
    assert honest.mailbox(-1)[1] >= -1
    world.wire.trouble(Fault.DELAY, caller=NORTH)
    with pytest.raises(BrokerUnreachable):
        honest.mailbox(-1)


def test_a_line_that_fails_says_so_in_one_way(world: World, north: WorldNode) -> None:
    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    client = client_of(world, north, dead)
    for call in (client.directory, client.agreements, client.checkpoint, lambda: client.mailbox(0)):
        with pytest.raises(BrokerUnreachable, match="does not answer: ConnectError"):
            call()


def test_the_log_is_fetched_without_saying_who_asks(world: World, north: WorldNode) -> None:
    north.service.office.broker.checkpoint()
    call = world.wire.calls[-1]
    assert call.path == "/log/head"
    assert not {"signature", "signature-input", "authorization"} & {name for name, _ in call.headers}


def test_nobody_sees_somebody_elses_mailbox(world: World, north: WorldNode) -> None:
    north.send(REQUEST, SOUTH)
    items, _ = world.node(HARBOUR).service.office.broker.mailbox(-1)
    assert items == []


@pytest.mark.spec("NODE-30")
def test_an_answer_that_is_packed_is_not_unpacked(world: World, north: WorldNode, broker_key: TransportSigner) -> None:
    honest = answering(world, broker_key, BOX)

    def packed(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        proof = honest(request).headers if "signature" in request.headers else {}
        return httpx.Response(200, stream=httpx.ByteStream(b"-"), headers={**proof, "content-encoding": "gzip"})

    client = client_of(world, north, packed)
    for call in (lambda: client.mailbox(7), client.checkpoint):
        with pytest.raises(BrokerUnreachable, match="packed"):
            call()


@pytest.mark.spec("NODE-30")
def test_an_answer_is_read_no_further_than_it_may_be_long(world: World, north: WorldNode) -> None:
    given = 0

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            nonlocal given
            while given < 200 * MAX_LOG_FILE:
                given += 65_536
                yield b" " * 65_536

    client = client_of(world, north, lambda _: httpx.Response(200, stream=Endless()))
    with pytest.raises(BrokerUnreachable, match="more than"):
        client.checkpoint()
    assert given <= MAX_LOG_FILE + 65_536
    given = 0
    with pytest.raises(BrokerUnreachable, match="more than"):
        client.directory()
    assert given <= MAX_ANSWER + 65_536
