"""What the books say of the messages a message was derived from, and of everybody who holds one (ADM-50 to ADM-56).

The database finds which messages belong together; what follows from them is worked out by ``exchange.protocol.lineage``
over their log entries, exactly as an auditor does it from the log alone. Nothing is asked for a message that names no
source.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from exchange.broker.page import Page
from exchange.protocol.act import Act, ActTerms, Rectify, parse_act
from exchange.protocol.entry import DisclosureEntry, LogEntry, parse_entry
from exchange.protocol.lineage import MAX_LINEAGE, Lineage
from exchange.protocol.vocabulary import ActKind
from keys.signing import parse_statement

if TYPE_CHECKING:
    from exchange.protocol.manifest import Manifest
    from exchange.protocol.matching import Source

_BINDING: Final = (
    ActKind.CONSENT,
    ActKind.WITHDRAW,
    ActKind.RESTRICT,
    ActKind.RECTIFY,
    ActKind.RECALL,
    ActKind.ANSWER,
    ActKind.ERASED,
)
"""Acts that bind, or free, whoever derives something from a message."""
Disclosed = tuple[int, DisclosureEntry]
"""A disclosed message: its index in the log, and its entry."""


def resolve_sources(page: Page, manifest: Manifest) -> tuple[Source, ...]:
    """The sources of a manifest that names some, with theirs, as the log stands before its own entry.

    One ancestor more than a message may have is enough to be told so (MSG-34): the database walks no further.
    """
    src = manifest.src or ()
    names = {*src, *page.view.ancestors(src, MAX_LINEAGE + 1)}
    lineage, _ = _slice(page, names, names, _BINDING)
    return lineage.sources_for(src, manifest.from_)


def tree_of(page: Page, terms: ActTerms) -> tuple[Lineage, list[Disclosed]]:
    """What an act is judged by; and every disclosure of its message and of what was derived from that."""
    names = {terms.msg, *page.view.descendants(terms.msg)}
    above = _correcting(page, terms.by_msg) if isinstance(terms, Rectify) else set[str]()
    lineage, found = _slice(page, names | above, {terms.msg}, ActKind)
    return lineage, [one for one in found if one[1].msg in names]


def _correcting(page: Page, msg: str) -> set[str]:
    return {msg, *page.view.ancestors((msg,), MAX_LINEAGE + 1)}


def _slice(
    page: Page, names: Iterable[str], about: Iterable[str], kinds: Iterable[ActKind]
) -> tuple[Lineage, list[Disclosed]]:
    """A lineage of these messages, as far as they were disclosed, with the acts about some of them; in log order."""
    lineage, book = Lineage(), page.state.book
    found = [(seq, entry) for seq, data in page.view.disclosures(names) if (entry := _disclosure(data))]
    acts = [(row.seq, _act(row.jws, _entry(row.entry))) for row in page.view.acts_about(about, kinds)]
    logged: list[tuple[int, DisclosureEntry | Act]] = [*found, *acts]
    for seq, one in sorted(logged, key=itemgetter(0)):
        if isinstance(one, Act):
            lineage.with_act(seq, one)
        else:
            agreement = book.get(one.agr)
            lineage.with_disclosure(seq, one, agreement.terms if agreement else None)
    return lineage, found


@lru_cache(maxsize=4096)
def _entry(data: bytes) -> LogEntry:
    return parse_entry(data)


def _disclosure(data: bytes) -> DisclosureEntry | None:
    entry = _entry(data)
    return entry if isinstance(entry, DisclosureEntry) else None


@lru_cache(maxsize=4096)
def _act(jws: str, entry: LogEntry) -> Act:
    """An act as the books keep it: it was verified when it was logged."""
    statement = parse_statement(jws.encode())
    return Act(statement.digest, statement, parse_act(statement.payload), entry.at)
