"""Words that came in are known again, also where nobody says where they are from (NODE-99)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import OnwardRefused
from exercises.world import World
from tests.agencies.node.bound import EAST, NORTH, PROSECUTOR, SOUTH, TIP, bound, terms, told
from tests.agencies.node.conftest import EVIDENCE, WHY, acts

FOUR = (NORTH, SOUTH, EAST, PROSECUTOR)


@contextmanager
def chain(home: Path, onward: str, **more: Any) -> Iterator[World]:
    first, second = terms((NORTH, SOUTH), onward=onward), terms((SOUTH, EAST, PROSECUTOR), **more)
    with bound(home, first, second, agencies=FOUR) as world:
        yield world


def without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


@pytest.mark.spec("NODE-99")
@pytest.mark.parametrize("onward", ["none", "by_consent", "by_field", "within_parties"])
def test_what_is_pasted_without_a_source_goes_nowhere(tmp_path: Path, onward: str) -> None:
    with chain(tmp_path, onward) as world:
        name, south = told(world), world.node(SOUTH)
        passage = TIP["narrative"][0]
        own = {**passage, "text": "Seen again tonight, says the harbour master, with its lights out."}
        one = {**without(TIP, "entities", "relationships"), "narrative": [own, {**passage, "assertion": "assessment"}]}
        spaced = {**one, "narrative": [{**passage, "text": passage["text"].replace(" ", "  ")}]}
        for content in (TIP, one, spaced):
            for to in ((EAST,), (PROSECUTOR, EAST)):
                with pytest.raises(OnwardRefused) as caught:
                    south.send(content, *to, ruling=True)
                assert "cooling" not in caught.value.sentence
            with pytest.raises(OnwardRefused):
                south.service.check(south.draft(content, EAST), south.officer())
        assert [act["outcome"] for act in acts(south) if act["act"] == "attempt_denied"] == ["onward_refused"] * 9
        assert not [call for call in world.wire.calls if (call.caller, call.path) == (SOUTH, "/v1/messages")]
        assert south.send(TIP, NORTH).state == "sent"  # back to whoever said it, which makes it nobody else's
        with pytest.raises(OnwardRefused):
            south.send(TIP, EAST)
        assert name in south.inbox()


@pytest.mark.spec("NODE-99")
def test_a_file_is_known_whatever_it_is_called(tmp_path: Path) -> None:
    with chain(tmp_path, "by_consent") as world:
        told(world, EVIDENCE)
        south = world.node(SOUTH)
        words = [
            {**EVIDENCE["narrative"][0], "text": "A copy of what the camera at the berths has recorded, as promised."}
        ]
        renamed = [{**EVIDENCE["attachments"][0], "name": "ours.txt"}]
        with pytest.raises(OnwardRefused):
            south.send({**EVIDENCE, "narrative": words, "attachments": renamed}, EAST)


@pytest.mark.spec("NODE-99")
def test_ones_own_words_stay_ones_own_when_somebody_repeats_them(tmp_path: Path) -> None:
    with chain(tmp_path, "none") as world:
        south, north = world.node(SOUTH), world.node(NORTH)
        assert south.send(TIP, NORTH).state == "sent"
        north.collect()
        assert north.send(TIP, SOUTH).state == "sent"
        south.collect()
        assert south.send(TIP, EAST).state == "sent"


@pytest.mark.spec("NODE-99")
def test_what_waits_for_a_release_is_looked_at_again(tmp_path: Path) -> None:
    with chain(tmp_path, "none", human_release=True) as world:
        south = world.node(SOUTH)
        waiting = south.send(TIP, EAST)
        told(world)  # the same words come in meanwhile: who had them first cannot be shown
        assert south.release(waiting.ref).code == "onward_refused"


@pytest.mark.spec("NODE-99", "NODE-96")
def test_words_are_forgotten_with_their_message_and_are_no_use_to_a_guesser(tmp_path: Path) -> None:
    with chain(tmp_path, "none") as world:
        name, south = told(world), world.node(SOUTH)
        with south.store.reading() as books:
            kept = {row.quote for row in books.rows("quoted")}
        with world.node(NORTH).store.reading() as books:
            assert len(kept) == 6  # two passages, and what stands in other members
            assert kept.isdisjoint(
                row.quote for row in books.rows("quoted")
            )  # north's key makes others of the same words
        south.service.erase(name, south.officer("release_officer"), WHY)
        with south.store.reading() as books:
            assert books.count("quoted") == 0
