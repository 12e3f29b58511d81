"""Names are collected by themselves, and are found however they are written; so finding none means something."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exercises.names import Search, constants, names_of

NAMES = (
    "Zephandra",
    "Tobin",
    "SIM-BT-0921",
    "XN-2026/0417",
    "np-duty-1",
    "Larkspur Lodge, room 4",
    "Véhicule",
    "تتحدث",
)


def escaped(name: str) -> bytes:
    return json.dumps({"note": f"about {name} again"}).encode()


def b64u(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "in capitals": lambda name: name.upper().encode(),
    "in small letters": lambda name: name.casefold().encode(),
    "with escapes": escaped,
    "every character escaped": lambda name: "".join(f"\\u{ord(c):04x}" for c in name).encode(),
    "in an address": lambda name: "".join(f"%{byte:02X}" for byte in name.encode()).encode(),
    "base64": lambda name: base64.b64encode(f"note: {name} was seen".encode()),
    "base64url": lambda name: b64u(f"a note: {name} was seen".encode()),
    "base64 of escapes": lambda name: base64.b64encode(escaped(name)),
    "a statement": lambda name: json.dumps({"payload": b64u(escaped(name.upper())).decode()}).encode(),
    "base64 in base64": lambda name: base64.b64encode(b'{"payload":"' + b64u(escaped(name)) + b'"}'),
    "hexadecimal": lambda name: f"note {name} end".encode().hex().encode(),
    "UTF-16": lambda name: f"note {name} end".encode("utf-16-le"),
}


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(names_of())


@pytest.mark.parametrize("name", NAMES)
def test_a_person_a_street_a_document_a_case_and_an_officer_are_collected(name: str) -> None:
    assert name in names_of()


def test_what_is_public_is_no_name() -> None:
    public = {"north.police.sim", "Ed25519", "info_request", "SIMULATION", "Northern Coast Police (SIMULATION)"}
    assert not public & names_of()


def test_a_person_invented_tomorrow_is_collected_without_being_listed(tmp_path: Path) -> None:
    module = tmp_path / "more.py"
    module.write_text('"""Docstrings are no names."""\nWHO = [{"family": "Brandywine"}]\n')
    assert constants(module) == {"family", "Brandywine"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("written", WRITTEN)
def test_a_name_is_found_however_it_is_written(search: Search, written: str, name: str) -> None:
    data = WRITTEN[written](name)
    for around in (b"", b'{"x":"', b"\0\1\2\xfe"):
        assert name in search.inside(around + data + b'"} '), (written, data)


def test_a_name_is_found_in_a_cell_that_a_page_cuts(tmp_path: Path, search: Search) -> None:
    path = tmp_path / "books.db"
    with closing(sqlite3.connect(path)) as books:
        books.execute("CREATE TABLE t (v BLOB)")
        for shift in range(64):
            books.execute("INSERT INTO t VALUES (?)", (bytes(4040 + shift) + b"Quillonbar" + bytes(5000),))
        books.commit()
    assert "books.db: Quillonbar" in search.under(tmp_path)


def test_the_name_of_a_file_counts(tmp_path: Path, search: Search) -> None:
    (tmp_path / "about-quillonbar.json").write_text("{}")
    assert search.under(tmp_path) == ["about-quillonbar.json: Quillonbar"]


def test_nothing_is_found_where_nothing_is(tmp_path: Path, search: Search) -> None:
    (tmp_path / "codes.json").write_text(
        json.dumps({"typ": "disclosure", "from": "north.police.sim", "to": ["x" * 43]})
    )
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 64)
    assert search.under(tmp_path) == []
