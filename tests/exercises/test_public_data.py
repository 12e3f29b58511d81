"""Cases from public data: made from what is really published, checked, and replaced in words when it is not there."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from exchange.protocol.content import content_from, derive_categories, write_content
from exercises import public_data as module
from exercises.public_data import (
    CASE_EXAMPLES,
    EXPLOITATION,
    FORM,
    HTCDS,
    INVESTIGATION,
    METHODS,
    PublicDataUnfit,
    attachment_from_case_examples,
    case_from_case_examples,
    case_from_htcds,
    read_checked,
    read_standard,
)


def test_a_case_shaped_by_htcds_is_a_case_message(public_data: Path) -> None:
    for seed in range(12):
        value, said = case_from_htcds(public_data, seed=seed)
        message = content_from(value)
        assert "Human Trafficking Case Data Standard" in said
        assert message.type == "victim_referral"
        assert {"person_victim", "data_victimisation", "data_attachment", "traf_c_methods"} <= set(
            derive_categories(message)
        )
        assert len(write_content(message)) < 16_000


def test_the_attached_record_keeps_the_names_and_values_of_the_standard(public_data: Path) -> None:
    standard = read_standard(public_data)
    value, _ = case_from_htcds(public_data)
    attached = json.loads(content_from(value).attachments[0].content())
    assert set(attached["record"]) <= set(standard.labels)
    for field, said in attached["record"].items():
        for one in said if isinstance(said, list) else [said]:
            assert field not in standard.choices or one in standard.choices[field]
    assert attached["definitions"]
    assert "CC BY 4.0" in attached["notice"]


def test_nothing_that_names_a_person_is_made_up_or_sent(public_data: Path) -> None:
    value, _ = case_from_htcds(public_data)
    attached = json.loads(content_from(value).attachments[0].content())
    assert {"prs_First_Name", "prs_Email", "prs_Citizenship", "prs_MobilePhone"} <= set(attached["withheld"])
    assert not any(person.names for person in content_from(value).persons)


def test_the_standards_lists_are_mapped_whole(public_data: Path) -> None:
    standard = read_standard(public_data)
    assert set(standard.choices["vic_Methods_of_Control"]) == set(METHODS)
    assert set(EXPLOITATION) <= set(standard.choices["vic_TypeOfExploitation"])
    assert len(standard.definitions) > 20
    assert standard.labels["vic_TraffickingStatus"] == "Trafficking Status"


def test_one_seed_makes_one_case(public_data: Path) -> None:
    assert case_from_htcds(public_data, seed=3) == case_from_htcds(public_data, seed=3)
    assert len({json.dumps(case_from_htcds(public_data, seed=seed)[0]) for seed in range(8)}) > 4


def test_an_investigation_of_case_examples_travels_unchanged(public_data: Path) -> None:
    value, said = case_from_case_examples(public_data)
    message = content_from(value)
    original = (public_data / CASE_EXAMPLES.replace("/", "+") / INVESTIGATION).read_bytes()
    assert message.attachments[0].content() == original
    assert "CASE-Examples" in said
    assert b"case-investigation:Investigation" in original
    assert message.type == "evidence_transfer"
    assert derive_categories(message) == ("data_attachment",)
    attachment, _ = attachment_from_case_examples(public_data)
    assert attachment == value["attachments"][0]


def test_without_the_folder_the_projects_own_samples_are_used_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IX_PUBLIC_DATA", str(tmp_path))
    for make, kind in ((case_from_htcds, "victim_referral"), (case_from_case_examples, "evidence_transfer")):
        value, said = make()  # type: ignore[operator]
        assert content_from(value).type == kind
        assert said.startswith("a synthetic case of this project, because there is no folder")
    with pytest.raises(PublicDataUnfit):
        attachment_from_case_examples()


def test_a_file_that_is_not_the_one_listed_is_not_used(public_data: Path, tmp_path: Path) -> None:
    for repository, path in ((CASE_EXAMPLES, INVESTIGATION), (HTCDS, FORM)):
        copy = tmp_path / repository.replace("/", "+") / path
        copy.parent.mkdir(parents=True)
        copy.write_bytes((public_data / repository.replace("/", "+") / path).read_bytes() + b"\n")
    shutil.copy(public_data / "MANIFEST.csv", tmp_path / "MANIFEST.csv")
    with pytest.raises(PublicDataUnfit, match="not the file its manifest lists"):
        read_checked(tmp_path, CASE_EXAMPLES, INVESTIGATION)
    for make in (case_from_htcds, case_from_case_examples):
        _, said = make(tmp_path)  # type: ignore[operator]
        assert "is not the file its manifest lists" in said


def test_a_folder_without_the_files_or_with_a_broken_manifest_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.csv").write_bytes(b"\xff\xfe,,")
    with pytest.raises(PublicDataUnfit):
        read_checked(tmp_path, HTCDS, FORM)
    (tmp_path / "MANIFEST.csv").write_text("repo,commit,path,bytes,sha256,licence\n", encoding="utf-8")
    with pytest.raises(PublicDataUnfit):
        read_checked(tmp_path, HTCDS, FORM)


def test_a_listed_form_that_is_not_xml_is_not_used(tmp_path: Path) -> None:
    rows = ["repo,commit,path,bytes,sha256,licence"]
    for path in (FORM, module.DEFINITIONS):
        target = tmp_path / HTCDS.replace("/", "+") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"not xml")
        rows.append(f"{HTCDS},x,{path},7,{hashlib.sha256(b'not xml').hexdigest()},x")
    (tmp_path / "MANIFEST.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(PublicDataUnfit, match="not XML"):
        read_standard(tmp_path)
