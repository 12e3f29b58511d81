"""What was changed behind the broker's back is found where it is, and named by its index."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.tree import TreeAudit, audit_growth, audit_tree
from exchange.protocol.errors import AuditImpossible
from exchange.protocol.log import bundle, parse_bundle
from exchange.protocol.merkle import (
    HASH,
    WIDTH,
    Tree,
    bundles,
    entries_path,
    leaf_hash,
    parse_tile_path,
    tile_path,
    tiles,
)
from keys.encoding import b64u

SIZE = 700
ENTRIES = [f"entry number {i}".encode() for i in range(SIZE)]


@cache
def honest() -> tuple[dict[str, bytes], bytes]:
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, ENTRIES))}
    files = {tile_path(level, n, width): rows[level, n] for level, n, width in tiles(SIZE)}
    files |= {entries_path(n, width): bundle(ENTRIES[n * WIDTH : n * WIDTH + width]) for n, width in bundles(SIZE)}
    return files, tree.root()


def with_entry(files: dict[str, bytes], index: int, entry: bytes) -> None:
    """Edit one entry in its bundle, as somebody would in the table of entries."""
    n = index // WIDTH
    path = next(p for p in files if p.startswith("tile/entries/") and parse_tile_path(p)[1] == n)
    width = parse_tile_path(path)[2]
    entries = list(parse_bundle(files[path], width))
    entries[index % WIDTH] = entry
    files[path] = bundle(entries)


def with_hash(files: dict[str, bytes], level: int, index: int, value: bytes) -> None:
    """Edit one hash of a tile."""
    path = next(p for p in files if "entries" not in p and parse_tile_path(p)[:2] == (level, index // WIDTH))
    at = index % WIDTH * HASH
    files[path] = files[path][:at] + value + files[path][at + HASH :]


def audit(files: dict[str, bytes], size: int = SIZE) -> TreeAudit:
    return audit_tree(files.get, size, honest()[1])


def codes(found: TreeAudit) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in found.findings]


def test_an_honest_export_gives_every_entry_and_no_finding() -> None:
    """LOG-51"""
    found = audit(dict(honest()[0]))
    assert (list(found.entries), found.doubtful, found.findings) == (ENTRIES, set(), [])


@pytest.mark.parametrize("size", [0, 1, 256, 257])
def test_any_size_can_be_audited(size: int) -> None:
    tree = Tree()
    rows = {(r.level, r.index): r.hashes for r in tree.append(map(leaf_hash, ENTRIES[:size]))}
    files = {tile_path(level, n, width): rows[level, n] for level, n, width in tiles(size)}
    files |= {entries_path(n, width): bundle(ENTRIES[n * WIDTH : n * WIDTH + width]) for n, width in bundles(size)}
    found = audit_tree(files.get, size, tree.root())
    assert (list(found.entries), found.findings) == (ENTRIES[:size], [])


@pytest.mark.spec("LOG-51")
def test_a_bundle_that_changes_between_two_looks_is_not_believed() -> None:
    files = dict(honest()[0])
    found = audit(files)
    with_entry(files, 3, b"another")
    with pytest.raises(AuditImpossible, match="while it was being read"):
        list(found.entries)


@given(st.integers(0, SIZE - 1), st.binary(max_size=40))
def test_an_altered_entry_is_named_with_both_hashes(index: int, entry: bytes) -> None:
    """LOG-51, LOG-52: in a full tile and in the partial one alike."""
    files = dict(honest()[0])
    with_entry(files, index, entry)
    found = audit(files)
    assert codes(found) == [("entry_altered", index)]
    assert found.findings[0].evidence == {
        "signed_hash": b64u(leaf_hash(ENTRIES[index])),
        "own_hash": b64u(leaf_hash(entry)),
    }
    assert found.doubtful == {index}


def test_two_entries_exchanged_are_both_named() -> None:
    """LOG-3, LOG-52"""
    files = dict(honest()[0])
    with_entry(files, 3, ENTRIES[640])
    with_entry(files, 640, ENTRIES[3])
    assert sorted(codes(audit(files))) == [("entry_altered", 3), ("entry_altered", 640)]


@pytest.mark.parametrize(("level", "index"), [(0, 5), (0, 699), (1, 0), (1, 1)])
def test_an_altered_tile_is_named_and_the_entries_believed(level: int, index: int) -> None:
    """LOG-52: the entries alone lead to the signed root, so it is the tile that is wrong."""
    files = dict(honest()[0])
    with_hash(files, level, index, leaf_hash(b"forged"))
    found = audit(files)
    assert codes(found) == [("tile_altered", None)]
    assert parse_tile_path(found.findings[0].evidence["path"])[:2] == (level, index // WIDTH)
    assert found.doubtful == set()


def test_an_entry_altered_with_its_leaf_hash_is_found_by_the_tile_above() -> None:
    """LOG-51, LOG-52: the tile is named with the entries it spans."""
    files = dict(honest()[0])
    with_entry(files, 300, b"forged")
    with_hash(files, 0, 300, leaf_hash(b"forged"))
    (finding,) = audit(files).findings
    assert (finding.code, finding.evidence["entries"]) == ("tile_altered", "256 to 511")


@pytest.mark.parametrize("index", [300, 699])
def test_an_entry_altered_with_every_hash_above_it_does_not_reach_the_signed_root(index: int) -> None:
    """LOG-51, LOG-52"""
    entries = [*ENTRIES[:index], b"forged", *ENTRIES[index + 1 :]]
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, entries))}
    files = {tile_path(level, n, width): rows[level, n] for level, n, width in tiles(SIZE)}
    files |= {entries_path(n, width): bundle(entries[n * WIDTH : n * WIDTH + width]) for n, width in bundles(SIZE)}
    (finding,) = audit(files).findings
    assert finding.code == "root_differs"
    assert finding.evidence == {
        "signed_root": b64u(honest()[1]),
        "tiles_root": b64u(tree.root()),
        "entries_root": b64u(tree.root()),
    }


def test_an_altered_tile_does_not_hide_an_altered_entry_elsewhere() -> None:
    """LOG-52: and the entries under that tile are believed, for they give the hash above it."""
    files = dict(honest()[0])
    with_hash(files, 0, 5, leaf_hash(b"forged"))
    with_entry(files, 400, b"forged")
    found = audit(files)
    assert sorted(codes(found), key=str) == [("entry_altered", 400), ("tile_altered", None)]
    assert found.doubtful == {400}


@pytest.mark.parametrize("path", sorted(honest()[0]))
def test_a_missing_file_is_named(path: str) -> None:
    """LOG-50, LOG-52"""
    files = dict(honest()[0])
    del files[path]
    found = audit(files)
    assert [(f.code, f.evidence["path"]) for f in found.findings] == [("file_missing", path)]
    missing = [index for index, entry in enumerate(found.entries) if entry is None]
    _, n, width = parse_tile_path(path)
    assert missing == (list(range(n * WIDTH, n * WIDTH + width)) if "entries" in path else [])


def test_a_cut_bundle_and_a_cut_tile_are_named() -> None:
    """LOG-14, LOG-52"""
    files = dict(honest()[0])
    files["tile/entries/000"] = files["tile/entries/000"][:-1]
    files["tile/1/000.p/2"] = files["tile/1/000.p/2"][:-1]
    found = audit(files)
    assert codes(found) == [("file_missing", None), ("bundle_refused", None)]
    assert list(found.entries)[:256] == [None] * 256


def test_without_a_believable_root_contradictions_are_still_found() -> None:
    """LOG-52"""
    files = dict(honest()[0])
    assert audit_tree(files.get, SIZE, None).findings == []
    with_entry(files, 12, b"forged")
    assert codes(audit_tree(files.get, SIZE, None)) == [("entry_altered", 12)]


@pytest.mark.spec("LOG-54")
@given(st.integers(0, SIZE))
def test_what_was_added_since_can_be_verified_alone(old: int) -> None:
    files, root = honest()
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return files.get(path)

    tree = Tree()
    tree.append(map(leaf_hash, ENTRIES[:old]))
    found = audit_growth(read, old, tree.root(), SIZE, root)
    assert found.findings == []
    assert list(found.entries)[old - found.entries.first * WIDTH :] == ENTRIES[old:]
    assert len([path for path in asked if "entries" not in path]) <= 2  # the right edge, and nothing before it


@pytest.mark.spec("LOG-54")
@given(st.integers(1, SIZE - 1), st.data())
def test_a_log_that_was_rewritten_before_or_after_is_noticed(old: int, data: st.DataObject) -> None:
    files, root = dict(honest()[0]), honest()[1]
    tree = Tree()
    tree.append(map(leaf_hash, ENTRIES[:old]))
    assert [f.code for f in audit_growth(files.get, old, bytes(32), SIZE, root).findings] == ["log_rewritten"]
    with_entry(files, data.draw(st.integers(old, SIZE - 1)), b"forged")
    assert [f.code for f in audit_growth(files.get, old, tree.root(), SIZE, root).findings] == ["log_rewritten"]


@pytest.mark.spec("LOG-54")
def test_an_edge_that_is_missing_is_named() -> None:
    files = {path: data for path, data in honest()[0].items() if not path.startswith("tile/0/002")}
    tree = Tree()
    tree.append(map(leaf_hash, ENTRIES[:600]))
    assert codes(audit_growth(files.get, 600, tree.root(), SIZE, honest()[1])) == [("file_missing", None)]
