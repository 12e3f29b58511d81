"""What rests in a node's books, byte for byte (NODE-61, NODE-62)."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agencies.node import office as module
from exercises.world import World, WorldNode
from keys.encoding import read_json
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH


@pytest.mark.spec("NODE-61", "NODE-62")
def test_a_stranger_with_the_key_file_opens_the_books(world: World, north: WorldNode) -> None:
    """Written from the specification alone: what another implementation has to do to read these books."""
    sent = north.send(REQUEST, SOUTH)
    secret = world.federation.identities[NORTH].pseudonym_key
    vault = hmac.digest(secret, b"ix/1 vault\nnode north.police.sim", "sha256")
    with north.store.reading() as books:
        row, act = books.get("outbox", ref=sent.ref), books.rows("ledger")[0]
    box = row.content  # type: ignore[union-attr]
    key = AESGCM(hmac.digest(vault, b"ix/1 vault box", "sha256"))
    plain = key.decrypt(box[:12], box[12:], f"outbox content {sent.ref}".encode())
    assert read_json(plain, limit=200_000) == REQUEST
    assert act.seal == hmac.digest(hmac.digest(vault, b"ix/1 vault seal", "sha256"), act.body, "sha256")


def test_evidence_is_kept_whole_and_once(north: WorldNode) -> None:
    north.service.office.keep_evidence("test", older="one", newer="two")
    north.service.office.keep_evidence("test", older="one", newer="two")
    (kept,) = north.service.evidence(north.officer("auditor"))
    assert (kept["kind"], kept["detail"]) == ("test", {"older": "one", "newer": "two"})


@pytest.mark.spec("NODE-36")
def test_evidence_is_kept_once_and_is_bounded(south: WorldNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    for n in (1, 1, 2, 3, 4, 5):
        south.service.office.keep_evidence("answer_unproved", n=n)
    south.service.office.keep_evidence("log_forked", n=1)
    assert south.service.state()["evidence"] == 4
