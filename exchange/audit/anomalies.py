"""Simple rules that look for what is unusual in a log and say so as notes (LOG-70).

A note is a reason to ask, not a verdict: every rule also strikes honest agencies, and how often is measured in the
tests on made-up years. What happens inside a node (who looked whom up, and for which case) is not in the log.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from exchange.audit.export import Examined
from exchange.audit.finding import Finding
from exchange.audit.questions import proven
from exchange.audit.report import Denied, Disclosed
from exchange.audit.statistics import URGENT
from exchange.protocol.act import Act
from exchange.protocol.lineage import ANSWER_WITHIN, Followed
from exchange.protocol.vocabulary import ActKind, MessageType
from keys.encoding import stamp

ASKING: Final = frozenset({MessageType.INFO_REQUEST, MessageType.CLARIFICATION_REQUEST})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on something is worth a note."""

    denials: int = 10
    """Denials of one agency within ``within``."""
    asked: int = 5
    """Different agencies that one agency asks within ``within``."""
    within: timedelta = timedelta(hours=24)
    night: tuple[int, int] = (22, 6)
    """From this hour to that one, UTC, it is night; so are Saturday and Sunday."""
    at_night: int = 5
    """Messages of one agency in one night that no deadline presses."""
    urgent: int = 20
    urgent_share: float = 0.8
    """Of at least ``urgent`` messages, at least this share is urgent."""
    unanswered: int = 3
    """Recalls that one agency has not answered in time."""


def unusual(examined: Examined, limits: Thresholds) -> dict[str, Any]:
    """Every note as one answer, as of the log's checkpoint."""
    head = examined.report.checkpoint
    notes = [one.to_json() for one in anomalies(examined, limits, head.at if head else None)]
    cautions = ["a note is a reason to ask, not a verdict", "who looked whom up inside a node is in no log of all"]
    return {"question": "anomalies", **proven(examined), "notes": notes, "cautions": cautions}


def anomalies(examined: Examined, limits: Thresholds, last: datetime | None) -> tuple[Finding, ...]:
    """Every note, in the order of the log; ``last`` is the time up to which silence is reckoned."""
    report = examined.report
    sent: list[Disclosed | Denied] = sorted((*report.disclosures, *report.denials), key=lambda one: one.index)
    found = [*_denials(sent, limits), *_asked(sent, limits), *_at_night(sent, limits), *_urgent(sent, limits)]
    found += _unanswered(report.followed, limits, last)
    return tuple(sorted(found, key=lambda one: (one.index or 0, one.code)))


def _by_agency(sent: Iterable[Disclosed | Denied]) -> dict[str, list[Disclosed | Denied]]:
    every: dict[str, list[Disclosed | Denied]] = {}
    for one in sent:
        every.setdefault(one.entry.from_, []).append(one)
    return dict(sorted(every.items()))


def _bursts(
    of: list[Disclosed | Denied], within: timedelta, weight: Callable[[Iterable[Disclosed | Denied]], int], least: int
) -> Iterator[tuple[Disclosed | Denied, int, datetime]]:
    """Each stretch of time in which there is too much: where it is so first, how much there is at most, its end."""
    window: deque[Disclosed | Denied] = deque()
    first, most = None, 0
    for one in of:
        while window and one.entry.at - window[0].entry.at > within:
            window.popleft()
        window.append(one)
        now = weight(window)
        if now >= least:
            first, most = first or one, max(most, now)
            last = one.entry.at
        elif first is not None:
            yield first, most, last
            first, most = None, 0
    if first is not None:
        yield first, most, last


def _denials(sent: list[Disclosed | Denied], limits: Thresholds) -> Iterator[Finding]:
    for agency, every in _by_agency(one for one in sent if isinstance(one, Denied)).items():
        for first, most, last in _bursts(every, limits.within, lambda w: sum(1 for _ in w), limits.denials):
            sentence = f"`{agency}` was denied {most} times within {_hours(limits.within)}"
            yield _note("denial_burst", sentence, first.index, agency, most, last)


def _asked(sent: list[Disclosed | Denied], limits: Thresholds) -> Iterator[Finding]:
    for agency, every in _by_agency(one for one in sent if one.entry.type in ASKING).items():
        for first, most, last in _bursts(every, limits.within, _recipients, limits.asked):
            sentence = f"`{agency}` asked {most} agencies within {_hours(limits.within)}"
            yield _note("asks_many", sentence, first.index, agency, most, last)


def _recipients(window: Iterable[Disclosed | Denied]) -> int:
    return len({to.id for one in window for to in one.entry.to})


def _at_night(sent: list[Disclosed | Denied], limits: Thresholds) -> Iterator[Finding]:
    for agency, every in _by_agency(one for one in sent if one.entry.urgency not in URGENT).items():
        nights: dict[str, list[Disclosed | Denied]] = {}
        for one in every:
            night = _night(one.entry.at, limits.night)
            if night is not None:
                nights.setdefault(night, []).append(one)
        for night, those in nights.items():
            if len(those) >= limits.at_night:
                hours = f"out of hours on {night} or in the night after it"
                sentence = f"`{agency}` sent {len(those)} messages {hours}, none of them urgent"
                yield _note("out_of_hours", sentence, those[0].index, agency, len(those), those[-1].entry.at)


def _night(at: datetime, hours: tuple[int, int]) -> str | None:
    """The day on which the night began in which this is, or none by day; a weekend's day is night all through."""
    begins, ends = hours
    if at.hour < ends <= begins:
        return (at - timedelta(days=1)).date().isoformat()
    inside = at.hour >= begins if ends <= begins else begins <= at.hour < ends
    return at.date().isoformat() if inside or at.weekday() >= 5 else None


def _urgent(sent: list[Disclosed | Denied], limits: Thresholds) -> Iterator[Finding]:
    for agency, every in _by_agency(sent).items():
        urgent = [one for one in every if one.entry.urgency in URGENT]
        if len(every) >= limits.urgent and len(urgent) >= limits.urgent_share * len(every):
            sentence = f"`{agency}` calls {len(urgent)} of its {len(every)} messages urgent"
            yield _note("always_urgent", sentence, urgent[0].index, agency, len(urgent), urgent[-1].entry.at)


def _unanswered(followed: Iterable[Followed], limits: Thresholds, last: datetime | None) -> Iterator[Finding]:
    silent: Counter[str] = Counter()
    first: dict[str, tuple[int, Act]] = {}
    for one in followed:
        if one.act.kind is ActKind.RECALL and last is not None and last - one.act.at > ANSWER_WITHIN:
            for holder in one.holders:
                if holder not in one.answers:
                    silent[holder] += 1
                    first.setdefault(holder, (one.seq, one.act))
    for holder, n in sorted(silent.items()):
        if n >= limits.unanswered and last is not None:
            sentence = f"`{holder}` has left {n} recalls unanswered"
            yield _note("recalls_ignored", sentence, first[holder][0], holder, n, last)


def _note(code: str, sentence: str, index: int, agency: str, n: int, last: datetime) -> Finding:
    return Finding(code, sentence, index, {"agency": agency, "count": str(n), "until": stamp(last)})


def _hours(within: timedelta) -> str:
    return f"{within / timedelta(hours=1):g} hours"
