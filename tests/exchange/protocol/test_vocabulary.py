"""Code lists: one spelling per term, and the spec lists exactly what the code knows. See `spec/vocabulary.md`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from exchange.protocol import case_vocabulary, vocabulary
from exchange.protocol.entities import Person
from exchange.protocol.vocabulary import (
    DEADLINE_HOURS,
    Category,
    Classification,
    InformationGrade,
    Onward,
    PersonCategory,
    SourceGrade,
    Urgency,
)

SPEC = Path(__file__).resolve().parents[3] / "spec" / "vocabulary.md"
LISTS = {
    name: kind
    for name, kind in [*vars(vocabulary).items(), *vars(case_vocabulary).items()]
    if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
}


def listed() -> dict[str, list[str]]:
    """The codes of every list as the spec gives them, in its order."""
    text = SPEC.read_text(encoding="utf-8")
    found = {}
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name = re.search(r"\(`(\w+)`\)", section.splitlines()[0])
        assert name is not None
        table = section.split("\n## ")[0]
        found[name[1]] = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    for name, codes in re.findall(r"^\| `(\w+)`: [^|]+ \| (.+) \|$", text, flags=re.MULTILINE):
        found[name] = re.findall(r"`(\w+)`", codes)
    return found


@pytest.mark.spec("VOC-1", "VOC-2")
def test_the_spec_lists_every_code_in_order_and_no_other() -> None:
    assert listed() == {name: [str(code) for code in kind] for name, kind in LISTS.items()}


@pytest.mark.spec("VOC-1")
@pytest.mark.parametrize("name", LISTS)
def test_a_code_has_one_spelling_and_an_unknown_one_is_refused(name: str) -> None:
    kind = LISTS[name]
    for code in kind:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*|H[0-3]|[ABCX1-4]", code)
        for other in {code.swapcase(), f" {code}", f"{code}\n", f"{code}_"} - set(kind):
            with pytest.raises(ValueError, match="is not a valid"):
                kind(other)


def test_every_list_says_what_it_is() -> None:
    assert all(kind.__doc__ and kind.__doc__ != StrEnum.__doc__ for kind in LISTS.values())


@pytest.mark.spec("VOC-3")
def test_classifications_are_ordered_as_listed() -> None:
    assert [level.rank for level in Classification] == [0, 1, 2, 3]
    assert Classification.UNCLASSIFIED.rank < Classification.SECRET.rank


@pytest.mark.spec("VOC-5")
def test_deadlines_are_those_of_the_directive() -> None:
    assert DEADLINE_HOURS == {Urgency.U_DIRECT: 8, Urgency.U_INDIRECT: 72, Urgency.NORMAL: 168}
    assert set(Urgency) - set(DEADLINE_HOURS) == {Urgency.NONE}


@pytest.mark.spec("VOC-6")
def test_an_evaluation_nobody_made_is_x4() -> None:
    assert Person.model_fields["evaluation"].default == SourceGrade.X + InformationGrade.FOUR


@pytest.mark.spec("VOC-7")
def test_onward_sharing_grows_stricter() -> None:
    assert [one.rank for one in Onward] == [0, 1, 2, 3]
    assert max(Onward, key=lambda one: one.rank) is Onward.NONE


def test_every_person_category_has_a_category_to_declare() -> None:
    assert {f"person_{one}" for one in PersonCategory} == {c for c in Category if c.startswith("person_")}
