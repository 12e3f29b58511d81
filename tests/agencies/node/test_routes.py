"""The officers' API over HTTP: tokens, roles, reasons, problems (NODE-3, NODE-12 to NODE-14, NODE-70, NODE-71)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, Profile, new_officer, new_profile
from agencies.node.settings import Settings
from exercises.world import BROKER_HOST, World
from tests.agencies.node.conftest import EVIDENCE, NORTH, REQUEST, SOUTH, TERMS, WHY

PASSPHRASE = "a boat in the harbour"
REASON = {"code": "case_assigned", "text": WHY.text}
DRAFT = {
    "to": [SOUTH], "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
    "handling": ["H0"], "urgency": "u_direct", "content": REQUEST,
}  # fmt: skip
ROLES = {"duty": ["officer"], "chief": ["officer", "release_officer"], "audit": ["auditor"]}


@pytest.fixture(scope="module")
def officers() -> list[Any]:
    return [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]


class Desk:
    """One officer in front of one node's API, on the world's wire."""

    def __init__(self, line: Any, token: str = "") -> None:
        self._line, self.headers = line, {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = self._line.request(method, path, json=body, headers={**self.headers, **headers})
        assert answer.headers["ix-simulation"] == "synthetic data only"
        assert answer.headers["cache-control"] == "no-store"
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()

    def sign_in(self, officer: str) -> Desk:
        status, found = self("POST", "/v1/sign-in", {"officer": officer, "passphrase": PASSPHRASE})
        assert status == 200
        return Desk(self._line, found["token"])


@pytest.fixture
def desks(world: World, officers: list[Any], tmp_path: Path) -> Iterator[dict[str, Desk]]:
    """North's node as a service, with three officers signed in; the key '' has nobody's token."""
    settings = Settings(
        database=tmp_path / "served.db", fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=world.federation.identities[NORTH], profile=new_profile(NORTH, officers),
        broker=f"http://{BROKER_HOST}", background=False,
    )  # fmt: skip
    assert isinstance(settings.profile, Profile)
    app = create_app(settings, clock=world.clock, http=world.client(NORTH))
    app.state.node.refresh()
    world.wire.attach("node.sim", app)
    line = world.wire.client("desk", "http://node.sim")
    nobody = Desk(line)
    yield {"": nobody, **{name: nobody.sign_in(name) for name in ROLES}}
    line.close()
    app.state.node.office.store.close()


ROUTES = [
    ("POST", "/v1/sign-out"), ("POST", "/v1/messages"), ("POST", "/v1/messages/check"), ("POST", "/v1/messages/batch"),
    ("GET", "/v1/outbox"), ("POST", "/v1/releases/x"), ("POST", "/v1/collect"), ("GET", "/v1/inbox"),
    ("GET", "/v1/messages/x"), ("POST", "/v1/messages/x/open"), ("POST", "/v1/messages/x/export"),
    ("POST", "/v1/messages/x/erase"), ("GET", "/v1/cases/x"), ("GET", "/v1/receipts/x"), ("GET", "/v1/agreements"),
    ("POST", "/v1/agreements"), ("POST", "/v1/agreements/x/sign"), ("POST", "/v1/agreements/x/suspend"),
    ("POST", "/v1/agreements/x/resume"), ("POST", "/v1/agreements/x/leave"), ("GET", "/v1/ledger"),
    ("GET", "/v1/reconciliation"), ("GET", "/v1/evidence"),
    ("GET", "/v1/holdings"), ("POST", "/v1/holdings/sweep"), ("POST", "/v1/messages/x/condition"),
    ("POST", "/v1/messages/x/acknowledge"), ("POST", "/v1/messages/x/forward"), ("POST", "/v1/messages/x/keep"),
    ("POST", "/v1/messages/x/ask"), ("GET", "/v1/consents"), ("POST", "/v1/consents/x/decide"),
    ("POST", "/v1/consents/x/withdraw"), ("POST", "/v1/messages/x/recall"), ("GET", "/v1/messages/x/status"),
    ("GET", "/v1/messages/x/acts"), ("GET", "/v1/duties"), ("GET", "/v1/recalls"), ("POST", "/v1/duties/x/answer"),
    ("POST", "/v1/identities/seal"), ("GET", "/v1/messages/x/identities"), ("POST", "/v1/messages/x/identities/x"),
    ("POST", "/v1/claims"), ("POST", "/v1/messages/x/refuse"), ("GET", "/v1/messages/x/refuse"),
    ("POST", "/v1/messages/x/exculpate"), ("GET", "/v1/tasks"), ("POST", "/v1/tasks/x"),
    ("POST", "/v1/messages/x/emergency"), ("GET", "/v1/emergencies"), ("POST", "/v1/emergencies/x/review"),
    ("GET", "/v1/flags"), ("POST", "/v1/flags"), ("POST", "/v1/flags/x/renew"), ("POST", "/v1/flags/x/lift"),
    ("GET", "/v1/messages/x/flag"), ("POST", "/v1/messages/x/flag"),
    ("GET", "/v1/offences"), ("POST", "/v1/messages/x/offence"),
    ("GET", "/v1/agreements/x"), ("POST", "/v1/questions"), ("POST", "/v1/ledger/export"),
    ("GET", "/v1/periods"), ("POST", "/v1/periods/shred"), ("POST", "/v1/holds"), ("POST", "/v1/holds/x/lift"),
]  # fmt: skip


@pytest.mark.spec("NODE-12", "NODE-70")
def test_no_route_answers_without_a_token(desks: dict[str, Desk], world: World) -> None:
    listed = desks[""]("GET", "/openapi.json") if False else None
    assert listed is None
    for method, path in ROUTES:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
            status, found = desks[""](method, path, **headers)
            assert (status, found["code"]) == (401, "token_refused"), path
    world.clock.advance(hours=8)
    assert desks["duty"]("GET", "/v1/inbox")[0] == 401


@pytest.mark.spec("NODE-70")
def test_the_routes_tested_are_the_routes_there_are(desks: dict[str, Desk], world: World) -> None:
    line = world.wire.client("desk", "http://node.sim")
    paths = line.get("/openapi.json").json()["paths"]
    line.close()
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    tested = {(method, path.replace("/x", "/*")) for method, path in ROUTES}
    import re

    known = {(m, re.sub(r"\{[^}]+\}", "*", p)) for m, p in there}
    assert known - tested == {("POST", "/v1/sign-in"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}


@pytest.mark.spec("NODE-3")
def test_a_message_is_checked_sent_and_answered(desks: dict[str, Desk], world: World) -> None:
    duty, south = desks["duty"], world.node(SOUTH)
    status, seen = duty("POST", "/v1/messages/check", {"draft": DRAFT})
    assert (status, seen["outcome"], seen["waits_for_release"]) == (200, "permit", False)
    status, sent = duty("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON, "key": "one"})
    assert (status, sent["state"]) == (200, "sent")
    assert duty("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON, "key": "one"})[1] == sent
    south.collect()
    south.open(sent["msg"])
    reply = south.send(REQUEST, NORTH, re=sent["msg"])
    _, got = duty("POST", "/v1/collect")
    assert (got["messages"], got["receipts"]) == ([reply.msg], 2)
    _, inbox = duty("GET", "/v1/inbox")
    assert inbox["messages"][0]["re"] == sent["msg"]
    _, opened = duty("POST", f"/v1/messages/{reply.msg}/open", {"justification": REASON})
    assert opened["warnings"] == []  # CNT-54: all of it evaluated, and of yesterday
    assert opened["content"] == REQUEST
    _, known = duty("GET", f"/v1/messages/{sent['msg']}")
    assert [one["status"] for one in known["receipts"]] == ["delivered", "opened"]
    assert duty("GET", f"/v1/receipts/{sent['msg']}")[1]["receipts"] == known["receipts"]
    assert len(duty("GET", "/v1/outbox", None)[1]["messages"]) == 1
    assert duty("GET", "/v1/outbox?state=pending")[1]["messages"] == []


@pytest.mark.spec("NODE-71")
def test_a_case_wants_its_reason_in_headers_and_not_in_the_address(desks: dict[str, Desk]) -> None:
    duty = desks["duty"]
    duty("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    status, found = duty("GET", "/v1/cases/XN-2026/0417")
    assert (status, found["code"]) == (422, "justification_refused")
    status, found = duty("GET", f"/v1/cases/XN-2026/0417?code=case_assigned&text={quote(WHY.text)}")
    assert status == 422
    reason = {"Justification-Code": "case_assigned", "Justification": quote("Ich prüfe die Landung in der Möwenbucht")}
    status, found = duty("GET", "/v1/cases/XN-2026/0417", **reason)
    assert (status, len(found["messages"])) == (200, 1)
    acts = desks["audit"]("GET", "/v1/ledger?act=consult")[1]["acts"]
    assert acts[0]["why"] == "Ich prüfe die Landung in der Möwenbucht"


@pytest.mark.spec("NODE-14")
def test_a_boilerplate_reason_opens_nothing(desks: dict[str, Desk], world: World) -> None:
    sent = world.node(SOUTH).send(REQUEST, NORTH)
    desks["duty"]("POST", "/v1/collect")
    for reason in ({"code": "case_assigned", "text": "x" * 30}, {"code": "because", "text": WHY.text}, {}):
        status, found = desks["duty"]("POST", f"/v1/messages/{sent.msg}/open", {"justification": reason})
        assert (status, found["code"]) == (422, "justification_refused")
    assert desks["audit"]("GET", "/v1/ledger?act=open")[1]["acts"] == []


@pytest.mark.spec("NODE-13")
def test_each_role_does_its_own(desks: dict[str, Desk], world: World) -> None:
    told = {"draft": {**DRAFT, "content": EVIDENCE, "handling": ["H0"], "urgency": "none"}, "justification": REASON}
    _, waiting = desks["duty"]("POST", "/v1/messages", told)
    assert waiting["state"] == "pending_release"
    release = ("POST", f"/v1/releases/{waiting['ref']}", {"approve": True, "justification": REASON})
    assert [desks[who](*release)[0] for who in ("duty", "audit", "chief")] == [403, 403, 200]
    assert desks["chief"](*release)[1]["code"] == "not_waiting"
    assert desks["audit"]("POST", "/v1/messages", told)[1]["code"] == "role_missing"
    assert desks["audit"]("POST", f"/v1/messages/{waiting['ref']}/open", {"justification": REASON})[0] == 403
    assert [desks[who]("GET", "/v1/ledger")[0] for who in ("duty", "chief", "audit")] == [403, 403, 200]
    assert [desks[who]("GET", "/v1/evidence")[0] for who in ("duty", "chief", "audit")] == [403, 403, 200]
    status, found = desks["audit"]("GET", "/v1/reconciliation")
    assert (status, found["findings"]) == (200, [])


def test_agreements_are_listed_proposed_and_suspended(desks: dict[str, Desk], world: World) -> None:
    agreement = world.agreements["shore"]
    (listed,) = desks["duty"]("GET", "/v1/agreements")[1]["agreements"]
    assert (listed["agr"], listed["state"]) == (agreement, "in_force")
    terms = {**TERMS, "id": "second"}
    assert desks["duty"]("POST", "/v1/agreements", {"terms": terms})[0] == 403
    _, offered = desks["chief"]("POST", "/v1/agreements", {"terms": terms})
    assert offered["state"] == "proposed"
    status, found = desks["chief"]("POST", f"/v1/agreements/{agreement}/suspend", {"reason": "an exercise in stopping"})
    assert (status, found["state"]) == (200, "suspend")
    assert desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})[1]["state"] == "stopped"
    status, found = desks["chief"]("POST", f"/v1/agreements/{agreement}/suspend", {"reason": "and once more"})
    assert (status, found["reason"]) == (502, "notice_refused")
    assert desks["chief"]("POST", f"/v1/agreements/{'A' * 43}/sign")[0] == 404


def test_a_batch_answers_each_message_by_itself(desks: dict[str, Desk]) -> None:
    messages = [{"draft": DRAFT}, {"draft": {**DRAFT, "content": {}}}, {"draft": {**DRAFT, "class": "secret"}}]
    status, found = desks["duty"]("POST", "/v1/messages/batch", {"messages": messages, "justification": REASON})
    assert status == 200
    assert [one.get("state") or one["problem"]["code"] for one in found["results"]] == [
        "sent", "content_malformed", "stopped",
    ]  # fmt: skip
    too_many = {"messages": messages * 34, "justification": REASON}
    assert desks["duty"]("POST", "/v1/messages/batch", too_many)[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/messages", {"draft": DRAFT}, 400, "draft_malformed"),
        ("/v1/messages", {"draft": DRAFT, "justification": REASON, "role": "chief"}, 400, "draft_malformed"),
        ("/v1/messages", {"draft": DRAFT, "justification": REASON, "ruling": "yes"}, 400, "draft_malformed"),
        ("/v1/messages", {"draft": DRAFT, "justification": REASON, "key": "k" * 101}, 400, "draft_malformed"),
        ("/v1/messages", [], 400, "draft_malformed"),
        ("/v1/messages/check", {"draft": {**DRAFT, "class": "cosmic"}}, 400, "draft_malformed"),
        ("/v1/messages/AAAA/open", {"justification": REASON}, 404, "not_here"),
        ("/v1/messages/check", {"draft": "x" * 300_000}, 413, "too_large"),
        ("/v1/nowhere", {}, 404, "not_found"),
        ("/v1/inbox", {}, 405, "method_not_allowed"),
    ],
)
def test_a_wrong_call_is_a_problem_with_a_code(
    desks: dict[str, Desk], path: str, body: Any, status: int, code: str
) -> None:
    found = desks["duty"]("POST", path, body)
    assert (found[0], found[1]["code"]) == (status, code)
    assert found[1]["type"] == f"urn:ix:refusal:{code}"


def test_a_parameter_out_of_range_is_named(desks: dict[str, Desk]) -> None:
    status, found = desks["duty"]("GET", "/v1/inbox?limit=501")
    assert (status, found["code"]) == (400, "parameter_invalid")
    assert "limit" in found["detail"]


def test_guessing_is_throttled_with_a_time_to_come_back(desks: dict[str, Desk], world: World) -> None:
    line = world.wire.client("guesser", "http://node.sim")
    answers = [line.post("/v1/sign-in", json={"officer": "duty", "passphrase": f"guess number {n}"}) for n in range(6)]
    line.close()
    assert [a.status_code for a in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) in range(29, 32)


def test_a_session_ends_on_sign_out(desks: dict[str, Desk]) -> None:
    assert desks["duty"]("POST", "/v1/sign-out")[0] == 200
    assert desks["duty"]("GET", "/v1/inbox")[0] == 401


def test_an_unreachable_broker_is_told_as_such(desks: dict[str, Desk], world: World) -> None:
    with world.wire.cut(NORTH):
        status, found = desks["duty"]("POST", "/v1/collect")
        assert (status, found["code"]) == (503, "broker_unreachable")
        status, found = desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
        assert (status, found["state"]) == (200, "pending")


@pytest.mark.spec("NODE-52")
def test_a_broken_ledger_is_not_shown(desks: dict[str, Desk], world: World, tmp_path: Path) -> None:
    import sqlite3

    desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    books = sqlite3.connect(tmp_path / "served.db", isolation_level=None)
    books.execute("UPDATE ledger SET body = CAST(replace(body, 'collect', 'combine') AS BLOB)")
    books.close()
    status, found = desks["audit"]("GET", "/v1/ledger")
    assert (status, found["code"]) == (500, "ledger_broken")
    # who may not read it is told so before all of it is read, and of its state learns nothing
    refused = [desks[who]("GET", "/v1/ledger") for who in ("duty", "chief")]
    assert [(status, found["code"]) for status, found in refused] == [(403, "role_missing")] * 2


def test_the_probes_tell_counts_and_no_names(desks: dict[str, Desk], world: World) -> None:
    desks["duty"]("POST", "/v1/messages", {"draft": DRAFT, "justification": REASON})
    line = world.wire.client("probe", "http://node.sim")
    assert line.get("/healthz").json() == {"alive": True}
    assert line.get("/readyz").json()["ready"] is True
    metrics = line.get("/metrics").text
    line.close()
    assert 'ix_node_outbox{state="sent"} 1.0' in metrics
    assert 'ix_node_heads{state="pending"} 0.0' in metrics
    assert "duty" not in metrics
    assert json.dumps(REQUEST["case"]["reference"]) not in metrics
