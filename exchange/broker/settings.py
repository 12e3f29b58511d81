"""The broker's settings: one frozen object, which refuses what would be unsafe (HTTP-60)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from exchange.protocol.cosignature import log_keys
from exchange.protocol.log import LogSigner
from exchange.protocol.quorum import TrustPolicy, parse_policy
from keys.encoding import read_json
from keys.keystore import BrokerKeys
from keys.signing import TransportSigner
from keys.trust import Directory

_AUTHORITY: Final = re.compile(r"(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
FILE: Final = "broker.json"
POLICY: Final = "witnesses.policy"
"""Where a broker's home says who must have seen a checkpoint before it is published, if anybody."""


class UnsafeSettings(ValueError):
    """Settings under which the broker must not start; the sentence says what to change."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a broker is told when it starts. Times are in seconds.

    ``trust`` is a directory as ``Directory.to_bytes`` writes it, pinned by ``fed``. ``authorities`` are the
    names (Host fields) under which it is called; None accepts any, which is for tests in one process.
    """

    database: Path
    fed: str
    trust: bytes = field(repr=False)
    log: LogSigner
    transport: TransportSigner
    authorities: frozenset[str] | None = None
    rate: float = 2000.0
    burst: float = 10_000.0
    max_queue: int = 4096
    max_wait: int = 30
    poll_seconds: float = 1.0
    nonces: int = 500_000
    policy: TrustPolicy | None = None

    def __post_init__(self) -> None:
        for wrong, sentence in self._wrongs():
            if wrong:
                raise UnsafeSettings(sentence)

    def _wrongs(self) -> list[tuple[bool, str]]:
        names = self.authorities
        return [
            (not 0 < self.rate <= 100_000, "`rate` is above 0 and at most 100000 calls a second for one caller"),
            (not 1 <= self.burst <= 1_000_000, "`burst` is 1 to 1000000 calls"),
            (not 1 <= self.max_queue <= 100_000, "`max_queue` is 1 to 100000"),
            (not 0 <= self.max_wait <= 60, "`max_wait` is 0 to 60 seconds"),
            (not 0.05 <= self.poll_seconds <= 10, "`poll_seconds` is 0.05 to 10"),
            (not 1000 <= self.nonces <= 10_000_000, "`nonces` is 1000 to 10000000"),
            (names is not None and not names, "`authorities` lists no name, so nobody could call"),
            (bool(self._policy_wrong()), f"`{POLICY}`: {self._policy_wrong()}"),
            (any(not _AUTHORITY.fullmatch(n) for n in names or ()), "an authority is a lower-case host, with its port"),
        ]

    def _policy_wrong(self) -> str:
        """Why nothing could ever be published under the policy; nothing if something can."""
        policy = self.policy
        if policy is None:
            return ""
        if policy.logs and not any(key in log_keys(self.log.identity) for key in policy.logs):
            return "it names logs, and this one is not among them"
        called = [urlsplit(url) for url in policy.urls.values()]
        if any(url.scheme not in ("http", "https") or not url.hostname for url in called):
            return "a witness's address is of http or https"
        return "" if policy.could(policy.urls) else "the witnesses that have addresses are too few for its quorum"

    @classmethod
    def from_home(
        cls, home: Path, passphrase: str, now: datetime, *, authorities: frozenset[str] | None = None
    ) -> Settings:
        """Read a broker's home: ``broker.json``, ``keys.json`` (encrypted), ``trust.json``, a policy.

        ``broker.json`` holds ``fed`` and any of the numbers above by name; names it lists under ``authorities``
        are added to those given.
        """
        path = home / FILE
        try:
            told: dict[str, Any] = dict(read_json(path.read_bytes(), limit=64 * 1024))
        except (OSError, TypeError, ValueError) as wrong:
            raise UnsafeSettings(f"`{path}` cannot be read: {type(wrong).__name__}") from None
        unknown = told.keys() - {"fed", "authorities", *_NUMBERS, *_FOR_OTHERS}
        if unknown:
            raise UnsafeSettings(f"`{FILE}` has members nobody knows: {', '.join(sorted(unknown))}")
        if type(told.get("fed")) is not str:
            raise UnsafeSettings(f"`{FILE}` names the federation whose id is pinned (`fed`)")
        listed = frozenset(told.get("authorities", ()))
        named = listed if authorities is None else listed | authorities
        keys, trust = BrokerKeys.load(home / "keys.json", passphrase), (home / "trust.json").read_bytes()
        origin = Directory.from_bytes(trust, fed=told["fed"], now=now).root.log.origin
        return cls(
            database=home / "broker.db",
            fed=told["fed"],
            trust=trust,
            log=LogSigner(origin, keys.log),
            transport=keys.transport,
            authorities=named or None,
            policy=parse_policy((home / POLICY).read_bytes()) if (home / POLICY).exists() else None,
            **{name: told[name] for name in _NUMBERS if name in told},
        )


_NUMBERS: Final = ("rate", "burst", "max_queue", "max_wait", "poll_seconds", "nonces")
_FOR_OTHERS: Final = ("listen", "url", "broker", "name", "notice")
"""Members that are for people and for other commands."""
