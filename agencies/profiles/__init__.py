"""The simulated agencies and their agreements, as data: adding one needs a file here and no code.

``<agency>.yaml`` plans an agency: id, name, roles, territory, ceiling and officers, who have role titles and
never names. ``agreements/<name>.yaml`` holds the terms of an agreement between them, without ``fed``;
``offences/<agency>.yaml`` says how an agency reads codes of other laws. All of it is invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

OFFICER_ROLES = frozenset({"officer", "release_officer", "auditor", "protection_officer"})
RIGHTS = ("clearance", "training", "cases")


@dataclass(frozen=True, slots=True)
class PlannedOfficer:
    """A post at an agency: ``display`` is a role title, never a person's name.

    ``rights`` says what its holder may be shown: any of ``clearance``, ``training`` and ``cases``, as a node's profile
    has them.
    """

    id: str
    display: str
    roles: tuple[str, ...]
    rights: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """An agency as its enrolment and its node need it."""

    id: str
    name: str
    roles: tuple[str, ...]
    territory: str
    ceiling: str
    officers: tuple[PlannedOfficer, ...]


def load_plans() -> tuple[Plan, ...]:
    """Every simulated agency, in order of their ids."""
    plans = [_plan(value) for _, value in sorted(_read_all(""))]
    return tuple(sorted(plans, key=lambda plan: plan.id))


def load_terms() -> dict[str, dict[str, Any]]:
    """The terms of every agreement of the simulation, by file name; ``write_terms`` makes them ready to sign."""
    return dict(sorted(_read_all("agreements")))


def load_offences() -> dict[str, dict[str, Any]]:
    """What those agencies that have a table of offences make of the codes of other laws, by agency; as data."""
    return dict(sorted(_read_all("offences")))


def _read_all(folder: str) -> list[tuple[str, Any]]:
    place = files(__package__).joinpath(folder) if folder else files(__package__)
    found = [item for item in place.iterdir() if item.name.endswith(".yaml")]
    return [(item.name.removesuffix(".yaml"), yaml.safe_load(item.read_text(encoding="utf-8"))) for item in found]


def _plan(value: dict[str, Any]) -> Plan:
    officers = tuple(
        PlannedOfficer(o["id"], o["display"], tuple(o["roles"]), {name: o[name] for name in RIGHTS if name in o})
        for o in value["officers"]
    )
    return Plan(value["id"], value["name"], tuple(value["roles"]), value["territory"], value["ceiling"], officers)
