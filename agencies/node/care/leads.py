"""Leads: what leads to a person, in a spelling that little tricks do not change (SAFE-11, SAFE-13).

Whoever wants to ask about a claimant past the firewall writes the name without its accents, with one letter of another
script, with a mark of no width inside, or the number with spaces. All of these come to the same here; so do some names
of different people, and that only ever stops a draft.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from exchange.protocol.case_vocabulary import Relation
from exchange.protocol.content import CaseMessage
from exchange.protocol.entities import Account, Communication, Document, Name, Person
from exchange.protocol.identity import ProtectedIdentity, open_texts

SPAN: Final = 4
"""Words of a text that are tried together as a name; characters of the shortest number, and of the shortest alias."""
PIECES: Final = 5
"""Pieces of a text, with spaces or signs between them, that are tried together as one number."""
NEAR: Final = 8
"""Words between a family name and a year that are taken for a year of birth."""
_TIES: Final = frozenset({Relation.OWNS, Relation.USES, Relation.ISSUED_TO, Relation.CONTACTS})
_WORD: Final = re.compile(r"[^\W\d_]+")
_PIECE: Final = re.compile(r"[^\W_]+")
_ADDRESS: Final = re.compile(r"[^\s,;()\[\]{}\"<>]*[@_/][^\s,;()\[\]{}\"<>]*")
_YEAR: Final = re.compile(r"(?<![^\W_])(?:1[89]|20)[0-9]{2}(?![^\W_])")
_LIKE: Final = {
    **dict(zip("łøđðıħŧ", "loddiht", strict=True)), "þ": "th", "æ": "a", "œ": "o",
    **dict(zip("авекмнорстухіјѕԁԛԝӏ", "abekmhopctyxijsdqwl", strict=True)),
    **dict(zip("αβεζηικμνορτυχ", "abezhikmnoptyx", strict=True)),
    **dict.fromkeys("`\u00b4\u2018\u2019\u02bb\u02bc", "'"),
}  # fmt: skip
_DROPPED: Final = frozenset({"Mn", "Me", "Cf"})


def plain(text: str) -> str:
    """A text without case, accents and marks of no width; letters that look alike, and digits, are one."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()).casefold()
    kept = [_same(char) for char in folded if unicodedata.category(char) not in _DROPPED]
    return re.sub("([aou])e", r"\1", "".join(kept))


def _spellings(text: str) -> tuple[str, ...]:
    """A text with its apostrophes left out, and with each of them parting two words, if it has any."""
    said = plain(text)
    return (said.replace("'", ""), said.replace("'", " ")) if "'" in said else (said,)


def _same(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else _LIKE.get(char, char)


def facts_of(content: CaseMessage) -> set[str]:
    """Everything in a content that could lead to somebody: described, or standing in any of its texts."""
    found: set[str] = set()
    for person in content.persons:
        found |= _of_names(person.names, person.birth_year)
    for entity in content.entities:
        found |= set(_numbers(entity))
    for text in open_texts(content):
        found |= _of_text(text)
    return found


def facts_of_cases(content: CaseMessage) -> set[str]:
    """The case of a content, and those it is linked to."""
    return {case_fact(one) for one in (content.case.reference, *(link.reference for link in content.case.links))}


def facts_of_person(person: Person, content: CaseMessage) -> set[str]:
    """What leads to one person of a content: names, and the documents, accounts and contacts that are theirs."""
    entities = {one.id: one for one in content.entities}
    found = _of_names(person.names, person.birth_year)
    for edge in content.relationships:
        if person.id in (edge.from_, edge.to) and edge.relation in _TIES:
            other = entities[edge.to if edge.from_ == person.id else edge.from_]
            found |= set(_numbers(other))
    return found


def facts_of_identity(identity: ProtectedIdentity) -> set[str]:
    """What leads to somebody whose identity was sealed."""
    birth = identity.birth
    year = birth if isinstance(birth, int) else int(birth[:4]) if birth else None
    numbers = [*(one.number for one in identity.documents), *identity.accounts, *(c.value for c in identity.contacts)]
    return _of_names(identity.names, year) | {_number(number) for number in numbers if number}


def case_fact(reference: str) -> str:
    """What stands for a case, however its reference is written."""
    return f"case {_bare(reference)}"


def _of_names(names: Sequence[Name], year: int | None) -> set[str]:
    found: set[str] = set()
    halves = [
        (_WORD.findall(family), _WORD.findall(given))
        for name in names
        for family in _spellings(name.family or "")
        for given in _spellings(name.given or "")
    ]
    for family, given in halves:
        if family and given:
            found.add(_name([*family, *given]))
        if family and not given:
            found.add(_half(family))
        if given and not family:
            found.add(_half(given))
        if family and year is not None:
            found |= {_born(year, family), *(_born(year, [word]) for word in family)}
    # The halves may stand in two entries: they are one person's all the same.
    families, givens = ({word for pair in halves for word in pair[half]} for half in (0, 1))
    return found | {_name([one, other]) for one in families for other in givens}


def _of_text(text: str) -> set[str]:
    return {fact for said in _spellings(text) for fact in _of_spelling(said)}


def _of_spelling(said: str) -> set[str]:
    words = _WORD.findall(said)
    found = {
        _name([words[at], words[at + step]])
        for at in range(len(words))
        for step in range(1, SPAN)
        if at + step < len(words)
    }
    for size in range(3, SPAN + 1):
        found |= {_name(words[at : at + size]) for at in range(len(words) - size + 1)}
    for size in range(1, SPAN):
        runs = (words[at : at + size] for at in range(len(words) - size + 1))
        found |= {_half(run) for run in runs if len("".join(run)) >= SPAN}
    return found | set(_born_in(said)) | set(_numbers_in(said))


def _born_in(said: str) -> Iterator[str]:
    for year in _YEAR.finditer(said):
        around = [*_WORD.findall(said[: year.start()])[-NEAR:], *_WORD.findall(said[year.end() :])[:NEAR]]
        yield from (_born(int(year[0]), [word]) for word in around)


def _numbers_in(said: str) -> Iterator[str]:
    yield from (_number(token) for token in _ADDRESS.findall(said))
    pieces = _PIECE.findall(said)
    for at in range(len(pieces)):
        for size in range(1, min(PIECES, len(pieces) - at) + 1):
            run = "".join(pieces[at : at + size])
            if len(run) >= SPAN and any(char.isdigit() for char in run):
                yield from (f"number {run}", f"case {run}")


def _numbers(entity: Any) -> Iterator[str]:
    match entity:
        case Document(number=str(value)) | Account(identifier=str(value)):
            yield _number(value)
        case Communication():
            yield _number(entity.value)
        case _:
            return


def _bare(text: str) -> str:
    return "".join(_PIECE.findall(plain(text)))


def _number(text: str) -> str:
    return f"number {_bare(text)}"


def _name(words: Iterable[str]) -> str:
    return f"name {' '.join(sorted(words))}"


def _half(words: Iterable[str]) -> str:
    return f"half {' '.join(sorted(words))}"


def _born(year: int, words: Iterable[str]) -> str:
    return f"born {year} {' '.join(sorted(words))}"
