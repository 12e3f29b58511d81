"""A node as a witness of the federation's log: it cosigns what only grows, and never goes back (WIT-30 to WIT-35).

The rules are those of ``exchange.protocol.witnessing``. This module keeps what they need: of each log the one
checkpoint last cosigned here, moved by compare-and-swap before the answer leaves. Two processes on one home, or two
calls at once, therefore cannot cosign two logs. The keys are of their own and say nothing else. A checkpoint that
contradicts the one cosigned here is kept as evidence, with both notes; a proof that only fails is no contradiction,
for anybody may send the log's newest checkpoint with a proof that is none, and is kept as what it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from agencies.node.office import Office
from agencies.node.watch import LogWatch
from exchange.protocol.cosignature import Cosigner, add_lines, log_keys
from exchange.protocol.errors import LogInconsistent, OriginUnknown, WitnessAhead
from exchange.protocol.log import Checkpoint, split_note, verify_checkpoint, year_of
from exchange.protocol.merkle import EMPTY_ROOT
from exchange.protocol.witnessing import Submission, origin_of, parse_submission, witness
from keys.trust import LogIdentity

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Witnessing:
    """One node's witness: the federation's log, a name, a pair of keys, and what it cosigned last."""

    def __init__(self, office: Office, cosigner: Cosigner) -> None:
        self._office, self.cosigner = office, cosigner

    def add(self, body: bytes) -> str:
        """Cosign the checkpoint of an ``add-checkpoint`` call; returns the lines to answer with, or refuses."""
        asked = parse_submission(body)
        log = self._named(origin_of(asked.note))
        while True:
            row, latest = self._latest(log.origin)
            try:
                shown, lines = witness(asked, [log], latest, self.cosigner, self._office.clock())
            except (LogInconsistent, WitnessAhead) as refusal:
                self._suspect(asked, row, latest, refusal)
                raise
            if self._move(latest, shown, self._kept(asked.note, lines)):
                return lines

    def checkpoint(self, origin: str) -> str:
        """What was cosigned last of the log whose origin has this SHA-256, in hexadecimal: its lines and ours."""
        for row in self._cosigned():
            if hashlib.sha256(row.origin.encode()).hexdigest() == origin:
                return str(row.note)
        raise OriginUnknown("no checkpoint of a log of that name was cosigned here")

    def compare(self, watch: LogWatch) -> None:
        """Hold what was cosigned here, as a stranger, against what this node is shown as a member (WIT-35).

        ``LogForked`` if both cannot be true; the watch has then kept both checkpoints and the proof.
        """
        watch.see([row.note for row in self._cosigned() if row.size])

    def _cosigned(self) -> list[Any]:
        with self._office.store.reading() as books:
            return list(books.rows("witnessed"))

    def _named(self, origin: str) -> LogIdentity:
        """The log, under the name of that one of its shards: for a witness each grows by itself (WIT-55)."""
        log = self._office.trust.directory.root.log
        return replace(log, origin=origin) if year_of(log.origin, origin) is not None else log

    def _latest(self, origin: str) -> tuple[Any, Checkpoint | None]:
        with self._office.store.reading() as books:
            row = books.get("witnessed", origin=origin)
        return row, Checkpoint(origin, row.size, bytes(row.root), _EPOCH) if row else None

    def _move(self, latest: Checkpoint | None, shown: Checkpoint, note: str) -> bool:
        """Put the new checkpoint in the old one's place; false if the old one is not there any more."""
        new = {"size": shown.size, "root": shown.root, "note": note}
        with self._office.store.writing() as books:
            if latest is not None:
                return books.turn("witnessed", {"origin": shown.origin, "size": latest.size, "root": latest.root}, new)
            if books.get("witnessed", origin=shown.origin) is not None:
                return False
            books.add("witnessed", [{"origin": shown.origin, **new}])
            return True

    def _kept(self, note: str, lines: str) -> str:
        """The checkpoint with the log's lines and ours, and no others: nobody else's were verified here."""
        text, _ = split_note(note)
        theirs = note[len(text) + 1 :]
        keys = log_keys(self._named(origin_of(note)))
        return add_lines(f"{text}\n", theirs + lines, (*keys, *self.cosigner.keys))

    def _suspect(
        self, asked: Submission, row: Any, latest: Checkpoint | None, refusal: LogInconsistent | WitnessAhead
    ) -> None:
        """Keep what the log signed and what does not go with what it signed before."""
        shown = verify_checkpoint(asked.note, self._named(origin_of(asked.note)))
        beside = latest or Checkpoint(shown.origin, 0, EMPTY_ROOT, _EPOCH)
        forked = shown.size == beside.size and shown.root != beside.root
        if not forked and (isinstance(refusal, WitnessAhead) or not beside.size):
            return
        kind = "witness_forked" if forked else "growth_unproven"
        told = {"sentence": refusal.sentence, "older": row.note if row else "", "newer": self._kept(asked.note, "")}
        self._office.keep_evidence(kind, **told)
