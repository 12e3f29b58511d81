"""Books as versions before had them, made out of today's."""

from __future__ import annotations

import sqlite3
from typing import Final

_SINCE_6: Final = ("ledger", "ledger_closed", "heads", "period")
_LEDGER_5: Final = """
CREATE TABLE ledger (
    n INTEGER NOT NULL, ts VARCHAR NOT NULL, act VARCHAR NOT NULL, officer VARCHAR, msg VARCHAR, case_name VARCHAR,
    body BLOB NOT NULL, hash VARCHAR NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (n)
)"""


def as_schema_5(books: sqlite3.Connection) -> None:
    """Take away what schema 6 brought: the ledger is a chain again, and has officers' names."""
    for table in _SINCE_6:
        books.execute(f"DROP TABLE {table}")
    books.execute(_LEDGER_5)
    for column in ("ts", "msg", "case_name"):
        books.execute(f"CREATE INDEX ix_ledger_{column} ON ledger ({column})")
    books.execute("PRAGMA user_version=5")
