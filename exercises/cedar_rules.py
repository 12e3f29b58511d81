"""The rules of an agreement once more, in Cedar, for whoever wants to hold our decisions beside another engine's.

``policies`` translates agreements and the floor into Cedar policies, ``entities`` the agencies into Cedar entities,
and ``request`` one recipient's part of a request. A policy carries the id ``<agreement>/<clause>`` as its ``@id``;
Cedar then names the policies that decided, which must be the clauses that we name.

What Cedar can say: default deny, forbid over permit; agencies, roles, territories and groups as entities; the twelve
conditions of a permit; a group's and an agreement's times; a forbid that reaches everyone; and the floor, whose one
permit comes before every forbid and so stands in each forbid as an exception (``unless``).

What it does not say here, and why:

- the *code* of a denial and the *nearest* clauses with what each missed: Cedar answers allow or deny and which policies
  decided; for a denial by default it names none;
- *obligations*: they are the strictest of all permits that match, and Cedar returns no values; whoever asks it would
  fold the policies it names;
- *sources* and consents: whether every source is free for this recipient is a statement about all members of a set of
  records, and Cedar has no quantifier;
- *suspended, left and superseded*: a state that comes from signed notices and later versions, not from the request.
  Policies of agreements stopped so are left out of the set, as whoever ran on Cedar would have to do at each notice;
- a message to *several* recipients: each is one request, and all must be allowed;
- codes that the vocabulary does not have: Cedar compares classifications as numbers here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import Party, Request, Rules
from exchange.protocol.policy import PolicyBook, State
from exchange.protocol.terms import ANY, ANY_PARTY, GROUP, AgreementTerms, Forbid, Permit, Reach
from exchange.protocol.vocabulary import Classification
from keys.encoding import stamp

ROLE: Final = "role:"
TERRITORY: Final = "territory:"
STOPPED: Final = frozenset({State.SUSPENDED, State.LEFT, State.SUPERSEDED, State.UNKNOWN})
_RANK: Final = {code.value: code.rank for code in Classification}


def policies(book: PolicyBook, now: datetime) -> str:
    """Every rule that counts at ``now``, as Cedar text: the floor's and those of the agreements."""
    found = list(_floor())
    for agreement in book.agreements:
        if book.standing(agreement.digest, now).state not in STOPPED:
            found += translate(agreement, agreement.terms, agreement.effective)
    return "\n".join(found)


def translate(rules: Rules, terms: AgreementTerms, effective: datetime) -> Iterator[str]:
    """The policies of one agreement, a clause each; in force from ``effective`` until its end."""
    times = [f'context.now >= datetime("{stamp(effective)}")', f'context.now < datetime("{stamp(terms.end)}")']
    here = f'in Agreement::"{rules.digest}"'
    for clause in terms.clauses:
        if isinstance(clause, Permit):
            named = f'context.named == Agreement::"{rules.digest}"'
            yield _policy(rules, clause, f"principal {here}", f"resource {here}", [named, *times])
        else:
            resource = "resource" if clause.reach is Reach.EVERYONE else f"resource {here}"
            yield _policy(rules, clause, f"principal {here}", resource, times)


def _floor() -> Iterator[str]:
    for clause in FLOOR.terms.clauses:
        parties = ["principal in context.named", "resource in context.named"] if isinstance(clause, Permit) else []
        yield _policy(FLOOR, clause, "principal", "resource", parties)


def _policy(rules: Rules, clause: Permit | Forbid, principal: str, resource: str, when: Sequence[str]) -> str:
    actions = [str(code) for code in clause.types]
    action = "action" if ANY in actions else f"action in [{', '.join(f'Action::{_text(code)}' for code in actions)}]"
    conditions = [*when, *_conditions(rules, clause)]
    head = f'@id("{rules.digest}/{clause.id}")\n{clause.effect}({principal}, {action}, {resource})'
    body = f"when {{ {' && '.join(conditions)} }}" if conditions else ""
    return f"{head} {body} {_exception() if isinstance(clause, Forbid) else ''};"


def _exception() -> str:
    """What the floor permits comes before every forbid."""
    freed = []
    for clause in FLOOR.permits:
        actions = " || ".join(f"action == Action::{_text(code)}" for code in clause.types)
        conditions = [f"({actions})", "principal in context.named", "resource in context.named"]
        freed.append(" && ".join([*conditions, *_conditions(FLOOR, clause)]))
    return f"unless {{ {' || '.join(f'({one})' for one in freed)} }}"


def _conditions(rules: Rules, clause: Permit | Forbid) -> list[str]:
    """Each condition of a clause that asks for anything."""
    said = [_called("principal", clause.from_, rules), _called("resource", clause.to, rules)]
    said += [_listed("purpose", clause.purposes), _listed("crime", clause.crimes)]
    if isinstance(clause, Forbid):
        said.append("" if ANY in clause.cats else f"context.cats.containsAny({_set(clause.cats)})")
    else:
        said += _permitting(rules, clause)
    return [condition for condition in said if condition]


def _permitting(rules: Rules, clause: Permit) -> Iterator[str]:
    conditions = clause.conditions
    yield _listed("urgency", conditions.urgency)
    yield f"context.class <= {clause.class_max.rank}"
    yield "context.class <= resource.ceiling"
    yield f"{_set(clause.cats)}.containsAll(context.cats)"
    if conditions.handling_required:
        yield f"context.handling.containsAll({_set(conditions.handling_required)})"
    if conditions.transfer is None:
        yield f"{_set(rules.terms.territory)}.contains(resource.territory)"
    if conditions.copy_to is not None:
        exempt = f"(context has exempt && {_set(conditions.copy_exempt or ())}.contains(context.exempt))"
        yield f'(context.told.contains(Agency::"{conditions.copy_to}") || {exempt})'


def _called(variable: str, names: Iterable[str], rules: Rules) -> str:
    listed = list(names)
    if ANY_PARTY in listed:
        return ""
    plain = [_entity(name) for name in listed if not name.startswith(GROUP)]
    meant = [f"{variable} in [{', '.join(plain)}]"] if plain else []
    for group in rules.terms.groups:
        if f"{GROUP}{group.id}" in listed:
            until = f'context.now < datetime("{stamp(group.until)}")'
            meant.append(f'({variable} in Group::"{rules.digest}/{group.id}" && {until})')
    return f"({' || '.join(meant)})" if meant else "false"


def _entity(name: str) -> str:
    if name.startswith(ROLE):
        return f"Role::{_text(name.removeprefix(ROLE))}"
    if name.startswith(TERRITORY):
        return f"Territory::{_text(name.removeprefix(TERRITORY))}"
    return f"Agency::{_text(name)}"


def _listed(member: str, codes: Iterable[str]) -> str:
    listed = [str(code) for code in codes]
    return "" if ANY in listed else f"{_set(listed)}.contains(context.{member})"


def _set(codes: Iterable[str]) -> str:
    return f"[{', '.join(_text(code) for code in codes)}]"


def _text(code: str) -> str:
    return f'"{code}"'  # codes, ids and digests: nothing in them needs an escape


def entities(book: PolicyBook, agencies: Iterable[Party]) -> list[dict[str, Any]]:
    """The agencies with what their records say, and their memberships in agreements and groups."""
    parents: dict[str, list[dict[str, str]]] = {}
    for agreement in book.agreements:
        for party in agreement.terms.parties:
            parents.setdefault(party, []).append(_uid("Agreement", agreement.digest))
        for group in agreement.terms.groups:
            for member in group.members:
                parents.setdefault(member, []).append(_uid("Group", f"{agreement.digest}/{group.id}"))
    return [
        {
            "uid": _uid("Agency", agency.id),
            "attrs": {"ceiling": _RANK[agency.ceiling], "territory": agency.territory},
            "parents": [
                *parents.get(agency.id, []),
                *[_uid("Role", role) for role in agency.roles],
                _uid("Territory", agency.territory),
            ],
        }
        for agency in agencies
    ]


def request(asked: Request, recipient: Party, now: datetime) -> dict[str, Any]:
    """One recipient's part of a request, as Cedar takes it."""
    told = [asked.discloser.id, *[party.id for party in asked.recipients]]
    context: dict[str, Any] = {
        "named": {"__entity": _uid("Agreement", asked.agreement)},
        "now": {"__extn": {"fn": "datetime", "arg": stamp(now)}},
        "purpose": asked.purpose,
        "crime": asked.crime,
        "cats": sorted(asked.cats),
        "class": _RANK[asked.classification],
        "handling": sorted(asked.handling),
        "urgency": asked.urgency,
        "told": [{"__entity": _uid("Agency", agency)} for agency in told],
    }
    if asked.exempt is not None:
        context["exempt"] = asked.exempt
    return {
        "principal": _uid("Agency", asked.discloser.id),
        "action": _uid("Action", asked.type),
        "resource": _uid("Agency", recipient.id),
        "context": json.dumps(context),
    }


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}
