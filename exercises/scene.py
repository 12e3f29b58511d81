"""What every step of the demo's story is made of: scenes, expectations, drafts and proofs.

A step plays its scene on the stage, checks that what happened is what the story says, and returns a
``Scene``: what to tell, who saw what, and the facts as data. ``NotAsTold`` means that the exchange did
something else; the demo then ends with a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agencies.node.broker_client import Answer
from exchange.protocol import message
from exchange.protocol.log import parse_entry, verify_tlog_proof
from exercises.desk import Desk, Turned
from exercises.stage import CAST, TASK_FORCE, Stage
from keys.encoding import b64u, unb64u, write_json
from keys.sealing import new_message_id

NORTH, SOUTH, BORDER, FIU, NGO, HUB = CAST
"""The cast, by what they are called in the story."""


class NotAsTold(AssertionError):
    """The exchange did something other than the story says."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened in one step: sentences for people, who sees what, facts for machines."""

    said: tuple[str, ...]
    sees: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story; the first of a chapter has the chapter's title."""

    name: str
    title: str
    play: Callable[[Stage], Scene]
    chapter: str = ""


def expect(truth: object, sentence: str) -> None:
    """Go on if it is as told."""
    if not truth:
        raise NotAsTold(sentence)


def draft(stage: Stage, agreement: str, content: dict[str, Any], to: str, **facts: Any) -> dict[str, Any]:
    """Write an officer's draft under an agreement; ``facts`` overrule what is read from the content."""
    question = content.get("question")
    said: dict[str, Any] = {
        "to": [to],
        "agr": stage.agreements[agreement],
        "purpose": question["purpose"] if question else "investigate",
        "crime": question["crime"] if question else "immigrant_smuggling",
        "class": "restricted",
        "handling": ["H3"] if "handling_text" in content else ["H0"],
        "urgency": question["urgency"]["code"] if question else "none",
        "content": content,
    }
    return said | facts


def past_its_node(stage: Stage, sender: str, to: str, content: dict[str, Any], *, src: tuple[str, ...] = ()) -> Answer:
    """Seal and sign with an agency's own keys, and submit it past its node, which never hears of it."""
    directory, me, now = stage.federation.directory, stage.federation.identities[sender], stage.now()
    written = message.Draft(
        fed=directory.fed, id=new_message_id(now), ts=now, exp=now + timedelta(days=1), sender=sender,
        recipients=((to, directory.sealing_key(to, now)),), agreement=stage.agreements[TASK_FORCE],
        purpose="investigate", crime="immigrant_smuggling", classification="restricted", handling=("H0",),
        urgency="none", by=b64u(bytes(32)), src=src,
    )  # fmt: skip
    return stage.caller(sender).submit(message.compose(written, write_json(content), me.signer))


def turned(does: Callable[[], Any], code: str, sentence: str) -> Turned:
    """Go on if a node refuses this with this code; the refusal."""
    try:
        does()
    except Turned as refused:
        expect(refused.code == code, f"{sentence}: `{code}`, not `{refused.code}`")
        return refused
    raise NotAsTold(sentence)


def keep_receipts(stage: Stage, desk: Desk, msg: str, by: str) -> None:
    """Wait for both receipts of a message, prove them, and put them into the evidence."""
    for status in ("delivered", "opened"):
        receipt = desk.await_receipt(msg, by, status)
        prove(stage, receipt["entry"], receipt["proof"])
        stage.keep_evidence(f"receipts/{receipt['index']}-{status}-by-{by}.json", receipt)


def prove(stage: Stage, entry: str, proof: str, keep: str = "") -> Any:
    """Verify with the federation root alone that the log has this entry; the entry, read."""
    data = unb64u(entry)
    verify_tlog_proof(proof, data, stage.federation.directory.root.log)
    if keep:
        stage.keep_evidence(keep, proof)
    return parse_entry(data)
