"""A log read over HTTP, from a broker or from any web server that shows an export as files (LOG-80).

A broker shows checkpoint, tiles and entries under ``/log/``, and nothing else to those it does not know. A
static host shows an export as it is, directory and signed statements included: what to ask for beyond the
tree, its entries say. Nothing here believes anything; verifying comes later.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Final

from exchange.audit.export import CHECKPOINT, TRUST, statement_path
from exchange.audit.shards import SHARDS, years
from exchange.commands_audit_common import Unreadable
from exchange.protocol.entry import (
    ActEntry,
    AgreementEntry,
    NodeHeadEntry,
    NoticeEntry,
    ReceiptEntry,
    SignatureEntry,
    parse_entry,
)
from exchange.protocol.log import parse_bundle, unverified_checkpoint
from exchange.protocol.merkle import HASH, bundles, entries_path, tile_path, tiles
from keys.errors import Refusal

TIMEOUT: Final = 30.0
MAX_ANSWER: Final = 4 * 1024 * 1024
"""More than the largest tile or bundle; a log that answers with more is not read further."""
MAX_TRUST: Final = 64 * 1024 * 1024

File = tuple[str, bytes]
"""A file of an export: its path inside it, and what it holds."""


class _Missing(Unreadable):
    """The server answers, and has no such file."""


def from_url(url: str) -> Iterator[File]:
    """What a log shows, under the checkpoint of the moment; the log may grow meanwhile.

    ``url`` is a broker's, whose log is under ``/log/``, or the prefix of the log itself.
    """
    prefix, shards = _begin(url)
    if shards:
        yield SHARDS, shards
    try:
        yield TRUST, _get(f"{prefix}/{TRUST}", MAX_TRUST)
    except _Missing:
        whole = False  # a broker, or a log alone
    else:
        whole = True
    known: set[str] = set()
    for shard in ("", *(f"{year}/" for year in years({SHARDS: shards or None}.get))):
        yield from _tree(prefix, shard, known, whole=whole)


def _tree(prefix: str, shard: str, known: set[str], *, whole: bool) -> Iterator[File]:
    """One shard, and the statements its entries name that are not known from the shards before it."""
    checkpoint = _get(f"{prefix}/{shard}{CHECKPOINT}")
    yield shard + CHECKPOINT, checkpoint
    size = size_of(checkpoint)
    for level, n, width in tiles(size):
        yield _either(prefix, shard + tile_path(level, n, width), shard + tile_path(level, n), width, _hashes)
    for n, width in bundles(size):
        path, data = _either(prefix, shard + entries_path(n, width), shard + entries_path(n), width, _entries)
        yield path, data
        wanted = dict.fromkeys(_statements(data, width) if whole else ())
        for name in [one for one in wanted if one not in known]:
            known.add(name)
            yield from _if_there(prefix, name)


def size_of(checkpoint: bytes) -> int:
    """The size that a checkpoint nobody verified yet says."""
    try:
        return unverified_checkpoint(checkpoint.decode("utf-8", errors="replace"))[1]
    except Refusal as refusal:
        raise Unreadable(f"the checkpoint says no size: {refusal.sentence}") from None


def _begin(url: str) -> tuple[str, bytes]:
    """Where the log is, a broker's place first; and which years have a shard, asked before any of them is read.

    A year that is named has the one before it closed; one that begins while this is read is of the next export.
    """
    prefix = f"{url}/log"
    try:
        _get(f"{prefix}/{CHECKPOINT}")
    except _Missing as missing:
        prefix = url
        try:
            _get(f"{url}/{CHECKPOINT}")
        except _Missing:
            raise missing from None
    try:
        return prefix, _get(f"{prefix}/{SHARDS}")
    except _Missing:
        return prefix, b""


def _either(prefix: str, path: str, full: str, width: int, cut: Callable[[bytes, int], bytes]) -> File:
    """A partial tile, or as much of the full one if the log has outgrown the partial one (tlog-tiles)."""
    try:
        return path, _get(f"{prefix}/{path}")
    except Unreadable:
        if path == full:
            raise
        return path, cut(_get(f"{prefix}/{full}"), width)


def _if_there(prefix: str, name: str) -> Iterator[File]:
    try:
        yield name, _get(f"{prefix}/{name}")
    except _Missing:
        return  # an auditor will say so, where it is needed


def _hashes(data: bytes, width: int) -> bytes:
    return data[: width * HASH]


def _entries(data: bytes, width: int) -> bytes:
    at = 0
    for _ in range(width):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return data[:at]


def _statements(data: bytes, width: int) -> Iterator[str]:
    """The files of the statements that a bundle's entries name; nothing of what cannot be read."""
    try:
        entries = parse_bundle(data, width)
    except Refusal:
        return
    for one in entries:
        try:
            entry = parse_entry(one)
        except Refusal:
            continue
        if isinstance(entry, AgreementEntry | SignatureEntry):
            yield statement_path("agreements", entry.agr)
        elif isinstance(entry, NoticeEntry):
            yield statement_path("notices", entry.notice)
        elif isinstance(entry, ActEntry):
            yield statement_path("acts", entry.statement)
        elif isinstance(entry, ReceiptEntry):
            yield statement_path("receipts", entry.batch)
        elif isinstance(entry, NodeHeadEntry):
            yield statement_path("heads", entry.head)


def _get(url: str, limit: int = MAX_ANSWER) -> bytes:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310  # http or https only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            data: bytes = answer.read(limit + 1)
    except urllib.error.HTTPError as wrong:
        wrong.close()  # an answer like any other, with a connection behind it
        said = f"`{url}` cannot be read: the server answers {wrong.code}"
        raise (_Missing if wrong.code in (404, 410) else Unreadable)(said) from None
    except (urllib.error.URLError, OSError, ValueError) as wrong:
        raise Unreadable(f"`{url}` cannot be read: {getattr(wrong, 'reason', wrong)}") from None
    if len(data) > limit:
        raise Unreadable(f"`{url}` answers with more than {limit} bytes")
    return data
