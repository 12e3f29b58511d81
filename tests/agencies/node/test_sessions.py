"""Signing in: guessing is slow, tokens expire, strangers look like officers (NODE-10 to NODE-12)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node import sessions as module
from agencies.node.errors import SignInRefused, SignInThrottled, TokenRefused
from agencies.node.profile import MIN_COST, Profile, new_officer, new_profile
from agencies.node.sessions import Sessions
from agencies.node.store import Store
from exercises.world import Clock

PASSPHRASE = "a boat in the harbour"


@pytest.fixture(scope="module")
def profile() -> Profile:
    return new_profile("north.police.sim", [new_officer("np-1", PASSPHRASE, ["officer"], cost=MIN_COST)])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "node.db")
    yield store
    store.close()


@pytest.fixture
def sessions(store: Store, profile: Profile, clock: Clock) -> Sessions:
    return Sessions(store, profile, clock, timedelta(hours=8))


@pytest.mark.spec("NODE-12")
def test_a_token_lasts_until_it_expires(sessions: Sessions, clock: Clock) -> None:
    token = sessions.sign_in("np-1", PASSPHRASE)
    assert sessions.who(token.text).id == "np-1"
    clock.advance(hours=7.99)
    sessions.who(token.text)
    clock.advance(hours=0.01)
    with pytest.raises(TokenRefused):
        sessions.who(token.text)


@pytest.mark.spec("NODE-12")
def test_the_books_hold_no_token(sessions: Sessions, store: Store, tmp_path: Path) -> None:
    token = sessions.sign_in("np-1", PASSPHRASE)
    assert len(token.text) == 43
    assert token.text not in repr(token)
    assert not any(token.text.encode() in path.read_bytes() for path in tmp_path.glob("node.db*"))


def test_a_session_ends_when_asked(sessions: Sessions) -> None:
    token = sessions.sign_in("np-1", PASSPHRASE)
    sessions.sign_out(token.text)
    with pytest.raises(TokenRefused):
        sessions.who(token.text)


def test_an_officer_has_a_bounded_number_of_sessions(sessions: Sessions, clock: Clock) -> None:
    tokens = []
    for _ in range(12):
        tokens.append(sessions.sign_in("np-1", PASSPHRASE))
        clock.advance(seconds=1)
    with pytest.raises(TokenRefused):
        sessions.who(tokens[0].text)
    assert sessions.who(tokens[-1].text).id == "np-1"


@pytest.mark.spec("NODE-10")
def test_a_stranger_and_a_wrong_passphrase_are_refused_alike(sessions: Sessions) -> None:
    said = set()
    for name, passphrase in (("np-1", "not the right one"), ("nobody", PASSPHRASE), ("np-1", "x" * 5000)):
        with pytest.raises(SignInRefused) as refusal:
            sessions.sign_in(name, passphrase)
        said.add(refusal.value.sentence)
    assert len(said) == 1


@pytest.mark.spec("NODE-10")
def test_a_stranger_costs_as_much_work_as_an_officer(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(module, "passphrase_fits", lambda _, kept: bool(hashed.append(kept)))
    for name in ("np-1", "nobody"):
        with pytest.raises(SignInRefused):
            sessions.sign_in(name, PASSPHRASE)
    costs = [kept.split("$")[1] for kept in hashed]
    assert costs == [str(MIN_COST)] * 2


@pytest.mark.spec("NODE-11")
@pytest.mark.parametrize("name", ["np-1", "nobody"])
def test_guessing_closes_the_door_for_longer_each_time(
    sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hashed: list[int] = []
    monkeypatch.setattr(module, "passphrase_fits", lambda *_: bool(hashed.append(1)))
    for _ in range(5):
        with pytest.raises(SignInRefused):
            sessions.sign_in(name, "a wrong guess at it")
    for wait in (30, 60, 120, 240, 480, 900, 900):
        before = len(hashed)
        with pytest.raises(SignInThrottled) as refusal:
            sessions.sign_in(name, PASSPHRASE)
        assert len(hashed) == before
        assert abs(refusal.value.retry_after - wait) <= 1
        clock.advance(seconds=wait)
        with pytest.raises(SignInRefused):
            sessions.sign_in(name, "a wrong guess at it")


@pytest.mark.spec("NODE-11")
def test_a_success_forgets_the_failures(sessions: Sessions) -> None:
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(SignInRefused):
                sessions.sign_in("np-1", "a wrong guess at it")
        sessions.sign_in("np-1", PASSPHRASE)


@pytest.mark.spec("NODE-11")
def test_what_is_remembered_of_failures_is_bounded(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "passphrase_fits", lambda *_: False)
    for n in range(6000):
        with pytest.raises((SignInRefused, SignInThrottled)):
            sessions.sign_in(f"name-{n}", "a wrong guess at it")
    assert len(sessions._failures) <= 4096


@pytest.mark.spec("NODE-11")
def test_only_so_many_passphrases_are_hashed_at_once(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across names; and who is turned away for that has not failed."""
    inside, out = threading.Barrier(module.AT_ONCE + 1), threading.Event()

    def slow(*_: Any) -> bool:
        inside.wait(10)
        return out.wait(10)

    monkeypatch.setattr(module, "passphrase_fits", slow)
    guesses = [threading.Thread(target=_guess, args=(sessions, f"name-{n}")) for n in range(module.AT_ONCE)]
    for guess in guesses:
        guess.start()
    inside.wait(10)
    for _ in range(20):
        with pytest.raises(SignInThrottled) as refusal:
            sessions.sign_in("np-1", PASSPHRASE)
        assert refusal.value.retry_after == 1
    out.set()
    for guess in guesses:
        guess.join()
    monkeypatch.undo()
    assert sessions.sign_in("np-1", PASSPHRASE).officer.id == "np-1"


def _guess(sessions: Sessions, name: str) -> None:
    with pytest.raises(SignInRefused):
        sessions.sign_in(name, "a wrong guess at it")
