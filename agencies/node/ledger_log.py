"""The ledger as a log: its tree, what is held against it, and its export (NODE-52, NODE-190 to NODE-195).

The bytes of each act are a leaf of an RFC 6962 tree, so that one signed head says all that came before. The
tree is not stored: it follows from the acts, and whoever needs it whole reads them all. To sign a head it is
enough to add what is new to the tree kept in memory, whichever process wrote it.

Nothing here signs or speaks to anybody; ``heads`` does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

from agencies.node.errors import LedgerBroken
from agencies.node.ledger import MAX_ACT, LedgerAct
from agencies.node.office import Office
from agencies.node.store import Books
from exchange.protocol.log import bundle, unverified_checkpoint
from exchange.protocol.merkle import WIDTH, Tree, entries_path, leaf_hash, tile_path
from exchange.protocol.message import parse
from exchange.protocol.vocabulary import Act
from keys.encoding import b64u, digest, read_json, write_json
from keys.errors import Refusal
from keys.signing import statement_from

CHAIN: Final = digest(b"ix/1 ledger")
"""What the first act of a closed ledger names as the one before it."""
CLOSED: Final = "ledger_closed"
"""Outcome of the first act behind a ledger that was a chain."""
_LIMIT: Final = 64 * 1024 * 1024


class LedgerLog:
    """Reads the ledger of one office as a log."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._guard = threading.Lock()
        self._tree = Tree()

    def begin(self) -> None:
        """Verify everything; behind a ledger that was closed, begin with an act that names its last one."""
        with self._office.store.reading() as books:
            last = self._closed(books) if books.count("ledger_closed") else None
            new = books.ledger_size() == 0
        if last and new:
            with self._office.store.writing() as books:
                if books.ledger_size() == 0:
                    named = LedgerAct(Act.REVIEW, outcome=CLOSED, reasons=(last[1], str(last[0])))
                    self._office.record(books, self._office.clock(), named)
        with self._office.store.reading() as books:
            self.verify(books)

    def edge(self, books: Books) -> tuple[int, bytes]:
        """Size and root of the ledger now, by what was added since this was last asked.

        For a writing transaction, which sees the newest acts, and not one that has written any itself: they would stay
        in the tree if it came to nothing.
        """
        with self._guard:
            if books.ledger_size() < self._tree.size:
                raise LedgerBroken(f"the ledger had {self._tree.size} acts and now has {books.ledger_size()}")
            rows = list(books.after("ledger", self._tree.size))
            if [row.n for row in rows] != list(range(self._tree.size + 1, self._tree.size + 1 + len(rows))):
                raise LedgerBroken(f"behind act {self._tree.size} the ledger is not numbered one by one")
            self._tree.append([leaf_hash(row.body) for row in rows])
            return self._tree.size, self._tree.root()

    def verify(self, books: Books, logged: Iterable[tuple[int, int, bytes]] = ()) -> Tree:
        """Return the whole tree if every act holds and every head signed before is one of its; else ``LedgerBroken``.

        ``logged`` are heads that the federation's log has of this ledger: index of the entry, size, root.
        """
        if books.count("ledger_closed"):
            self._closed(books)
        heads = [(row.size, row.root, "this node signed a head of it") for row in self._heads(books)]
        heads += [(size, root, f"entry {index} of the log is a head of it") for index, size, root in logged]
        waiting = sorted(heads, key=lambda head: head[0], reverse=True)
        tree, leaves = Tree(), list[bytes]()
        for entry in self._office.scribe.verify(books.after("ledger")):
            leaves.append(leaf_hash(entry.body))
            if waiting and waiting[-1][0] == entry.n:
                tree.append(leaves)
                leaves.clear()
            while waiting and waiting[-1][0] == entry.n:
                size, root, who = waiting.pop()
                if tree.root() != root:
                    raise LedgerBroken(f"the first {size} acts of the ledger are not what they were when {who}")
        if waiting:
            size, _, who = waiting[0]
            raise LedgerBroken(f"the ledger had {size} acts when {who}, and has {tree.size + len(leaves)} now")
        tree.append(leaves)
        return tree

    def export(self, books: Books, size: int, note: str) -> Iterator[tuple[str, bytes]]:
        """The files of an export under a signed head: ``checkpoint``, tiles and bundles as LOG-80, held proofs."""
        tree, tiles = Tree(), dict[tuple[int, int], tuple[str, bytes]]()
        held: list[bytes] = []
        for entry in self._office.scribe.verify(books.after("ledger")):
            if entry.n > size:
                break
            held.append(entry.body)
            if len(held) == WIDTH or entry.n == size:
                for row in tree.append(map(leaf_hash, held)):
                    tiles[row.level, row.index] = tile_path(row.level, row.index, row.width), row.hashes
                yield entries_path((entry.n - 1) // WIDTH, len(held)), bundle(held)
                held.clear()
        yield from tiles.values()
        yield "checkpoint", note.encode()
        for name, members in _held_proofs(books):
            yield f"proofs/{name}.json", write_json({"v": "ix/1", "typ": "held-proof", "msg": name, **members})

    def _heads(self, books: Books) -> Iterator[Any]:
        """Every head that was signed here, if it says what is noted of it."""
        for row in books.after("heads"):
            try:
                said = unverified_checkpoint(row.note)[1:]
            except Refusal as refusal:
                raise LedgerBroken(f"the head of {row.size} acts was changed: {refusal.sentence}") from refusal
            if said != (row.size, row.root) or row.digest != digest(row.note.encode()):
                raise LedgerBroken(f"the head of {row.size} acts is noted as something else than it says")
            yield row

    def _closed(self, books: Books) -> tuple[int, str]:
        """Number and name of the last act of the closed ledger, if its chain holds and the first act here names it."""
        n, prev = 0, CHAIN
        for n, row in enumerate(books.after("ledger_closed"), start=1):
            try:
                self._office.vault.check_seal(row.body, row.seal)
                members = read_json(row.body, limit=MAX_ACT + 1)
            except Refusal as refusal:
                raise LedgerBroken(f"act {n} of the closed ledger was changed: {refusal.sentence}") from refusal
            if (row.n, members["n"], members["prev"], row.hash) != (n, n, prev, digest(row.body)):
                raise LedgerBroken(f"act {n} of the closed ledger does not follow from the one before it")
            prev = row.hash
        first = next(books.after("ledger", page=1), None)
        if first is not None:
            told = read_json(first.body, limit=MAX_ACT)
            if (told["outcome"], told["reasons"]) != (CLOSED, [prev, str(n)]):
                raise LedgerBroken("the ledger does not begin where the closed one ended")
        return n, prev


def _held_proofs(books: Books) -> Iterator[tuple[str, dict[str, Any]]]:
    """What this node was given as proof that the log has something, by the digest of what it is about (NODE-194)."""
    for row in books.after("outbox"):
        if row.proof is not None:
            signed = {"manifest": b64u(parse(row.envelope).statement.to_bytes())} if row.envelope else {}
            yield row.msg, _proof(row.entry, row.proof) | signed
    for row in books.after("inbox"):
        if row.parcel is not None:
            told = read_json(row.parcel, limit=_LIMIT)
            manifest = statement_from(told["payload"], told["signatures"])
            yield row.msg, {"entry": told["entry"], "proof": told["proof"], "manifest": b64u(manifest.to_bytes())}
    for row in books.after("acts"):
        if row.proof is not None:
            yield row.digest, _proof(row.entry, row.proof) | {"statement": b64u(row.jws)}
    for row in books.after("got"):
        yield digest(row.entry), _proof(row.entry, row.proof) | {"statement": b64u(books.heard(row.batch))}
    for row in books.after("heads"):
        if row.proof is not None:
            yield row.digest, _proof(row.entry, row.proof) | {"statement": b64u(row.note.encode())}


def _proof(entry: bytes, proof: str) -> dict[str, Any]:
    return {"entry": b64u(entry), "proof": proof}
