"""Explaining a denial: the nearest clauses, and for each what was missed, in words to act on (AGR-40 to AGR-42).

Worked out only when something was denied. Nearest is whichever clause misses the fewest conditions. Ties
go by the agreement's id, version and digest, then by the order of clauses in it. Clauses of other
agreements between the two are shown only if they come nearer than any of the agreement that was named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from exchange.protocol.matching import MEMBERS, Party, PermitTable, Request, Rules, Terms, by_misses
from exchange.protocol.terms import ANY, GROUP, Clause, Forbid, Permit
from keys.encoding import stamp

NEAREST: Final = 2
"""How many clauses of the named agreement, and how many of others, an explanation shows at most."""
NAMED: Final = 8
"""Codes a sentence lists; how many more there are it says, and the lists beside it have them."""


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
    """A clause near to a denied request, or one that forbids it; worded when somebody asks.

    ``members`` are the conditions a permit missed, by name: none, if it would permit the request as it is.
    ``sources`` are those that stand in the way of a permit that missed nothing.
    """

    request: Request = field(repr=False)
    recipient: Party = field(repr=False)
    terms: Terms = field(repr=False, compare=False)
    rule: Clause = field(repr=False)
    agreement: str
    members: tuple[str, ...]
    sources: tuple[Condition, ...] = ()

    @property
    def clause(self) -> str:
        """The clause's id."""
        return self.rule.id

    @property
    def title(self) -> str:
        """The agreement's title."""
        return self.terms.title

    @property
    def missed(self) -> tuple[Condition, ...]:
        """Each missed condition: what the request has, what the clause wants, what to do about it."""
        if isinstance(self.rule, Forbid):
            return (_say_forbidden(self.request, self.recipient, self.rule),)
        said = [_SAY[member](self.request, self.recipient, self.terms, self.rule) for member in self.members]
        return (*said, *self.sources)

    @property
    def sentence(self) -> str:
        """The whole of it in one sentence."""
        where = f"clause {self.clause} of `{self.terms.id}` version {self.terms.version}"
        missed = self.missed
        if isinstance(self.rule, Forbid):
            what = _codes(missed[0].have) if missed[0].member == "cats" else "this"
            return f"{where} forbids telling `{self.recipient.id}` {what}: {missed[0].sentence}"
        if not missed:
            return f"{where} would permit this: name that agreement (`{self.agreement}`) instead"
        return f"{where} would permit this if: " + "; ".join(condition.sentence for condition in missed)

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
    met = table.met(request, request.discloser.names, recipient)
    digits, named = table.count_misses(met), table.of(request.agreement)
    own = list(islice(by_misses(digits, named), NEAREST))
    others = islice(by_misses(digits, table.all & ~named), NEAREST)
    nearer = [found for found in others if not own or found[0] < own[0][0]]
    # Nearer clauses of other agreements come first because they miss less; both lists are sorted already.
    return tuple([_miss(request, recipient, table, met, place) for _, place in [*nearer, *own]])


def _miss(request: Request, recipient: Party, table: PermitTable, met: Sequence[int], place: int) -> Miss:
    agreement, clause = table.rows[place]
    members = tuple([member for member, mask in zip(MEMBERS, met, strict=True) if not mask >> place & 1])
    return Miss(request, recipient, agreement.terms, clause, agreement.digest, members)


def forbidding(request: Request, recipient: Party, rows: Iterable[tuple[Rules, Forbid]]) -> tuple[Miss, ...]:
    """The clauses that forbid this, each with what would have to go."""
    return tuple([Miss(request, recipient, r.terms, clause, r.digest, ()) for r, clause in rows])


def blocked(
    request: Request, recipient: Party, rows: Iterable[tuple[Rules, Permit]], sources: tuple[Condition, ...]
) -> tuple[Miss, ...]:
    """The first clauses that would permit this, were it not for what it was taken from (AGR-63)."""
    near = islice(rows, NEAREST)
    return tuple([Miss(request, recipient, r.terms, clause, r.digest, (), sources) for r, clause in near])


def _say_forbidden(request: Request, recipient: Party, clause: Forbid) -> Condition:
    listed = {str(code) for code in clause.cats}
    hit = tuple(sorted(request.cats & listed)) if ANY not in listed else ()
    if hit:
        return Condition("cats", hit, (), f"leave out {_codes(hit)}, or this recipient")
    return Condition("to", (recipient.id,), (), "leave out this recipient")


def _codes(codes: Iterable[str], joint: str = "and") -> str:
    names = [f"`{code}`" for code in codes]
    if len(names) > NAMED:
        names[NAMED:] = [f"{len(names) - NAMED} more"]
    return f" {joint} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nothing"


def _one_of(member: str, have: str, want: Iterable[str], say: str) -> Condition:
    wanted = tuple(str(code) for code in want)
    return Condition(member, (have,), wanted, f"{say} {_codes(wanted, 'or')}, not `{have}`")


def _say_party(member: str, have: str, names: Iterable[str], terms: Terms, say: str) -> Condition:
    """Who is named; and of a group that has the party among its members, that it must have ended (AGR-51)."""
    said = _one_of(member, have, names, say)
    over = [g for g in terms.groups if f"{GROUP}{g.id}" in said.want and have in g.members]
    ended = "".join(f"; `{GROUP}{g.id}` is nobody since {stamp(g.until)}" for g in over)
    return Condition(member, said.have, said.want, said.sentence + ended)


def _say_cats(request: Request, _: Party, __: Terms, clause: Permit) -> Condition:
    want = tuple(str(code) for code in clause.cats)
    extra = tuple(sorted(request.cats.difference(want)))
    return Condition("cats", extra, want, f"it does not carry {_codes(extra)}")


def _say_handling(request: Request, _: Party, __: Terms, clause: Permit) -> Condition:
    required = sorted(str(code) for code in clause.conditions.handling_required if code not in request.handling)
    return Condition("handling", tuple(sorted(request.handling)), tuple(required), f"it is marked {_codes(required)}")


def _say_class(request: Request, _: Party, __: Terms, clause: Permit) -> Condition:
    want = str(clause.class_max)
    sentence = f"it is classified `{want}` at most, not `{request.classification}`"
    return Condition("class", (request.classification,), (want,), sentence)


def _say_ceiling(request: Request, recipient: Party, _: Terms, __: Permit) -> Condition:
    want = recipient.ceiling
    sentence = (
        f"it is classified `{want}` at most, not `{request.classification}`: `{recipient.id}` may receive no more"
    )
    return Condition("ceiling", (request.classification,), (want,), sentence)


def _say_territory(_: Request, recipient: Party, terms: Terms, __: Permit) -> Condition:
    sentence = (
        f"it is told to somebody in {_codes(terms.territory, 'or')}: `{recipient.id}` works in `{recipient.territory}`,"
        " and the clause names no basis for a transfer"
    )
    return Condition("territory", (recipient.territory,), terms.territory, sentence)


def _say_copy(request: Request, _: Party, __: Terms, clause: Permit) -> Condition:
    third = clause.conditions.copy_to or ""
    exempt = [str(code) for code in clause.conditions.copy_exempt or ()]
    spared = f", or it is exempt for {_codes(exempt, 'or')}" if exempt else ""
    told = (request.discloser.id, *[party.id for party in request.recipients])
    return Condition("copy", told, (third,), f"it is told to `{third}` as well{spared}")


_SAY: Final[dict[str, Callable[[Request, Party, Terms, Any], Condition]]] = {
    "from": lambda q, _, t, c: _say_party("from", q.discloser.id, c.from_, t, "it is told by"),
    "to": lambda _, p, t, c: _say_party("to", p.id, c.to, t, "it is told to"),
    "type": lambda q, _, __, c: _one_of("type", q.type, c.types, "its type is"),
    "purpose": lambda q, _, __, c: _one_of("purpose", q.purpose, c.purposes, "its purpose is"),
    "crime": lambda q, _, __, c: _one_of("crime", q.crime, c.crimes, "it is about"),
    "urgency": lambda q, _, __, c: _one_of("urgency", q.urgency, c.conditions.urgency, "its urgency is"),
    "class": _say_class,
    "ceiling": _say_ceiling,
    "cats": _say_cats,
    "handling": _say_handling,
    "territory": _say_territory,
    "copy": _say_copy,
}
