"""Random histories of a log: agreements come and go, messages are passed on, acts follow; some of it is lies.

Nothing here knows what is right. Two auditors are given each history and must find the same.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final

from exchange.audit.export import statement_path
from keys.encoding import digest
from keys.errors import Refusal
from tests.vectors.logbook import Logbook
from tests.vectors.stage import FIU, NGO, NORTH, SOUTH

AGENCIES: Final = [NORTH, SOUTH, NGO, FIU]
TYPES: Final = ["exculpatory_notice", "info_reply", "info_request", "spontaneous_info", "victim_referral"]
PURPOSES: Final = ["detect", "investigate", "victim_protection"]
CATEGORIES: Final = ["data_special_category", "data_transport", "person_suspect", "person_victim", "smug_a_routes"]
ORIGINATORS: Final = ("consent", "decline", "withdraw", "restrict", "recall", "rectify")
ANSWERED: Final = {"answer": ("restrict", "recall", "rectify"), "decline": ("ask",), "consent": ("ask",),
                   "withdraw": ("consent",)}  # fmt: skip


@dataclass
class History:
    """One history, the same for the same seed."""

    seed: int
    book: Logbook = field(default_factory=Logbook)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    acts: list[tuple[str, str, str]] = field(default_factory=list)
    agreements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.r = Random(self.seed)

    def written(self) -> Logbook:
        """The book after some sixty things happened, or were tried."""
        self.agree()
        steps = [self.send] * 9 + [self.act] * 8 + [self.receipt] * 4 + [self.head] * 2
        steps += [self.notify, self.agree, self.replace, self.wait]
        for _ in range(60):
            with suppress(Refusal):  # no honest broker logs that
                self.r.choice(steps)()
        self.book.now += timedelta(days=self.r.choice([0, 2, 30]))
        return self.book

    def some(self, among: list[str], low: int = 0) -> list[str]:
        return sorted(self.r.sample(among, self.r.randint(low, len(among))))

    def maybe(self, share: float, **members: Any) -> dict[str, Any]:
        return members if self.r.random() < share else {}

    # --- what happens

    def wait(self) -> None:
        self.book.now += timedelta(hours=self.r.choice([1, 20, 80, 150]))

    def agree(self, **changes: Any) -> None:
        groups = [
            {"id": "g1", "members": [SOUTH, FIU], "until": self.book.now + timedelta(days=9), "purposes": PURPOSES}
        ]
        clauses = [self.clause(f"c{i}") for i in range(self.r.randint(2, 6))]
        made = self.book.agree(
            AGENCIES, None if self.r.random() < 0.9 else self.some(AGENCIES, 1),
            **{"id": f"agreement-{len(self.agreements)}", "clauses": clauses, "groups": groups,
               "end": self.book.now + timedelta(days=self.r.choice([10, 200])),
               "territory": self.r.choice([["XN", "XS"], ["XN", "XS"], ["XS"]]), **self.maybe(0.3, purge_days=2),
               **changes},
        )  # fmt: skip
        self.agreements.append(made)

    def replace(self) -> None:
        old = self.book.book.get(self.r.choice(self.agreements))
        assert old
        self.agree(id=old.terms.id, version=old.terms.version + 1, replaces=old.digest)

    def notify(self) -> None:
        self.book.agreement = self.r.choice(self.agreements)
        self.book.notify(self.r.choice(["suspend", "resume", "leave"]), by=self.r.choice(AGENCIES))

    def clause(self, id_: str) -> dict[str, Any]:
        names = [["party:any"], ["party:any"], ["role:police", "role:ngo"], ["territory:XS"], ["group:g1", NORTH]]
        clause = {
            "id": id_, "effect": "permit", "title": "A clause",
            "from": self.r.choice(names), "to": self.r.choice(names),
            "types": self.some(TYPES, 3), "purposes": self.some(PURPOSES, 2), "crimes": ["immigrant_smuggling"],
            "cats": self.some(CATEGORIES, 3),
        }  # fmt: skip
        if self.r.random() < 0.05:
            return {**clause, "effect": "forbid", **self.maybe(0.5, cats=["any"]), **self.maybe(0.5, reach="everyone")}
        conditions = {
            "handling_required": [], "urgency": ["none"], **self.maybe(0.5, transfer="adequacy"),
            **self.maybe(0.2, copy_to=NORTH, copy_exempt=["source_protection"]),
            "onward": self.r.choice(["within_parties", "by_consent", "by_field", "none"]),
            **self.maybe(0.5, retention_days=self.r.randint(6, 20)),
            **self.maybe(0.4, review_days=self.r.randint(1, 6)),
            "evidence": True, "human_release": False, **self.maybe(0.2, second_approver="secret"),
        }  # fmt: skip
        return {**clause, "class_max": "secret", "conditions": conditions}

    def send(self) -> None:
        sources = self.r.sample(sorted(self.messages), min(len(self.messages), self.r.choice([0, 0, 1, 1, 2])))
        known = self.messages[sources[0]]["to"][0]["id"] if sources else NORTH
        sender = self.r.choice([known, known, known, *AGENCIES])
        others = [one for one in AGENCIES if one != sender]
        self.book.agreement = self.r.choice([self.book.agreement, *self.agreements])
        said = {
            "type": self.r.choice(TYPES), "purpose": self.r.choice(PURPOSES), "cats": self.some(CATEGORIES)[:2],
            "class": self.r.choice(["unclassified", "restricted", "secret"]),
            "handling": self.some(["H1", "H2", "H3"], 1),
            **({"src": sorted(sources)} if sources else {}), **self.maybe(0.2, exempt="source_protection"),
            **self.maybe(0.05, agr=digest(b"unknown")),
        }  # fmt: skip
        to = self.r.sample(others, self.r.choice([1, 1, 2]))
        if self.r.random() < 0.07:
            name = self.book.pretend(sender, to, [["c0"] for _ in to], **said)
        else:
            name = self.book.send(sender, tuple(to), **said)
        entry = json.loads(self.book.entries[-1])
        if entry["typ"] == "disclosure" or self.r.random() < 0.1:
            self.messages[name] = entry

    def receipt(self) -> None:
        name = self.r.choice(sorted(self.messages) or [digest(b"unknown")])
        told = [one["id"] for one in self.messages.get(name, {"to": []})["to"]]
        self.book.receipt(name, by=self.r.choice([*told, *told, SOUTH]), status=self.r.choice(["delivered", "opened"]))
        if self.r.random() < 0.3:
            self.book.statements.popitem()  # batches may be left out of an export

    def head(self) -> None:
        by, size = self.r.choice(AGENCIES), self.r.randint(1, 9)
        lie: dict[str, Any] = self.r.choice([{}] * 5 + [{"signer": self.book.on[NORTH].signer}, {"said": size + 1}])
        name = self.book.head(by, size, self.r.choice([None, None, None, bytes(32)]), **lie)
        if self.r.random() < 0.1:
            del self.book.statements[statement_path("heads", name)]

    def act(self) -> None:
        kind = self.r.choice([*ORIGINATORS, "consent", "ask", "acknowledge", "answer", "answer", "keep", "erased"])
        fitting = [act for act in self.acts if act[0] in ANSWERED.get(kind, ())] or [("", "", digest(b"unknown"))]
        _, about, re = self.r.choice(fitting)
        message = about or self.r.choice(sorted(self.messages) or [digest(b"unknown")])
        entry = self.messages.get(message, {"from": NORTH, "to": [{"id": SOUTH}]})
        by = entry["from"] if kind in ORIGINATORS else self.r.choice(entry["to"])["id"]
        until = self.book.now + timedelta(days=self.r.randint(1, 20))
        want = self.r.choice(["onward", "onward", "purpose"])
        wish = {"want": want, "purposes": self.some(PURPOSES, 1), "fields": [""], "until": until,
                **({"to": self.some(AGENCIES, 1)} if want == "onward" else {})}  # fmt: skip
        outcome = self.r.choice(["erased", "erased", "restricted", "retained"])
        members: dict[str, dict[str, Any]] = {
            "ask": wish,
            "consent": {**wish, "holder": self.r.choice(AGENCIES), **({"re": re} if about else {})},
            "decline": {"re": re, "ground": "victim_safety"},
            "withdraw": {"re": re},
            "restrict": {"ground": "inaccurate"},
            "recall": {"ground": "unlawful"},
            "rectify": {"ground": "inaccurate", "by_msg": self.r.choice(sorted(self.messages) or [digest(b"another")])},
            "answer": {"re": re, "outcome": outcome, **({"ground": "case_open"} if outcome == "retained" else {})},
            "keep": {"ground": "case_open", "until": until},
            "erased": {"cause": "review"},
        }
        lie = self.r.random() < 0.07
        author = self.r.choice([by] * 9 + AGENCIES)
        self.acts.append((kind, message, self.book.act(kind, author, message, lie=lie, **members.get(kind, {}))))
