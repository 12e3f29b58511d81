"""The word between members: what others say they see of the log, held against what is seen here (NODE-39).

Every batch of receipts that is signed here tells the newest checkpoint that was verified here, and every batch that is
heard is held against this node's own view, before any of its receipts counts. A broker that shows two logs to two
agencies is so found out by the first receipt one of them gets from the other: it cannot change what was signed, and
to hold it back is to deliver no receipt.

What agrees costs a comparison. Only what does not is looked into: signed by the log, it convicts the log; else it
convicts its giver, whose receipts are receipts all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from agencies.node.errors import LogForked
from agencies.node.mail.haul import Batch, Word
from agencies.node.office import Office
from agencies.node.store import Books
from agencies.node.watch import LogWatch
from exchange.protocol.seen import Seen, own_lines, signed_by_log
from keys.encoding import read_json
from keys.errors import Refusal

MAX_WORDS: Final = 16
"""Pieces of evidence of one kind against one giver: who lies all day gets no more room, nor takes that of others."""
_LIMIT: Final = 2**20


class Gossip:
    """Tells and hears for one office."""

    def __init__(self, office: Office, watch: LogWatch) -> None:
        self._office, self._watch = office, watch

    def shown(self) -> str | None:
        """What to tell others: the newest checkpoint verified here, with the log's own lines; none before the first."""
        newest = self._watch.newest()
        try:
            return own_lines(newest, self._office.trust.log) if newest else None
        except Refusal:  # signed by keys that the log has no more; the next look brings a newer one
            return None

    def hold(self, batch: Batch, index: int, item: Mapping[str, Any], renew: Callable[[], bool]) -> Word | None:
        """Hold what a batch tells against what is seen here; ``index`` is that of an entry which names the batch.

        Nothing if they agree, or what speaks against the giver; ``LogForked`` if the log has signed two. ``renew``
        fetches the directory: the giver may know newer keys of the log than are known here.
        """
        seen = batch.batch.seen
        if seen is None or self._agree(seen, index):
            return None
        trust = self._office.trust
        signed = signed_by_log(seen.note, trust.directory)
        if signed is None and renew():
            signed = signed_by_log(seen.note, trust.directory)
        by, shown = batch.batch.by, {"batch": batch.value, "entry": item["entry"], "proof": item["proof"]}
        if signed is None:
            sentence = f"`{by}` says that it saw a checkpoint which the log did not sign"
            return Word("seen_forged", by, batch.batch.digest, {"sentence": sentence, "by": by, **shown})
        if signed[1] != len(trust.directory.roots):
            sentence = f"`{by}` saw another log, under keys of the log that the federation has replaced"
            return Word("seen_unjudged", by, batch.batch.digest, {"sentence": sentence, "by": by, **shown})
        base = trust.begins(seen.origin)
        if base is not None and base + seen.size <= index:
            self._watch.refuse(seen.note, by)
        sentence = f"`{by}` had seen a log of {(base or 0) + seen.size} before entry {index} could be in it"
        word = Word("log_forked", by, batch.batch.digest, {"sentence": sentence, "by": by, **shown})
        with self._office.store.writing() as books:
            self.note(books, [word])
        raise LogForked(f"{sentence}; the batch, its entry and the proof are kept as evidence")

    def note(self, books: Books, words: list[Word]) -> None:
        """Keep what was found, once for a batch, and not without end for one giver."""
        for word in words:
            kept = [read_json(row.detail.encode(), limit=_LIMIT) for row in books.rows("evidence", kind=word.kind)]
            theirs = [one for one in kept if one.get("by") == word.by and "batch" in one]
            if len(theirs) < MAX_WORDS and all(one["batch"] != word.detail["batch"] for one in theirs):
                self._office.note_evidence(books, word.kind, [word.detail])

    def _agree(self, seen: Seen, index: int) -> bool:
        """Whether it is the log known here, at a size that it can have had then."""
        base = self._office.trust.begins(seen.origin)
        if base is None or base + seen.size > index:
            return False
        return self._watch.agrees(base + seen.size, seen.root)
