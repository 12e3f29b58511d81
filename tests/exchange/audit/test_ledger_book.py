"""An act of a ledger is read in its one form, or named as altered; nothing of it is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from agencies.node.ledger import LedgerAct, Scribe
from exchange.audit.ledger_book import MEMBERS, read_line
from exchange.protocol.vocabulary import Act
from keys.encoding import digest, write_json
from keys.errors import Refusal

A = "a.police.sim"
GOOD: dict[str, Any] = {
    "v": "ix/1", "typ": "act", "n": 3, "ts": "2026-11-21T16:20:00.000Z", "act": "disclose", "agency": A,
    "by": digest(b"by"), "code": "case_assigned", "why": "AAAA", "purpose": "investigate", "agr": digest(b"agr"),
    "clauses": ["c1"], "case": digest(b"case"), "msg": digest(b"msg"), "from": A, "to": ["b.police.sim"],
    "persons": ["person_suspect"], "cats": ["data_transport"], "outcome": "done", "reasons": [], "index": 7,
    "released_by": None,
}  # fmt: skip


@pytest.mark.spec("LOG-100")
def test_an_act_is_read_as_it_stands() -> None:
    line = read_line(write_json(GOOD), A, 3)
    assert (line.act, line.index, line.sender, line.to, line.clauses) == (
        Act.DISCLOSE,
        7,
        A,
        ("b.police.sim",),
        ("c1",),
    )
    assert line.cats == {"person_suspect", "data_transport"}
    assert line.reasoned
    assert not read_line(write_json({**GOOD, "why": None}), A, 3).reasoned
    bare = read_line(write_json({**GOOD, "from": None, "to": [], "clauses": [], "cats": []}), A, 3)
    assert (bare.clauses, bare.cats) == (None, None)  # nothing was written down, so nothing can differ


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize(
    "change",
    [
        {"n": 4}, {"agency": "b.police.sim"}, {"v": "ix/2"}, {"typ": "record"}, {"act": "dream"}, {"ts": "yesterday"},
        {"index": "7"}, {"index": True}, {"to": "b.police.sim"}, {"clauses": [1]}, {"msg": 5}, {"outcome": None},
        {"more": 1}, {"officer": "somebody"},
    ],
)  # fmt: skip
def test_an_act_in_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((Refusal, ValueError)):
        read_line(write_json({**GOOD, **change}), A, 3)


@pytest.mark.spec("LOG-100")
def test_members_in_another_order_or_missing_are_refused() -> None:
    for members in (dict(reversed(GOOD.items())), {k: v for k, v in GOOD.items() if k != "case"}):
        with pytest.raises(ValueError, match="order"):
            read_line(write_json(members), A, 3)


def test_what_a_node_writes_is_what_is_read() -> None:
    """NODE-51: the writer's members and the reader's are one list."""
    assert tuple(GOOD) == MEMBERS
    assert LedgerAct(Act.CONSULT).outcome == "done"
    assert Scribe.write is not None
