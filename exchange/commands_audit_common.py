"""What every command of ``ix audit`` shares: where an export is read from, and how what is wrong with it is said."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from keys.encoding import instant
from keys.errors import Refusal

FOUND: Final = 1
UNREADABLE: Final = 3
MAX_FILE: Final = 256 * 1024 * 1024
DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

Folder = Annotated[Path, typer.Argument(help="The exported folder.")]
Fed = Annotated[str, typer.Option("--federation", "--fed", envvar="IX_FED", help="The pinned id of the federation.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
At = Annotated[str, typer.Option(help="Judge the root's expiry as of 2026-11-21T16:20:00Z; else now.")]


class Unreadable(Exception):
    """What was named does not exist, does not answer, or is no log (exit code 3)."""


def pinned(federation: str) -> str:
    """The federation's id, if it can be one."""
    if not DIGEST.fullmatch(federation):
        raise typer.BadParameter("a federation id is 43 characters: the demo prints it, and so does what founds one")
    return federation


def moment(at: str) -> datetime:
    """The instant that an option names, or now."""
    try:
        return instant(at) if at else datetime.now(UTC)
    except Refusal:
        raise typer.BadParameter(f"--at takes an instant such as 2026-11-21T16:20:00Z, not `{at}`") from None


def open_plainly(path: Path) -> BinaryIO:
    """Open a file that somebody handed in: no link, no pipe and no device, that would lead elsewhere or never end."""
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError
    if not stat.S_ISREG(kind) or path.resolve() != path:
        raise Unreadable(f"`{path}` is a link, or no file: nothing is read through it")
    return path.open("rb")


def reader(folder: Path) -> Callable[[str], bytes | None]:
    """Reads an export's files; nothing where there is none."""
    if not folder.is_dir():
        raise Unreadable(f"there is no folder `{folder}`")

    inside = folder.resolve()

    def read(path: str) -> bytes | None:
        try:
            file = open_plainly(inside / path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except (OSError, ValueError) as wrong:  # a name of another system, or a ring of links
            raise Unreadable(f"`{inside / path}` cannot be read: {wrong}") from None
        with file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise Unreadable(f"`{inside / path}` is larger than any file of an export")
        return data

    return read


@contextmanager
def reading() -> Iterator[None]:
    """What cannot be read is one sentence on standard error and exit code 3."""
    from exchange.broker.store import BooksDamaged, unreadable

    try:
        yield
    except (Unreadable, Refusal) as wrong:
        said = str(wrong)
    except typer.BadParameter:
        raise
    except OSError as wrong:
        said = f"`{wrong.filename}`: {wrong.strerror}"
    except Exception as wrong:
        if not isinstance(wrong, BooksDamaged) and not unreadable(wrong.__cause__ or wrong):
            raise
        said = f"the broker's books cannot be read: {wrong.__cause__ or wrong}"
    else:
        return
    typer.echo(said, err=True)
    raise typer.Exit(UNREADABLE)
