"""What makes a file a node's books, and older books those of today; ``store`` runs it (`spec/nodes.md`, NODE-60)."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import Index, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from agencies.node.tables import Base

SCHEMA: Final = 7
BY_NAME: Final = {table.name: table for table in Base.metadata.tables.values()}
_SINCE_3: Final = ("acts", "answer", "claim", "consents", "duties", "held", "logged", "quoted", "task")
"""Tables that books of schema 2 have not."""
_LEDGER_INDEXED: Final = ("case_name", "msg", "ts")
"""Columns of the ledger that had an index before schema 6."""


def statements(version: Any) -> tuple[str, ...]:
    """What has to be run on books of this version; 0 is an empty file."""
    if version == SCHEMA:
        return ()
    steps = _STEPS[version - 1 :] if version else (_schema,)
    return (*(statement for step in steps for statement in step()), f"PRAGMA user_version={SCHEMA}")


@cache
def _schema() -> tuple[str, ...]:
    """What makes an empty file these books, written out once for however many nodes a process has."""
    return _made(*Base.metadata.sorted_tables)


def _second() -> tuple[str, ...]:
    """What makes books of schema 1 books of schema 2."""
    return ("ALTER TABLE signed ADD COLUMN seal BLOB", *_made(BY_NAME["doubt"]))


def _third() -> tuple[str, ...]:
    """What makes books of schema 2 books of schema 3."""
    added = [f"ALTER TABLE outbox ADD COLUMN {name} VARCHAR" for name in ("approved_by", "src", "exempt")]
    adopt = "INSERT OR REPLACE INTO meta (name, value) VALUES ('adopt', 'held')"
    return (*_made(*(BY_NAME[name] for name in _SINCE_3), unless_there=True), *added, adopt)


def _fourth() -> tuple[str, ...]:
    """What makes books of schema 3 books of schema 4."""
    return _made(BY_NAME["witnessed"], unless_there=True)


def _fifth() -> tuple[str, ...]:
    """What makes books of schema 4 books of schema 5."""
    return _made(BY_NAME["emergency"], BY_NAME["flag"], unless_there=True)


def _sixth() -> tuple[str, ...]:
    """What makes books of schema 5 books of schema 6: the chain of acts is closed and kept, a tree begins."""
    closing = [f"DROP INDEX IF EXISTS ix_ledger_{name}" for name in _LEDGER_INDEXED]
    return (
        *closing,
        "ALTER TABLE ledger RENAME TO ledger_closed",
        *_made(*(BY_NAME[name] for name in ("ledger", "heads", "period"))),
    )


def _seventh() -> tuple[str, ...]:
    """What makes books of schema 6 books of schema 7."""
    return _made(BY_NAME["shard"], unless_there=True)


_STEPS: Final = (_second, _third, _fourth, _fifth, _sixth, _seventh)


def _made(*tables: Table, unless_there: bool = False) -> tuple[str, ...]:
    """What makes these tables and their indexes."""
    dialect = sqlite.dialect()
    made = [str(CreateTable(table, if_not_exists=unless_there).compile(dialect=dialect)) for table in tables]
    indexes = [index for table in tables for index in _sorted_indexes(table)]
    made += [str(CreateIndex(index, if_not_exists=unless_there).compile(dialect=dialect)) for index in indexes]
    return tuple(made)


def _sorted_indexes(table: Table) -> list[Index]:
    """A table's indexes, always in one order."""
    return sorted(table.indexes, key=lambda index: str(index.name))
