"""HTTP in, HTTP out, nothing between: the officers' API of a node (`spec/nodes.md`, NODE-70, NODE-71).

Every route but signing in and the three probes wants a bearer token. Looking at content or cases wants a
reason, in the body of a POST, or in the headers ``Justification-Code`` and ``Justification`` of a GET
(percent-encoded UTF-8), because an address ends up in places where no reason should. A call is answered only
if it left an act in the ledger, unless it is marked to answer with ``facts`` alone (NODE-221).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from starlette.exceptions import HTTPException

from agencies.node.broker_client import MAX_BATCH
from agencies.node.errors import BrokerRefused, DraftMalformed
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.mail.sending import Sent, Wanted
from agencies.node.profile import Officer
from agencies.node.routes_acts import add_acts
from agencies.node.routes_emergency import add_emergency
from agencies.node.routes_forms import (
    REASON,
    SIMULATION,
    BatchBody,
    Body,
    Caller,
    Recorded,
    answer,
    body_schema,
    facts,
    members,
    reason,
    reason_of,
    token_of,
)
from agencies.node.routes_holding import add_holding
from agencies.node.routes_oversight import add_oversight
from agencies.node.routes_periods import add_periods
from agencies.node.routes_protection import add_protection
from exchange.http import FAULT_BYTES, MAX_BATCH_BODY, PROBLEM, problem, status_of
from exchange.protocol.content import content_from
from exchange.protocol.quality import warnings
from exchange.protocol.vocabulary import LogPurpose
from keys.encoding import b64u, write_json
from keys.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agencies.node.rounds import Rounds
    from agencies.node.service import Node
    from agencies.node.sessions import Sessions

MAX_KEY: Final = 100
_USE: Final = {"purpose": str, "ground": str}
"""What a look at a message may say besides why: another purpose than the declared, the ground it is kept on."""
_OF_PAGE: Final = ("after", "limit", "purpose")
"""What a look into the ledger says besides its filters."""
_DRAFT: Final = OfficerDraft.model_json_schema()


def add_routes(app: FastAPI, node: Node, sessions: Sessions, rounds: Rounds) -> None:
    """Give an application the routes of a node."""

    def signed_in(request: Request) -> Officer:
        request.state.officer = sessions.who(token_of(request))
        return request.state.officer  # type: ignore[no-any-return]

    _add_refusals(app)
    _add_probes(app, node, rounds)
    _add_signing_in(app, sessions)

    def protecting(router: APIRouter, node: Node) -> None:
        add_protection(router, node, sessions)
        add_emergency(router, node, sessions)

    parts = (_sending, _receiving, add_holding, add_acts, protecting, _parties, _auditing, add_oversight, add_periods)
    for routes in parts:
        router = APIRouter(
            prefix="/v1", dependencies=[Depends(signed_in)], default_response_class=Response, route_class=Recorded
        )
        routes(router, node)
        app.include_router(router)


def _add_signing_in(app: FastAPI, sessions: Sessions) -> None:
    @app.post(
        "/v1/sign-in", openapi_extra=body_schema({"officer": {"type": "string"}, "passphrase": {"type": "string"}})
    )
    def sign_in(body: Body) -> Response:
        """Exchange an officer's passphrase for a bearer token."""
        told = members(body, {"officer": str, "passphrase": str})
        token = sessions.sign_in(told["officer"], told["passphrase"])
        roles = sorted(token.officer.roles)
        expires = token.expires.isoformat()
        return answer({"token": token.text, "officer": token.officer.id, "roles": roles, "expires": expires})

    @app.post("/v1/sign-out")
    def sign_out(request: Request) -> Response:
        """End this session."""
        officer = sessions.who(token_of(request))
        sessions.sign_out(token_of(request))
        return answer({"officer": officer.id})


def _sending(router: APIRouter, node: Node) -> None:
    @router.post("/messages", openapi_extra=body_schema({"draft": _DRAFT, "justification": REASON}))
    @facts
    def send(body: Body, caller: Caller) -> Response:
        """Send one draft; `key` makes asking twice safe, `ruling` submits even what is denied here."""
        told = members(body, {"draft": dict, "justification": dict}, {"key": str, "ruling": bool})
        one = _wanted({name: told[name] for name in told if name != "justification"})
        sent = node.send(one.draft, caller, reason(told["justification"]), key=one.key, ruling=one.ruling)
        return answer(sent.to_json())

    @router.post("/messages/check", openapi_extra=body_schema({"draft": _DRAFT}))
    @facts
    def check(body: Body, caller: Caller) -> Response:
        """What would happen if this were sent now."""
        return answer(node.check(read_draft(members(body, {"draft": dict})["draft"]), caller).to_json())

    @router.post("/messages/batch", openapi_extra=body_schema({"messages": {"type": "array"}, "justification": REASON}))
    @facts
    def send_many(body: BatchBody, caller: Caller) -> Response:
        """Send up to 100 drafts in one commit; one result or problem for each, in order."""
        told = members(body, {"messages": list, "justification": dict}, limit=MAX_BATCH_BODY)
        if not 1 <= len(told["messages"]) <= MAX_BATCH:
            raise DraftMalformed(f"a batch has 1 to {MAX_BATCH} messages")
        wanted = [_wanted(item) for item in told["messages"]]
        sent = node.send_many(wanted, caller, reason(told["justification"]))
        return answer({"results": [_result(one) for one in sent]})

    @router.get("/outbox")
    @facts
    def outbox(state: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
        """What was sent or stopped here, newest first; without content."""
        return answer({"messages": [sent.to_json() for sent in node.outbox(newest=limit, state=state)]})

    @router.post(
        "/releases/{ref}", openapi_extra=body_schema({"approve": {"type": "boolean"}, "justification": REASON})
    )
    def release(ref: str, body: Body, caller: Caller) -> Response:
        """Let a waiting message go, or keep it back (release officers, never the sender)."""
        told = members(body, {"approve": bool, "justification": dict})
        return answer(node.release(ref, caller, reason(told["justification"]), approve=told["approve"]).to_json())


def _receiving(router: APIRouter, node: Node) -> None:
    @router.post("/collect")
    @facts
    def collect() -> Response:
        """Look into the mailbox now rather than at the next round."""
        haul = node.collect()
        rejected = [{"msg": msg, "code": code} for msg, code in haul.rejected]
        return answer({"messages": list(haul.messages), "rejected": rejected, "receipts": haul.receipts})

    @router.get("/inbox")
    @facts
    def inbox(limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
        """What came in, newest first, and what was rejected; without content."""
        return answer({"messages": node.inbox(newest=limit), "rejected": node.rejected(newest=limit)})

    @router.get("/messages/{msg}")
    @facts
    def message(msg: str) -> Response:
        """What is known about one message, without its content."""
        return answer(node.message(msg))

    @router.post("/messages/{msg}/open", openapi_extra=body_schema({"justification": REASON}))
    def open_message(msg: str, body: Body, caller: Caller) -> Response:
        """Show a message's content and what to know of its quality; the ledger says so first, its sender is told."""
        told = members(body, {"justification": dict}, _USE)
        content = node.open(msg, caller, reason(told.pop("justification")), **told)
        known = warnings(content_from(content), node.office.clock().date())
        return answer({"msg": msg, "content": content, "warnings": list(known)})

    @router.post("/messages/{msg}/export", openapi_extra=body_schema({"justification": REASON}))
    def export(msg: str, body: Body, caller: Caller) -> Response:
        """Hand a message out as evidence: everything signed, the proof, the content."""
        told = members(body, {"justification": dict}, _USE)
        return answer(node.export(msg, caller, reason(told.pop("justification")), **told))

    @router.post("/messages/{msg}/erase", openapi_extra=body_schema({"justification": REASON}))
    def erase(msg: str, body: Body, caller: Caller) -> Response:
        """Take a received message's content away for good (release officers)."""
        node.erase(msg, caller, reason(members(body, {"justification": dict})["justification"]))
        return answer({"msg": msg, "state": "erased"})

    @router.get("/cases/{reference:path}")
    def case(reference: str, request: Request, caller: Caller) -> Response:
        """The messages of one case, oldest first; needs a justification in the headers."""
        return answer({"messages": node.case(reference, caller, reason_of(request))})

    @router.get("/receipts/{msg}")
    @facts
    def receipts(msg: str) -> Response:
        """The receipts for a message of ours, each with its signed batch and proof."""
        return answer({"msg": msg, "receipts": node.receipts(msg)})


def _parties(router: APIRouter, node: Node) -> None:
    @router.get("/agreements")
    @facts
    def agreements() -> Response:
        """The agreements this agency is a party to, and how each stands now."""
        return answer({"agreements": node.agreements()})

    @router.get("/agreements/{agr}")
    @facts
    def agreement(agr: str) -> Response:
        """One agreement of this agency, proposed ones as well: how it stands, its terms, and what is signed of it."""
        return answer(node.agreement(agr))

    @router.post("/agreements", openapi_extra=body_schema({"terms": {"type": "object"}}))
    @facts
    def propose(body: Body, caller: Caller) -> Response:
        """Sign terms and put them to the other parties (release officers)."""
        return answer(node.propose(members(body, {"terms": dict})["terms"], caller))

    @router.post("/agreements/{agr}/sign")
    @facts
    def sign_agreement(agr: str, caller: Caller) -> Response:
        """Add this agency's signature to a proposal (release officers)."""
        return answer(node.sign_agreement(agr, caller))

    def notice(act: str, agr: str, body: bytes, caller: Officer) -> Response:
        return answer(node.give_notice(act, agr, caller, members(body, {"reason": str})["reason"]))

    @router.post("/agreements/{agr}/suspend", openapi_extra=body_schema({"reason": {"type": "string"}}))
    @facts
    def suspend(agr: str, body: Body, caller: Caller) -> Response:
        """Suspend an agreement, alone and at once (release officers)."""
        return notice("suspend", agr, body, caller)

    @router.post("/agreements/{agr}/resume", openapi_extra=body_schema({"reason": {"type": "string"}}))
    @facts
    def resume(agr: str, body: Body, caller: Caller) -> Response:
        """Take back this agency's own suspension (release officers)."""
        return notice("resume", agr, body, caller)

    @router.post("/agreements/{agr}/leave", openapi_extra=body_schema({"reason": {"type": "string"}}))
    @facts
    def leave(agr: str, body: Body, caller: Caller) -> Response:
        """Leave an agreement for good (release officers)."""
        return notice("leave", agr, body, caller)


def _auditing(router: APIRouter, node: Node) -> None:
    @router.get("/ledger")
    def ledger(
        request: Request,
        caller: Caller,
        after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        purpose: str = LogPurpose.SELF_MONITORING,
    ) -> Response:
        """Acts of the ledger, filtered by `act`, `officer`, `msg`, `case`, `since`, `until`; itself an act."""
        where = {name: value for name, value in request.query_params.items() if name not in _OF_PAGE}
        why = reason_of(request) if "justification-code" in request.headers else None
        number, root = node.verify_ledger(caller)
        acts = node.ledger(caller, why, after=after, limit=limit, where=where, purpose=purpose)
        return answer({"acts": acts, "verified": {"n": number, "root": root}})

    @router.post("/ledger/export", openapi_extra=body_schema({"justification": REASON}))
    def export_ledger(body: Body, caller: Caller) -> Response:
        """The whole ledger as a log in files, under its newest signed head; itself an act."""
        told = members(body, {"justification": dict}, {"purpose": str})
        made = node.export_ledger(caller, reason(told.pop("justification")), **told)
        files = {path: b64u(data) for path, data in made.files}
        return answer({"size": made.size, "root": b64u(made.root), "files": files})

    @router.get("/reconciliation")
    def reconciliation(caller: Caller) -> Response:
        """Hold the ledger against the log, both verified; findings."""
        result = node.audited(caller)
        findings = [finding.to_json() for finding in result.findings]
        return answer({"size": result.size, "acts": result.acts, "findings": findings})

    @router.get("/evidence")
    def evidence(request: Request, caller: Caller) -> Response:
        """What should not have been: forged proofs, two faces of the log, strange mail; itself an act."""
        why = reason_of(request) if "justification-code" in request.headers else None
        return answer({"evidence": node.evidence(caller, why), "trust": node.trusted()})


# -- what a call says -------------------------------------------------------------------------------------


def _wanted(item: Any) -> Wanted:
    if type(item) is not dict or not {"draft"} <= item.keys() <= {"draft", "key", "ruling"}:
        raise DraftMalformed("a message to send has `draft` and perhaps `key` and `ruling`")
    key, ruling = item.get("key"), item.get("ruling", False)
    if type(ruling) is not bool or (key is not None and (type(key) is not str or not 0 < len(key) <= MAX_KEY)):
        raise DraftMalformed(f"`key` is a string of at most {MAX_KEY} characters, `ruling` true or false")
    return Wanted(read_draft(item["draft"]), key, ruling)


def _result(one: Sent | Refusal) -> dict[str, Any]:
    return one.to_json() if isinstance(one, Sent) else {"problem": problem(one.code, one.sentence)}


# -- refusals and probes ----------------------------------------------------------------------------------


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    def refused(_: Request, refusal: Refusal) -> Response:
        told = {"reason": refusal.reason} if isinstance(refusal, BrokerRefused) else {}
        headers = dict(SIMULATION)
        if isinstance(after := getattr(refusal, "retry_after", None), int):
            headers["Retry-After"] = str(after)
        if (status := status_of(refusal.code)) == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(write_json(problem(refusal.code, refusal.sentence, **told)), status, headers, PROBLEM)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        names = ", ".join(sorted({str(e["loc"][-1]) for e in error.errors()}))
        told = problem("parameter_invalid", f"parameters out of range or unreadable: {names}")
        return Response(write_json(told), told["status"], SIMULATION, PROBLEM)

    @app.exception_handler(HTTPException)
    def nowhere(_: Request, error: HTTPException) -> Response:
        code = "method_not_allowed" if error.status_code == 405 else "not_found"
        return Response(write_json(problem(code, "there is nothing here")), error.status_code, SIMULATION, PROBLEM)

    @app.exception_handler(Exception)
    def fault(_: Request, __: Exception) -> Response:
        return Response(FAULT_BYTES, 500, SIMULATION, PROBLEM)


_COUNTED: Final = (
    "inbox", "rejected", "doubts", "receipts", "batches_unposted", "batches_refused", "evidence", "exemptions",
    "asks", "duties", "ledger", "emergencies_unreviewed", "emergencies_overdue",
)  # fmt: skip


class _Gauges:
    """A node's counts, read when somebody asks."""

    def __init__(self, node: Node, rounds: Rounds) -> None:
        self._node, self._rounds = node, rounds

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self._node.state()
        outbox = GaugeMetricFamily("ix_node_outbox", "messages in the outbox by state", labels=["state"])
        for name, count in state["outbox"].items():
            outbox.add_metric([name], count)
        yield outbox
        held = GaugeMetricFamily("ix_node_held", "received messages by how they are held", labels=["state"])
        for name, count in state["held"].items():
            held.add_metric([name], count)
        yield held
        heads = GaugeMetricFamily("ix_node_heads", "signed heads of the ledger by state", labels=["state"])
        for name, count in state["heads"].items():
            heads.add_metric([name], count)
        yield heads
        for name in _COUNTED:
            yield GaugeMetricFamily(f"ix_node_{name}", f"{name.replace('_', ' ')} in the books", value=state[name])
        troubles = GaugeMetricFamily("ix_node_troubles", "refusals met by the rounds", labels=["code"])
        for code, count in sorted(self._rounds.troubles.items()):
            troubles.add_metric([code], count)
        yield troubles


def _add_probes(app: FastAPI, node: Node, rounds: Rounds) -> None:
    registry = CollectorRegistry()
    registry.register(_Gauges(node, rounds))

    @app.get("/healthz")
    def alive() -> Response:
        """The process answers."""
        return answer({"alive": True})

    @app.get("/readyz")
    def ready() -> Response:
        """The books can be read; how the broker was found last is told, and keeps nobody out."""
        state = node.state()
        status = "amber" if state["emergencies_overdue"] else "green"  # somebody has to look, and nobody is kept out
        return answer({"ready": True, "status": status, "collected": state["collected"], "trouble": rounds.last})

    @app.get("/metrics")
    def metrics() -> Response:
        """Prometheus gauges; no content, no names."""
        return Response(generate_latest(registry), 200, SIMULATION, CONTENT_TYPE_LATEST)


__all__: Sequence[str] = ("add_routes",)
