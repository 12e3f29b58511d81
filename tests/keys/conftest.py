"""A federation with one agency, made of fixed seeds, that every test of the keys can bend out of shape."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from keys.ceremony import RootPlan, enrol, federation_id, new_root
from keys.encoding import write_json
from keys.keystore import BrokerKeys, Identity
from keys.sealing import OpeningKey
from keys.signing import Signer, Statement, TransportSigner, Typ, cosign, parse_statement, sign
from keys.trust import Directory

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)


def seed(label: str) -> bytes:
    return hashlib.sha256(f"ix test {label}".encode()).digest()


def a_signer(label: str) -> Signer:
    return Signer.from_seeds(seed(f"{label} ed25519"), seed(f"{label} mldsa44"))


def an_identity(agency: str) -> Identity:
    opening = OpeningKey.from_seed(seed(f"{agency} opening"))
    transport = TransportSigner.from_seed(seed(f"{agency} transport"))
    return Identity(agency, a_signer(agency), opening, (opening,), transport, seed(f"{agency} pseudonym"))


@dataclass(frozen=True)
class Federation:
    roots: tuple[Signer, ...]
    enrolment: Signer
    broker: BrokerKeys
    plan: RootPlan
    root: bytes
    fed: str
    now: datetime
    north: Identity
    south: Identity

    def directory(self, *records: bytes) -> Directory:
        return Directory.build([self.root], records, fed=self.fed, now=self.now)

    def enrol(self, identity: Identity, **changes: Any) -> bytes:
        members: dict[str, Any] = {"agency": identity.agency, "name": identity.agency.split(".")[0].title()}
        members |= {"roles": ["police"], "territory": "XN", "ceiling": "confidential", "now": self.now}
        return enrol(self.fed, identity.public, self.enrolment, **(members | changes))

    def bend_record(self, record: bytes, change: Callable[[Any], Any], signer: Signer | None = None) -> bytes:
        """The record with its payload changed, signed well all the same."""
        return bend(record, change, [signer or self.enrolment], Typ.RECORD)

    def bend_root(self, change: Callable[[Any], Any], signers: int = 2) -> bytes:
        return bend(self.root, change, list(self.roots[:signers]), Typ.ROOT)


def bend(statement: bytes, change: Callable[[Any], Any], signers: list[Signer], typ: Typ) -> bytes:
    payload = json.loads(parse_statement(statement).payload)
    change(payload)
    return sign_all(write_json(payload), signers, typ).to_bytes()


def sign_all(payload: bytes, signers: list[Signer], typ: Typ) -> Statement:
    statement = sign(payload, signers[0], typ)
    for signer in signers[1:]:
        statement = cosign(statement, signer, typ)
    return statement


@pytest.fixture(scope="session")
def federation() -> Federation:
    roots = tuple(a_signer(f"root {n}") for n in (1, 2, 3))
    enrolment = a_signer("enrolment")
    broker = BrokerKeys("broker.sim", a_signer("log"), TransportSigner.from_seed(seed("broker transport")))
    plan = RootPlan(
        name="Exercise Harbour",
        root_keys=tuple(signer.public for signer in roots),
        threshold=2,
        enrolment=(enrolment.public,),
        origin="log.broker.sim/ix",
        log=broker.log.public,
        broker=broker.broker,
        transport=(broker.transport.public,),
    )
    root = new_root(plan, roots[:2], now=NOW)
    north, south = an_identity("north.police.sim"), an_identity("south.police.sim")
    return Federation(roots, enrolment, broker, plan, root, federation_id(root), NOW, north, south)


@pytest.fixture(scope="session")
def make_signer() -> Callable[[str], Signer]:
    return a_signer


@pytest.fixture(scope="session")
def make_identity() -> Callable[[str], Identity]:
    return an_identity


@pytest.fixture(scope="session")
def make_seed() -> Callable[[str], bytes]:
    return seed
