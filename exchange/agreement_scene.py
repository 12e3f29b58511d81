"""What the thinking commands of ``ix agreement`` think about: agencies, agreements, and how they are said.

Agreements in files are taken as if all parties had signed them (DRF-22); those of an exported log have been.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from exchange.agreement_files import directory_of, instant_of, parties_of, read_terms
from exchange.drafting.reach import Scene, suppose
from exchange.drafting.rehearsal import Recording, record
from exchange.protocol.agreement import Agreement
from exchange.protocol.errors import AgreementMalformed
from exchange.protocol.policy import PolicyBook
from keys.commands import plain

Files = Annotated[
    list[Path] | None,
    typer.Argument(exists=True, dir_okay=False, help="Agreements: terms (YAML or JSON), payloads, or signed ones."),
]
Export = Annotated[
    Path | None,
    typer.Option("--export", exists=True, file_okay=False, help="Or a log's export: its agreements and agencies."),
]
SUPPOSED: Final = "agreements in files are taken as if all parties had signed them"
LABELS: Final = {
    "type": "as", "purpose": "for", "crime": "about", "urgency": "deadline", "class": "classified",
    "cats": "telling of nothing but",
}  # fmt: skip


def scene_of(
    files: Collection[Path], trust: Path | None, fed: str, agencies: Path | None, export: Path | None, at: str
) -> Scene:
    """Agencies and agreements, from files that are taken as signed, or from a log in which they are."""
    if export is None and not files:
        raise typer.BadParameter("name the files of the agreements to ask, or a log's --export")
    if export is not None:
        recording = recording_of(export, fed)
        book, parties, when = recording.book, recording.parties, instant_of(at) if at else recording.last
    else:
        found = parties_of(directory_of(trust, fed, at), agencies)
        if found is None:
            raise typer.BadParameter("say who the agencies are: --trust with --fed, --agencies, or --export")
        book, parties, when = PolicyBook(), found, instant_of(at)
    supposed = [_supposed(file, fed, when) for file in files]
    if supposed:
        say(SUPPOSED)
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
        terms = one.terms.model_copy(update={"replaces": None})
        yield Agreement(one.digest, one.statement, terms, one.signed_by, one.at)


def _supposed(file: Path, fed: str, when: datetime) -> Agreement:
    try:
        terms, _, payload = read_terms(file.read_bytes(), fed)
    except AgreementMalformed as wrong:
        advice = f"`ix agreement check {file.name}` says all that is wrong with it"
        raise AgreementMalformed(f"{file.name}: {wrong.sentence}; {advice}") from None
    return suppose(payload, min(when, terms.start))


def recording_of(folder: Path, fed: str) -> Recording:
    """An exported log, believed under the id that whoever runs the command pins."""
    if not fed:
        raise typer.BadParameter("an export is believed only with --fed, the federation id it must have")
    recording = record(lambda name: (folder / name).read_bytes() if (folder / name).is_file() else None, fed=fed)
    if recording.findings:
        say(f"{recording.findings} findings speak against this log: see `ix audit verify`")
    return recording


def say(sentence: str) -> None:
    """Tell people something beside the answer, on standard error."""
    typer.echo(plain(sentence), err=True)


def tell(line: str) -> None:
    """One line of the answer."""
    typer.echo(plain(line))


def tell_json(value: Any) -> None:
    """The answer as one JSON document."""
    typer.echo(json.dumps(value, ensure_ascii=True, indent=2))
