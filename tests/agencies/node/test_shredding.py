"""Shredding: what a month's keys take with them, what stays, and when they may not go (NODE-213 to NODE-218)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from agencies.node.errors import DraftMalformed, NotHere, ReleaseRefused, RoleMissing, ShredRefused
from agencies.node.ledger import justify
from agencies.node.mail.sending import Wanted
from agencies.node.profile import Officer, OfficerRole
from agencies.node.shredding import Shredding
from exercises.world import World, WorldNode
from keys.encoding import b64u, unb64u
from keys.errors import KeystoreRefused
from tests.agencies.node.conftest import EVIDENCE, NORTH, REQUEST, SOUTH, WHY, acts

NIGHT = Officer("np-night-lamplighter", frozenset({OfficerRole.OFFICER}))
NIGHTS_WHY = justify("case_assigned", "the lamplighter saw the boat that was reported stolen")
CASE = REQUEST["case"]["reference"]


def young(node: WorldNode, keep: int = 2) -> Shredding:
    """Shredding for which two months are old enough, so that no test has to wait three years."""
    return Shredding(node.service.office, node.service.holding, keep)


def raw(node: WorldNode) -> bytes:
    """Every byte of a node's books as they lie on the disk, side files and pages without use included."""
    home = node.world.home
    return b"".join(path.read_bytes() for path in sorted(home.glob(f"{node.id}.db*")))


def later(world: World, months: int) -> None:
    """Let months pass, and let everybody hear from a log that knows it."""
    world.clock.advance(days=31 * months)
    north = world.node(NORTH)
    sent = north.send(EVIDENCE | {"case": {**EVIDENCE["case"], "reference": "XN-2027/1"}}, SOUTH)
    north.release(sent.ref)
    for one in (NORTH, SOUTH):
        world.node(one).service.watch.look()


def shred(node: WorldNode, before: str, keep: int = 2) -> list[str]:
    return young(node, keep).shred(before, node.officer("release_officer"), WHY)


@pytest.fixture
def told(world: World, north: WorldNode, south: WorldNode) -> str:
    """A message of November by an officer who did nothing else ever; opened in the south by its night desk."""
    sent = north.service.send(north.draft(REQUEST, SOUTH), NIGHT, NIGHTS_WHY)
    south.collect()
    south.service.open(str(sent.msg), NIGHT, NIGHTS_WHY)
    return str(sent.msg)


@pytest.mark.spec("NODE-213")
def test_one_case_and_one_officer_have_another_name_in_every_month(world: World, north: WorldNode) -> None:
    first = north.service.send(north.draft(REQUEST, SOUTH), NIGHT, WHY)
    world.clock.advance(days=31)
    second = north.service.send(north.draft(REQUEST, SOUTH), NIGHT, WHY)
    with north.store.reading() as books:
        rows = {row.msg: json.loads(row.body) for row in books.rows("ledger") if row.act == "disclose"}
        manifests = [json.loads(row.envelope) for row in books.rows("outbox")]
    one, two = rows[first.msg], rows[second.msg]
    assert one["by"] != two["by"]
    assert one["case"] != two["case"]
    signed = [json.loads(unb64u(envelope["payload"]))["by"] for envelope in manifests]
    assert signed == [one["by"], two["by"]]


@pytest.mark.spec("NODE-213")
def test_an_auditor_finds_a_case_and_an_officer_through_all_months(world: World, north: WorldNode) -> None:
    for _ in range(3):
        north.service.send(north.draft(REQUEST, SOUTH), NIGHT, WHY)
        world.clock.advance(days=31)
    auditor = north.officer("auditor")
    for where in ({"case": CASE}, {"officer": NIGHT.id}):
        found = north.service.ledger(auditor, WHY, where={**where, "act": "disclose"})
        assert [act["officer"] for act in found] == [NIGHT.id] * 3
        assert {act["why"] for act in found} == {WHY.text}
    assert north.service.ledger(auditor, WHY, where={"officer": "nobody"}) == []


@pytest.mark.spec("NODE-214", "NODE-216")
def test_a_shredded_month_names_nobody_and_still_verifies(
    world: World, north: WorldNode, south: WorldNode, told: str
) -> None:
    before = acts(north)
    later(world, 2)
    assert shred(north, "2026-12", keep=1) == ["2026-11"]
    auditor = north.officer("auditor")
    for where in ({"case": CASE}, {"officer": NIGHT.id}):
        assert north.service.ledger(auditor, WHY, where=where) == []
    old = [act for act in acts(north) if act["ts"].startswith("2026-11")]
    assert [(act["n"], act["act"], act["msg"], act["by"]) for act in old] == [
        (act["n"], act["act"], act["msg"], act["by"]) for act in before
    ]
    assert {(act["officer"], act["why"], act["shredded"]) for act in old} == {(None, None, True)}
    assert [act["outcome"] for act in acts(north) if act["act"] == "erase"] == ["2026-11"]
    north.service.verify_ledger()
    # months that were kept are read as before, and what was received is shown as before
    assert [a for a in acts(north) if a["ts"] > "2026-12" and a["by"] and a["officer"] is None] == []
    assert south.service.open(told, south.officer(), WHY) == REQUEST
    world.settle()
    assert world.audit().clean


@pytest.mark.spec("NODE-214", "NODE-216", "NODE-217")
def test_no_page_of_the_file_holds_the_key_the_officer_or_the_reason(
    world: World, north: WorldNode, south: WorldNode, told: str
) -> None:
    for number in range(3):  # pages are split, and what was on them is copied about
        world.clock.advance(minutes=1)
        reason = justify("case_assigned", f"the lamplighter counted the boats of night {number} in the fog")
        many = [Wanted(north.draft(REQUEST, SOUTH), f"boat {number} {one}") for one in range(20)]
        north.service.send_many(many, NIGHT, reason)
    with north.store.reading() as books:
        (november,) = north.service.office.scribe.periods.kept(books)
        locked = bytes(books.get("period", name="2026-11").secret)  # type: ignore[union-attr]
        whos = [bytes(row.who) for row in books.rows("ledger") if row.who is not None]
    assert len(whos) > 60
    secrets = [november._key, locked, NIGHT.id.encode(), *whos]
    assert all(secret in raw(north) for secret in secrets[1:])
    later(world, 3)
    shred(north, "2026-12")
    data = raw(north)
    for secret in secrets:
        assert secret not in data
        assert b64u(secret).encode() not in data
    wal = north.world.home / f"{NORTH}.db-wal"
    assert not wal.exists() or wal.stat().st_size < 64 * 1024  # what was written since


@pytest.mark.spec("NODE-216", "NODE-217")
def test_with_the_whole_key_file_and_the_books_nobody_tells_who_it_was(
    world: World, north: WorldNode, told: str
) -> None:
    """The adversary has the un-shredded key file and everything in the books, and tries every name there is."""
    backup = world.home / "backup.db"
    with closing(sqlite3.connect(world.home / f"{NORTH}.db")) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    later(world, 3)
    shred(north, "2026-12")
    office = north.service.office
    stable = office.scribe.case_name(CASE)
    with north.store.reading() as books:
        kept = office.scribe.periods.kept(books)
        guesses = {name for month in kept for name in (month.officer(NIGHT.id), month.case(stable))}
        guesses |= {stable, office.scribe.officer_name(NIGHT.id)}
        old = [row for row in books.rows("ledger") if row.ts < "2026-12"]
    assert kept
    assert not guesses & {name for row in old for name in (row.by, row.case_name)}
    for row in old:
        why = json.loads(row.body)["why"]
        for unlock in (office.vault.unlock, *(month.unlock for month in kept)):
            with pytest.raises(KeystoreRefused, match="box"):
                unlock(unb64u(why or ""), f"ledger {row.n}")
    # what is said of it in docs/threat-model.md: a backup of the time before has the key, and tells
    with closing(sqlite3.connect(backup)) as copy:
        (secret,) = copy.execute("SELECT secret FROM period WHERE name = '2026-11'").fetchone()
    assert len(office.vault.unlock(secret, "period 2026-11")) == 32


@pytest.mark.spec("NODE-216")
def test_content_that_is_gone_leaves_no_case_behind(world: World, south: WorldNode, told: str) -> None:
    south.service.erase(told, south.officer("release_officer"), WHY)
    with south.store.reading() as books:
        name = books.inbox_of([told])[0].case_name
    assert name.encode() in raw(south)
    later(world, 3)
    shred(south, "2026-12")
    assert name.encode() not in raw(south)
    assert NIGHT.id.encode() not in raw(south)
    south.service.verify_ledger()


@pytest.mark.spec("NODE-215")
@pytest.mark.parametrize(
    ("keep", "before", "passes"), [(3, "2026-12", False), (2, "2026-12", True), (2, "2027-01", False)]
)
def test_young_months_are_kept(world: World, north: WorldNode, told: str, keep: int, before: str, passes: bool) -> None:
    later(world, 3)  # it is 2027-02
    if passes:
        assert shred(north, before, keep) == ["2026-11"]
        return
    with pytest.raises(ShredRefused, match="kept"):
        shred(north, before, keep)
    last = acts(north)[-1]
    assert (last["act"], last["outcome"], last["reasons"]) == ("attempt_denied", "shred_refused", [before])
    assert acts(north)[0]["why"] is not None


@pytest.mark.spec("NODE-215")
def test_three_years_are_kept_unless_somebody_says_more(world: World, north: WorldNode, told: str) -> None:
    later(world, 11)
    assert north.service.shredding.listed()["keep"] == 36
    with pytest.raises(ShredRefused, match="36 months"):
        north.service.shredding.shred("2026-12", north.officer("release_officer"), WHY)


@pytest.mark.spec("NODE-215")
def test_a_clock_set_ahead_shreds_nothing(world: World, north: WorldNode, told: str) -> None:
    north.service.watch.look()
    north.service.office.clock = lambda: world.clock().replace(year=2036)
    with pytest.raises(ShredRefused, match="2026-11"):
        shred(north, "2026-12")


@pytest.mark.spec("NODE-215")
def test_the_present_month_is_never_shredded(world: World, north: WorldNode, told: str) -> None:
    with pytest.raises(ShredRefused):
        shred(north, "2026-12", keep=1)
    with pytest.raises(ValueError, match="one month"):
        young(north, 0)


@pytest.mark.spec("NODE-215")
def test_a_hold_keeps_its_months_until_it_is_lifted(world: World, north: WorldNode, told: str) -> None:
    chief, forgets = north.officer("release_officer"), young(north)
    held = forgets.hold("2026-10", "2026-11", chief, WHY)
    forgets.hold("2026-12", "2027-12", chief, WHY)
    later(world, 3)
    with pytest.raises(ShredRefused, match=held["id"]):
        shred(north, "2026-12")
    (november, *_) = forgets.listed()["periods"]
    assert (november["period"], november["holds"], november["destroyed"]) == ("2026-11", [held["id"]], None)
    forgets.lift(held["id"], chief, WHY)
    with pytest.raises(NotHere):
        forgets.lift(held["id"], chief, WHY)
    assert shred(north, "2026-12") == ["2026-11"]
    (november, *_) = forgets.listed()["periods"]
    assert november["destroyed"] is not None
    assert november["wiped"] is not None
    assert [act["outcome"] for act in acts(north) if act["outcome"].startswith("hold")] == [
        "hold_set", "hold_set", "hold_lifted",
    ]  # fmt: skip


@pytest.mark.spec("NODE-215")
def test_months_and_holds_are_for_release_officers_and_written_as_months(north: WorldNode) -> None:
    forgets, chief = young(north), north.officer("release_officer")
    for role in ("officer", "auditor"):
        who = north.officer(role)
        for act in (
            lambda who=who: forgets.shred("2026-12", who, WHY), lambda who=who: forgets.lift("x", who, WHY),
            lambda who=who: forgets.hold("2026-11", "2026-11", who, WHY),
        ):  # fmt: skip
            with pytest.raises(RoleMissing):
                act()
    for wrong in ("2026-13", "2026-1", "november", "", "2026-11-01", "2026\n-11"):
        with pytest.raises(DraftMalformed):
            forgets.shred(wrong, chief, WHY)
    with pytest.raises(DraftMalformed):
        forgets.hold("2026-12", "2026-11", chief, WHY)


@pytest.mark.spec("NODE-26", "NODE-215")
def test_nobody_is_two_people_because_the_month_is_another(world: World, north: WorldNode) -> None:
    """Names change with the month; who may not release a message of their own is compared inside, by the id."""
    both = north.officer("release_officer")
    sent = north.service.send(north.draft(EVIDENCE, SOUTH, purpose="investigate"), both, WHY)
    later(world, 3)
    with pytest.raises(ReleaseRefused):
        north.service.release(sent.ref, both, WHY, approve=True)
    with pytest.raises(ShredRefused, match="a message"):  # else it would be forgotten who wrote it
        shred(north, "2026-12")
    north.service.release(sent.ref, Officer("np-other", frozenset({OfficerRole.RELEASE_OFFICER})), WHY, approve=False)
    assert shred(north, "2026-12") == ["2026-11"]


@pytest.mark.spec("NODE-140", "NODE-216")
def test_nobody_decides_about_a_message_whose_sender_is_forgotten(
    world: World, north: WorldNode, south: WorldNode, told: str
) -> None:
    later(world, 3)
    shred(north, "2026-12")
    ask = south.service.consents.ask(told, south.officer(), WHY, want="purpose", purposes=["detect"],
                                      until=world.clock() + timedelta(days=9))  # fmt: skip
    north.collect()
    chief = north.officer("release_officer")
    with pytest.raises(ReleaseRefused, match="not known any more"):
        north.service.consents.decide(ask.digest, chief, WHY, approve=True)
    north.service.consents.decide(ask.digest, chief, WHY, approve=False, ground="purpose_incompatible")


@pytest.mark.spec("NODE-217")
def test_a_node_that_stopped_between_the_two_steps_ends_them_at_the_next_start(
    world: World, north: WorldNode, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(world, 3)
    whole = type(north.store).rewrite

    def stop(_: Any) -> bool:
        raise OSError("the power went")

    monkeypatch.setattr(type(north.store), "rewrite", stop)
    with pytest.raises(OSError, match="power"):
        shred(north, "2026-12")
    monkeypatch.setattr(type(north.store), "rewrite", whole)
    assert young(north).listed()["periods"][0]["wiped"] is None
    assert young(north).finish()
    assert young(north).listed()["periods"][0]["wiped"] is not None
    assert NIGHT.id.encode() not in raw(north)


@pytest.mark.spec("NODE-217")
def test_the_file_is_written_anew_even_while_others_read(world: World, north: WorldNode, told: str) -> None:
    later(world, 3)
    with north.store.reading() as books:
        books.count("ledger")
        shred(north, "2026-12")
        assert young(north).listed()["periods"][0]["wiped"] is None
    assert young(north).finish()
    assert NIGHT.id.encode() not in raw(north)
