"""A broker with four agencies around it, for tests: real app, real keys, real books on a temporary file.

Calls go through ASGI, each proved and each answer's proof verified, exactly as a node does it. ``Office``
holds one app; ``second`` opens another on the same file, which is what a second broker process is.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx

from exchange.broker.app import create_app
from exchange.broker.settings import Settings
from exchange.http import new_nonce, read_answer_proof, sign_request, verify_answer
from exchange.protocol.act import sign_act, write_act
from exchange.protocol.agreement import Statement
from exchange.protocol.content import parse_content, write_content
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner, sign_checkpoint
from exchange.protocol.message import MEDIA_TYPE, NDJSON, Draft, compose
from exchange.protocol.receipt import ReceiptItem, build_receipts
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import Category, CrimeArea, Handling, MessageType, Purpose, ReceiptStatus
from keys.ceremony import AgencyKeys, RootPlan, enrol, federation_id, new_root
from keys.encoding import digest, write_json
from keys.keystore import BrokerKeys, Identity
from keys.sealing import new_message_id
from keys.signing import Signer, Typ, cosign, sign
from keys.trust import Directory
from tests.vectors.stage import SMALL

NORTH, SOUTH, NGO, FIU = "north.police.sim", "south.police.sim", "harbour.ngo.sim", "south.fiu.sim"
ROLES: Final = {NORTH: "police", SOUTH: "police", NGO: "ngo", FIU: "fiu"}
HOST: Final = "broker.sim:8400"
ORIGIN: Final = "broker.sim/log"
START: Final = datetime(2026, 11, 21, 16, 20, 0, tzinfo=UTC)
CONTENT: Final = SMALL


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@dataclass(frozen=True)
class Cast:
    """The federation's keys; made once, because making them costs more than most tests."""

    fed: str
    root: bytes
    enrolment: Signer
    keys: BrokerKeys
    identities: dict[str, Identity]
    directory: Directory

    @classmethod
    def build(cls, begun: datetime) -> Cast:
        roots, enrolment, keys = (
            (Signer.generate(), Signer.generate()),
            Signer.generate(),
            BrokerKeys.generate("broker.sim"),
        )
        plan = RootPlan(
            "Federation of the broker's tests (SIMULATION)", tuple(r.public for r in roots), 2, (enrolment.public,),
            ORIGIN, keys.log.public, "broker.sim", (keys.transport.public,),
        )  # fmt: skip
        root = new_root(plan, roots, now=begun)
        fed = federation_id(root)
        identities = {agency: Identity.generate(agency) for agency in ROLES}
        records = [
            enrol(fed, who.public, enrolment, agency=agency, name=agency, roles=(ROLES[agency],), territory="XN",
                  ceiling="confidential", now=begun)
            for agency, who in identities.items()
        ]  # fmt: skip
        return cls(fed, root, enrolment, keys, identities, Directory.build([root], records, fed=fed, now=begun))

    def agreement(self, *parties: str, signers: Sequence[str] | None = None, **changes: Any) -> Statement:
        """An agreement that permits what the tests send between police, signed by all parties or those named."""
        conditions = {"handling_required": [], "urgency": ["u_direct", "u_indirect", "normal", "none"],
                      "onward": "none", "evidence": False, "human_release": False}  # fmt: skip
        clause = {
            "id": "c1", "effect": "permit", "title": "Police tell each other", "from": ["party:any"],
            "to": ["role:police"], "types": [t.value for t in MessageType], "purposes": [p.value for p in Purpose],
            "crimes": [c.value for c in CrimeArea],
            "cats": [c.value for c in Category if c is not Category.PERSON_VICTIM], "class_max": "restricted",
            "conditions": conditions,
        }  # fmt: skip
        terms = {
            "fed": self.fed, "id": "task-force", "version": 1, "title": "A task force", "kind": "task_force",
            "parties": list(parties), "bases": ["bilateral_agreement"], "territory": ["XN"],
            "start": START - timedelta(days=1), "end": START + timedelta(days=3650), "clauses": [clause],
        }  # fmt: skip
        first, *others = signers or parties
        statement = sign(write_terms({**terms, **changes}), self.identities[first].signer, Typ.AGREEMENT)
        for other in others:
            statement = cosign(statement, self.identities[other].signer, Typ.AGREEMENT)
        return statement

    def notice(self, act: str, agreement: str, by: str, now: datetime) -> Statement:
        payload = write_notice(act, fed=self.fed, agreement=agreement, by=by, ts=now, reason="a test says so")
        return sign(payload, self.identities[by].signer, Typ.NOTICE)

    def act(self, kind: str, by: str, msg: str, now: datetime, **members: Any) -> bytes:
        payload = write_act(kind, fed=self.fed, by=by, ts=now, msg=msg, **members)
        return sign_act(payload, self.identities[by].signer)

    def head(self, by: str, size: int, root: bytes = b"", at: datetime = START) -> str:
        """The signed head of a ledger; without a root, one that goes with the size."""
        log = LogSigner(ledger_origin(ORIGIN, by), self.identities[by].signer)
        return sign_checkpoint(size, root or sha256(f"{by} {size}".encode()).digest(), log, at)

    def compose(
        self,
        agreement: str,
        *to: str,
        sender: str = NORTH,
        now: datetime = START,
        content: bytes = CONTENT,
        **changes: Any,
    ) -> bytes:
        draft = Draft(
            fed=self.fed, id=new_message_id(now), ts=now, exp=now + timedelta(days=7), sender=sender,
            recipients=tuple((agency, self.identities[agency].opening.public) for agency in to or (SOUTH,)),
            agreement=agreement, purpose="investigate", crime="immigrant_smuggling", classification="restricted",
            handling=(Handling.H2.value,), urgency="none", by=digest(b"officer"),
        )  # fmt: skip
        return compose(replace(draft, **changes), content, self.identities[sender].signer)

    def receipts(self, by: str, now: datetime, *items: tuple[str, str] | tuple[str, str, str]) -> bytes:
        listed = [
            ReceiptItem(msg=i[0], status=ReceiptStatus(i[1]), **({"code": i[2]} if len(i) > 2 else {})) for i in items
        ]
        return build_receipts(listed, by=by, fed=self.fed, ts=now, signer=self.identities[by].signer)


@cache
def cast() -> Cast:
    """The one cast of all tests in a process."""
    return Cast.build(START - timedelta(days=30))


@dataclass(frozen=True)
class Got:
    """An answer whose proof was verified (or, for an open path, needed none)."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def code(self) -> str:
        return str(self.json["code"])


@dataclass
class Office:
    """One app, and everybody who calls it."""

    path: Path
    clock: Clock
    cast: Cast = field(default_factory=cast)
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(self.settings(), clock=self.clock)
        self.loop = asyncio.new_event_loop()

    def settings(self, **changes: Any) -> Settings:
        cast = self.cast
        members = {
            "database": self.path, "fed": cast.fed, "trust": cast.directory.to_bytes(),
            "log": LogSigner(ORIGIN, cast.keys.log), "transport": cast.keys.transport,
            "authorities": frozenset({HOST}), "poll_seconds": 0.05, **self.changes, **changes,
        }  # fmt: skip
        return Settings(**members)

    @property
    def broker(self) -> Any:
        return self.app.state.broker

    def second(self) -> Office:
        """Another app on the same books."""
        return Office(self.path, self.clock, self.cast, self.changes)

    def close(self) -> None:
        self.broker.close()
        self.loop.close()

    # -- calling --

    def call(self, *args: Any, **kwargs: Any) -> Got:
        """One call, to its end."""
        return self.loop.run_until_complete(self.acall(*args, **kwargs))

    def together(self, *calls: Any) -> list[Any]:
        """Several calls at once in the app's loop."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*calls)

        return self.loop.run_until_complete(all_of_them())

    async def acall(
        self,
        who: str | Identity | None,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        media: str = "",
        created: int | None = None,
        nonce: str | None = None,
        tampered: Mapping[str, str] | None = None,
        sent: bytes | None = None,
        host: str = HOST,
    ) -> Got:
        """Make a proved call. ``sent`` replaces the body after it was signed, ``tampered`` header fields."""
        headers = {"host": host, **({"content-type": media} if media else {})}
        if who is not None:
            signer = (self.cast.identities[who] if isinstance(who, str) else who).transport
            created = int(self.clock.now.timestamp()) if created is None else created
            proof = sign_request(method, host, path, query, body, signer, created=created, nonce=nonce or new_nonce())
            headers |= {**proof, **(tampered or {})}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            url = f"{path}?{query}" if query else path
            answer = await client.request(method, url, content=body if sent is None else sent, headers=headers)
        if who is not None and "Signature" in headers and "signature" in answer.headers:
            self.believe(answer, headers)
        return Got(answer.status_code, answer.content, answer.headers)

    def believe(self, answer: httpx.Response, call: Mapping[str, str]) -> None:
        """Verify the broker's signature under an answer."""
        proof = read_answer_proof(answer.headers)
        key = self.cast.keys.transport.public
        verify_answer(proof, key, answer.status_code, answer.headers, answer.content, call, now=self.clock.now)

    # -- what people do --

    def submit(self, envelope: bytes, who: str = NORTH, **kwargs: Any) -> Got:
        return self.call(who, "POST", "/v1/messages", envelope, media=MEDIA_TYPE, **kwargs)

    def submit_batch(self, envelopes: Sequence[bytes], who: str = NORTH) -> Got:
        return self.call(who, "POST", "/v1/messages", b"\n".join(envelopes) + b"\n", media=NDJSON)

    def mailbox(self, who: str, after: int = -1, limit: int = 100, wait: int = 0) -> Any:
        got = self.call(who, "GET", "/v1/mailbox", query=f"after={after}&limit={limit}&wait={wait}")
        assert got.status == 200, got.body
        return got.json

    def proposals(self, who: str) -> Any:
        """What awaits signatures and this agency may see."""
        got = self.call(who, "GET", "/v1/proposals", query="limit=200")
        assert got.status == 200, got.body
        return got.json["proposals"]

    def act(self, kind: str, by: str, msg: str, **members: Any) -> Got:
        """Sign an act and post it."""
        return self.statement(by, "/v1/acts", self.cast.act(kind, by, msg, self.clock.now, **members))

    def head(self, by: str, size: int, root: bytes = b"", *, at: datetime | None = None) -> Got:
        """Sign the head of an agency's ledger and post it."""
        return self.note(by, self.cast.head(by, size, root, at or self.clock.now))

    def note(self, who: str, note: str | bytes, media: str = "text/plain; charset=utf-8") -> Got:
        body = note.encode() if isinstance(note, str) else note
        return self.call(who, "POST", "/v1/heads", body, media=media)

    def derived(self, agreement: str, *to: str, sender: str, src: tuple[str, ...] = (), **changes: Any) -> bytes:
        """An envelope whose content was taken from these messages, as it says itself."""
        content = {**json.loads(CONTENT), "sources": [{"msg": one, "fields": [""]} for one in sorted(src)]}
        written = write_content(parse_content(write_json(content if src else json.loads(CONTENT))))
        now = changes.pop("now", self.clock.now)
        return self.cast.compose(agreement, *to, sender=sender, now=now, content=written, src=src, **changes)

    def agree(self, *parties: str, **changes: Any) -> str:
        """Bring an agreement into force; its digest."""
        statement = self.cast.agreement(*parties, **changes)
        got = self.statement(parties[0], "/v1/agreements", statement.to_bytes())
        assert got.status == 200, got.body
        return statement.digest

    def statement(self, who: str | Identity, path: str, body: bytes) -> Got:
        return self.call(who, "POST", path, body, media="application/jose+json")

    def entries(self) -> list[Any]:
        """The whole log, read from the books."""
        with self.broker._store.reading() as view:
            return [json.loads(entry) for entry in view.entries(0, view.head().size)]

    @property
    def size(self) -> int:
        """How long the log is."""
        with self.broker._store.reading() as view:
            return int(view.head().size)


@contextmanager
def open_office(folder: Path, **changes: Any) -> Iterator[Office]:
    """An office for one test."""
    office = Office(folder / "broker.db", Clock(), changes=changes)
    try:
        yield office
    finally:
        office.close()


_numbers = itertools.count()
_ = AgencyKeys
