"""The node's books on disk: tables, and one method per thing written or asked (`spec/nodes.md`, NODE-60).

SQLite in WAL with synchronous FULL: what a writing block committed survives the power going. One writer
at a time (``BEGIN IMMEDIATE``), so the ledger's chain cannot branch even with two processes. Core
statements with dictionaries, never ORM objects: a hundred messages are a handful of statements.

This module knows no meaning: what it stores is already locked, chained and decided by others. Nothing
here makes a network call, and no caller may make one inside a ``writing()`` block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Index,
    LargeBinary,
    Row,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import registry
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import Field, SQLModel

Values = Mapping[str, Any]
SCHEMA: Final = 1


class _Base(SQLModel, registry=registry()):
    """A registry of its own, so that a broker in the same process keeps its tables apart."""


class Outbox(_Base, table=True):
    """One thing an officer asked to send. ``envelope`` is there from before the first attempt on."""

    __tablename__ = "outbox"
    n: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    request_key: str | None = Field(default=None, unique=True)
    request_digest: str | None = None
    state: str = Field(index=True)
    officer: str
    made: str
    act: bytes | None = Field(default=None, sa_type=LargeBinary)
    draft: bytes | None = Field(default=None, sa_type=LargeBinary)
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    ruling: bool = False
    recipients: str
    summary: str
    case_name: str = Field(index=True)
    msg: str | None = Field(default=None, unique=True)
    envelope: bytes | None = Field(default=None, sa_type=LargeBinary)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None
    code: str | None = None
    reasons: str | None = None
    seq: int | None = None
    entry: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof: str | None = None
    released_by: str | None = None


class Inbox(_Base, table=True):
    """One message that passed every check; ``parcel`` as it came, ``content`` locked."""

    __tablename__ = "inbox"
    n: int | None = Field(default=None, primary_key=True)
    msg: str = Field(unique=True)
    seq: int
    sender: str
    received: str
    opened: str | None = None
    summary: str
    case_name: str = Field(index=True)
    parcel: bytes | None = Field(default=None, sa_type=LargeBinary)
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    erased: str | None = None


class Rejected(_Base, table=True):
    """One parcel that failed a check: which, and nothing of what it held."""

    __tablename__ = "rejected"
    n: int | None = Field(default=None, primary_key=True)
    msg: str
    seq: int
    code: str
    at: str


class Owed(_Base, table=True):
    """One receipt this node owes; ``batch`` is the signed batch it went into."""

    __tablename__ = "owed"
    n: int | None = Field(default=None, primary_key=True)
    msg: str
    status: str
    code: str | None = None
    batch: int | None = Field(default=None, index=True)


class Batch(_Base, table=True):
    """A signed batch of receipts, kept as signed so that every attempt posts the same bytes."""

    __tablename__ = "batch"
    n: int | None = Field(default=None, primary_key=True)
    jws: bytes = Field(sa_type=LargeBinary)
    state: str = Field(index=True)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None


class Got(_Base, table=True):
    """A receipt somebody gave for a message of ours, with its signed batch and proof."""

    __tablename__ = "got"
    seq: int = Field(primary_key=True)
    msg: str = Field(index=True)
    by: str
    status: str
    code: str | None = None
    at: str
    jws: bytes = Field(sa_type=LargeBinary)
    entry: bytes = Field(sa_type=LargeBinary)
    proof: str


class Ledger(_Base, table=True):
    """One chained act; every other column is a copy for searching, and checked against ``body``."""

    __tablename__ = "ledger"
    n: int = Field(primary_key=True)
    ts: str = Field(index=True)
    act: str
    officer: str | None = None
    msg: str | None = Field(default=None, index=True)
    case_name: str | None = Field(default=None, index=True)
    body: bytes = Field(sa_type=LargeBinary)
    hash: str
    seal: bytes = Field(sa_type=LargeBinary)


class Known(_Base, table=True):
    """A checkpoint that was shown to be consistent with every other here."""

    __tablename__ = "known"
    size: int = Field(primary_key=True)
    root: bytes = Field(sa_type=LargeBinary)
    text: str


class Evidence(_Base, table=True):
    """Something that should not be: kept whole, for whoever has to judge it."""

    __tablename__ = "evidence"
    n: int | None = Field(default=None, primary_key=True)
    at: str
    kind: str
    detail: str


class Signed(_Base, table=True):
    """An agreement or notice as all its parties signed it, and when the log took it; also the directory."""

    __tablename__ = "signed"
    digest: str = Field(primary_key=True)
    kind: str
    jws: bytes = Field(sa_type=LargeBinary)
    at: str


class Session(_Base, table=True):
    """A signed-in officer; the token itself is not here, only its hash."""

    __tablename__ = "session"
    token_hash: str = Field(primary_key=True)
    officer: str
    expires: str


class Meta(_Base, table=True):
    """Single values: the cursor, the schema, whose books these are."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
    return table


_OUTBOX, _INBOX, _OWED, _BATCH = _table(Outbox), _table(Inbox), _table(Owed), _table(Batch)
_LEDGER, _META, _SESSION, _KNOWN = _table(Ledger), _table(Meta), _table(Session), _table(Known)
_BY_NAME: Final = {t.name: t for t in _Base.metadata.tables.values()}


class Store:
    """A node's database file. ``writing()`` commits or leaves nothing; ``reading()`` sees one moment."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        with self._engine.connect().execution_options(ix_writes=True) as connection, connection.begin():
            version = connection.exec_driver_sql("PRAGMA user_version").scalar()
            if version not in (0, SCHEMA):
                raise RuntimeError(f"the database is of schema {version}; this node writes schema {SCHEMA}")
            if version == 0:
                for statement in _schema():
                    connection.exec_driver_sql(statement)

    @contextmanager
    def writing(self) -> Iterator[Books]:
        """Write in one transaction, alone; everything is committed at the end, or nothing."""
        with self._engine.connect().execution_options(ix_writes=True) as connection, connection.begin():
            yield Books(connection)

    @contextmanager
    def reading(self) -> Iterator[Books]:
        """Read one consistent moment; never waits for a writer."""
        with self._engine.connect() as connection, connection.begin():
            yield Books(connection)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


@cache
def _schema() -> tuple[str, ...]:
    """What makes an empty file these books, written out once for however many nodes a process has."""
    dialect = sqlite.dialect()
    tables = [str(CreateTable(table).compile(dialect=dialect)) for table in _Base.metadata.sorted_tables]
    indexes = [CreateIndex(index) for table in _Base.metadata.sorted_tables for index in _sorted_indexes(table)]
    return (*tables, *(str(index.compile(dialect=dialect)) for index in indexes), f"PRAGMA user_version={SCHEMA}")


def _sorted_indexes(table: Table) -> list[Index]:
    """A table's indexes, always in one order."""
    return sorted(table.indexes, key=lambda index: str(index.name))


def _prepare(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ix_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Books:
    """The books inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    # -- any table --

    def add(self, table: str, rows: Sequence[Values]) -> None:
        """Append rows; all of one call have the same columns."""
        if rows:
            self._c.execute(insert(_BY_NAME[table]), list(rows))

    def put(self, table: str, rows: Sequence[Values]) -> None:
        """Write rows under their primary keys, replacing what was there."""
        if rows:
            self._c.execute(sqlite_insert(_BY_NAME[table]).prefix_with("OR REPLACE"), list(rows))

    def get(self, table: str, **where: Any) -> Row[Any] | None:
        """The one row with these values, or none."""
        t = _BY_NAME[table]
        return self._c.execute(select(t).where(*(t.c[k] == v for k, v in where.items()))).first()

    def rows(self, table: str, *, newest: int | None = None, **where: Any) -> Sequence[Row[Any]]:
        """Rows with these values in the order written, or the ``newest`` so many, newest first."""
        t = _BY_NAME[table]
        key = next(iter(t.primary_key.columns))
        asked = select(t).where(*(t.c[k] == v for k, v in where.items()))
        asked = asked.order_by(key) if newest is None else asked.order_by(key.desc()).limit(newest)
        return self._c.execute(asked).all()

    def count(self, table: str, **where: Any) -> int:
        """How many rows have these values."""
        t = _BY_NAME[table]
        asked = select(func.count()).select_from(t).where(*(t.c[k] == v for k, v in where.items()))
        return int(self._c.execute(asked).scalar_one())

    def meta(self, name: str, default: str = "") -> str:
        """A single value by name."""
        value = self._c.execute(select(_META.c.value).where(_META.c.name == name)).scalar_one_or_none()
        return default if value is None else str(value)

    def set_meta(self, name: str, value: str) -> None:
        """Set a single value."""
        self.put("meta", [{"name": name, "value": value}])

    # -- sending --

    def due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Outbox rows waiting for another attempt, oldest first."""
        t = _OUTBOX
        asked = select(t).where(t.c.state == "pending", t.c.due <= now).order_by(t.c.n).limit(limit)
        return self._c.execute(asked).all()

    def move(self, n: int, state: str, to: Values) -> bool:
        """Change an outbox row that is still in ``state``; false if somebody else changed it first."""
        t = _OUTBOX
        return self._c.execute(update(t).where(t.c.n == n, t.c.state == state).values(**to)).rowcount == 1

    def wake(self, now: str) -> None:
        """Make every pending row due: whoever was sending it when this node stopped is not any more."""
        self._c.execute(update(_OUTBOX).where(_OUTBOX.c.state == "pending").values(due=now))

    def outbox_of(self, column: str, values: Sequence[str]) -> Sequence[Row[Any]]:
        """Outbox rows whose ``ref``, ``msg`` or ``request_key`` is one of these."""
        t = _OUTBOX
        return self._c.execute(select(t).where(t.c[column].in_(values))).all() if values else []

    def settle(self, rows: Sequence[Values]) -> None:
        """Change many outbox rows at once, each by its ``n``; all of one call change the same columns."""
        if rows:
            t = _OUTBOX
            columns: dict[str, Any] = {name: bindparam(f"{name}_") for name in rows[0] if name != "n"}
            changed = update(t).where(t.c.n == bindparam("n_")).values(columns)
            self._c.execute(changed, [{f"{name}_": value for name, value in row.items()} for row in rows])

    # -- collecting --

    def received(self, names: Sequence[str]) -> set[str]:
        """Which of these message digests are in the inbox already."""
        return set(self._c.execute(select(_INBOX.c.msg).where(_INBOX.c.msg.in_(names))).scalars())

    def mark_opened(self, msg: str, at: str) -> bool:
        """Note the first opening; false if it was opened before."""
        t = _INBOX
        return self._c.execute(update(t).where(t.c.msg == msg, t.c.opened.is_(None)).values(opened=at)).rowcount == 1

    def erase(self, msg: str, at: str) -> None:
        """Take the content and the sealed original of a message away; that it was here remains."""
        gone = {"content": None, "parcel": None, "erased": at}
        self._c.execute(update(_INBOX).where(_INBOX.c.msg == msg).values(**gone))

    def owed(self, limit: int) -> Sequence[Row[Any]]:
        """Receipts in no batch yet."""
        t = _OWED
        return self._c.execute(select(t).where(t.c.batch.is_(None)).order_by(t.c.n).limit(limit)).all()

    def new_batch(self, jws: bytes, due: str, owed: Sequence[int]) -> int:
        """Keep a signed batch and say which receipts it holds."""
        made = self._c.execute(insert(_BATCH).values(jws=jws, state="unposted", attempts=0, due=due))
        key = made.inserted_primary_key
        n = int(key[0]) if key else 0
        self._c.execute(update(_OWED).where(_OWED.c.n.in_(owed)).values(batch=n))
        return n

    def batches_due(self, now: str) -> Sequence[Row[Any]]:
        """Signed batches not posted yet."""
        t = _BATCH
        return self._c.execute(select(t).where(t.c.state == "unposted", t.c.due <= now).order_by(t.c.n)).all()

    def set_batch(self, n: int, to: Values) -> None:
        """Note what became of a batch."""
        self._c.execute(update(_BATCH).where(_BATCH.c.n == n).values(**to))

    # -- what the log says --

    def newest_checkpoint(self) -> Row[Any] | None:
        """The largest checkpoint shown to be consistent with all others here."""
        return self._c.execute(select(_KNOWN).order_by(_KNOWN.c.size.desc()).limit(1)).first()

    def prune_checkpoints(self, keep: int) -> None:
        """Forget all but the newest so many: the others can be shown again from the log."""
        t = _KNOWN
        newest = select(t.c.size).order_by(t.c.size.desc()).limit(keep)
        self._c.execute(delete(t).where(t.c.size.not_in(newest)))

    # -- ledger --

    def ledger_head(self) -> tuple[int, str] | None:
        """Number and hash of the last act."""
        t = _LEDGER
        row = self._c.execute(select(t.c.n, t.c.hash).order_by(t.c.n.desc()).limit(1)).first()
        return (row.n, row.hash) if row else None

    def ledger(self, *, after: int, limit: int, where: Values) -> Sequence[Row[Any]]:
        """Acts from a number on that match all of ``where`` (``since`` and ``until`` bound the time)."""
        t = _LEDGER
        asked = select(t).where(t.c.n > after).order_by(t.c.n).limit(limit)
        for name, value in where.items():
            if name == "since":
                asked = asked.where(t.c.ts >= value)
            elif name == "until":
                asked = asked.where(t.c.ts < value)
            else:
                asked = asked.where(t.c[name] == value)
        return self._c.execute(asked).all()

    # -- sessions --

    def forget_sessions(self, before: str) -> None:
        """Remove sessions that have expired."""
        self._c.execute(delete(_SESSION).where(_SESSION.c.expires <= before))

    def end_session(self, token_hash: str) -> None:
        """Remove one session."""
        self._c.execute(delete(_SESSION).where(_SESSION.c.token_hash == token_hash))

    def end_sessions_of(self, officer: str, keep: int) -> None:
        """Keep only an officer's latest sessions."""
        t = _SESSION
        latest = select(t.c.token_hash).where(t.c.officer == officer).order_by(t.c.expires.desc()).limit(keep)
        self._c.execute(delete(t).where(t.c.officer == officer, t.c.token_hash.not_in(latest)))
