"""One command joins every room's, helps everywhere, and says where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from ix import app

SPEC = (Path(__file__).resolve().parents[1] / "spec" / "cli.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its words: ``audit verify``."""

    def walk(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
        for name, command in group.commands.items():
            path = f"{words} {name}".strip()
            if hasattr(command, "commands"):
                yield from walk(command, path)  # type: ignore[arg-type]
            else:
                yield path, command

    yield from walk(typer.main.get_command(app), "")  # type: ignore[arg-type]


NAMES = [name for name, _ in commands()]


def test_the_rooms_are_joined() -> None:
    assert {"demo", "bench", "send", "inbox", "seal", "open", "inspect", "broker serve", "node serve"} <= set(NAMES)
    assert {f"keys {name}" for name in ("init", "enrol", "rotate", "revoke", "show")} <= set(NAMES)
    assert {f"agreement {name}" for name in ("new", "sign", "show", "check")} <= set(NAMES)
    assert {"audit export", "audit verify", "federation init"} <= set(NAMES)


@pytest.mark.spec("CLI-1")
@pytest.mark.parametrize("name", NAMES)
def test_every_command_helps_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "Example: ix " in shown.output
    assert f"ix {name}" in " ".join(shown.output.split())


@pytest.mark.spec("CLI-2")
@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_spec(name: str) -> None:
    assert f"`ix {name}`" in SPEC


@pytest.mark.spec("CLI-2")
def test_the_spec_names_no_command_that_does_not_exist() -> None:
    written = set(re.findall(r"^\| `ix ([a-z -]+)`", SPEC, flags=re.MULTILINE))
    assert written == set(NAMES)


@pytest.mark.spec("CLI-3")
@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["nonsense"], ["audit", "verify"], ["seal"], ["keys", "nonsense"]]
)
def test_misuse_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.spec("CLI-5")
def test_no_command_takes_a_passphrase_as_an_argument() -> None:
    for name, command in commands():
        for parameter in command.params:
            for option in parameter.opts:
                assert "passphrase" not in option or option.endswith("-file"), f"ix {name} {option}"


def test_help_says_that_it_is_a_simulation() -> None:
    assert "SIMULATION" in CliRunner().invoke(app, ["--help"]).output


def test_it_says_its_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, bool(re.fullmatch(r"ix \d+\.\d+\.\d+\n", shown.stdout))) == (0, True)
