"""The published vectors of acts: each reads as it says, or is refused with the code it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.act import parse_act, read_act
from exchange.protocol.vocabulary import ActKind
from keys.encoding import digest, instant
from keys.errors import Refusal
from tests.vectors.stage import stage

TOLD: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "acts.json").read_text(encoding="utf-8")
)


def named(place: str) -> Any:
    return pytest.mark.parametrize("vector", TOLD[place], ids=[one["name"] for one in TOLD[place]])


@named("accepted")
def test_an_act_reads_as_it_did(vector: Any) -> None:
    """ACT-1, ACT-2, ACT-5"""
    act = read_act(vector["statement"].encode(), stage().directory, instant(vector["at"]))
    assert act.statement.payload == vector["payload"].encode()
    assert act.digest == vector["act"] == digest(act.statement.payload)
    assert parse_act(vector["payload"].encode()) == act.terms


def test_every_kind_is_among_them() -> None:
    assert {json.loads(one["payload"])["act"] for one in TOLD["accepted"]} == set(ActKind)
    assert TOLD["fed"] == stage().fed


@named("malformed")
def test_a_malformed_payload_is_refused_with_its_code(vector: Any) -> None:
    """ACT-2, ACT-3"""
    with pytest.raises(Refusal) as caught:
        parse_act(vector["payload"].encode())
    assert caught.value.code == vector["code"] == "act_malformed"


@named("refused")
def test_a_signed_act_is_refused_with_its_code(vector: Any) -> None:
    """ACT-1, ACT-4, ACT-5"""
    with pytest.raises(Refusal) as caught:
        read_act(vector["statement"].encode(), stage().directory, instant(vector["at"]))
    assert caught.value.code == vector["code"]
