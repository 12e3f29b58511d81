"""The tables of the broker's books; ``store`` and ``store_acts`` read and write them (ADM-9 to ADM-12, ADM-57).

SQLModel classes; the hot path uses their Core tables with ``executemany``, because ORM objects were measured at
eight times the cost. What is kept of a message: its signed manifest, its sealed body until it expires or is
recalled, one wrap per recipient. Rows about what was logged (acts, lineage, signatures, receipts, notices, heads) are
only ever added: each repeats its entry, and ``books_check`` holds the two together.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

SCHEMA: Final = 6


class _Row(SQLModel, registry=registry()):
    """Base of the tables, apart from those of any other room in the same process."""


def _seq() -> Any:
    return Field(sa_column=Column(ForeignKey("entry.seq"), primary_key=True, autoincrement=False))


class Head(_Row, table=True):
    """The one row that says how long the log is, under which root, and holds the signed checkpoint."""

    one: int = Field(default=1, primary_key=True)
    size: int
    """How many entries there are, those of closed shards included."""
    root: bytes = Field(sa_type=LargeBinary)
    checkpoint: str
    ts: int
    """Milliseconds of the newest entry's log time; log time never runs backwards."""
    version: int
    """Counts changes of the directory and the agreements, so that other processes notice them."""
    base: int = Field(default=0)
    """The number of the open shard's first entry: root and checkpoint are of the entries from there on."""


class Closed(_Row, table=True):
    """A shard to which nothing is added any more, and the checkpoint that closed it (LOG-123)."""

    base: int = Field(primary_key=True)
    origin: str = Field(unique=True)
    size: int
    """How many entries there were when it was closed, those of earlier shards included: the base of the next."""
    note: str


class Published(_Row, table=True):
    """Of each shard the checkpoint that everybody is shown, with the lines of witnesses who have seen it (WIT-42)."""

    one: int = Field(default=1, primary_key=True)
    """The shard's base and 1: in books without shards there is one row."""
    size: int
    note: str


class Entry(_Row, table=True):
    """One log entry, byte for byte."""

    seq: int = Field(primary_key=True)
    data: bytes = Field(sa_type=LargeBinary)


class Tile(_Row, table=True):
    """One tile of a shard's Merkle tree, as wide as it is by now."""

    base: int = Field(primary_key=True)
    level: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    hashes: bytes = Field(sa_type=LargeBinary)


class Message(_Row, table=True):
    """One judged envelope. ``body`` is NULL for a denied message and for one whose body was purged."""

    seq: int = _seq()
    key: str = Field(unique=True)
    """Sender and message id, in one column that grows with time for each sender."""
    digest: str = Field(unique=True)
    """Digest of the manifest, which names the message and by which asking twice is recognised."""
    sender: str
    outcome: str
    code: str
    payload: str
    signatures: str
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    expires: int
    explanation: str | None = None


class Batch(_Row, table=True):
    """A signed batch of receipts as it came."""

    digest: str = Field(primary_key=True)
    jws: str


class Receipt(_Row, table=True):
    """One item of a batch that was logged; a second one for the same fact finds this."""

    __table_args__ = (Index("receipt_fact", "msg", "by", "status", unique=True),)
    seq: int = _seq()
    msg: str
    by: str
    status: str
    batch: str = Field(foreign_key="batch.digest")


class Agreement(_Row, table=True):
    """An agreement with the signatures it has so far; ``seq`` is NULL until every party has signed.

    ``ts`` is the log time, and until there is one the time at which ``proposer`` put it forward.
    """

    __table_args__ = (Index("agreement_logged", "seq"),)
    digest: str = Field(primary_key=True)
    jws: str
    parties: str
    seq: int | None = Field(default=None, foreign_key="entry.seq")
    ts: int | None = None
    proposer: str | None = None


class Notice(_Row, table=True):
    """A party's suspension, resumption or leaving."""

    seq: int = _seq()
    digest: str = Field(unique=True)
    agr: str
    jws: str
    ts: int


class Trust(_Row, table=True):
    """A federation root or one version of an agency's record, in the order they were taken up."""

    n: int | None = Field(default=None, primary_key=True)
    kind: str
    digest: str = Field(unique=True)
    jws: str
    seq: int | None = Field(default=None, foreign_key="entry.seq")


class Mail(_Row, table=True):
    """One thing for one agency to collect; its number is the index of its log entry (ADM-11)."""

    recipient: str = Field(primary_key=True)
    seq: int = _seq()
    kind: str
    wrap: bytes | None = Field(default=None, sa_type=LargeBinary)


class Signature(_Row, table=True):
    """One party's signature under an agreement, logged when it came; ``kid`` is the Ed25519 key of the pair."""

    __table_args__ = (Index("signature_once", "agr", "kid", unique=True),)
    seq: int = _seq()
    agr: str
    by: str
    kid: str


class Lineage(_Row, table=True):
    """One message that a disclosed message says it was derived from: what a recall follows downwards."""

    __table_args__ = (Index("lineage_up", "msg"),)
    src: str = Field(primary_key=True)
    msg: str = Field(primary_key=True)
    seq: int = Field(foreign_key="entry.seq")


class Act(_Row, table=True):
    """One signed act about a message after its disclosure."""

    __table_args__ = (Index("act_about", "msg", "by", "kind"),)
    seq: int = _seq()
    digest: str = Field(unique=True)
    kind: str
    by: str
    msg: str
    re: str | None = None
    jws: str


class NodeHead(_Row, table=True):
    """The head of an agency's own ledger, as its entry says and as it was signed."""

    __table_args__ = (Index("node_head_newest", "by", "seq"),)
    seq: int = _seq()
    digest: str = Field(unique=True)
    by: str
    size: int
    root: str
    note: str


(
    HEAD, ENTRY, TILE, MESSAGE, BATCH, RECEIPT, AGREEMENT, NOTICE, TRUST, MAIL, SIGNATURE, LINEAGE, ACT, PUBLISHED,
    NODE_HEAD, CLOSED,
) = (
    _Row.metadata.tables[name]
    for name in (
        "head", "entry", "tile", "message", "batch", "receipt", "agreement", "notice", "trust", "mail", "signature",
        "lineage", "act", "published", "nodehead", "closed",
    )
)  # fmt: skip
METADATA: Final = _Row.metadata

_TILE_6: Final = """base INTEGER NOT NULL, level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (base, level, number)"""
UPGRADES: Final = {
    1: ("ALTER TABLE agreement ADD COLUMN proposer VARCHAR",),
    2: ("CREATE INDEX IF NOT EXISTS agreement_logged ON agreement (seq)",),
    3: (),
    4: (),
    5: (
        "ALTER TABLE head ADD COLUMN base INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE tile RENAME TO tile_5",
        f"CREATE TABLE tile ({_TILE_6})",
        "INSERT INTO tile SELECT 0, level, number, hashes FROM tile_5",
        "DROP TABLE tile_5",
    ),
}
"""What brings books of an older schema up by one; tables that are new are made besides."""
