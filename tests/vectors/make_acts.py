# ruff: noqa: E501  # one vector, one line
"""Write the vectors of acts: ``python -m tests.vectors.make_acts``.

``acts.json`` has one signed act of every kind with the members it reads as, payloads that no reader accepts, and signed
statements that are refused, each with its code and requirement. Keys are those of ``messages/parties.json``; ML-DSA draws
its own randomness, so every run writes other signatures. Run it when the format changes, and at no other time.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from exchange.protocol.act import parse_act, read_act, sign_act, write_act
from keys.encoding import digest, read_json, stamp, write_json
from keys.errors import Refusal
from keys.signing import Typ, cosign, sign
from tests.vectors.stage import FIU, NGO, NORTH, NOW, SOUTH, Stage, signer, stage

FILE: Final = Path(__file__).parent / "acts.json"
NOTICE: Final = "TEST VECTORS. Every private key here is public. SIMULATION - synthetic data only."
MSG, OTHER = digest(b"a message"), digest(b"another")
LATER: Final = NOW + timedelta(days=30)
WHOLE: Final[dict[str, Any]] = {"purposes": ["investigate"], "fields": [""], "until": LATER}
EVERY: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("ask to pass a whole message on", "ask", {"want": "onward", "to": [FIU, NGO], **WHOLE}),
    ("ask for another purpose", "ask", {"want": "purpose", **WHOLE, "purposes": ["prosecute"]}),
    ("consent to what was asked", "consent", {"re": OTHER, "want": "onward", "holder": SOUTH, "to": [FIU], **WHOLE}),
    ("consent unasked, to two fields", "consent", {"want": "evidence", "holder": SOUTH, **WHOLE, "fields": ["/entities/0/means", "/narrative/12"]}),
    ("decline", "decline", {"re": OTHER, "ground": "handling_restriction"}),
    ("withdraw", "withdraw", {"re": OTHER}),
    ("acknowledge", "acknowledge", {}),
    ("restrict", "restrict", {"ground": "victim_safety"}),
    ("rectify", "rectify", {"ground": "inaccurate", "by_msg": OTHER}),
    ("recall", "recall", {"ground": "sent_in_error"}),
    ("answer that it is erased", "answer", {"re": OTHER, "outcome": "erased"}),
    ("answer that it is retained", "answer", {"re": OTHER, "outcome": "retained", "ground": "judicial_proceedings"}),
    ("keep", "keep", {"ground": "case_open", "until": LATER}),
    ("erased", "erased", {"cause": "retention"}),
]  # fmt: skip


def payload(on: Stage, kind: str, members: dict[str, Any]) -> bytes:
    """An act of North's about one message."""
    return write_act(kind, fed=on.fed, by=NORTH, ts=NOW, msg=MSG, **members)


def accepted(on: Stage) -> list[dict[str, Any]]:
    """Acts of every kind, signed."""
    made = []
    for name, kind, members in EVERY:
        data = sign_act(said := payload(on, kind, members), on[NORTH].signer)
        act = read_act(data, on.directory, NOW)
        made.append(
            {"name": name, "at": stamp(NOW), "act": act.digest, "payload": said.decode(), "statement": data.decode()}
        )
    return made


def malformed(on: Stage) -> list[dict[str, Any]]:
    """Payloads that nobody reads: one member of a good one set, added, or taken away."""
    good = {name: read_json(payload(on, kind, members), limit=4096) for name, kind, members in EVERY}
    ask, consent, answer = (
        good["ask to pass a whole message on"],
        good["consent to what was asked"],
        good["answer that it is retained"],
    )
    recall, keep = good["recall"], good["keep"]
    made: list[tuple[str, str, dict[str, Any]]] = [
        ("a free text", "ACT-2", {**recall, "reason": "He lied to us."}),
        ("null for nothing", "ACT-2", {**consent, "re": None}),
        ("an act nobody knows", "ACT-2", {**recall, "act": "forget"}),
        ("a ground of another list", "ACT-2", {**recall, "ground": "case_open"}),
        ("no ground", "ACT-2", {name: value for name, value in recall.items() if name != "ground"}),
        ("a member of another kind", "ACT-2", {**recall, "re": OTHER}),
        ("a time without decimals", "ACT-2", {**recall, "ts": "2026-11-21T16:20:00Z"}),
        ("a day that does not exist", "ACT-2", {**recall, "ts": "2026-02-30T16:20:00.000Z"}),
        ("a pointer that says something", "ACT-2", {**ask, "fields": ["/Jane Roe"]}),
        ("a pointer with an escape", "ACT-2", {**ask, "fields": ["/a~1b"]}),
        ("a pointer with leading zeros", "ACT-2", {**ask, "fields": ["/entities/007"]}),
        ("a pointer without its slash", "ACT-2", {**ask, "fields": ["entities"]}),
        ("recipients out of order", "ACT-2", {**ask, "to": sorted([FIU, NGO], reverse=True)}),
        ("a recipient twice", "ACT-2", {**ask, "to": [NGO, NGO]}),
        ("a role for a recipient", "ACT-2", {**ask, "to": ["role:police"]}),
        ("nobody to pass it on to", "ACT-2", {**ask, "to": []}),
        ("no purpose", "ACT-2", {**ask, "purposes": []}),
        ("no field", "ACT-2", {**ask, "fields": []}),
        ("onward to no one named", "ACT-3", {name: value for name, value in ask.items() if name != "to"}),
        ("recipients for another purpose", "ACT-3", {**ask, "want": "purpose"}),
        ("a consent that ends when it begins", "ACT-3", {**consent, "until": consent["ts"]}),
        ("kept until yesterday", "ACT-3", {**keep, "until": stamp(NOW - timedelta(days=1))}),
        ("erased on a ground", "ACT-3", {**answer, "outcome": "erased"}),
        ("retained on none", "ACT-3", {name: value for name, value in answer.items() if name != "ground"}),
        ("corrected by itself", "ACT-3", {**good["rectify"], "by_msg": MSG}),
    ]  # fmt: skip
    return [
        {
            "name": n,
            "requirement": r,
            "code": _code(lambda v=v: parse_act(write_json(v))),
            "payload": write_json(v).decode(),
        }
        for n, r, v in made
    ]


def refused(on: Stage) -> list[dict[str, Any]]:
    """Signed statements that are refused at ``at``."""
    recall = payload(on, "recall", {"ground": "unlawful"})
    ahead = write_act("recall", fed=on.fed, by=NORTH, ts=NOW + timedelta(minutes=6), msg=MSG, ground="unlawful")
    elsewhere = write_act("recall", fed=OTHER, by=NORTH, ts=NOW, msg=MSG, ground="unlawful")
    consent = payload(on, "consent", {"want": "onward", "holder": SOUTH, "to": [FIU], **WHOLE})
    both = cosign(sign(recall, on[NORTH].signer, Typ.ACT), on[SOUTH].signer, Typ.ACT)
    made = [
        ("signed by another agency", "ACT-5", NOW, sign_act(recall, on[SOUTH].signer)),
        ("signed by nobody's key", "ACT-5", NOW, sign_act(recall, signer("a stranger"))),
        ("signed as a notice", "ACT-5", NOW, sign(recall, on[NORTH].signer, Typ.NOTICE).to_bytes()),
        ("signed by two", "ACT-1", NOW, both.to_bytes()),
        ("from the future", "ACT-4", NOW, sign_act(ahead, on[NORTH].signer)),
        ("of another federation", "ACT-4", NOW, sign_act(elsewhere, on[NORTH].signer)),
        ("a consent that has ended", "ACT-4", LATER, sign_act(consent, on[NORTH].signer)),
    ]  # fmt: skip
    return [
        {"name": n, "requirement": r, "code": _code(lambda d=d, at=at: read_act(d, on.directory, at)), "at": stamp(at), "statement": d.decode()}
        for n, r, at, d in made
    ]  # fmt: skip


def _code(read: Any) -> str:
    try:
        read()
    except Refusal as refusal:
        return refusal.code
    raise AssertionError("this should have been refused")


def main() -> None:
    """Write everything afresh."""
    on = stage()
    told = {
        "notice": NOTICE,
        "fed": on.fed,
        "accepted": accepted(on),
        "malformed": malformed(on),
        "refused": refused(on),
    }
    FILE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
