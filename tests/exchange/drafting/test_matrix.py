"""The matrix names exactly the clauses of which something is left, and its page needs nothing and hides nothing."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from random import Random

import pytest

from exchange.drafting.matrix import matrix
from exchange.matrix_page import matrix_page
from exchange.page_words import PAGE
from exchange.protocol.decision import decide
from exchange.protocol.labels import Language, label
from exchange.protocol.vocabulary import Category, MessageType, Purpose
from tests.exchange.drafting.test_asking import COURT, FIU, HUB, LIBRARY, NGO, NORTH, SOUTH
from tests.exchange.protocol import random_drafts as drafts

MATRIX = matrix(LIBRARY)


def clauses(one: str, other: str) -> set[str]:
    return {f"{row.agreement}/{row.clause}" for row in MATRIX.cells[one, other]}


@pytest.mark.spec("DRF-44")
def test_who_may_tell_whom() -> None:
    assert clauses(NGO, NORTH) == {"victim-referral/safety", "victim-referral/come-forward", "victim-referral/explain"}
    assert clauses(NGO, FIU) == clauses(FIU, NGO) == clauses(HUB, COURT) == set()
    assert "victim-referral/refer" in clauses(SOUTH, NGO)
    assert not any("query" in clause for pair in MATRIX.cells for clause in clauses(*pair))
    refer = next(row for row in MATRIX.cells[NORTH, NGO] if row.clause == "refer")
    assert refer.permits(type="victim_referral", cats="data_sealed_identity")
    assert not refer.permits(type="victim_referral", purpose="investigate")
    assert refer.needs == ("marked H2",)


def test_no_code_is_in_a_row_that_no_request_of_it_could_have() -> None:
    rng, seen = Random(44), 0
    for _ in range(40):
        agreements = [drafts.in_force(drafts.random_terms(rng, name)) for name in ("one", "two")]
        scene = drafts.scene_of(*agreements)
        found = matrix(scene)
        for _ in range(20):
            request = drafts.near_request(rng, rng.choice(agreements))
            named = next(a for a in agreements if a.digest == request.agreement)
            one = decide(request, scene.book, drafts.NOW).per_recipient[0]
            rows = found.cells.get((request.discloser.id, one.recipient), ())
            mine = [row for row in rows if row.agreement == named.terms.id and row.clause in one.clauses]
            if one.outcome == "permit" and one.clauses != ("floor-exculp",):
                assert len(mine) == len(one.clauses)
                assert all(request.type in row.codes["type"] for row in mine)
                assert all(row.permits(type=request.type, purpose=request.purpose) for row in mine)
                assert all(request.cats <= set(row.codes["cats"]) for row in mine)
                seen += 1
    assert seen > 10


class Page(HTMLParser):
    """What a reader of the page needs to know: its tags, ids, links, and whether every tag is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.append((name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.spec("CLI-52")
def test_the_page_loads_nothing_and_shows_every_clause_that_is_counted() -> None:
    text = matrix_page(MATRIX, "Who may tell whom", [("note <b>one</b>",)])
    page = Page(text)
    assert page.open == []
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=", text)
    assert "default-src 'none'" in text
    assert "SIMULATION" in page.text
    assert "note <b>one</b>" in page.text
    assert sorted(page.links) == sorted(f"#{name}" for name in page.ids)
    rows = [row for found in MATRIX.cells.values() for row in found]
    assert len([1 for name, _ in page.attributes if name == "data-parts"]) == len(rows)
    assert all(row.title in page.text for row in rows)
    assert 'lang="en"' in text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


@pytest.mark.spec("CLI-54", "VOC-14")
@pytest.mark.parametrize("lang", Language)
def test_a_page_in_a_language_has_every_code_beside_its_label(lang: Language) -> None:
    text = matrix_page(MATRIX, "t", [("a", "b")], lang)
    page = Page(text)
    assert page.open == []
    assert f'<html lang="{lang}" dir="{"rtl" if lang is Language.AR else "ltr"}">' in text
    assert sorted(page.links) == sorted(f"#{name}" for name in page.ids)
    assert "SIMULATION. Synthetic agencies" in page.text
    rows = [row for found in MATRIX.cells.values() for row in found]
    assert len([1 for name, _ in page.attributes if name == "data-parts"]) == len(rows)
    for name, kind in (("type", MessageType), ("purpose", Purpose), ("cats", Category)):
        for code in {code for row in rows for code in row.codes[name]}:
            assert f'{escape(label(kind, code, lang))} <code dir="ltr">{code}</code>' in text
    assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.spec("CLI-54")
def test_a_page_in_a_language_is_tied_to_what_the_sentences_say() -> None:
    refer = next(row for row in MATRIX.cells[NORTH, NGO] if row.clause == "refer")
    text = matrix_page(MATRIX, "t", [], Language.ES)
    row = next(part for part in text.split("<tr ")[1:] if ">refer<" in part)
    assert "it is erased after 180 days" in refer.ties
    assert 'Supresión tras (días): <code dir="ltr">180</code>' in row
    assert 'Retransmisión: Ninguna retransmisión <code dir="ltr">none</code>' in row
    assert 'Marca obligatoria: No retransmitir sin permiso del proveedor <code dir="ltr">H2</code>' in row


def test_every_page_says_the_same_things_of_itself() -> None:
    english = PAGE[Language.EN]
    assert set(PAGE) == set(Language)
    for lang, words in PAGE.items():
        assert list(words) == list(english)
        for name, text in words.items():
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", english[name]), f"{lang} {name}"
            assert lang is not Language.AR or not re.search("[a-z]", re.sub(r"{\w+}", "", text)), name


def test_text_of_others_is_escaped_in_the_page() -> None:
    terms = drafts.random_terms(Random(1))
    clause = {
        **terms["clauses"][0], "effect": "permit", "title": '<script>alert("x")</script>', "from": ["party:any"],
        "to": ["party:any"], "types": ["info_reply"], "purposes": ["investigate"], "crimes": ["immigrant_smuggling"],
        "cats": [], "class_max": "unclassified",
        "conditions": {"handling_required": [], "urgency": ["none"], "transfer": "adequacy", "onward": "none",
                       "evidence": False, "human_release": False},
    }  # fmt: skip
    agreement = drafts.in_force({**terms, "clauses": [{k: v for k, v in clause.items() if k != "reach"}]})
    text = matrix_page(matrix(drafts.scene_of(agreement)), "<t>", [])
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<title>&lt;t&gt;</title>" in text
    empty = drafts.scene_of()
    assert "Nobody may tell anybody anything." in matrix_page(matrix(empty), "t", [])
