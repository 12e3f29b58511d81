"""Private keys at rest: one encrypted file each, mode 0600 (KEY-30 to KEY-36). The room's only file access.

The key comes from a passphrase by scrypt (RFC 7914), the contents are sealed with AES-256-GCM, and the
whole header is authenticated. A file is replaced whole or not at all. Four things are kept in such
files: an agency's ``Identity``, an ``Authority`` (root or enrolment signers), ``BrokerKeys`` and ``WitnessKeys``.

Python cannot wipe memory: who can read this process's memory can read its keys.
"""

from __future__ import annotations

import fcntl
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.ceremony import AgencyKeys
from keys.encoding import b64u, read_json, unb64u, write_json
from keys.errors import KeystoreRefused, Refusal
from keys.sealing import OpeningKey
from keys.signing import Signer, TransportSigner

SCRYPT_N: Final = 2**15
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
MAX_SCRYPT_N: Final = 2**20
"""Above this a file asks for more than a gigabyte: it is refused before anything is computed."""
MAX_FILE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """All private keys of one agency. ``openings`` keeps older ones, so that older messages still open."""

    agency: str
    signer: Signer
    opening: OpeningKey
    openings: tuple[OpeningKey, ...]
    transport: TransportSigner
    pseudonym_key: bytes = field(repr=False)

    @classmethod
    def generate(cls, agency: str) -> Identity:
        """Make all keys of an agency from fresh randomness."""
        opening = OpeningKey.generate()
        return cls(agency, Signer.generate(), opening, (opening,), TransportSigner.generate(), os.urandom(32))

    def renewed(self) -> Identity:
        """Make new keys for a rotation; keeps every opening key and the pseudonym key."""
        opening = OpeningKey.generate()
        return replace(
            self,
            signer=Signer.generate(),
            opening=opening,
            openings=(opening, *self.openings),
            transport=TransportSigner.generate(),
        )

    @property
    def public(self) -> AgencyKeys:
        """The public half, for the enrolment authority."""
        return AgencyKeys(self.signer.public, self.opening.public, self.transport.public)

    def save(self, path: Path, passphrase: str) -> None:
        """Write the identity encrypted, mode 0600, replacing the file whole."""
        openings = [b64u(key.unsafe_seed()) for key in (self.opening, *self._older())]
        secrets = {"signing": _signer_json(self.signer), "openings": openings}
        secrets |= {"transport": b64u(self.transport.unsafe_seed()), "pseudonym": b64u(self.pseudonym_key)}
        _write(path, "identity", self.agency, secrets, passphrase)

    def _older(self) -> list[OpeningKey]:
        return [key for key in self.openings if key.public.kid != self.opening.public.kid]

    @classmethod
    def load(cls, path: Path, passphrase: str) -> Identity:
        """Read an identity; ``KeystoreRefused`` for a wrong passphrase, open permissions or damage."""
        agency, secrets = _read(path, "identity", passphrase)
        with _whole():
            openings = tuple(OpeningKey.from_seed(unb64u(seed)) for seed in secrets["openings"])
            transport = TransportSigner.from_seed(unb64u(secrets["transport"]))
            signer, pseudonym_key = _signer(secrets["signing"]), unb64u(secrets["pseudonym"])
            return cls(agency, signer, openings[0], openings, transport, pseudonym_key)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signers that speak for the federation: the root keys, or the enrolment keys. ``name`` says which."""

    name: str
    signers: tuple[Signer, ...]

    def save(self, path: Path, passphrase: str) -> None:
        """Write the signers encrypted, mode 0600, replacing the file whole."""
        _write(path, "authority", self.name, {"signing": [_signer_json(s) for s in self.signers]}, passphrase)

    @classmethod
    def load(cls, path: Path, passphrase: str) -> Authority:
        """Read the signers; refusals as for ``Identity.load``."""
        name, secrets = _read(path, "authority", passphrase)
        with _whole():
            return cls(name, tuple(_signer(seeds) for seeds in secrets["signing"]))


@dataclass(frozen=True, slots=True)
class BrokerKeys:
    """What the broker signs with: checkpoints (``log``) and HTTP answers (``transport``). It opens nothing."""

    broker: str
    log: Signer
    transport: TransportSigner

    @classmethod
    def generate(cls, broker: str) -> BrokerKeys:
        """Make the broker's keys from fresh randomness."""
        return cls(broker, Signer.generate(), TransportSigner.generate())

    def save(self, path: Path, passphrase: str) -> None:
        """Write the keys encrypted, mode 0600, replacing the file whole."""
        secrets = {"log": _signer_json(self.log), "transport": b64u(self.transport.unsafe_seed())}
        _write(path, "broker", self.broker, secrets, passphrase)

    @classmethod
    def load(cls, path: Path, passphrase: str) -> BrokerKeys:
        """Read the broker's keys; refusals as for ``Identity.load``."""
        broker, secrets = _read(path, "broker", passphrase)
        with _whole():
            return cls(broker, _signer(secrets["log"]), TransportSigner.from_seed(unb64u(secrets["transport"])))


@dataclass(frozen=True, slots=True)
class WitnessKeys:
    """What a witness cosigns checkpoints with, under its ``name``; these keys sign nothing else (WIT-1)."""

    name: str
    signer: Signer

    @classmethod
    def generate(cls, name: str) -> WitnessKeys:
        """Make a witness's keys from fresh randomness."""
        return cls(name, Signer.generate())

    def save(self, path: Path, passphrase: str) -> None:
        """Write the keys encrypted, mode 0600, replacing the file whole."""
        _write(path, "witness", self.name, {"signing": _signer_json(self.signer)}, passphrase)

    @classmethod
    def load(cls, path: Path, passphrase: str) -> WitnessKeys:
        """Read a witness's keys; refusals as for ``Identity.load``."""
        name, secrets = _read(path, "witness", passphrase)
        with _whole():
            return cls(name, _signer(secrets["signing"]))


def _signer_json(signer: Signer) -> dict[str, str]:
    ed25519, mldsa44 = signer.unsafe_seeds()
    return {"ed25519": b64u(ed25519), "mldsa44": b64u(mldsa44)}


def _signer(seeds: dict[str, str]) -> Signer:
    return Signer.from_seeds(unb64u(seeds["ed25519"]), unb64u(seeds["mldsa44"]))


@contextmanager
def _whole() -> Iterator[None]:
    """Whatever goes wrong inside an authentic file is a damaged keystore, not a fault of ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, Refusal):
        raise KeystoreRefused("the key file does not hold the keys it should") from None


def _write(path: Path, kind: str, label: str, secrets: dict[str, Any], passphrase: str) -> None:
    salt, nonce = os.urandom(16), os.urandom(12)
    kdf = {"name": "scrypt", "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "salt": b64u(salt)}
    cipher = {"name": "AES-256-GCM", "nonce": b64u(nonce)}
    members = {"v": "ix/1", "typ": "keystore", "kind": kind, "label": label, "kdf": kdf, "cipher": cipher}
    header = b64u(write_json(members))
    sealed = AESGCM(stretch(passphrase, salt, SCRYPT_N)).encrypt(nonce, write_json(secrets), header.encode("ascii"))
    replace_file(path, write_json({"header": header, "sealed": b64u(sealed)}))


def _read(path: Path, kind: str, passphrase: str) -> tuple[str, dict[str, Any]]:
    data = read_private(path)
    try:
        outer = read_json(data, limit=MAX_FILE)
        raw_header, sealed = outer.pop("header"), unb64u(outer.pop("sealed"))
        header = read_json(unb64u(raw_header), limit=4096)
        kdf, cipher = header["kdf"], header["cipher"]
        salt, nonce, n = unb64u(kdf["salt"]), unb64u(cipher["nonce"]), kdf["n"]
        found, label = str(header["kind"])[:20], str(header["label"])
        suite = (header["v"], header["typ"], kdf["name"], kdf["r"], kdf["p"], cipher["name"])
    except (Refusal, KeyError, TypeError, AttributeError):
        raise KeystoreRefused("the file is not an ix/1 key file") from None
    if suite != ("ix/1", "keystore", "scrypt", SCRYPT_R, SCRYPT_P, "AES-256-GCM") or len(nonce) != 12 or outer:
        raise KeystoreRefused("the key file is encrypted in another way than ix/1 allows")
    if type(n) is not int or not SCRYPT_N <= n <= MAX_SCRYPT_N or n & (n - 1) or len(salt) < 16:
        raise KeystoreRefused("the key file's scrypt cost is outside what is allowed")
    if found != kind:
        raise KeystoreRefused(f"the key file holds `{found}` keys, not `{kind}` keys")
    try:
        plain = AESGCM(stretch(passphrase, salt, n)).decrypt(nonce, sealed, raw_header.encode("ascii"))
    except InvalidTag:
        raise KeystoreRefused("wrong passphrase, or the key file was altered") from None
    return label, read_json(plain, limit=MAX_FILE)


def stretch(passphrase: str, salt: bytes, n: int) -> bytes:
    """Make a 32-byte key of a passphrase: scrypt with r = 8, p = 1 (KEY-32)."""
    if not passphrase:
        raise KeystoreRefused("an empty passphrase protects nothing")
    # The same words typed on two systems may be two byte strings: NFC makes them one.
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=32, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(secret)


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file whole: a reader sees the old bytes or the new ones, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{b64u(os.urandom(6))}")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask made of it
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one ceremony at a time, so that two at once do not lose each other's record."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_private(path: Path) -> bytes:
    """Read a private file, refusing one that others may read, anything that is no file, and absence."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as wrong:
        raise KeystoreRefused(f"the key file `{path.name}` cannot be read: {wrong.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise KeystoreRefused(f"`{path.name}` is not a file")
        if found.st_mode & 0o077:
            raise KeystoreRefused(f"others may read `{path.name}`: its mode must be 0600")
        if found.st_size > MAX_FILE:
            raise KeystoreRefused(f"`{path.name}` is too large for a key file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_FILE + 1)
    finally:
        os.close(handle)
