"""Rehearsal: recorded traffic decided once more, as if a draft had been in force (DRF-34 to DRF-36).

What was disclosed and denied is taken from an exported log, or from decision cases; each is decided again with the
books as they stood then, but for one thing: the draft stands where the agreement of its id stood, or beside the others
if there is none. Nothing but the recording and the draft goes in. There is no clock, so the same recording under the
same draft gives the same answer in a year, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from exchange.audit.export import CHECKPOINT, TRUST
from exchange.audit.replay import Replay
from exchange.audit.shards import audit_log, prefixed, years
from exchange.audit.tree import Read, audit_tree
from exchange.drafting.reach import always
from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import Decision, decide
from exchange.protocol.entry import DenialEntry, DisclosureEntry, parse_entry
from exchange.protocol.errors import AuditImpossible, CheckpointInvalid, EntryMalformed
from exchange.protocol.log import unverified_checkpoint, verify_checkpoint
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from keys.encoding import stamp
from keys.trust import Directory

EXAMPLES: Final = 3
"""Messages shown of each kind of change; all are counted."""
_ALWAYS: Final = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_LAPSED: Final = frozenset(
    {"agreement_unknown", "agreement_not_in_force", "agreement_expired", "agreement_superseded", "agreement_suspended"}
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision of the past: what was asked, when, by which books, and how it was decided."""

    name: str
    at: datetime
    request: Request
    book: PolicyBook = field(repr=False)
    decision: Decision


@dataclass(frozen=True, slots=True)
class Example:
    """One recorded decision that would be another under the draft."""

    recorded: Recorded
    after: Decision


@dataclass(frozen=True, slots=True)
class Outcome:
    """One kind of change: ``kind`` says which way, ``because`` by which clauses or codes; some examples of it."""

    kind: str
    because: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would have become of a recording under a draft."""

    draft: Agreement
    replaced: tuple[str, ...]
    counts: dict[str, int]
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, in an order that depends on nothing but the recording and the draft."""
        return {
            "simulation": True,
            "draft": {"id": self.draft.terms.id, "version": self.draft.terms.version, "digest": self.draft.digest},
            "replaced": list(self.replaced),
            "counts": self.counts,
            "changes": [
                {
                    "kind": one.kind,
                    "because": one.because,
                    "count": one.count,
                    "examples": [_example(example) for example in one.examples],
                }
                for one in self.outcomes
            ],
        }


KINDS: Final = ("gained", "lost", "obligations", "reasons", "could", "unchanged")
"""Permitted now, denied now; permitted with other obligations; denied for other reasons; permitted if the message
named the draft; and no change at all."""


def rehearse(recorded: Iterable[Recorded], draft: Agreement) -> Rehearsal:
    """Decide every recorded request once more, with the draft in its place, and count what changes."""
    draft = always(draft, *_ALWAYS)
    counts, grouped, replaced = Counter[str](), dict[tuple[str, str], list[Example]](), set[str]()
    changed: tuple[PolicyBook, PolicyBook] | None = None
    for one in recorded:
        if changed is None or changed[0] is not one.book:
            changed = one.book, _with(one.book, draft)
            replaced |= {a.digest for a in one.book.agreements if a.terms.id == draft.terms.id}
        kind, after = _again(one, draft, changed[1])
        counts[kind] += 1
        counts["total"] += 1
        if kind != "unchanged":
            grouped.setdefault((kind, _because(kind, one.decision, after)), []).append(Example(one, after))
    outcomes = [
        Outcome(kind, because, len(found), tuple(found[:EXAMPLES]))
        for (kind, because), found in sorted(grouped.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
    ]
    counted = {kind: counts[kind] for kind in ("total", *KINDS)}
    return Rehearsal(draft, tuple(sorted(replaced)), counted, tuple(outcomes))


def _with(book: PolicyBook, draft: Agreement) -> PolicyBook:
    """The same book with the draft in the place of all versions of its agreement."""
    gone = {agreement.digest for agreement in book.agreements if agreement.terms.id == draft.terms.id}
    others = [agreement for agreement in book.agreements if agreement.digest not in gone | {draft.digest}]
    notices = [notice for notice in book.notices if notice.terms.agr not in gone]
    return PolicyBook.build([draft, *others], notices)


def _again(one: Recorded, draft: Agreement, book: PolicyBook) -> tuple[str, Decision]:
    named = one.book.get(one.request.agreement)
    own = named is not None and named.terms.id == draft.terms.id
    if own and one.decision.code in _LAPSED:
        return "unchanged", one.decision  # a draft of the same agreement would have been as suspended, or as late
    after = decide(replace(one.request, agreement=draft.digest) if own else one.request, book, one.at)
    if after.permitted != one.decision.permitted:
        return "gained" if after.permitted else "lost", after
    if after.permitted:
        ties = [[each.obligations for each in decision.per_recipient] for decision in (one.decision, after)]
        return "obligations" if ties[0] != ties[1] else "unchanged", after
    if not own:
        naming = decide(replace(one.request, agreement=draft.digest), book, one.at)
        if naming.permitted:
            return "could", naming
    codes = [[each.code for each in decision.per_recipient] for decision in (one.decision, after)]
    return "reasons" if codes[0] != codes[1] else "unchanged", after


def _because(kind: str, before: Decision, after: Decision) -> str:
    """What made the difference: clauses where something is permitted, codes and forbidding clauses where not."""
    if kind in {"gained", "could"}:
        return "clause " + ", ".join(sorted({clause for one in after.per_recipient for clause in one.clauses}))
    if kind == "obligations":
        names = sorted({name for a, b in zip(before.per_recipient, after.per_recipient, strict=True)
                        for name in _differing(a.obligations, b.obligations)})  # fmt: skip
        return ", ".join(names)
    denied = [one for one in after.per_recipient if one.outcome == "deny"]
    clauses = sorted({clause for one in denied for clause in one.clauses})
    return after.code + (f": {', '.join(clauses)}" if clauses else "")


def _differing(one: Any, other: Any) -> Iterator[str]:
    a, b = one.to_json(), other.to_json()
    yield from (name for name in sorted({*a, *b}) if a.get(name) != b.get(name))


def _example(example: Example) -> dict[str, Any]:
    request, before, after = example.recorded.request, example.recorded.decision, example.after
    return {
        "message": example.recorded.name,
        "at": stamp(example.recorded.at),
        "from": request.discloser.id,
        "to": [party.id for party in request.recipients],
        "type": request.type,
        "purpose": request.purpose,
        "crime": request.crime,
        "cats": sorted(request.cats),
        "class": request.classification,
        "handling": sorted(request.handling),
        "urgency": request.urgency,
        "before": _said(before),
        "after": _said(after),
    }


def _said(decision: Decision) -> dict[str, Any]:
    """A decision without the name of the policy, which a draft has not."""
    members = decision.to_json()
    return {name: members[name] for name in ("outcome", "code", "recipients")}


# --- recordings ------------------------------------------------------------------------------------------------------


class _Recorder(Replay):
    """A replay that keeps what was asked."""

    recorded: list[Recorded]

    def decided(self, index: int, entry: DisclosureEntry | DenialEntry, request: Request) -> Decision:
        decision = super().decided(index, entry, request)
        self.recorded.append(Recorded(f"entry {index}", entry.at, request, self.book, decision))
        return decision


@dataclass(frozen=True, slots=True)
class Recording:
    """What an exported log holds: every decision, the books as they stood at its end, and who was in it by then."""

    recorded: tuple[Recorded, ...]
    book: PolicyBook
    parties: dict[str, Party]
    last: datetime
    findings: int
    """How many findings speak against the log; `ix audit verify` names them."""


def record(read: Read, *, fed: str) -> Recording:
    """Read an exported log. Whether its root is out of date is judged at its last entry: a recording does not age."""
    trust, note = read(TRUST), read(CHECKPOINT)
    if trust is None or note is None:
        raise AuditImpossible(f"a recording has the files `{TRUST}` and `{CHECKPOINT}`; this one does not")
    last = max(_last(prefixed(read, prefix)) for prefix in ("", *(f"{year}/" for year in years(read))))
    directory = Directory.from_bytes(trust, fed=fed, now=last)
    verify_checkpoint(note.decode(), directory.root.log)
    tree = audit_log(read, directory.root.log)
    recorder = _Recorder(read, directory, tree.findings)
    recorder.recorded, recorder.begins = [], tree.begins
    recorder.run(tree.entries, tree.doubtful, whole=True)
    parties = {r.agency: Party(r.agency, tuple(r.roles), r.ceiling, r.territory) for r in directory.agencies()}
    return Recording(tuple(recorder.recorded), recorder.book, parties, last, len(recorder.findings))


def _last(read: Read) -> datetime:
    try:
        size = unverified_checkpoint((read(CHECKPOINT) or b"").decode())[1]
    except (UnicodeDecodeError, CheckpointInvalid):
        raise AuditImpossible("the checkpoint of the recording cannot be read") from None
    latest = datetime(2000, 1, 1, tzinfo=UTC)
    for data in audit_tree(read, size, None).entries:
        try:
            latest = max(latest, parse_entry(data).at) if data is not None else latest
        except EntryMalformed:
            continue
    return latest
