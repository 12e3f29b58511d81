"""Trust: who may sign what, when, and who no longer may (KEY-10 to KEY-26, `spec/keys.md`).

A *federation root* is signed by a threshold of root keys; the digest of its first version is the
federation's id, which everybody pins. It names the enrolment keys, the log and the broker. An *agency
record*, signed by an enrolment key, lists one agency's keys; each version names the one before it and
may add keys, shorten them or revoke them, but never drop, stretch or revive one. A ``Directory`` is the
whole, verified and immutable: nothing unverified can be held in one.

A signature is judged by its key's validity at an instant the caller gives (the log time of its entry),
never by the present. This module reads no clock and no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from keys.encoding import read_json, stamp, write_json
from keys.errors import (
    AgencyUnknown,
    KeyNotTheirs,
    KeyNotValid,
    KeyUnknown,
    MalformedEncoding,
    RecordRefused,
    RootRefused,
    WrongAlgorithm,
)
from keys.members import MAX_AGENCY_ID, PROTOCOL, public_key, sealing_key
from keys.record import AgencyRecord, KeyEntry, append, verify_record
from keys.root import NOTICE, BrokerIdentity, FederationRoot, LogIdentity, verify_roots
from keys.sealing import SealingKey
from keys.signing import KeyLookup, PublicKey, Statement, parse_statement, statement_from

__all__ = [
    "NOTICE",
    "PROTOCOL",
    "AgencyRecord",
    "BrokerIdentity",
    "Directory",
    "FederationRoot",
    "KeyEntry",
    "LogIdentity",
]

MAX_DIRECTORY: Final = 64 * 1024 * 1024


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
        chain = verify_roots(roots, fed, now)
        history: dict[str, tuple[AgencyRecord, ...]] = {}
        keys: dict[str, tuple[str, KeyEntry]] = {}
        for statement in records:
            append(verify_record(statement, chain[-1], now), chain, history, keys)
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
        read = verify_record(parse_statement(record), self.root, now)
        held = self._history.get(read.agency, ())
        if held and read.digest == held[-1].digest:
            return self
        history, keys = dict(self._history), dict(self._keys)
        append(read, self.roots, history, keys)
        return Directory(self.roots, history, keys)

    def without_records(self) -> Directory:
        """The same roots and no agency: where whoever replays a log begins, adding each record at its place in it."""
        return Directory(self.roots, {}, {})

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
        theirs = {(record.agency, record.version): record.digest for record in newer.records()}
        for record in self.records():
            if theirs.get((record.agency, record.version)) != record.digest:
                raise RecordRefused(f"the copy lacks a record of `{record.agency}` that is already known")
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
            return public_key(alg, entry.raw)

        return lookup

    def transport_key(self, kid: str, at: datetime) -> tuple[str, PublicKey]:
        """Who calls or answers with this transport key: an agency, or the broker (KEY-19)."""
        broker_key = self._owned.get(kid)
        if broker_key is not None:
            return self.root.broker.id, broker_key
        agency_id = self.owner(kid)
        entry = _of(agency_id, self._keys[kid], "tls")
        entry.check(at)
        return agency_id, public_key(entry.alg, entry.raw)

    def sealing_key(self, agency_id: str, at: datetime) -> SealingKey:
        """The key to seal to: of an agency's valid encryption keys the one that became valid last."""
        valid = [entry for entry in self.agency(agency_id).keys if entry.use == "enc" and entry.valid(at)]
        if not valid:
            raise KeyNotValid(f"`{agency_id}` has no encryption key that is valid at {stamp(at)}")
        return sealing_key(max(valid, key=lambda entry: entry.nbf).raw)

    def protection_key(self, agency_id: str, at: datetime) -> SealingKey:
        """The key to seal a protected identity to, chosen as ``sealing_key`` is; an agency may have none (KEY-27)."""
        valid = [entry for entry in self.agency(agency_id).keys if entry.use == "prot" and entry.valid(at)]
        if not valid:
            raise KeyNotValid(f"`{agency_id}` has no key for protected identities that is valid at {stamp(at)}")
        return sealing_key(max(valid, key=lambda entry: entry.nbf).raw)

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


def _statements(value: Any) -> list[Statement]:
    if type(value) is not list:
        raise MalformedEncoding("`roots` and `records` are lists")
    for item in value:
        if type(item) is not dict or set(item) != {"payload", "signatures"}:
            raise MalformedEncoding("a signed statement has exactly the members `payload` and `signatures`")
    return [statement_from(item["payload"], item["signatures"]) for item in value]
