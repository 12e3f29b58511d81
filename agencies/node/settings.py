"""A node's settings: one frozen object, which refuses what would be unsafe (`spec/nodes.md`, NODE-1 to NODE-3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agencies.node.care.offences import OffenceTable
from agencies.node.errors import SettingsRefused
from agencies.node.profile import Profile
from exchange.protocol.cosignature import Cosigner
from keys.encoding import read_json, write_json
from keys.errors import Refusal
from keys.keystore import Identity, WitnessKeys, read_private, replace_file
from keys.rolekey import RoleKey

FILE: Final = "node.json"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_AGENCY: Final = re.compile(r"(?=.{1,40}\Z)[a-z0-9-]+(\.[a-z0-9-]+)*\.sim")
_TERRITORY: Final = re.compile(r"AA|Q[M-Z]|X[A-JL-Z]|ZZ")
ROLE_KEY: Final = "protection.json"
"""Where the key of the protection role lies, if the agency has one."""
WITNESS: Final = "witness.keys"
"""Where a witness's keys lie, if the node is one."""
OFFENCES: Final = "offences.json"
"""Where it stands how the agency reads the codes of other laws, if it says so."""
_FED: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a node is told when it starts. Times are in seconds.

    ``trust`` is a directory as ``Directory.to_bytes`` writes it, pinned by ``fed``. ``background`` makes the
    node collect and retry by itself; without it somebody calls ``collect`` and ``retry_outbox``.
    """

    database: Path
    fed: str
    trust: bytes = field(repr=False)
    identity: Identity = field(repr=False)
    profile: Profile
    broker: str
    background: bool = True
    wait: int = 10
    every: float = 1.0
    refresh: int = 60
    session: int = 8 * 3600
    head_seconds: int = 60
    stale: int = 4 * 3600
    """Seconds without a stamp of the broker after which nothing new is accepted for sending (NODE-205)."""
    keep_periods: int = 36
    """Months whose keys for pseudonyms are kept at least (NODE-215)."""
    unsafe_open_wire: bool = False
    role_key: RoleKey | None = field(default=None, repr=False)
    persecutors: frozenset[str] = frozenset()
    """Territories that get nothing that shows a claim to protection, whoever named them (SAFE-12)."""
    witness: Cosigner | None = field(default=None, repr=False)
    offences: OffenceTable | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for wrong, sentence in self._wrongs():
            if wrong:
                raise SettingsRefused(sentence)

    def _wrongs(self) -> list[tuple[bool, str]]:
        me, url = self.identity.agency, urlsplit(self.broker)
        plain = url.scheme != "https" and url.hostname not in LOOPBACK and not (url.hostname or "").endswith(".sim")
        return [
            (not _AGENCY.fullmatch(me), "the agency's id does not end in `.sim`: this is a simulation"),
            (self.profile.agency != me, "profile and keys are of different agencies"),
            (not _FED.fullmatch(self.fed), "`fed` is the digest of the federation's first root"),
            (url.scheme not in ("http", "https") or not url.hostname, "`broker` is an http or https address"),
            (bool(url.path.strip("/") or url.query), "`broker` is an address without a path"),
            (plain and not self.unsafe_open_wire, "a broker on another machine is called over https"),
            (not 0 <= self.wait <= 30, "`wait` is 0 to 30 seconds"),
            (not 0.05 <= self.every <= 60, "`every` is 0.05 to 60 seconds"),
            (not 1 <= self.refresh <= 86_400, "`refresh` is 1 second to a day"),
            (not 60 <= self.session <= 86_400, "`session` is a minute to a day"),
            (not 12 <= self.keep_periods <= 1200, "`keep_periods` is 12 to 1200 months"),
            (not 1 <= self.head_seconds <= 86_400, "`head_seconds` is 1 second to a day"),
            (not 600 <= self.stale <= 30 * 86_400, "`stale` is 10 minutes to 30 days"),
            (self.role_key is not None and self.role_key.agency != me, "the role key is of another agency"),
            (not all(map(_TERRITORY.fullmatch, self.persecutors)), "`persecutors` are territories such as XQ"),
        ]

    @property
    def session_life(self) -> timedelta:
        """How long a bearer token lasts."""
        return timedelta(seconds=self.session)

    @classmethod
    def from_home(cls, home: Path, passphrase: str, *, unsafe_open_wire: bool = False) -> Settings:
        """Read a node's home: ``node.json``, ``keys.json`` (encrypted), ``trust.json``, ``profile.json``.

        ``node.json`` holds ``agency``, ``fed``, ``broker`` and any of the numbers above by name.
        """
        told = read_node_file(home)
        if unsafe_open_wire:
            told["unsafe_open_wire"] = True
        for name in ("keys.json", "profile.json"):
            _must_be_private(home / name)
        identity = Identity.load(home / "keys.json", passphrase)
        if told["agency"] != identity.agency:
            raise SettingsRefused(f"the keys are of `{identity.agency}`, not of `{told['agency']}`")
        return cls(
            database=home / "node.db",
            fed=told["fed"],
            trust=_read(home / "trust.json"),
            identity=identity,
            profile=Profile.from_bytes(_read(home / "profile.json")),
            broker=told["broker"].rstrip("/"),
            role_key=RoleKey.from_bytes(read_private(home / ROLE_KEY)) if (home / ROLE_KEY).exists() else None,
            persecutors=frozenset(told.pop("persecutors", ())),
            witness=read_witness(home, identity.agency, passphrase),
            offences=OffenceTable.from_bytes(_read(home / OFFENCES)) if (home / OFFENCES).exists() else None,
            **{name: told[name] for name in _OPTIONAL if name in told},
        )


_OPTIONAL: Final = {
    "background": bool, "wait": int, "every": float, "refresh": int, "session": int, "head_seconds": int,
    "keep_periods": int, "stale": int, "unsafe_open_wire": bool,
}  # fmt: skip
_FOR_OTHERS: Final = ("listen", "url", "id", "name")
"""Members that commands and the exercises put into the same file."""


def read_witness(home: Path, agency: str, passphrase: str) -> Cosigner | None:
    """The keys with which this node cosigns checkpoints; none if it is no witness."""
    if not (home / WITNESS).exists():
        return None
    keys = WitnessKeys.load(home / WITNESS, passphrase)
    if keys.name != witness_name(agency):
        raise SettingsRefused(f"the witness's keys are of `{keys.name}`, not of `{witness_name(agency)}`")
    return Cosigner(keys.name, keys.signer)


def new_witness(home: Path, agency: str, passphrase: str) -> Cosigner:
    """Make a node a witness: draw its keys and lay them into its home."""
    keys = WitnessKeys.generate(witness_name(agency))
    keys.save(home / WITNESS, passphrase)
    return Cosigner(keys.name, keys.signer)


def witness_name(agency: str) -> str:
    """Under which name an agency's node cosigns."""
    return f"{agency}/witness"


def read_node_file(home: Path) -> dict[str, Any]:
    """Read ``node.json`` strictly."""
    try:
        told: dict[str, Any] = dict(read_json(_read(home / FILE), limit=64 * 1024))
    except (Refusal, TypeError, ValueError) as wrong:
        raise SettingsRefused(f"`{FILE}` cannot be read: {wrong}") from None
    unknown = told.keys() - {"agency", "fed", "broker", "persecutors", *_OPTIONAL, *_FOR_OTHERS}
    if unknown:
        raise SettingsRefused(f"`{FILE}` has members nobody knows: {', '.join(sorted(unknown))}")
    for name in ("agency", "fed", "broker"):
        if type(told.get(name)) is not str:
            raise SettingsRefused(f"`{FILE}` needs `{name}`, a string")
    feared = told.get("persecutors", [])
    if type(feared) is not list or not all(type(one) is str for one in feared):
        raise SettingsRefused(f"`persecutors` in `{FILE}` is a list of territories")
    for name, kind in _OPTIONAL.items():
        if name in told and type(told[name]) not in (kind, int if kind is float else kind):
            raise SettingsRefused(f"`{name}` in `{FILE}` is of the wrong kind")
    return told


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise SettingsRefused(f"`{path.name}` cannot be read: {wrong.strerror}") from None


def _must_be_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as wrong:
        raise SettingsRefused(f"`{path.name}` cannot be read: {wrong.strerror}") from None
    if mode & 0o077:
        raise SettingsRefused(f"others may read `{path.name}`: its mode must be 0600")


def write_home(home: Path, *, fed: str, broker: str, trust: bytes, profile: Profile, **told: Any) -> None:
    """Write a node's home but for its keys, which `Identity.save` writes to ``keys.json``; private from the start."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    members = {"agency": profile.agency, "fed": fed, "broker": broker, **told}
    replace_file(home / "trust.json", trust)
    replace_file(home / "profile.json", profile.to_bytes())
    replace_file(home / FILE, write_json(members) + b"\n")
