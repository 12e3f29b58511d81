"""A second implementation, written in JavaScript from the specification alone, agrees with the first byte for byte.

It lies in ``conformance/second``. Needs Node.js and npm, and the packages pinned by hash in its ``package-lock.json``.
They are installed once, under ``build/`` of this checkout; where that cannot be done the tests are skipped, saying why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.contradiction import judge_evidence
from exchange.protocol.content import content_from
from exchange.protocol.identity import open_identity, read_identity, seal_identity
from exchange.protocol.log import LogSigner
from keys.encoding import b64u, stamp, write_json
from keys.rolekey import RoleKey
from keys.signing import Signer
from tests.exchange.audit.test_contradiction import file_of, note, tree, two, word
from tests.foreign.histories import History
from tests.vectors.books import AFTERWARDS, LIES, OWNERS, made
from tests.vectors.logbook import Logbook, between_two_agreements, ceilings
from tests.vectors.make_books import charges, reconciled, write
from tests.vectors.stage import NOW, stage

REPO = Path(__file__).resolve().parent.parent.parent
SECOND = REPO / "conformance" / "second"
INSTALLED = REPO / "build" / "second"
VECTORS = REPO / "tests" / "vectors"
AGREEMENT = "A" * 43
NORTH, SOUTH, HARBOUR = "north.police.sim", "south.police.sim", "harbour.ngo.sim"


@pytest.fixture(scope="module")
def second() -> Iterator[Path]:
    """A copy of the program below its packages, with the schemas where it looks for them; this tree stays clean."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node.js or npm is not installed, so the second implementation cannot be run")
    place = INSTALLED / hashlib.sha256((SECOND / "package-lock.json").read_bytes()).hexdigest()[:16]
    if not place.is_dir():
        _install(npm, place)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        copy = Path(folder) / "conformance" / "second"
        shutil.copytree(SECOND, copy, ignore=shutil.ignore_patterns("node_modules"))
        shutil.copytree(REPO / "spec" / "schemas", Path(folder) / "spec" / "schemas")
        shutil.copyfile(REPO / "spec" / "floor.json", Path(folder) / "spec" / "floor.json")
        yield copy


def _install(npm: str, place: Path) -> None:
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(SECOND / name, Path(folder) / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(
                [npm, "ci", *quiet], cwd=folder, capture_output=True, text=True, timeout=180, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("the packages could not be had: npm did not answer in time")
        if done.returncode:
            pytest.skip(f"the packages could not be had: {(done.stderr.strip().splitlines() or ['npm failed'])[-1]}")
        try:
            Path(folder).rename(place)
        except OSError:
            return  # another test process was quicker
        Path(folder).mkdir()  # for the context manager to remove


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def theirs(second: Path) -> Run:
    """Runs a program of the second implementation."""

    def run(program: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which("node") or "node", str(second / program), *map(str, arguments)]
        return _run(command, variables)

    return run


def ours(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "ix", *map(str, arguments)], variables)


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPO, env={**os.environ, **variables},
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


# --- the vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("ENC-5", "ENC-9", "KEY-3", "KEY-7", "KEY-8", "KEY-12", "KEY-22")
def test_it_judges_every_vector_of_keys_alike(theirs: Run) -> None:
    found, told = json.loads(good(theirs("vectors.mjs", VECTORS, "keys"))), load("keys.json")
    for kind in ("base64url", "times"):
        assert found[kind] == {**told[kind]["read"], **dict.fromkeys(told[kind]["refused"], "malformed")}
    assert found["json"] == told["json"]["refused"]
    assert found["digest"] == told["digest"]
    for label, key in told["keys"].items():
        assert {name: found["keys"][label][name] for name in key} == key, label
    assert found["statement"] == told["statement"]["payload"]
    assert found["statements"] == {it["why"]: it["code"] for it in told["statements_refused"]}
    assert found["wrap"] == told["wrap"]["content_key"]
    for theirs_, it in zip(found["chunked"], told["chunked"], strict=True):
        assert (theirs_["sha256"], theirs_["length"]) == (it["sha256"], it["length"])
    body = told["body"]
    assert found["body"] == {name: body[name] for name in ("body", "content", "commitment")}
    assert found["padded"] == told["padded_lengths"]
    assert found["pseudonym"] == told["pseudonym"]["pseudonym"]
    federation = told["federation"]
    assert found["federation"]["signing_keys_at"] == [
        [it["ed25519"], it["mldsa44"]] for it in federation["signing_keys_at"]
    ]
    assert found["federation"]["roots"] == {it["why"]: it["code"] for it in federation["roots_refused"]}


@pytest.mark.spec("MSG-10", "MSG-11", "MSG-12", "MSG-13", "MSG-14", "MSG-16", "MSG-27", "CNT-60", "LOG-22")
def test_it_judges_every_vector_of_messages_alike(theirs: Run) -> None:
    """Opens the good ones to the same bytes, by every intermediate value, and refuses the bad with the same codes."""
    found = json.loads(good(theirs("vectors.mjs", VECTORS, "messages")))
    parties = load("messages/parties.json")
    names = ("ed25519_kid", "mldsa44_kid", "sealing_kid", "sealing_public")
    assert found["parties"] == {
        "vkeys": parties["log"]["vkeys"],
        **{party: [it[name] for name in names] for party, it in parties["parties"].items()},
    }
    messages = load("messages/good.json")["messages"]
    assert len(messages) == len(found["good"])
    for it in messages:
        theirs_ = found["good"][it["name"]]
        assert theirs_.pop("opened") == dict.fromkeys(it["parcels"], it["content"]), it["name"]
        assert theirs_.pop("body") == json.loads(it["manifest"])["body"]["sha256"], it["name"]
        assert theirs_ == {name: it[name] for name in theirs_}, it["name"]
    for name in ("bad_envelopes", "bad_parcels"):
        vectors = load(f"messages/{name}.json")["vectors"]
        assert found[name] == {it["name"]: it["code"] for it in vectors}


@pytest.mark.spec("LOG-1", "LOG-2", "LOG-5", "LOG-7", "LOG-11", "LOG-12", "LOG-51", "AGR-34", "AGR-38")
def test_it_judges_every_vector_of_the_log_alike(theirs: Run) -> None:
    """Tree, proofs and tiles; and an export, in which it makes every decision again and finds what was edited."""
    if not (VECTORS / "log").is_dir():
        pytest.skip("there are no vectors of the log yet")
    found = json.loads(good(theirs("vectors.mjs", VECTORS, "log")))
    tree, export = load("log/tree.json"), load("log/expected.json")
    assert found["roots"] == tree["roots"]
    assert found["edge"] == tree["edge"]
    assert found["inclusion"] == [{"ours": it["proof"], "theirs": "taken"} for it in tree["inclusion"]]
    assert found["consistency"] == [["taken", "log_inconsistent"] for _ in tree["consistency"]]
    assert found["report"]["counts"]["decided_again"] > 0
    assert found["report"] == {name: export["report"][name] for name in found["report"]}
    assert found["edits"] == [it["findings"] for it in export["edits"]]
    assert found["lies"] == [[it["code"], it["index"]] for it in export["lies"]["report"]["findings"]]


@pytest.mark.spec("ENC-12", "KEY-1", "KEY-4", "KEY-6", "KEY-16", "KEY-21", "CNT-16", "CNT-26", "MSG-18", "LOG-19")
def test_it_judges_every_vector_of_the_edges_alike(theirs: Run) -> None:
    """Where the two once differed, and the specification was made plain."""
    found, told = json.loads(good(theirs("vectors.mjs", VECTORS, "edges"))), load("edges.json")
    for kind in ("times", "json"):
        assert found[kind] == told[kind]
    for kind, code in (("printable", "refused"), ("lines", "content_malformed")):
        texts = told[kind] if kind in told else told["contents"][kind]
        assert found[kind] == dict.fromkeys(texts["taken"], "taken") | dict.fromkeys(texts["refused"], code)
    places = ("federations", "envelopes", "parcels", "contents", "notes", "proofs", "heads", "receipts")
    lists = {place: told[place]["vectors"] for place in places}
    lists |= {place: told[place] for place in ("ed25519", "entries", "agreements")}
    for place, vectors in lists.items():
        assert found[place] == {it["name"]: it["code"] for it in vectors}, place


@pytest.mark.spec("LOG-100", "LOG-103", "LOG-107", "NODE-51", "NODE-193", "NODE-194")
def test_it_holds_the_three_books_of_the_vectors_against_each_other_alike(theirs: Run) -> None:
    """The log and the ledgers of three agencies: who is charged, under which code, and nobody where nobody lied."""
    found, told = json.loads(good(theirs("vectors.mjs", VECTORS, "books"))), load("books/expected.json")
    assert found["honest"]["clean"]
    assert len(told["lying"]["charges"]) > 8
    for name in ("honest", "lying"):
        members = set(told[name]) - {"fed", "now"}
        assert {one: found[name][one] for one in members} == {one: told[name][one] for one in members}, name
    assert found["edits"] == [it["charges"] for it in told["edits"]]


@pytest.mark.slow
@pytest.mark.spec("LOG-101", "LOG-102", "LOG-103", "LOG-104", "LOG-106")
def test_it_charges_the_same_whoever_lied_in_three_books(theirs: Run, tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    for n, name in enumerate([*LIES, *AFTERWARDS]):
        on = made(name)
        write(on.shown, tmp_path / str(n))
        told[str(n)] = reconciled(tmp_path / str(n), on)
        said = {"fed": on.log.on.fed, "now": stamp(on.log.now), "ledgers": OWNERS}
        (tmp_path / str(n) / "told.json").write_text(json.dumps(said))
    found = json.loads(good(theirs("vectors.mjs", tmp_path, "several")))
    for n, name in enumerate([*LIES, *AFTERWARDS]):
        theirs_, ours_ = found[str(n)], told[str(n)]
        assert theirs_["charges"] == charges(ours_), name
        assert (theirs_["clean"], theirs_["on_its_way"]) == (ours_["clean"], ours_["on_its_way"]), name


@pytest.mark.spec("WIT-50", "WIT-51", "WIT-52", "WIT-53", "WIT-54")
def test_it_convicts_the_same_by_what_a_node_kept(theirs: Run, tmp_path: Path) -> None:
    on, stranger = stage(), LogSigner(stage().log.origin, Signer.generate())
    one, other, grown, none = tree("one", 9), tree("other", 12), tree("one", 12), tree("one", 0)
    honest = two(one, grown)
    swapped = {**two(one, other), "older": note(other), "newer": note(one)}
    pieces: list[tuple[str, Any]] = [
        ("log_forked", two(one, other)), ("witness_forked", {"older": note(one), "newer": note(tree("other", 9))}),
        ("log_forked", honest), ("log_forked", {**honest, "root": b64u(bytes(32))}), ("log_forked", swapped),
        ("log_forked", {"older": note(one), "newer": note(one)}), ("log_forked", two(one, other, stranger)),
        ("log_forked", {"older": note(none), "newer": note(one), "root": b64u(bytes(32)), "proof": []}),
        ("log_forked", word(500)), ("log_forked", word(3)), ("seen_forged", word(3, stranger)),
        ("seen_forged", word(500, stranger)), ("log_forked", {**word(500), "proof": word(500, entries=1)["proof"]}),
        ("log_forked", {}), ("log_forked", []), ("mailbox", {"what": "strange"}),
    ]  # fmt: skip
    data = file_of(*pieces)
    ours_ = judge_evidence(data, fed=on.fed, now=NOW)
    (tmp_path / "evidence.json").write_bytes(data)
    (tmp_path / "told.json").write_text(json.dumps({"fed": on.fed, "now": stamp(NOW)}))
    found = json.loads(good(theirs("vectors.mjs", tmp_path, "evidence")))
    who = [it.get("who", "broker") for it in found if it["convicts"]]
    assert who == [piece.who for piece in ours_.proven]
    assert [n for n, it in enumerate(found) if "code" in it] == [place for place, _ in ours_.unproven]
    assert len(who) == 5
    assert len(found) - len(who) - len(ours_.unproven) == ours_.others == 1


@pytest.mark.spec("ACT-2", "ACT-3", "ACT-4", "ACT-5")
def test_it_judges_every_vector_of_acts_alike(theirs: Run) -> None:
    found, told = json.loads(good(theirs("vectors.mjs", VECTORS, "acts"))), load("acts.json")
    assert found["accepted"] == {it["name"]: it["act"] for it in told["accepted"]}
    for place in ("malformed", "refused"):
        assert found[place] == {it["name"]: it["code"] for it in told[place]}


@pytest.mark.spec("AGR-34", "AGR-40", "AGR-42", "AGR-63", "AGR-68")
def test_it_decides_every_mandated_case_alike(theirs: Run) -> None:
    """Outcome, code, policy, and for each recipient its code, clauses, obligations and nearest clauses."""
    found, told = json.loads(good(theirs("vectors.mjs", VECTORS, "decisions"))), load("decisions.json")
    assert found == {case["name"]: case["expected"] for case in told["cases"]}


def test_its_command_counts_the_cases_that_pass_and_explains_one(theirs: Run, tmp_path: Path) -> None:
    told, cases = load("decisions.json"), VECTORS / "decisions.json"
    assert good(theirs("ix.mjs", "decide", cases)) == f"{len(told['cases'])} passed, 0 failed\n"
    near = "nearest are the two that miss least, ties in the order of clauses"
    assert "type is info_request, and the clause has hit_report" in good(
        theirs("ix.mjs", "decide", cases, "--case", near)
    )
    wrong = tmp_path / "wrong.json"
    told["cases"][0]["expected"]["code"] = "no_clause"
    wrong.write_text(json.dumps(told), "utf-8")
    done = theirs("ix.mjs", "decide", wrong)
    assert (done.returncode, done.stdout) == (1, f"{len(told['cases']) - 1} passed, 1 failed\n")
    assert done.stderr.startswith(told["cases"][0]["name"])


# --- each opens what the other sealed ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Three agencies with key files made by our command line."""

    folder: Path
    fed: str

    def trust(self) -> list[object]:
        return ["--trust", self.folder / "trust.json", "--fed", self.fed]

    def holder(self, agency: str) -> list[object]:
        keys = self.folder / "nodes" / agency
        return ["--key", keys / "keys.json", "--passphrase-file", keys / "passphrase", *self.trust()]

    def sealed(self, content: Path, out: Path) -> list[object]:
        to = ["--to", SOUTH, "--to", HARBOUR, "--agreement", AGREEMENT, "--out", out]
        return ["seal", content, *self.holder(NORTH), *to, "--purpose", "investigate", "--crime", "human_trafficking"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world") / "sim"
    fed = good(ours("federation", "init", folder)).split()[0]
    shutil.copyfile(folder / "federation" / "trust.json", folder / "trust.json")
    return World(folder, fed)


def contents() -> list[str]:
    """Contents of the vectors that any agency may send to any other without naming an earlier message."""
    names = ("referral to two", "plaintext that fills one chunk exactly")
    return [it["content"] for it in load("messages/good.json")["messages"] if it["name"] in names]


@pytest.mark.parametrize("number", [0, 1])
def test_what_either_seals_the_other_opens(theirs: Run, world: World, tmp_path: Path, number: int) -> None:
    content, sealed_here, sealed_there = (tmp_path / name for name in ("content", "here", "there"))
    content.write_text(contents()[number], "utf-8")
    good(ours(*world.sealed(content, sealed_here)))
    good(theirs("ix.mjs", *world.sealed(content, sealed_there)))
    for recipient in (SOUTH, HARBOUR):
        assert good(theirs("ix.mjs", "open", sealed_here, *world.holder(recipient))) == contents()[number]
        assert good(ours("open", sealed_there, *world.holder(recipient))) == contents()[number]
    seen = json.loads(good(ours("inspect", sealed_there, *world.trust(), "--json")))
    assert {it["code"] for it in seen["checks"]} == {"ok"}
    assert json.loads(good(theirs("ix.mjs", "inspect", sealed_here, *world.trust())))["signatures_judged"]


def test_what_is_not_for_one_neither_opens(theirs: Run, world: World, tmp_path: Path) -> None:
    """MSG-20: or the test above would prove nothing."""
    content, sealed = tmp_path / "content", tmp_path / "sealed"
    content.write_text(contents()[0], "utf-8")
    good(ours(*world.sealed(content, sealed)))
    refused = theirs("ix.mjs", "open", sealed, *world.holder("north.fiu.sim"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not_addressed" in refused.stderr
    refused = ours("open", sealed, *world.holder("north.fiu.sim"))
    assert refused.returncode == 1
    assert "not_addressed" in refused.stderr


IDENTITY = {
    "v": "ix-identity/1", "simulation": True, "subject": "v1",
    "names": [{"family": "Quillonbar", "given": "Zephandra"}], "birth": "2009-03-04",
    "documents": [{"document": "passport", "number": "SIM-PP-7", "issuer": "XQ"}],
    "contacts": [{"medium": "phone", "value": "+9997771234"}], "accounts": ["SIM-ACC-2"],
    "relatives": [{"names": [{"family": "Brumwick"}], "relation": "her aunt"}], "whereabouts": "Room 4",
}  # fmt: skip


def referral() -> dict[str, Any]:
    """A content about a victim whose identity may be sealed: nobody promised her anonymity."""
    made: dict[str, Any] = json.loads(contents()[0])
    del made["entities"][0]["protection"]
    return made


@pytest.mark.spec("CNT-70", "CNT-71", "CNT-72", "KEY-27", "KEY-39", "KEY-40")
def test_an_identity_that_either_seals_to_a_role_the_other_opens(theirs: Run, world: World, tmp_path: Path) -> None:
    content, said, sealed, again, twice = (tmp_path / name for name in ("content", "said", "sealed", "again", "twice"))
    content.write_text(json.dumps(referral()), "utf-8")
    said.write_text(json.dumps(IDENTITY), "utf-8")
    good(theirs("ix.mjs", *world.sealed(content, sealed), "--identity", said))
    open_content = json.loads(good(ours("open", sealed, *world.holder(HARBOUR))))
    officers = world.folder / "nodes" / HARBOUR / "officers"
    role_file = world.folder / "nodes" / HARBOUR / "protection.json"
    keeper, other = officers / "hn-keeper.passphrase", officers / "hn-deputy.passphrase"

    role = RoleKey.from_bytes(role_file.read_bytes()).unlock("hn-keeper", keeper.read_text("utf-8").strip())
    facts = {"fed": world.fed, "sender": NORTH, "case": open_content["case"]["reference"]}
    part = content_from(open_content).sealed_parts[0]
    opened = open_identity(part, **facts, me=HARBOUR, keys={key.public.kid: key for key in role})
    assert opened.to_json() == IDENTITY

    made = seal_identity(
        read_identity(write_json(IDENTITY)), **facts, recipients=[(HARBOUR, key.public) for key in role]
    )
    again.write_text(json.dumps({**referral(), "sealed_parts": [made]}), "utf-8")
    good(ours(*world.sealed(again, twice)))
    asked = ["ix.mjs", "identity", twice, *world.holder(HARBOUR), "--part", made["id"], "--role-key", role_file]
    done = theirs(*asked, "--officer", "hn-keeper", "--officer-passphrase-file", keeper)
    assert json.loads(good(done)) == IDENTITY
    for officer, phrase in (("hn-keeper", other), ("hn-deputy", keeper)):
        refused = theirs(*asked, "--officer", officer, "--officer-passphrase-file", phrase)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "keystore_refused" in refused.stderr
    content.write_text(json.dumps({**referral(), "handling_text": "Ask for ZEPHANDRA."}), "utf-8")
    assert "identity_exposed" in theirs("ix.mjs", *world.sealed(content, twice), "--identity", said).stderr


@pytest.mark.spec("LOG-34")
def test_it_too_names_no_clause_of_another_agreement(theirs: Run, tmp_path: Path) -> None:
    report = verified(theirs, between_two_agreements(), tmp_path)
    assert (report["clean"], report["counts"]["denial"]) == (True, 1)


@pytest.mark.spec("AGR-39")
def test_it_too_takes_a_ceiling_from_the_record_in_force(theirs: Run, tmp_path: Path) -> None:
    report = verified(theirs, ceilings(), tmp_path)
    assert (report["clean"], report["counts"]["denial"], report["counts"]["disclosure"]) == (True, 3, 3)


@pytest.mark.slow
@pytest.mark.spec(
    "LOG-46", "LOG-47", "LOG-48", "LOG-49", "LOG-51", "LOG-52", "LOG-55", "ACT-7", "ACT-9", "ACT-14", "ACT-20"
)
def test_it_finds_the_same_in_whatever_a_log_may_hold(theirs: Run, tmp_path: Path) -> None:
    """Findings, and who answered what to whom, of histories that nobody thought up."""
    told: dict[str, Any] = {}
    for seed in range(25):
        book = History(seed).written()
        write_export(book, tmp_path / str(seed))
        (tmp_path / str(seed) / "told.json").write_text(json.dumps({"fed": book.on.fed, "now": stamp(book.now)}))
        told[str(seed)] = book.audit().to_json()
    found = json.loads(good(theirs("vectors.mjs", tmp_path, "audits")))
    for seed, report in told.items():
        assert sorted(map(str, found[seed]["findings"])) == sorted(
            str([it["code"], it["index"]]) for it in report["findings"]
        ), seed
        assert (found[seed]["followed"], found[seed]["clean"]) == (report["followed"], report["clean"]), seed
    codes = {it["code"] for report in told.values() for it in report["findings"]}
    assert codes >= {"not_permitted", "act_refused", "act_not_theirs", "erasure_contradicted", "recall_unanswered"}


def write_export(book: Logbook, folder: Path) -> None:
    for name, data in book.export().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def verified(theirs: Run, book: Logbook, tmp_path: Path) -> Any:
    """What it reports of a whole export."""
    write_export(book, tmp_path)
    return json.loads(good(theirs("ix.mjs", "verify-log", tmp_path, f"--fed={book.on.fed}", "--at", stamp(book.now))))


def test_its_command_verifies_an_export_and_finds_an_edit(theirs: Run, tmp_path: Path) -> None:
    if not (VECTORS / "log" / "export").is_dir():
        pytest.skip("there are no vectors of the log yet")
    told = load("log/expected.json")
    pinned = ["--fed", told["fed"], "--at", told["now"]]
    good(theirs("ix.mjs", "verify-log", VECTORS / "log" / "export", *pinned))
    export = tmp_path / "export"
    shutil.copytree(VECTORS / "log" / "export", export)
    edit = told["edits"][0]
    bundle = export / edit["file"]
    bundle.write_bytes(bundle.read_bytes().replace(edit["find"].encode(), edit["replace"].encode(), 1))
    done = theirs("ix.mjs", "verify-log", export, *pinned)
    assert done.returncode == 1
    assert [[it["code"], it["index"]] for it in json.loads(done.stdout)["findings"]] == edit["findings"]
