"""Watching the log: every checkpoint a node is shown must fit with all the others (NODE-34 to NODE-36, NODE-39).

A proof convinces only of one view of the log. This module holds each new checkpoint against the newest
one known: same size, same root; larger, and the log's own tiles must prove that it only added. Where
that fails the broker has shown two logs: both checkpoints and the proof are kept as evidence, and the
node takes nothing that came with them. So it is with what another member says that it was shown.

The tree of the newest checkpoint is kept in memory: what the log adds is then a tile or two to fetch and
a root to compare, and only what does not come out that way is looked into from the beginning.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NoReturn

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.office import Office
from agencies.node.store import Books
from exchange.protocol.errors import LogInconsistent
from exchange.protocol.log import Checkpoint, bundle, parse_bundle, verify_checkpoint, verify_growth
from exchange.protocol.merkle import (
    HASH,
    HEIGHT,
    WIDTH,
    Tree,
    bundles,
    entries_path,
    leaf_hash,
    root,
    tile_path,
    verify_consistency,
)
from keys.encoding import b64u
from keys.errors import Refusal

NEAR: Final = 8
"""Tiles of new leaves that are fetched rather than the edge of the whole tree."""
_BUNDLES: Final = "tile/entries/"
KEPT: Final = 64
"""Checkpoints remembered; an older one is shown consistent again from the tiles."""
ROOTS: Final = 256
"""Roots at older sizes remembered, for what others say they saw."""


class _Note(NamedTuple):
    """A checkpoint that was verified, and its text."""

    size: int
    root: bytes
    text: str


class LogWatch:
    """Compares what the broker shows this node with what it showed before."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._guard = threading.Lock()
        self._newest: _Note | None = None
        """The newest checkpoint that fits, perhaps not on disk yet."""
        self._tree: Tree | None = None
        """The tree under it, as far as it was read."""
        self._roots: dict[int, bytes] = {}
        """Roots at older sizes, shown to be of the log known here."""

    def newest(self) -> str | None:
        """The newest checkpoint known, as signed."""
        newest = self._known_newest()
        return newest.text if newest else None

    def size(self) -> int:
        """How many entries the log has at least, as signed."""
        newest = self._known_newest()
        return newest.size if newest else 0

    def see(self, notes: Iterable[str]) -> None:
        """Take in checkpoints, in any order; ``LogForked`` if one does not fit with what was seen before."""
        if fresh := self.fit(notes):
            with self._office.store.writing() as books:
                self.keep(books, fresh)

    def see_proofs(self, proofs: Iterable[str]) -> None:
        """Take in the checkpoints inside proofs. What is no checkpoint is left to the proof's own check."""
        self.see(self.inside(proofs))

    def inside(self, proofs: Iterable[str]) -> list[str]:
        """The log's checkpoints inside proofs, each once."""
        notes = dict.fromkeys(proof.partition("\n\n")[2] for proof in proofs)
        return [note for note in notes if self._signed(note)]

    def fit(self, notes: Iterable[str]) -> dict[int, str]:
        """Do the same, and leave it to the caller to ``keep`` those that are new."""
        identity = self._office.trust.log
        sizes = {note: verify_checkpoint(note, identity).size for note in dict.fromkeys(notes)}
        if not sizes:
            return {}
        with self._guard:
            newest = self._known_newest()
            with self._office.store.reading() as books:
                rows = [books.get("known", size=size) for size in set(sizes.values())]
            known = {row.size: row.text for row in rows if row} | ({newest.size: newest.text} if newest else {})
            fresh: dict[int, str] = {}
            for note, size in sizes.items():
                beside = known.get(size) or fresh.get(size)
                if beside is None and size:
                    fresh[size] = note
                elif beside is not None and beside != note:
                    self._must_follow(beside, note, None)
            if fresh:
                if newest is None or not self._grown(newest, fresh):
                    self._must_all_fit({**fresh, **({newest.size: newest.text} if newest else {})})
                if newest is None or max(fresh) > newest.size:
                    self._newest = self._note(fresh[max(fresh)])
        return fresh

    def keep(self, books: Books, fresh: dict[int, str]) -> None:
        """Write down what ``fit`` found new."""
        if fresh:
            books.put("known", [{"size": s, "root": self._note(t).root, "text": t} for s, t in fresh.items()])
            books.prune_checkpoints(KEPT)

    def agrees(self, size: int, root: bytes) -> bool:
        """Whether the log known here had this root at this size; ``BrokerUnreachable`` if that cannot be told now."""
        with self._guard:
            if size not in self._roots:
                self._root_at(size)
            return self._roots[size] == root

    def refuse(self, note: str, by: str) -> NoReturn:
        """Keep as evidence what the log signed for another member and is not of the log known here; ``LogForked``."""
        with self._guard:
            theirs = self._note(note)
            ours, own, proof = self._root_at(theirs.size)
            self._forked(f"`{by}` was shown another log than this agency", note, ours.text, proof, own, by=by)

    def look(self) -> Checkpoint:
        """Fetch the log's latest checkpoint and take it in.

        ``LogForked`` if it does not fit. One that fits and is older than what is known is no answer: nobody signs
        what ``/log`` serves, so anybody on the way may have shown it again.
        """
        before = self.size()  # asked first: what arrives meanwhile may well be newer than the answer
        note = self._office.broker.checkpoint()
        latest = verify_checkpoint(note, self._office.trust.log)
        self.see([note])
        if latest.size < before:
            raise BrokerUnreachable(f"the log had {before} entries and now shows {latest.size}: an old answer")
        return latest

    def entries(self, checkpoint: Checkpoint) -> list[bytes]:
        """Every entry of the log under this checkpoint, verified against its root."""
        listed: list[bytes] = []
        for n, width in bundles(checkpoint.size):
            data = self._fetch(entries_path(n, width), entries_path(n))
            listed += parse_bundle(data, width) if width == WIDTH else parse_bundle(data, _width_of(data))[:width]
        if root([leaf_hash(entry) for entry in listed]) != checkpoint.root:
            self._office.keep_evidence("entries", size=checkpoint.size, root=b64u(checkpoint.root))
            raise LogForked("the entries the log serves are not those under its signed root")
        return listed

    def since(self, tree: Tree) -> list[bytes]:
        """What the log has behind a tree that was verified before, verified; the tree is grown by it.

        Drop the tree if this raises: it may have grown by what does not hold.
        """
        checkpoint, listed = self.look(), list[bytes]()
        for n, width in bundles(checkpoint.size):
            begin = n * WIDTH
            if begin + width <= tree.size:
                continue
            data = self._fetch(entries_path(n, width), entries_path(n))
            entries = parse_bundle(data, width) if width == WIDTH else parse_bundle(data, _width_of(data))[:width]
            new = entries[tree.size - begin :]
            tree.append([leaf_hash(entry) for entry in new])
            listed += new
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            self._office.keep_evidence("entries", size=checkpoint.size, root=b64u(checkpoint.root))
            raise LogForked("the entries the log serves are not those under its signed root")
        return listed

    def tree(self, size: int) -> Tree:
        """The log's tree at a size, read from its tiles; its root is still to be compared with one that is known."""
        return self._load(size)

    def file(self, path: str) -> bytes:
        """A tile or an entry bundle by its path, unverified; of a partial one that is gone, as much of the full one."""
        full, _, partial = path.partition(".p/")
        data = self._fetch(path, full)
        if not partial:
            return data
        width = int(partial)
        if not path.startswith(_BUNDLES):
            return data[: width * HASH]
        have = _width_of(data)
        try:
            return data if have == width else bundle(parse_bundle(data, have)[:width])
        except (Refusal, ValueError):  # no bundle at all: whoever reads it says so
            return data

    def _grown(self, newest: _Note, fresh: dict[int, str]) -> bool:
        """Whether each new checkpoint is the known tree and more leaves; false says nothing yet."""
        tree = self._tree
        if tree is None or (tree.size, tree.root()) != (newest.size, newest.root):
            return False
        if not newest.size < min(fresh) <= max(fresh) <= newest.size + NEAR * WIDTH:
            return False
        self._tree = None  # it grows by what is not known to hold yet
        try:
            for upto in sorted(fresh):
                while tree.size < upto:
                    tree.append(self._leaves(tree.size, upto))
                if tree.root() != self._note(fresh[upto]).root:
                    return False
        except ValueError:  # a tile that is not whole: the long way says so
            return False
        self._tree = tree
        return True

    def _leaves(self, begin: int, end: int) -> list[bytes]:
        """Leaf hashes from one number on, up to the end of its tile or of the log."""
        n, first = divmod(begin, WIDTH)
        width = min(WIDTH, end - n * WIDTH)
        data = self._fetch(tile_path(0, n, width), tile_path(0, n))[: width * HASH]
        if len(data) != width * HASH:
            raise ValueError("a tile is too short")
        return [data[at : at + HASH] for at in range(first * HASH, width * HASH, HASH)]

    def _must_all_fit(self, notes: dict[int, str]) -> None:
        top = max(notes)
        if len(notes) == 1:
            return  # the first checkpoint ever seen has nothing to fit with
        root, tree = self._note(notes[top]).root, self._tree
        if tree is None or (tree.size, tree.root()) != (top, root):  # else what is served now may be of another log
            tree = self._load(top)
        if tree.root() != root:
            self._forked("the tiles the log serves do not lead to its signed root", notes[top], notes[top], ())
        for size in sorted(notes):
            if size != top:
                self._must_follow(notes[size], notes[top], tree)
        self._tree = tree

    def _must_follow(self, older: str, newer: str, tree: Tree | None) -> None:
        """Refuse the larger log, whose tree this is, if it does not contain the smaller; none if they are as large."""
        old, new = self._note(older), self._note(newer)
        try:
            hashes, own = (tree.consistency(old.size), tree.root(old.size)) if tree else ((), new.root)
        except ValueError as wrong:
            raise BrokerUnreachable(f"the log's tiles are not whole: {wrong}") from None
        try:
            verify_growth(older, newer, hashes, self._office.trust.log)
        except LogInconsistent as refusal:
            self._forked(refusal.sentence, older, newer, hashes, own)

    def _root_at(self, size: int) -> tuple[_Note, bytes, tuple[bytes, ...]]:
        """The newest checkpoint, the root of its log at a size, and the proof that it is; remembered."""
        newest = self._newest
        if newest is None or size > newest.size:
            newest = self._known_newest()  # another process on these books may have seen more
        if newest is None or size > newest.size:
            raise BrokerUnreachable(f"what was shown of the log does not reach to {size} entries yet")
        if size == newest.size:
            self._remember(size, newest.root)
            return newest, newest.root, ()
        tree = self._tree
        if tree is not None and (tree.size, tree.root()) != (newest.size, newest.root):
            tree = None
        for known in (tree, None) if tree else (None,):  # what was read of older tiles may be what is wrong
            try:
                tree = known or self._load(newest.size)
                own, proof = tree.root(size), tree.consistency(size)
                verify_consistency(size, own, newest.size, newest.root, proof)
            except (ValueError, LogInconsistent):
                continue
            self._tree = tree
            self._remember(size, own)
            return newest, own, proof
        raise BrokerUnreachable("the log's tiles do not lead to its signed root")

    def _remember(self, size: int, root: bytes) -> None:
        self._roots[size] = root
        if len(self._roots) > ROOTS:
            del self._roots[next(iter(self._roots))]

    def _forked(
        self, sentence: str, older: str, newer: str, proof: tuple[bytes, ...], own: bytes | None = None, **more: str
    ) -> NoReturn:
        """Keep two checkpoints as evidence. ``own`` is the root that the larger's log has at the smaller's size: where

        the proof leads from it to the larger, anybody can see from these alone that the log signed two (WIT-51).
        """
        if not self._told_of(older, newer):
            detail: dict[str, Any] = {"sentence": sentence, **more, "older": older, "newer": newer}
            if own is not None:
                detail["root"] = b64u(own)
            self._office.keep_evidence("log_forked", **detail, proof=[b64u(item) for item in proof])
        raise LogForked(f"{sentence}; both checkpoints are kept as evidence")

    def _told_of(self, *notes: str) -> bool:
        """Whether one of these that is not among the known ones is in evidence already."""
        with self._office.store.reading() as books:
            known = {row.text for row in books.rows("known")}
            told = "".join(row.detail for row in books.rows("evidence", kind="log_forked"))
        strange = [json.dumps(note, ensure_ascii=False) for note in notes if note not in known]
        return any(note in told for note in strange)

    def _load(self, size: int) -> Tree:
        def read(level: int, n: int) -> bytes:
            width = min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)
            return self._fetch(tile_path(level, n, width), tile_path(level, n))

        try:
            return Tree.load(size, read, cache=16)
        except ValueError as wrong:
            raise BrokerUnreachable(f"the log's tiles are not whole: {wrong}") from None

    def _fetch(self, path: str, full: str) -> bytes:
        """A partial tile may be gone once the full one is there (C2SP tlog-tiles)."""
        try:
            return self._office.broker.log_file(path)
        except BrokerUnreachable:
            if path == full:
                raise
            return self._office.broker.log_file(full)

    def _known_newest(self) -> _Note | None:
        with self._office.store.reading() as books:
            row = books.newest_checkpoint()
        mine = self._newest
        if row and (mine is None or row.size > mine.size):  # another process on these books has seen more
            return _Note(row.size, row.root, row.text)
        return mine

    def _note(self, text: str) -> _Note:
        made = verify_checkpoint(text, self._office.trust.log)
        return _Note(made.size, made.root, text)

    def _signed(self, note: str) -> bool:
        try:
            self._note(note)
        except Refusal:
            return False
        return True


def _width_of(data: bytes) -> int:
    """How many entries a bundle holds, for one that grew since it was asked for."""
    count = at = 0
    while at < len(data):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        count += 1
    return count
