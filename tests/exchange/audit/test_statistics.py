"""The year's counts are those of the raw entries, and what is suppressed cannot be reckoned from what is printed."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exchange.audit.export import Examined, examine_export
from exchange.audit.statistics import HIDDEN, PARTS, WITHHELD, Pair, count, table
from tests.vectors.logbook import REFERRAL, Logbook, told
from tests.vectors.stage import NGO, NORTH, SOUTH

GROUNDS = ("forbidden", "no_clause")


def examined(book: Logbook) -> Examined:
    return examine_export(book.export().get, fed=book.on.fed, now=book.now)


def recount(entries: list[bytes], year: int) -> dict[tuple[str, str], Counter[str]]:
    """The same counts by somebody who reads the raw entries as JSON, over and over, and knows nothing of our code."""
    rows = [json.loads(entry) for entry in entries]
    counts: dict[tuple[str, str], Counter[str]] = {}

    def at(one: str, other: str) -> Counter[str]:
        return counts.setdefault((one, other), Counter())

    for row in rows:
        if row["typ"] in ("disclosure", "denial") and row["ts"][:4] == str(year):
            for whom in row["to"]:
                pair = at(row["from"], whom["id"])
                pair["submitted"] += 1
                pair["urgent"] += row["urgency"] in ("u_direct", "u_indirect")
                pair["exempt"] += "exempt" in row
                if row["typ"] == "disclosure":
                    pair["disclosed"] += 1
                    got = [
                        r for r in rows if r["typ"] == "receipt" and r["msg"] == row["msg"] and r["by"] == whom["id"]
                    ]
                    pair["received"] += any(r["status"] != "rejected" for r in got)
                else:
                    ground = whom["code"] if whom["code"] != "permitted" else row["code"]
                    pair[f"denied {ground}"] += 1
    for place, row in enumerate(rows):
        if row["typ"] == "act" and row["act"] == "recall" and row["ts"][:4] == str(year):
            tree, grown = {row["msg"]}, True
            before = [r for r in rows[:place] if r["typ"] == "disclosure"]
            while grown:
                more = {r["msg"] for r in before if set(r.get("src", [])) & tree}
                grown, tree = not more <= tree, tree | more
            for holder in {to["id"] for r in before if r["msg"] in tree for to in r["to"]} - {row["by"]}:
                said = [
                    r for r in rows
                    if r["typ"] == "act" and r["act"] == "answer" and r["by"] == holder and r["re"] == row["statement"]
                ]  # fmt: skip
                at(row["by"], holder)["answered" if said else "silent"] += 1
    return counts


def flat(pair: Pair) -> Counter[str]:
    names = ("submitted", "disclosed", "urgent", "exempt", "received", "answered", "silent")
    return Counter({name: getattr(pair, name) for name in names} | {f"denied {c}": n for c, n in pair.denied.items()})


def busy(seed: int) -> Logbook:
    """A few hundred entries over the turn of a year."""
    chance, book = random.Random(seed), Logbook()
    book.agree()
    book.now = datetime(2026, 12, 31, 23, 50, tzinfo=UTC)
    sent: list[str] = []
    for _ in range(110):
        book.now += timedelta(seconds=chance.randrange(20))
        what = chance.random()
        if what < 0.45:
            msg = book.send(urgency=chance.choice(["u_direct", "normal", "none"]))
            sent.append(msg)
            if chance.random() < 0.6:
                book.receipt(msg)
            elif chance.random() < 0.4:
                book.receipt(msg, status="rejected", code="commitment_mismatch")
        elif what < 0.6:
            book.send(SOUTH, (NORTH,), cats=["person_victim"], type="info_reply")
        elif what < 0.75:
            book.send(NORTH, (NGO, SOUTH), **REFERRAL)  # denied for the one, and so for both
        elif what < 0.85:
            book.send(SOUTH, (NGO,), exempt="source_protection", **REFERRAL)
        elif sent:
            msg = sent.pop(chance.randrange(len(sent)))
            recall = book.act("recall", NORTH, msg, ground="inaccurate")
            if chance.random() < 0.5:
                book.act("answer", SOUTH, msg, re=recall, outcome="erased")
    return book


@pytest.mark.spec("LOG-67")
@pytest.mark.parametrize("seed", range(4))
def test_the_counts_equal_a_recount_from_raw_entries(seed: int) -> None:
    book = busy(seed)
    log = examined(book)
    for year in (2025, 2026, 2027):
        ours = {key: +flat(pair) for key, pair in count(log, year).items()}
        assert ours == {key: +found for key, found in recount(book.entries, year).items()}
    assert count(log, 2026)
    assert count(log, 2027)


@pytest.mark.spec("LOG-67")
def test_the_story_counts_as_it_was_told() -> None:
    book, _ = told()
    ours = {key: +flat(pair) for key, pair in count(examined(book), 2026).items()}
    assert ours == {key: +found for key, found in recount(book.entries, 2026).items()}
    assert (ours[NORTH, SOUTH]["answered"], ours[NORTH, NGO]["silent"]) == (1, 1)


def test_everything_is_exact_for_the_operator() -> None:
    pairs = {("a.sim", "b.sim"): Pair(7, Counter(forbidden=2), 1, 2, 3, 1, 6)}
    found = table(pairs, suppressed=False)
    (row,) = found["pairs"]
    assert (row["submitted"], row["denied"], row["urgent"], row["recalls"]) == (9, {"forbidden": 2}, 3, 3)
    assert found["all"]["urgent_share"] == round(3 / 9, 4)


# --- suppression ----------------------------------------------------------------------------------------


def drawn(chance: random.Random, most: int) -> Pair:
    disclosed = chance.randrange(most)
    denied = Counter({ground: chance.randrange(most) for ground in GROUNDS if chance.random() < 0.7})
    pair = Pair(disclosed, denied, chance.randrange(most), chance.randrange(most))
    pair.urgent, pair.exempt = chance.randint(0, pair.submitted), chance.randint(0, pair.submitted)
    pair.received = chance.randint(0, disclosed)
    return pair


def others(pair: Pair, name: str) -> list[Pair]:
    """Every pair that differs from this one in one count, its parts moved with it where they have to be."""
    found = []
    for value in range(pair.submitted + 6):
        copy = Pair(
            pair.disclosed, Counter(pair.denied), pair.answered, pair.silent, pair.urgent, pair.exempt, pair.received
        )
        if name in GROUNDS:
            copy.denied[name] = value
        else:
            setattr(copy, name, value)
        copy.urgent, copy.exempt = min(copy.urgent, copy.submitted), min(copy.exempt, copy.submitted)
        copy.received = min(copy.received, copy.disclosed)
        now = copy.denied[name] if name in GROUNDS else getattr(copy, name)
        was = pair.denied[name] if name in GROUNDS else getattr(pair, name)
        if now == value != was:
            found.append(copy)
    return found


def hidden(row: dict[str, Any]) -> list[str]:
    """The counts of a printed row that are suppressed."""
    plain = {"disclosed": "disclosed", "recalls_answered": "answered", "recalls_unanswered": "silent"}
    names = [name for shown, name in plain.items() if row[shown] == HIDDEN]
    names += [name for name in PARTS if row[name] in (HIDDEN, WITHHELD)]
    return names + [ground for ground, shown in row["denied"].items() if shown == HIDDEN]


@pytest.mark.spec("LOG-68", "LOG-69")
@pytest.mark.parametrize("most", [4, 7, 12, 30])
def test_every_suppressed_count_could_be_another_in_the_very_same_table(most: int) -> None:
    """So nobody can reckon it, whatever they reckon with: two worlds print the same, totals included."""
    chance, looked = random.Random(most), 0
    for _ in range(120):
        pairs = {(one, other): drawn(chance, most) for one in "abc" for other in "abc" if one != other}
        pairs = {(f"{one}.sim", f"{other}.sim"): pair for (one, other), pair in pairs.items() if chance.random() < 0.8}
        printed = table(pairs)
        for row in printed["pairs"]:
            key = row["from"], row["to"]
            for name in hidden(row):
                looked += 1
                assert any(table({**pairs, key: other}) == printed for other in others(pairs[key], name)), (row, name)
    assert looked > 500


@pytest.mark.spec("LOG-68", "LOG-69")
@pytest.mark.parametrize("most", [4, 7, 12, 30])
def test_totals_are_true_and_small_counts_are_never_printed(most: int) -> None:
    chance = random.Random(most + 1)
    for _ in range(200):
        pairs = {("a.sim", "b.sim"): drawn(chance, most), ("b.sim", "a.sim"): drawn(chance, most)}
        printed, exact = table(pairs), table(pairs, suppressed=False)
        for shown, true in zip(
            [*printed["pairs"], *printed["senders"], printed["all"]],
            [*exact["pairs"], *exact["senders"], exact["all"]],
            strict=True,
        ):
            for name in ("submitted", "disclosed", "received", "urgent", "exempt", "recalls"):
                value = shown[name]
                if isinstance(value, dict):
                    assert value["least"] <= true[name] <= value["most"]
                elif isinstance(value, int):
                    assert value == true[name]
        for row in printed["pairs"]:
            assert not any(
                row[name] in (1, 2, 3, 4) for name in ("disclosed", "recalls_answered", "urgent", "received")
            )
            assert not any(n in (1, 2, 3, 4) for n in row["denied"].values())


def test_a_share_is_withheld_where_its_counts_are() -> None:
    assert table({("a.sim", "b.sim"): Pair(9, urgent=3)})["all"]["urgent_share"] is None
    assert table({("a.sim", "b.sim"): Pair(20, urgent=10)})["all"]["urgent_share"] == 0.5
