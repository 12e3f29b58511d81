"""The documents are current: links lead somewhere, named files exist, and each command shown can be given."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

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


@pytest.fixture(scope="module")
def ix() -> click.Command:
    import ix

    return typer.main.get_command(ix.app)


def resolve(root: click.Command, words: list[str]) -> tuple[click.Command, list[str]]:
    """Follow the words of a command line down to the command they name, and what is left over."""
    command, rest = root, list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise AssertionError(f"`ix {' '.join(words)}`: there is no `{rest[0]}`")
        command, rest = found, rest[1:]
    return command, rest


def test_every_ix_command_that_is_shown_exists_with_its_options(ix: click.Command) -> None:
    for document in documents():
        for line in commands(document.read_text(encoding="utf-8")):
            words = shlex.split(line)
            starts = [at for at, word in enumerate(words) if word in {"ix", ".venv/bin/ix"}]
            if not starts:
                continue
            command, rest = resolve(ix, words[starts[0] + 1 :])
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
            options = {word.split("=")[0] for word in rest if word.startswith("--")}
            assert sorted(options - known) == [], f"{document.name}: {line}"


def leaves(command: click.Command, path: str = "ix") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from leaves(found, f"{path} {name}")
    else:
        yield path, command


def test_every_command_explains_itself_with_an_example(ix: click.Command) -> None:
    bare = [
        path
        for path, command in leaves(ix)
        if f"{path}" not in f"{command.help or ''} {command.epilog or ''}" or not command.help
    ]
    assert bare == []


def test_the_promised_commands_are_there(ix: click.Command) -> None:
    promised = (
        "demo|broker serve|node serve|keys init|keys enrol|keys rotate|keys revoke|keys show|agreement new|"
        "agreement sign|agreement show|agreement check|send|inbox|audit export|audit verify|seal|open|inspect"
    )
    paths = {path for path, _ in leaves(ix)}
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
