"""The node's books on disk: one method per thing written or asked (`spec/nodes.md`, NODE-60).

SQLite in WAL with synchronous FULL: what a writing block committed survives the power going. One writer
at a time (``BEGIN IMMEDIATE``), so no number of the ledger is given twice even with two processes. Core
statements with dictionaries, never ORM objects: a hundred messages are a handful of statements. Each is
compiled once for however many nodes a process has, and then handed over as text: SQLAlchemy keeps what it
compiled per engine, and looking that up costs it more than SQLite needs to answer.

This module knows no meaning: what it stores is already locked, sealed and decided by others. Nothing
here makes a network call, and no caller may make one inside a ``writing()`` block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Integer,
    Row,
    Select,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from agencies.node.store_schema import BY_NAME as _BY_NAME
from agencies.node.store_schema import SCHEMA, statements
from agencies.node.store_shredding import CHAINED, FORGET, OVERWRITE, WAITING

Values = Mapping[str, Any]

_OUTBOX, _INBOX, _OWED, _BATCH = (_BY_NAME[name] for name in ("outbox", "inbox", "owed", "batch"))
_LEDGER, _META, _SESSION, _KNOWN = (_BY_NAME[name] for name in ("ledger", "meta", "session", "known"))
_HEARD, _DOUBT, _HEADS = _BY_NAME["heard"], _BY_NAME["doubt"], _BY_NAME["heads"]
_PAGED: Final = ("acts", "got", "heads", "inbox", "ledger", "ledger_closed", "outbox")
"""Tables that may be too long to be read at once."""
_SEALED: Final = frozenset({"act", "draft", "content", "envelope"})
"""What an outbox row holds that nobody needs to say how it stands."""


class Store:
    """A node's database file. ``writing()`` commits or leaves nothing; ``reading()`` sees one moment."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        for file in (path, *path.parent.glob(f"{path.name}-*")):
            file.chmod(0o600)  # also what was here before; SQLite gives new side files the mode of the database
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30}, hide_parameters=True)
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        """Make the tables where there are none; refuse what another version wrote."""
        with self._engine.connect().execution_options(ix_writes=True) as connection, connection.begin():
            version = connection.exec_driver_sql("PRAGMA user_version").scalar()
            if version not in range(SCHEMA + 1):
                raise RuntimeError(f"the database is of schema {version}; this node writes schema {SCHEMA}")
            for statement in statements(version):
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

    def scrub(self) -> None:
        """Empty the write-ahead log, in which what was erased may still stand; best done after an erasure."""
        with self._engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]

    def rewrite(self) -> bool:
        """Write the whole file anew, so that nothing deleted stands in it or beside it; false if somebody was reading.

        Pages that were split keep copies of what stood on them, which no deletion finds.
        """
        with self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("VACUUM")
            driver.execute("PRAGMA busy_timeout=1000")  # whoever reads now may read for long; it is tried again
            busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            driver.execute("PRAGMA busy_timeout=30000")
        return not busy

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def _prepare(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ix_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# --- statements, as text -------------------------------------------------------------------------

_DIALECT: Final = sqlite.dialect(paramstyle="named")


def _text(statement: Executable) -> str:
    return str(statement.compile(dialect=_DIALECT))  # type: ignore[attr-defined]  # all of ours do


def _first(asked: Select[Any], limit: str) -> Select[Any]:
    """The first so many; both numbers in the text, because SQLAlchemy would give parameters of its own for them."""
    return asked.limit(literal_column(limit, Integer)).offset(literal_column("0", Integer))


def _same(table: Table, columns: Sequence[str]) -> list[ColumnElement[bool]]:
    """Conditions that these columns have the values given as ``<column>_``."""
    return [table.c[name] == bindparam(f"{name}_") for name in columns]


def _named(where: Values) -> dict[str, Any]:
    return {f"{name}_": value for name, value in where.items()}


def _among(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """A condition for any number of values, given as one JSON list."""
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


@cache
def _adding(table: str, columns: tuple[str, ...], replacing: bool) -> str:
    statement = insert(_BY_NAME[table]).values({name: bindparam(name) for name in columns})
    return _text(statement.prefix_with("OR REPLACE") if replacing else statement)


@cache
def _picking(table: str, columns: tuple[str, ...], newest: bool) -> str:
    t = _BY_NAME[table]
    key = next(iter(t.primary_key.columns))
    asked = select(t).where(*_same(t, columns))
    return _text(_first(asked.order_by(key.desc()), ":newest") if newest else asked.order_by(key))


@cache
def _counting(table: str, columns: tuple[str, ...]) -> str:
    t = _BY_NAME[table]
    return _text(select(func.count()).select_from(t).where(*_same(t, columns)))


@cache
def _changing(table: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    t = _BY_NAME[table]
    return _text(update(t).where(*_same(t, keys)).values({name: bindparam(name) for name in columns}))


@cache
def _turning(table: str, keys: tuple[str, ...], absent: tuple[str, ...], columns: tuple[str, ...]) -> str:
    t = _BY_NAME[table]
    gone = [t.c[name].is_(None) for name in absent]
    return _text(update(t).where(*_same(t, keys), *gone).values({name: bindparam(name) for name in columns}))


@cache
def _outbox_among(column: str) -> str:
    t = _OUTBOX
    wanted = [c for c in t.c if c.name not in _SEALED]
    return _text(select(*wanted).where(_among(t.c[column], "among")).order_by(t.c.n))


@cache
def _ledger_of(columns: tuple[str, ...]) -> str:
    t = _LEDGER
    bounds = {"since": t.c.ts.__ge__, "until": t.c.ts.__lt__}
    asked = select(t).where(t.c.n > bindparam("after")).order_by(t.c.n)
    for name in columns:
        value: Any = bindparam(f"{name}_")
        if name in ("by", "case_name"):
            asked = asked.where(_among(t.c[name], f"{name}_"))
        else:
            asked = asked.where(bounds[name](value) if name in bounds else t.c[name] == value)
    return _text(_first(asked, ":limit"))


_META_OF: Final = _text(select(_META.c.value).where(*_same(_META, ["name"])))
_DUE: Final = _text(
    _first(
        select(_OUTBOX)
        .where(_OUTBOX.c.state == bindparam("state"), _OUTBOX.c.due <= bindparam("now"))
        .order_by(_OUTBOX.c.n),
        ":limit",
    )
)
_RECEIVED: Final = _text(select(_INBOX.c.msg).where(_among(_INBOX.c.msg, "among")))
_INBOX_AMONG: Final = _text(select(_INBOX).where(_among(_INBOX.c.msg, "among")))
_UNOPENED: Final = [_among(_INBOX.c.msg, "among"), _INBOX.c.opened.is_(None)]
_HEARD_OF: Final = _text(select(_HEARD.c.jws).where(*_same(_HEARD, ["digest"])))
_TO_OPEN: Final = _text(select(_INBOX.c.msg).where(*_UNOPENED).order_by(_INBOX.c.n))
_OPEN: Final = _text(update(_INBOX).where(*_UNOPENED).values(opened=bindparam("at")))
_OWING: Final = _text(_first(select(_OWED).where(_OWED.c.batch.is_(None)).order_by(_OWED.c.n), ":limit"))
_BATCHED: Final = _text(update(_OWED).where(_among(_OWED.c.n, "among")).values(batch=bindparam("into")))
_ACTS: Final = _BY_NAME["acts"]
_ACTS_DUE: Final = _text(
    _first(
        select(_ACTS).where(_ACTS.c.state == bindparam("state"), _ACTS.c.due <= bindparam("now")).order_by(_ACTS.c.n),
        ":limit",
    )
)
_HELD: Final = _BY_NAME["held"]
_QUOTED: Final = _BY_NAME["quoted"]
_QUOTES: Final = _text(select(_QUOTED).where(_among(_QUOTED.c.quote, "among")).order_by(_QUOTED.c.msg))
_UNQUOTE: Final = _text(delete(_QUOTED).where(*_same(_QUOTED, ["msg"])))
_HELD_DUE: Final = _text(
    _first(select(_HELD).where(_HELD.c.due <= bindparam("now")).order_by(_HELD.c.due, _HELD.c.msg), ":limit")
)
_HELD_LISTED: Final = _text(
    _first(
        select(_HELD)
        .join(_INBOX, _INBOX.c.msg == _HELD.c.msg)
        .where((bindparam("state").is_(None)) | (_HELD.c.state == bindparam("state")))
        .order_by(_INBOX.c.n.desc()),
        ":newest",
    )
)
_EXEMPTED: Final = _text(
    select(func.count())
    .select_from(_OUTBOX)
    .where(_OUTBOX.c.exempt.is_not(None), _OUTBOX.c.state == bindparam("state"))
)
_RUSH: Final = _text(
    update(_HELD).where(_HELD.c.agr == bindparam("agr"), _HELD.c.cause.is_(None)).values(due=bindparam("now"))
)
_DERIVED: Final = _text(
    select(_OUTBOX.c.n, _OUTBOX.c.state).where(_OUTBOX.c.src.contains(bindparam("msg"))).order_by(_OUTBOX.c.n)
)
_LOGGED: Final = _BY_NAME["logged"]
_LOGGED_AFTER: Final = _text(select(_LOGGED).where(_LOGGED.c.seq > bindparam("seq")).order_by(_LOGGED.c.seq))
_RECEIVED_ENTRIES: Final = _text(
    select(_INBOX.c.msg, _INBOX.c.seq, _HELD.c.entry).join(_HELD, _HELD.c.msg == _INBOX.c.msg).order_by(_INBOX.c.n)
)
_CLAIM, _ANSWER = _BY_NAME["claim"], _BY_NAME["answer"]
_MARKED: Final = _text(select(_CLAIM.c.mark).where(_among(_CLAIM.c.mark, "among")))
_BEYOND: Final = {
    table.name: _text(
        _first(
            select(table)
            .where(table.c.n > bindparam("after"), table.c.summary.contains(bindparam("code")))
            .order_by(table.c.n),
            ":limit",
        )
    )
    for table in (_INBOX, _OUTBOX)
}
_LAST: Final = {table.name: _text(select(func.max(table.c.n))) for table in (_INBOX, _OUTBOX)}
_ANSWERS_DUE: Final = _text(
    _first(
        select(_ANSWER)
        .where(_ANSWER.c.state == bindparam("state"), _ANSWER.c.due <= bindparam("now"))
        .order_by(_ANSWER.c.due, _ANSWER.c.request),
        ":limit",
    )
)
_SENT_ENTRIES: Final = _text(
    select(_OUTBOX.c.msg, _OUTBOX.c.seq, _OUTBOX.c.entry)
    .where(_OUTBOX.c.state == bindparam("state"))
    .order_by(_OUTBOX.c.n)
)
_UNPOSTED: Final = _text(
    select(_BATCH).where(_BATCH.c.state == bindparam("state"), _BATCH.c.due <= bindparam("now")).order_by(_BATCH.c.n)
)
_NEWEST_KNOWN: Final = _text(_first(select(_KNOWN).order_by(_KNOWN.c.size.desc()), "1"))
_PRUNE: Final = _text(
    delete(_KNOWN).where(_KNOWN.c.size.not_in(_first(select(_KNOWN.c.size).order_by(_KNOWN.c.size.desc()), ":keep")))
)
_DOUBTS: Final = _text(_first(select(_DOUBT).where(_DOUBT.c.due <= bindparam("now")).order_by(_DOUBT.c.due), ":limit"))
_CLEAR: Final = _text(delete(_DOUBT).where(*_same(_DOUBT, ["n", "attempts"])))
_LEDGER_SIZE: Final = _text(select(func.max(_LEDGER.c.n)))
_AFTER: Final = {
    table.name: _text(_first(select(table).where(key > bindparam("after")).order_by(key), ":limit"))
    for table, key in ((_BY_NAME[name], next(iter(_BY_NAME[name].primary_key.columns))) for name in _PAGED)
}
_LAST_HEAD: Final = _text(_first(select(_HEADS).order_by(_HEADS.c.size.desc()), "1"))
_HEADS_DUE: Final = _text(
    select(_HEADS).where(_HEADS.c.state == bindparam("state"), _HEADS.c.due <= bindparam("now")).order_by(_HEADS.c.size)
)
_FORGET: Final = _text(delete(_SESSION).where(_SESSION.c.expires <= bindparam("before")))
_SIGN_OUT: Final = _text(delete(_SESSION).where(*_same(_SESSION, ["token_hash"])))
_LATEST: Final = _first(
    select(_SESSION.c.token_hash).where(*_same(_SESSION, ["officer"])).order_by(_SESSION.c.expires.desc()), ":keep"
)
_CROWD: Final = _text(delete(_SESSION).where(*_same(_SESSION, ["officer"]), _SESSION.c.token_hash.not_in(_LATEST)))


class Books:
    """The books inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def _run(self, said: str, **values: Any) -> CursorResult[Any]:
        return self._c.exec_driver_sql(said, values)

    # -- any table --

    def add(self, table: str, rows: Sequence[Values]) -> None:
        """Append rows; all of one call have the same columns."""
        if rows:
            self._c.exec_driver_sql(_adding(table, tuple(rows[0]), False), [dict(row) for row in rows])

    def put(self, table: str, rows: Sequence[Values]) -> None:
        """Write rows under their primary keys, replacing what was there."""
        if rows:
            self._c.exec_driver_sql(_adding(table, tuple(rows[0]), True), [dict(row) for row in rows])

    def get(self, table: str, **where: Any) -> Row[Any] | None:
        """The one row with these values, or none."""
        return self._run(_picking(table, tuple(where), False), **_named(where)).first()

    def rows(self, table: str, *, newest: int | None = None, **where: Any) -> Sequence[Row[Any]]:
        """Rows with these values in the order written, or the ``newest`` so many, newest first."""
        limit = {} if newest is None else {"newest": newest}
        return self._run(_picking(table, tuple(where), newest is not None), **_named(where), **limit).all()

    def count(self, table: str, **where: Any) -> int:
        """How many rows have these values."""
        return int(self._run(_counting(table, tuple(where)), **_named(where)).scalar_one())

    def meta(self, name: str, default: str = "") -> str:
        """A single value by name."""
        value = self._run(_META_OF, name_=name).scalar_one_or_none()
        return default if value is None else str(value)

    def set_meta(self, name: str, value: str) -> None:
        """Set a single value."""
        self.put("meta", [{"name": name, "value": value}])

    # -- sending --

    def due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Outbox rows waiting for another attempt, oldest first."""
        return self._run(_DUE, state="pending", now=now, limit=limit).all()

    def move(self, n: int, state: str, to: Values) -> bool:
        """Change an outbox row that is still in ``state``; false if somebody else changed it first."""
        return self._run(_changing("outbox", ("n", "state"), tuple(to)), n_=n, state_=state, **to).rowcount == 1

    def wake(self, now: str) -> None:
        """Make every pending row due: whoever was sending it when this node stopped is not any more."""
        for table in ("outbox", "acts"):
            self._run(_changing(table, ("state",), ("due",)), state_="pending", due=now)

    def outbox_of(self, column: str, values: Sequence[str]) -> Sequence[Row[Any]]:
        """Outbox rows whose ``ref``, ``msg`` or ``request_key`` is one of these, without what is sealed in them."""
        return self._run(_outbox_among(column), among=json.dumps(values)).all() if values else []

    def settle(self, rows: Sequence[Values]) -> None:
        """Change many outbox rows at once, each by its ``n``; all of one call change the same columns."""
        if rows:
            columns = tuple(name for name in rows[0] if name != "n")
            named = [{("n_" if name == "n" else name): value for name, value in row.items()} for row in rows]
            self._c.exec_driver_sql(_changing("outbox", ("n",), columns), named)

    # -- collecting --

    def received(self, names: Sequence[str]) -> set[str]:
        """Which of these message digests are in the inbox already."""
        return set(self._run(_RECEIVED, among=json.dumps(names)).scalars()) if names else set()

    def inbox_of(self, names: Sequence[str]) -> Sequence[Row[Any]]:
        """The inbox rows of these message digests."""
        return self._run(_INBOX_AMONG, among=json.dumps(names)).all()

    def hear(self, batches: Mapping[str, bytes]) -> None:
        """Keep signed batches of receipts by the digests of their bytes, each once however many items brought it."""
        self.put("heard", [{"digest": name, "jws": jws} for name, jws in batches.items()])

    def heard(self, name: str) -> bytes:
        """A signed batch that was kept."""
        return bytes(self._run(_HEARD_OF, digest_=name).scalar_one())

    def mark_opened(self, names: Sequence[str], at: str) -> list[str]:
        """Note the first opening of these messages; returns those that were not opened before."""
        among = json.dumps(names)
        first = list(self._run(_TO_OPEN, among=among).scalars())
        if first:
            self._run(_OPEN, among=among, at=at)
        return first

    def erase(self, msg: str, at: str) -> None:
        """Take the content and the sealed original of a message away; that it was here remains."""
        gone = {"content": None, "parcel": None, "erased": at}
        self._run(_changing("inbox", ("msg",), tuple(gone)), msg_=msg, **gone)

    def held_due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Held messages about which something has to happen by now, the longest overdue first."""
        return self._run(_HELD_DUE, now=now, limit=limit).all()

    def held_listed(self, state: str | None, newest: int) -> Sequence[Row[Any]]:
        """The newest held messages, perhaps of one state only."""
        return self._run(_HELD_LISTED, state=state, newest=newest).all()

    def exemptions(self) -> int:
        """How many messages went without a copy to a point of contact, by an exemption."""
        return int(self._run(_EXEMPTED, state="sent").scalar_one())

    def rush(self, agr: str, now: str) -> None:
        """Make everything held under an agreement due: what ends it may have changed."""
        self._run(_RUSH, agr=agr, now=now)

    def quoted(self, quotes: Sequence[str]) -> Sequence[Row[Any]]:
        """From which messages these words are known."""
        return self._run(_QUOTES, among=json.dumps(quotes)).all() if quotes else []

    def unquote(self, msg: str) -> None:
        """Forget the words of a message."""
        self._run(_UNQUOTE, msg_=msg)

    def derived(self, msg: str) -> Sequence[Row[Any]]:
        """Number and state of the outbox rows that were derived from a message."""
        return self._run(_DERIVED, msg=msg).all()

    def beyond(self, table: str, after: int, code: str, limit: int) -> Sequence[Row[Any]]:
        """Rows of inbox or outbox behind a number whose facts have a code, in the order written."""
        return self._run(_BEYOND[table], after=after, code=code, limit=limit).all()

    def last(self, table: str) -> int:
        """The number of the newest row of inbox or outbox; 0 if there is none."""
        return int(self._run(_LAST[table]).scalar_one() or 0)

    def marked(self, marks: Sequence[str]) -> set[str]:
        """Which of these marks the blind index of claims has."""
        return set(self._run(_MARKED, among=json.dumps(marks)).scalars()) if marks else set()

    def answers_due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Neutral answers whose hour has come, the longest due first."""
        return self._run(_ANSWERS_DUE, state="waiting", now=now, limit=limit).all()

    def owed(self, limit: int) -> Sequence[Row[Any]]:
        """Receipts in no batch yet."""
        return self._run(_OWING, limit=limit).all()

    def new_batch(self, jws: bytes, due: str, owed: Sequence[int]) -> int:
        """Keep a signed batch and say which receipts it holds."""
        row = {"jws": jws, "state": "unposted", "attempts": 0, "due": due}
        n = int(self._run(_adding("batch", tuple(row), False), **row).lastrowid)
        self._run(_BATCHED, among=json.dumps(owed), into=n)
        return n

    def batches_due(self, now: str) -> Sequence[Row[Any]]:
        """Signed batches not posted yet."""
        return self._run(_UNPOSTED, state="unposted", now=now).all()

    def set_batch(self, n: int, to: Values) -> None:
        """Note what became of a batch."""
        self._run(_changing("batch", ("n",), tuple(to)), n_=n, **to)

    # -- acts --

    def acts_due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Acts of ours waiting for another attempt, oldest first."""
        return self._run(_ACTS_DUE, state="pending", now=now, limit=limit).all()

    def received_entries(self) -> Sequence[Row[Any]]:
        """Digest, number and log entry of every received message."""
        return self._run(_RECEIVED_ENTRIES).all()

    def sent_entries(self) -> Sequence[Row[Any]]:
        """Digest, number and log entry of every message of ours that was disclosed."""
        return self._run(_SENT_ENTRIES, state="sent").all()

    def logged_after(self, seq: int) -> Sequence[Row[Any]]:
        """What was read of the log behind a number."""
        return self._run(_LOGGED_AFTER, seq=seq).all()

    def turn(self, table: str, where: Values, to: Values) -> bool:
        """Change the one row that still has the values of ``where``; false if somebody else changed it first."""
        there = {name: value for name, value in where.items() if value is not None}
        absent = tuple(name for name in where if name not in there)
        changing = _turning(table, tuple(there), absent, tuple(to))
        return self._run(changing, **_named(there), **to).rowcount == 1

    def doubts_due(self, now: str, limit: int) -> Sequence[Row[Any]]:
        """Numbers to be asked for again by now, the longest waiting first."""
        return self._run(_DOUBTS, now=now, limit=limit).all()

    def clear_doubt(self, n: int, attempts: int) -> bool:
        """Take a doubt away that nobody else has looked into since; false if somebody has."""
        return self._run(_CLEAR, n_=n, attempts_=attempts).rowcount == 1

    # -- what the log says --

    def newest_checkpoint(self) -> Row[Any] | None:
        """The largest checkpoint shown to be consistent with all others here."""
        return self._run(_NEWEST_KNOWN).first()

    def prune_checkpoints(self, keep: int) -> None:
        """Forget all but the newest so many: the others can be shown again from the log."""
        self._run(_PRUNE, keep=keep)

    # -- ledger --

    def ledger_size(self) -> int:
        """How many acts the ledger has: the number of the last one."""
        return int(self._run(_LEDGER_SIZE).scalar_one() or 0)

    def ledger(self, *, after: int, limit: int, where: Values) -> Sequence[Row[Any]]:
        """Acts from a number on that match all of ``where``.

        ``since`` and ``until`` bound the time; ``by`` and ``case_name`` are lists, for each has a name in every month.
        """
        said = {name: json.dumps(value) if isinstance(value, list) else value for name, value in where.items()}
        return self._run(_ledger_of(tuple(where)), after=after, limit=limit, **_named(said)).all()

    def after(self, table: str, key: int = -1, page: int = 500) -> Iterator[Row[Any]]:
        """Every row of a table behind a key, in order, read page by page."""
        while rows := self._run(_AFTER[table], after=key, limit=page).all():
            yield from rows
            key = rows[-1][0]

    def last_head(self) -> Row[Any] | None:
        """The largest head of the ledger that was signed."""
        return self._run(_LAST_HEAD).first()

    def heads_due(self, now: str) -> Sequence[Row[Any]]:
        """Heads waiting for another attempt, smallest first."""
        return self._run(_HEADS_DUE, state="pending", now=now).all()

    # -- what goes with a month --

    def waiting(self, before: str, now: str) -> list[str]:
        """What of earlier months still waits for somebody."""
        return [what for what, how_many in WAITING.items() if self._run(how_many, before=before, now=now).scalar_one()]

    def chained(self, before: str) -> bool:
        """Whether acts of earlier months are in a ledger that was a chain."""
        return bool(self._run(CHAINED, before=before).scalar_one())

    def shred(self, month: str, before: str, now: str) -> None:
        """Take the keys of all earlier months away, and whatever tells beside an act who or which case it was."""
        for statement in (*OVERWRITE, *FORGET):
            self._run(statement, month=month, before=before, now=now)

    # -- sessions --

    def forget_sessions(self, before: str) -> None:
        """Remove sessions that have expired."""
        self._run(_FORGET, before=before)

    def end_session(self, token_hash: str) -> None:
        """Remove one session."""
        self._run(_SIGN_OUT, token_hash_=token_hash)

    def end_sessions_of(self, officer: str, keep: int) -> None:
        """Keep only an officer's latest sessions."""
        self._run(_CROWD, officer_=officer, keep=keep)
