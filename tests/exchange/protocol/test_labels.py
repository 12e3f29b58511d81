"""Every code has a label in four languages, and no label is without its code. See `spec/vocabulary.md`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from enum import StrEnum
from pathlib import Path

import pytest

from agencies.node.profile import OfficerRole
from exchange.protocol import case_vocabulary, vocabulary
from exchange.protocol.labels import Label, Language, label, labels, word, write_labels
from exchange.protocol.terms import AgreementKind, AgreementTerms, Conditions, Forbid, Group, NoticeAct, Permit, Reach
from exchange.protocol.terms import Readers as TermsReaders
from exchange.protocol.vocabulary import Category, Role

SPEC = Path(__file__).resolve().parents[3] / "spec"
LISTS = {
    name: kind
    for name, kind in [*vars(vocabulary).items(), *vars(case_vocabulary).items()]
    if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
} | {kind.__name__: kind for kind in (AgreementKind, Reach, NoticeAct, OfficerRole)}
MODELS = (AgreementTerms, Group, Permit, Forbid, Conditions, TermsReaders)
VALUES = {"any", "party:any", "permit", "forbid", "group", "nobody", "nothing", "unlimited", "yes", "no"}
TAKEN_FROM_NOWHERE_ELSE = {"v", "typ", "fed", "replaces"}
"""Members that say nothing to people: what the statement is, and digests."""

DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ABBREVIATION = re.compile(r"[A-Z]{2,}(:[A-Z]+(\+[A-Z]+)?)?")
ALL = {**{name: found.codes for name, found in labels().lists.items()}, "words": labels().words}


def said() -> list[tuple[str, str, Language, str]]:
    """Every label with its list, code and language."""
    return [
        (name, code, lang, getattr(found, lang))
        for name in ALL
        for code, found in ALL[name].items()
        for lang in Language
    ]


@pytest.mark.spec("VOC-10")
def test_every_code_of_every_list_has_its_labels_and_no_label_is_without_its_code() -> None:
    """A new code needs a line in `exchange/protocol/labels.json`; then: python -m exchange.protocol.labels."""
    found = {name: set(one.codes) for name, one in labels().lists.items()}
    assert found == {name: {str(code) for code in kind} for name, kind in LISTS.items()}
    assert list(Label.model_fields) == [lang.value for lang in Language] == ["en", "fr", "es", "ar"]


@pytest.mark.spec("VOC-10")
def test_every_member_of_an_agreement_has_its_word() -> None:
    members = {field.alias or name for model in MODELS for name, field in model.model_fields.items()}
    assert set(labels().words) == members - TAKEN_FROM_NOWHERE_ELSE | VALUES


@pytest.mark.spec("VOC-10")
def test_the_published_labels_are_those_of_the_program() -> None:
    """Write them again with: python -m exchange.protocol.labels > spec/labels.json"""
    assert (SPEC / "labels.json").read_text(encoding="utf-8") == write_labels()
    module = [sys.executable, "-m", "exchange.protocol.labels"]
    written = subprocess.run(module, capture_output=True, check=True, cwd=SPEC.parent, env={"PYTHONUTF8": "1"})
    assert written.stdout.decode() == write_labels()


@pytest.mark.spec("VOC-11")
def test_no_two_codes_of_a_list_are_called_the_same() -> None:
    for name, codes in ALL.items():
        for lang in Language:
            called = [getattr(found, lang).casefold() for found in codes.values()]
            assert sorted({one for one in called if called.count(one) > 1}) == [], f"{name} {lang}"


@pytest.mark.spec("VOC-12")
def test_a_label_is_clean_text() -> None:
    for name, code, lang, text in said():
        where = f"{name}.{code} {lang}: {text!r}"
        assert text, where
        assert text == text.strip(), where
        assert "  " not in text, where
        assert not DIRECTION.search(text), where
        assert unicodedata.is_normalized("NFC", text), where
        assert len(text) <= 100, where
        assert text.isprintable(), where


@pytest.mark.spec("VOC-12")
def test_each_language_is_written_in_its_own_script() -> None:
    for name, code, lang, text in said():
        letters = {unicodedata.name(char).split()[0] for char in text if char.isalpha()}
        if lang is Language.AR:
            bare = ABBREVIATION.sub("", text)
            assert not re.search(r"[A-Za-z\u00c0-\u024f]", bare), f"{name}.{code}: {text}"
            assert "ARABIC" in letters, f"{name}.{code}: {text}"
        else:
            assert letters == {"LATIN"}, f"{name}.{code} {lang}: {text}"


@pytest.mark.spec("VOC-13")
def test_every_list_says_how_sure_its_labels_are() -> None:
    assert {one.confidence for one in labels().lists.values()} <= {"V", "K", "D"}
    assert labels().version >= 1


def test_a_label_is_looked_up_by_list_code_and_language() -> None:
    assert label(Role, "fiu", Language.EN) == "Financial intelligence unit"
    assert label("CrimeArea", "human_trafficking", Language.AR) == "الاتجار بالأشخاص"
    assert label(Category, "person_victim", Language.ES) == "Víctimas"
    assert word("from", Language.FR) == "De"
    assert Language.AR.direction == "rtl"
    assert {lang.direction for lang in Language if lang is not Language.AR} == {"ltr"}


@pytest.mark.spec("VOC-14")
@pytest.mark.parametrize(("of", "code"), [("Role", "Police"), ("Role", "police "), ("role", "police"), ("Roles", "x")])
def test_what_is_no_code_has_no_label(of: str, code: str) -> None:
    with pytest.raises(KeyError):
        label(of, code, Language.EN)
    with pytest.raises(KeyError):
        word(code, Language.EN)


def test_the_file_has_one_code_a_line_so_that_a_change_can_be_read() -> None:
    lines = write_labels().splitlines()
    coded = [line.strip().rstrip(",") for line in lines if '"en":' in line]
    assert len(coded) == sum(len(codes) for codes in ALL.values())
    assert all(next(iter(json.loads("{" + line + "}").values())).keys() == set(Language) for line in coded)
