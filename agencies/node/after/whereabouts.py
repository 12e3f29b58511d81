"""Whereabouts: the whole tree of a message, what each holder was told and answered, with proofs (NODE-155 to NODE-157).

Made from these books alone: the log as far as it was read here, acts given and acts heard. So it can be shown to a
court with no broker running; ``read_on`` brings it up to date first where there is one. It also finds the holder that
says one thing and does another: who answered `erased` and then opened, or passed on, what it says it has no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agencies.node.after.acts import Deed
from agencies.node.after.following import Following, Passage
from agencies.node.errors import NotHere
from agencies.node.office import Office
from exchange.protocol.act import AFTER, Answer
from exchange.protocol.entry import DenialEntry, DisclosureEntry, ReceiptEntry
from exchange.protocol.lineage import ANSWER_WITHIN
from exchange.protocol.vocabulary import HolderAnswer, ReceiptStatus
from keys.encoding import b64u, instant, read_json, stamp

LIMIT: Final = 64 * 1024
Doing = DisclosureEntry | DenialEntry | ReceiptEntry
"""What an agency may be seen doing with a message in the log."""


@dataclass(frozen=True, slots=True)
class _Held:
    """One way in which an agency came to hold something of a message."""

    holder: str
    passage: Passage
    depth: int


class Whereabouts:
    """Shows an originator where its message is."""

    def __init__(self, office: Office, following: Following) -> None:
        self._office, self._following = office, following

    def of(self, message: str) -> dict[str, Any]:
        """The tree below one of our messages and how every holder stands: told, answered, silent, overdue."""
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            row = books.get("outbox", msg=message)
            acts = [Deed.of(one) for one in books.rows("acts", msg=message)]
        if row is None or row.state != "sent":
            raise NotHere("no message of that digest was sent from here")
        passages = self._following.disclosures()
        tree = passages.tree(message)
        held = _holders(tree, message, office.me)
        given = [one for one in acts if one.way == "out" and one.kind in AFTER and one.state != "refused"]
        heard = [one for one in acts if one.way == "in"]
        told = [self._told(one) for one in given]
        doings = self._doings(tree)
        holders = [self._holder(name, ways, given, heard, doings, now) for name, ways in held.items()]
        open_ = [one["id"] for one in holders if given and one["silent_since"]]
        return {
            "msg": message,
            "at": stamp(now),
            "log_size": self._following.size(),
            "told": told,
            "holders": holders,
            "silent": open_,
            "overdue": [one["id"] for one in holders if one["overdue"]],
            "contradicted": [one["id"] for one in holders if one["contradictions"]],
            "settled": bool(given) and not open_ and not any(one["contradictions"] for one in holders),
        }

    def listed(self) -> list[dict[str, Any]]:
        """Every message of ours that was restricted, rectified or recalled, and who has not answered; newest first."""
        with self._office.store.reading() as books:
            rows = [row for row in books.rows("acts", way="out") if row.kind in AFTER and row.state != "refused"]
        names = dict.fromkeys(row.msg for row in reversed(rows))
        wanted = ("msg", "told", "silent", "overdue", "contradicted", "settled")
        found = [self.of(name) for name in names]
        return [{name: one[name] for name in wanted} for one in found]

    def _told(self, one: Deed) -> dict[str, Any]:
        return {**_proved(one), "ground": str(one.terms.ground), "by_msg": getattr(one.terms, "by_msg", None)}

    def _holder(
        self,
        name: str,
        ways: Sequence[_Held],
        given: Sequence[Deed],
        heard: Sequence[Deed],
        doings: Mapping[str, Sequence[tuple[int, Doing]]],
        now: datetime,
    ) -> dict[str, Any]:
        """One holder: how it came to hold, and for each restriction or recall its last answer or its silence."""
        since = min(way.passage.seq for way in ways)
        answers = []
        silent: datetime | None = None
        for act in given:
            if act.index is None or act.index < since:  # not logged yet, or before this one held anything
                continue
            said = _answer_to(act, name, heard)
            at = instant(act.at or act.made)
            if said is None:
                silent = min(silent, at) if silent else at
            late = (instant(said.at or said.made) if said else now) - at > ANSWER_WITHIN
            answers.append({
                "to": act.digest, "kind": act.kind, "told": act.at, "due": stamp(at + ANSWER_WITHIN), "late": late,
                "answer": _proved(said) if said else None,
            })  # fmt: skip
        first = min((one.index for one in given if one.index is not None), default=None)
        return {
            "id": name,
            "through": [_way(way, first) for way in ways],
            "answers": answers,
            "silent_since": stamp(silent) if silent else None,
            "overdue": silent is not None and now - silent > ANSWER_WITHIN,
            "said": [_proved(one) for one in heard if one.by == name],
            "contradictions": _contradictions(name, heard, doings.get(name, ())),
        }

    def _doings(self, tree: Sequence[Passage]) -> dict[str, list[tuple[int, Doing]]]:
        """What each agency did, by the log, with anything that is or came from these messages."""
        names = {one.entry.msg for one in tree}
        found: dict[str, list[tuple[int, Doing]]] = {}
        for seq, entry in self._following.happened(after=min((one.seq for one in tree), default=0) - 1):
            if isinstance(entry, DisclosureEntry | DenialEntry) and names & set(entry.src or ()):
                found.setdefault(entry.from_, []).append((seq, entry))
            elif isinstance(entry, ReceiptEntry) and entry.msg in names and entry.status is ReceiptStatus.OPENED:
                found.setdefault(entry.by, []).append((seq, entry))
        return found


def _holders(tree: Sequence[Passage], message: str, me: str) -> dict[str, list[_Held]]:
    """Who holds something of a message, each with every way it came to, in the order of the log."""
    depths = {message: 0}
    found: dict[str, list[_Held]] = {}
    for passage in tree:
        entry = passage.entry
        if entry.msg != message:
            depths[entry.msg] = 1 + min((depths[name] for name in entry.src or () if name in depths), default=0)
        for to in entry.to:
            if to.id != me:
                found.setdefault(to.id, []).append(_Held(to.id, passage, depths[entry.msg]))
    return found


def _answer_to(act: Deed, holder: str, heard: Sequence[Deed]) -> Deed | None:
    """A holder's last answer to an act; that it has erased everything answers whatever was asked before."""
    found = None
    for one in heard:
        if one.by == holder and isinstance(terms := one.terms, Answer):
            erased = terms.outcome is HolderAnswer.ERASED and (one.index or 0) > (act.index or 0)
            if one.re == act.digest or (erased and found is None):
                found = one
    return found


def _contradictions(holder: str, heard: Sequence[Deed], doings: Sequence[tuple[int, Doing]]) -> list[dict[str, Any]]:
    """What a holder did with the message after it said that it had erased it."""
    said = [one for one in heard if one.by == holder and _erased(one) and one.index is not None]
    if not said:
        return []
    first = min(said, key=lambda one: one.index or 0)
    return [
        {"code": "erasure_contradicted", "index": seq, "did": entry.typ, "msg": entry.msg, "at": entry.ts,
         "entry": b64u(entry.to_bytes()), "said": first.digest, "said_at": first.at, "said_index": first.index}
        for seq, entry in doings
        if seq > (first.index or 0)
    ]  # fmt: skip


def _erased(one: Deed) -> bool:
    return one.kind == "erased" or (one.kind == "answer" and one.terms.outcome is HolderAnswer.ERASED)


def _way(way: _Held, first: int | None) -> dict[str, Any]:
    entry = way.passage.entry
    return {
        "msg": entry.msg, "from": entry.from_, "at": entry.ts, "index": way.passage.seq, "depth": way.depth,
        "after_the_recall": first is not None and way.passage.seq > first, "entry": b64u(entry.to_bytes()),
    }  # fmt: skip


def _proved(one: Deed) -> dict[str, Any]:
    """An act with everything that shows it to somebody else."""
    terms = one.terms
    said = {"outcome": str(terms.outcome), "ground": terms.ground and str(terms.ground)} if one.kind == "answer" else {}
    return {
        "act": one.digest, "kind": one.kind, **said, "state": one.state, "at": one.at, "index": one.index,
        "statement": read_json(one.statement, limit=LIMIT), "entry": b64u(one.entry) if one.entry else None,
        "proof": one.proof,
    }  # fmt: skip
