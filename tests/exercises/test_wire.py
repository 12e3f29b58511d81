"""The wire carries calls faithfully, and every planted fault does what its name says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from exercises.wire import Fault, Wire, altered

START = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)


class Echo:
    """An ASGI app that remembers what it was told and says it back."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.running = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for act in ("startup", "shutdown"):
                await receive()
                self.running = act == "startup"
                await send({"type": f"lifespan.{act}.complete"})
            return
        if scope["path"] == "/crash":
            raise LookupError("a fault of the app")
        body = (await receive())["body"]
        self.heard.append(body)
        name = dict(scope["headers"]).get(b"x-name", b"")
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-name", name)]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": scope["query_string"]})


class Now:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def wire(now: Now, echo: Echo) -> Iterator[Wire]:
    wire = Wire(now, seed=7)
    wire.attach("echo.sim", echo)
    yield wire
    wire.close()
    assert not echo.running


def test_a_call_arrives_as_it_was_sent_and_is_written_down(wire: Wire, echo: Echo) -> None:
    assert echo.running
    with wire.client("north", "http://echo.sim") as client:
        answer = client.post("/v1/say?loud=1", content=b"hello", headers={"X-Name": "north"})
    assert (answer.status_code, answer.content, answer.headers["x-name"]) == (201, b"helloloud=1", "north")
    (call,) = wire.calls
    assert (call.caller, call.host, call.method, call.path, call.query) == (
        "north",
        "echo.sim",
        "POST",
        "/v1/say",
        "loud=1",
    )
    assert (call.at, call.body, call.status, call.answer) == (START, b"hello", 201, b"helloloud=1")
    assert "north -> echo.sim POST /v1/say 201" in str(call)


def test_a_lost_call_is_never_heard(wire: Wire, echo: Echo) -> None:
    wire.trouble(Fault.LOSE, path="/v1")
    with wire.client("north", "http://echo.sim") as client:
        with pytest.raises(httpx.ConnectError):
            client.post("/v1/say", content=b"one")
        assert client.post("/v1/say", content=b"two").status_code == 201
    assert echo.heard == [b"two"]
    assert [call.fault for call in wire.calls] == [Fault.LOSE, None]


def test_a_deaf_caller_was_heard(wire: Wire, echo: Echo) -> None:
    wire.trouble(Fault.DEAF)
    with wire.client("north", "http://echo.sim") as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/say", content=b"one")
    assert echo.heard == [b"one"]
    assert wire.calls[0].status == 201


def test_a_duplicated_call_is_heard_twice(wire: Wire, echo: Echo) -> None:
    wire.trouble(Fault.DUPLICATE)
    with wire.client("north", "http://echo.sim") as client:
        assert client.post("/", content=b"one").status_code == 201
    assert echo.heard == [b"one", b"one"]


def test_a_delayed_call_arrives_when_the_clock_has_moved(wire: Wire, echo: Echo, now: Now) -> None:
    wire.trouble(Fault.DELAY, by=timedelta(hours=2))
    with wire.client("north", "http://echo.sim") as client, pytest.raises(httpx.ReadTimeout):
        client.post("/", content=b"one")
    assert wire.deliver_due() == 0
    now.at += timedelta(hours=2)
    assert wire.deliver_due() == 1
    assert wire.deliver_due() == 0
    assert echo.heard == [b"one"]


def test_alteration_flips_one_bit_of_one_byte(wire: Wire, echo: Echo) -> None:
    wire.trouble(Fault.ALTER_REQUEST)
    with wire.client("north", "http://echo.sim") as client:
        client.post("/", content=b"0123456789")
        wire.trouble(Fault.ALTER_ANSWER)
        heard = client.post("/", content=b"0123456789").content
    assert _differing_bits(echo.heard[0], b"0123456789") == 1
    assert echo.heard[1] == b"0123456789"
    assert _differing_bits(heard, b"0123456789") == 1


def test_altering_nothing_alters_nothing() -> None:
    assert altered(b"", 0.5) == b""
    assert altered(b"ab", 0.999) == b"ac"


def test_a_rule_hits_only_what_it_names(wire: Wire) -> None:
    rule = wire.trouble(Fault.LOSE, caller="north", method="POST", where=lambda call: b"x" in call.body, times=None)
    with wire.client("north", "http://echo.sim") as north, wire.client("south", "http://echo.sim") as south:
        assert north.post("/", content=b"a").status_code == 201
        assert north.get("/").status_code == 201
        assert south.post("/", content=b"x").status_code == 201
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                north.post("/", content=b"x")
        rule.lift()
        assert north.post("/", content=b"x").status_code == 201
    assert rule.hit == 2


def test_the_same_seed_makes_the_same_trouble(now: Now) -> None:
    def losses(seed: int) -> list[bool]:
        wire = Wire(now, seed)
        wire.attach("echo.sim", Echo())
        wire.trouble(Fault.DUPLICATE, chance=0.5, times=None)
        with wire.client("north", "http://echo.sim") as client:
            for _ in range(20):
                client.get("/")
        wire.close()
        return [call.fault is not None for call in wire.calls]

    assert losses(1) == losses(1) != losses(2)
    assert 0 < sum(losses(1)) < 20


def test_a_cut_caller_is_heard_again_afterwards(wire: Wire) -> None:
    with wire.client("north", "http://echo.sim") as client:
        with wire.cut("north"), pytest.raises(httpx.ConnectError):
            client.get("/")
        assert client.get("/").status_code == 201


def test_nobody_answers_for_a_name_not_on_the_wire(wire: Wire) -> None:
    with wire.client("north", "http://nowhere.sim") as client, pytest.raises(httpx.ConnectError):
        client.get("/")
    with pytest.raises(ValueError, match="already on the wire"):
        wire.attach("echo.sim", Echo())


def test_a_crash_of_an_app_is_kept(wire: Wire) -> None:
    with wire.client("north", "http://echo.sim") as client, pytest.raises(httpx.ConnectError):
        client.get("/crash")
    assert [type(crash) for crash in wire.crashes] == [LookupError]


def test_an_app_that_fails_to_start_does_not_join(now: Now) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    wire = Wire(now)
    with pytest.raises(RuntimeError, match="no database"):
        wire.attach("broken.sim", broken)
    wire.close()


def _differing_bits(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))
