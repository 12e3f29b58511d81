"""The ledger: reasons that say something, a chain that shows every edit (NODE-14, NODE-50 to NODE-53)."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies.node.errors import JustificationRefused, LedgerBroken
from agencies.node.ledger import GENESIS, Entry, LedgerAct, Scribe, justify
from exchange.protocol.vocabulary import Act
from keys.encoding import digest, write_json
from keys.vault import Vault

KEY, NOW = bytes(range(32)), datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
WHY = justify("case_assigned", "The landing at Gull Cove is mine since this morning.")


@pytest.fixture(scope="module")
def scribe() -> Scribe:
    return Scribe("north.police.sim", Vault.derive(KEY, "node"), KEY)


@pytest.fixture
def chain(scribe: Scribe) -> list[Entry]:
    act = LedgerAct(Act.OPEN, "np-duty-1", WHY, "investigate", case=scribe.case("XN-1"), message="m" * 43,
                    categories=("data_transport", "person_suspect"))  # fmt: skip
    return scribe.chain((0, GENESIS), [act, LedgerAct(Act.RECEIVE, outcome="delivered"), act], NOW)


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
def test_an_act_has_its_members_in_order_and_hides_case_and_reason(scribe: Scribe, chain: list[Entry]) -> None:
    told = json.loads(chain[0].body)
    assert list(told) == [
        "v", "typ", "n", "prev", "ts", "act", "agency", "officer", "by", "code", "why", "purpose", "agr", "clauses",
        "case", "msg", "from", "to", "persons", "cats", "outcome", "reasons", "index", "released_by",
    ]  # fmt: skip
    assert (told["n"], told["prev"], told["persons"], told["cats"]) == (
        1,
        GENESIS,
        ["person_suspect"],
        ["data_transport"],
    )
    assert b"Gull Cove" not in chain[0].body
    assert b"XN-1" not in chain[0].body
    assert scribe.read(chain[0].body)["why"] == WHY.text


@pytest.mark.spec("NODE-52")
def test_a_chain_names_each_act_by_the_digest_of_its_bytes(scribe: Scribe, chain: list[Entry]) -> None:
    assert digest(b"ix/1 ledger") == GENESIS
    assert [json.loads(e.body)["prev"] for e in chain] == [GENESIS, chain[0].hash, chain[1].hash]
    assert all(e.hash == digest(e.body) for e in chain)
    assert scribe.verify(chain) == (3, chain[2].hash)
    assert scribe.verify([]) == (0, GENESIS)


def rewritten(scribe: Scribe, chain: list[Entry]) -> list[Entry]:
    """A whole new chain, perfect but for the seal: somebody has the database, and not the key file."""
    thief = Scribe("north.police.sim", Vault.derive(bytes(32), "node"), KEY)
    return thief.chain((0, GENESIS), [LedgerAct(Act.OPEN, "somebody-else", WHY)] * 3, NOW)


def edited(scribe: Scribe, chain: list[Entry]) -> list[Entry]:
    told = {**json.loads(chain[1].body), "outcome": "nothing"}
    return [chain[0], Entry(2, write_json(told), digest(write_json(told)), chain[1].seal), chain[2]]


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
        lambda s, c: [c[0], Entry(2, c[1].body, c[0].hash, c[1].seal), c[2]],
        lambda s, c: [c[0], Entry(2, b"not json", digest(b"not json"), c[1].seal), c[2]],
        lambda s, c: [*c, *s.chain((3, c[0].hash), [LedgerAct(Act.OPEN)], NOW)],
    ],
)
def test_every_edit_of_the_chain_shows(scribe: Scribe, chain: list[Entry], change: object) -> None:
    with pytest.raises(LedgerBroken):
        scribe.verify(change(scribe, chain))  # type: ignore[operator]


def test_names_are_pseudonyms_of_this_node_alone(scribe: Scribe) -> None:
    other = Scribe("north.police.sim", Vault.derive(KEY, "node"), bytes(32))
    assert scribe.case("XN-1") == scribe.case("XN-1") != other.case("XN-1")
    assert scribe.case("XN-1") != scribe.officer("XN-1")
