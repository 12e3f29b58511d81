"""The floor: clauses that count under every agreement, and that none can sign away (AGR-64 to AGR-67).

They are constant data in the language of agreements, published as ``spec/floor.json``; nobody signs them and
nobody can suspend them. Its forbids count whatever is named, and whoever it is told. Its one permit comes before
every forbid: that something speaks for an accused can always be said, by a message that carries nothing else.

``python -m exchange.protocol.floor`` writes the published form to standard output; a test holds the file against it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from exchange.protocol.terms import ANY, ANY_PARTY, RESERVED, Clause, Forbid, Group, Permit
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CrimeArea,
    MessageType,
    Onward,
    Purpose,
    Role,
    TransferBasis,
    Urgency,
)
from keys.encoding import digest


class FloorTerms(BaseModel):
    """What the floor says."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    v: Literal["ix/1"]
    typ: Literal["floor"]
    id: Literal["floor"]
    version: int
    title: str
    clauses: tuple[Annotated[Clause, Field(discriminator="effect")], ...]

    @property
    def territory(self) -> tuple[str, ...]:
        """Nowhere: its permit goes anywhere on a basis of its own."""
        return ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """None."""
        return ()

    @property
    def purge_days(self) -> int | None:
        """It never ends."""
        return None


@dataclass(frozen=True, slots=True)
class Floor:
    """The floor under the digest by which explanations name it."""

    digest: str
    terms: FloorTerms

    @property
    def forbids(self) -> tuple[Forbid, ...]:
        """What no agreement can permit."""
        return tuple(clause for clause in self.terms.clauses if isinstance(clause, Forbid))

    @property
    def permits(self) -> tuple[Permit, ...]:
        """What no agreement can forbid."""
        return tuple(clause for clause in self.terms.clauses if isinstance(clause, Permit))


_NGO: Final = f"role:{Role.NGO}"


def _forbid(id_: str, title: str, **lists: list[Any]) -> dict[str, Any]:
    everybody = {"from": [ANY_PARTY], "to": [ANY_PARTY]}
    everything = {member: [ANY] for member in ("types", "purposes", "crimes", "cats")}
    said = {member.rstrip("_"): [str(name) for name in names] for member, names in lists.items()}
    return {"id": id_, "effect": "forbid", "title": title, **everybody, **everything, **said}


_EXCULPATORY: Final = {
    "id": "floor-exculp",
    "effect": "permit",
    "title": "That something speaks for an accused may always be said, if nothing else is said with it",
    "from": [ANY_PARTY],
    "to": [ANY_PARTY],
    "types": [MessageType.EXCULPATORY_NOTICE.value],
    "purposes": [code.value for code in Purpose],
    "crimes": [code.value for code in CrimeArea],
    "cats": [],
    "class_max": Classification.SECRET.value,
    "conditions": {
        "handling_required": [],
        "urgency": [code.value for code in Urgency],
        "transfer": TransferBasis.DEROGATION.value,
        "onward": Onward.WITHIN_PARTIES.value,
        "evidence": True,
        "human_release": False,
    },
}
_CLAUSES: Final[list[dict[str, Any]]] = [
    _EXCULPATORY,
    _forbid(
        "floor-query",
        "An organisation that supports victims refers and receives; it does not query",
        from_=[_NGO],
        types=[MessageType.INFO_REQUEST, MessageType.CLARIFICATION_REQUEST],
    ),
    _forbid(
        "floor-ngo",
        "An organisation that supports victims learns nothing about suspects or sources",
        to=[_NGO],
        cats=[
            Category.PERSON_SUSPECT, Category.PERSON_POTENTIAL_OFFENDER, Category.PERSON_INFORMANT,
            Category.DATA_CRIMINAL_CONDUCT,
        ],
    ),
    _forbid(
        "floor-victim",
        "What is known of victims and of claims to protection is never used against them",
        purposes=[
            Purpose.IMMIGRATION_ENFORCEMENT, Purpose.ASYLUM_ASSESSMENT, Purpose.BORDER_CHECK, Purpose.EXECUTE_PENALTY,
            Purpose.ASSET_TRACING,
        ],
        cats=[
            Category.PERSON_VICTIM, Category.DATA_VICTIMISATION, Category.DATA_SEALED_IDENTITY,
            Category.DATA_PROTECTION_CLAIM,
        ],
    ),
    _forbid(
        "floor-source",
        "An informant never becomes evidence",
        types=[MessageType.EVIDENCE_TRANSFER],
        cats=[Category.PERSON_INFORMANT],
    ),
]  # fmt: skip


def write_floor() -> str:
    """The floor as it is published; its digest is over these bytes (AGR-64)."""
    said = {
        "v": "ix/1",
        "typ": "floor",
        "id": RESERVED,
        "version": 1,
        "title": "What no agreement can sign away",
        "clauses": _CLAUSES,
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


FLOOR: Final = Floor(digest(write_floor().encode()), FloorTerms.model_validate_json(write_floor()))

if __name__ == "__main__":
    sys.stdout.write(write_floor())
