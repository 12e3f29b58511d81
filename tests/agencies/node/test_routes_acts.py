"""Acts over HTTP: a node asks, decides, recalls, obeys, and shows where a message is (NODE-140 to NODE-157)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
from exercises.world import BROKER_HOST, World
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, WHY

PASSPHRASE = "a boat in the harbour"
WHY_ = {"justification": {"code": "case_assigned", "text": WHY.text}}
ROLES = {"duty": ["officer"], "chief": ["officer", "release_officer"], "audit": ["auditor"]}
UNTIL = "2026-12-24T00:00:00.000Z"
ASKED = {"want": "onward", "to": [SOUTH], "purposes": ["investigate"], "until": UNTIL, **WHY_}
DRAFT = {
    "to": [SOUTH], "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
    "handling": ["H0"], "urgency": "u_direct", "content": REQUEST,
}  # fmt: skip


class Desk:
    """One officer in front of one node's API."""

    def __init__(self, line: Any, officer: str) -> None:
        self._line, self._token = line, ""
        self._token = self("POST", "/v1/sign-in", {"officer": officer, "passphrase": PASSPHRASE})[1]["token"]

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        said = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        answer = self._line.request(method, path, json=body, headers=said)
        return answer.status_code, answer.json()


@pytest.fixture
def desks(world: World, tmp_path: Path) -> Iterator[dict[str, Desk]]:
    """North's node as a service, with its officers signed in."""
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
    yield {name: Desk(line, name) for name in ROLES}
    line.close()
    app.state.node.office.store.close()


def sent(desks: dict[str, Desk], world: World) -> str:
    status, found = desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, **WHY_})
    assert (status, found["state"]) == (200, "sent")
    world.node(SOUTH).collect()
    return str(found["msg"])


def received(desks: dict[str, Desk], world: World) -> str:
    msg = world.node(SOUTH).send(REQUEST, NORTH).msg or ""
    desks["duty"]("POST", "/v1/collect")
    return msg


@pytest.mark.spec("NODE-140")
def test_an_originator_decides_an_ask_and_takes_its_consent_back(desks: dict[str, Desk], world: World) -> None:
    msg, south, chief = sent(desks, world), world.node(SOUTH), desks["chief"]
    asked = south.service.consents.ask(
        msg, south.officer(), WHY, want="evidence", purposes=["prosecute"], until=world.clock().replace(year=2027)
    )
    chief("POST", "/v1/collect")
    _, listed = chief("GET", "/v1/consents?state=open")
    assert [one["act"] for one in listed["consents"]] == [asked.digest]
    path = f"/v1/consents/{asked.digest}/decide"
    assert desks["duty"]("POST", path, {"approve": True, **WHY_})[1]["code"] == "role_missing"
    assert chief("POST", path, {"approve": True})[1]["code"] == "draft_malformed"
    assert chief("POST", path, {"approve": True, "until": "soon", **WHY_})[1]["code"] == "draft_malformed"
    status, given = chief("POST", path, {"approve": True, "until": UNTIL, **WHY_})
    assert (status, given["state"], given["said"]["until"]) == (200, "sent", UNTIL)
    assert chief("POST", path, {"approve": True, **WHY_})[1]["code"] == "not_waiting"
    status, taken = chief("POST", f"/v1/consents/{given['act']}/withdraw", WHY_)
    assert (status, taken["kind"]) == (200, "withdraw")
    _, about = chief("GET", f"/v1/messages/{msg}/acts")
    assert [one["kind"] for one in about["acts"]] == ["ask", "consent", "withdraw"]


@pytest.mark.spec("NODE-140")
def test_a_holder_asks_and_hears_the_answer(desks: dict[str, Desk], world: World) -> None:
    msg, south, duty = received(desks, world), world.node(SOUTH), desks["duty"]
    for wrong in ({"to": [3]}, {"until": 3}, {"want": "all"}, {"until": "2026-12-24"}):
        assert duty("POST", f"/v1/messages/{msg}/ask", {**ASKED, **wrong})[1]["code"] == "draft_malformed"
    status, asked = duty("POST", f"/v1/messages/{msg}/ask", {**ASKED, "fields": ["/narrative/0"]})
    assert (status, asked["state"]) == (200, "sent")
    south.collect()
    decline = {"approve": False, "ground": "handling_restriction"}
    south.service.consents.decide(asked["act"], south.officer("release_officer"), WHY, **decline)  # type: ignore[arg-type]
    duty("POST", "/v1/collect")
    (one,) = duty("GET", "/v1/consents")[1]["consents"]
    assert (one["state"], one["ground"], one["fields"]) == ("declined", "handling_restriction", ["/narrative/0"])


@pytest.mark.spec("NODE-150", "NODE-155", "NODE-156")
def test_an_originator_recalls_and_sees_where_its_message_is(desks: dict[str, Desk], world: World) -> None:
    msg, south, chief = sent(desks, world), world.node(SOUTH), desks["chief"]
    asked = {"act": "recall", "ground": "sent_in_error", **WHY_}
    assert desks["duty"]("POST", f"/v1/messages/{msg}/recall", asked)[1]["code"] == "role_missing"
    status, deed = chief("POST", f"/v1/messages/{msg}/recall", asked)
    assert (status, deed["state"], deed["said"]["ground"]) == (200, "sent", "sent_in_error")
    south.collect()
    (duty,) = south.service.recalls.duties()
    south.service.recalls.answer(duty["act"], south.officer("release_officer"), WHY, outcome="erased")
    chief("POST", "/v1/collect")
    status, found = desks["audit"]("GET", f"/v1/messages/{msg}/status")
    assert (status, found["settled"], found["holders"][0]["answers"][0]["answer"]["outcome"]) == (200, True, "erased")
    (one,) = desks["audit"]("GET", "/v1/recalls")[1]["recalls"]
    assert (one["msg"], one["silent"], one["settled"]) == (msg, [], True)
    world.stop_broker()
    assert desks["duty"]("GET", f"/v1/messages/{msg}/status")[0] == 503
    assert desks["duty"]("GET", f"/v1/messages/{msg}/status?read=false")[1] == found
    world.start_broker()


@pytest.mark.spec("NODE-152", "NODE-153")
def test_a_holder_obeys_over_http(desks: dict[str, Desk], world: World) -> None:
    msg, south, chief = received(desks, world), world.node(SOUTH), desks["chief"]
    south.service.recalls.give("recall", msg, south.officer("release_officer"), WHY, ground="inaccurate")
    chief("POST", "/v1/collect")
    (duty,) = chief("GET", "/v1/duties?state=open")[1]["duties"]
    assert (duty["held"], duty["kind"], duty["overdue"]) == ([msg], "recall", False)
    assert chief("POST", f"/v1/messages/{msg}/open", WHY_)[1]["code"] == "restricted"
    path = f"/v1/duties/{duty['act']}/answer"
    assert desks["duty"]("POST", path, {"outcome": "erased", **WHY_})[1]["code"] == "role_missing"
    assert chief("POST", path, {"outcome": "retained", **WHY_})[1]["code"] == "draft_malformed"
    status, said = chief("POST", path, {"outcome": "retained", "ground": "case_open", **WHY_})
    assert (status, said["said"]["ground"]) == (200, "case_open")
    assert chief("POST", path, {"outcome": "erased", **WHY_})[0] == 200
    assert chief("POST", f"/v1/messages/{msg}/open", WHY_)[1]["code"] == "erased"
    assert chief("POST", "/v1/duties/x/answer", {"outcome": "erased", **WHY_})[1]["code"] == "not_here"
