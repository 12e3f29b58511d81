"""Explaining a denial: the nearest clauses, and for each what was missed, in words to act on (AGR-40 to AGR-42).

Worked out only when something was denied. Nearest is whichever clause misses the fewest conditions. Ties
go by the agreement's id, version and digest, then by the order of clauses in it. Clauses of other
agreements between the two are shown only if they come nearer than any of the agreement that was named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from exchange.protocol.agreement import Agreement
from exchange.protocol.matching import MEMBERS, Party, PermitTable, Request
from exchange.protocol.terms import Clause, Permit

NEAREST: Final = 2
"""How many clauses of the named agreement, and how many of others, an explanation shows at most."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a clause that a request did not meet: what it has, what the clause wants."""

    member: str
    have: tuple[str, ...]
    want: tuple[str, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The members as they are written in an explanation."""
        return {"member": self.member, "have": list(self.have), "want": list(self.want), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Miss:
    """A clause near to a denied request; ``missed`` is empty if the clause would permit it as it is."""

    agreement: str
    title: str
    clause: str
    missed: tuple[Condition, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The members as they are written in an explanation."""
        return {
            "agreement": self.agreement,
            "title": self.title,
            "clause": self.clause,
            "sentence": self.sentence,
            "missed": [condition.to_json() for condition in self.missed],
        }


def nearest(request: Request, recipient: Party, table: PermitTable) -> tuple[Miss, ...]:
    """The clauses of ``table`` that came nearest to permitting this, those with the fewest misses first."""
    met = table.met(request, request.discloser.names, recipient.names)
    named = table.of(request.agreement)
    own = list(islice(table.by_misses(met, named), NEAREST))
    others = islice(table.by_misses(met, table.all & ~named), NEAREST)
    nearer = [found for found in others if not own or found[0] < own[0][0]]
    # Nearer clauses of other agreements come first because they miss less; both lists are sorted already.
    return tuple([_miss(request, recipient, table, met, place) for _, place in [*nearer, *own]])


def _miss(request: Request, recipient: Party, table: PermitTable, met: Sequence[int], place: int) -> Miss:
    agreement, clause = table.rows[place]
    short = [member for member, mask in zip(MEMBERS, met, strict=True) if not mask >> place & 1]
    missed = tuple([_SAY[member](request, recipient, clause) for member in short])
    where = f"clause {clause.id} of `{agreement.terms.id}` version {agreement.terms.version}"
    if missed:
        sentence = f"{where} would permit this if: " + "; ".join(condition.sentence for condition in missed)
    else:
        sentence = f"{where} would permit this: name that agreement (`{agreement.digest}`) instead"
    return Miss(agreement.digest, agreement.terms.title, clause.id, missed, sentence)


def forbidding(request: Request, recipient: Party, rows: Iterable[tuple[Agreement, Clause]]) -> tuple[Miss, ...]:
    """The clauses that forbid this, each with what would have to go."""
    misses = []
    for agreement, clause in rows:
        listed = {str(code) for code in clause.cats}
        hit = tuple(sorted(request.cats & listed)) if "any" not in listed else ()
        what = f"{_codes(hit)} to" if hit else f"{_codes([request.type])} for {_codes([request.purpose])} to"
        remedy = f"leave out {_codes(hit)}, or this recipient" if hit else "leave out this recipient"
        condition = Condition("cats" if hit else "to", hit or (recipient.id,), (), remedy)
        where = f"clause {clause.id} of `{agreement.terms.id}` version {agreement.terms.version}"
        sentence = f"{where} forbids telling {what} `{recipient.id}`: {remedy}"
        misses.append(Miss(agreement.digest, agreement.terms.title, clause.id, (condition,), sentence))
    return tuple(misses)


def _codes(codes: Iterable[str], joint: str = "and") -> str:
    names = [f"`{code}`" for code in codes]
    return f" {joint} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nothing"


def _one_of(member: str, have: str, want: Iterable[str], say: str) -> Condition:
    wanted = tuple(str(code) for code in want)
    return Condition(member, (have,), wanted, f"{say} {_codes(wanted, 'or')}, not `{have}`")


def _say_cats(request: Request, _: Party, clause: Permit) -> Condition:
    want = tuple(str(code) for code in clause.cats)
    extra = tuple(sorted(request.cats.difference(want)))
    return Condition("cats", extra, want, f"it does not carry {_codes(extra)}")


def _say_handling(request: Request, _: Party, clause: Permit) -> Condition:
    required = sorted(str(code) for code in clause.conditions.handling_required if code not in request.handling)
    return Condition("handling", tuple(sorted(request.handling)), tuple(required), f"it is marked {_codes(required)}")


def _say_class(request: Request, _: Party, clause: Permit) -> Condition:
    want = str(clause.class_max)
    sentence = f"it is classified `{want}` at most, not `{request.classification}`"
    return Condition("class", (request.classification,), (want,), sentence)


_SAY: Final[dict[str, Callable[[Request, Party, Any], Condition]]] = {
    "from": lambda q, _, c: _one_of("from", q.discloser.id, c.from_, "it is told by"),
    "to": lambda _, p, c: _one_of("to", p.id, c.to, "it is told to"),
    "type": lambda q, _, c: _one_of("type", q.type, c.types, "its type is"),
    "purpose": lambda q, _, c: _one_of("purpose", q.purpose, c.purposes, "its purpose is"),
    "crime": lambda q, _, c: _one_of("crime", q.crime, c.crimes, "it is about"),
    "urgency": lambda q, _, c: _one_of("urgency", q.urgency, c.conditions.urgency, "its urgency is"),
    "class": _say_class,
    "cats": _say_cats,
    "handling": _say_handling,
}
