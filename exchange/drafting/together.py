"""Drafting, taken together: what clauses, floor, territory and groups leave of one another (DRF-3, DRF-21).

Each permit is followed to every pair of parties it names. What nothing is left of is unreachable, and the finding says
what took it; what another clause says already is redundant; a copy that its addressee may not be told blocks the clause
that asks for it. All of it is exact: it is worked out over every request there is, not over examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from exchange.drafting.boxes import Box, Space, subtract
from exchange.drafting.finding import Agencies, Finding, error, warning
from exchange.drafting.reach import Lane, Scene, always, lanes, space_of
from exchange.drafting.wording import listed
from exchange.protocol.agreement import Agreement
from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import Party
from exchange.protocol.obligations import Obligations
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import ANY, AgreementTerms, Permit
from exchange.protocol.vocabulary import Classification, MessageType
from keys.signing import Statement

_ANSWERS: Final = {
    MessageType.INFO_REQUEST: (MessageType.INFO_REPLY, MessageType.INFO_PARTIAL, MessageType.INFO_REFUSAL),
    MessageType.CLARIFICATION_REQUEST: (MessageType.CLARIFICATION,),
}
_MEMBERS: Final = {"cats": "cats", "type": "types", "purpose": "purposes"}
_MOMENT: Final = timedelta(days=1)


def about_reach(terms: AgreementTerms, agencies: Agencies, when: datetime) -> list[Finding]:
    """What is found when every clause is followed to every pair of parties, as things stand at ``when``."""
    known = {party: agencies[party] for party in terms.parties if party in agencies}
    parties = {name: Party(name, tuple(a.roles), a.ceiling, a.territory) for name, a in known.items()}
    draft = Agreement("A" * 43, Statement("", b"", ()), terms, terms.parties, when)
    draft = always(draft, when - _MOMENT, when + _MOMENT)
    scene = Scene(parties, PolicyBook.build([draft]), when)
    return list(_Walk(scene, draft, space_of([draft])).findings())


@dataclass(frozen=True)
class _Walk:
    scene: Scene
    draft: Agreement
    space: Space

    def findings(self) -> Iterator[Finding]:
        found = {pair: lanes(self.space, self.scene, self.draft, *pair) for pair in self.scene.pairs()}
        for place, clause in enumerate(self.draft.terms.clauses):
            if not isinstance(clause, Permit):
                continue
            mine = {pair: lane for pair, several in found.items() for lane in several if lane.clause is clause}
            if not mine:
                continue
            here = ("clauses", place)
            if any(lane.written for lane in mine.values()) and not any(lane.left for lane in mine.values()):
                yield self._unreachable(here, clause, mine)
                continue
            yield from self._losses(here, clause, mine)
            yield from self._transfers(here, clause, mine)
            yield from self._copies(here, clause, mine, found)
            yield from self._repeats(here, clause, mine, found)
            yield from self._unanswered(here, clause, mine, found)

    def _unreachable(self, here: tuple[str, int], clause: Permit, mine: dict[tuple[Party, Party], Lane]) -> Finding:
        took = sorted({reason for lane in mine.values() for reason in lane.lost} - {"ceiling"})
        if took == ["territory"]:
            outside = sorted({recipient.id for _, recipient in mine})
            return _no_transfer(here, clause, outside, self.draft.terms)
        sentence = f"nothing is left of it: {self._took(took)}"
        return error("unreachable", clause.id, sentence, *here)

    def _took(self, reasons: Sequence[str]) -> str:
        return "; ".join(self._reason(reason) for reason in reasons)

    def _reason(self, reason: str) -> str:
        if reason == "territory":
            return "the recipient works outside the territory, and no `transfer` is given"
        if reason == "ceiling":
            return "it is above the recipient's ceiling"
        rules, _, clause = reason.partition("/")
        if rules == FLOOR.terms.id:
            title = next(c.title for c in FLOOR.terms.clauses if c.id == clause)
            return f"the floor forbids it ({clause}: {title}), and no agreement lifts that"
        return f"clause {clause} forbids it"

    def _losses(
        self, here: tuple[str, int], clause: Permit, mine: dict[tuple[Party, Party], Lane]
    ) -> Iterator[Finding]:
        """Codes that the clause lists and that reach nobody, or that the floor keeps from somebody."""
        nothing = {pair: lane for pair, lane in mine.items() if lane.written and not lane.left}
        if any(r.startswith("floor/") for lane in nothing.values() for r in lane.lost):
            yield self._kept_from("nothing passes at all", clause, nothing, *here, "from")
        for name, member in _MEMBERS.items():
            lost = self._lost({pair: lane for pair, lane in mine.items() if pair not in nothing}, name)
            total = len(mine) - len(nothing)
            everywhere = {code: where for code, where in lost.items() if len(where) == total}
            if everywhere:
                reasons = sorted(
                    {r for w in everywhere.values() for lane in w.values() for r in lane.lost} - {"ceiling"}
                )
                sentence = f"it permits {listed(everywhere)} in vain: {self._took(reasons)}"
                code = "against_floor" if any(r.startswith("floor/") for r in reasons) else "contradiction"
                yield error(code, clause.id, sentence, *here, member)
            somewhere = {code: where for code, where in lost.items() if code not in everywhere}
            lanes_ = {pair: lane for where in somewhere.values() for pair, lane in where.items()}
            if any(r.startswith("floor/") for lane in lanes_.values() for r in lane.lost):
                yield self._kept_from(f"{listed(somewhere)} cannot pass", clause, lanes_, *here, member)

    def _bars(self, reason: str, cats: Iterable[str]) -> bool:
        """Whether a forbid is about one of these categories."""
        rules, _, name = reason.partition("/")
        clauses = FLOOR.terms.clauses if rules == FLOOR.terms.id else self.draft.terms.clauses
        return any(ANY in c.cats or set(cats) & set(c.cats) for c in clauses if c.id == name)

    def _kept_from(
        self, what: str, clause: Permit, some: dict[tuple[Party, Party], Lane], *place: str | int
    ) -> Finding:
        floor = sorted({r for lane in some.values() for r in lane.lost if r.startswith("floor/")})
        pairs = [p for p, lane in some.items() if any(reason in floor for reason in lane.lost)]
        whom = ", ".join(f"`{discloser.id}` to `{recipient.id}`" for discloser, recipient in pairs)
        sentence = f"from {whom}, {what}: {self._took(floor)}"
        return warning("against_floor", clause.id, sentence, *place)

    def _lost(self, mine: dict[tuple[Party, Party], Lane], name: str) -> dict[str, dict[tuple[Party, Party], Lane]]:
        """For each code that the clause lists and that does not pass between some two parties, those two."""
        found = dict[str, dict[tuple[Party, Party], Lane]]()
        for pair, lane in mine.items():
            left = self._codes(lane.left, name)
            for code in self._codes(lane.written, name):
                if code not in left:
                    found.setdefault(code, {})[pair] = lane
        return found

    def _codes(self, boxes: Sequence[Box], name: str) -> list[str]:
        return sorted({code for box in boxes for code in self.space.codes(box, name)})

    def _transfers(
        self, here: tuple[str, int], clause: Permit, mine: dict[tuple[Party, Party], Lane]
    ) -> Iterator[Finding]:
        outside = sorted({recipient.id for (_, recipient), lane in mine.items() if "territory" in lane.lost})
        if outside:
            yield _no_transfer(here, clause, outside, self.draft.terms)
        within = all(recipient.territory in self.draft.terms.territory for _, recipient in mine)
        if clause.conditions.transfer is not None and within:
            sentence = "`transfer` is given, but everybody it names works inside the territory: leave it out"
            yield warning("transfer_needless", clause.id, sentence, *here, "conditions", "transfer")

    def _copies(
        self,
        here: tuple[str, int],
        clause: Permit,
        mine: dict[tuple[Party, Party], Lane],
        found: dict[tuple[Party, Party], list[Lane]],
    ) -> Iterator[Finding]:
        hub = self.scene.parties.get(clause.conditions.copy_to or "")
        if hub is None:
            return
        wanted, untold = list[str](), list[str]()
        for (discloser, recipient), lane in mine.items():
            if hub.id in (discloser.id, recipient.id):
                continue
            allowed = [box for other in found.get((discloser, hub), ()) for box in other.left]
            copied = [box for box in lane.left if hub.id in self.space.required(box, "copied")]
            told = [both for box in copied for other in allowed if (both := box & other) is not None]
            wanted += self._codes(copied, "cats") or [""]
            untold += set(self._codes(copied, "cats") or [""]) - set(
                self._codes(told, "cats") or ([""] if told else [])
            )
            if copied and not told:
                sentence = f"`{hub.id}` must get a copy of what `{discloser.id}` tells, but no clause lets it be told"
                yield error("copy_untold", clause.id, sentence, *here, "conditions", "copy_to")
                return
        if untold:
            codes = sorted({code for code in untold if code})
            sentence = f"`{hub.id}` must get a copy, but may not be told {listed(codes)}: those pass only when exempt"
            yield warning("copy_untold", clause.id, sentence, *here, "conditions", "copy_to")

    def _repeats(
        self,
        here: tuple[str, int],
        clause: Permit,
        mine: dict[tuple[Party, Party], Lane],
        found: dict[tuple[Party, Party], list[Lane]],
    ) -> Iterator[Finding]:
        permits = [c for c in self.draft.terms.clauses if isinstance(c, Permit)]
        for other in permits:
            if other is clause or not self._holds(other, mine, found):
                continue
            ours, theirs = _ties(clause), _ties(other)
            both = Obligations.strictest([ours, theirs])
            first = permits.index(other) < permits.index(clause)
            if both == theirs and (both != ours or first):
                vain = ", and its looser obligations never count, for the stricter bind" if both != ours else ""
                sentence = f"clause {other.id} says all of it already{vain}: leave it out, or take it from the other"
                yield warning("redundant", clause.id, sentence, *here)
                return

    def _holds(
        self, other: Permit, mine: dict[tuple[Party, Party], Lane], found: dict[tuple[Party, Party], list[Lane]]
    ) -> bool:
        """Whether another clause permits everything this one permits, to everybody."""
        for pair, lane in mine.items():
            theirs = [box for one in found[pair] if one.clause is other for box in one.written]
            if subtract(lane.written, theirs):
                return False
        return True

    def _unanswered(
        self,
        here: tuple[str, int],
        clause: Permit,
        mine: dict[tuple[Party, Party], Lane],
        found: dict[tuple[Party, Party], list[Lane]],
    ) -> Iterator[Finding]:
        for asking, answers in _ANSWERS.items():
            for (discloser, recipient), lane in mine.items():
                if asking not in self._codes(lane.left, "type"):
                    continue
                back = found.get((recipient, discloser), ())
                if not set(answers) & {code for other in back for code in self._codes(other.left, "type")}:
                    sentence = f"`{discloser.id}` may ask `{recipient.id}` (`{asking}`), but no clause lets it answer"
                    yield warning("no_answer", clause.id, sentence, *here, "types")
                    return


def _ties(clause: Permit) -> Obligations:
    return Obligations.of(clause.conditions, Classification.SECRET.value, None)


def _no_transfer(here: tuple[str, int], clause: Permit, outside: Sequence[str], terms: AgreementTerms) -> Finding:
    where = listed(terms.territory) if terms.territory else "nothing"
    sentence = (
        f"{listed(outside)} works outside the territory ({where}), and no `transfer` says on what basis it may be told"
    )
    return error("no_transfer", clause.id, sentence, *here, "conditions")
