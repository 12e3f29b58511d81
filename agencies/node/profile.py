"""Who works here: officers, their roles, and how a passphrase is kept (`spec/nodes.md`, NODE-10 to NODE-13, NODE-80).

A passphrase is kept as scrypt (RFC 7914) of it and nothing else. An auditor has no other role: whoever
checks the ledger does not write in it. What an officer may be shown also hangs on a clearance, on training
that is in date and on the cases that are his or hers. This module knows no clock and no store.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from agencies.node.errors import RoleMissing, SettingsRefused
from exchange.protocol.vocabulary import Classification
from keys.encoding import b64u, instant, read_json, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.vault import fresh

MAX_PROFILE: Final = 1024 * 1024
MIN_PASSPHRASE: Final = 12
"""Characters of the shortest passphrase that may be set."""
COST: Final = 2**15
MIN_COST: Final = 2**14
"""scrypt N: 2^15 takes about 80 ms and 32 MiB; less than 2^14 is refused at start-up."""
_BLOCK: Final = 8
MAX_CASES: Final = 1000
_TRAINING: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class OfficerRole(StrEnum):
    """What an officer may do at this node."""

    OFFICER = "officer"
    RELEASE_OFFICER = "release_officer"
    AUDITOR = "auditor"
    PROTECTION_OFFICER = "protection_officer"


@dataclass(frozen=True, slots=True)
class Officer:
    """One person who may sign in here. ``display`` is a role title; it never leaves the node.

    ``clearance`` is the highest classification to be shown (none: wherever no clause asks for one), ``training``
    says until when each certificate holds, ``cases`` are the references of the officer's cases (none: all cases).
    """

    id: str
    roles: frozenset[OfficerRole]
    display: str = ""
    passphrase: str = field(default="", repr=False)
    clearance: Classification | None = None
    training: Mapping[str, datetime] = field(default_factory=dict, hash=False)
    cases: frozenset[str] | None = None

    def must_be(self, *roles: OfficerRole) -> None:
        """Return if the officer has one of these roles; refused otherwise."""
        if self.roles.isdisjoint(roles):
            wanted = " or ".join(f"`{role.value}`" for role in roles)
            raise RoleMissing(f"this needs the role {wanted}")


@dataclass(frozen=True, slots=True)
class Profile:
    """The officers of one agency, by id."""

    agency: str
    officers: Mapping[str, Officer]

    def to_bytes(self) -> bytes:
        """Write ``profile.json``."""
        officers = [_written(officer) for officer in self.officers.values()]
        return write_json({"agency": self.agency, "officers": officers})

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read ``profile.json`` strictly; an auditor with a second role, or a weak hash, is refused."""
        value = read_json(data, limit=MAX_PROFILE)
        if type(value) is not dict or value.keys() != {"agency", "officers"} or type(value["officers"]) is not list:
            raise SettingsRefused("a profile has exactly the members `agency` and `officers`")
        return new_profile(str(value["agency"]), [_read_officer(item) for item in value["officers"]])


def new_profile(agency: str, officers: Iterable[Officer]) -> Profile:
    """Gather officers into a profile, each id once."""
    listed = list(officers)
    for officer in listed:
        if not officer.id or any(unicodedata.category(c)[0] in "CZ" for c in officer.id):
            raise SettingsRefused("an officer's id is not empty and has no spaces, nor characters that nobody sees")
        if not officer.roles:
            raise SettingsRefused(f"officer `{officer.id}` has no role")
        if OfficerRole.AUDITOR in officer.roles and len(officer.roles) > 1:
            raise SettingsRefused(f"officer `{officer.id}` is an auditor and may have no other role")
        _read_hash(officer.passphrase)
    profile = Profile(agency, {officer.id: officer for officer in listed})
    if len({_look(officer.id) for officer in listed}) != len(listed):
        raise SettingsRefused("an officer is listed twice: ids that differ in case or in spelling alone are one")
    return profile


def _look(officer_id: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", officer_id).casefold())


def new_officer(
    officer_id: str, passphrase: str, roles: Iterable[str], *, display: str = "", cost: int = COST
) -> Officer:
    """Make an officer with a passphrase that is hashed here and forgotten."""
    return Officer(officer_id, frozenset(OfficerRole(r) for r in roles), display, hash_passphrase(passphrase, cost))


def _written(officer: Officer) -> dict[str, Any]:
    members: dict[str, Any] = {"id": officer.id, "display": officer.display, "roles": sorted(officer.roles)}
    members["passphrase"] = officer.passphrase
    if officer.clearance is not None:
        members["clearance"] = officer.clearance.value
    if officer.training:
        members["training"] = {code: stamp(until) for code, until in sorted(officer.training.items())}
    if officer.cases is not None:
        members["cases"] = sorted(officer.cases)
    return members


_MEMBERS: Final = frozenset({"id", "display", "roles", "passphrase"})
_MORE: Final = frozenset({"clearance", "training", "cases"})


def _read_officer(item: Any) -> Officer:
    if type(item) is not dict or not _MEMBERS <= item.keys() <= _MEMBERS | _MORE:
        raise SettingsRefused(
            "an officer has the members `id`, `display`, `roles` and `passphrase`, and perhaps `clearance`, `training` "
            "and `cases`"
        )
    if not all(type(item[m]) is str for m in ("id", "display", "passphrase")) or type(item["roles"]) is not list:
        raise SettingsRefused("an officer's members are strings, and `roles` a list")
    try:
        roles = frozenset(OfficerRole(role) for role in item["roles"])
    except ValueError:
        raise SettingsRefused(f"officer `{item['id']}` has a role that does not exist") from None
    return Officer(item["id"], roles, item["display"], item["passphrase"], **read_rights(item))


def read_rights(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read what an officer may be shown, from ``clearance``, ``training`` and ``cases`` of a plan or profile."""
    rights: dict[str, Any] = {}
    try:
        if "clearance" in item:
            rights["clearance"] = Classification(item["clearance"])
        if "training" in item:
            rights["training"] = {_certificate(code): instant(until) for code, until in item["training"].items()}
        if "cases" in item:
            rights["cases"] = _cases(item["cases"])
    except (ValueError, TypeError, AttributeError, Refusal):
        raise SettingsRefused(
            "`clearance` is a classification, `training` has a time for each code, and `cases` is a list of references"
        ) from None
    return rights


def _certificate(code: str) -> str:
    if not _TRAINING.fullmatch(code):
        raise ValueError("not a code")
    return code


def _cases(value: Any) -> frozenset[str]:
    if type(value) is not list or len(value) > MAX_CASES or not all(type(one) is str and one for one in value):
        raise ValueError("not a list of references")
    return frozenset(value)


def hash_passphrase(passphrase: str, cost: int = COST) -> str:
    """Hash a passphrase for keeping: ``scrypt$N$salt$hash`` with r = 8, p = 1."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise SettingsRefused(f"a passphrase has at least {MIN_PASSPHRASE} characters")
    salt = fresh(16)
    return f"scrypt${cost}${b64u(salt)}${b64u(_scrypt(passphrase, salt, cost))}"


def passphrase_fits(passphrase: str, kept: str) -> bool:
    """Say whether a passphrase is the one kept; takes the same time whether or not it is."""
    cost, salt, wanted = _read_hash(kept)
    return hmac.compare_digest(_scrypt(passphrase, salt, cost), wanted)


def _read_hash(kept: str) -> tuple[int, bytes, bytes]:
    parts = kept.split("$")
    if len(parts) != 4 or parts[0] != "scrypt" or not parts[1].isdecimal():
        raise SettingsRefused("a kept passphrase is of the form scrypt$N$salt$hash")
    cost, salt, wanted = int(parts[1]), unb64u(parts[2]), unb64u(parts[3])
    if not MIN_COST <= cost <= 2**20 or cost & (cost - 1) or len(salt) < 16 or len(wanted) != 32:
        raise SettingsRefused(f"a kept passphrase needs scrypt with N of at least {MIN_COST} and 16 bytes of salt")
    return cost, salt, wanted


def _scrypt(passphrase: str, salt: bytes, cost: int) -> bytes:
    room = 256 * _BLOCK * cost  # scrypt needs 128 * r * N bytes; OpenSSL asks for leave
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=cost, r=_BLOCK, p=1, maxmem=room, dklen=32)
