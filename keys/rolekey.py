"""A role's private key: shut to the process that keeps it, open to each officer of the role (KEY-27, KEY-39, KEY-40).

The identities of victims, minors and protected witnesses are sealed to this key. Its seeds lie under a
file key, and the file key once for every officer of the role under scrypt of that officer's own
passphrase. So whoever has the node's disk, memory and passphrase, but no officer, opens nothing. An officer who
leaves has seen the file key: take the lock away, then ``renewed`` gives the role another key.

The file is written and read with ``keystore.replace_file`` and ``keystore.read_private``, which keep it from others.
Python cannot wipe memory: while an officer looks, who can read the process's memory can read the key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.encoding import b64u, read_json, unb64u, write_json
from keys.errors import KeystoreRefused, Refusal
from keys.keystore import MAX_FILE, MAX_SCRYPT_N, SCRYPT_N, stretch
from keys.sealing import OpeningKey, SealingKey

MAX_OFFICERS: Final = 32
_WRONG: Final = "this officer and passphrase do not unlock the role's key"


@dataclass(frozen=True, slots=True)
class _Lock:
    """The file key under one officer's passphrase."""

    officer: str
    n: int
    salt: bytes
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RoleKey:
    """The protection role's key of one agency, as it rests: nothing in it opens without an officer."""

    agency: str
    locks: tuple[_Lock, ...]
    box: bytes = field(repr=False)

    @classmethod
    def generate(cls, agency: str, passphrases: Mapping[str, str]) -> tuple[Self, SealingKey]:
        """Make a role key for these officers; the public half is for the agency's record."""
        if not passphrases:
            raise KeystoreRefused("a role key needs at least one officer")
        file_key, opening = os.urandom(32), OpeningKey.generate()
        locks = tuple(_lock(agency, officer, phrase, file_key) for officer, phrase in passphrases.items())
        return cls(agency, locks, _box(agency, file_key, [opening.unsafe_seed()])), opening.public

    @property
    def officers(self) -> tuple[str, ...]:
        """Who has a lock, by officer's id."""
        return tuple(lock.officer for lock in self.locks)

    def unlock(self, officer: str, passphrase: str) -> tuple[OpeningKey, ...]:
        """The role's private keys, newest first, for an officer who knows the passphrase; refused otherwise."""
        return tuple(OpeningKey.from_seed(seed) for seed in self._seeds(self._file_key(officer, passphrase)))

    def admit(self, officer: str, passphrase: str, *, by: str, by_passphrase: str) -> Self:
        """Give another officer a lock, or one who has it another passphrase; somebody who has one must be there."""
        added = _lock(self.agency, officer, passphrase, self._file_key(by, by_passphrase))
        kept = tuple(lock for lock in self.locks if lock.officer != officer)
        if len(kept) >= MAX_OFFICERS:
            raise KeystoreRefused(f"a role has at most {MAX_OFFICERS} officers")
        return replace(self, locks=(*kept, added))

    def without(self, officer: str) -> Self:
        """Take an officer's lock away; the last one stays, for without it nothing would ever open again."""
        kept = tuple(lock for lock in self.locks if lock.officer != officer)
        if not kept or len(kept) == len(self.locks):
            raise KeystoreRefused("there is no such lock, or it is the last one")
        return replace(self, locks=kept)

    def renewed(self, by: str, passphrase: str) -> tuple[Self, SealingKey]:
        """Put a new key before the older ones, which stay, so that what was sealed to them still opens."""
        file_key, opening = self._file_key(by, passphrase), OpeningKey.generate()
        seeds = [opening.unsafe_seed(), *self._seeds(file_key)]
        return replace(self, box=_box(self.agency, file_key, seeds)), opening.public

    def to_bytes(self) -> bytes:
        """Write the file."""
        locks = [
            {"officer": one.officer, "n": one.n, "salt": b64u(one.salt), "sealed": b64u(one.sealed)}
            for one in self.locks
        ]
        head = {"v": "ix/1", "typ": "keystore", "kind": "protection", "label": self.agency}
        return write_json({**head, "locks": locks, "sealed": b64u(self.box)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the file strictly; what is sealed in it stays so."""
        try:
            value = read_json(data, limit=MAX_FILE)
            head = (value.pop("v"), value.pop("typ"), value.pop("kind"))
            label, box = value.pop("label"), unb64u(value.pop("sealed"))
            locks = tuple(_read_lock(one) for one in value.pop("locks"))
        except (Refusal, KeyError, TypeError, AttributeError):
            raise KeystoreRefused("the file is not an ix/1 role key") from None
        if value or head != ("ix/1", "keystore", "protection") or type(label) is not str:
            raise KeystoreRefused("the file is not an ix/1 role key")
        if not 1 <= len(locks) <= MAX_OFFICERS or len({lock.officer for lock in locks}) != len(locks):
            raise KeystoreRefused(f"a role key has 1 to {MAX_OFFICERS} locks, each officer's once")
        return cls(label, locks, box)

    def _file_key(self, officer: str, passphrase: str) -> bytes:
        lock = next((one for one in self.locks if one.officer == officer), None)
        # A stranger costs as much time as an officer.
        n, salt = (lock.n, lock.salt) if lock else (SCRYPT_N, bytes(16))
        key = stretch(passphrase, salt, n)
        if lock is None:
            raise KeystoreRefused(_WRONG)
        try:
            return AESGCM(key).decrypt(lock.sealed[:12], lock.sealed[12:], _about(self.agency, officer))
        except InvalidTag:
            raise KeystoreRefused(_WRONG) from None

    def _seeds(self, file_key: bytes) -> list[bytes]:
        try:
            plain = AESGCM(file_key).decrypt(self.box[:12], self.box[12:], _about(self.agency))
        except (InvalidTag, ValueError):
            raise KeystoreRefused("the role's key was altered") from None
        return [unb64u(seed) for seed in read_json(plain, limit=MAX_FILE)]


def _lock(agency: str, officer: str, passphrase: str, file_key: bytes) -> _Lock:
    salt, nonce = os.urandom(16), os.urandom(12)
    key = stretch(passphrase, salt, SCRYPT_N)
    return _Lock(officer, SCRYPT_N, salt, nonce + AESGCM(key).encrypt(nonce, file_key, _about(agency, officer)))


def _box(agency: str, file_key: bytes, seeds: list[bytes]) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(file_key).encrypt(nonce, write_json([b64u(seed) for seed in seeds]), _about(agency))


def _about(*names: str) -> bytes:
    return "\n".join(("ix/1 role key", "protection", *names)).encode()


def _read_lock(item: Any) -> _Lock:
    officer, n = item["officer"], item["n"]
    salt, sealed = unb64u(item["salt"]), unb64u(item["sealed"])
    if item.keys() != {"officer", "n", "salt", "sealed"} or type(officer) is not str or type(n) is not int:
        raise KeystoreRefused("a lock of a role key has exactly `officer`, `n`, `salt` and `sealed`")
    if not SCRYPT_N <= n <= MAX_SCRYPT_N or n & (n - 1) or len(salt) < 16 or len(sealed) != 12 + 32 + 16:
        raise KeystoreRefused("the key file's scrypt cost is outside what is allowed")
    return _Lock(officer, n, salt, sealed)
