"""Seeded oddities in made-up quarters are all noted, and what is noted of honest agencies is counted."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exchange.audit.anomalies import Thresholds, anomalies
from exchange.audit.export import Examined, examine_export
from exchange.audit.report import AuditReport, Disclosed, Told
from exchange.audit.report import Denied as DeniedRow
from exchange.protocol.entry import DenialEntry, Denied, DisclosureEntry, Permitted
from keys.encoding import b64u, digest, stamp
from tests.vectors.logbook import Logbook
from tests.vectors.stage import NORTH, NOW, SOUTH

AGENCIES = tuple(f"agency-{n}.sim" for n in range(8))
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 90
USUAL = Thresholds()
CODES = {"denial_burst", "asks_many", "out_of_hours", "always_urgent"}


class Quarter:
    """Thirteen weeks of entries as an audit would have read them; nothing is signed, for the rules read entries."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rows: list[tuple[datetime, str, tuple[str, ...], dict[str, Any]]] = []

    def send(self, at: datetime, sender: str, to: tuple[str, ...], **said: Any) -> None:
        self.rows.append((at, sender, to, said))

    def honest(self) -> None:
        """Working days, some nights, deadlines now and then, one in twelve denied, one in nine a question."""
        for sender in AGENCIES:
            for day in range(DAYS):
                at = BEGIN + timedelta(days=day)
                for _ in range(self.chance.randrange(7) if at.weekday() < 5 else self.chance.randrange(2)):
                    hour = self.chance.choice([*range(7, 20), *range(7, 20), *range(24)])
                    urgency = self.chance.choice(["u_direct", "normal", "normal", "none"])
                    kind = "info_request" if self.chance.random() < 1 / 9 else "spontaneous_info"
                    to = self.chance.choice([one for one in AGENCIES if one != sender])
                    when = at + timedelta(hours=hour, seconds=self.chance.randrange(3600))
                    self.send(when, sender, (to,), urgency=urgency, type=kind, denied=self.chance.random() < 1 / 12)

    def seeded(self) -> dict[str, str]:
        """One oddity of each kind, each by another agency; returns code and agency."""
        burst, asker, owl, hasty = self.chance.sample(AGENCIES, 4)
        noon = BEGIN + timedelta(days=self.chance.randrange(80), hours=12)
        for n in range(14):
            self.send(
                noon + timedelta(minutes=n),
                burst,
                (AGENCIES[-1] if burst != AGENCIES[-1] else AGENCIES[0],),
                denied=True,
            )
        for n, other in enumerate(one for one in AGENCIES if one != asker):
            self.send(noon + timedelta(hours=n), asker, (other,), type="info_request")
        night = BEGIN + timedelta(days=self.chance.randrange(80), hours=23)
        for n in range(8):
            self.send(night + timedelta(minutes=20 * n), owl, (asker,))
        self.rows = [
            (at, sender, to, said | {"urgency": "u_direct"} if sender == hasty else said)
            for at, sender, to, said in self.rows
        ]
        return {"denial_burst": burst, "asks_many": asker, "out_of_hours": owl, "always_urgent": hasty}

    def examined(self) -> Examined:
        disclosures, denials = [], []
        for index, (at, sender, to, said) in enumerate(sorted(self.rows, key=lambda row: row[0])):
            said = dict(said)
            denied = said.pop("denied", False)
            facts: dict[str, Any] = {
                "ts": stamp(at), "msg": digest(b"%d" % index), "id": "0190f3d2-1111-7000-8000-000000000000",
                "from": sender, "agr": b64u(bytes(32)), "type": "spontaneous_info", "purpose": "investigate",
                "crime": "immigrant_smuggling", "class": "restricted", "handling": ["H2"], "cats": [],
                "urgency": "none", "policy": b64u(bytes(32)), **said,
            }  # fmt: skip
            if denied:
                whom = tuple(Denied(id=one, code="no_clause") for one in to)
                denials.append(DeniedRow(index, DenialEntry(**facts, to=whom, code="no_clause")))
            else:
                permitted = tuple(Permitted(id=one, clauses=("c1",)) for one in to)
                entry = DisclosureEntry(**facts, to=permitted)
                disclosures.append(Disclosed(index, entry, "a v1", "", tuple(Told(one, ("c1",)) for one in to)))
        return Examined(AuditReport("", "", None, (), tuple(disclosures), tuple(denials), {}))


def noted(quarter: Quarter, limits: Thresholds = USUAL) -> list[tuple[str, str]]:
    return [(one.code, one.evidence["agency"]) for one in anomalies(quarter.examined(), limits, None)]


@pytest.mark.spec("LOG-70")
def test_seeded_oddities_are_all_found_and_false_notes_are_counted(record_property: Any) -> None:
    found, seeded, false, messages = 0, 0, 0, 0
    for seed in range(25):
        quarter = Quarter(seed)
        quarter.honest()
        wanted = quarter.seeded()
        notes = noted(quarter)
        found += sum((code, agency) in notes for code, agency in wanted.items())
        seeded += len(wanted)
        false += sum(wanted[code] != agency for code, agency in notes)
        messages += len(quarter.rows)
    record_property("anomalies", f"{found} of {seeded} found, {false} false notes in {messages} messages")
    assert found == seeded == 100
    assert messages > 40_000
    assert false <= 15, false  # of honest agencies, in 25 quarters of 8 agencies; measured: 13


@pytest.mark.spec("LOG-70")
def test_an_honest_quarter_is_almost_without_notes_and_strict_thresholds_strike_it() -> None:
    quarter = Quarter(99)
    quarter.honest()
    assert len(noted(quarter)) <= 1
    strict = Thresholds(denials=1, asked=2, at_night=1, urgent=1, urgent_share=0.1)
    assert {code for code, _ in noted(quarter, strict)} == CODES


@pytest.mark.spec("LOG-70")
@pytest.mark.parametrize(("n", "code"), [(9, None), (10, "denial_burst")])
def test_a_burst_begins_at_its_threshold_and_is_one_note(n: int, code: str | None) -> None:
    quarter = Quarter(0)
    for minute in range(n):
        quarter.send(BEGIN + timedelta(hours=9, minutes=minute), AGENCIES[0], (AGENCIES[1],), denied=True)
    (*notes,) = anomalies(quarter.examined(), Thresholds(), None)
    assert [one.code for one in notes] == ([code] if code else [])
    assert all(one.severity == "note" and one.evidence["count"] == str(n) for one in notes)


def test_denials_that_lie_far_apart_are_no_burst() -> None:
    quarter = Quarter(0)
    for hour in range(40):
        quarter.send(BEGIN + timedelta(hours=4 * hour), AGENCIES[0], (AGENCIES[1],), denied=True, urgency="u_direct")
    assert [code for code, _ in noted(quarter, replace(Thresholds(), urgent_share=1.0, urgent=50))] == []


def test_a_night_goes_on_past_midnight_and_a_weekend_is_one() -> None:
    quarter = Quarter(0)
    for n in range(5):
        quarter.send(BEGIN + timedelta(hours=23, minutes=30 * n), AGENCIES[0], (AGENCIES[1],))
        quarter.send(BEGIN + timedelta(days=5, hours=10 + n), AGENCIES[1], (AGENCIES[0],))
        quarter.send(BEGIN + timedelta(days=1, hours=10 + n), AGENCIES[2], (AGENCIES[0],))
    assert noted(quarter) == [("out_of_hours", AGENCIES[0]), ("out_of_hours", AGENCIES[1])]


@pytest.mark.spec("LOG-70")
def test_recalls_left_unanswered_are_counted_by_the_logs_time() -> None:
    book = Logbook()
    book.agree()
    for _ in range(3):
        book.act("recall", NORTH, book.send(), ground="inaccurate")
    answered = book.send()
    book.act("answer", SOUTH, answered, re=book.act("recall", NORTH, answered, ground="inaccurate"), outcome="erased")
    log = examine_export(book.export().get, fed=book.on.fed, now=book.now)
    (note,) = anomalies(log, Thresholds(), NOW + timedelta(hours=80))
    assert (note.code, note.evidence["agency"], note.evidence["count"]) == ("recalls_ignored", SOUTH, "3")
    assert anomalies(log, Thresholds(), NOW + timedelta(hours=70)) == ()
    assert anomalies(log, Thresholds(unanswered=4), NOW + timedelta(hours=80)) == ()
