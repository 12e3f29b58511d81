"""Offences: how this agency reads the codes of other laws, and what it says to a request about one (NODE-180 to 183).

A table says of a code which crime area it is here, how surely, and what the law here threatens at most. A request
whose offence is none here, or a small one, or cannot be placed, is refused with just that ground: the requester learns
what to mend, and nothing is dropped in silence. The table decides nothing: an officer orders the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agencies.node.care.answering import Answered, Answering
from agencies.node.errors import DraftMalformed, NotHere, SettingsRefused
from agencies.node.held.looking import WORKERS
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer
from exchange.protocol.vocabulary import Act, CrimeArea, MessageType, RefusalGround
from keys.encoding import read_json, write_json

LIMIT: Final = 256 * 1024
MINOR: Final = 1
"""Years of the penalty up to which an offence is a minor one here (Directive (EU) 2023/977 art. 6)."""
MAX_ROWS: Final = 5000
LIFE: Final = 99
CODE: Final = re.compile(r"[A-Z0-9][A-Za-z0-9 ./-]{0,31}")
_ROW: Final = {"code", "title", "crime", "confidence", "max_years"}


@dataclass(frozen=True, slots=True)
class Offence:
    """One code of another law as it is read here. ``crime`` is none where it is no offence here."""

    code: str
    title: str
    crime: CrimeArea | None
    confidence: int
    max_years: int

    def to_json(self) -> dict[str, Any]:
        """The members as they stand in a table."""
        return {
            "code": self.code, "title": self.title, "crime": str(self.crime) if self.crime else None,
            "confidence": self.confidence, "max_years": self.max_years,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class OffenceTable:
    """What one agency makes of the codes of others; ``least`` is the confidence below which a row places nothing."""

    least: int
    rows: Mapping[str, Offence]

    def to_bytes(self) -> bytes:
        """Write ``offences.json``."""
        return write_json({"least": self.least, "offences": [row.to_json() for row in self.rows.values()]})

    @classmethod
    def from_bytes(cls, data: bytes) -> OffenceTable:
        """Read ``offences.json`` strictly."""
        return read_table(read_json(data, limit=LIMIT * 8))


def read_table(value: Any) -> OffenceTable:
    """Read a table as data strictly: known crime areas, each code once, numbers in their ranges."""
    try:
        rows = _rows(value)
        table = OffenceTable(_number(value["least"], 1, 100), {row.code: row for row in rows})
    except (AttributeError, KeyError, TypeError, ValueError):
        raise SettingsRefused(
            "a table of offences has `least` (1 to 100) and `offences`, each with `code`, `title`, `crime` (of the "
            "list, or null), `confidence` (0 to 100) and `max_years` (0 to 99)"
        ) from None
    if len(table.rows) != len(rows):
        raise SettingsRefused("a code stands twice in the table of offences")
    return table


def _rows(value: Any) -> list[Offence]:
    if value.keys() != {"least", "offences"} or len(value["offences"]) > MAX_ROWS:
        raise ValueError("not a table")
    return [_row(one) for one in value["offences"]]


def _row(one: Any) -> Offence:
    if one.keys() != _ROW or type(one["title"]) is not str or not CODE.fullmatch(one["code"]):
        raise ValueError("not a row")
    crime = None if one["crime"] is None else CrimeArea(one["crime"])
    years = _number(one["max_years"], 0, LIFE)
    return Offence(one["code"], one["title"], crime, _number(one["confidence"], 0, 100), years)


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError("out of range")
    return value


@dataclass(frozen=True, slots=True)
class Judged:
    """What the table says to a request about an offence: nothing (no ground), or a ground and a sentence."""

    request: str
    code: str
    offence: Offence | None
    ground: RefusalGround | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them."""
        return {
            "request": self.request, "code": self.code, "offence": self.offence.to_json() if self.offence else None,
            "ground": str(self.ground) if self.ground else None, "sentence": self.sentence,
        }  # fmt: skip


class Offences:
    """Reads codes of other laws for one office, by its table if it has one."""

    def __init__(self, office: Office, answering: Answering, table: OffenceTable | None) -> None:
        self._office, self._answering, self._table = office, answering, table

    def map(self, code: str) -> Offence | None:
        """How a code is read here; none if nobody has placed it."""
        if self._table is None:
            raise NotHere("this agency has no table of offences; its officers judge by themselves")
        if not CODE.fullmatch(code):
            raise DraftMalformed("a code of an offence is 1 to 32 letters, digits, spaces, dots, slashes and hyphens")
        return self._table.rows.get(code)

    def judge(self, request: str, code: str) -> Judged:
        """What the table says to a request about an offence with this code, in the requester's law."""
        found = self.map(code)
        assert self._table is not None  # noqa: S101  # `map` has asked
        with self._office.store.reading() as books:
            row = books.get("inbox", msg=request)
        if row is None:
            raise NotHere("there is no request of that digest here")
        facts = read_json(row.summary.encode(), limit=LIMIT)
        if facts["type"] != MessageType.INFO_REQUEST:
            raise DraftMalformed("only a request for information is judged by its offence")
        ground, sentence = _say(code, found, self._table.least, facts["crime"])
        return Judged(request, code, found, ground, sentence)

    def answer(
        self, request: str, code: str, officer: Officer, why: Why, *, text: str | None = None
    ) -> tuple[Judged, Answered | None]:
        """Refuse a request with the ground that the table has for it; without one nothing is sent, and that is said."""
        officer.must_be(*WORKERS)
        judged = self.judge(request, code)
        if judged.ground is None:
            self._consulted(judged, officer, why)
            return judged, None
        told = text if text is not None else judged.sentence
        return judged, self._answering.refuse(request, judged.ground, judged.sentence, officer, why, text=told)

    def _consulted(self, judged: Judged, officer: Officer, why: Why) -> None:
        office = self._office
        with office.store.writing() as books:
            row: Any = books.get("inbox", msg=judged.request)
            facts = read_json(row.summary.encode(), limit=LIMIT)
            act = LedgerAct(
                Act.CONSULT, officer.id, why, facts["purpose"], facts["agr"], case=row.case_name, message=row.msg,
                sender=row.sender, outcome="offence_placed",
            )  # fmt: skip
            office.record(books, office.clock(), act)


def _say(code: str, found: Offence | None, least: int, crime: str) -> tuple[RefusalGround | None, str]:
    if found is None or found.confidence < least:
        return (
            RefusalGround.REQUEST_INCOMPLETE,
            f"The offence {code} cannot be placed here with enough confidence; say which acts are meant.",
        )
    if found.crime is None:
        return RefusalGround.NOT_AN_OFFENCE_HERE, f"What {code} forbids is not an offence here."
    if found.crime != crime:
        return (
            RefusalGround.REQUEST_INCOMPLETE,
            f"The offence {code} is read here as another crime area than the request declares; say which is meant.",
        )
    if found.max_years <= MINOR:
        years = "a fine" if found.max_years == 0 else "one year"
        return RefusalGround.MINOR_OFFENCE, f"The law here threatens {years} at most for what {code} forbids."
    return None, f"The offence {code} is one here; the request can be answered."


__all__ = ["MINOR", "Judged", "Offence", "OffenceTable", "Offences", "read_table"]
