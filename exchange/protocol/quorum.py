"""Quorum: which witnesses must have seen a checkpoint before it is believed (C2SP tlog-policy; WIT-20 to WIT-22).

A policy names logs and witnesses by their keys, gathers witnesses in groups, and says which group is enough. An agency
with two keys is a group of two, so that it counts when both of its signatures hold. The file is lines of octets; names
mean nothing outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from exchange.protocol.cosignature import LOG_ED25519, VerifierKey, verify_line
from exchange.protocol.errors import CosignatureInvalid, QuorumMissing, TrustPolicyMalformed, VerifierKeyMalformed
from exchange.protocol.log import year_of

MAX_POLICY: Final = 256 * 1024
MAX_EACH: Final = 128
"""Logs, witnesses and groups a policy may have; C2SP asks for at least 32 of each."""
NONE: Final = "none"
_OCTETS = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_GAP = re.compile("[ \t]+")
_COUNT = re.compile("[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Group:
    """At least ``wanted`` of these names, each a witness or an earlier group."""

    wanted: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Logs by key, witnesses and groups by name, and the name that must be satisfied (``none``: nobody)."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str
    urls: Mapping[str, str] = field(default_factory=dict)

    def seen_by(self, note: str) -> dict[str, datetime]:
        """The witnesses whose line on this checkpoint verifies, and when each says it saw it."""
        seen: dict[str, datetime] = {}
        for name, key in self.witnesses.items():
            try:
                at = verify_line(note, key)
            except CosignatureInvalid:  # one that does not hold is one that is missing; others may be enough
                continue
            if at is not None:
                seen[name] = at
        return seen

    def verify(self, note: str) -> dict[str, datetime]:
        """Return who saw this checkpoint if a known log signed it and the quorum is met; refused otherwise."""
        if self.logs and not any(_signed(note, key) for key in self.logs):
            raise QuorumMissing("none of the policy's logs signed this checkpoint")
        seen = self.seen_by(note)
        if not self._met(self.quorum, seen):
            wanted = self._in_words(self.quorum)
            raise QuorumMissing(f"not enough witnesses: {wanted}; seen by {', '.join(sorted(seen)) or 'none'}")
        return seen

    def could(self, names: Collection[str]) -> bool:
        """Whether these witnesses would be enough."""
        return self._met(self.quorum, names)

    def _met(self, name: str, seen: Collection[str]) -> bool:
        if name == NONE:
            return True
        group = self.groups.get(name)
        if group is None:
            return name in seen
        return sum(self._met(member, seen) for member in group.members) >= group.wanted

    def _in_words(self, name: str) -> str:
        group = self.groups.get(name)
        return f"`{name}`" if group is None else f"{group.wanted} of {', '.join(f'`{one}`' for one in group.members)}"

    def to_bytes(self) -> bytes:
        """Write the policy as a file that other tools read."""
        lines = [f"log {key}" for key in self.logs]
        lines += [" ".join(filter(None, ["witness", n, str(k), self.urls.get(n)])) for n, k in self.witnesses.items()]
        lines += [f"group {name} {group.wanted} {' '.join(group.members)}" for name, group in self.groups.items()]
        return ("\n".join([*lines, f"quorum {self.quorum}"]) + "\n").encode("utf-8", "surrogateescape")


def _signed(note: str, key: VerifierKey) -> bool:
    """Whether this log signed a checkpoint: in its own name, or in that of one of its shards (LOG-120)."""
    origin = note.partition("\n")[0]
    if year_of(key.name, origin) is not None:
        key = VerifierKey(origin, key.kind, key.key)
    try:
        return verify_line(note, key) is not None
    except CosignatureInvalid:
        return False


def parse_policy(data: bytes) -> TrustPolicy:
    """Read a policy file strictly; the refusal names the line."""
    if len(data) > MAX_POLICY or not _OCTETS.fullmatch(data) or (data and not data.endswith(b"\n")):
        raise TrustPolicyMalformed(f"a policy is at most {MAX_POLICY} octets of lines, without control characters")
    reader = _Reader()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = [word for word in _GAP.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                reader.take(words)
            except VerifierKeyMalformed as refusal:
                raise TrustPolicyMalformed(f"line {number}: {refusal.sentence}") from None
            except TrustPolicyMalformed as refusal:
                raise TrustPolicyMalformed(f"line {number}: {refusal.sentence}") from None
    return reader.policy()


class _Reader:
    """Takes lines in order, for a name must be defined before it is used."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._urls: dict[str, str] = {}
        self._member: set[str] = set()
        self._quorum: str | None = None

    def take(self, words: list[str]) -> None:
        """Take one line, cut into words."""
        match words:
            case ["log", key] | ["log", key, _]:
                self._logs.append(self._fresh(VerifierKey.parse(key), self._logs))
            case ["witness", name, key] | ["witness", name, key, _]:
                known = VerifierKey.parse(key)
                if known.kind == LOG_ED25519:
                    raise TrustPolicyMalformed("a witness cosigns: its key is of type 0x04 or 0x06")
                self._witnesses[self._new(name)] = self._fresh(known, list(self._witnesses.values()))
                self._urls |= {name: words[3]} if len(words) == 4 else {}
            case ["group", name, wanted, *members] if members:
                self._groups[self._new(name)] = self._group(name, wanted, members)
            case ["quorum", name]:
                if self._quorum is not None:
                    raise TrustPolicyMalformed("there is exactly one quorum line")
                self._quorum = name if name == NONE else self._known(name)
            case _:
                raise TrustPolicyMalformed("not a line of a policy: log, witness, group or quorum with its words")

    def policy(self) -> TrustPolicy:
        """What the lines say together."""
        if self._quorum is None:
            raise TrustPolicyMalformed("a policy has a quorum line")
        return TrustPolicy(tuple(self._logs), self._witnesses, self._groups, self._quorum, self._urls)

    def _new(self, name: str) -> str:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise TrustPolicyMalformed(f"`{name}` is taken")
        if len(self._witnesses) >= MAX_EACH or len(self._groups) >= MAX_EACH:
            raise TrustPolicyMalformed(f"at most {MAX_EACH} of each")
        return name

    def _known(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise TrustPolicyMalformed(f"`{name}` is not defined before it is used")
        return name

    def _group(self, name: str, wanted: str, members: list[str]) -> Group:
        for member in members:
            if self._known(member) in self._member:
                raise TrustPolicyMalformed(f"`{member}` is in a group already: each counts in one way only")
            self._member.add(member)
        count = {"any": 1, "all": len(members)}.get(wanted) or (int(wanted) if _COUNT.fullmatch(wanted) else 0)
        if not 1 <= count <= len(members):
            raise TrustPolicyMalformed(f"group `{name}` wants `all`, `any` or 1 to {len(members)} of its members")
        return Group(count, tuple(members))

    @staticmethod
    def _fresh(key: VerifierKey, known: list[VerifierKey]) -> VerifierKey:
        if any(one.key == key.key for one in known):
            raise TrustPolicyMalformed("the same public key stands here twice")
        if len(known) >= MAX_EACH:
            raise TrustPolicyMalformed(f"at most {MAX_EACH} of each")
        return key
