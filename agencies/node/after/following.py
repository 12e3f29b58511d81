"""Following the log: who told whom, derived from what, and who did what about it (NODE-130, NODE-131).

Most of a node's work needs nothing but its own mail. The tree of a message does: to whom it was passed on, and
whose message one's own was derived from, stand in the log alone. So a node that needs it reads the log on from where
it stopped, verifies what it read against the log's signed root, and keeps it in its books; questions are then answered
from the books, also with no broker to ask. Nothing here decides anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from agencies.node.errors import BrokerUnreachable, NotHere
from agencies.node.office import Office
from agencies.node.watch import LogWatch
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, LogEntry, ReceiptEntry, parse_entry
from exchange.protocol.merkle import Tree
from exchange.protocol.vocabulary import ReceiptStatus
from keys.encoding import b64u

FOLLOWED: Final = "followed"
"""Up to which size the log was read, and the root it had there."""


class Passage(NamedTuple):
    """A disclosure and its place in the log."""

    seq: int
    entry: DisclosureEntry


class Following:
    """The log as far as one node has read it."""

    def __init__(self, office: Office, watch: LogWatch) -> None:
        self._office, self._watch = office, watch
        self._guard = threading.Lock()
        self._tree: tuple[int, Tree] | None = None
        self._passages: tuple[Any, Passages] | None = None

    def read_on(self, until: int | None = None) -> int:
        """Read what the log has that the books have not; returns up to which size it is read now.

        With ``until``, only if the books do not go up to that number yet.
        """
        with self._guard:
            if until is not None and (size := self.size()) >= until:
                return size
            office = self._office
            with office.store.reading() as books:
                place = books.meta(FOLLOWED, "0 ")
            (base, tree), self._tree = self._taken_up(place), None
            before = base + tree.size
            listed, base, tree = self._watch.since(base, tree)
            size = base + tree.size
            rows = [row for n, data in enumerate(listed) if (row := _row(before + n, data))]
            with office.store.writing() as books:
                if books.meta(FOLLOWED, "0 ") == place and listed:
                    books.add("logged", rows)
                    books.set_meta(FOLLOWED, f"{size} {b64u(tree.root())}")
            self._tree = (base, tree)
            return size

    def _taken_up(self, place: str) -> tuple[int, Tree]:
        """The tree in which the log ended when it was last read, and that shard's base."""
        size, root = int(place.partition(" ")[0]), place.partition(" ")[2]
        if self._tree is not None:
            base, tree = self._tree
            if base + tree.size == size and (not size or b64u(tree.root()) == root):
                return base, tree
        if not size:
            return 0, Tree()
        base, tree = self._watch.tree(size)
        if b64u(tree.root()) != root:
            raise BrokerUnreachable(f"the tiles the log serves do not lead to the root it had at size {size}")
        return base, tree

    def size(self) -> int:
        """Up to which size of the log the books have it."""
        with self._office.store.reading() as books:
            return int(books.meta(FOLLOWED, "0 ").partition(" ")[0])

    def disclosures(self) -> Passages:
        """Who told whom what, as far as the books have it: what was read of the log, and this agency's own mail."""
        with self._office.store.reading() as books:
            sent, received = books.count("outbox", state="sent"), books.count("inbox")
            state = (books.meta(FOLLOWED), sent, received)
            if self._passages is not None and self._passages[0] == state:
                return self._passages[1]
            pool: dict[str, tuple[int, bytes]] = {}
            for row in books.sent_entries():
                pool[row.msg] = (row.seq, bytes(row.entry))
            for row in books.received_entries():
                pool[row.msg] = (row.seq, bytes(row.entry))
            for row in books.rows("logged", typ="disclosure"):
                pool[row.msg] = (row.seq, bytes(row.data))
        made = Passages(pool)
        self._passages = (state, made)
        return made

    def originator_of(self, msg: str) -> str:
        """Who sent a message, by these books or, if they do not say, by the log."""
        with self._office.store.reading() as books:
            for row in books.inbox_of([msg]):
                return str(row.sender)
        passage = self.disclosures().get(msg)
        if passage is None:
            self.read_on()
            passage = self.disclosures().get(msg)
        if passage is None:
            raise NotHere("no message of that digest was disclosed")
        return passage.entry.from_

    def happened(self, *, after: int) -> Iterator[tuple[int, LogEntry]]:
        """What was read of the log behind a number."""
        with self._office.store.reading() as books:
            for row in books.logged_after(after):
                yield row.seq, parse_entry(bytes(row.data))

    def about(self, msg: str) -> list[tuple[int, LogEntry]]:
        """What was read about one message."""
        with self._office.store.reading() as books:
            return [(row.seq, parse_entry(bytes(row.data))) for row in books.rows("logged", msg=msg)]


class Passages:
    """Disclosures by digest, read when they are asked for, and what was derived from each."""

    def __init__(self, pool: Mapping[str, tuple[int, bytes]]) -> None:
        self._pool = pool
        self._read: dict[str, Passage] = {}
        self._below: dict[str, list[str]] = {}
        for name, (_, data) in pool.items():
            if b',"src":[' in data:  # an entry has one spelling and no free text
                for source in self._get(name).entry.src or ():
                    self._below.setdefault(source, []).append(name)

    def get(self, msg: str) -> Passage | None:
        """One disclosure, if it is known."""
        return self._get(msg) if msg in self._pool else None

    def tree(self, msg: str) -> list[Passage]:
        """A message and all that came from it, in the order of the log."""
        return self._reach(msg, lambda name: self._below.get(name, ()))

    def roots(self, src: Iterable[str]) -> list[Passage]:
        """These messages and all that they came from, in the order of the log."""
        found = {one.entry.msg: one for name in src for one in self._reach(name, self._sources)}
        return sorted(found.values(), key=lambda one: one.seq)

    def _sources(self, name: str) -> Sequence[str]:
        return (self._get(name).entry.src or ()) if name in self._pool else ()

    def _reach(self, msg: str, further: Callable[[str], Sequence[str]]) -> list[Passage]:
        seen, waiting = {msg}, [msg]
        while waiting:
            fresh = [name for name in further(waiting.pop()) if name not in seen]
            seen.update(fresh)
            waiting += fresh
        return sorted((self._get(name) for name in seen if name in self._pool), key=lambda one: one.seq)

    def _get(self, name: str) -> Passage:
        if name not in self._read:
            seq, data = self._pool[name]
            entry = parse_entry(data)
            assert isinstance(entry, DisclosureEntry)  # noqa: S101  # nothing else is put into the pool
            self._read[name] = Passage(seq, entry)
        return self._read[name]


def _row(seq: int, data: bytes) -> dict[str, object] | None:
    """How an entry is kept; none for what says nothing about who holds what."""
    entry = parse_entry(data)
    if isinstance(entry, ReceiptEntry):
        if entry.status is ReceiptStatus.DELIVERED:
            return None
    elif isinstance(entry, DenialEntry):
        if not entry.src:
            return None
    elif not isinstance(entry, DisclosureEntry | ActEntry):
        return None
    return {"seq": seq, "typ": entry.typ, "msg": entry.msg, "data": data}
