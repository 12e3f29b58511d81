"""Receipting: what is owed is signed in batches, kept as signed, and posted until the broker has it (NODE-44).

Each batch tells the newest checkpoint known here when it was signed (NODE-39), and goes on telling that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agencies.node.errors import BrokerRefused, BrokerUnreachable
from agencies.node.mail.pauses import pause
from agencies.node.office import Office
from exchange.protocol.receipt import MAX_ITEMS, ReceiptItem, build_receipts
from exchange.protocol.vocabulary import ReceiptStatus
from keys.encoding import stamp
from keys.errors import Refusal


class Receipting:
    """Signs and posts for one office; ``shown`` says which log it sees."""

    def __init__(self, office: Office, shown: Callable[[], str | None]) -> None:
        self._office, self._shown = office, shown

    def post(self) -> int:
        """Post signed batches that are due, after signing what is owed; says how many batches the broker took."""
        office = self._office
        while self._sign():
            pass
        with office.store.reading() as books:
            due = books.batches_due(stamp(office.clock()))
        return sum(self._post(row) for row in due)

    def _sign(self) -> bool:
        """Sign one batch of what is owed and keep it; says whether more may be owed."""
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            owed = books.owed(MAX_ITEMS)
        items: dict[tuple[str, str], ReceiptItem] = {}
        held: list[int] = []
        for row in owed:
            if (row.msg, row.status) in items:
                continue  # a batch names a message and status once; the other goes into the next
            items[row.msg, row.status] = _item(row)
            held.append(row.n)
        if not items:
            return False
        jws = self._signed(list(items.values()))
        with office.store.writing() as books:
            if {row.n for row in books.owed(MAX_ITEMS)} >= set(held):
                books.new_batch(jws, stamp(now), held)
        return len(owed) == MAX_ITEMS or len(held) < len(owed)

    def _signed(self, items: list[ReceiptItem]) -> bytes:
        office = self._office
        fed, signer, now = office.trust.directory.fed, office.identity.signer, office.clock()
        return build_receipts(items, by=office.me, fed=fed, ts=now, signer=signer, seen=self._shown())

    def _post(self, row: Any) -> bool:
        office = self._office
        try:
            unwanted = office.broker.receipts(row.jws)
        except BrokerRefused as refusal:
            if refusal.lasting:
                self._give_up(row, refusal)
                return False
            return self._put_off(row, refusal)
        except BrokerUnreachable as refusal:
            return self._put_off(row, refusal)
        if unwanted:
            office.keep_evidence("receipts_refused", items=unwanted)
        with office.store.writing() as books:
            books.set_batch(row.n, {"state": "posted", "due": None, "problem": None})
        return True

    def _put_off(self, row: Any, refusal: Refusal) -> bool:
        due = stamp(self._office.clock() + pause(row.attempts, self._office.chance(2)))
        with self._office.store.writing() as books:
            books.set_batch(row.n, {"attempts": row.attempts + 1, "due": due, "problem": refusal.sentence[:500]})
        return False

    def _give_up(self, row: Any, refusal: BrokerRefused) -> None:
        """The broker will never take this batch. Items that shared it with a bad one get a batch each."""
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            owed = books.rows("owed", batch=row.n)
        alone = [(one.n, self._signed([_item(one)])) for one in owed if len(owed) > 1]
        with office.store.writing() as books:
            books.set_batch(row.n, {"state": "refused", "due": None, "problem": refusal.sentence[:500]})
            for n, jws in alone:
                books.new_batch(jws, stamp(now), [n])


def _item(row: Any) -> ReceiptItem:
    return ReceiptItem(msg=row.msg, status=ReceiptStatus(row.status), **({"code": row.code} if row.code else {}))
