"""What the books are asked about acts, heads of ledgers, and what a message was derived from (ADM-50 to ADM-62).

Queries for ``store``'s transactions. The tree of a message is walked in the database, downwards to everybody who
holds something derived from it and upwards to what it came from; whoever asks gets log entries, and judges them by
the same rules as an auditor (``exchange.protocol.lineage``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from exchange.broker.tables import ACT, ENTRY, LINEAGE, MAIL, MESSAGE, NODE_HEAD, SIGNATURE

_DIGESTS: Any = bindparam("digests", expanding=True)

_UP = select(LINEAGE.c.src.label("name")).where(LINEAGE.c.msg.in_(_DIGESTS)).cte("up", recursive=True)
_UP = _UP.union(select(LINEAGE.c.src).join(_UP, LINEAGE.c.msg == _UP.c.name))
_SELECT_ANCESTORS = select(_UP.c.name).limit(bindparam("limit"))

_DOWN = select(LINEAGE.c.msg.label("name")).where(LINEAGE.c.src == bindparam("msg")).cte("down", recursive=True)
_DOWN = _DOWN.union(select(LINEAGE.c.msg).join(_DOWN, LINEAGE.c.src == _DOWN.c.name))
_SELECT_DESCENDANTS = select(_DOWN.c.name)

_SELECT_DISCLOSURES = (
    select(MESSAGE.c.digest, MESSAGE.c.seq, ENTRY.c.data)
    .join(ENTRY, ENTRY.c.seq == MESSAGE.c.seq)
    .where(MESSAGE.c.digest.in_(_DIGESTS), MESSAGE.c.outcome == "permit")
    .order_by(MESSAGE.c.seq)
)
_SELECT_ACTS = (
    select(ACT.c.seq, ACT.c.digest, ACT.c.jws, ENTRY.c.data.label("entry"))
    .join(ENTRY, ENTRY.c.seq == ACT.c.seq)
    .where(ACT.c.msg.in_(_DIGESTS), ACT.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(ACT.c.seq)
)
_SELECT_ACT = (
    select(ACT.c.seq, ACT.c.jws, ENTRY.c.data.label("entry"))
    .join(ENTRY, ENTRY.c.seq == ACT.c.seq)
    .where(ACT.c.digest == bindparam("digest"))
)
_COUNT_ACTS = select(func.count()).where(
    ACT.c.msg == bindparam("msg"), ACT.c.by == bindparam("by"), ACT.c.kind == bindparam("kind")
)
_TAKE_BACK = (
    update(MAIL)
    .where(MAIL.c.recipient == bindparam("who"), MAIL.c.seq == bindparam("place"), MAIL.c.kind == "message")
    .values(kind="recalled", wrap=None)
)
_DROP_BODY = update(MESSAGE).where(MESSAGE.c.seq == bindparam("place")).values(body=None)
_SELECT_UNDONE = (
    select(ACT.c.seq)
    .join(MESSAGE, MESSAGE.c.digest == ACT.c.msg)
    .where(ACT.c.kind == "recall", MESSAGE.c.body.is_not(None))
)
_SELECT_HEADS = select(NODE_HEAD.c.seq, NODE_HEAD.c.by, NODE_HEAD.c.size, NODE_HEAD.c.root)
_SELECT_HEAD_NAMED = _SELECT_HEADS.where(NODE_HEAD.c.digest == bindparam("digest"))
_SELECT_NEWEST_HEAD = _SELECT_HEADS.where(NODE_HEAD.c.by == bindparam("by")).order_by(NODE_HEAD.c.seq.desc()).limit(1)
_MANY = 500
"""Digests looked up by one statement."""


class ActReading:
    """Queries inside one transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ancestors(self, digests: Sequence[str], limit: int) -> set[str]:
        """Everything these messages say they were derived from, however far back; ``limit`` of them at most."""
        found = self._connection.execute(_SELECT_ANCESTORS, {"digests": list(digests), "limit": limit})
        return set(found.scalars())

    def descendants(self, msg: str) -> list[str]:
        """Every message derived from this one, however far down."""
        return list(self._connection.execute(_SELECT_DESCENDANTS, {"msg": msg}).scalars())

    def disclosures(self, digests: Iterable[str]) -> list[tuple[int, bytes]]:
        """Index and entry of each of these messages that was disclosed, in the order of the log."""
        rows = [(row[1], row[2]) for part in _parts(digests) for row in self._about(_SELECT_DISCLOSURES, part)]
        return sorted(rows)

    def acts_about(self, digests: Iterable[str], kinds: Iterable[str]) -> list[Any]:
        """Every act of these kinds about these messages, in the order of the log: seq, digest, jws, entry."""
        said = list(kinds)
        rows = [row for part in _parts(digests) for row in self._about(_SELECT_ACTS, part, said)]
        return sorted(rows, key=lambda row: row.seq)

    def _about(self, statement: Any, digests: Sequence[str], kinds: Sequence[str] = ()) -> Sequence[Any]:
        return self._connection.execute(statement, {"digests": digests, **({"kinds": kinds} if kinds else {})}).all()

    def act(self, digest: str) -> Any:
        """One act's row: seq, jws, entry."""
        return self._connection.execute(_SELECT_ACT, {"digest": digest}).one_or_none()

    def count_acts(self, msg: str, by: str, kind: str) -> int:
        """How many acts of a kind an agency has given about one message."""
        return int(self._connection.execute(_COUNT_ACTS, {"msg": msg, "by": by, "kind": kind}).scalar_one())

    def acts(self, first: int = 0) -> Sequence[Any]:
        """Every act from an index on, in the order of the log, for an export and for checking the books."""
        return self._connection.execute(select(ACT).where(ACT.c.seq >= first).order_by(ACT.c.seq)).all()

    def kept_though_recalled(self) -> list[int]:
        """The recalls, by index, whose message still has its body; there are none."""
        return list(self._connection.execute(_SELECT_UNDONE).scalars())

    def signed_from(self, first: int = 0) -> Sequence[Any]:
        """Every logged signature under an agreement from an index on, in the order of the log."""
        listed = select(SIGNATURE).where(SIGNATURE.c.seq >= first).order_by(SIGNATURE.c.seq)
        return self._connection.execute(listed).all()

    def node_head(self, digest: str) -> Any:
        """One head of a ledger by its note's digest: seq, by, size, root."""
        return self._connection.execute(_SELECT_HEAD_NAMED, {"digest": digest}).one_or_none()

    def newest_head(self, by: str) -> Any:
        """The head of an agency's ledger that was logged last: seq, by, size, root."""
        return self._connection.execute(_SELECT_NEWEST_HEAD, {"by": by}).one_or_none()

    def heads(self, first: int = 0) -> Sequence[Any]:
        """Every head of a ledger from an index on, in the order of the log; none in books of an older schema."""
        if not self._connection.dialect.has_table(self._connection, NODE_HEAD.name):
            return ()
        listed = select(NODE_HEAD).where(NODE_HEAD.c.seq >= first).order_by(NODE_HEAD.c.seq)
        return self._connection.execute(listed).all()

    def lineage(self, first: int = 0) -> Sequence[Any]:
        """Every derivation from an index on, in the order of the log."""
        return self._connection.execute(select(LINEAGE).where(LINEAGE.c.seq >= first).order_by(LINEAGE.c.seq)).all()


class ActWriting(ActReading):
    """Changes inside one transaction."""

    __slots__ = ()

    def take_back(self, seq: int, recipients: Iterable[str]) -> None:
        """Drop body and wraps of a disclosed message; whoever has it to collect finds that it was recalled."""
        for who in recipients:
            self._connection.execute(_TAKE_BACK, {"who": who, "place": seq})
        self._connection.execute(_DROP_BODY, {"place": seq})


def _parts(digests: Iterable[str]) -> Iterable[list[str]]:
    every = list(digests)
    return [every[at : at + _MANY] for at in range(0, len(every), _MANY)]
