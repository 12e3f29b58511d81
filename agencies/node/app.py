"""A node as a service: settings in, FastAPI application out (`spec/nodes.md`, NODE-1 to NODE-3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fastapi import FastAPI

from agencies.node.broker_client import BrokerClient, new_client
from agencies.node.rounds import Rounds
from agencies.node.routes import add_routes
from agencies.node.routes_witness import add_witness
from agencies.node.service import Node
from agencies.node.sessions import Sessions
from agencies.node.settings import Settings
from agencies.node.store import Store
from agencies.node.witnessing import Witnessing
from keys.trust import Directory

if TYPE_CHECKING:
    from agencies.node.broker_client import Http

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time on this machine."""
    return datetime.now(UTC)


def build_node(settings: Settings, *, clock: Clock = now, http: Http | None = None) -> Node:
    """Wire a node from its settings; ``http`` is its line to the broker, opened here unless given."""
    directory = Directory.from_bytes(settings.trust, fed=settings.fed, now=clock())
    directory.agency(settings.identity.agency)  # refuses to start as nobody
    line = http or new_client(settings.broker)

    def connect(current: Callable[[], Directory]) -> BrokerClient:
        return BrokerClient(line, settings.broker, settings.identity.transport, current, clock)

    return Node(
        settings.identity, Store(settings.database), directory, connect, clock, role_key=settings.role_key,
        persecutors=settings.persecutors, offences=settings.offences, head_seconds=settings.head_seconds,
        stale=timedelta(seconds=settings.stale),
        keep_periods=settings.keep_periods,
    )  # fmt: skip


def create_app(settings: Settings, *, clock: Clock = now, http: Http | None = None) -> FastAPI:
    """Make the officers' API of one node, complete before its lifespan runs; ``app.state.node`` is the node."""
    node = build_node(settings, clock=clock, http=http)
    sessions = Sessions(node.office.store, settings.profile, clock, settings.session_life)
    witnessing = Witnessing(node.office, settings.witness) if settings.witness else None
    also = (lambda: witnessing.compare(node.watch)) if witnessing else lambda: None
    rounds = Rounds(node, wait=settings.wait, every=settings.every, refresh=settings.refresh, also=also)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.background:
            rounds.start()
        yield
        rounds.stop()
        node.close()

    app = FastAPI(
        title=f"ix node of {node.office.me} (SIMULATION)",
        description="The officers' way into one agency's node. Synthetic data only.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.node, app.state.sessions, app.state.rounds = node, sessions, rounds
    add_routes(app, node, sessions, rounds)
    if witnessing is not None:
        add_witness(app, witnessing)
    return app
