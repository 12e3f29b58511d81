"""Agreements: strict terms, one pair of signatures per party, and notices by one party alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.agreement import Agreement, join_signatures, read_agreement, read_notice
from exchange.protocol.errors import (
    AgreementMalformed,
    AgreementRefused,
    FederationMismatch,
    NoticeMalformed,
    NoticeRefused,
    SignaturesMissing,
    SignedTwice,
    SignerNotParty,
)
from exchange.protocol.policy import PolicyBook, State
from exchange.protocol.terms import MAX_TERMS, parse_notice, parse_terms, write_notice, write_terms
from keys.ceremony import RootPlan, enrol, federation_id, new_root, revoke, rotate
from keys.encoding import digest, read_json, write_json
from keys.errors import (
    AgencyUnknown,
    KeyNotValid,
    KeyUnknown,
    MalformedEncoding,
    Refusal,
    SignatureInvalid,
    TooLarge,
    WrongAlgorithm,
    WrongSignatureType,
)
from keys.keystore import BrokerKeys, Identity
from keys.signing import Signer, Statement, Typ, cosign, parse_statement, sign
from keys.trust import Directory

T0 = datetime(2026, 1, 1, tzinfo=UTC)
AT = T0 + timedelta(days=1)
NORTH, SOUTH, EAST = "north.police.sim", "south.police.sim", "east.border.sim"
CLAUSE: dict[str, Any] = {
    "id": "c1",
    "effect": "permit",
    "title": "Police may ask",
    "from": ["role:police"],
    "to": ["role:police"],
    "types": ["info_request"],
    "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes"],
    "class_max": "restricted",
    "conditions": {
        "handling_required": [],
        "urgency": ["normal"],
        "onward": "none",
        "retention_days": 90,
        "evidence": False,
        "human_release": False,
    },
}
FORBID: dict[str, Any] = {
    "id": "f1",
    "effect": "forbid",
    "title": "No victims",
    "from": ["party:any"],
    "to": ["role:fiu"],
    "types": ["any"],
    "purposes": ["any"],
    "crimes": ["any"],
    "cats": ["person_victim"],
}


@dataclass
class People:
    """A federation of three agencies with their keys."""

    directory: Directory
    authority: Signer
    identities: dict[str, Identity]

    def terms(self, **changes: Any) -> dict[str, Any]:
        return {
            "fed": self.directory.fed,
            "id": "task-force",
            "version": 1,
            "title": "A task force (SIMULATION)",
            "kind": "task_force",
            "parties": [NORTH, SOUTH],
            "bases": ["untoc_27"],
            "territory": ["XN", "XS"],
            "start": T0,
            "end": T0 + timedelta(days=300),
            "clauses": [CLAUSE, FORBID],
            **changes,
        }

    def signed(self, payload: bytes, *by: str, typ: Typ = Typ.AGREEMENT) -> Statement:
        statement = sign(payload, self.identities[by[0]].signer, typ)
        for party in by[1:]:
            statement = cosign(statement, self.identities[party].signer, typ)
        return statement

    def agreed(self, *by: str, **changes: Any) -> bytes:
        return self.signed(write_terms(self.terms(**changes)), *(by or (NORTH, SOUTH))).to_bytes()

    def note(self, act: str, agreement: str, by: str = SOUTH, ts: datetime = AT, signer: str = "") -> bytes:
        payload = write_notice(act, fed=self.directory.fed, agreement=agreement, by=by, ts=ts, reason="an exercise")
        return self.signed(payload, signer or by, typ=Typ.NOTICE).to_bytes()


@pytest.fixture(scope="module")
def people() -> People:
    root, authority, broker = Signer.generate(), Signer.generate(), BrokerKeys.generate("broker.sim")
    plan = RootPlan(
        "test", (root.public,), 1, (authority.public,), "test.sim/log", broker.log.public, "broker.sim",
        (broker.transport.public,),
    )  # fmt: skip
    first = new_root(plan, [root], now=T0)
    fed = federation_id(first)
    identities = {agency: Identity.generate(agency) for agency in (NORTH, SOUTH, EAST)}
    records = [
        enrol(fed, keys.public, authority, agency=agency, name=agency, roles=["police"], territory="XN",
              ceiling="confidential", now=T0)
        for agency, keys in identities.items()
    ]  # fmt: skip
    return People(Directory.build([first], records, fed=fed, now=T0), authority, identities)


# --- terms -------------------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-2", "AGR-3")
def test_terms_are_written_in_one_order_and_read_back(people: People) -> None:
    payload = write_terms(people.terms())
    shuffled = dict(reversed(people.terms(v="ix/1", typ="agreement").items()))
    shuffled["clauses"] = [dict(reversed(clause.items())) for clause in shuffled["clauses"]]
    assert write_terms(shuffled) == payload
    assert list(read_json(payload, limit=MAX_TERMS)) == [
        "v", "typ", "fed", "id", "version", "title", "kind", "parties", "bases", "territory", "start", "end", "clauses",
    ]  # fmt: skip
    terms = parse_terms(payload)
    assert terms.clauses[0].from_ == ("role:police",)
    assert terms.start == T0


def broken(member: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(terms: dict[str, Any]) -> None:
        *path, last = member.split(".")
        place: Any = terms
        for step in path:
            place = place[int(step)] if step.isdigit() else place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


MALFORMED: list[tuple[str, Any]] = [
    ("v", "ix/2"), ("typ", "notice"), ("fed", "short"), ("fed", "A" * 42 + "B"), ("id", "Upper"), ("id", ""),
    ("id", "a" * 65), ("version", 0), ("version", True), ("version", "1"), ("version", 10_000), ("version", 2),
    ("replaces", digest(b"x")), ("replaces", None), ("title", ""), ("title", "a\nb"), ("title", " padded"),
    ("title", "x" * 201), ("title", "right\u202eleft"), ("kind", "treaty"), ("parties", []), ("parties", [NORTH]),
    ("parties", [NORTH, NORTH]), ("parties", [NORTH, "north.police.example"]), ("parties", [NORTH, "role:police"]),
    ("parties", [NORTH, "a" * 40 + ".sim"]), ("parties", [f"a{i}.sim" for i in range(33)]), ("bases", ["rumour"]),
    ("bases", ["untoc_27", "untoc_27"]), ("territory", ["FR"]), ("territory", ["XNX"]), ("start", "2026-01-01"),
    ("start", "2026-01-01T00:00:00+00:00"), ("start", 1767225600), ("end", "2026-01-01T00:00:00.000Z"),
    ("end", "2026-02-30T00:00:00Z"), ("clauses", []), ("clauses", [CLAUSE, {**FORBID, "id": "c1"}]),
    ("clauses", [{**CLAUSE, "id": f"c{i}"} for i in range(65)]), ("extra", 1), ("clauses.0.extra", 1),
    ("clauses.0.effect", "allow"), ("clauses.0.id", "C1"), ("clauses.0.id", "a" * 13), ("clauses.0.id", "1c"),
    ("clauses.0.from", ["role:wizard"]), ("clauses.0.from", ["any"]), ("clauses.0.from", ["*"]),
    ("clauses.0.from", "role:police"), ("clauses.0.from", None), ("clauses.0.from", ...),
    ("clauses.0.to", ["party:all"]), ("clauses.0.types", ["any"]), ("clauses.0.types", ["gossip"]),
    ("clauses.0.types", ["info_request", "info_request"]), ("clauses.0.purposes", ["any"]),
    ("clauses.0.crimes", ["any"]), ("clauses.0.cats", ["any"]), ("clauses.0.cats", ...),
    ("clauses.0.class_max", "cosmic"), ("clauses.0.class_max", ...), ("clauses.0.conditions", ...),
    ("clauses.0.conditions", {}), ("clauses.0.conditions.retention_days", 0),
    ("clauses.0.conditions.retention_days", 3651), ("clauses.0.conditions.retention_days", None),
    ("clauses.0.conditions.retention_days", "90"), ("clauses.0.conditions.evidence", "yes"),
    ("clauses.0.conditions.evidence", 1), ("clauses.0.conditions.evidence", ...),
    ("clauses.0.conditions.onward", "anyone"), ("clauses.0.conditions.urgency", ["soon"]),
    ("clauses.0.conditions.handling_required", ["H4"]), ("clauses.1.conditions", CLAUSE["conditions"]),
    ("clauses.1.class_max", "restricted"), ("clauses.1.types", ["all"]), ("clauses.1.cats", "any"),
]  # fmt: skip


@pytest.mark.spec("AGR-2", "AGR-4", "AGR-5", "AGR-6", "AGR-8", "AGR-9", "AGR-10")
@pytest.mark.parametrize(("member", "value"), MALFORMED, ids=[f"{m}-{i}" for i, (m, _) in enumerate(MALFORMED)])
def test_terms_that_are_not_exactly_right_are_refused(people: People, member: str, value: Any) -> None:
    terms = json.loads(write_terms(people.terms()))
    broken(member, value)(terms)
    with pytest.raises(AgreementMalformed):
        parse_terms(write_json(terms))


@pytest.mark.spec("AGR-2")
def test_terms_as_strict_json_only(people: People) -> None:
    payload = write_terms(people.terms())
    with pytest.raises(MalformedEncoding):
        parse_terms(payload.replace(b'"version":1', b'"version":1,"version":1'))
    with pytest.raises(MalformedEncoding):
        parse_terms(payload.replace(b'"version":1', b'"version":1.0'))
    with pytest.raises(TooLarge):
        parse_terms(payload + b" " * MAX_TERMS)
    with pytest.raises(AgreementMalformed):
        parse_terms(b"[]")


def test_a_refusal_names_the_member_and_not_the_value(people: People) -> None:
    with pytest.raises(AgreementMalformed, match=r"`clauses\.0\.title`") as caught:
        write_terms(people.terms(clauses=[{**CLAUSE, "title": "a\x00secret"}]))
    assert "secret" not in str(caught.value)


def test_a_value_json_cannot_carry_is_refused(people: People) -> None:
    with pytest.raises(AgreementMalformed):
        write_terms(people.terms(title=T0))
    with pytest.raises(AgreementMalformed):
        write_terms(people.terms(clauses="none"))


@given(st.binary(max_size=300) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
       lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10).map(write_json))  # fmt: skip
def test_whatever_bytes_come_are_refused_and_never_crash(data: bytes) -> None:
    for parse in (parse_terms, parse_notice, parse_statement):
        with pytest.raises(Refusal):
            parse(data)


# --- signatures --------------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-1", "AGR-12", "AGR-13")
@pytest.mark.parametrize("order", [(NORTH, SOUTH), (SOUTH, NORTH)])
def test_parties_sign_in_any_order(people: People, order: tuple[str, ...]) -> None:
    data = people.agreed(*order)
    agreement = read_agreement(data, people.directory, AT)
    assert (agreement.signed_by, agreement.missing) == (order, ())
    assert agreement.digest == parse_statement(data).digest
    assert PolicyBook().with_agreement(data, people.directory, AT).get(agreement.digest) is not None


@pytest.mark.spec("AGR-12")
def test_an_agreement_not_every_party_signed_is_a_proposal_and_never_in_force(people: People) -> None:
    data = people.agreed(NORTH)
    assert read_agreement(data, people.directory, AT).missing == (SOUTH,)
    with pytest.raises(SignaturesMissing, match=SOUTH):
        PolicyBook().with_agreement(data, people.directory, AT)


@pytest.mark.spec("AGR-14")
def test_a_party_that_signs_twice_is_refused(people: People) -> None:
    with pytest.raises(SignedTwice):
        read_agreement(people.agreed(NORTH, SOUTH, NORTH), people.directory, AT)
    with pytest.raises(SignedTwice):
        read_agreement(people.agreed(NORTH, NORTH), people.directory, AT)


@pytest.mark.spec("AGR-13")
def test_a_signature_by_somebody_who_is_no_party_is_refused(people: People) -> None:
    with pytest.raises(SignerNotParty, match=EAST):
        read_agreement(people.agreed(NORTH, SOUTH, EAST), people.directory, AT)
    with pytest.raises(SignerNotParty):
        read_agreement(people.agreed(NORTH, EAST), people.directory, AT)


@pytest.mark.spec("AGR-13")
def test_a_signature_by_nobody_known_is_refused(people: People) -> None:
    payload = write_terms(people.terms())
    stranger = cosign(people.signed(payload, NORTH), Signer.generate(), Typ.AGREEMENT)
    with pytest.raises(KeyUnknown):
        read_agreement(stranger.to_bytes(), people.directory, AT)


@pytest.mark.spec("AGR-13")
def test_one_signer_may_not_put_half_of_anothers_pair(people: People) -> None:
    """An Ed25519 signature of one party with the ML-DSA signature of another makes no pair."""
    whole = people.signed(write_terms(people.terms()), NORTH, SOUTH)
    (north_ed, north_ml), (south_ed, south_ml) = whole.pairs
    mixed = replace(whole, pairs=((north_ed, south_ml), (south_ed, north_ml)))
    with pytest.raises(Refusal) as caught:
        read_agreement(mixed.to_bytes(), people.directory, AT)
    assert caught.value.code == "key_not_theirs"


@pytest.mark.spec("AGR-12")
def test_altered_terms_are_refused(people: People) -> None:
    statement = people.signed(write_terms(people.terms()), NORTH, SOUTH)
    altered = statement.payload.replace(b'"retention_days":90', b'"retention_days":99')
    forged = Statement(
        sign(altered, people.identities[NORTH].signer, Typ.AGREEMENT).raw_payload, altered, statement.pairs
    )
    with pytest.raises(SignatureInvalid):
        read_agreement(forged.to_bytes(), people.directory, AT)


@pytest.mark.spec("AGR-12")
@pytest.mark.parametrize("half", [0, 1])
def test_a_signature_with_one_bit_flipped_is_refused(people: People, half: int) -> None:
    statement = people.signed(write_terms(people.terms()), NORTH, SOUTH)
    pair = list(statement.pairs[1])
    value = bytearray(pair[half].value)
    value[9] ^= 1
    pair[half] = replace(pair[half], value=bytes(value))
    with pytest.raises(SignatureInvalid):
        read_agreement(
            replace(statement, pairs=(statement.pairs[0], (pair[0], pair[1]))).to_bytes(), people.directory, AT
        )


@pytest.mark.spec("AGR-12")
def test_half_a_pair_is_refused(people: People) -> None:
    statement = people.signed(write_terms(people.terms()), NORTH, SOUTH)
    value = statement.to_json()
    value["signatures"] = value["signatures"][:3]
    with pytest.raises(WrongAlgorithm):
        read_agreement(write_json(value), people.directory, AT)


@pytest.mark.spec("AGR-12", "AGR-22")
@pytest.mark.parametrize("typ", [typ for typ in Typ if typ != Typ.AGREEMENT])
def test_signatures_made_for_something_else_are_refused(people: People, typ: Typ) -> None:
    data = people.signed(write_terms(people.terms()), NORTH, SOUTH, typ=typ).to_bytes()
    with pytest.raises(WrongSignatureType):
        read_agreement(data, people.directory, AT)


@pytest.mark.spec("AGR-15")
def test_a_key_revoked_before_the_log_time_no_longer_signs(people: People) -> None:
    data, moment = people.agreed(), AT + timedelta(days=3)
    record = people.directory.agency(SOUTH)
    kids = [pair.kid for pair in people.identities[SOUTH].signer.public]
    renewed = people.identities[SOUTH].renewed()
    gone = revoke(
        people.directory.fed, record, kids, people.authority, reason="lost", now=moment, replacement=renewed.public
    )
    directory = people.directory.with_record(gone, moment)
    assert read_agreement(data, directory, moment - timedelta(milliseconds=1)).missing == ()
    with pytest.raises(KeyNotValid):
        read_agreement(data, directory, moment)


@pytest.mark.spec("AGR-15")
def test_a_key_not_yet_or_no_longer_valid_at_the_log_time_does_not_sign(people: People) -> None:
    data = people.agreed()
    for at in (T0 - timedelta(milliseconds=1), T0 + timedelta(days=365)):
        with pytest.raises(KeyNotValid):
            read_agreement(data, people.directory, at)


@pytest.mark.spec("AGR-5")
def test_an_agreement_of_another_federation_is_refused(people: People) -> None:
    with pytest.raises(FederationMismatch):
        read_agreement(people.agreed(fed=digest(b"elsewhere")), people.directory, AT)


@pytest.mark.spec("AGR-5")
def test_a_party_that_is_not_enrolled_is_refused(people: People) -> None:
    with pytest.raises(AgencyUnknown):
        read_agreement(people.agreed(NORTH, SOUTH, parties=[NORTH, SOUTH, "west.sim"]), people.directory, AT)


@pytest.mark.spec("AGR-16")
def test_signatures_collected_one_by_one_come_together(people: People) -> None:
    payload = write_terms(people.terms())
    first, second = people.signed(payload, NORTH), people.signed(payload, SOUTH)
    offered = read_agreement(second.to_bytes(), people.directory, AT)
    whole = join_signatures(offered, first, people.directory)
    assert (whole.missing, whole.digest) == ((), digest(payload))
    assert read_agreement(whole.statement.to_bytes(), people.directory, AT).missing == ()
    assert join_signatures(whole, first, people.directory) == whole
    with pytest.raises(AgreementRefused):
        join_signatures(
            offered, people.signed(write_terms(people.terms(version=1, title="B")), NORTH), people.directory
        )


@pytest.mark.spec("AGR-16")
def test_an_earlier_signature_whose_key_has_gone_falls_away_and_can_be_made_again(people: People) -> None:
    payload, moment = write_terms(people.terms()), AT + timedelta(days=3)
    renewed = people.identities[NORTH].renewed()
    record = rotate(people.directory.fed, people.directory.agency(NORTH), renewed.public, people.authority, now=moment,
                    overlap=timedelta(0))  # fmt: skip
    directory = people.directory.with_record(record, moment)
    earlier = people.signed(payload, NORTH)
    offered = read_agreement(people.signed(payload, SOUTH).to_bytes(), directory, moment)
    assert join_signatures(offered, earlier, directory).missing == (NORTH,)
    again = sign(payload, renewed.signer, Typ.AGREEMENT)
    offered = read_agreement(again.to_bytes(), directory, moment)
    assert join_signatures(offered, people.signed(payload, NORTH, SOUTH), directory).missing == ()


# --- versions ----------------------------------------------------------------------------------------------------


def first_version(people: People) -> tuple[PolicyBook, Agreement]:
    agreement = read_agreement(people.agreed(), people.directory, AT)
    return PolicyBook().admit(agreement), agreement


@pytest.mark.spec("AGR-20", "AGR-21")
def test_a_next_version_supersedes_the_one_it_names(people: People) -> None:
    book, old = first_version(people)
    later = AT + timedelta(days=1)
    new = people.agreed(version=2, replaces=old.digest)
    after = book.with_agreement(new, people.directory, later)
    assert after.standing(old.digest, AT).state is State.IN_FORCE
    assert after.standing(old.digest, later).state is State.SUPERSEDED
    assert [a.terms.version for a in after.in_force(later)] == [2]
    assert book.standing(old.digest, later).state is State.IN_FORCE


@pytest.mark.spec("AGR-20")
@pytest.mark.parametrize(
    ("changes", "by", "words"),
    [
        ({"version": 2, "replaces": digest(b"nothing")}, (NORTH, SOUTH), "not known here"),
        ({"version": 3}, (NORTH, SOUTH), "one higher"),
        ({"version": 2, "id": "another"}, (NORTH, SOUTH), "keeps the id"),
        ({"version": 2, "parties": [NORTH, EAST]}, (NORTH, EAST), f"`{SOUTH}` is a party"),
    ],
)
def test_a_version_that_does_not_follow_is_refused(
    people: People, changes: dict[str, Any], by: tuple[str, ...], words: str
) -> None:
    """Nobody can be amended out of an agreement by others: a party that has not left must sign the next version."""
    book, old = first_version(people)
    with pytest.raises(AgreementRefused, match=words):
        book.with_agreement(people.agreed(*by, **{"replaces": old.digest, **changes}), people.directory, AT)


@pytest.mark.spec("AGR-20")
def test_an_agreement_is_replaced_once(people: People) -> None:
    book, old = first_version(people)
    book = book.with_agreement(people.agreed(version=2, replaces=old.digest), people.directory, AT)
    with pytest.raises(AgreementRefused, match="already"):
        book.with_agreement(people.agreed(version=2, replaces=old.digest, title="B"), people.directory, AT)


@pytest.mark.spec("AGR-20")
def test_a_party_that_left_need_not_sign_the_next_version(people: People) -> None:
    book, old = first_version(people)
    book = book.with_notice(people.note("leave", old.digest), people.directory, AT)
    new = people.agreed(NORTH, EAST, version=2, replaces=old.digest, parties=[NORTH, EAST])
    assert len(book.with_agreement(new, people.directory, AT).in_force(AT)) == 1


@pytest.mark.spec("AGR-17")
def test_what_is_in_the_book_is_not_added_again(people: People) -> None:
    book, old = first_version(people)
    assert book.with_agreement(people.agreed(SOUTH, NORTH), people.directory, AT + timedelta(days=9)) is book
    note = people.note("suspend", old.digest)
    book = book.with_notice(note, people.directory, AT)
    assert book.with_notice(note, people.directory, AT + timedelta(days=9)) is book


# --- notices -----------------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-18", "AGR-22", "AGR-25")
def test_any_party_alone_suspends_and_only_that_party_resumes(people: People) -> None:
    book, old = first_version(people)
    hour = timedelta(hours=1)
    book = book.with_notice(people.note("suspend", old.digest), people.directory, AT + hour)
    assert book.standing(old.digest, AT).state is State.IN_FORCE
    assert book.standing(old.digest, AT + hour).state is State.SUSPENDED
    with pytest.raises(NoticeRefused, match="has not suspended"):
        book.with_notice(people.note("resume", old.digest, NORTH, AT + hour), people.directory, AT + hour)
    both = book.with_notice(people.note("suspend", old.digest, NORTH, AT + hour), people.directory, AT + 2 * hour)
    one = both.with_notice(people.note("resume", old.digest, SOUTH, AT + 2 * hour), people.directory, AT + 3 * hour)
    assert one.standing(old.digest, AT + 3 * hour).state is State.SUSPENDED
    none = one.with_notice(people.note("resume", old.digest, NORTH, AT + 2 * hour), people.directory, AT + 4 * hour)
    assert none.standing(old.digest, AT + 4 * hour).state is State.IN_FORCE
    assert none.standing(old.digest, AT + 3 * hour).state is State.SUSPENDED


@pytest.mark.spec("AGR-26")
def test_leaving_is_for_good(people: People) -> None:
    book, old = first_version(people)
    book = book.with_notice(people.note("leave", old.digest), people.directory, AT)
    assert book.standing(old.digest, AT).state is State.LEFT
    for act in ("resume", "suspend", "leave"):
        with pytest.raises(NoticeRefused, match="for good"):
            book.with_notice(people.note(act, old.digest, ts=AT + timedelta(minutes=1)), people.directory, AT)


@pytest.mark.spec("AGR-23")
def test_a_notice_is_only_for_parties_of_an_agreement_in_the_book(people: People) -> None:
    book, old = first_version(people)
    with pytest.raises(NoticeRefused, match="no party"):
        book.with_notice(people.note("suspend", old.digest, EAST), people.directory, AT)
    with pytest.raises(NoticeRefused, match="not known"):
        book.with_notice(people.note("suspend", digest(b"another")), people.directory, AT)


@pytest.mark.spec("AGR-22")
def test_nobody_gives_notice_in_anothers_name(people: People) -> None:
    _, old = first_version(people)
    with pytest.raises(Refusal) as caught:
        read_notice(people.note("suspend", old.digest, SOUTH, signer=NORTH), people.directory, AT)
    assert caught.value.code == "key_not_theirs"
    payload = write_notice("leave", fed=people.directory.fed, agreement=old.digest, by=SOUTH, ts=AT, reason="x")
    with pytest.raises(NoticeRefused, match="exactly one pair"):
        read_notice(people.signed(payload, SOUTH, NORTH, typ=Typ.NOTICE).to_bytes(), people.directory, AT)
    with pytest.raises(WrongSignatureType):
        read_notice(people.signed(payload, SOUTH).to_bytes(), people.directory, AT)
    elsewhere = write_notice("leave", fed=digest(b"x"), agreement=old.digest, by=SOUTH, ts=AT, reason="x")
    with pytest.raises(FederationMismatch):
        read_notice(people.signed(elsewhere, SOUTH, typ=Typ.NOTICE).to_bytes(), people.directory, AT)


@pytest.mark.spec("AGR-24")
def test_a_notice_held_back_cannot_undo_a_later_one(people: People) -> None:
    """Suspend, resume and suspend again are signed; whoever keeps the resume back cannot slip it in last."""
    book, old = first_version(people)
    minute = timedelta(minutes=1)
    notes = [people.note(act, old.digest, ts=AT + n * minute) for n, act in enumerate(("suspend", "resume", "suspend"))]
    book = book.with_notice(notes[0], people.directory, AT + 9 * minute)
    whole = book.with_notice(notes[1], people.directory, AT + 9 * minute)
    whole = whole.with_notice(notes[2], people.directory, AT + 9 * minute)
    assert whole.standing(old.digest, AT + 9 * minute).state is State.SUSPENDED
    with pytest.raises(NoticeRefused, match="already"):
        book.with_notice(notes[2], people.directory, AT + 9 * minute)
    resumed = book.with_notice(people.note("resume", old.digest, ts=AT + 5 * minute), people.directory, AT + 9 * minute)
    with pytest.raises(NoticeRefused, match="that date or later"):
        resumed.with_notice(notes[1], people.directory, AT + 9 * minute)


@pytest.mark.spec("AGR-24")
def test_a_notice_from_the_future_is_refused(people: People) -> None:
    _, old = first_version(people)
    edge = people.note("suspend", old.digest, ts=AT + timedelta(minutes=5))
    assert read_notice(edge, people.directory, AT).terms.act == "suspend"
    with pytest.raises(NoticeRefused, match="future"):
        read_notice(edge, people.directory, AT - timedelta(milliseconds=1))


@pytest.mark.spec("AGR-22")
@pytest.mark.parametrize(
    ("member", "value"),
    [("v", "ix/2"), ("typ", "agreement"), ("act", "revoke"), ("agr", "x"), ("by", "someone"), ("ts", "today"),
     ("reason", ""), ("reason", ...), ("reason", "x" * 201), ("extra", 1), ("fed", None)],
)  # fmt: skip
def test_a_notice_that_is_not_exactly_right_is_refused(people: People, member: str, value: Any) -> None:
    payload = write_notice("leave", fed=people.directory.fed, agreement=digest(b"x"), by=SOUTH, ts=AT, reason="x")
    terms = json.loads(payload)
    broken(member, value)(terms)
    with pytest.raises(NoticeMalformed):
        parse_notice(write_json(terms))


# --- the name of a policy ----------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-28")
def test_the_policy_is_named_by_a_chain_over_what_was_logged(people: People) -> None:
    book, old = first_version(people)
    other = read_agreement(people.agreed(id="other", start=AT + timedelta(days=5)), people.directory, AT)
    assert PolicyBook().policy(AT) == digest(b"")
    first = digest(f"{digest(b'')}\n{old.digest}".encode())
    assert book.policy(AT) == first
    assert book.policy(T0) == digest(b"")
    both = book.admit(other)
    second = digest(f"{first}\n{other.digest}".encode())
    assert both.policy(AT) == both.policy(AT + timedelta(days=5)) == second  # in force or not
    suspended = AT + timedelta(hours=1)
    noted = both.with_notice(people.note("suspend", old.digest), people.directory, suspended)
    (notice,) = noted.notices
    assert noted.policy(AT) == second
    assert noted.policy(suspended) == digest(f"{second}\n{notice.digest}".encode())
    assert (book.policy(suspended), both.policy(suspended)) == (first, second)


@pytest.mark.spec("AGR-17")
def test_a_book_built_at_once_equals_one_grown_step_by_step(people: People) -> None:
    book, old = first_version(people)
    new = read_agreement(people.agreed(version=2, replaces=old.digest), people.directory, AT)
    notice = read_notice(people.note("suspend", new.digest), people.directory, AT + timedelta(hours=2))
    grown = book.admit(new).admit(notice)
    built = PolicyBook.build([new, old], [notice])
    for hours in range(4):
        now = AT + timedelta(hours=hours)
        assert built.policy(now) == grown.policy(now)
        assert built.standing(new.digest, now) == grown.standing(new.digest, now)
    assert built.agreements == grown.agreements
