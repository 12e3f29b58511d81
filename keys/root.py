"""Federation roots: a chain signed by thresholds, from a pinned first version (KEY-20 to KEY-25).

The digest of the first root's payload is the federation's id. A later root is signed by enough of the
keys of the root before it and enough of its own, as in TUF. A root that is not marked as a simulation is
refused, whoever signed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from keys.encoding import read_json, stamp
from keys.errors import RootRefused
from keys.members import (
    PROTOCOL,
    SKEW,
    Digest,
    Id,
    Instant,
    Origin,
    Raw,
    Strict,
    Text,
    Version,
    only,
    pair_of,
    public_key,
    read_members,
)
from keys.signing import ED25519, MAX_STATEMENT, ML_DSA_44, PublicKey, PublicPair, Statement, Typ, verify_pair

NOTICE: Final = "SIMULATION - synthetic data only"


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Who signs checkpoints: the origin line and both keys, of which both must sign."""

    origin: str
    ed25519: PublicKey
    mldsa44: PublicKey
    shards: tuple[tuple[str, int], ...] = ()
    """The log's later shards as far as their beginnings were verified, by base: origin and base (LOG-122)."""


@dataclass(frozen=True, slots=True)
class BrokerIdentity:
    """Who answers HTTP calls: a name and the transport keys that may sign answers."""

    id: str
    transport: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class FederationRoot:
    """The newest root of a federation, verified back to the first, whose digest is ``fed``."""

    fed: str
    version: int
    name: str
    threshold: int
    root_keys: tuple[PublicPair, ...]
    enrolment: tuple[PublicPair, ...]
    log: LogIdentity
    broker: BrokerIdentity
    min_protocol: str
    issued: datetime
    expires: datetime
    statement: Statement

    @property
    def digest(self) -> str:
        """The root's name, which its successor cites; for version 1 it is the federation's id."""
        return self.statement.digest

    def kids(self) -> list[str]:
        """Every key id the root gives out, each for one use."""
        pairs = [*self.root_keys, *self.enrolment, PublicPair(self.log.ed25519, self.log.mldsa44)]
        return [key.kid for pair in pairs for key in pair] + [key.kid for key in self.broker.transport]


class _PairMembers(Strict):
    ed25519: Raw
    mldsa44: Raw

    def pair(self) -> PublicPair:
        return PublicPair(public_key(ED25519, self.ed25519), public_key(ML_DSA_44, self.mldsa44))


class _LogMembers(_PairMembers):
    origin: Origin


class _BrokerMembers(Strict):
    id: Id
    transport: Annotated[list[Raw], Field(min_length=1, max_length=8)]


class _RootMembers(Strict):
    v: Literal["ix/1"]
    typ: Literal["root"]
    simulation: Literal[True]
    notice: Literal["SIMULATION - synthetic data only"]
    name: Text
    version: Version
    prev: Digest = ""
    issued: Instant
    expires: Instant
    threshold: Annotated[int, Field(ge=1, le=16)]
    root_keys: Annotated[list[_PairMembers], Field(min_length=1, max_length=16)]
    enrolment: Annotated[list[_PairMembers], Field(min_length=1, max_length=8)]
    log: _LogMembers
    broker: _BrokerMembers
    min_protocol: Annotated[str, StringConstraints(pattern=r"^ix/[1-9][0-9]{0,3}$")]


def verify_roots(statements: Sequence[Statement], fed: str, now: datetime) -> tuple[FederationRoot, ...]:
    chain: list[FederationRoot] = []
    for statement in statements:
        chain.append(_verify_root(statement, chain[-1] if chain else None, fed))
    if not chain:
        raise RootRefused("there is no root")
    newest = chain[-1]
    if newest.issued > now + SKEW:
        raise RootRefused(f"the root says it was issued at {stamp(newest.issued)}, which is yet to come")
    if now >= newest.expires:  # only the newest must be fresh: the older ones merely lead to it, as in TUF
        raise RootRefused(f"the root expired at {stamp(newest.expires)}")
    if newest.min_protocol != PROTOCOL:
        raise RootRefused(f"the federation needs protocol `{newest.min_protocol}`; this is `{PROTOCOL}`")
    return tuple(chain)


def _verify_root(statement: Statement, previous: FederationRoot | None, fed: str) -> FederationRoot:
    if previous is None and statement.digest != fed:
        raise RootRefused("the first root is not the one whose digest is the federation's id")
    value = read_json(statement.payload, limit=MAX_STATEMENT)
    if type(value) is not dict or value.get("simulation") is not True:
        raise RootRefused("the root is not marked as a simulation, and nothing else may run on this code")
    members = read_members(_RootMembers, value, RootRefused)
    root = _root(members, statement, fed)
    if len(set(root.kids())) != len(root.kids()):
        raise RootRefused("the root lists a key twice: one key has one use")
    if root.threshold > len(root.root_keys):
        raise RootRefused("the root's threshold is higher than its number of keys")
    if root.expires <= root.issued:
        raise RootRefused("the root expires before it was issued")
    if members.version != (previous.version + 1 if previous else 1):
        raise RootRefused(f"root version {members.version} is not the next one")
    if members.prev != (previous.digest if previous else ""):
        raise RootRefused("the root does not name the one before it")
    if previous and root.issued < previous.issued:
        raise RootRefused("the root was issued before the one it follows")
    _verify_threshold(statement, root, previous)
    return root


def _root(members: _RootMembers, statement: Statement, fed: str) -> FederationRoot:
    log = members.log.pair()
    return FederationRoot(
        fed=fed,
        version=members.version,
        name=members.name,
        threshold=members.threshold,
        root_keys=tuple(pair.pair() for pair in members.root_keys),
        enrolment=tuple(pair.pair() for pair in members.enrolment),
        log=LogIdentity(members.log.origin, log.ed25519, log.mldsa44),
        broker=BrokerIdentity(members.broker.id, tuple(public_key(ED25519, raw) for raw in members.broker.transport)),
        min_protocol=members.min_protocol,
        issued=members.issued,
        expires=members.expires,
        statement=statement,
    )


def _verify_threshold(statement: Statement, root: FederationRoot, previous: FederationRoot | None) -> None:
    """Every signature must be of a known root key and verify; then both thresholds are counted (KEY-22)."""
    known = {*root.root_keys, *(previous.root_keys if previous else ())}
    signed: set[PublicPair] = set()
    for pair in statement.pairs:
        signer = pair_of(pair[0].kid, pair[1].kid, known)
        if signer is None or signer in signed:
            raise RootRefused("the root is signed by a key that is no root key, or twice by the same")
        verify_pair(statement.raw_payload, pair, only(signer), Typ.ROOT)
        signed.add(signer)
    for authority in (root, previous):
        if authority and len(signed & set(authority.root_keys)) < authority.threshold:
            raise RootRefused(
                f"the root has fewer than the {authority.threshold} signatures version {authority.version} asks for"
            )
