"""Legal bases: which instrument carries which exchange, and what is no instrument at all (DRF-10 to DRF-13).

The table is a reading aid for drafters, written from public texts and simplified; it changes no decision. A basis
*carries* a disclosure when purpose, crime area, every category and a role of the recipient are all in its row. Names
of processes, declarations and plans are recognised, because drafters do cite them, and they bind nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from exchange.protocol.vocabulary import Category, CrimeArea, LegalBasis, Purpose, Role

_C, _P, _R, _A = Category, Purpose, Role, CrimeArea

_SMUGGLING: Final = frozenset(c for c in _C if c.startswith("smug_"))
_TRAFFICKING: Final = frozenset(c for c in _C if c.startswith("traf_"))
_OFFENDERS: Final = frozenset(
    {_C.PERSON_SUSPECT, _C.PERSON_POTENTIAL_OFFENDER, _C.PERSON_ASSOCIATE, _C.PERSON_CONTACT, _C.PERSON_UNKNOWN}
)
_TRACES: Final = frozenset(
    {_C.DATA_COMMUNICATIONS, _C.DATA_TRANSPORT, _C.DATA_IDENTIFICATION, _C.DATA_CRIMINAL_CONDUCT, _C.DATA_ATTACHMENT}
)
VICTIMS: Final = frozenset({_C.PERSON_VICTIM, _C.DATA_VICTIMISATION, _C.DATA_SEALED_IDENTITY})
"""What tells of a victim (the floor guards these)."""
_ALL_CATS: Final = frozenset(_C)
_POLICING: Final = _ALL_CATS - {_C.DATA_PROTECTION_CLAIM}
_ENFORCING: Final = frozenset({_R.POLICE, _R.BORDER_GUARD, _R.FIU, _R.PROSECUTOR, _R.HUB, _R.OVERSIGHT})
_CASES: Final = frozenset({_P.DETECT, _P.INVESTIGATE, _P.PROSECUTE, _P.TRAINING_EXERCISE})
_ANALYSIS: Final = frozenset({_P.CROSS_CHECK, _P.STRATEGIC_ANALYSIS, _P.OPERATIONAL_ANALYSIS})
_TREATY: Final = frozenset(_P) - {_P.IMMIGRATION_ENFORCEMENT, _P.ASYLUM_ASSESSMENT}
_DANGER: Final = frozenset({_P.PREVENT, _P.LOCATE_PERSON, _P.MISSING_PERSON, _P.VICTIM_PROTECTION})


@dataclass(frozen=True, slots=True)
class Basis:
    """One row: what an instrument carries, and to whom. ``says`` is what its text is about, in few words."""

    says: str
    purposes: frozenset[Purpose]
    crimes: frozenset[CrimeArea]
    cats: frozenset[Category]
    recipients: frozenset[Role]

    def carries(self, purpose: str, crime: str, cats: Collection[str], roles: Collection[str]) -> bool:
        """Whether this may be told for that to somebody of these roles."""
        return (
            purpose in self.purposes
            and crime in self.crimes
            and self.cats.issuperset(cats)
            and bool(self.recipients & set(roles))
        )


TABLE: Final[dict[str, Basis]] = {
    LegalBasis.UNTOC_18: Basis(
        "mutual legal assistance between those who investigate and prosecute",
        frozenset({_P.INVESTIGATE, _P.PROSECUTE, _P.ASSET_TRACING}),
        frozenset(_A),
        _POLICING,
        frozenset({_R.POLICE, _R.PROSECUTOR, _R.FIU}),
    ),
    LegalBasis.UNTOC_19: Basis(
        "joint investigations",
        frozenset({_P.INVESTIGATE, _P.PROSECUTE, _P.ASSET_TRACING, _P.OPERATIONAL_ANALYSIS}),
        frozenset(_A),
        _POLICING,
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.PROSECUTOR, _R.FIU}),
    ),
    LegalBasis.UNTOC_27: Basis(
        "cooperation of law enforcement: channels, inquiries about persons and proceeds, methods",
        _CASES | _ANALYSIS | {_P.PREVENT, _P.LOCATE_PERSON, _P.ASSET_TRACING},
        frozenset(_A),
        _POLICING - VICTIMS,
        _ENFORCING,
    ),
    LegalBasis.SMUGGLING_PROT_10: Basis(
        "information about the smuggling of migrants: routes, groups, documents, concealment, law and technique",
        frozenset({_P.PREVENT, _P.DETECT, _P.INVESTIGATE, _P.BORDER_CHECK, _P.TRAINING_EXERCISE}) | _ANALYSIS,
        frozenset({_A.IMMIGRANT_SMUGGLING, _A.ORGANISED_CRIME, _A.FORGED_DOCUMENTS}),
        _SMUGGLING | _OFFENDERS | _TRACES,
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.HUB}),
    ),
    LegalBasis.TRAFFICKING_PROT_10: Basis(
        "information about trafficking: who is perpetrator and who victim, documents, methods; care for victims",
        frozenset({_P.PREVENT, _P.DETECT, _P.INVESTIGATE, _P.BORDER_CHECK, _P.VICTIM_PROTECTION})
        | {_P.STRATEGIC_ANALYSIS, _P.TRAINING_EXERCISE},
        frozenset({_A.HUMAN_TRAFFICKING, _A.SEXUAL_EXPLOITATION, _A.ORGANISED_CRIME, _A.FORGED_DOCUMENTS})
        | {_A.IMMIGRANT_SMUGGLING},
        _TRAFFICKING
        | _OFFENDERS
        | _TRACES
        | VICTIMS
        | {_C.DATA_MINOR, _C.DATA_SPECIAL_CATEGORY, _C.SMUG_E_LEGISLATIVE, _C.PERSON_MISSING},
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.HUB, _R.NGO, _R.PROSECUTOR}),
    ),
    LegalBasis.BILATERAL_AGREEMENT: Basis(
        "a treaty of two states, as far as it goes", _TREATY, frozenset(_A), _ALL_CATS, frozenset(_R)
    ),
    LegalBasis.MULTILATERAL_AGREEMENT: Basis(
        "a treaty of several states, as far as it goes", _TREATY, frozenset(_A), _ALL_CATS, frozenset(_R)
    ),
    LegalBasis.EU_2023_977: Basis(
        "questions and answers between law enforcement authorities of member states, through contact points",
        frozenset({_P.PREVENT, _P.DETECT, _P.INVESTIGATE}),
        frozenset(_A),
        _POLICING - VICTIMS | {_C.PERSON_VICTIM},
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.HUB}),
    ),
    LegalBasis.EUROPOL_REG: Basis(
        "what a hub compares, analyses and passes back",
        _ANALYSIS | {_P.PREVENT, _P.DETECT, _P.INVESTIGATE},
        frozenset(_A),
        _POLICING,
        frozenset({_R.HUB, _R.POLICE}),
    ),
    LegalBasis.PRUM2: Basis(
        "automated comparison, and what follows a match",
        frozenset({_P.PREVENT, _P.DETECT, _P.INVESTIGATE, _P.MISSING_PERSON}),
        frozenset(_A),
        _OFFENDERS | {_C.PERSON_MISSING, _C.DATA_IDENTIFICATION, _C.DATA_TRANSPORT},
        frozenset({_R.POLICE}),
    ),
    LegalBasis.JIT_FD: Basis(
        "a joint investigation team: for a fixed time and a fixed purpose, between its members",
        frozenset({_P.INVESTIGATE, _P.PROSECUTE, _P.OPERATIONAL_ANALYSIS}),
        frozenset(_A),
        _POLICING,
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.PROSECUTOR}),
    ),
    LegalBasis.LED_DOMESTIC: Basis(
        "national law on the processing of data by authorities competent for criminal matters",
        _CASES | {_P.PREVENT, _P.EXECUTE_PENALTY},
        frozenset(_A),
        _POLICING,
        frozenset({_R.POLICE, _R.BORDER_GUARD, _R.FIU, _R.PROSECUTOR, _R.OVERSIGHT}),
    ),
    LegalBasis.NATIONAL_LAW: Basis(
        "other national law: within one territory, as far as it goes", _TREATY, frozenset(_A), _ALL_CATS, frozenset(_R)
    ),
    LegalBasis.EMERGENCY_IMMINENT_DANGER: Basis(
        "imminent danger to life: the single case, not a standing exchange",
        _DANGER,
        frozenset(_A),
        _ALL_CATS,
        frozenset(_R),
    ),
}
"""One row for each legal basis of the vocabulary (`spec/drafting.md`)."""

_NOT_BINDING: Final = (
    ("process", "a consultative process, in which states talk; it binds nobody"),
    ("dialogue", "a dialogue, in which states talk; it binds nobody"),
    ("forum", "a forum, in which states talk; it binds nobody"),
    ("declaration", "a declaration of what its authors intend; it gives nobody a duty or a power"),
    ("communique", "a communiqué, which reports a meeting; it gives nobody a power"),
    ("statement", "a statement of what its authors intend; it gives nobody a power"),
    ("action plan", "an action plan, which says what is intended; it gives nobody a power to disclose"),
    ("roadmap", "a road map, which says what is intended; it gives nobody a power to disclose"),
    ("strategy", "a strategy, which says what is intended; it gives nobody a power to disclose"),
    ("initiative", "an initiative, not an instrument"),
    ("partnership", "a partnership, not an instrument"),
    ("compact", "a compact that calls itself cooperative and not binding"),
    ("memorandum", "a memorandum of understanding, which says what its authors expect and binds as little as it says"),
    ("mou", "a memorandum of understanding, which says what its authors expect and binds as little as it says"),
    ("letter of intent", "a letter of intent; it binds nobody"),
    ("guidelines", "guidelines, which advise"),
    ("principles", "principles, which advise"),
    ("recommendation", "a recommendation, which advises"),
    ("resolution", "a resolution, which recommends"),
    ("working group", "a working group, whose members can bind nobody"),
    ("conference", "a conference, whose conclusions bind nobody"),
    ("non binding", "by its own words not binding"),
    ("not binding", "by its own words not binding"),
)


def why_not_binding(name: str) -> str | None:
    """What kind of thing a name names that is no legal basis, as a clause of a sentence; None if it may be one."""
    words = f" {re.sub(r'[^a-z0-9]+', ' ', name.lower().replace('é', 'e')).strip()} "
    return next((why for word, why in _NOT_BINDING if f" {word} " in words or f" {word}s " in words), None)
