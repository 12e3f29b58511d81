"""Holds an exported log and its witnesses against aics-tlog; run by test_aics_tlog.py in an interpreter of its own.

Reads {"folder", "log", "witnesses": [vkeys], "quorum", "old": [size, root, proof]} on standard input, writes what
aics-tlog found as JSON. Nothing of this project is imported here.
"""

import base64
import json
import sys
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
from aics_tlog.tiles import inclusion_proof_from_tiles

asked = json.load(sys.stdin)
note = parse_note(Path(asked["folder"], "checkpoint").read_text(encoding="utf-8"))
witnesses = [parse_vkey(text) for text in asked["witnesses"]]
seen = verify_checkpoint(note, parse_vkey(asked["log"]), witnesses, asked["quorum"])
said = {"ok": seen.ok, "error": seen.error, "size": seen.size, "witnesses": sorted(seen.witnesses)}
said["times"] = seen.timestamps
if seen.ok:
    reader = FileSystemTileReader(asked["folder"])
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
