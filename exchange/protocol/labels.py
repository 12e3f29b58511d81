"""Labels: every code of the code lists, and every member of an agreement, in four languages (VOC-10 to VOC-14).

A label is for people and changes nothing: what is signed, logged and decided is the code, and whoever shows a label
shows the code with it. The data is `labels.json` beside this module, published as ``spec/labels.json``.

``python -m exchange.protocol.labels`` writes the published form to standard output; a test holds the file against it.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from exchange.protocol.terms import Text


class Language(StrEnum):
    """The languages that labels are in: the four official ones of INTERPOL; `ar` is written from right to left."""

    EN = "en"
    FR = "fr"
    ES = "es"
    AR = "ar"

    @property
    def direction(self) -> str:
        """As a page's ``dir`` has it."""
        return "rtl" if self is Language.AR else "ltr"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Label(_Part):
    """One label in every language."""

    en: Text
    fr: Text
    es: Text
    ar: Text


class LabelList(_Part):
    """The labels of one code list, by code; V read at a source, K common knowledge of the field, D our own words."""

    confidence: Literal["V", "K", "D"]
    codes: Annotated[dict[str, Label], Field(min_length=1)]


class Labels(_Part):
    """All labels: of the code lists by their names, and of the members of agreements with the values they may have."""

    v: Literal["ix/1"]
    typ: Literal["labels"]
    version: Annotated[int, Field(ge=1)]
    lists: dict[str, LabelList]
    words: dict[str, Label]


def write_labels() -> str:
    """The labels as they are published."""
    return files(__package__).joinpath("labels.json").read_text(encoding="utf-8")


@cache
def labels() -> Labels:
    """All labels; they are part of the program, and read once."""
    return Labels.model_validate_json(write_labels())


def label(of: str | type[StrEnum], code: str, lang: Language) -> str:
    """What people call a code; ``KeyError`` for a list or code that is not there, because nothing is guessed (VOC-1).

    ``of`` is a code list, by its name or itself.
    """
    name = of if isinstance(of, str) else of.__name__
    return _in(labels().lists[name].codes[code], lang)


def word(name: str, lang: Language) -> str:
    """What people call a member of an agreement, or a value it may have that is no code of a list."""
    return _in(labels().words[name], lang)


def _in(found: Label, lang: Language) -> str:
    said: str = getattr(found, lang.value)
    return said


if __name__ == "__main__":
    sys.stdout.write(write_labels())
