"""Who received, who holds, whom a breach concerns: answered from a verified export, and held against what was done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange.audit.export import Examined, examine_export
from exchange.audit.questions import breach, holders, read_messages, to, who
from exchange.protocol.errors import QuestionMalformed
from keys.encoding import digest, stamp, write_json
from tests.vectors.logbook import REFERRAL, Logbook, told
from tests.vectors.stage import FIU, NGO, NORTH, NOW, SOUTH

NONE = digest(b"in no log")


def examined(book: Logbook, files: Any = None) -> Examined:
    files = book.export() if files is None else files
    return examine_export(files.get, fed=book.on.fed, now=book.now)


class Chain:
    """North tells South, South passes on to the organisation by consent; South then erases; another exchange beside."""

    def __init__(self) -> None:
        book = self.book = Logbook()
        book.agree()
        self.first = book.send(type="info_request")
        book.receipt(self.first)
        self.answer = book.send(SOUTH, (NORTH,), type="info_reply", re=self.first)
        self.other = book.send()
        self.whole = book.send()
        book.receipt(self.whole, status="delivered")
        book.act("consent", NORTH, self.whole, want="onward", holder=SOUTH, to=[NGO], purposes=["victim_protection"],
                 fields=[""], until=book.now + timedelta(days=30))  # fmt: skip
        self.passed = book.send(SOUTH, (NGO,), src=[self.whole], **REFERRAL)
        self.denied = book.send(NGO, (SOUTH,), type="info_reply", src=[self.passed])
        self.before = book.now
        self.erased = book.act("erased", SOUTH, self.whole, cause="retention")
        self.recall = book.act("recall", NORTH, self.whole, ground="inaccurate")
        book.act("answer", NGO, self.whole, re=self.recall, outcome="erased")
        self.log = examined(book)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain()


# --- who ------------------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-60", "LOG-62")
def test_one_message_leads_to_its_whole_exchange_and_to_no_other(chain: Chain) -> None:
    assert chain.log.report.clean, chain.log.report.findings
    for begin in (chain.first, chain.answer):
        answer = who(chain.log, [begin])
        assert [row["msg"] for row in answer["disclosures"]] == [chain.first, chain.answer]
        assert answer["received"] == [
            {"id": NORTH, "messages": [chain.answer]}, {"id": SOUTH, "messages": [chain.first]},
        ]  # fmt: skip
    for begin in (chain.whole, chain.passed, chain.denied):
        answer = who(chain.log, [begin])
        assert [row["msg"] for row in answer["disclosures"]] == [chain.whole, chain.passed]
        assert [row["msg"] for row in answer["denials"]] == [chain.denied]
    assert (answer["clean"], answer["log"]["size"]) == (True, len(chain.book.entries))
    assert any("names no case" in caution for caution in answer["cautions"])


@pytest.mark.spec("LOG-62")
def test_why_and_under_which_clause_stand_beside_each_recipient(chain: Chain) -> None:
    (row,) = who(chain.log, [chain.other])["disclosures"]
    assert (row["from"], row["purpose"], row["crime"], row["type"]) == (
        NORTH, "investigate", "immigrant_smuggling", "spontaneous_info",
    )  # fmt: skip
    (whom,) = row["to"]
    assert (whom["id"], whom["standing"]) == (SOUTH, "no_receipt")
    assert whom["clauses"] == [{"id": "c1", "title": "Requests and answers about smuggling"}]


def test_alone_keeps_to_the_messages_named_and_an_unknown_one_is_said(chain: Chain) -> None:
    answer = who(chain.log, [chain.first, NONE], alone=True)
    assert ([row["msg"] for row in answer["disclosures"]], answer["unknown"]) == ([chain.first], [NONE])
    assert who(chain.log, [NONE])["received"] == []


@pytest.mark.spec("LOG-62")
def test_a_correction_belongs_to_the_exchange_of_what_it_corrects(chain: Chain) -> None:
    book = Logbook()
    book.agree()
    wrong, right = book.send(), book.send()
    book.act("rectify", NORTH, wrong, ground="inaccurate", by_msg=right)
    log = examined(book)
    assert [row["msg"] for row in who(log, [right])["disclosures"]] == [wrong, right]


@pytest.mark.spec("LOG-60")
def test_an_answer_from_a_log_that_lies_says_so(chain: Chain) -> None:
    book = Logbook()
    book.agree()
    msg = book.pretend(NORTH, (NGO,), [["c1"]])
    answer = who(examined(book), [msg])
    assert (answer["clean"], [one["code"] for one in answer["findings"]]) == (False, ["not_permitted"])


def test_the_answer_of_nobody_is_given_where_the_trust_is_not_believed(chain: Chain) -> None:
    files = chain.book.export()
    log = examine_export(files.get, fed=NONE, now=chain.book.now)
    assert (who(log, [chain.first])["clean"], who(log, [chain.first])["received"]) == (False, [])


# --- files of messages ----------------------------------------------------------------------------------


@pytest.mark.spec("LOG-61")
@pytest.mark.parametrize("data", [
    f"# a case\n\n{NONE}\n{digest(b'b')}\n".encode(),
    write_json([NONE, digest(b"b")]),
    write_json({"case": digest(b"a pseudonym"), "messages": [NONE, digest(b"b"), NONE]}),
])  # fmt: skip
def test_a_file_of_messages_is_read_in_three_forms(data: bytes) -> None:
    assert read_messages(data) == (NONE, digest(b"b"))


@pytest.mark.spec("LOG-61")
@pytest.mark.parametrize(
    "data",
    [b"", b"# nothing\n", b"short\n", b"[1]", b"{}", b'{"messages":"' + NONE.encode() + b'"}', b"[", b"\xff\xfe"],
)
def test_any_other_file_of_messages_is_refused(data: bytes) -> None:
    with pytest.raises(QuestionMalformed):
        read_messages(data)


# --- to, holders ----------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-66")
def test_what_an_agency_received_is_all_that_was_disclosed_to_it(chain: Chain) -> None:
    answer = to(chain.log, SOUTH)
    assert [row["msg"] for row in answer["disclosures"]] == [chain.first, chain.other, chain.whole]
    assert [row["msg"] for row in answer["denials"]] == [chain.denied]
    assert [row["to"][0]["standing"] for row in answer["disclosures"]] == ["received", "no_receipt", "said_erased"]
    assert to(chain.log, FIU)["disclosures"] == []
    with pytest.raises(QuestionMalformed):
        to(chain.log, "nobody.police.sim")


@pytest.mark.spec("LOG-63")
def test_holders_are_all_down_the_tree_with_what_they_said_since(chain: Chain) -> None:
    answer = holders(chain.log, chain.whole)
    found = {one["id"]: one for one in answer["holders"]}
    assert set(found) == {SOUTH, NGO}
    assert answer["derived"] == [chain.passed]
    assert [(held["msg"], held["standing"]) for held in found[SOUTH]["through"]] == [(chain.whole, "said_erased")]
    # The organisation answered the recall of the whole message, so it also erased what it had through the other.
    assert [(held["msg"], held["standing"]) for held in found[NGO]["through"]] == [(chain.passed, "said_erased")]
    assert [act["act"] for act in found[NGO]["acts"]] == ["answer"]
    for msg in (NONE, chain.denied):
        with pytest.raises(QuestionMalformed):
            holders(chain.log, msg)


@pytest.mark.spec("LOG-63")
def test_an_originator_who_is_told_its_own_words_is_named_as_that() -> None:
    book = Logbook()
    book.agree()
    first = book.send()
    back = book.send(SOUTH, (NORTH,), type="info_reply", src=[first])
    found = holders(examined(book), first)["holders"]
    assert [(one["id"], one["originator"], [held["msg"] for held in one["through"]]) for one in found] == [
        (NORTH, True, [back]), (SOUTH, False, [first]),
    ]  # fmt: skip


# --- breach ---------------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-64")
def test_a_breach_concerns_originators_derived_holders_and_those_it_told_itself(chain: Chain) -> None:
    answer = breach(chain.log, SOUTH, chain.before)
    assert [row["msg"] for row in answer["held"]] == [chain.first, chain.other, chain.whole]
    assert answer["own"] == [chain.answer, chain.passed]
    assert {one["id"]: one["as"] for one in answer["tell"]} == {
        NORTH: ["originator", "recipient"], NGO: ["derived_holder", "recipient"],
    }  # fmt: skip
    (ngo,) = (one for one in answer["tell"] if one["id"] == NGO)
    assert set(ngo["messages"]) == {chain.whole, chain.passed}
    assert "person_victim" in ngo["cats"]


@pytest.mark.spec("LOG-64")
def test_what_was_erased_before_the_breach_was_not_held(chain: Chain) -> None:
    later = chain.before + timedelta(seconds=1)
    assert chain.whole not in [row["msg"] for row in breach(chain.log, SOUTH, later)["held"]]
    early = breach(chain.log, SOUTH, NOW - timedelta(days=1), NOW)
    assert (early["held"], early["own"], early["tell"]) == ([], [], [])


@pytest.mark.spec("LOG-65")
def test_the_clock_runs_from_the_moment_given_and_from_no_other(chain: Chain) -> None:
    assert breach(chain.log, SOUTH, NOW, now=NOW)["clock"]["deadline"] is None
    aware = NOW + timedelta(hours=5)
    deadline = aware + timedelta(hours=72)
    clock = breach(chain.log, SOUTH, NOW, aware=aware, now=deadline)["clock"]
    assert (clock["deadline"], clock["overdue"]) == (stamp(deadline), False)
    assert breach(chain.log, SOUTH, NOW, aware=aware, now=deadline + timedelta(seconds=1))["clock"]["overdue"] is True
    with pytest.raises(QuestionMalformed):
        breach(chain.log, SOUTH, NOW, NOW - timedelta(seconds=1))


def test_every_answer_is_json_as_it_stands() -> None:
    book, files = told()
    log = examined(book, dict(files))
    for msg in {one.entry.msg for one in log.report.disclosures}:
        write_json(who(log, [msg]))
        write_json(holders(log, msg))
    for agency in (NORTH, SOUTH, NGO):
        write_json(to(log, agency))
        write_json(breach(log, agency, NOW))
