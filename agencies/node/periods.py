"""Periods: the months under whose keys a node names officers and cases (`spec/nodes.md`, NODE-210 to NODE-213).

A month's key is drawn when the month first needs one, and kept locked. It follows from nothing: neither from the key
file nor from another month's key. So once it is gone nobody can tell any more which officer or case a name of that
month stands for, nor read a reason that was locked under it; the acts themselves stay as they are and still verify.
``shredding`` decides when a key goes.

A key is made inside the transaction that first needs it, or in one of its own: a name that was given away is never of
a key that was not kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from agencies.node.errors import PeriodShredded
from agencies.node.store import Books, Store
from keys.encoding import stamp
from keys.errors import KeystoreRefused
from keys.sealing import new_period_key, pseudonym
from keys.vault import Vault

NAME: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def period_of(now: datetime) -> str:
    """The month an instant belongs to, in UTC."""
    return now.astimezone(UTC).strftime("%Y-%m")


def count_of(name: str) -> int:
    """A month as a number, so that months can be subtracted."""
    return int(name[:4]) * 12 + int(name[5:]) - 1


class Period:
    """One month's names and locks, for as long as somebody holds this; the key is in nothing that it says."""

    __slots__ = ("_key", "_vault", "name")

    def __init__(self, name: str, key: bytes) -> None:
        self.name, self._key, self._vault = name, key, Vault.derive(key, f"period {name}")

    def officer(self, officer_id: str) -> str:
        """Name an officer for this month: in manifests and in acts."""
        return pseudonym(self._key, "officer", officer_id)

    def case(self, case_name: str) -> str:
        """Name a case for this month, by what the node calls it inside."""
        return pseudonym(self._key, "case", case_name)

    def lock(self, data: bytes, context: str) -> bytes:
        """Lock what must not be read any more once this month is forgotten."""
        return self._vault.lock(data, context)

    def unlock(self, box: bytes, context: str) -> bytes:
        """Open it again; refused if it was changed or moved."""
        return self._vault.unlock(box, context)

    def __repr__(self) -> str:
        return f"Period({self.name})"


class Periods:
    """The months of one node. Safe to share between threads: of keys it holds that of the newest month, no other."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault
        self._newest: Period | None = None

    def of(self, books: Books, now: datetime) -> Period:
        """The month of ``now``, inside the caller's writing transaction; its key is drawn if it has none yet."""
        name = period_of(now)
        found = self.find(books, name)
        if found is not None:
            return found
        key = new_period_key()
        books.add("period", [{"name": name, "secret": self._vault.lock(key, f"period {name}"), "made": stamp(now)}])
        return Period(name, key)

    def at(self, now: datetime) -> Period:
        """The same outside of any transaction; never to be asked within one."""
        newest, name = self._newest, period_of(now)
        if newest is not None and newest.name == name:
            return newest
        with self._store.reading() as books:
            found = self.find(books, name)
        if found is None:
            with self._store.writing() as books:
                self.of(books, now)
            with self._store.reading() as books:  # only what was committed is kept in mind
                found = self.find(books, name)
        if found is None:
            raise KeystoreRefused("a month's key was not kept")
        self._newest = found
        return found

    def find(self, books: Books, name: str) -> Period | None:
        """A month that has a key; none if it never had one, refused if it is gone."""
        row = books.get("period", name=name)
        if row is None:
            return None
        if row.secret is None:
            raise PeriodShredded(f"the keys of {name} were destroyed")
        return Period(name, self._vault.unlock(row.secret, f"period {name}"))

    def kept(self, books: Books) -> list[Period]:
        """Every month whose key is still here, in order."""
        rows = sorted(books.rows("period"), key=lambda row: row.name)
        return [Period(r.name, self._vault.unlock(r.secret, f"period {r.name}")) for r in rows if r.secret is not None]
