"""Write the vectors of the log: ``python -m tests.vectors.make_log``.

``log/export`` is the export of a short history, ``log/expected.json`` what an auditor must say of it, as it is and
with one thing edited, and of ``log/lies``, the export of a broker that signed what the rules do not allow;
``log/evidence.json`` is a file of evidence from the first of the two.
``log/tree.json`` has roots and proofs over numbered entries, for tree arithmetic alone. Keys are fixed; ML-DSA draws
its own randomness, so every run writes other signatures. Run it when the format changes, and at no other time.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from exchange.audit.bundle import write_evidence
from exchange.audit.export import examine_export, statement_path
from exchange.protocol.entry import ActEntry, parse_entry
from exchange.protocol.log import vkeys
from exchange.protocol.merkle import Tree, leaf_hash, tile_path, tiles
from keys.encoding import b64u, stamp
from tests.vectors.logbook import Export, Logbook, lies, story
from tests.vectors.stage import NORTH, SOUTH

FOLDER: Final = Path(__file__).parent / "log"
NOTICE: Final = "TEST VECTORS. Every private key here is public. SIMULATION - synthetic data only."
SIZES: Final = (0, 1, 2, 3, 7, 8, 255, 256, 257, 300, 511, 65_536, 70_000)
INCLUSIONS: Final = (
    (0, 1),
    (0, 2),
    (1, 3),
    (6, 7),
    (255, 256),
    (256, 257),
    (13, 300),
    (69_999, 70_000),
    (4_242, 70_000),
)
CONSISTENCIES: Final = ((1, 2), (3, 7), (255, 256), (256, 257), (256, 70_000), (300, 511), (65_536, 70_000))


def edits(book: Logbook) -> list[dict[str, Any]]:
    """One text to replace in one file of the export, once, and the codes and entries of what must be found."""
    size = len(book.entries)
    entries, tile = f"tile/entries/000.p/{size}", f"tile/0/000.p/{size}"
    consent, recall = (_act(book, kind) for kind in ("consent", "recall"))
    head = next(name for name in book.statements if name.startswith("heads/"))
    agreement = f"agreements/{book.agreement}.json"
    checkpoint = "checkpoint"
    return [
        {"file": entries, "find": '"info_request"', "replace": '"info_partial"', "findings": [["entry_altered", 8]]},
        {"file": entries, "find": '"detect"', "replace": '"mislay"', "findings": [["entry_altered", 16]]},
        {"file": entries, "find": SOUTH, "replace": NORTH, "findings": [["entry_altered", 3]]},
        {"file": tile, "find": None, "replace": None, "findings": [["file_missing", None]]},
        {"file": agreement, "find": None, "replace": None, "findings": [["file_missing", 7]]},
        {
            "file": entries,
            "find": '"source_protection"',
            "replace": '"source_prediction"',
            "findings": [["entry_altered", 27]],
        },
        {"file": consent, "find": None, "replace": None, "findings": [["file_missing", 26]]},
        {
            "file": consent,
            "find": "eyJ",
            "replace": "eyK",
            "findings": [["act_refused", 26]],
        },
        {"file": recall, "find": None, "replace": None, "findings": [["file_missing", 30]]},
        {"file": head, "find": None, "replace": None, "findings": [["file_missing", 33]]},
        {"file": head, "find": "\n9\n", "replace": "\n8\n", "findings": [["head_refused", 33]]},
        {"file": entries, "find": '"size":9', "replace": '"size":8', "findings": [["entry_altered", 33]]},
        {
            "file": checkpoint,
            "find": f"sim/log\n{size}",
            "replace": f"sin/log\n{size}",
            "findings": [["checkpoint_refused", None]],
        },
        {"file": "trust.json", "find": "eyJ", "replace": "eyK", "findings": [["trust_refused", None]]},
    ]


def _act(book: Logbook, kind: str) -> str:
    """The file of the one act of this kind."""
    said = [parse_entry(entry) for entry in book.entries]
    return next(statement_path("acts", e.statement) for e in said if isinstance(e, ActEntry) and e.act == kind)


def apply(files: Export, edit: dict[str, Any]) -> Export:
    """The export with one edit made; a file whose edit replaces nothing is taken away."""
    data = files[edit["file"]]
    rest = {name: held for name, held in files.items() if name != edit["file"]}
    if edit["find"] is None:
        return rest
    assert edit["find"].encode() in data, edit
    return {**rest, edit["file"]: data.replace(edit["find"].encode(), edit["replace"].encode(), 1)}


def arithmetic() -> dict[str, Any]:
    """Roots, widths and proofs over the entries "entry 0", "entry 1" and so on."""
    stored: dict[tuple[int, int], bytes] = {}
    tree = Tree(lambda level, n: stored[level, n])
    for row in tree.append([leaf_hash(f"entry {i}".encode()) for i in range(max(SIZES))]):
        stored[row.level, row.index] = row.hashes
    return {
        "notice": NOTICE,
        "entries": "entry i is the text `entry <i>` in ASCII; hashes are base64url",
        "roots": {str(size): b64u(tree.root(size)) for size in SIZES},
        "edge": {
            str(size): [tile_path(*one) for one in tiles(size) if one[2] < 256] for size in SIZES
        },
        "inclusion": [
            {"index": i, "size": n, "proof": [b64u(h) for h in tree.inclusion(i, n)]} for i, n in INCLUSIONS
        ],
        "consistency": [
            {"old": m, "size": n, "proof": [b64u(h) for h in tree.consistency(m, n)]} for m, n in CONSISTENCIES
        ],
    }  # fmt: skip


def expected(book: Logbook, files: Export, lying: Logbook, theirs: Export) -> dict[str, Any]:
    """What an auditor must say; of ``lies``, which only the rules tell from an honest log, each lie and no more."""
    report = book.audit(files)
    assert report.clean
    listed = []
    for edit in edits(book):
        found = [[finding.code, finding.index] for finding in book.audit(apply(files, edit)).findings]
        assert found == edit["findings"], (edit, found)
        listed.append(edit)
    return {
        "notice": NOTICE,
        "fed": book.on.fed,
        "now": stamp(book.now),
        "vkeys": list(vkeys(book.on.log.identity)),
        "report": report.to_json(),
        "edits": listed,
        "lies": {"now": stamp(lying.now), "report": lying.audit(theirs).to_json()},
    }


def main() -> None:
    """Write everything afresh."""
    book, lying = story(), lies()
    files, theirs = book.export(), lying.export()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for folder, export in (("export", files), ("lies", theirs)):
        for name, data in export.items():
            path = FOLDER / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    for name, document in (("expected.json", expected(book, files, lying, theirs)), ("tree.json", arithmetic())):
        (FOLDER / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "evidence.json").write_bytes(evidence(book, files))


def evidence(book: Logbook, files: Export) -> bytes:
    """A file of evidence about the message of the story that was passed on and recalled."""
    log = examine_export(files.get, fed=book.on.fed, now=book.now)
    return write_evidence(files.get, log, [log.report.disclosures[4].entry.msg])


if __name__ == "__main__":
    main()
