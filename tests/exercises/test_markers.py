"""The search for plaintext finds a word in every disguise, so that finding none means something."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from exercises.markers import search, words_of

WORD = "Gull Cove landing"


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize(
    "disguise",
    [
        bytes,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(data).rstrip(b"="),
        lambda data: data.hex().encode(),
        lambda data: data.decode().encode("utf-16-le"),
    ],
)
def test_a_word_is_found_wherever_it_stands_and_however_it_is_written(tmp_path: Path, before: int, disguise) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "books.db").write_bytes(b"\0\1" + disguise(b"x" * before + WORD.encode() + b" and more") + b"\2")
    assert search(tmp_path, [WORD]) == [f"books.db: {WORD}"]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "books.db").write_bytes(bytes(range(256)) * 64)
    assert search(tmp_path, [WORD]) == []


def test_words_are_the_values_worth_looking_for() -> None:
    content = {"type": "info_request", "place": {"name": "Gull Cove"}, "list": ["SIM-BT-0921", 4, "XN"]}
    assert words_of(content) == {"Gull Cove", "SIM-BT-0921"}
    assert json.dumps(content)


def test_files_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(WORD)
    assert search(tmp_path, [WORD], but=(".log",)) == []
