"""Recorded traffic under a draft: nothing changes under the same terms, and the answer does not age."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.drafting.case_recording import record_cases
from exchange.drafting.reach import suppose
from exchange.drafting.rehearsal import KINDS, Recording, Rehearsal, record, rehearse
from exchange.protocol.agreement import Agreement
from exchange.protocol.decision_cases import read_cases
from exchange.protocol.errors import AuditImpossible
from exchange.protocol.terms import write_terms
from keys.encoding import read_json

T0 = datetime(2000, 1, 1, tzinfo=UTC)
LOG = Path(__file__).parents[2] / "vectors" / "log"
FED = json.loads((LOG / "expected.json").read_text(encoding="utf-8"))["fed"]


def read(name: str) -> bytes | None:
    path = LOG / "export" / name
    return path.read_bytes() if path.is_file() else None


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(read, fed=FED)


@pytest.fixture(scope="module")
def terms(recording: Recording) -> dict[str, Any]:
    (agreement,) = recording.book.agreements
    value: dict[str, Any] = read_json(agreement.statement.payload, limit=10**6)
    return value


def under(recording: Recording, terms: dict[str, Any]) -> Rehearsal:
    return rehearse(recording.recorded, draft(recording, terms))


def draft(recording: Recording, terms: dict[str, Any]) -> Agreement:
    return suppose(write_terms(terms), recording.last)


def changed(result: Rehearsal) -> dict[str, int]:
    return {kind: count for kind, count in result.counts.items() if count and kind not in {"total", "unchanged"}}


def test_a_recording_has_every_decision_of_the_log_and_no_findings(recording: Recording) -> None:
    outcomes = [one.decision.outcome for one in recording.recorded]
    assert outcomes.count("permit") >= 5
    assert outcomes.count("deny") >= 5
    assert recording.findings == 0


@pytest.mark.spec("DRF-36")
def test_under_the_very_terms_nothing_changes(recording: Recording, terms: dict[str, Any]) -> None:
    result = under(recording, terms)
    assert changed(result) == {}
    assert result.counts["unchanged"] == result.counts["total"] == len(recording.recorded)
    assert result.replaced == (recording.book.agreements[0].digest,)


@pytest.mark.spec("DRF-34")
def test_what_a_draft_would_have_changed_is_counted_and_shown(recording: Recording, terms: dict[str, Any]) -> None:
    permits = [clause for clause in terms["clauses"] if clause["effect"] == "permit"]
    none = under(recording, {**terms, "clauses": [c for c in terms["clauses"] if c["effect"] == "forbid"]})
    assert set(changed(none)) <= {"lost", "reasons"}
    assert none.counts["lost"] == sum(one.decision.permitted for one in recording.recorded)
    loose = [{**c, "conditions": {**c["conditions"], "retention_days": 7}} for c in permits]
    forbids = [c for c in terms["clauses"] if c["effect"] == "forbid"]
    tied = under(recording, {**terms, "clauses": [*loose, *forbids]})
    assert changed(tied) == {"obligations": sum(one.decision.permitted for one in recording.recorded)}
    assert [one.because for one in tied.outcomes] == ["retention_days"]
    example = tied.to_json()["changes"][0]["examples"][0]
    assert example["after"]["recipients"][0]["obligations"]["retention_days"] == 7
    wide = [{**c, "cats": sorted({*c["cats"], "person_victim", "data_victimisation"})} for c in permits]
    opened = under(recording, {**terms, "clauses": wide})
    assert opened.counts["gained"] >= 1
    assert all(one.kind != "gained" or one.because.startswith("clause") for one in opened.outcomes)


def test_a_draft_of_another_name_stands_beside_what_was_in_force(recording: Recording, terms: dict[str, Any]) -> None:
    permits = [
        {**c, "cats": sorted({*c["cats"], "person_victim", "data_victimisation"})}
        for c in terms["clauses"] if c["effect"] == "permit"
    ]  # fmt: skip
    beside = under(recording, {**terms, "id": "another", "clauses": permits})
    assert beside.replaced == ()
    assert set(changed(beside)) <= {"could"}
    forbid = {"id": "stop", "effect": "forbid", "title": "Stop", "from": ["party:any"], "to": ["party:any"],
              "types": ["any"], "purposes": ["any"], "crimes": ["any"], "cats": ["any"]}  # fmt: skip
    stopped = under(recording, {**terms, "id": "another", "clauses": [forbid]})
    assert stopped.counts["lost"] == sum(one.decision.permitted for one in recording.recorded)
    assert stopped.counts["gained"] == 0


def test_a_lapsed_agreement_stays_lapsed_under_its_draft(recording: Recording, terms: dict[str, Any]) -> None:
    late = {**terms, "start": "2030-01-01T00:00:00.000Z", "end": "2031-01-01T00:00:00.000Z"}
    assert changed(under(recording, late)) == {}


@pytest.mark.spec("DRF-35", "CLI-53")
def test_the_same_inputs_give_the_same_bytes_at_any_time(recording: Recording, terms: dict[str, Any]) -> None:
    """Read again from the folder, and thought of a year later: `at` of a draft is no input to the answer."""
    value = {**terms, "clauses": terms["clauses"][:1]}
    first = rehearse(recording.recorded, suppose(write_terms(value), recording.last))
    again = record(read, fed=FED)
    later = rehearse(again.recorded, suppose(write_terms(value), recording.last + timedelta(days=365)))
    assert json.dumps(first.to_json()) == json.dumps(later.to_json())
    assert tuple(first.counts) == ("total", *KINDS)


def test_what_is_no_export_is_refused() -> None:
    with pytest.raises(AuditImpossible):
        record(lambda name: None, fed=FED)
    with pytest.raises(AuditImpossible):
        record(lambda name: b"\xff" if name == "checkpoint" else read(name), fed=FED)


def test_decision_cases_are_a_recording_too() -> None:
    """Each case is decided as it is mandated, and under its own terms nothing changes."""
    file = read_cases((LOG.parent / "decisions.json").read_bytes())
    recorded = record_cases(file)
    assert [one.decision.code for one in recorded] == [case.expected.code for case in file.cases]
    named = [one.terms for one in file.agreements if one.terms.version == 1]
    for terms in named[:3]:
        same = [one for one in recorded if (found := one.book.get(one.request.agreement)) and found.terms == terms]
        payload = write_terms(terms.model_dump(mode="json", by_alias=True, exclude_none=True))
        counts = rehearse(same, suppose(payload, T0)).counts
        assert counts["gained"] == counts["lost"] == counts["obligations"] == 0
