"""Agency records: what the enrolment authority says of an agency's keys, version by version (KEY-13 to KEY-18).

A version may add keys, end them sooner or revoke them from now on. It may not drop a key, stretch it,
revive it, or reach into the past: no judgement already made on a signature may turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import Field

from keys.encoding import b64u, read_json, stamp
from keys.errors import KeyNotValid, KeyUnknown, RecordRefused
from keys.members import (
    SKEW,
    Code,
    Digest,
    Id,
    Instant,
    Raw,
    Strict,
    Territory,
    Text,
    Version,
    only,
    pair_of,
    public_key,
    read_members,
    sealing_key,
)
from keys.root import FederationRoot
from keys.sealing import HPKE_ALG
from keys.signing import ED25519, MAX_STATEMENT, ML_DSA_44, PublicKey, PublicPair, Statement, Typ, verify_pair

MAX_KEYS: Final = 256

USES: Final = {"sig": (ED25519, ML_DSA_44), "enc": (HPKE_ALG,), "tls": (ED25519,), "prot": (HPKE_ALG,)}
"""Which algorithms each use of a key allows: signing statements, sealing messages, signing HTTP calls, sealing the
identities of protected persons."""
OPTIONAL: Final = frozenset({"prot"})
"""Uses an agency may do without: nobody can seal an identity to one that has no such key."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One public key of an agency, what it may be used for and when."""

    use: str
    alg: str
    kid: str
    raw: bytes
    nbf: datetime
    exp: datetime
    revoked: datetime | None = None
    reason: str | None = None

    def check(self, at: datetime) -> None:
        """Return if the key counts at ``at`` (nbf <= at < exp, and before any revocation), else ``KeyNotValid``."""
        if self.revoked is not None and at >= self.revoked:
            raise KeyNotValid(f"key `{self.kid}` was revoked at {stamp(self.revoked)}: {self.reason}")
        if not self.nbf <= at < self.exp:
            raise KeyNotValid(f"key `{self.kid}` is valid from {stamp(self.nbf)} to {stamp(self.exp)} only")

    def valid(self, at: datetime) -> bool:
        """Tell whether the key counts at an instant, where a choice among keys is made."""
        return self.nbf <= at < self.exp and (self.revoked is None or at < self.revoked)

    def key(self) -> PublicKey:
        """The parsed signing or transport key (cached)."""
        return public_key(self.alg, self.raw)

    def to_json(self) -> dict[str, str]:
        """The members of the record's ``keys`` list, in their order."""
        members = {"use": self.use, "alg": self.alg, "kid": self.kid, "pub": b64u(self.raw)}
        members |= {"nbf": stamp(self.nbf), "exp": stamp(self.exp)}
        if self.revoked is not None:
            members |= {"revoked": stamp(self.revoked), "reason": self.reason or ""}
        return members


@dataclass(frozen=True, slots=True)
class AgencyRecord:
    """One version of what the enrolment authority says of an agency."""

    agency: str
    name: str
    roles: tuple[str, ...]
    territory: str
    ceiling: str
    version: int
    prev: str | None
    issued: datetime
    keys: tuple[KeyEntry, ...]
    statement: Statement

    @property
    def digest(self) -> str:
        """The record's name, which its successor cites: SHA-256 of the payload bytes."""
        return self.statement.digest


_NEVER: Final = datetime.max.replace(tzinfo=UTC)  # stands for an absent member; a written null is refused


class _KeyMembers(Strict):
    use: Literal["sig", "enc", "tls", "prot"]
    alg: str
    kid: Digest
    pub: Raw
    nbf: Instant
    exp: Instant
    revoked: Instant = _NEVER
    reason: Text = ""


class _RecordMembers(Strict):
    v: Literal["ix/1"]
    typ: Literal["record"]
    fed: Digest
    agency: Id
    name: Text
    roles: Annotated[list[Code], Field(min_length=1, max_length=8)]
    territory: Territory
    ceiling: Code
    version: Version
    prev: Digest = ""
    issued: Instant
    keys: Annotated[list[_KeyMembers], Field(min_length=1, max_length=MAX_KEYS)]


def verify_record(statement: Statement, root: FederationRoot, now: datetime) -> AgencyRecord:
    """Check the enrolment signature, then the record by itself; ``append`` checks it against its past."""
    record = _read_signed(statement, root.enrolment, root.fed, root.broker.id)
    if record.issued > now + SKEW:
        raise RecordRefused(f"the record says it was issued at {stamp(record.issued)}, which is yet to come")
    return record


@lru_cache(maxsize=2048)  # a node reads the whole directory again whenever one record is new; a refusal is not kept
def _read_signed(statement: Statement, enrolment: tuple[PublicPair, ...], fed: str, broker: str) -> AgencyRecord:
    if len(statement.pairs) != 1:
        raise RecordRefused("a record is signed by exactly one enrolment key pair")
    pair = statement.pairs[0]
    signer = pair_of(pair[0].kid, pair[1].kid, enrolment)
    if signer is None:
        raise KeyUnknown("the record is not signed by an enrolment key of the newest root")
    verify_pair(statement.raw_payload, pair, only(signer), Typ.RECORD)
    members = read_members(_RecordMembers, read_json(statement.payload, limit=MAX_STATEMENT), RecordRefused)
    if members.fed != fed:
        raise RecordRefused("the record belongs to another federation")
    if members.agency == broker:
        raise RecordRefused("the broker's id is no agency's")
    if len(set(members.roles)) != len(members.roles):
        raise RecordRefused("a role is listed twice")
    return AgencyRecord(
        agency=members.agency,
        name=members.name,
        roles=tuple(members.roles),
        territory=members.territory,
        ceiling=members.ceiling,
        version=members.version,
        prev=members.prev or None,
        issued=members.issued,
        keys=tuple(_entry(key) for key in members.keys),
        statement=statement,
    )


def _entry(members: _KeyMembers) -> KeyEntry:
    if members.alg not in USES[members.use]:
        raise RecordRefused(f"a key names an algorithm that is none for `{members.use}`")
    key = sealing_key(members.pub) if members.alg == HPKE_ALG else public_key(members.alg, members.pub)
    if key.kid != members.kid:
        raise RecordRefused(f"key id `{members.kid}` is not the thumbprint of its key")
    if members.exp <= members.nbf:
        raise RecordRefused(f"key `{members.kid}` expires before it becomes valid")
    revoked = None if members.revoked is _NEVER else members.revoked
    if (revoked is None) != (not members.reason):
        raise RecordRefused(f"key `{members.kid}`: `revoked` and `reason` go together")
    return KeyEntry(
        members.use, members.alg, members.kid, members.pub, members.nbf, members.exp,
        revoked, members.reason or None,
    )  # fmt: skip


def append(
    record: AgencyRecord,
    roots: Sequence[FederationRoot],
    history: dict[str, tuple[AgencyRecord, ...]],
    keys: dict[str, tuple[str, KeyEntry]],
) -> None:
    """Check a verified record against all that came before it, then enter it; nothing is entered if refused."""
    held = history.get(record.agency, ())
    _check_succession(record, held[-1] if held else None)
    _check_kinds(record)
    reserved = {kid for root in roots for kid in root.kids()}
    for entry in record.keys:
        if entry.kid in reserved or (entry.kid in keys and keys[entry.kid][0] != record.agency):
            raise RecordRefused(f"key `{entry.kid}` already belongs to somebody else")
    _check_changes(record, {entry.kid: entry for entry in held[-1].keys} if held else {})
    history[record.agency] = (*held, record)
    keys.update((entry.kid, (record.agency, entry)) for entry in record.keys)


def _check_succession(record: AgencyRecord, before: AgencyRecord | None) -> None:
    named = f"version {record.version} of `{record.agency}`"
    if record.version != (before.version + 1 if before else 1):
        raise RecordRefused(f"{named} is not the next one")
    if record.prev != (before.digest if before else None):
        raise RecordRefused(f"{named} does not name the one before it")
    if before and record.issued < before.issued:
        raise RecordRefused(f"{named} was issued before the one it follows")


def _check_kinds(record: AgencyRecord) -> None:
    if len({entry.kid for entry in record.keys}) != len(record.keys):
        raise RecordRefused("the record lists a key twice: one key has one use")
    kinds = {(entry.use, entry.alg) for entry in record.keys}
    allowed = {(use, alg) for use, algs in USES.items() for alg in algs}
    if not {kind for kind in allowed if kind[0] not in OPTIONAL} <= kinds <= allowed:
        raise RecordRefused("a record needs a signing key of each algorithm, an encryption and a transport key")


def _check_changes(record: AgencyRecord, old: Mapping[str, KeyEntry]) -> None:
    listed = {entry.kid for entry in record.keys}
    for kid in old:
        if kid not in listed:
            raise RecordRefused(f"key `{kid}` is missing: keys are revoked, never dropped")
    for entry in record.keys:
        if entry.kid in old:
            _check_change(entry, old[entry.kid], record.issued)
        elif entry.nbf < record.issued or (entry.revoked is not None and entry.revoked < record.issued):
            raise RecordRefused(f"new key `{entry.kid}` reaches back before the record that brings it")


def _check_change(new: KeyEntry, old: KeyEntry, issued: datetime) -> None:
    """A record changes what is to come, never what has been: no judgement already made may turn (KEY-16)."""
    if (new.use, new.alg, new.nbf) != (old.use, old.alg, old.nbf):
        raise RecordRefused(f"key `{new.kid}` changed its use or its start")
    if new.exp > old.exp or (new.exp != old.exp and new.exp < issued):
        raise RecordRefused(f"the end of key `{new.kid}` may only come nearer, and not before this record")
    if (new.revoked, new.reason) == (old.revoked, old.reason):
        return
    if new.revoked is None or (old.revoked is not None and new.revoked > old.revoked):
        raise RecordRefused(f"key `{new.kid}` stays revoked, as it was")
    if new.revoked < issued:
        raise RecordRefused(f"key `{new.kid}` would be revoked before the record that says so")
