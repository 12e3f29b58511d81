"""The officers' calls about protected identities, refusals and exculpatory notices. See `spec/safeguards.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
from agencies.node.store import Store
from exercises.world import BROKER_HOST, World
from tests.adversary.test_safeguards_asylum import content, terms
from tests.adversary.test_safeguards_identity import IDENTITY, referral
from tests.agencies.node.conftest import HARBOUR, NORTH
from tests.agencies.node.test_routes import PASSPHRASE, REASON, Desk

ROLES = {"worker": ["officer"], "keeper": ["protection_officer"], "eye": ["auditor"]}
IN_HEADERS = {"Justification-Code": REASON["code"], "Justification": quote(REASON["text"])}
CALLS = [
    ("POST", "/v1/identities/seal"), ("GET", "/v1/messages/x/identities"), ("POST", "/v1/messages/x/identities/i1"),
    ("POST", "/v1/claims"), ("POST", "/v1/messages/x/refuse"), ("GET", "/v1/messages/x/refuse"),
    ("POST", "/v1/messages/x/exculpate"), ("GET", "/v1/tasks"), ("POST", "/v1/tasks/x"),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("routes"), [NORTH, HARBOUR], agreements=()) as made:
        made.agreements["care"] = made.agree(terms("care", [HARBOUR, NORTH]))
        made.protect(HARBOUR, {"keeper": PASSPHRASE})
        yield made


@pytest.fixture(scope="module")
def desks(world: World) -> Iterator[dict[str, Desk]]:
    """Harbour's node as a service, with three officers signed in; the key '' has nobody's token."""
    world.node(HARBOUR).store.close()
    officers = [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]
    settings = Settings(
        database=world.home / f"{HARBOUR}.db", fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=world.federation.identities[HARBOUR], profile=new_profile(HARBOUR, officers),
        broker=f"http://{BROKER_HOST}", background=False, role_key=world.role_keys[HARBOUR],
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(HARBOUR))
    app.state.node.refresh()
    world.wire.attach("node.sim", app)
    line = world.wire.client("desk", "http://node.sim")
    nobody = Desk(line)
    yield {"": nobody, **{name: nobody.sign_in(name) for name in ROLES}}
    line.close()
    app.state.node.office.store.close()
    world.node(HARBOUR).store = Store(world.home / f"{HARBOUR}.db")


def arrived(world: World, desks: dict[str, Desk]) -> tuple[str, str]:
    """A referral with a sealed identity, in Harbour's inbox."""
    north = world.node(NORTH)
    part = north.service.protection.seal(IDENTITY, referral(), [HARBOUR], north.officer(), _why())
    sent = north.send(referral(sealed_parts=[part]), HARBOUR, agr=world.agreements["care"], purpose="victim_protection")
    assert desks["worker"]("POST", "/v1/collect")[1]["messages"] == [sent.msg]
    return str(sent.msg), part["id"]


def _why() -> Any:
    from agencies.node.ledger import justify

    return justify(REASON["code"], REASON["text"])


@pytest.mark.spec("NODE-70")
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_wants_somebody_who_signed_in(desks: dict[str, Desk], method: str, path: str) -> None:
    status, told = desks[""](method, path, {} if method == "POST" else None)
    assert (status, told["code"]) == (401, "token_refused")


@pytest.mark.parametrize(("method", "path"), [one for one in CALLS if one[0] == "POST"])
@pytest.mark.parametrize("body", [{}, [], {"justification": REASON, "passphrase": 7}, {"name": "Invented"}], ids=str)
def test_a_body_of_another_form_is_refused_and_not_repeated(
    desks: dict[str, Desk], method: str, path: str, body: Any
) -> None:
    """NODE-71."""
    status, told = desks["keeper"](method, path, body)
    assert (status, told["code"]) == (400, "draft_malformed")
    assert "Invented" not in str(told)


@pytest.mark.spec("SAFE-1", "SAFE-7", "NODE-11")
def test_an_identity_is_shown_to_the_role_that_gives_its_passphrase_again(world: World, desks: dict[str, Desk]) -> None:
    msg, part = arrived(world, desks)
    path = f"/v1/messages/{msg}/identities"
    assert desks["worker"]("GET", path)[1]["code"] == "justification_refused"
    assert desks["eye"]("GET", path, **IN_HEADERS)[1]["code"] == "role_missing"
    _, listed = desks["worker"]("GET", path, **IN_HEADERS)
    assert listed["identities"] == [{"id": part, "for": "protection_officer", "subject": "v1", "ours": True}]
    ask = {"passphrase": PASSPHRASE, "justification": REASON}
    status, shown = desks["keeper"]("POST", f"{path}/{part}", ask)
    assert (status, shown["identity"]) == (200, IDENTITY)
    for who in ("worker", "eye"):
        status, told = desks[who]("POST", f"{path}/{part}", ask)
        assert (status, told["code"]) == (403, "role_missing")
    short = {**ask, "justification": {**REASON, "text": "because"}}
    assert desks["keeper"]("POST", f"{path}/{part}", short)[1]["code"] == "justification_refused"
    codes = [
        desks["keeper"]("POST", f"{path}/{part}", {**ask, "passphrase": f"guess {n}"})[1]["code"] for n in range(7)
    ]
    assert set(codes[:5]) == {"sign_in_refused"}
    assert codes[-1] == "sign_in_throttled"
    assert desks["keeper"]("POST", f"{path}/{part}", ask)[1]["code"] == "sign_in_throttled"  # also the right one
    world.clock.advance(hours=1)
    assert desks["keeper"]("POST", f"{path}/{part}", ask)[0] == 200


@pytest.mark.spec("SAFE-5", "SAFE-11")
def test_sealing_and_claiming_over_the_wire(world: World, desks: dict[str, Desk]) -> None:
    body = {"identity": IDENTITY, "content": referral(), "to": [HARBOUR], "justification": REASON}
    status, told = desks["worker"]("POST", "/v1/identities/seal", body)
    assert (status, told["part"]["subject"]) == (200, "v1")
    assert desks["eye"]("POST", "/v1/identities/seal", body)[1]["code"] == "role_missing"
    assert desks["worker"]("POST", "/v1/identities/seal", {**body, "to": [7]})[1]["code"] == "draft_malformed"
    claim = {"identity": IDENTITY, "against": ["XN"], "justification": REASON}
    assert desks["worker"]("POST", "/v1/claims", claim)[1]["code"] == "role_missing"
    noted = desks["keeper"]("POST", "/v1/claims", {**claim, "cases": ["XS-1"]})[1]["noted"]
    assert noted > 0
    told = {"to": [NORTH], "agr": world.agreements["care"], "purpose": "victim_protection"}
    draft = {**told, "crime": "human_trafficking", "class": "restricted", "handling": ["H0"], "urgency": "none",
             "content": content("safety_notice", case={"reference": "XS-1"})}  # fmt: skip
    status, refused = desks["worker"]("POST", "/v1/messages/check", {"draft": draft})
    assert (status, refused["code"]) == (403, "safeguard_refused")


@pytest.mark.spec("SAFE-30", "SAFE-34", "SAFE-41")
def test_refusing_telling_and_tasks_over_the_wire(world: World, desks: dict[str, Desk]) -> None:
    asked = world.node(NORTH).send(content("info_request"), HARBOUR, agr=world.agreements["care"])
    desks["worker"]("POST", "/v1/collect")
    path = f"/v1/messages/{asked.msg}"
    refuse = {"ground": "not_available", "reason": "nothing of the kind is kept here", "justification": REASON}
    status, said = desks["worker"]("POST", f"{path}/refuse", refuse)
    assert (status, said["public"], said["state"]) == (200, "not_available", "sent")  # it was about nobody
    assert desks["eye"]("GET", f"{path}/refuse", **IN_HEADERS)[1]["code"] == "role_missing"
    assert desks["worker"]("GET", f"{path}/refuse", **IN_HEADERS)[1]["state"] == "sent"
    assert desks["worker"]("POST", f"{path}/refuse", refuse)[1]["code"] == "already_answered"
    notice = {"kinds": ["alibi"], "text": "We hold a record. Ask us.", "justification": REASON}
    status, sent = desks["worker"]("POST", f"{path}/exculpate", notice)
    assert (status, sent["state"]) == (200, "sent")
    assert (
        desks["worker"]("POST", f"{path}/exculpate", {**notice, "kinds": ["guilt"]})[1]["code"] == "content_malformed"
    )
    back = world.node(NORTH)
    back.collect()
    (task,) = back.service.exculpation.tasks()
    assert task["re"] == asked.msg
    assert (
        desks["worker"]("GET", "/v1/tasks")[1] == desks["worker"]("GET", "/v1/tasks?escalated=true")[1] == {"tasks": []}
    )
    assert desks["worker"]("POST", f"/v1/tasks/{task['msg']}", {"justification": REASON})[1]["code"] == "not_here"
