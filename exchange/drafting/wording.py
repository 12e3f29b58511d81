"""Wording: clauses and obligations said in a few sentences, for people who do not read JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from exchange.protocol.obligations import Obligations
from exchange.protocol.terms import ANY, ANY_PARTY, AgreementTerms, Clause, Conditions, Forbid, Reach
from exchange.protocol.vocabulary import Category, Classification, Onward, TransferBasis
from keys.encoding import stamp

ONWARD: Final = {
    Onward.NONE: "never passes it on",
    Onward.BY_CONSENT: "passes it on only by consent",
    Onward.BY_FIELD: "passes on only those fields that a consent names",
    Onward.WITHIN_PARTIES: "may pass it on among the parties",
}
_WORDS: Final = {
    "smug_a_routes": "routes and means of transport",
    "smug_b_groups": "groups and how they work",
    "smug_c_documents": "travel documents",
    "smug_d_concealment": "ways of concealment",
    "smug_e_legislative": "laws and practice",
    "smug_f_technical": "technique",
    "traf_a_status": "who is victim and who perpetrator",
    "traf_b_documents": "documents that traffickers use",
    "traf_c_methods": "methods of traffickers",
    "person_suspect": "suspects",
    "person_potential_offender": "potential offenders",
    "person_witness": "witnesses",
    "person_victim": "victims",
    "person_contact": "contacts of suspects",
    "person_associate": "associates of suspects",
    "person_informant": "informants",
    "person_missing": "missing persons",
    "person_unknown": "persons of unknown standing",
    "data_minor": "minors",
    "data_financial": "accounts and payments",
    "data_communications": "telephones and devices",
    "data_transport": "vehicles and vessels",
    "data_identification": "identity documents",
    "data_criminal_conduct": "criminal conduct",
    "data_special_category": "special categories of data",
    "data_victimisation": "what was done to victims",
    "data_sealed_identity": "sealed identities",
    "data_protection_claim": "claims to protection",
    "data_attachment": "files",
    "u_direct": "eight hours",
    "u_indirect": "three days",
    "normal": "a week",
}
"""Codes that say little by themselves, as people would say them; the others are words already."""
_TRANSFER: Final = {
    TransferBasis.ADEQUACY: "the level of protection there was found adequate",
    TransferBasis.SAFEGUARDS: "there are appropriate safeguards for it",
    TransferBasis.DEROGATION: "this once a derogation allows it",
}


def in_words(clause: Clause) -> str:
    """One clause in a few sentences."""
    scope = f"As {said(clause.types)}; for {said(clause.purposes)}; about {said(clause.crimes)}."
    if isinstance(clause, Forbid):
        what = "anything at all" if ANY in clause.cats else f"anything that tells of {said(clause.cats, 'or')}"
        outside = " Not even under another agreement, nor to anybody who is no party to this one."
        whom = f"{names(clause.from_)} may not tell {names(clause.to)} {what}. {scope}"
        return whom + (outside if clause.reach is Reach.EVERYONE else "")
    what = f"what tells of nothing but {said(clause.cats)}" if clause.cats else "what carries no listed category"
    ties = clause.conditions
    marked = f"; only if marked {' and '.join(ties.handling_required)}" if ties.handling_required else ""
    limits = f"Deadline {said(ties.urgency, 'or')}; classified {clause.class_max} at most{marked}."
    return f"{names(clause.from_)} may tell {names(clause.to)} {what}. {scope} {limits}{_asked(ties)} {_tied(ties)}"


def _asked(ties: Conditions) -> str:
    """The conditions that a clause need not have."""
    text = ""
    if ties.copy_to is not None:
        lifted = f", unless exempt for {said(ties.copy_exempt, 'or')}" if ties.copy_exempt else ""
        text += f" {ties.copy_to} must get a copy{lifted}."
    if ties.transfer is not None:
        text += f" Also to whom works outside the territory: {_TRANSFER[ties.transfer]}."
    return text


def _tied(ties: Conditions) -> str:
    kept = f"keeps it {days(ties.retention_days)} at most" if ties.retention_days else "may keep it without limit"
    if ties.review_days:
        kept += f", reviews after {days(ties.review_days)} whether it is still needed"
    court = "may use it as evidence" if ties.evidence else "may not use it as evidence"
    text = f"Who receives it {kept}, {ONWARD[ties.onward]}, and {court}."
    if ties.human_release:
        text += " A release officer of the sender decides."
    if ties.second_approver is not None:
        text += f" From {ties.second_approver} upward two release officers must agree."
    if ties.readers is not None:
        clearance = ties.readers.clearance
        text += _readers(clearance and clearance.value, ties.readers.training, ties.readers.roles)
    return text


def _readers(clearance: str | None, training: Iterable[str], roles: Iterable[str] | None) -> str:
    who = [f"cleared for {clearance}"] if clearance else []
    who += [f"with training in {said(training)} that is in date"] if list(training) else []
    who += [f"who are {said(roles, 'or')}"] if roles is not None else []
    return f" There it is opened only by officers {', '.join(who)}." if who else ""


def strings(ties: Obligations) -> list[str]:
    """What a disclosure ties its recipient and its sender to, each in one sentence."""
    lines = [f"the recipient {ONWARD[Onward(ties.onward)]}"]
    lines.append("it may be used as evidence" if ties.evidence else "it may not be used as evidence")
    kept = f"it is erased after {days(ties.retention_days)}" if ties.retention_days else "it may be kept without limit"
    lines.append(kept)
    if ties.review_days is not None:
        lines.append(f"after {days(ties.review_days)} the recipient reviews whether it is still needed")
    if ties.purge_days is not None:
        lines.append(f"when the agreement ends it is erased within {days(ties.purge_days)}")
    if ties.second_approver:
        lines.append("two release officers of the sender must agree")
    elif ties.human_release:
        lines.append("a release officer of the sender must decide")
    if ties.readers is not None:
        lines.append(_readers(ties.readers.clearance, ties.readers.training, ties.readers.roles).strip(" .").lower())
    return lines


def more_strings(ties: Conditions, levels: Iterable[str], cats: Iterable[str]) -> list[str]:
    """What ties only some of the messages that a clause permits: those of a level, or of a category (AGR-53)."""
    lines, reached = list[str](), {Classification(level).rank for level in levels}
    second = ties.second_approver
    if second is not None and reached and min(reached) < second.rank <= max(reached):
        lines.append(f"from {second} upward two release officers of the sender must agree")
    if Category.DATA_SPECIAL_CATEGORY in cats:
        lines.append("with special categories of data two release officers of the sender must agree")
    return lines


def whole_in_words(terms: AgreementTerms) -> list[str]:
    """What an agreement says beside its clauses: where and when, its groups, and what happens when it ends."""
    where = said(terms.territory) if terms.territory else "nowhere"
    lines = [f"it covers {where}, from {stamp(terms.start)} to {stamp(terms.end)}"]
    for group in terms.groups:
        whom = said(group.members) if group.members else "nobody"
        lines.append(f"group {group.id} is {whom}, for {said(group.purposes)}, until {stamp(group.until)}")
    if terms.purge_days is not None:
        lines.append(f"what was received under it is erased {days(terms.purge_days)} after it ends")
    return lines


def days(count: int | None) -> str:
    """A number of days with its noun."""
    return "1 day" if count == 1 else f"{count} days"


def names(parties: tuple[str, ...]) -> str:
    """Who a clause names."""
    return " or ".join(_name(party) for party in parties) or "nobody"


def _name(party: str) -> str:
    if party == ANY_PARTY:
        return "any party"
    if party.startswith("group:"):
        return f"anybody in group {party.removeprefix('group:')}"
    if party.startswith("territory:"):
        return f"any party in {party.removeprefix('territory:')}"
    if party.startswith("role:"):
        role = party.removeprefix("role:")
        return f"any {role.upper() if role in {'fiu', 'ngo'} else role.replace('_', ' ')}"
    return party


def said(codes: Iterable[str], joint: str = "and") -> str:
    """Codes as words in a list."""
    words = ["anything" if code == ANY else _WORDS.get(code, str(code).replace("_", " ")) for code in codes]
    return f" {joint} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "nothing"


def listed(codes: Iterable[str]) -> str:
    """Codes as codes, to be found again in a file."""
    return ", ".join(f"`{code}`" for code in codes)
