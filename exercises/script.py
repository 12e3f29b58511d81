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
    """The referral of a victim to those who help, shaped by public data where that is at hand."""
    return case_from_htcds()


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
