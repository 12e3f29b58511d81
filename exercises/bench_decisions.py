"""What a decision costs, with few agreements and with many, beside Cedar: ``python -m exercises.bench_decisions``.

Two agencies share ten agreements; every other agreement is between two others. So the question is what agreements cost
that a decision does not need. Each answer counts with its explanation in full, as JSON. Cedar has the same rules (see
``cedar_rules``), parsed before its clock runs, as are its entities; it is called through ``cedarpy``, and its
answer is allow or deny with the policies that decided. It is asked twice: with everything, and with only the policies
of the agreements the two share, as somebody would who keeps an index of their own in front of it. ``engine_us`` is what
Cedar says its own evaluation took by the clock on the wall, without reading the request and writing the answer.

Times are those of the processor, so that a machine with other work to do does not blur them; the rounds of the sizes
alternate, and what the number of agreements adds is the median of the differences within a round.

Nothing here is signed: signatures have nothing to do with deciding. It runs in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import decide
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import AgreementTerms, parse_terms, write_terms
from exchange.serving import settle_memory
from exercises import cedar_rules
from exercises.processes import here
from keys.encoding import b64u, digest
from keys.signing import Statement

SIZES: Final = (10, 1_000, 100_000)
QUICK: Final = (10, 300)
SHARED: Final = 10
"""Agreements between the two that are asked about, whatever the size."""
ROUNDS: Final = 41
CHANGES: Final = 41
ASKED: Final = 120
"""Decisions in a round of ours."""
CEDAR_SECONDS: Final = 3.0
"""How long Cedar is asked at each size; at least ``CEDAR_LEAST`` times."""
CEDAR_LEAST: Final = 5
_KINDS: Final = ("permitted_us", "not_covered_us", "forbidden_us")
MISSING: Final = "not measured: cedarpy is not installed; `make setup` installs it"

T0: Final = datetime(2026, 1, 1, tzinfo=UTC)
NOW: Final = T0 + timedelta(days=100)
ONE: Final = Party("north.police.sim", ("police",), "secret", "XN")
OTHER: Final = Party("south.police.sim", ("police",), "secret", "XS")
_FED: Final = digest(b"the federation of a bench")


def _terms(number: int, parties: Sequence[str]) -> dict[str, Any]:
    """A bilateral agreement: one permit, one forbid."""
    permit = {
        "id": "tell",
        "effect": "permit",
        "title": "Information on smuggling",
        "from": ["role:police", "role:border_guard"],
        "to": ["role:police"],
        "types": ["info_request", "info_reply", "spontaneous_info"],
        "purposes": ["prevent", "investigate"],
        "crimes": ["immigrant_smuggling", "forged_documents"],
        "cats": ["smug_a_routes", "smug_c_documents", "person_suspect", "data_transport"],
        "class_max": "confidential",
        "conditions": {
            "handling_required": [],
            "urgency": ["normal", "none"],
            "onward": "by_consent",
            "retention_days": 365,
            "evidence": False,
            "human_release": False,
        },
    }
    forbid = {
        "id": "victims",
        "effect": "forbid",
        "title": "Nothing about victims",
        "from": ["party:any"],
        "to": ["party:any"],
        "types": ["any"],
        "purposes": ["any"],
        "crimes": ["any"],
        "cats": ["person_victim", "data_victimisation"],
    }
    return {
        "fed": _FED,
        "id": f"agreement-{number}",
        "version": 1,
        "title": "Bench (SIMULATION)",
        "kind": "police_cooperation",
        "parties": list(parties),
        "bases": ["bilateral_agreement"],
        "territory": ["XN", "XS"],
        "start": T0,
        "end": T0 + timedelta(days=3650),
        "clauses": [permit, forbid],
    }


def _agreement(pattern: AgreementTerms, number: int, parties: Sequence[str]) -> Agreement:
    terms = pattern.model_copy(update={"id": f"agreement-{number}", "parties": tuple(parties)})
    name = digest(f"agreement {number}".encode())
    return Agreement(name, _UNSIGNED, terms, terms.parties, T0 + timedelta(milliseconds=number))


_UNSIGNED: Final = Statement(b64u(b""), b"", ())


class World:
    """So many agreements, and the requests that are put to them."""

    def __init__(self, size: int) -> None:
        self.chance = Random(size)
        self.others = [Party(f"a{n}.police.sim", ("police",), "secret", "XN") for n in range(max(4, size // 25))]
        self.pattern = parse_terms(write_terms(_terms(0, [ONE.id, OTHER.id])))
        shared = set(self.chance.sample(range(size), SHARED))
        mine = [ONE.id, OTHER.id]
        items = [_agreement(self.pattern, n, mine if n in shared else self._strangers()) for n in range(size)]
        self.book = PolicyBook.replay(items)
        self.shared = [item for item in items if item.has(ONE.id)]
        self.requests = [self._request(n) for n in range(60)]
        self._admitted = size

    def _strangers(self) -> list[str]:
        return [party.id for party in self.chance.sample(self.others, 2)]

    def _request(self, number: int) -> Request:
        """Of three, one is permitted, one not covered (and explained by the nearest clauses), and one forbidden."""
        kind = number % 3
        purpose = "border_check" if kind == 1 else "investigate"
        cats = frozenset(["smug_a_routes", *(["person_victim"] if kind == 2 else [])])
        named = self.shared[number % SHARED].digest
        return Request(
            ONE, (OTHER,), named, "info_request", purpose, "immigrant_smuggling", cats, "restricted",
            frozenset({"H0"}), "normal",
        )  # fmt: skip

    def round(self, requests: Sequence[Request]) -> float:
        """Microseconds for one decision with its explanation."""
        book, times = self.book, ASKED // len(requests)
        began = time.thread_time_ns()
        for _ in range(times):
            for request in requests:
                decide(request, book, NOW).to_json()
        return (time.thread_time_ns() - began) / 1e3 / (times * len(requests))

    def change(self, *, theirs: bool) -> float:
        """Microseconds to take in one more agreement, of the two or of strangers, and decide."""
        self._admitted += 1
        parties = [ONE.id, OTHER.id] if theirs else self._strangers()
        item = replace(_agreement(self.pattern, self._admitted, parties), at=NOW - timedelta(days=1))
        began = time.thread_time_ns()
        self.book = self.book.admit(item)
        decide(self.requests[0], self.book, NOW)
        return (time.thread_time_ns() - began) / 1e3


class Cedar:
    """The same rules in Cedar's hands."""

    def __init__(self, world: World, agreements: Sequence[Agreement] | None = None) -> None:
        import cedarpy

        book = world.book if agreements is None else PolicyBook.replay(agreements)
        text = cedar_rules.policies(book, NOW)
        entities = json.dumps(cedar_rules.entities(book, [ONE, OTHER, *(world.others if agreements is None else [])]))
        began = time.perf_counter()
        self._ask = cedarpy.is_authorized
        self.policies = cedarpy.PolicySet.from_str(text)
        self.entities = cedarpy.Entities.from_json_str(entities)
        self.load_seconds = time.perf_counter() - began

    def measure(self, world: World, seconds: float) -> dict[str, Any]:
        """Ask for so long, holding each answer against ours; the clock runs only while Cedar works."""
        spent, asked, inside = 0, 0, list[int]()
        for request in _cycle(world.requests):
            question = cedar_rules.request(request, OTHER, NOW)
            began = time.thread_time_ns()
            answer = self._ask(question, self.policies, self.entities)
            spent += time.thread_time_ns() - began
            asked += 1
            inside.append(answer.metrics["authz_duration_micros"])
            if answer.allowed != decide(request, world.book, NOW).permitted:
                raise RuntimeError("Cedar and we do not agree")
            if asked >= CEDAR_LEAST and spent > seconds * 1e9:
                break
        return {
            "per_s": _sane(asked / spent * 1e9),
            "us": round(spent / 1e3 / asked, 1),
            "engine_us": round(statistics.median(inside), 1),
            "asked": asked,
            "policies": len(self.policies),
            "load_s": round(self.load_seconds, 2),
        }


def _cycle(requests: Sequence[Request]) -> Iterator[Request]:
    while True:
        yield from requests


def _sane(rate: float) -> float:
    return round(rate) if rate >= 10 else round(rate, 2)


def measure(
    sizes: Sequence[int] = SIZES,
    rounds: int = ROUNDS,
    cedar_seconds: float = CEDAR_SECONDS,
    say: Callable[[str], None] = lambda _: None,
    settle: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Decisions per second of both at each size, side by side, and what the number of agreements adds to ours."""
    worlds = {}
    for size in sizes:
        say(f"decisions: {size} agreements")
        worlds[size] = World(size)
    settle()
    found = {size: _ours(world) for size, world in worlds.items()}
    for _ in range(rounds):  # in turn, so that a machine that drifts, drifts for all of them
        for size, world in worlds.items():
            _note(found[size], world)
    document: dict[str, Any] = {}
    for size, world in worlds.items():
        say(f"decisions: {size} agreements, Cedar")
        medians = {name: round(statistics.median(values), 1) for name, values in found[size].items()}
        per_s = round(1e6 / medians["explained_us"])
        document[str(size)] = {"ours_per_s": per_s, **medians, **_cedar(world, cedar_seconds), **_changes(world)}
    few, many = found[sizes[0]]["explained_us"], found[sizes[-1]]["explained_us"]
    return {
        "decisions": document,
        "decision_growth_us": round(statistics.median(b - a for a, b in zip(few, many, strict=True)), 1),
        "decision_growth_from_to": [sizes[0], sizes[-1]],
        "shared_agreements": SHARED,
    }


def _ours(world: World) -> dict[str, list[float]]:
    world.round(world.requests)  # tables that are made once
    return {name: [] for name in ("explained_us", *_KINDS)}


def _note(found: dict[str, list[float]], world: World) -> None:
    found["explained_us"].append(world.round(world.requests))
    for kind, name in enumerate(_KINDS):
        found[name].append(world.round(world.requests[kind::3]))


def _changes(world: World) -> dict[str, float]:
    """What one more agreement costs, with the decision after it: elsewhere, and between the two themselves."""
    elsewhere = [world.change(theirs=False) for _ in range(CHANGES)]
    here = [world.change(theirs=True) for _ in range(CHANGES)]
    return {
        "change_elsewhere_us": round(statistics.median(elsewhere), 1),
        "change_here_us": round(statistics.median(here), 1),
    }


def _cedar(world: World, seconds: float) -> dict[str, Any]:
    try:
        everything, theirs = Cedar(world), Cedar(world, world.shared)
    except ImportError:
        return {"cedar": MISSING}
    return {"cedar": everything.measure(world, seconds), "cedar_with_theirs_alone": theirs.measure(world, seconds)}


def measure_apart(*, quick: bool) -> dict[str, Any]:
    """The same in a process of its own: a hundred thousand agreements are no company for another clock."""
    command = [sys.executable, "-m", "exercises.bench_decisions", *(["--quick"] if quick else [])]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=here(), check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure, and print one JSON document on standard output."""

    def say(what: str) -> None:
        sys.stderr.write(f"bench: {what}\n")

    quick = "--quick" in arguments
    sizes, rounds, seconds = (QUICK, 2, 0.1) if quick else (SIZES, ROUNDS, CEDAR_SECONDS)
    document = measure(sizes, rounds, seconds, say, settle_memory)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
