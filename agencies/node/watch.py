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
from agencies.node.shards import Shards, width_of
from agencies.node.store import Books
from exchange.protocol.errors import LogInconsistent, ShardReopened
from exchange.protocol.log import Checkpoint, bundle, parse_bundle, verify_checkpoint, verify_growth, verify_tree
from exchange.protocol.merkle import (
    HASH,
    WIDTH,
    Tree,
    bundles,
    entries_path,
    leaf_hash,
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
    """A checkpoint that was verified, and its text.

    ``size`` is the whole log's, shards before its own included; there are never two shards of one size (LOG-122).
    """

    size: int
    root: bytes
    text: str
    base: int

    @property
    def local(self) -> int:
        """How many entries its own tree has."""
        return self.size - self.base


class LogWatch:
    """Compares what the broker shows this node with what it showed before."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._guard = threading.Lock()
        self._newest: _Note | None = None
        """The newest checkpoint that fits, perhaps not on disk yet."""
        self._tree: Tree | None = None
        """The tree under it, as far as it was read."""
        self._shards = Shards(office)
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
        listed = dict.fromkeys(notes)
        if not listed:
            return {}
        with self._guard:
            for note in listed:
                self._shards.know(note)
            sizes = {note: self._note(note).size for note in listed}
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
        """Whether the log known here had this root at this size; ``BrokerUnreachable`` if that cannot be told now.

        The size is the whole log's, the root that of the shard it ends in.
        """
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
        verify_tree(note, self._office.trust.log)
        self.see([note])
        latest = verify_checkpoint(note, self._office.trust.log)
        if latest.end < before:
            raise BrokerUnreachable(f"the log had {before} entries and now shows {latest.end}: an old answer")
        return latest

    def entries(self, checkpoint: Checkpoint) -> list[bytes]:
        """Every entry of the log under this checkpoint, of closed shards too, verified against their roots."""
        return self._behind(0, Tree(), checkpoint)[0]

    def since(self, base: int, tree: Tree) -> tuple[list[bytes], int, Tree]:
        """What the log has behind a tree that was verified before, verified; then the open shard's base and tree.

        The tree, of the shard with this base, is grown by it. Drop it if this raises: it may hold what does not.
        """
        return self._behind(base, tree, self.look())

    def _behind(self, base: int, tree: Tree, checkpoint: Checkpoint) -> tuple[list[bytes], int, Tree]:
        listed: list[bytes] = []
        for top in (*self._shards.closings(), checkpoint):
            if not base <= top.base <= checkpoint.base or (top is not checkpoint and top.base == checkpoint.base):
                continue
            if top.base != base:
                base, tree = top.base, Tree()
            listed += self._rest(tree, top)
        return listed, base, tree

    def _rest(self, tree: Tree, top: Checkpoint) -> list[bytes]:
        """What one shard has behind this tree of it."""
        listed, prefix = list[bytes](), self._shards.prefix(top.base)
        for n, width in bundles(top.size):
            begin = n * WIDTH
            if begin + width <= tree.size:
                continue
            data = self._fetch(prefix + entries_path(n, width), prefix + entries_path(n))
            entries = parse_bundle(data, width) if width == WIDTH else parse_bundle(data, width_of(data))[:width]
            new = entries[tree.size - begin :]
            tree.append([leaf_hash(entry) for entry in new])
            listed += new
        if (tree.size, tree.root()) != (top.size, top.root):
            self._office.keep_evidence("entries", size=top.end, root=b64u(top.root))
            raise LogForked("the entries the log serves are not those under its signed root")
        return listed

    def tree(self, size: int) -> tuple[int, Tree]:
        """The tree in which the log ended at a size, with its base, read from tiles; its root is yet to be compared."""
        base = self._shards.base_at(size)
        return base, self._load(size - base, base)

    def ends(self, note: str) -> list[tuple[str, str]]:
        """The folder of each shard, and its newest checkpoint: what closed it, and of the open one this."""
        bases = (0, *(base for _, base in self._office.trust.log.shards))
        return [(self._shards.prefix(base), self._shards.closing(base) or note) for base in bases]

    def file(self, path: str) -> bytes:
        """A tile or an entry bundle by its path, unverified; of a partial one that is gone, as much of the full one."""
        full, _, partial = path.partition(".p/")
        data = self._fetch(path, full)
        if not partial:
            return data
        width = int(partial)
        if _BUNDLES not in path:
            return data[: width * HASH]
        have = width_of(data)
        try:
            return data if have == width else bundle(parse_bundle(data, have)[:width])
        except (Refusal, ValueError):  # no bundle at all: whoever reads it says so
            return data

    def _grown(self, newest: _Note, fresh: dict[int, str]) -> bool:
        """Whether each new checkpoint is the known tree and more leaves; false says nothing yet."""
        tree = self._tree
        if tree is None or (tree.size, tree.root()) != (newest.local, newest.root):
            return False
        if not newest.size < min(fresh) <= max(fresh) <= newest.size + NEAR * WIDTH:
            return False
        shown = [self._note(fresh[size]) for size in sorted(fresh)]
        if any(one.base != newest.base for one in shown):
            return False
        self._tree = None  # it grows by what is not known to hold yet
        try:
            for one in shown:
                while tree.size < one.local:
                    tree.append(self._leaves(tree.size, one.local, one.base))
                if tree.root() != one.root:
                    return False
        except ValueError:  # a tile that is not whole: the long way says so
            return False
        self._tree = tree
        return True

    def _leaves(self, begin: int, end: int, base: int) -> list[bytes]:
        """Leaf hashes of a shard from one index on, up to the end of its tile or of the tree."""
        n, first = divmod(begin, WIDTH)
        width, prefix = min(WIDTH, end - n * WIDTH), self._shards.prefix(base)
        data = self._fetch(prefix + tile_path(0, n, width), prefix + tile_path(0, n))[: width * HASH]
        if len(data) != width * HASH:
            raise ValueError("a tile is too short")
        return [data[at : at + HASH] for at in range(first * HASH, width * HASH, HASH)]

    def _must_all_fit(self, notes: dict[int, str]) -> None:
        """Those of one shard with one another, and with how it was closed; of the next, its first entry said so."""
        shards: dict[int, dict[int, str]] = {}
        for size, text in notes.items():
            shards.setdefault(self._note(text).base, {})[size] = text
        for base, shown in sorted(shards.items()):
            closing = self._shards.closing(base)
            if closing is not None:
                end = self._note(closing).size
                if shown.setdefault(end, closing) != closing:
                    self._must_follow(closing, shown[end], None)
            self._must_fit(base, shown)

    def _must_fit(self, base: int, notes: dict[int, str]) -> None:
        top = max(notes)
        if len(notes) == 1:
            return  # the first checkpoint ever seen has nothing to fit with
        root, tree = self._note(notes[top]).root, self._tree
        if tree is None or (tree.size, tree.root()) != (top - base, root):  # else what is served may be of another log
            tree = self._load(top - base, base)
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
            hashes, own = (tree.consistency(old.local), tree.root(old.local)) if tree else ((), new.root)
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
        closing = self._shards.closing(self._shards.base_at(size))
        top = self._note(closing) if closing is not None else newest
        tree, local = self._tree, size - top.base
        if tree is not None and (tree.size, tree.root()) != (top.local, top.root):
            tree = None
        for known in (tree, None) if tree else (None,):  # what was read of older tiles may be what is wrong
            try:
                tree = known or self._load(top.local, top.base)
                own, proof = tree.root(local), tree.consistency(local)
                verify_consistency(local, own, top.local, top.root, proof)
            except (ValueError, LogInconsistent):
                continue
            self._tree = tree
            self._remember(size, own)
            return top, own, proof
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

    def _load(self, size: int, base: int) -> Tree:
        return self._shards.load(size, self._shards.prefix(base))

    def _fetch(self, path: str, full: str) -> bytes:
        return self._shards.fetch(path, full)

    def _known_newest(self) -> _Note | None:
        with self._office.store.reading() as books:
            row = books.newest_checkpoint()
        mine = self._newest
        if row and (mine is None or row.size > mine.size):  # another process on these books has seen more
            return self._note(row.text)
        return mine

    def _note(self, text: str) -> _Note:
        try:
            made = verify_checkpoint(text, self._office.trust.log)
        except ShardReopened as refusal:
            self._shards.reopened(text, refusal.sentence)
        return _Note(made.end, made.root, text, made.base)

    def _signed(self, note: str) -> bool:
        try:
            verify_tree(note, self._office.trust.log)
        except Refusal:
            return False
        return True
