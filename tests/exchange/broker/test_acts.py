"""What becomes of acts and of messages derived from others, also when a node lies. `spec/admission.md`, `spec/http.md`.

Every call goes through the app, proved and with its answer's proof verified; every consent is really signed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from exchange.audit.export import verify_export
from exchange.broker.jobs_acts import MAX_ACTS, ActGiven
from exchange.broker.jobs_rules import NoticeGiven
from exchange.commands_audit import app as audit
from exchange.protocol.act import read_act, sign_act, write_act
from exchange.protocol.content import parse_content, write_content
from exchange.protocol.log import parse_entry, verify_tlog_proof
from exchange.protocol.message import parse
from keys.encoding import read_json, unb64u
from keys.signing import Typ, parse_statement, sign
from tests.exchange.broker.office import CONTENT, FIU, NGO, NORTH, SOUTH, Got, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def digest_of(envelope: bytes) -> str:
    return parse(envelope).digest


def proved(office: Office, answer: Any) -> Any:
    entry = unb64u(answer["entry"])
    index, _ = verify_tlog_proof(answer["proof"], entry, office.cast.directory.root.log)
    return index, parse_entry(entry)


def agree(office: Office, *parties: str, onward: str = "by_consent", **changes: Any) -> str:
    """An agreement under which any of its parties may tell any other, and pass on as ``onward`` says."""
    terms = read_json(office.cast.agreement(*parties).payload, limit=100_000)
    (clause,) = terms["clauses"]
    clause |= {"to": ["party:any"], "conditions": {**clause["conditions"], "onward": onward}}
    return office.agree(*parties, clauses=[clause], **changes)


def told(office: Office, agreement: str, sender: str, *to: str, **changes: Any) -> str:
    """Send a message; its digest."""
    got = office.submit(office.derived(agreement, *to, sender=sender, **changes), sender)
    assert (got.status, got.json.get("code")) == (200, "permitted"), got.body
    return str(got.json["msg"])


def tell(office: Office, agreement: str, sender: str, *to: str, src: tuple[str, ...], **changes: Any) -> Any:
    """Send a message derived from others; what the broker says."""
    return office.submit(office.derived(agreement, *to, sender=sender, src=src, **changes), sender).json


def consent(office: Office, msg: str, holder: str = SOUTH, to: tuple[str, ...] = (FIU,), **changes: Any) -> Got:
    by = changes.pop("by", NORTH)
    members = {"want": "onward", "holder": holder, "to": to, "purposes": ["investigate"], "fields": [""],
               "until": office.clock.now + timedelta(days=30), **changes}  # fmt: skip
    return office.act("consent", by, msg, **members)


def kinds(office: Office, who: str) -> list[str]:
    return [item["kind"] for item in office.mailbox(who)["items"] if item["kind"] != "agreement"]


# --- acts --------------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-44", "HTTP-45", "ADM-54", "ADM-55", "ADM-56", "ACT-10")
def test_an_act_is_logged_once_and_is_in_the_mailbox_of_those_it_is_addressed_to(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    ask = office.cast.act(
        "ask", SOUTH, msg, office.clock.now, want="onward", to=[FIU], purposes=["investigate"], fields=[""],
        until=office.clock.now + timedelta(days=7),
    )  # fmt: skip
    first = office.statement(SOUTH, "/v1/acts", ask)
    assert (first.status, first.json["act"]) == (200, parse_statement(ask).digest)
    index, entry = proved(office, first.json)
    assert (entry.typ, entry.act, entry.by, entry.msg) == ("act", "ask", SOUTH, msg)
    size = office.size
    office.clock.advance(days=40)  # long after its time, and after its keys might have ended
    again = office.statement(SOUTH, "/v1/acts", ask)
    assert {**again.json, "proof": ""} == {**first.json, "proof": ""}
    assert office.size == size
    (item,) = [i for i in office.mailbox(NORTH)["items"] if i["kind"] == "act"]
    assert (item["seq"], item["statement"]) == (index, json.loads(ask))
    assert proved(office, item) == (index, entry)
    assert [kinds(office, who) for who in (SOUTH, FIU, NGO)] == [["message"], [], []]


@pytest.mark.spec("ADM-54", "ADM-55", "ACT-8")
def test_an_act_by_somebody_without_the_standing_is_refused_and_leaves_no_trace(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg, now = told(office, agreement, NORTH, SOUTH), office.clock.now
    recall = office.act("recall", NORTH, told(office, agreement, NORTH, FIU), ground="unlawful")
    size, mail = office.size, {who: kinds(office, who) for who in (NORTH, SOUTH, FIU, NGO)}
    until = now + timedelta(days=7)
    ask = {"want": "onward", "to": [NGO], "purposes": ["investigate"], "fields": [""], "until": until}
    lies = [
        (SOUTH, "recall", msg, {"ground": "unlawful"}, "act_not_theirs"),
        (FIU, "restrict", msg, {"ground": "unlawful"}, "act_not_theirs"),
        (SOUTH, "consent", msg, {**ask, "holder": SOUTH}, "act_not_theirs"),
        (NORTH, "consent", msg, {**ask, "holder": FIU}, "act_refused"),
        (FIU, "ask", msg, ask, "act_not_theirs"),
        (NORTH, "ask", msg, ask, "act_not_theirs"),
        (FIU, "answer", msg, {"re": recall.json["act"], "outcome": "erased"}, "act_not_theirs"),
        (SOUTH, "answer", msg, {"re": recall.json["act"], "outcome": "erased"}, "act_refused"),
        (FIU, "erased", msg, {"cause": "recall"}, "act_not_theirs"),
        (SOUTH, "acknowledge", msg, {}, "act_refused"),
        (NORTH, "withdraw", msg, {"re": "A" * 43}, "act_refused"),
        (NORTH, "decline", msg, {"re": "A" * 43, "ground": "cannot_respond"}, "act_refused"),
        (NORTH, "rectify", msg, {"ground": "inaccurate", "by_msg": "A" * 43}, "act_refused"),
    ]
    for by, kind, about, members, code in lies:
        got = office.act(kind, by, about, **members)
        assert got.json.get("code") == code, (by, kind, got.body)
        assert got.status in (403, 422)
    unknown, others = (
        office.act("erased", FIU, "A" * 43, cause="recall"),
        office.act("erased", FIU, msg, cause="recall"),
    )
    assert unknown.status in (403, 422)
    assert msg not in others.json["detail"]
    honest = office.cast.act("recall", NORTH, msg, now, ground="unlawful")
    assert office.statement(SOUTH, "/v1/acts", honest).code == "sender_mismatch"
    forged = json.loads(honest)
    forged["payload"] = json.loads(office.cast.act("restrict", NORTH, msg, now, ground="unlawful"))["payload"]
    assert office.statement(NORTH, "/v1/acts", json.dumps(forged).encode()).code == "signature_invalid"
    foreign = office.cast.act("recall", SOUTH, msg, now, ground="unlawful")
    named = {**json.loads(foreign), "payload": json.loads(honest)["payload"]}
    assert office.statement(NORTH, "/v1/acts", json.dumps(named).encode()).code in (
        "key_not_theirs",
        "signature_invalid",
    )
    late = office.cast.act("recall", NORTH, msg, now + timedelta(minutes=6), ground="unlawful")
    assert office.statement(NORTH, "/v1/acts", late).code == "act_refused"
    assert office.statement(NORTH, "/v1/acts", office.cast.agreement(NORTH, SOUTH).to_bytes()).status >= 400
    assert office.size == size
    assert {who: kinds(office, who) for who in mail} == mail


@pytest.mark.spec("ADM-58", "HTTP-14")
def test_nobody_floods_another_with_acts_about_one_message(office: Office) -> None:
    msg = told(office, agree(office, NORTH, SOUTH, FIU), NORTH, SOUTH)
    members = {"want": "purpose", "purposes": ["investigate"], "fields": [""]}

    def ask(minutes: int) -> Any:
        until = office.clock.now + timedelta(days=7, minutes=minutes)
        return office.acall(
            SOUTH, "POST", "/v1/acts", office.cast.act("ask", SOUTH, msg, office.clock.now, until=until, **members),
            media="application/jose+json",
        )  # fmt: skip

    said = office.together(*[ask(n) for n in range(MAX_ACTS + 1)])
    assert [got.status for got in said] == [200] * MAX_ACTS + [409]
    assert said[-1].code == "acts_exceeded"
    assert office.act("answer", SOUTH, msg, re="A" * 43, outcome="erased").code == "act_refused"  # others are not full
    charged: list[int] = []
    office.broker._charge = lambda _caller, cost: charged.append(cost)
    assert consent(office, msg, to=(FIU, NGO)).status == 200
    assert charged == [2]


@pytest.mark.spec("HTTP-14")
def test_whoever_has_a_large_tree_looked_at_pays_for_it_also_in_vain(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    office.submit_batch([office.derived(agreement, SOUTH, sender=NORTH, src=(msg,)) for _ in range(20)])
    charged: list[int] = []
    office.broker._charge = lambda _caller, cost: charged.append(cost)
    assert office.act("recall", FIU, msg, ground="unlawful").code == "act_not_theirs"
    assert charged == [2]


@pytest.mark.spec("HTTP-11", "ACT-2")
def test_an_act_is_no_larger_than_it_needs_to_be(office: Office) -> None:
    msg = told(office, agree(office, NORTH, SOUTH), NORTH, SOUTH)
    said = json.loads(
        parse_statement(office.cast.act("recall", NORTH, msg, office.clock.now, ground="unlawful")).payload
    )
    large = sign(json.dumps({**said, "by": "x" * 5000}).encode(), office.cast.identities[NORTH].signer, Typ.ACT)
    assert office.statement(NORTH, "/v1/acts", large.to_bytes()).code == "too_large"
    assert office.statement(NORTH, "/v1/acts", b"{" + b" " * 262_144).code == "too_large"
    noted = sign(json.dumps({**said, "note": "text"}).encode(), office.cast.identities[NORTH].signer, Typ.ACT)
    assert office.statement(NORTH, "/v1/acts", noted.to_bytes()).code == "act_malformed"
    as_notice = sign(json.dumps(said).encode(), office.cast.identities[NORTH].signer, Typ.NOTICE)
    assert office.statement(NORTH, "/v1/acts", as_notice.to_bytes()).code == "wrong_typ"
    assert office.call(NORTH, "POST", "/v1/acts", b"{}", media="text/plain").code == "media_type_unknown"


@pytest.mark.spec("ADM-54")
def test_an_act_by_a_key_that_was_revoked_meanwhile_is_refused_at_log_time(office: Office) -> None:
    from keys.ceremony import revoke

    msg = told(office, agree(office, NORTH, SOUTH), NORTH, SOUTH)
    record = office.cast.directory.agency(NORTH)
    given = office.cast.act("recall", NORTH, msg, office.clock.now, ground="unlawful")
    job = ActGiven(read_act(given, office.broker.directory, office.clock.now))
    office.clock.advance(seconds=1)
    revoked = revoke(
        office.cast.fed, record, [key.kid for key in record.keys if key.use == "sig"], office.cast.enrolment,
        reason="compromised", now=office.clock.now,
    )  # fmt: skip
    assert office.statement(NORTH, "/v1/records", revoked).status == 200
    office.clock.advance(seconds=1)
    (refused,) = office.broker.clerk.write_now([job])
    assert refused.code == "key_not_valid"


# --- messages derived from others --------------------------------------------------------------------


@pytest.mark.spec("ADM-50", "ADM-51", "HTTP-31", "AGR-43")
def test_a_derived_message_passes_with_the_originators_consent_and_not_without(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    said = tell(office, agreement, SOUTH, FIU, src=(msg,))
    assert (said["outcome"], said["code"]) == ("deny", "consent_missing")
    assert "consent" in json.dumps(said["explanation"])
    _, entry = proved(office, said)
    assert (entry.typ, entry.src, entry.code) == ("denial", (msg,), "consent_missing")
    assert kinds(office, FIU) == []
    assert consent(office, msg).status == 200
    said = tell(office, agreement, SOUTH, FIU, src=(msg,))
    assert (said["outcome"], said["explanation"]) == ("permit", None)
    assert proved(office, said)[1].src == (msg,)
    assert kinds(office, FIU) == ["act", "message"]


@pytest.mark.spec("ADM-51")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"holder": FIU, "to": (SOUTH,)}, "consent_missing"),
        ({"to": (NGO,)}, "consent_missing"),
        ({"purposes": ["victim_protection"]}, "consent_missing"),
        ({"want": "evidence", "to": None}, "consent_missing"),
    ],
)
def test_a_consent_for_others_or_for_something_else_lets_nothing_pass(
    office: Office, change: dict[str, Any], code: str
) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH, FIU)
    assert consent(office, msg, **change).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == code


@pytest.mark.spec("ADM-51", "ACT-12")
def test_a_consent_that_ended_or_was_withdrawn_lets_nothing_pass_any_more(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    assert consent(office, msg, until=office.clock.now + timedelta(hours=1)).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "permitted"
    office.clock.advance(hours=1)
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"
    given = consent(office, msg, until=office.clock.now + timedelta(hours=1)).json["act"]
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "permitted"
    assert office.act("withdraw", NORTH, msg, re=given).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"
    ended = office.cast.act(
        "consent", NORTH, msg, office.clock.now - timedelta(hours=2), want="onward", holder=SOUTH, to=[FIU],
        purposes=["investigate"], fields=[""], until=office.clock.now - timedelta(hours=1),
    )  # fmt: skip
    assert office.statement(NORTH, "/v1/acts", ended).code == "act_refused"


@pytest.mark.spec("ADM-51", "ADM-55", "ACT-5", "ACT-8")
def test_a_holder_cannot_make_itself_a_consent_nor_bring_one_back(office: Office) -> None:
    agreement, now = agree(office, NORTH, SOUTH, FIU), office.clock.now
    msg = told(office, agreement, NORTH, SOUTH)
    members = {"want": "onward", "holder": SOUTH, "to": [FIU], "purposes": ["investigate"], "fields": [""],
               "until": now + timedelta(days=1)}  # fmt: skip
    forged = write_act("consent", fed=office.cast.fed, by=NORTH, ts=now, msg=msg, **members)
    signed = sign_act(forged, office.cast.identities[SOUTH].signer)
    assert office.statement(SOUTH, "/v1/acts", signed).code == "key_not_theirs"
    own = office.cast.act("consent", SOUTH, msg, now, **members)
    assert office.statement(SOUTH, "/v1/acts", own).code == "act_not_theirs"
    elsewhere = write_act("consent", fed="A" * 43, by=NORTH, ts=now, msg=msg, **members)
    borrowed = sign_act(elsewhere, office.cast.identities[NORTH].signer)
    assert office.statement(NORTH, "/v1/acts", borrowed).code == "federation_mismatch"
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"
    honest = office.cast.act("consent", NORTH, msg, now, **members)
    first = office.statement(NORTH, "/v1/acts", honest)
    assert office.act("withdraw", NORTH, msg, re=first.json["act"]).status == 200
    assert office.statement(SOUTH, "/v1/acts", honest).code == "sender_mismatch"
    assert office.statement(NORTH, "/v1/acts", honest).json["entry"] == first.json["entry"]
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"


@pytest.mark.spec("ADM-51", "ACT-8")
def test_what_was_denied_was_disclosed_to_nobody_and_is_nobodys_source(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH)
    denied = tell(office, agreement, NORTH, FIU, src=())
    assert denied["code"] == "not_a_party"
    assert tell(office, agreement, NORTH, SOUTH, src=(denied["msg"],))["code"] == "source_unknown"
    assert office.act("recall", NORTH, denied["msg"], ground="unlawful").status in (403, 422)


@pytest.mark.spec("ADM-51", "MSG-34")
def test_a_sender_that_names_what_it_never_had_is_denied(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU, onward="within_parties")
    theirs = told(office, agreement, NORTH, FIU)
    mine = told(office, agreement, SOUTH, NORTH)
    assert tell(office, agreement, SOUTH, NORTH, src=(theirs,))["code"] == "source_unknown"
    assert tell(office, agreement, SOUTH, NORTH, src=("A" * 43,))["code"] == "source_unknown"
    assert tell(office, agreement, SOUTH, NORTH, src=tuple(sorted((mine, theirs))))["code"] == "source_unknown"
    assert tell(office, agreement, SOUTH, FIU, src=(mine,))["code"] == "permitted"


@pytest.mark.spec("ADM-51", "ACT-20")
def test_a_rule_is_not_washed_off_by_a_message_in_between(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU, onward="none")
    msg = told(office, agreement, NORTH, SOUTH)
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "onward_forbidden"
    note = tell(office, agreement, SOUTH, NORTH, src=(msg,))  # the originator may be told what came of its own
    assert note["code"] == "permitted"
    assert tell(office, agreement, SOUTH, FIU, src=(note["msg"],))["code"] == "onward_forbidden"
    assert tell(office, agreement, NORTH, FIU, src=(msg,))["code"] == "permitted"  # one's own


@pytest.mark.spec("ADM-52")
def test_a_message_from_too_long_a_chain_is_denied_and_one_shorter_is_not(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH)
    chain = [office.derived(agreement, SOUTH, sender=NORTH)]
    while len(chain) < 258:
        chain.append(office.derived(agreement, SOUTH, sender=NORTH, src=(digest_of(chain[-1]),)))
    said = [line["code"] for at in range(0, 258, 100) for line in office.submit_batch(chain[at : at + 100]).lines]
    assert said == ["permitted"] * 257 + ["source_unknown"]


@pytest.mark.spec("ADM-50", "ADM-59", "ADM-14")
def test_a_message_its_consent_what_is_derived_and_its_recall_may_come_in_one_group(office: Office) -> None:
    agreement, now = agree(office, NORTH, SOUTH, FIU), office.clock.now
    arrived, directory = office.broker._arrived, office.broker.directory

    def act(kind: str, msg: str, **members: Any) -> ActGiven:
        return ActGiven(read_act(office.cast.act(kind, NORTH, msg, now, **members), directory, now))

    origin = office.derived(agreement, SOUTH, sender=NORTH)
    msg = digest_of(origin)
    passed_on = [office.derived(agreement, FIU, sender=SOUTH, src=(msg,)) for _ in range(3)]
    until = now + timedelta(days=1)
    allow = act(
        "consent", msg, want="onward", holder=SOUTH, to=[FIU], purposes=["investigate"], fields=[""], until=until
    )
    jobs = [
        arrived(origin, NORTH), arrived(passed_on[0], SOUTH), allow, arrived(passed_on[1], SOUTH),
        act("recall", msg, ground="victim_safety"), arrived(passed_on[2], SOUTH), allow,
    ]  # fmt: skip
    size = office.size
    said = [json.loads(answer) for answer in office.broker.clerk.write_now(jobs)]
    codes = [one.get("code", "act") for one in said]
    assert codes == ["permitted", "consent_missing", "act", "permitted", "act", "source_stopped", "act"]
    assert said[6] == said[2]
    assert office.size == size + 6
    times = [entry["ts"] for entry in office.entries()[size:]]
    assert times == sorted(times)
    assert times[1] < times[2] <= times[3] < times[4] <= times[5]
    assert kinds(office, SOUTH) == ["recalled", "act", "act"]
    assert kinds(office, FIU) == ["act", "recalled", "act"]


@pytest.mark.spec("ADM-50")
def test_a_batch_may_hold_a_message_and_what_is_derived_from_it(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    one = office.derived(agreement, SOUTH, sender=NORTH)
    other = office.derived(agreement, FIU, sender=NORTH, src=(digest_of(one),))
    first, second = office.submit_batch([one, other]).lines
    assert (first["code"], second["code"]) == ("permitted", "permitted")
    backwards = office.derived(agreement, FIU, sender=SOUTH, src=(digest_of(one),))
    assert office.submit(backwards, SOUTH).json["code"] == "consent_missing"


def test_a_message_without_sources_costs_the_books_no_further_question(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH)
    envelopes = [office.derived(agreement, SOUTH, sender=NORTH) for _ in range(3)]
    asked: list[str] = []
    event.listen(
        office.broker._store._engines[0], "before_cursor_execute",
        lambda _c, _cursor, statement, _p, _context, _many: asked.append(statement.split()[0]),
    )  # fmt: skip
    office.submit_batch(envelopes)
    # Look at the head, look for earlier ones; then entries, messages, mail, two levels of tiles at most, the head.
    assert asked.count("SELECT") == 2
    assert len(asked) <= 9, asked


# --- refusals in two layers --------------------------------------------------------------------------


@pytest.mark.spec("AGR-43", "HTTP-31", "ADM-3")
def test_why_a_derived_message_was_denied_is_told_to_its_sender_alone(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    envelope = office.derived(agreement, FIU, sender=SOUTH, src=(msg,))
    said = office.submit(envelope, SOUTH).json
    sentence = said["explanation"]["recipients"][0]["sentence"]
    assert sentence
    assert office.submit(envelope, SOUTH).json == said  # also when it asks again
    for who in (NORTH, FIU, NGO):
        assert office.submit(envelope, who).code == "sender_mismatch"
        assert sentence not in json.dumps(office.mailbox(who))
    assert sentence.encode() not in b"".join(json.dumps(entry).encode() for entry in office.entries())


@pytest.mark.spec("ADM-9", "AGR-38")
def test_an_agreement_suspended_or_ended_between_arrival_and_commit_denies_and_says_so(office: Office) -> None:
    end = office.clock.now + timedelta(hours=1)
    agreement, other = agree(office, NORTH, SOUTH), agree(office, NORTH, SOUTH, id="short", end=end)
    arrived = [office.broker._arrived(office.derived(a, SOUTH, sender=NORTH), NORTH) for a in (agreement, other)]
    notice = parse_statement(office.cast.notice("suspend", agreement, SOUTH, office.clock.now).to_bytes())
    office.clock.now = end
    said = [json.loads(one) for one in office.broker.clerk.write_now([NoticeGiven(SOUTH, notice), *arrived])]
    assert [one.get("code") for one in said[1:]] == ["agreement_suspended", "agreement_expired"]
    for one, words in zip(said[1:], (f"`{SOUTH}` suspended", "ended at"), strict=True):
        assert words in one["explanation"]["recipients"][0]["sentence"]


# --- recalls -----------------------------------------------------------------------------------------


@pytest.mark.spec("ADM-57", "HTTP-46")
def test_what_is_recalled_before_it_is_collected_is_gone_and_its_number_is_settled(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    envelope = office.derived(agreement, SOUTH, FIU, sender=NORTH)
    sent = office.submit(envelope).json
    other = told(office, agreement, NORTH, SOUTH)
    before = [i for i in office.mailbox(FIU)["items"] if i["kind"] == "message"]
    assert len(before) == 1
    recalled = office.act("recall", NORTH, sent["msg"], ground="sent_in_error")
    assert recalled.status == 200
    for who in (SOUTH, FIU):
        item = next(i for i in office.mailbox(who)["items"] if i["kind"] == "recalled")
        assert set(item) == {"kind", "seq", "msg", "entry", "proof"}
        assert (item["msg"], item["seq"]) == (sent["msg"], proved(office, sent)[0])
        assert proved(office, item) == proved(office, sent)
        (act,) = [i for i in office.mailbox(who)["items"] if i["kind"] == "act"]
        assert act["entry"] == recalled.json["entry"]
    assert [i["kind"] for i in office.mailbox(SOUTH)["items"]].count("message") == 1
    with office.broker._store.reading() as view:
        bodies = view._connection.exec_driver_sql("SELECT digest, body FROM message").all()
        wraps = view._connection.exec_driver_sql("SELECT kind, wrap FROM mail").all()
    assert {name: body is None for name, body in bodies} == {sent["msg"]: True, other: False}
    assert all(wrap is None for kind, wrap in wraps if kind == "recalled")
    assert office.submit(envelope).json["outcome"] == "permit"  # asked again: the first answer
    assert office.broker.purge() == 0
    batch = office.cast.receipts(SOUTH, office.clock.now, (sent["msg"], "rejected", "recalled"))
    assert office.statement(SOUTH, "/v1/receipts", batch).status == 200


@pytest.mark.spec("ADM-57")
def test_of_what_was_recalled_nothing_lingers_in_the_file(office: Office) -> None:
    agreement, content = agree(office, NORTH, SOUTH), json.loads(CONTENT)
    long = {**content, "narrative": [{**content["narrative"][0], "text": "A grey van. " * 150}] * 20}
    written = write_content(parse_content(json.dumps(long).encode()))  # longer than a page of the database
    envelopes = [office.cast.compose(agreement, content=written) for _ in range(3)]
    assert {line["code"] for line in office.submit_batch(envelopes).lines} == {"permitted"}

    bodies = [parse(one).body for one in envelopes]

    def kept() -> list[bool]:
        plain = sqlite3.connect(office.path)
        assert plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        plain.close()
        held = office.path.read_bytes()
        return [any(body[at : at + 64] in held for at in range(0, len(body), 1024)) for body in bodies]

    assert kept() == [True] * 3
    assert office.act("recall", NORTH, digest_of(envelopes[1]), ground="victim_safety").status == 200
    assert kept() == [True, False, True]


@pytest.mark.spec("ADM-56", "ADM-57", "ACT-7", "ACT-13")
def test_a_recall_reaches_every_holder_down_the_tree_also_when_agreements_lapsed(office: Office) -> None:
    """MISP #4681 and #7409: there, what was shared on is never taken back. Here, all who hold it are told."""
    first = agree(office, NORTH, SOUTH, onward="by_consent")
    second = agree(office, SOUTH, FIU, id="second", onward="by_consent")
    third = agree(office, FIU, NGO, id="third", end=office.clock.now + timedelta(days=2))
    msg = told(office, first, NORTH, SOUTH)
    assert consent(office, msg, holder=SOUTH, to=(FIU, NGO)).status == 200
    passed = tell(office, second, SOUTH, FIU, src=(msg,))
    assert passed["code"] == "permitted"
    assert consent(office, msg, holder=FIU, to=(NGO,)).status == 200
    assert consent(office, passed["msg"], holder=FIU, to=(NGO,), by=SOUTH).status == 200
    last = tell(office, third, FIU, NGO, src=(passed["msg"],))
    assert last["code"] == "permitted"
    office.clock.advance(days=1)
    for act, agreement, by in (("suspend", first, SOUTH), ("leave", second, FIU)):
        notice = office.cast.notice(act, agreement, by, office.clock.now)
        assert office.statement(by, "/v1/agreements", notice.to_bytes()).status == 200
    office.clock.advance(days=2)  # and the third has ended
    assert tell(office, first, NORTH, SOUTH, src=(), now=office.clock.now)["code"] == "agreement_suspended"
    recalled = office.act("recall", NORTH, msg, ground="victim_safety")
    assert recalled.status == 200
    index, _ = proved(office, recalled.json)
    for who in (SOUTH, FIU, NGO):
        items = office.mailbox(who)["items"]
        assert [i["seq"] for i in items if i["kind"] == "act"][-1] == index
        assert "message" not in [i["kind"] for i in items]
        assert "recalled" in [i["kind"] for i in items]
    answers = [
        office.act("answer", SOUTH, msg, re=recalled.json["act"], outcome="erased"),
        office.act("answer", FIU, msg, re=recalled.json["act"], outcome="retained", ground="judicial_proceedings"),
        office.act("answer", NGO, msg, re=recalled.json["act"], outcome="erased"),
    ]
    assert [got.status for got in answers] == [200] * 3
    listed = [i for i in office.mailbox(NORTH)["items"] if i["kind"] == "act"]
    assert [proved(office, i)[1].by for i in listed[-3:]] == [SOUTH, FIU, NGO]
    assert tell(office, second, FIU, SOUTH, src=(passed["msg"],), now=office.clock.now)["outcome"] == "deny"


@pytest.mark.spec("ADM-56")
@pytest.mark.parametrize("kind", ["restrict", "rectify"])
def test_a_restriction_and_a_rectification_go_down_the_tree_and_stop_what_would_be_derived(
    office: Office, kind: str
) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    assert consent(office, msg).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "permitted"
    members = {"by_msg": told(office, agreement, NORTH, SOUTH)} if kind == "rectify" else {}
    assert office.act(kind, NORTH, msg, ground="inaccurate", **members).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "source_stopped"
    assert kinds(office, FIU) == ["act", "message", "act"]  # what was delivered is still there
    assert office.act(kind, SOUTH, msg, ground="inaccurate", **members).code == "act_not_theirs"


# --- counting ----------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-51")
def test_the_meters_count_acts_by_kind_denials_by_code_and_exemptions(office: Office) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH, exempt="sensitive_case")
    assert consent(office, msg).status == 200
    tell(office, agreement, SOUTH, NORTH, src=("A" * 43,))
    office.act("recall", SOUTH, msg, ground="unlawful")
    text = office.call(None, "GET", "/metrics").body.decode()
    assert 'ix_acts_total{act="consent"} 1.0' in text
    assert 'ix_copy_exemptions_total{code="sensitive_case"} 1.0' in text
    assert 'ix_messages_total{code="source_unknown",outcome="deny"} 1.0' in text
    assert 'ix_refusals_total{code="act_not_theirs"} 1.0' in text
    assert 'ix_rows{table="act"} 1.0' in text
    assert ".sim" not in text


# --- the whole of it, audited ------------------------------------------------------------------------


@pytest.mark.spec("LOG-42", "LOG-51", "ADM-51", "ADM-59")
def test_an_auditor_decides_what_was_derived_again_from_the_export_alone(office: Office, tmp_path: Path) -> None:
    agreement = agree(office, NORTH, SOUTH, FIU)
    msg = told(office, agreement, NORTH, SOUTH)
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"
    given = consent(office, msg).json["act"]
    passed = tell(office, agreement, SOUTH, FIU, src=(msg,))
    assert passed["code"] == "permitted"
    assert tell(office, agreement, FIU, NORTH, src=(passed["msg"],), now=office.clock.now)["code"] == "consent_missing"
    office.clock.advance(hours=1)
    assert office.act("withdraw", NORTH, msg, re=given).status == 200
    assert tell(office, agreement, SOUTH, FIU, src=(msg,))["code"] == "consent_missing"
    recall = office.act("recall", NORTH, msg, ground="victim_safety").json["act"]
    assert tell(office, agreement, SOUTH, NORTH, src=(msg,))["code"] == "source_stopped"
    for who in (SOUTH, FIU):
        assert office.act("answer", who, msg, re=recall, outcome="erased").status == 200
    proposal = office.cast.agreement(NORTH, SOUTH, signers=[NORTH], id="never-signed")
    assert office.statement(NORTH, "/v1/agreements", proposal.to_bytes()).json["state"] == "proposed"
    out = tmp_path / "evidence"
    done = CliRunner().invoke(audit, ["export", "--from", str(tmp_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert {path.stem for path in (out / "acts").iterdir()} >= {given, recall}
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    report = verify_export(files.get, fed=office.cast.fed, now=office.clock.now)
    assert [finding.sentence for finding in report.findings] == []
    (lost,) = [name for name in files if name == f"acts/{given}.json"]
    without = verify_export({**files, lost: None}.get, fed=office.cast.fed, now=office.clock.now)
    assert "file_missing" in [finding.code for finding in without.findings]
