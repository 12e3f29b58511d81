"""Emergencies, their review, flags, and offences of other laws, over HTTP (NODE-160 to NODE-183)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agencies.node.app import create_app
from agencies.node.care.offences import read_table
from agencies.node.profile import MIN_COST, Officer, new_officer, new_profile
from agencies.node.sessions import FREE_ATTEMPTS
from agencies.node.settings import Settings
from agencies.profiles import load_offences
from exchange.protocol.vocabulary import Classification
from exercises.world import BROKER_HOST, World
from keys.encoding import stamp
from tests.agencies.node.bound import NORTH, SOUTH, TIP, bound, terms
from tests.agencies.node.care.test_flags import request

PASSPHRASE = "a boat in the harbour"
TEXT = "the lorry is closed, somebody inside it called for help an hour ago"
REASON = {"justification": {"code": "urgent_danger", "text": TEXT}}
ROLES = {"duty": ["officer"], "chief": ["release_officer"], "audit": ["auditor"]}
GLASS = REASON | {"second": "chief", "passphrase": PASSPHRASE, "danger": "danger_to_life", "purpose": "prevent"}
Call = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def officers() -> list[Officer]:
    made = [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]
    return [replace(one, clearance=Classification.UNCLASSIFIED) for one in made]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms()) as made:
        yield made


@pytest.fixture
def call(world: World, officers: list[Officer], tmp_path: Path) -> Iterator[Call]:
    """Call south's node, served on books of its own, in somebody's name."""
    federation = world.federation
    settings = Settings(
        database=tmp_path / "served.db", fed=federation.fed, trust=federation.directory.to_bytes(),
        identity=federation.identities[SOUTH], profile=new_profile(SOUTH, officers), broker=f"http://{BROKER_HOST}",
        background=False, offences=read_table(load_offences()[SOUTH]),
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(SOUTH))
    app.state.node.refresh()
    world.wire.attach("node.sim", app)
    line = world.wire.client("desk", "http://node.sim")

    tokens: dict[Any, str] = {}

    def ask(who: str, method: str, path: str, body: Any = None, reason: str = "") -> tuple[int, Any]:
        if not who:
            answer = line.request(method, path)
            return answer.status_code, answer.text
        session = who, world.clock()
        if session not in tokens:
            told = {"officer": who, "passphrase": PASSPHRASE}
            tokens[session] = line.post("/v1/sign-in", json=told).json()["token"]
        token = tokens[session]
        headers = {"Authorization": f"Bearer {token}"}
        headers |= {"Justification-Code": "case_assigned", "Justification": quote(reason)} if reason else {}
        answer = line.request(method, f"/v1/{path}", json=body, headers=headers)
        return answer.status_code, answer.json()

    yield ask
    line.close()
    app.state.node.office.store.close()


def told(world: World, call: Call, content: dict[str, Any] = TIP) -> str:
    sent = world.node(NORTH).send(content, SOUTH)
    assert sent.msg in call("duty", "POST", "collect")[1]["messages"]
    return sent.msg or ""


@pytest.mark.spec("NODE-160", "NODE-162")
def test_the_second_gives_a_passphrase_and_the_content_is_shown(world: World, call: Call) -> None:
    name = told(world, call)
    at = f"messages/{name}/emergency"
    assert call("duty", "POST", f"messages/{name}/open", REASON)[1]["code"] == "clearance_missing"
    status, shown = call("duty", "POST", at, GLASS)
    assert (status, shown["content"], shown["emergency"]["passed"]) == (
        200,
        TIP,
        ["clearance_missing", "purpose_refused"],
    )
    for body, status, code in (
        (GLASS | {"passphrase": "a boat in the harbor"}, 401, "sign_in_refused"),
        (GLASS | {"second": "nobody"}, 401, "sign_in_refused"),
        (GLASS | {"second": "duty"}, 403, "emergency_refused"),
        (GLASS | {"second": "audit"}, 403, "role_missing"),
        (GLASS | {"purpose": "investigate"}, 403, "emergency_refused"),
        (GLASS | {"danger": "danger_to_property"}, 400, "draft_malformed"),
        (GLASS | {"why": "haste"}, 400, "draft_malformed"),
        (GLASS | {"justification": {"code": "urgent_danger", "text": "haste"}}, 422, "justification_refused"),
        ({key: GLASS[key] for key in GLASS if key != "second"}, 400, "draft_malformed"),
    ):
        found = call("duty", "POST", at, body)
        assert (found[0], found[1]["code"]) == (status, code), body
    assert call("audit", "POST", at, GLASS)[1]["code"] == "role_missing"
    assert call("duty", "POST", "messages/x/emergency", GLASS)[0] == 404


@pytest.mark.spec("NODE-162")
def test_guesses_at_the_seconds_passphrase_count_as_at_the_door(world: World, call: Call) -> None:
    at = f"messages/{told(world, call)}/emergency"
    for _ in range(FREE_ATTEMPTS):
        assert call("duty", "POST", at, GLASS | {"passphrase": "guessing and guessing"})[0] == 401
    assert call("duty", "POST", at, GLASS)[1]["code"] == "sign_in_throttled"


@pytest.mark.spec("NODE-164", "NODE-165")
def test_an_overdue_review_makes_the_node_amber_and_still_ready(world: World, call: Call) -> None:
    _, shown = call("duty", "POST", f"messages/{told(world, call)}/emergency", GLASS)
    name = shown["emergency"]["id"]
    assert '"status":"green"' in call("", "GET", "/readyz")[1]
    world.clock.advance(hours=72)
    status, ready = call("", "GET", "/readyz")
    assert (status, '"ready":true' in ready, '"status":"amber"' in ready) == (200, True, True)
    assert "ix_node_emergencies_overdue 1.0" in call("", "GET", "/metrics")[1]
    (one,) = call("audit", "GET", "emergencies?overdue=true")[1]["emergencies"]
    assert (one["id"], one["overdue"]) == (name, True)
    assert "chief" not in str(one)
    verdict = REASON | {"justified": True}
    assert call("chief", "POST", f"emergencies/{name}/review", verdict)[1]["code"] == "release_refused"
    assert call("duty", "POST", f"emergencies/{name}/review", verdict)[1]["code"] == "role_missing"
    assert call("audit", "POST", f"emergencies/{name}/review", REASON | {"justified": "yes"})[0] == 400
    assert call("audit", "POST", f"emergencies/{name}/review", verdict)[1]["verdict"] == "justified"
    assert call("audit", "POST", f"emergencies/{name}/review", verdict)[0] == 409
    assert call("audit", "GET", "emergencies?overdue=true")[1]["emergencies"] == []
    assert '"status":"green"' in call("", "GET", "/readyz")[1]
    assert "ix_node_emergencies_unreviewed 0.0" in call("", "GET", "/metrics")[1]


@pytest.mark.spec("NODE-170", "NODE-171", "NODE-172", "NODE-173")
def test_a_flag_is_set_renewed_offered_answered_and_lifted(world: World, call: Call) -> None:
    name = told(world, call, request(impersonal=True))
    until = {"until": stamp(world.clock() + timedelta(days=30))}
    body = REASON | until | {"on": {"message": name}, "ground": "disproportionate"}
    for wrong, status, code in (
        ({"on": {"agency": NORTH}}, 422, "flag_too_wide"),
        ({"until": stamp(world.clock() + timedelta(days=91))}, 422, "flag_too_wide"),
        ({"until": "some day"}, 400, "draft_malformed"),
        ({"ground": "whatever"}, 400, "draft_malformed"),
        ({"on": {"message": "x"}}, 404, "not_here"),
        ({"on": name}, 400, "draft_malformed"),
    ):
        found = call("duty", "POST", "flags", body | wrong)
        assert (found[0], found[1]["code"]) == (status, code), wrong
    assert call("audit", "POST", "flags", body)[1]["code"] == "role_missing"
    assert call("duty", "GET", f"messages/{name}/flag")[1]["code"] == "justification_refused"
    assert call("duty", "GET", f"messages/{name}/flag", reason=TEXT)[0] == 404
    flag = call("duty", "POST", "flags", body)[1]["id"]
    later = REASON | {"until": stamp(world.clock() + timedelta(days=60))}
    assert call("chief", "POST", f"flags/{flag}/renew", later)[1]["until"] == later["until"]
    assert call("duty", "GET", f"messages/{name}/flag", reason=TEXT)[1]["public"] == "disproportionate"
    assert [one["id"] for one in call("duty", "GET", "flags?state=live")[1]["flags"]] == [flag]
    said = call("duty", "POST", f"messages/{name}/flag", REASON | {"text": "Ask for less."})[1]
    assert (said["public"], said["state"]) == ("disproportionate", "sent")
    assert call("duty", "POST", f"messages/{name}/flag", REASON)[1]["code"] == "already_answered"
    assert call("chief", "POST", f"flags/{flag}/lift", REASON)[1]["state"] == "lifted"
    assert call("duty", "POST", f"flags/{flag}/lift", REASON)[0] == 409
    assert call("duty", "GET", "flags?state=live")[1]["flags"] == []


@pytest.mark.spec("NODE-181", "NODE-182", "NODE-183")
def test_a_request_is_refused_by_its_offence(world: World, call: Call) -> None:
    name = told(world, call, request())
    at = f"messages/{name}/offence"
    assert call("duty", "GET", "offences?code=XN-PC 411")[1]["offence"]["crime"] is None
    assert call("duty", "GET", "offences?code=XN-PC 999")[1] == {"code": "XN-PC 999", "offence": None}
    assert call("duty", "GET", "offences?code=xn")[1]["code"] == "draft_malformed"
    assert call("duty", "GET", "offences")[1]["code"] == "parameter_invalid"
    assert call("audit", "POST", at, REASON | {"code": "XN-PC 411"})[1]["code"] == "role_missing"
    assert call("duty", "POST", at, REASON)[0] == 400
    fits = call("duty", "POST", at, REASON | {"code": "XN-PC 211"})[1]
    assert (fits["ground"], fits["answer"]) == (None, None)
    said = call("duty", "POST", at, REASON | {"code": "XN-PC 411"})[1]
    assert (said["ground"], said["answer"]["public"], said["answer"]["state"]) == (
        "not_an_offence_here", "not_an_offence_here", "sent",
    )  # fmt: skip
    assert call("duty", "POST", at, REASON | {"code": "XN-PC 411"})[0] == 409
