"""Habits both services share at the edge: the caller's proof, problem answers, limits (HTTP-1 to HTTP-22).

Every call between a node and the broker carries an HTTP message signature (RFC 9421) by the caller's
transport key, and every answer one by the broker's, over the call it answers. There is one profile:
these components, these parameters, Ed25519, the label ``ix``. A general library was measured at 760
microseconds to sign a call and 510 to check one, so the one form is written here and compared with
such a library in the tests, both ways.

A proof protects a call that is over in seconds. It is not evidence: evidence is the two signatures
inside each statement, and the log. This module decides nothing about agencies or messages; it holds
the one table of HTTP status codes (``STATUS``). It reads no clock: ``now`` is an argument.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from exchange.protocol.errors import (
    AuthorityMismatch,
    CallProofInvalid,
    CallProofMalformed,
    CallProofMissing,
    CallProofStale,
    CallReplayed,
    ContentDigestMismatch,
    RateLimited,
)
from keys.encoding import b64u, write_json
from keys.errors import Refusal, SignatureInvalid
from keys.sealing import SYSTEM_CHANCE
from keys.signing import PublicKey, TransportSigner

SKEW: Final = 60
"""Seconds a proof's ``created`` may differ from the reader's clock, either way (HTTP-6)."""
MAX_BODY: Final = 256 * 1024
"""Bytes of one envelope, receipt batch or other single statement (HTTP-11)."""
MAX_FIRST_BODY: Final = 64 * 1024
"""Bytes of a record whose own key proves the call: the one body that is read before anybody is proven (HTTP-16)."""
MAX_BATCH_BODY: Final = 16 * 1024 * 1024
"""Bytes of one NDJSON batch of envelopes (HTTP-11)."""
PROBLEM: Final = "application/problem+json"

CALL_COMPONENTS: Final = '("@method" "@authority" "@path" "@query" "content-digest")'
ANSWER_COMPONENTS: Final = '("@status" "content-digest" "signature";req;key="ix")'

STATUS: Final[Mapping[str, int]] = {
    # The bytes are not what ix/1 writes.
    "refused": 400,
    "malformed": 400,
    "envelope_malformed": 400,
    "content_malformed": 400,
    "suite_unknown": 400,
    "wrong_algorithm": 400,
    "wrong_typ": 400,
    "receipt_malformed": 400,
    "agreement_malformed": 400,
    "notice_malformed": 400,
    "act_malformed": 400,
    "audit_impossible": 400,
    "question_malformed": 400,
    "contradiction_unproven": 422,
    "evidence_malformed": 400,
    "verifier_key_malformed": 400,
    "trust_policy_malformed": 400,
    "witness_request_malformed": 400,
    "content_digest_mismatch": 400,
    "too_large": 413,
    # Nobody proved to be calling.
    "call_proof_missing": 401,
    "call_proof_malformed": 401,
    "call_proof_invalid": 401,
    "call_proof_stale": 401,
    "call_replayed": 401,
    # Somebody did, and may not do this.
    "signature_invalid": 403,
    "key_unknown": 403,
    "key_not_theirs": 403,
    "key_not_valid": 403,
    "agency_unknown": 403,
    "root_refused": 403,
    "record_refused": 403,
    "sender_mismatch": 403,
    "not_addressed": 403,
    "receipt_not_theirs": 403,
    "agreement_not_theirs": 403,
    "act_not_theirs": 403,
    "signer_not_party": 403,
    "keystore_refused": 403,
    # Well-formed and signed, but not acceptable as it stands.
    "federation_mismatch": 422,
    "seal_mismatch": 422,
    "message_expired": 422,
    "message_time": 422,
    "misdeclared": 422,
    "identity_exposed": 422,
    "agreement_refused": 422,
    "notice_refused": 422,
    "act_refused": 422,
    "agreement_unknown": 422,
    "agreement_not_in_force": 422,
    "agreement_expired": 422,
    "agreement_superseded": 422,
    "agreement_suspended": 422,
    "signatures_missing": 422,
    "signed_twice": 422,
    "unsealing_failed": 422,
    "key_commitment_mismatch": 422,
    "body_damaged": 422,
    "padding_invalid": 422,
    "commitment_mismatch": 422,
    "proof_mismatch": 422,
    "inclusion_invalid": 422,
    "cosignature_invalid": 422,
    "log_inconsistent": 422,
    "quorum_missing": 422,
    "checkpoint_invalid": 422,
    "shard_unknown": 422,
    "shard_reopened": 422,
    "shard_refused": 422,
    "tlog_proof_malformed": 422,
    "entry_malformed": 422,
    "bundle_malformed": 422,
    # It meets something that was there before.
    "id_reused": 409,
    "already_received": 409,
    "proposals_exceeded": 409,
    "acts_exceeded": 409,
    "head_shrank": 409,
    "head_forked": 409,
    "witness_ahead": 409,
    # A node to its own officers.
    "draft_malformed": 400,
    "sign_in_refused": 401,
    "token_refused": 401,
    "role_missing": 403,
    "release_refused": 403,
    "clearance_missing": 403,
    "training_missing": 403,
    "need_to_know_missing": 403,
    "not_acknowledged": 403,
    "purpose_refused": 403,
    "evidence_refused": 403,
    "onward_refused": 403,
    "onward_forbidden": 403,
    "consent_missing": 403,
    "safeguard_refused": 403,
    "ngo_cannot_query": 403,
    "ngo_may_not_see": 403,
    "refusal_would_tell": 403,
    "role_key_missing": 404,
    "emergency_refused": 403,
    "flag_too_wide": 422,
    "already_answered": 409,
    "restricted": 403,
    "not_here": 404,
    "request_key_reused": 409,
    "not_waiting": 409,
    "erased": 410,
    "message_recalled": 410,
    "period_shredded": 410,
    "shred_refused": 409,
    "source_stopped": 410,
    "justification_refused": 422,
    "keep_refused": 422,
    "source_unknown": 422,
    "sign_in_throttled": 429,
    "ledger_broken": 500,
    "holding_broken": 500,
    "settings_refused": 500,
    "answer_mismatch": 502,
    "broker_refused": 502,
    "log_forked": 502,
    "stamps_too_old": 503,
    "broker_unreachable": 503,
    # The edge itself.
    "not_found": 404,
    "origin_unknown": 404,
    "tile_path_invalid": 404,
    "method_not_allowed": 405,
    "media_type_unknown": 415,
    "parameter_invalid": 400,
    "authority_mismatch": 421,
    "rate_limited": 429,
    "overloaded": 503,
    "answer_unproven": 502,
    "fault": 500,
}
"""The HTTP status of every refusal code; the only such table (HTTP-20)."""


def status_of(code: str) -> int:
    """Look a refusal code up; one that nobody listed is a fault of ours, not of the caller."""
    return STATUS.get(code, 500)


# --- problem answers (RFC 9457) ------------------------------------------------------------------


def problem(code: str, sentence: str, **members: Any) -> dict[str, Any]:
    """Describe a refusal as a problem object: a type that is stable, a sentence that is for people."""
    return {
        "type": f"urn:ix:refusal:{code}",
        "title": code.replace("_", " "),
        "status": status_of(code),
        "detail": sentence,
        "code": code,
        **members,
    }


def problem_bytes(refusal: Refusal) -> bytes:
    """Write a refusal as one line of problem+json (also a line of an NDJSON answer)."""
    return write_json(problem(refusal.code, refusal.sentence))


FAULT_BYTES: Final = write_json(problem("fault", "something went wrong here; the call may be repeated"))
"""All that a caller learns of an unexpected exception (HTTP-22)."""


# --- content digest (RFC 9530) -------------------------------------------------------------------


def content_digest(body: bytes) -> str:
    """Write the Content-Digest field of a body, the empty one included: ``sha-256=:...:``."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


# --- the caller's proof (RFC 9421) ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """One signature as its two header fields state it; nothing is verified yet."""

    keyid: str
    created: int
    nonce: str
    params: str
    """The signature parameters exactly as sent: they are the last line of what was signed."""
    signature: str
    """The base64 between the colons; an answer signs over this text."""


def new_nonce() -> str:
    """Draw the 16 random bytes that make a call unlike every other, in base64url (22 characters)."""
    return b64u(SYSTEM_CHANCE(16))


def sign_request(
    method: str,
    authority: str,
    path: str,
    query: str,
    body: bytes,
    signer: TransportSigner,
    *,
    created: int,
    nonce: str,
) -> dict[str, str]:
    """Prove who makes a call: the three header fields to add to it (HTTP-2 to HTTP-5).

    ``authority`` is the Host field, lower case, without a default port; ``path`` is as it stands on the
    request line; ``query`` comes without its question mark; ``created`` is in Unix seconds.
    """
    params = (
        f'{CALL_COMPONENTS};created={created};nonce="{nonce}";keyid="{signer.public.kid}";alg="ed25519";tag="ix-call"'
    )
    digest = content_digest(body)
    signature = signer.sign(_call_base(method, authority, path, query, digest, params))
    return {
        "Content-Digest": digest,
        "Signature-Input": f"ix={params}",
        "Signature": f"ix=:{b64encode(signature).decode('ascii')}:",
    }


def read_call_proof(headers: Mapping[str, str]) -> Proof:
    """Read the caller's proof from header fields; ``headers`` looks names up without regard to case."""
    return _read_proof(headers, CALL_COMPONENTS, "ix-call", frozenset(("created", "nonce", "keyid", "alg", "tag")))


def verify_request(
    proof: Proof,
    key: PublicKey,
    method: str,
    authority: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
) -> None:
    """Return if this call was made by the holder of ``key``, just now, with exactly this body (HTTP-5 to HTTP-8).

    Whether the nonce was seen before is ``NonceMemory``'s to say, after this.
    """
    check_fresh(proof, now)
    verify_call(proof, key, method, authority, path, query, headers)
    check_digest(headers.get("content-digest") or "", body)


def verify_call(
    proof: Proof, key: PublicKey, method: str, authority: str, path: str, query: str, headers: Mapping[str, str]
) -> None:
    """Return if the holder of ``key`` signed this call, with a body of the digest it states (HTTP-5).

    The body is not needed for this, so it can be left unread until it is known who sends it (HTTP-16).
    """
    digest = headers.get("content-digest") or ""
    _verify(proof, key, _call_base(method, authority, path, query, digest, proof.params))


def sign_answer(status: int, body: bytes, call: Proof, signer: TransportSigner, *, created: int) -> dict[str, str]:
    """Prove that an answer is the broker's, and to which call (HTTP-9)."""
    params = f'{ANSWER_COMPONENTS};created={created};keyid="{signer.public.kid}";alg="ed25519";tag="ix-answer"'
    digest = content_digest(body)
    signature = signer.sign(_answer_base(status, digest, call.signature, params))
    return {
        "Content-Digest": digest,
        "Signature-Input": f"ix={params}",
        "Signature": f"ix=:{b64encode(signature).decode('ascii')}:",
    }


def read_answer_proof(headers: Mapping[str, str]) -> Proof:
    """Read the broker's proof from the header fields of an answer."""
    return _read_proof(headers, ANSWER_COMPONENTS, "ix-answer", frozenset(("created", "keyid", "alg", "tag")))


def verify_answer(
    proof: Proof,
    key: PublicKey,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    call: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    """Return if the holder of ``key`` gave this answer to the call that ``call``'s header fields signed."""
    check_fresh(proof, now)
    digest = headers.get("content-digest") or ""
    asked = _SIGNATURE.fullmatch(call["Signature"])
    _verify(proof, key, _answer_base(status, digest, asked[1] if asked else "", proof.params))
    check_digest(digest, body)


def check_fresh(proof: Proof, now: datetime) -> None:
    """Refuse a proof made too long ago, or by a clock too far ahead (HTTP-6)."""
    if not -SKEW <= now.timestamp() - proof.created <= SKEW:
        raise CallProofStale(f"the proof's `created` is more than {SKEW} seconds away from the time here")


def check_digest(stated: str, body: bytes) -> None:
    """Refuse a body other than the one whose digest was signed (HTTP-7)."""
    if stated != content_digest(body):
        raise ContentDigestMismatch("the body is not the one whose digest was signed")


def _call_base(method: str, authority: str, path: str, query: str, digest: str, params: str) -> bytes:
    return (
        f'"@method": {method}\n"@authority": {authority}\n"@path": {path}\n"@query": ?{query}\n'
        f'"content-digest": {digest}\n"@signature-params": {params}'
    ).encode()


def _answer_base(status: int, digest: str, call_signature: str, params: str) -> bytes:
    return (
        f'"@status": {status}\n"content-digest": {digest}\n"signature";req;key="ix": :{call_signature}:\n'
        f'"@signature-params": {params}'
    ).encode()


_SIGNATURE = re.compile(r"ix=:([A-Za-z0-9+/]{86}==):")
_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    "created": re.compile(r"([0-9]{1,12})"),
    "nonce": re.compile(r'"([A-Za-z0-9_-]{22})"'),
    "keyid": re.compile(r'"([A-Za-z0-9_-]{43})"'),
    "alg": re.compile(r'"(ed25519)"'),
    "tag": re.compile(r'"(ix-call|ix-answer)"'),
}


def _read_proof(headers: Mapping[str, str], components: str, tag: str, names: frozenset[str]) -> Proof:
    stated, signed = headers.get("signature-input"), headers.get("signature")
    if not stated or not signed:
        raise CallProofMissing("there is no `Signature-Input` and `Signature` of RFC 9421 with the label `ix`")
    signature = _SIGNATURE.fullmatch(signed)
    prefix = f"ix={components};"
    if not stated.startswith(prefix) or not signature:
        raise CallProofMalformed(
            f"the proof is not of the one form allowed, `ix={components}` and 64 bytes of signature"
        )
    values = _parameters(stated[len(prefix) :])
    if values.keys() != names or values["tag"] != tag:
        raise CallProofMalformed(f"the proof's parameters are not exactly those of `{tag}`")
    return Proof(values["keyid"], int(values["created"]), values.get("nonce", ""), stated[3:], signature[1])


def _parameters(text: str) -> dict[str, str]:
    # The order of the parameters is the signer's choice: libraries differ, and the text is signed as it stands.
    values: dict[str, str] = {}
    for parameter in text.split(";"):
        name, _, value = parameter.partition("=")
        form = _VALUES.get(name)
        read = form.fullmatch(value) if form else None
        if read is None or name in values:
            raise CallProofMalformed("a parameter of the proof is unknown, repeated or badly written")
        values[name] = read[1]
    return values


def _verify(proof: Proof, key: PublicKey, base: bytes) -> None:
    try:
        key.verify(b64decode(proof.signature, validate=True), base)
    except (SignatureInvalid, binascii.Error):
        raise CallProofInvalid("the proof's signature does not verify over this call") from None


class NonceMemory:
    """Remembers which calls were made, so that none counts twice (HTTP-8).

    It lives in one process and is bounded. Two consequences are part of the spec: a call dated before
    this process started is refused, since nobody here can know whether it was made before; and two
    processes at one address do not share a memory, so what a call does must be safe to repeat (it is).
    A full memory refuses new calls rather than forgetting old ones; and once it is half full, a caller
    that holds an eighth of it is refused, so that no caller fills it for the others (HTTP-17).
    """

    __slots__ = ("_ages", "_held", "_limit", "_started")

    def __init__(self, started: datetime, *, limit: int = 500_000) -> None:
        self._started, self._limit = int(started.timestamp()), limit
        self._ages: dict[int, dict[str, set[str]]] = {}
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def check(self, proof: Proof, caller: str, now: datetime) -> None:
        """Refuse a verified call that was made before, or is dated before this memory began, or has no room here."""
        if proof.created < self._started:
            raise CallProofStale("the proof was made before this service started; make a new one")
        seen = self._ages.get(proof.created // SKEW, _NOBODY).get(caller)
        if seen is not None and proof.keyid + proof.nonce in seen:
            raise CallReplayed("this very call was made before")
        if 2 * self._held >= self._limit and not self._has_room(caller):
            self._forget(now)
            if not self._has_room(caller):
                raise RateLimited("too many calls are remembered to take another; wait a minute")

    def remember(self, proof: Proof, caller: str, now: datetime) -> None:
        """Note a call that ``check`` let pass, with nothing awaited in between."""
        age = proof.created // SKEW
        callers = self._ages.get(age)
        if callers is None:
            self._forget(now)
            callers = self._ages[age] = {}
        seen = callers.get(caller)
        if seen is None:
            seen = callers[caller] = set()
        seen.add(proof.keyid + proof.nonce)
        self._held += 1

    def _has_room(self, caller: str) -> bool:
        if 2 * self._held < self._limit:
            return True
        mine = sum(len(callers.get(caller, ())) for callers in self._ages.values())
        return self._held < self._limit and 8 * mine < self._limit

    def _forget(self, now: datetime) -> None:
        # A proof of age n was created before (n + 1) * SKEW and is stale SKEW seconds later.
        for age in [n for n in self._ages if (n + 2) * SKEW < now.timestamp()]:
            self._held -= sum(map(len, self._ages.pop(age).values()))


_NOBODY: Final[Mapping[str, set[str]]] = {}


# --- limits --------------------------------------------------------------------------------------


@dataclass(slots=True)
class RateLimit:
    """A token bucket per caller: ``rate`` a second on average, ``burst`` at once (HTTP-14)."""

    rate: float
    burst: float
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, caller: str, now: float, cost: float = 1.0) -> None:
        """Let one call through, or refuse it and say after how many seconds to come back.

        ``caller`` must be somebody proven, so that there are no more buckets than callers. A call dearer
        than the whole burst passes when the bucket is full, and leaves it in debt.
        """
        tokens, then = self._buckets.get(caller, (self.burst, now))
        tokens = min(self.burst, tokens + max(0.0, now - then) * self.rate)
        needed = min(cost, self.burst)
        if tokens < needed:
            self._buckets[caller] = (tokens, now)
            raise RateLimited("too many calls in a short time", retry_after=int((needed - tokens) / self.rate) + 1)
        self._buckets[caller] = (tokens - cost, now)

    def charge(self, caller: str, now: float, cost: float) -> None:
        """Take what turned out to be owed for a call that was let through, into debt if need be."""
        tokens, then = self._buckets.get(caller, (self.burst, now))
        self._buckets[caller] = (min(self.burst, tokens + max(0.0, now - then) * self.rate) - cost, now)


def check_authority(authority: str, allowed: frozenset[str] | None) -> str:
    """Refuse a call that was made to somebody else and carried here (HTTP-4); None allows every name."""
    if allowed is not None and authority not in allowed:
        raise AuthorityMismatch("this call was signed for another host")
    return authority
