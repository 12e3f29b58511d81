"""The ledger: reasons that say something, and acts of which every edit shows (NODE-14, NODE-50 to NODE-53)."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies.node.errors import JustificationRefused, LedgerBroken
from agencies.node.ledger import STOCK, Entry, LedgerAct, Scribe, justify
from agencies.node.periods import Period, Periods
from agencies.node.store import Store
from exchange.protocol.vocabulary import Act
from keys.encoding import digest, write_json
from keys.errors import KeystoreRefused
from keys.vault import Vault

KEY, NOW = bytes(range(32)), datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
WHY = justify("case_assigned", "The landing at Gull Cove is mine since this morning.")


NOVEMBER = Period("2026-11", bytes(32))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("books") / "node.db")
    with made.writing() as books:
        secret = Vault.derive(KEY, "node").lock(bytes(32), "period 2026-11")
        books.add("period", [{"name": "2026-11", "secret": secret, "made": "2026-11-01T00:00:00Z"}])
    yield made
    made.close()


@pytest.fixture(scope="module")
def scribe(store: Store) -> Scribe:
    return a_scribe(store)


def a_scribe(store: Store, vault: bytes = KEY, names: bytes = KEY) -> Scribe:
    locks = Vault.derive(vault, "node")
    return Scribe("north.police.sim", locks, names, Periods(store, locks))


@pytest.fixture
def acts(scribe: Scribe) -> list[Entry]:
    act = LedgerAct(Act.OPEN, "np-duty-1", WHY, "investigate", case=scribe.case_name("XN-1"), message="m" * 43,
                    categories=("data_transport", "person_suspect"), released_by="np-chief np-deputy")  # fmt: skip
    return scribe.write(0, [act, LedgerAct(Act.RECEIVE, outcome="delivered"), act], NOW, NOVEMBER)


@pytest.mark.spec("NODE-14")
def test_the_words_that_say_nothing_are_those_of_the_specification() -> None:
    text = (Path(__file__).parents[3] / "spec" / "nodes.md").read_text(encoding="utf-8")
    rule = text.partition("**NODE-14**")[2].partition("**NODE-20**")[0].partition("at their ends:")[2]
    assert frozenset(re.findall(r"`([^`]+)`", rule.replace("\n", " "))) == STOCK


@pytest.mark.spec("NODE-14")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "too short",
        "a" * 40,
        "x y x y x y x y x y x y x y",
        "case case case case case case case",
        "12345678901234567890123",
        "................................",
        "official official official business official",
        "                    why                    ",
        "asdf asdf asdf asdf asdf asdf",
        "work " * 500,
        "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
        "Needed for the ongoing investigation.",
        "OFFICIAL BUSINESS (as requested by police): see file",
        "Routine check, required in the normal course of duty; n/a",
    ],
)
def test_a_reason_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(JustificationRefused):
        justify("case_assigned", text)


@pytest.mark.parametrize(
    "text",
    [
        "Searching the boat that landed on Sunday",
        "Suche nach dem Boot vom vergangenen Sonntag",
        "البحث عن القارب الذي وصل يوم الأحد الماضي",
        "Les deux frères ont été vus près du port",
    ],
)
def test_a_sentence_in_any_language_is_a_reason(text: str) -> None:
    assert justify("case_assigned", text).text == text


def test_the_code_comes_from_the_list() -> None:
    with pytest.raises(JustificationRefused, match="case_assigned"):
        justify("curiosity", "because I would very much like to know")


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(JustificationRefused):
        assert 20 <= len(justify("training", text).text) <= 2000


@pytest.mark.spec("NODE-51")
def test_an_act_has_its_members_in_order_and_hides_who_which_case_and_why(
    store: Store, scribe: Scribe, acts: list[Entry]
) -> None:
    told = json.loads(acts[0].body)
    assert list(told) == [
        "v", "typ", "n", "ts", "act", "agency", "by", "code", "why", "purpose", "agr", "clauses", "case", "msg", "from",
        "to", "persons", "cats", "outcome", "reasons", "index", "released_by",
    ]  # fmt: skip
    assert (told["n"], told["persons"], told["cats"]) == (1, ["person_suspect"], ["data_transport"])
    assert told["released_by"] == f"{NOVEMBER.officer('np-chief')} {NOVEMBER.officer('np-deputy')}"
    for secret in (b"Gull Cove", b"XN-1", b"np-duty-1", b"np-chief", b"np-deputy"):
        assert secret not in acts[0].body
    with store.reading() as books:
        (shown,) = scribe.read(books, acts[:1])
    assert (shown["why"], shown["officer"], shown["released_by"]) == (WHY.text, "np-duty-1", "np-chief np-deputy")


@pytest.mark.spec("NODE-52")
def test_acts_are_numbered_from_one_and_named_by_the_digest_of_their_bytes(scribe: Scribe, acts: list[Entry]) -> None:
    assert [json.loads(e.body)["n"] for e in acts] == [1, 2, 3]
    assert all(e.hash == digest(e.body) for e in acts)
    assert list(scribe.verify(acts)) == acts
    assert list(scribe.verify([])) == []


def rewritten(scribe: Scribe, acts: list[Entry]) -> list[Entry]:
    """A whole new ledger, perfect but for the seals: somebody has the database, and not the key file."""
    thief = Scribe("north.police.sim", Vault.derive(bytes(32), "node"), KEY, scribe.periods)
    return thief.write(0, [LedgerAct(Act.OPEN, "somebody-else", WHY)] * 3, NOW, NOVEMBER)


def edited(scribe: Scribe, acts: list[Entry]) -> list[Entry]:
    told = {**json.loads(acts[1].body), "outcome": "nothing"}
    return [acts[0], replace(acts[1], body=write_json(told), hash=digest(write_json(told))), acts[2]]


@pytest.mark.spec("NODE-52")
@pytest.mark.parametrize(
    "change",
    [
        rewritten,
        edited,
        lambda s, c: [c[0], c[2]],
        lambda s, c: c[1:],
        lambda s, c: [c[1], c[0], c[2]],
        lambda s, c: [c[0], c[0], c[2]],
        lambda s, c: [c[0], replace(c[1], hash=c[0].hash), c[2]],
        lambda s, c: [c[0], replace(c[1], body=b"not json", hash=digest(b"not json")), c[2]],
        lambda s, c: [*c, *s.write(4, [LedgerAct(Act.OPEN)], NOW, NOVEMBER)],
        lambda s, c: [replace(c[0], ts=c[0].ts.replace("6", "7")), *c[1:]],
        lambda s, c: [replace(c[0], act="consult"), *c[1:]],
        lambda s, c: [replace(c[0], by=None), *c[1:]],
        lambda s, c: [replace(c[0], msg="x" * 43), *c[1:]],
        lambda s, c: [replace(c[0], case_name=None), *c[1:]],
    ],
)
def test_every_edit_shows(scribe: Scribe, acts: list[Entry], change: object) -> None:
    with pytest.raises(LedgerBroken):
        list(scribe.verify(change(scribe, acts)))  # type: ignore[operator]


def test_an_act_that_no_bundle_can_hold_is_not_written(scribe: Scribe) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        scribe.write(0, [LedgerAct(Act.OPEN, reasons=("x" * 60,) * 2**11)], NOW, NOVEMBER)


def test_names_are_pseudonyms_of_this_node_alone(store: Store, scribe: Scribe) -> None:
    other = a_scribe(store, names=bytes(32))
    assert scribe.case_name("XN-1") == scribe.case_name("XN-1") != other.case_name("XN-1")
    assert scribe.case("XN-1", NOW) == scribe.case("XN-1", NOW) != other.case("XN-1", NOW)
    assert len({scribe.case("XN-1", NOW), scribe.case_name("XN-1"), scribe.officer("XN-1", NOW)}) == 3


@pytest.mark.spec("NODE-51")
def test_whom_an_act_names_cannot_be_said_otherwise(store: Store, scribe: Scribe, acts: list[Entry]) -> None:
    (other,) = scribe.write(0, [LedgerAct(Act.OPEN, "np-duty-2", WHY)], NOW, NOVEMBER)
    with store.reading() as books:
        for changed in (replace(acts[0], who=other.who), replace(acts[0], who=None)):
            with pytest.raises(LedgerBroken, match="other people"):
                scribe.read(books, [changed])
        with pytest.raises(KeystoreRefused):
            scribe.read(books, [replace(acts[0], who=acts[2].who)])
