"""Choosing fields: only what is named goes along (NODE-89, NODE-90)."""

from __future__ import annotations

from typing import Any

import pytest

from agencies.node.errors import DraftMalformed
from agencies.node.held.deriving import derive, unnamed
from exchange.protocol.content import content_from
from exercises.world import sample
from tests.agencies.node.bound import TIP, TOLD
from tests.agencies.node.conftest import EVIDENCE

MSG = "A" * 43


def chosen(content: dict[str, Any], *fields: str, answers: bool = False) -> dict[str, Any]:
    made = derive(
        content, MSG, fields, text="for your crossing", me="south.police.sim", desk="duty_desk", answers=answers
    )
    content_from(made)  # it is a content of the published schema
    return made


@pytest.mark.spec("NODE-89")
def test_only_the_chosen_items_go_along() -> None:
    made = chosen(TIP, "/narrative/1", "/entities/0")
    assert made["narrative"] == [TIP["narrative"][1]]
    assert made["entities"] == [TIP["entities"][0]]
    assert "relationships" not in made
    assert made["case"] == {"reference": TIP["case"]["reference"]}
    assert made["sources"] == [{"msg": MSG, "fields": ["/entities/0", "/narrative/1"]}]
    assert (made["type"], made["spontaneous"]["reason"]) == ("spontaneous_info", "for your crossing")


@pytest.mark.spec("NODE-89")
def test_the_whole_goes_along_without_the_block_its_sender_wrote() -> None:
    made = chosen(TIP, "")
    assert [made[name] for name in ("narrative", "entities", "relationships")] == [
        TIP[name] for name in ("narrative", "entities", "relationships")
    ]
    assert made["spontaneous"]["contact"]["agency"] == "south.police.sim"
    assert chosen(EVIDENCE, "")["attachments"] == EVIDENCE["attachments"]


@pytest.mark.spec("NODE-89")
def test_a_relationship_goes_with_both_its_ends_or_not_at_all() -> None:
    assert "relationships" not in chosen(TIP, "/relationships/0", "/entities/0")
    assert chosen(TIP, "/relationships/0", "/entities/0", "/entities/2")["relationships"] == TIP["relationships"]


@pytest.mark.spec("NODE-89")
def test_of_an_item_only_the_chosen_members_go_along() -> None:
    request = sample("smuggling_route_request")
    made = chosen(request, "/entities/0/birth_year")
    (person,) = made["entities"]
    assert person.keys() == {"kind", "id", "assertion", "evaluation", "category", "birth_year"} & {
        *request["entities"][0], "birth_year",
    }  # fmt: skip
    assert chosen(TIP, "/entities/0/registration")["entities"][0].keys() == {
        "kind", "id", "assertion", "evaluation", "means", "registration",
    }  # fmt: skip


@pytest.mark.spec("NODE-89", "NODE-90")
def test_an_answer_and_a_handling_text_go_along() -> None:
    made = chosen(TOLD, "/narrative/0", answers=True)
    assert (made["type"], made["answer"]) == ("info_reply", {"text": "for your crossing"})
    assert made["handling_text"] == TOLD["handling_text"]


@pytest.mark.parametrize(
    "field",
    ["/narrative/2", "/entities", "/case/title", "/spontaneous", "entities/0", "/entities/00", "/entities/-", "/"],
)
def test_a_field_names_something_that_is_there(field: str) -> None:
    with pytest.raises(DraftMalformed):
        chosen(TIP, field)


@pytest.mark.spec("NODE-90")
def test_what_is_carried_word_for_word_is_found_whatever_it_is_called() -> None:
    entity = {**TIP["entities"][0], "id": "x9", "evaluation": "X4"}
    carried = {"entities": [entity], "narrative": [TIP["narrative"][1]]}
    assert unnamed(carried, TIP, ["/narrative/1"]) == ["/entities/0"]
    assert unnamed(carried, TIP, ["/narrative", "/entities/0"]) == []
    assert unnamed(carried, TIP, [""]) == []
    renamed = [{**EVIDENCE["attachments"][0], "name": "else.txt"}]
    assert unnamed({"attachments": renamed}, EVIDENCE, ["/narrative/0"]) == ["/attachments/0"]
