"""Periods: one key a month, which follows from nothing and is found again (NODE-210 to NODE-213)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agencies.node.errors import PeriodShredded
from agencies.node.periods import Period, Periods, count_of, period_of
from agencies.node.store import Store
from keys.encoding import b64u, unb64u
from keys.errors import KeystoreRefused
from keys.vault import Vault

SECRET = bytes(range(32))
NOVEMBER, DECEMBER = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "node.db")
    yield made
    made.close()


def periods(store: Store) -> Periods:
    return Periods(store, Vault.derive(SECRET, "node north.police.sim"))


@pytest.mark.spec("NODE-210")
def test_a_period_is_a_calendar_month_in_utc() -> None:
    assert [period_of(at) for at in (NOVEMBER, DECEMBER)] == ["2026-11", "2026-12"]
    assert period_of(datetime.fromisoformat("2026-12-01T00:30:00+01:00")) == "2026-11"
    assert count_of("2027-01") - count_of("2026-11") == 2


@pytest.mark.spec("NODE-210", "NODE-211")
def test_a_name_is_an_hmac_under_the_key_of_its_month() -> None:
    november = Period("2026-11", SECRET)
    assert november.officer("np-1") == b64u(hmac.digest(SECRET, b"ix/1 officer\nnp-1", "sha256"))
    assert november.case("c" * 43) == b64u(hmac.digest(SECRET, b"ix/1 case\n" + b"c" * 43, "sha256"))
    assert b64u(SECRET) not in repr(november)
    assert len(unb64u(november.officer("np-1"))) == 32


@pytest.mark.spec("NODE-210")
def test_every_month_has_a_key_of_its_own_and_keeps_it_over_restarts(store: Store) -> None:
    first = periods(store)
    names = [first.at(at).officer("np-1") for at in (NOVEMBER, DECEMBER, NOVEMBER)]
    assert names[0] == names[2] != names[1]
    assert periods(store).at(NOVEMBER).officer("np-1") == names[0]
    with store.reading() as books:
        assert [one.name for one in first.kept(books)] == ["2026-11", "2026-12"]


@pytest.mark.spec("NODE-210")
def test_two_nodes_with_one_key_file_name_nobody_alike(tmp_path: Path, store: Store) -> None:
    """The key of a month is drawn: it follows from no other, and from no key file."""
    other = Store(tmp_path / "other.db")
    assert periods(store).at(NOVEMBER).officer("np-1") != periods(other).at(NOVEMBER).officer("np-1")
    other.close()


@pytest.mark.spec("NODE-212")
def test_a_key_stands_in_the_books_only_locked(tmp_path: Path, store: Store) -> None:
    november = periods(store).at(NOVEMBER)
    store.scrub()
    data = (tmp_path / "node.db").read_bytes()
    assert b"2026-11" in data
    assert november._key not in data
    with pytest.raises(KeystoreRefused), store.reading() as books:
        Periods(store, Vault.derive(bytes(32), "node north.police.sim")).find(books, "2026-11")


@pytest.mark.spec("NODE-212")
def test_a_key_that_was_moved_to_another_month_is_refused(store: Store) -> None:
    mine = periods(store)
    mine.at(NOVEMBER), mine.at(DECEMBER)
    with store.writing() as books:
        secret = books.get("period", name="2026-11").secret  # type: ignore[union-attr]
        books.turn("period", {"name": "2026-12"}, {"secret": secret})
    with pytest.raises(KeystoreRefused), store.reading() as books:
        periods(store).find(books, "2026-12")


@pytest.mark.spec("NODE-212")
def test_a_key_whose_transaction_failed_was_never_used(store: Store) -> None:
    mine = periods(store)
    lost: list[str] = []

    def fail() -> None:
        with store.writing() as books:
            lost.append(mine.of(books, NOVEMBER).officer("np-1"))
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        fail()
    assert mine.at(NOVEMBER).officer("np-1") not in lost
    with store.writing() as books:
        assert mine.of(books, NOVEMBER).officer("np-1") == mine.at(NOVEMBER).officer("np-1")


@pytest.mark.spec("NODE-214")
def test_a_month_that_was_shredded_gets_no_other_key(store: Store) -> None:
    mine = periods(store)
    mine.at(NOVEMBER)
    with store.writing() as books:
        books.turn("period", {"name": "2026-11"}, {"secret": None, "destroyed": "2030-01-01T00:00:00.000Z"})
    with pytest.raises(PeriodShredded):
        periods(store).at(NOVEMBER)
    with store.writing() as books, pytest.raises(PeriodShredded):
        mine.of(books, NOVEMBER)
