"""Calls and answers prove who made them, in one form, and a library nobody here wrote agrees. See `spec/http.md`."""

from __future__ import annotations

import importlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from exchange.http import (
    ANSWER_COMPONENTS,
    CALL_COMPONENTS,
    FAULT_BYTES,
    SKEW,
    STATUS,
    NonceMemory,
    Proof,
    RateLimit,
    check_authority,
    content_digest,
    new_nonce,
    problem,
    problem_bytes,
    read_answer_proof,
    read_call_proof,
    sign_answer,
    sign_request,
    status_of,
    verify_answer,
    verify_request,
)
from exchange.protocol.errors import RateLimited, SenderMismatch
from keys.encoding import read_json
from keys.errors import Refusal
from keys.signing import TransportSigner

NOW = datetime(2026, 11, 21, 16, 20, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
HOST = "broker.example:8400"
BODY = b'{"a":1}'
SIGNER = TransportSigner.from_seed(bytes(range(32)))
OTHER = TransportSigner.from_seed(bytes(32))


def signed(body: bytes = BODY, **changes: Any) -> dict[str, str]:
    """Header fields of a proved call, as a server sees them."""
    said: dict[str, Any] = {"created": SECONDS, "nonce": new_nonce(), "query": "", "method": "POST", **changes}
    made = sign_request(
        said["method"], said.get("authority", HOST), said.get("path", "/v1/messages"), said["query"], body,
        said.get("signer", SIGNER), created=said["created"], nonce=said["nonce"],
    )  # fmt: skip
    return {name.lower(): value for name, value in made.items()}


def check(headers: Mapping[str, str], body: bytes = BODY, **changes: Any) -> Proof:
    said: dict[str, Any] = {
        "method": "POST",
        "authority": HOST,
        "path": "/v1/messages",
        "query": "",
        "now": NOW,
        **changes,
    }
    proof = read_call_proof(headers)
    verify_request(
        proof, said.get("key", SIGNER.public), said["method"], said["authority"], said["path"], said["query"],
        headers, body, now=said["now"],
    )  # fmt: skip
    return proof


def refused(code: str, act: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    return caught.value


# --- the caller's proof ------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-2", "HTTP-3", "HTTP-5", "HTTP-7")
def test_a_proved_call_is_believed() -> None:
    nonce = new_nonce()
    proof = check(signed(nonce=nonce))
    assert (proof.keyid, proof.created, proof.nonce) == (SIGNER.public.kid, SECONDS, nonce)
    check(signed(b"", query="after=3&limit=5", method="GET"), b"", query="after=3&limit=5", method="GET")


@pytest.mark.spec("HTTP-5")
def test_what_is_signed_is_exactly_the_lines_of_the_spec() -> None:
    headers = signed(nonce="AAAAAAAAAAAAAAAAAAAAAA")
    params = (
        f'("@method" "@authority" "@path" "@query" "content-digest");created={SECONDS};nonce="AAAAAAAAAAAAAAAAAAAAAA";'
        f'keyid="{SIGNER.public.kid}";alg="ed25519";tag="ix-call"'
    )
    base = (
        f'"@method": POST\n"@authority": {HOST}\n"@path": /v1/messages\n"@query": ?\n'
        f'"content-digest": {content_digest(BODY)}\n"@signature-params": {params}'
    )
    assert headers["signature-input"] == f"ix={params}"
    assert headers["signature"] == f"ix=:{b64encode(SIGNER.sign(base.encode())).decode()}:"


@pytest.mark.spec("HTTP-5", "HTTP-7")
@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"authority": "elsewhere.example"},
        {"path": "/v1/receipts"},
        {"query": "after=1"},
        {"key": OTHER.public},
    ],
)
def test_a_call_changed_on_the_way_is_refused(changed: dict[str, Any]) -> None:
    refused("call_proof_invalid", lambda: check(signed(), **changed))


@pytest.mark.spec("HTTP-7")
def test_a_body_other_than_the_signed_one_is_refused() -> None:
    headers = signed()
    refused("content_digest_mismatch", lambda: check(headers, b'{"a":2}'))
    headers["content-digest"] = content_digest(b'{"a":2}')
    refused("call_proof_invalid", lambda: check(headers, b'{"a":2}'))


@pytest.mark.spec("HTTP-6")
def test_a_proof_counts_for_a_minute_either_way() -> None:
    for seconds in (-SKEW, 0, SKEW):
        check(signed(), now=NOW + timedelta(seconds=seconds))
    for seconds in (-SKEW - 1, SKEW + 1):
        refused("call_proof_stale", lambda at=seconds: check(signed(), now=NOW + timedelta(seconds=at)))


@pytest.mark.spec("HTTP-2")
@pytest.mark.parametrize("absent", ["signature", "signature-input"])
def test_a_call_without_a_proof_is_refused(absent: str) -> None:
    headers = signed()
    del headers[absent]
    refused("call_proof_missing", lambda: check(headers))


def malformed() -> Iterator[tuple[str, str]]:
    good = signed()["signature-input"]
    inner = good.removeprefix(f"ix={CALL_COMPONENTS}")
    yield "another label", good.replace("ix=", "sig1=", 1)
    yield "a second label", f"{good}, sig1=()"
    yield "fewer components", good.replace(' "content-digest"', "")
    yield "more components", good.replace('"@method"', '"@method" "date"')
    yield "another order of components", good.replace('"@method" "@authority"', '"@authority" "@method"')
    yield "another tag", good.replace("ix-call", "ix-answer")
    yield "another algorithm", good.replace("ed25519", "hmac-sha256")
    yield "no nonce", good.replace(inner.split(";")[2], "").replace(";;", ";")
    yield "a short nonce", good.replace('nonce="', 'nonce="" "')
    yield "created twice", f"{good};created=1"
    yield "created unreadable", good.replace(f"created={SECONDS}", "created=now")
    yield "created negative", good.replace(f"created={SECONDS}", "created=-1")
    yield "an unknown parameter", f"{good};expires=1"
    yield "a space before a parameter", good.replace(";created", "; created")


@pytest.mark.spec("HTTP-3")
@pytest.mark.parametrize(("what", "value"), list(malformed()), ids=[what for what, _ in malformed()])
def test_a_proof_of_another_form_is_refused(what: str, value: str) -> None:
    refused("call_proof_malformed", lambda: check({**signed(), "signature-input": value}))


@pytest.mark.spec("HTTP-3")
@pytest.mark.parametrize(
    "value", ["", "ix=::", "ix=:AAAA:", "sig1=:" + "A" * 86 + "==:", "ix=:" + "A" * 86 + "==:, b=::"]
)
def test_a_signature_of_another_form_is_refused(value: str) -> None:
    code = "call_proof_malformed" if value else "call_proof_missing"
    refused(code, lambda: check({**signed(), "signature": value}))


@pytest.mark.spec("HTTP-3")
@given(st.permutations(["created", "nonce", "keyid", "alg", "tag"]))
def test_the_order_of_the_parameters_is_the_signers_choice(order: list[str]) -> None:
    texts = {
        "created": f"created={SECONDS}", "nonce": f'nonce="{new_nonce()}"', "keyid": f'keyid="{SIGNER.public.kid}"',
        "alg": 'alg="ed25519"', "tag": 'tag="ix-call"',
    }  # fmt: skip
    params = CALL_COMPONENTS + "".join(f";{texts[name]}" for name in order)
    digest = content_digest(BODY)
    base = (
        f'"@method": POST\n"@authority": {HOST}\n"@path": /v1/messages\n"@query": ?\n"content-digest": {digest}\n'
        f'"@signature-params": {params}'
    )
    signature = b64encode(SIGNER.sign(base.encode())).decode()
    check({"content-digest": digest, "signature-input": f"ix={params}", "signature": f"ix=:{signature}:"})


@given(st.text(max_size=200), st.text(max_size=100))
def test_no_header_text_makes_reading_a_proof_fail_otherwise(stated: str, signature: str) -> None:
    with pytest.raises(Refusal):
        read_call_proof({"signature-input": stated, "signature": signature})
    with pytest.raises(Refusal):
        read_call_proof({**signed(), "signature-input": f"ix={CALL_COMPONENTS};{stated}"})


@pytest.mark.spec("HTTP-4")
def test_a_call_for_another_host_is_refused() -> None:
    assert check_authority(HOST, frozenset({HOST})) == HOST
    assert check_authority("anything", None) == "anything"
    refused("authority_mismatch", lambda: check_authority("elsewhere.example", frozenset({HOST})))


# --- the answer's proof ------------------------------------------------------------------------------


def answered(status: int = 200, body: bytes = BODY) -> tuple[dict[str, str], dict[str, str]]:
    """A call's fields as sent, and the fields of a proved answer to it."""
    sent = sign_request("GET", HOST, "/v1/mailbox", "", b"", OTHER, created=SECONDS, nonce=new_nonce())
    call = read_call_proof({name.lower(): value for name, value in sent.items()})
    made = sign_answer(status, body, call, SIGNER, created=SECONDS)
    return sent, {name.lower(): value for name, value in made.items()}


def believe(
    headers: Mapping[str, str], call: Mapping[str, str], status: int = 200, body: bytes = BODY, now: datetime = NOW
) -> None:
    verify_answer(read_answer_proof(headers), SIGNER.public, status, headers, body, call, now=now)


@pytest.mark.spec("HTTP-9", "HTTP-10")
def test_an_answer_is_believed_for_the_very_call_it_answers() -> None:
    call, headers = answered()
    believe(headers, call)
    other_call, _ = answered()
    refused("call_proof_invalid", lambda: believe(headers, other_call))
    refused("call_proof_invalid", lambda: believe(headers, call, status=403))
    refused("content_digest_mismatch", lambda: believe(headers, call, body=b"{}"))
    refused("call_proof_stale", lambda: believe(headers, call, now=NOW + timedelta(minutes=2)))
    refused("call_proof_missing", lambda: read_answer_proof({}))
    as_call = {**headers, "signature-input": headers["signature-input"].replace(ANSWER_COMPONENTS, CALL_COMPONENTS)}
    refused("call_proof_malformed", lambda: read_answer_proof(as_call))


# --- compared with a library that somebody else wrote --------------------------------------------------


class Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        assert key_id == SIGNER.public.kid
        return Ed25519PublicKey.from_public_bytes(SIGNER.public.raw)

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        assert key_id == SIGNER.public.kid
        return Ed25519PrivateKey.from_private_bytes(SIGNER.unsafe_seed())


@dataclass
class Asked:
    method: str
    url: str
    headers: dict[str, str]


@dataclass
class Answered:
    status_code: int
    headers: dict[str, str]
    request: Asked


STRANGER: dict[str, Any] = {"signature_algorithm": algorithms.ED25519, "key_resolver": Keys()}
CALL_IDS = ("@method", "@authority", "@path", "@query", "content-digest")
ANSWER_IDS = ('"@status"', '"content-digest"', '"signature";req;key="ix"')


@pytest.mark.spec("HTTP-3", "HTTP-5")
@pytest.mark.parametrize("query", ["", "after=-1&limit=100&wait=0"])
def test_a_strangers_library_believes_our_call(query: str) -> None:
    made = sign_request(
        "POST", HOST, "/v1/messages", query, BODY, SIGNER, created=int(datetime.now(UTC).timestamp()), nonce=new_nonce()
    )
    url = f"https://{HOST}/v1/messages" + (f"?{query}" if query else "")
    verifier = HTTPMessageVerifier(**STRANGER)
    (result,) = verifier.verify(Asked("POST", url, made), expect_tag="ix-call", require_components=CALL_IDS, body=BODY)
    assert result.parameters["keyid"] == SIGNER.public.kid


@pytest.mark.spec("HTTP-3", "HTTP-5")
@pytest.mark.parametrize("query", ["", "after=-1&limit=100&wait=0"])
def test_we_believe_a_strangers_call(query: str) -> None:
    asked = Asked("POST", f"https://{HOST}/v1/messages" + (f"?{query}" if query else ""), {})
    HTTPMessageSigner(**STRANGER).sign(
        asked, key_id=SIGNER.public.kid, created=NOW, nonce=new_nonce(), label="ix", tag="ix-call",
        covered_component_ids=CALL_IDS, body=BODY,
    )  # fmt: skip
    check({name.lower(): value for name, value in asked.headers.items()}, query=query)


@pytest.mark.spec("HTTP-9")
def test_a_strangers_library_believes_our_answer() -> None:
    sent = sign_request("GET", HOST, "/v1/mailbox", "", b"", OTHER, created=SECONDS, nonce=new_nonce())
    call = read_call_proof({name.lower(): value for name, value in sent.items()})
    made = sign_answer(200, BODY, call, SIGNER, created=int(datetime.now(UTC).timestamp()))
    answer = Answered(200, made, Asked("GET", f"https://{HOST}/v1/mailbox", sent))
    (result,) = HTTPMessageVerifier(**STRANGER).verify(
        answer, expect_tag="ix-answer", require_components=ANSWER_IDS, body=BODY
    )
    assert result.parameters["keyid"] == SIGNER.public.kid


@pytest.mark.spec("HTTP-9")
def test_we_believe_a_strangers_answer() -> None:
    sent = sign_request("GET", HOST, "/v1/mailbox", "", b"", OTHER, created=SECONDS, nonce=new_nonce())
    answer = Answered(200, {}, Asked("GET", f"https://{HOST}/v1/mailbox", sent))
    HTTPMessageSigner(**STRANGER).sign(
        answer, key_id=SIGNER.public.kid, created=NOW, label="ix", tag="ix-answer",
        covered_component_ids=('"@status"', '"content-digest"', '"signature";req;key="ix"'), body=BODY,
    )  # fmt: skip
    believe({name.lower(): value for name, value in answer.headers.items()}, sent)


# --- memory and rates ----------------------------------------------------------------------------------


def proof_of(created: int = SECONDS, nonce: str | None = None) -> Proof:
    return read_call_proof(signed(created=created, nonce=nonce or new_nonce()))


def note(memory: NonceMemory, proof: Proof, now: datetime = NOW, caller: str = "a") -> None:
    """What the edge does with a verified call."""
    memory.check(proof, caller, now)
    memory.remember(proof, caller, now)


@pytest.mark.spec("HTTP-8")
def test_a_call_counts_once() -> None:
    memory, proof = NonceMemory(NOW - timedelta(hours=1)), proof_of()
    note(memory, proof)
    for seconds in (0, 1, 59, 60):
        refused("call_replayed", lambda at=seconds: note(memory, proof, NOW + timedelta(seconds=at)))
    note(memory, proof_of())
    assert len(memory) == 2


@pytest.mark.spec("HTTP-8")
def test_a_call_made_before_the_service_began_is_refused() -> None:
    memory = NonceMemory(NOW)
    refused("call_proof_stale", lambda: note(memory, proof_of(SECONDS - 1)))
    note(memory, proof_of(SECONDS))


@pytest.mark.spec("HTTP-8")
def test_a_full_memory_refuses_rather_than_forgets_and_recovers_with_time() -> None:
    memory, first = NonceMemory(NOW, limit=3), proof_of()
    note(memory, first)
    note(memory, proof_of(), caller="b")
    note(memory, proof_of(SECONDS + 30), caller="c")
    refused("rate_limited", lambda: note(memory, proof_of(), caller="d"))
    refused("call_replayed", lambda: note(memory, first))
    later = NOW + timedelta(minutes=4)
    note(memory, proof_of(int(later.timestamp())), later, "d")
    assert len(memory) == 1


@pytest.mark.spec("HTTP-17")
def test_one_caller_fills_half_of_the_memory_and_an_eighth_where_others_have_filled_that() -> None:
    memory = NonceMemory(NOW, limit=64)
    for _ in range(32):
        note(memory, proof_of())
    refused("rate_limited", lambda: note(memory, proof_of()))
    for caller in "bcde":
        for _ in range(8):
            note(memory, proof_of(), caller=caller)
        if caller < "e":
            refused("rate_limited", lambda caller=caller: note(memory, proof_of(), caller=caller))
    assert len(memory) == 64
    later = NOW + timedelta(minutes=4)
    note(memory, proof_of(int(later.timestamp())), later)
    assert len(memory) == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(-60, 60)), max_size=60))
def test_nothing_that_is_still_fresh_is_ever_forgotten(calls: list[tuple[int, int]]) -> None:
    memory, at, made = NonceMemory(NOW - timedelta(hours=1)), NOW, list[Proof]()
    for wait, offset in calls:
        at += timedelta(seconds=wait)
        made.append(Proof("k", int(at.timestamp()) + offset, new_nonce(), "", ""))
        note(memory, made[-1], at)
        for proof in made:
            if abs(at.timestamp() - proof.created) <= SKEW:
                refused("call_replayed", lambda one=proof, now=at: note(memory, one, now))


@pytest.mark.spec("HTTP-14")
def test_a_caller_has_a_burst_and_then_a_rate_and_others_are_not_touched() -> None:
    limit = RateLimit(rate=10, burst=5)
    for _ in range(5):
        limit.take("a", 0.0)
    refusal = refused("rate_limited", lambda: limit.take("a", 0.0))
    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after == 1
    limit.take("b", 0.0)
    limit.take("a", 0.1)
    refused("rate_limited", lambda: limit.take("a", 0.1))
    limit.take("a", 60.0, cost=50)  # dearer than the burst: passes when the bucket is full, and is paid back
    refused("rate_limited", lambda: limit.take("a", 61.0))
    limit.take("a", 65.0)


# --- problems ------------------------------------------------------------------------------------------


def every_refusal() -> list[type[Refusal]]:
    for name in ("keys.errors", "exchange.protocol.errors", "agencies.node.errors"):
        importlib.import_module(name)
    found, waiting = [Refusal], [Refusal]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [one for one in found if one.__module__.split(".")[0] in ("keys", "exchange", "agencies")]


@pytest.mark.spec("HTTP-20")
def test_every_refusal_has_a_status_and_its_row_in_the_spec_says_the_same(repository: Any) -> None:
    rows = dict[str, str]()
    for line in (repository / "spec" / "errors.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1]
    codes = {one.code for one in every_refusal()}
    assert sorted(codes - STATUS.keys()) == []
    assert sorted(STATUS.keys() - codes - {"fault"}) == []
    assert {code: rows.get(code) for code in sorted(codes)} == {code: str(STATUS[code]) for code in sorted(codes)}


@pytest.mark.spec("HTTP-21", "HTTP-22")
def test_a_problem_is_what_rfc_9457_says_and_a_fault_says_nothing() -> None:
    written = read_json(problem_bytes(SenderMismatch("`a.sim` may not")), limit=10_000)
    assert written == {
        "type": "urn:ix:refusal:sender_mismatch",
        "title": "sender mismatch",
        "status": 403,
        "detail": "`a.sim` may not",
        "code": "sender_mismatch",
    }
    assert problem("too_large", "x", limit=3)["limit"] == 3
    assert status_of("nobody_listed_this") == 500
    assert b"fault" in FAULT_BYTES
