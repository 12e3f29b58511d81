"""Holds an exported log and its witnesses against aics-tlog; run by test_aics_tlog.py in an interpreter of its own.

Reads {"folder", "log", "witnesses": [vkeys], "quorum", "old": [size, root, proof]} on standard input, the folder as a
path or as its address on a web server, and writes what aics-tlog found as JSON.
Nothing of this project is imported here.
"""

import base64
import json
import sys
import urllib.request
from functools import cache
from pathlib import Path

from aics_tlog import (
    FileSystemTileReader,
    parse_note,
    parse_vkey,
    read_entry,
    tree_root_from_tiles,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)
from aics_tlog.tiles import entry_bundle_path, inclusion_proof_from_tiles, tile_path


class Served:
    """Reads tiles from a web server, by the paths that aics-tlog itself makes."""

    def __init__(self, prefix):
        self.prefix = prefix

    @cache  # noqa: B019  # there is one
    def get(self, path):
        with urllib.request.urlopen(f"{self.prefix}/{path}", timeout=30) as answer:
            return answer.read()

    def read_tile(self, level, index, width):
        return self.get(tile_path(level, index, width))

    def read_entry_bundle(self, index, width):
        return self.get(entry_bundle_path(index, width))


asked = json.load(sys.stdin)
served = asked["folder"].startswith("http://")
reader = Served(asked["folder"]) if served else FileSystemTileReader(asked["folder"])
text = reader.get("checkpoint").decode() if served else Path(asked["folder"], "checkpoint").read_text(encoding="utf-8")
note = parse_note(text)
witnesses = [parse_vkey(text) for text in asked["witnesses"]]
seen = verify_checkpoint(note, parse_vkey(asked["log"]), witnesses, asked["quorum"])
said = {"ok": seen.ok, "error": seen.error, "size": seen.size, "witnesses": sorted(seen.witnesses)}
said["times"] = seen.timestamps
if seen.ok:
    said["root"] = tree_root_from_tiles(reader, seen.size) == seen.root
    said["included"] = sum(
        verify_leaf_inclusion(
            read_entry(reader, index, seen.size), index, seen.size,
            inclusion_proof_from_tiles(reader, index, seen.size), seen.root,
        )
        for index in range(seen.size)
    )  # fmt: skip
    old, root, proof = asked["old"]
    hashes = [base64.b64decode(one) for one in proof]
    said["grown"] = verify_consistency(old, seen.size, base64.b64decode(root), seen.root, hashes)
json.dump(said, sys.stdout)
