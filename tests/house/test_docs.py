"""The documents are current: links lead somewhere, named files exist, and each command shown can be given."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.command_line import leaves, root, unknown

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
CONSOLE = re.compile(r"^```(?:console|sh)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`((?:keys|exchange|agencies|exercises|spec|docs|tests)/[\w./-]*|[\w-]+\.(?:md|toml|yml|txt|py))`")


def documents() -> list[Path]:
    folders = (REPOSITORY, REPOSITORY / "docs", REPOSITORY / "docs" / "adr", REPOSITORY / "spec")
    return [path for folder in folders for path in sorted(folder.glob("*.md"))]


def commands(text: str) -> Iterator[str]:
    """Each command of the console blocks, without prompt and comment; `\\` joins lines."""
    for block in CONSOLE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield line.removeprefix("$ ").split(" #")[0].strip()


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_to_something(document: Path) -> None:
    targets = [link.split("#")[0] for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in targets if link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_file_that_is_named_exists(document: Path) -> None:
    """A name without a folder may be of the document's own folder, or of any room (`store.py`)."""
    missing = []
    for name in FILE.findall(document.read_text(encoding="utf-8")):
        here = (REPOSITORY / name).exists() or (document.parent / name).exists()
        if not here and ("/" in name or not any(REPOSITORY.glob(f"[a-z]*/**/{name}"))):
            missing.append(name)
    assert missing == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    for document in documents():
        text = document.read_text(encoding="utf-8")
        shown = [shlex.split(command) for command in commands(text)]
        named = {words[1] for words in shown if words[0] == "make" and len(words) > 1}
        named |= set(re.findall(r"`make ([a-z]+)", text))
        assert sorted(named - targets) == [], document.name


def test_every_make_target_says_what_it_is_for() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: ([a-z]+)$", makefile, flags=re.MULTILINE)
    described = re.findall(r"^([a-z]+):.*## ", makefile, flags=re.MULTILINE)
    assert sorted(phony) == sorted(described)


def test_every_ix_command_that_is_shown_exists_with_its_options() -> None:
    wrong = {}
    for document in documents():
        for line in commands(document.read_text(encoding="utf-8")):
            words = shlex.split(line)
            starts = [at for at, word in enumerate(words) if word in {"ix", ".venv/bin/ix"}]
            if starts and (found := unknown(words[starts[0] + 1 :])):
                wrong[f"{document.name}: {line}"] = found
    assert wrong == {}


def test_every_command_explains_itself_with_an_example() -> None:
    bare = [
        path
        for path, command in leaves(root())
        if not command.help or path not in f"{command.help} {command.epilog or ''}"
    ]
    assert bare == []


def test_the_promised_commands_are_there() -> None:
    promised = (
        "demo|broker serve|node serve|keys init|keys enrol|keys rotate|keys revoke|keys show|agreement new|"
        "agreement sign|agreement show|agreement check|send|inbox|audit export|audit verify|seal|open|inspect"
    )
    paths = {path for path, _ in leaves(root())}
    assert sorted({f"ix {one}" for one in promised.split("|")} - paths) == []


def test_the_landing_check_is_the_command_a_person_runs() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")
    assert "</dev/null" in script.read_text(encoding="utf-8")


def test_the_readme_says_first_what_this_is_not_for() -> None:
    opening = (REPOSITORY / "README.md").read_text(encoding="utf-8")[:1200].lower()
    assert "simulation" in opening
    assert "synthetic data only" in opening
