"""A vault opens what it locked, where it was put, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import KeystoreRefused
from keys.vault import Vault

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def vault() -> Vault:
    return Vault.derive(SECRET, "inbox")


@pytest.mark.spec("NODE-60")
@given(st.binary(max_size=300), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_box_opens_where_it_was_put(vault: Vault, data: bytes, context: str) -> None:
    box = vault.lock(data, context)
    assert vault.unlock(box, context) == data
    assert Vault.derive(SECRET, "inbox").unlock(box, context) == data
    assert vault.lock(data, context) != box
    with pytest.raises(KeystoreRefused, match="moved"):
        vault.unlock(box, context + "x")


@pytest.mark.spec("NODE-60")
def test_a_box_opens_for_no_other_secret_and_no_other_purpose(vault: Vault) -> None:
    box = vault.lock(b"plain text of a case", "inbox 1")
    assert b"plain" not in box
    for other in (Vault.derive(bytes(32), "inbox"), Vault.derive(SECRET, "outbox"), Vault(SECRET)):
        with pytest.raises(KeystoreRefused):
            other.unlock(box, "inbox 1")


@pytest.mark.spec("NODE-60")
@given(st.data())
def test_no_bit_of_a_box_can_change(vault: Vault, data: st.DataObject) -> None:
    box = bytearray(vault.lock(b"plain text of a case", "inbox 1"))
    box[data.draw(st.integers(0, len(box) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(KeystoreRefused):
        vault.unlock(bytes(box), "inbox 1")


@pytest.mark.parametrize("length", [0, 1, 12, 27, 28, 40])
def test_what_is_no_box_is_refused(vault: Vault, length: int) -> None:
    with pytest.raises(KeystoreRefused):
        vault.unlock(bytes(length), "inbox 1")


@pytest.mark.spec("NODE-61")
def test_a_seal_is_made_by_this_vault_over_these_bytes(vault: Vault) -> None:
    seal = vault.seal(b"a line of the ledger")
    vault.check_seal(b"a line of the ledger", seal)
    for data, other in ((b"another line", seal), (b"a line of the ledger", bytes(32)), (b"a line of the ledger", b"")):
        with pytest.raises(KeystoreRefused):
            vault.check_seal(data, other)
    assert Vault.derive(SECRET, "outbox").seal(b"a line of the ledger") != seal


def test_a_vault_needs_32_bytes_and_tells_none() -> None:
    for length in (0, 16, 31):
        with pytest.raises(ValueError, match="32"):
            Vault.derive(bytes(length), "inbox")
    with pytest.raises(ValueError, match="32"):
        Vault(bytes(33))
    assert repr(Vault(SECRET)) == "Vault()"
