"""What an auditor takes away from a running exchange: the log and all that gives it meaning, as files.

Fetched over the public calls and one node's signed ones; nothing is taken from the broker's disk, and
nothing is believed: ``verify_export`` judges the folder later, with no server running.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agencies.node.broker_client import BrokerClient
from exchange.protocol.audit import CHECKPOINT, TRUST, statement_path
from exchange.protocol.log import unverified_checkpoint
from exchange.protocol.merkle import bundles, entries_path, tile_path, tiles
from keys.encoding import write_json
from keys.signing import parse_statement


def export_log(broker: BrokerClient, folder: Path) -> Path:
    """Write checkpoint, tiles, entries, directory, agreements and notices under a folder."""
    note = broker.log_file(CHECKPOINT)
    _, size, _ = unverified_checkpoint(note.decode())
    files = {CHECKPOINT: note, TRUST: broker.directory()}
    paths = [tile_path(*tile) for tile in tiles(size)] + [entries_path(*found) for found in bundles(size)]
    files |= {path: broker.log_file(path) for path in paths}
    listed = broker.agreements()
    for kind in ("agreements", "notices"):
        for item in listed[kind]:
            statement = write_json(item["statement"])
            files[statement_path(kind, parse_statement(statement).digest)] = statement
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def reader(folder: Path) -> Callable[[str], bytes | None]:
    """Read an exported folder the way ``verify_export`` wants it."""

    def read(path: str) -> bytes | None:
        place = folder / path
        return place.read_bytes() if place.is_file() else None

    return read
