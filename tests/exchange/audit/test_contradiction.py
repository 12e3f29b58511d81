"""What convicts a log convicts it before anybody, and what anybody could have written convicts nobody (WIT-50 ff.)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import ix
from exchange.audit.contradiction import Contradiction, judge_evidence, verify_contradiction
from exchange.protocol.errors import ContradictionUnproven
from exchange.protocol.log import LogSigner, sign_checkpoint, tlog_proof
from exchange.protocol.merkle import Tree, leaf_hash
from keys.encoding import b64u, read_json, stamp, write_json
from keys.signing import Signer
from tests.vectors.logbook import Logbook
from tests.vectors.stage import NOW, SOUTH, stage

ON = stage()
run = CliRunner()


def tree(name: str, size: int) -> Tree:
    made = Tree()
    made.append(leaf_hash(f"{name if n >= 5 else 'both'} {n}".encode()) for n in range(size))
    return made


def note(of: Tree, log: LogSigner = ON.log) -> str:
    return sign_checkpoint(of.size, of.root(), log, NOW)


def two(small: Tree, large: Tree, log: LogSigner = ON.log) -> dict[str, Any]:
    """What a node keeps that knows the larger log: the root it has at the smaller one's size, and the proof of that."""
    own, proof = large.root(small.size), large.consistency(small.size)
    return {
        "older": note(small, log), "newer": note(large, log), "root": b64u(own), "proof": [b64u(one) for one in proof],
    }  # fmt: skip


def judged(detail: Any) -> Contradiction:
    return verify_contradiction(detail, ON.directory)


def word(size: int, log: LogSigner = ON.log, entries: int = 0) -> dict[str, Any]:
    """A batch in a logged receipt, with its proof, that tells of a log of this size."""
    book = Logbook(on=ON)
    book.agree()
    message = book.send()
    for _ in range(entries):
        book.send()
    name = book.receipt(message, seen=note(tree("told", size), log))
    grown, index = book.tree(), len(book.entries) - 1
    proof = tlog_proof(index, grown.inclusion(index), note(grown))
    batch = read_json(book.statements[f"receipts/{name}.json"], limit=2**16)
    return {"batch": batch, "entry": b64u(book.entries[index]), "proof": proof}


# --- two checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.spec("WIT-50")
def test_two_roots_of_one_size_need_no_proof() -> None:
    found = judged({"older": note(tree("one", 9)), "newer": note(tree("other", 9))})
    assert (found.code, found.who, found.facts["size"]) == ("log_forked", "broker", 9)


@pytest.mark.spec("WIT-51")
@pytest.mark.parametrize("sizes", [(6, 7), (8, 9), (8, 300), (7, 300), (256, 257), (299, 300)])
def test_two_sizes_convict_with_a_proof_that_holds(sizes: tuple[int, int]) -> None:
    small, large = tree("one", sizes[0]), tree("other", sizes[1])
    found = judged(two(small, large))
    assert (found.facts["size"], found.facts["larger"]) == sizes
    assert found.facts["own_root"] == b64u(large.root(small.size)) != b64u(small.root())


@pytest.mark.spec("WIT-51")
@pytest.mark.parametrize("sizes", [(1, 300), (6, 7), (8, 9), (9, 9), (256, 300)])
def test_an_honest_log_is_convicted_by_no_proof_that_fails(sizes: tuple[int, int]) -> None:
    """Everybody holds the checkpoints of a log that only grew, and can write whatever proof and root they like."""
    small, large = tree("one", sizes[0]), tree("one", sizes[1])
    right, other = two(small, large), two(small, tree("other", sizes[1]))
    wrong = b64u(bytes(32))
    changes: list[dict[str, Any]] = [
        {}, {"root": wrong}, {"proof": []}, {"proof": [wrong, *right["proof"][1:]]},
        {"proof": [*right["proof"], wrong]}, {"root": other["root"]}, {"root": wrong, "proof": []},
        {"root": other["root"], "proof": other["proof"]},
        {"older": right["newer"], "newer": right["older"]}, {"root": "AA"}, {"root": b64u(bytes(64))},
    ]  # fmt: skip
    for change in changes:
        if sizes[0] == 1 and change.get("root") == other["root"]:
            continue  # both histories begin alike
        with pytest.raises(ContradictionUnproven):
            judged({**right, **change})


@pytest.mark.spec("WIT-50", "WIT-51")
def test_a_checkpoint_that_the_log_did_not_sign_convicts_nobody() -> None:
    stranger = LogSigner(ON.log.origin, Signer.generate())
    one, other = tree("one", 9), tree("other", 12)
    for detail in (
        {**two(one, other), "older": note(one, stranger)}, {**two(one, other), "newer": note(other, stranger)},
        two(one, other, stranger), {**two(one, other), "older": note(one)[:-100]},
    ):  # fmt: skip
        with pytest.raises(ContradictionUnproven, match="not signed"):
            judged(detail)


# --- a batch of receipts ---------------------------------------------------------------------------------------------


@pytest.mark.spec("WIT-52")
def test_a_checkpoint_larger_than_the_place_of_the_batch_that_tells_it_convicts_the_log() -> None:
    found = judged(word(500))
    assert (found.code, found.who) == ("log_forked", "broker")
    assert found.facts["size"] == 500 > found.facts["index"]


@pytest.mark.spec("WIT-52")
def test_one_that_can_have_been_there_convicts_nobody_by_itself() -> None:
    index = judged(word(500)).facts["index"]
    assert judged(word(index + 1)).facts["size"] == index + 1
    for size in (index, 3):
        with pytest.raises(ContradictionUnproven, match="nothing here shows"):
            judged(word(size))


@pytest.mark.spec("WIT-53")
@pytest.mark.parametrize("size", [3, 500])
def test_what_no_key_of_the_log_signed_convicts_who_says_it_saw_it(size: int) -> None:
    found = judged(word(size, LogSigner(ON.log.origin, Signer.generate())))
    assert (found.code, found.who) == ("seen_forged", f"{SOUTH} or broker")  # a newer directory may have these keys
    assert "this directory" in found.sentence


@pytest.mark.spec("WIT-52", "WIT-53")
def test_a_batch_convicts_nobody_without_the_log_and_its_givers_signatures() -> None:
    """Neither a giver whom the log does not bear out, nor a log because of words nobody signed."""
    for right in (word(500), word(500, LogSigner(ON.log.origin, Signer.generate()))):
        other = word(500, entries=1)
        spoiled = json.loads(json.dumps(right["batch"]))
        made = spoiled["signatures"][0]["signature"]
        spoiled["signatures"][0]["signature"] = ("B" if made[0] == "A" else "A") + made[1:]
        place = right["proof"].split("\n")[1]
        for change in (
            {"proof": other["proof"]}, {"entry": other["entry"]}, {"batch": other["batch"]}, {"batch": spoiled},
            {"proof": right["proof"].replace(place, "index 0")}, {"proof": 5}, {"proof": []}, {"proof": {}},
            {"batch": None}, {"entry": None},
        ):  # fmt: skip
            with pytest.raises(ContradictionUnproven):
                judged({**right, **change})


# --- the file --------------------------------------------------------------------------------------------------------


def file_of(*pieces: tuple[str, Any]) -> bytes:
    evidence = [{"at": stamp(NOW), "kind": kind, "detail": detail} for kind, detail in pieces]
    return write_json({"evidence": evidence, "trust": read_json(ON.directory.to_bytes(), limit=2**24)})


@pytest.mark.spec("WIT-54")
def test_a_file_is_judged_piece_by_piece() -> None:
    one, other = tree("one", 9), tree("other", 12)
    data = file_of(
        ("mailbox", {"what": "strange"}), ("log_forked", two(one, other)), ("log_forked", two(one, tree("one", 12))),
        ("seen_forged", word(3, LogSigner(ON.log.origin, Signer.generate()))), ("log_forked", []),
    )  # fmt: skip
    found = judge_evidence(data, fed=ON.fed, now=NOW)
    assert [(piece.code, piece.who) for piece in found.proven] == [
        ("log_forked", "broker"),
        ("seen_forged", f"{SOUTH} or broker"),
    ]
    assert [place for place, _ in found.unproven] == [2, 4]
    assert found.others == 1


@pytest.mark.spec("WIT-54", "CLI-6")
def test_one_command_says_it_to_a_stranger(tmp_path: Path) -> None:
    one, other = tree("one", 9), tree("other", 12)
    good, weak = tmp_path / "good.json", tmp_path / "weak.json"
    good.write_bytes(file_of(("log_forked", {**two(one, other), "sentence": "two logs"}), ("mailbox", {})))
    weak.write_bytes(file_of(("log_forked", two(one, tree("one", 12)))))
    at = f"--at={stamp(NOW)}"
    found = run.invoke(ix.app, ["audit", "evidence", str(good), f"--fed={ON.fed}", at])
    assert found.exit_code == 0, found.output
    assert "log_forked: broker" in found.stdout
    assert "1 proven, 0 not, 1 of kinds for people" in found.stdout
    found = run.invoke(ix.app, ["audit", "evidence", str(weak), f"--fed={ON.fed}", at, "--json"])
    assert found.exit_code == 1
    assert [one["place"] for one in json.loads(found.stdout)["unproven"]] == [0]


@pytest.mark.spec("WIT-54")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"", lambda data: b"[]", lambda data: data[:-1], lambda data: data.replace(b'"trust"', b'"other"'),
        lambda data: data.replace(b'"evidence":[', b'"evidence":{"a":[', 1), lambda data: b'{"evidence":[],"trust":5}',
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "kept.json"
    file.write_bytes(spoil(file_of()))
    found = run.invoke(ix.app, ["audit", "evidence", str(file), f"--fed={ON.fed}", f"--at={stamp(NOW)}"])
    assert found.exit_code == 1
    assert found.stderr.startswith("contradiction_unproven: ")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_MEMBERS = st.sampled_from(["older", "newer", "root", "proof", "batch", "entry"])


@given(st.dictionaries(_MEMBERS, _JSON) | _JSON)
def test_no_piece_crashes_the_reader(detail: Any) -> None:
    with pytest.raises(ContradictionUnproven):
        judged(detail)
