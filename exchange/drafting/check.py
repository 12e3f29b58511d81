"""Drafting: what is wrong with the terms of an agreement, in plain words, before anybody signs them (DRF-1 to DRF-4).

A finding changes no decision. An *error* is something the drafter cannot have meant: a clause that can
never match, a party nobody knows, no legal basis. A *warning* is something to think about again. What is
known of the agencies (their records) is an argument; without it, findings about roles are left out.

``find_faults`` looks at terms that could be signed; ``check_draft`` also at what could not, sets aside what has no
form and goes on with the rest, so that a drafter hears everything at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from exchange.drafting.boxes import TooManyPieces
from exchange.drafting.clauses import PERSONAL, about_clause
from exchange.drafting.finding import Agencies, Agency, Finding, Level, Place, error, meant, warning
from exchange.drafting.legal_basis import why_not_binding
from exchange.drafting.shape import Fault, read_draft
from exchange.drafting.together import about_reach
from exchange.drafting.wording import in_words
from exchange.protocol.terms import (
    ANY,
    ANY_PARTY,
    AgreementKind,
    AgreementTerms,
    Clause,
    Forbid,
    Permit,
    Reach,
)
from exchange.protocol.vocabulary import Category, LegalBasis
from keys.encoding import stamp

__all__ = ["Agencies", "Agency", "Finding", "Level", "check_draft", "find_faults", "in_words"]

_LONGEST = timedelta(days=10 * 365 + 3)
_LONGEST_TEAM = timedelta(days=2 * 365 + 1)


def check_draft(
    terms: Mapping[str, Any], agencies: Agencies | None = None, at: datetime | None = None
) -> tuple[Finding, ...]:
    """Everything there is to say about terms as somebody wrote them, whether or not they could be signed."""
    wrong, read = read_draft(terms)
    found = [_malformed(terms, fault) for fault in wrong]
    if read is not None:
        found += [_moved(finding, terms, read) for finding in find_faults(read, agencies, at)]
    names = [clause.get("id") for clause in _clauses(terms)]
    return _sorted(found, [name if isinstance(name, str) else None for name in names])


def find_faults(
    terms: AgreementTerms, agencies: Agencies | None = None, at: datetime | None = None
) -> tuple[Finding, ...]:
    """Everything the linter has to say of terms that can be signed, errors first, then in the order of the clauses.

    What changes with time (groups that have ended) is judged ``at`` an instant, else at the start.
    """
    when = terms.start if at is None else min(max(at, terms.start), terms.end)
    found = [*_about_whole(terms, agencies), *_about_groups(terms, when), *_about_protection(terms, agencies)]
    for place, clause in enumerate(terms.clauses):
        found += _about_names(place, clause, terms, agencies)
        found += _about_lists(place, clause)
        found += about_clause(place, clause, terms, agencies)
    if agencies is not None:
        try:
            found += about_reach(terms, agencies, when)
        except TooManyPieces:
            sentence = "its clauses overlap in more ways than can be worked out exactly: make them fewer or simpler"
            found.append(warning("too_intricate", None, sentence, "clauses"))
    return _sorted(_once(found), [clause.id for clause in terms.clauses])


def _once(found: Iterable[Finding]) -> list[Finding]:
    """What is unreachable for one reason is not said to be so for another."""
    kept = dict[tuple[str, str | None, Place], Finding]()
    for finding in found:
        kept.setdefault((finding.code, finding.clause, finding.place), finding)
    gone = {finding.clause for finding in kept.values() if finding.code == "unreachable"}
    return [f for f in kept.values() if f.clause not in gone or f.code not in {"contradiction", "redundant"}]


def _sorted(found: Iterable[Finding], order: list[Any]) -> tuple[Finding, ...]:
    ranks = {clause: place for place, clause in reversed(list(enumerate(order)))}
    return tuple(sorted(found, key=lambda f: (f.level != "error", ranks.get(f.clause, -1))))


# --- what has no form ------------------------------------------------------------------------------------------------


def _malformed(value: Mapping[str, Any], fault: Fault) -> Finding:
    place, here = fault.place, fault.value
    if place[:1] == ("bases",) and len(place) == 2 and isinstance(here, str):
        why = why_not_binding(here)
        if why is not None:
            return error("not_binding", None, f"`{here}` is {why}: no legal basis", *place)
        return error("unknown_basis", None, f"`{here}` is no legal basis of the vocabulary", *place)
    member = next((step for step in reversed(place) if isinstance(step, str)), "")
    named = "" if not member or f"`{member}`" in fault.sentence else f"`{member}`: "
    return error("malformed", _clause_at(value, place), named + fault.sentence, *place)


def _clauses(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    clauses = value.get("clauses")
    return [clause for clause in clauses if isinstance(clause, dict)] if isinstance(clauses, list) else []


def _clause_at(value: Mapping[str, Any], place: Place) -> str | None:
    if len(place) < 2 or place[0] != "clauses" or not isinstance(place[1], int):
        return None
    clauses = value.get("clauses")
    clause = clauses[place[1]] if isinstance(clauses, list) and place[1] < len(clauses) else None
    name = clause.get("id") if isinstance(clause, dict) else None
    return name if isinstance(name, str) else f"number {place[1] + 1}"


def _moved(finding: Finding, value: Mapping[str, Any], read: AgreementTerms) -> Finding:
    """The same finding, placed in the file as it was written: a clause set aside before it counts there."""
    place = finding.place
    if len(place) < 2 or place[0] != "clauses" or not isinstance(place[1], int):
        return finding
    name = read.clauses[place[1]].id
    written = value.get("clauses")
    spots = [i for i, c in enumerate(written or ()) if isinstance(c, dict) and c.get("id") == name]
    return replace(finding, place=("clauses", spots[0] if spots else place[1], *place[2:]))


def _about_whole(terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    if not terms.bases:
        yield error("no_basis", None, "no legal basis is named: without one nothing may be exchanged", "bases")
    why = why_not_binding(terms.title)
    if why is not None:
        yield warning(
            "title_not_binding", None, f"by its title this is {why}: say what it is, or what it rests on", "title"
        )
    if not any(isinstance(clause, Permit) for clause in terms.clauses):
        yield warning("no_permit", None, "no clause permits anything: this agreement only forbids", "clauses")
    if not terms.territory and any(isinstance(c, Permit) and c.conditions.transfer is None for c in terms.clauses):
        sentence = "`territory` is empty, and empty means nowhere: what has no `transfer` reaches nobody"
        yield error("empty_territory", None, sentence, "territory")
    yield from _about_term(terms)
    yield from _about_treaty(terms, agencies)
    for place, party in enumerate(terms.parties if agencies is not None else ()):
        known = agencies.get(party) if agencies is not None else None
        if known is None:
            sentence = f"party `{party}` has no record in this federation"
            yield error("unknown_party", None, sentence, "parties", place)
        elif terms.territory and known.territory not in terms.territory:
            sentence = f"party `{party}` works in {known.territory}, outside the territory of the agreement"
            yield warning("outside_territory", None, sentence, "parties", place)


def _about_term(terms: AgreementTerms) -> Iterator[Finding]:
    team, lasts = terms.kind is AgreementKind.JOINT_INVESTIGATION_TEAM, terms.end - terms.start
    years = f"from {stamp(terms.start)[:10]} to {stamp(terms.end)[:10]}"
    if team and lasts > _LONGEST_TEAM:
        sentence = f"a joint investigation team is for a fixed, short time; this one lasts {years}: renew it instead"
        yield warning("overlong_term", None, sentence, "end")
    elif lasts > _LONGEST:
        sentence = f"it lasts {years}: over ten years nobody looks at it again; agree on an earlier end"
        yield warning("overlong_term", None, sentence, "end")
    if team and terms.purge_days is None:
        sentence = "a team that ends leaves its data behind: say `purge_days` (28 at most)"
        yield error("no_purge", None, sentence)


def _about_treaty(terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    bases, team = set(terms.bases), AgreementKind.JOINT_INVESTIGATION_TEAM
    if LegalBasis.JIT_FD in bases and terms.kind is not team:
        sentence = f"`jit_fd` carries joint investigation teams, and this is a {terms.kind.replace('_', ' ')}"
        yield error("basis_kind", None, sentence, "bases")
    if terms.kind is team and not bases & {LegalBasis.JIT_FD, LegalBasis.UNTOC_19, *_TREATIES}:
        sentence = "a joint investigation team rests on `untoc_19`, `jit_fd` or a treaty, and none of them is named"
        yield error("basis_kind", None, sentence, "bases")
    if agencies is None:
        return
    states = {agencies[party].territory for party in terms.parties if party in agencies}
    if LegalBasis.BILATERAL_AGREEMENT in bases and len(states) > 2:
        sentence = f"`bilateral_agreement` is a treaty of two, and the parties are of {len(states)} territories"
        yield error("basis_kind", None, sentence, "bases")
    if LegalBasis.MULTILATERAL_AGREEMENT in bases and len(states) < 3:
        sentence = f"`multilateral_agreement` is a treaty of several, and the parties are of {len(states)}"
        yield warning("basis_kind", None, sentence, "bases")
    hubs = [party for party in terms.parties if party in agencies and "hub" in agencies[party].roles]
    if LegalBasis.EUROPOL_REG in bases and not hubs:
        yield error("basis_kind", None, "`europol_reg` carries what goes through a hub, and no party is one", "bases")


_TREATIES = (LegalBasis.BILATERAL_AGREEMENT, LegalBasis.MULTILATERAL_AGREEMENT)


def _about_groups(terms: AgreementTerms, when: datetime) -> Iterator[Finding]:
    used = {
        name.removeprefix("group:") for c in terms.clauses for name in (*c.from_, *c.to) if name.startswith("group:")
    }
    for place, group in enumerate(terms.groups):
        here = ("groups", place)
        if not group.members:
            sentence = f"group {group.id} is empty, and empty means nobody: what names it reaches nobody"
            yield error("group_empty", None, sentence, *here, "members")
        if not group.live(when):
            sentence = f"group {group.id} ended at {stamp(group.until)}: what names it reaches nobody"
            yield error("group_expired", None, sentence, *here, "until")
        elif group.until > terms.end:
            sentence = f"group {group.id} is to last until {stamp(group.until)}, longer than its agreement"
            yield warning("group_overlong", None, sentence, *here, "until")
        if group.id not in used:
            yield warning("group_unused", None, f"no clause names group {group.id}", *here)


def _about_protection(terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    """Person data that crosses a border needs the asylum rule, whoever it might reach from there."""
    if agencies is not None:
        abroad = len({agencies[party].territory for party in terms.parties if party in agencies}) > 1
    else:
        abroad = len(terms.territory) != 1
    personal = any(isinstance(c, Permit) and PERSONAL.intersection(c.cats) for c in terms.clauses)
    if not (abroad and personal):
        return
    rules = [c for c in terms.clauses if isinstance(c, Forbid) and _guards_claims(c)]
    if not rules:
        sentence = (
            "data about persons crosses a border, and no clause keeps claims to protection from everybody: "
            "forbid `data_protection_claim`, with `reach: everyone`"
        )
        yield warning("no_asylum_rule", None, sentence, "clauses")
    elif all(rule.reach is not Reach.EVERYONE for rule in rules):
        sentence = (
            "it keeps claims to protection from the parties alone: say `reach: everyone`, for others may be worse"
        )
        yield warning("asylum_rule_narrow", rules[0].id, sentence, "clauses", terms.clauses.index(rules[0]))


def _guards_claims(clause: Forbid) -> bool:
    listed_ = {ANY, Category.DATA_PROTECTION_CLAIM.value}
    everybody = ANY_PARTY in clause.from_ and ANY_PARTY in clause.to
    everything = all(ANY in codes for codes in (clause.types, clause.purposes, clause.crimes))
    return everybody and everything and bool(listed_.intersection(clause.cats))


def _about_names(place: int, clause: Clause, terms: AgreementTerms, agencies: Agencies | None) -> Iterator[Finding]:
    for member, names in (("from", clause.from_), ("to", clause.to)):
        where = ("clauses", place, member)
        for name in names:
            if name == ANY_PARTY or name.startswith("group:"):
                continue
            if not name.startswith(("role:", "territory:")):
                if name not in terms.parties:
                    sentence = f"`{member}` names `{name}`, which is no party to the agreement"
                    yield error("not_a_party", clause.id, sentence, *where)
            elif agencies is not None and not meant((name,), terms, agencies):
                what = "has that role" if name.startswith("role:") else "works there"
                sentence = f"`{member}` names `{name}`, but no party {what}"
                yield error("role_of_nobody", clause.id, sentence, *where)
    if isinstance(clause, Permit) and agencies is not None and clause.from_ and clause.to:
        senders, receivers = meant(clause.from_, terms, agencies), meant(clause.to, terms, agencies)
        if senders == receivers and len(senders) == 1:
            sentence = f"only `{next(iter(senders))}` is named on both sides, and nobody tells itself anything"
            yield error("only_itself", clause.id, sentence, "clauses", place, "to")


def _about_lists(place: int, clause: Clause) -> Iterator[Finding]:
    lists = {"from": clause.from_, "to": clause.to, "types": clause.types, "purposes": clause.purposes}
    lists |= {"crimes": clause.crimes}
    if isinstance(clause, Permit):
        lists |= {"conditions.urgency": clause.conditions.urgency}
    else:
        lists |= {"cats": clause.cats}
    for member, codes in lists.items():
        if not codes:
            sentence = f"`{member}` is empty, and empty means nobody and nothing: the clause never matches"
            yield error("empty_list", clause.id, sentence, "clauses", place, *member.split("."))
