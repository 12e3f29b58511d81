"""``ix agreement diff``, ``replay``: what a new version changes, of all requests and recorded ones (DRF-30 to DRF-36).

Exit codes: 0 done; 1 refused, or too different to be counted exactly; 2 the command was misused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from exchange.agreement_files import (
    AgencyFolder,
    AsJson,
    Fed,
    TermsFile,
    TrustFile,
    answering,
    directory_of,
    instant_of,
    parties_of,
    read_terms,
)
from exchange.agreement_scene import LABELS, SUPPOSED, recording_of, say, tell, tell_json
from exchange.drafting.case_recording import record_cases
from exchange.drafting.difference import Change, Difference, Shift, compare
from exchange.drafting.reach import suppose
from exchange.drafting.rehearsal import Recorded, Rehearsal, rehearse
from exchange.drafting.wording import said
from exchange.protocol.decision_cases import read_cases
from exchange.protocol.matching import Request
from keys.encoding import stamp


def join(app: typer.Typer) -> None:
    """Give these commands to the app that has the others."""
    commands: tuple[tuple[str, Callable[..., None], str], ...] = (
        ("diff", diff, "diff task-force-1.yaml task-force-2.yaml --agencies agencies/profiles"),
        ("replay", replay, "replay task-force-2.yaml --export evidence --fed $FED"),
    )
    for name, command, example in commands:
        app.command(name, epilog=f"Example: ix agreement {example}")(command)


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
        say(SUPPOSED)
        difference = compare(before, after, found, when, others)
    if as_json:
        tell_json(_difference(difference))
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
    tell(f"{names[0]} -> {names[1]}")
    for line in found.frame:
        tell(f"  {line}")
    for kind, changes in (("LOST", found.lost), ("GAINED", found.gained)):
        for one in changes:
            tell(f"{kind} by clause {one.clause} ({one.title}): {one.count:,} requests")
            tell(f"  {_whom(one.pairs)}")
            tell("  " + "; ".join(f"{LABELS[name]} {said(one.codes[name], 'or')}" for name in _TOLD))
            tell(f"  for example: {_sentence(one.witness.request)}")
            denial = one.witness.after if kind == "LOST" else one.witness.before
            why = denial.nearest[0].sentence if denial.nearest else denial.sentence
            tell(f"    {'after' if kind == 'LOST' else 'before'}: {denial.code}: {why}")
    for shift in found.shifts:
        turned = "; ".join(f"{said([name])} {_value(a)} -> {_value(b)} ({way})" for name, a, b, way in shift.members)
        tell(f"OBLIGATIONS of {shift.count:,} requests: {turned}")
        tell(f"  {_whom(shift.pairs)}; for example: {_sentence(shift.witness.request)}")
    if found.none:
        tell("Both decide every request alike, with the same obligations.")


def _value(value: Any) -> str:
    if value is None:
        return "without limit"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else said([str(value)])


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
        f"{said([request.crime])}, {carried}, {request.classification}{marked}, deadline {said([request.urgency])}"
    )


# --- replay ----------------------------------------------------------------------------------------------------------


def replay(
    draft: TermsFile,
    export: Annotated[
        Path | None, typer.Option("--export", exists=True, file_okay=False, help="A log's export, as recorded.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option("--cases", exists=True, dir_okay=False, help="Or a file of decision cases (JSON).")
    ] = None,
    fed: Fed = "",
    as_json: AsJson = False,
) -> None:
    """Decide recorded traffic once more as if a draft had been in force: what would have become of each message?

    There is no --at and no clock: the same export under the same draft gives the same bytes at any time.
    """
    with answering():
        if (export is None) == (cases is None):
            raise typer.BadParameter("name one recording: --export, or --cases")
        recorded = recording_of(export, fed).recorded if export is not None else _cases(cases)
        _, _, payload = read_terms(draft.read_bytes(), fed)
        say(SUPPOSED)
        result = rehearse(recorded, suppose(payload, _EPOCH))
    if as_json:
        tell_json(result.to_json())
    else:
        _say_rehearsal(result)


_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _cases(path: Path | None) -> Sequence[Recorded]:
    try:
        return record_cases(read_cases(path.read_bytes() if path else b""))
    except (ValueError, KeyError):
        raise typer.BadParameter(f"`{path}` is no file of decision cases (spec/schemas/decision-cases.json)") from None


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
    tell(f"{result.counts['total']} recorded decisions under {draft.id}, {place}")
    for kind, words in _KINDS.items():
        tell(f"  {result.counts[kind]:>6}  {words}")
    for one in result.outcomes:
        tell(f"{one.kind.upper()} ({one.because}): {one.count}")
        for example in one.examples:
            was, will = example.recorded.decision.code, example.after.code
            tell(f"  {example.recorded.name} of {stamp(example.recorded.at)}, {was} -> {will}:")
            tell(f"    {_sentence(example.recorded.request)}")
