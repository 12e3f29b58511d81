"""Collecting: what is shown, what is rejected and why, and that a crash shows nothing twice (NODE-41 to NODE-45)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from agencies.node.errors import AnswerMismatch, BrokerUnreachable, NoLongerHere, NotHere, RoleMissing
from exchange.protocol.log import LogSigner, parse_entry, sign_checkpoint, tlog_proof
from exchange.protocol.merkle import leaf_hash
from exchange.protocol.message import Draft, assemble, compose, parse
from exchange.protocol.receipt import ReceiptItem, build_receipts
from exercises.federation import ORIGIN
from exercises.wire import Fault
from exercises.world import START, World, WorldNode
from keys.encoding import b64u, read_json, unb64u, write_json
from keys.sealing import new_message_id
from keys.signing import Signer, Typ, sign
from tests.agencies.node.conftest import HARBOUR, NORTH, REQUEST, SOUTH, WHY, acts, parcels


def flipped(text: str, at: int = 100) -> str:
    """Another base64url text of the same length, one bit of its bytes changed."""
    data = bytearray(unb64u(text))
    data[at % len(data)] ^= 1
    return b64u(bytes(data))


def owed(node: WorldNode) -> list[tuple[str, str, str | None]]:
    with node.store.reading() as books:
        return [(row.msg, row.status, row.code) for row in books.rows("owed")]


@pytest.mark.spec("NODE-41", "NODE-43")
def test_a_message_that_passes_is_kept_receipted_and_in_the_ledger(north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    assert south.collect() == [sent.msg]
    (listed,) = south.service.inbox()
    assert (listed["from"], listed["type"], listed["index"], listed["opened"]) == (
        NORTH,
        "info_request",
        sent.index,
        None,
    )
    (act,) = acts(south)
    assert (act["act"], act["msg"], act["from"], act["outcome"]) == ("receive", sent.msg, NORTH, "delivered")
    assert owed(south) == [(sent.msg, "delivered", None)]
    north.collect()
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered")]


@pytest.mark.spec("NODE-47")
def test_opening_is_written_down_before_anything_is_shown(north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    assert south.open(sent.msg or "") == REQUEST
    assert south.open(sent.msg or "") == REQUEST
    looked = ["consult", "open"]  # whether there is a handling text, and then the content
    assert [act["act"] for act in acts(south)] == ["receive", *looked, *looked]
    assert {act["why"] for act in acts(south)[1:]} == {"an exercise on invented data, told by the world"}
    north.collect()
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered"), (SOUTH, "opened")]


@pytest.mark.spec("NODE-47")
def test_what_cannot_be_written_down_is_not_shown(north: WorldNode, south: WorldNode, world: World) -> None:
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    south.store.close()
    other = sqlite3.connect(world.home / f"{SOUTH}.db", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    with pytest.raises(Exception, match="disk full"):
        south.open(sent.msg or "")
    with south.store.reading() as books:
        assert books.get("inbox", msg=sent.msg).opened is None  # type: ignore[union-attr]


def test_an_auditor_opens_nothing(north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    for act in (south.service.open, south.service.export, south.service.erase):
        with pytest.raises(RoleMissing):
            act(sent.msg or "", south.officer("auditor"), WHY)
    with pytest.raises(RoleMissing):
        south.service.case("XN-2026/0417", south.officer("auditor"), WHY)


@pytest.mark.spec("NODE-40")
def test_a_message_that_is_not_here_is_not_found(south: WorldNode) -> None:
    with pytest.raises(NotHere):
        south.open("A" * 43)
    with pytest.raises(NotHere):
        south.service.message("A" * 43)


# -- parcels that were tampered with --------------------------------------------------------------------


def by_thief(item: dict[str, Any]) -> dict[str, Any]:
    """The very entry, perfectly proved by keys that are not the log's."""
    entry = unb64u(item["entry"])
    note = sign_checkpoint(1, leaf_hash(entry), LogSigner("ix.sim/log", Signer.generate()), START)
    return {"seq": 0, "proof": tlog_proof(0, (), note)}


def other_signature(item: dict[str, Any]) -> dict[str, Any]:
    first, second = item["signatures"]
    return {"signatures": [first, {**second, "signature": flipped(second["signature"])}]}


TAMPERED: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    ("proof by other keys", by_thief, "checkpoint_invalid"),
    ("index of another entry", lambda i: {"seq": i["seq"] + 1}, "proof_mismatch"),
    (
        "hash of the proof",
        lambda i: {"proof": i["proof"].replace(f"\nindex {i['seq']}\n", f"\nindex {i['seq'] - 1}\n")},
        "inclusion_invalid",
    ),
    (
        "entry",
        lambda i: {"entry": b64u(unb64u(i["entry"]).replace(b"investigate", b"prosecutexy"))},
        "inclusion_invalid",
    ),
    ("signature", other_signature, "signature_invalid"),
    ("wrap", lambda i: {"wrap": flipped(i["wrap"])}, "seal_mismatch"),
    ("body", lambda i: {"body": flipped(i["body"])}, "seal_mismatch"),
    ("body cut off", lambda i: {"body": b64u(unb64u(i["body"])[:-16])}, "seal_mismatch"),
    (
        "manifest",
        lambda i: {"payload": b64u(unb64u(i["payload"]).replace(b'"u_direct"', b'"normal"'))},
        "proof_mismatch",
    ),
    ("unknown member", lambda i: {"note": "read me"}, "envelope_malformed"),
]


REJECTED = [t for t in TAMPERED if t[2] in ("signature_invalid", "seal_mismatch")]
SPOILED = [t for t in TAMPERED if t not in REJECTED]


@pytest.mark.spec("NODE-42")
@pytest.mark.parametrize(("change", "code"), [t[1:] for t in REJECTED], ids=[t[0] for t in REJECTED])
def test_a_tampered_parcel_is_rejected_by_name_and_nothing_of_it_is_kept(
    world: World, north: WorldNode, south: WorldNode, crook: Any, change: Any, code: str
) -> None:
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=parcels(change))
    for _ in range(3):  # asked for again, refused again, said once
        south.service.collect()
    assert south.service.inbox() == []
    with pytest.raises(NotHere):
        south.open(sent.msg or "")
    (rejected,) = south.service.rejected()
    assert (rejected["msg"], rejected["code"]) == (sent.msg, code)
    (act,) = acts(south)
    assert (act["act"], act["outcome"], act["cats"]) == ("receive", code, [])
    assert not stored(world, b"Gull Cove", b"Marrow", b"person_suspect")
    north.collect()
    assert [(r["status"], r["code"]) for r in north.service.receipts(sent.msg or "")] == [("rejected", code)]


@pytest.mark.spec("NODE-42", "NODE-49", "MSG-29")
@pytest.mark.parametrize(("change", "code"), [t[1:] for t in SPOILED], ids=[t[0] for t in SPOILED])
def test_a_parcel_that_the_log_does_not_bear_out_is_evidence_and_no_more(
    world: World, north: WorldNode, south: WorldNode, crook: Any, change: Any, code: str
) -> None:
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=parcels(change))
    for _ in range(3):
        haul = south.service.collect()
    assert (haul.messages, haul.rejected, south.service.rejected(), owed(south), acts(south)) == ((), (), [], [], [])
    kept, *same = south.service.evidence(south.officer("auditor"))
    assert {one["detail"]["code"] for one in (kept, *same)} == {code}
    assert not stored(world, b"Gull Cove", b"Marrow")
    assert "body" not in kept["detail"]["item"] or "digest" in kept["detail"]["item"]["body"]
    crook(south)
    world.clock.advance(hours=1)
    assert south.collect() == [sent.msg]
    north.collect()
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered")]
    assert (doubts(south), world.audit().clean) == ([], True)


def doubts(node: WorldNode) -> list[tuple[int, int, int]]:
    with node.store.reading() as books:
        return [(row.after, row.upto, row.attempts) for row in books.rows("doubt")]


def before(sent: Any) -> tuple[int, int]:
    """The span in doubt when nothing but this one came spoiled."""
    return sent.index - 1, sent.index


def spoiled(*numbers: int) -> Callable[..., Any]:
    """A mailbox in which the items of these numbers are not what was logged."""

    def mailbox(honest: Any, *args: Any, **named: Any) -> Any:
        items, following = honest.mailbox(*args, **named)
        return [{**i, "entry": b64u(b"{}")} if i["seq"] in numbers else i for i in items], following

    return mailbox


@pytest.mark.spec("NODE-49")
def test_mail_behind_a_spoiled_item_is_not_held_up(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    south.collect()
    first, second, third = (north.send(REQUEST, SOUTH) for _ in range(3))
    crook(south, mailbox=spoiled(first.index or 0))
    assert south.collect() == [second.msg, third.msg]
    assert [(after, upto) for after, upto, _ in doubts(south)] == [before(first)]
    fourth = north.send(REQUEST, SOUTH)
    assert south.collect() == [fourth.msg]
    crook(south)
    world.clock.advance(minutes=1)
    assert south.collect() == [first.msg]
    assert doubts(south) == []


@pytest.mark.spec("NODE-49")
def test_a_spoiled_item_is_asked_for_again_with_longer_and_longer_pauses(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=spoiled(sent.index or 0))
    for _ in range(10):
        south.service.collect()
    assert [attempts for *_, attempts in doubts(south)] == [3]
    for _ in range(40):
        world.clock.advance(minutes=16)
        south.service.collect()
    assert [attempts for *_, attempts in doubts(south)] == [43]
    assert south.service.state()["doubts"] == 1
    assert south.service.state()["evidence"] == 1
    world.clock.advance(days=32)
    south.service.collect()
    assert doubts(south) == []
    last = south.service.evidence(south.officer("auditor"))[-1]
    assert last["detail"]["what"] == "mail that stayed in doubt"


@pytest.mark.spec("NODE-49")
def test_an_answer_that_shows_nothing_settles_no_doubt(north: WorldNode, south: WorldNode, crook: Any) -> None:
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=spoiled(sent.index or 0))
    south.collect()
    crook(south, mailbox=lambda _, after, **k: ([], after))
    south.collect()
    assert [(after, upto) for after, upto, _ in doubts(south)] == [before(sent)]
    crook(south)
    assert south.collect() == [sent.msg]


@pytest.mark.spec("NODE-43", "NODE-49")
def test_a_number_that_is_not_proved_moves_the_cursor_no_further_than_the_log(
    north: WorldNode, south: WorldNode, crook: Any
) -> None:
    """And what it jumped over is asked for again."""
    first, second = north.send(REQUEST, SOUTH), north.send(REQUEST, SOUTH)
    size = south.service.watch.look().size
    for number, moves in ((size, False), (10**9, False), (size - 1, True)):
        crook(south, mailbox=lambda *_, n=number, **__: ([{"kind": "message", "seq": n}], n))
        assert south.service.collect().more is moves
    crook(south)
    assert south.collect() == [first.msg, second.msg]


@pytest.mark.spec("NODE-49")
def test_a_fork_shown_in_place_of_a_spoiled_item_holds_nothing_else_up(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    south.collect()
    first, second = north.send(REQUEST, SOUTH), north.send(REQUEST, SOUTH)
    crook(south, mailbox=spoiled(first.index or 0))
    assert south.collect() == [second.msg]
    note = sign_checkpoint(1, leaf_hash(b"other"), LogSigner(ORIGIN, world.federation.broker.log), START)
    forked = {"kind": "message", "seq": first.index, "proof": tlog_proof(0, (), note)}
    south.service.watch.see([sign_of_one(world, south)])
    third = north.send(REQUEST, SOUTH)

    def mailbox(honest: Any, after: int, **named: Any) -> Any:
        return ([forked], first.index) if after < (first.index or 0) else honest.mailbox(after, **named)

    crook(south, mailbox=mailbox)
    assert south.collect() == [third.msg]


def sign_of_one(world: World, node: WorldNode) -> str:
    """The true log's checkpoint of its first entry."""
    leaf = node.service.office.broker.log_file("tile/0/000.p/1")
    return sign_checkpoint(1, leaf[:32], LogSigner(ORIGIN, world.federation.broker.log), START)


def stored(world: World, *words: bytes) -> list[bytes]:
    """Which of these words stand in clear in any file of south's books."""
    files = [path.read_bytes() for path in world.home.glob(f"{SOUTH}.db*")]
    return [word for word in words if any(word in data for data in files)]


@pytest.mark.spec("NODE-42", "NODE-49")
def test_a_body_that_was_damaged_on_the_brokers_side_is_taken_when_it_is_whole(
    north: WorldNode, south: WorldNode, crook: Any
) -> None:
    """The sender has heard of it meanwhile."""
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=parcels(TAMPERED[6][1]))
    south.collect()
    crook(south)
    assert south.collect() == [sent.msg]
    north.collect()
    assert north.receipts(sent.msg or "") == [(SOUTH, "rejected"), (SOUTH, "delivered")]
    assert south.service.reconcile().findings == ()


@pytest.mark.spec("NODE-42")
def test_a_message_that_was_taken_in_is_not_said_to_have_expired(
    north: WorldNode, south: WorldNode, crook: Any
) -> None:
    sent = north.send(REQUEST, SOUTH)
    south.collect()

    def expired(honest: Any, *_: Any, **named: Any) -> Any:
        items, following = honest.mailbox(-1, **named)
        kept = ("seq", "entry", "proof")
        return [{"kind": "expired", "msg": sent.msg, **{m: i[m] for m in kept}} for i in items], following

    crook(south, mailbox=expired)
    south.service.collect()
    assert south.service.rejected() == []
    assert [status for _, status, _ in owed(south)] == ["delivered"]


@pytest.mark.spec("NODE-42", "NODE-46")
def test_a_replayed_parcel_is_shown_once(world: World, north: WorldNode, south: WorldNode, crook: Any) -> None:
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=lambda honest, after, **k: honest.mailbox(-1, **k))
    assert south.service.collect().messages == (sent.msg,)
    again = south.service.collect()
    assert (again.messages, again.rejected) == ((), ())
    assert len(south.service.inbox()) == 1
    south.service.erase(sent.msg or "", south.officer("release_officer"), WHY)
    assert south.service.collect().messages == ()
    assert [status for _, status, _ in owed(south)] == ["delivered"]
    with pytest.raises(NoLongerHere):
        south.open(sent.msg or "")


def test_a_message_for_somebody_else_is_not_ours(world: World, north: WorldNode, crook: Any) -> None:
    sent = north.send(REQUEST, SOUTH)
    harbour = world.node(HARBOUR)
    honest = world.node(SOUTH).service.office.broker
    crook(harbour, mailbox=lambda _, after, **k: honest.mailbox(after, **k))
    haul = harbour.service.collect()
    assert [code for _, code in haul.rejected] == ["not_addressed"] == [r["code"] for r in harbour.service.rejected()]
    assert sent.msg == haul.rejected[0][0]
    assert (owed(harbour), acts(harbour)) == ([], [])  # whom it was not for has nothing to say to its sender
    assert harbour.service.state()["evidence"] == 1


def misdeclared(world: World, north: WorldNode) -> bytes:
    """A message whose signed manifest leaves out a category that its content carries."""
    office, now = north.service.office, world.clock()
    to = ((SOUTH, office.trust.directory.sealing_key(SOUTH, now)),)
    draft = Draft(
        office.trust.directory.fed, new_message_id(now), now, now.replace(year=now.year, day=28), NORTH, to,
        world.agreements["shore"], "investigate", "immigrant_smuggling", "restricted", ("H0",), "u_direct", "A" * 43,
    )  # fmt: skip
    honest = parse(compose(draft, write_json(REQUEST), office.identity.signer))
    manifest = read_json(honest.statement.payload, limit=100_000)
    manifest["cats"].remove("person_suspect")
    signed = sign(write_json(manifest), office.identity.signer, Typ.MESSAGE)
    return assemble(signed, [kid for kid, _ in honest.wraps], [wrap for _, wrap in honest.wraps], honest.body)


@pytest.mark.spec("NODE-41")
def test_a_message_that_hides_what_it_carries_is_rejected(world: World, north: WorldNode, south: WorldNode) -> None:
    answer = north.service.office.broker.submit(misdeclared(world, north))
    assert answer.outcome == "permit"
    haul = south.service.collect()
    assert haul.rejected == ((answer.msg, "misdeclared"),)
    assert not stored(world, b"Gull Cove", b"Marrow")


def test_a_message_that_expired_on_the_way_is_rejected(world: World, north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH, days=1)
    world.clock.advance(days=2)
    assert south.service.collect().rejected == ((sent.msg, "message_expired"),)


# -- crash, concurrency, trouble ------------------------------------------------------------------------


@pytest.mark.spec("NODE-43")
def test_a_crash_before_the_commit_collects_again_and_shows_once(
    world: World, north: WorldNode, south: WorldNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = north.send(REQUEST, SOUTH)
    with monkeypatch.context() as patched:
        patched.setattr(type(south.service.collecting), "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            south.service.collect()
    south = world.restart_node(SOUTH)
    assert south.collect() == [sent.msg]
    assert south.collect() == []


@pytest.mark.spec("NODE-43", "NODE-44")
def test_a_crash_before_the_receipt_posts_it_once_later(world: World, north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    world.wire.trouble(Fault.DEAF, path="/v1/receipts", caller=SOUTH)
    south.collect()
    south = world.restart_node(SOUTH)
    world.settle()
    posted = [call.body for call in world.wire.calls if call.path == "/v1/receipts"]
    assert len(posted) == 2
    assert posted[0] == posted[1]
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered")]
    assert world.audit().clean


@pytest.mark.spec("NODE-43")
def test_two_collectors_at_once_write_once(north: WorldNode, south: WorldNode, crook: Any) -> None:
    sent = north.send(REQUEST, SOUTH)

    def overtaken(honest: Any, *args: Any, **named: Any) -> Any:
        found = honest.mailbox(*args, **named)
        crook(south)
        assert south.service.collect().messages == (sent.msg,)
        return found

    crook(south, mailbox=overtaken)
    assert south.service.collect().messages == ()
    assert len(south.service.inbox()) == 1
    assert [act["act"] for act in acts(south)] == ["receive"]


def test_a_cursor_that_goes_back_is_refused(north: WorldNode, south: WorldNode, crook: Any) -> None:
    north.send(REQUEST, SOUTH)
    south.collect()
    crook(south, mailbox=lambda *_, **__: ([], 1))
    with pytest.raises(AnswerMismatch):
        south.service.collect()


@pytest.mark.spec("NODE-37")
def test_keys_renewed_meanwhile_are_fetched_once_and_the_message_passes(world: World, south: WorldNode) -> None:
    world.clock.advance(minutes=1)
    north = world.rotate(NORTH)
    sent = north.send(REQUEST, SOUTH)
    assert south.collect() == [sent.msg]  # south's directory was older than the message


def test_strange_mail_is_kept_as_evidence_and_stops_nothing(north: WorldNode, south: WorldNode, crook: Any) -> None:
    sent = north.send(REQUEST, SOUTH)

    def strange(honest: Any, *args: Any, **named: Any) -> Any:
        items, following = honest.mailbox(*args, **named)
        return [{"kind": "love_letter", "seq": 1}, {"kind": "message"}, 7, *items], following

    crook(south, mailbox=strange)
    assert south.service.collect().messages == (sent.msg,)
    kinds = [one["detail"]["what"] for one in south.service.evidence(south.officer("auditor"))]
    assert kinds == [
        "an item that the log does not bear out",
        "a parcel that is none",
        "an item that the log does not bear out",
    ]


def test_a_kind_of_mail_that_is_not_known_yet_is_passed_over(north: WorldNode, south: WorldNode, crook: Any) -> None:
    """HTTP-34: of a later version, perhaps."""
    first = north.send(REQUEST, SOUTH)
    crook(south, mailbox=parcels(lambda _: {"kind": "love_letter"}))
    south.service.collect()
    crook(south)
    second = north.send(REQUEST, SOUTH)
    assert south.collect() == [second.msg]
    assert (doubts(south), first.msg in south.inbox()) == ([], False)


# -- receipts -------------------------------------------------------------------------------------------


@pytest.fixture
def receipted(north: WorldNode, south: WorldNode) -> str:
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    return sent.msg or ""


def receipts(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    def mailbox(honest: Any, *args: Any, **named: Any) -> Any:
        items, following = honest.mailbox(*args, **named)
        return [{**i, **change(i)} if i["kind"] == "receipt" else i for i in items], following

    return mailbox


def by_somebody_else(item: dict[str, Any]) -> dict[str, Any]:
    entry = parse_entry(unb64u(item["entry"]))
    told = [ReceiptItem(msg=entry.msg, status="opened")]  # type: ignore[union-attr,arg-type]
    jws = build_receipts(told, by=SOUTH, fed="A" * 43, ts=START, signer=Signer.generate())
    return {"batch": read_json(jws, limit=100_000)}


@pytest.mark.spec("NODE-45")
@pytest.mark.parametrize(
    "change",
    [
        by_somebody_else,
        lambda i: {"seq": i["seq"] - 1},
        lambda i: {"batch": {**i["batch"], "payload": flipped(i["batch"]["payload"], 30)}},
        lambda i: {"entry": b64u(unb64u(i["entry"]).replace(b"delivered", b"opened"))},
        lambda i: {"proof": ""},
        lambda i: {"batch": None},
    ],
)
def test_a_receipt_that_does_not_hold_counts_for_nothing(
    north: WorldNode, receipted: str, crook: Any, change: Any
) -> None:
    crook(north, mailbox=receipts(change))
    assert north.service.collect().receipts == 0
    assert north.receipts(receipted) == []
    (kept,) = north.service.evidence(north.officer("auditor"))
    assert kept["detail"]["what"] == "a receipt that does not hold"


@pytest.mark.spec("NODE-45")
def test_a_receipt_for_no_message_of_ours_counts_for_nothing(world: World, receipted: str, crook: Any) -> None:
    harbour = world.node(HARBOUR)
    honest = world.node(NORTH).service.office.broker
    crook(harbour, mailbox=lambda _, after, **k: honest.mailbox(after, **k))
    assert harbour.service.collect().receipts == 0
    assert harbour.receipts(receipted) == []


@pytest.mark.spec("NODE-44")
def test_a_receipt_the_broker_will_never_take_holds_no_other_up(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    with south.store.writing() as books:
        books.add("owed", [{"msg": "A" * 43, "status": "delivered", "code": None}])
    assert south.service.post_receipts() == 0
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    world.settle()
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered")]
    with south.store.reading() as books:
        assert books.count("batch", state="unposted") == 0
        assert books.count("batch", state="refused") == 1


@pytest.mark.spec("NODE-44")
def test_a_hundred_messages_are_one_batch_of_receipts(world: World, north: WorldNode, south: WorldNode) -> None:
    from agencies.node.mail.outbox import Wanted

    south.collect()  # the news of the agreement
    wanted = [Wanted(north.draft(REQUEST, SOUTH)) for _ in range(100)]
    north.service.send_many(wanted, north.officer(), WHY)
    assert len(south.collect()) == 100
    assert len([call for call in world.wire.calls if call.path == "/v1/receipts"]) == 1
    north.collect()
    assert sum(north.receipts(one.msg or "") == [(SOUTH, "delivered")] for one in north.service.outbox()) == 100


def test_an_unreachable_broker_leaves_the_cursor_where_it_was(world: World, north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    with world.wire.cut(SOUTH), pytest.raises(BrokerUnreachable):
        south.service.collect()
    assert south.collect() == [sent.msg]


def test_an_item_the_broker_would_not_log_is_kept_as_evidence(north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    with south.store.writing() as books:
        books.add("owed", [{"msg": "A" * 43, "status": "delivered", "code": None}])
    south.collect()
    north.collect()
    assert north.receipts(sent.msg or "") == [(SOUTH, "delivered")]
    (kept,) = south.service.evidence(south.officer("auditor"))
    assert [item["problem"]["code"] for item in kept["detail"]["items"]] == ["receipt_not_theirs"]


def test_an_empty_mailbox_is_written_down_only_now_and_then(world: World, south: WorldNode) -> None:
    def noted() -> str:
        return str(south.service.state()["collected"])

    south.collect()
    first = noted()
    world.clock.advance(seconds=3)
    south.collect()
    assert noted() == first
    world.clock.advance(seconds=10)
    south.collect()
    assert noted() > first


def test_receipts_of_one_batch_share_its_bytes(north: WorldNode, south: WorldNode) -> None:
    names = [north.send(REQUEST, SOUTH).msg or "" for _ in range(3)]
    south.collect()
    north.collect()
    with north.store.reading() as books:
        assert (books.count("got"), books.count("heard")) == (3, 1)
    batches = [north.service.receipts(name)[0]["batch"] for name in names]
    assert batches[0] == batches[1] == batches[2]
