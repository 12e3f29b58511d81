"""What is held, over HTTP: no route gives what another refuses (NODE-70, NODE-81 to NODE-98)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, Officer, new_officer, new_profile
from agencies.node.settings import Settings
from exercises.world import BROKER_HOST, World
from tests.agencies.node.bound import CONDITION, EAST, NORTH, SOUTH, TIP, TOLD, bound, terms
from tests.agencies.node.conftest import WHY

PASSPHRASE = "a boat in the harbour"
REASON = {"justification": {"code": "case_assigned", "text": WHY.text}}
ROLES = {"duty": ["officer"], "chief": ["release_officer"], "audit": ["auditor"]}
Call = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def officers() -> list[Officer]:
    return [new_officer(name, PASSPHRASE, roles, cost=MIN_COST) for name, roles in ROLES.items()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms(onward="by_consent", evidence=False, retention_days=40, review_days=20)) as made:
        yield made


@pytest.fixture
def call(world: World, officers: list[Officer], tmp_path: Path) -> Iterator[Call]:
    """Call south's node, served on books of its own, in somebody's name."""
    federation = world.federation
    settings = Settings(
        database=tmp_path / "served.db", fed=federation.fed, trust=federation.directory.to_bytes(),
        identity=federation.identities[SOUTH], profile=new_profile(SOUTH, officers), broker=f"http://{BROKER_HOST}",
        background=False,
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(SOUTH))
    app.state.node.refresh()
    world.wire.attach("node.sim", app)
    line = world.wire.client("desk", "http://node.sim")
    tokens: dict[str, str] = {}

    def ask(who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if who not in tokens:
            told = {"officer": who, "passphrase": PASSPHRASE}
            tokens[who] = line.post("/v1/sign-in", json=told).json()["token"]
        answer = line.request(method, f"/v1/{path}", json=body, headers={"Authorization": f"Bearer {tokens[who]}"})
        return answer.status_code, answer.json()

    yield ask
    line.close()
    app.state.node.office.store.close()


def told(world: World, call: Call, content: dict[str, Any] = TIP, **facts: Any) -> str:
    sent = world.node(NORTH).send(content, SOUTH, **facts)
    assert sent.msg in call("duty", "POST", "collect")[1]["messages"]
    return sent.msg or ""


@pytest.mark.spec("NODE-84")
def test_the_condition_comes_before_the_content(world: World, call: Call) -> None:
    at = f"messages/{told(world, call, TOLD)}"
    status, found = call("duty", "POST", f"{at}/open", REASON)
    assert (status, found["code"]) == (403, "not_acknowledged")
    assert call("duty", "POST", f"{at}/acknowledge", REASON)[1]["code"] == "not_acknowledged"
    assert call("audit", "POST", f"{at}/condition", REASON)[1]["code"] == "role_missing"
    assert call("duty", "POST", f"{at}/condition", {})[0] == 400
    assert call("duty", "POST", f"{at}/condition", REASON)[1]["handling_text"] == CONDITION
    assert call("duty", "POST", f"{at}/acknowledge", REASON)[1]["state"] == "acknowledged"
    assert call("duty", "POST", f"{at}/open", REASON)[1]["content"] == TOLD


def test_no_route_gives_what_another_refuses(world: World, call: Call) -> None:
    name = told(world, call, TOLD)
    shown = [
        call("duty", "GET", f"messages/{name}"), call("duty", "GET", "inbox"), call("duty", "GET", "holdings"),
        call("duty", "GET", f"receipts/{name}"), call("duty", "POST", f"messages/{name}/export", REASON),
        call("duty", "POST", f"messages/{name}/open", REASON | {"purpose": "prosecute"}),
        call("duty", "POST", f"messages/{name}/open", REASON | {"ground": "case_open"}),
        call("duty", "POST", f"messages/{name}/forward", REASON | {
            "to": [EAST], "fields": [""], "purpose": "investigate", "text": "for your crossing",
        }),
        call("audit", "GET", f"ledger?msg={name}"), call("audit", "GET", "evidence"),
    ]  # fmt: skip
    for _, answer in shown:
        text = str(answer)
        assert not any(secret in text for secret in ("cooling unit", "SIM-LR-5520", "crossing only"))


@pytest.mark.spec("NODE-85", "NODE-86", "NODE-88")
def test_another_purpose_evidence_and_passing_on_are_refused_by_their_names(world: World, call: Call) -> None:
    at = f"messages/{told(world, call)}"
    forward = REASON | {"to": [EAST], "fields": [""], "purpose": "investigate", "text": "for your crossing"}
    for path, body, status, code in (
        ("open", REASON | {"purpose": "detect"}, 403, "purpose_refused"),
        ("export", REASON, 403, "evidence_refused"),
        ("forward", forward, 403, "onward_refused"),
        ("forward", forward | {"fields": ["/case/title"]}, 403, "onward_refused"),
        ("forward", forward | {"to": [NORTH], "fields": ["/case/title"]}, 400, "draft_malformed"),
        ("forward", forward | {"to": [7]}, 400, "draft_malformed"),
        ("forward", forward | {"key": ""}, 400, "draft_malformed"),
        ("forward", forward | {"content": {}}, 400, "draft_malformed"),
        ("open", REASON | {"reason": "detect"}, 400, "draft_malformed"),
        ("keep", REASON | {"ground": "case_open", "until": "soon"}, 400, "draft_malformed"),
    ):
        found = call("duty", "POST", f"{at}/{path}", body)
        assert (found[0], found[1]["code"]) == (status, code), (path, body)
    back = call("duty", "POST", f"{at}/forward", forward | {"to": [NORTH], "desk": "border_desk", "key": "k"})[1]
    assert (back["state"], back["src"]) == ("sent", [at.removeprefix("messages/")])
    assert (
        call("duty", "POST", f"{at}/forward", forward | {"to": [NORTH], "desk": "border_desk", "key": "k"})[1] == back
    )
    assert call("chief", "POST", f"{at}/forward", forward)[1]["code"] == "role_missing"


@pytest.mark.spec("NODE-93", "NODE-94")
def test_what_is_held_is_listed_kept_and_swept(world: World, call: Call) -> None:
    name = told(world, call)
    keep = REASON | {"ground": "case_open", "until": "2026-12-20T00:00:00Z"}
    assert call("duty", "POST", f"messages/{name}/keep", keep)[1]["code"] == "role_missing"
    assert call("chief", "POST", f"messages/{name}/keep", keep | {"until": "2027-02-01T00:00:00Z"})[0] == 422
    assert call("chief", "POST", f"messages/{name}/keep", keep)[1]["kept"] == "case_open"
    (held,) = call("duty", "GET", "holdings?state=held")[1]["holdings"]
    assert (held["msg"], held["review_at"]) == (name, "2026-12-20T00:00:00.000Z")
    assert call("duty", "GET", "holdings?state=erased")[1]["holdings"] == []
    world.clock.advance(days=29)
    assert call("duty", "GET", "holdings")[0] == 401  # the session has ended meanwhile


@pytest.mark.spec("NODE-94")
def test_a_sweep_can_be_asked_for(world: World, officers: list[Officer], call: Call) -> None:
    name = told(world, call)
    world.clock.advance(hours=7)
    assert call("duty", "POST", "holdings/sweep")[1] == {"warned": [], "erased": []}
    assert name
