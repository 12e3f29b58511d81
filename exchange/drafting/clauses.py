"""Drafting, clause by clause: what one clause says that its drafter cannot mean (DRF-3, DRF-10 to DRF-13).

Each rule looks at one clause and, where it is known, at who its parties are. What clauses do to one another is found
in ``drafting_reach``, and by ``_about_both`` here where nothing is known of the agencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exchange.drafting.finding import Agencies, Finding, error, meant, warning
from exchange.drafting.legal_basis import TABLE, VICTIMS, Basis
from exchange.drafting.wording import days, listed
from exchange.protocol.terms import ANY, ANY_PARTY, AgreementTerms, Clause, Forbid, Permit
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    Handling,
    LegalBasis,
    MessageType,
    Onward,
    Purpose,
    Role,
    TransferBasis,
    Urgency,
)

NOT_PERSONAL: Final = frozenset({Category.SMUG_E_LEGISLATIVE, Category.SMUG_F_TECHNICAL})
PERSONAL: Final = frozenset(c for c in Category if c.startswith(("person_", "data_")) and c != "data_transport")
"""Categories that are about somebody; an attachment may be, so it counts."""
_VICTIM_PURPOSES: Final = frozenset(
    {Purpose.VICTIM_PROTECTION, Purpose.INVESTIGATE, Purpose.PROSECUTE, Purpose.MISSING_PERSON, Purpose.LOCATE_PERSON}
)
_URGENT: Final = frozenset({Urgency.U_DIRECT, Urgency.U_INDIRECT})
_LONG: Final = 1825
_SHORT: Final = 180
_AT_HOME: Final = frozenset({LegalBasis.NATIONAL_LAW, LegalBasis.LED_DOMESTIC})


def about_clause(place: int, clause: Clause, terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    """Everything that is wrong with one clause; ``place`` is its position in the agreement."""
    here = ("clauses", place)
    if isinstance(clause, Forbid):
        yield from _about_forbid(here, clause)
        return
    yield from _about_categories(here, clause)
    yield from _about_purposes(here, clause)
    yield from _about_marks(here, clause)
    yield from _about_ties(here, clause)
    yield from _about_bases(here, clause, terms, agencies)
    for other in terms.clauses:
        if isinstance(other, Forbid):
            yield from _about_both(here, clause, other, terms, agencies)
    if agencies is not None:
        yield from _about_ceilings(here, clause, terms, agencies)


_Here = tuple[str, int]


def _about_forbid(here: _Here, clause: Forbid) -> Iterator[Finding]:
    if not all(ANY in codes for codes in (clause.types, clause.purposes, clause.crimes, clause.cats)):
        return
    single = [name for name in (*clause.from_, *clause.to) if name != ANY_PARTY]
    whom = f"everything from or to {listed(single)}" if single else "everything between all parties"
    sentence = f"it forbids {whom} for good: a refusal is for one case, with a reason and an end, never for a partner"
    yield error("blanket_forbid", clause.id, sentence, *here)


def _about_categories(here: _Here, clause: Permit) -> Iterator[Finding]:
    ties = clause.conditions
    personal = [cat for cat in clause.cats if cat in PERSONAL]
    if personal and ties.retention_days is None:
        sentence = f"{listed(personal)} may be kept for ever: say `retention_days`"
        yield warning("no_retention", clause.id, sentence, *here, "conditions")
    elif personal and (ties.retention_days or 0) > _LONG:
        sentence = f"data about persons may be kept {days(ties.retention_days)}: more than five years needs a reason"
        yield warning("retention_long", clause.id, sentence, *here, "conditions", "retention_days")
    general = [cat for cat in clause.cats if cat in NOT_PERSONAL]
    if personal and general:
        sentence = f"{listed(general)} is never about persons, yet stands beside {listed(personal)}: make two clauses"
        yield error("mixed_categories", clause.id, sentence, *here, "cats")
    if Category.PERSON_INFORMANT in clause.cats:
        sentence = "`person_informant` is permitted: who told you must never be what you tell"
        yield error("informant_named", clause.id, sentence, *here, "cats")
    guarded = ties.human_release or ties.second_approver or ties.readers or ties.review_days
    if Category.DATA_MINOR in clause.cats and not guarded and (ties.retention_days or _LONG) > _SHORT:
        sentence = (
            "data about minors is treated like any other: ask for a human release, trained readers, a review date, "
            f"or keep it {_SHORT} days at most"
        )
        yield warning("minor_unguarded", clause.id, sentence, *here, "conditions")


def _about_purposes(here: _Here, clause: Permit) -> Iterator[Finding]:
    where = (*here, "purposes")
    victims = [cat for cat in clause.cats if cat in VICTIMS]
    meant_well = _VICTIM_PURPOSES
    if set(clause.types) <= {MessageType.SAFETY_NOTICE}:
        meant_well |= {Purpose.PREVENT}  # a notice of danger prevents what would be done to the victim
    astray = [purpose for purpose in clause.purposes if purpose not in meant_well]
    if victims and astray:
        sentence = f"{listed(victims)} for {listed(astray)}: a victim's data serves the victim and the case, no more"
        yield error("victim_purpose", clause.id, sentence, *where)
    if Category.DATA_PROTECTION_CLAIM in clause.cats:
        sentence = "it lets somebody learn that a person asked for protection: that can reach the state they fled from"
        yield error("claim_told", clause.id, sentence, *here, "cats")
    personal = [cat for cat in clause.cats if cat in PERSONAL]
    if personal and Purpose.STRATEGIC_ANALYSIS in clause.purposes:
        sentence = f"`strategic_analysis` needs no persons, yet {listed(personal)} may be told for it: make two clauses"
        yield warning("persons_for_statistics", clause.id, sentence, *where)
    wide = [p for p in clause.purposes if p in {Purpose.PREVENT, Purpose.DETECT, Purpose.CROSS_CHECK}]
    if Category.DATA_SPECIAL_CATEGORY in clause.cats and wide:
        sentence = f"`data_special_category` for {listed(wide)}: it is told only where strictly necessary for a case"
        yield error("special_purpose", clause.id, sentence, *where)


def _about_marks(here: _Here, clause: Permit) -> Iterator[Finding]:
    ties, where = clause.conditions, (*here, "conditions")
    marks = ties.handling_required
    if Handling.H1 in marks and ties.evidence:
        sentence = "every message must be marked H1 (no evidence), yet `evidence` says it may be used in court"
        yield error("mark_contradiction", clause.id, sentence, *where, "evidence")
    if Handling.H2 in marks and ties.onward is Onward.WITHIN_PARTIES:
        sentence = "every message must be marked H2 (ask before passing on), yet `onward` lets every party pass it on"
        yield error("mark_contradiction", clause.id, sentence, *where, "onward")
    if Handling.H0 in marks and len(marks) > 1:
        sentence = "H0 says there is no restriction, and stands beside codes that restrict"
        yield error("mark_contradiction", clause.id, sentence, *where, "handling_required")
    if MessageType.EVIDENCE_TRANSFER in clause.types and (not ties.evidence or Handling.H1 in marks):
        sentence = "`evidence_transfer` is permitted, but nothing told under this clause may be used as evidence"
        yield error("evidence_withheld", clause.id, sentence, *where, "evidence")
    delicate = [c for c in clause.cats if c in VICTIMS or c == Category.DATA_SPECIAL_CATEGORY]
    if delicate and ties.onward is Onward.WITHIN_PARTIES:
        sentence = f"{listed(delicate)} may travel on to every party: say `by_consent`, `by_field` or `none`"
        yield error("delicate_onward", clause.id, sentence, *where, "onward")


def _about_ties(here: _Here, clause: Permit) -> Iterator[Finding]:
    ties, where = clause.conditions, (*here, "conditions")
    routine = [urgency for urgency in ties.urgency if urgency not in _URGENT]
    if ties.transfer is TransferBasis.DEROGATION and routine:
        sentence = (
            f"`derogation` is for one urgent case at a time, yet {listed(routine)} makes it a standing exchange: "
            "find `adequacy` or `safeguards`, or keep the urgent ones alone"
        )
        yield error("derogation_routine", clause.id, sentence, *where, "transfer")
    if ties.transfer is TransferBasis.DEROGATION and not (ties.human_release or ties.second_approver):
        sentence = "a derogation is weighed case by case: say `human_release: true`"
        yield warning("derogation_unweighed", clause.id, sentence, *where, "human_release")
    level = ties.second_approver
    if level is not None and level.rank > clause.class_max.rank:
        sentence = f"two officers must agree from {level} upward, but the clause ends at {clause.class_max}"
        yield warning("approver_never", clause.id, sentence, *where, "second_approver")
    if ties.review_days and ties.retention_days and ties.review_days >= ties.retention_days:
        sentence = f"it is reviewed after {days(ties.review_days)}, when it is already erased"
        yield error("review_too_late", clause.id, sentence, *where, "review_days")
    if ties.readers is not None and ties.readers.roles == ():
        sentence = "`readers.roles` is empty, and empty means nobody: no officer could ever open what is told"
        yield error("readers_nobody", clause.id, sentence, *where, "readers")


# --- legal bases -----------------------------------------------------------------------------------------------------


def _about_bases(here: _Here, clause: Permit, terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    usable = _usable(clause, terms, agencies)
    if not terms.bases or not (clause.purposes and clause.crimes):
        return
    if not usable:
        sentence = (
            f"{listed(terms.bases)} carries nothing here: national law ends at the border, "
            "and imminent danger is no basis for what is not urgent"
        )
        yield error("basis_nothing", clause.id, sentence, *here)
        return
    named = listed(usable)
    short: list[tuple[str, str, list[str]]] = [
        (
            "basis_purpose",
            "purposes",
            [p for p in clause.purposes if not any(p in b.purposes for b in usable.values())],
        ),
        ("basis_crime", "crimes", [c for c in clause.crimes if not any(c in b.crimes for b in usable.values())]),
        ("basis_category", "cats", [c for c in clause.cats if not any(c in b.cats for b in usable.values())]),
    ]
    for code, member, lost in short:
        if lost:
            yield error(code, clause.id, f"no legal basis here carries {listed(lost)}: {named}", *here, member)
    strangers = _untold(clause, usable, terms, agencies)
    if strangers:
        sentence = f"no legal basis here carries telling {listed(strangers)}: {named}"
        yield error("basis_recipient", clause.id, sentence, *here, "to")
    if not any(lost for _, _, lost in short) and not strangers:
        yield from _about_combinations(here, clause, usable)


def _usable(clause: Permit, terms: AgreementTerms, agencies: Agencies | None) -> dict[str, Basis]:
    """The bases of the agreement that can carry this clause, as far as territory and urgency go."""
    abroad = False
    if agencies is not None:
        sides = meant(clause.from_, terms, agencies) | meant(clause.to, terms, agencies)
        abroad = len({agencies[party].territory for party in sides if party in agencies}) > 1
    urgent = set(clause.conditions.urgency) <= _URGENT
    return {
        basis.value: TABLE[basis]
        for basis in terms.bases
        if not (abroad and basis in _AT_HOME) and (urgent or basis is not LegalBasis.EMERGENCY_IMMINENT_DANGER)
    }


def _untold(clause: Permit, usable: dict[str, Basis], terms: AgreementTerms, agencies: Agencies | None) -> list[str]:
    """Whom of those that are named as recipients no basis carries telling."""
    if agencies is None:
        told = {name: {Role(name.removeprefix("role:"))} for name in clause.to if name.startswith("role:")}
    else:
        known = [party for party in terms.parties if party in meant(clause.to, terms, agencies) and party in agencies]
        told = {party: {Role(role) for role in agencies[party].roles} for party in known}
    return [name for name, roles in told.items() if not any(basis.recipients & roles for basis in usable.values())]


def _about_combinations(here: _Here, clause: Permit, usable: dict[str, Basis]) -> Iterator[Finding]:
    """Each code is carried by some basis; are purpose, crime area and category ever carried by one and the same?"""
    for purpose in clause.purposes:
        for crime in clause.crimes:
            both = [b for b in usable.values() if purpose in b.purposes and crime in b.crimes]
            lost = [cat for cat in clause.cats if not any(cat in basis.cats for basis in both)]
            if lost or not both:
                what = f"{listed(lost)} " if lost else ""
                sentence = f"no one legal basis carries {what}for `{purpose}` about `{crime}`: split the clause"
                yield warning("basis_together", clause.id, sentence, *here, "purposes")
                return


# --- what clauses do to one another, without knowing the agencies ----------------------------------------------------


def _about_both(
    here: _Here, clause: Permit, forbid: Forbid, terms: AgreementTerms, agencies: Agencies | None
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
        yield error("unreachable", clause.id, sentence, *here)
        return
    lost = [cat for cat in clause.cats if cat in forbid.cats]
    if lost and len(lost) == len(clause.cats):
        sentence = f"clause {forbid.id} forbids every category this clause permits"
        yield error("unreachable", clause.id, sentence, *here, "cats")
    elif lost:
        sentence = f"it permits {listed(lost)}, but clause {forbid.id} forbids that to everyone this clause names"
        yield error("contradiction", clause.id, sentence, *here, "cats")


def _about_ceilings(here: _Here, clause: Permit, terms: AgreementTerms, agencies: Agencies) -> Iterator[Finding]:
    for party in terms.parties:
        known = agencies.get(party)
        if known is None or party not in meant(clause.to, terms, agencies):
            continue
        if Classification(known.ceiling).rank < clause.class_max.rank:
            sentence = f"it goes up to {clause.class_max}, but `{party}` may receive {known.ceiling} at most"
            yield warning("above_ceiling", clause.id, sentence, *here, "class_max")


def _covers_parties(
    wide: tuple[str, ...], narrow: tuple[str, ...], terms: AgreementTerms, agencies: Agencies | None
) -> bool:
    if ANY_PARTY in wide:
        return True
    if agencies is None:
        return set(narrow) <= set(wide)
    inner = meant(narrow, terms, agencies)
    return bool(inner) and inner <= meant(wide, terms, agencies)


def _covers(wide: Iterable[str], narrow: Iterable[str]) -> bool:
    return ANY in wide or set(narrow) <= set(wide)
