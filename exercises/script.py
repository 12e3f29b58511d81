"""What the demo's characters write. Everything is invented, but for what is marked as public data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from exercises.public_data import Case, PublicDataUnfit, attachment_from_case_examples, case_from_htcds
from keys.encoding import read_json

SAMPLES: Final = Path(__file__).parent / "samples"
BOAT: Final = "SIM-BT-0921"


def sample(name: str) -> dict[str, Any]:
    """One of the invented cases, by file name."""
    return dict(read_json((SAMPLES / f"{name}.json").read_bytes(), limit=256 * 1024))


def request() -> dict[str, Any]:
    """The urgent request."""
    return sample("smuggling_route_request")


def victim() -> Case:
    """The referral of a victim to those who help, shaped by public data where that is at hand.

    The person agreed to be known to the protection officer there, and needs care that only health data explains.
    """
    content, source = case_from_htcds()
    (person,) = (one for one in content["entities"] if one["kind"] == "person")
    person.pop("protection", None)
    person["special"] = next(one["special"] for one in sample("victim_referral")["entities"] if "special" in one)
    return content, source


def identity() -> dict[str, Any]:
    """Who the victim is: for one role at one organisation, and for nobody else."""
    return {
        "v": "ix-identity/1",
        "simulation": True,
        "subject": "v1",
        "names": [{"family": "Quillonbar", "given": "Zephandra"}],
        "birth": "2010-05-17",
        "documents": [{"document": "passport", "number": "SIM-PP-61177", "issuer": "XQ"}],
        "whereabouts": "Larkspur Lodge, room 4",
    }


def claimant() -> dict[str, Any]:
    """Somebody who asked the South for protection from the North."""
    names = [{"family": "Ostrander-Vey", "given": "Lesharo"}]
    return {"v": "ix-identity/1", "simulation": True, "subject": "c1", "names": names, "birth": 1991}


def question_about(names: list[dict[str, str]], reference: str) -> dict[str, Any]:
    """An urgent request that asks for somebody."""
    content = request()
    for left_out in ("handling_text", "narrative", "relationships"):
        del content[left_out]
    person = {"kind": "person", "id": "p1", "assertion": "fact", "category": "unknown", "names": names}
    del content["question"]["restrictions"]
    content["question"]["links"] = [{"entity": "p1", "text": "Stood on a list of passengers of that night."}]
    return {**content, "case": {"reference": reference}, "entities": [person]}


def hit() -> dict[str, Any]:
    """What the border guard found in the van that the urgent request asked about."""
    return sample("border_hit")


def reply(asked: dict[str, Any]) -> Case:
    """The answer to the urgent request, the boat's owner and berth, with a public investigation attached."""
    content = _reply(asked["case"]["reference"])
    try:
        attachment, source = attachment_from_case_examples()
    except PublicDataUnfit as unfit:
        return content, f"a synthetic case of this project, because {unfit}"
    return {**content, "attachments": [attachment]}, source


def _reply(reference: str) -> dict[str, Any]:
    return {
        "v": "ix-case/1",
        "simulation": True,
        "type": "info_reply",
        "case": {"reference": "XS-2026/2210", "links": [{"reference": reference, "relation": "related"}]},
        "as_of": "2026-11-21",
        "language": "en",
        "entities": [
            {
                "kind": "organisation",
                "id": "o1",
                "assertion": "fact",
                "evaluation": "A1",
                "organisation": "company",
                "name": "Blue Lamp Charters",
                "country": "XS",
            },
            {
                "kind": "transport",
                "id": "t1",
                "assertion": "fact",
                "evaluation": "A1",
                "means": "boat",
                "registration": BOAT,
                "country": "XS",
            },
        ],
        "relationships": [
            {"from": "o1", "relation": "owns", "to": "t1", "assertion": "fact", "evaluation": "A1"},
        ],
        "answer": {
            "text": f"{BOAT} belongs to Blue Lamp Charters and lies at berth 14 of Farhaven. "
            "It took on fuel this morning. A patrol is watching it."
        },
    }
