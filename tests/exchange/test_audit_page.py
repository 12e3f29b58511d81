"""An audit as a page: one file that needs nothing else, verdict first, with all that was found."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit_page import MOST_ROWS, audit_page
from exchange.commands_audit import app
from tests.exchange.test_commands_audit_questions import AT, lay
from tests.vectors.logbook import lies, told

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Tags, attributes and texts, and whether every element is closed where it has to be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def report(folder: Path, fed: str, *more: str) -> Any:
    return CliRunner().invoke(app, ["report", str(folder), f"--fed={fed}", *more, *AT])


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    book, files = told()
    folder = lay(files, tmp_path_factory.mktemp("clean"))
    done = report(folder, book.on.fed, "--out", str(folder / "audit.html"), "--json")
    assert done.exit_code == 0, done.output
    return (folder / "audit.html").read_text(), json.loads(done.stdout)


@pytest.mark.spec("LOG-72")
def test_the_page_loads_nothing_runs_nothing_and_is_marked(clean: tuple[str, dict[str, Any]]) -> None:
    outline = Outline(clean[0])
    assert not {tag for tag, _ in outline.tags} & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert [attrs["href"] for tag, attrs in outline.tags if "href" in attrs] == ["#main"]
    assert not [name for _, attrs in outline.tags for name in attrs if name.startswith("on") or name == "src"]
    assert "url(" not in clean[0]
    assert "@import" not in clean[0]
    assert any("SIMULATION" in text for text in outline.texts)


@pytest.mark.spec("LOG-72")
def test_the_verdict_stands_first_and_the_limits_last(clean: tuple[str, dict[str, Any]]) -> None:
    headings = [text.strip() for text in Outline(clean[0]).texts if text.strip()]
    assert headings.index("Clean") < headings.index("Who told whom") < headings.index("What this cannot show")


def test_a_screen_reader_finds_its_way(clean: tuple[str, dict[str, Any]]) -> None:
    tags = Outline(clean[0]).tags
    assert [attrs for tag, attrs in tags if tag == "html"] == [{"lang": "en"}]
    assert sum(tag == "h1" for tag, _ in tags) == sum(tag == "main" for tag, _ in tags) == 1
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")
    regions = [attrs for _, attrs in tags if attrs.get("role") == "region"]
    assert regions
    assert all(attrs.get("aria-label") and attrs.get("tabindex") == "0" for attrs in regions)


@pytest.mark.spec("LOG-71")
def test_the_json_has_what_the_audit_says(clean: tuple[str, dict[str, Any]]) -> None:
    book, files = told()
    audited = json.loads(json.dumps(book.audit(dict(files)).to_json()))
    assert {name: clean[1][name] for name in audited} == audited
    assert {one["code"] for one in clean[1]["unusual"]} == {"out_of_hours"}  # the story plays on a Saturday
    assert "Unusual" in clean[0]
    assert "Ledgers that agencies signed" in clean[0]
    assert all(one["root"] in clean[0] for one in audited["heads"])


@pytest.mark.spec("LOG-72")
def test_every_finding_is_on_the_page_with_its_evidence(tmp_path: Path) -> None:
    book = lies()
    folder = lay(book.export(), tmp_path / "e")
    done = report(folder, book.on.fed, "--out", str(tmp_path / "audit.html"), "--json")
    assert done.exit_code == 1
    texts = "\n".join(Outline((tmp_path / "audit.html").read_text()).texts)
    findings = json.loads(done.stdout)["findings"]
    assert len(findings) > 5
    for one in findings:
        assert one["code"] in texts
        assert one["sentence"] in texts
        assert all(value in texts for value in one["evidence"].values())
    assert "Clean" not in texts


@pytest.mark.spec("LOG-72")
def test_what_others_wrote_is_escaped_and_rows_left_out_are_counted(clean: tuple[str, dict[str, Any]]) -> None:
    said = dict(clean[1])
    evil = '<script>alert("x")</script>'
    said["federation"] = {"id": said["federation"]["id"], "name": evil}
    said["disclosures"] = [said["disclosures"][0] | {"agreement": evil}] * (MOST_ROWS + 7)
    page = audit_page(said)
    assert "<script" not in page
    assert "7 more are not on this page" in page
    Outline(page)


def test_a_page_needs_a_place(tmp_path: Path) -> None:
    book, files = told()
    folder = lay(files, tmp_path / "e")
    assert report(folder, book.on.fed).exit_code == 2
    assert report(folder, book.on.fed, "--out", str(tmp_path / "no" / "audit.html")).exit_code == 2
