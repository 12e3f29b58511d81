"""The decision rules once more, slow and obvious, straight from `spec/agreements.md` over plain JSON.

Written to be read, not to be fast, and sharing no code with the real thing: it loops over every agreement and
every clause of the payloads as they were signed. Also makes random agreements and requests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.matching import Consent, Party, Request, Source
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import parse_notice, parse_terms, write_notice, write_terms
from keys.encoding import b64u, digest, instant, read_json, stamp
from keys.signing import Statement

FED = digest(b"a federation")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = ["unclassified", "restricted", "confidential", "secret"]
MEMBERS = [
    "from", "to", "type", "purpose", "crime", "urgency", "class", "ceiling", "cats", "handling", "territory", "copy",
]  # fmt: skip
ONWARD = ["within_parties", "by_consent", "by_field", "none"]
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
    "source_unknown",
    "source_stopped",
    "onward_forbidden",
    "consent_missing",
]
AGENCIES = [
    Party("north.police.sim", ("police",), "secret", "XN"),
    Party("south.police.sim", ("police", "prosecutor"), "secret", "XN"),
    Party("north.fiu.sim", ("fiu",), "confidential", "XN"),
    Party("harbour.ngo.sim", ("ngo",), "restricted", "XA"),
    Party("plain.sim", (), "unclassified", "XZ"),
]
FLOOR_BYTES = (Path(__file__).parents[3] / "spec" / "floor.json").read_bytes()
FLOOR = (digest(FLOOR_BYTES), {**json.loads(FLOOR_BYTES), "territory": []})


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


def called(party: Party, names: list[str], terms: dict[str, Any] | None = None, now: datetime = T0) -> bool:
    """Whether a clause of ``terms`` that lists these names means this party at ``now``."""
    for name in names:
        if name in (party.id, "party:any", f"territory:{party.territory}"):
            return True
        if name.startswith("role:") and name.removeprefix("role:") in party.roles:
            return True
        for group in (terms or {}).get("groups", []):
            if name == f"group:{group['id']}" and now < instant(group["until"]) and party.id in group["members"]:
                return True
    return False


def forbids(clause: dict[str, Any], terms: dict[str, Any], request: Request, recipient: Party, now: datetime) -> bool:
    if clause["effect"] != "forbid" or not called(request.discloser, clause["from"], terms, now):
        return False
    if not called(recipient, clause["to"], terms, now):
        return False
    for code, listed in ((request.type, "types"), (request.purpose, "purposes"), (request.crime, "crimes")):
        if code not in clause[listed] and "any" not in clause[listed]:
            return False
    return "any" in clause["cats"] or any(cat in clause["cats"] for cat in request.cats)


def misses(
    clause: dict[str, Any], terms: dict[str, Any], request: Request, recipient: Party, now: datetime
) -> list[str]:
    """Which of the twelve conditions of a permit the request does not meet."""
    conditions = clause["conditions"]
    holds = {
        "from": called(request.discloser, clause["from"], terms, now),
        "to": called(recipient, clause["to"], terms, now),
        "type": request.type in clause["types"],
        "purpose": request.purpose in clause["purposes"],
        "crime": request.crime in clause["crimes"],
        "urgency": request.urgency in conditions["urgency"],
        "class": LEVELS.index(request.classification) <= LEVELS.index(clause["class_max"]),
        "ceiling": not above_ceiling(request, recipient),
        "cats": all(cat in clause["cats"] for cat in request.cats),
        "handling": all(code in request.handling for code in conditions["handling_required"]),
        "territory": recipient.territory in terms["territory"] or "transfer" in conditions,
        "copy": copied(conditions, request),
    }
    return [member for member, met in holds.items() if not met]


def copied(conditions: dict[str, Any], request: Request) -> bool:
    """Whether whoever must have a copy takes part, or the message is exempt."""
    if "copy_to" not in conditions or request.exempt in conditions.get("copy_exempt", []):
        return True
    return conditions["copy_to"] in [request.discloser.id, *[party.id for party in request.recipients]]


def above_ceiling(request: Request, recipient: Party) -> bool:
    return LEVELS.index(request.classification) > LEVELS.index(recipient.ceiling)


def obligations(permits: list[dict[str, Any]], terms: dict[str, Any], request: Request) -> dict[str, Any]:
    """The strictest of every clause, and of what the message says of itself."""
    conditions = [clause["conditions"] for clause in permits]
    levels = [c["second_approver"] for c in conditions if "second_approver" in c]
    second = any(LEVELS.index(request.classification) >= LEVELS.index(level) for level in levels)
    second = second or "data_special_category" in request.cats
    onward = [c["onward"] for c in conditions] + (["by_consent"] if "H2" in request.handling else [])
    owed: dict[str, Any] = {
        "onward": max(onward, key=ONWARD.index),
        "evidence": all(c["evidence"] for c in conditions) and "H1" not in request.handling,
        "human_release": any(c["human_release"] for c in conditions) or second,
        "second_approver": second,
    }
    for member in ("retention_days", "review_days"):
        days = [c[member] for c in conditions if member in c]
        if days:
            owed[member] = min(days)
    if "purge_days" in terms:
        owed["purge_days"] = terms["purge_days"]
    readers = [c["readers"] for c in conditions if "readers" in c]
    if readers:
        owed["readers"] = narrowest(readers)
    return owed


def narrowest(readers: list[dict[str, Any]]) -> dict[str, Any]:
    """Who satisfies every one of these."""
    found: dict[str, Any] = {}
    clearances = [one["clearance"] for one in readers if "clearance" in one]
    if clearances:
        found["clearance"] = max(clearances, key=LEVELS.index)
    found["training"] = sorted({code for one in readers for code in one.get("training", [])})
    roles = [set(one["roles"]) for one in readers if "roles" in one]
    if roles:
        found["roles"] = sorted(set.intersection(*roles))
    return found


def judge_source(source: Source, request: Request, recipient: Party, now: datetime) -> str | None:
    """What stands against telling this recipient what was taken from this message."""
    holder = request.discloser.id
    if not source.holder_had:
        return "source_unknown"
    if source.originator == holder:
        return None
    if source.stopped:
        return "source_stopped"
    if source.originator == recipient.id:
        return None
    if source.onward == "none":
        return "onward_forbidden"
    if source.onward == "within_parties" and recipient.id in source.parties:
        return None
    for one in source.consents:
        meant = one.holder == holder and recipient.id in one.to and request.purpose in one.purposes
        named = bool(one.fields) and not (source.onward == "by_field" and "" in one.fields)
        if meant and named and not one.withdrawn and now < one.until:
            return None
    return "consent_missing"


def freed(request: Request, recipient: Party, logged: Logged, now: datetime) -> list[dict[str, Any]]:
    """The floor's permits for this: it comes before every forbid, in whatever state the named agreement is."""
    named = [parsed(p) for p, at in logged.agreements if digest(p) == request.agreement]
    if request.type != "exculpatory_notice" or not named:
        return []
    if request.discloser.id not in named[0]["parties"] or recipient.id not in named[0]["parties"]:
        return []
    _, floor = FLOOR
    return [c for c in floor["clauses"] if c["effect"] == "permit" and not misses(c, floor, request, recipient, now)]


def decide_one(request: Request, recipient: Party, logged: Logged, now: datetime) -> dict[str, Any]:
    """The decision about one recipient: code, clauses, obligations, nearest as (agreement, clause, missed)."""
    free = freed(request, recipient, logged, now)
    if free:
        names = [c["id"] for c in free]
        return {"code": "permitted", "clauses": names, "obligations": obligations(free, FLOOR[1], request)}
    counting = in_force(logged, now)
    mine = [(name, terms) for name, terms in counting if request.discloser.id in terms["parties"]]
    both = [(name, terms) for name, terms in mine if recipient.id in terms["parties"]]
    against = []
    for name, terms in sorted([*mine, FLOOR], key=_by_name):
        for clause in terms["clauses"]:
            counts = name == FLOOR[0] or (name, terms) in both or clause.get("reach") == "everyone"
            if counts and forbids(clause, terms, request, recipient, now):
                against.append((name, clause["id"]))
    if against:
        return {"code": "forbidden", "clauses": [c for _, c in against], "nearest": [(*a, None) for a in against]}
    near = nearest(request, recipient, sorted(both, key=_by_name), now)
    standing = state(logged, request.agreement, now)
    if standing != "in_force":
        code = {"not_yet": "agreement_not_in_force", "left": "agreement_not_in_force"}.get(standing)
        return {"code": code or f"agreement_{standing}", "clauses": [], "nearest": near}
    terms = dict(counting)[request.agreement]
    if request.discloser.id not in terms["parties"] or recipient.id not in terms["parties"]:
        return {"code": "not_a_party", "clauses": [], "nearest": near}
    if above_ceiling(request, recipient):
        return {"code": "above_ceiling", "clauses": [], "nearest": near}
    permits = [c for c in terms["clauses"] if c["effect"] == "permit" and not misses(c, terms, request, recipient, now)]
    if not permits:
        return {"code": "no_clause", "clauses": [], "nearest": near}
    judged = [judge_source(source, request, recipient, now) for source in request.sources]
    stopped = [code for code in judged if code]
    if stopped:
        near = [(request.agreement, c["id"], ["source"] * len(stopped)) for c in permits[:2]]
        return {"code": min(stopped, key=CODES.index), "clauses": [], "nearest": near}
    owed = obligations(permits, terms, request)
    return {"code": "permitted", "clauses": [c["id"] for c in permits], "obligations": owed}


def _by_name(item: tuple[str, dict[str, Any]]) -> tuple[str, int, str]:
    name, terms = item
    return terms["id"], terms["version"], name


def nearest(
    request: Request, recipient: Party, both: list[tuple[str, dict[str, Any]]], now: datetime
) -> list[tuple[str, str, list[str]]]:
    ranked = sorted(
        (
            (name, clause["id"], misses(clause, terms, request, recipient, now))
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


class Chance(Random):
    """Seeded chance that says its seed; a property that fails is seen again with it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.number = seed

    def __repr__(self) -> str:
        return f"Chance({self.number})"


CHANCE = st.integers(0, 2**32).map(Chance)
"""For properties: drawing every choice one by one would take ten times as long."""


TYPES = ["info_request", "info_reply", "victim_referral", "exculpatory_notice"]
PURPOSES = ["investigate", "victim_protection", "border_check"]
CRIMES = ["immigrant_smuggling", "human_trafficking"]
CATS = ["smug_a_routes", "person_suspect", "person_victim", "data_minor", "data_special_category"]
URGENCY = ["u_direct", "normal", "none"]
HANDLING = ["H0", "H1", "H2"]
EXEMPT = ["sensitive_case", "imminent_danger"]
IDS = [agency.id for agency in AGENCIES]


def some(rng: Random, items: list[Any], empty: float = 0.05) -> list[Any]:
    """A random choice, in random order; sometimes nothing."""
    return [] if rng.random() < empty else rng.sample(items, rng.randint(1, len(items)))


def _names(rng: Random, groups: list[dict[str, Any]]) -> list[str]:
    if groups and rng.random() < 0.3:
        return [f"group:{rng.choice(groups)['id']}"]
    every = [*IDS, "role:police", "role:fiu", "role:ngo", "party:any", "territory:XN", "territory:XA"]
    return some(rng, every)


def _or_any(rng: Random, items: list[str]) -> list[str]:
    return ["any"] if rng.random() < 0.3 else some(rng, items)


def random_clause(
    rng: Random,
    name: str,
    forbid: float = 0.25,
    groups: list[dict[str, Any]] | None = None,
    parties: list[str] | None = None,
) -> dict[str, Any]:
    known = groups or []
    clause: dict[str, Any] = {"id": name, "title": f"clause {name}"}
    clause |= {"from": _names(rng, known), "to": _names(rng, known)}
    if rng.random() < forbid:
        lists = {"types": TYPES, "purposes": PURPOSES, "crimes": CRIMES, "cats": CATS}
        clause |= {"effect": "forbid", **{member: _or_any(rng, codes) for member, codes in lists.items()}}
        if rng.random() < 0.3:
            clause["reach"] = rng.choice(["parties", "everyone"])
        return _for_the_groups_purposes(clause, known)
    permit = {
        **clause,
        "effect": "permit",
        "types": some(rng, TYPES),
        "purposes": some(rng, PURPOSES),
        "crimes": some(rng, CRIMES),
        "cats": some(rng, CATS),
        "class_max": rng.choice(LEVELS),
        "conditions": random_conditions(rng, parties or []),
    }
    return _for_the_groups_purposes(permit, known)


def random_conditions(rng: Random, parties: list[str]) -> dict[str, Any]:
    conditions: dict[str, Any] = {
        "handling_required": rng.choice([[], [], ["H2"], ["H1", "H2"]]),
        "urgency": some(rng, URGENCY),
        "onward": rng.choice(ONWARD),
        "evidence": rng.random() < 0.5,
        "human_release": rng.random() < 0.3,
    }
    if rng.random() < 0.7:
        conditions["retention_days"] = rng.randint(100, 400)
    if rng.random() < 0.3:
        conditions["review_days"] = rng.randint(1, 100)
    if rng.random() < 0.3:
        conditions["transfer"] = rng.choice(["adequacy", "safeguards", "derogation"])
    if parties and rng.random() < 0.15:
        conditions["copy_to"] = rng.choice(parties)
        if rng.random() < 0.6:
            conditions["copy_exempt"] = some(rng, EXEMPT)
    if rng.random() < 0.3:
        conditions["second_approver"] = rng.choice(LEVELS)
    if rng.random() < 0.3:
        conditions["readers"] = random_readers(rng)
    return conditions


def random_readers(rng: Random) -> dict[str, Any]:
    readers: dict[str, Any] = {"training": some(rng, ["victim_care", "open_sources", "financial"], empty=0.3)}
    if rng.random() < 0.5:
        readers["clearance"] = rng.choice(LEVELS)
    if rng.random() < 0.5:
        readers["roles"] = some(rng, ["officer", "release_officer", "protection_officer"], empty=0)
    return readers


def _for_the_groups_purposes(clause: dict[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    """A clause that names a group lists only purposes of that group; a forbid may say any."""
    if clause["effect"] == "forbid" and "any" in clause["purposes"]:
        return clause
    for group in groups:
        if f"group:{group['id']}" in (*clause["from"], *clause["to"]):
            clause["purposes"] = [code for code in clause["purposes"] if code in group["purposes"]]
    return clause


def random_groups(rng: Random, parties: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"g{number}",
            "members": some(rng, parties, empty=0.15),
            "until": stamp(T0 + timedelta(days=rng.choice([8, 45, 400]))),
            "purposes": some(rng, PURPOSES),
        }
        for number in range(rng.choice([0, 0, 1, 2]))
    ]


def random_terms(rng: Random, number: int, forbid: float = 0.25, parties: list[str] | None = None) -> dict[str, Any]:
    start = T0 + timedelta(days=rng.choice([0, 0, 0, 40]))
    parties = parties or rng.sample(IDS, rng.randint(2, len(IDS)))
    groups = random_groups(rng, parties)
    terms: dict[str, Any] = {
        "fed": FED,
        "id": f"agreement-{number}",
        "version": 1,
        "title": f"agreement {number}",
        "kind": "exercise",
        "parties": parties,
        "bases": ["untoc_27"],
        "territory": rng.sample(["XN", "XS", "XA", "XZ"], rng.choice([0, 2, 3, 4, 4, 4])),
        "start": start,
        "end": start + timedelta(days=rng.choice([20, 400])),
        "clauses": [random_clause(rng, f"c{i}", forbid, groups, parties) for i in range(rng.randint(1, 5))],
    }
    if groups:
        terms["groups"] = groups
    if rng.random() < 0.2:
        terms["purge_days"] = rng.randint(0, 28)
    return terms


def random_log(rng: Random, forbid: float = 0.25) -> Logged:
    """A few agreements, a new version of one perhaps, a notice perhaps."""
    logged = Logged()
    terms = [random_terms(rng, number, forbid) for number in range(rng.randint(1, 4))]
    for one in terms:
        logged.agreements.append((write_terms(one), T0 + timedelta(days=rng.choice([0, 0, 5]))))
    if rng.random() < 0.3:
        old, at = logged.agreements[0]
        again = {**random_terms(rng, 0, forbid, terms[0]["parties"]), "version": 2, "replaces": digest(old)}
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
    return T0 + timedelta(days=rng.choice([0, 6, 7, 10, 30, 45, 50, 300, 500]))


def random_source(rng: Random, discloser: str, now: datetime) -> Source:
    """A message that the request is derived from, with a consent now and then."""
    consents = [
        Consent(
            discloser if rng.random() < 0.9 else rng.choice(IDS),
            frozenset(some(rng, IDS)),
            frozenset(some(rng, PURPOSES)),
            now + timedelta(days=rng.choice([-1, 0, 5, 5, 5])),
            rng.random() < 0.15,
            rng.choice([("",), ("/subject",), ()]),
        )
        for _ in range(rng.choice([0, 1, 2]))
    ]
    return Source(
        digest(str(rng.random()).encode()),
        rng.choice(IDS),
        rng.random() < 0.9,
        rng.random() < 0.15,
        rng.choice(ONWARD),
        frozenset(rng.sample(IDS, 3)),
        tuple(consents),
    )


def random_request(rng: Random, logged: Logged, now: datetime = T0 + timedelta(days=10)) -> Request:
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
        if clause["cats"] and rng.random() < 0.85
        else frozenset(),
        rng.choice(LEVELS[:2] if rng.random() < 0.8 else LEVELS),
        frozenset(rng.choice([["H0"], ["H2"], ["H1", "H2"]])),
        _near(rng, clause.get("conditions", {}).get("urgency", []), URGENCY),
        rng.choice(EXEMPT) if rng.random() < 0.1 else None,
        tuple(random_source(rng, discloser.id, now) for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))),
    )


def _near(rng: Random, listed: list[str], all_: list[str]) -> str:
    listed = [code for code in listed if code != "any"]
    return rng.choice(listed if listed and rng.random() < 0.9 else all_)


def _aimed(rng: Random, names: list[str], terms: dict[str, Any]) -> Party:
    meant = [a for a in AGENCIES if called(a, names, terms) and a.id in terms["parties"]]
    return rng.choice(meant if meant and rng.random() < 0.92 else AGENCIES)
