"""Attacks from inside an agency: an officer beyond their role, a stranger at the door, a thief of the node's disk.

And what somebody far away can put before an officer's eyes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agencies import commands
from agencies.node.app import create_app
from agencies.node.mail.draft import read_draft
from agencies.node.mail.outbox import Wanted, request_facts
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
from exchange import commands_offline
from exercises.world import BROKER_HOST, World
from keys.encoding import digest, write_json
from tests.agencies.node.conftest import HARBOUR, NORTH, SOUTH, TERMS
from tests.agencies.node.test_routes import DRAFT, PASSPHRASE, REASON, ROLES, Desk


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, [NORTH, SOUTH, HARBOUR], agreements=()) as made:
        made.agree(TERMS)
        yield made


@pytest.fixture
def desks(world: World, tmp_path: Path) -> Iterator[dict[str, Desk]]:
    officers = [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]
    settings = Settings(
        database=tmp_path / "served.db", fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=world.federation.identities[NORTH], profile=new_profile(NORTH, officers),
        broker=f"http://{BROKER_HOST}", background=False,
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(NORTH))
    app.state.node.refresh()
    world.wire.attach("node.sim", app)
    line = world.wire.client("desk", "http://node.sim")
    nobody = Desk(line)
    yield {"": nobody, **{name: nobody.sign_in(name) for name in ROLES}}
    line.close()
    app.state.node.office.store.close()


INJECTED = ["' OR 1=1 --", "x'; DROP TABLE ledger; --", "%", "_", "1) UNION SELECT seal FROM ledger --"]


@pytest.mark.parametrize("text", INJECTED)
def test_what_is_searched_for_is_a_value_and_never_a_question(desks: dict[str, Desk], text: str) -> None:

    desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    audit, said = desks["audit"], quote(text)
    for name in ("act", "officer", "msg", "case"):
        assert audit("GET", f"/v1/ledger?{name}={said}")[1]["acts"] == []
    assert desks["duty"]("GET", f"/v1/outbox?state={said}")[1] == {"messages": []}
    assert desks["duty"]("GET", f"/v1/messages/{said}")[0] == 404
    assert audit("GET", "/v1/ledger")[1]["verified"]["n"] > 0


def test_nobody_acts_beyond_their_role_by_naming_a_message(desks: dict[str, Desk]) -> None:
    """Knowing a digest is not being allowed to look."""
    _, sent = desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    name, why = sent["msg"], {"justification": REASON}
    for act in ("open", "export", "erase"):
        assert desks["audit"]("POST", f"/v1/messages/{name}/{act}", why)[1]["code"] == "role_missing"
    assert desks["duty"]("POST", f"/v1/messages/{name}/erase", why)[1]["code"] == "role_missing"
    assert desks["duty"]("POST", f"/v1/releases/{sent['ref']}", {"approve": True, **why})[1]["code"] == "role_missing"
    assert desks["duty"]("GET", "/v1/ledger")[1]["code"] == "role_missing"
    assert desks["duty"]("GET", "/v1/evidence")[1]["code"] == "role_missing"


def test_a_token_ends_with_its_session_and_is_nobody_elses(desks: dict[str, Desk], tmp_path: Path) -> None:
    """Signed out is out; and the database holds nothing that can be used as a token."""
    desks["duty"]("POST", "/v1/sign-out")
    assert desks["duty"]("GET", "/v1/inbox")[1]["code"] == "token_refused"
    with sqlite3.connect(tmp_path / "served.db") as plain:
        hashes = [row[0] for row in plain.execute("SELECT token_hash FROM session")]
    plain.close()
    assert hashes
    for kept in hashes:
        assert desks[""]("GET", "/v1/inbox", Authorization=f"Bearer {kept}")[1]["code"] == "token_refused"


def test_the_door_closes_for_officers_and_strangers_alike(desks: dict[str, Desk]) -> None:
    for name in ("duty", "nobody-here"):
        told = {"officer": name, "passphrase": "not the one"}
        codes = [desks[""]("POST", "/v1/sign-in", told)[1]["code"] for _ in range(6)]
        assert codes == ["sign_in_refused"] * 5 + ["sign_in_throttled"]
        assert desks[""]("POST", "/v1/sign-in", {"officer": name, "passphrase": PASSPHRASE})[0] == 429


def test_a_number_too_large_for_the_books_is_refused(desks: dict[str, Desk]) -> None:
    status, said = desks["audit"]("GET", f"/v1/ledger?after={2**80}")
    assert (status, said["code"]) == (400, "parameter_invalid")


def test_a_foreign_node_database_is_not_readable_by_others(desks: dict[str, Desk], tmp_path: Path) -> None:
    desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    for path in tmp_path.glob("served.db*"):
        assert path.stat().st_mode & 0o077 == 0, path.name


@pytest.mark.spec("NODE-60")
def test_a_thief_of_the_disk_cannot_check_a_guess_at_a_content(desks: dict[str, Desk], tmp_path: Path) -> None:
    """Whoever can guess what was sent must not find the guess confirmed by a hash that needs no key."""
    desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON, "key": "once"})
    draft = read_draft(DRAFT)
    said = [request_facts(Wanted(draft, "once")), draft.content_bytes, write_json(draft.to_json())]
    guesses = {digest(one) for one in said} | {sha256(one).hexdigest() for one in said}
    with sqlite3.connect(tmp_path / "served.db") as plain:
        kept = [row[0] for row in plain.execute("SELECT request_digest FROM outbox")]
    plain.close()
    assert all(kept)
    assert guesses.isdisjoint(kept)


@pytest.mark.spec("CLI-8")
def test_nothing_a_broker_explains_steers_the_officers_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {"state": "denied", "msg": "A" * 43}
    near = {"clause": "c1", "sentence": "no\x1b]0;owned\x07\x9b2J\u202e"}
    commands.tell(found, False, "denied", [{"id": SOUTH, "code": "no_clause", "nearest": [near]}])
    said = capsys.readouterr()
    assert not any(sign in said.err + said.out for sign in ("\x1b", "\x9b", "\x07", "\u202e"))
    commands.tell(found | {"why": near["sentence"]}, True, "denied", [])
    said = capsys.readouterr()
    assert not any(sign in said.out for sign in ("\x9b", "\u202e"))
    assert json.loads(said.out)["why"] == near["sentence"]


@pytest.mark.spec("CLI-8")
def test_nothing_a_refusal_says_is_markup_for_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    report: dict[str, Any] = {
        "message": "A" * 43, "manifest": {"by": "[link=http://x]here[/link]\x1b[2J"}, "signatures": [], "wraps": [],
        "bytes": {}, "context": "", "checks": [{"check": "in time", "code": "odd", "why": "[/nothing] \x9b[bold]"}],
    }  # fmt: skip
    commands_offline._show(report)
    said = capsys.readouterr().out
    assert "[link=http://x]here[/link]" in said
    assert "[/nothing]" in said
    assert not any(sign in said for sign in ("\x1b", "\x9b"))
