"""Every route of a node, walked: it leaves an act, or it shows and changes nothing of a case (NODE-220 to NODE-226).

One line for each route says who may call it, what it is called about, and which acts it leaves. A route without a line
fails, so whoever adds one says here what it leaves. Each is called with a reason that is none, with a name that is not
there, by an officer who may not, with a ledger that takes no more, and then as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from agencies.node.recorded import counting, wrote
from agencies.node.routes_forms import Recorded, facts
from exchange.protocol.vocabulary import Act
from keys.encoding import stamp
from tests.adversary.test_safeguards_asylum import terms
from tests.agencies.node.conftest import NORTH, SOUTH
from tests.agencies.node.walk import (
    AUDIT,
    CASE,
    CHIEF,
    DEPUTY,
    DUTY,
    EAST,
    IDENTITY,
    KEEPER,
    PASSPHRASE,
    REASON,
    STRANGER,
    TEXT,
    THEIRS,
    WORDS,
    Answered,
    Town,
    lorry,
    referral,
    walked,
)

Asked = tuple[str, Any]
"""A path, and what the body says besides the reason."""
NOWHERE = "A" * 43
BOILERPLATE = (
    "",
    "needed for the ongoing investigation",
    "case work",
    "as required as required as required",
    "x" * 40,
    "1234567890 1234567890 123456",
)
JUSTIFIED = {Act.CONSULT, Act.OPEN, Act.KEY_RELEASE, Act.DISCLOSE, Act.EXPORT, Act.COMBINE, Act.ALTER, Act.COLLECT}
OPERATIONS = {Act.COLLECT, Act.ALTER, Act.CONSULT, Act.DISCLOSE, Act.COMBINE, Act.ERASE}
"""The six of Directive (EU) 2016/680 article 25."""


@dataclass(frozen=True)
class Line:
    """One route: who may call it, what about, which acts it leaves, and whether it takes a reason.

    ``denied`` has the roles and is refused all the same, with an act; ``wrong`` has not the roles.
    """

    who: str
    make: Callable[[Town], Asked]
    acts: tuple[str, ...] = ()
    why: bool = True
    denied: str = ""
    wrong: str = ""
    status: int = 200


def at(path: str, **body: Any) -> Callable[[Town], Asked]:
    """A call about nothing in particular."""
    return lambda _: (path, body or None)


def on(template: str, make: Callable[[Town], str] = Town.told, **body: Any) -> Callable[[Town], Asked]:
    """A call about something that is made for it."""
    return lambda town: (template.format(make(town)), body or None)


# -- what is called about -----------------------------------------------------------------------------------


def later(days: int) -> Callable[[Town], str]:
    return lambda town: stamp(town.world.clock() + timedelta(days=days))


def until(make: Callable[[Town], Asked], days: int = 20) -> Callable[[Town], Asked]:
    def made(town: Town) -> Asked:
        path, body = make(town)
        return path, {**(body or {}), "until": later(days)(town)}

    return made


def sent(town: Town) -> str:
    return str(town.sent()["msg"])


def known(town: Town, path: str, body: Any = None, who: str = CHIEF, reason: Any = REASON) -> Any:
    """Do something on the way to what is to be called."""
    answer = town.call(who, "POST", path, body, reason)
    assert answer.status == 200, answer.text
    return answer.json


def conditioned(town: Town) -> str:
    """A message whose handling text the duty officer has been shown."""
    name = town.bound()
    known(town, f"/v1/messages/{name}/condition", who=DUTY)
    return name


def foreign_ask(town: Town) -> str:
    """What North asks of South about a message of South's."""
    north, name = town.north, sent(town)
    ask = north.service.consents.ask(
        name, north.officer(), THEIRS, want="purpose", purposes=["prosecute"], until=town.world.clock() + timedelta(9)
    )
    town.node.collect_all()
    return str(ask.digest)


def consent(town: Town) -> str:
    """A consent of South's."""
    return str(known(town, f"/v1/consents/{foreign_ask(town)}/decide", {"approve": True})["act"])


def duty(town: Town) -> str:
    """What North wants done about a message that it told South."""
    name = town.told()
    north = town.north
    act = north.service.recalls.give(
        "restrict", name, north.officer("release_officer"), THEIRS, ground="inaccurate"
    )  # fmt: skip
    town.node.collect_all()
    return str(act.digest)


def refused(town: Town) -> str:
    """A request that South has refused, with a reason that is for the auditor."""
    name = town.asked()
    known(town, f"/v1/messages/{name}/refuse", {"ground": "not_available", "reason": "Thistledown is our own source"})
    return name


def flag(town: Town) -> str:
    return str(known(town, "/v1/flags", flagging(town)[1])["id"])


def flagged(town: Town) -> str:
    path, body = flagging(town)
    known(town, path, body)
    return str(body["on"]["message"])


def flagging(town: Town) -> Asked:
    on_it = {"message": town.asked()}
    return "/v1/flags", {"on": on_it, "ground": "disproportionate", "until": later(20)(town)}


def glass(town: Town) -> Asked:
    body = {"second": CHIEF, "passphrase": PASSPHRASE, "danger": "danger_to_life", "purpose": "prevent"}
    return f"/v1/messages/{town.told()}/emergency", body


def opened(town: Town) -> str:
    path, body = glass(town)
    return str(known(town, path, body, who=DUTY)["emergency"]["id"])


def notice(town: Town) -> str:
    """An exculpatory notice that North sent about a message of South's."""
    name, north = sent(town), town.north
    told = north.service.exculpation.tell(name, ["alibi"], "There is a record of Umbrafax.", north.officer(), THEIRS)
    town.node.collect_all()
    town.node.exculpation.learn()
    return str(told.msg)


def forwarding(town: Town) -> Asked:
    body = {"to": [NORTH], "fields": ["/narrative/0"], "purpose": "investigate", "text": "Yarrowgate, once more."}
    return f"/v1/messages/{town.told()}/forward", {**body, "agr": town.agr}


def asking(town: Town) -> Asked:
    return f"/v1/messages/{town.told()}/ask", {"want": "purpose", "purposes": ["prosecute"], "until": later(9)(town)}


def sealing(_: Town) -> Asked:
    return "/v1/identities/seal", {"identity": IDENTITY, "content": referral(), "to": [SOUTH]}


def part(town: Town) -> Asked:
    name, one = town.sealed()
    return f"/v1/messages/{name}/identities/{one}", {"passphrase": PASSPHRASE}


def arriving(town: Town) -> Asked:
    north = town.north.send(lorry(), SOUTH, agr=town.agr)
    assert north.state == "sent"
    return "/v1/collect", None


def proposal(town: Town) -> str:
    north = town.north
    offered = north.service.propose(terms(f"new-{len(town.tokens)}", [NORTH, SOUTH]), north.officer("release_officer"))
    return str(offered["agr"])


def spare(name: str, act: str = "") -> Callable[[Town], str]:
    def made(town: Town) -> str:
        agr = town.world.agreements[name]
        if act:
            known(town, f"/v1/agreements/{agr}/{act}", {"reason": "an exercise"}, reason=None)
        return agr

    return made


def swept(town: Town) -> Asked:
    """When everything that came was looked at once."""
    town.node.sweep()
    return "/v1/holdings/sweep", None


def hold(town: Town) -> str:
    return str(known(town, "/v1/holds", {"first": "2026-10", "last": "2026-11"})["id"])


def cosigned(_: Town) -> Asked:
    return "/witness/add-checkpoint", b"not a checkpoint of anybody's\n"


PUBLIC = {"why": False}
A_REASON = {"reason": "an exercise"}
WALK: dict[tuple[str, str], Line] = {
    ("GET", "/openapi.json"): Line("", at("/openapi.json"), **PUBLIC),
    ("GET", "/healthz"): Line("", at("/healthz"), **PUBLIC),
    ("GET", "/readyz"): Line("", at("/readyz"), **PUBLIC),
    ("GET", "/metrics"): Line("", at("/metrics"), **PUBLIC),
    ("POST", "/v1/sign-in"): Line("", at("/v1/sign-in", officer=DUTY, passphrase=PASSPHRASE), **PUBLIC),
    ("POST", "/v1/sign-out"): Line(DEPUTY, at("/v1/sign-out"), **PUBLIC),
    ("POST", "/witness/add-checkpoint"): Line("", cosigned, **PUBLIC),
    ("GET", "/witness/{origin}/checkpoint"): Line("", at(f"/witness/{'0' * 64}/checkpoint"), **PUBLIC),
    # sending
    ("POST", "/v1/messages"): Line(
        DUTY, lambda town: ("/v1/messages", {"draft": town.draft()}), ("collect", "disclose")
    ),
    ("POST", "/v1/messages/check"): Line(DUTY, lambda town: ("/v1/messages/check", {"draft": town.draft()}), **PUBLIC),
    ("POST", "/v1/messages/batch"): Line(
        DUTY, lambda town: ("/v1/messages/batch", {"messages": [{"draft": town.draft()}]}), ("collect", "disclose")
    ),
    ("GET", "/v1/outbox"): Line(DUTY, at("/v1/outbox"), **PUBLIC),
    ("POST", "/v1/releases/{ref}"): Line(
        CHIEF, on("/v1/releases/{}", Town.waiting, approve=True), ("review", "disclose")
    ),
    ("POST", "/v1/messages/{msg}/forward"): Line(DUTY, forwarding, ("combine", "disclose"), denied=STRANGER),
    # receiving and looking
    ("POST", "/v1/collect"): Line(DUTY, arriving, ("receive",), why=False),
    ("GET", "/v1/inbox"): Line(DUTY, at("/v1/inbox"), **PUBLIC),
    ("GET", "/v1/messages/{msg}"): Line(DUTY, on("/v1/messages/{}"), **PUBLIC),
    ("POST", "/v1/messages/{msg}/open"): Line(DUTY, on("/v1/messages/{}/open"), ("open",), denied=STRANGER),
    ("POST", "/v1/messages/{msg}/export"): Line(DUTY, on("/v1/messages/{}/export"), ("export",), denied=STRANGER),
    ("POST", "/v1/messages/{msg}/erase"): Line(CHIEF, on("/v1/messages/{}/erase"), ("erase",)),
    ("GET", "/v1/cases/{reference}"): Line(DUTY, at(f"/v1/cases/{CASE}"), ("consult",), denied=STRANGER),
    ("GET", "/v1/receipts/{msg}"): Line(DUTY, on("/v1/receipts/{}", sent), **PUBLIC),
    ("GET", "/v1/holdings"): Line(DUTY, on("/v1/holdings", conditioned), **PUBLIC),
    ("POST", "/v1/holdings/sweep"): Line(DUTY, swept, **PUBLIC),
    ("POST", "/v1/messages/{msg}/condition"): Line(
        DUTY, on("/v1/messages/{}/condition", Town.bound), ("consult",), denied=STRANGER
    ),
    ("POST", "/v1/messages/{msg}/acknowledge"): Line(
        DUTY, on("/v1/messages/{}/acknowledge", conditioned), ("alter", "consult"), denied=STRANGER
    ),
    ("POST", "/v1/messages/{msg}/keep"): Line(
        CHIEF, until(on("/v1/messages/{}/keep", ground="case_open")), ("alter", "review")
    ),
    # acts
    ("POST", "/v1/messages/{msg}/ask"): Line(DUTY, asking, ("alter", "consent")),
    ("GET", "/v1/consents"): Line(DUTY, at("/v1/consents"), **PUBLIC),
    ("POST", "/v1/consents/{act}/decide"): Line(
        CHIEF, on("/v1/consents/{}/decide", foreign_ask, approve=True), ("alter", "consent")
    ),
    ("POST", "/v1/consents/{act}/withdraw"): Line(CHIEF, on("/v1/consents/{}/withdraw", consent), ("alter", "consent")),
    ("POST", "/v1/messages/{msg}/recall"): Line(
        CHIEF, on("/v1/messages/{}/recall", sent, act="recall", ground="inaccurate"), ("alter", "recall")
    ),
    ("GET", "/v1/recalls"): Line(DUTY, at("/v1/recalls"), **PUBLIC),
    ("GET", "/v1/messages/{msg}/status"): Line(DUTY, on("/v1/messages/{}/status", sent), **PUBLIC),
    ("GET", "/v1/messages/{msg}/acts"): Line(DUTY, on("/v1/messages/{}/acts", conditioned), **PUBLIC),
    ("GET", "/v1/duties"): Line(DUTY, on("/v1/duties", duty), **PUBLIC),
    ("POST", "/v1/duties/{act}/answer"): Line(
        CHIEF, on("/v1/duties/{}/answer", duty, outcome="erased"), ("alter", "erase", "recall_ack")
    ),
    # protection
    ("POST", "/v1/identities/seal"): Line(DUTY, sealing, ("combine",)),
    ("GET", "/v1/messages/{msg}/identities"): Line(
        DUTY, lambda town: (f"/v1/messages/{town.sealed()[0]}/identities", None), ("consult",), denied=STRANGER
    ),
    ("POST", "/v1/messages/{msg}/identities/{part}"): Line(KEEPER, part, ("key_release",), denied=STRANGER),
    ("POST", "/v1/claims"): Line(KEEPER, at("/v1/claims", identity=IDENTITY, against=["XQ"]), ("collect",)),
    ("POST", "/v1/messages/{msg}/refuse"): Line(
        DUTY, on("/v1/messages/{}/refuse", Town.asked, ground="not_available", reason="Thistledown"), ("review",)
    ),
    ("GET", "/v1/messages/{msg}/refuse"): Line(DUTY, on("/v1/messages/{}/refuse", refused), ("consult",)),
    ("POST", "/v1/messages/{msg}/exculpate"): Line(
        DUTY,
        on("/v1/messages/{}/exculpate", kinds=["alibi"], text="We hold a record. Ask us."),
        ("collect", "disclose"),
    ),
    ("GET", "/v1/tasks"): Line(DUTY, on("/v1/tasks", notice), **PUBLIC),
    ("POST", "/v1/tasks/{msg}"): Line(DUTY, on("/v1/tasks/{}", notice), ("review",)),
    # emergencies, flags, offences
    ("POST", "/v1/messages/{msg}/emergency"): Line(DUTY, glass, ("open", "alter")),
    ("GET", "/v1/emergencies"): Line(DUTY, on("/v1/emergencies", opened), **PUBLIC),
    ("POST", "/v1/emergencies/{name}/review"): Line(
        DEPUTY, on("/v1/emergencies/{}/review", opened, justified=True), ("review",), denied=CHIEF, wrong=DUTY
    ),
    ("GET", "/v1/flags"): Line(DUTY, on("/v1/flags", flag), **PUBLIC),
    ("POST", "/v1/flags"): Line(DUTY, flagging, ("alter",)),
    ("POST", "/v1/flags/{name}/renew"): Line(DUTY, until(on("/v1/flags/{}/renew", flag), 40), ("alter",)),
    ("POST", "/v1/flags/{name}/lift"): Line(DUTY, on("/v1/flags/{}/lift", flag), ("alter",)),
    ("GET", "/v1/messages/{msg}/flag"): Line(DUTY, on("/v1/messages/{}/flag", flagged), ("consult",)),
    ("POST", "/v1/messages/{msg}/flag"): Line(DUTY, on("/v1/messages/{}/flag", flagged), ("review",)),
    ("GET", "/v1/offences"): Line(DUTY, at("/v1/offences?code=XN-119"), **PUBLIC),
    ("POST", "/v1/messages/{msg}/offence"): Line(
        DUTY, on("/v1/messages/{}/offence", Town.asked, code="ZZ 9"), ("review",)
    ),
    # agreements, which are in the log
    ("GET", "/v1/agreements"): Line(DUTY, at("/v1/agreements"), **PUBLIC),
    ("POST", "/v1/agreements"): Line(CHIEF, at("/v1/agreements", terms=terms("ours", [NORTH, SOUTH])), **PUBLIC),
    ("GET", "/v1/agreements/{agr}"): Line(DUTY, on("/v1/agreements/{}", spare("all")), **PUBLIC),
    ("POST", "/v1/agreements/{agr}/sign"): Line(CHIEF, on("/v1/agreements/{}/sign", proposal), **PUBLIC),
    ("POST", "/v1/agreements/{agr}/suspend"): Line(
        CHIEF, on("/v1/agreements/{}/suspend", spare("spare-1"), **A_REASON), **PUBLIC
    ),
    ("POST", "/v1/agreements/{agr}/resume"): Line(
        CHIEF, on("/v1/agreements/{}/resume", spare("spare-2", "suspend"), **A_REASON), **PUBLIC
    ),
    ("POST", "/v1/agreements/{agr}/leave"): Line(
        CHIEF, on("/v1/agreements/{}/leave", spare("spare-3"), **A_REASON), **PUBLIC
    ),
    # months
    ("GET", "/v1/periods"): Line(DUTY, at("/v1/periods"), **PUBLIC),
    ("POST", "/v1/periods/shred"): Line(
        CHIEF, at("/v1/periods/shred", before="2026-11"), ("attempt_denied",), status=409
    ),
    ("POST", "/v1/holds"): Line(CHIEF, at("/v1/holds", first="2026-10", last="2026-11"), ("review",)),
    ("POST", "/v1/holds/{name}/lift"): Line(CHIEF, on("/v1/holds/{}/lift", hold), ("review",)),
    # auditing
    ("GET", "/v1/ledger"): Line(AUDIT, at("/v1/ledger"), ("log_query",)),
    ("POST", "/v1/ledger/export"): Line(AUDIT, at("/v1/ledger/export"), ("log_query",)),
    ("GET", "/v1/reconciliation"): Line(AUDIT, at("/v1/reconciliation"), ("log_query",), why=False),
    ("GET", "/v1/evidence"): Line(AUDIT, at("/v1/evidence"), ("log_query",)),
    ("POST", "/v1/questions"): Line(
        AUDIT, at("/v1/questions", question="who", purpose="lawfulness_check", case=CASE), ("log_query",)
    ),
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with walked(tmp_path_factory.mktemp("walk")) as made:
        yield made


def listed(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from listed(router.routes)
        else:
            yield from ((method, route.path.replace(":path}", "}")) for method in route.methods - {"HEAD"})


def test_every_route_there_is_has_its_line(town: Town) -> None:
    there = set(listed(town.app.routes))
    published = {(method.upper(), path) for path, found in town.app.openapi()["paths"].items() for method in found}
    assert there == published | {("GET", "/openapi.json")}
    assert there == set(WALK)


def must_hold(answer: Answered, what: str) -> None:
    """An act is there, or nothing of a case was shown or changed; and an act of an officer's says why."""
    if not answer.acts:
        assert (answer.secrets, answer.changed) == (set(), set()), what
    for act in answer.acts:
        if act["act"] in JUSTIFIED and act["officer"] is not None:
            assert all(act[name] for name in ("by", "code", "why")), (what, act)
    if answer.status != 200:
        assert answer.secrets == set(), what


@pytest.mark.spec("NODE-220", "NODE-221", "NODE-222", "NODE-223", "NODE-225")
@pytest.mark.parametrize("route", WALK, ids=lambda route: " ".join(route))
def test_it_leaves_an_act_or_shows_and_changes_nothing(town: Town, route: tuple[str, str]) -> None:
    method, line = route[0], WALK[route]
    path, body = line.make(town)
    reason = REASON if line.why else None
    if line.acts:
        wrong = line.wrong or (DUTY if line.who == AUDIT else AUDIT)
        for who in ("", wrong) if route != ("POST", "/v1/collect") else ("",):
            answer = town.call(who, method, path, body, reason)
            assert answer.status == (403 if who else 401), (who, answer.text)
            must_hold(answer, f"`{who}` may not")
    for text in BOILERPLATE if line.why and line.acts else ():
        answer = town.call(line.who, method, path, body, {"code": "case_assigned", "text": text})
        assert (answer.status, answer.acts, answer.changed, answer.secrets) == (422, [], set(), set()), text
    if line.denied:
        answer = town.call(line.denied, method, path, body, reason)
        assert answer.status == 403, answer.text
        assert "attempt_denied" in [act["act"] for act in answer.acts]
        must_hold(answer, "denied")
    if "{" in route[1]:
        nowhere = "/".join(NOWHERE if part.startswith("{") else part for part in route[1].split("/"))
        must_hold(town.call(line.who, method, nowhere, body, reason), "nothing by that name")
    if line.acts:
        must_fail(town, line.who, method, path, body, reason)
    answer = town.call(line.who, method, path, body, reason)
    must_hold(answer, "granted")
    if line.acts:
        assert answer.status == line.status, answer.text
        assert set(line.acts) <= {act["act"] for act in answer.acts}
        assert {act["officer"] for act in answer.acts} & {line.who, None}
    else:
        assert (answer.secrets, answer.changed) == (set(), set())


def must_fail(town: Town, who: str, method: str, path: str, body: Any, reason: Any) -> None:
    """While the ledger takes nothing more, a call shows nothing, changes nothing, and sends nothing to anybody."""
    before = len(town.world.wire.calls)
    with town.full():
        answer = town.call(who, method, path, body, reason)
    assert (answer.status, answer.secrets, answer.changed, answer.acts) == (500, set(), set(), [])
    told = {call.path for call in town.world.wire.calls[before:] if call.host != "node.sim" and call.method == "POST"}
    assert told <= {"/v1/heads"}, "it left before the ledger had it"


ORDERS = [
    ("POST", f"/v1/{path}")
    for path in (
        "messages", "releases/{ref}", "messages/{msg}/forward", "messages/{msg}/acknowledge", "messages/{msg}/keep",
        "messages/{msg}/erase", "messages/{msg}/ask", "consents/{act}/decide", "consents/{act}/withdraw",
        "messages/{msg}/recall", "messages/{msg}/exculpate", "messages/{msg}/emergency",
    )
]  # fmt: skip
"""What goes to the broker, and is ordered whether or not it answers."""


@pytest.mark.spec("NODE-223")
@pytest.mark.parametrize("route", ORDERS, ids=lambda route: " ".join(route))
def test_an_order_is_in_the_ledger_though_nobody_takes_it(town: Town, route: tuple[str, str]) -> None:
    line = WALK[route]
    path, body = line.make(town)
    with town.world.wire.cut(SOUTH):
        answer = town.call(line.who, "POST", path, body, REASON)
    assert answer.status == 200, answer.text
    assert answer.changed
    must_hold(answer, "with no broker")
    assert {act["act"] for act in answer.acts} & {"collect", "combine", "alter", "review", "erase"}
    assert {(act["officer"], act["why"]) for act in answer.acts} == {(line.who, TEXT)}
    town.world.clock.advance(minutes=1)
    town.node.retry_outbox()


@pytest.mark.slow
@pytest.mark.spec("NODE-220", "NODE-98")
def test_what_a_sweep_erases_stands_in_the_ledger(tmp_path: Path) -> None:
    with walked(tmp_path) as own:
        name = own.told()
        own.world.clock.advance(days=61)
        own.tokens.clear()
        with own.full():
            failed = own.call(DUTY, "POST", "/v1/holdings/sweep")
        assert (failed.status, failed.changed, failed.acts) == (500, set(), [])
        answer = own.call(DUTY, "POST", "/v1/holdings/sweep")
        assert answer.json["erased"] == [{"msg": name, "cause": "review"}]
        assert {"inbox", "held"} <= answer.changed
        assert ("erase", name, "review") in [(act["act"], act["msg"], act["outcome"]) for act in answer.acts]


@pytest.mark.spec("NODE-224")
def test_all_six_operations_have_a_route() -> None:
    left = {act for line in WALK.values() for act in line.acts}
    assert {str(one) for one in OPERATIONS} <= left


@pytest.mark.spec("NODE-22", "NODE-226")
def test_a_question_that_confirms_a_guess_is_an_attempt(town: Town) -> None:
    told = lorry()
    name = town.told(told)
    pasted = town.draft({**lorry(), "narrative": told["narrative"]})
    answer = town.call(DUTY, "POST", "/v1/messages/check", {"draft": {**pasted, "to": [EAST]}})
    assert answer.json["code"] == "onward_refused"
    (act,) = answer.acts
    assert (act["act"], act["officer"], act["outcome"], act["why"]) == ("attempt_denied", DUTY, "onward_refused", None)
    assert name


@pytest.mark.spec("NODE-226")
def test_an_offence_that_stands_in_no_way_is_looked_up_with_an_act(town: Town) -> None:
    table = town.node.offences._table
    placed = next(one for one in table.rows.values() if one.crime == "immigrant_smuggling" and one.max_years > 1)
    answer = town.call(DUTY, "POST", f"/v1/messages/{town.asked()}/offence", {"code": placed.code}, REASON)
    assert (answer.status, answer.json["ground"]) == (200, None)
    assert [(act["act"], act["why"]) for act in answer.acts] == [("consult", TEXT)]


@pytest.mark.spec("NODE-223")
def test_the_same_request_again_adds_no_act(town: Town) -> None:
    body = {"draft": town.draft(), "key": "once"}
    assert [act["act"] for act in town.call(DUTY, "POST", "/v1/messages", body, REASON).acts] == ["collect", "disclose"]
    again = town.call(DUTY, "POST", "/v1/messages", body, REASON)
    assert (again.status, again.acts, again.changed, again.secrets) == (200, [], set(), set())


# -- that the walk would see it -----------------------------------------------------------------------------


def test_what_is_planted_is_found_in_every_spelling(town: Town) -> None:
    from keys.encoding import b64u

    for text in (f'{{"a":"{WORDS[0]}"}}', f'["{b64u(WORDS[0].encode())}"]', f'{{"{WORDS[0]}":1}}', f"?{WORDS[0]}"):
        assert Answered(200, text, "", "", [], set()).secrets == {WORDS[0]}
    assert Answered(200, WORDS[0], WORDS[0], "", [], set()).secrets == set()
    with pytest.raises(AssertionError):
        must_hold(Answered(200, WORDS[0], "", "", [], set()), "shown")
    with pytest.raises(AssertionError):
        must_hold(Answered(200, "", "", "", [], {"inbox"}), "changed")
    assert {"inbox", "outbox", "held", "claim", "flag", "answer", "consents", "duties"} <= town.tables().keys()


@pytest.mark.spec("NODE-221")
def test_a_call_that_forgets_its_act_gives_no_answer(town: Town) -> None:
    app = FastAPI()
    router = APIRouter(route_class=Recorded)
    router.get("/forgets")(lambda: "Umbrafax")
    router.get("/writes")(lambda: wrote(1) or "told")
    router.get("/lists")(facts(lambda: "a list"))
    app.include_router(router)
    town.world.wire.attach("forgetful.sim", app)
    with town.world.wire.client("desk", "http://forgetful.sim") as line:
        answers = [line.get(path) for path in ("/forgets", "/writes", "/lists")]
    town.world.wire.detach("forgetful.sim")
    assert [(one.status_code, "Umbrafax" in one.text) for one in answers] == [(500, False), (200, False), (200, False)]
    assert "left no act" in str(town.world.wire.crashes.pop())
    with counting() as written:
        wrote(2)
    assert written == [2]
