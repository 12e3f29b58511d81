"""Keys at rest: what a thief of the file learns (nothing), and every file that must not be opened."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keys.keystore as keystore
from keys.encoding import b64u, unb64u, write_json
from keys.errors import KeystoreRefused
from keys.keystore import Authority, BrokerKeys, Identity, locked, read_private, replace_file
from keys.signing import Signer

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def identity(make_identity: Callable[[str], Identity]) -> Identity:
    return make_identity("north.police.sim").renewed()


@pytest.fixture
def file(tmp_path: Path, identity: Identity) -> Path:
    path = tmp_path / "keys.json"
    identity.save(path, PASSPHRASE)
    return path


def secrets_of(identity: Identity) -> list[bytes]:
    seeds = [*identity.signer.unsafe_seeds(), identity.transport.unsafe_seed(), identity.pseudonym_key]
    return seeds + [key.unsafe_seed() for key in identity.openings]


@pytest.mark.spec("KEY-31", "KEY-36")
def test_an_identity_is_read_back_with_its_older_opening_keys(file: Path, identity: Identity) -> None:
    read = Identity.load(file, PASSPHRASE)
    assert read.agency == identity.agency
    assert read.signer.public == identity.signer.public
    assert read.transport.public == identity.transport.public
    assert read.pseudonym_key == identity.pseudonym_key
    assert [k.public.kid for k in read.openings] == [k.public.kid for k in identity.openings]
    assert read.opening.public.kid == identity.opening.public.kid
    assert secrets_of(read) == secrets_of(identity)


@pytest.mark.spec("KEY-36")
def test_a_message_sealed_before_a_rotation_still_opens(
    tmp_path: Path, make_identity: Callable[[str], Identity]
) -> None:
    old = make_identity("south.police.sim")
    wrap = old.opening.public.wrap(b"\x01" * 32, bytes(32))
    old.renewed().renewed().save(tmp_path / "k", PASSPHRASE)
    read = Identity.load(tmp_path / "k", PASSPHRASE)
    assert read.opening.public.kid != old.opening.public.kid
    (key,) = (key for key in read.openings if key.public.kid == old.opening.public.kid)
    assert key.unwrap(wrap, bytes(32)) == b"\x01" * 32
    assert read.pseudonym_key == old.pseudonym_key


@pytest.mark.spec("KEY-31")
def test_authorities_and_broker_keys_are_read_back(tmp_path: Path, make_signer: Callable[[str], Signer]) -> None:
    signers = (make_signer("one"), make_signer("two"))
    Authority("root", signers).save(tmp_path / "a", PASSPHRASE)
    read = Authority.load(tmp_path / "a", PASSPHRASE)
    assert (read.name, [s.unsafe_seeds() for s in read.signers]) == ("root", [s.unsafe_seeds() for s in signers])
    broker = BrokerKeys.generate("broker.sim")
    broker.save(tmp_path / "b", PASSPHRASE)
    again = BrokerKeys.load(tmp_path / "b", PASSPHRASE)
    assert (again.broker, again.log.public, again.transport.public) == (
        "broker.sim",
        broker.log.public,
        broker.transport.public,
    )


@pytest.mark.spec("KEY-33")
def test_no_seed_stands_in_the_file_in_any_encoding(file: Path, identity: Identity) -> None:
    data = file.read_bytes()
    outer = json.loads(data)
    searched = [data, unb64u(outer["header"]), unb64u(outer["sealed"])]
    for seed in secrets_of(identity):
        forms = [seed, seed.hex().encode(), seed.hex().upper().encode(), seed[::-1], b64u(seed).encode()]
        forms += [base64.b64encode(seed).rstrip(b"="), base64.b32encode(seed).rstrip(b"="), repr(seed).encode()[2:-1]]
        assert not any(form in text for form in forms for text in searched)


@pytest.mark.spec("KEY-32", "KEY-33")
def test_the_same_keys_saved_twice_share_no_salt_nonce_or_ciphertext(file: Path, identity: Identity) -> None:
    first = file.read_bytes()
    identity.save(file, PASSPHRASE)
    one, two = json.loads(first), json.loads(file.read_bytes())
    assert one["sealed"][:40] != two["sealed"][:40]
    headers = [json.loads(unb64u(value["header"])) for value in (one, two)]
    assert headers[0]["kdf"]["salt"] != headers[1]["kdf"]["salt"]
    assert headers[0]["cipher"]["nonce"] != headers[1]["cipher"]["nonce"]


@pytest.mark.spec("KEY-31", "KEY-32", "KEY-33")
def test_the_file_opens_by_the_recipe_of_the_specification(file: Path, identity: Identity) -> None:
    """Written from `spec/keys.md` with the standard library's scrypt."""
    import hashlib

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    outer = json.loads(file.read_bytes())
    header = json.loads(unb64u(outer["header"]))
    assert (header["kind"], header["label"]) == ("identity", "north.police.sim")
    kdf = header["kdf"]
    assert (kdf["name"], kdf["r"], kdf["p"]) == ("scrypt", 8, 1)
    assert kdf["n"] >= 2**15
    key = hashlib.scrypt(
        PASSPHRASE.encode(), salt=unb64u(kdf["salt"]), n=kdf["n"], r=8, p=1, dklen=32, maxmem=128 * 1024 * 1024
    )
    plain = AESGCM(key).decrypt(unb64u(header["cipher"]["nonce"]), unb64u(outer["sealed"]), outer["header"].encode())
    assert json.loads(plain)["openings"] == [b64u(k.unsafe_seed()) for k in identity.openings]


# what is refused


@pytest.mark.spec("KEY-30")
@pytest.mark.parametrize("passphrase", ["", "something else", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_a_wrong_passphrase_opens_nothing(file: Path, passphrase: str) -> None:
    with pytest.raises(KeystoreRefused) as caught:
        Identity.load(file, passphrase)
    assert passphrase not in str(caught.value) or passphrase == ""


def test_an_empty_passphrase_is_not_taken(tmp_path: Path, identity: Identity) -> None:
    with pytest.raises(KeystoreRefused, match="empty"):
        identity.save(tmp_path / "k", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("KEY-32")
def test_a_passphrase_typed_in_another_normal_form_is_the_same(tmp_path: Path, identity: Identity) -> None:
    identity.save(tmp_path / "k", "cafe\u0301 \ud800")
    assert Identity.load(tmp_path / "k", "caf\u00e9 \ud800").agency == identity.agency


@pytest.mark.spec("KEY-30", "KEY-33")
def test_no_byte_of_the_file_can_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte, with the key stretched once: the same passphrase and salt give the same key."""
    data = file.read_bytes()
    known: dict[tuple[bytes, int], bytes] = {}
    stretch = keystore.stretch

    def once(passphrase: str, salt: bytes, n: int) -> bytes:
        if n != keystore.SCRYPT_N:
            return bytes(32)
        return known.setdefault((salt, n), stretch(passphrase, salt, n) if not known else bytes(32))

    monkeypatch.setattr(keystore, "stretch", once)
    Identity.load(file, PASSPHRASE)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(KeystoreRefused):
            Identity.load(file, PASSPHRASE)


@pytest.mark.spec("KEY-30")
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"header":"","sealed":""}', b'{"header":1}'])
def test_what_is_no_key_file_is_refused(tmp_path: Path, data: bytes) -> None:
    replace_file(tmp_path / "k", data)
    with pytest.raises(KeystoreRefused):
        Identity.load(tmp_path / "k", PASSPHRASE)


@pytest.mark.spec("KEY-32")
@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["kdf"].update(n=2**14),
        lambda h: h["kdf"].update(n=2**21),
        lambda h: h["kdf"].update(n=2**15 + 1),
        lambda h: h["kdf"].update(n="32768"),
        lambda h: h["kdf"].update(n=True),
        lambda h: h["kdf"].update(n=-(2**15)),
        lambda h: h["kdf"].update(r=1),
        lambda h: h["kdf"].update(p=16),
        lambda h: h["kdf"].update(name="argon2id"),
        lambda h: h["kdf"].update(salt=""),
        lambda h: h["kdf"].pop("salt"),
        lambda h: h["cipher"].update(name="AES-128-GCM"),
        lambda h: h["cipher"].update(nonce="AAAA"),
        lambda h: h.update(v="ix/2"),
        lambda h: h.update(typ="root"),
        lambda h: h.update(kdf=[]),
        lambda h: h.pop("kind"),
        lambda h: h.pop("label"),
    ],
)
def test_another_way_of_encrypting_is_refused_before_anything_is_computed(
    file: Path, change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = json.loads(file.read_bytes())
    header = json.loads(unb64u(outer["header"]))
    change(header)
    replace_file(file, write_json({"header": b64u(write_json(header)), "sealed": outer["sealed"]}))

    def never(*_: Any) -> bytes:
        raise AssertionError("scrypt was started")

    monkeypatch.setattr(keystore, "stretch", never)
    with pytest.raises(KeystoreRefused):
        Identity.load(file, PASSPHRASE)


@pytest.mark.spec("KEY-31")
def test_a_file_of_another_kind_is_refused(file: Path) -> None:
    for kind in (Authority, BrokerKeys):
        with pytest.raises(KeystoreRefused, match="identity"):
            kind.load(file, PASSPHRASE)


@pytest.mark.spec("KEY-30")
@pytest.mark.parametrize(
    "secrets", [{}, {"signing": {}}, {"signing": 1, "openings": [], "transport": "", "pseudonym": ""}]
)
def test_an_authentic_file_without_the_keys_it_should_hold_is_refused(tmp_path: Path, secrets: Any) -> None:
    keystore._write(tmp_path / "k", "identity", "x.sim", secrets, PASSPHRASE)
    with pytest.raises(KeystoreRefused, match="keys it should"):
        Identity.load(tmp_path / "k", PASSPHRASE)


# the file itself


@pytest.mark.spec("KEY-34")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_key_file_has_mode_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "k", b"x")
        replace_file(tmp_path / "k", b"y")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert (tmp_path / "k").read_bytes() == b"y"


@pytest.mark.spec("KEY-30")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o610, 0o644, 0o666, 0o700 | 0o004])
def test_a_key_file_that_others_may_touch_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(KeystoreRefused, match="0600"):
        Identity.load(file, PASSPHRASE)


@pytest.mark.spec("KEY-30")
def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "large").touch(mode=0o600)
    os.truncate(tmp_path / "large", keystore.MAX_FILE + 1)
    for name in ("pipe", "folder", "large", "absent"):
        with pytest.raises(KeystoreRefused):
            read_private(tmp_path / name)


@pytest.mark.spec("KEY-35")
@pytest.mark.parametrize("broken", ["fsync", "fchmod", "rename"])
def test_a_write_cut_off_leaves_the_old_file(
    file: Path, identity: Identity, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = file.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "no space left")

    if broken == "rename":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="no space"):
        identity.save(file, PASSPHRASE)
    monkeypatch.undo()
    assert file.read_bytes() == old
    assert [path.name for path in file.parent.iterdir()] == ["keys.json"]


@pytest.mark.spec("KEY-35")
def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def flushed(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        order.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    replace_file(tmp_path / "k", b"x")
    assert order == ["file", "name", "folder"]


def test_one_ceremony_at_a_time(tmp_path: Path) -> None:
    """KEY-37: two commands on one folder wait for each other, so that neither loses the other's record."""
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_an_identity_tells_no_secret_when_printed(identity: Identity) -> None:
    text = repr(identity)
    for secret in secrets_of(identity):
        assert repr(secret)[2:-1] not in text
        assert secret.hex() not in text
