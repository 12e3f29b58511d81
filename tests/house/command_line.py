"""The `ix` command as click sees it, for the tests that hold documents and configuration against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import typer


def root() -> click.Command:
    """The whole command, every room's app joined."""
    import ix

    return typer.main.get_command(ix.app)


def unknown(words: Sequence[str]) -> list[str]:
    """What `ix` would not understand of these words: a command that is not there, or options it does not have."""
    command, rest = root(), list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return [rest[0]]
        command, rest = found, rest[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return sorted({word.split("=")[0] for word in rest if word.startswith("--")} - known)


def leaves(command: click.Command, path: str = "ix") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that name it."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from leaves(found, f"{path} {name}")
    else:
        yield path, command
