"""What a liar does to its own books: take an act or an entry out, and sign what is left with the keys it has.

A ledger and the log have the same form, a checkpoint over tiles and entries, so one hand serves both. It works on
copies of what was handed in.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from exchange.protocol.log import LogSigner, bundle, parse_bundle, sign_checkpoint
from exchange.protocol.merkle import WIDTH, Tree, bundles, entries_path, leaf_hash, tile_path, tiles
from keys.encoding import read_json, write_json

LIMIT = 64 * 1024


def leaves_of(folder: Path) -> list[bytes]:
    """Everything a log or a ledger in files has, in order."""
    size = int((folder / "checkpoint").read_text(encoding="utf-8").split("\n")[1])
    return [one for n, w in bundles(size) for one in parse_bundle((folder / entries_path(n, w)).read_bytes(), w)]


def written_anew(folder: Path, leaves: Sequence[bytes], signer: LogSigner, now: datetime) -> None:
    """Put these leaves in the place of what a log or a ledger had, under a checkpoint signed by whoever keeps it."""
    shutil.rmtree(folder / "tile")
    tree = Tree()
    rows = {(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, leaves))}
    files = {tile_path(*name): rows[name[:2]] for name in tiles(len(leaves))}
    files |= {entries_path(n, w): bundle(leaves[n * WIDTH : n * WIDTH + w]) for n, w in bundles(len(leaves))}
    files["checkpoint"] = sign_checkpoint(len(leaves), tree.root(), signer, now).encode()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def without(acts: Sequence[bytes], leaves_out: Callable[[dict[str, object]], bool]) -> list[bytes]:
    """The acts of a ledger but for some, numbered as if there had never been more."""
    told = [dict(read_json(act, limit=LIMIT)) for act in acts]
    kept = [act for act in told if not leaves_out(act)]
    return [write_json({**act, "n": n}) for n, act in enumerate(kept, 1)]
