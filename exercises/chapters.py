"""The chapter "agreements that run": before a signature, on the way on, and afterwards.

What the tools say of agreements is asked of the tools, as a trainer would; consent and recall are played on the
running processes. ``refuge`` and ``hourglass`` play what else belongs to this chapter.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import agencies.profiles
from exercises.desk import until
from exercises.markers import words_of
from exercises.scene import BORDER, HUB, NORTH, SOUTH, Scene, draft, expect, keep_receipts, past_its_node, prove, turned
from exercises.script import hit
from exercises.stage import REFERRAL, TASK_FORCE, Stage
from keys.encoding import b64u, stamp

PROFILES: Final = Path(agencies.profiles.__file__).parent
LIBRARY: Final = PROFILES / "agreements"
ACCORD: Final = LIBRARY / "training" / "harbour-accord.yaml"
TELLING: Final = ("not_binding", "group_empty", "mark_contradiction", "contradiction", "against_floor")
"""Faults of the accord that a reader understands without having read it."""
VAN, PASSPORT = "/entities/3", "/entities/4"

# --- before anybody signs -------------------------------------------------------------------------


def drafting(stage: Stage) -> Scene:
    """The linter reads a bad draft; the agreements in force are asked who may tell whom what."""
    checked = _asked(stage, 1, "check", ACCORD)
    found = {finding["code"]: finding for finding in reversed(checked["findings"])}
    expect(set(TELLING) <= found.keys(), f"the linter should find what was planted: {sorted(found)}")
    levels = [finding["level"] for finding in checked["findings"]]
    signed = [LIBRARY / f"{name}.yaml" for name in (TASK_FORCE, REFERRAL)]
    asked = ("--from", SOUTH, "--type", "spontaneous_info", "--purpose", "investigate", "--cat", "data_transport")
    yes = _asked(stage, 0, "explain", *signed, *asked, "--to", HUB)
    (way,) = yes["ways"]
    expect((yes["answer"], way["clauses"]) == ("yes", ["warn"]), "clause `warn` should let the police tell the hub")
    no = _asked(stage, 1, "explain", *signed, *asked, "--to", HUB, "--cat", "person_suspect")
    expect(no["answer"] == "no" and no["denial"]["code"] == "no_clause", "a suspect should be too much for the hub")
    least = no["least"][0]["sentence"]
    expect(least.startswith("leave out `person_suspect`"), f"leaving the suspect out should be the least: {least}")
    said = (
        f"`ix agreement check` reads `{ACCORD.name}`, a draft that nobody should sign.",
        f"{levels.count('error')} errors, {levels.count('warning')} warnings; five of them, with their lines:",
        *(f"line {found[code]['line']}, {_short(found[code])}." for code in TELLING),
        "`ix agreement explain`: may the Southern police tell the hub about a van? Yes, clause `warn`.",
        f"The strings: {'; '.join(way['in_words'])}.",
        f"And about a suspect? No. The least that would have to change: {_plain(least)}.",
    )
    facts = {"errors": levels.count("error"), "warnings": levels.count("warning"), "codes": sorted(set(found))}
    return Scene(said, facts={**facts, "yes": way["clauses"], "no": no["denial"]["code"], "least": least})


def _asked(stage: Stage, code: int, what: str, *arguments: str | Path) -> dict[str, Any]:
    ran = stage.run("agreement", what, *arguments, "--agencies", PROFILES, "--json")
    expect(ran.returncode == code, f"`ix agreement {what}` should end with {code}: {ran.stderr}")
    stage.keep_evidence(f"agreements/{what}-{len(stage.facts.setdefault('asked', []))}.json", ran.stdout)
    stage.facts["asked"].append(what)
    return dict(json.loads(ran.stdout))


def _short(finding: dict[str, Any]) -> str:
    clause = f"clause {finding['clause']}: " if finding["clause"] else ""
    return clause + str(finding["sentence"]).split(" (floor-")[0]


def _plain(change: str) -> str:
    return change.replace(": then clause", ", and clause").replace(" permits it", " lets it pass")


# --- on the way on --------------------------------------------------------------------------------


def consent(stage: Stage) -> Scene:
    """Passing on waits for a signed consent of the originator, and goes as far as that and no further."""
    south, content = stage.desk(SOUTH), hit()
    stage.secrets |= words_of(content)
    told = stage.desk(BORDER).send(draft(stage, TASK_FORCE, content, SOUTH))
    expect(told["state"] == "sent", f"the hit should be sent, not {told['state']}")
    south.await_message(told["msg"])
    expect(south.open(told["msg"]) == content, "the police should read the hit")
    keep_receipts(stage, stage.desk(BORDER), told["msg"], SOUTH)
    to, text = sorted((NORTH, HUB)), "The van you asked about was stopped at Northgate this morning."

    def forward(*fields: str) -> dict[str, Any]:
        return south.forward(told["msg"], to, sorted(fields), "investigate", text)

    refused = turned(lambda: forward(VAN, PASSPORT), "onward_refused", "nothing should go on without a consent")
    denied = _past_the_node(stage, told["msg"])
    ends = stamp(stage.now() + timedelta(days=30))
    wish = {"want": "onward", "to": to, "purposes": ["investigate"], "fields": [VAN, PASSPORT], "until": ends}
    asked = south.act(f"/v1/messages/{told['msg']}/ask", **wish)
    owner = stage.desk(BORDER, "release_officer")
    until(lambda: _consents(owner, asked["act"], "open"), "the ask to arrive")
    given = owner.act(f"/v1/consents/{asked['act']}/decide", approve=True, fields=[VAN])
    until(lambda: _consents(south, given["act"], "live"), "the consent to arrive")
    turned(lambda: forward(VAN, PASSPORT), "onward_refused", "the passport should stay where it is")
    sent = forward(VAN)
    expect(sent["state"] == "sent", f"the van should be passed on, not {sent['state']}")
    entry = prove(stage, sent["entry"], sent["proof"], f"proofs/onward-{sent['index']}.tlog-proof")
    expect(list(entry.src) == [told["msg"]], "the log should name what it was derived from")
    stage.desk(NORTH).await_message(sent["msg"])
    seen = stage.desk(NORTH).open(sent["msg"])
    expect([one["registration"] for one in seen["entities"]] == ["SIM-VN-77K"], "the van alone should have gone on")
    stage.desk(HUB).await_message(sent["msg"])
    keep_receipts(stage, south, sent["msg"], NORTH)
    stage.facts |= {"hit": told, "onward": sent}
    said = (
        "The Eastern border guard has stopped the van SIM-VN-77K and tells the Southern police, clause `hit`.",
        "They want to tell the North and the hub about the van, and about the passport that its driver showed.",
        f"`{refused.code}`: it goes on by consent only, and nobody has consented.",
        f"And a node that did not care? Past the node, with its keys, the broker denies it: `{denied}`, logged.",
        "So they ask. The ask names recipients, purpose, fields and an end.",
        "A release officer of the border guard, not the sender, consents: the van, not the passport, 30 days.",
        "Both together are refused still. The van alone is delivered; its entry names what it comes from.",
    )
    sees = {
        "the originator": "who wants to tell whom what, and for what; then who was told",
        "Northern police, the hub": "a van; no person, no passport",
        "the broker": "that one message comes from another (src), and the signed acts: codes, names, places in a text",
    }
    facts = {"refused": refused.code, "past_the_node": denied, "ask": asked["act"], "consent": given["act"]}
    return Scene(said, sees, {**facts, "message": told["msg"], "onward": sent["msg"], "index": sent["index"]})


def _consents(desk: Any, act: str, state: str) -> Any:
    listed = desk.call("GET", f"/v1/consents?state={state}")["consents"]
    return next((one for one in listed if one["act"] == act), None)


def _past_the_node(stage: Stage, source: str) -> str:
    """Sign with the agency's own keys what its node would not: the code of the broker's denial."""
    content = {
        "v": "ix-case/1", "simulation": True, "type": "spontaneous_info", "case": {"reference": "XS-2026/2211"},
        "as_of": f"{stage.now():%Y-%m-%d}", "language": "en", "entities": [hit()["entities"][3]],
        "spontaneous": {"reason": "Nobody needs to know.", "contact": {"agency": SOUTH, "desk": "duty_desk"}},
        "sources": [{"msg": source, "fields": [VAN]}],
    }  # fmt: skip
    answer = past_its_node(stage, SOUTH, HUB, content, src=(source,))
    entry = prove(stage, b64u(answer.entry), answer.proof)
    expect(answer.outcome == "deny" and entry.code == "consent_missing", f"it should be denied: {answer.outcome}")
    return str(entry.code)


# --- afterwards -----------------------------------------------------------------------------------


def recall(stage: Stage) -> Scene:
    """The originator takes a message back: everybody who holds something of it is told, and answers or is silent."""
    owner, told, onward = stage.desk(BORDER, "release_officer"), stage.facts["hit"], stage.facts["onward"]
    given = owner.act(f"/v1/messages/{told['msg']}/recall", act="recall", ground="inaccurate")
    for agency in (SOUTH, NORTH, HUB):
        desk = stage.desk(agency, "release_officer")
        until(lambda desk=desk: _duty(desk, given["act"]), f"{agency} to hear of it")  # type: ignore[misc]
    turned(lambda: stage.desk(HUB).open(onward["msg"]), "restricted", "it should be closed before anybody has looked")
    _answer(stage, SOUTH, given["act"], outcome="erased")
    _answer(stage, NORTH, given["act"], outcome="retained", ground="judicial_proceedings")
    turned(lambda: stage.desk(SOUTH).open(told["msg"]), "erased", "the content should be gone at the South")
    status = until(lambda: _heard(owner, told["msg"], 2), "both answers")
    stage.keep_evidence("recall/status.json", status)
    holders = {one["id"]: one for one in status["holders"]}
    expect(set(holders) == {SOUTH, NORTH, HUB}, f"three should hold something of it: {sorted(holders)}")
    answers = {agency: _proven(stage, one) for agency, one in holders.items()}
    wanted = {SOUTH: ("erased", None), NORTH: ("retained", "judicial_proceedings"), HUB: None}
    expect(answers == wanted, f"the list should say who did what: {answers}")
    expect(status["silent"] == [HUB] and not status["settled"], "the hub's silence should be listed")
    due = holders[HUB]["answers"][0]["due"]
    said = (
        "The registration was misread. The border guard recalls its message, ground `inaccurate`.",
        "One agency had it, and through that one two more. All three are told, and what they hold is closed.",
        "The hub's officer wants to read it, before anybody there has looked at the recall: `restricted`.",
        "The South erases it and signs that. The North signs that it keeps it, closed, for a court case.",
        "The hub says nothing. The originator's list, each line a signed act with a proof from the log:",
    )
    sees = {
        "Southern police": "erased, entry " + str(holders[SOUTH]["answers"][0]["answer"]["index"]),
        "Northern police": "retained, `judicial_proceedings`, entry "
        + str(holders[NORTH]["answers"][0]["answer"]["index"]),
        "the hub": f"silent since {_minute(holders[HUB]['silent_since'])}; due by {_minute(due)}",
    }
    known = {agency: one and one[0] for agency, one in answers.items()}
    return Scene(said, sees, {"recall": given["act"], "answers": known, "silent": status["silent"], "due": due})


def _duty(desk: Any, act: str) -> Any:
    return next((one for one in desk.call("GET", "/v1/duties?state=open")["duties"] if one["act"] == act), None)


def _answer(stage: Stage, agency: str, act: str, **members: str) -> None:
    stage.desk(agency, "release_officer").act(f"/v1/duties/{act}/answer", **members)


def _heard(desk: Any, msg: str, count: int) -> dict[str, Any] | None:
    status: dict[str, Any] = desk.call("GET", f"/v1/messages/{msg}/status")
    answered = [one for one in status["holders"] if one["answers"] and one["answers"][0]["answer"]]
    return status if len(answered) == count else None


def _proven(stage: Stage, holder: dict[str, Any]) -> tuple[str, str | None] | None:
    """What a holder answered, if the log has exactly this signed statement."""
    (asked,) = holder["answers"]
    said = asked["answer"]
    if said is None:
        return None
    entry = prove(stage, said["entry"], said["proof"], f"recall/{holder['id']}.tlog-proof")
    expect(entry.statement == said["act"] and entry.by == holder["id"], "the proof should be of this very answer")
    return said["outcome"], said["ground"]


def _minute(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"
