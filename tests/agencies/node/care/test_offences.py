"""Codes of other laws: placed with confidence, or answered with just the ground that applies (NODE-180 to NODE-183)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.care.offences import Offences, OffenceTable, read_table
from agencies.node.errors import AlreadyAnswered, DraftMalformed, NotHere, RoleMissing, SettingsRefused
from agencies.node.ledger import justify
from agencies.node.settings import OFFENCES, Settings
from agencies.profiles import load_offences, load_plans
from exchange.protocol.vocabulary import CrimeArea
from exercises.world import World, WorldNode
from tests.adversary.test_safeguards_refusals import request
from tests.agencies.node.bound import EAST, NORTH, SOUTH, TIP, bound, other, terms, told
from tests.agencies.node.conftest import acts
from tests.agencies.node.test_settings import PASSPHRASE, federation, home

WHY = justify("request_answer", "the request cites its own penal code, which our table was asked about")
GOOD: dict[str, Any] = {
    "least": 80,
    "offences": [{"code": "XN-PC 1", "title": "x", "crime": "corruption", "confidence": 90, "max_years": 5}],
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms()) as made:
        yield made


@pytest.fixture
def south(world: World) -> WorldNode:
    return world.node(SOUTH)


def asked(world: World, to: str = SOUTH) -> str:
    sent = world.node(NORTH).send(request(), to)
    world.node(to).collect()
    return sent.msg or ""


GROUNDS = [
    ("XN-PC 999", "request_incomplete"),  # nobody has placed it
    ("XN-PC 302", "request_incomplete"),  # placed, and not surely
    ("XN-PC 411", "not_an_offence_here"),
    ("XN-PC 214", "request_incomplete"),  # surely another area than the request declares
]


@pytest.mark.spec("NODE-181", "NODE-182")
def test_each_offence_gets_the_ground_that_is_its_own_and_the_requester_hears_it(
    world: World, south: WorldNode
) -> None:
    for code, ground in GROUNDS:
        name = asked(world)
        judged, said = south.service.offences.answer(name, code, south.officer(), WHY)
        assert said is not None
        assert (str(judged.ground), said.public, said.state) == (ground, ground, "sent"), code
        assert code in judged.sentence
        world.node(NORTH).collect()
        (answer,) = [one for one in world.node(NORTH).service.inbox() if one["re"] == name]
        content = world.node(NORTH).service.open(answer["msg"], world.node(NORTH).officer(), WHY)
        assert content["refusal"] == {"ground": ground, "text": judged.sentence}
        (act,) = [one for one in acts(south) if one["msg"] == name and one["outcome"] == "answered"]
        assert judged.sentence in act["why"]
        with pytest.raises(AlreadyAnswered):
            south.service.offences.answer(name, code, south.officer(), WHY)


@pytest.mark.spec("NODE-181")
def test_a_small_offence_is_told_apart_from_one_of_more_than_a_year(world: World, south: WorldNode) -> None:
    name, offences = asked(world), south.service.offences
    row = offences.map("XE-BC 7")
    assert row is not None
    assert row.crime is CrimeArea.IMMIGRANT_SMUGGLING
    for years, ground in ((0, "minor_offence"), (1, "minor_offence"), (2, None), (99, None)):
        table = OffenceTable(80, {row.code: replace(row, max_years=years)})
        judged = Offences(south.service.office, south.service.answering, table).judge(name, row.code)
        assert judged.to_json()["ground"] == ground
    for sure, ground in ((79, "request_incomplete"), (80, None)):
        table = OffenceTable(80, {row.code: replace(row, confidence=sure)})
        judged = Offences(south.service.office, south.service.answering, table).judge(name, row.code)
        assert judged.to_json()["ground"] == ground


@pytest.mark.spec("NODE-182")
def test_where_nothing_stands_in_the_way_nothing_is_sent_and_that_is_said(world: World, south: WorldNode) -> None:
    name, before = asked(world), len(south.service.outbox())
    judged, said = south.service.offences.answer(name, "XN-PC 211", south.officer(), WHY)
    assert (judged.ground, said) == (None, None)
    assert len(south.service.outbox()) == before
    with pytest.raises(NotHere):  # and the request is still open
        south.service.answering.answer(name)


@pytest.mark.spec("NODE-180", "NODE-182", "NODE-183")
def test_who_may_not_or_says_no_code_or_has_no_table_refuses_nothing(world: World, south: WorldNode) -> None:
    name, tip, offences = asked(world), told(world), south.service.offences
    assert tip != TIP
    wrong: list[tuple[Callable[[], Any], type[Exception]]] = [
        (lambda: offences.answer(name, "XN-PC 411", other("audit", "auditor"), WHY), RoleMissing),
        (lambda: offences.answer("x", "XN-PC 411", south.officer(), WHY), NotHere),
        (lambda: offences.answer(tip, "XN-PC 411", south.officer(), WHY), DraftMalformed),
        (lambda: offences.answer(name, "", south.officer(), WHY), DraftMalformed),
        (lambda: offences.answer(name, "Maria was seen; call +99 1", south.officer(), WHY), DraftMalformed),
        (lambda: offences.map("X" * 33), DraftMalformed),
        (lambda: world.node(EAST).service.offences.map("XN-PC 411"), NotHere),
    ]
    for call, refusal in wrong:
        with pytest.raises(refusal):
            call()
    assert south.service.outbox() == []


@pytest.mark.spec("NODE-180")
@pytest.mark.parametrize(
    "change",
    [
        {"least": 0}, {"least": 101}, {"least": "80"}, {"least": True}, {"offences": None}, {"more": 1},
        {"code": "xn"}, {"code": ""}, {"code": 7}, {"title": None}, {"crime": "smuggling"}, {"crime": ""},
        {"confidence": -1}, {"confidence": 101}, {"confidence": 90.5}, {"max_years": -1}, {"max_years": 100},
        {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_table_in_another_form_does_not_start(change: dict[str, Any]) -> None:
    value = json.loads(json.dumps(GOOD))
    of_row = not change.keys() <= {"least", "offences", "more"}
    (value["offences"][0] if of_row else value).update(change)
    with pytest.raises(SettingsRefused):
        read_table(value)
    with pytest.raises(SettingsRefused, match="twice"):
        read_table({**GOOD, "offences": GOOD["offences"] * 2})
    with pytest.raises(SettingsRefused):
        read_table([])


@pytest.mark.spec("NODE-180")
def test_a_home_may_hold_a_table(home: Path) -> None:
    assert Settings.from_home(home, PASSPHRASE).offences is None
    (home / OFFENCES).write_bytes(read_table(GOOD).to_bytes())
    assert Settings.from_home(home, PASSPHRASE).offences == read_table(GOOD)
    (home / OFFENCES).write_bytes(b'{"least":80}')
    with pytest.raises(SettingsRefused):
        Settings.from_home(home, PASSPHRASE)


@pytest.mark.spec("NODE-180")
def test_the_simulations_tables_are_sound_and_cite_no_law_there_is() -> None:
    tables, territories = load_offences(), {plan.territory for plan in load_plans()}
    assert tables.keys() <= {plan.id for plan in load_plans()}
    for value in tables.values():
        table = read_table(value)
        assert OffenceTable.from_bytes(table.to_bytes()) == table
        assert {code[:2] for code in table.rows} <= territories
        assert any(row.crime is None for row in table.rows.values())


__all__ = ["federation", "home"]
