"""What the broker shows, page by page: mailbox items, agreements and notices, proposals (HTTP-33, HTTP-34, HTTP-39).

The JSON is put together by hand, from parts that were checked or made here: base64url, digits, codes, and JSON that
this broker wrote. What a page says of how an agreement stands is the broker's word; what proves it stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from exchange.broker.jobs_rules import PROPOSAL_MS
from exchange.broker.page import Books, from_millis, to_millis
from exchange.broker.store import Reading, Store
from keys.encoding import b64u, stamp, write_json
from keys.errors import Refusal
from keys.signing import parse_statement

MAX_PAGE: Final = 200
"""Items in one answer."""
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
"""Bytes after which an answer takes no further item (it has one at least)."""


# --- mailboxes ----------------------------------------------------------------------------------------


def mail_item(row: Any, books: Books) -> bytes:
    """One mailbox item (HTTP-34). Every part is base64url, digits, or JSON that was written here."""
    seq: int = row.seq
    proved = b'"entry":"%s","proof":%s}' % (b64u(row.entry).encode(), books.proof_json(seq))
    head = b'{"kind":"%s","seq":%d,' % (row.kind.encode(), seq)
    if row.kind == "receipt":
        return b'%s"batch":%s,%s' % (head, row.jws.encode(), proved)
    if row.kind == "recalled":
        return b'%s"msg":"%s",%s' % (head, row.digest.encode(), proved)
    if row.kind != "message":
        return b'%s"statement":%s,%s' % (head, row.jws.encode(), proved)
    if row.body is None or row.wrap is None:
        return b'{"kind":"expired","seq":%d,"msg":"%s",%s' % (seq, row.digest.encode(), proved)
    return b'%s"payload":"%s","signatures":%s,"wrap":"%s","body":"%s",%s' % (
        head, row.payload.encode(), row.signatures.encode(), b64u(row.wrap).encode(), b64u(row.body).encode(), proved,
    )  # fmt: skip


# --- agreements and notices ---------------------------------------------------------------------------


def agreement_page(store: Store, books: Books, now: datetime, after: int, limit: int) -> bytes:
    """Agreements and notices behind an index, merged in the order of the log, so that a page never skips one."""
    with store.reading() as view:
        found = [("agreement", row) for row in view.agreements(after, limit)]
        found += [("notice", row) for row in view.notices(after, limit)]
        found.sort(key=lambda one: one[1].seq)
        lists: dict[str, list[bytes]] = {"agreement": [], "notice": []}
        size = 0
        for kind, row in found[:limit]:
            if row.seq >= books.head.size or size > MAX_PAGE_BYTES:
                break  # committed by another process since we looked, or enough for one answer
            item = _logged(row, books, view, now)
            lists[kind].append(item)
            size, after = size + len(item), row.seq
    return b'{"agreements":[%s],"notices":[%s],"next":%d}' % (
        b",".join(lists["agreement"]), b",".join(lists["notice"]), after,
    )  # fmt: skip


def _logged(row: Any, books: Books, view: Reading, now: datetime) -> bytes:
    """An agreement or notice with its place in the log; of an agreement also how it stands now."""
    (entry,) = view.entries(row.seq, row.seq + 1)
    stands = b""
    if hasattr(row, "parties"):
        stands = b',"state":"%s"' % books.state.book.standing(row.digest, now).state.value.encode()
    return b'{"statement":%s,"seq":%d,"entry":"%s","proof":%s%s}' % (
        row.jws.encode(), row.seq, b64u(entry).encode(), books.proof_json(row.seq), stands,
    )  # fmt: skip


def proposal_page(store: Store, books: Books, now: datetime, caller: str, after: str, limit: int) -> bytes:
    """What awaits signatures and ``caller`` is to sign, in the order of digests, each with who has signed it."""
    items: list[bytes] = []
    size = 0
    with store.reading() as view:
        for row in view.proposed_to(caller, to_millis(now) - PROPOSAL_MS, after, limit):
            if size > MAX_PAGE_BYTES:
                break
            items.append(_proposal(row, books, view))
            size, after = size + len(items[-1]), row.digest
    return b'{"proposals":[%s],"next":"%s"}' % (b",".join(items), after.encode())


def _proposal(row: Any, books: Books, view: Reading) -> bytes:
    signed = tuple(_signers(row.jws.encode(), books))
    lapses = stamp(from_millis(row.ts + PROPOSAL_MS))
    members = {
        "agr": row.digest,
        "proposer": row.proposer,
        "lapses": lapses,
        "signed_by": signed,
        "missing": [party for party in row.parties.split(" ") if party not in signed],
    }
    logged = signatures_json(view.signatures(row.digest), books)
    return write_json(members)[:-1] + b',"statement":%s,"signatures":%s}' % (row.jws.encode(), logged)


def _signers(jws: bytes, books: Books) -> Iterator[str]:
    """Whose signatures a stored statement carries; they were verified when they came."""
    for pair in parse_statement(jws).pairs:
        try:
            yield books.state.directory.owner(pair[0].kid)
        except Refusal:
            continue


def signatures_json(rows: Any, books: Books) -> bytes:
    """Logged signatures as an answer lists them: who, and the entry with its proof (HTTP-38)."""
    listed = [
        b'{"by":"%s","seq":%d,"entry":"%s","proof":%s}'
        % (row.by.encode(), row.seq, b64u(row.entry).encode(), books.proof_json(row.seq))
        for row in rows
        if row.seq < books.head.size
    ]
    return b"[" + b",".join(listed) + b"]"
