"""The broker as an app: settings in, everything wired, complete before it serves (HTTP-60, LOG-18).

``create_app`` checks the books against themselves and the keys against the federation root, and refuses to
make an app that would sign over damaged books or in somebody else's name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from exchange.broker.books_check import check_books
from exchange.broker.edge import Edge
from exchange.broker.meters import Meters, new_log
from exchange.broker.publishing import Publisher
from exchange.broker.routes import add_routes, direct_calls
from exchange.broker.service import Broker, found_books
from exchange.broker.settings import Settings, UnsafeSettings
from exchange.broker.store import Store
from exchange.broker.witness_client import Ask, WitnessClient
from exchange.http import PROBLEM, NonceMemory, RateLimit, problem, status_of
from keys.encoding import write_json
from keys.trust import Directory


def system_clock() -> datetime:
    """The machine's time, which only an app's edge may ask."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = system_clock, ask: Ask | None = None) -> FastAPI:
    """Make the broker's app. ``BooksDamaged`` or ``UnsafeSettings`` say why not, and what to do.

    ``ask`` is how witnesses are asked; over HTTP unless it is given.
    """
    meters, log = Meters(), new_log()
    rate = RateLimit(settings.rate, settings.burst)
    broker = open_broker(settings, clock, meters, lambda caller, cost: rate.charge(caller, time.monotonic(), cost))
    witnesses = WitnessClient()
    if settings.policy is not None:
        clerk, asked = broker.clerk, ask or witnesses.ask
        broker.publisher = Publisher(settings.policy, clerk.store, clerk.refresh, asked, meters, clock, log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.info("started", log_size=broker.clerk.books.head.size)
        publishing = asyncio.create_task(broker.publisher.run()) if broker.publisher else None
        yield
        if publishing is not None:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        await witnesses.close()
        broker.close()
        log.info("stopped")

    app = FastAPI(title="ix broker", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.broker, app.state.meters = broker, meters
    nonces = NonceMemory(clock(), limit=settings.nonces)
    direct = direct_calls(broker, rate, settings.max_wait)
    app.add_middleware(
        Edge,
        direct=direct,
        broker=broker,
        settings=settings,
        nonces=nonces,
        rate=rate,
        clock=clock,
        meters=meters,
        log=log,
    )
    app.add_exception_handler(HTTPException, _not_ours)
    add_routes(app, broker, meters, direct)
    return app


async def _not_ours(_: Request, wrong: Exception) -> Response:
    """What the framework itself refuses: a path or method that does not exist."""
    code = "method_not_allowed" if getattr(wrong, "status_code", 404) == 405 else "not_found"
    said = "this path takes another method" if code == "method_not_allowed" else "there is nothing at this path"
    return Response(write_json(problem(code, said)), status_of(code), media_type=PROBLEM)


def open_broker(
    settings: Settings,
    clock: Callable[[], datetime],
    meters: Meters,
    charge: Callable[[str, int], None] = lambda _caller, _cost: None,
) -> Broker:
    """Open the books behind the settings, checked, with nothing served yet."""
    now = clock()
    trust = Directory.from_bytes(settings.trust, fed=settings.fed, now=now)
    log = settings.log
    if log.identity != trust.root.log:
        raise UnsafeSettings("the log's keys are not those the federation root names: take the right `keys.json`")
    if settings.transport.public not in trust.root.broker.transport:
        raise UnsafeSettings("the transport key is not one the federation root names: take the right `keys.json`")
    found_books(settings.database, log, now)
    store = Store(settings.database)
    try:
        check_books(store, log.identity)
        broker = Broker(
            store, log, trust, clock,
            poll_seconds=settings.poll_seconds, max_queue=settings.max_queue, meters=meters, charge=charge,
        )  # fmt: skip
        broker.open()
    except BaseException:
        store.close()
        raise
    return broker
