"""Ceremonies: how a federation begins, and how agencies join, change keys and lose them (KEY-13 to KEY-25).

Pure functions. Public keys, the authority's signer and ``now`` go in; signed bytes come out, to be
added to a ``Directory``, which checks them as it would a stranger's. Private keys of agencies never
come here: an agency hands over ``AgencyKeys``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from keys.encoding import b64u, stamp, write_json
from keys.errors import KeyUnknown, RecordRefused
from keys.sealing import HPKE_ALG, SealingKey
from keys.signing import PublicKey, PublicPair, Signer, Statement, Typ, cosign, parse_statement, sign
from keys.trust import NOTICE, PROTOCOL, AgencyRecord, FederationRoot, KeyEntry

ROOT_LIFE: Final = timedelta(days=730)
KEY_LIFE: Final = timedelta(days=365)
OVERLAP: Final = timedelta(days=14)
"""How long an old key stays valid after a rotation, so that messages on their way still open and verify."""


@dataclass(frozen=True, slots=True)
class AgencyKeys:
    """The public half of an agency's identity, as it brings it to the enrolment authority."""

    signing: PublicPair
    sealing: SealingKey
    transport: PublicKey
    protection: SealingKey | None = None
    """The public half of the role key that opens protected identities (KEY-27), if the agency has such a role."""

    def entries(self, nbf: datetime, exp: datetime) -> tuple[KeyEntry, ...]:
        """The key entries of a record: four, or five with the role key."""
        ed25519, mldsa44 = self.signing
        listed = [("sig", ed25519.alg, ed25519), ("sig", mldsa44.alg, mldsa44)]
        listed += [("enc", HPKE_ALG, self.sealing), ("tls", self.transport.alg, self.transport)]
        if self.protection is not None:
            listed.append(("prot", HPKE_ALG, self.protection))
        return tuple(KeyEntry(use, alg, key.kid, key.raw, nbf, exp) for use, alg, key in listed)


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What a root is to say, apart from its version and dates."""

    name: str
    root_keys: tuple[PublicPair, ...]
    threshold: int
    enrolment: tuple[PublicPair, ...]
    origin: str
    log: PublicPair
    broker: str
    transport: tuple[PublicKey, ...]
    min_protocol: str = PROTOCOL

    @classmethod
    def of(cls, root: FederationRoot) -> RootPlan:
        """The plan an existing root follows, to be changed with ``dataclasses.replace``."""
        log = PublicPair(root.log.ed25519, root.log.mldsa44)
        return cls(
            root.name, root.root_keys, root.threshold, root.enrolment, root.log.origin, log,
            root.broker.id, root.broker.transport, root.min_protocol,
        )  # fmt: skip


def new_root(plan: RootPlan, signers: Sequence[Signer], *, now: datetime, expires: datetime | None = None) -> bytes:
    """Sign the first root of a federation; its ``federation_id`` is what everybody pins."""
    return _sign_root(_root_payload(plan, 1, None, now, expires), signers)


def next_root(
    previous: FederationRoot,
    plan: RootPlan,
    signers: Sequence[Signer],
    *,
    now: datetime,
    expires: datetime | None = None,
) -> bytes:
    """Sign the root after ``previous``; ``signers`` must reach the threshold of both (KEY-22)."""
    return _sign_root(_root_payload(plan, previous.version + 1, previous.digest, now, expires), signers)


def federation_id(first_root: bytes) -> str:
    """The id of a federation: the digest of its first root's payload."""
    return parse_statement(first_root).digest


def _root_payload(plan: RootPlan, version: int, prev: str | None, now: datetime, expires: datetime | None) -> bytes:
    members: dict[str, Any] = {"v": PROTOCOL, "typ": "root", "simulation": True, "notice": NOTICE}
    members |= {"name": plan.name, "version": version}
    if prev is not None:
        members["prev"] = prev
    members |= {"issued": stamp(now), "expires": stamp(expires or now + ROOT_LIFE), "threshold": plan.threshold}
    members["root_keys"] = [_pair(pair) for pair in plan.root_keys]
    members["enrolment"] = [_pair(pair) for pair in plan.enrolment]
    members["log"] = {"origin": plan.origin, **_pair(plan.log)}
    members["broker"] = {"id": plan.broker, "transport": [b64u(key.raw) for key in plan.transport]}
    members["min_protocol"] = plan.min_protocol
    return write_json(members)


def _pair(pair: PublicPair) -> dict[str, str]:
    return {"ed25519": b64u(pair.ed25519.raw), "mldsa44": b64u(pair.mldsa44.raw)}


def _sign_root(payload: bytes, signers: Sequence[Signer]) -> bytes:
    statement = sign(payload, signers[0], Typ.ROOT)
    for signer in signers[1:]:
        statement = cosign(statement, signer, Typ.ROOT)
    return statement.to_bytes()


def enrol(
    fed: str,
    keys: AgencyKeys,
    authority: Signer,
    *,
    agency: str,
    name: str,
    roles: Sequence[str],
    territory: str,
    ceiling: str,
    now: datetime,
    exp: datetime | None = None,
) -> bytes:
    """Sign the first record of an agency; its keys are valid from ``now`` to ``exp`` (a year by default)."""
    entries = keys.entries(now, exp or now + KEY_LIFE)
    unsigned = AgencyRecord(
        agency, name, tuple(roles), territory, ceiling, 1, None, now, entries, Statement("", b"", ())
    )
    return _sign_record(fed, unsigned, authority)


def rotate(
    fed: str,
    record: AgencyRecord,
    keys: AgencyKeys,
    authority: Signer,
    *,
    now: datetime,
    overlap: timedelta = OVERLAP,
    exp: datetime | None = None,
) -> bytes:
    """Sign the next record: new keys from ``now``, every older key ending after ``overlap`` at the latest.

    A role key stays as it is unless a new one comes: it has officers of its own and changes with them (``protect``).
    """
    end = now + overlap
    kept = tuple(
        replace(old, exp=end) if end < old.exp and (old.use != "prot" or keys.protection) else old
        for old in record.keys
    )
    return amend(fed, record, authority, now=now, keys=(*kept, *keys.entries(now, exp or now + KEY_LIFE)))


def protect(
    fed: str,
    record: AgencyRecord,
    key: SealingKey,
    authority: Signer,
    *,
    now: datetime,
    overlap: timedelta = OVERLAP,
    exp: datetime | None = None,
) -> bytes:
    """Sign the next record with a new role key for protected identities; an older one ends after ``overlap``."""
    end = now + overlap
    kept = tuple(replace(old, exp=end) if old.use == "prot" and end < old.exp else old for old in record.keys)
    added = KeyEntry("prot", HPKE_ALG, key.kid, key.raw, now, exp or now + KEY_LIFE)
    return amend(fed, record, authority, now=now, keys=(*kept, added))


def revoke(
    fed: str,
    record: AgencyRecord,
    kids: Sequence[str],
    authority: Signer,
    *,
    reason: str,
    now: datetime,
    replacement: AgencyKeys | None = None,
    exp: datetime | None = None,
) -> bytes:
    """Sign the next record, in which these keys count no more from ``now`` on; new keys may come with it."""
    known = {entry.kid: entry for entry in record.keys}
    for kid in kids:
        if kid not in known:
            raise KeyUnknown(f"`{record.agency}` has no key `{kid}`")
        if known[kid].revoked is not None:
            raise RecordRefused(f"key `{kid}` is revoked already")
    kept = tuple(replace(e, revoked=now, reason=reason) if e.kid in kids else e for e in record.keys)
    added = replacement.entries(now, exp or now + KEY_LIFE) if replacement else ()
    return amend(fed, record, authority, now=now, keys=(*kept, *added))


def amend(fed: str, record: AgencyRecord, authority: Signer, *, now: datetime, **changes: Any) -> bytes:
    """Sign the next record with any change: keys, name, roles, territory or ceiling."""
    following = replace(record, version=record.version + 1, prev=record.digest, issued=now, **changes)
    return _sign_record(fed, following, authority)


def sign_again(record: AgencyRecord, authority: Signer) -> bytes:
    """Sign a record's unchanged payload with another enrolment key, when the root drops the old one (KEY-24)."""
    return sign(record.statement.payload, authority, Typ.RECORD).to_bytes()


def _sign_record(fed: str, record: AgencyRecord, authority: Signer) -> bytes:
    members: dict[str, Any] = {"v": PROTOCOL, "typ": "record", "fed": fed, "agency": record.agency}
    members |= {"name": record.name, "roles": list(record.roles), "territory": record.territory}
    members |= {"ceiling": record.ceiling, "version": record.version}
    if record.prev is not None:
        members["prev"] = record.prev
    members |= {"issued": stamp(record.issued), "keys": [entry.to_json() for entry in record.keys]}
    return sign(write_json(members), authority, Typ.RECORD).to_bytes()
