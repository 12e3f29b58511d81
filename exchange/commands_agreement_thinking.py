"""``ix agreement explain``, ``matrix``, ``diff``, ``replay``: thinking about agreements before anybody lives by them.

They take agreements nobody has signed as if all parties had (DRF-22), and say so. Nothing is sent and nothing decided.

Exit codes: 0 done, or the answer is yes; 1 the answer is no (``explain``), or refused; 2 the command was misused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange.agreement_files import (
    REFUSED,
    AgencyFolder,
    AsJson,
    At,
    Fed,
    TermsFile,
    TrustFile,
    answering,
    directory_of,
    instant_of,
    parties_of,
    read_terms,
)
from exchange.matrix_page import matrix_page
from exchange.protocol.agreement import Agreement
from exchange.protocol.asking import Answer, Question, Way, ask
from exchange.protocol.boxes import TooManyPieces
from exchange.protocol.decision import RecipientDecision
from exchange.protocol.difference import Change, Difference, Shift, compare
from exchange.protocol.matching import Party, Request
from exchange.protocol.matrix import Matrix, matrix
from exchange.protocol.policy import PolicyBook
from exchange.protocol.reach import Scene, suppose
from exchange.protocol.rehearsal import Recording, Rehearsal, record, rehearse
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
from exchange.protocol.wording import said, strings
from keys.commands import plain
from keys.encoding import stamp

Files = Annotated[
    list[Path] | None,
    typer.Argument(exists=True, dir_okay=False, help="Agreements: terms (YAML or JSON), payloads, or signed ones."),
]
Export = Annotated[
    Path | None,
    typer.Option("--export", exists=True, file_okay=False, help="Or a log's export: its agreements and agencies."),
]
SUPPOSED: Final = "agreements in files are taken as if all parties had signed them"
_CODES: Final[dict[str, Iterable[str]]] = {
    "type": MessageType, "purpose": Purpose, "crime": CrimeArea, "class": Classification, "urgency": Urgency,
    "cat": Category, "handling": Handling, "exempt": CopyExemption,
}  # fmt: skip


def join(app: typer.Typer) -> None:
    """Give these commands to the app that has the others."""
    commands: tuple[tuple[str, Callable[..., None], str], ...] = (
        ("explain", explain, "explain *.yaml --agencies plans --from north.police.sim --to coast.hub.sim"),
        ("matrix", matrix_, "matrix agencies/profiles/agreements/*.yaml --agencies agencies/profiles -o matrix.html"),
        ("diff", diff, "diff task-force-1.yaml task-force-2.yaml --agencies agencies/profiles"),
        ("replay", replay, "replay task-force-2.yaml --export evidence --fed $FED"),
    )
    for name, command, example in commands:
        app.command(name, epilog=f"Example: ix agreement {example}")(command)


# --- what a command thinks about -------------------------------------------------------------------------------------


def _scene(
    files: Iterable[Path], trust: Path | None, fed: str, agencies: Path | None, export: Path | None, at: str
) -> Scene:
    """Agencies and agreements, from files that are taken as signed, or from a log in which they are."""
    if export is not None:
        recording = _recording(export, fed)
        book, parties, when = recording.book, recording.parties, instant_of(at) if at else recording.last
    else:
        found = parties_of(directory_of(trust, fed, at), agencies)
        if found is None:
            raise typer.BadParameter("say who the agencies are: --trust with --fed, --agencies, or --export")
        book, parties, when = PolicyBook(), found, instant_of(at)
    supposed = [_supposed(file, fed, when) for file in files]
    if supposed:
        _say(SUPPOSED)
    gone = {one.terms.id for one in supposed}
    kept = [agreement for agreement in book.agreements if agreement.terms.id not in gone]
    names = {agreement.digest for agreement in kept}
    notices = [notice for notice in book.notices if notice.terms.agr in names]
    if supposed:
        book = PolicyBook.build([*kept, *_alone(supposed)], notices)
    strangers = sorted({party for one in supposed for party in one.terms.parties} - parties.keys())
    if strangers:
        raise typer.BadParameter(f"nothing is known of {', '.join(strangers)}: there is no record and no plan")
    return Scene(parties, book, when)


def _alone(supposed: list[Agreement]) -> Iterable[Agreement]:
    """Versions without the ones before them: what a file says is taken by itself."""
    for one in supposed:
        terms = one.terms.model_copy(update={"version": 1, "replaces": None})
        yield Agreement(one.digest, one.statement, terms, one.signed_by, one.at)


def _supposed(file: Path, fed: str, when: datetime) -> Agreement:
    terms, _, payload = read_terms(file.read_bytes(), fed)
    return suppose(payload, min(when, terms.start))


def _recording(folder: Path, fed: str) -> Recording:
    if not fed:
        raise typer.BadParameter("an export is believed only with --fed, the federation id it must have")
    recording = record(lambda name: (folder / name).read_bytes() if (folder / name).is_file() else None, fed=fed)
    if recording.findings:
        _say(f"{recording.findings} findings speak against this log: see `ix audit verify`")
    return recording


def _say(sentence: str) -> None:
    typer.echo(plain(sentence), err=True)


def _print(line: str = "") -> None:
    typer.echo(plain(line))


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=True, indent=2))


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
        scene = _scene(files or [], trust, fed, agencies, export, at)
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
        _json({**answer.to_json(), "at": stamp(scene.at)})
    else:
        _say_answer(answer, scene.at)
    if not answer.permitted:
        raise typer.Exit(REFUSED)


def _agency(option: str, name: str, parties: dict[str, Party] | Any) -> str:
    if name not in parties:
        raise typer.BadParameter(f"--{option} names nobody known here; known are {', '.join(sorted(parties))}")
    return name


def _say_answer(answer: Answer, at: datetime) -> None:
    asked = answer.question
    _print(f"{'YES' if answer.permitted else 'NO'}: {asked.discloser} -> {asked.recipient}, as of {stamp(at)}")
    for way in answer.ways:
        _say_way(way)
    if answer.permitted:
        return
    if not answer.bound:
        _print(f"  No agreement in force has both {asked.discloser} and {asked.recipient} as parties.")
    elif answer.denial is not None:
        _say_denial(answer.denial)
    if answer.remedies:
        _print("  The least that would have to change in the message:")
        for number, remedy in enumerate(answer.remedies, 1):
            _print(f"    {number}. {remedy.sentence}")
    else:
        _print(f"  Nothing {asked.discloser} could change in the message would help.")


def _say_way(way: Way) -> None:
    clauses = ", ".join(way.decision.clauses)
    much = "" if way.whole else ", not for everything that was left open:"
    _print(f"  {way.agreement.terms.id} version {way.agreement.terms.version}, clause {clauses}{much}")
    for name, codes in way.open.items():
        _print(f"    {_LABELS[name]}: {said(codes, 'or')}")
    if way.needs:
        _print(f"    only: {said(way.needs)}")
    for line in strings(way.decision.obligations) if way.decision.obligations else []:
        _print(f"    - {line}")


_LABELS: Final = {
    "type": "as", "purpose": "for", "crime": "about", "urgency": "urgency", "class": "classified", "cats": "carrying only",
}  # fmt: skip


def _say_denial(denial: RecipientDecision) -> None:
    _print(f"  {denial.code}: {denial.sentence}")
    for near in denial.nearest[:3]:
        _print(f"    - {near.sentence}")


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
    as_json: AsJson = False,
) -> None:
    """Who may tell whom what: a table, and with --out a page to read clause by clause."""
    with answering():
        scene = _scene(files or [], trust, fed, agencies, export, at)
        found = matrix(scene)
        if out is not None:
            notes = [f"{a.terms.id} version {a.terms.version}: {a.terms.title}" for a in scene.agreements]
            notes.append(f"as of {stamp(scene.at)}" + ("; taken as if all parties had signed" if files else ""))
            try:
                out.write_text(matrix_page(found, "Who may tell whom what", notes), encoding="utf-8")
            except OSError as wrong:
                raise typer.BadParameter(f"`{out}` cannot be written: {wrong.strerror}") from None
            _say(f"written to {out}")
    if as_json:
        _json({**found.to_json(), "at": stamp(scene.at)})
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


# --- diff ------------------------------------------------------------------------------------------------------------


def diff(
    old: TermsFile,
    new: TermsFile,
    beside: Annotated[
        list[Path] | None,
        typer.Option("--with", exists=True, dir_okay=False, help="Another agreement in force; again for more."),
    ] = None,
    trust: TrustFile = None,
    fed: Fed = "",
    agencies: AgencyFolder = None,
    at: Annotated[str, typer.Option("--at", help="Compare as of this instant; else when both have begun.")] = "",
    as_json: AsJson = False,
) -> None:
    """What a new version lets pass that the old does not, and the reverse: exact, counted, with an example of each."""
    with answering():
        found = parties_of(directory_of(trust, fed, at), agencies)
        if found is None:
            raise typer.BadParameter("say who the agencies are: --trust with --fed, or --agencies")
        sides = [read_terms(file.read_bytes(), fed) for file in (old, new)]
        when = instant_of(at) if at else max(terms.start for terms, _, _ in sides)
        before, after = (suppose(payload, when) for _, _, payload in sides)
        others = [suppose(read_terms(file.read_bytes(), fed)[2], when) for file in beside or ()]
        _say(SUPPOSED)
        try:
            difference = compare(before, after, found, when, others)
        except TooManyPieces:
            _say("these two differ in too many ways to be counted exactly: compare fewer clauses at a time")
            raise typer.Exit(REFUSED) from None
    if as_json:
        _json(_difference(difference))
    else:
        _say_difference(difference)


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "simulation": True,
        "before": {"id": found.before.terms.id, "version": found.before.terms.version, "digest": found.before.digest},
        "after": {"id": found.after.terms.id, "version": found.after.terms.version, "digest": found.after.digest},
        "same": found.none,
        "frame": list(found.frame),
        "gained": [_change(one) for one in found.gained],
        "lost": [_change(one) for one in found.lost],
        "obligations": [_shift(one) for one in found.shifts],
    }


def _change(one: Change) -> dict[str, Any]:
    return {
        "clause": one.clause,
        "pairs": [list(pair) for pair in one.pairs],
        "requests": one.count,
        "codes": {name: list(codes) for name, codes in one.codes.items()},
        "witness": _request(one.witness.request),
        "before": one.witness.before.to_json(),
        "after": one.witness.after.to_json(),
    }


def _shift(one: Shift) -> dict[str, Any]:
    turned = [{"member": name, "before": a, "after": b, "way": way} for name, a, b, way in one.members]
    pairs = [list(pair) for pair in one.pairs]
    return {"changed": turned, "pairs": pairs, "requests": one.count, "witness": _request(one.witness.request)}


def _request(request: Request) -> dict[str, Any]:
    exempt = {"exempt": request.exempt} if request.exempt else {}
    return {
        "from": request.discloser.id, "to": [party.id for party in request.recipients], "type": request.type,
        "purpose": request.purpose, "crime": request.crime, "cats": sorted(request.cats),
        "class": request.classification, "handling": sorted(request.handling), "urgency": request.urgency, **exempt,
    }  # fmt: skip


def _say_difference(found: Difference) -> None:
    names = [f"{one.terms.id} version {one.terms.version}" for one in (found.before, found.after)]
    _print(f"{names[0]} -> {names[1]}")
    for line in found.frame:
        _print(f"  {line}")
    for kind, changes in (("LOST", found.lost), ("GAINED", found.gained)):
        for one in changes:
            _print(f"{kind} by clause {one.clause} ({one.title}): {one.count:,} requests")
            _print(f"  {_whom(one.pairs)}")
            _print("  " + "; ".join(f"{_LABELS[name]} {said(one.codes[name], 'or')}" for name in _TOLD))
            _print(f"  for example: {_sentence(one.witness.request)}")
            denial = one.witness.after if kind == "LOST" else one.witness.before
            why = denial.nearest[0].sentence if denial.nearest else denial.sentence
            _print(f"    {'after' if kind == 'LOST' else 'before'}: {denial.code}: {why}")
    for shift in found.shifts:
        turned = "; ".join(f"{name} {a} -> {b} ({way})" for name, a, b, way in shift.members)
        _print(f"OBLIGATIONS of {shift.count:,} requests: {turned}")
        _print(f"  {_whom(shift.pairs)}; for example: {_sentence(shift.witness.request)}")
    if found.none:
        _print("Both decide every request alike, with the same obligations.")


_TOLD: Final = ("type", "purpose", "crime", "cats")


def _whom(pairs: Iterable[tuple[str, str]]) -> str:
    listed = [f"{one} -> {other}" for one, other in pairs]
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _sentence(request: Request) -> str:
    marked = f", marked {said(sorted(request.handling))}" if request.handling else ""
    carried = said(sorted(request.cats)) if request.cats else "no listed category"
    told = " and ".join(party.id for party in request.recipients)
    return (
        f"{request.discloser.id} tells {told}, as {said([request.type])}, for {said([request.purpose])}, about "
        f"{said([request.crime])}, {carried}, {request.classification}{marked}, urgency {said([request.urgency])}"
    )


# --- replay ----------------------------------------------------------------------------------------------------------


def replay(
    draft: TermsFile,
    export: Annotated[
        Path, typer.Option("--export", exists=True, file_okay=False, help="A log's export, as recorded.")
    ],
    fed: Fed = "",
    as_json: AsJson = False,
) -> None:
    """Decide recorded traffic once more as if a draft had been in force: what would have become of each message?

    There is no --at and no clock: the same export under the same draft gives the same bytes at any time.
    """
    with answering():
        recording = _recording(export, fed)
        _, _, payload = read_terms(draft.read_bytes(), fed)
        _say(SUPPOSED)
        result = rehearse(recording.recorded, suppose(payload, recording.last))
    if as_json:
        _json(result.to_json())
    else:
        _say_rehearsal(result)


_KINDS: Final = {
    "gained": "denied then, permitted under the draft",
    "lost": "permitted then, denied under the draft",
    "obligations": "permitted both times, with other obligations",
    "reasons": "denied both times, for other reasons",
    "could": "denied both times, but permitted if the message named the draft",
    "unchanged": "unchanged",
}


def _say_rehearsal(result: Rehearsal) -> None:
    draft = result.draft.terms
    place = "in the place of what was in force" if result.replaced else "beside what was in force"
    _print(f"{result.counts['total']} recorded decisions under {draft.id}, {place}")
    for kind, words in _KINDS.items():
        _print(f"  {result.counts[kind]:>6}  {words}")
    for one in result.outcomes:
        _print(f"{one.kind.upper()} ({one.because}): {one.count}")
        for example in one.examples:
            was, will = example.recorded.decision.code, example.after.code
            _print(f"  {example.recorded.name} of {stamp(example.recorded.at)}, {was} -> {will}:")
            _print(f"    {_sentence(example.recorded.request)}")
