"""A claimant asked about in another spelling: no accent, no space, another script, or a mark of no width gets past."""

from __future__ import annotations

from typing import Any

import pytest

from agencies.node.errors import SafeguardRefused
from exercises.world import World, WorldNode
from tests.adversary import test_safeguards_asylum as asylum
from tests.adversary.test_safeguards_asylum import CLAIMANT, NORTH, SOUTH, STRANGER, Who, about, checked, saying

world = asylum.world

WORDS: dict[str, str] = {
    "with accents": "Välemôor",
    "with a mark of no width": "Vale\u200bmoor",
    "with a soft hyphen": "Vale\u00admoor",
    "with a word joiner": "Vale\u2060moor",
    "with a letter of another script": "V\u0430lem\u043eor",
    "with an apostrophe": "Vale'moor",
    "with the umlaut written out": "Vaelemoor",
    "with a stroke": "Valemo\u00f8r",
}
SAID: dict[str, tuple[str, bool]] = {
    "passport with spaces": ("She showed SIM PP 44170.", True),
    "passport without hyphens": ("She showed simpp44170.", True),
    "passport with other hyphens": ("She showed SIM\u2011PP\u201144170.", True),
    "passport in digits of another script": ("She showed SIM-PP-\u0664\u0664\u0661\u0667\u0660.", True),
    "telephone with spaces": ("Ring 999 555 0177 after dark.", True),
    "e-mail address in capitals": ("Write to A.VALEMOOR@MAIL.EXAMPLE today.", True),
    "family name and year of birth": ("Valemoor, who was born in 1991, came ashore.", True),
    "year of birth first": ("The woman of 1991 who calls herself Valemoor.", True),
    "alias": ("On the boat they call her Swiftwater.", True),
    "the case of the claim in words": ("See what we have in xn 2026 0900.", True),
    "with an apostrophe and an s": ("Amina Valemoor's brother.", True),
    "a family name alone": ("The Valemoor brothers own two boats.", False),
    "another year": ("Valemoor, who was born in 1971, came ashore.", False),
    "a given name alone": ("Amina came ashore.", False),
}


@pytest.fixture(scope="module")
def north(world: World) -> WorldNode:
    return world.node(NORTH)


def spelled(who: Who, spelling: str) -> Who:
    return {**who, "family": spelling}


@pytest.mark.spec("SAFE-11", "SAFE-13")
@pytest.mark.parametrize("how", WORDS)
def test_a_name_is_known_in_any_dress(world: World, north: WorldNode, how: str) -> None:
    who, agr = spelled(CLAIMANT, WORDS[how]), world.agreements["north-south"]
    described = about(who, [{"family": who["family"], "given": who["given"]}])
    for value in (described, saying(f"Where is Amina {who['family']} now?")):
        assert isinstance(checked(north, value, SOUTH, agr=agr), SafeguardRefused)


@pytest.mark.spec("SAFE-11", "SAFE-13")
@pytest.mark.parametrize("how", SAID)
def test_what_leads_to_a_person_is_known_in_a_sentence(world: World, north: WorldNode, how: str) -> None:
    text, stopped = SAID[how]
    refusal = checked(north, saying(text), SOUTH, agr=world.agreements["north-south"])
    assert isinstance(refusal, SafeguardRefused) is stopped, refusal


@pytest.mark.spec("SAFE-11")
def test_halves_in_two_entries_are_one_name(world: World, north: WorldNode) -> None:
    def halves(who: Who) -> dict[str, Any]:
        return about(who, [{"family": who["family"]}, {"given": who["given"]}])

    agr = world.agreements["north-south"]
    assert isinstance(checked(north, halves(CLAIMANT), SOUTH, agr=agr), SafeguardRefused)
    assert not isinstance(checked(north, halves(STRANGER), SOUTH, agr=agr), SafeguardRefused)
