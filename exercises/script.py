"""What the demo's characters write. Everything is invented, but for what is marked as public data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from keys.encoding import read_json

SAMPLES: Final = Path(__file__).parent / "samples"
BOAT: Final = "SIM-BT-0921"


def sample(name: str) -> dict[str, Any]:
    """One of the invented cases, by file name."""
    return dict(read_json((SAMPLES / f"{name}.json").read_bytes(), limit=256 * 1024))


def request() -> tuple[dict[str, Any], str]:
    """The urgent request, and where its content comes from."""
    return sample("smuggling_route_request"), "a synthetic case of this project"


def victim() -> dict[str, Any]:
    """The referral of a victim to those who help."""
    return sample("victim_referral")


def reply(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to the urgent request: the boat's owner and berth."""
    reference = asked["case"]["reference"]
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
