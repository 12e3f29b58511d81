"""The chapter "three books": an oversight body with no content at all asks who told whom, and who lies about it.

Every answer is the tool's own, by commands run as processes of their own on exported files. The liars work with the
keys that they have: on copies of what was handed in, or past a node on the running broker. Where the clock has to move
or the broker itself has to lie while it runs, it is played in one process, by the same code, and the step says so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from agencies.node.errors import LogForked, ShredRefused
from agencies.node.shredding import Shredding
from exchange.commands_audit import export
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner
from exercises.faces import FACES, TwoFacedWorld
from exercises.hourglass import in_one_process
from exercises.liars import leaves_of, without, written_anew
from exercises.markers import search
from exercises.scene import BORDER, FIU, HUB, NGO, NORTH, SOUTH, NotAsTold, Scene, expect, past_its_node, turned
from exercises.script import hit, request
from exercises.stage import CAST, Stage
from exercises.world import WHY, World
from keys.encoding import read_json, stamp

BOOKS: Final = "books"
"""The folder of the evidence with everybody's ledger and the log."""
HONEST: Final = (NORTH, FIU, NGO, HUB)
"""Those past whose nodes nobody sent anything in this story."""
LACKS: Final = "logged_not_disclosed"
PURPOSE: Final = "lawfulness_check"
REASON: Final = "a complaint says that too many were told of the boat"
INSPECTION: Final = "the oversight body asked for the ledger of this exercise"
LIMIT: Final = 64 * 1024
T = TypeVar("T")
KEPT_MONTHS: Final = 12
"""Months a node keeps its keys at least, whatever is set; 36 unless something is."""

# --- who asks is in the book ----------------------------------------------------------------------


def asking(stage: Stage) -> Scene:
    """An auditor asks at its own node; that it asked, why and what for is in the ledger before the answer is made."""
    case = stage.facts["content"]["case"]["reference"]
    question = {"question": "who", "case": case, "justification": {"code": "supervision", "text": REASON}}

    def ask(role: str, purpose: str) -> Any:
        return stage.desk(NORTH, role).call("POST", "/v1/questions", {**question, "purpose": purpose})

    turned(lambda: ask("officer", PURPOSE), "role_missing", "an officer who is no auditor should be refused")
    turned(lambda: ask("auditor", "curiosity"), "purpose_refused", "curiosity should be refused")
    words = ("auditor", "who", case, "--for", PURPOSE, "--why", REASON, "--json")
    told = _said(stage.run(*words, *stage.signs_in(NORTH, "auditor")))
    received = [one["id"] for one in told["received"]]
    expect(told["clean"] and SOUTH in received, f"the answer should say that the South was told: {received}")
    (asked,) = stage.desk(NORTH, "auditor").call("GET", "/v1/ledger?act=log_query")["acts"]
    expect(
        (asked["purpose"], asked["why"], asked["code"]) == (PURPOSE, REASON, "supervision"),
        f"the asking should be in the ledger: {asked}",
    )
    stage.facts["asking"] = asked
    said = (
        f"`ix auditor who {case}`: Northern police's own auditor asks who was told about the boat, and why.",
        f"{len(told['disclosures'])} disclosures, received by {' and '.join(received)}; the log was verified first.",
        f"Their ledger has, as act {asked['n']}, who asked, why, and for which purpose: `{asked['purpose']}`.",
        "Asked out of `curiosity`: refused, and that is in the ledger too. An officer who is no auditor: refused.",
    )
    return Scene(said, facts={"received": received, "act": asked["n"], "purpose": asked["purpose"]})


# --- three books ----------------------------------------------------------------------------------


def books(stage: Stage) -> Scene:
    """Everybody hands its ledger in; four agree with the log, and of what the others did past their nodes it knows."""
    folder = stage.evidence / BOOKS
    stage.run("auditor", "reconcile", *stage.signs_in(SOUTH, "auditor"))  # it signs a head over its looks so far
    denied = _told_past_its_node(stage)
    handed = _at_once(*(lambda agency=agency: _handed_in(stage, agency) for agency in CAST))
    exported = stage.run("audit", "export", "--from", stage.home / "broker", "--out", folder / "log")
    expect(exported.returncode == 0, f"the log should be exported: {exported.stderr}")
    honest, every = _at_once(
        lambda: _reconciled(stage, folder, HONEST, code=0), lambda: _reconciled(stage, folder, CAST, code=1)
    )
    expect(honest["clean"] and not honest["findings"], "four honest ledgers should agree with the log")
    found = {(one["who"], one["code"]): one for one in every["findings"]}
    sender, forged, tried = (BORDER, LACKS), (f"{BORDER} or broker", LACKS), (f"{SOUTH} or broker", "not_in_ledger")
    expect(found.keys() == {sender, forged, tried}, f"what went past the nodes, and nothing else: {found.keys()}")
    expect(found[sender]["evidence"]["msg"] == denied, "the finding should be of what was told past the node")
    expect(len(every["findings"]) == len(found), "each should be found once")
    _asking_is_there(stage, folder / NORTH)
    at = {name: found[name]["index"] for name in found}
    said = (
        "The border guard tells the South something past its own node, with its own keys; its ledger has none of it.",
        f"All six hand in their ledgers, `ix node ledger`: {sum(handed)} acts, no content, no name; the asking too.",
        "`ix audit reconcile` holds them against the log. The North, the FIU, the NGO and the hub: clean. All six:",
        _in_words(found[sender]),
        f"Found as well: the theft of step 6, entry {at[forged]}; what went past a node in step 8, entry {at[tried]}.",
        "Nobody handed in a signature of either, so each may be the broker's invention, and both are named.",
    )
    facts = {"acts": sum(handed), "clean": list(HONEST), "found": {f"{who}: {code}": at[who, code] for who, code in at}}
    return Scene(said, facts=facts)


def _told_past_its_node(stage: Stage) -> str:
    """A message of the border guard that no node of it ever saw; delivered, opened and receipted."""
    content = {**hit(), "case": {"reference": "XB-2026/0114"}}
    answer = past_its_node(stage, BORDER, SOUTH, content)
    expect(answer.outcome == "permit", f"the broker should let it pass, for a clause does: {answer.outcome}")
    south = stage.desk(SOUTH)
    south.await_message(answer.msg)
    expect(south.open(answer.msg) == content, "the South should read it as any other")
    return str(answer.msg)


def _asking_is_there(stage: Stage, ledger: Path) -> None:
    """The act of the asking is a leaf of the exported ledger, which says neither who it was nor about which case."""
    act, case = stage.facts["asking"], stage.facts["content"]["case"]["reference"]
    leaf = read_json(leaves_of(ledger)[act["n"] - 1], limit=LIMIT)
    expect((leaf["act"], leaf["purpose"], leaf["by"]) == ("log_query", act["purpose"], act["by"]), f"not it: {leaf}")
    found = search(ledger, {act["officer"], case, REASON})
    expect(not found, f"an exported ledger should name nobody: {found[:3]}")


def _handed_in(stage: Stage, agency: str) -> int:
    out = stage.evidence / BOOKS / agency
    asked = ("--code", "supervision", "--why", INSPECTION)
    ran = stage.run("node", "ledger", "--out", out, *asked, *stage.signs_in(agency, "auditor"))
    expect(ran.returncode == 0, f"{agency} should export its ledger: {ran.stderr}")
    return len(leaves_of(out))


def _at_once(*does: Callable[[], T]) -> list[T]:
    """Have several commands run at once. Each that began is waited for, also when this is interrupted."""
    pool = ThreadPoolExecutor(2)
    try:
        return [one.result() for one in [pool.submit(does_one) for does_one in does]]
    finally:
        pool.shutdown(cancel_futures=True)


def _reconciled(stage: Stage, folder: Path, agencies: Any, *, code: int) -> dict[str, Any]:
    """What ``ix audit reconcile`` says of everything in a folder; at once, for nothing is on its way any more."""
    ledgers = [word for agency in agencies for word in ("--ledger", folder / agency)]
    fed = stage.federation.fed
    ran = stage.run("audit", "reconcile", folder / "log", f"--fed={fed}", "--grace", "0", "--json", *ledgers)
    expect(ran.returncode == code, f"`ix audit reconcile` should end with {code}: {ran.stderr}{ran.stdout[-900:]}")
    return dict(json.loads(ran.stdout))


def _said(ran: Any) -> dict[str, Any]:
    expect(ran.returncode == 0, f"it should be answered: {ran.stderr}")
    return dict(json.loads(ran.stdout))


# --- lies of afterwards ------------------------------------------------------------------------------


def lies(stage: Stage) -> Scene:
    """A recipient and the broker change their books afterwards, and sign them anew with the keys they have."""
    recipient, broker = _at_once(
        lambda: _the_one(stage, _looks_left_out(stage), SOUTH, "ledger_rewritten"),
        lambda: _the_one(stage, _entry_left_out(stage), "broker", "disclosed_not_logged", stage.facts["hit"]["msg"]),
    )
    said = (
        "The South takes every look at a message out of a copy of its ledger, and signs what is left.",
        _in_words(recipient),
        "The broker takes a disclosure out of a copy of its log, and signs that.",
        _in_words(broker),
        "`ix audit reconcile` needed no server and nobody's word for it: each is convicted by its own signature.",
    )
    named = {found["who"]: found["code"] for found in (recipient, broker)}
    return Scene(said, facts={"named": named})


def _looks_left_out(stage: Stage) -> Path:
    """What was handed in, with a ledger of the South in which nobody ever opened anything."""
    copied = _copied(stage, "recipient")
    acts, me = leaves_of(copied / SOUTH), stage.federation.identities[SOUTH]
    origin = ledger_origin(stage.federation.directory.root.log.origin, SOUTH)
    fewer = without(acts, lambda act: act["act"] == "open")
    expect(len(fewer) < len(acts), "there should be looks to leave out")
    written_anew(copied / SOUTH, fewer, LogSigner(origin, me.signer), stage.now())
    return copied


def _entry_left_out(stage: Stage) -> Path:
    """What was handed in, with a log that never had the hit."""
    copied = _copied(stage, "broker")
    entries = leaves_of(copied / "log")
    del entries[stage.facts["hit"]["index"]]
    signer = LogSigner(stage.federation.directory.root.log.origin, stage.federation.broker.log)
    written_anew(copied / "log", entries, signer, stage.now())
    return copied


def _copied(stage: Stage, name: str) -> Path:
    return Path(shutil.copytree(stage.evidence / BOOKS, stage.evidence / "lies" / name))


def _the_one(stage: Stage, folder: Path, who: str, code: str, msg: str | None = None) -> dict[str, Any]:
    """The finding that names a liar, with its proof."""
    found = _reconciled(stage, folder, CAST, code=1)["findings"]
    stage.keep_evidence(f"{folder.relative_to(stage.evidence)}/findings.json", found)
    named = [one for one in found if (one["who"], one["code"]) == (who, code) and one["evidence"].get("msg") == msg]
    told = [(one["who"], one["code"]) for one in found]
    expect(named and named[0]["evidence"].get("proof"), f"`{code}` of {who} should be found with a proof: {told}")
    return dict(named[0])


def _in_words(found: dict[str, Any]) -> str:
    return f"{found['who']}, `{found['code']}`: {found['sentence']}. Proof: {found['evidence']['proof']}."


# --- a broker with two faces ----------------------------------------------------------------------


def two_logs(stage: Stage) -> Scene:
    """A broker shows one log to the North and another to the South: the first receipt between them convicts it."""
    with in_one_process(stage, "two-faces", TwoFacedWorld) as world:
        north, south = world.node(NORTH), world.node(SOUTH)
        world.faces.sees[SOUTH] = FACES[1]
        world.faces.hidden = FACES[1]
        kept_back = north.send(request(), BORDER)
        world.faces.hidden = None
        sent = north.send(request(), SOUTH)
        expect((kept_back.state, sent.state) == ("sent", "sent"), "the North should notice nothing so far")
        expect(
            south.collect() == [sent.msg], "the South should have the second message, and has not heard of the first"
        )
        noticed = _forked(north)
        told = {"evidence": list(north.service.evidence(north.officer("auditor"))), "trust": north.service.trusted()}
        kept, fed = stage.keep_evidence("lies/two-logs.json", told), world.federation.fed
    ran = stage.run("audit", "evidence", kept, f"--fed={fed}", "--json")
    (proven,) = _said(ran)["proven"]
    expect((proven["code"], proven["who"]) == ("log_forked", "broker"), f"it should convict the broker: {proven}")
    expect(proven["facts"]["signed_root"] != proven["facts"]["own_root"], "by two roots of one size")
    said = (
        "In one process, for a broker has to lie while it runs: two real brokers with one set of keys, on two books.",
        "What the North tells the border guard is kept out of the log that the South is shown.",
        "Then one message to the South, and its receipt, which says what log its giver sees.",
        f"The North's node at once, `{noticed.code}`: {noticed.sentence}.",
        f"A stranger checks what was kept, by `ix audit evidence` and the federation's id: `{proven['who']}` lied.",
        f"Its proof: two checkpoints that the log signed, which at size {proven['facts']['size']} have two roots.",
    )
    return Scene(said, facts={"fed": fed, "proven": proven["code"], "who": proven["who"], "in_one_process": True})


def _forked(node: Any) -> LogForked:
    try:
        node.collect()
    except LogForked as forked:
        return forked
    raise NotAsTold("the sender should find the second log by the first receipt")


# --- what a month takes with it -------------------------------------------------------------------


def shredding(stage: Stage) -> Scene:
    """The keys of an old month are destroyed: its acts name nobody any more, and the three books still agree."""
    with in_one_process(stage, "shredding", World) as world:
        north, south = world.node(NORTH), world.node(SOUTH)
        sent = north.send(request(), SOUTH)
        world.settle()
        south.open(str(sent.msg))
        world.settle()
        month, case = f"{world.clock():%Y-%m}", request()["case"]["reference"]
        before = _by_case(world, case)
        expect(before and {act["officer"] for act in before} == {north.officer().id}, "the North's auditor knows who")
        refused = _not_yet(world, month)
        _a_year_and_more(world)
        gone = _keys(world).shred(_next_month(month), north.officer("release_officer"), WHY)
        expect(gone == [month], f"this month's key should be gone, and no other: {gone}")
        expect(not _by_case(world, case), "by its reference, nothing of the case should be found any more")
        acts = [act for act in _ledger(world) if act["ts"].startswith(month)]
        expect(all(act["shredded"] and act["officer"] is act["why"] is None for act in acts), "nobody should be named")
        size, _ = north.service.verify_ledger()
        said = _world_reconciled(stage, world)
        expect(said["clean"] and not any(said["on_its_way"].values()), f"the books should agree: {said['findings']}")
    told = (
        "In one process, for its clock has to move: the North asks the South, its auditor finds by the case who did.",
        f"A release officer wants the key of `{month}` destroyed: `{refused.code}`, too young. A year and more passes.",
        f"Now that key is gone, and the ledger says so. The {len(acts)} acts of that month stand as they were written.",
        "Who did them, for which case and why: nobody can find out any more, the node itself included.",
        f"All {size} acts still verify, and `ix audit reconcile` holds the three books against each other: clean.",
    )
    facts = {
        "fed": world.federation.fed,
        "at": stamp(world.clock()),
        "month": month,
        "acts": len(acts),
        "verified": size,
        "clean": said["clean"],
        "in_one_process": True,
    }
    return Scene(told, facts={**facts, "refused": refused.code})


def _keys(world: World) -> Shredding:
    """The North's months, of which it keeps as few as a node may."""
    service = world.node(NORTH).service
    return Shredding(service.office, service.holding, KEPT_MONTHS)


def _ledger(world: World, **where: str) -> list[dict[str, Any]]:
    north = world.node(NORTH)
    return list(north.service.ledger(north.officer("auditor"), WHY, limit=500, where=where))


def _by_case(world: World, case: str) -> list[dict[str, Any]]:
    return _ledger(world, case=case, act="disclose")


def _not_yet(world: World, month: str) -> ShredRefused:
    try:
        _keys(world).shred(_next_month(month), world.node(NORTH).officer("release_officer"), WHY)
    except ShredRefused as refused:
        return refused
    raise NotAsTold("a month that has not ended should not be shredded")


def _a_year_and_more(world: World) -> None:
    """Let thirteen months pass, with new keys for everybody before theirs end, and a little talk at the end."""
    world.clock.advance(days=350)
    for agency in [node.id for node in world.nodes]:
        world.rotate(agency)
    world.clock.advance(days=50)
    for node in world.nodes:
        node.service.refresh()
    world.node(BORDER).send(hit(), NORTH)
    world.settle()
    world.node(NORTH).service.watch.look()


def _next_month(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12}-{number % 12 + 1:02}"


def _world_reconciled(stage: Stage, world: World) -> dict[str, Any]:
    """Everybody's books of a world as files, some days later, held against each other by the command."""
    folder = stage.evidence / "shredded"
    world.clock.advance(days=4)
    for node in world.nodes:
        for name, data in node.service.export_ledger(node.officer("auditor"), WHY).files:
            (folder / node.id / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / node.id / name).write_bytes(data)
    export(str(world.home), folder / "log")
    ledgers = [word for node in world.nodes for word in ("--ledger", folder / node.id)]
    asked = (f"--fed={world.federation.fed}", "--at", stamp(world.clock()), "--json", *ledgers)
    return _said(stage.run("audit", "reconcile", folder / "log", *asked))
