"""Real attacks on a message under way: bytes altered, calls replayed, envelopes stolen.

Each function attacks a running broker over HTTP, past any client of ours, and returns the HTTP status and
the refusal's code. The attacker has what such an attacker would have, and no more: on the way, the bytes;
inside the sender's node, its transport key but not its signing keys; in another agency, that agency's keys.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exchange.http import new_nonce, sign_request
from exchange.protocol import message
from exchange.protocol.manifest import MAX_ENVELOPE, MAX_MANIFEST
from exercises.load import Volley, fire, write_request
from keys.encoding import b64u, read_json, unb64u, write_json
from keys.keystore import Identity
from keys.sealing import new_message_id, pseudonym
from keys.signing import Typ, sign

Refused = tuple[int, str]
"""The HTTP status and the code of a refusal; the code is `accepted` if there was none."""


def altered_on_the_way(url: str, sender: Identity, envelope: bytes, now: datetime) -> Refused:
    """Take a call off the line and flip one bit of its body."""
    middle = len(envelope) // 2
    flipped = envelope[:middle] + bytes([envelope[middle] ^ 1]) + envelope[middle + 1 :]
    return _judged(fire(url, [_call(url, sender, envelope, now, instead=flipped)], 1))


def replayed(url: str, sender: Identity, envelope: bytes, now: datetime) -> Refused:
    """Record a whole call, proof and all, and make it a second time."""
    call = _call(url, sender, envelope, now)
    return _judged(fire(url, [call, call], 1))


def changed_manifest(url: str, sender: Identity, envelope: bytes, now: datetime) -> Refused:
    """Hold the sender's line but not its signing keys, and change who asked."""
    value = read_json(envelope, limit=MAX_ENVELOPE)
    manifest = read_json(unb64u(value["payload"]), limit=MAX_MANIFEST)
    changed = {**value, "payload": b64u(write_json({**manifest, "by": b64u(bytes(32)), "id": new_message_id(now)}))}
    return _judged(fire(url, [_call(url, sender, write_json(changed), now)], 1))


def changed_body(url: str, sender: Identity, envelope: bytes, now: datetime) -> Refused:
    """Hold the sender's line, and change one byte of what is sealed."""
    value = read_json(envelope, limit=MAX_ENVELOPE)
    body = bytearray(unb64u(value["sealed"]["body"]))
    body[-1] ^= 1
    changed = {**value, "sealed": {**value["sealed"], "body": b64u(bytes(body))}}
    return _judged(fire(url, [_call(url, sender, write_json(changed), now)], 1))


def stolen(url: str, thief: Identity, envelope: bytes, now: datetime) -> Refused:
    """Submit somebody else's envelope over one's own line."""
    return _judged(fire(url, [_call(url, thief, envelope, now)], 1))


def resigned(thief: Identity, envelope: bytes, now: datetime) -> bytes:
    """Keep the stolen seal, put one's own name on the manifest and sign it properly; the forged envelope."""
    read = message.parse(envelope)
    manifest: dict[str, Any] = read_json(read.statement.payload, limit=MAX_MANIFEST)
    by = pseudonym(thief.pseudonym_key, "officer", "thief")
    forged = {**manifest, "from": thief.agency, "id": new_message_id(now), "by": by}
    kids, wraps = zip(*read.wraps, strict=True)
    return message.assemble(sign(write_json(forged), thief.signer, Typ.MESSAGE), kids, wraps, read.body)


def _call(url: str, caller: Identity, body: bytes, now: datetime, *, instead: bytes = b"") -> bytes:
    """A call proved by ``caller`` over ``body``, carrying ``instead`` if that is given."""
    authority, created = url.removeprefix("http://"), int(now.timestamp())
    proof = sign_request(
        "POST", authority, "/v1/messages", "", body, caller.transport, created=created, nonce=new_nonce()
    )
    headers = {"content-type": message.MEDIA_TYPE, "connection": "keep-alive", **proof}
    return write_request("POST", f"{url}/v1/messages", instead or body, headers)


def _judged(volley: Volley) -> Refused:
    last = volley.answers[-1]
    return last.status, str(read_json(last.body, limit=1 << 20).get("code", "accepted"))
