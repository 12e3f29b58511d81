# ruff: noqa: E501  # one vector, one line
"""Write the vectors of the edges: ``python -m tests.vectors.make_edges``.

One vector for each place where two implementations once read the specification differently, each with what must be
made of it: ``taken``, or the code of the refusal. Keys are fixed; ML-DSA draws its own randomness, so every run writes
other signatures. Run it when a rule changes, and at no other time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner, sign_checkpoint
from exchange.protocol.manifest import MAX_ENVELOPE
from exchange.protocol.merkle import EMPTY_ROOT
from exchange.protocol.message import parse
from exchange.protocol.synthetic import ZEROS
from keys.ceremony import AgencyKeys, RootPlan, amend, enrol, federation_id, new_root, revoke
from keys.encoding import b64u, digest, stamp, unb64u, write_json
from keys.sealing import OpeningKey
from keys.signing import ED25519, ML_DSA_44, PublicKey, Signer, TransportSigner, Typ, parse_statement, sign
from keys.trust import Directory
from tests.vectors import curve
from tests.vectors.logbook import story, terms
from tests.vectors.stage import FIU, NORTH, NOW, SMALL, SOUTH, Stage, seed, signer, stage

FILE: Final = Path(__file__).with_name("edges.json")
NOTICE: Final = "TEST VECTORS. Every private key here is public. SIMULATION - synthetic data only."
TAKEN: Final = "taken"
MAX_NOTE: Final = 131072

Vector = dict[str, Any]


def vector(name: str, requirement: str, code: str, **what: Any) -> Vector:
    """One vector, with the members that all have in front."""
    return {"name": name, "requirement": requirement, "code": code, **what}


# --- encoding -----------------------------------------------------------------------------------------------------


def spellings() -> dict[str, Any]:
    """Times, JSON texts, and printable text."""
    return {
        "times": {
            "0000-01-01T00:00:00Z": "malformed",
            "0001-01-01T00:00:00Z": TAKEN,
            "9999-12-31T23:59:59.999Z": TAKEN,
        },
        "json": {
            '{"noncharacters":"\uffff\ufdd0\U0001fffe"}': TAKEN,
            '"\\uffff"': TAKEN,
            "[" * 15 + "1" + "]" * 15: TAKEN,
            "[" * 16 + "1" + "]" * 16: "too_large",
        },
        "printable": {
            "taken": ["North", "a b", "\u1c89", "\U0001f6dc", "\U0001fa8a", "\u0378", "\U000100fb", "é\u0301"],
            "refused": [
                "a\nb", "\x7f", "a\u00a0b", "\u00ad", "\u061c", "\u180e", "\u200b", "\u2028", "\u202e", "\u2066", "\u3000",
                "\ue000", "\ufeff", "\ufff9", "\ufffd", "\U000110bd", "\U0001d173", "\U000e0001", "\U000f0000",
            ],
        },
    }  # fmt: skip


# --- keys ---------------------------------------------------------------------------------------------------------


def ed25519() -> list[Vector]:
    """Keys and signatures on which libraries are known to differ. SHA-512 of a label is the secret."""
    secret = int.from_bytes(seed("edges"), "little") % curve.ORDER
    plain = curve.encode(curve.multiply(secret, curve.BASE))
    mixed = curve.encode(curve.add(curve.multiply(secret, curve.BASE), curve.EIGHTH))

    def signed(public: bytes, r: bytes, nonce: int, fits: Callable[[int], bool] = lambda _: True) -> Vector:
        for number in range(1000):
            message = f"message {number}".encode()
            k = curve.challenge(r, public, message)
            if fits(k):
                s = (nonce + k * secret) % curve.ORDER
                signature = r + s.to_bytes(32, "little")
                return {"public": b64u(public), "message": b64u(message), "signature": b64u(signature)}
        raise AssertionError("no message fits")

    nonce = int.from_bytes(seed("nonce"), "little") % curve.ORDER
    r = curve.encode(curve.multiply(nonce, curve.BASE))
    identity, again = curve.encode((0, 1)), (curve.P + 1).to_bytes(32, "little")
    good = signed(plain, r, nonce)
    larger = signed(plain, r, nonce + curve.ORDER)
    s = int.from_bytes(unb64u(good["signature"])[32:], "little") + curve.ORDER
    larger["signature"] = b64u(r + s.to_bytes(32, "little"))
    nowhere = next(y for y in range(2, 100) if curve.decode(y.to_bytes(32, "little")) is None)
    keys = {
        "of order eight": curve.encode(curve.EIGHTH),
        "the identity": identity,
        "the identity in a second spelling": again,
        "zero in a second spelling": curve.P.to_bytes(32, "little"),
        "a second spelling of another point": (curve.P + 4).to_bytes(32, "little"),
    }
    return [
        vector("an honest signature", "KEY-1", TAKEN, **good),
        vector("S not reduced", "KEY-1", "signature_invalid", **larger),
        vector("good only with the cofactor", "KEY-1", "signature_invalid",
               **signed(mixed, r, nonce, lambda k: k % 8 != 0 and k % curve.ORDER % 8 != 0)),
        vector("a key of mixed order, good without the cofactor", "KEY-1", TAKEN,
               **signed(mixed, r, nonce, lambda k: k % 8 == 0 and k % curve.ORDER % 8 == 0)),
        vector("R of low order", "KEY-1", TAKEN, **signed(plain, identity, 0)),
        vector("R in a second spelling", "KEY-1", "signature_invalid", **signed(plain, again, 0)),
        *(vector(f"a key that is {what}", "KEY-1", "malformed", **good | {"public": b64u(key)}) for what, key in keys.items()),
        vector("a key that is no point", "KEY-1", "signature_invalid",
               **good | {"public": b64u(nowhere.to_bytes(32, "little"))}),
    ]  # fmt: skip


def federations() -> dict[str, Any]:
    """Directories of one root and one agency; each vector names its statements."""
    authority, enrolment, log, mine = signer("edge root"), signer("edge enrolment"), signer("edge log"), signer("edge")
    transport, opening = TransportSigner.from_seed(seed("edge tls")), OpeningKey.from_seed(seed("edge enc"))
    broker = TransportSigner.from_seed(seed("edge broker"))
    plan = RootPlan("Edges (SIMULATION)", (authority.public,), 1, (enrolment.public,), "edges.ix.sim/log", log.public,
                    "broker.edges.sim", (broker.public,))  # fmt: skip
    root = new_root(plan, [authority], now=NOW)
    fed = federation_id(root)
    first = enrol(fed, AgencyKeys(mine.public, opening.public, transport.public), enrolment, agency=NORTH, name="North",
                  roles=["police"], territory="XN", ceiling="confidential", now=NOW)  # fmt: skip
    statements = {"root": root, "first": first}
    then = NOW + timedelta(days=1)
    held = Directory.build([root], [first], fed=fed, now=NOW)
    kid = mine.public.ed25519.kid
    revoked = revoke(fed, held.agency(NORTH), [kid], enrolment, reason="lost", now=then)
    statements["revoked"] = revoked
    record = held.with_record(revoked, then).agency(NORTH)
    keys = tuple(replace(k, reason="stolen") if k.kid == kid else k for k in record.keys)
    late = timedelta(milliseconds=1)
    statements["reason changed at once"] = amend(fed, record, enrolment, now=then, keys=keys)
    statements["reason changed later"] = amend(fed, record, enrolment, now=then + late, keys=keys)
    vectors = [
        vector("the one to compare with", "KEY-25", TAKEN, roots=["root"], records=["first", "revoked"]),
        vector("a reason changed as the revocation begins", "KEY-16", TAKEN, roots=["root"],
               records=["first", "revoked", "reason changed at once"]),
        vector("a reason changed after the revocation began", "KEY-16", "record_refused", roots=["root"],
               records=["first", "revoked", "reason changed later"]),
    ]  # fmt: skip
    for name, requirement, code, change in _records():
        statements[name] = _bent(first, change, enrolment, Typ.RECORD)
        vectors.append(vector(name, requirement, code, roots=["root"], records=[name]))
    for name, requirement, code, change in _roots():
        statements[name] = _bent(root, change, authority, Typ.ROOT)
        vectors.append(vector(name, requirement, code, roots=[name], records=[]))
    for one in vectors:
        one["fed"] = federation_id(statements[one["roots"][0]])
    written = {name: parse_statement(data).to_json() for name, data in statements.items()}
    return {"now": stamp(then + late), "statements": written, "vectors": vectors}


def _bent(statement: bytes, change: Callable[[Any], object], by: Signer, typ: Typ) -> bytes:
    payload = json.loads(parse_statement(statement).payload)
    change(payload)
    return sign(write_json(payload), by, typ).to_bytes()


def _records() -> list[tuple[str, str, str, Callable[[Any], object]]]:
    def key(**changes: Any) -> Callable[[Any], object]:
        return lambda record: record["keys"][0].update(changes)

    before = stamp(NOW - timedelta(seconds=1))
    return [
        ("a first key that began before the record", "KEY-16", "record_refused", key(nbf=before)),
        ("a first key revoked before the record", "KEY-16", "record_refused", key(revoked=before, reason="lost")),
        ("revoked as null", "ENC-8", "record_refused", key(revoked=None, reason="lost")),
        ("a time that is a number", "ENC-8", "record_refused", key(nbf=0)),
        ("a key that starts on a day that does not exist", "ENC-8", "record_refused", key(nbf="2026-11-31T00:00:00Z")),
        ("a key in padded base64url", "ENC-8", "malformed", lambda r: key(pub=r["keys"][0]["pub"] + "=")(r)),
        ("a key that is a number", "ENC-8", "malformed", key(pub=7)),
        ("a real country", "KEY-15", "record_refused", lambda r: r.update(territory="XK")),
        ("a name with a mark that turns the text", "KEY-15", "record_refused", lambda r: r.update(name="North\u202e")),
        ("a name with a character assigned in 2024", "KEY-15", TAKEN, lambda r: r.update(name="North \u1c89")),
    ]


def _roots() -> list[tuple[str, str, str, Callable[[Any], object]]]:
    return [
        ("issued on a day that does not exist", "ENC-8", "root_refused", lambda r: r.update(issued="2026-02-30T00:00:00Z")),
        ("a threshold as text", "ENC-8", "root_refused", lambda r: r.update(threshold="1")),
        ("protocol zero", "KEY-21", "root_refused", lambda r: r.update(min_protocol="ix/0")),
        ("protocol with a leading zero", "KEY-21", "root_refused", lambda r: r.update(min_protocol="ix/01")),
        ("a root named with a character assigned in 2025", "KEY-21", TAKEN, lambda r: r.update(name="\U0001fa8a")),
        ("a root named with a space that does not break", "KEY-21", "root_refused", lambda r: r.update(name="a\u00a0b")),
    ]  # fmt: skip


# --- messages -----------------------------------------------------------------------------------------------------


def envelopes(on: Stage) -> dict[str, Any]:
    """One envelope of the federation of ``messages/parties.json``, and what to set in it."""
    base = on.compose(SMALL)
    value = json.loads(base)
    first, second = value["signatures"]
    manifest = parse(base).statement.payload

    def other(**changes: Any) -> str:
        return b64u(write_json({**json.loads(manifest), **changes}))

    def header(alg: str, kid: str, typ: str = "ix-msg+jws") -> str:
        return b64u(write_json({"alg": alg, "kid": kid, "typ": typ}))

    stranger, bad = digest(b"nobody's"), b64u(bytes(64))
    no_ed = {**first, "protected": header(ED25519, stranger)}
    no_ml = {**second, "protected": header(ML_DSA_44, stranger)}
    receipt_ml = {**second, "protected": header(ML_DSA_44, on[NORTH].signer.public.mldsa44.kid, "ix-rcpt+jws")}
    bad_ed, bad_ml = {**first, "signature": bad}, {**second, "signature": bad}
    unreal = "2026-11-31T16:20:00Z"
    made: list[tuple[str, str, str, list[Any]]] = [
        ("as it is", "MSG-2", TAKEN, []),
        ("a payload that is a number", "MSG-2", "malformed", [[["payload"], 1]]),
        ("signatures that are an object", "MSG-2", "malformed", [[["signatures"], {}]]),
        ("a signature with a member too many", "KEY-6", "malformed", [[["signatures", 0, "header"], {}]]),
        ("a signature that is no object", "KEY-6", "malformed", [[["signatures", 1], "x"]]),
        ("a signature that is a number", "KEY-6", "malformed", [[["signatures", 0, "signature"], 1]]),
        ("a header of 513 characters", "KEY-6", "too_large", [[["signatures", 0, "protected"], "A" * 513]]),
        ("no signatures", "KEY-6", "wrong_algorithm", [[["signatures"], []]]),
        ("65 pairs, not looked into", "KEY-6", "wrong_algorithm", [[["signatures"], [{}] * 130]]),
        ("three signatures, not looked into", "KEY-6", "wrong_algorithm", [[["signatures"], [1, 2, 3]]]),
        ("a broken pair before a broken payload", "KEY-6", "wrong_algorithm",
         [[["signatures"], [second, first]], [["payload"], "A"]]),
        ("two pairs", "MSG-4", "suite_unknown", [[["signatures"], [first, second, first, second]]]),
        ("two pairs, of another federation", "MSG-4", "federation_mismatch",
         [[["signatures"], [first, second, first, second]], [["payload"], other(fed=stranger)]]),
        ("the first signature bad, the second of an unknown key", "KEY-4", "signature_invalid",
         [[["signatures"], [bad_ed, no_ml]]]),
        ("the first of an unknown key, the second bad", "KEY-4", "key_unknown", [[["signatures"], [no_ed, bad_ml]]]),
        ("the first bad, the second for a receipt", "KEY-4", "signature_invalid", [[["signatures"], [bad_ed, receipt_ml]]]),
        ("of a key for the other algorithm", "KEY-4", "wrong_algorithm",
         [[["signatures", 0, "protected"], header(ED25519, on[NORTH].signer.public.mldsa44.kid)]]),
        ("a day that does not exist, and other signatures declared", "MSG-3", "envelope_malformed",
         [[["payload"], other(ts=unreal, sig=["Ed25519", "Ed25519"])]]),
        ("a day that does not exist, and a member too many", "MSG-3", "envelope_malformed",
         [[["payload"], other(ts=unreal, more=1)]]),
        ("a year that does not exist", "MSG-3", "envelope_malformed", [[["payload"], other(ts="0000-01-01T00:00:00Z")]]),
        ("another version", "MSG-3", "envelope_malformed", [[["payload"], other(v="ix/2")]]),
        ("a body in padded base64url", "MSG-2", "malformed", [[["sealed", "body"], value["sealed"]["body"] + "="]]),
    ]  # fmt: skip
    vectors = [vector(name, number, code, set=edits) for name, number, code, edits in made]
    return {"at": stamp(NOW), "base": value, "vectors": vectors}


def parcels(on: Stage) -> dict[str, Any]:
    """One parcel for South, and what to set in it."""
    base = on.deliver(on.compose(SMALL)).to_json()
    made: list[tuple[str, str, str, list[Any]]] = [
        ("as it is", "MSG-18", TAKEN, []),
        ("a negative number", "MSG-18", "envelope_malformed", [[["seq"], -1]]),
        ("a number as text", "MSG-18", "envelope_malformed", [[["seq"], "1"]]),
        ("another number", "MSG-19", "proof_mismatch", [[["seq"], 2]]),
        ("a payload that is null", "MSG-18", "malformed", [[["payload"], None]]),
        ("signatures that are an object", "MSG-18", "malformed", [[["signatures"], {}]]),
        ("a wrap that is a number", "MSG-18", "envelope_malformed", [[["wrap"], 1]]),
    ]
    vectors = [vector(name, number, code, set=edits) for name, number, code, edits in made]
    return {"me": SOUTH, "now": stamp(NOW + timedelta(seconds=3)), "base": base, "vectors": vectors}


# --- content ------------------------------------------------------------------------------------------------------


def contents() -> dict[str, Any]:
    """Contents as texts; and lines to be read as the only passage of a content."""
    person: dict[str, Any] = {"kind": "person", "id": "p1", "assertion": "fact", "category": "contact"}
    data = b"invented file 745573"  # one of the few whose digest looks like a long number
    attached = {"name": "a.txt", "media_type": "text/plain", "sha256": digest(data), "data": b64u(data)}
    made: list[tuple[str, str, str, dict[str, Any]]] = [
        ("as it is", "CNT-5", TAKEN, {}),
        ("nobody's names", "CNT-22", TAKEN, _with({**person, "category": "informant", "names": []})),
        ("an informant's name", "CNT-22", "content_malformed",
         _with({**person, "category": "informant", "names": [{"family": "Invented"}]})),
        ("a name of nothing", "CNT-26", "content_malformed", _with({**person, "names": [{}]})),
        ("an alias of nothing", "CNT-26", "content_malformed", _with({**person, "names": [{"alias": True}]})),
        ("born after the day of the content", "CNT-23", "content_malformed", _with({**person, "birth_year": 2027})),
        ("born nineteen years before that year", "CNT-23", TAKEN, _with({**person, "birth_year": 2007})),
        ("perhaps still a minor, by the year of birth", "CNT-27", "content_malformed",
         _with({**person, "birth_year": 2008})),
        ("a victim's name", "CNT-27", "content_malformed",
         _with({**person, "category": "victim", "names": [{"family": "Invented"}]})),
        ("a witness's name", "CNT-27", TAKEN, _with({**person, "category": "witness", "names": [{"given": "Invented"}]})),
        ("a protected witness's name", "CNT-27", "content_malformed",
         _with({**person, "category": "witness", "protection": ["protection_by"], "names": [{"given": "Invented"}]})),
        ("a title beside a victim", "CNT-29", "content_malformed",
         {**_with({**person, "category": "victim"}), "case": {"reference": "X-1", "title": "Invented"}}),
        ("a claim against nobody", "CNT-24", "content_malformed",
         _with({**person, "protection_claim": {"stage": "lodged", "necessity": "n" * 20}})),
        ("a claim against a territory", "CNT-24", TAKEN,
         _with({**person, "protection_claim": {"stage": "lodged", "against": ["XQ"], "necessity": "n" * 20}})),
        ("a mark in a text", "CNT-52", "content_malformed",
         {"case": {"reference": "X-1", "title": "TLP:AMBER+STRICT"}}),
        ("a stricter mark on the whole", "CNT-52", TAKEN,
         {"tlp": "red", "case": {"reference": "X-1", "title": "TLP:AMBER+STRICT"}}),
        ("sources out of order", "CNT-50", "content_malformed",
         {"sources": [{"msg": digest(b"b"), "fields": [""]}, {"msg": digest(b"b"), "fields": ["/entities"]}]}),
        ("an identity sealed for nobody", "CNT-22", "content_malformed",
         {"sealed_parts": [{"id": "i1", "for": "protection_officer", "subject": "p9", "commit": digest(b"c"),
                            "body": "AAAA", "keys": [{"id": "a.sim", "kid": digest(b"k"), "wrap": "AAAA"}]}]}),
        ("a digest that looks like a number", "CNT-16", TAKEN, {"attachments": [attached]}),
        ("another attachment's digest", "CNT-43", "content_malformed",
         {"attachments": [{**attached, "sha256": digest(b"another")}]}),
        ("a day before the calendar", "CNT-5", "content_malformed", {"as_of": "0000-01-01"}),
        ("a real country", "CNT-14", "content_malformed", _with({**person, "nationality": "XK"})),
    ]  # fmt: skip
    blank = ["\ufeff", " ", "\t\n", "\u00a0", "\u1680\u2003", "\u2028", "\u3000\ufeff"]
    digits = ["".join(chr(zero + n) for n in range(9)) for zero in ZEROS]
    phones = [f"+{chr(zero)}" + "-".join(chr(zero + n) for n in range(1, 7)) for zero in ZEROS]
    return {
        "vectors": [
            vector(name, number, code, content=write_json({**json.loads(SMALL), **changes}).decode())
            for name, number, code, changes in made
        ],
        "lines": {
            "taken": ["\ufeffx", "\u180e", "12345678", "Call +9991234567", "at @home", "an\n@home", "an @home", "x @.",
                      "SIM-123456789", "\u2460" * 9, "\u3007" * 9],
            "refused": [*blank, *digits, *phones, "a\u00a0@b", "a\ufeff@b.com", "a\u3000@real.com", "a@b.sim.com"],
        },
    }  # fmt: skip


def _with(entity: dict[str, Any]) -> dict[str, Any]:
    return {"entities": [entity]}


# --- log, receipts, agreements -------------------------------------------------------------------------------------


def notes(on: Stage) -> dict[str, Any]:
    """Checkpoints with a witness's line; `{pad}` stands for so many letters A."""
    note = sign_checkpoint(3, seed("a root"), on.log, NOW)

    def line(name: str, signature: str = "AAAAAAA=") -> str:
        return f"{note}\u2014 {name} {signature}\n"

    room = (MAX_NOTE - len(line("é", "").encode())) // 4 * 4
    spare = MAX_NOTE - len(line("é", "").encode()) - room
    return {
        "now": stamp(NOW),
        "vectors": [
            vector("with a witness", "LOG-19", TAKEN, note=line("witness")),
            vector("a witness named with U+007F", "LOG-19", TAKEN, note=line("wit\x7fness")),
            vector("a witness named with U+0085", "LOG-19", "checkpoint_invalid", note=line("wit\x85ness")),
            vector("a witness named with U+0001", "LOG-19", "checkpoint_invalid", note=line("wit\x01ness")),
            vector("a witness named with U+3000", "LOG-19", "checkpoint_invalid", note=line("wit\u3000ness")),
            vector("a witness named with U+FEFF", "LOG-19", "checkpoint_invalid", note=line("wit\ufeffness")),
            vector("as long as allowed", "LOG-19", TAKEN, note=line("é" + "e" * spare, "{pad}"), pad=room),
            vector("a byte too long, but not a character", "LOG-19", "checkpoint_invalid",
                   note=line("éé" + "e" * (spare - 1), "{pad}"), pad=room),
        ],
    }  # fmt: skip


def proofs(on: Stage) -> dict[str, Any]:
    """Proofs of one entry; `{pad}` stands for so many letters A."""
    entry = b"an entry"
    proof = on.prove(entry)
    head = f"{proof}\u2014 w "
    room = (MAX_NOTE - len(head.encode()) - 1) // 4 * 4
    spare = MAX_NOTE - len(head.encode()) - 1 - room
    longest = f"{proof}\u2014 w{'w' * spare} {{pad}}\n"
    return {
        "now": stamp(NOW),
        "entry": b64u(entry),
        "vectors": [
            vector("as it is", "LOG-24", TAKEN, proof=proof),
            vector("as long as allowed", "LOG-24", TAKEN, proof=longest, pad=room),
            vector("a byte too long", "LOG-24", "tlog_proof_malformed", proof=longest.replace(" w", " ww"), pad=room),
        ],
    }


def entries() -> list[Vector]:
    """Entries, each a text."""
    told = [entry.decode() for entry in story().entries]
    disclosure = next(entry for entry in told if '"typ":"disclosure"' in entry)
    denial = next(entry for entry in told if '"code":"no_clause","nearest"' in entry)
    record, receipt = told[0], next(entry for entry in told if '"code":"commitment_mismatch"' in entry)
    derived = next(entry for entry in told if '"exempt"' in entry and '"typ":"disclosure"' in entry)
    recall = next(entry for entry in told if '"act":"recall"' in entry)
    signature = next(entry for entry in told if '"typ":"signature"' in entry)
    head = next(entry for entry in told if '"typ":"node-head"' in entry)
    src = json.dumps(json.loads(derived)["src"]).replace(" ", "")
    made = [
        ("a disclosure", "LOG-33", TAKEN, disclosure),
        ("a clause named twice", "LOG-40", "entry_malformed", disclosure.replace('["c1"]', '["c1","c1"]')),
        ("a clause in another form", "LOG-33", "entry_malformed", disclosure.replace('["c1"]', '["C1"]')),
        ("handling as null", "LOG-30", "entry_malformed", disclosure.replace('["H2"]', "null")),
        ("a code that no decision has", "LOG-34", TAKEN, denial.replace('"no_clause"', '"some_code"')),
        ("a code in another form", "LOG-34", "entry_malformed", denial.replace('"no_clause"', '"No clause"')),
        ("a nearest clause in another form", "LOG-34", "entry_malformed", denial.replace('"nearest":"c1"', '"nearest":"1c"')),
        ("a receipt's code", "LOG-35", TAKEN, receipt.replace("commitment_mismatch", "a" * 40)),
        ("a receipt's code too long", "LOG-35", "entry_malformed", receipt.replace("commitment_mismatch", "a" * 41)),
        ("the last version of a record", "LOG-38", TAKEN, record.replace('"version":1', '"version":1000000')),
        ("a version too high", "LOG-38", "entry_malformed", record.replace('"version":1', '"version":1000001')),
        ("a day that does not exist", "LOG-31", "entry_malformed", record.replace("2026-11-21", "2026-11-31")),
        ("a disclosure that comes from another", "LOG-33", TAKEN, derived),
        ("no source in the list", "LOG-33", "entry_malformed", derived.replace(src, "[]")),
        ("sources as null", "LOG-30", "entry_malformed", derived.replace(src, "null")),
        ("a source twice", "LOG-40", "entry_malformed", derived.replace(src, src[:-1] + "," + src[1:])),
        ("five sources", "LOG-33", "entry_malformed", derived.replace(src, json.dumps([c * 42 + "A" for c in "ABCDE"]).replace(" ", ""))),
        ("an exemption nobody knows", "LOG-33", "entry_malformed", derived.replace("source_protection", "inconvenient")),
        ("exempt before its sources", "LOG-30", "entry_malformed", derived.replace(f'"src":{src},"exempt":"source_protection"', f'"exempt":"source_protection","src":{src}')),
        ("an act", "LOG-45", TAKEN, recall),
        ("an act nobody knows", "LOG-45", "entry_malformed", recall.replace('"act":"recall"', '"act":"forget"')),
        ("an act that answers nothing, as null", "LOG-30", "entry_malformed", recall.replace('"statement"', '"re":null,"statement"')),
        ("an act with a ground", "LOG-32", "entry_malformed", recall.replace('"statement"', '"ground":"unlawful","statement"')),
        ("a signature", "LOG-44", TAKEN, signature),
        ("a signature that names its statement", "LOG-32", "entry_malformed", signature.replace('"by"', '"statement":"x","by"')),
        ("the head of a ledger", "LOG-90", TAKEN, head),
        ("the largest ledger", "LOG-90", TAKEN, head.replace('"size":9', '"size":9007199254740991')),
        ("a ledger larger than the largest", "LOG-90", "entry_malformed", head.replace('"size":9', '"size":9007199254740992')),
        ("an empty ledger", "LOG-90", "entry_malformed", head.replace('"size":9', '"size":0')),
        ("a ledger's size as a text", "LOG-90", "entry_malformed", head.replace('"size":9', '"size":"9"')),
        ("a ledger's size with a point", "LOG-30", "entry_malformed", head.replace('"size":9', '"size":9.0')),
        ("a head before its root", "LOG-30", "entry_malformed", head.replace('"root":', '"x":').replace('"head":', '"root":').replace('"x":', '"head":')),
    ]  # fmt: skip
    assert all(text not in told for _, _, code, text in made if code != TAKEN)
    return [vector(name, number, code, entry=text) for name, number, code, text in made]


def heads(on: Stage) -> dict[str, Any]:
    """Heads of North's ledger, each judged at `at` by the records in `trust`."""
    origin = ledger_origin(on.log.origin, NORTH)

    def head(size: int = 7, at: datetime = NOW, by: str = NORTH, name: str = origin) -> str:
        return sign_checkpoint(size, seed("a ledger") if size else EMPTY_ROOT, LogSigner(name, on[by].signer), at)

    note = head()
    first, second = (line + "\n" for line in note.splitlines()[4:])
    text = note.removesuffix(first + second)
    invalid = "checkpoint_invalid"
    made = [
        ("as it is", "LOG-92", TAKEN, note, NOW),
        ("judged weeks after it was signed", "LOG-92", TAKEN, note, NOW + timedelta(days=60)),
        ("signed 5 minutes later than it is judged", "LOG-92", TAKEN, head(at=NOW + timedelta(minutes=5)), NOW),
        ("signed 5 minutes and a second later", "LOG-92", invalid, head(at=NOW + timedelta(seconds=301)), NOW),
        ("of an empty ledger", "LOG-92", invalid, head(0), NOW),
        ("with a witness", "LOG-92", invalid, f"{note}\u2014 witness AAAAAAA=\n", NOW),
        ("with the second line first", "LOG-92", invalid, text + second + first, NOW),
        ("with the first line alone", "LOG-92", invalid, text + first, NOW),
        ("with the first line twice", "LOG-92", invalid, text + first + first, NOW),
        ("of the log itself", "LOG-91", invalid, head(name=on.log.origin), NOW),
        ("of South's ledger, signed by North", "LOG-91", invalid, head(name=ledger_origin(on.log.origin, SOUTH)), NOW),
        ("signed by South", "LOG-93", "key_unknown", head(by=SOUTH), NOW),
        ("before the keys were valid", "LOG-93", "key_not_valid", note, NOW - timedelta(days=31)),
        ("after the keys were valid", "LOG-93", "key_not_valid", note, NOW + timedelta(days=4000)),
        ("of another size than was signed", "LOG-92", invalid, note.replace("\n7\n", "\n8\n", 1), NOW),
    ]
    return {
        "agency": NORTH,
        "origin": origin,
        "trust": json.loads(on.directory.to_bytes()),
        "vectors": [vector(name, rule, code, note=said, at=stamp(at)) for name, rule, code, said, at in made],
    }


def receipts(on: Stage) -> dict[str, Any]:
    """Batches by South."""

    def batch(**changes: Any) -> Any:
        members = {"v": "ix/1", "typ": "receipts", "fed": on.fed, "by": SOUTH, "ts": stamp(NOW),
                   "items": [{"msg": digest(b"a message"), "status": "opened"}]}  # fmt: skip
        return sign(write_json({**members, **changes}), on[SOUTH].signer, Typ.RECEIPT).to_json()

    note = sign_checkpoint(3, seed("a root"), on.log, NOW)
    text, _, lines = note.partition("\n\n")
    one, two = lines.splitlines(keepends=True)
    unsigned = note.replace("\n3\n", "\n4\n")
    refused = "receipt_malformed"
    return {
        "at": stamp(NOW),
        "vectors": [
            vector("as it is", "RCT-2", TAKEN, batch=batch()),
            vector("on a day that does not exist", "RCT-2", "receipt_malformed", batch=batch(ts="2026-02-30T00:00:00.000Z")),
            vector("that tell a checkpoint", "RCT-7", TAKEN, batch=batch(seen=note)),
            vector("that tell one the log did not sign", "RCT-8", TAKEN, batch=batch(seen=unsigned)),
            vector("that tell nothing, as null", "RCT-7", refused, batch=batch(seen=None)),
            vector("that tell a checkpoint with a witness's line", "RCT-7", refused,
                   batch=batch(seen=f"{note}\u2014 witness AAAAAAA=\n")),
            vector("that tell a checkpoint with its lines the other way round", "RCT-7", refused,
                   batch=batch(seen=f"{text}\n\n{two}{one}")),
            vector("that tell a checkpoint with one line", "RCT-7", refused, batch=batch(seen=f"{text}\n\n{one}")),
            vector("that tell a checkpoint with a fourth line of text", "RCT-7", refused,
                   batch=batch(seen=f"{text}\nmore\n\n{one}{two}")),
            vector("that tell a checkpoint of a name of 256 bytes", "RCT-7", refused,
                   batch=batch(seen=note.replace(on.log.origin, "l" * 256))),
            vector("that tell a checkpoint of a name of 255 bytes", "RCT-7", TAKEN,
                   batch=batch(seen=note.replace(on.log.origin, "l" * 255))),
        ],
    }  # fmt: skip


def agreements(on: Stage) -> list[Vector]:
    """Payloads of agreements, as texts."""
    good = terms(on, (NORTH, SOUTH, FIU)).decode()
    return [
        vector("as it is", "AGR-3", TAKEN, payload=good),
        vector("a real country", "AGR-3", "agreement_malformed", payload=good.replace('"XS"', '"XK"')),
        vector("begins on a day that does not exist", "AGR-3", "agreement_malformed",
               payload=good.replace('"start":"2026-11-20', '"start":"2026-11-31')),
    ]  # fmt: skip


def make() -> dict[str, Any]:
    """All vectors, as they are written."""
    on = stage()
    assert len(json.dumps(envelopes(on)["base"])) < MAX_ENVELOPE
    for one in ed25519():
        assert one["code"] == "malformed" or PublicKey(ED25519, unb64u(one["public"]))
    return {
        "notice": NOTICE,
        **spellings(),
        "ed25519": ed25519(),
        "federations": federations(),
        "envelopes": envelopes(on),
        "parcels": parcels(on),
        "contents": contents(),
        "notes": notes(on),
        "proofs": proofs(on),
        "entries": entries(),
        "heads": heads(on),
        "receipts": receipts(on),
        "agreements": agreements(on),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
