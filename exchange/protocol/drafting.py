"""Drafting: what is wrong with the terms of an agreement, in plain words, before anybody signs them.

A finding changes no decision. An *error* is something the drafter cannot have meant: a clause that can
never match, a party nobody knows, no legal basis. A *warning* is something to think about again. What is
known of the agencies (their records) is an argument; without it, findings about roles are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from exchange.protocol.terms import ANY, ANY_PARTY, AgreementTerms, Clause, Forbid, Permit
from exchange.protocol.vocabulary import Category, Classification, Onward

Level = Literal["error", "warning"]
NOT_PERSONAL: Final = frozenset({Category.SMUG_E_LEGISLATIVE, Category.SMUG_F_TECHNICAL})
PERSONAL: Final = frozenset(c for c in Category if c.startswith(("person_", "data_")) and c != "data_transport")
"""Categories that are about somebody; an attachment may be, so it counts."""


class Agency(Protocol):
    """What the linter wants to know of an agency; an agency record has it."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles its record gives it."""

    @property
    def territory(self) -> str:
        """Where it works."""

    @property
    def ceiling(self) -> str:
        """The highest classification it may receive."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a draft, and where: a clause id, or nothing for the agreement itself."""

    code: str
    level: Level
    clause: str | None
    sentence: str


def find_faults(terms: AgreementTerms, agencies: Mapping[str, Agency] | None = None) -> tuple[Finding, ...]:
    """Everything the linter has to say, errors first, then in the order of the clauses."""
    found = [*_about_whole(terms, agencies)]
    for clause in terms.clauses:
        found += _about_names(clause, terms, agencies)
        found += _about_lists(clause)
        if isinstance(clause, Permit):
            found += _about_permit(clause, terms, agencies)
    return tuple(sorted(found, key=lambda finding: finding.level != "error"))


def _about_whole(terms: AgreementTerms, agencies: Mapping[str, Agency] | None) -> Iterator[Finding]:
    if not terms.bases:
        yield Finding("no_basis", "error", None, "no legal basis is named: without one nothing may be exchanged")
    if not any(isinstance(clause, Permit) for clause in terms.clauses):
        yield Finding("no_permit", "warning", None, "no clause permits anything: this agreement only forbids")
    if agencies is None:
        return
    for party in terms.parties:
        known = agencies.get(party)
        if known is None:
            yield Finding("unknown_party", "error", None, f"party `{party}` has no record in this federation")
        elif terms.territory and known.territory not in terms.territory:
            sentence = f"party `{party}` works in {known.territory}, outside the territory of the agreement"
            yield Finding("outside_territory", "warning", None, sentence)


def _about_names(clause: Clause, terms: AgreementTerms, agencies: Mapping[str, Agency] | None) -> Iterator[Finding]:
    for member, names in (("from", clause.from_), ("to", clause.to)):
        for name in names:
            if name == ANY_PARTY:
                continue
            if not name.startswith("role:"):
                if name not in terms.parties:
                    sentence = f"`{member}` names `{name}`, which is no party to the agreement"
                    yield Finding("not_a_party", "error", clause.id, sentence)
            elif agencies is not None and not _meant((name,), terms, agencies):
                sentence = f"`{member}` names `{name}`, but no party has that role"
                yield Finding("role_of_nobody", "error", clause.id, sentence)
    if isinstance(clause, Permit) and agencies is not None and clause.from_ and clause.to:
        senders, receivers = _meant(clause.from_, terms, agencies), _meant(clause.to, terms, agencies)
        if senders == receivers and len(senders) == 1:
            sentence = f"only `{next(iter(senders))}` is named on both sides, and nobody tells itself anything"
            yield Finding("only_itself", "error", clause.id, sentence)


def _about_lists(clause: Clause) -> Iterator[Finding]:
    lists = {"from": clause.from_, "to": clause.to, "types": clause.types, "purposes": clause.purposes}
    lists |= {"crimes": clause.crimes}
    if isinstance(clause, Permit):
        lists |= {"conditions.urgency": clause.conditions.urgency}
    else:
        lists |= {"cats": clause.cats}
    for member, codes in lists.items():
        if not codes:
            sentence = f"`{member}` is empty, and empty means nobody and nothing: the clause never matches"
            yield Finding("empty_list", "error", clause.id, sentence)


def _about_permit(clause: Permit, terms: AgreementTerms, agencies: Mapping[str, Agency] | None) -> Iterator[Finding]:
    personal = [cat for cat in clause.cats if cat in PERSONAL]
    if personal and clause.conditions.retention_days is None:
        sentence = f"{_codes(personal)} may be kept for ever: say `retention_days`"
        yield Finding("no_retention", "warning", clause.id, sentence)
    general = [cat for cat in clause.cats if cat in NOT_PERSONAL]
    if personal and general:
        sentence = f"{_codes(general)} is never about persons, yet stands beside {_codes(personal)}: make two clauses"
        yield Finding("mixed_categories", "error", clause.id, sentence)
    for forbid in terms.clauses:
        if isinstance(forbid, Forbid):
            yield from _about_both(clause, forbid, terms, agencies)
    if agencies is not None:
        yield from _about_ceilings(clause, terms, agencies)


def _about_both(
    clause: Permit, forbid: Forbid, terms: AgreementTerms, agencies: Mapping[str, Agency] | None
) -> Iterator[Finding]:
    """Report a permit that a forbid takes back, wholly or for some categories."""
    covers = (
        _covers_parties(forbid.from_, clause.from_, terms, agencies)
        and _covers_parties(forbid.to, clause.to, terms, agencies)
        and _covers(forbid.types, clause.types)
        and _covers(forbid.purposes, clause.purposes)
        and _covers(forbid.crimes, clause.crimes)
    )
    if not covers:
        return
    if ANY in forbid.cats:
        sentence = f"clause {forbid.id} forbids everything this clause permits: it can never match"
        yield Finding("unreachable", "error", clause.id, sentence)
        return
    lost = [cat for cat in clause.cats if cat in forbid.cats]
    if lost and len(lost) == len(clause.cats):
        sentence = f"clause {forbid.id} forbids every category this clause permits"
        yield Finding("unreachable", "error", clause.id, sentence)
    elif lost:
        sentence = f"it permits {_codes(lost)}, but clause {forbid.id} forbids that to everyone this clause names"
        yield Finding("contradiction", "error", clause.id, sentence)


def _about_ceilings(clause: Permit, terms: AgreementTerms, agencies: Mapping[str, Agency]) -> Iterator[Finding]:
    for party in terms.parties:
        known = agencies.get(party)
        if known is None or party not in _meant(clause.to, terms, agencies):
            continue
        if Classification(known.ceiling).rank < clause.class_max.rank:
            sentence = f"it goes up to {clause.class_max}, but `{party}` may receive {known.ceiling} at most"
            yield Finding("above_ceiling", "warning", clause.id, sentence)


def _meant(names: Iterable[str], terms: AgreementTerms, agencies: Mapping[str, Agency]) -> set[str]:
    """The parties that these names stand for."""
    listed = set(names)
    return {
        party
        for party in terms.parties
        if ANY_PARTY in listed
        or party in listed
        or (party in agencies and any(f"role:{role}" in listed for role in agencies[party].roles))
    }


def _covers_parties(
    wide: tuple[str, ...], narrow: tuple[str, ...], terms: AgreementTerms, agencies: Mapping[str, Agency] | None
) -> bool:
    if ANY_PARTY in wide:
        return True
    if agencies is None:
        return set(narrow) <= set(wide)
    return _meant(narrow, terms, agencies) <= _meant(wide, terms, agencies)


def _covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return ANY in wide or set(narrow) <= set(wide)


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def in_words(clause: Clause) -> str:
    """One clause in a few sentences, for people who do not read JSON."""
    scope = f"As {_plain(clause.types)}; for {_plain(clause.purposes)}; about {_plain(clause.crimes)}."
    if isinstance(clause, Forbid):
        what = "anything at all" if ANY in clause.cats else f"anything that carries {_plain(clause.cats, 'or')}"
        return f"{_names(clause.from_)} may not tell {_names(clause.to)} {what}. {scope}"
    what = f"what carries nothing but {_plain(clause.cats)}" if clause.cats else "what carries no listed category"
    ties = clause.conditions
    marked = f"; only if marked {' and '.join(ties.handling_required)}" if ties.handling_required else ""
    limits = f"Urgency {_plain(ties.urgency, 'or')}; classified {clause.class_max} at most{marked}."
    kept = f"keeps it {ties.retention_days} days at most" if ties.retention_days else "may keep it without limit"
    court = "may use it as evidence" if ties.evidence else "may not use it as evidence"
    release = " A release officer of the sender decides." if ties.human_release else ""
    return (
        f"{_names(clause.from_)} may tell {_names(clause.to)} {what}. {scope} {limits} "
        f"Who receives it {kept}, {_ONWARD[ties.onward]}, and {court}.{release}"
    )


_ONWARD: Final = {
    Onward.NONE: "never passes it on",
    Onward.BY_CONSENT: "passes it on only by consent",
    Onward.WITHIN_PARTIES: "may pass it on among the parties",
}


def _names(names: tuple[str, ...]) -> str:
    said = ["any party" if n == ANY_PARTY else n.replace("role:", "any ").replace("_", " ") for n in names]
    said = [text.replace(" fiu", " FIU").replace(" ngo", " NGO") for text in said]
    return " or ".join(said) or "nobody"


def _plain(codes: Iterable[str], joint: str = "and") -> str:
    said = ["anything" if code == ANY else code.replace("_", " ") for code in codes]
    return f" {joint} ".join(filter(None, [", ".join(said[:-1]), *said[-1:]])) or "nothing"
