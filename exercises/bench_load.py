"""What the bench sends: agencies, one agreement, and messages composed before any clock runs."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from agencies.profiles import Plan, PlannedOfficer
from exchange.http import new_nonce, sign_request
from exchange.protocol import message
from exchange.protocol.content import content_from, write_content
from exchange.protocol.vocabulary import Category, CrimeArea, Handling, MessageType, Purpose, Urgency
from exercises.federation import Federation
from exercises.load import write_request
from keys.encoding import digest, read_json
from keys.keystore import Identity
from keys.sealing import new_message_id, pseudonym
from keys.signing import parse_statement

SAMPLE: Final = Path(__file__).parent / "samples" / "spontaneous_info.json"
MAX_PARTIES: Final = 14
"""Agencies under one agreement: a day's 70 make five such rooms."""
OFFICER: Final = PlannedOfficer("desk-1", "Desk 1", ("officer",))
EXPIRES: Final = timedelta(days=7)


def content() -> bytes:
    """One invented case message as it is sealed, about 1.5 KiB."""
    return write_content(content_from(read_json(SAMPLE.read_bytes(), limit=256 * 1024)))


def found(agencies: int, now: datetime) -> Federation:
    """A federation of so many agencies, every fourteen under an agreement of their own."""
    roles = ("police", "border_guard", "fiu", "prosecutor")
    plans = [
        Plan(f"agency-{n:02}.sim", f"Agency {n} (SIMULATION)", (roles[n % len(roles)],), "XN", "restricted", (OFFICER,))
        for n in range(agencies)
    ]
    federation = Federation.found(plans, now, name="Bench (SIMULATION)")
    for first in range(0, agencies, MAX_PARTIES):
        parties = [plan.id for plan in plans[first : first + MAX_PARTIES]]
        federation.agree(f"room-{first // MAX_PARTIES}", terms(f"room-{first // MAX_PARTIES}", parties, now))
    return federation


def terms(name: str, parties: Sequence[str], now: datetime) -> dict[str, Any]:
    """An agreement under which its parties may tell each other what the sample carries."""
    clause = {
        "id": "c1",
        "effect": "permit",
        "title": "spontaneous information on smuggling",
        "from": ["party:any"],
        "to": ["party:any"],
        "types": [MessageType.SPONTANEOUS_INFO.value],
        "purposes": [Purpose.PREVENT.value],
        "crimes": [CrimeArea.IMMIGRANT_SMUGGLING.value],
        "cats": [category.value for category in Category],
        "class_max": "restricted",
        "conditions": {
            "handling_required": [],
            "urgency": [Urgency.NONE.value],
            "onward": "within_parties",
            "evidence": False,
            "human_release": False,
        },
    }
    return {
        "id": name,
        "version": 1,
        "title": "Bench (SIMULATION)",
        "kind": "exercise",
        "parties": list(parties),
        "bases": ["multilateral_agreement"],
        "territory": ["XN"],
        "start": now - timedelta(minutes=1),
        "end": now + timedelta(days=30),
        "clauses": [clause],
    }


def agreement_digest(signed: bytes) -> str:
    """The name of a signed agreement."""
    return parse_statement(signed).digest


@dataclass(frozen=True, slots=True)
class Pair:
    """Who writes to whom, under which agreement."""

    sender: str
    recipient: str
    agreement: str


def pairs(federation: Federation, count: int, seed: int = 0) -> list[Pair]:
    """Draw correspondents: every agency sends about equally often, to anybody it shares an agreement with."""
    chance, drawn = random.Random(seed), []
    rooms = {}
    for signed in federation.agreements.values():
        payload = read_json(parse_statement(signed).payload, limit=64 * 1024)
        rooms.update({party: (agreement_digest(signed), payload["parties"]) for party in payload["parties"]})
    agencies = sorted(rooms)
    for n in range(count):
        sender = agencies[n % len(agencies)]
        agreement, parties = rooms[sender]
        drawn.append(Pair(sender, chance.choice([party for party in parties if party != sender]), agreement))
    return drawn


def compose(federation: Federation, drawn: Sequence[Pair]) -> list[bytes]:
    """Seal and sign one message for each pair."""
    text = content()
    return [_compose(federation, pair, text) for pair in drawn]


def _compose(federation: Federation, pair: Pair, text: bytes) -> bytes:
    now, me = datetime.now(UTC), federation.identities[pair.sender]
    draft = message.Draft(
        fed=federation.fed,
        id=new_message_id(now),
        ts=now,
        exp=now + EXPIRES,
        sender=pair.sender,
        recipients=((pair.recipient, federation.directory.sealing_key(pair.recipient, now)),),
        agreement=pair.agreement,
        purpose=Purpose.PREVENT,
        crime=CrimeArea.IMMIGRANT_SMUGGLING,
        classification="restricted",
        handling=(Handling.H0,),
        urgency=Urgency.NONE,
        by=pseudonym(me.pseudonym_key, "officer", "bench"),
    )
    return message.compose(draft, text, me.signer)


def write_post(url: str, sender: Identity, body: bytes, media: str) -> bytes:
    """Write out one signed POST /v1/messages; to be sent within a minute."""
    authority = url.removeprefix("http://")
    created = int(time.time())
    proof = sign_request(
        "POST", authority, "/v1/messages", "", body, sender.transport, created=created, nonce=new_nonce()
    )
    return write_request("POST", f"{url}/v1/messages", body, {"content-type": media, **proof})


def floor_us(federation: Federation, envelopes: Sequence[bytes]) -> float:
    """Microseconds of one core that no broker can do without: both signatures checked, the body hashed.

    Nothing is parsed, looked up or written; keys are parsed already.
    """
    now = datetime.now(UTC)
    work = []
    for envelope in map(message.parse, envelopes):
        lookup = federation.directory.signing_lookup(envelope.manifest.from_, now)
        signed = [
            (lookup(s.kid, s.alg), s.value, f"{s.protected}.{envelope.statement.raw_payload}".encode())
            for s in envelope.statement.pairs[0]
        ]
        work.append((signed, envelope.body))
    rounds = []
    for _ in range(3):
        began = time.process_time_ns()
        for signed, body in work:
            for key, signature, data in signed:
                key.verify(signature, data)
            digest(body)
        rounds.append((time.process_time_ns() - began) / len(work) / 1000)
    return statistics.median(rounds)
