"""A served node full of planted secrets, and somebody who calls it and looks at all that came of it (NODE-220).

North tells, asks and recalls; South's node, served on books of its own, is the one that is walked through. Every name,
reference, reason and officer in it is a word that stands nowhere else, so that an answer that has one is known.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx

from agencies.node.app import create_app
from agencies.node.care.offences import read_table
from agencies.node.ledger import justify
from agencies.node.profile import MIN_COST, Officer, new_officer, new_profile
from agencies.node.settings import Settings
from agencies.profiles import load_offences
from exchange.protocol.cosignature import Cosigner
from exchange.protocol.vocabulary import Classification
from exercises.federation import BROKER
from exercises.world import World, WorldNode
from keys.encoding import unb64u
from keys.errors import Refusal
from keys.signing import Signer
from tests.adversary.test_safeguards_asylum import content, terms
from tests.agencies.node.conftest import EVIDENCE, NORTH, SOUTH

EAST = "east.border.sim"
PASSPHRASE = "a boat in the harbour"
CASE = "XS-HUSHABYE/4711"
ROLES = {
    "duty-hollin": ["officer"], "chief-orrin": ["officer", "release_officer"], "deputy-tamsin": ["release_officer"],
    "keeper-wren": ["protection_officer"], "audit-sorrel": ["auditor"],
    "stranger-moss": ["officer", "release_officer", "protection_officer"],
}  # fmt: skip
DUTY, CHIEF, DEPUTY, KEEPER, AUDIT, STRANGER = ROLES
TEXT = "the ferry at Wexcombe is mine since early this morning"
REASON = {"code": "case_assigned", "text": TEXT}
THEIRS = justify("case_assigned", "the convoy near Thornaby was given to me by the prosecutor")
WORDS = [
    "Umbrafax",
    "Yarrowgate",
    "HUSHABYE",
    "Wexcombe",
    "Thornaby",
    "Pellucid",
    "Brackenridge",
    "Thistledown",
    *ROLES,
]
"""What was planted: a person, a street, a case, our reason, theirs, a handling text, an identity, a ground's reason."""
FACTS = {
    "ledger", "ledger_closed", "heads", "period", "logged", "known", "witnessed", "evidence", "signed", "session",
    "meta", "heard", "got", "batch", "owed", "rejected", "doubt", "sqlite_sequence",
}  # fmt: skip
"""Tables with nothing of a case: acts, keys, what the log says, who is signed in. A new table is not among them."""
IDENTITY: dict[str, Any] = {
    "v": "ix-identity/1", "simulation": True, "subject": "v1", "birth": "2009-03-04",
    "names": [{"family": "Brackenridge", "given": "Ottoline"}],
}  # fmt: skip
_count = itertools.count(1)


def lorry(**members: Any) -> dict[str, Any]:
    """A content about a person, whose words are never twice the same."""
    n = next(_count)
    told = content("spontaneous_info", case={"reference": CASE})
    text = f"In house number {n} of Yarrowgate somebody keeps {n + 2} people behind a locked door, as a neighbour says."
    told["narrative"] = [{"assertion": "fact", "evaluation": "A1", "lang": "en", "text": text}]
    names = [{"family": "Umbrafax", "given": "Petronel"}]
    told["entities"] = [{"kind": "person", "id": "p1", "assertion": "fact", "category": "contact", "names": names}]
    return {**told, **members}


def question() -> dict[str, Any]:
    """A request for information on that case."""
    told = content("info_request", case={"reference": CASE})
    sought = f"Whoever lived in house number {next(_count)} of Yarrowgate since the spring, and where they went."
    told["question"] = {**told["question"], "sought": sought}
    return told


def referral(**members: Any) -> dict[str, Any]:
    """A content about somebody whose identity is sealed."""
    person = {"kind": "person", "id": "v1", "assertion": "fact", "category": "victim", "minor": True}
    return {**lorry(), "entities": [person], **members}


@dataclass(frozen=True)
class Answered:
    """One call and all that came of it."""

    status: int
    text: str
    said: str
    caller: str
    acts: list[dict[str, Any]]
    changed: set[str]

    @property
    def secrets(self) -> set[str]:
        """Planted words that the answer has and the caller did not say."""
        shown = "\n".join(_spellings(self.text))
        return {word for word in WORDS if word in shown and word not in self.said and word != self.caller}

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def _spellings(text: str) -> Iterator[str]:
    """A text, and what in it may be read once it is decoded."""
    yield text
    yield unquote(text)
    try:
        yield from _inside(json.loads(text))
    except ValueError:
        return


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _inside(one)
    if isinstance(value, str):
        yield value
        try:
            yield unb64u(value).decode("utf-8", "replace")
        except Refusal:
            return


@dataclass
class Town:
    """The served node, the agency opposite, and the officers' calls."""

    world: World
    app: Any
    line: httpx.Client
    books: sqlite3.Connection
    agr: str
    tokens: dict[str, str] = field(default_factory=dict)
    _seen: tuple[int, dict[str, list[Any]]] = (-1, {})

    @property
    def north(self) -> WorldNode:
        return self.world.node(NORTH)

    @property
    def node(self) -> Any:
        return self.app.state.node

    def call(
        self, who: str, method: str, path: str, body: Any = None, reason: Mapping[str, str] | None = None
    ) -> Answered:
        """Call in an officer's name, or in nobody's; the reason goes where such a call has it."""
        headers = {"Authorization": f"Bearer {self._token(who)}"} if who else {}
        if reason is not None and method == "GET":
            headers |= {"Justification-Code": reason["code"], "Justification": quote(reason["text"])}
        elif reason is not None:
            body = {**(body or {}), "justification": dict(reason)}
        before, n = self.tables(), self._last()
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = self.line.request(method, path, headers=headers, **({} if body is None else sent))
        if path == "/v1/sign-out":
            self.tokens.pop(who, None)
        after = self.tables()
        changed = {name for name in after if after[name] != before[name]}
        said = f"{path} {json.dumps(body, default=str)}"
        return Answered(answer.status_code, answer.text, said, who, self._acts(n), changed)

    def tables(self) -> dict[str, list[Any]]:
        """Every table that may hold something of a case, row by row; as it was, if nobody has written since."""
        version = self.books.execute("PRAGMA data_version").fetchone()[0]
        if self._seen[0] != version:
            self._seen = version, self._tables()
        return self._seen[1]

    def _tables(self) -> dict[str, list[Any]]:
        names = [row[0] for row in self.books.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: self.books.execute(f"SELECT * FROM {name}").fetchall() for name in names if name not in FACTS}

    def _last(self) -> int:
        return int(self.books.execute("SELECT coalesce(max(n), 0) FROM ledger").fetchone()[0])

    def _acts(self, after: int) -> list[dict[str, Any]]:
        new = self._last() - after
        with self.node.office.store.reading() as books:
            rows = books.rows("ledger", newest=new) if new else []
            return sorted(self.node.office.scribe.read(books, rows), key=lambda act: act["n"])

    def _token(self, who: str) -> str:
        if who not in self.tokens:
            answer = self.line.post("/v1/sign-in", json={"officer": who, "passphrase": PASSPHRASE})
            self.tokens[who] = answer.json()["token"]
        return self.tokens[who]

    @contextmanager
    def full(self) -> Iterator[None]:
        """While nothing more can be written into the ledger."""
        full = "SELECT RAISE(ABORT, 'database or disk is full')"
        self.books.execute(f"CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN {full}; END")
        try:
            yield
        finally:
            self.books.execute("DROP TRIGGER full")
            self.world.wire.crashes.clear()  # a fault is what was expected

    # -- what there is to call about --

    def told(self, say: Mapping[str, Any] | None = None, **facts: Any) -> str:
        """A message that North has just sent and South has taken in."""
        sent = self.north.send(say or lorry(), SOUTH, agr=self.agr, **facts)
        assert sent.state == "sent", sent
        self.node.collect_all()
        return sent.msg or ""

    def asked(self) -> str:
        """A request of North's."""
        return self.told(question())

    def bound(self) -> str:
        """A message with a handling text."""
        return self.told(lorry(handling_text="To be read by Pellucid's team, and by nobody else."))

    def sealed(self) -> tuple[str, str]:
        """A message with an identity sealed to South's role, and the part's name."""
        north = self.north
        part = north.service.protection.seal(IDENTITY, referral(), [SOUTH], north.officer(), THEIRS)
        return self.told(referral(sealed_parts=[part])), part["id"]

    def draft(self, say: Mapping[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
        """A draft of South's, as a call has it."""
        found: dict[str, Any] = self.world.node(SOUTH).draft(say or lorry(), NORTH, agr=self.agr, **facts).to_json()
        return {name: value for name, value in found.items() if value is not None}

    def sent(self, **facts: Any) -> dict[str, Any]:
        """A message that South has just sent to North."""
        body = {"draft": self.draft(**facts), "justification": REASON}
        found = self.line.post("/v1/messages", json=body, headers={"Authorization": f"Bearer {self._token(DUTY)}"})
        assert found.status_code == 200, found.text
        self.north.collect()
        return dict(found.json())

    def waiting(self) -> str:
        """A message of South's that waits for a release."""
        found = self.sent(say={**EVIDENCE, "case": {"reference": CASE}})
        assert found["state"] == "pending_release", found
        return str(found["ref"])

    def officer(self, name: str) -> Officer:
        return self.app.state.sessions._profile.officers[name]  # type: ignore[no-any-return]


@contextmanager
def walked(home: Path) -> Iterator[Town]:
    """The town, one for all that is walked."""
    with World(home, [NORTH, SOUTH, EAST], agreements=()) as world:
        agr = world.agreements["all"] = world.agree(_terms("all"))
        for name in ("spare-1", "spare-2", "spare-3"):
            world.agreements[name] = world.agree(terms(name, [NORTH, SOUTH]))
        world.protect(SOUTH, {KEEPER: PASSPHRASE, STRANGER: PASSPHRASE})
        officers = [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]
        strange: dict[str, Any] = {"cases": frozenset[str](), "clearance": Classification.UNCLASSIFIED}
        profile = new_profile(SOUTH, [replace(one, **strange) if one.id == STRANGER else one for one in officers])
        path = home / "served.db"
        settings = Settings(
            database=path, fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
            identity=world.federation.identities[SOUTH], profile=profile, broker=f"http://{BROKER}", background=False,
            role_key=world.role_keys[SOUTH], offences=read_table(load_offences()[SOUTH]),
            witness=Cosigner(f"{SOUTH}/witness", Signer.generate()),
        )  # fmt: skip
        app = create_app(settings, clock=world.clock, http=world.client(SOUTH))
        app.state.node.refresh()
        books = sqlite3.connect(path, isolation_level=None)
        world.wire.attach("node.sim", app)
        with world.wire.client("desk", "http://node.sim") as line:
            yield Town(world, app, line, books, agr)
        world.wire.detach("node.sim")
        books.close()


def _terms(name: str) -> dict[str, Any]:
    """Everything is permitted, evidence waits for a release, and what is held is reviewed."""
    made = terms(name, [NORTH, SOUTH, EAST])
    (clause,) = made["clauses"]
    held = {**clause["conditions"], "review_days": 60, "onward": "by_consent"}
    usual = [one for one in clause["types"] if one not in ("evidence_transfer", "exculpatory_notice")]
    slow = {**held, "human_release": True}
    made["clauses"] = [
        {**clause, "conditions": held, "types": usual},
        {**clause, "id": "slow", "conditions": slow, "types": ["evidence_transfer"]},
    ]
    return made
