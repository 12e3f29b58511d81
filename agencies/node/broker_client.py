"""The one door out: everything a node says to the broker (`spec/http.md`; `spec/nodes.md`, NODE-30 to NODE-33).

Every call carries the node's proof and every answer must carry the broker's over that very call
(RFC 9421). An answer without one is believed in nothing, refusals included: anybody on the way could
have written it. So a caller sees three things only: the answer, ``BrokerRefused`` (the broker itself said
no, ``lasting`` or not), or ``BrokerUnreachable`` (ask again, with the same bytes). Nothing is unpacked, and
nothing read beyond what an answer may have, before it is known whose it is.

The log (``/log/...``) is public and its answers prove themselves by checkpoint; they are fetched unsigned.
This module keeps no state and retries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx

from agencies.node.errors import BrokerRefused, BrokerUnreachable
from exchange.http import new_nonce, read_answer_proof, sign_request, verify_answer
from exchange.protocol.message import MEDIA_TYPE, NDJSON
from keys.encoding import read_json, unb64u
from keys.errors import Refusal
from keys.signing import TransportSigner
from keys.trust import Directory

JSON: Final = "application/json"
JOSE: Final = "application/jose+json"
TEXT: Final = "text/plain"
MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_LOG_FILE: Final = 1024 * 1024
"""A full bundle of the largest entries has 514 KiB."""
MAX_BATCH: Final = 100
MAX_PAGE: Final = 200
"""Items of one look into the mailbox (HTTP-33)."""
PATIENCE: Final = 30.0
"""Seconds to wait for an answer, on top of what a long poll asks for."""

PASSING: Final = frozenset({"content_digest_mismatch", "media_type_unknown", "parameter_invalid"})
"""Refusals about one call rather than about what it carried: the same bytes may pass in another call."""


Http = httpx.Client
"""A line to a service. Exercises give one that misbehaves."""


def new_client(base_url: str, *, timeout: float = PATIENCE) -> httpx.Client:
    """Open connections to one service: the broker, or for the people's commands a node."""
    return httpx.Client(base_url=base_url, timeout=timeout, trust_env=False, follow_redirects=False)


@dataclass(frozen=True, slots=True)
class _Got:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one submitted envelope; ``entry`` and ``proof`` are still to be verified."""

    outcome: str
    code: str
    msg: str
    entry: bytes
    proof: str
    explanation: Mapping[str, Any] | None

    @classmethod
    def read(cls, value: Any) -> Answer:
        """Read an Answer strictly."""
        wanted = {"outcome": str, "code": str, "msg": str, "entry": str, "proof": str}
        if type(value) is not dict or any(type(value.get(name)) is not kind for name, kind in wanted.items()):
            raise BrokerUnreachable("the broker's answer has not the members of an answer")
        entry = unb64u(value["entry"])
        return cls(value["outcome"], value["code"], value["msg"], entry, value["proof"], value.get("explanation"))


class BrokerClient:
    """Speaks for one node. ``directory`` is asked for each answer, because the broker's keys may change."""

    def __init__(
        self,
        http: httpx.Client,
        base_url: str,
        signer: TransportSigner,
        directory: Callable[[], Directory],
        clock: Callable[[], datetime],
    ) -> None:
        self._http, self._signer, self._directory, self._clock = http, signer, directory, clock
        self._base = httpx.URL(base_url)

    # -- calls --

    def submit(self, envelope: bytes) -> Answer:
        """Post one envelope."""
        return Answer.read(_json(self._call("POST", "/v1/messages", body=envelope, media=MEDIA_TYPE)))

    def submit_batch(self, envelopes: Sequence[bytes]) -> list[Answer | BrokerRefused]:
        """Post up to 100 envelopes; one answer or refusal for each, in order."""
        if len(envelopes) == 1:
            try:
                return [self.submit(envelopes[0])]
            except BrokerRefused as refusal:
                return [refusal]
        body = b"".join(envelope + b"\n" for envelope in envelopes)
        lines = self._call("POST", "/v1/messages", body=body, media=NDJSON).splitlines()
        if len(lines) != len(envelopes):
            raise BrokerUnreachable(f"the broker gave {len(lines)} answers to {len(envelopes)} envelopes")
        values = [_json(line) for line in lines]
        return [_refusal(v) if type(v) is dict and "outcome" not in v else Answer.read(v) for v in values]

    def mailbox(self, after: int, *, limit: int = MAX_PAGE, wait: int = 0) -> tuple[list[Any], int]:
        """Items addressed to this node after a cursor, and the next cursor; waits up to ``wait`` seconds."""
        query = f"after={after}&limit={limit}&wait={wait}"
        value = _json(self._call("GET", "/v1/mailbox", query=query, patience=wait + PATIENCE))
        if type(value) is not dict or type(value.get("items")) is not list or type(value.get("next")) is not int:
            raise BrokerUnreachable("the mailbox answer has not the members `items` and `next`")
        return value["items"], value["next"]

    def receipts(self, batch: bytes) -> list[Any]:
        """Post a signed batch of receipts; the items the broker would not log, each with its `problem`."""
        answer = self._call("POST", "/v1/receipts", body=batch, media=JOSE)
        if b'"problem"' not in answer:
            return []  # the proofs of our own receipts are not kept: reading them would cost more than making them
        return [item for item in _json(answer)["results"] if "problem" in item]

    def offer_agreement(self, statement: bytes) -> Any:
        """Post an agreement with a signature of ours, or a notice."""
        return _json(self._call("POST", "/v1/agreements", body=statement, media=JOSE))

    def agreements(self) -> dict[str, list[Any]]:
        """Every agreement and notice that was logged, and behind those what awaits this agency's signature."""
        found: dict[str, list[Any]] = {"agreements": [], "notices": []}
        after: int | str = -1
        while (page := self._page("agreements", after, ("agreements", "notices")))[0]:
            for name, items in page[0].items():
                found[name] += items
            after = page[1]
        after = ""
        while (page := self._page("proposals", after, ("proposals",)))[0]:
            found["agreements"] += page[0]["proposals"]
            after = page[1]
        return found

    def _page(self, path: str, after: Any, names: tuple[str, ...]) -> tuple[dict[str, list[Any]], Any]:
        """One page of a list and where the next begins; nothing, when there is no more."""
        query = f"after={after}&limit={MAX_PAGE}" if after != "" else f"limit={MAX_PAGE}"
        value = _json(self._call("GET", f"/v1/{path}", query=query))
        if type(value) is not dict or any(type(value.get(name)) is not list for name in names):
            raise BrokerUnreachable(f"the answer has not the members {', '.join(f'`{name}`' for name in names)}")
        if not any(value[name] for name in names):
            return {}, after
        if type(value.get("next")) is not type(after) or value["next"] <= after:
            raise BrokerUnreachable("the next page of a list begins behind this one")
        return {name: value[name] for name in names}, value["next"]

    def act(self, statement: bytes) -> Any:
        """Post one signed act; its place in the log, still to be verified."""
        return _json(self._call("POST", "/v1/acts", body=statement, media=JOSE))

    def head(self, note: str) -> Any:
        """Post the signed head of this node's ledger; its place in the log, still to be verified."""
        return _json(self._call("POST", "/v1/heads", body=note.encode(), media=TEXT))

    def directory(self) -> bytes:
        """The federation's root and records."""
        return self._call("GET", "/v1/directory")

    def record(self, statement: bytes) -> Any:
        """Post this agency's next record."""
        return _json(self._call("POST", "/v1/records", body=statement, media=JOSE))

    # -- the log, public --

    def checkpoint(self) -> str:
        """The log's latest checkpoint, unverified: its head, which may not be published yet (WIT-43)."""
        return self.log_file("head").decode("utf-8", "replace")

    def log_file(self, path: str) -> bytes:
        """A file of the log by its C2SP tlog-tiles path, such as ``tile/0/000.p/3``, unverified."""
        got = self._ask("GET", self._base.copy_with(path=f"/log/{path}"), None, {}, PATIENCE, MAX_LOG_FILE)
        if got.status != 200:
            raise BrokerUnreachable(f"the log has no file `{path}` now ({got.status})")
        return got.body

    # -- one call --

    def _call(
        self, method: str, path: str, *, query: str = "", body: bytes = b"", media: str = "", patience: float = PATIENCE
    ) -> bytes:
        url = self._base.copy_with(raw_path=f"{path}?{query}".encode() if query else path.encode())
        now = self._clock()
        authority = url.netloc.decode("ascii").lower()
        proof = sign_request(
            method, authority, path, query, body, self._signer, created=int(now.timestamp()), nonce=new_nonce()
        )
        headers = {"Accept": JSON, **({"Content-Type": media} if media else {}), **proof}
        answer = self._ask(method, url, body or None, headers, patience, MAX_ANSWER)
        self._believe(answer, proof)
        if answer.status == 200:
            return answer.body
        raise _refusal(_json(answer.body))

    def _ask(
        self, method: str, url: httpx.URL, body: bytes | None, headers: Mapping[str, str], patience: float, limit: int
    ) -> _Got:
        """Call, and read what comes as it is, up to so many bytes: whose it is shows only afterwards (NODE-30)."""
        plain = {"Accept-Encoding": "identity", **headers}
        held = bytearray()
        try:
            with self._http.stream(method, url, content=body, headers=plain, timeout=patience) as answer:
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise BrokerUnreachable("the broker's answer is packed, which nobody asked for")
                for piece in answer.iter_bytes():  # as they came, since nothing is packed
                    held += piece
                    if len(held) > limit:
                        raise BrokerUnreachable(f"the broker's answer has more than the {limit} bytes allowed")
                return _Got(answer.status_code, answer.headers, bytes(held))
        except httpx.HTTPError as wrong:
            raise BrokerUnreachable(f"the broker does not answer: {type(wrong).__name__}") from None

    def _believe(self, answer: _Got, call: Mapping[str, str]) -> None:
        """Return if the broker, and nobody else, gave this answer to this call."""
        now = self._clock()
        try:
            proof = read_answer_proof(answer.headers)
            directory = self._directory()
            owner, key = directory.transport_key(proof.keyid, now)
            verify_answer(proof, key, answer.status, answer.headers, answer.body, call, now=now)
        except Refusal as refusal:
            said = f"an answer of status {answer.status} is not proved to be the broker's"
            raise BrokerUnreachable(f"{said}: {refusal.sentence}") from refusal
        if owner != directory.root.broker.id:
            raise BrokerUnreachable("an answer is signed by somebody other than the broker")


def _json(data: bytes) -> Any:
    try:
        return read_json(data, limit=MAX_ANSWER)
    except Refusal as refusal:
        raise BrokerUnreachable(f"the broker's answer is not JSON of ix/1: {refusal.sentence}") from None


def _refusal(problem: Any) -> BrokerRefused:
    members = problem if type(problem) is dict else {}
    code, status = str(members.get("code", "fault")), members.get("status")
    passing = code in PASSING or type(status) is not int or status in (401, 421, 429) or status >= 500
    return BrokerRefused(code, str(members.get("detail", ""))[:1000], lasting=not passing)
