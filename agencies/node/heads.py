"""Heads of the ledger: signed with the agency's keys, kept, and put into the federation's log (NODE-190 to NODE-192).

A head is treated like a letter: signed and committed before the first byte leaves, sent as these very bytes until
the broker's answer proves that the log holds it, and settled by that proof alone. After that neither this node nor
whoever gets hold of it can change, move or leave out an act before it without everybody seeing it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from agencies.node.errors import AnswerMismatch, BrokerRefused, BrokerUnreachable
from agencies.node.ledger_log import LedgerLog
from agencies.node.mail.pauses import pause
from agencies.node.office import Office
from agencies.node.watch import LogWatch
from exchange.protocol.entry import NodeHeadEntry, parse_entry
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner, sign_checkpoint, verify_tlog_proof
from keys.encoding import b64u, digest, instant, stamp, unb64u
from keys.errors import Refusal

LEASE: Final = timedelta(seconds=60)
"""How long an attempt has a head to itself."""


class Heads:
    """Signs and sends the heads of one office's ledger; ``every`` is the least time between two by itself."""

    def __init__(self, office: Office, watch: LogWatch, log: LedgerLog, every: timedelta) -> None:
        self._office, self._watch, self._log, self._every = office, watch, log, every

    def round(self) -> int:
        """Sign a head if it is time for one, and send what is due; says how many were settled."""
        office = self._office
        with office.store.reading() as books:
            last = books.last_head()
        resting = last is not None and office.clock() < instant(last.made) + self._every
        if not resting and (last is None or last.state != "pending"):
            self.sign()
        return self.send()

    def sign(self) -> Any:
        """The head of the ledger as it is now, signed and kept; the last one if nothing was added. None of nothing."""
        office, now = self._office, self._office.clock()
        with office.store.writing() as books:
            last = books.last_head()
            size, root = self._log.edge(books)
            if size == 0 or (last is not None and last.size >= size):
                return last
            origin = ledger_origin(office.trust.log.origin, office.me)
            note = sign_checkpoint(size, root, LogSigner(origin, office.identity.signer), now)
            made, name = stamp(now), digest(note.encode())
            row = {"size": size, "root": root, "note": note, "digest": name, "made": made, "attempts": 0}
            books.add("heads", [{**row, "state": "pending", "due": made}])
            return books.last_head()

    def send(self) -> int:
        """Send what is due, smallest first, and settle what is answered; says how many. Stops where nobody answers."""
        office, settled = self._office, 0
        with office.store.reading() as books:
            due = books.heads_due(stamp(office.clock()))
            least = min((row.size for row in books.rows("heads", state="pending")), default=0)
        if due and due[0].size > least:
            return 0  # what would overtake a smaller one would have that refused for good
        for row in due:
            with office.store.writing() as books:  # whoever takes it has it to itself for a while
                leased = stamp(office.clock() + LEASE)
                if not books.turn("heads", {"size": row.size, "state": "pending", "due": row.due}, {"due": leased}):
                    break  # somebody else is at it; no larger one overtakes it
            try:
                self._settle(row, office.broker.head(row.note))
                settled += 1
            except BrokerRefused as refusal:
                if not refusal.lasting:
                    self._later(row, refusal)
                    break
                self._refused(row, refusal)
            except Refusal as refusal:
                if not isinstance(refusal, BrokerUnreachable):
                    office.keep_evidence("head_unproved", head=row.digest, code=refusal.code)
                self._later(row, refusal)
                break
        return settled

    def _settle(self, row: Any, answer: Any) -> None:
        try:
            name, data, proof = answer["head"], unb64u(answer["entry"]), answer["proof"]
            checkpoints = self._watch.fit(self._watch.inside([proof]))
            index, _ = verify_tlog_proof(proof, data, self._office.trust.log)
        except (KeyError, TypeError, AttributeError):
            raise AnswerMismatch("the answer to a head has the members `head`, `entry` and `proof`") from None
        said = parse_entry(data)
        if not isinstance(said, NodeHeadEntry) or name != row.digest:
            raise AnswerMismatch("the log entry is about something other than the head that was sent")
        if (said.by, said.size, said.root, said.head) != (self._office.me, row.size, b64u(row.root), row.digest):
            raise AnswerMismatch("the log entry does not say what the head says")
        to = {"state": "logged", "due": None, "problem": None, "seq": index, "entry": data, "proof": proof}
        with self._office.store.writing() as books:
            self._watch.keep(books, checkpoints)
            books.turn("heads", {"size": row.size, "state": "pending"}, to)

    def _refused(self, row: Any, refusal: BrokerRefused) -> None:
        """The broker will never log this, as if there were another ledger of ours: for an auditor to see."""
        problem = f"{refusal.reason}: {refusal.detail}"[:500]
        with self._office.store.writing() as books:
            to = {"state": "refused", "due": None, "problem": problem}
            if books.turn("heads", {"size": row.size, "state": "pending"}, to):
                self._office.note_evidence(books, "head_refused", [{"note": row.note, "problem": problem}])

    def _later(self, row: Any, refusal: Refusal) -> None:
        due = stamp(self._office.clock() + pause(row.attempts, self._office.chance(2)))
        to = {"attempts": row.attempts + 1, "due": due, "problem": f"{refusal.code}: {refusal.sentence}"[:500]}
        with self._office.store.writing() as books:
            books.turn("heads", {"size": row.size, "state": "pending"}, to)
