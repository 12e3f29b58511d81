"""Who holds what came from a message, who may do what about it, and what binds whoever passes it on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.act import Act, parse_act, write_act
from exchange.protocol.entry import DisclosureEntry, Permitted
from exchange.protocol.errors import ActNotTheirs, ActRefused
from exchange.protocol.lineage import MAX_LINEAGE, Lineage
from exchange.protocol.matching import Source
from exchange.protocol.terms import AgreementTerms, parse_terms, write_terms
from exchange.protocol.vocabulary import ActKind
from keys.encoding import digest, stamp
from keys.signing import Statement
from tests.vectors.logbook import CLAUSES

FED = digest(b"federation")
NOW = datetime.fromisoformat("2026-11-21T16:20:00.000+00:00")
A, B, C, D, E = (f"{name}.police.sim" for name in "abcde")
PARTIES = (A, B, C, D, E)
UNTIL = NOW + timedelta(days=30)
RULES = ("within_parties", "by_consent", "by_field", "none")


@cache
def terms() -> AgreementTerms:
    """One agreement with a clause for every onward rule, named by it."""
    clauses = [
        {**CLAUSES[0], "id": rule[:12], "conditions": {**CLAUSES[0]["conditions"], "onward": rule}} for rule in RULES
    ]
    members = {"fed": FED, "id": "many", "version": 1, "title": "Many parties", "kind": "police_cooperation"}
    rest = {"bases": ["smuggling_prot_10"], "territory": ["XN"], "start": NOW, "end": UNTIL, "clauses": clauses}
    return parse_terms(write_terms({**members, "parties": [A, B, C], **rest}))


class Log:
    """Disclosures and acts in the order in which they are written down here; a second passes with each."""

    def __init__(self) -> None:
        self.lineage, self.seq = Lineage(), 0

    def send(self, name: str, sender: str, to: Sequence[str], *src: str, **facts: Any) -> str:
        """Disclose a message named by a letter; ``rule`` names the clause, for each recipient if it is a dictionary."""
        rule = facts.pop("rule", "by_consent")
        rules = rule if isinstance(rule, dict) else dict.fromkeys(to, rule)
        members = {
            "ts": stamp(self.now), "msg": digest(name.encode()), "id": "01939b5e-0000-7000-8000-000000000000",
            "from": sender, "to": tuple(Permitted(id=one, clauses=(rules[one][:12],)) for one in to), "agr": FED,
            "type": "info_request", "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
            "handling": ["H0"], "cats": [], "urgency": "none", "policy": FED,
        }  # fmt: skip
        sources = {"src": tuple(sorted(src))} if src else {}
        entry = DisclosureEntry(**{**members, **sources, **facts})
        self.lineage.with_disclosure(self.seq, entry, terms())
        self.seq += 1
        return entry.msg

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seq)

    def made(self, kind: str, by: str, msg: str, **members: Any) -> Act:
        payload = write_act(kind, fed=FED, by=by, ts=self.now, msg=msg, **members)
        return Act(digest(payload), Statement("", payload, ()), parse_act(payload), self.now)

    def act(self, kind: str, by: str, msg: str, **members: Any) -> str:
        """Do what one may; returns the act's digest."""
        act = self.made(kind, by, msg, **members)
        self.lineage.may(act.terms)
        self.lineage.with_act(self.seq, act)
        self.seq += 1
        return act.digest

    def consent(self, by: str, holder: str, to: Sequence[str], msg: str, **members: Any) -> str:
        said = {"want": "onward", "purposes": ["investigate"], "fields": [""], "until": UNTIL, **members}
        return self.act("consent", by, msg, holder=holder, to=to, **said)

    def told(self, kind: str, by: str, msg: str, **members: Any) -> tuple[str, ...]:
        return self.lineage.addressees(self.made(kind, by, msg, **members).terms)

    def source(self, discloser: str, *src: str) -> dict[str, Source]:
        """The sources by their messages."""
        return {one.msg: one for one in self.lineage.sources_for(src, discloser)}


def chain() -> tuple[Log, str, str, str]:
    """A tells B and E, B passes it on to C, C to D."""
    log = Log()
    one = log.send("1", A, [B, E])
    two = log.send("2", B, [C], one)
    three = log.send("3", C, [D], two)
    return log, one, two, three


# --- the tree -----------------------------------------------------------------------------------------------


@pytest.mark.spec("ACT-7")
def test_holders_are_the_whole_tree_below_and_not_the_originator() -> None:
    log, one, two, three = chain()
    assert log.lineage.holders(one) == {B: one, E: one, C: two, D: three}
    assert log.lineage.holders(two) == {C: two, D: three}
    back = log.send("4", D, [A, B], three)
    assert log.lineage.holders(one) == {B: one, E: one, C: two, D: three}
    assert log.lineage.holders(three) == {D: three, A: back, B: back}
    assert log.lineage.holders(digest(b"unknown")) == {}


@pytest.mark.spec("ACT-10")
def test_everybody_concerned_is_told_and_nobody_else() -> None:
    log, one, two, _ = chain()
    for kind in ("restrict", "recall"):
        assert log.told(kind, A, one, ground="unlawful") == (B, C, D, E)
    assert log.told("rectify", B, two, ground="unlawful", by_msg=one) == (C, D)
    whole = {"want": "onward", "purposes": ["investigate"], "fields": [""], "until": UNTIL}
    assert log.told("ask", D, one, to=[E], **whole) == (A,)
    ask = log.act("ask", C, one, to=[E], **whole)
    consent = log.act("consent", A, one, re=ask, holder=C, to=[E], **whole)
    assert log.told("consent", A, one, re=ask, holder=C, to=[E], **whole) == (C, E)
    assert log.told("withdraw", A, one, re=consent) == (C, E)
    assert log.told("decline", A, one, re=ask, ground="handling_restriction") == (C,)
    assert log.told("erased", B, one, cause="review") == (A,)


# --- standing -----------------------------------------------------------------------------------------------


@pytest.mark.spec("ACT-6", "ACT-8")
def test_only_the_originator_and_holders_have_a_standing() -> None:
    log, one, two, _ = chain()
    whole = {"want": "onward", "to": [E], "purposes": ["investigate"], "fields": [""], "until": UNTIL}
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        ("recall", B, one, {"ground": "unlawful"}),  # a holder's is its own message, not this one
        ("restrict", "z.sim", one, {"ground": "unlawful"}),
        ("rectify", C, two, {"ground": "unlawful", "by_msg": one}),
        ("consent", B, one, {**whole, "holder": C}),
        ("decline", E, one, {"re": FED, "ground": "handling_restriction"}),
        ("withdraw", B, one, {"re": FED}),
        ("ask", A, one, whole),
        ("ask", E, two, whole),
        ("answer", A, one, {"re": FED, "outcome": "erased"}),
        ("erased", C, one, {"cause": "review"}),  # it was told another message
        ("keep", D, two, {"ground": "case_open", "until": UNTIL}),
        ("acknowledge", D, one, {}),
        ("acknowledge", A, one, {}),
    ]
    for kind, by, msg, members in cases:
        with pytest.raises(ActNotTheirs):
            log.act(kind, by, msg, **members)


@pytest.mark.spec("ACT-8")
def test_a_stranger_cannot_tell_what_was_disclosed_to_others() -> None:
    log, one, _, _ = chain()
    said = set()
    for msg in (one, digest(b"never disclosed")):
        with pytest.raises(ActNotTheirs) as caught:
            log.act("recall", "z.sim", msg, ground="unlawful")
        said.add((caught.value.code, str(caught.value)))
    assert len(said) == 1


@pytest.mark.spec("ACT-8", "ACT-16")
def test_only_a_message_with_a_handling_text_is_acknowledged() -> None:
    log, one, _, _ = chain()
    with pytest.raises(ActRefused, match="handling text"):
        log.act("acknowledge", B, one)
    marked = log.send("5", A, [B], handling=["H2", "H3"])
    log.act("acknowledge", B, marked)


@pytest.mark.spec("ACT-9")
def test_an_ask_is_answered_once_and_only_what_was_asked() -> None:
    log, one, two, _ = chain()
    whole = {"want": "onward", "to": [D], "purposes": ["investigate"], "fields": [""], "until": UNTIL}
    purpose = {"want": "purpose", "purposes": ["prosecute"], "fields": ["/entities/0"], "until": UNTIL}
    ask, other = log.act("ask", B, one, **whole), log.act("ask", C, one, **purpose)
    for kind, by, msg, members in (
        ("consent", A, one, {**whole, "re": other, "holder": C}),  # another thing than was asked
        ("consent", A, one, {**whole, "re": ask, "holder": C}),  # another holder
        ("consent", A, one, {**whole, "re": FED, "holder": B}),
        ("consent", A, one, {**whole, "holder": "z.sim"}),
        ("consent", B, two, {**whole, "re": ask, "holder": C}),  # another message
        ("decline", B, two, {"re": ask, "ground": "handling_restriction"}),
        ("withdraw", A, one, {"re": ask}),
    ):
        with pytest.raises(ActRefused):
            log.act(kind, by, msg, **members)
    consent = log.act("consent", A, one, **{**whole, "to": [D, E]}, re=ask, holder=B)  # more than was asked
    log.act("decline", A, one, re=other, ground="purpose_incompatible")
    for re in (ask, other):
        with pytest.raises(ActRefused, match="answered before"):
            log.act("decline", A, one, re=re, ground="purpose_incompatible")
    log.act("withdraw", A, one, re=consent)
    with pytest.raises(ActRefused, match="withdrawn before"):
        log.act("withdraw", A, one, re=consent)


@pytest.mark.spec("ACT-9")
def test_restrictions_and_recalls_stand_and_answers_fit_them() -> None:
    log, one, two, _ = chain()
    restriction = log.act("restrict", A, one, ground="inaccurate")
    recall = log.act("recall", A, one, ground="inaccurate")
    for kind in ("restrict", "recall"):
        with pytest.raises(ActRefused, match="stands"):
            log.act(kind, A, one, ground="unlawful")
    for re, outcome in ((restriction, "rectified"), (recall, "rectified"), (FED, "erased")):
        with pytest.raises(ActRefused):
            log.act("answer", B, one, re=re, outcome=outcome)
    with pytest.raises(ActRefused):
        log.act("answer", C, two, re=recall, outcome="erased")  # of another message
    log.act("answer", B, one, re=recall, outcome="retained", ground="judicial_proceedings")
    log.act("answer", B, one, re=recall, outcome="erased")
    with pytest.raises(ActRefused, match="nothing left"):
        log.act("answer", B, one, re=recall, outcome="restricted")
    with pytest.raises(ActRefused, match="cannot keep"):
        log.act("keep", B, one, ground="case_open", until=UNTIL)


@pytest.mark.spec("ACT-9")
def test_what_speaks_for_an_accused_is_not_taken_back() -> None:
    log = Log()
    notice = log.send("1", A, [B], type="exculpatory_notice")
    for kind in ("restrict", "recall"):
        with pytest.raises(ActRefused, match="rectify"):
            log.act(kind, A, notice, ground="sent_in_error")
    log.act("rectify", A, notice, ground="inaccurate", by_msg=log.send("2", A, [B], type="exculpatory_notice"))


@pytest.mark.spec("ACT-9")
def test_a_message_is_corrected_by_the_originators_own_that_does_not_come_from_it() -> None:
    log, one, two, _ = chain()
    derived = log.send("6", A, [B], one)
    correct = log.send("7", A, [B])
    for by_msg in (two, derived, digest(b"never disclosed")):
        with pytest.raises(ActRefused):
            log.act("rectify", A, one, ground="inaccurate", by_msg=by_msg)
    rectify = log.act("rectify", A, one, ground="inaccurate", by_msg=correct)
    log.act("answer", D, one, re=rectify, outcome="rectified")


# --- sources ------------------------------------------------------------------------------------------------


@pytest.mark.spec("ACT-20", "MSG-34")
def test_a_source_binds_by_the_rule_of_its_clause() -> None:
    for rule in RULES:
        log = Log()
        one = log.send("1", A, [B], rule=rule)
        source = log.source(B, one)[one]
        assert (source.originator, source.holder_had, source.stopped) == (A, True, False)
        assert (source.onward, source.parties, source.consents) == (rule, frozenset({A, B, C}), ())
        assert log.source(A, one) == {}  # one's own binds oneself to nothing


@pytest.mark.spec("ACT-20")
def test_what_one_never_had_is_unknown_even_if_it_exists() -> None:
    log, one, two, three = chain()
    for discloser, msg in ((C, one), (E, two), (B, three), (B, digest(b"nowhere"))):
        source = log.source(discloser, msg)[msg]
        assert (source.holder_had, source.onward) == (False, "none")


@pytest.mark.spec("ACT-20")
def test_a_chain_does_not_wash_a_rule_off() -> None:
    """B may not pass on; that B sends a message of its own with it, under an open clause, frees nobody below."""
    log = Log()
    one = log.send("1", A, [B], rule="none")
    two = log.send("2", B, [C], one, rule="within_parties")
    own = log.send("3", C, [D], two, rule="within_parties")
    assert {msg: source.onward for msg, source in log.source(C, two).items()} == {one: "none", two: "within_parties"}
    assert {msg: source.onward for msg, source in log.source(C, own).items()} == {one: "none", two: "within_parties"}
    assert log.source(D, own)[one].onward == "none"
    assert log.source(D, own)[two].onward == "within_parties"


@pytest.mark.spec("ACT-20")
def test_the_rule_is_the_strictest_of_those_who_passed_it_on_and_ones_own_where_told_directly() -> None:
    log = Log()
    one = log.send("1", A, [B, C], rule={B: "none", C: "within_parties"})
    two = log.send("2", B, [D], one)
    three = log.send("3", C, [D], one)
    assert log.source(D, three)[one].onward == "within_parties"
    assert log.source(D, two, three)[one].onward == "none"
    assert log.source(C, one)[one].onward == "within_parties"


@pytest.mark.spec("ACT-20")
def test_what_an_originator_sends_again_binds_by_the_later_message() -> None:
    log = Log()
    one = log.send("1", A, [B], rule="none")
    again = log.send("2", A, [C], one, rule="by_consent")
    assert {msg: source.onward for msg, source in log.source(C, again).items()} == {
        one: "by_consent", again: "by_consent",
    }  # fmt: skip


@pytest.mark.spec("ACT-13", "ACT-20")
@pytest.mark.parametrize("kind", ["restrict", "recall", "rectify"])
def test_what_was_stopped_is_stopped_for_everybody_below(kind: str) -> None:
    log, one, two, three = chain()
    more = {"by_msg": log.send("8", A, [B])} if kind == "rectify" else {}
    log.act(kind, A, one, ground="inaccurate", **more)
    assert log.source(B, one)[one].stopped
    assert log.source(C, two)[one].stopped
    assert log.source(D, three)[one].stopped
    assert not log.source(D, three)[two].stopped


@pytest.mark.spec("ACT-15", "ACT-20")
def test_who_erased_has_nothing_left_to_pass_on() -> None:
    log, one, two, three = chain()
    log.act("erased", B, one, cause="retention")
    assert log.source(B, one)[one].stopped
    assert not log.source(E, one)[one].stopped
    recall = log.act("recall", B, two, ground="unlawful")
    log.act("answer", D, two, re=recall, outcome="erased")
    assert log.lineage.contradicted(D, [three]) is not None
    assert log.lineage.contradicted(C, [two]) is None


@pytest.mark.spec("ACT-15")
def test_another_copy_that_comes_later_is_another_copy() -> None:
    """An `erased` speaks of the message; an answer of all that came from it so far."""
    log = Log()
    one = log.send("1", A, [B, C])
    two = log.send("2", B, [C], one)
    log.act("erased", C, one, cause="retention")
    assert log.lineage.contradicted(C, [one]) is not None
    assert log.lineage.contradicted(C, [two]) is None
    restriction = log.act("restrict", A, one, ground="inaccurate")
    log.act("answer", C, one, re=restriction, outcome="erased")
    assert log.lineage.contradicted(C, [two]) is not None
    three = log.send("3", B, [C], one)
    assert log.lineage.contradicted(C, [three]) is None


@pytest.mark.spec("ACT-11", "ACT-12", "ACT-20")
def test_only_onward_consents_of_the_originator_to_this_holder_count() -> None:
    log, one, two, _ = chain()
    assert log.source(C, two)[one].consents == ()
    first = log.consent(A, C, [D], one)
    log.consent(B, C, [E], two, purposes=["prosecute"], fields=["/entities/0"])
    log.consent(A, B, [D], one)  # another holder's
    purpose = {"want": "purpose", "purposes": ["prosecute"], "fields": [""], "until": UNTIL}
    log.act("consent", A, one, holder=C, **purpose)
    found = log.source(C, two)
    (of_one,), (of_two,) = found[one].consents, found[two].consents
    assert (of_one.holder, of_one.to, of_one.purposes, of_one.withdrawn) == (
        C,
        frozenset({D}),
        frozenset({"investigate"}),
        False,
    )
    assert (of_two.to, of_two.purposes, of_two.fields) == (frozenset({E}), frozenset({"prosecute"}), ("/entities/0",))
    log.act("withdraw", A, one, re=first)
    assert log.source(C, two)[one].consents[0].withdrawn


@pytest.mark.spec("ACT-20")
def test_a_message_that_comes_from_too_many_comes_from_nowhere() -> None:
    log = Log()
    names = [log.send("0", A, [B])]
    for n in range(1, MAX_LINEAGE + 1):
        names.append(log.send(str(n), (A, B)[n % 2], [(B, A)[n % 2]], names[-1]))
    last, before = names[-1], names[-2]
    assert {one.holder_had for one in log.lineage.sources_for([last], B)} == {False}
    assert {one.holder_had for one in log.lineage.sources_for([before], A)} == {True}


# --- silence ------------------------------------------------------------------------------------------------


@pytest.mark.spec("ACT-14")
def test_silence_is_listed_with_a_clock_until_it_ends() -> None:
    log, one, _, _ = chain()
    recall = log.act("recall", A, one, ground="unlawful")
    log.act("answer", B, one, re=recall, outcome="restricted")
    (followed,) = log.lineage.followed()
    due = followed.act.at + timedelta(hours=72)
    assert list(log.lineage.unanswered(due)) == []
    late = due + timedelta(seconds=1)
    assert [holder for _, holder in log.lineage.unanswered(late)] == [E, C, D]
    log.act("answer", D, one, re=recall, outcome="erased")
    assert {holder for _, holder in log.lineage.unanswered(late)} == {C, E}
    assert {holder for _, holder in log.lineage.unanswered(log.now, timedelta(0))} == {C, E}


@pytest.mark.spec("ACT-14")
def test_who_erased_has_answered_what_was_asked_before() -> None:
    log, one, _, _ = chain()
    log.act("restrict", A, one, ground="unlawful")
    recall = log.act("recall", A, one, ground="unlawful")
    log.act("answer", B, one, re=recall, outcome="erased")
    log.act("answer", C, one, re=recall, outcome="restricted")
    silent = {(f.act.kind, holder) for f, holder in log.lineage.unanswered(NOW + timedelta(days=9))}
    assert silent == {
        (ActKind.RESTRICT, C), (ActKind.RESTRICT, D), (ActKind.RESTRICT, E), (ActKind.RECALL, D), (ActKind.RECALL, E),
    }  # fmt: skip


@pytest.mark.spec("ACT-7", "ACT-14")
def test_who_came_to_hold_it_after_the_recall_was_not_asked() -> None:
    """It can only be the originator's own doing, for nobody else may pass it on any more."""
    log, one, _, _ = chain()
    recall = log.act("recall", A, one, ground="unlawful")
    log.send("9", A, ["f.police.sim"], one)
    assert set(log.lineage.followed()[0].holders) == {B, C, D, E}
    log.act("answer", "f.police.sim", one, re=recall, outcome="erased")


# --- a part of the log is enough -----------------------------------------------------------------------------


@given(st.data())
def test_a_part_of_the_log_gives_the_same_answers(data: st.DataObject) -> None:
    """ACT-20: whoever knows the sources, what they came from and the acts about them needs no more of the log."""
    whole = Log()
    sent: list[tuple[str, str, tuple[str, ...]]] = []
    for n in range(data.draw(st.integers(2, 7))):
        sender = data.draw(st.sampled_from(PARTIES))
        had = [msg for msg, who, to in sent if sender == who or sender in to]
        src = data.draw(st.lists(st.sampled_from(had), max_size=3, unique=True)) if had else []
        to = data.draw(st.lists(st.sampled_from([p for p in PARTIES if p != sender]), min_size=1, unique=True))
        rule = data.draw(st.sampled_from(RULES))
        msg = whole.send(str(n), sender, to, *src, rule=rule)
        sent.append((msg, sender, tuple(to)))
        for by, kind, members in (
            (sender, "restrict", {"ground": "unlawful"}),
            (to[0], "erased", {"cause": "review"}),
            (sender, "recall", {"ground": "unlawful"}),
        ):
            if data.draw(st.booleans()):
                whole.act(kind, by, msg, **members)
    known = whole.lineage
    msg, _, _ = data.draw(st.sampled_from(sent))
    names = known._ancestors(msg)
    part = Lineage()
    passed = [known._passed[name] for name in names]
    made: list[tuple[int, DisclosureEntry | Act]] = [(one.seq, one.entry) for one in passed]
    made += [(seq, act) for name in names for seq, act in known._acts.get(name, ())]
    for seq, item in sorted(made, key=lambda one: one[0]):
        if isinstance(item, Act):
            part.with_act(seq, item)
        else:
            part.with_disclosure(seq, item, terms())
    for discloser in PARTIES:
        assert part.sources_for([msg], discloser) == known.sources_for([msg], discloser)
