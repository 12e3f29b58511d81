"""``ix audit``: export a log, and verify an export with no server running (`spec/log.md`, LOG-50 to LOG-52).

``export`` copies what an auditor needs into a folder and believes none of it; ``verify`` believes nothing
but the federation id it is given. Over HTTP a broker shows checkpoint, tiles and entries to anybody, and
nothing else: the directory and the signed statements then come from whoever has them (``--trust``,
``--statements``), or from an export that a web server shows as files (``log_over_http``). From a broker's
home folder everything is exported; the books are only read.

Exit codes: 0 clean, or exported; 1 ``verify`` found something wrong; 2 the command was misused; 3 what was
named cannot be read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console

from exchange.audit.export import CHECKPOINT, TRUST, statement_path, verify_export
from exchange.audit.shards import SHARDS
from exchange.commands_audit_bundle import app as evidence
from exchange.commands_audit_common import (
    DIGEST,
    FOUND,
    At,
    Fed,
    Folder,
    Json,
    Unreadable,
    moment,
    pinned,
    reader,
    reading,
)
from exchange.commands_audit_evidence import app as contradictions
from exchange.commands_audit_page import app as pages
from exchange.commands_audit_questions import app as questions
from exchange.commands_audit_reconcile import app as reconciling
from exchange.commands_audit_showing import show
from exchange.log_over_http import File, from_url, size_of
from exchange.protocol.log import bundle
from exchange.protocol.merkle import HASH, WIDTH, bundles, entries_path, tile_path, tiles
from exchange.protocol.quorum import parse_policy

app = typer.Typer(
    name="audit",
    help="Check the log: export it, verify it with no server running, hold ledgers against it, and ask it questions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

STATEMENTS: Final = ("agreements", "notices", "acts", "receipts", "heads")


# --- export -------------------------------------------------------------------------------------------


@app.command("export", epilog="Example: ix audit export --from broker-home --out evidence")
def export(
    source: Annotated[str, typer.Option("--from", help="A broker's home folder, or the URL of a broker or of a log.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="A new or empty folder.")],
    trust: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The federation's trust.json; for a URL.")
    ] = None,
    statements: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="A folder with `agreements`, `notices`, `acts` and `heads`; for a URL."
        ),
    ] = None,
) -> None:
    """Copy checkpoint, tiles, entries, directory and signed statements into a folder, as an auditor needs them.

    Nothing is verified here: that is what `ix audit verify` is for, later and elsewhere.
    """
    try:
        if out.exists() and any(out.iterdir()):
            raise typer.BadParameter(f"`{out}` is not empty: an export goes into a folder of its own")
    except OSError as wrong:
        raise typer.BadParameter(f"`{out}` cannot be used: {wrong.strerror}") from None
    with reading():
        if source.startswith(("http://", "https://")):
            files: Iterable[File] = from_url(source.rstrip("/"))
        else:
            files = _from_home(Path(source))
        count = _write(out, files)
        count += _write(out, _given(trust, statements))
    typer.echo(f"{count} files in `{out}`; check them with: ix audit verify {out} --fed=ID")


def _write(out: Path, files: Iterable[File]) -> int:
    count = 0
    for name, data in files:
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as wrong:
            raise typer.BadParameter(f"`{path}` cannot be written: {wrong.strerror}") from None
        count += 1
    return count


def _given(trust: Path | None, statements: Path | None) -> Iterator[File]:
    if trust is not None:
        yield TRUST, trust.read_bytes()
    for kind in STATEMENTS if statements is not None else ():
        for path in sorted((statements / kind).glob("*")):  # type: ignore[operator]  # not None in this loop
            if statement_path(kind, path.name.removesuffix(".json")) == f"{kind}/{path.name}":
                yield f"{kind}/{path.name}", path.read_bytes()


def _from_home(home: Path) -> Iterator[File]:
    """Everything, as the books have it in one instant, right or wrong; auditing comes later."""
    from exchange.broker.settings import POLICY
    from exchange.broker.store import Store

    database = home / "broker.db"
    if not database.is_file():
        raise Unreadable(f"`{home}` is no broker's home: it has no `broker.db`")
    store = Store(database)
    try:
        with store.reading() as view:
            yield from _from_books(view, with_policy=(home / POLICY).exists())
    except (AttributeError, TypeError, struct.error):  # somebody put something else where bytes or texts were
        raise Unreadable(f"the books in `{database}` hold values of another kind than a broker writes") from None
    finally:
        store.close()


class _Shard(NamedTuple):
    """A tree to be exported: its folder, its first entry's number, how many it has, and the checkpoint over them."""

    prefix: str
    base: int
    size: int
    note: str


def _shards(view: Any, *, with_policy: bool) -> list[_Shard]:
    """The trees as far as they are published: what comes behind an end that nobody has witnessed is not shown yet."""
    head, found = view.head(), list[_Shard]()
    for base, origin, end, signed in (*view.closed(), (head.base, head.origin, head.size, head.checkpoint)):
        published = view.published(base) if with_policy else None
        if with_policy and published is None and found:
            break
        note = published[1] if published else signed
        prefix = f"{origin.rpartition('/')[2]}/" if found else ""
        found.append(_Shard(prefix, base, size_of(note.encode()), note))
        if base + found[-1].size != end:
            break
    return found


def _from_books(view: Any, *, with_policy: bool) -> Iterator[File]:
    shards = _shards(view, with_policy=with_policy)
    size = shards[-1].base + shards[-1].size
    published = with_policy and view.published() is not None
    if years := "".join(f"{one.prefix[:-1]}\n" for one in shards[1:]):
        yield SHARDS, years.encode()
    for one in shards:
        yield from _tree(view, one)

    def under(rows: Iterable[Any]) -> Iterator[Any]:
        """What was logged behind a published checkpoint is of the next export (WIT-45)."""
        return (row for row in rows if not published or getattr(row, "seq", None) is None or row.seq < size)

    rows = {kind: ",".join(r.jws for r in under(view.trust()) if r.kind == kind) for kind in ("root", "record")}
    yield TRUST, f'{{"roots":[{rows["root"]}],"records":[{rows["record"]}]}}'.encode()
    statements = {
        "agreements": view.agreements(),
        "notices": view.notices(),
        "acts": view.acts(),
        "receipts": view.batches(),
        "heads": view.heads(),
    }
    for kind, rows_of_kind in statements.items():
        for row in under(rows_of_kind):
            if DIGEST.fullmatch(row.digest):  # it becomes a file's name
                yield statement_path(kind, row.digest), (row.note if kind == "heads" else row.jws).encode()


def _tree(view: Any, one: _Shard) -> Iterator[File]:
    yield one.prefix + CHECKPOINT, one.note.encode()
    for level, n, width in tiles(one.size):
        yield one.prefix + tile_path(level, n, width), view.tile(level, n, one.base)[: width * HASH]
    for n, width in bundles(one.size):
        first = one.base + n * WIDTH
        entries = view.entries(first, first + width)
        yield one.prefix + entries_path(n, width), bundle(entries) if entries else b""


# --- verify -------------------------------------------------------------------------------------------


@app.command("verify", epilog="Example: ix audit verify evidence --fed=$FED")
def verify(
    folder: Folder,
    federation: Fed,
    as_json: Json = False,
    at: At = "",
    rows: Annotated[int, typer.Option(min=0, help="Rows shown of each table; 0 shows all.")] = 50,
    answer_within: Annotated[
        int,
        typer.Option(
            min=0, help="Hours of silence about a recall, an erasure or an acknowledgement, until it is noted."
        ),
    ] = 72,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A tlog-policy: which witnesses must have seen the checkpoint."),
    ] = None,
) -> None:
    """Verify every entry of an export, and say who disclosed what to whom under which clause."""
    pinned(federation)
    now = moment(at)
    with reading():
        within = timedelta(hours=answer_within)
        quorum = parse_policy(policy.read_bytes()) if policy else None
        report = verify_export(reader(folder), fed=federation, now=now, answer_within=within, policy=quorum)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        show(report, Console(), rows)
    if not report.clean:
        raise typer.Exit(FOUND)


for verbs in (questions, pages, reconciling, evidence, contradictions):  # the other groups of verbs stand beside these
    app.registered_commands.extend(verbs.registered_commands)
