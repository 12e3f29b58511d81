"""What the log alone costs at scale: growing it, proving from it, verifying all of it and only what is new.

The log is the broker's own, clerk and books included: every batch is one transaction with its tiles, its head moved by
compare-and-swap, a checkpoint signed with both keys, and fsync. What is left out is everything about messages. Entries
are receipts, the commonest kind. Verifying happens in processes of their own, from exported files, so that their
memory is theirs. Times are of the clock on the wall; of appending the processor's time is given too, which other work
on the machine does not blur. Beside it, where it is installed, pymerkle does what it can of the same work.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exchange.audit.tree import Read, audit_growth, audit_tree
from exchange.broker.clerk import Clerk
from exchange.broker.page import Books, Page, State
from exchange.broker.service import found_books
from exchange.broker.store import Store
from exchange.protocol.log import LogSigner, bundle, parse_entry, receipt_entry, verify_checkpoint
from exchange.protocol.merkle import WIDTH, Tree, bundles, entries_path, leaf_hash, tile_path, tiles, verify_inclusion
from exchange.protocol.policy import PolicyBook
from exercises.bench_load import found
from exercises.processes import here
from keys.encoding import digest
from keys.signing import Signer
from keys.trust import Directory, LogIdentity

SIZE: Final = 1_000_000
QUICK: Final = 3000
BATCH: Final = 64
NEWEST: Final = 10_000
PROOFS: Final = 1000
ORIGIN: Final = "log.bench.sim"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int) -> bytes:
    """The entry of this number: a receipt nobody gave."""
    name = digest(b"%d" % number)
    return receipt_entry(name, "north.police.sim", "delivered", None, name, START + timedelta(milliseconds=number))


@dataclass(slots=True)
class _Lines:
    """A batch of entries, written as one job."""

    entries: list[bytes]
    key: None = None
    looks_back: bool = field(default=False)

    def write(self, page: Page) -> None:
        """Put them onto the page."""
        for line in self.entries:
            page.append(line)

    def answer(self, books: Books) -> int:
        """How long the log is now."""
        return books.head.size


def measure(home: Path, directory: Directory, size: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Grow a log to ``size`` entries, prove from it, export it, verify it; the figures."""
    home.mkdir()
    log = LogSigner(ORIGIN, Signer.generate())
    say(f"a log of {size:,} entries, in batches of {BATCH}")
    found_books(home / "log.db", log, START)
    store = Store(home / "log.db")
    try:
        clerk = Clerk(store, log, lambda: START, lambda _, head: State(directory, PolicyBook(), head.version))
        seconds, cpu = _grow(clerk, size)
        proofs = _prove(store, clerk.books)
        _export(store, clerk.books, home / "export")
    finally:
        store.close()
    say("verifying it, in processes of their own")
    whole = _alone("whole", home / "export", log.identity)
    newest = _alone("newest", home / "export", log.identity)
    return {
        "log_entries": size,
        "log_append_per_s": round(size / seconds),
        "log_append_per_cpu_s": round(size / cpu),
        "log_proof_ms": round(1000 * proofs, 3),
        "log_verify_s": whole["tree_s"],
        "log_verify_with_forms_s": whole["forms_s"],
        "log_verify_mb": whole["mb"],
        "log_newest_s": newest["newest_s"],
        **_pymerkle(size, say),
    }


def _grow(clerk: Clerk, size: int) -> tuple[float, float]:
    seconds = cpu = 0.0
    for first in range(0, size, BATCH):
        lines = [entry(number) for number in range(first, min(first + BATCH, size))]
        began, busy = time.perf_counter(), time.process_time()
        (grown,) = clerk.write_now([_Lines(lines)])
        seconds, cpu = seconds + time.perf_counter() - began, cpu + time.process_time() - busy
        if grown != first + len(lines):
            raise RuntimeError(f"the log did not take a batch: {grown}")
    return seconds, cpu


def _prove(store: Store, books: Books) -> float:
    """The median time of a proof for any entry, by a tree that was just taken up from the books."""
    chance = random.Random(7)  # which entries, not a secret
    tree = Tree.load(books.head.size, store.tile)
    times = []
    for number in [chance.randrange(books.head.size) for _ in range(PROOFS)]:
        began = time.perf_counter()
        path = tree.inclusion(number)
        times.append(time.perf_counter() - began)
        verify_inclusion(leaf_hash(entry(number)), number, tree.size, path, books.head.root)
    return statistics.median(times)


def _export(store: Store, books: Books, folder: Path) -> None:
    with store.reading() as view:
        for path, data in _files(view, books.head.size):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    (folder / "checkpoint").write_text(books.head.checkpoint)
    (folder / "older").write_bytes(books.tree.root(max(0, books.head.size - NEWEST)))


def _files(view: Any, size: int) -> Iterator[tuple[str, bytes]]:
    for level, number, width in tiles(size):
        yield tile_path(level, number, width), view.tile(level, number)
    for number, width in bundles(size):
        yield entries_path(number, width), bundle(view.entries(number * WIDTH, number * WIDTH + width))


# --- in a process of its own --------------------------------------------------------------------------


def _alone(what: str, folder: Path, log: LogIdentity) -> dict[str, Any]:
    keys = [log.ed25519.raw.hex(), log.mldsa44.raw.hex()]
    command = [sys.executable, "-m", "exercises.bench_log", what, str(folder), *keys]
    done = subprocess.run(command, capture_output=True, text=True, env=here(), check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def verify(what: str, folder: Path, log: LogIdentity) -> dict[str, Any]:
    """Verify an exported log from its checkpoint down; the whole, or only the newest entries."""

    def read(path: str) -> bytes | None:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            return None

    began = time.perf_counter()
    head = verify_checkpoint((folder / "checkpoint").read_text(), log)
    figures = _newest(read, head.size, head.root) if what == "newest" else _whole(read, head.size, head.root, began)
    return {**figures, "mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def _whole(read: Read, size: int, root: bytes, began: float) -> dict[str, float]:
    audit = audit_tree(read, size, root)
    tree = time.perf_counter() - began
    read_back = sum(parse_entry(data) is not None for data in audit.entries if data is not None)
    if audit.findings or read_back != size:
        raise RuntimeError(f"a clean log was found wrong: {audit.findings[:1]}")
    return {"tree_s": round(tree, 2), "forms_s": round(time.perf_counter() - began, 2)}


def _newest(read: Read, size: int, root: bytes) -> dict[str, float]:
    older = read("older") or b""
    began = time.perf_counter()
    audit = audit_growth(read, max(0, size - NEWEST), older, size, root)
    if audit.findings:
        raise RuntimeError(f"a clean log was found wrong: {audit.findings[:1]}")
    return {"newest_s": round(time.perf_counter() - began, 3)}


# --- beside it ----------------------------------------------------------------------------------------


def _pymerkle(size: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The same leaves in pymerkle's tree in memory: it has no checkpoints, and its SQLite tree commits one by one."""
    try:
        from pymerkle import InmemoryTree  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        say("pymerkle is not installed: nothing to compare with")
        return {"pymerkle": "not installed"}
    say("the same in pymerkle, in memory")
    tree, chance, times = InmemoryTree(algorithm="sha256"), random.Random(7), []
    began = time.perf_counter()
    for number in range(size):
        tree.append_entry(entry(number))
    seconds = time.perf_counter() - began
    for number in [chance.randrange(size) for _ in range(100)]:
        began = time.perf_counter()
        tree.prove_inclusion(number + 1)
        times.append(time.perf_counter() - began)
    return {
        "pymerkle_append_per_s": round(size / seconds),
        "pymerkle_proof_ms": round(1000 * statistics.median(times), 3),
    }


def measure_apart(*, quick: bool) -> dict[str, Any]:
    """The same in a process of its own: a log that grew, and pymerkle's tree, are no company for another clock."""
    command = [sys.executable, "-m", "exercises.bench_log", "all", *(["--quick"] if quick else [])]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=here(), check=True)
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def _say(what: str) -> None:
    sys.stderr.write(f"bench: {what}\n")


def main(arguments: Sequence[str]) -> None:
    """``all [--quick]``, or ``whole|newest FOLDER ED25519 MLDSA44``: one JSON document on standard output."""
    from keys.signing import ED25519, ML_DSA_44, PublicKey

    if arguments[0] == "all":
        with tempfile.TemporaryDirectory() as folder:
            directory = found(2, START).directory
            size = QUICK if "--quick" in arguments else SIZE
            document = measure(Path(folder) / "log", directory, size, _say)
    else:
        what, folder, ed25519, mldsa44 = arguments
        keys = PublicKey(ED25519, bytes.fromhex(ed25519)), PublicKey(ML_DSA_44, bytes.fromhex(mldsa44))
        document = verify(what, Path(folder), LogIdentity(ORIGIN, *keys))
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
