"""The broker's books: queries, and the compare-and-swap that grows the log (LOG-10, ADM-9 to ADM-12).

One SQLite file in WAL mode with full synchronisation. Everything that belongs together, an entry of the
log, the mailboxes it fills, the tiles it widens and the signed head over it, is written in one
transaction or not at all, and the head moves only from the size and root it was believed to have: a
second broker process on the same file loses that race cleanly and can never fork the log.

What the tables hold is in ``tables``; what is asked about acts and about what a message was derived from is
in ``store_acts``. Nothing here can open a message. No other module of the broker knows SQL.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    Table,
    bindparam,
    cast,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from exchange.broker.store_acts import ActReading, ActWriting
from exchange.broker.tables import (
    ACT,
    AGREEMENT,
    BATCH,
    CLOSED,
    ENTRY,
    HEAD,
    LINEAGE,
    MAIL,
    MESSAGE,
    METADATA,
    NODE_HEAD,
    NOTICE,
    PUBLISHED,
    RECEIPT,
    SCHEMA,
    SIGNATURE,
    TILE,
    TRUST,
    UPGRADES,
)

BUSY_MS: Final = 10_000
"""How long a transaction waits for another process to finish its own."""


class HeadMoved(Exception):
    """Another process grew the log since this one looked: look again, then redo (never seen by a caller)."""


class BooksDamaged(RuntimeError):
    """The books contradict themselves; the broker must not sign over them (LOG-18)."""


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The log's head as the books have it."""

    size: int
    root: bytes
    checkpoint: str
    ts: int
    version: int
    base: int = 0

    @property
    def length(self) -> int:
        """How many entries the open shard has: the size of its tree."""
        return self.size - self.base

    @property
    def origin(self) -> str:
        """The open shard's name."""
        return self.checkpoint.partition("\n")[0]


class ClosedRow(NamedTuple):
    """A closed shard: from which entry to which, and the checkpoint that closed it."""

    base: int
    origin: str
    size: int
    note: str


class Earlier(NamedTuple):
    """What became of an envelope that was judged before."""

    key: str
    seq: int
    digest: str
    outcome: str
    code: str
    explanation: str | None
    entry: bytes


# --- opening -------------------------------------------------------------------------------------

PAGE: Final = 16_384
"""Bytes of a database page: a message's row is about 8 KiB, and larger pages cost a commit a fifth less."""


def prepare(path: Path, head: HeadRow) -> bool:
    """Make the file ready once, tables and empty head; True if this call made it.

    Two processes that set ``journal_mode=WAL`` at once race to `database is locked`, so a lock file
    comes before the database.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plain = sqlite3.connect(path, isolation_level=None)
        try:
            path.chmod(0o600)
            plain.execute(f"PRAGMA page_size={PAGE}")  # of a new file; before its first write
            plain.execute("PRAGMA journal_mode=WAL")
            version: int = plain.execute("PRAGMA user_version").fetchone()[0]
        finally:
            plain.close()
        if version and version not in (*UPGRADES, SCHEMA):
            raise BooksDamaged(f"`{path.name}` has schema {version}; this broker writes schema {SCHEMA}")
        if version != SCHEMA:
            _bring_up(path, version, head)
        return version == 0


def _bring_up(path: Path, version: int, head: HeadRow) -> None:
    """Make new tables, or what an older schema lacks, in one transaction."""
    engine = _engine(path, "BEGIN IMMEDIATE")
    try:
        with engine.begin() as connection:
            for older in range(version, SCHEMA) if version else ():
                for statement in UPGRADES[older]:
                    connection.exec_driver_sql(statement)
            METADATA.create_all(connection)
            if not version:
                connection.execute(insert(HEAD), {"one": 1, **_columns(head)})
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA}")
    finally:
        engine.dispose()


def _columns(head: HeadRow) -> dict[str, Any]:
    return {
        "size": head.size,
        "root": head.root,
        "checkpoint": head.checkpoint,
        "ts": head.ts,
        "version": head.version,
        "base": head.base,
    }


def _engine(path: Path, begin: str) -> Engine:
    # One connection per engine, used by one thread at a time; parameters never reach a log.
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we say when a transaction begins
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what was recalled does not linger in freed pages
        connection.execute("PRAGMA cache_size=-65536")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if begin:
            connection.exec_driver_sql(begin)

    return engine


class Store:
    """The books of one broker, open. One thread at a time uses it; the connections stay open between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Tiles are read outside any transaction: SQLAlchemy would begin one, and keep its view for ever.
        self._engines = [_engine(path, "BEGIN IMMEDIATE"), _engine(path, "BEGIN"), _engine(path, "")]
        self._writer, self._reader, self._tiles = (engine.connect() for engine in self._engines)

    def close(self) -> None:
        """Let go of the file."""
        for connection in (self._writer, self._reader, self._tiles):
            connection.close()
        for engine in self._engines:
            engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """One transaction that nobody else writes beside; committed at the end, undone on any exception."""
        with self._writer.begin():
            yield Writing(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """One consistent view of the books."""
        with self._reader.begin():
            yield Reading(self._reader)

    def tile(self, level: int, number: int, base: int = 0) -> bytes:
        """A tile as wide as stored by now, whatever transaction is open; tiles only ever grow."""
        return Reading(self._tiles).tile(level, number, base)

    def writable(self) -> bool:
        """Find out whether a transaction could begin now, without waiting long or writing anything."""
        try:
            plain = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
            try:
                plain.execute("BEGIN IMMEDIATE")
                plain.execute("ROLLBACK")
            finally:
                plain.close()
        except sqlite3.Error:
            return False
        return True


# --- reading -------------------------------------------------------------------------------------

_SELECT_HEAD = select(HEAD.c.size, HEAD.c.root, HEAD.c.checkpoint, HEAD.c.ts, HEAD.c.version, HEAD.c.base)
_SELECT_EARLIER = (
    select(
        MESSAGE.c.key,
        MESSAGE.c.seq,
        MESSAGE.c.digest,
        MESSAGE.c.outcome,
        MESSAGE.c.code,
        MESSAGE.c.explanation,
        ENTRY.c.data,
    )
    .join(ENTRY, ENTRY.c.seq == MESSAGE.c.seq)
    .where(MESSAGE.c.key.in_(bindparam("keys", expanding=True)))
)
# An edit behind our back may leave text where bytes were: whatever it is, it is read as bytes and judged as such.
_TILE_BYTES, _ENTRY_BYTES = cast(TILE.c.hashes, LargeBinary), cast(ENTRY.c.data, LargeBinary)
_SELECT_TILE = select(_TILE_BYTES).where(
    TILE.c.base == bindparam("base"), TILE.c.level == bindparam("level"), TILE.c.number == bindparam("number")
)
_SELECT_ENTRIES = (
    select(_ENTRY_BYTES).where(ENTRY.c.seq >= bindparam("first"), ENTRY.c.seq < bindparam("end")).order_by(ENTRY.c.seq)
)
_SELECT_MAIL = (
    select(
        MAIL.c.seq,
        MAIL.c.kind,
        MAIL.c.wrap,
        ENTRY.c.data.label("entry"),
        MESSAGE.c.digest,
        MESSAGE.c.payload,
        MESSAGE.c.signatures,
        MESSAGE.c.body,
        func.coalesce(BATCH.c.jws, AGREEMENT.c.jws, NOTICE.c.jws, ACT.c.jws).label("jws"),
    )
    .select_from(MAIL)
    .join(ENTRY, ENTRY.c.seq == MAIL.c.seq)
    .outerjoin(MESSAGE, MESSAGE.c.seq == MAIL.c.seq)
    .outerjoin(RECEIPT, RECEIPT.c.seq == MAIL.c.seq)
    .outerjoin(BATCH, BATCH.c.digest == RECEIPT.c.batch)
    .outerjoin(AGREEMENT, AGREEMENT.c.seq == MAIL.c.seq)
    .outerjoin(NOTICE, NOTICE.c.seq == MAIL.c.seq)
    .outerjoin(ACT, ACT.c.seq == MAIL.c.seq)
    .where(MAIL.c.recipient == bindparam("who"), MAIL.c.seq > bindparam("after"))
    .order_by(MAIL.c.seq)
    .limit(bindparam("limit"))
)
_ANY_MAIL = select(MAIL.c.seq).where(MAIL.c.recipient == bindparam("who"), MAIL.c.seq > bindparam("after")).limit(1)
_SELECT_ADDRESSED = (
    select(MESSAGE.c.digest, MESSAGE.c.sender)
    .join(MAIL, MAIL.c.seq == MESSAGE.c.seq)
    .where(MESSAGE.c.digest.in_(bindparam("digests", expanding=True)), MAIL.c.recipient == bindparam("who"))
)
_SELECT_RECEIPTS = (
    select(RECEIPT.c.msg, RECEIPT.c.status, RECEIPT.c.seq, ENTRY.c.data)
    .join(ENTRY, ENTRY.c.seq == RECEIPT.c.seq)
    .where(RECEIPT.c.msg.in_(bindparam("digests", expanding=True)), RECEIPT.c.by == bindparam("who"))
)
_SELECT_SIGNATURES = (
    select(SIGNATURE.c.seq, SIGNATURE.c.by, SIGNATURE.c.kid, ENTRY.c.data.label("entry"))
    .join(ENTRY, ENTRY.c.seq == SIGNATURE.c.seq)
    .where(SIGNATURE.c.agr == bindparam("agr"))
    .order_by(SIGNATURE.c.seq)
)


class Reading(ActReading):
    """Queries inside one transaction."""

    __slots__ = ()

    def head(self) -> HeadRow:
        """Where the log ends."""
        row = self._connection.execute(_SELECT_HEAD).one_or_none()
        if row is None:
            raise BooksDamaged("the books have no head: restore the database from a backup")
        return HeadRow(*row)

    def tile(self, level: int, number: int, base: int = 0) -> bytes:
        """A tile of the shard with this base, as wide as stored; empty if there is none."""
        name = {"base": base, "level": level, "number": number}
        row = self._connection.execute(_SELECT_TILE, name).one_or_none()
        return bytes(row[0]) if row else b""

    def closed(self) -> list[ClosedRow]:
        """The shards that are closed, in order; none in books of an older schema."""
        if not self._connection.dialect.has_table(self._connection, CLOSED.name):
            return []
        return [ClosedRow(*row) for row in self._connection.execute(select(CLOSED).order_by(CLOSED.c.base))]

    def entries(self, first: int, end: int) -> list[bytes]:
        """The entries from ``first`` up to and without ``end``, as far as they exist."""
        return [row[0] for row in self._connection.execute(_SELECT_ENTRIES, {"first": first, "end": end})]

    def published(self, base: int = 0) -> tuple[int, str] | None:
        """Size of the log and note of the checkpoint of a shard shown to everybody; none if none is."""
        if not self._connection.dialect.has_table(self._connection, PUBLISHED.name):  # books of an older schema
            return None
        shown = select(PUBLISHED.c.size, PUBLISHED.c.note).where(PUBLISHED.c.one == base + 1)
        row = self._connection.execute(shown).one_or_none()
        return (row.size, row.note) if row else None

    def length(self) -> tuple[int, int]:
        """How many entries there are, and the index of the last (-1 if none)."""
        count, last = self._connection.execute(select(func.count(), func.max(ENTRY.c.seq)).select_from(ENTRY)).one()
        return count, -1 if last is None else last

    def earlier(self, keys: Sequence[str]) -> dict[str, Earlier]:
        """What became of messages that these keys (sender and id) named before."""
        return {row[0]: Earlier(*row) for row in self._connection.execute(_SELECT_EARLIER, {"keys": keys})}

    def mail(self, who: str, after: int, limit: int) -> Sequence[Any]:
        """The next things for one agency to collect, in log order."""
        return self._connection.execute(_SELECT_MAIL, {"who": who, "after": after, "limit": limit}).all()

    def has_mail(self, who: str, after: int) -> bool:
        """Tell whether there is anything for an agency to collect."""
        return self._connection.execute(_ANY_MAIL, {"who": who, "after": after}).first() is not None

    def addressed(self, who: str, digests: Sequence[str]) -> dict[str, str]:
        """Which of these messages were delivered to ``who``, and who sent them."""
        rows = self._connection.execute(_SELECT_ADDRESSED, {"who": who, "digests": digests})
        return {row[0]: row[1] for row in rows}

    def receipts(self, who: str, digests: Sequence[str]) -> dict[tuple[str, str], tuple[int, bytes]]:
        """Receipts already logged by ``who`` for these messages: (message, status) to (index, entry)."""
        rows = self._connection.execute(_SELECT_RECEIPTS, {"who": who, "digests": digests})
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def agreement(self, digest: str) -> Any:
        """One agreement's row, signed by all or not yet."""
        return self._connection.execute(select(AGREEMENT).where(AGREEMENT.c.digest == digest)).one_or_none()

    def agreements(self, after: int = -1, limit: int = -1) -> Sequence[Any]:
        """Every agreement that was logged, in the order of the log; behind an index, and so many, if asked."""
        logged = select(AGREEMENT).where(AGREEMENT.c.seq > after).order_by(AGREEMENT.c.seq)
        return self._connection.execute(logged.limit(limit)).all()

    def proposals(self, proposer: str) -> set[str]:
        """What an agency has put forward and not every party has signed, by digest."""
        open_ = select(AGREEMENT.c.digest).where(AGREEMENT.c.seq.is_(None), AGREEMENT.c.proposer == proposer)
        return set(self._connection.execute(open_).scalars())

    def proposed_to(self, party: str, since: int, after: str, limit: int) -> Sequence[Any]:
        """What awaits signatures, put forward at ``since`` (ms) or later, that ``party`` is to sign; by digest."""
        named = func.instr(literal(" ").concat(AGREEMENT.c.parties).concat(" "), f" {party} ") > 0
        open_ = select(AGREEMENT).where(AGREEMENT.c.seq.is_(None), AGREEMENT.c.ts >= since, named)
        return self._connection.execute(
            open_.where(AGREEMENT.c.digest > after).order_by(AGREEMENT.c.digest).limit(limit)
        ).all()

    def signatures(self, agr: str) -> Sequence[Any]:
        """The signatures of an agreement that were logged, in the order of the log: seq, by, kid, entry."""
        return self._connection.execute(_SELECT_SIGNATURES, {"agr": agr}).all()

    def notices(self, after: int = -1, limit: int = -1) -> Sequence[Any]:
        """Every notice, in the order of the log; behind an index, and so many, if asked."""
        listed = select(NOTICE).where(NOTICE.c.seq > after).order_by(NOTICE.c.seq)
        return self._connection.execute(listed.limit(limit)).all()

    def notice(self, digest: str) -> Any:
        """One notice's row."""
        return self._connection.execute(select(NOTICE).where(NOTICE.c.digest == digest)).one_or_none()

    def batches(self) -> Iterator[Any]:
        """Every signed batch of receipts, for an export."""
        return iter(self._connection.execute(select(BATCH)))

    def trust(self) -> Sequence[Any]:
        """Every root and record, in the order they were taken up."""
        return self._connection.execute(select(TRUST).order_by(TRUST.c.n)).all()

    def trusted(self, digest: str) -> Any:
        """One root's or record's row."""
        return self._connection.execute(select(TRUST).where(TRUST.c.digest == digest)).one_or_none()

    def counts(self) -> dict[str, int]:
        """How many rows the tables that grow have, for the gauges."""
        tables: tuple[Table, ...] = (MESSAGE, MAIL, RECEIPT, ACT, LINEAGE)
        return {t.name: self._connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


# --- writing -------------------------------------------------------------------------------------

Row = tuple[Any, ...]


def _adding(table: Table, key: str = "", *replaced: str) -> str:
    """The statement that adds a row, or replaces some columns of the one that has its key, or leaves that one be."""
    statement = upsert(table)
    columns = [column.name for column in table.columns]
    if replaced:
        changed = {name: statement.excluded[name] for name in replaced}
        statement = statement.on_conflict_do_update(index_elements=[key], set_=changed)
    elif key:
        statement = statement.on_conflict_do_nothing(index_elements=[key])
    return str(statement.values({name: bindparam(name) for name in columns}).compile(dialect=sqlite.dialect()))


_INSERTS: Final[Mapping[Table, str]] = {
    ENTRY: _adding(ENTRY),
    MESSAGE: _adding(MESSAGE),
    BATCH: _adding(BATCH, "digest"),  # a batch sent again, with other items to log this time
    RECEIPT: _adding(RECEIPT),
    AGREEMENT: _adding(AGREEMENT, "digest", "jws", "seq", "ts", "proposer"),  # more signatures, or the last one
    NOTICE: _adding(NOTICE),
    SIGNATURE: _adding(SIGNATURE),
    LINEAGE: _adding(LINEAGE),
    ACT: _adding(ACT),
    NODE_HEAD: _adding(NODE_HEAD),
    TRUST: _adding(TRUST, "digest", "jws"),  # a record signed again by a newer enrolment key
    MAIL: _adding(MAIL),
}
BookTable = Table
"""A table of the books, as the clerk names one: only this module imports SQL."""
_IN_ORDER: Final = tuple(_INSERTS)
"""Tables rows are added to, those that are referred to first."""

_widened, _NAMED = upsert(TILE), ("base", "level", "number")
_UPSERT_TILE: Final = str(
    _widened.on_conflict_do_update(index_elements=_NAMED, set_={"hashes": _widened.excluded.hashes})
    .values({name: bindparam(name) for name in (*_NAMED, "hashes")})
    .compile(dialect=sqlite.dialect())
)
_MOVE_HEAD: Final = (
    update(HEAD)
    .where(HEAD.c.one == bindparam("the_one"))
    .where(HEAD.c.size == bindparam("old_size"), HEAD.c.root == bindparam("old_root"))
    .values({name: bindparam(f"new_{name}") for name in ("size", "root", "checkpoint", "ts", "version", "base")})
    .compile(dialect=sqlite.dialect())
)
_MOVE_HEAD_SQL, _MOVE_HEAD_ORDER = str(_MOVE_HEAD), tuple(_MOVE_HEAD.positiontup or ())


class Writing(Reading, ActWriting):
    """Queries and changes inside one transaction that holds the books' only write lock."""

    __slots__ = ()

    def add(self, rows: Mapping[Table, list[Row]]) -> None:
        """Add the rows of every table, one statement a table, those that others refer to first.

        A row is a tuple of all the table's columns in their order. The statements are Core's, compiled once;
        handing them over as text spares Core its work on every row, half of what writing a message costs.
        """
        for table in _IN_ORDER:
            if rows.get(table):
                self._connection.exec_driver_sql(_INSERTS[table], rows[table])

    def widen(self, tiles: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Store tiles (base, level, number, hashes) that are new or wider than before."""
        rows = list(tiles)
        if rows:
            self._connection.exec_driver_sql(_UPSERT_TILE, rows)

    def move_head(self, old: HeadRow, new: HeadRow) -> None:
        """Grow the log from ``old`` to ``new`` by compare-and-swap, or raise ``HeadMoved`` (LOG-10)."""
        values = {f"new_{name}": value for name, value in _columns(new).items()}
        values |= {"the_one": 1, "old_size": old.size, "old_root": old.root}
        moved = self._connection.exec_driver_sql(_MOVE_HEAD_SQL, tuple(values[name] for name in _MOVE_HEAD_ORDER))
        if moved.rowcount != 1:
            raise HeadMoved

    def close_shard(self, row: ClosedRow) -> None:
        """Keep for ever how a shard ended; there can be one with its base and name (LOG-123)."""
        self._connection.execute(insert(CLOSED), row._asdict())

    def publish(self, size: int, note: str, base: int = 0) -> None:
        """Show a checkpoint of a shard to everybody, unless a later one is shown already."""
        statement = upsert(PUBLISHED).values(one=base + 1, size=size, note=note)
        new = {"size": statement.excluded.size, "note": statement.excluded.note}
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["one"], set_=new, where=PUBLISHED.c.size <= statement.excluded.size
            )
        )

    def forget_proposals(self, before: int) -> None:
        """Drop what was put forward before ``before`` (ms) and not signed by all since."""
        old = AGREEMENT.c.ts.is_(None) | (AGREEMENT.c.ts < before)
        self._connection.execute(delete(AGREEMENT).where(AGREEMENT.c.seq.is_(None), old))

    def purge(self, before: int) -> int:
        """Drop the sealed bodies and wraps of messages that expired before ``before`` (ms); how many bodies."""
        stale = MESSAGE.c.expires < before
        self._connection.execute(
            update(MAIL).where(MAIL.c.wrap.is_not(None), MAIL.c.seq.in_(select(MESSAGE.c.seq).where(stale))),
            {"wrap": None},
        )
        gone = self._connection.execute(update(MESSAGE).where(stale, MESSAGE.c.body.is_not(None)), {"body": None})
        return gone.rowcount


def locked(fault: BaseException) -> bool:
    """Tell whether a fault is only that another process holds the write lock for too long."""
    return isinstance(fault, OperationalError) and "locked" in str(fault.orig)


def unreadable(fault: BaseException) -> bool:
    """Tell whether a fault is the database's: a table gone, a page damaged, no database at all."""
    return isinstance(fault, DatabaseError | sqlite3.DatabaseError)
