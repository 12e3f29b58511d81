# ruff: noqa: E501  # one vector, one line
"""Write the vectors of messages: ``python -m tests.vectors.make_messages``.

Keys, ids, content keys, commitment keys and salts are fixed; HPKE and ML-DSA draw their own randomness, so
every run writes other wraps, signatures and digests. Run it when the protocol changes, and at no other time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from exchange.protocol.content import derive_categories, parse_content, write_content
from exchange.protocol.entry import disclosure_entry
from exchange.protocol.log import vkeys
from exchange.protocol.manifest import context_of
from exchange.protocol.message import compose, parse
from keys.encoding import b64u, digest, read_json, stamp, write_json
from keys.sealing import HEADER, commit, pad
from keys.signing import Typ
from tests.vectors.stage import (
    AGREEMENT,
    FIU,
    NGO,
    NORTH,
    NOW,
    POLICY,
    SMALL,
    SOUTH,
    Forge,
    Repeatable,
    Stage,
    resigned,
    signer,
    stage,
)

FOLDER: Final = Path(__file__).parent / "messages"
SAMPLES: Final = Path(__file__).parents[2] / "exercises" / "samples"
NOTICE: Final = "TEST VECTORS. Every private key here is public. SIMULATION - synthetic data only."
LATER: Final = NOW + timedelta(seconds=3)
TWO: Final = tuple(sorted([digest(b"a message it is derived from"), digest(b"another")]))


def parties(on: Stage) -> dict[str, Any]:
    """Everybody's keys, private halves as seeds, and the directory they are enrolled in."""
    listed = {
        party.id: {
            "ed25519_seed": b64u(party.signer.unsafe_seeds()[0]),
            "mldsa44_seed": b64u(party.signer.unsafe_seeds()[1]),
            "sealing_seed": b64u(party.opening.unsafe_seed()),
            "transport_seed": b64u(party.transport.unsafe_seed()),
            "ed25519_kid": party.signer.public.ed25519.kid,
            "mldsa44_kid": party.signer.public.mldsa44.kid,
            "sealing_kid": party.opening.public.kid,
            "sealing_public": b64u(party.opening.public.raw),
        }
        for party in on.parties.values()
    }
    return {
        "notice": NOTICE,
        "fed": on.fed,
        "directory": read_json(on.directory.to_bytes(), limit=2**24),
        "log": {"origin": on.log.origin, "vkeys": list(vkeys(on.log.identity))},
        "parties": listed,
    }


def message(on: Stage, name: str, content: bytes, to: tuple[str, ...], **changes: Any) -> tuple[dict[str, Any], bytes]:
    """One honest message with all its intermediate values."""
    draft = on.draft(content, to, label=name, **changes)
    chance = Repeatable(name)
    data = compose(draft, content, on[draft.sender].signer, chance)
    content_key, commitment_key, salt = chance.drawn
    envelope = parse(data)
    manifest, ctx = envelope.manifest, context_of(envelope.manifest)
    lines = ["ix/1 msg", f"fed {manifest.fed}", f"id {manifest.id}", f"from {manifest.from_}", f"agr {manifest.agr}"]
    lines += [f"to {a.id} {a.kid}" for a in manifest.to]
    plain = pad(commitment_key, content)
    body_context = b"ix/1 body\n" + ctx
    vector = {
        "name": name,
        "at": stamp(NOW),
        "content": content.decode(),
        "categories": list(derive_categories(parse_content(content))),
        "context_lines": "".join(f"{line}\n" for line in lines),
        "ctx": ctx.hex(),
        "content_key": content_key.hex(),
        "wrap_info": (b"ix/1 cek\n" + ctx).hex(),
        "commitment_key": commitment_key.hex(),
        "plaintext_length": len(plain),
        "plaintext_sha256": digest(plain),
        "body_context": body_context.hex(),
        "body_salt": salt.hex(),
        "body_commitment": envelope.body[len(salt) : HEADER].hex(),
        "body_length": len(envelope.body),
        "commit": b64u(commit(commitment_key, ctx, content)),
        "manifest": envelope.statement.payload.decode(),
        "message": envelope.digest,
        "envelope": data.decode(),
        "parcels": {agency: on.deliver(data, agency).to_json() for agency in to},
        "open_at": stamp(LATER),
    }
    return vector, data


def put(*path: str | int, to: Any) -> Callable[[dict[str, Any]], object]:
    """Set one place of an object."""

    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


def edited(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An envelope changed after signing."""
    value = json.loads(data)
    change(value)
    return write_json(value)


def flipped(data: bytes, at: int) -> bytes:
    """One bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def remanifest(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Other manifest bytes under the old signatures."""
    return edited(data, lambda e: put("payload", to=b64u(change(parse(data).statement.payload)))(e))


def bad_envelopes(on: Stage, honest: bytes) -> list[dict[str, Any]]:
    """Envelopes that a broker must refuse at ``at``, each with its code and by which requirement."""
    receipt = json.loads(Forge(typ=Typ.RECEIPT).strike(on))
    two = on.compose(SMALL, (SOUTH, NGO))
    made: list[tuple[str, str, str, bytes]] = [
        ("unknown envelope member", "MSG-2", "envelope_malformed", edited(honest, put("note", to="x"))),
        ("member twice", "MSG-2", "malformed", honest[:-1] + b',"sealed":{}}'),
        ("signature stripped", "MSG-4", "wrong_algorithm", edited(honest, lambda e: e["signatures"].pop())),
        ("signatures swapped", "MSG-4", "wrong_algorithm", edited(honest, lambda e: e["signatures"].reverse())),
        ("another suite", "MSG-4", "suite_unknown", edited(honest, put("sealed", "suite", to="0020-0001-0002"))),
        ("unknown manifest member", "MSG-1", "envelope_malformed", remanifest(honest, lambda m: m[:-1] + b',"subject":"x"}')),
        ("manifest member twice", "MSG-3", "malformed", remanifest(honest, lambda m: m[:-1] + b',"v":"ix/1"}')),
        ("a float in the manifest", "MSG-3", "malformed", remanifest(honest, lambda m: m.replace(b'"len":', b'"len":1.0,"x":'))),
        ("NaN in the manifest", "MSG-3", "malformed", remanifest(honest, lambda m: m.replace(b'"att":[]', b'"att":[NaN]'))),
        ("too deep a manifest", "MSG-3", "too_large", remanifest(honest, lambda m: m.replace(b'"att":[]', b'"att":' + b"[" * 40 + b"]" * 40))),
        ("absent member as null", "MSG-1", "envelope_malformed", resigned(honest, on, put("re", to=None))),
        ("version 4 id", "MSG-3", "envelope_malformed", resigned(honest, on, put("id", to="0193513d-8a9b-4000-8000-000000000000"))),
        ("a time without zone", "MSG-3", "envelope_malformed", resigned(honest, on, put("ts", to="2026-11-21T16:20:00"))),
        ("a day that does not exist", "MSG-3", "envelope_malformed", resigned(honest, on, put("exp", to="2026-11-31T16:20:00Z"))),
        ("categories out of order", "MSG-3", "envelope_malformed", resigned(honest, on, put("cats", to=["person_victim", "data_minor"]))),
        ("sources out of order", "MSG-3", "envelope_malformed", resigned(honest, on, put("src", to=sorted(TWO, reverse=True)))),
        ("a source twice", "MSG-3", "envelope_malformed", resigned(honest, on, put("src", to=[TWO[0], TWO[0]]))),
        ("five sources", "MSG-3", "envelope_malformed", resigned(honest, on, put("src", to=sorted(digest(bytes([n])) for n in range(5))))),
        ("no source in the list", "MSG-3", "envelope_malformed", resigned(honest, on, put("src", to=[]))),
        ("sources as null", "MSG-1", "envelope_malformed", resigned(honest, on, put("src", to=None))),
        ("an exemption nobody knows", "MSG-3", "envelope_malformed", resigned(honest, on, put("exempt", to="inconvenient"))),
        ("other signatures declared", "MSG-4", "suite_unknown", resigned(honest, on, put("sig", to=["Ed25519", "Ed25519"]))),
        ("another federation", "MSG-5", "federation_mismatch", resigned(honest, on, put("fed", to=digest(b"elsewhere")))),
        ("typ of a receipt", "MSG-9", "wrong_typ", Forge(typ=Typ.RECEIPT).strike(on)),
        ("one half for a receipt", "MSG-9", "wrong_typ", edited(honest, put("signatures", 1, to=receipt["signatures"][1]))),
        ("manifest changed after signing", "MSG-9", "signature_invalid", remanifest(honest, lambda m: m.replace(b"restricted", b"unclassified"))),
        ("signed by another agency", "MSG-9", "key_not_theirs", Forge(signer=on[FIU].signer).strike(on)),
        ("signed by nobody's key", "MSG-9", "key_unknown", Forge(signer=signer("a stranger")).strike(on)),
        ("another's wrap", "MSG-6", "seal_mismatch", edited(two, lambda e: put("sealed", "keys", 0, "wrap", to=e["sealed"]["keys"][1]["wrap"])(e))),
        ("kid of another key", "MSG-6", "seal_mismatch", edited(honest, put("sealed", "keys", 0, "kid", to=digest(b"x")))),
        ("recipient's kid of another agency", "MSG-9", "key_not_theirs", edited(
            resigned(honest, on, put("to", 0, "kid", to=on[NGO].opening.public.kid)),
            put("sealed", "keys", 0, "kid", to=on[NGO].opening.public.kid))),
        ("body changed", "MSG-6", "seal_mismatch", edited(honest, put("sealed", "body", to=b64u(flipped(parse(honest).body, 99))))),
        ("expired", "MSG-7", "message_expired", resigned(honest, on, put("exp", to=stamp(NOW)))),
        ("from the future", "MSG-8", "message_time", resigned(honest, on, put("ts", to=stamp(NOW + timedelta(minutes=6))))),
        ("lives too long", "MSG-8", "message_time", resigned(honest, on, put("exp", to=stamp(NOW + timedelta(days=31))))),
    ]  # fmt: skip
    return [
        {"name": name, "requirement": number, "code": code, "at": stamp(NOW), "envelope": data.decode("utf-8")}
        for name, number, code, data in made
    ]


def padded_wrong(k: bytes, content: bytes) -> bytes:
    """A plaintext whose last byte of padding is not zero."""
    return pad(k, content)[:-1] + b"\1"


def bad_parcels(on: Stage, honest: bytes) -> list[dict[str, Any]]:
    """Parcels that a recipient must refuse at ``now``, each with its code.

    ``seen`` lists digests taken in before, ``standing`` how the agreement stands in the recipient's books.
    """
    stolen = resigned(honest, on, put("from", to=FIU), by=FIU)
    two_keys = Forge(to=(SOUTH, NGO), content_keys=[b"1" * 32, b"2" * 32]).strike(on)
    long = on.compose(SMALL)
    derived = on.compose(_derived(), src=TWO)
    exempt = on.compose(SMALL, exempt="imminent_danger")
    made: list[tuple[str, str, str, bytes, str, dict[str, Any]]] = [
        ("entry about another message", "MSG-19", "proof_mismatch", honest, SOUTH, {"seq": 2}),
        ("addressed to another", "MSG-20", "not_addressed", honest, NGO, {}),
        ("wrap changed", "MSG-6", "seal_mismatch", honest, SOUTH, {"wrap": flipped(on.deliver(honest).wrap, 7)}),
        ("body changed", "MSG-6", "seal_mismatch", honest, SOUTH, {"body": flipped(on.deliver(honest).body, 7)}),
        ("stolen and signed by the thief", "MSG-21", "unsealing_failed", stolen, SOUTH, {}),
        ("wrap that does not open", "MSG-21", "unsealing_failed", Forge(wrap=lambda w: flipped(w, 1130)).strike(on), SOUTH, {}),
        ("another content key for the second", "MSG-22", "key_commitment_mismatch", two_keys, NGO, {}),
        ("body commitment changed", "MSG-22", "key_commitment_mismatch", Forge(body=lambda b: flipped(b, 30)).strike(on), SOUTH, {}),
        ("chunk changed", "MSG-23", "body_damaged", Forge(body=lambda b: flipped(b, 60)).strike(on), SOUTH, {}),
        ("chunk truncated", "MSG-23", "body_damaged", Forge(body=lambda b: b[:-1]).strike(on), SOUTH, {}),
        ("no last chunk", "MSG-23", "body_damaged", Forge(body=lambda b: b[:HEADER]).strike(on), SOUTH, {}),
        ("padding not zero", "MSG-24", "padding_invalid", Forge(plaintext=padded_wrong).strike(on), SOUTH, {}),
        ("padding too long", "MSG-24", "padding_invalid", Forge(plaintext=lambda k, c: pad(k, c) + bytes(512)).strike(on), SOUTH, {}),
        ("commitment to another text", "MSG-25", "commitment_mismatch", Forge(commitment=bytes(32)).strike(on), SOUTH, {}),
        ("expired", "MSG-7", "message_expired", honest, SOUTH, {"now": NOW + timedelta(days=8)}),
        ("received before", "MSG-26", "already_received", honest, SOUTH, {"seen": [parse(honest).digest]}),
        ("category hidden", "MSG-31", "misdeclared", resigned(long, on, put("cats", to=[])), SOUTH, {}),
        ("category declared in vain", "MSG-31", "misdeclared", resigned(long, on, put("cats", to=["data_minor", "data_transport"])), SOUTH, {}),
        ("type misdeclared", "MSG-31", "misdeclared", resigned(long, on, put("type", to="safety_notice")), SOUTH, {}),
        ("source hidden", "MSG-31", "misdeclared", resigned(derived, on, lambda m: m.pop("src")), SOUTH, {}),
        ("source declared in vain", "MSG-31", "misdeclared", resigned(long, on, put("src", to=TWO)), SOUTH, {}),
        ("entry without the sources", "MSG-19", "proof_mismatch", derived, SOUTH, {"entry": _without(derived, "src")}),
        ("entry without the exemption", "MSG-19", "proof_mismatch", exempt, SOUTH, {"entry": _without(exempt, "exempt")}),
        ("agreement ended on the way", "MSG-33", "agreement_expired", honest, SOUTH, {"standing": "expired"}),
        ("agreement replaced on the way", "MSG-33", "agreement_superseded", honest, SOUTH, {"standing": "superseded"}),
        ("agreement suspended on the way", "MSG-33", "agreement_suspended", honest, SOUTH, {"standing": "suspended"}),
        ("agreement left on the way", "MSG-33", "agreement_not_in_force", honest, SOUTH, {"standing": "left"}),
        ("agreement not begun", "MSG-33", "agreement_not_in_force", honest, SOUTH, {"standing": "not_yet"}),
        ("agreement never heard of", "MSG-33", "agreement_unknown", honest, SOUTH, {"standing": "unknown"}),
        ("received before, and suspended since", "MSG-27", "already_received", honest, SOUTH, {"standing": "suspended", "seen": [parse(honest).digest]}),
        ("suspended on the way, and misdeclared", "MSG-27", "agreement_suspended", resigned(long, on, put("cats", to=[])), SOUTH, {"standing": "suspended"}),
        ("content is no case message", "MSG-30", "content_malformed", _wrong_content(on), SOUTH, {}),
    ]  # fmt: skip
    vectors = []
    for name, number, code, data, me, how in made:
        changes = dict(how)
        now, seen = changes.pop("now", LATER), changes.pop("seen", [])
        standing = changes.pop("standing", "in_force")
        parcel = on.deliver(data, me, **changes).to_json()
        vectors.append(
            {
                "name": name,
                "requirement": number,
                "code": code,
                "me": me,
                "now": stamp(now),
                "seen": seen,
                "standing": standing,
                "parcel": parcel,
            }
        )
    return vectors


def _wrong_content(on: Stage) -> bytes:
    content = SMALL.replace(b'"simulation":true', b'"simulation":false')
    chance = Repeatable("forge")
    _, k = chance(32), chance(32)
    right = commit(k, context_of(parse(Forge().strike(on)).manifest), content)
    return Forge(plaintext=lambda k, _: pad(k, content), commitment=right).strike(on)


def write(name: str, value: Any) -> None:
    """One file of vectors."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Write everything; each vector is checked before it is written."""
    on = stage()
    contents = {path.stem: write_content(parse_content(path.read_bytes())) for path in SAMPLES.glob("*.json")}
    request, data = message(on, "request", contents["smuggling_route_request"], (SOUTH,), re=None)
    referral, _ = message(on, "referral to two", contents["victim_referral"], (NGO, FIU), purpose="victim_protection",
                          crime="human_trafficking", classification="confidential")  # fmt: skip
    reply, _ = message(on, "reply of several chunks", _long_reply(contents["fiu_reply"]), (NORTH,), sender=SOUTH,
                       re=parse(data).digest, handling=("H1", "H2"))  # fmt: skip
    refusal, _ = message(on, "refusal", contents["refusal"], (NORTH,), sender=SOUTH, re=parse(data).digest)
    full, _ = message(on, "plaintext that fills one chunk exactly", _full_chunk(), (FIU,))
    derived, _ = message(on, "derived from two messages", _derived(), (NGO, FIU), src=TWO)
    exempt, _ = message(on, "no copy to the single point of contact", SMALL, (SOUTH,), exempt="source_protection")
    honest_ones = [request, referral, reply, refusal, full, derived, exempt]
    good = {"notice": NOTICE, "agreement": AGREEMENT, "messages": honest_ones}
    honest = on.compose(SMALL)
    write("parties", parties(on))
    write("good", good)
    write("bad_envelopes", {"notice": NOTICE, "vectors": bad_envelopes(on, honest)})
    write("bad_parcels", {"notice": NOTICE, "vectors": bad_parcels(on, honest)})


def _derived() -> bytes:
    """A content that says what of it came from which of two messages."""
    uses = [{"msg": msg, "fields": [f"/entities/{n}", "/narrative"]} for n, msg in enumerate(TWO)]
    return write_content(parse_content(write_json({**json.loads(SMALL), "sources": uses})))


def _without(data: bytes, member: str) -> bytes:
    """The log entry of a message, silent about one member of its manifest."""
    manifest = parse(data).manifest.model_copy(update={member: None})
    clauses = [["c1"]] * len(manifest.to)
    return disclosure_entry(manifest, parse(data).digest, clauses, POLICY, NOW + timedelta(seconds=1))


def _full_chunk() -> bytes:
    value = json.loads(SMALL)
    value["narrative"] = [{**value["narrative"][0], "text": "An invented line. " * 440} for _ in range(2)]
    return write_json(value)


def _long_reply(content: bytes) -> bytes:
    value = json.loads(content)
    notes = [f"Line {n} of an invented account statement. " * 12 for n in range(70)]
    value["entities"] += [
        {"kind": "event", "id": f"x{n}", "assertion": "fact", "event": "payment", "text": note.strip()}
        for n, note in enumerate(notes)
    ]
    return write_content(parse_content(write_json(value)))


if __name__ == "__main__":
    main()
