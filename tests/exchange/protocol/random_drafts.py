"""Random agreements with every member the clause language has, and random requests near them, for the tools' tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from exchange.drafting.reach import Scene, always, suppose
from exchange.protocol.agreement import Agreement
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import Permit, write_terms
from keys.encoding import digest, stamp

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SINCE, UNTIL = NOW - timedelta(days=10), NOW + timedelta(days=10)
PARTIES = {
    party.id: party
    for party in (
        Party("north.police.sim", ("police",), "secret", "XN"),
        Party("south.police.sim", ("police", "prosecutor"), "confidential", "XS"),
        Party("coast.hub.sim", ("hub",), "restricted", "XC"),
        Party("harbour.ngo.sim", ("ngo",), "restricted", "XS"),
    )
}
IDS = sorted(PARTIES)
NAMES = ["role:police", "role:ngo", "role:hub", "party:any", "territory:XS", "group:few", "group:late", *IDS]
TYPES = ["info_request", "info_reply", "victim_referral", "exculpatory_notice", "evidence_transfer"]
PURPOSES = ["investigate", "prevent", "immigration_enforcement", "victim_protection"]
CRIMES = ["immigrant_smuggling", "human_trafficking"]
CATS = ["smug_a_routes", "person_suspect", "person_victim", "data_special_category", "person_informant", "data_minor"]
LEVELS = ["unclassified", "restricted", "confidential", "secret"]
URGENCIES = ["u_direct", "normal", "none"]
MARKS = ["H0", "H1", "H2", "H3"]
EXEMPT = ["sensitive_case", "imminent_danger"]


def some(rng: Random, codes: Sequence[str], most: int = 4, least: int = 1) -> list[str]:
    return rng.sample(list(codes), rng.randint(least, min(most, len(codes))))


def random_clause(rng: Random, name: str, parties: Sequence[str]) -> dict[str, Any]:
    clause: dict[str, Any] = {
        "id": name, "title": "A clause", "from": some(rng, NAMES), "to": some(rng, NAMES), "types": some(rng, TYPES),
        "purposes": some(rng, PURPOSES), "crimes": some(rng, CRIMES), "cats": some(rng, CATS, least=0),
    }  # fmt: skip
    if rng.random() < 0.25:
        for member in ("types", "purposes", "crimes", "cats"):
            if rng.random() < 0.5:
                clause[member] = ["any"]
        clause["cats"] = clause["cats"] or ["any"]
        reach = {"reach": rng.choice(["parties", "everyone"])} if rng.random() < 0.5 else {}
        return {**clause, "effect": "forbid", **reach}
    ties: dict[str, Any] = {
        "handling_required": some(rng, MARKS, 2, 0), "urgency": some(rng, URGENCIES, 3), "evidence": rng.random() < 0.5,
        "onward": rng.choice(["none", "by_consent", "by_field", "within_parties"]), "human_release": rng.random() < 0.3,
    }  # fmt: skip
    if rng.random() < 0.3:
        ties["retention_days"] = rng.choice([30, 365])
    if rng.random() < 0.3:
        ties["second_approver"] = rng.choice(LEVELS)
    if rng.random() < 0.3:
        ties["copy_to"] = rng.choice(parties)
        if rng.random() < 0.5:
            ties["copy_exempt"] = some(rng, EXEMPT, 2)
    if rng.random() < 0.4:
        ties["transfer"] = rng.choice(["adequacy", "safeguards", "derogation"])
    return {**clause, "effect": "permit", "class_max": rng.choice(LEVELS), "conditions": ties}


def random_terms(rng: Random, name: str = "draft", most: int = 4) -> dict[str, Any]:
    parties = some(rng, IDS, 4, 2)
    groups = [
        {"id": "few", "members": some(rng, parties, 2, 0), "until": stamp(UNTIL), "purposes": PURPOSES},
        {"id": "late", "members": some(rng, parties, 2), "until": stamp(SINCE), "purposes": PURPOSES},
    ]
    return {
        "fed": digest(b"x"), "id": name, "version": 1, "title": "A draft", "kind": "task_force", "parties": parties,
        "groups": groups, "bases": ["untoc_27"], "territory": some(rng, ["XN", "XS", "XC"], 3, 0),
        "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z",
        "clauses": [random_clause(rng, f"c{place}", parties) for place in range(rng.randint(1, most))],
    }  # fmt: skip


def changed(rng: Random, terms: dict[str, Any]) -> dict[str, Any]:
    """The same terms with a clause added, dropped or written anew."""
    clauses, parties = list(terms["clauses"]), terms["parties"]
    place = rng.randrange(len(clauses))
    match rng.randint(0, 3):
        case 0:
            clauses.append(random_clause(rng, f"d{len(clauses)}", parties))
        case 1 if len(clauses) > 1:
            del clauses[place]
        case 2:
            clauses[place] = random_clause(rng, clauses[place]["id"], parties)
        case _:
            member = rng.choice(["types", "purposes", "crimes", "from", "to"])
            codes = {"types": TYPES, "purposes": PURPOSES, "crimes": CRIMES, "from": NAMES, "to": NAMES}[member]
            clauses[place] = {**clauses[place], member: some(rng, codes)}
    return {**terms, "clauses": clauses}


def in_force(terms: dict[str, Any]) -> Agreement:
    """Terms as if signed and in force around ``NOW``."""
    return always(suppose(write_terms(terms), SINCE), SINCE, UNTIL)


def scene_of(*agreements: Agreement) -> Scene:
    return Scene(PARTIES, PolicyBook.build(agreements), NOW)


def random_request(rng: Random, agreement: str) -> Request:
    first, second, *others = rng.sample(IDS, rng.randint(2, len(IDS)))
    return Request(
        discloser=PARTIES[first],
        recipients=(PARTIES[second], *[PARTIES[other] for other in others]),
        agreement=agreement,
        type=rng.choice(TYPES),
        purpose=rng.choice(PURPOSES),
        crime=rng.choice(CRIMES),
        cats=frozenset(some(rng, CATS, 2, 0)),
        classification=rng.choice(LEVELS),
        handling=frozenset(some(rng, MARKS, 3, 0)),
        urgency=rng.choice(URGENCIES),
        exempt=rng.choice([None, None, *EXEMPT]),
    )


def near_request(rng: Random, agreement: Agreement) -> Request:
    """A request that is often what one clause of the agreement says."""
    request = random_request(rng, agreement.digest)
    permits = [clause for clause in agreement.terms.clauses if isinstance(clause, Permit)]
    if not permits:
        return request
    clause = rng.choice(permits)

    def pick(codes: Sequence[Any], otherwise: str) -> str:
        return str(rng.choice(codes)) if codes and rng.random() < 0.95 else otherwise

    return replace(
        request,
        type=pick(clause.types, request.type),
        purpose=pick(clause.purposes, request.purpose),
        crime=pick(clause.crimes, request.crime),
        urgency=pick(clause.conditions.urgency, request.urgency),
        classification=pick([LEVELS[0]], request.classification),
        cats=frozenset(str(cat) for cat in clause.cats[: rng.randint(0, 2)]),
        handling=frozenset(code.value for code in clause.conditions.handling_required) | request.handling,
    )
