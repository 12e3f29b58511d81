"""The decision rules once more, slow and obvious, straight from `spec/agreements.md` over plain JSON.

Written to be read, not to be fast, and sharing no code with the real thing: it loops over every agreement and
every clause of the payloads as they were signed. Also makes random agreements and requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import parse_notice, parse_terms, write_notice, write_terms
from keys.encoding import b64u, digest, instant, read_json, stamp
from keys.signing import Statement

FED = digest(b"a federation")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = ["unclassified", "restricted", "confidential", "secret"]
MEMBERS = ["from", "to", "type", "purpose", "crime", "urgency", "class", "ceiling", "cats", "handling"]
ONWARD = ["within_parties", "by_consent", "none"]
CODES = [
    "forbidden",
    "agreement_unknown",
    "agreement_not_in_force",
    "agreement_expired",
    "agreement_superseded",
    "agreement_suspended",
    "not_a_party",
    "above_ceiling",
    "no_clause",
]
AGENCIES = [
    Party("north.police.sim", ("police",), "secret", "XN"),
    Party("south.police.sim", ("police", "prosecutor"), "secret", "XN"),
    Party("north.fiu.sim", ("fiu",), "confidential", "XN"),
    Party("harbour.ngo.sim", ("ngo",), "restricted", "XN"),
    Party("plain.sim", (), "unclassified", "XN"),
]


def admitted(payload: bytes, at: datetime) -> Agreement:
    """An agreement as if all its parties had signed; signatures have their own tests."""
    terms = parse_terms(payload)
    return Agreement(digest(payload), Statement(b64u(payload), payload, ()), terms, terms.parties, at)


def noted(payload: bytes, at: datetime) -> Notice:
    """A notice as if it had been signed."""
    return Notice(digest(payload), Statement(b64u(payload), payload, ()), parse_notice(payload), at)


@lru_cache(maxsize=64)
def parsed(payload: bytes) -> Any:
    """The payload as plain JSON; not to be changed."""
    return read_json(payload, limit=10**6)


@dataclass
class Logged:
    """Payloads with their log times, in log order."""

    agreements: list[tuple[bytes, datetime]] = field(default_factory=list)
    notices: list[tuple[bytes, datetime]] = field(default_factory=list)

    def in_order(self, until: datetime | None = None) -> list[tuple[bytes, datetime]]:
        """What was logged, by time; of what was logged at one time, agreements first and as they stand here."""
        both = sorted([*self.agreements, *self.notices], key=lambda item: item[1])
        return [(payload, at) for payload, at in both if until is None or at <= until]

    def book(self) -> PolicyBook:
        agreements = {payload for payload, _ in self.agreements}
        return PolicyBook.replay([(admitted if p in agreements else noted)(p, at) for p, at in self.in_order()])


def state(logged: Logged, wanted: str, now: datetime) -> str:
    """How the agreement of this digest stands."""
    found = [(parsed(p), at) for p, at in logged.agreements if digest(p) == wanted]
    if not found:
        return "unknown"
    terms, at = found[0]
    if now < instant(terms["start"]) or now < at:
        return "not_yet"
    if now >= instant(terms["end"]):
        return "expired"
    for payload, later_at in logged.agreements:
        later = parsed(payload)
        if later.get("replaces") == wanted and now >= instant(later["start"]) and now >= later_at:
            return "superseded"
    last: dict[str, str] = {}
    for payload, noted_at in logged.notices:
        notice = parsed(payload)
        if notice["agr"] == wanted and noted_at <= now:
            last[notice["by"]] = notice["act"]
    if "leave" in last.values():
        return "left"
    return "suspended" if "suspend" in last.values() else "in_force"


def in_force(logged: Logged, now: datetime) -> list[tuple[str, dict[str, Any]]]:
    found = [(digest(p), parsed(p)) for p, _ in logged.agreements]
    return [(name, terms) for name, terms in found if state(logged, name, now) == "in_force"]


def policy(logged: Logged, now: datetime) -> str:
    """The chain over what was logged until now."""
    name = digest(b"")
    for payload, _ in logged.in_order(now):
        name = digest(f"{name}\n{digest(payload)}".encode())
    return name


def called(party: Party, names: list[str]) -> bool:
    return party.id in names or "party:any" in names or any(f"role:{role}" in names for role in party.roles)


def forbids(clause: dict[str, Any], request: Request, recipient: Party) -> bool:
    if clause["effect"] != "forbid" or not called(request.discloser, clause["from"]):
        return False
    if not called(recipient, clause["to"]):
        return False
    for code, listed in ((request.type, "types"), (request.purpose, "purposes"), (request.crime, "crimes")):
        if code not in clause[listed] and "any" not in clause[listed]:
            return False
    return "any" in clause["cats"] or any(cat in clause["cats"] for cat in request.cats)


def misses(clause: dict[str, Any], request: Request, recipient: Party) -> list[str]:
    """Which conditions of a permit the request does not meet."""
    conditions, missed = clause["conditions"], []
    if not called(request.discloser, clause["from"]):
        missed.append("from")
    if not called(recipient, clause["to"]):
        missed.append("to")
    if request.type not in clause["types"]:
        missed.append("type")
    if request.purpose not in clause["purposes"]:
        missed.append("purpose")
    if request.crime not in clause["crimes"]:
        missed.append("crime")
    if request.urgency not in conditions["urgency"]:
        missed.append("urgency")
    if LEVELS.index(request.classification) > LEVELS.index(clause["class_max"]):
        missed.append("class")
    if above_ceiling(request, recipient):
        missed.append("ceiling")
    if not all(cat in clause["cats"] for cat in request.cats):
        missed.append("cats")
    if not all(code in request.handling for code in conditions["handling_required"]):
        missed.append("handling")
    return missed


def above_ceiling(request: Request, recipient: Party) -> bool:
    return LEVELS.index(request.classification) > LEVELS.index(recipient.ceiling)


def decide_one(request: Request, recipient: Party, logged: Logged, now: datetime) -> dict[str, Any]:
    """The decision about one recipient: code, clauses, obligations, nearest as (agreement, clause, missed)."""
    counting = in_force(logged, now)
    both = [
        (name, terms)
        for name, terms in counting
        if request.discloser.id in terms["parties"] and recipient.id in terms["parties"]
    ]
    both.sort(key=lambda item: (item[1]["id"], item[1]["version"], item[0]))
    against = [(name, c["id"]) for name, terms in both for c in terms["clauses"] if forbids(c, request, recipient)]
    if against:
        return {"code": "forbidden", "clauses": [c for _, c in against], "nearest": [(*a, None) for a in against]}
    near = nearest(request, recipient, both)
    standing = state(logged, request.agreement, now)
    if standing != "in_force":
        code = {"not_yet": "agreement_not_in_force", "left": "agreement_not_in_force"}.get(standing)
        return {"code": code or f"agreement_{standing}", "clauses": [], "nearest": near}
    terms = dict(counting)[request.agreement]
    if request.discloser.id not in terms["parties"] or recipient.id not in terms["parties"]:
        return {"code": "not_a_party", "clauses": [], "nearest": near}
    if above_ceiling(request, recipient):
        return {"code": "above_ceiling", "clauses": [], "nearest": near}
    permits = [c for c in terms["clauses"] if c["effect"] == "permit" and not misses(c, request, recipient)]
    if not permits:
        return {"code": "no_clause", "clauses": [], "nearest": near}
    days = [c["conditions"]["retention_days"] for c in permits if "retention_days" in c["conditions"]]
    obligations = {
        "onward": max((c["conditions"]["onward"] for c in permits), key=ONWARD.index),
        "evidence": all(c["conditions"]["evidence"] for c in permits),
        "human_release": any(c["conditions"]["human_release"] for c in permits),
    }
    if days:
        obligations["retention_days"] = min(days)
    return {"code": "permitted", "clauses": [c["id"] for c in permits], "obligations": obligations}


def nearest(
    request: Request, recipient: Party, both: list[tuple[str, dict[str, Any]]]
) -> list[tuple[str, str, list[str]]]:
    ranked = sorted(
        (
            (name, clause["id"], misses(clause, request, recipient))
            for name, terms in both
            for clause in terms["clauses"]
            if clause["effect"] == "permit"
        ),
        key=lambda item: len(item[2]),
    )
    own = [item for item in ranked if item[0] == request.agreement][:2]
    others = [item for item in ranked if item[0] != request.agreement][:2]
    return [item for item in others if not own or len(item[2]) < len(own[0][2])] + own


def decide(request: Request, logged: Logged, now: datetime) -> dict[str, Any]:
    """The whole decision, in the shape ``Decision.to_json`` is compared in."""
    made = [decide_one(request, recipient, logged, now) for recipient in request.recipients]
    codes = [one["code"] for one in made if one["code"] != "permitted"]
    code = min(codes or ["permitted"], key=["permitted", *CODES].index) if made else "no_clause"
    return {"code": code, "recipients": made, "policy": policy(logged, now)}


# --- chance: small vocabularies, so that clauses meet requests often enough to say something --------------------

TYPES = ["info_request", "info_reply", "victim_referral"]
PURPOSES = ["investigate", "victim_protection"]
CRIMES = ["immigrant_smuggling", "human_trafficking"]
CATS = ["smug_a_routes", "person_suspect", "person_victim", "data_minor"]
URGENCY = ["u_direct", "normal", "none"]
HANDLING = ["H0", "H1", "H2"]


def some(rng: Random, items: list[Any], empty: float = 0.05) -> list[Any]:
    """A random choice, in random order; sometimes nothing."""
    return [] if rng.random() < empty else rng.sample(items, rng.randint(1, len(items)))


def _names(rng: Random) -> list[str]:
    return some(rng, [*[a.id for a in AGENCIES], "role:police", "role:fiu", "role:ngo", "party:any", "role:hub"][:9])


def _or_any(rng: Random, items: list[str]) -> list[str]:
    return ["any"] if rng.random() < 0.3 else some(rng, items)


def random_clause(rng: Random, name: str, forbid: float = 0.25) -> dict[str, Any]:
    clause: dict[str, Any] = {"id": name, "title": f"clause {name}", "from": _names(rng), "to": _names(rng)}
    if rng.random() < forbid:
        lists = {"types": TYPES, "purposes": PURPOSES, "crimes": CRIMES, "cats": CATS}
        return {**clause, "effect": "forbid", **{member: _or_any(rng, codes) for member, codes in lists.items()}}
    conditions: dict[str, Any] = {
        "handling_required": rng.choice([[], [], ["H2"], ["H1", "H2"]]),
        "urgency": some(rng, URGENCY),
        "onward": rng.choice(ONWARD),
        "evidence": rng.random() < 0.5,
        "human_release": rng.random() < 0.3,
    }
    if rng.random() < 0.7:
        conditions["retention_days"] = rng.randint(1, 400)
    return {
        **clause,
        "effect": "permit",
        "types": some(rng, TYPES),
        "purposes": some(rng, PURPOSES),
        "crimes": some(rng, CRIMES),
        "cats": some(rng, CATS),
        "class_max": rng.choice(LEVELS),
        "conditions": conditions,
    }


def random_terms(rng: Random, number: int, forbid: float = 0.25) -> dict[str, Any]:
    start = T0 + timedelta(days=rng.choice([0, 0, 0, 40]))
    return {
        "fed": FED,
        "id": f"agreement-{number}",
        "version": 1,
        "title": f"agreement {number}",
        "kind": "exercise",
        "parties": rng.sample([a.id for a in AGENCIES], rng.randint(2, len(AGENCIES))),
        "bases": ["untoc_27"],
        "territory": ["XN"],
        "start": start,
        "end": start + timedelta(days=rng.choice([20, 400])),
        "clauses": [random_clause(rng, f"c{i}", forbid) for i in range(rng.randint(1, 5))],
    }


def random_log(rng: Random, forbid: float = 0.25) -> Logged:
    """A few agreements, a new version of one perhaps, a notice perhaps."""
    logged = Logged()
    terms = [random_terms(rng, number, forbid) for number in range(rng.randint(1, 4))]
    for one in terms:
        logged.agreements.append((write_terms(one), T0 + timedelta(days=rng.choice([0, 0, 5]))))
    if rng.random() < 0.3:
        old, at = logged.agreements[0]
        again = {**random_terms(rng, 0, forbid), "version": 2, "replaces": digest(old), "parties": terms[0]["parties"]}
        logged.agreements.append((write_terms(again), at + timedelta(days=rng.choice([1, 35]))))
    if rng.random() < 0.4:
        payload, at = rng.choice(logged.agreements)
        by = rng.choice(parsed(payload)["parties"])
        acts = rng.choice([["suspend"], ["leave"], ["suspend", "resume"], ["suspend", "leave"]])
        for day, act in enumerate(acts, 1):
            ts = at + timedelta(days=day)
            note = write_notice(act, fed=FED, agreement=digest(payload), by=by, ts=ts, reason="an exercise")
            logged.notices.append((note, ts))
    return logged


def random_now(rng: Random) -> datetime:
    return T0 + timedelta(days=rng.choice([0, 6, 10, 30, 50, 300, 500]))


def random_request(rng: Random, logged: Logged) -> Request:
    """A request near some clause, so that permits and near misses are common."""
    payload, _ = rng.choice(logged.agreements)
    terms = parsed(payload)
    clause = rng.choice(terms["clauses"])
    discloser = _aimed(rng, clause["from"], terms)
    recipients = tuple({_aimed(rng, clause["to"], terms).id: 0 for _ in range(rng.choice([1, 1, 1, 2]))})
    by_id = {a.id: a for a in AGENCIES}
    return Request(
        discloser,
        tuple(by_id[one] for one in recipients),
        digest(b"nothing") if rng.random() < 0.03 else digest(payload),
        _near(rng, clause["types"], TYPES),
        _near(rng, clause["purposes"], PURPOSES),
        _near(rng, clause["crimes"], CRIMES),
        frozenset(rng.sample(clause["cats"] if rng.random() < 0.8 and "any" not in clause["cats"] else CATS, 1))
        if clause["cats"] and rng.random() < 0.9
        else frozenset(),
        rng.choice(LEVELS[:2] if rng.random() < 0.8 else LEVELS),
        frozenset(rng.choice([["H0"], ["H2"], ["H1", "H2"]])),
        _near(rng, clause.get("conditions", {}).get("urgency", []), URGENCY),
    )


def _near(rng: Random, listed: list[str], all_: list[str]) -> str:
    listed = [code for code in listed if code != "any"]
    return rng.choice(listed if listed and rng.random() < 0.9 else all_)


def _aimed(rng: Random, names: list[str], terms: dict[str, Any]) -> Party:
    meant = [a for a in AGENCIES if called(a, names) and a.id in terms["parties"]]
    return rng.choice(meant if meant and rng.random() < 0.92 else AGENCIES)


def told(at: datetime) -> str:
    """An instant for a failure message."""
    return stamp(at)
