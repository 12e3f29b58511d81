"""The wire between apps of one process, and the trouble that can happen on it.

A ``Wire`` gives every app a host name and carries HTTP calls to it: the same bytes, headers and status
codes as over a socket, no socket. Every call is written down. ``trouble()`` plants a fault for the calls
a rule picks, by count or by seeded chance, so that a story with bad luck can be told again exactly.

The six faults, as the caller and the app see them:

=================  ==========================  =========================
fault              the app                     the caller
=================  ==========================  =========================
``LOSE``           never hears of it           ``ConnectError``
``DEAF``           acts on it                  ``ReadTimeout``
``DELAY``          hears it later              ``ReadTimeout``
``DUPLICATE``      hears it twice              the second answer
``ALTER_REQUEST``  hears one flipped byte      an answer to that
``ALTER_ANSWER``   acts on it                  one flipped byte
=================  ==========================  =========================

A delayed call waits until the world's clock has moved far enough and ``deliver_due()`` is called. This is
the exercises' only module that imports httpx.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

import httpx

App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
"""An ASGI 3 application."""
T = TypeVar("T")

PATIENCE: Final = 60.0
"""Real seconds a call may take before the wire gives up on the app."""


class Fault(StrEnum):
    """What can go wrong with one call."""

    LOSE = "lose"
    DEAF = "deaf"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    ALTER_REQUEST = "alter_request"
    ALTER_ANSWER = "alter_answer"


@dataclass(slots=True)
class Call:
    """One call as the wire saw it leave the caller; ``status`` is 0 until, and unless, an app answered."""

    number: int
    at: datetime
    caller: str
    host: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    fault: Fault | None = None
    status: int = 0
    answer: bytes = b""

    def __str__(self) -> str:
        trouble = f" [{self.fault}]" if self.fault else ""
        return f"{self.number} {self.caller} -> {self.host} {self.method} {self.path} {self.status}{trouble}"


Where = Callable[[Call], bool]


@dataclass(slots=True)
class Rule:
    """A planted fault: which calls it may hit, how many times, and how likely."""

    fault: Fault
    where: Where
    times: int | None
    chance: float
    by: timedelta
    hit: int = 0

    def lift(self) -> None:
        """Make this rule hit nothing any more."""
        self.times = self.hit


@dataclass(slots=True)
class _Due:
    when: datetime
    call: Call


@dataclass(slots=True)
class _Answer:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False


class Wire:
    """Carries calls between the apps of a world, faithfully until told otherwise.

    ``clock`` stamps the record and times delayed calls. ``seed`` decides every chance and every flipped
    bit; print it when a test draws it.
    """

    def __init__(self, clock: Callable[[], datetime], seed: int = 0) -> None:
        self.clock, self.seed = clock, seed
        self.calls: list[Call] = []
        self.crashes: list[BaseException] = []
        self.rules: list[Rule] = []
        self._chance = random.Random(seed)
        self._apps: dict[str, App] = {}
        self._lives: dict[str, _Life] = {}
        self._late: list[_Due] = []
        self._guard = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()

    # -- who is on the wire --

    def attach(self, host: str, app: App) -> None:
        """Give an app a host name and start it (ASGI lifespan)."""
        if host in self._apps:
            raise ValueError(f"`{host}` is already on the wire")
        self._lives[host] = self._run(_Life.begin(app))
        self._apps[host] = app

    def detach(self, host: str) -> None:
        """Stop an app and take its name off the wire; calls to it are then refused as by a dead host."""
        del self._apps[host]
        self._run(self._lives.pop(host).stop())

    def close(self) -> None:
        """Stop every app, then the wire itself."""
        for host in list(self._apps):
            self.detach(host)
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def client(self, caller: str, base_url: str = "") -> httpx.Client:
        """Open a client whose calls are recorded, and troubled, under the caller's name."""
        return httpx.Client(transport=_Line(self, caller), base_url=base_url, trust_env=False)

    # -- trouble --

    def trouble(
        self,
        fault: Fault,
        *,
        path: str = "",
        caller: str = "",
        host: str = "",
        method: str = "",
        where: Where | None = None,
        times: int | None = 1,
        chance: float = 1.0,
        by: timedelta = timedelta(minutes=5),
    ) -> Rule:
        """Plant a fault for calls whose path starts with ``path`` and that match whatever else is given.

        ``times=None`` means until lifted; ``by`` is how late a delayed call arrives. The first rule that
        hits a call decides.
        """

        def picks(call: Call) -> bool:
            return (
                call.path.startswith(path)
                and caller in ("", call.caller)
                and host in ("", call.host)
                and method in ("", call.method)
                and (where is None or where(call))
            )

        rule = Rule(fault, picks, times, chance, by)
        self.rules.append(rule)
        return rule

    @contextmanager
    def cut(self, caller: str) -> Iterator[None]:
        """Lose everything one caller says, for as long as the block lasts."""
        rule = self.trouble(Fault.LOSE, caller=caller, times=None)
        try:
            yield
        finally:
            rule.lift()

    def calm(self) -> None:
        """Lift every rule; calls already delayed still arrive."""
        self.rules.clear()

    def deliver_due(self) -> int:
        """Deliver the delayed calls whose time has come; says how many. Their answers reach nobody."""
        now = self.clock()
        with self._guard:
            due = [late for late in self._late if late.when <= now]
            self._late = [late for late in self._late if late.when > now]
        for late in sorted(due, key=lambda late: late.when):
            self._deliver(late.call, late.call.body)
        return len(due)

    # -- one call --

    def carry(self, caller: str, request: httpx.Request) -> httpx.Response:
        """Carry one call, with whatever trouble is planted for it."""
        body = request.read()
        with self._guard:
            call = _note(len(self.calls) + 1, self.clock(), caller, request, body)
            rule = next((rule for rule in self.rules if self._hits(rule, call)), None)
            call.fault = rule.fault if rule else None
            flip = self._chance.random()
            self.calls.append(call)
            if rule and rule.fault is Fault.DELAY:
                self._late.append(_Due(call.at + rule.by, call))
        return self._troubled(call, flip, request)

    def _hits(self, rule: Rule, call: Call) -> bool:
        if (rule.times is not None and rule.hit >= rule.times) or not rule.where(call):
            return False
        if rule.chance < 1.0 and self._chance.random() >= rule.chance:
            return False
        rule.hit += 1
        return True

    def _troubled(self, call: Call, flip: float, request: httpx.Request) -> httpx.Response:
        match call.fault:
            case Fault.LOSE:
                raise httpx.ConnectError("the call was lost on the wire", request=request)
            case Fault.DELAY:
                raise httpx.ReadTimeout("the call is still under way", request=request)
            case Fault.DEAF:
                self._deliver(call, call.body)
                raise httpx.ReadTimeout("the answer was lost on the wire", request=request)
            case Fault.DUPLICATE:
                self._deliver(call, call.body)
                answer = self._deliver(call, call.body)
            case Fault.ALTER_REQUEST:
                answer = self._deliver(call, altered(call.body, flip))
            case Fault.ALTER_ANSWER:
                answer = self._deliver(call, call.body)
                if answer:
                    answer.body[:] = altered(bytes(answer.body), flip)
            case _:
                answer = self._deliver(call, call.body)
        if answer is None:
            raise httpx.ConnectError(f"nobody answers at `{call.host}`", request=request)
        return httpx.Response(answer.status, headers=answer.headers, content=bytes(answer.body), request=request)

    def _deliver(self, call: Call, body: bytes) -> _Answer | None:
        app = self._apps.get(call.host)
        if app is None:
            return None
        answer = _Answer()
        try:
            self._run(_ask(app, call, body, answer))
        except Exception as crash:  # noqa: BLE001  # a fault of the app, kept and shown when the world closes
            self.crashes.append(crash)
        if not answer.complete:
            return None
        call.status, call.answer = answer.status, bytes(answer.body)
        return answer

    def _run(self, job: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(PATIENCE)


def altered(data: bytes, flip: float) -> bytes:
    """Flip the lowest bit of one byte, at the fraction ``flip`` of the way through; empty stays empty."""
    if not data:
        return data
    at = int(flip * len(data))
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class _Line(httpx.BaseTransport):
    """The caller's end of the wire."""

    def __init__(self, wire: Wire, caller: str) -> None:
        self._wire, self._caller = wire, caller

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._wire.carry(self._caller, request)


def _note(number: int, at: datetime, caller: str, request: httpx.Request, body: bytes) -> Call:
    headers = tuple((name.lower(), value) for name, value in request.headers.items())
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    return Call(number, at, caller, request.url.host, request.method, path, query, headers, body)


async def _ask(app: App, call: Call, body: bytes, answer: _Answer) -> None:
    """Speak ASGI for one request and gather the answer."""
    asked, done = False, asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            answer.status, answer.headers = event["status"], [(bytes(k), bytes(v)) for k, v in event["headers"]]
        elif event["type"] == "http.response.body":
            answer.body.extend(event.get("body", b""))
            if not event.get("more_body", False):
                answer.complete = True
                done.set()

    await app(_scope(call, body), receive, send)


def _scope(call: Call, body: bytes) -> dict[str, Any]:
    headers = [(k.encode("ascii"), v.encode("latin-1")) for k, v in call.headers if k != "content-length"]
    if body or call.method in ("POST", "PUT"):
        headers.append((b"content-length", str(len(body)).encode("ascii")))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": call.path,
        "raw_path": call.path.encode("ascii"),
        "root_path": "",
        "query_string": call.query.encode("ascii"),
        "headers": headers,
        "client": (call.caller, 0),
        "server": (call.host, 80),
        "state": {},
    }


class _Life:
    """The lifespan of one app: started when it joins the wire, stopped when it leaves."""

    def __init__(self, app: App) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._task = asyncio.ensure_future(app(scope, self._to_app.get, self._from_app.put))

    @classmethod
    async def begin(cls, app: App) -> _Life:
        life = cls(app)
        await life._say("startup")
        return life

    async def stop(self) -> None:
        await self._say("shutdown")
        await self._task

    async def _say(self, act: str) -> None:
        await self._to_app.put({"type": f"lifespan.{act}"})
        heard = asyncio.create_task(self._from_app.get())
        await asyncio.wait({heard, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            heard.cancel()
            self._task.result()  # raises what stopped the app; an app without a lifespan just returns
            return
        if heard.result()["type"].endswith(".failed"):
            raise RuntimeError(f"an app failed at {act}: {heard.result().get('message', '')}")


def answers(url: str) -> bool:
    """Say whether somebody answers 200 at an address of this machine."""
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
