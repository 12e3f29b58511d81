"""Coded: what an agreement says as lines of member and values, each code with its label in a language (VOC-14).

No sentence is made: grammar differs, codes do not. Whoever reads no English reads who may tell whom what, for what and
tied to what; only titles stay in the words of those who wrote them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from exchange.protocol.allowed import AgreementKind, Reach
from exchange.protocol.labels import Language, label, labels, word
from exchange.protocol.terms import ANY, ANY_PARTY, GROUP, AgreementTerms, Clause, Conditions, Forbid
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    LegalBasis,
    MessageType,
    Onward,
    Purpose,
    Role,
    TransferBasis,
    Urgency,
)
from keys.encoding import stamp


@dataclass(frozen=True, slots=True)
class Value:
    """A code, a name or a number, with its label if it has one; where nothing stands in the terms, the label alone."""

    code: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label} ({self.code})" if self.label and self.code else self.label or self.code


@dataclass(frozen=True, slots=True)
class Line:
    """One member: its name in the terms, what people call it, and its values."""

    member: str
    word: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.word}: {'; '.join(map(str, self.values))}"

    def to_json(self) -> dict[str, Any]:
        """As ``show --json --lang`` prints it."""
        values = [{"code": one.code, "label": one.label} for one in self.values]
        return {"member": self.member, "word": self.word, "values": values}


def coded_clause(clause: Clause, lang: Language) -> list[Line]:
    """One clause, member by member."""
    lines = [
        _line("effect", [Value(clause.effect, word(clause.effect, lang))], lang),
        _line("from", _parties(clause.from_, lang), lang),
        _line("to", _parties(clause.to, lang), lang),
        _line("types", values(MessageType, clause.types, lang), lang),
        _line("purposes", values(Purpose, clause.purposes, lang), lang),
        _line("crimes", values(CrimeArea, clause.crimes, lang), lang),
        _line("cats", values(Category, clause.cats, lang), lang),
    ]
    if isinstance(clause, Forbid):
        return [*lines, _line("reach", values(Reach, [clause.reach], lang), lang)]
    ties = clause.conditions
    lines.append(_line("class_max", values(Classification, [clause.class_max], lang), lang))
    lines.append(_line("urgency", values(Urgency, ties.urgency, lang), lang))
    return [*lines, *coded_needs(ties, lang), *coded_ties(ties, lang)]


def coded_needs(ties: Conditions, lang: Language, *, copied: bool = True) -> list[Line]:
    """What a clause asks of a message beside its codes; without the copy where it is to somebody told anyway."""
    lines = []
    if ties.handling_required:
        lines.append(_line("handling_required", values(Handling, ties.handling_required, lang), lang))
    if ties.copy_to is not None and copied:
        lines.append(_line("copy_to", [Value(ties.copy_to)], lang))
    if ties.copy_exempt and copied:
        lines.append(_line("copy_exempt", values(CopyExemption, ties.copy_exempt, lang), lang))
    if ties.transfer is not None:
        lines.append(_line("transfer", values(TransferBasis, [ties.transfer], lang), lang))
    return lines


def coded_ties(ties: Conditions, lang: Language, purge_days: int | None = None, *, special: bool = False) -> list[Line]:
    """What a clause ties recipient and sender to; ``special`` data needs two release officers at any level (AGR-53)."""
    lines = [
        _line("onward", values(Onward, [ties.onward], lang), lang),
        _yes_no("evidence", lang, yes=ties.evidence),
        _days("retention_days", ties.retention_days, lang),
    ]
    if ties.review_days is not None:
        lines.append(_days("review_days", ties.review_days, lang))
    if purge_days is not None:
        lines.append(_days("purge_days", purge_days, lang))
    lines.append(_yes_no("human_release", lang, yes=ties.human_release))
    second = [] if ties.second_approver is None else values(Classification, [ties.second_approver], lang)
    second += values(Category, [Category.DATA_SPECIAL_CATEGORY], lang) if special else []
    if second:
        lines.append(_line("second_approver", second, lang))
    if ties.readers is not None:
        readers = ties.readers
        if readers.clearance is not None:
            lines.append(_line("clearance", values(Classification, [readers.clearance], lang), lang))
        if readers.training:
            lines.append(_line("training", [Value(code) for code in readers.training], lang))
        if readers.roles is not None:
            lines.append(_line("roles", _officers(readers.roles, lang), lang))
    return lines


def coded_whole(terms: AgreementTerms, lang: Language) -> list[Line]:
    """What an agreement says beside its clauses."""
    lines = [
        _line("kind", values(AgreementKind, [terms.kind], lang), lang),
        _line("parties", [Value(party) for party in terms.parties], lang),
        _line("bases", values(LegalBasis, terms.bases, lang), lang),
        _line("territory", [Value(code) for code in terms.territory] or [Value("", word("nothing", lang))], lang),
        _line("start", [Value(stamp(terms.start))], lang),
        _line("end", [Value(stamp(terms.end))], lang),
    ]
    for group in terms.groups:
        named = [Value(member) for member in group.members] or [Value("", word("nobody", lang))]
        lines.append(Line("groups", f"{word('group', lang)} {group.id}", tuple(named)))
        lines.append(_line("purposes", values(Purpose, group.purposes, lang), lang))
        lines.append(_line("until", [Value(stamp(group.until))], lang))
    return lines if terms.purge_days is None else [*lines, _days("purge_days", terms.purge_days, lang)]


def values(of: type[StrEnum], codes: Iterable[str], lang: Language) -> list[Value]:
    """Codes of one list with their labels, in the order given; that there are none is said too."""
    said = [Value(str(code), word(ANY, lang) if code == ANY else label(of, str(code), lang)) for code in codes]
    return said or [Value("", word("nothing", lang))]


def _parties(names: Iterable[str], lang: Language) -> list[Value]:
    return [_party(name, lang) for name in names] or [Value("", word("nobody", lang))]


def _party(name: str, lang: Language) -> Value:
    if name == ANY_PARTY:
        return Value(name, word(ANY_PARTY, lang))
    if name.startswith(GROUP):
        return Value(name, word("group", lang))
    if name.startswith("territory:"):
        return Value(name, word("territory", lang))
    return Value(name, label(Role, name.removeprefix("role:"), lang)) if name.startswith("role:") else Value(name)


def _officers(roles: Iterable[str], lang: Language) -> list[Value]:
    """Roles of officers are a node's own codes: the terms take any, and only those of the list have a label."""
    known = labels().lists["OfficerRole"].codes
    found = [Value(code, label("OfficerRole", code, lang) if code in known else "") for code in roles]
    return found or [Value("", word("nobody", lang))]


def _line(member: str, found: Iterable[Value], lang: Language) -> Line:
    return Line(member, word(member, lang), tuple(found))


def _yes_no(member: str, lang: Language, *, yes: bool) -> Line:
    return _line(member, [Value("true" if yes else "false", word("yes" if yes else "no", lang))], lang)


def _days(member: str, count: int | None, lang: Language) -> Line:
    return _line(member, [Value("", word("unlimited", lang)) if count is None else Value(str(count))], lang)
