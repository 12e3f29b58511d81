"""The tree is RFC 6962's: checked against a slow copy of the RFC's own recursive definitions."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol import merkle
from exchange.protocol.errors import InclusionInvalid, LogInconsistent, TilePathInvalid
from exchange.protocol.merkle import ENTRIES, Tree, entries_path, leaf_hash, parse_tile_path, tile_path, tiles

MOST = 900
LEAVES = [leaf_hash(f"entry {i}".encode()) for i in range(MOST)]
sizes = st.integers(1, MOST)


# --- the reference: RFC 6962 section 2.1, word for word --------------------------------------------------


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    return [*subproof(m, d[:k], whole), mth(d[k:])] if m <= k else [*subproof(m - k, d[k:], False), mth(d[:k])]


def grown(size: int, steps: list[int] | None = None) -> tuple[Tree, dict[tuple[int, int], bytes]]:
    """A tree grown in steps, and the tiles a broker would have stored of it."""
    stored: dict[tuple[int, int], bytes] = {}
    tree = Tree(lambda level, n: stored[level, n], cache=2)
    at = 0
    for step in [*(steps or []), size]:
        for row in tree.append(LEAVES[at : min(size, at + step)]):
            stored[row.level, row.index] = row.hashes
        at = min(size, at + step)
    return tree, stored


# --- roots and tiles -----------------------------------------------------------------------------------


def test_known_answers_of_rfc_6962() -> None:
    """LOG-1, LOG-2: the roots of the test data used by the reference implementations of Certificate Transparency."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    leaves = [leaf_hash(bytes.fromhex(item)) for item in data]
    tree = Tree()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, expected in enumerate(roots, 1):
        tree.append([leaves[size - 1]])
        assert tree.root().hex() == merkle.root(leaves[:size]).hex() == expected


@given(sizes, st.lists(st.integers(1, 300), max_size=6))
def test_a_tree_has_the_root_of_the_rfc_however_it_grew(size: int, steps: list[int]) -> None:
    """LOG-2, LOG-12"""
    tree, stored = grown(size, steps)
    assert tree.root() == merkle.root(LEAVES[:size]) == mth(LEAVES[:size])
    assert {name: len(hashes) // 32 for name, hashes in stored.items()} == {
        (level, n): w for level, n, w in tiles(size)
    }


@pytest.mark.spec("LOG-13", "LOG-18")
@given(sizes, st.lists(st.integers(1, 300), max_size=6), st.data())
def test_a_stored_tree_is_taken_up_at_any_size_it_ever_had(size: int, steps: list[int], data: st.DataObject) -> None:
    _, stored = grown(size, steps)
    earlier = data.draw(st.integers(0, size))
    again = Tree.load(earlier, lambda level, n: stored[level, n])
    assert again.root() == mth(LEAVES[:earlier])
    again.append(LEAVES[earlier:size])
    assert again.root() == mth(LEAVES[:size])


@given(sizes, st.integers(0, 600))
def test_an_append_names_exactly_the_tiles_that_changed(size: int, more: int) -> None:
    """LOG-3, LOG-12: full tiles never change again, and each changed one is named once, whole."""
    tree, before = grown(size)
    more = min(more, MOST - size)
    rows = tree.append(LEAVES[size : size + more])
    after = grown(size + more)[1]
    assert {(r.level, r.index): r.hashes for r in rows} == {k: v for k, v in after.items() if before.get(k) != v}
    assert len({(r.level, r.index) for r in rows}) == len(rows)
    assert all(after[name].startswith(hashes) for name, hashes in before.items())
    assert [r.width for r in rows] == [len(r.hashes) // 32 for r in rows]


def test_the_tiles_of_the_sizes_that_the_specification_names() -> None:
    """LOG-12: 70,000 and 256, as C2SP tlog-tiles describes them."""
    named = list(tiles(70_000))
    assert [w for level, _, w in named if level == 0] == [256] * 273 + [112]
    assert [w for level, _, w in named if level == 1] == [256, 17]
    assert [w for level, _, w in named if level == 2] == [1]
    assert list(tiles(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles(0)) == []
    assert list(merkle.bundles(300)) == [(0, 256), (1, 44)]


def test_a_store_that_lost_a_tile_is_a_fault_not_a_wrong_root() -> None:
    """LOG-18"""
    _, stored = grown(600)
    narrow = {**stored, (0, 2): stored[0, 2][:-32]}
    with pytest.raises(ValueError, match="tile 0/2"):
        Tree.load(600, lambda level, n: narrow[level, n])
    tree = Tree.load(600, lambda level, n: stored[level, n] if (level, n) != (0, 0) else b"")
    with pytest.raises(ValueError, match="tile 0/0"):
        tree.inclusion(5)
    unread = Tree(cache=0)
    unread.append(LEAVES[:600])
    with pytest.raises(ValueError, match="no reader"):
        unread.inclusion(5)


def test_sizes_and_indexes_outside_the_tree_are_our_own_fault() -> None:
    tree, _ = grown(10)
    for wrong in (lambda: tree.root(11), lambda: tree.inclusion(10), lambda: tree.inclusion(-1)):
        with pytest.raises(ValueError, match=r"leaves|leaf"):
            wrong()
    with pytest.raises(ValueError, match="no tree"):
        tree.consistency(9, 8)
    assert tree.append([]) == ()


# --- proofs --------------------------------------------------------------------------------------------


@given(sizes, st.data())
def test_inclusion_proofs_are_the_audit_paths_of_the_rfc_at_any_size(size: int, data: st.DataObject) -> None:
    """LOG-5, LOG-6"""
    tree, _ = grown(size, [300, 1])
    at = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, at - 1))
    proof = tree.inclusion(index, at)
    assert list(proof) == path(index, LEAVES[:at])
    merkle.verify_inclusion(LEAVES[index], index, at, proof, tree.root(at))


@given(sizes, st.data())
def test_consistency_proofs_are_those_of_the_rfc(size: int, data: st.DataObject) -> None:
    """LOG-7, LOG-8"""
    tree, _ = grown(size, [300, 1])
    at = data.draw(st.integers(1, size))
    old = data.draw(st.integers(0, at))
    proof = tree.consistency(old, at)
    assert list(proof) == (subproof(old, LEAVES[:at], True) if old else [])
    merkle.verify_consistency(old, tree.root(old), at, tree.root(at), proof)


@pytest.mark.spec("LOG-5", "LOG-6")
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 255, 256, 257])
def test_every_index_of_small_and_edge_sizes_is_proved(size: int) -> None:
    tree, _ = grown(size)
    for index in range(size):
        merkle.verify_inclusion(LEAVES[index], index, size, tree.inclusion(index), mth(LEAVES[:size]))


@given(sizes, st.data())
def test_every_altered_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    """LOG-6"""
    tree, _ = grown(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = list(tree.inclusion(index)), tree.root()
    place = data.draw(st.integers(0, len(proof)))
    flipped = [bytes([h[0] ^ 1]) + h[1:] if i == place else h for i, h in enumerate(proof)]
    wrong = [
        (LEAVES[index], index, size, [*proof, proof[0] if proof else root], root),
        (LEAVES[index], index, size, proof, leaf_hash(root)),
        (leaf_hash(LEAVES[index]), index, size, proof, root),
        (LEAVES[index], size, size, proof, root),
        (LEAVES[index], -1, size, proof, root),
        (LEAVES[index], 2**53, 2**53 + 5, proof, root),
    ]
    if proof:
        wrong.append((LEAVES[index], index, size, proof[:-1], root))
        wrong.append((LEAVES[index], index, size, [proof[0][:31], *proof[1:]], root))
        wrong.append((LEAVES[index], index ^ 1, size, proof, root))
    if flipped != proof:
        wrong.append((LEAVES[index], index, size, flipped, root))
    if len(proof) > 1:
        wrong.append((LEAVES[index], index, size, proof[::-1], root))
    for leaf, i, n, hashes, top in wrong:
        with pytest.raises(InclusionInvalid):
            merkle.verify_inclusion(leaf, i, n, hashes, top)


@given(sizes, st.data())
def test_every_altered_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    """LOG-8"""
    tree, _ = grown(size)
    old = data.draw(st.integers(0, size))
    proof, was, now = list(tree.consistency(old)), tree.root(old), tree.root()
    wrong = [
        (old, was, size, now, [*proof, now]),
        (old, leaf_hash(was), size, now, proof),
        (size + 1, was, size, now, proof),
        (-1, was, size, now, proof),
    ]
    if old:  # every log follows from the empty one
        wrong.append((old, was, size, leaf_hash(now), proof))
    for place in range(len(proof)):
        wrong.append((old, was, size, now, [*proof[:place], leaf_hash(proof[place]), *proof[place + 1 :]]))
        wrong.append((old, was, size, now, [*proof[:place], proof[place][:31], *proof[place + 1 :]]))
        wrong.append((old, was, size, now, proof[:place]))
    for one, root, n, top, hashes in wrong:
        with pytest.raises(LogInconsistent):
            merkle.verify_consistency(one, root, n, top, hashes)


def test_a_log_that_rewrote_an_entry_can_prove_nothing() -> None:
    """LOG-4, LOG-8: whatever proof the two trees give, the older root does not come out of it."""
    honest, _ = grown(300)
    other = Tree(lambda level, n: b"")
    other.append([*LEAVES[:17], leaf_hash(b"rewritten"), *LEAVES[18:400]])
    for proof in (other.consistency(300), grown(400)[0].consistency(300)):
        with pytest.raises(LogInconsistent):
            merkle.verify_consistency(300, honest.root(), 400, other.root(), proof)
    with pytest.raises(LogInconsistent, match="two roots"):
        merkle.verify_consistency(300, honest.root(), 300, other.root(300), ())


def test_a_proof_of_an_old_entry_survives_a_cache_of_one_tile() -> None:
    stored = grown(MOST)[1]
    tree = Tree.load(MOST, lambda level, n: stored[level, n], cache=1)
    for index in (0, 899, 300, 1, 600, 255, 256):
        merkle.verify_inclusion(LEAVES[index], index, MOST, tree.inclusion(index), mth(LEAVES))


# --- paths ---------------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-11")
@pytest.mark.parametrize(
    ("level", "n", "width", "expected"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 67, 3, "tile/0/067.p/3"),
        (1, 1_234_067, 256, "tile/1/x001/x234/067"),
        (63, 999, 255, "tile/63/999.p/255"),
        (ENTRIES, 1000, 1, "tile/entries/x001/000.p/1"),
        (0, 273, 112, "tile/0/273.p/112"),
    ],
)
def test_tiles_are_named_as_c2sp_names_them(level: int, n: int, width: int, expected: str) -> None:
    assert tile_path(level, n, width) == expected
    assert parse_tile_path(expected) == (level, n, width)


@given(st.integers(-1, 63), st.integers(0, 2**45), st.integers(1, 256))
def test_every_name_reads_back(level: int, n: int, width: int) -> None:
    """LOG-11"""
    assert parse_tile_path(tile_path(level, n, width)) == (level, n, width)
    assert entries_path(n, width) == tile_path(ENTRIES, n, width)


@pytest.mark.spec("LOG-11")
@pytest.mark.parametrize(
    "wrong",
    [
        "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0", "tile/0/0000", "tile/0/x000/067", "tile/0/001/067",
        "tile/0/x001/x067", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/05", "tile/0/000.p/",
        "tile/0/000.p/1000", "tile/0/000.p/3/", "/tile/0/000", "tile/0/../000", "tile/entries/00", "tile/data/000",
        "tile/0/\u0660\u0660\u0660", "tile/0/000\n", "",
    ],
)  # fmt: skip
def test_any_other_spelling_of_a_path_is_refused(wrong: str) -> None:
    with pytest.raises(TilePathInvalid):
        parse_tile_path(wrong)


@given(st.text(max_size=40))
def test_no_path_crashes_the_reader(text: str) -> None:
    try:
        level, n, width = parse_tile_path(text)
    except TilePathInvalid:
        return
    assert tile_path(level, n, width) == text


def test_edge_tiles_are_the_last_of_their_level() -> None:
    for size in (1, 255, 256, 257, 65_535, 65_536, 65_537):
        edges = list(merkle.edge_tiles(size))
        assert [level for level, _, _ in edges] == list(range(len(edges)))
        assert all(n >= m for (_, n, _), (_, m, _) in pairwise(edges))
