"""Cases made from public data that nobody in this project wrote, where that data is at hand.

Two sources: the field names and pick-lists of the Human Trafficking Case Data Standard (IOM, CC BY 4.0;
IOM endorses nothing here), and an investigation of CASE-Examples (Apache-2.0). Standards give the shape;
every value about a person is invented. The folder is named by ``IX_PUBLIC_DATA``, or is ``../shared/data``
beside this checkout; each file is checked against the SHA-256 in its ``MANIFEST.csv`` before it is read.

Where the data is missing or altered, the project's own sample is used, and the sentence that comes with
every case says so.
"""

from __future__ import annotations

import csv
import hashlib
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from exchange.protocol.case_vocabulary import ControlMethod, Exploitation
from exchange.protocol.content import attach
from keys.encoding import read_json, write_json

SAMPLES: Final = Path(__file__).parent / "samples"
BESIDE: Final = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
HTCDS: Final = "UNMigration/HTCDS"
FORM: Final = "Toolkit/Survey/htcds_xlsform.xml"
DEFINITIONS: Final = "Field Definitions.md"
CASE_EXAMPLES: Final = "casework/CASE-Examples"
INVESTIGATION: Final = "examples/illustrations/network_connection/network_connection.json"
"""A theft of media seen in network traffic; other investigations there tell violent stories."""

Case = tuple[dict[str, Any], str]
"""A content as JSON, and a sentence that says where it comes from."""


class PublicDataUnfit(Exception):
    """Public data that is not there, or not what its manifest says; the sentence is for people."""


def public_data() -> Path | None:
    """The folder of public data, if there is one."""
    folder = Path(os.environ.get("IX_PUBLIC_DATA") or BESIDE)
    return folder if (folder / "MANIFEST.csv").is_file() else None


def case_from_htcds(folder: Path | None = None, *, seed: int = 1) -> Case:
    """A victim referral with the fields and pick-lists of HTCDS; ``seed`` chooses among them."""
    try:
        standard = read_standard(folder)
    except PublicDataUnfit as unfit:
        return _own("victim_referral", unfit)
    record = invent_record(standard, random.Random(seed))
    return _referral(standard, record), (
        "a case shaped by the field names and pick-lists of the Human Trafficking Case Data Standard 2.0 "
        "(IOM, CC BY 4.0, no endorsement); every value about a person is invented"
    )


def case_from_case_examples(folder: Path | None = None) -> Case:
    """An evidence transfer that carries an investigation of CASE-Examples as its attachment."""
    case = _sample("evidence_transfer")
    try:
        attachment, said = attachment_from_case_examples(folder)
    except PublicDataUnfit as unfit:
        return _own("evidence_transfer", unfit)
    text = "An investigation in CASE/UCO JSON-LD, published as an illustration, handed over as it is."
    case["case"]["title"] = "Network traffic of a media theft"
    case["narrative"] = [{"assertion": "fact", "evaluation": "A1", "lang": "en", "text": text}]
    del case["entities"], case["relationships"]
    return {**case, "attachments": [attachment]}, said


def attachment_from_case_examples(folder: Path | None = None) -> Case:
    """The attachment alone; raises ``PublicDataUnfit`` where there is no such data."""
    data = read_checked(folder, CASE_EXAMPLES, INVESTIGATION)
    sentence = f"`{Path(INVESTIGATION).name}` of CASE-Examples (Apache-2.0), unchanged, SHA-256 as in its manifest"
    return dict(attach(Path(INVESTIGATION).name, "application/ld+json", data)), sentence


def _own(name: str, unfit: PublicDataUnfit) -> Case:
    return _sample(name), f"a synthetic case of this project, because {unfit}"


def _sample(name: str) -> dict[str, Any]:
    return dict(read_json((SAMPLES / f"{name}.json").read_bytes(), limit=256 * 1024))


def read_checked(folder: Path | None, repository: str, path: str) -> bytes:
    """A file of the public data, if it is the one its manifest lists."""
    folder = folder or public_data()
    if folder is None:
        raise PublicDataUnfit("there is no folder of public data here (name it in IX_PUBLIC_DATA)")
    try:
        with (folder / "MANIFEST.csv").open(encoding="utf-8", newline="") as manifest:
            listed = {(row["repo"], row["path"]): row["sha256"] for row in csv.DictReader(manifest)}
        data = (folder / repository.replace("/", "+") / path).read_bytes()
    except (OSError, KeyError, csv.Error, UnicodeDecodeError):
        raise PublicDataUnfit(f"`{path}` of {repository} cannot be read") from None
    if listed.get((repository, path)) != hashlib.sha256(data).hexdigest():
        raise PublicDataUnfit(f"`{path}` of {repository} is not the file its manifest lists")
    return data


# --- HTCDS ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standard:
    """What HTCDS says of its fields: labels, pick-lists (value to label) and definitions, by field name."""

    labels: dict[str, str]
    choices: dict[str, dict[str, str]]
    definitions: dict[str, str]


def read_standard(folder: Path | None = None) -> Standard:
    """Read the survey form and the field definitions as published."""
    form = read_checked(folder, HTCDS, FORM)
    definitions = read_checked(folder, HTCDS, DEFINITIONS).decode("utf-8")
    try:
        root = ET.fromstring(form)  # noqa: S314  # its SHA-256 has just been checked
    except ET.ParseError:
        raise PublicDataUnfit("the survey form of HTCDS is not XML") from None
    labels, choices = _fields(root)
    return Standard(labels, choices, dict(_definitions(definitions)))


_NS: Final = "{http://www.w3.org/2002/xforms}"


def _fields(root: ET.Element) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    labels: dict[str, str] = {}
    choices: dict[str, dict[str, str]] = {}
    for control in root.iter():
        if control.tag.removeprefix(_NS) not in {"input", "select", "select1"}:
            continue
        field = control.attrib["ref"].removeprefix("/data/")
        labels[field] = control.findtext(f"{_NS}label", "")
        items = {i.findtext(f"{_NS}value", ""): i.findtext(f"{_NS}label", "") for i in control.findall(f"{_NS}item")}
        if items:
            choices[field] = items
    return labels, choices


def _definitions(text: str) -> list[tuple[str, str]]:
    rows = re.findall(r"^\| *([A-Z][A-Za-z_]+) *\| *(.+?) *\|? *$", text, flags=re.MULTILINE)
    return [(name, definition.split(". ")[0].rstrip(".") + ".") for name, definition in rows]


METHODS: Final = {
    "DebtBondage": ControlMethod.DEBT,
    "TakesEarnings": ControlMethod.EARNINGS_TAKEN,
    "RestrictsFinancialAccess": ControlMethod.EARNINGS_TAKEN,
    "FalsePromises": ControlMethod.FALSE_PROMISES,
    "RestrictsMedicalCare": ControlMethod.CARE_RESTRICTED,
    "WithholdsNecessities": ControlMethod.NECESSITIES_WITHHELD,
    "WithholdsDocuments": ControlMethod.DOCUMENTS_WITHHELD,
    "ExcessiveWorkingHours": ControlMethod.WORKING_HOURS,
    "ThreatsLawEnforcement": ControlMethod.THREAT_OF_AUTHORITIES,
    "ThreatensChildrenFamily": ControlMethod.USE_OF_CHILDREN,
    "PhysicalThreats": ControlMethod.THREATS,
    "PsychologicalAbuse": ControlMethod.PSYCHOLOGICAL_ABUSE,
    "PhysicalAbuse": ControlMethod.PHYSICAL_ABUSE,
    "SexualAbuse": ControlMethod.SEXUAL_ABUSE,
    "PsychoactiveSubstance": ControlMethod.SUBSTANCES,
    "Other": ControlMethod.OTHER,
}
"""HTCDS's methods of control in our terms; every value of its pick-list has one."""
EXPLOITATION: Final = {
    "ForcedLabour": Exploitation.LABOUR,
    "ChildLabour": Exploitation.LABOUR,
    "SexualExploitation": Exploitation.SEXUAL,
    "ForcedMarriage": Exploitation.FORCED_MARRIAGE,
    "Servitude": Exploitation.SERVITUDE,
    "OrganRemoval": Exploitation.ORGAN_REMOVAL,
    "ForcedBegging": Exploitation.FORCED_BEGGING,
}
"""HTCDS's types of exploitation in our terms; all others are ``other``."""
_SHOWN: Final = ("DebtBondage", "TakesEarnings", "FalsePromises", "WithholdsDocuments", "ExcessiveWorkingHours")
"""What the exercise's victim met: nothing that would be hard to read in a training room."""
_FREE_TEXT: Final = {
    "vic_LocationOfRecruitment": "Lowmarket (invented), XQ",
    "vic_LocationOfExploitation": "Millbrook (invented), XS",
    "cas_ReferringOrganisation": "south.police.sim",
    "cas_IncomingReferralDate": "2026-11-20",
    "cas_ReasonForIncomingReferral": "Found in a packing hall and asked for help.",
}


def invent_record(standard: Standard, chance: random.Random) -> dict[str, Any]:
    """An invented HTCDS record: pick-lists decide what may stand in it; who it is about stays out."""

    def pick(field: str, among: tuple[str, ...] = ()) -> str:
        return chance.choice([value for value in standard.choices[field] if not among or value in among])

    record: dict[str, Any] = {
        "con_Consent": pick("con_Consent", ("TRUE",)),
        "prs_Gender": pick("prs_Gender"),
        "vic_MethodOfRecruitment": [pick("vic_MethodOfRecruitment")],
        "vic_TraffickingStatus": pick("vic_TraffickingStatus", ("PossibleVictimOfTrafficking",)),
        "vic_TraffickingStatusDecisionMakingOrg": pick("vic_TraffickingStatusDecisionMakingOrg", ("Police",)),
        "vic_Methods_of_Control": sorted(chance.sample(_SHOWN, 3)),
        "vic_TypeOfExploitation": [pick("vic_TypeOfExploitation", ("ForcedLabour",))],
        "vic_ForcedLabourIndustry": [pick("vic_ForcedLabourIndustry")],
        "cas_Status": pick("cas_Status", ("Active",)),
    }
    unknown = set(record["vic_Methods_of_Control"]) - set(standard.choices["vic_Methods_of_Control"])
    if unknown:
        raise PublicDataUnfit("the pick-lists of HTCDS are not those this exercise was written for")
    record |= {field: value for field, value in _FREE_TEXT.items() if field in standard.labels}
    return {field: record[field] for field in standard.labels if field in record}


def _referral(standard: Standard, record: dict[str, Any]) -> dict[str, Any]:
    case = _sample("victim_referral")
    victim = next(entity for entity in case["entities"] if entity["kind"] == "person")
    victim.pop("special", None)
    methods = {str(METHODS.get(value, ControlMethod.OTHER)) for value in record["vic_Methods_of_Control"]}
    kinds = {str(EXPLOITATION.get(value, Exploitation.OTHER)) for value in record["vic_TypeOfExploitation"]}
    victim["victimisation"] = {"exploitation": sorted(kinds), "methods": sorted(methods)}
    industry = standard.choices["vic_ForcedLabourIndustry"][record["vic_ForcedLabourIndustry"][0]]
    recruitment = standard.choices["vic_MethodOfRecruitment"][record["vic_MethodOfRecruitment"][0]]
    text = (
        f"A possible victim of trafficking. Recruited: {recruitment.lower()}. Industry: {industry.lower()}. "
        "The attached record keeps the field names of the standard it follows."
    )
    case["narrative"] = [
        {"assertion": "fact", "evaluation": "A2", "lang": "en", "text": text, "about": ["traf_c_methods"]}
    ]
    case["attachments"] = [attach("file-1.json", "application/json", write_json(_attached(standard, record)))]
    return case


def _attached(standard: Standard, record: dict[str, Any]) -> dict[str, Any]:
    methods = {
        value: standard.definitions[f"MethodsOfControl{value}"]
        for value in record["vic_Methods_of_Control"]
        if f"MethodsOfControl{value}" in standard.definitions
    }
    return {
        "notice": "SIMULATION. Every value is invented. Field names, pick-lists and definitions: HTCDS 2.0 by IOM, "
        "CC BY 4.0; IOM endorses nothing here.",
        "record": record,
        "labels": {field: standard.labels[field] for field in record},
        "definitions": methods,
        "withheld": [field for field in standard.labels if field not in record and field.startswith("prs_")],
    }
