"""The broker everyone writes first: one request, one ORM transaction. It is here to be measured against.

An honest baseline, not a straw man: it checks both signatures and the sealed part, asks the agreements,
writes a hash-chained entry and a mailbox row per recipient through a SQLModel ``Session``, and answers
after the commit, on the same SQLite settings as the real broker (WAL, synchronous FULL). What it does
not do, the real one does on top: prove callers and answers, keep a Merkle tree, sign checkpoints, give
inclusion proofs. ``exercises.bench`` runs it in its own process, with the same callers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import Engine, event
from sqlmodel import Field, Session, SQLModel, create_engine, select

from exchange.protocol import message
from exchange.protocol.admission import request_of
from exchange.protocol.decision import decide
from exchange.protocol.manifest import verify_times
from exchange.protocol.policy import PolicyBook
from keys.encoding import write_json
from keys.errors import Refusal
from keys.trust import Directory


class NaiveEntry(SQLModel, table=True):
    """One line of the log, chained to the one before it."""

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(index=True, unique=True)
    sender: str
    outcome: str
    logged_at: datetime
    chain: str


class NaiveMail(SQLModel, table=True):
    """One message waiting for one recipient."""

    id: int | None = Field(default=None, primary_key=True)
    entry_id: int = Field(foreign_key="naiveentry.id")
    recipient: str = Field(index=True)
    envelope: str


class Submitted(BaseModel):
    """An envelope, as a FastAPI body model."""

    payload: str
    signatures: list[dict[str, str]]
    sealed: dict[str, Any]


class Accepted(BaseModel):
    """The answer."""

    outcome: str
    digest: str
    entry: int
    chain: str


def create_app(database: Path, directory: Directory, book: PolicyBook) -> FastAPI:
    """Wire the naive broker up over one database file."""
    engine, one_writer = _engine(database), threading.Lock()
    app = FastAPI()

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/messages")
    def submit(body: Submitted, db: Session = Depends(session)) -> Accepted:
        now = datetime.now(UTC)
        try:
            envelope = message.parse(write_json(body.model_dump()))
            message.verify(envelope, directory, now)
            verify_times(envelope.manifest, now)
        except Refusal as refusal:
            raise HTTPException(400, refusal.code) from None
        outcome = decide(request_of(envelope.manifest, directory), book, now).outcome
        with one_writer:  # the chain needs the last link, and SQLite has one writer anyhow
            return _write(db, envelope, str(outcome), now)

    return app


def _write(db: Session, envelope: message.Envelope, outcome: str, now: datetime) -> Accepted:
    last = db.exec(select(NaiveEntry).order_by(NaiveEntry.id.desc()).limit(1)).first()  # type: ignore[union-attr]
    link = hashlib.sha256(f"{last.chain if last else ''}{envelope.digest}{outcome}{now}".encode()).hexdigest()
    entry = NaiveEntry(
        digest=envelope.digest, sender=envelope.manifest.from_, outcome=outcome, logged_at=now, chain=link
    )
    db.add(entry)
    db.flush()
    if outcome == "permit":
        for addressee in envelope.manifest.to:
            db.add(NaiveMail(entry_id=entry.id or 0, recipient=addressee.id, envelope=envelope.raw.decode()))
    db.commit()
    db.refresh(entry)
    return Accepted(outcome=outcome, digest=envelope.digest, entry=entry.id or 0, chain=link)


def _engine(database: Path) -> Engine:
    engine = create_engine(f"sqlite:///{database}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    SQLModel.metadata.create_all(
        engine, tables=[SQLModel.metadata.tables[name] for name in ("naiveentry", "naivemail")]
    )
    return engine
