"""Trust: who may sign what, when, and who no longer may (KEY-10 to KEY-29, `spec/keys.md`).

A *federation root* is signed by a threshold of root keys; the digest of its first version is the
federation's id, which everybody pins. It names the enrolment keys, the log and the broker. An *agency
record*, signed by an enrolment key, lists one agency's keys; each version names the one before it and
may add keys, shorten them or revoke them, but never drop, stretch or revive one. A ``Directory`` is the
whole, verified and immutable: nothing unverified can be held in one.

A signature is judged by its key's validity at an instant the caller gives (the log time of its entry),
never by the present. This module reads no clock and no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from keys.encoding import b64u, instant, read_json, stamp, unb64u, write_json
from keys.errors import (
    AgencyUnknown,
    KeyNotTheirs,
    KeyNotValid,
    KeyUnknown,
    MalformedEncoding,
    RecordRefused,
    Refusal,
    RootRefused,
    WrongAlgorithm,
)
from keys.sealing import HPKE_ALG, SealingKey
from keys.signing import (
    ED25519,
    MAX_STATEMENT,
    ML_DSA_44,
    KeyLookup,
    PublicKey,
    PublicPair,
    Statement,
    Typ,
    parse_statement,
    statement_from,
    verify_pair,
)

PROTOCOL: Final = "ix/1"
NOTICE: Final = "SIMULATION - synthetic data only"
MAX_DIRECTORY: Final = 64 * 1024 * 1024
MAX_KEYS: Final = 256
SKEW: Final = timedelta(minutes=5)
"""How far in the future a root or record may say it was issued, because clocks differ."""

AGENCY_ID: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.sim", re.ASCII)
MAX_AGENCY_ID: Final = 40

USES: Final = {"sig": (ED25519, ML_DSA_44), "enc": (HPKE_ALG,), "tls": (ED25519,)}
"""Which algorithms each use of a key allows: signing statements, sealing messages, signing HTTP calls."""


@lru_cache(maxsize=16384)  # parsing one key costs more than looking up all of a directory's
def _public_key(alg: str, raw: bytes) -> PublicKey:
    return PublicKey(alg, raw)


@lru_cache(maxsize=4096)
def _sealing_key(raw: bytes) -> SealingKey:
    return SealingKey(raw)


# What is known, once verified.


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
        return _public_key(self.alg, self.raw)

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


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Who signs checkpoints: the origin line and both keys, of which both must sign."""

    origin: str
    ed25519: PublicKey
    mldsa44: PublicKey


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


class Directory:
    """A federation as one party knows it: its root and every version of every agency's record.

    Immutable: ``with_record`` and ``with_root`` return another. Look-ups are dictionary look-ups, for
    they stand on the broker's hot path.
    """

    __slots__ = ("_history", "_keys", "_owned", "roots")

    def __init__(
        self,
        roots: tuple[FederationRoot, ...],
        history: Mapping[str, tuple[AgencyRecord, ...]],
        keys: Mapping[str, tuple[str, KeyEntry]],
    ) -> None:
        """Not for callers: use ``build`` or ``from_bytes``, which verify."""
        self.roots = roots
        self._history = history
        self._keys = keys
        self._owned = {key.kid: key for key in roots[-1].broker.transport}

    @classmethod
    def build(cls, roots: Sequence[bytes], records: Sequence[bytes], *, fed: str, now: datetime) -> Directory:
        """Verify everything from the pinned federation id up; records in any order that keeps their versions."""
        return cls._verified(
            [parse_statement(root) for root in roots], [parse_statement(record) for record in records], fed, now
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, fed: str, now: datetime) -> Directory:
        """Read and verify what ``to_bytes`` wrote; a caller that holds a directory already uses ``advance``."""
        value = read_json(data, limit=MAX_DIRECTORY)
        if type(value) is not dict or set(value) != {"roots", "records"}:
            raise MalformedEncoding("a directory has exactly the members `roots` and `records`")
        return cls._verified(_statements(value["roots"]), _statements(value["records"]), fed, now)

    @classmethod
    def _verified(cls, roots: list[Statement], records: list[Statement], fed: str, now: datetime) -> Directory:
        chain = _verify_roots(roots, fed, now)
        history: dict[str, tuple[AgencyRecord, ...]] = {}
        keys: dict[str, tuple[str, KeyEntry]] = {}
        for statement in records:
            _append(_verify_record(statement, chain[-1], now), chain, history, keys)
        return cls(chain, history, keys)

    def to_bytes(self) -> bytes:
        """Write every root and every record version, agencies in order of their ids."""
        records = [r.statement.to_json() for agency in sorted(self._history) for r in self._history[agency]]
        return write_json({"roots": [root.statement.to_json() for root in self.roots], "records": records})

    def with_record(self, record: bytes, now: datetime) -> Directory:
        """Add the next version of an agency's record (KEY-14 to KEY-17).

        The version already held is answered with this same directory; an older one, or another text of
        the same version, is refused (KEY-18).
        """
        read = _verify_record(parse_statement(record), self.root, now)
        held = self._history.get(read.agency, ())
        if held and read.digest == held[-1].digest:
            return self
        history, keys = dict(self._history), dict(self._keys)
        _append(read, self.roots, history, keys)
        return Directory(self.roots, history, keys)

    def with_root(self, root: bytes, now: datetime, records: Sequence[bytes] = ()) -> Directory:
        """Add the next root (KEY-24); ``records`` holds those signed again if an enrolment key has gone."""
        signed_again = {s.digest: s for s in map(parse_statement, records)}
        mine = [signed_again.get(r.digest, r.statement) for r in self.records()]
        roots = [*(r.statement for r in self.roots), parse_statement(root)]
        return Directory._verified(roots, mine, self.fed, now)

    def advance(self, data: bytes, now: datetime) -> Directory:
        """Take over a newer copy of this directory, refusing one that lost or changed what is held (KEY-18)."""
        newer = Directory.from_bytes(data, fed=self.fed, now=now)
        if [r.digest for r in newer.roots[: len(self.roots)]] != [r.digest for r in self.roots]:
            raise RootRefused("the copy lacks a root that is already known: it is older or forged")
        for agency, held in self._history.items():
            if [r.digest for r in newer._versions(agency)[: len(held)]] != [r.digest for r in held]:
                raise RecordRefused(f"the copy lacks a record of `{agency}` that is already known")
        return newer

    @property
    def root(self) -> FederationRoot:
        """The newest root."""
        return self.roots[-1]

    @property
    def fed(self) -> str:
        """The federation's id."""
        return self.roots[0].fed

    def agency(self, agency_id: str) -> AgencyRecord:
        """The newest record of an agency; ``AgencyUnknown`` if it was never enrolled."""
        return self.history(agency_id)[-1]

    def history(self, agency_id: str) -> tuple[AgencyRecord, ...]:
        """Every version of an agency's record, oldest first."""
        try:
            return self._history[agency_id]
        except KeyError:
            raise AgencyUnknown(f"no agency `{agency_id[:MAX_AGENCY_ID]}` in this federation") from None

    def _versions(self, agency_id: str) -> tuple[AgencyRecord, ...]:
        return self._history.get(agency_id, ())

    def agencies(self) -> tuple[AgencyRecord, ...]:
        """The newest record of every agency, in order of their ids."""
        return tuple(self._history[agency][-1] for agency in sorted(self._history))

    def records(self) -> tuple[AgencyRecord, ...]:
        """Every version of every record, agencies in order of their ids."""
        return tuple(record for agency in sorted(self._history) for record in self._history[agency])

    def owner(self, kid: str) -> str:
        """Whose key this is, whatever its use and validity; ``KeyUnknown`` if nobody's."""
        if kid in self._owned:
            return self.root.broker.id
        try:
            return self._keys[kid][0]
        except KeyError:
            raise KeyUnknown(f"no record in this federation lists key `{kid[:64]}`") from None

    def signing_lookup(self, agency_id: str, at: datetime) -> KeyLookup:
        """What ``verify_pair`` needs to judge a signature of this agency at this instant (KEY-10 to KEY-12)."""
        if agency_id not in self._history:
            raise AgencyUnknown(f"no agency `{agency_id[:MAX_AGENCY_ID]}` in this federation")
        keys = self._keys

        def lookup(kid: str, alg: str) -> PublicKey:
            listed = keys.get(kid)
            if listed is None:
                raise KeyUnknown(f"no record in this federation lists key `{kid[:64]}`")
            entry = _of(agency_id, listed, "sig")
            if entry.alg != alg:
                raise WrongAlgorithm(f"key `{kid}` is for {entry.alg}, not {alg}")
            entry.check(at)
            return _public_key(alg, entry.raw)

        return lookup

    def transport_key(self, kid: str, at: datetime) -> tuple[str, PublicKey]:
        """Who calls or answers with this transport key: an agency, or the broker (KEY-19)."""
        broker_key = self._owned.get(kid)
        if broker_key is not None:
            return self.root.broker.id, broker_key
        agency_id = self.owner(kid)
        entry = _of(agency_id, self._keys[kid], "tls")
        entry.check(at)
        return agency_id, _public_key(entry.alg, entry.raw)

    def sealing_key(self, agency_id: str, at: datetime) -> SealingKey:
        """The key to seal to: of an agency's valid encryption keys the one that became valid last."""
        valid = [entry for entry in self.agency(agency_id).keys if entry.use == "enc" and entry.valid(at)]
        if not valid:
            raise KeyNotValid(f"`{agency_id}` has no encryption key that is valid at {stamp(at)}")
        return _sealing_key(max(valid, key=lambda entry: entry.nbf).raw)

    def sealing_kid_valid(self, agency_id: str, kid: str, at: datetime) -> None:
        """Return if a message may be sealed to this key of this agency at this instant."""
        if agency_id not in self._history:
            raise AgencyUnknown(f"no agency `{agency_id[:MAX_AGENCY_ID]}` in this federation")
        listed = self._keys.get(kid)
        if listed is None:
            raise KeyUnknown(f"no record in this federation lists key `{kid[:64]}`")
        _of(agency_id, listed, "enc").check(at)


def _of(agency_id: str, listed: tuple[str, KeyEntry], use: str) -> KeyEntry:
    owner, entry = listed
    if owner != agency_id:
        raise KeyNotTheirs(f"key `{entry.kid}` belongs to `{owner}`, not to `{agency_id}`")
    if entry.use != use:
        raise KeyNotValid(f"key `{entry.kid}` is listed for `{entry.use}` and may not be used for `{use}`")
    return entry


# How roots and records are read. Names of members are those of the wire.


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise MalformedEncoding("a key is written as a base64url string")
    return unb64u(value)


def _time(value: Any) -> datetime:
    if type(value) is not str:
        raise MalformedEncoding("a time is written as a string")
    return instant(value)


def agency_id(value: Any) -> str:
    """Return an agency's id if it is well formed; ``RecordRefused`` otherwise (KEY-13)."""
    if type(value) is not str or len(value) > MAX_AGENCY_ID or not AGENCY_ID.fullmatch(value):
        raise RecordRefused("an agency id is lower-case labels that end in `.sim`, at most 40 characters")
    return value


def _printable(value: Any) -> Any:
    if type(value) is str and not value.isprintable():
        raise MalformedEncoding("a name holds characters that do not print")
    return value


_Raw = Annotated[bytes, BeforeValidator(_bytes)]
_Instant = Annotated[datetime, BeforeValidator(_time)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
_Id = Annotated[str, BeforeValidator(agency_id)]
_Text = Annotated[str, BeforeValidator(_printable), StringConstraints(min_length=1, max_length=120)]
_Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Territory = Annotated[str, StringConstraints(pattern=r"^(AA|Q[M-Z]|X[A-Z]|ZZ)$")]
_Origin = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,120}$")]
_Version = Annotated[int, Field(ge=1, le=1_000_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _PairMembers(_Strict):
    ed25519: _Raw
    mldsa44: _Raw

    def pair(self) -> PublicPair:
        return PublicPair(_public_key(ED25519, self.ed25519), _public_key(ML_DSA_44, self.mldsa44))


class _LogMembers(_PairMembers):
    origin: _Origin


class _BrokerMembers(_Strict):
    id: _Id
    transport: Annotated[list[_Raw], Field(min_length=1, max_length=8)]


class _RootMembers(_Strict):
    v: Literal["ix/1"]
    typ: Literal["root"]
    simulation: Literal[True]
    notice: Literal["SIMULATION - synthetic data only"]
    name: _Text
    version: _Version
    prev: _Digest = ""
    issued: _Instant
    expires: _Instant
    threshold: Annotated[int, Field(ge=1, le=16)]
    root_keys: Annotated[list[_PairMembers], Field(min_length=1, max_length=16)]
    enrolment: Annotated[list[_PairMembers], Field(min_length=1, max_length=8)]
    log: _LogMembers
    broker: _BrokerMembers
    min_protocol: Annotated[str, StringConstraints(pattern=r"^ix/[1-9][0-9]{0,3}$")]


_NEVER: Final = datetime.max.replace(tzinfo=UTC)  # stands for an absent member; a written null is refused


class _KeyMembers(_Strict):
    use: Literal["sig", "enc", "tls"]
    alg: str
    kid: _Digest
    pub: _Raw
    nbf: _Instant
    exp: _Instant
    revoked: _Instant = _NEVER
    reason: _Text = ""


class _RecordMembers(_Strict):
    v: Literal["ix/1"]
    typ: Literal["record"]
    fed: _Digest
    agency: _Id
    name: _Text
    roles: Annotated[list[_Code], Field(min_length=1, max_length=8)]
    territory: _Territory
    ceiling: _Code
    version: _Version
    prev: _Digest = ""
    issued: _Instant
    keys: Annotated[list[_KeyMembers], Field(min_length=1, max_length=MAX_KEYS)]


_M = TypeVar("_M", bound=_Strict)


def _members(model: type[_M], value: Any, refusal: type[Refusal]) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        raise refusal(f"member `{place}`: {first['type']}") from None


def _statements(value: Any) -> list[Statement]:
    if type(value) is not list:
        raise MalformedEncoding("`roots` and `records` are lists")
    for item in value:
        if type(item) is not dict or set(item) != {"payload", "signatures"}:
            raise MalformedEncoding("a signed statement has exactly the members `payload` and `signatures`")
    return [statement_from(item["payload"], item["signatures"]) for item in value]


# Roots: KEY-20 to KEY-25.


def _verify_roots(statements: Sequence[Statement], fed: str, now: datetime) -> tuple[FederationRoot, ...]:
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
    members = _members(_RootMembers, value, RootRefused)
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
        broker=BrokerIdentity(members.broker.id, tuple(_public_key(ED25519, raw) for raw in members.broker.transport)),
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
        signer = _pair_of(pair[0].kid, pair[1].kid, known)
        if signer is None or signer in signed:
            raise RootRefused("the root is signed by a key that is no root key, or twice by the same")
        verify_pair(statement.raw_payload, pair, _only(signer), Typ.ROOT)
        signed.add(signer)
    for authority in (root, previous):
        if authority and len(signed & set(authority.root_keys)) < authority.threshold:
            raise RootRefused(
                f"the root has fewer than the {authority.threshold} signatures version {authority.version} asks for"
            )


def _pair_of(ed25519_kid: str, mldsa44_kid: str, pairs: Iterable[PublicPair]) -> PublicPair | None:
    return next((p for p in pairs if (p.ed25519.kid, p.mldsa44.kid) == (ed25519_kid, mldsa44_kid)), None)


def _only(pair: PublicPair) -> KeyLookup:
    """Look up in one pair, whose key ids have been compared already."""
    return lambda _kid, alg: pair.ed25519 if alg == ED25519 else pair.mldsa44


# Records: KEY-13 to KEY-18.


def _verify_record(statement: Statement, root: FederationRoot, now: datetime) -> AgencyRecord:
    """Check the enrolment signature, then the record by itself; ``_append`` checks it against its past."""
    if len(statement.pairs) != 1:
        raise RecordRefused("a record is signed by exactly one enrolment key pair")
    pair = statement.pairs[0]
    signer = _pair_of(pair[0].kid, pair[1].kid, root.enrolment)
    if signer is None:
        raise KeyUnknown("the record is not signed by an enrolment key of the newest root")
    verify_pair(statement.raw_payload, pair, _only(signer), Typ.RECORD)
    members = _members(_RecordMembers, read_json(statement.payload, limit=MAX_STATEMENT), RecordRefused)
    if members.fed != root.fed:
        raise RecordRefused("the record belongs to another federation")
    if members.agency == root.broker.id:
        raise RecordRefused("the broker's id is no agency's")
    if len(set(members.roles)) != len(members.roles):
        raise RecordRefused("a role is listed twice")
    if members.issued > now + SKEW:
        raise RecordRefused(f"the record says it was issued at {stamp(members.issued)}, which is yet to come")
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
        raise RecordRefused(f"`{members.alg[:40]}` is not an algorithm for `{members.use}`")
    key = _sealing_key(members.pub) if members.use == "enc" else _public_key(members.alg, members.pub)
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


def _append(
    record: AgencyRecord,
    roots: Sequence[FederationRoot],
    history: dict[str, tuple[AgencyRecord, ...]],
    keys: dict[str, tuple[str, KeyEntry]],
) -> None:
    """Check a record against all that came before it, then enter it; nothing is entered if refused."""
    held = history.get(record.agency, ())
    before = held[-1] if held else None
    if record.version != (before.version + 1 if before else 1):
        raise RecordRefused(f"version {record.version} of `{record.agency}` is not the next one")
    if record.prev != (before.digest if before else None):
        raise RecordRefused(f"version {record.version} of `{record.agency}` does not name the one before it")
    if before and record.issued < before.issued:
        raise RecordRefused(f"version {record.version} of `{record.agency}` was issued before the one it follows")
    listed = {entry.kid: entry for entry in record.keys}
    if len(listed) != len(record.keys):
        raise RecordRefused("the record lists a key twice: one key has one use")
    _check_kinds(record)
    reserved = {kid for root in roots for kid in root.kids()}
    for kid in listed:
        if kid in reserved or (kid in keys and keys[kid][0] != record.agency):
            raise RecordRefused(f"key `{kid}` already belongs to somebody else")
    old = {entry.kid: entry for entry in before.keys} if before else {}
    for entry in old.values():
        if entry.kid not in listed:
            raise RecordRefused(f"key `{entry.kid}` is missing: keys are revoked, never dropped")
    for entry in record.keys:
        _check_change(entry, old.get(entry.kid), record.issued)
    history[record.agency] = (*held, record)
    keys.update((kid, (record.agency, entry)) for kid, entry in listed.items())


def _check_kinds(record: AgencyRecord) -> None:
    kinds = {(entry.use, entry.alg) for entry in record.keys}
    if kinds != {(use, alg) for use, algs in USES.items() for alg in algs}:
        raise RecordRefused("a record needs a signing key of each algorithm, an encryption and a transport key")


def _check_change(new: KeyEntry, old: KeyEntry | None, issued: datetime) -> None:
    """A record changes what is to come, never what has been: no judgement already made may turn (KEY-16)."""
    if old is None:
        if new.nbf < issued:
            raise RecordRefused(f"new key `{new.kid}` would be valid before the record that brings it")
        old_exp, old_revoked = new.exp, None
    else:
        if (new.use, new.alg, new.nbf) != (old.use, old.alg, old.nbf):
            raise RecordRefused(f"key `{new.kid}` changed its use or its start")
        old_exp, old_revoked = old.exp, old.revoked
    if new.exp > old_exp or (new.exp != old_exp and new.exp < issued):
        raise RecordRefused(f"the end of key `{new.kid}` may only move forward to the record's instant or later")
    if old_revoked is not None and old is not None and (new.revoked, new.reason) != (old.revoked, old.reason):
        raise RecordRefused(f"key `{new.kid}` stays revoked, as it was")
    if old_revoked is None and new.revoked is not None and new.revoked < issued:
        raise RecordRefused(f"key `{new.kid}` would be revoked before the record that says so")
