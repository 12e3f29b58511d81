"""Write the vectors of the three books: ``python -m tests.vectors.make_books``.

``books/honest`` is the log and the ledgers of three agencies as they were handed in, ``books/lying`` the same with
several lies in them, and ``books/expected.json`` what a reconciliation says of both (LOG-103), and of the first with
one thing edited: who, under which code. Keys are fixed; ML-DSA draws its own randomness, so every run writes other
signatures. Run it when the format changes, and at no other time.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from exchange.commands_audit import app
from keys.encoding import stamp
from tests.vectors.books import LIES, OWNERS, Books, days, made
from tests.vectors.logbook import Export
from tests.vectors.make_log import NOTICE
from tests.vectors.stage import SOUTH

FOLDER: Final = Path(__file__).parent / "books"
TOGETHER: Final = (
    "the sender leaves out a denial",
    "the sender names another purpose",
    "the recipient leaves out an opening",
    "exported without a reason",
    "its own act left out",
    "an act told to it that says otherwise",
    "an erasure by a recall that was none",
    "opened after it was erased",
    "the broker makes a disclosure up",
)
"""Lies of several, about different things: none hides another."""


def lying() -> Books:
    """All of these lies in one history."""
    on = days()
    for name in TOGETHER:
        LIES[name](on)
    return on.close()


def write(files: Export, folder: Path) -> None:
    """The folders as they are handed in."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def arguments(folder: Path, on: Books) -> list[str]:
    """What either command is asked."""
    given = [said for agency in OWNERS for said in ("--ledger", str(folder / agency))]
    return ["reconcile", str(folder / "log"), f"--fed={on.log.on.fed}", "--at", stamp(on.log.now), *given]


def reconciled(folder: Path, on: Books) -> dict[str, Any]:
    """What our command says of these folders."""
    result = CliRunner().invoke(app, [*arguments(folder, on), "--json"])
    assert result.exit_code in (0, 1), result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def charges(said: dict[str, Any]) -> list[list[str]]:
    """Who is charged, under which code; the same twice where it is about two things."""
    return sorted([one["code"], one["who"]] for one in said["findings"])


def edits(on: Books) -> list[dict[str, Any]]:
    """One text to replace in one file of the honest books, once."""
    kept = f"{SOUTH}/proofs/{on.named['kept']}.json"
    acts = next(name for name in on.shown if name.startswith(f"{SOUTH}/tile/entries/"))
    size = len(on.ledgers[SOUTH])
    return [
        {"file": acts, "find": '"act":"export"', "replace": '"act":"review"'},
        {"file": f"{SOUTH}/checkpoint", "find": f"\n{size}\n", "replace": f"\n{size - 1}\n"},
        {"file": kept, "find": "index ", "replace": "index 1"},
        {"file": kept, "find": '"typ":"held-proof"', "replace": '"typ":"held-pr00f"'},
        {"file": kept, "find": '"manifest":"ey', "replace": '"manifest":"ez'},
    ]


def edited(files: Export, edit: dict[str, Any]) -> Export:
    """The same with one edit made."""
    data = files[edit["file"]]
    assert edit["find"].encode() in data, edit
    return {**files, edit["file"]: data.replace(edit["find"].encode(), edit["replace"].encode(), 1)}


def main() -> None:
    """Write everything afresh."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    document: dict[str, Any] = {"notice": NOTICE, "ledgers": list(OWNERS)}
    honest = made("nobody lies")
    for name, on in (("honest", honest), ("lying", lying())):
        write(on.shown, FOLDER / name)
        said = reconciled(FOLDER / name, on)
        members = ("clean", "log", "ledgers", "not_handed_in", "on_its_way")
        document[name] = {"fed": on.log.on.fed, "now": stamp(on.log.now), **{one: said[one] for one in members}}
        document[name]["charges"] = charges(said)
    document["edits"] = []
    for edit in edits(honest):
        with tempfile.TemporaryDirectory() as folder:
            write(edited(honest.shown, edit), Path(folder))
            found = charges(reconciled(Path(folder), honest))
        document["edits"].append({**edit, "charges": found})
    (FOLDER / "expected.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
