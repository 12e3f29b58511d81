"""``ix audit``: export a log, and verify an export with no server running (`spec/log.md`, LOG-50 to LOG-52).

``export`` copies what an auditor needs into a folder and believes none of it; ``verify`` believes nothing
but the federation id it is given. Over HTTP a log shows checkpoint, tiles and entries to anybody, and
nothing else: the directory and the signed statements then come from whoever has them (``--trust``,
``--statements``). From a broker's home folder everything is exported; the books are only read.

Exit codes: 0 clean, or exported; 1 ``verify`` found something wrong; 2 the command was misused; 3 what was
named cannot be read.
"""

from __future__ import annotations

import json
import re
import struct
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from exchange.protocol.act import Act, Answer
from exchange.protocol.audit import CHECKPOINT, TRUST, AuditReport, statement_path, verify_export
from exchange.protocol.entry import DenialEntry, DisclosureEntry
from exchange.protocol.log import bundle, unverified_checkpoint
from exchange.protocol.merkle import HASH, WIDTH, bundles, entries_path, tile_path, tiles
from keys.commands import plain
from keys.encoding import instant, stamp
from keys.errors import Refusal

app = typer.Typer(
    name="audit",
    help="Check the log: export it, and verify an export with no server running.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FOUND: Final = 1
UNREADABLE: Final = 3
STATEMENTS: Final = ("agreements", "notices", "acts", "receipts")
TIMEOUT: Final = 30.0
MAX_ANSWER: Final = 4 * 1024 * 1024
"""More than the largest tile or bundle; a log that answers with more is not read further."""

_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

File = tuple[str, bytes]
"""A file of an export: its path inside it, and what it holds."""


class Unreadable(Exception):
    """What was named does not exist, does not answer, or is no log (exit code 3)."""


# --- export -------------------------------------------------------------------------------------------


@app.command("export", epilog="Example: ix audit export --from broker-home --out evidence")
def export(
    source: Annotated[str, typer.Option("--from", help="A broker's home folder, or the URL of a broker.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="A new or empty folder.")],
    trust: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The federation's trust.json; for a URL.")
    ] = None,
    statements: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder with `agreements`, `notices` and `acts`; for a URL."),
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
    with _reading():
        if source.startswith(("http://", "https://")):
            files: Iterable[File] = _from_url(source.rstrip("/"))
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
        for path in sorted((statements / kind).glob("*.json")):  # type: ignore[operator]  # not None in this loop
            yield f"{kind}/{path.name}", path.read_bytes()


def _size(checkpoint: bytes) -> int:
    try:
        return unverified_checkpoint(checkpoint.decode("utf-8", errors="replace"))[1]
    except Refusal as refusal:
        raise Unreadable(f"the checkpoint says no size: {refusal.sentence}") from None


def _from_url(url: str) -> Iterator[File]:
    """What a broker shows everybody, under the checkpoint of the moment; the log may grow meanwhile."""
    checkpoint = _get(f"{url}/log/{CHECKPOINT}")
    yield CHECKPOINT, checkpoint
    size = _size(checkpoint)
    for level, n, width in tiles(size):
        yield from _either(url, tile_path(level, n, width), tile_path(level, n), width, lambda d, w: d[: w * HASH])
    for n, width in bundles(size):
        yield from _either(url, entries_path(n, width), entries_path(n), width, _first)


def _either(url: str, path: str, full: str, width: int, cut: Callable[[bytes, int], bytes]) -> Iterator[File]:
    """A partial tile, or as much of the full one if the log has outgrown the partial one (tlog-tiles)."""
    try:
        yield path, _get(f"{url}/log/{path}")
    except Unreadable:
        if path == full:
            raise
        yield path, cut(_get(f"{url}/log/{full}"), width)


def _first(data: bytes, width: int) -> bytes:
    at = 0
    for _ in range(width):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return data[:at]


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310  # http or https only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            data: bytes = answer.read(MAX_ANSWER + 1)
    except urllib.error.HTTPError as wrong:
        wrong.close()  # an answer like any other, with a connection behind it
        raise Unreadable(f"`{url}` cannot be read: the server answers {wrong.code}") from None
    except (urllib.error.URLError, OSError, ValueError) as wrong:
        raise Unreadable(f"`{url}` cannot be read: {getattr(wrong, 'reason', wrong)}") from None
    if len(data) > MAX_ANSWER:
        raise Unreadable(f"`{url}` answers with more than {MAX_ANSWER} bytes")
    return data


def _from_home(home: Path) -> Iterator[File]:
    """Everything, as the books have it in one instant, right or wrong; auditing comes later."""
    from exchange.broker.store import Store

    database = home / "broker.db"
    if not database.is_file():
        raise Unreadable(f"`{home}` is no broker's home: it has no `broker.db`")
    store = Store(database)
    try:
        with store.reading() as view:
            yield from _from_books(view)
    except (AttributeError, TypeError, struct.error):  # somebody put something else where bytes or texts were
        raise Unreadable(f"the books in `{database}` hold values of another kind than a broker writes") from None
    finally:
        store.close()


def _from_books(view: Any) -> Iterator[File]:
    head = view.head()
    yield CHECKPOINT, head.checkpoint.encode()
    size = _size(head.checkpoint.encode())
    rows = {kind: ",".join(r.jws for r in view.trust() if r.kind == kind) for kind in ("root", "record")}
    yield TRUST, f'{{"roots":[{rows["root"]}],"records":[{rows["record"]}]}}'.encode()
    for level, n, width in tiles(size):
        yield tile_path(level, n, width), view.tile(level, n)[: width * HASH]
    for n, width in bundles(size):
        entries = view.entries(n * WIDTH, n * WIDTH + width)
        yield entries_path(n, width), bundle(entries) if entries else b""
    statements = {
        "agreements": view.agreements(),
        "notices": view.notices(),
        "acts": view.acts(),
        "receipts": view.batches(),
    }
    for kind, rows_of_kind in statements.items():
        for row in rows_of_kind:
            if _DIGEST.fullmatch(row.digest):  # it becomes a file's name
                yield statement_path(kind, row.digest), row.jws.encode()


# --- verify -------------------------------------------------------------------------------------------


@app.command("verify", epilog="Example: ix audit verify evidence --fed=$FED")
def verify(
    folder: Annotated[Path, typer.Argument(help="The exported folder.")],
    federation: Annotated[
        str, typer.Option("--federation", "--fed", envvar="IX_FED", help="The pinned id of the federation.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    at: Annotated[str, typer.Option(help="Judge the root's expiry as of 2026-11-21T16:20:00Z; else now.")] = "",
    rows: Annotated[int, typer.Option(min=0, help="Rows shown of each table; 0 shows all.")] = 50,
    answer_within: Annotated[
        int,
        typer.Option(
            min=0, help="Hours of silence about a recall, an erasure or an acknowledgement, until it is noted."
        ),
    ] = 72,
) -> None:
    """Verify every entry of an export, and say who disclosed what to whom under which clause."""
    if not _DIGEST.fullmatch(federation):
        raise typer.BadParameter("a federation id is the 43 characters that `ix keys init` printed")
    now = _instant(at)
    with _reading():
        if not folder.is_dir():
            raise Unreadable(f"there is no folder `{folder}`")
        within = timedelta(hours=answer_within)
        report = verify_export(_reader(folder), fed=federation, now=now, answer_within=within)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _show(report, Console(), rows)
    if not report.clean:
        raise typer.Exit(FOUND)


def _instant(at: str) -> datetime:
    try:
        return instant(at) if at else datetime.now(UTC)
    except Refusal:
        raise typer.BadParameter(f"--at takes an instant such as 2026-11-21T16:20:00Z, not `{at}`") from None


def _reader(folder: Path) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        try:
            return (folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    return read


@contextmanager
def _reading() -> Iterator[None]:
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


# --- shown to people ----------------------------------------------------------------------------------

_INDENT: Final = "       "
_IN_WORDS: Final = {
    "decided_again": "{} decided again here, from the agreements alone",
    "signed_receipts": "{} of the receipts checked against the signature of the agency that gave it",
    "unsigned_receipts": "{} unsigned receipts: the export lacks the signed batch, so only the log vouches for them",
    "not_judged": "{} entries not judged: they cannot be believed, or rest on one that cannot; nothing is said of them",
}


class _Page:
    """Lines for a console: broken between words only, and what continues a line stands under it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str = "", *, lead: str = "", style: str = "") -> None:
        """Print a text behind its lead; what is long goes on under it, and no word is broken."""
        lines = textwrap.wrap(
            plain(text), max(self._console.width, 40), initial_indent=plain(lead), subsequent_indent=" " * len(lead),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        for one in lines or [""]:
            self._console.print(Text(one, style=style), soft_wrap=True)

    def rest(self, items: Sequence[object], rows: int) -> None:
        """Say how many items were left out."""
        if rows and len(items) > rows:
            self.line(f"{len(items) - rows} more: --rows 0 shows all, --json gives everything")


def _show(report: AuditReport, console: Console, rows: int) -> None:
    page = _Page(console)
    _summary(report, page)
    _findings(report, page, rows)
    _disclosures(report, page, rows)
    _denials(report, page, rows)
    _followed(report, page, rows)
    page.line()
    if report.clean:
        page.line(
            "every entry is the one that was signed, and every decision follows from the agreements", lead="clean: "
        )
    else:
        wrong = sum(finding.severity == "error" for finding in report.findings)
        said = f"{wrong} finding{'s' if wrong != 1 else ''}: this log is not to be relied on"
        page.line(said, style="bold red")


def _summary(report: AuditReport, page: _Page) -> None:
    page.line(report.name or "not believed", lead="federation  ")
    page.line(report.fed, lead=" " * 12)
    head = report.checkpoint
    if head is None:
        page.line("no checkpoint to believe", lead="log         ", style="red")
    else:
        day, time = _day_and_time(stamp(head.at))
        said = f"{head.origin}, {head.size} entries, signed by both its keys on {day} at {time} UTC"
        page.line(said, lead="log         ")
    kinds = [
        f"{n} {kind.replace('_', ' ')}{'s' * (n != 1)}" for kind, n in report.counts.items() if kind not in _IN_WORDS
    ]
    page.line(", ".join(kinds) or "none", lead="entries     ")
    for kind, words in _IN_WORDS.items():
        if report.counts.get(kind):
            page.line(words.format(report.counts[kind]), lead=" " * 12)


def _findings(report: AuditReport, page: _Page, rows: int) -> None:
    if not report.findings:
        return
    _title(page, "what is wrong")
    for finding in _some(report.findings, rows):
        style = "red" if finding.severity == "error" else "yellow"
        at = "" if finding.index is None else f"{finding.index:5}  "
        note = "" if finding.severity == "error" else "note, "
        page.line(f"{note}{finding.code}: {finding.sentence}", lead=at or _INDENT, style=style)
        for name, value in finding.evidence.items():
            page.line(f"{name}: {value}", lead=_INDENT)
    page.rest(report.findings, rows)


def _disclosures(report: AuditReport, page: _Page, rows: int) -> None:
    if not report.disclosures:
        return
    _title(page, "who disclosed what to whom (times in UTC)")
    day = ""
    for one in _some(report.disclosures, rows):
        day = _decided(page, one.index, one.entry, [to.agency for to in one.told], day)
        for to in one.told:
            whom = f"{to.agency}: " if len(one.told) > 1 else ""
            receipts = ", ".join(to.receipts) or "no receipt"
            page.line(f"{whom}under {one.agreement} {', '.join(to.clauses)}; {receipts}", lead=_INDENT)
    page.rest(report.disclosures, rows)


def _denials(report: AuditReport, page: _Page, rows: int) -> None:
    if not report.denials:
        return
    _title(page, "what was denied (times in UTC)")
    day = ""
    for one in _some(report.denials, rows):
        day = _decided(page, one.index, one.entry, [to.id for to in one.entry.to], day)
        for to in one.entry.to:
            whom = f"{to.id}: " if len(one.entry.to) > 1 else ""
            nearest = f", nearest clause {to.nearest}" if to.nearest else ""
            page.line(f"{whom}denied: {to.code}{nearest}", lead=_INDENT)
    page.rest(report.denials, rows)


def _followed(report: AuditReport, page: _Page, rows: int) -> None:
    """Every restriction, rectification and recall, with what each holder answered (LOG-47)."""
    if not report.followed:
        return
    _title(page, "what was restricted, rectified or recalled, and who answered (times in UTC)")
    for one in _some(report.followed, rows):
        day, time = _day_and_time(stamp(one.act.at))
        page.line(f"{one.act.kind} by {one.act.terms.by} on {day}, of message", lead=f"{one.seq:5}  {time}  ")
        page.line(one.act.terms.msg, lead=_INDENT)
        for holder in one.holders:
            page.line(f"{holder}: {_answer(one.answers.get(holder))}", lead=_INDENT)
    page.rest(report.followed, rows)


def _answer(answer: tuple[int, Act] | None) -> str:
    if answer is None or not isinstance(terms := answer[1].terms, Answer):
        return "no answer"
    ground = f" ({terms.ground})" if terms.ground else ""
    return f"{terms.outcome}{ground}, entry {answer[0]}"


def _decided(page: _Page, index: int, entry: DisclosureEntry | DenialEntry, to: Sequence[str], before: str) -> str:
    """The lines every decision has: parties, purpose, categories, under its day if that is a new one."""
    day, time = _day_and_time(entry.ts)
    if day != before:
        page.line(day)
    parties = f"{entry.from_} -> "
    page.line(parties + to[0] if to else parties, lead=f"{index:5}  {time}  ")
    for another in to[1:]:
        page.line(f"-> {another}", lead=" " * (14 + 2 + len(entry.from_)))
    page.line(f"{entry.type.value} for {entry.purpose.value}", lead=_INDENT)
    page.line(", ".join(entry.cats) or "no categories", lead=f"{_INDENT}  ")
    return day


def _title(page: _Page, title: str) -> None:
    page.line()
    page.line(title, style="bold")


def _day_and_time(ts: str) -> tuple[str, str]:
    day, _, time = ts.partition("T")
    return day, time[:8]


def _some(items: Any, rows: int) -> Any:
    return items[:rows] if rows else items
