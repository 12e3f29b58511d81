"""Every name of the simulation, and a search for them where none may be: in the log, and in all that is public of it.

Names are collected, not listed: from every string of the exercises' modules and samples, from the officers of the
profiles, and from what a world's nodes really wrote, unlocked. Taken off is only what is public by itself: agreements,
agencies, codes, and the words of the formats. So whoever invents another person is searched for without being told.

The search reads what it finds in every way in which careless software writes: escapes of JSON and of addresses, base64
in base64, hexadecimal, UTF-16, upper and lower case, and the cells of a database one by one, for a page may cut a name.
"""

from __future__ import annotations

import ast
import base64
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize
from urllib.parse import unquote

import yaml

from agencies.profiles import load_plans
from exercises.markers import disguises
from keys.encoding import read_json

if TYPE_CHECKING:
    from exercises.world import WorldNode

ROOT: Final = Path(__file__).resolve().parent.parent
SHORTEST: Final = 5
"""Characters of a name that is looked for: shorter ones turn up by chance."""
SURE: Final = 8
"""From here on a name is looked for in bytes that are no text as well."""
DEEP: Final = 4
"""How often something is unwrapped."""
_WORD: Final = re.compile(r"[^\W\d_][\w'\u2019-]*[^\W_]")
_NUMBER: Final = re.compile(r"\+?[A-Z]*[A-Z0-9]*(?:[-/][A-Z0-9]+)+|\+[0-9]{7,}|(?=\w*[A-Z])(?=\w*[0-9])[A-Z0-9]{6,}")
_DIGEST: Final = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])")
"""What a message, an agreement or a statement is called in public."""
_PLAIN_WORD: Final = re.compile(r"[^\W_]+")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}){5,}")


# -- collecting ---------------------------------------------------------------------------------------------


def names_of(nodes: Iterable[WorldNode] = ()) -> frozenset[str]:
    """Every name: of the exercises, of the profiles' officers, and of what these nodes wrote and received."""
    found: set[str] = set()
    for text in [*_invented(), *(text for node in nodes for text in _written(node))]:
        found |= set(_names_in(_DIGEST.sub(" ", text)))
    return frozenset(name for name in found if _folded(name) not in _public())


@cache
def _invented() -> frozenset[str]:
    """Every string of the exercises' modules and samples, and of what the profiles say of officers."""
    found = {text for path in (ROOT / "exercises").rglob("*.py") for text in constants(path)}
    for path in (ROOT / "exercises").rglob("*.json"):
        found |= set(strings(read_json(path.read_bytes(), limit=1 << 20)))
    for plan in load_plans():
        found |= {text for officer in plan.officers for text in (officer.id, officer.display)}
        found |= {text for officer in plan.officers for text in strings(officer.rights)}
    return frozenset(found)


def _written(node: WorldNode) -> Iterator[str]:
    """Everything a node's officers wrote or were told: contents, reasons, and who they are; unlocked."""
    office = node.service.office
    with node.store.reading() as books:
        for row in books.rows("outbox"):
            if row.content is not None:
                yield from strings(_read(office.vault.unlock(row.content, f"outbox content {row.ref}")))
        for row in books.rows("inbox"):
            if row.content is not None:
                yield from strings(_read(office.vault.unlock(row.content, f"inbox {row.msg}")))
        for act in office.scribe.read(books, books.rows("ledger")):
            yield from (text for text in (act["officer"], act["why"]) if text)


def _read(data: bytes) -> Any:
    return read_json(data, limit=1 << 22)


@cache
def _public() -> frozenset[str]:
    """What is public by itself, folded: agencies, agreements, tables of offences, and every word of the formats."""
    found: set[str] = set()
    for path in (ROOT / "agencies" / "profiles").rglob("*.yaml"):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(said, dict):
            said.pop("officers", None)
        found |= set(strings(said))
    rooms = [path for room in ("keys", "exchange/protocol", "exchange/broker") for path in (ROOT / room).rglob("*.py")]
    for path in (*rooms, ROOT / "exercises" / "federation.py"):  # which names the federation itself
        found |= constants(path)
    found |= set(strings(read_json((ROOT / "exchange/protocol/labels.json").read_bytes(), limit=1 << 22)))
    words = {word for text in found for word in (text, *_WORD.findall(text), *re.split(r"[^A-Za-z]+", text))}
    return frozenset(map(_folded, {*words, *(name for text in found for name in _names_in(text))}))


def constants(path: Path) -> set[str]:
    """The strings of a module, but for what only its readers see: docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in told]
    return {node.value for node in found if isinstance(node.value, str)}


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, and the names of its members where they are no code."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def _names_in(text: str) -> Iterator[str]:
    """A text that somebody wrote is a name as a whole; so is each word with a capital letter, or number, inside."""
    whole = text.strip()
    if " " in whole and len(whole) >= SURE and any(one.isupper() or one.isdigit() or one > "\x7f" for one in whole):
        yield whole
    for found in _NUMBER.findall(text):
        if len(found) >= SHORTEST and not _DAY.fullmatch(found):
            yield found
    for word in _WORD.findall(text):
        if len(word) >= SHORTEST and not (word.isascii() and (word[0].islower() or word.isupper())):
            yield word
    if re.fullmatch(r"[a-z]{2}-[a-z]+(-[0-9]+)?", text):  # an officer's id
        yield text


# -- searching ----------------------------------------------------------------------------------------------


class Search:
    """Looks for names in bytes, however they are written."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = {_folded(name): name for name in names}
        self._by_word: dict[str, list[str]] = {}
        for folded in self.names:
            rarest = max(_PLAIN_WORD.findall(folded), key=len)
            self._by_word.setdefault(rarest, []).append(folded)
        self._by_start: dict[bytes, list[tuple[bytes, str]]] = {}
        for name in self.names.values():
            for form in disguises(name) if len(name) >= SURE else ():
                if len(form) >= SURE:
                    self._by_start.setdefault(form[:SURE], []).append((form, name))

    def inside(self, data: bytes) -> set[str]:
        """The names that these bytes hold."""
        found = set()
        for start in self._by_start.keys() & _starts(data):
            found |= {name for form, name in self._by_start[start] if form in data}
        for layer in _layers(data, DEEP):
            for text in _texts(layer):
                for word in self._by_word.keys() & set(_PLAIN_WORD.findall(text)):
                    found |= {self.names[name] for name in self._by_word[word] if _stands(name, text)}
        return found

    def under(self, folder: Path) -> list[str]:
        """``path: name`` for every file under a folder, the cells of databases among them."""
        found = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            hits = self.inside(path.read_bytes()) | {hit for cell in cells(path) for hit in self.inside(cell)}
            hits |= self.inside(path.relative_to(folder).as_posix().encode())
            found += [f"{path.relative_to(folder)}: {hit}" for hit in sorted(hits)]
        return found


def cells(path: Path) -> Iterator[bytes]:
    """Every value of a SQLite database; nothing of another file."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as books:
        tables = [name for (name,) in books.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in books.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  # the name is the file's own
                yield from (
                    one if isinstance(one, bytes) else one.encode() for one in row if isinstance(one, bytes | str)
                )


def _folded(text: str) -> str:
    return normalize("NFKC", text).casefold()


def _layers(data: bytes, depth: int) -> Iterator[bytes]:
    """These bytes, and what is wrapped in them in base64 or hexadecimal."""
    yield data
    if not depth:
        return
    for found in _BASE64.findall(data):
        run = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        for skip in range(4):  # where a run began is not known if it was cut
            if inner := _decoded(run[skip:]):
                yield from _layers(inner, depth - 1)
                break
    for found in _HEX.findall(data):
        yield from _layers(bytes.fromhex(found.decode()), depth - 1)


def _decoded(run: bytes) -> bytes:
    """What base64 says, if that begins like text; random bytes are not worth reading."""
    run = run[:-1] if len(run) % 4 == 1 else run
    first = base64.b64decode(run[: min(len(run), 256) // 4 * 4])
    read = [one for one in first.decode("utf-8", "ignore") if one.isprintable() or one in "\t\n\r"]
    if not first or len("".join(read).encode()) * 10 < len(first) * 8:
        return b""
    return base64.b64decode(run + b"=" * (-len(run) % 4))


def _starts(data: bytes) -> set[bytes]:
    """Every run of so many bytes."""
    return {data[place : place + SURE] for place in range(len(data) - SURE + 1)}


def _stands(name: str, text: str) -> bool:
    """Whether a name stands in a text by itself, and not as a part of a longer word."""
    return name in text and re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", text) is not None


def _texts(data: bytes) -> Iterator[str]:
    """What bytes say as text: as they are, with their escapes undone, and in UTF-16."""
    plain = data.decode("utf-8", "ignore")
    yield _folded(plain)
    if "\\" in plain:
        yield _folded(re.sub(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])', _unescaped, plain))
    if "%" in plain:
        yield _folded(unquote(plain, errors="ignore"))
    if b"\0" in data:
        for skip in (0, 1):
            yield _folded(data[skip:].decode("utf-16-le", "ignore"))


def _unescaped(found: re.Match[str]) -> str:
    try:
        return str(json.loads(f'"{found[0]}"'))
    except ValueError:
        return found[0]


__all__ = ["Search", "cells", "constants", "names_of", "strings"]
