"""Signing in: a passphrase in, an expiring bearer token out (`spec/nodes.md`, NODE-10 to NODE-12).

The token is 32 random bytes; the store has its hash only. Failed attempts close the door for a while,
longer each time, and before the passphrase is hashed, so that guessing costs the guesser time and not
this node. What is remembered of failures is bounded, whatever names are tried, and so is how many
passphrases are hashed at once, for each takes 32 MiB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agencies.node.errors import SignInRefused, SignInThrottled, TokenRefused
from agencies.node.profile import MIN_COST, MIN_PASSPHRASE, Officer, Profile, hash_passphrase, passphrase_fits
from agencies.node.store import Store
from keys.encoding import b64u, digest, stamp
from keys.vault import fresh

FREE_ATTEMPTS: Final = 5
"""Failures before the door closes; then 30 s, doubling with each failure, to 15 minutes (NODE-11)."""
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(minutes=15)
MAX_SESSIONS: Final = 10
MAX_PASSPHRASE: Final = 1024
AT_ONCE: Final = 4
"""Passphrases hashed at once; whoever comes then is asked to come again in a second."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; this is the only time it is shown."""

    text: str = field(repr=False)
    officer: Officer
    expires: datetime


@dataclass(slots=True)
class _Failures:
    count: int = 0
    closed_until: datetime | None = None


class Sessions:
    """Knows who has signed in."""

    def __init__(self, store: Store, profile: Profile, clock: Callable[[], datetime], lasting: timedelta) -> None:
        self._store, self._profile, self._clock, self._lasting = store, profile, clock, lasting
        self._failures: dict[str, _Failures] = {}
        self._guard = threading.Lock()
        self._hashing = threading.BoundedSemaphore(AT_ONCE)
        costliest = max((int(o.passphrase.split("$")[1]) for o in profile.officers.values()), default=MIN_COST)
        self._nobody = hash_passphrase("nobody".ljust(MIN_PASSPHRASE, "."), costliest)

    def sign_in(self, officer_id: str, passphrase: str) -> Token:
        """Give a token to whoever knows the officer's passphrase; refused without saying what was wrong."""
        now = self._clock()
        officer = self._profile.officers.get(officer_id)
        bucket = digest(officer_id.encode())[:2]  # one of 4,096: bounded, and the same for officers and strangers
        kept = officer.passphrase if officer else self._nobody  # a stranger costs as much time as an officer
        if not self._hashing.acquire(blocking=False):
            raise SignInThrottled("too many sign in at this moment; try again", retry_after=1)
        try:
            self._attempt(bucket, now)
            fits = len(passphrase) <= MAX_PASSPHRASE and passphrase_fits(passphrase, kept)
        finally:
            self._hashing.release()
        if officer is None or not fits:
            raise SignInRefused("no officer with this passphrase may sign in here")
        with self._guard:
            self._failures.pop(bucket, None)
        return self._open(officer, now)

    def who(self, token: str) -> Officer:
        """Name the officer behind a token; refused if it is unknown or has expired."""
        now = stamp(self._clock())
        with self._store.reading() as books:
            row = books.get("session", token_hash=digest(token.encode()))
        officer = self._profile.officers.get(row.officer) if row and row.expires > now else None
        if officer is None:
            raise TokenRefused("sign in: the token is unknown or has expired")
        return officer

    def sign_out(self, token: str) -> None:
        """End one session."""
        with self._store.writing() as books:
            books.end_session(digest(token.encode()))

    def _attempt(self, bucket: str, now: datetime) -> None:
        # An attempt counts as failed until it succeeds: many at once cannot slip through while one is hashed.
        with self._guard:
            failures = self._failures.setdefault(bucket, _Failures())
            closed = failures.closed_until
            if closed and now < closed:
                wait = int((closed - now).total_seconds()) + 1
                raise SignInThrottled("too many failed attempts; wait before the next", retry_after=wait)
            failures.count += 1
            beyond = failures.count - FREE_ATTEMPTS
            if beyond >= 0:
                failures.closed_until = now + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(beyond, 16))

    def _open(self, officer: Officer, now: datetime) -> Token:
        token = Token(b64u(fresh(32)), officer, now + self._lasting)
        with self._store.writing() as books:
            books.forget_sessions(stamp(now))
            row = {"token_hash": digest(token.text.encode()), "officer": officer.id, "expires": stamp(token.expires)}
            books.add("session", [row])
            books.end_sessions_of(officer.id, MAX_SESSIONS)
        return token
