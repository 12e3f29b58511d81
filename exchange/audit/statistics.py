"""Yearly statistics of who asked whom, what was denied and on which ground (LOG-67 to LOG-69).

Per ordered pair of agencies. With small counts suppressed nothing that is printed tells a suppressed one, and that
is so by construction, not by search: the *cells* of a pair are disjoint, each printed or suppressed by its own value
alone; what is a part of them (urgent, exempt, received) is printed only where all of them are, and suppressed towards
both ends; and every total is reckoned from what is printed, as a range where something below it is suppressed. So a
total tells nothing that its printed cells do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.audit.export import Examined
from exchange.audit.questions import proven
from exchange.protocol.act import Answer
from exchange.protocol.decision import CODES
from exchange.protocol.vocabulary import ActKind, Urgency

SMALL: Final = 5
"""Counts from 1 to below this are suppressed."""
HIDDEN: Final = f"<{SMALL}"
WITHHELD: Final = "x"
"""A part of something that is itself suppressed: nothing is said of it, not even whether it is none."""
URGENT: Final = frozenset({Urgency.U_DIRECT, Urgency.U_INDIRECT})
PARTS: Final = {"urgent": "submitted", "exempt": "submitted", "received": "disclosed"}
"""What is a part of what."""

Json = dict[str, Any]
Range = tuple[int, int]


@dataclass
class Pair:
    """What one agency submitted for another in a year; each message counts once for each recipient."""

    disclosed: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    silent: int = 0
    urgent: int = 0
    exempt: int = 0
    received: int = 0

    @property
    def submitted(self) -> int:
        """Everything that was decided."""
        return self.disclosed + sum(self.denied.values())

    def exact(self) -> Json:
        """As counted."""
        denied = {code: self.denied[code] for code in sorted(self.denied) if self.denied[code]}
        return {
            "submitted": self.submitted, "disclosed": self.disclosed, "denied": denied, "urgent": self.urgent,
            "exempt": self.exempt, "received": self.received, "recalls": self.answered + self.silent,
            "recalls_answered": self.answered, "recalls_unanswered": self.silent,
        }  # fmt: skip


def count(examined: Examined, year: int) -> dict[tuple[str, str], Pair]:
    """Count a year, by the log's own times, for each pair that had anything to do with each other."""
    pairs: dict[tuple[str, str], Pair] = {}
    prefix = f"{year:04}-"
    for one in examined.report.disclosures:
        if one.entry.ts.startswith(prefix):
            for told in one.told:
                pair = pairs.setdefault((one.entry.from_, told.agency), Pair())
                pair.disclosed += 1
                pair.urgent += one.entry.urgency in URGENT
                pair.exempt += one.entry.exempt is not None
                pair.received += any(status != "rejected" for status in told.receipts)
    for denied in examined.report.denials:
        if denied.entry.ts.startswith(prefix):
            for to in denied.entry.to:
                pair = pairs.setdefault((denied.entry.from_, to.id), Pair())
                # Whom nothing stood against was not told either, because of the others: the message's own ground.
                pair.denied[to.code if to.code in CODES else denied.entry.code] += 1
                pair.urgent += denied.entry.urgency in URGENT
                pair.exempt += denied.entry.exempt is not None
    for followed in examined.report.followed:
        if followed.act.kind is ActKind.RECALL and f"{followed.act.at.year:04}-" == prefix:
            for holder in followed.holders:
                pair = pairs.setdefault((followed.act.terms.by, holder), Pair())
                answer = followed.answers.get(holder)
                said = answer is not None and isinstance(answer[1].terms, Answer)
                pair.answered, pair.silent = pair.answered + said, pair.silent + (not said)
    return pairs


# --- suppression --------------------------------------------------------------------------------------------


def _cell(value: int) -> int | str:
    return value if value == 0 or value >= SMALL else HIDDEN


def _range(shown: int | str) -> Range:
    return (1, SMALL - 1) if isinstance(shown, str) else (shown, shown)


def _sum(ranges: Iterable[Range]) -> Range:
    least = most = 0
    for one in ranges:
        least, most = least + one[0], most + one[1]
    return least, most


def _total(found: Range) -> int | Json:
    return found[0] if found[0] == found[1] else {"least": found[0], "most": found[1]}


def _part(value: int, whole: Range) -> int | str:
    """A part of a whole: none or all of it may be said, and else neither few nor all but few."""
    if whole[0] != whole[1]:
        return WITHHELD
    left = whole[0] - value
    return value if all(n == 0 or n >= SMALL for n in (value, left)) else HIDDEN


def _part_range(shown: int | str, whole: Range) -> Range:
    if isinstance(shown, int):
        return shown, shown
    return (0, whole[1]) if shown == WITHHELD else (1, max(1, whole[1] - 1))


@dataclass(frozen=True)
class _Shown:
    cells: Json
    ranges: Mapping[str, Range]
    grounds: Mapping[str, Range]


def _publish(pair: Pair) -> _Shown:
    disclosed, answered, silent = _cell(pair.disclosed), _cell(pair.answered), _cell(pair.silent)
    denied = {code: _cell(n) for code, n in sorted(pair.denied.items()) if n}
    grounds = {code: _range(shown) for code, shown in denied.items()}
    ranges: dict[str, Range] = {"disclosed": _range(disclosed)}
    ranges["denied"] = _sum(grounds.values())
    ranges["submitted"] = _sum((ranges["disclosed"], ranges["denied"]))
    ranges["recalls_answered"], ranges["recalls_unanswered"] = _range(answered), _range(silent)
    ranges["recalls"] = _sum((ranges["recalls_answered"], ranges["recalls_unanswered"]))
    parts = {name: _part(getattr(pair, name), ranges[whole]) for name, whole in PARTS.items()}
    ranges |= {name: _part_range(parts[name], ranges[whole]) for name, whole in PARTS.items()}
    cells = {
        "submitted": _total(ranges["submitted"]), "disclosed": disclosed, "denied": denied, **parts,
        "recalls": _total(ranges["recalls"]), "recalls_answered": answered, "recalls_unanswered": silent,
    }  # fmt: skip
    return _Shown(cells, ranges, grounds)


def stats(examined: Examined, year: int, *, everything: bool = False) -> Json:
    """The statistics of a year as one answer; small counts are suppressed unless ``everything`` is asked for."""
    counted = table(count(examined, year), suppressed=not everything)
    return {"question": "stats", **proven(examined), "year": year, **counted, "cautions": _cautions(everything)}


def _cautions(everything: bool) -> list[str]:
    if everything:
        return ["nothing is suppressed here: this table is not for publication"]
    below = f"fewer than {SMALL}"
    meaning = (
        f"`{HIDDEN}` stands for 1 to {SMALL - 1}; in urgent, exempt and received also "
        f"for all but {below}; `{WITHHELD}` for a part of something suppressed, or for anything at all"
    )
    return [
        meaning,
        "totals are reckoned from what is shown, so a range where something below is suppressed",
        "who has the log itself can count everything: suppression protects this table only",
    ]


def table(pairs: Mapping[tuple[str, str], Pair], *, suppressed: bool = True) -> Json:
    """Rows per pair, and totals per sender, per recipient and altogether; what they withhold, no reader can reckon."""
    shown = {key: _publish(pair) for key, pair in sorted(pairs.items())}
    if not suppressed:
        shown = {key: _exactly(pair) for key, pair in sorted(pairs.items())}
    rows = [{"from": one, "to": other, **found.cells} for (one, other), found in shown.items()]
    agencies = sorted({agency for key in shown for agency in key})
    return {
        "suppressed_below": SMALL if suppressed else None,
        "pairs": rows,
        "senders": [
            {"id": one, **_totals([found for key, found in shown.items() if key[0] == one])} for one in agencies
        ],
        "recipients": [
            {"id": one, **_totals([found for key, found in shown.items() if key[1] == one])} for one in agencies
        ],
        "all": _totals(list(shown.values())),
    }


def _exactly(pair: Pair) -> _Shown:
    cells = pair.exact()
    ranges = {name: (n, n) for name, n in cells.items() if isinstance(n, int)}
    grounds = {code: (n, n) for code, n in cells["denied"].items()}
    return _Shown(cells, {**ranges, "denied": _sum(grounds.values())}, grounds)


def _totals(found: list[_Shown]) -> Json:
    codes = sorted({code for one in found for code in one.grounds})
    names = ("submitted", "disclosed", "urgent", "exempt", "received")
    recalls = ("recalls", "recalls_answered", "recalls_unanswered")
    ranges = {name: _sum(one.ranges[name] for one in found) for name in (*names, *recalls)}
    urgent, submitted = ranges["urgent"], ranges["submitted"]
    exact = urgent[0] == urgent[1] and submitted[0] == submitted[1] > 0
    return {
        **{name: _total(ranges[name]) for name in names},
        "denied": {code: _total(_sum(one.grounds.get(code, (0, 0)) for one in found)) for code in codes},
        "urgent_share": round(urgent[0] / submitted[0], 4) if exact else None,
        **{name: _total(ranges[name]) for name in recalls},
    }
