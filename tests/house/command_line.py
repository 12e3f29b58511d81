"""The `ix` command as its library sees it, for the tests that hold documents and configuration against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer


def root() -> Any:
    """The whole command, every room's app joined."""
    import ix

    return typer.main.get_command(ix.app)


def unknown(words: Sequence[str]) -> list[str]:
    """What `ix` would not understand of these words: a command that is not there, or options it does not have."""
    command, rest = root(), list(words)
    while (inner := getattr(command, "commands", None)) is not None and rest and not rest[0].startswith("-"):
        if rest[0] not in inner:
            return [rest[0]]
        command, rest = inner[rest[0]], rest[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return sorted({word.split("=")[0] for word in rest if word.startswith("--")} - known)


def leaves(command: Any, path: str = "ix") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that name it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    else:
        for name, one in inner.items():
            yield from leaves(one, f"{path} {name}")
