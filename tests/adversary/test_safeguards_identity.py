"""Names planted as canaries: sealed identities go their whole way, and every byte that is left anywhere is searched.

And everybody who may not open one tries: the officer without the role, the role without the passphrase, the node
without its officer, another agency, another message, a thief with disk, memory and the node's own passphrase.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.app import create_app
from agencies.node.errors import (
    DraftMalformed,
    NoLongerHere,
    NotHere,
    RoleKeyMissing,
    RoleMissing,
    SafeguardRefused,
)
from agencies.node.ledger import justify
from agencies.node.profile import MIN_COST, Officer, OfficerRole, new_officer, new_profile
from agencies.node.settings import Settings
from exchange.protocol.content import content_from
from exchange.protocol.errors import ContentMalformed, IdentityExposed, NotAddressedToMe
from exchange.protocol.identity import open_identity, read_identity, refuse_if_exposed, seal_identity
from exercises.world import BROKER_HOST, World, WorldNode
from keys.encoding import read_json, write_json
from keys.errors import KeyNotValid, KeystoreRefused, Refusal, UnsealingFailed
from keys.keystore import Identity
from keys.sealing import OpeningKey
from tests.adversary.test_safeguards_asylum import EAST, HARBOUR, NORTH, SOUTH, content, terms, wide

KEEPER = Officer("hn-keeper", frozenset({OfficerRole.PROTECTION_OFFICER}))
PHRASE = "the keeper's own passphrase"
WHY = justify("victim_care", "the shelter has to know who is coming tonight")
CANARIES = [
    "Quillonbar",
    "Zephandra",
    "SIM-PP-CANARY-1",
    "+9997771234",
    "SIM-ACC-CANARY-2",
    "Larkspur Lodge",
    "Brumwick",
]
IDENTITY: dict[str, Any] = {
    "v": "ix-identity/1", "simulation": True, "subject": "v1",
    "names": [{"family": "Quillonbar", "given": "Zephandra"}], "birth": "2009-03-04",
    "documents": [{"document": "passport", "number": "SIM-PP-CANARY-1", "issuer": "XQ"}],
    "contacts": [{"medium": "phone", "value": "+9997771234"}], "accounts": ["SIM-ACC-CANARY-2"],
    "relatives": [{"names": [{"family": "Brumwick"}], "relation": "her aunt"}], "whereabouts": "Larkspur Lodge, room 4",
}  # fmt: skip


def referral(**members: Any) -> dict[str, Any]:
    made = content("victim_referral", **members)
    made["entities"] = [{"kind": "person", "id": "v1", "assertion": "fact", "category": "victim", "minor": True}]
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("identity")
    with World(home, [NORTH, SOUTH, EAST, HARBOUR], agreements=()) as made:
        for name, parties in (("care", [NORTH, HARBOUR, EAST]), ("far", [NORTH, SOUTH])):
            made.agreements[name] = made.agree(terms(name, parties))
        made.protect(HARBOUR, {KEEPER.id: PHRASE})
        yield made


@pytest.fixture(scope="module")
def sent(world: World) -> tuple[str, str, dict[str, Any]]:
    """A referral from North to Harbour with a sealed identity: message, part, and the part itself."""
    north = world.node(NORTH)
    part = north.service.protection.seal(IDENTITY, referral(), [HARBOUR], north.officer(), WHY)
    whole = referral(sealed_parts=[part])
    gone = north.send(whole, HARBOUR, EAST, agr=world.agreements["care"], purpose="victim_protection", handling=["H2"])
    assert gone.state == "sent", gone
    world.settle()
    return str(gone.msg), part["id"], part


@pytest.fixture
def harbour(world: World, sent: Any) -> WorldNode:
    return world.node(HARBOUR)


def acts(node: WorldNode) -> list[dict[str, Any]]:
    with node.store.reading() as books:
        return node.service.office.scribe.read(books, books.rows("ledger"))


# --- opening ----------------------------------------------------------------------------------------


@pytest.mark.spec("SAFE-1", "SAFE-2", "SAFE-7", "CNT-70", "CNT-71")
def test_an_officer_of_the_role_opens_it_and_the_ledger_said_so_first(
    world: World, harbour: WorldNode, sent: tuple[str, str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    message, part, _ = sent
    listed = harbour.service.protection.parts(message, harbour.officer(), WHY)
    assert listed == [{"id": part, "for": "protection_officer", "subject": "v1", "ours": True}]
    written: list[str] = []
    import agencies.node.care.protection as module

    def opened(*args: Any, **named: Any) -> Any:
        written.append(acts(harbour)[-1]["act"])
        return open_identity(*args, **named)

    monkeypatch.setattr(module, "open_identity", opened)
    assert harbour.service.protection.open(message, part, PHRASE, KEEPER, WHY) == IDENTITY
    assert written == ["key_release"]
    last = acts(harbour)[-1]
    assert (last["act"], last["officer"], last["msg"], last["from"]) == ("key_release", KEEPER.id, message, NORTH)


@pytest.mark.spec("SAFE-1", "SAFE-2", "SAFE-3")
def test_everybody_else_is_refused_and_the_attempt_is_recorded(
    world: World, harbour: WorldNode, sent: tuple[str, str, Any]
) -> None:
    message, part, _ = sent
    protection, other = harbour.service.protection, replace(KEEPER, id="hn-other")
    before = len(acts(harbour))
    wrong: list[tuple[type[Refusal], Any]] = [
        (RoleMissing, lambda: protection.open(message, part, PHRASE, harbour.officer(), WHY)),
        (RoleMissing, lambda: protection.open(message, part, PHRASE, harbour.officer("release_officer"), WHY)),
        (RoleMissing, lambda: protection.open(message, part, PHRASE, harbour.officer("auditor"), WHY)),
        (NotHere, lambda: protection.open(message, "i9", PHRASE, KEEPER, WHY)),
        (NotHere, lambda: protection.open("x" * 43, part, PHRASE, KEEPER, WHY)),
    ]
    for code, attempt in wrong:
        with pytest.raises(code):
            attempt()
    assert len(acts(harbour)) == before
    for officer, phrase in ((KEEPER, "another passphrase"), (KEEPER, PHRASE + " "), (other, PHRASE)):
        with pytest.raises(KeystoreRefused):
            protection.open(message, part, phrase, officer, WHY)
        last = acts(harbour)[-1]
        assert (last["act"], last["outcome"], last["officer"]) == ("attempt_denied", "keystore_refused", officer.id)
    east = world.node(EAST)  # got the same message, and has no such role
    with pytest.raises(RoleKeyMissing):
        east.service.protection.open(message, part, PHRASE, KEEPER, WHY)
    assert acts(east)[-1]["outcome"] == "role_key_missing"


@pytest.mark.spec("SAFE-1", "KEY-27", "KEY-40")
def test_disk_memory_and_the_nodes_own_passphrase_open_nothing(
    world: World, harbour: WorldNode, sent: tuple[str, str, dict[str, Any]], tmp_path: Path
) -> None:
    identity, part = world.federation.identities[HARBOUR], sent[2]
    path = tmp_path / "keys.json"
    identity.save(path, "the node's passphrase")
    stolen = Identity.load(path, "the node's passphrase")
    node_keys = {key.public.kid: key for key in stolen.openings}
    read = content_from(referral(sealed_parts=[part])).sealed_parts[0]
    facts = {"fed": world.federation.fed, "sender": NORTH, "case": "XN-2026/0417", "me": HARBOUR}
    with pytest.raises(NotAddressedToMe):
        open_identity(read, **facts, keys=node_keys)
    (mine,) = read.keys
    for key in (*stolen.openings, *(OpeningKey.from_seed(seed) for seed in (identity.pseudonym_key,))):
        with pytest.raises(UnsealingFailed):
            open_identity(read, **facts, keys={mine.kid: key})
    for phrase in ("the node's passphrase", "", KEEPER.id):
        with pytest.raises(KeystoreRefused):
            world.role_keys[HARBOUR].unlock(KEEPER.id, phrase)


def bound(world: World) -> tuple[Any, dict[str, OpeningKey]]:
    keys = {key.public.kid: key for key in world.role_keys[HARBOUR].unlock(KEEPER.id, PHRASE)}
    return {"fed": world.federation.fed, "sender": NORTH, "case": "XN-2026/0417", "me": HARBOUR}, keys


@pytest.mark.spec("CNT-70")
@pytest.mark.parametrize(
    ("member", "value"), [("sender", EAST), ("case", "XN-2026/0418"), ("fed", "A" * 43), ("me", EAST)]
)
def test_a_part_opens_in_no_other_message(world: World, sent: Any, member: str, value: str) -> None:
    facts, keys = bound(world)
    part = content_from(referral(sealed_parts=[sent[2]])).sealed_parts[0]
    assert open_identity(part, **facts, keys=keys).names
    with pytest.raises((UnsealingFailed, NotAddressedToMe)):
        open_identity(part, **{**facts, member: value}, keys=keys)


@pytest.mark.spec("CNT-70", "CNT-71")
@pytest.mark.parametrize("member", ["id", "subject", "body", "commit", "wrap", "order"])
def test_a_part_that_was_changed_opens_for_nobody(world: World, sent: Any, member: str) -> None:
    facts, keys = bound(world)
    part = json.loads(json.dumps(sent[2]))
    extra = {"kind": "person", "id": "v2", "assertion": "fact", "category": "victim"}
    if member == "wrap":
        part["keys"][0]["wrap"] = part["keys"][0]["wrap"][:-4] + "AAAA"
    elif member == "order":
        part["keys"].append({**part["keys"][0], "id": EAST})
    else:
        swap = {"id": "i2", "subject": "v2", "body": part["body"][:-6] + "AAAAAA", "commit": "A" * 43}
        part[member] = swap[member]
    read = content_from({**referral(), "entities": [*referral()["entities"], extra], "sealed_parts": [part]})
    with pytest.raises(Refusal):
        open_identity(read.sealed_parts[0], **facts, keys=keys)


@pytest.mark.spec("CNT-71")
def test_an_identity_of_another_subject_than_the_part_says_is_refused(world: World) -> None:
    facts, keys = bound(world)
    (key,) = keys.values()
    lying = read_identity(write_json({**IDENTITY, "subject": "v1"}))
    made = seal_identity(lying, fed=facts["fed"], sender=NORTH, case=facts["case"], recipients=[(HARBOUR, key.public)])
    part = content_from(referral(sealed_parts=[made])).sealed_parts[0]
    assert open_identity(part, **facts, keys=keys).subject == "v1"


@pytest.mark.spec("SAFE-6")
def test_what_binds_the_message_binds_the_identity(world: World) -> None:
    north, harbour = world.node(NORTH), world.node(HARBOUR)
    part = north.service.protection.seal(IDENTITY, referral(), [HARBOUR], north.officer(), WHY)
    gone = north.send(
        referral(sealed_parts=[part]),
        HARBOUR,
        agr=world.agreements["care"],
        purpose="victim_protection",
        handling=["H2"],
    )
    world.settle()
    open_ = harbour.service.protection.open
    other_case = replace(KEEPER, cases=frozenset({"XN-1"}))
    with pytest.raises(Refusal):
        open_(str(gone.msg), part["id"], PHRASE, other_case, WHY)
    assert open_(str(gone.msg), part["id"], PHRASE, replace(KEEPER, cases=frozenset({"XN-2026/0417"})), WHY)
    harbour.service.erase(str(gone.msg), harbour.officer("release_officer"), WHY)
    with pytest.raises(NoLongerHere):
        open_(str(gone.msg), part["id"], PHRASE, KEEPER, WHY)


# --- sealing ----------------------------------------------------------------------------------------

EXPOSING: dict[str, dict[str, Any]] = {
    "family name in a narrative": {"text": "Quillonbar asked for water."},
    "given name in capitals": {"text": "ZEPHANDRA asked for water."},
    "given name in full-width letters": {"text": f"{wide('Zephandra')} asked for water."},
    "genitive": {"text": "Zephandra's shoes were wet."},
    "relative's name": {"text": "An aunt, Mrs Brumwick, waits."},
    "passport": {"text": "She holds SIM-PP-CANARY-1."},
    "passport in small letters": {"text": "She holds sim-pp-canary-1"},
    "telephone": {"text": "Ring +9997771234."},
    "account": {"text": "Paid from SIM-ACC-CANARY-2 every week."},
}


@pytest.mark.spec("CNT-72", "SAFE-5")
@pytest.mark.parametrize("how", EXPOSING)
def test_a_content_that_tells_the_identity_is_refused_before_anything_is_sealed(world: World, how: str) -> None:
    north = world.node(NORTH)
    passage = {"assertion": "fact", "lang": "en", **EXPOSING[how]}
    places = [
        referral(narrative=[passage]),
        referral(handling_text=EXPOSING[how]["text"]),
        {**referral(), "referral": {**referral()["referral"], "text": EXPOSING[how]["text"]}},
        {**referral(), "entities": [{**referral()["entities"][0], "note": EXPOSING[how]["text"]}]},
    ]
    before = len(acts(north))
    for value in places:
        with pytest.raises(IdentityExposed) as caught:
            north.service.protection.seal(IDENTITY, value, [HARBOUR], north.officer(), WHY)
        for canary in CANARIES:
            assert canary.casefold() not in caught.value.sentence.casefold()
    assert len(acts(north)) == before
    innocent = {"assertion": "fact", "lang": "en", "text": "She asked for water, and for her shoes."}
    refuse_if_exposed(read_identity(write_json(IDENTITY)), content_from(referral(narrative=[innocent])))


@pytest.mark.spec("CNT-72")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("الزهراء", "وصلت الزهراء مساء"),
        ("الزهراء", "والزهراءُ وصلت"),
        ("李小龙", "昨晚李小龙到达港口"),
        ("Ümit", "ÜMIT came"),
    ],
)
def test_a_name_is_found_in_scripts_that_join_or_space_words_otherwise(name: str, text: str) -> None:
    identity = read_identity(write_json({**IDENTITY, "names": [{"given": name}], "relatives": []}))
    passage = {"assertion": "fact", "lang": "en", "text": text}
    with pytest.raises(IdentityExposed):
        refuse_if_exposed(identity, content_from(referral(narrative=[passage])))


BAD_IDENTITIES: dict[str, dict[str, Any]] = {
    "no simulation": {"simulation": False},
    "another version": {"v": "ix-identity/2"},
    "a real number": {"documents": [{"document": "passport", "number": "X1234567"}]},
    "a real telephone": {"contacts": [{"medium": "phone", "value": "+442079460000"}]},
    "a real address": {"contacts": [{"medium": "email", "value": "z@mail.com"}]},
    "a real account": {"accounts": ["GB29NWBK60161331926819"]},
    "a real number in a note": {"note": "Her old number was 123456789."},
    "a real country": {"documents": [{"document": "passport", "issuer": "GB"}]},
    "a day that is none": {"birth": "2009-02-30"},
    "a name of nothing": {"names": [{"alias": True}]},
    "a member nobody knows": {"religion": "none of our business"},
    "a photo that is another": {
        "photo": {"name": "file-1.png", "media_type": "image/png", "sha256": "A" * 43, "data": "eA"},
    },
    "a control character": {"whereabouts": "Room\u202e4"},
    "null": {"note": None},
}  # fmt: skip


@pytest.mark.spec("CNT-71", "CNT-10", "CNT-17")
@pytest.mark.parametrize("how", BAD_IDENTITIES)
def test_an_identity_is_read_as_strictly_as_a_content_and_never_repeated(how: str) -> None:
    assert read_identity(write_json(IDENTITY)).to_json() == IDENTITY
    with pytest.raises(ContentMalformed) as caught:
        read_identity(write_json({**IDENTITY, **BAD_IDENTITIES[how]}))
    for canary in (*CANARIES, "1234567", "mail.com", "NWBK", "business", "207946"):
        assert canary not in caught.value.sentence


@pytest.mark.spec("SAFE-5", "SAFE-13")
def test_an_identity_is_sealed_for_nobody_who_must_not_know(world: World) -> None:
    north = world.node(NORTH)
    seal = north.service.protection.seal
    with pytest.raises(KeyNotValid):
        seal(IDENTITY, referral(), [EAST], north.officer(), WHY)  # has no such role
    for to in ([], [HARBOUR, HARBOUR]):
        with pytest.raises(DraftMalformed):
            seal(IDENTITY, referral(), to, north.officer(), WHY)
    with pytest.raises(DraftMalformed):
        seal({**IDENTITY, "subject": "v9"}, referral(), [HARBOUR], north.officer(), WHY)
    nameless = {**referral(), "entities": [{**referral()["entities"][0], "protection": ["anonymity_guaranteed"]}]}
    with pytest.raises(DraftMalformed):
        seal(IDENTITY, nameless, [HARBOUR], north.officer(), WHY)
    with pytest.raises(RoleMissing):
        seal(IDENTITY, referral(), [HARBOUR], north.officer("auditor"), WHY)
    claim = {"stage": "lodged", "against": ["XS"], "necessity": "Needed to place the person safely."}
    claims = {**referral(), "entities": [{**referral()["entities"][0], "protection_claim": claim}]}
    with pytest.raises(SafeguardRefused):  # Harbour helps victims, in the very state that is feared
        seal(IDENTITY, claims, [HARBOUR], north.officer(), WHY)
    last = acts(north)[-1]
    assert (last["outcome"], last["reasons"]) == ("asylum_confidentiality", ["claim_carried"])


# --- canaries ---------------------------------------------------------------------------------------


def spellings(canary: str) -> set[bytes]:
    """A canary as it could lie about: as text in three cases, escaped, in base64 at any offset, in hexadecimal."""
    found: set[bytes] = set()
    for text in (canary, canary.upper(), canary.lower()):
        raw = text.encode()
        found |= {raw, raw.hex().encode(), text.encode("utf-16-le"), json.dumps(text)[1:-1].encode()}
        for shift in range(3):
            first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6  # letters that nothing else has a part in
            found.add(base64.b64encode(b"\0" * shift + raw)[first:last])
            found.add(base64.urlsafe_b64encode(b"\0" * shift + raw)[first:last])
    return {one for one in found if len(one) >= 6}


def holds(data: bytes, wanted: dict[str, set[bytes]]) -> list[str]:
    return [canary for canary, forms in wanted.items() if any(form in data for form in forms)]


def test_the_search_for_canaries_finds_them_in_every_spelling() -> None:
    wanted = {canary: spellings(canary) for canary in CANARIES}
    for canary in CANARIES:
        for pad in (b"", b"x", b"xy"):
            raw = pad + canary.encode() + b" and more"
            for data in (raw, base64.urlsafe_b64encode(raw), base64.b64encode(raw), raw.hex().encode()):
                assert canary in holds(data, wanted), (canary, data)
    assert holds(b"nothing of the kind" * 50, wanted) == []


@pytest.mark.spec("SAFE-4", "CNT-17")
def test_no_byte_anywhere_tells_an_identity_that_went_its_whole_way(  # noqa: C901  # one long way
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers: list[bytes] = []
    with _world(tmp_path) as world:
        agr = world.agree(terms("care", [NORTH, HARBOUR]))
        world.protect(HARBOUR, {KEEPER.id: PHRASE})
        desks = {agency: _desk(world, agency, tmp_path) for agency in (NORTH, HARBOUR)}
        north, harbour = desks[NORTH], desks[HARBOUR]

        def call(desk: Any, path: str, body: Any = None) -> Any:
            answer = desk(path, body)
            answers.append(answer.content)
            answers.append(repr(sorted(answer.headers.items())).encode())
            return answer

        reason = {"code": WHY.code.value, "text": WHY.text}
        # every way to get it wrong first, each with the names in what is said
        bad = {**referral(), "case": {"reference": "XN-1", "title": "Zephandra Quillonbar"}}
        named = {**referral(), "entities": [{**referral()["entities"][0], "names": IDENTITY["names"]}]}
        told = referral(
            narrative=[{"assertion": "fact", "lang": "en", "text": "Zephandra Quillonbar of Larkspur Lodge"}]
        )
        for value in (bad, named, told):
            asked = {"identity": IDENTITY, "content": value, "to": [HARBOUR], "justification": reason}
            assert call(north, "/v1/identities/seal", asked).status_code in (400, 422)
        odd = {**IDENTITY, "Zephandra": "Quillonbar"}
        for identity in (odd, {**IDENTITY, "names": "Zephandra Quillonbar"}, {**IDENTITY, "accounts": CANARIES}):
            asked = {"identity": identity, "content": referral(), "to": [HARBOUR], "justification": reason}
            assert call(north, "/v1/identities/seal", asked).status_code == 400
        asked = {"identity": IDENTITY, "content": referral(), "to": [HARBOUR], "justification": reason}
        part = call(north, "/v1/identities/seal", asked).json()["part"]
        facts = {"purpose": "victim_protection", "crime": "human_trafficking", "class": "restricted", "urgency": "none"}
        draft = {"to": [HARBOUR], "agr": agr, **facts, "handling": ["H2"], "content": referral(sealed_parts=[part])}
        for value in (bad, named):
            asked = {"draft": {**draft, "content": value}, "justification": reason}
            assert call(north, "/v1/messages", asked).status_code in (400, 422)
        sent = call(north, "/v1/messages", {"draft": draft, "justification": reason}).json()
        assert sent["state"] == "sent", sent
        world.settle()
        msg = sent["msg"]
        for path in ("/v1/inbox", f"/v1/messages/{msg}", "/metrics", "/readyz"):
            assert call(harbour, path).status_code == 200, path
        assert call(harbour, f"/v1/messages/{msg}/identities").status_code == 422  # without a reason
        call(harbour, f"/v1/messages/{msg}/open", {"justification": reason})
        call(harbour, f"/v1/messages/{msg}/export", {"justification": reason})
        # shown, once, to whom it is for: the only answer that may hold it
        wrong = {"passphrase": "Zephandra Quillonbar, please", "justification": reason}
        assert call(harbour, f"/v1/messages/{msg}/identities/{part['id']}", wrong).status_code == 401
        right = {"passphrase": PHRASE, "justification": reason}
        shown = harbour(f"/v1/messages/{msg}/identities/{part['id']}", right)
        assert shown.json()["identity"] == IDENTITY
        call(harbour, "/v1/messages/Zephandra%20Quillonbar/identities")
        call(harbour, "/v1/messages/Zephandra%20Quillonbar")
        world.settle()
        for node in world.nodes:
            answers.append(write_json(node.service.ledger(node.officer("auditor"), WHY, where={})))
            answers.append(write_json(node.service.state()))
            answers.append(write_json([one.to_json() for one in node.service.outbox()]))
        audit = world.audit()
        assert audit.clean
        for one in world.wire.calls:  # what went between nodes and broker, both ways
            if not one.host.startswith("desk."):
                answers += [one.body, one.answer, repr(one.headers).encode(), f"{one.path}?{one.query}".encode()]
        broker = world.client("somebody")
        for path in ("/metrics", "/"):
            answers.append(broker.get(f"http://{BROKER_HOST}{path}").content)
    wanted = {canary: spellings(canary) for canary in CANARIES}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "broker.db" for path in files)
    assert sum(path.name.endswith(".sim.db") for path in files) == 2
    assert any("export" in path.as_posix() for path in files)
    for path in files:
        assert holds(path.read_bytes(), wanted) == [], path
        assert holds(path.name.encode(), wanted) == []
    for data in answers:
        assert holds(data, wanted) == []
        if data[:2] == b"\x1f\x8b":
            assert holds(gzip.decompress(data), wanted) == []
    out, err = capfd.readouterr()
    said = [one.getMessage() for one in caplog.records if "http://desk." not in one.getMessage()]  # the desk's own
    assert len(said) > 10
    assert holds("\n".join((*said, out, err)).encode(), wanted) == []


def _world(tmp_path: Path) -> World:
    home = tmp_path / "world"
    home.mkdir()
    return World(home, [NORTH, HARBOUR], agreements=())


def _desk(world: World, agency: str, tmp_path: Path) -> Any:
    """The officers' API of an agency's node, on the same books, called by one officer with every role but auditor's."""
    phrase = PHRASE if agency == HARBOUR else "a passphrase like any"
    roles = ["officer", "release_officer", "protection_officer"]
    name = KEEPER.id if agency == HARBOUR else "np-desk"
    profile = new_profile(agency, [new_officer(name, phrase, roles, cost=MIN_COST)])
    identity = world.federation.identities[agency]
    settings = Settings(
        database=world.home / f"{agency}.db", fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=identity, profile=profile, broker=f"http://{BROKER_HOST}", background=False,
        role_key=world.role_keys.get(agency),
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(agency))
    world.wire.attach(f"desk.{agency}", app)
    client = world.wire.client("desk", f"http://desk.{agency}")
    app.state.node.refresh()
    token = client.post("/v1/sign-in", json={"officer": name, "passphrase": phrase}).json()["token"]

    def call(path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return client.get(path, headers=headers) if body is None else client.post(path, json=body, headers=headers)

    return call


def test_parcels_as_they_came_hold_the_part_and_nothing_that_opens_it(
    world: World, harbour: WorldNode, sent: Any
) -> None:
    """SAFE-1 and SAFE-4."""
    with harbour.store.reading() as books:
        row = books.get("inbox", msg=sent[0])
    assert row is not None
    plain = harbour.service.office.vault.unlock(row.content, f"inbox {row.msg}")
    value = read_json(plain, limit=2**20)
    (part,) = value["sealed_parts"]
    assert {key["id"] for key in part["keys"]} == {HARBOUR}
    own = {key.public.kid for key in world.federation.identities[HARBOUR].openings}
    assert own.isdisjoint(key["kid"] for key in part["keys"])
