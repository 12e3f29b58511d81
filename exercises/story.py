"""The story of the demo, step by step, each with what it must come to (`docs/tour.md` follows the second).

Four chapters: a message and what stands in its way, here and in ``refuge``; agreements that run, in ``chapters``,
``refuge`` and ``hourglass``; three books that are held against each other, in ``books``; and in ``aftermath`` what is
left when every process has gone.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.protocol.log import verify_tlog_proof
from exercises import theft
from exercises.aftermath import audit, tamper
from exercises.books import asking, books, lies, shredding, two_logs
from exercises.chapters import consent, drafting, recall
from exercises.desk import until
from exercises.hourglass import let_time_pass
from exercises.markers import words_of
from exercises.refuge import firewall, protect
from exercises.scene import BORDER, FIU, NORTH, SOUTH, Scene, Step, draft, expect, keep_receipts, prove
from exercises.script import BOAT, reply, request
from exercises.stage import CAST, REFERRAL, TASK_FORCE, Stage, agencies
from keys.encoding import read_json, unb64u, write_json

# 1


def agree(stage: Stage) -> Scene:
    """Agencies are enrolled; two agreements are signed by every party and come into force."""
    signed = {}
    for name in (TASK_FORCE, REFERRAL):
        terms = stage.terms(name)
        proposer, *others = terms["parties"]
        answer = stage.desk(proposer, "release_officer").call("POST", "/v1/agreements", {"terms": terms})
        agreement = answer["agr"]
        expect(answer["state"] == "proposed", f"{name} should wait for the other signatures")
        for party in others:
            answer = stage.desk(party, "release_officer").call("POST", f"/v1/agreements/{agreement}/sign")
        expect(answer["state"] == "complete", f"{name} should be complete once all have signed")
        expect(set(answer["signed_by"]) == set(terms["parties"]), f"{name} should be signed by every party")
        prove(stage, answer["entry"], answer["proof"])
        for party in terms["parties"]:
            _await_force(stage, party, agreement)
        stage.agreements[name] = agreement
        signed[name] = {"agreement": agreement, "signed_by": answer["signed_by"], "clauses": len(terms["clauses"])}
    force, referral = signed[TASK_FORCE], signed[REFERRAL]
    said = (
        f"Enrolled under one root, which 2 of 3 root keys signed: {agencies(stage, CAST)}.",
        f"The task force agreement: {force['clauses']} clauses, signed by {len(force['signed_by'])} parties.",
        f"The victim referral protocol: {referral['clauses']} clauses, signed by {len(referral['signed_by'])} parties.",
        "Nothing passes that no clause of a signed agreement allows. Every signature is two: Ed25519 and ML-DSA-44.",
    )
    return Scene(said, facts={"enrolled": list(CAST), "fed": stage.federation.fed, "agreements": signed})


def _await_force(stage: Stage, party: str, agreement: str) -> None:
    desk = stage.desk(party, "release_officer")

    def in_force() -> bool:
        listed = desk.call("GET", "/v1/agreements")["agreements"]
        return any(one["agr"] == agreement and one["state"] == "in_force" for one in listed)

    until(in_force, f"{party} to know the agreement")


# 2


def ask(stage: Stage) -> Scene:
    """An urgent request is allowed by a named clause, delivered, opened and answered."""
    north, south, content = stage.desk(NORTH), stage.desk(SOUTH), request()
    asked = draft(stage, TASK_FORCE, content, SOUTH)
    forecast = north.check(asked)
    expect(forecast["outcome"] == "permit", "the officer should be told beforehand that this may go")
    sent = north.send(asked)
    expect(sent["state"] == "sent", f"the request should be sent, not {sent['state']}")
    entry = prove(stage, sent["entry"], sent["proof"], f"proofs/request-{sent['index']}.tlog-proof")
    clause = entry.to[0].clauses[0]
    expect(clause == "ask", f"clause `ask` should allow it, not `{clause}`")
    south.await_message(sent["msg"])
    expect(south.open(sent["msg"]) == content, "the recipient should open exactly what was sealed")
    north.await_receipt(sent["msg"], SOUTH, "opened")

    answer, source = reply(content)
    answered = south.send(draft(stage, TASK_FORCE, answer, NORTH, re=sent["msg"]))
    expect(answered["state"] == "sent", f"the answer should be sent, not {answered['state']}")
    north.await_message(answered["msg"])
    told = north.open(answered["msg"])
    expect(told == answer, "the answer should be read exactly as it was written")
    south.await_receipt(answered["msg"], NORTH, "opened")
    for desk, msg, by in ((north, sent["msg"], SOUTH), (south, answered["msg"], NORTH)):
        keep_receipts(stage, desk, msg, by)
    _keep_entry_and_message(stage, north, sent)
    stage.facts |= {"request": sent, "content": content}
    stage.secrets |= words_of(content) | words_of(answer)
    body = len(unb64u(read_json(stage.facts["envelope"], limit=1 << 20)["sealed"]["body"]))
    said = (
        f"Northern police ask Southern police, urgently, about the boat {BOAT}. Another boat may sail tonight.",
        "An answer is due within 8 hours.",
        "Their node asks the agreements first: clause `ask` allows it. Then it is sealed, signed, kept, and sent.",
        f"Southern police open it and answer: {told['answer']['text']}",
        f"What is attached to the answer is public data: {source}."
        if "attachments" in answer
        else f"Its content is {source}.",
        "Both sides hold signed receipts, delivered and opened, each with a proof that the log has it.",
    )
    sees = {
        "Northern police": "everything: they wrote it; two receipts",
        "Southern police": "everything, once their node has made every check of the protocol",
        "the broker": f"{NORTH} -> {SOUTH}, type info_request, urgency u_direct, clause ask, {body} sealed bytes",
        "the log": f"entry {sent['index']}: digests and handling marks, for every party to check",
        "everybody else": "nothing but that the log has grown",
    }
    facts = {"message": sent["msg"], "answer": answered["msg"], "clause": clause, "index": sent["index"]}
    return Scene(said, sees, {**facts, "content": source, "receipts": {"north": "opened", "south": "opened"}})


def _keep_entry_and_message(stage: Stage, desk: Any, sent: dict[str, Any]) -> None:
    exported = desk.export(sent["msg"])
    stage.facts["envelope"] = write_json(exported["envelope"])
    stage.keep_evidence("messages/request.envelope.json", stage.facts["envelope"])
    stage.keep_evidence(f"proofs/request-{sent['index']}.entry.json", unb64u(sent["entry"]))


# 3


def no_clause(stage: Stage) -> Scene:
    """What no clause covers is denied, and the denial says which clause came nearest and what it missed."""
    asked = draft(stage, TASK_FORCE, stage.facts["content"], FIU)
    denied = stage.desk(NORTH).send(asked, ruling=True)
    expect(denied["state"] == "denied", f"the broker should deny it, not leave it {denied['state']}")
    expect(denied["code"] == "no_clause", f"the reason should be `no_clause`, not `{denied['code']}`")
    entry = prove(stage, denied["entry"], denied["proof"], f"proofs/denial-{denied['index']}.tlog-proof")
    nearest = denied["reasons"]["recipients"][0]["nearest"]
    missed = {near["clause"]: [condition["member"] for condition in near["missed"]] for near in nearest}
    expect(missed.get("ask") == ["to"], f"clause `ask` should miss the recipient alone: {missed}")
    expect(missed.get("ask-fiu") == ["cats"], f"clause `ask-fiu` should miss the categories alone: {missed}")
    expect(entry.to[0].nearest in missed, "the log should name the nearest clause too")
    said = (
        "Northern police send the same request to the Financial Intelligence Unit. No clause covers that: denied.",
        *(f"{how}: {near['sentence']}." for how, near in zip(("Nearest", "Next"), nearest, strict=False)),
        f"The denial is a decision like any other, so it is logged: entry {denied['index']}.",
    )
    sees = {
        "Northern police": "the code, the nearest clauses and exactly what each missed",
        "the FIU": "nothing: nothing was delivered",
        "the auditor": "who tried what, and why not; the decision can be made again from the log",
    }
    facts = {"message": denied["msg"], "code": denied["code"], "nearest": missed, "index": denied["index"]}
    return Scene(said, sees, facts)


# 5


def repeat(stage: Stage) -> Scene:
    """The same bytes again get the first answer again, and disclose nothing twice."""
    before = stage.caller(NORTH).checkpoint()
    answer = stage.caller(NORTH).submit(stage.facts["envelope"])
    first = stage.facts["request"]
    expect(answer.entry == unb64u(first["entry"]), "the entry should be the first one")
    index, _ = verify_tlog_proof(answer.proof, answer.entry, stage.federation.directory.root.log)
    expect(index == first["index"], "it should stand where it stood")
    size, grown = _size(before), _size(stage.caller(NORTH).checkpoint())
    expect(size == grown, "the log should not have grown")
    said = (
        "The sender's line broke, say, and it sends the very same bytes again.",
        f"It gets its first answer again: entry {index}. The log still has {size} entries, the recipient one message.",
    )
    return Scene(said, facts={"index": index, "log_size": size, "outcome": answer.outcome})


def _size(checkpoint: str) -> int:
    return int(checkpoint.splitlines()[1])


# 6


def attack(stage: Stage) -> Scene:
    """An altered byte and a stolen envelope: every one refused, by name."""
    url, envelope = f"http://{stage.broker_address}", stage.facts["envelope"]
    keys, now = stage.federation.identities, stage.now
    found = {
        "a byte altered on the way": theft.altered_on_the_way(url, keys[NORTH], envelope, now()),
        "a whole call recorded and made again": theft.replayed(url, keys[NORTH], envelope, now()),
        "a manifest changed by someone at the sender's own line": theft.changed_manifest(
            url, keys[NORTH], envelope, now()
        ),
        "a sealed body changed at the same place": theft.changed_body(url, keys[NORTH], envelope, now()),
        "a stolen envelope sent in the thief's own name": theft.stolen(url, keys[BORDER], envelope, now()),
    }
    wanted = ("content_digest_mismatch", "call_replayed", "signature_invalid", "seal_mismatch", "sender_mismatch")
    for (what, (_, code)), want in zip(found.items(), wanted, strict=True):
        expect(code == want, f"{what} should be refused as `{want}`, not `{code}`")
    index, forged = _resigned(stage)
    said = (
        *(f"{what[0].upper()}{what[1:]}: refused, `{code}` (HTTP {status})." for what, (status, code) in found.items()),
        f"The thief signs the stolen manifest anew as its own, so it is logged (entry {index}) and delivered.",
        f"But the seal is bound to its true sender and opens for nobody: `{forged}`, says the signed receipt.",
        "And the border guard's own auditor finds the theft: the log has a message that is not in their ledger.",
    )
    refusals = {what: code for what, (_, code) in found.items()}
    return Scene(said, facts={"refused": refusals, "resigned": {"index": index, "rejected": forged}})


def _resigned(stage: Stage) -> tuple[int, str]:
    thief = stage.federation.identities[BORDER]
    forged = theft.resigned(thief, stage.facts["envelope"], stage.now())
    answer = stage.caller(BORDER).submit(forged)
    expect(answer.outcome == "permit", "the agreement lets the border guard write to the police")
    index, _ = verify_tlog_proof(answer.proof, answer.entry, stage.federation.directory.root.log)
    south = stage.desk(SOUTH)
    rejected = until(lambda: _rejected(south, answer.msg), "the police to reject the forgery")
    expect(rejected == "unsealing_failed", f"it should fail to unseal, not `{rejected}`")
    findings = stage.desk(BORDER, "auditor").call("GET", "/v1/reconciliation")["findings"]
    found = [finding["code"] for finding in findings if finding["evidence"].get("msg") == answer.msg]
    expect(found == ["not_in_ledger"], f"the robbed agency's auditor should find the forgery: {findings}")
    return index, rejected


def _rejected(desk: Any, msg: str) -> str | None:
    listed = desk.call("GET", "/v1/inbox")["rejected"]
    return next((one["code"] for one in listed if one["msg"] == msg), None)


STEPS: Final = (
    Step("agreement", "The agencies enrol, and agree", agree, "A message, and what stands in its way"),
    Step("urgent_request", "An urgent request is allowed, delivered, opened and answered", ask),
    Step("no_clause", "What no clause covers is denied", no_clause),
    Step("victim_data", "Victim data goes to those who help, and a name to one of them", protect),
    Step("same_bytes", "The same bytes again: the first answer again", repeat),
    Step("attacks", "An altered byte, a stolen envelope", attack),
    Step("drafting", "Before anybody signs: what is wrong, what would it allow?", drafting, "Agreements that run"),
    Step("consent", "Passed on only as far as its originator agreed", consent),
    Step("recall", "A recall goes down the whole tree, and silence has a name", recall),
    Step("firewall", "Nobody learns who fled from them", firewall),
    Step("time", "What time does: an answer, a silence, an end", let_time_pass),
    Step("asking", "An auditor asks, and the asking is in the book", asking, "Three books"),
    Step("books", "Six ledgers against the log, and a sender who denies", books),
    Step("lies", "A recipient and the broker write their books anew", lies),
    Step("two_logs", "A broker with two faces", two_logs),
    Step("shredding", "An old month forgets its names, and still verifies", shredding),
    Step("audit", "An auditor, with no server running", audit, "When everybody has gone"),
    Step("tampered", "The broker's database is edited behind its back", tamper),
)
