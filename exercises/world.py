"""A whole exchange in one process: a broker, its agencies' nodes, one clock, one wire.

Real apps, real keys, real books in temporary SQLite files; no sockets, and no time but what the world
lets pass. ``world.clock.advance(hours=8)`` moves everybody at once. The wire between them can lose,
deafen, delay, duplicate and alter (``world.wire.trouble``), from one seed. ``world.settle()`` lets
everybody retry and collect until nothing moves; ``world.audit()`` exports the log and verifies it as a
stranger would, and checks every node's ledger against it.

    with World(folder) as world:
        sent = world.node("north.police.sim").send(sample("smuggling_route_request"), "south.police.sim")
        world.settle()
        assert world.audit().clean

A crash of an app that nobody expected is raised when the world closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from agencies.node.broker_client import BrokerClient
from agencies.node.care.offences import read_table
from agencies.node.ledger import justify
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.mail.outbox import Sent
from agencies.node.profile import Officer, OfficerRole, read_rights
from agencies.node.service import Node
from agencies.node.store import Store
from agencies.profiles import Plan, load_offences, load_plans, load_terms
from exchange.audit.export import AuditReport, Finding, verify_export
from exchange.broker.app import create_app
from exchange.broker.settings import Settings
from exchange.commands_audit import export
from exchange.protocol.log import LogSigner
from exercises.federation import BROKER, ORIGIN, Federation
from exercises.wire import Wire
from keys.ceremony import protect, revoke, rotate
from keys.encoding import read_json
from keys.errors import Refusal
from keys.keystore import Identity
from keys.rolekey import RoleKey
from keys.signing import Signer
from keys.trust import AgencyRecord, Directory

START: Final = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
BROKER_HOST: Final = BROKER
WHY: Final = justify("training", "an exercise on invented data, told by the world")
SAMPLES: Final = Path(__file__).parent / "samples"
MAX_ROUNDS: Final = 40
TASK_FORCE: Final = "smuggling-task-force"
REFERRAL: Final = "victim-referral"
_plans, _terms, _offences = cache(load_plans), cache(load_terms), cache(load_offences)


class Clock:
    """The one clock of a world; it stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> datetime:
        """Let time pass: ``advance(hours=8)``. Time does not run backwards."""
        passed = timedelta(**by)
        if passed < timedelta(0):
            raise ValueError("time does not run backwards in this world")
        self.now += passed
        return self.now


@dataclass(frozen=True, slots=True)
class Audit:
    """What a stranger finds in the exported log, and what each node finds in its own ledger against it."""

    report: AuditReport
    ledgers: Mapping[str, tuple[Finding, ...]]

    @property
    def clean(self) -> bool:
        """Whether nobody found anything wrong."""
        return self.report.clean and not any(self.ledgers.values())

    @property
    def findings(self) -> list[Finding]:
        """Everything that was found, the log's findings first."""
        return [*self.report.findings, *(finding for found in self.ledgers.values() for finding in found)]


class WorldNode:
    """One agency of a world: its node, its officers, and the shortest words for what they do."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan, self.id = world, plan, plan.id
        self.officers = tuple(
            Officer(o.id, frozenset(OfficerRole(role) for role in o.roles), o.display, **read_rights(o.rights))
            for o in plan.officers
        )
        self.store = Store(world.home / f"{plan.id}.db")
        identity = world.federation.identities[plan.id]
        self.service = Node(
            identity, self.store, world.federation.directory, self._connect, world.clock,
            role_key=world.role_keys.get(plan.id), persecutors=world.persecutors,
            offences=read_table(_offences()[plan.id]) if plan.id in _offences() else None,
        )  # fmt: skip

    def officer(self, role: str = "officer") -> Officer:
        """The first officer with a role."""
        return next(o for o in self.officers if OfficerRole(role) in o.roles)

    def send(
        self, content: Mapping[str, Any], *to: str, key: str | None = None, ruling: bool = False, **facts: Any
    ) -> Sent:
        """Send a content; what the manifest needs is read from it unless it is said."""
        return self.service.send(self.draft(content, *to, **facts), self.officer(), WHY, key=key, ruling=ruling)

    def draft(self, content: Mapping[str, Any], *to: str, **facts: Any) -> OfficerDraft:
        """Write a draft around a content. ``facts`` overrule what is read from it."""
        question = content.get("question")
        said: dict[str, Any] = {
            "to": list(to),
            "purpose": question["purpose"] if question else "investigate",
            "crime": question["crime"] if question else "immigrant_smuggling",
            "class": "restricted",
            "handling": ["H3"] if "handling_text" in content else ["H0"],
            "urgency": question["urgency"]["code"] if question else "none",
            "content": dict(content),
        }
        renamed = {"classification": "class"}
        return read_draft({**said, **{renamed.get(name, name): value for name, value in facts.items()}})

    def release(self, ref: str, *, approve: bool = True) -> Sent:
        """Have the release officers decide about a waiting message: one, or two where a second must agree."""
        for officer in self.officers:
            if OfficerRole.RELEASE_OFFICER in officer.roles:
                sent = self.service.release(ref, officer, WHY, approve=approve)
                if sent.state != "pending_release":
                    break
        return sent

    def collect(self) -> list[str]:
        """Collect everything that waits; the digests of the messages that came."""
        return self.service.collect_all()

    def acknowledge(self, message: str, role: str = "officer") -> str | None:
        """Read a message's handling text, if it has one, and acknowledge it."""
        text = self.service.condition(message, self.officer(role), WHY)
        if text is not None:
            self.service.acknowledge(message, self.officer(role), WHY)
        return text

    def open(self, message: str) -> dict[str, Any]:
        """Show a message's content to an officer, after what it asks to acknowledge, and let its sender know."""
        if message in self.inbox():
            self.acknowledge(message)
        content = self.service.open(message, self.officer(), WHY)
        self.service.post_receipts()
        return content

    def receipts(self, message: str) -> list[tuple[str, str]]:
        """Who said what became of a message of ours: (agency, status) in the order of the log."""
        found = sorted(self.service.receipts(message), key=lambda one: one["index"])
        return [(one["by"], one["status"]) for one in found]

    def inbox(self) -> list[str]:
        """Digests of the messages here, newest first."""
        return [one["msg"] for one in self.service.inbox()]

    def _connect(self, directory: Callable[[], Directory]) -> BrokerClient:
        signer = self.world.federation.identities[self.id].transport
        return BrokerClient(self.world.client(self.id), f"http://{BROKER_HOST}", signer, directory, self.world.clock)


class World:
    """A broker and its agencies. ``agencies`` limits who takes part; agreements need all of their parties."""

    def __init__(
        self,
        home: Path,
        agencies: Iterable[str] | None = None,
        *,
        agreements: Iterable[str] = (TASK_FORCE, REFERRAL),
        seed: int = 0,
        start: datetime = START,
    ) -> None:
        self.home, self.seed, self.clock = home, seed, Clock(start)
        wanted = set(agencies) if agencies is not None else None
        plans = [plan for plan in _plans() if wanted is None or plan.id in wanted]
        self.federation = Federation.found(plans, self.clock())
        self.wire = Wire(self.clock, seed)
        self.troubles: list[Refusal] = []
        """What kept nodes from the broker while the world settled."""
        self._clients: list[Any] = []
        self._handles: dict[str, WorldNode] = {}
        self.agreements: dict[str, str] = {}
        self.role_keys: dict[str, RoleKey] = {}
        """The keys of those agencies that have a protection role (``protect``)."""
        self.persecutors: frozenset[str] = frozenset()
        """Territories that every node started from now on counts as persecutors."""
        try:
            self.start_broker()
            for plan in plans:
                self._handles[plan.id] = WorldNode(self, plan)
            terms = _terms()
            for name in agreements:
                if set(terms[name]["parties"]) <= self._handles.keys():
                    self.agreements[name] = self.agree(terms[name])
        except BaseException:
            self.close()
            raise

    # -- who is here --

    @property
    def broker_database(self) -> Path:
        """Where the broker's books are."""
        return self.home / "broker.db"

    def node(self, agency: str) -> WorldNode:
        """One agency."""
        return self._handles[agency]

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        """Everybody."""
        return tuple(self._handles.values())

    def client(self, caller: str) -> Any:
        """A line of the wire in somebody's name."""
        client = self.wire.client(caller, f"http://{BROKER_HOST}")
        self._clients.append(client)
        return client

    def start_broker(self) -> None:
        """Start the broker on its books, new or old."""
        keys = self.federation.broker
        settings = Settings(
            database=self.broker_database,
            fed=self.federation.fed,
            trust=self.federation.directory.to_bytes(),
            log=LogSigner(ORIGIN, keys.log),
            transport=keys.transport,
            authorities=frozenset({BROKER_HOST}),
            rate=100_000,
            burst=1_000_000,
        )
        self.wire.attach(BROKER_HOST, create_app(settings, clock=self.clock))

    def stop_broker(self) -> None:
        """Stop the broker; its books stay."""
        self.wire.detach(BROKER_HOST)

    def restart_node(self, agency: str, *, identity: Identity | None = None) -> WorldNode:
        """Start an agency's node anew on the same books, with a renewed identity if one is given."""
        old = self._handles.pop(agency)
        old.store.close()
        if identity:
            self.federation.identities[agency] = identity
        self._handles[agency] = WorldNode(self, old.plan)
        return self._handles[agency]

    # -- what happens --

    def agree(self, terms: Mapping[str, Any]) -> str:
        """Have every party sign terms through its own node; the digest of the agreement, now in force."""
        first, *others = (self.node(party) for party in terms["parties"])
        agreement = str(first.service.propose(terms, first.officer("release_officer"))["agr"])
        for node in others:
            node.service.sign_agreement(agreement, node.officer("release_officer"))
        for node in self.nodes:
            node.service.refresh()
        return agreement

    def settle(self) -> None:
        """Let everybody retry, collect and receipt until nothing moves; time passes only if somebody waits for it."""
        for _ in range(MAX_ROUNDS):
            if self._round():
                continue
            if not self._waiting():
                return
            self.clock.advance(minutes=16)  # longer than anybody pauses before asking again
        raise RuntimeError("the world does not settle; is a fault still planted on the wire?")

    def _round(self) -> bool:
        """Let everybody do what a running node does by itself, once; says whether anything changed anywhere."""
        before = self._state()
        late = self.wire.deliver_due()
        for node in self.nodes:
            try:
                node.service.retry_outbox()
                node.collect()
                node.service.post_receipts()
                node.service.sweep()
            except Refusal as refusal:  # a node that cannot reach the broker tries again in the next round
                self.troubles.append(refusal)
        return late > 0 or self._state() != before

    def _state(self) -> list[dict[str, Any]]:
        return [node.service.state() for node in self.nodes]

    def _waiting(self) -> bool:
        return any(
            state["outbox"]["pending"] or state["acts"]["pending"] or state["batches_unposted"]
            for state in self._state()
        )

    def protect(self, agency: str, passphrases: Mapping[str, str]) -> WorldNode:
        """Give an agency a protection role whose key opens to these officers' passphrases, and tell everybody."""
        self.role_keys[agency], public = RoleKey.generate(agency, passphrases)
        record = protect(self.federation.fed, self._record(agency), public, self._authority, now=self.clock())
        made = self._file(agency, record, self.federation.identities[agency])
        for node in self.nodes:
            node.service.refresh()
        return made

    def rotate(self, agency: str) -> WorldNode:
        """Give an agency new keys: a record signed by the enrolment authority, filed by the agency itself."""
        identity = self.federation.identities[agency].renewed()
        record = rotate(self.federation.fed, self._record(agency), identity.public, self._authority, now=self.clock())
        return self._file(agency, record, identity)

    def revoke(self, agency: str, reason: str = "a laptop was stolen in an exercise") -> WorldNode:
        """Take all of an agency's keys away from now on, and give it new ones."""
        identity, now = self.federation.identities[agency].renewed(), self.clock()
        record = self._record(agency)
        kids = [entry.kid for entry in record.keys if entry.valid(now)]
        following = revoke(
            self.federation.fed, record, kids, self._authority, reason=reason, now=now, replacement=identity.public
        )
        return self._file(agency, following, identity)

    @property
    def _authority(self) -> Signer:
        return self.federation.enrolment.signers[0]

    def _record(self, agency: str) -> AgencyRecord:
        return self.federation.directory.agency(agency)

    def _file(self, agency: str, record: bytes, identity: Identity) -> WorldNode:
        self.federation.directory = self.federation.directory.with_record(record, self.clock())
        renewed = self.restart_node(agency, identity=identity)
        renewed.service.office.broker.record(record)
        return renewed

    # -- was it all right --

    def audit(self, name: str = "export") -> Audit:
        """Export the log, verify it as a stranger would, and hold every ledger against it."""
        folder = self.home / f"{name}-{len(self.wire.calls)}"
        export(str(self.home), folder)

        def read(path: str) -> bytes | None:
            return (folder / path).read_bytes() if (folder / path).is_file() else None

        report = verify_export(read, fed=self.federation.fed, now=self.clock())
        return Audit(report, {node.id: node.service.reconcile().findings for node in self.nodes})

    # -- the end --

    def close(self) -> None:
        """Stop everybody and let go of every file."""
        self.wire.close()
        for client in self._clients:
            client.close()
        for node in self.nodes:
            node.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()
        if kind is None and self.wire.crashes:
            raise self.wire.crashes[0]


def sample(name: str) -> dict[str, Any]:
    """One of the invented cases, by file name."""
    found = read_json((SAMPLES / f"{name}.json").read_bytes(), limit=256 * 1024)
    return dict(found)
