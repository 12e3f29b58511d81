"""Hearing: acts of others, verified and filed, and whether a derived message may be taken in (NODE-125 to NODE-129).

The broker says that somebody did something; the signature says it, the log says when, and the tree of the message
says whether it was theirs to do. An act that fails any of these is evidence and changes nothing here: whoever is not
the originator recalls nothing, and whoever holds nothing answers nothing.

A message that was derived from others is judged here too, by the log and by the consents that this agency was sent.
A holder that passes on what it may not gains nothing by a broker that lets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agencies.node.after.acts import statement_of
from agencies.node.after.consents import file_heard
from agencies.node.after.following import Following, Passage, Passages
from agencies.node.after.recalls import Recalls
from agencies.node.errors import (
    BrokerUnreachable,
    ConsentMissing,
    MessageRecalled,
    OnwardForbidden,
    SourceStopped,
    SourceUnknown,
)
from agencies.node.ledger import LedgerAct
from agencies.node.office import Office
from agencies.node.store import Books
from exchange.protocol.act import AFTER, Act, Answer, Ask, Consent, Decline, Withdraw, parse_act, read_act
from exchange.protocol.entry import ActEntry, DisclosureEntry
from exchange.protocol.errors import ActNotTheirs, ActRefused, ProofMismatch
from exchange.protocol.lineage import Lineage
from exchange.protocol.manifest import Manifest
from exchange.protocol.matching import Source
from exchange.protocol.message import Opened
from exchange.protocol.vocabulary import Act as LedgerCode
from exchange.protocol.vocabulary import ActKind, Classification, Handling, Onward
from keys.encoding import instant, stamp
from keys.signing import parse_statement

_TOLD: Mapping[ActKind, LedgerCode] = {
    ActKind.RESTRICT: LedgerCode.RECALL,
    ActKind.RECTIFY: LedgerCode.RECALL,
    ActKind.RECALL: LedgerCode.RECALL,
    ActKind.ANSWER: LedgerCode.RECALL_ACK,
}
"""How the ledger names what others did; everything else that is heard concerns consents."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A verified act of somebody else, its place in the log, and which messages here it is about."""

    act: Act
    seq: int
    entry: bytes
    proof: str
    concerned: tuple[str, ...]


class Hearing:
    """Takes what others say about messages, for one office."""

    def __init__(self, office: Office, following: Following, recalls: Recalls) -> None:
        self._office, self._following, self._recalls = office, following, recalls

    # -- acts --

    def read(self, item: Mapping[str, Any], seq: int, entry: ActEntry, heard: Sequence[Heard] = ()) -> Heard | None:
        """Verify a mailbox item that the log bears out; none if it was filed before, or just ``heard``.

        Refuses what the log's entry does not say, and what was not theirs to do.
        """
        statement = statement_of(item.get("statement"))
        with self._office.store.reading() as books:
            if books.get("acts", digest=statement.digest) or any(one.act.digest == statement.digest for one in heard):
                return None
        act = read_act(statement.to_bytes(), self._office.trust.directory, entry.at)
        terms = act.terms
        said = (entry.statement, entry.act, entry.by, entry.msg, entry.re)
        if said != (act.digest, terms.kind, terms.by, terms.msg, terms.refers_to):
            raise ProofMismatch("the log entry does not say what the act says")
        concerned = self._standing(act, seq, heard)
        return Heard(act, seq, entry.to_bytes(), str(item["proof"]), concerned)

    def file(self, books: Books, heard: Heard, now: datetime) -> LedgerAct | None:
        """Write down an act and what follows from it; the ledger's act, or none if it was filed before."""
        act, terms = heard.act, heard.act.terms
        if books.get("acts", digest=act.digest) is not None:
            return None
        books.add("acts", [{
            "digest": act.digest, "way": "in", "kind": str(act.kind), "by": terms.by, "msg": terms.msg,
            "re": terms.refers_to, "state": "filed", "jws": act.statement.to_bytes(), "made": stamp(now),
            "attempts": 0, "at": stamp(act.at), "seq": heard.seq, "entry": heard.entry, "proof": heard.proof,
        }])  # fmt: skip
        if isinstance(terms, Ask | Consent | Decline | Withdraw):
            file_heard(books, act.digest, terms, self._office.me)
        elif act.kind in AFTER:
            self._recalls.obey(books, act, heard.concerned)
        told = str(terms.outcome if isinstance(terms, Answer) else terms.kind)
        code = _TOLD.get(act.kind, LedgerCode.CONSENT)
        return LedgerAct(
            code, message=terms.msg, sender=terms.by, recipients=(self._office.me,), outcome=told, index=heard.seq
        )

    def close_late(self, books: Books, received: Sequence[str], stopped: Mapping[str, str]) -> None:
        """Close what has just been taken in and was restricted before."""
        if late := [message for message in received if message in stopped]:
            self._recalls.close(books, late, ActKind.RESTRICT)

    def _standing(self, act: Act, seq: int, heard: Sequence[Heard]) -> tuple[str, ...]:
        """Refuse an act that was not its author's to do; which messages here are concerned."""
        terms = act.terms
        with self._office.store.reading() as books:
            ours = books.get("outbox", msg=terms.msg)
        if ours is not None and (ours.state == "sent" or self._is_logged(terms.msg, seq)):
            self._must_hold(act, seq, ours.recipients.split())
            return (terms.msg,)
        if terms.addressed_to == "originator":
            raise ActNotTheirs("this concerns a message that was not sent from here")
        root, passages = self._root(terms.msg, seq, look=act.kind in AFTER)
        if root is None:
            raise ActRefused("no message of that digest was disclosed")
        if root.entry.from_ != terms.by:
            raise ActNotTheirs(f"only `{root.entry.from_}` may {terms.kind} this message, and `{terms.by}` is not")
        if isinstance(terms, Withdraw):
            with self._office.store.reading() as books:
                known = books.get("consents", digest=terms.re) or any(one.act.digest == terms.re for one in heard)
                if not known:
                    raise ActRefused("there is no consent of that digest here")
        return self.concerned(passages, terms.msg)

    def _is_logged(self, msg: str, seq: int) -> bool:
        """Whether the log has a message of ours whose own answer is still on its way, or was lost."""
        root, _ = self._root(msg, seq, look=False)
        return root is not None and root.entry.from_ == self._office.me

    def _must_hold(self, act: Act, seq: int, recipients: list[str]) -> None:
        """Refuse an act about a message of ours by somebody who holds nothing of it."""
        terms = act.terms
        if terms.addressed_to != "originator":
            raise ActNotTheirs(f"only this agency may {terms.kind} its own message")
        if terms.by not in recipients:
            below = {to.id for one in self._root(terms.msg, seq, look=True)[1].tree(terms.msg) for to in one.entry.to}
            if terms.by not in below or act.kind in (ActKind.ACKNOWLEDGE, ActKind.KEEP, ActKind.ERASED):
                raise ActNotTheirs(f"`{terms.by}` holds nothing of this message")
        if isinstance(terms, Answer):
            with self._office.store.reading() as books:
                asked = books.get("acts", digest=terms.re, way="out", msg=terms.msg)
            if asked is None or asked.kind not in AFTER:
                raise ActRefused("there is no restriction, rectification or recall of ours to answer")

    def concerned(self, passages: Passages, msg: str) -> tuple[str, ...]:
        """Which messages here, received or sent, are this one or came from it."""
        me, found = self._office.me, passages.tree(msg)
        return tuple(p.entry.msg for p in found if p.entry.from_ == me or any(to.id == me for to in p.entry.to))

    def _root(self, msg: str, seq: int, *, look: bool) -> tuple[Passage | None, Passages]:
        """A message's disclosure and the tree it stands in, from the books; from the log too, where that is wanted."""
        passages = self._following.disclosures()
        found = passages.get(msg)
        if found is not None and not look:
            return found, passages
        try:
            self._following.read_on(until=seq)
        except BrokerUnreachable:
            if found is None:
                raise
            return found, passages  # what is known must be obeyed now; the rest is looked for again
        passages = self._following.disclosures()
        return passages.get(msg), passages

    # -- messages that were derived --

    def stopped(self, heard: Sequence[Heard]) -> dict[str, str]:
        """Which messages their originators have recalled or restricted, by what is filed or has just been heard."""
        found = self._recalls.stopped()
        for one in heard:
            if one.act.kind in (ActKind.RESTRICT, ActKind.RECALL):
                for name in one.concerned:
                    found[name] = min(found.get(name, one.act.kind.value), one.act.kind.value)
        return found

    def must_come_rightly(self, opened: Opened, stopped: Mapping[str, str], heard: Sequence[Heard] = ()) -> None:
        """Refuse a message derived from what its sender may not pass on to us, by the log and by consents sent to us.

        ``heard`` came in the same mail and is in no book yet; ``stopped`` says what was recalled or restricted before.
        """
        manifest, index = opened.manifest, opened.index
        if stopped.get(opened.digest) == ActKind.RECALL:
            raise MessageRecalled("the originator recalled what this is or came from before it was collected")
        if not manifest.src:
            return
        self._following.read_on(until=index)
        roots = [one for one in self._following.disclosures().roots(manifest.src) if one.seq < index]
        names = {one.entry.msg for one in roots}
        lineage = Lineage()
        for seq, entry in roots:
            agreement = self._office.trust.book.get(entry.agr)
            lineage.with_disclosure(seq, entry, agreement.terms if agreement else None)
        for seq, act in sorted(self._known_acts(names, heard), key=lambda one: one[0]):
            if seq < index:
                lineage.with_act(seq, act)
        fields = {one.msg: tuple(one.fields) for one in opened.content.sources}
        for source in lineage.sources_for(manifest.src, manifest.from_):
            late = source.stopped or self._was_stopped(source, index)
            self._judge(source, late, opened, fields.get(source.msg))
        self._must_carry(opened.manifest, {one.entry.msg: one.entry for one in roots})

    def _must_carry(self, manifest: Manifest, known: Mapping[str, DisclosureEntry]) -> None:
        """Refuse what lost a mark of what its sender took it from, also by way of a message of its sender's own."""
        waiting, seen = list(manifest.src or ()), set[str]()
        while waiting:
            entry = known.get(waiting.pop())
            if entry is None or entry.msg in seen:
                continue
            seen.add(entry.msg)
            if entry.from_ == manifest.from_:
                waiting += entry.src or ()
            elif entry.from_ != self._office.me:
                kept = Classification(manifest.class_).rank >= Classification(entry.class_).rank
                if not kept or not {*entry.handling} - {Handling.H0} <= {*manifest.handling}:
                    raise OnwardForbidden(f"`{manifest.from_}` took marks off what `{entry.from_}` told it")

    def _known_acts(self, names: set[str], heard: Sequence[Heard]) -> Iterator[tuple[int, Act]]:
        """The acts about these messages that were filed, given and proved, or have just come."""
        with self._office.store.reading() as books:
            rows = [row for name in names for row in books.rows("acts", msg=name) if row.seq is not None]
        for row in rows:
            statement = parse_statement(bytes(row.jws))
            yield row.seq, Act(statement.digest, statement, parse_act(statement.payload), instant(row.at))
        yield from ((one.seq, one.act) for one in heard if one.act.terms.msg in names)

    def _was_stopped(self, source: Source, index: int) -> bool:
        """Whether the log says so, of a restriction or recall that was told to others only."""
        about = [one for seq, one in self._following.about(source.msg) if seq < index]
        return any(isinstance(one, ActEntry) and one.act in AFTER and one.by == source.originator for one in about)

    def _judge(self, source: Source, stopped: bool, opened: Opened, fields: tuple[str, ...] | None) -> None:
        me, holder, rule = self._office.me, opened.manifest.from_, Onward(source.onward)
        if not source.holder_had:
            raise SourceUnknown(f"`{holder}` never had one of the messages this came from")
        if stopped:
            raise SourceStopped(f"`{source.originator}` has stopped a message this came from")
        if source.originator == me:
            return
        if rule is Onward.NONE:
            raise OnwardForbidden(f"`{source.originator}` lets nobody pass on what this came from")
        if rule is Onward.WITHIN_PARTIES and me in source.parties:
            return
        purpose, at = str(opened.manifest.purpose), opened.entry.at
        for one in source.consents:
            live = not one.withdrawn and at < one.until and one.holder == holder and me in one.to
            named = rule is not Onward.BY_FIELD or "" not in one.fields
            if live and named and purpose in one.purposes and _cover(one.fields, fields):
                return
        raise ConsentMissing(
            f"`{holder}` has no consent of `{source.originator}` to tell `{me}` this for this purpose and these fields",
        )


def _cover(granted: tuple[str, ...], fields: tuple[str, ...] | None) -> bool:
    """Whether every field taken stands in what was granted; of a source at second hand nobody says which they are."""
    return fields is None or all(any(f == g or f.startswith(g + "/") for g in granted) for f in fields)
