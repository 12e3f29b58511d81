"""Attacks on what was already judged: a revocation that is held back, keys that come later, a clock set back.

"What was valid when it was logged stays valid for ever" (KEY-12). A record is dated by the enrolment authority, put
forward by the agency it is about, and may be put forward late: everything signed in between is at stake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.audit.export import AuditReport, verify_export
from exchange.commands_audit import export
from exercises.world import World
from keys.ceremony import amend, revoke
from keys.errors import RecordRefused
from keys.keystore import Identity
from keys.record import KeyEntry
from keys.signing import Typ, cosign
from tests.agencies.node.conftest import TERMS
from tests.exchange.broker.office import NGO, NORTH, SOUTH, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def audit(office: Office) -> AuditReport:
    out = office.path.parent / "export"
    export(str(office.path.parent), out)
    return verify_export(
        lambda path: (out / path).read_bytes() if (out / path).is_file() else None,
        fed=office.cast.fed,
        now=office.clock.now,
    )


def held_back(office: Office) -> tuple[Identity, bytes]:
    """North has its keys revoked as of now, and keeps the record in a drawer."""
    cast, record = office.cast, office.cast.directory.agency(NORTH)
    renewed = cast.identities[NORTH].renewed()
    kids = [key.kid for key in record.keys]
    return renewed, revoke(
        cast.fed, record, kids, cast.enrolment, reason="a laptop was stolen, it says", now=office.clock.now,
        replacement=renewed.public,
    )  # fmt: skip


def sign_and_take_back(office: Office) -> None:
    """Sign an agreement, disclose and give a receipt with keys that were 'revoked' before, then file the record."""
    renewed, record = held_back(office)
    office.clock.advance(hours=10)
    agreement = office.agree(NORTH, SOUTH)
    envelope = office.cast.compose(agreement, now=office.clock.now)
    assert office.submit(envelope).json["outcome"] == "permit"
    name = office.submit(envelope).json["msg"]
    back = office.cast.compose(agreement, NORTH, sender=SOUTH, now=office.clock.now)
    office.submit(back, SOUTH)
    receipt = office.cast.receipts(SOUTH, office.clock.now, (name, "delivered"))
    assert office.statement(SOUTH, "/v1/receipts", receipt).status == 200
    office.clock.advance(minutes=1)
    assert office.statement(renewed, "/v1/records", record).status == 200


@pytest.mark.spec("KEY-12", "LOG-42")
def test_a_revocation_held_back_does_not_make_an_honest_log_look_dishonest(office: Office) -> None:
    """A party cannot repudiate an agreement, nor spoil an audit, by a record that it files afterwards."""
    sign_and_take_back(office)
    report = audit(office)
    assert report.clean, report.findings
    assert report.counts["signed_receipts"] == 1


@pytest.mark.spec("ADM-38")
def test_a_revocation_held_back_does_not_keep_the_broker_from_starting_again(office: Office) -> None:
    """One member, with one honest revocation filed late, must not be able to stop the exchange for good."""
    sign_and_take_back(office)
    office.second().close()


@pytest.mark.spec("ADM-38")
def test_what_was_logged_in_one_instant_is_taken_up_in_the_order_of_the_log(office: Office) -> None:
    """A party leaves and the others sign on without it, all in one commit: the one makes the other allowed."""
    cast = office.cast
    first = office.agree(NORTH, SOUTH, NGO)
    leaving = cast.notice("leave", first, NGO, office.clock.now).to_bytes()
    after = cast.agreement(NORTH, SOUTH, version=2, replaces=first).to_bytes()
    media = {"media": "application/jose+json"}
    said = office.together(
        office.acall(NGO, "POST", "/v1/agreements", leaving, **media),
        office.acall(NORTH, "POST", "/v1/agreements", after, **media),
    )
    assert [got.json["state"] for got in said] == ["leave", "complete"]
    assert len({entry["ts"] for entry in office.entries()[-2:]}) == 1
    office.second().close()


@pytest.mark.spec("NODE-38")
def test_a_revocation_held_back_does_not_make_a_node_forget_an_agreement(tmp_path: Path) -> None:
    """What a node has once taken in stays, across restarts; so does what it was under."""
    with World(tmp_path, [NORTH, SOUTH], agreements=()) as world:
        directory, enrolment = world.federation.directory, world.federation.enrolment.signers[0]
        record, renewed = directory.agency(NORTH), world.federation.identities[NORTH].renewed()
        kids = [key.kid for key in record.keys]
        held = revoke(
            world.federation.fed, record, kids, enrolment, reason="lost, it says", now=world.clock(),
            replacement=renewed.public,
        )  # fmt: skip
        world.clock.advance(hours=10)
        agreement = world.agree(TERMS)
        world.clock.advance(minutes=1)
        world._file(NORTH, held, renewed)
        south = world.node(SOUTH)
        south.service.refresh()
        book = south.service.office.trust.book
        assert book.standing(agreement, world.clock()).state == "in_force"
        again = world.restart_node(SOUTH).service.office.trust.book
        assert again.standing(agreement, world.clock()).state == "in_force"


def test_a_key_enrolled_later_signs_nothing_earlier(office: Office) -> None:
    """Broker and enrolment authority together: a record dated back brings a key, the key 'signs' what was logged."""
    cast, begun = office.cast, office.clock.now
    false = Identity.generate(SOUTH)
    record = cast.directory.agency(SOUTH)
    agreement = office.agree(NORTH, SOUTH)
    office.clock.advance(days=1)
    dated = begun - timedelta(hours=1)
    keys = false.public.entries(dated, dated + timedelta(days=300))
    back = amend(cast.fed, record, cast.enrolment, now=dated, keys=(*record.keys, *keys))
    assert office.statement(SOUTH, "/v1/records", back).status == 200
    assert audit(office).clean
    # The books are edited: South's own signature gives way to one by the key that came a day later.
    out = office.path.parent / "export"
    path = out / "agreements" / f"{agreement}.json"
    signed = cast.agreement(NORTH, SOUTH, signers=[NORTH])
    path.write_bytes(cosign(signed, false.signer, Typ.AGREEMENT).to_bytes())
    report = verify_export(
        lambda name: (out / name).read_bytes() if (out / name).is_file() else None, fed=cast.fed, now=office.clock.now
    )
    assert [finding.code for finding in report.findings] == ["agreement_refused"]


@pytest.mark.parametrize("change", ["revoked", "exp"])
def test_a_record_cannot_say_that_a_key_had_ended_before_the_record(office: Office, change: str) -> None:
    cast, record = office.cast, office.cast.directory.agency(NORTH)
    early = office.clock.now - timedelta(days=1)

    def ended(key: KeyEntry) -> KeyEntry:
        return replace(key, revoked=early, reason="back then") if change == "revoked" else replace(key, exp=early)

    back = amend(cast.fed, record, cast.enrolment, now=office.clock.now, keys=tuple(map(ended, record.keys)))
    with pytest.raises(RecordRefused):
        cast.directory.with_record(back, office.clock.now)
    assert office.statement(NORTH, "/v1/records", back).code == "record_refused"
