"""One envelope, judged in numbered steps; and the states a message can have. See `spec/admission.md`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.protocol.admission import (
    admit,
    check_repetition,
    read,
    request_of,
    verify_at_log_time,
    verify_on_arrival,
)
from exchange.protocol.agreement import read_agreement
from exchange.protocol.lifecycle import TABLE, Fact, State, final, state
from exchange.protocol.log import parse_entry
from exchange.protocol.matching import Source
from exchange.protocol.message import parse
from exchange.protocol.policy import PolicyBook
from exchange.protocol.vocabulary import ReceiptStatus
from keys.errors import Refusal
from tests.exchange.broker.office import NGO, NORTH, SOUTH, START, Cast, cast

LATER = START + timedelta(seconds=1)


@pytest.fixture(scope="module")
def on() -> Cast:
    return cast()


@pytest.fixture(scope="module")
def book(on: Cast) -> PolicyBook:
    agreement = read_agreement(on.agreement(NORTH, SOUTH, NGO).to_bytes(), on.directory, START - timedelta(hours=1))
    return PolicyBook.build([agreement])


@pytest.fixture(scope="module")
def agreement(on: Cast) -> str:
    return on.agreement(NORTH, SOUTH, NGO).digest


def refused(code: str, act: Any) -> None:
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.code == code


@pytest.mark.spec("ADM-1", "ADM-2", "ADM-3")
def test_arrival_reads_then_asks_which_federation_then_who_calls(on: Cast, agreement: str) -> None:
    good = on.compose(agreement)
    assert read(good, NORTH, on.directory).digest == parse(good).digest
    refused("malformed", lambda: read(b"{", SOUTH, on.directory))
    foreign = on.compose(agreement, fed="A" * 43)
    refused("federation_mismatch", lambda: read(foreign, SOUTH, on.directory))  # before it looks at the caller
    refused("sender_mismatch", lambda: read(good, SOUTH, on.directory))


@pytest.mark.spec("ADM-4", "ADM-5", "ADM-6", "ADM-7")
def test_arrival_then_judges_sender_signatures_seal_and_time(on: Cast, agreement: str) -> None:
    envelope = read(on.compose(agreement), NORTH, on.directory)
    verify_on_arrival(envelope, on.directory, START)
    refused("key_not_valid", lambda: verify_on_arrival(envelope, on.directory, START - timedelta(days=60)))
    refused("message_expired", lambda: verify_on_arrival(envelope, on.directory, START + timedelta(days=7)))
    refused("message_time", lambda: verify_on_arrival(envelope, on.directory, START - timedelta(days=1)))
    nobody = on.compose(agreement, sender=NORTH)
    unknown = read(nobody, NORTH, on.directory)
    object.__setattr__(unknown.manifest, "from_", "ghost.police.sim")
    refused("agency_unknown", lambda: verify_on_arrival(unknown, on.directory, START))


@pytest.mark.spec("ADM-9")
def test_what_held_on_arrival_must_hold_at_log_time(on: Cast, agreement: str) -> None:
    envelope = read(on.compose(agreement), NORTH, on.directory)
    verify_at_log_time(envelope, on.directory, LATER)
    refused("message_expired", lambda: verify_at_log_time(envelope, on.directory, START + timedelta(days=7)))
    refused("key_not_valid", lambda: verify_at_log_time(envelope, on.directory, START + timedelta(days=400)))


@pytest.mark.spec("ADM-8")
def test_an_id_names_one_manifest() -> None:
    check_repetition("A" * 43, "A" * 43)
    refused("id_reused", lambda: check_repetition("A" * 43, "B" * 42 + "A"))


@pytest.mark.spec("ADM-9", "ADM-10")
def test_a_permit_delivers_to_each_its_own_wrap(on: Cast, agreement: str, book: PolicyBook) -> None:
    envelope = parse(on.compose(agreement, SOUTH))
    admission = admit(envelope, on.directory, book, LATER)
    assert admission.permitted
    assert admission.explanation is None
    assert admission.deliveries == ((SOUTH, envelope.wraps[0][1]),)
    entry = parse_entry(admission.entry)
    assert (entry.typ, entry.ts, entry.policy) == ("disclosure", "2026-11-21T16:20:01.000Z", book.policy(LATER))


@pytest.mark.spec("ADM-9", "ADM-10")
def test_one_denied_recipient_denies_the_message_to_all(on: Cast, agreement: str, book: PolicyBook) -> None:
    admission = admit(parse(on.compose(agreement, SOUTH, NGO)), on.directory, book, LATER)
    assert not admission.permitted
    assert admission.deliveries == ()
    assert admission.explanation is not None
    entry = parse_entry(admission.entry)
    assert [(one.id, one.code, one.nearest) for one in entry.to] == [  # type: ignore[union-attr]
        (SOUTH, "permitted", None), (NGO, "no_clause", "c1"),
    ]  # fmt: skip


def test_the_question_holds_what_the_manifest_declares_and_the_roles_of_the_directory(on: Cast, agreement: str) -> None:
    manifest = parse(on.compose(agreement, SOUTH, NGO)).manifest
    asked = request_of(manifest, on.directory)
    assert (asked.discloser.id, asked.discloser.roles) == (NORTH, ("police",))
    assert [(p.id, p.roles) for p in asked.recipients] == [(SOUTH, ("police",)), (NGO, ("ngo",))]
    assert (asked.cats, asked.handling) == (frozenset(manifest.cats), frozenset(manifest.handling))


@pytest.mark.spec("MSG-34", "MSG-35")
def test_the_question_holds_the_exemption_and_the_sources_and_is_not_put_without_them(on: Cast, agreement: str) -> None:
    plain = parse(on.compose(agreement, SOUTH)).manifest
    asked = request_of(plain, on.directory)
    assert (asked.exempt, asked.sources) == (None, ())
    derived = plain.model_copy(update={"src": ("A" * 43,), "exempt": "sensitive_case"})
    source = Source("A" * 43, NGO, True, False, "none", frozenset(), ())
    asked = request_of(derived, on.directory, (source,))
    assert (asked.exempt, asked.sources) == ("sensitive_case", (source,))
    with pytest.raises(ValueError, match="sources"):
        request_of(derived, on.directory)


@pytest.mark.spec("ADM-51", "ACT-20")
def test_a_source_that_may_not_be_passed_on_denies_what_the_clauses_permit(
    on: Cast, agreement: str, book: PolicyBook
) -> None:
    envelope = parse(on.compose(agreement, SOUTH))
    source = Source("A" * 43, NGO, True, False, "none", frozenset(), ())
    derived = replace(envelope, manifest=envelope.manifest.model_copy(update={"src": ("A" * 43,)}))
    admission = admit(derived, on.directory, book, LATER, (source,))
    entry = parse_entry(admission.entry)
    assert (admission.permitted, entry.typ, entry.code) == (False, "denial", "onward_forbidden")  # type: ignore[union-attr]
    assert entry.src == ("A" * 43,)  # type: ignore[union-attr]
    within = replace(source, onward="within_parties", parties=frozenset({SOUTH}))
    assert admit(derived, on.directory, book, LATER, (within,)).permitted


# --- the life of a message -----------------------------------------------------------------------------


@pytest.mark.spec("ADM-40")
def test_a_state_follows_from_the_facts_in_whatever_order_they_came() -> None:
    for facts, where in (
        ((), State.SUBMITTED),
        ((Fact.DENIED,), State.DENIED),
        ((Fact.DISCLOSED,), State.ADMITTED),
        ((Fact.DISCLOSED, Fact.DELIVERED), State.COLLECTED),
        ((Fact.DISCLOSED, Fact.DELIVERED, Fact.OPENED), State.OPENED),
        ((Fact.DISCLOSED, Fact.OPENED, Fact.EXPIRED), State.OPENED),
        ((Fact.DISCLOSED, Fact.EXPIRED), State.EXPIRED),
        ((Fact.DISCLOSED, Fact.DELIVERED, Fact.REJECTED), State.REJECTED),
        ((Fact.DISCLOSED, Fact.OPENED, Fact.RECALLED), State.RECALLED),
    ):
        assert {state(order) for order in itertools.permutations(facts)} == {where}


@pytest.mark.spec("ADM-41")
def test_a_fact_that_has_no_place_changes_nothing() -> None:
    assert state([Fact.OPENED, Fact.RECALLED]) is State.SUBMITTED
    assert state([Fact.DENIED, Fact.DELIVERED, Fact.OPENED]) is State.DENIED
    for where, fact in itertools.product(State, Fact):
        if (where, fact) not in TABLE:
            assert TABLE.get((where, fact), where) is where


@pytest.mark.spec("ADM-40")
def test_the_table_is_the_one_of_the_spec(repository: Any) -> None:
    lines = (repository / "spec" / "admission.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    head, *body = [row for row in rows if not row[0].startswith("---")]
    said = {
        (State(row[0]), Fact(fact)): State(to) for row in body for fact, to in zip(head[1:], row[1:], strict=True) if to
    }
    assert said == TABLE
    assert {where for where in State if final(where)} == {State.DENIED, State.REJECTED, State.EXPIRED, State.RECALLED}


def test_every_receipt_tells_a_fact() -> None:
    assert [Fact.of_receipt(status).value for status in ReceiptStatus] == [status.value for status in ReceiptStatus]
