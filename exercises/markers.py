"""Looking for plaintext where there must be none: a folder's every byte, against words of the messages.

A word may lie there as it is, in base64 or base64url at any of the three alignments, as hexadecimal, or as
UTF-16, which is how careless software leaves it. Words must be long enough not to turn up by chance.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

SHORTEST: Final = 8
"""Characters a marker needs: 64 bits do not occur by chance in a few megabytes."""


def words_of(content: Any) -> set[str]:
    """The strings of a content that are worth looking for: whole values that nobody but the parties knows."""
    found = {text for text in _strings(content) if len(text) >= SHORTEST and (" " in text or "-" in text)}
    return {text for text in found if not _DAY.fullmatch(text)}


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
"""Days are everybody's."""


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


def disguises(word: str) -> set[bytes]:
    """The byte strings under which a word would lie about."""
    plain = word.encode()
    forms = {plain, plain.hex().encode(), word.encode("utf-16-le")}
    for skip in range(3):  # a word inside base64 starts at any of three places
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            inner = encode(bytes(skip) + plain).rstrip(b"=")
            forms.add(inner[(skip * 8 + 5) // 6 : len(inner) - (1 if (skip + len(plain)) % 3 else 0)])
    return {form for form in forms if len(form) >= SHORTEST}


def search(folder: Path, words: Iterable[str], *, but: tuple[str, ...] = ()) -> list[str]:
    """Every file under a folder that holds a word in any disguise, as ``path: word``; ``but`` are suffixes left out."""
    wanted = {word: disguises(word) for word in words}
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(but or ("\0",))):
        data = path.read_bytes()
        found += [
            f"{path.relative_to(folder)}: {word}" for word, forms in wanted.items() if any(f in data for f in forms)
        ]
    return found
