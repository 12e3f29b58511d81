"""The steps of the demo's story about people who could be harmed: a victim who is referred, and somebody who fled.

The victim's name is sealed for one role at one organisation; not even its other officers see it. Of who fled,
the state they fled from learns nothing: not by being told, not by being asked, not by what an answer looks like.
"""

from __future__ import annotations

from typing import Any

from exchange.protocol.entry import DenialEntry, DisclosureEntry
from exercises.markers import words_of
from exercises.scene import FIU, NGO, NORTH, SOUTH, Scene, draft, expect, keep_receipts, prove, turned
from exercises.script import claimant, identity, question_about, victim
from exercises.stage import REFERRAL, TASK_FORCE, Stage

UNKNOWN = [{"family": "Pellinor", "given": "Adsel"}]
"""A name that nobody in this exercise has."""


def protect(stage: Stage) -> Scene:
    """Victim data is refused to one who may not have it, and delivered under its own clause to the NGO."""
    south, ngo = stage.desk(SOUTH), stage.desk(NGO)
    content, source = victim()
    person = identity()
    stage.secrets |= words_of(content) | words_of(person)
    stage.facts["name"] = person["names"][0]["family"]
    facts = {"purpose": "victim_protection", "crime": "human_trafficking", "handling": ["H2", "H3"]}
    refused = _released(stage, south.send(draft(stage, TASK_FORCE, content, FIU, **facts), ruling=True))
    expect((refused["state"], refused["code"]) == ("denied", "forbidden"), "victim data should be forbidden to the FIU")
    denial = prove(stage, refused["entry"], refused["proof"], f"proofs/denial-{refused['index']}.tlog-proof")
    forbidding = denial.to[0].nearest if isinstance(denial, DenialEntry) else None
    expect(forbidding == "no-victims", f"clause `no-victims` should forbid it, not `{forbidding}`")

    sealed = {**content, "sealed_parts": [south.seal(person, content, [NGO])]}
    waits = south.send(draft(stage, REFERRAL, sealed, NGO, **facts))
    expect(
        waits["state"] == "pending_release", f"health data should wait for release officers, not be {waits['state']}"
    )
    once = _decide(stage, waits, 1)
    expect(once["state"] == "pending_release", "one release officer should not be enough")
    sent = _decide(stage, waits, 2)
    expect(sent["state"] == "sent", f"the referral should be sent, not {sent['state']}")
    entry = prove(stage, sent["entry"], sent["proof"], f"proofs/referral-{sent['index']}.tlog-proof")
    clause = entry.to[0].clauses[0] if isinstance(entry, DisclosureEntry) else None
    expect(clause == "refer", f"clause `refer` should allow it, not `{clause}`")
    ngo.await_message(sent["msg"])
    why = {"code": "training", "text": "opened at once, before anybody has read the condition"}
    turned(
        lambda: ngo.call("POST", f"/v1/messages/{sent['msg']}/open", {"justification": why}),
        "not_acknowledged",
        "what is marked H3 should not be shown before its condition is acknowledged",
    )
    expect(ngo.open(sent["msg"]) == sealed, "the NGO should read the referral")
    turned(lambda: ngo.identity(sent["msg"]), "role_missing", "an intake worker should not see who it is")
    keeper = stage.desk(NGO, "protection_officer")
    expect(keeper.identity(sent["msg"]) == person, "the protection officer should see who it is")
    keep_receipts(stage, south, sent["msg"], NGO)
    expect(not stage.desk(FIU).inbox(), "the FIU should have received nothing at all")
    stage.facts["referral"] = sent
    said = (
        "Southern police have found a young person who was exploited. They tell the FIU: forbidden.",
        "Clause `no-victims` forbids it, and a clause that forbids beats every clause that permits.",
        "They tell the harbour's victim support, clause `refer` of the referral protocol.",
        "It speaks of health, so two release officers have to agree; after the first it still waits.",
        "It must not be passed on (H2), and is for care alone (H3): that is acknowledged before it is read.",
        "Who the person is was sealed apart. The intake worker asks to see it: `role_missing`.",
        "The protection officer gives a passphrase of her own and sees it; the ledger has that before she does.",
        f"Its content is {source}.",
    )
    sees = {
        "Intake worker": f"needs: {', '.join(content['referral']['needs'])}; no name",
        "Protection officer": "the name, and where the person is",
        "the FIU": "nothing",
        "the broker": "that a victim referral passed, and its categories; not who, where or what happened",
    }
    known = {"forbidden": forbidding, "denial": refused["msg"], "clause": clause, "message": sent["msg"]}
    return Scene(said, sees, {**known, "index": sent["index"], "released_by": 2, "content": source})


def _decide(stage: Stage, waits: dict[str, Any], number: int) -> dict[str, Any]:
    return stage.desk(SOUTH, "release_officer", number).release(waits["ref"])


def _released(stage: Stage, sent: dict[str, Any]) -> dict[str, Any]:
    """Have both release officers agree to ask for a ruling, where that is what it takes."""
    for number in (1, 2):
        if sent["state"] == "pending_release":
            sent = _decide(stage, sent, number)
    return sent


def firewall(stage: Stage) -> Scene:
    """Whoever asked for protection from a state is not known to it: not by being asked about, not by an answer."""
    south, north = stage.desk(SOUTH), stage.desk(NORTH)
    fled = claimant()
    noted = stage.desk(SOUTH, "protection_officer").act("/v1/claims", identity=fled, against=["XN"])["noted"]
    expect(noted > 0, "the claim should be noted")
    about = draft(stage, TASK_FORCE, question_about(fled["names"], "XS-2026/3001"), NORTH)
    stage.secrets |= words_of(about["content"]) | {fled["names"][0]["family"]}
    size = stage.caller(NORTH).checkpoint()
    told = turned(lambda: south.send(about, ruling=True), "safeguard_refused", "the question should not be asked")
    other = {**about, "content": question_about(UNKNOWN, "XS-2026/3002")}
    expect(south.check(other)["outcome"] == "permit", "the same question about somebody else should pass")
    expect(stage.caller(NORTH).checkpoint() == size, "the log should not have grown")
    ledger = stage.desk(SOUTH, "auditor").call("GET", "/v1/ledger?act=attempt_denied&limit=500")["acts"]
    why = [(act["outcome"], act["reasons"]) for act in ledger if act["outcome"] == "asylum_confidentiality"]
    expect(why == [("asylum_confidentiality", ["person_known"])], f"the auditor should see the rule: {why}")

    answers = []
    for names, reference, ground in (
        (fled["names"], "XN-2026/0901", "asylum_confidentiality"),
        (UNKNOWN, "XN-2026/0902", "not_available"),
    ):
        asked = north.send(draft(stage, TASK_FORCE, question_about(names, reference), SOUTH))
        expect(asked["state"] == "sent", f"the question should reach the South, not be {asked['state']}")
        south.await_message(asked["msg"])
        reason = "an invented reason, which only the auditor of the South reads"
        answers.append(south.act(f"/v1/messages/{asked['msg']}/refuse", ground=ground, reason=reason))
    shown = [(one["public"], one["state"]) for one in answers]
    expect(shown == [("cannot_respond", "waiting")] * 2, f"both refusals should look alike: {shown}")
    said = (
        "Somebody asked the South for protection from the North. Its node is told, and keeps marks, not a name.",
        "Seen from the South: an officer who does not know wants to ask the North about this very person.",
        f"`{told.code}`: no clause is asked, no ruling helps, nothing leaves. The same about another: allowed.",
        "The officer does not learn which safeguard. The auditor's ledger has it: `asylum_confidentiality`.",
        "Seen from the North: its police ask about this person, and about somebody of whom nobody has heard.",
        "The South refuses both, on different grounds, which its auditor alone will read.",
        "The North will be told `cannot_respond` both times, four hours after it asked, whoever decided when.",
    )
    sees = {
        "the officer": "that a safeguard stands in the way",
        "the auditor of the South": "which one, and both reasons",
        "Northern police": "nothing yet; in the next step the four hours pass",
    }
    facts = {"refused": told.code, "rule": "person_known", "marks": noted, "public": shown[0][0]}
    return Scene(said, sees, facts)
