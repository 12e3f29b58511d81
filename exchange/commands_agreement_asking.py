"""``ix agreement explain`` and ``matrix``: who may tell whom what (DRF-40 to DRF-44).

Exit codes: 0 done, or the answer is yes; 1 the answer is no (``explain``), or refused; 2 the command was misused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange.agreement_files import REFUSED, AgencyFolder, AsJson, At, Fed, Lang, TrustFile, answering
from exchange.agreement_scene import LABELS, Export, Files, say, scene_of, tell, tell_json
from exchange.drafting.asking import Answer, Question, Way, ask
from exchange.drafting.matrix import Matrix, matrix
from exchange.drafting.wording import said, strings
from exchange.matrix_page import matrix_page
from exchange.page_words import PAGE
from exchange.protocol.decision import RecipientDecision
from exchange.protocol.labels import Language
from exchange.protocol.matching import Party
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    MessageType,
    Purpose,
    Urgency,
)
from keys.encoding import stamp

_CODES: Final[dict[str, Iterable[str]]] = {
    "type": MessageType, "purpose": Purpose, "crime": CrimeArea, "class": Classification, "urgency": Urgency,
    "cat": Category, "handling": Handling, "exempt": CopyExemption,
}  # fmt: skip


def join(app: typer.Typer) -> None:
    """Give these commands to the app that has the others."""
    commands: tuple[tuple[str, Callable[..., None], str], ...] = (
        ("explain", explain, "explain *.yaml --agencies plans --from north.police.sim --to coast.hub.sim"),
        ("matrix", matrix_, "matrix agencies/profiles/agreements/*.yaml --agencies agencies/profiles -o matrix.html"),
    )
    for name, command, example in commands:
        app.command(name, epilog=f"Example: ix agreement {example}")(command)


def _code(name: str, value: str) -> str | None:
    if value and value not in {str(code) for code in _CODES[name]}:
        raise typer.BadParameter(f"`{value}` is no code of --{name}: {', '.join(map(str, _CODES[name]))}")
    return value or None


# --- explain ---------------------------------------------------------------------------------------------------------


def explain(
    files: Files = None,
    from_: Annotated[str, typer.Option("--from", help="Who wants to tell.")] = "",
    to: Annotated[str, typer.Option("--to", help="Who would be told.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Message type; else any.")] = "",
    purpose: Annotated[str, typer.Option(help="Purpose; else any.")] = "",
    crime: Annotated[str, typer.Option(help="Crime area; else any.")] = "",
    cat: Annotated[list[str] | None, typer.Option(help="A category it carries; again for more. Else any.")] = None,
    classification: Annotated[str, typer.Option("--class", help="Classification; else any.")] = "",
    handling: Annotated[
        list[str] | None, typer.Option(help="A handling code it is marked with; again for more.")
    ] = None,
    urgency: Annotated[str, typer.Option(help="Urgency; else any.")] = "",
    copy: Annotated[list[str] | None, typer.Option(help="Who is told as well; again for more.")] = None,
    exempt: Annotated[str, typer.Option(help="An exemption from a copy that is claimed.")] = "",
    agreement: Annotated[str, typer.Option(help="The agreement it names, by id or digest; else any.")] = "",
    trust: TrustFile = None,
    fed: Fed = "",
    agencies: AgencyFolder = None,
    export: Export = None,
    at: At = "",
    as_json: AsJson = False,
) -> None:
    """May one agency tell another this, by which clause, tied to what; and if not, what is the least to change?"""
    with answering():
        scene = scene_of(files or [], trust, fed, agencies, export, at)
        question = Question(
            _agency("from", from_, scene.parties), _agency("to", to, scene.parties), agreement or None,
            _code("type", type_), _code("purpose", purpose), _code("crime", crime),
            frozenset(_code("cat", one) or "" for one in cat) if cat else None, _code("class", classification),
            frozenset(_code("handling", one) or "" for one in handling) if handling else None,
            _code("urgency", urgency),
            frozenset(_agency("copy", one, scene.parties) for one in copy) if copy else None,
            _code("exempt", exempt) or "",
        )  # fmt: skip
        if question.discloser == question.recipient:
            raise typer.BadParameter("nobody tells itself anything: --from and --to are the same")
        answer = ask(question, scene)
    if as_json:
        tell_json({**answer.to_json(), "at": stamp(scene.at)})
    else:
        _say_answer(answer, scene.at)
    if not answer.permitted:
        raise typer.Exit(REFUSED)


def _agency(option: str, name: str, parties: Mapping[str, Party]) -> str:
    if name not in parties:
        raise typer.BadParameter(f"--{option} names nobody known here; known are {', '.join(sorted(parties))}")
    return name


def _say_answer(answer: Answer, at: datetime) -> None:
    asked = answer.question
    tell(f"{'YES' if answer.permitted else 'NO'}: {asked.discloser} -> {asked.recipient}, as of {stamp(at)}")
    for way in answer.ways:
        _say_way(way)
    if answer.permitted:
        return
    if not answer.bound:
        tell(f"  No agreement in force has both {asked.discloser} and {asked.recipient} as parties.")
    elif answer.denial is not None:
        _say_denial(answer.denial)
    for sentence in answer.lapsed:
        tell(f"  Not in force: {sentence}.")
    if answer.remedies:
        tell("  The least that would have to change in the message:")
        for number, remedy in enumerate(answer.remedies, 1):
            tell(f"    {number}. {remedy.sentence}")
    else:
        tell(f"  Nothing {asked.discloser} could change in the message would help.")


def _say_way(way: Way) -> None:
    clauses = ", ".join(way.decision.clauses)
    much = "" if way.whole else ", not for everything that was left open:"
    tell(f"  {way.agreement.terms.id} version {way.agreement.terms.version}, clause {clauses}{much}")
    for name, codes in way.open.items():
        tell(f"    {LABELS[name]}: {said(codes, 'or')}")
    if way.needs:
        tell(f"    only: {said(way.needs)}")
    for line in [*(strings(way.decision.obligations) if way.decision.obligations else []), *way.more]:
        tell(f"    - {line}")


def _say_denial(denial: RecipientDecision) -> None:
    tell(f"  {denial.code}: {denial.sentence}")
    for near in denial.nearest[:3]:
        tell(f"    - {near.sentence}")


# --- matrix ----------------------------------------------------------------------------------------------------------


def matrix_(
    files: Files = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", dir_okay=False, help="Write one HTML page that needs nothing else.")
    ] = None,
    trust: TrustFile = None,
    fed: Fed = "",
    agencies: AgencyFolder = None,
    export: Export = None,
    at: At = "",
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Who may tell whom what: a table, and with --out a page to read clause by clause, in the language of --lang."""
    if lang is not None and out is None:
        raise typer.BadParameter("--lang is the language of a page: name one with --out")
    with answering():
        scene = scene_of(files or [], trust, fed, agencies, export, at)
        found = matrix(scene)
        if out is not None:
            words = PAGE[lang or Language.EN]
            notes = [(a.terms.id, f"{words['version']} {a.terms.version}:", a.terms.title) for a in scene.agreements]
            notes.append((words["as of"], stamp(scene.at), f"({words['supposed']})" if files else ""))
            try:
                out.write_text(matrix_page(found, words["title"], notes, lang), encoding="utf-8")
            except OSError as wrong:
                raise typer.BadParameter(f"`{out}` cannot be written: {wrong.strerror}") from None
            say(f"written to {out}")
    if as_json:
        tell_json({**found.to_json(), "at": stamp(scene.at)})
    elif out is None:
        _print_matrix(found)


def _print_matrix(found: Matrix) -> None:
    short = {agency: agency.removesuffix(".sim") for agency in found.agencies}
    table = Table(
        title="who may tell whom: how many clauses",
        caption="rows tell columns; -o page.html shows all of it",
        show_lines=True,
    )
    table.add_column("tells", overflow="fold")
    for agency in found.agencies:
        table.add_column(escape(short[agency].replace(".", "\n")), justify="center")
    for one in found.agencies:
        cells = [found.cells.get((one, other), ()) for other in found.agencies]
        marks = [
            "" if one == other else str(len(rows)) if rows else "-"
            for other, rows in zip(found.agencies, cells, strict=True)
        ]
        table.add_row(escape(short[one].replace(".", "\n")), *marks)
    Console().print(table)
