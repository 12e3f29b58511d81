"""What becomes of all that is posted to a broker, and what it shows to whom. `spec/http.md`, `spec/admission.md`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit.export import verify_export
from exchange.broker.routes import read_mailbox_query
from exchange.commands_audit import app as audit
from exchange.protocol.log import bundle, parse_entry, verify_checkpoint, verify_tlog_proof
from exchange.protocol.merkle import Tree, entries_path, leaf_hash, tile_path, tiles
from exchange.protocol.message import MEDIA_TYPE, NDJSON, Parcel, open_parcel, parse
from keys.ceremony import amend, enrol, revoke, rotate
from keys.encoding import unb64u
from keys.errors import Refusal
from keys.keystore import Identity
from keys.signing import Typ, sign
from keys.trust import Directory
from tests.exchange.broker.office import CONTENT, FIU, NGO, NORTH, ROLES, SOUTH, Got, Office, open_office
from tests.vectors.stage import resigned

JOSE = "application/jose+json"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def digest_of(envelope: bytes) -> str:
    return parse(envelope).digest


def proved(office: Office, answer: Any) -> Any:
    """The entry of an answer or item, whose proof was verified."""
    entry = unb64u(answer["entry"])
    index, _ = verify_tlog_proof(answer["proof"], entry, office.cast.directory.root.log)
    return index, parse_entry(entry)


# --- messages ----------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-30", "HTTP-31", "HTTP-33", "HTTP-34", "ADM-1", "ADM-9", "ADM-10", "ADM-11")
def test_a_permitted_message_is_logged_delivered_and_opened(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelope = office.cast.compose(agreement)
    got = office.submit(envelope)
    assert (got.status, got.json["outcome"], got.json["code"]) == (200, "permit", "permitted")
    assert (got.json["msg"], got.json["explanation"]) == (digest_of(envelope), None)
    index, entry = proved(office, got.json)
    assert (entry.typ, entry.msg, entry.to[0].clauses) == ("disclosure", digest_of(envelope), ("c1",))
    (item,) = [i for i in office.mailbox(SOUTH)["items"] if i["kind"] == "message"]
    assert item["seq"] == index
    opened = open_parcel(
        Parcel.from_json(item),
        me=SOUTH,
        opening_keys={k.public.kid: k for k in office.cast.identities[SOUTH].openings},
        directory=office.cast.directory,
        log=office.cast.directory.root.log,
        now=office.clock.now,
    )
    assert opened.content_bytes == CONTENT


@pytest.mark.spec("HTTP-31", "ADM-10")
def test_a_denial_is_an_answer_with_reasons_for_the_sender_alone_and_nothing_is_delivered_or_kept(
    office: Office,
) -> None:
    agreement = office.agree(NORTH, SOUTH, NGO)
    envelope = office.cast.compose(agreement, NGO)
    got = office.submit(envelope)
    assert (got.status, got.json["outcome"], got.json["code"]) == (200, "deny", "no_clause")
    _, entry = proved(office, got.json)
    assert (entry.typ, entry.to[0].id, entry.to[0].nearest) == ("denial", NGO, "c1")
    assert got.json["explanation"]["recipients"][0]["nearest"][0]["clause"] == "c1"
    assert [i["kind"] for i in office.mailbox(NGO)["items"]] == ["agreement"]
    body = parse(envelope).body
    assert body[200:400] not in office.path.read_bytes() + office.path.with_name("broker.db-wal").read_bytes()


@pytest.mark.spec("ADM-8")
def test_the_same_message_a_hundred_times_is_one_entry_and_one_answer(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    first, size = office.submit(envelope).json, office.size
    for _ in range(60):
        assert office.submit(envelope).json == first
    again = office.submit_batch([envelope] * 40).lines
    assert again == [first] * 40
    assert office.size == size
    assert len([i for i in office.mailbox(SOUTH)["items"] if i["kind"] == "message"]) == 1


@pytest.mark.spec("ADM-8")
def test_the_first_answer_is_given_again_long_after_with_a_newer_proof(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelope = office.cast.compose(agreement)
    first = office.submit(envelope).json
    office.submit(office.cast.compose(agreement))
    office.clock.advance(days=30)
    again = office.submit(envelope).json
    assert {**again, "proof": ""} == {**first, "proof": ""}
    assert proved(office, again) == proved(office, first)


@pytest.mark.spec("ADM-8")
def test_an_id_used_for_another_message_is_refused_also_in_one_batch(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    one = office.cast.compose(agreement)
    other = office.cast.compose(agreement, id=parse(one).manifest.id)
    first, second, third = office.submit_batch([one, other, one]).lines
    assert (first["code"], second["code"], third) == ("permitted", "id_reused", first)
    assert office.submit(other).code == "id_reused"
    assert (
        office.submit(office.cast.compose(agreement, NORTH, sender=SOUTH, id=parse(one).manifest.id), SOUTH).status
        == 200
    )


@pytest.mark.spec("ADM-3")
def test_a_stolen_envelope_is_refused_by_name_to_anybody_but_its_sender(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    size = office.size
    assert office.submit(envelope, SOUTH).code == "sender_mismatch"
    theirs = resigned(envelope, _Stage(office), lambda manifest: None, by=SOUTH)  # type: ignore[arg-type]  # as much as it needs
    assert office.submit(theirs, NORTH).code == "key_not_theirs"
    renamed = resigned(envelope, _Stage(office), lambda m: m.update({"from": SOUTH}), by=SOUTH)  # type: ignore[arg-type]
    got = office.submit(renamed, SOUTH)  # in their own name they may say what they like, but it opens for nobody
    assert got.json["code"] in ("permitted", "no_clause")
    assert office.size == size + 1


class _Stage:
    def __init__(self, office: Office) -> None:
        self.office = office

    def __getitem__(self, agency: str) -> Identity:
        return self.office.cast.identities[agency]


@pytest.mark.spec("ADM-1", "ADM-2", "ADM-5", "ADM-6", "ADM-7", "HTTP-20", "HTTP-21")
def test_what_is_wrong_with_an_envelope_is_refused_by_its_own_code_and_leaves_no_trace(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    good = office.cast.compose(agreement)
    value = json.loads(good)
    flipped = {**value, "signatures": [value["signatures"][0], {**value["signatures"][1], "signature": "AAAA"}]}
    swapped = json.loads(office.cast.compose(agreement))["sealed"]
    wrong = {
        "malformed": b"{",
        "envelope_malformed": b'{"a":1}',
        "federation_mismatch": office.cast.compose(agreement, fed=agreement),
        "signature_invalid": json.dumps(flipped).encode(),
        "wrong_algorithm": json.dumps({**value, "signatures": value["signatures"][:1]}).encode(),
        "seal_mismatch": json.dumps({**value, "sealed": swapped}).encode(),
        "message_expired": office.cast.compose(agreement, now=office.clock.now.replace(year=2025)),
        "message_time": office.cast.compose(agreement, now=office.clock.now.replace(year=2027)),
    }
    size = office.size
    for code, envelope in wrong.items():
        got = office.submit(envelope)
        assert (got.code, got.headers["content-type"]) == (code, "application/problem+json")
        assert got.status == got.json["status"] >= 400
    assert office.size == size


@pytest.mark.spec("HTTP-32", "ADM-13")
def test_a_batch_is_answered_line_by_line_in_order_whatever_its_lines_are(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH, NGO)
    good = [office.cast.compose(agreement) for _ in range(9)]
    lines = [good[0], b"", good[1], b"{", b"[]", office.cast.compose(agreement, NGO), good[0], *good[2:], b"\xff"]
    got = office.submit_batch(lines)
    said = [line.get("outcome") or line["code"] for line in got.lines]
    assert said == [
        "permit",
        "malformed",
        "permit",
        "malformed",
        "envelope_malformed",
        "deny",
        *["permit"] * 8,
        "malformed",
    ]
    permitted = [line["msg"] for line in got.lines if line.get("outcome") == "permit"]
    assert permitted == [digest_of(e) for e in [good[0], good[1], good[0], *good[2:]]]
    indexes = [proved(office, line)[0] for line in got.lines if "entry" in line]
    assert indexes == [indexes[0], indexes[0] + 1, indexes[0] + 2, indexes[0], *range(indexes[0] + 3, indexes[0] + 10)]


@pytest.mark.spec("ADM-13", "HTTP-12")
def test_a_batch_has_one_to_a_hundred_lines_and_the_right_name(office: Office) -> None:
    assert office.submit_batch([]).code == "malformed"
    assert office.call(NORTH, "POST", "/v1/messages", b"", media=NDJSON).code == "malformed"
    assert len(office.submit_batch([b"{}"] * 100).lines) == 100
    assert office.submit_batch([b"{}"] * 101).code == "too_large"
    assert office.call(NORTH, "POST", "/v1/messages", b"{}", media="text/plain").code == "media_type_unknown"
    assert office.call(NORTH, "POST", "/v1/receipts", b"{}", media=MEDIA_TYPE).code == "media_type_unknown"


def test_many_callers_at_once_are_written_in_few_groups(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelopes = [office.cast.compose(agreement) for _ in range(30)]
    groups: list[int] = []
    told = office.broker.clerk.told
    office.broker.clerk.told = lambda group, recipients: (groups.append(group.jobs), told(group, recipients))
    got = office.together(*[office.acall(NORTH, "POST", "/v1/messages", e, media=MEDIA_TYPE) for e in envelopes])
    assert [g.json["msg"] for g in got] == [digest_of(e) for e in envelopes]
    assert sum(groups) == 30
    assert len(groups) < 15
    assert sorted(proved(office, g.json)[0] for g in got) == list(range(office.size - 30, office.size))


# --- mailboxes ---------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-33", "HTTP-34")
def test_an_agency_sees_its_own_items_and_its_own_wrap_only(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH, FIU, clauses=_everybody(office))
    envelope = office.cast.compose(agreement, SOUTH, FIU)
    assert office.submit(envelope).json["outcome"] == "permit"
    wraps = dict(zip((SOUTH, FIU), (wrap for _, wrap in parse(envelope).wraps), strict=True))
    for agency in (SOUTH, FIU):
        (item,) = [i for i in office.mailbox(agency)["items"] if i["kind"] == "message"]
        assert unb64u(item["wrap"]) == wraps[agency]
        assert set(item) == {"kind", "seq", "payload", "signatures", "wrap", "body", "entry", "proof"}
    assert [i["kind"] for i in office.mailbox(NORTH)["items"]] == ["agreement"]
    assert office.mailbox(NGO)["items"] == []


def _everybody(office: Office) -> list[Any]:
    from keys.encoding import read_json

    terms = read_json(office.cast.agreement(NORTH, SOUTH).payload, limit=100_000)
    return [{**terms["clauses"][0], "to": ["party:any"]}]


@pytest.mark.spec("HTTP-33")
def test_a_mailbox_is_read_in_pages_and_shows_the_same_again(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelopes = [office.cast.compose(agreement) for _ in range(5)]
    office.submit_batch(envelopes)
    cursor, seen = -1, list[int]()
    while True:
        page = office.mailbox(SOUTH, cursor, limit=2)
        assert page == office.mailbox(SOUTH, cursor, limit=2)
        if not page["items"]:
            break
        seen += [item["seq"] for item in page["items"]]
        cursor = page["next"]
    assert len(seen) == 6
    assert seen == sorted(seen)
    assert cursor == seen[-1]


@pytest.mark.spec("HTTP-13", "HTTP-33")
@pytest.mark.parametrize(
    "query",
    ["after=-2", "limit=0", "limit=201", "wait=-1", "after=x", "after=1&after=2", "to=a", "after", "after=1e3", "&"],
)
def test_a_mailbox_query_out_of_range_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_mailbox_query(query)
    assert caught.value.code == "parameter_invalid"


def test_a_mailbox_query_in_range_is_read() -> None:
    assert read_mailbox_query("") == (-1, 100, 0)
    assert read_mailbox_query("wait=9&after=7&limit=200") == (7, 200, 9)


@pytest.mark.spec("HTTP-35")
def test_a_long_poll_wakes_up_when_mail_comes(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    after = office.mailbox(SOUTH)["next"]

    async def scene() -> tuple[Got, float]:
        loop = asyncio.get_running_loop()
        poll = asyncio.create_task(office.acall(SOUTH, "GET", "/v1/mailbox", query=f"after={after}&wait=20"))
        await asyncio.sleep(0.12)
        began = loop.time()
        await office.acall(NORTH, "POST", "/v1/messages", office.cast.compose(agreement), media=MEDIA_TYPE)
        return await poll, loop.time() - began

    ((got, seconds),) = office.together(scene())
    assert [i["kind"] for i in got.json["items"]] == ["message"]
    assert seconds < 5


@pytest.mark.spec("HTTP-35")
def test_four_calls_of_an_agency_wait_and_a_fifth_is_answered_at_once(office: Office) -> None:
    begun = time.monotonic()

    async def waits(who: str) -> float:
        await office.acall(who, "GET", "/v1/mailbox", query="after=99&wait=1")
        return time.monotonic() - begun

    took = sorted(office.together(*[waits(NORTH) for _ in range(6)], waits(SOUTH)))
    assert [seconds > 0.9 for seconds in took] == [False] * 2 + [True] * 5


@pytest.mark.spec("HTTP-35")
def test_who_waits_in_vain_costs_no_query_of_the_mailbox(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    honest = office.broker._mail
    monkeypatch.setattr(office.broker, "_mail", lambda who, *args: looks.append(who) or honest(who, *args))
    office.together(*[office.acall(who, "GET", "/v1/mailbox", query="wait=1") for who in (NORTH, SOUTH)])
    assert sorted(looks) == [NORTH] * 2 + [SOUTH] * 2  # on coming and in the end, not every 50 ms


@pytest.mark.spec("HTTP-35")
def test_a_long_poll_sees_what_another_process_wrote_and_gives_up_in_time(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    after = office.mailbox(SOUTH)["next"]
    second = office.second()

    async def scene() -> Got:
        poll = asyncio.create_task(office.acall(SOUTH, "GET", "/v1/mailbox", query=f"after={after}&wait=20"))
        await asyncio.sleep(0.05)
        await second.acall(NORTH, "POST", "/v1/messages", office.cast.compose(agreement), media=MEDIA_TYPE)
        return await poll

    try:
        (got,) = office.together(scene())
        assert [i["kind"] for i in got.json["items"]] == ["message"]
        assert office.mailbox(SOUTH, got.json["next"], wait=1) == {"items": [], "next": got.json["next"]}
    finally:
        second.close()


@pytest.mark.spec("ADM-15", "HTTP-34")
def test_an_expired_body_can_be_dropped_and_its_entry_stays(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    office.submit(envelope)
    assert office.broker.purge() == 0
    office.clock.advance(days=8)
    assert office.broker.purge() == 1
    assert office.broker.purge() == 0
    *_, item = office.mailbox(SOUTH)["items"]
    assert (item["kind"], item["msg"]) == ("expired", digest_of(envelope))
    assert proved(office, item)[1].msg == digest_of(envelope)
    assert office.submit(envelope).json["outcome"] == "permit"


# --- receipts ----------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-36", "ADM-20", "ADM-21", "ADM-22")
def test_a_receipt_is_logged_once_and_reaches_the_sender(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    office.submit(envelope)
    batch = office.cast.receipts(
        SOUTH, office.clock.now, (digest_of(envelope), "delivered"), (digest_of(envelope), "opened")
    )
    results = office.statement(SOUTH, "/v1/receipts", batch).json["results"]
    assert [(r["msg"], r["status"]) for r in results] == [
        (digest_of(envelope), "delivered"),
        (digest_of(envelope), "opened"),
    ]
    size = office.size
    assert office.statement(SOUTH, "/v1/receipts", batch).json["results"] == results
    again = office.cast.receipts(SOUTH, office.clock.advance(seconds=5), (digest_of(envelope), "opened"))
    assert office.statement(SOUTH, "/v1/receipts", again).json["results"] == results[1:]
    assert office.size == size
    items = [i for i in office.mailbox(NORTH)["items"] if i["kind"] == "receipt"]
    assert [proved(office, i)[1].status for i in items] == ["delivered", "opened"]
    assert items[0]["batch"] == json.loads(batch)


@pytest.mark.spec("ADM-20")
def test_only_a_recipient_may_give_a_receipt(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH, FIU)
    mine, denied = office.cast.compose(agreement), office.cast.compose(agreement, FIU)
    office.submit_batch([mine, denied])
    now, name = office.clock.now, digest_of(mine)
    stranger = office.cast.receipts(FIU, now, (name, "opened"))
    assert office.statement(FIU, "/v1/receipts", stranger).code == "receipt_not_theirs"
    assert office.statement(SOUTH, "/v1/receipts", stranger).code == "sender_mismatch"
    of_denied = office.cast.receipts(FIU, now, (digest_of(denied), "opened"))
    assert office.statement(FIU, "/v1/receipts", of_denied).code == "receipt_not_theirs"
    mixed = office.cast.receipts(SOUTH, now, (digest_of(denied), "opened"), (name, "rejected", "misdeclared"))
    other, good = office.statement(SOUTH, "/v1/receipts", mixed).json["results"]
    assert other["problem"]["code"] == "receipt_not_theirs"
    assert proved(office, good)[1].code == "misdeclared"


# --- agreements --------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-37", "HTTP-38", "HTTP-39", "ADM-30", "ADM-31")
def test_an_agreement_counts_once_every_party_has_signed(office: Office) -> None:
    parties = (NORTH, SOUTH, FIU)
    offers = {p: office.cast.agreement(*parties, signers=[p]) for p in parties}
    agreement = offers[NORTH].digest
    first = office.statement(NORTH, "/v1/agreements", offers[NORTH].to_bytes()).json
    assert {**first, "signatures": 1} == {"agr": agreement, "state": "proposed", "signed_by": [NORTH], "signatures": 1}
    assert office.submit(office.cast.compose(agreement)).json["code"] == "agreement_unknown"
    assert [one["agr"] for one in office.proposals(SOUTH)] == [agreement]
    assert office.proposals(NGO) == []
    assert office.call(NGO, "GET", "/v1/agreements").json == {"agreements": [], "notices": [], "next": -1}
    assert office.statement(NGO, "/v1/agreements", offers[SOUTH].to_bytes()).code == "agreement_not_theirs"
    office.statement(FIU, "/v1/agreements", offers[SOUTH].to_bytes())  # any party may bring another's signature
    last = office.statement(FIU, "/v1/agreements", offers[FIU].to_bytes()).json
    assert (last["state"], sorted(last["signed_by"])) == ("complete", sorted(parties))
    index, entry = proved(office, last)
    assert (entry.typ, entry.agr, entry.parties) == ("agreement", agreement, parties)
    assert office.statement(SOUTH, "/v1/agreements", offers[SOUTH].to_bytes()).json["entry"] == last["entry"]
    (listed,) = office.call(NGO, "GET", "/v1/agreements").json["agreements"]
    assert len(listed["statement"]["signatures"]) == 6
    assert proved(office, listed)[0] == index == listed["seq"]
    for party in parties:
        assert [(i["kind"], i["seq"]) for i in office.mailbox(party)["items"]] == [("agreement", index)]
    assert office.submit(office.cast.compose(agreement)).json["code"] == "permitted"


@pytest.mark.spec("ADM-34", "HTTP-38", "HTTP-43")
def test_every_signature_is_logged_when_it_comes_once_and_before_the_agreement(office: Office) -> None:
    parties = (NORTH, SOUTH, FIU)
    offers = {p: office.cast.agreement(*parties, signers=[p]) for p in parties}
    agreement, size = offers[NORTH].digest, office.size
    said = [office.statement(NORTH, "/v1/agreements", offers[NORTH].to_bytes()).json for _ in range(2)]
    assert said[0] == said[1]
    index, entry = proved(office, said[0]["signatures"][0])
    assert (index, entry.typ, entry.agr, entry.by) == (size, "signature", agreement, NORTH)
    assert office.size == size + 1
    office.statement(SOUTH, "/v1/agreements", offers[SOUTH].to_bytes())
    (proposal,) = office.proposals(FIU)
    assert (proposal["proposer"], proposal["signed_by"], proposal["missing"]) == (NORTH, [SOUTH, NORTH], [FIU])
    assert proposal["lapses"] == "2026-12-21T16:20:00.000Z"
    assert [proved(office, one)[1].by for one in proposal["signatures"]] == [NORTH, SOUTH]
    last = office.statement(FIU, "/v1/agreements", offers[FIU].to_bytes()).json
    assert [(e["typ"], e.get("by")) for e in office.entries()[size:]] == [
        ("signature", NORTH), ("signature", SOUTH), ("signature", FIU), ("agreement", None),
    ]  # fmt: skip
    assert [one["by"] for one in last["signatures"]] == [NORTH, SOUTH, FIU]
    assert office.statement(SOUTH, "/v1/agreements", offers[SOUTH].to_bytes()).json["signatures"] == last["signatures"]
    assert office.size == size + 4
    assert office.proposals(FIU) == []


@pytest.mark.spec("ADM-34", "LOG-46", "AGR-16")
def test_signatures_that_come_together_are_logged_in_the_order_of_the_parties_and_anew_for_a_new_key(
    office: Office,
) -> None:
    cast, parties = office.cast, (NORTH, SOUTH, FIU)
    size = office.size
    backwards = cast.agreement(*parties, signers=[FIU, SOUTH])
    said = office.statement(SOUTH, "/v1/agreements", backwards.to_bytes()).json
    assert [one["by"] for one in said["signatures"]] == [SOUTH, FIU]
    assert [entry["by"] for entry in office.entries()[size:]] == [SOUTH, FIU]
    record = cast.directory.agency(SOUTH)
    renewed = cast.identities[SOUTH].renewed()
    office.clock.advance(seconds=1)
    revoked = revoke(
        cast.fed, record, [key.kid for key in record.keys if key.use == "sig"], cast.enrolment, reason="stolen",
        now=office.clock.now, replacement=renewed.public,
    )  # fmt: skip
    assert office.statement(SOUTH, "/v1/records", revoked).status == 200
    office.clock.advance(seconds=1)
    mine = cast.agreement(*parties, signers=[NORTH])
    assert office.statement(NORTH, "/v1/agreements", mine.to_bytes()).json["signed_by"] == [NORTH, FIU]
    (proposal,) = office.proposals(FIU)
    assert proposal["missing"] == [SOUTH]
    again = sign(mine.payload, renewed.signer, Typ.AGREEMENT)
    done = office.statement(renewed, "/v1/agreements", again.to_bytes()).json
    assert done["state"] == "complete"
    assert [one["by"] for one in done["signatures"]] == [SOUTH, FIU, NORTH, SOUTH]


@pytest.mark.spec("ADM-34")
def test_a_signature_under_what_is_refused_leaves_no_trace(office: Office) -> None:
    office.agree(NORTH, SOUTH)
    size = office.size
    follower = office.cast.agreement(NORTH, SOUTH, version=2, replaces="A" * 43)  # of a version nobody knows
    assert office.statement(NORTH, "/v1/agreements", follower.to_bytes()).code == "agreement_refused"
    assert office.size == size
    assert office.proposals(NORTH) == []


@pytest.mark.spec("HTTP-39", "HTTP-43", "HTTP-13")
def test_agreements_and_notices_are_read_in_pages_in_the_order_of_the_log(office: Office) -> None:
    names = [office.agree(NORTH, SOUTH, id=f"task-{n}") for n in range(3)]
    for name in names[:2]:
        office.clock.advance(seconds=1)
        notice = office.cast.notice("suspend", name, SOUTH, office.clock.now)
        assert office.statement(SOUTH, "/v1/agreements", notice.to_bytes()).status == 200
    office.agree(NORTH, SOUTH, id="task-3")
    office.clock.advance(seconds=1)
    whole = office.call(FIU, "GET", "/v1/agreements").json
    assert [one["state"] for one in whole["agreements"]] == ["suspended", "suspended", "in_force", "in_force"]
    for limit in (1, 2, 3):
        pages = [office.call(FIU, "GET", "/v1/agreements", query=f"limit={limit}").json]
        while pages[-1]["agreements"] or pages[-1]["notices"]:
            query = f"after={pages[-1]['next']}&limit={limit}"
            pages.append(office.call(FIU, "GET", "/v1/agreements", query=query).json)
        assert [one for page in pages for one in page["agreements"]] == whole["agreements"]
        assert [one for page in pages for one in page["notices"]] == whole["notices"]
        indexes = [one["seq"] for page in pages for one in (*page["agreements"], *page["notices"])]
        assert sorted(indexes) == sorted(one["seq"] for one in (*whole["agreements"], *whole["notices"]))
        assert all(len(page["agreements"]) + len(page["notices"]) <= limit for page in pages)
    for n in range(3):
        offer = office.cast.agreement(NORTH, SOUTH, signers=[NORTH], id=f"offer-{n}")
        office.statement(NORTH, "/v1/agreements", offer.to_bytes())
    listed = office.proposals(SOUTH)
    paged = [office.call(SOUTH, "GET", "/v1/proposals", query="limit=2").json]
    paged.append(office.call(SOUTH, "GET", "/v1/proposals", query=f"after={paged[0]['next']}&limit=2").json)
    assert [len(page["proposals"]) for page in paged] == [2, 1]
    assert [one["agr"] for page in paged for one in page["proposals"]] == sorted(one["agr"] for one in listed)
    for path, query in (
        ("agreements", "after=-2"), ("agreements", "limit=0"), ("agreements", "limit=201"), ("agreements", "wait=1"),
        ("proposals", "after=x"), ("proposals", "limit=0"), ("proposals", "limit=-1"), ("proposals", "limit=1&limit=2"),
    ):  # fmt: skip
        assert office.call(SOUTH, "GET", f"/v1/{path}", query=query).code == "parameter_invalid", query


@pytest.mark.spec("ADM-33")
def test_an_agency_may_put_forward_sixty_four_and_each_waits_thirty_days(office: Office) -> None:
    def put(number: int, who: str = NORTH, signers: tuple[str, ...] = (NORTH,)) -> Got:
        offer = office.cast.agreement(NORTH, SOUTH, signers=signers, id=f"offer-{number}")
        return office.statement(who, "/v1/agreements", offer.to_bytes())

    offers = [office.cast.agreement(NORTH, SOUTH, signers=[NORTH], id=f"offer-{n}").to_bytes() for n in range(65)]
    said = office.together(*[office.acall(NORTH, "POST", "/v1/agreements", one, media=JOSE) for one in offers])
    assert [got.status for got in said] == [200] * 64 + [409]
    assert said[64].code == "proposals_exceeded"
    assert put(0).status == 200  # the same again is no further one
    assert put(64, NORTH, (NORTH, SOUTH)).json["state"] == "complete"  # nor is one that awaits nobody
    assert put(65, SOUTH, (SOUTH,)).status == 200  # others have room of their own
    assert put(0, SOUTH, (SOUTH,)).json["state"] == "complete"
    assert put(66).status == 200  # and one that was completed makes room
    assert put(67).code == "proposals_exceeded"
    assert len(office.call(SOUTH, "GET", "/v1/agreements").json["agreements"]) == 2
    assert len(office.proposals(SOUTH)) == 64 + 1
    office.clock.advance(days=31)
    assert office.proposals(SOUTH) == []
    assert len(office.call(SOUTH, "GET", "/v1/agreements").json["agreements"]) == 2
    assert put(1, SOUTH, (SOUTH,)).json["signed_by"] == [SOUTH]  # what has lapsed is put forward anew
    assert put(67).status == 200


@pytest.mark.spec("HTTP-38", "ADM-30", "ADM-32")
def test_one_party_alone_suspends_at_once(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    assert office.submit(office.cast.compose(agreement)).json["code"] == "permitted"
    notice = office.cast.notice("suspend", agreement, SOUTH, office.clock.now).to_bytes()
    assert office.statement(NORTH, "/v1/agreements", notice).code == "agreement_not_theirs"
    said = office.statement(SOUTH, "/v1/agreements", notice).json
    assert (said["agr"], said["state"], said["signed_by"]) == (agreement, "suspend", [SOUTH])
    size = office.size
    assert office.statement(SOUTH, "/v1/agreements", notice).json == said
    assert office.size == size
    office.clock.advance(seconds=1)
    assert office.submit(office.cast.compose(agreement)).json["code"] == "agreement_suspended"
    assert [i["kind"] for i in office.mailbox(NORTH)["items"]] == ["agreement", "notice"]
    (listed,) = office.call(NORTH, "GET", "/v1/agreements").json["notices"]
    assert listed["statement"] == json.loads(notice)
    unknown = office.cast.notice("suspend", digest_of(office.cast.compose(agreement)), SOUTH, office.clock.now)
    assert office.statement(SOUTH, "/v1/agreements", unknown.to_bytes()).code == "notice_refused"


@pytest.mark.spec("ADM-14")
def test_a_change_of_the_rules_is_logged_later_than_every_decision_before_it(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    office.submit(office.cast.compose(agreement))
    office.statement(
        SOUTH, "/v1/agreements", office.cast.notice("suspend", agreement, SOUTH, office.clock.now).to_bytes()
    )
    office.submit(office.cast.compose(agreement))
    *_, made, permit, stop, denial = office.entries()
    assert (permit["typ"], stop["typ"], denial["typ"]) == ("disclosure", "suspension", "denial")
    assert made["ts"] <= permit["ts"] < stop["ts"] <= denial["ts"]


@pytest.mark.spec("HTTP-37")
def test_another_statement_is_no_agreement(office: Office) -> None:
    batch = office.cast.receipts(SOUTH, office.clock.now, ("A" * 43, "opened"))
    assert office.statement(SOUTH, "/v1/agreements", batch).code == "wrong_typ"


# --- records -----------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-40", "HTTP-41", "ADM-35")
def test_a_new_agency_calls_first_with_its_record_and_then_like_everybody(office: Office) -> None:
    cast, newcomer = office.cast, Identity.generate("east.border.sim")
    record = enrol(
        cast.fed, newcomer.public, cast.enrolment, agency="east.border.sim", name="East Border (SIMULATION)",
        roles=("border_guard",), territory="XE", ceiling="restricted", now=office.clock.now,
    )  # fmt: skip
    assert office.call(newcomer, "GET", "/v1/mailbox").code == "key_unknown"
    stranger = Identity.generate("west.border.sim")
    assert office.statement(stranger, "/v1/records", record).code == "key_unknown"
    said = office.statement(newcomer, "/v1/records", record).json
    assert proved(office, said)[1].agency == "east.border.sim"
    assert office.statement(newcomer, "/v1/records", record).json == said
    assert office.call(newcomer, "GET", "/v1/mailbox").status == 200
    data = office.call(NORTH, "GET", "/v1/directory").body
    directory = Directory.from_bytes(data, fed=cast.fed, now=office.clock.now)
    assert len(directory.agencies()) == len(ROLES) + 1
    assert office.statement(NORTH, "/v1/records", record).code == "sender_mismatch"


@pytest.mark.spec("ADM-5", "ADM-9", "ADM-35")
def test_a_key_counts_until_it_is_revoked_and_not_after(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    before = office.cast.compose(agreement)
    record = office.cast.directory.agency(NORTH)
    signing = [key.kid for key in record.keys if key.use == "sig"]
    assert office.submit(before).status == 200
    office.clock.advance(seconds=1)
    revoked = revoke(
        office.cast.fed, record, signing, office.cast.enrolment, reason="compromised", now=office.clock.now
    )
    assert office.statement(NORTH, "/v1/records", revoked).status == 200
    office.clock.advance(seconds=1)
    assert office.submit(office.cast.compose(agreement)).code == "key_not_valid"
    assert office.submit(before).json["outcome"] == "permit"  # asked again: the first answer


@pytest.mark.spec("ADM-35")
def test_a_rotated_transport_key_takes_over(office: Office) -> None:
    renewed = office.cast.identities[FIU].renewed()
    record = rotate(
        office.cast.fed, office.cast.directory.agency(FIU), renewed.public, office.cast.enrolment, now=office.clock.now
    )
    assert office.statement(renewed, "/v1/records", record).status == 200
    assert office.call(renewed, "GET", "/v1/mailbox").status == 200
    assert office.call(FIU, "GET", "/v1/mailbox").status == 200
    office.clock.advance(days=15)
    assert office.call(FIU, "GET", "/v1/mailbox").code == "key_not_valid"
    assert office.call(renewed, "GET", "/v1/mailbox").status == 200


# --- the log -----------------------------------------------------------------------------------------


@pytest.mark.spec("ADM-9", "ADM-14", "LOG-42")
def test_an_auditor_finds_nothing_in_a_log_with_everything_in_it(office: Office, tmp_path: Path) -> None:
    agreement = office.agree(NORTH, SOUTH, NGO)
    envelopes = [office.cast.compose(agreement, *to) for to in ((SOUTH,), (NGO,), (SOUTH, NGO))]
    office.submit_batch(envelopes)
    office.statement(
        SOUTH, "/v1/receipts", office.cast.receipts(SOUTH, office.clock.now, (digest_of(envelopes[0]), "opened"))
    )
    record = office.cast.directory.agency(FIU)
    wider = amend(office.cast.fed, record, office.cast.enrolment, now=office.clock.now, roles=("fiu", "police"))
    office.statement(FIU, "/v1/records", wider)
    office.statement(NGO, "/v1/agreements", office.cast.notice("leave", agreement, NGO, office.clock.now).to_bytes())
    office.clock.advance(seconds=2)
    office.submit(office.cast.compose(agreement, now=office.clock.now))
    done = CliRunner().invoke(audit, ["export", "--from", str(tmp_path), "--out", str(tmp_path / "evidence")])
    assert done.exit_code == 0, done.output
    report = verify_export(
        lambda path: (tmp_path / "evidence" / path).read_bytes() if (tmp_path / "evidence" / path).is_file() else None,
        fed=office.cast.fed,
        now=office.clock.now,
    )
    assert [finding.sentence for finding in report.findings] == []
    assert (len(report.disclosures), len(report.denials)) == (1, 3)


@pytest.mark.spec("HTTP-42", "LOG-13")
def test_the_log_is_served_as_c2sp_says_and_nothing_beyond_its_checkpoint(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    for _ in range(3):
        office.submit_batch([office.cast.compose(agreement) for _ in range(100)])
    got = office.call(None, "GET", "/log/checkpoint")
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    checkpoint = verify_checkpoint(got.body.decode(), office.cast.directory.root.log)
    assert checkpoint.size == office.size == 307
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append([leaf_hash(e) for e in _raw(office)])}
    for level, number, width in tiles(checkpoint.size):
        tile = office.call(None, "GET", f"/log/{tile_path(level, number, width)}")
        assert (tile.status, tile.body) == (200, rows[level, number])
        assert "immutable" in tile.headers["cache-control"]
    raw = _raw(office)
    assert office.call(None, "GET", f"/log/{entries_path(0)}").body == bundle(raw[:256])
    assert office.call(None, "GET", f"/log/{entries_path(1, 51)}").body == bundle(raw[256:])
    assert office.call(None, "GET", f"/log/{tile_path(0, 1, 7)}").body == rows[0, 1][: 7 * 32]
    beyond = ("0/001", "0/001.p/52", "1/000", "1/000.p/2", "2/000.p/1", "entries/002.p/1")
    misspelt = ("0/1", "00/000", "x/000", "0/000.p/0", "0/000.p/256", "")
    for path in (f"tile/{name}" for name in (*beyond, *misspelt)):
        missing = office.call(None, "GET", f"/log/{path}")
        assert (missing.status, missing.code) == (404, "tile_path_invalid"), path


def _raw(office: Office) -> list[bytes]:
    with office.broker._store.reading() as view:
        return list(view.entries(0, 10**6))


# --- health ------------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-50")
def test_health_says_alive_and_readiness_says_why_not(office: Office) -> None:
    assert office.call(None, "GET", "/healthz").status == 200
    assert office.call(None, "GET", "/readyz").json == {"ready": True, "wrong": []}
    with office.broker._store.writing():
        assert office.call(None, "GET", "/readyz").json == {"ready": False, "wrong": ["the database cannot be written"]}
    with office.broker._store.writing() as view:
        view._connection.exec_driver_sql("UPDATE head SET root = ?", (b"x" * 32,))
    got = office.call(None, "GET", "/readyz")
    assert (got.status, got.json["ready"]) == (503, False)


@pytest.mark.spec("HTTP-51")
def test_the_meters_count_outcomes_and_name_no_text_of_a_caller(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH, NGO)
    office.submit_batch([office.cast.compose(agreement), office.cast.compose(agreement, NGO), b"{"])
    office.call(NORTH, "GET", "/v1/SomebodysName")
    office.submit(b"{}", SOUTH)
    text = office.call(None, "GET", "/metrics").body.decode()
    assert 'ix_messages_total{code="permitted",outcome="permit"} 1.0' in text
    assert 'ix_messages_total{code="no_clause",outcome="deny"} 1.0' in text
    assert 'ix_refusals_total{code="envelope_malformed"} 1.0' in text
    assert 'ix_refusals_total{code="malformed"} 1.0' in text
    assert f"ix_log_size {office.size}.0" in text
    assert 'ix_rows{table="mail"} 4.0' in text
    assert "Somebody" not in text
    assert ".sim" not in text
