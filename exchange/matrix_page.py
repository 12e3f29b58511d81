"""The matrix as one page: who may tell whom what, in a file that needs nothing else (CLI-52, CLI-54).

No resource from anywhere, no script needed to read it: script only filters. It works with a keyboard and a screen
reader, in the dark and on paper. Everything in it that somebody wrote is escaped. In a language, codes stand beside
their labels, and nothing is said but labels, codes and titles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Final

from exchange.drafting.coded import Line, Value, coded_needs, coded_ties, values
from exchange.drafting.matrix import Matrix, Row
from exchange.drafting.wording import said
from exchange.page_words import PAGE
from exchange.protocol.labels import Language
from exchange.protocol.vocabulary import Category, Classification, CrimeArea, MessageType, Purpose

_FILTERS: Final[dict[str, type[StrEnum]]] = {"type": MessageType, "purpose": Purpose, "cats": Category}
_LISTS: Final[dict[str, type[StrEnum]]] = {**_FILTERS, "crime": CrimeArea, "class": Classification}


def matrix_page(matrix: Matrix, title: str, notes: Iterable[tuple[str, ...]], lang: Language | None = None) -> str:
    """The page as text; ``notes``, in parts, say what it is about and as of when. Without ``lang``, in sentences."""
    return _Page(matrix, lang).whole(title, notes)


@dataclass(frozen=True, slots=True)
class _Page:
    """A matrix and the language it is said in."""

    matrix: Matrix
    lang: Language | None

    def words(self, name: str, **names: str) -> str:
        """What the page says of itself; what is put in has been escaped."""
        return escape(PAGE[self.lang or Language.EN][name]).format(**names)

    def whole(self, title: str, notes: Iterable[tuple[str, ...]]) -> str:
        matrix, words, lang = self.matrix, self.words, self.lang or Language.EN
        lines = "".join(f"<li>{' '.join(map(_theirs, filter(None, note)))}</li>" for note in notes)
        head = "".join(f'<th scope="col">{_name(agency)}</th>' for agency in matrix.agencies)
        body = "".join(self.line(agency) for agency in matrix.agencies)
        pairs = "".join(self.pair(one, other, rows) for (one, other), rows in matrix.cells.items() if rows)
        filters = "".join(self.filter(name) for name in _FILTERS)
        pairs = pairs or f"<p>{words('nobody')}</p>"
        arrow = "\u2190" if lang.direction == "rtl" else "\u2192"
        return (
            f'<!doctype html>\n<html lang="{lang}" dir="{lang.direction}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f'<header><p class="banner">{self.banner()}</p><h1>{escape(title)}</h1>'
            f'<ul class="notes">{lines}</ul></header>\n<main>\n'
            f'<form class="filters" aria-label="{words("show only")}" hidden>{filters}'
            f'<button type="reset">{words("show all")}</button><output aria-live="polite" '
            f'data-left="{words("left", n="#")}" data-one="{words("left one")}"></output></form>\n'
            f'<div class="scroll" tabindex="0" role="region" aria-label="{words("region")}">'
            f'<table class="matrix"><caption>{words("caption")}</caption>'
            f'<thead><tr><td class="corner">{words("tells")} <span aria-hidden="true">{arrow}</span></td>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>\n"
            f"<h2>{words('clause by clause')}</h2>\n{pairs}\n</main>\n"
            f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
        )

    def banner(self) -> str:
        """That it is a simulation, in English whatever the language: who sees the page first may not read it."""
        first = escape(PAGE[Language.EN]["simulation"])
        if self.lang in {None, Language.EN}:
            return first
        return f'{self.words("simulation")} <bdi lang="en">{first}</bdi>'

    def line(self, one: str) -> str:
        cells = "".join(
            self.cell(one, other, self.matrix.cells.get((one, other), ())) for other in self.matrix.agencies
        )
        return f'<tr><th scope="row">{_name(one)}</th>{cells}</tr>'

    def cell(self, one: str, other: str, rows: tuple[Row, ...]) -> str:
        if one == other:
            return f'<td class="self" aria-label="{self.words("itself")}"></td>'
        names = {"one": _theirs(one), "other": _theirs(other)}
        if not rows:
            whom = self.words("nothing", **names)
            return f'<td class="none"><span class="sr">{whom}</span><span aria-hidden="true">\u2013</span></td>'
        where, depth = _anchor(one, other), min(4, 1 + len(rows) // 3)
        said_ = self.words("clause lets" if len(rows) == 1 else "clauses let", **names)
        link = f'<a href="#{where}" data-pair="{where}"><b>{len(rows)}</b><span class="sr">{said_}</span></a>'
        return f'<td class="some d{depth}">{link}</td>'

    def pair(self, one: str, other: str, rows: tuple[Row, ...]) -> str:
        lines = "".join(self.clause(row) for row in rows)
        heads = "".join(
            f'<th scope="col">{self.words(name)}</th>' for name in ("clause", "as", "for", "carrying", "strings")
        )
        whom = self.words("may tell", one=f"<b>{_theirs(one)}</b>", other=f"<b>{_theirs(other)}</b>")
        return (
            f'<details id="{_anchor(one, other)}"><summary>{whom} <span class="count">{len(rows)}</span></summary>'
            f'<div class="scroll"><table class="clauses"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
            "</div></details>\n"
        )

    def clause(self, row: Row) -> str:
        parts = json.dumps([[list(part[name]) for name in _FILTERS] for part in row.parts], separators=(",", ":"))
        highest = self.codes("class", row.codes["class"][-1:])
        return (
            f'<tr data-parts="{escape(parts)}"><th scope="row"><span class="id">{_theirs(row.clause)}</span> '
            f"{_theirs(row.title)}<small>{_theirs(row.agreement)} {self.words('version')} {row.version}</small></th>"
            f"<td>{self.codes('type', row.codes['type'])}<small>{self.words('up to')} {highest}</small></td>"
            f"<td>{self.codes('purpose', row.codes['purpose'])}"
            f"<small>{self.words('about')} {self.codes('crime', row.codes['crime'])}</small></td>"
            f'<td><ul class="tags">{self.tags(row)}</ul></td><td><ul>{self.strings(row)}</ul></td></tr>'
        )

    def codes(self, name: str, codes: tuple[str, ...]) -> str:
        """Codes as words of a sentence, or each as its label with the code beside it."""
        if self.lang is None:
            return escape(said(codes, "or"))
        return "".join(f'<span class="one">{_value(one)}</span>' for one in values(_LISTS[name], codes, self.lang))

    def tags(self, row: Row) -> str:
        cats = row.codes["cats"]
        if self.lang is None:
            return "".join(f"<li>{escape(said([cat]))}</li>" for cat in cats) or "<li>nothing listed</li>"
        return "".join(f"<li>{_value(one)}</li>" for one in values(Category, cats, self.lang))

    def strings(self, row: Row) -> str:
        if self.lang is None:
            needs = "".join(f'<li class="need">{escape(need)}</li>' for need in row.needs)
            return needs + "".join(f"<li>{escape(tie)}</li>" for tie in row.ties)
        needed = coded_needs(row.conditions, self.lang, copied=row.copied)
        ties = coded_ties(
            row.conditions, self.lang, row.purge_days, special="data_special_category" in row.codes["cats"]
        )
        needs = "".join(f'<li class="need">{_line(one)}</li>' for one in needed)
        return needs + "".join(f"<li>{_line(one)}</li>" for one in ties)

    def filter(self, name: str) -> str:
        rows = [row for found in self.matrix.cells.values() for row in found]
        codes = sorted({code for row in rows for code in row.codes[name]})
        options = "".join(
            f'<option value="{escape(code)}">{escape(self.option(name, code))}</option>' for code in codes
        )
        head = f'<option value="">{self.words("any")}</option>'
        return f'<label>{self.words(name)} <select name="{name}">{head}{options}</select></label>'

    def option(self, name: str, code: str) -> str:
        return said([code]) if self.lang is None else str(values(_LISTS[name], [code], self.lang)[0])


def _theirs(text: str) -> str:
    """What somebody else wrote, or a name: escaped, and kept from turning the text around it."""
    return f"<bdi>{escape(text)}</bdi>"


def _value(one: Value) -> str:
    code = f'<code dir="ltr">{escape(one.code)}</code>' if one.code else ""
    return " ".join(filter(None, [escape(one.label), code]))


def _line(line: Line) -> str:
    if len(line.values) == 1:
        return f"{escape(line.word)}: {_value(line.values[0])}"
    return f"{escape(line.word)}:" + "".join(f'<span class="one">{_value(one)}</span>' for one in line.values)


def _name(agency: str) -> str:
    first, *rest = agency.removesuffix(".sim").split(".")
    return f'<abbr title="{escape(agency)}">{escape(first)}<br>{escape(" ".join(rest))}</abbr>'


def _anchor(one: str, other: str) -> str:
    return f"{one}--{other}".replace(".", "-")


_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#fbfbfa;--card:#fff;--line:#d8dce2;--link:#0b4f9e;
--s1:#e3f0e6;--s2:#c9e4d0;--s3:#a9d4b5;--s4:#86c197;--sink:#12351d;--warn:#7a4a00}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a2acba;--paper:#14181e;--card:#1b2028;--line:#343c48;
--link:#8fc1ff;--s1:#1d3325;--s2:#244430;--s3:#2c573c;--s4:#356b49;--sink:#e5f6ea;--warn:#f0c27a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem 1.25rem 4rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;margin:.4rem 0}h2{font-size:1.2rem;margin:2rem 0 .6rem}
.banner{margin:0;font-size:.8rem;letter-spacing:.04em;color:var(--warn);font-weight:600}
.notes{margin:.2rem 0 1rem;padding-inline-start:1.1rem;color:var(--soft);font-size:.9rem}
.filters{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:end;margin:0 0 1rem}
.filters[hidden]{display:none}
.filters label{display:grid;font-size:.8rem;color:var(--soft)}
select,button{font:inherit;font-size:.95rem;height:2.2rem;padding:0 .6rem;border:1px solid var(--line);
border-radius:.35rem;background:var(--card);color:var(--ink)}
button{cursor:pointer}output{color:var(--soft);font-size:.9rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:var(--card)}
.matrix{margin:0}
.matrix caption{caption-side:bottom;text-align:start;color:var(--soft);font-size:.85rem;padding:.5rem 0}
.matrix th,.matrix td{border:1px solid var(--line);text-align:center;padding:0}
.matrix th{padding:.45rem .7rem;font-weight:600;font-size:.85rem;line-height:1.25}
.matrix th[scope=row]{text-align:start;position:sticky;inset-inline-start:0;background:var(--card)}
.matrix abbr{text-decoration:none}
.corner{padding:.45rem .7rem;color:var(--soft);font-size:.8rem}
.some a{display:block;padding:.8rem 1rem;color:var(--sink);text-decoration:none;min-width:4.4rem}
.some b{font-size:1.05rem}.some a:hover b{text-decoration:underline}
.d1{background:var(--s1)}.d2{background:var(--s2)}.d3{background:var(--s3)}.d4{background:var(--s4)}
.none{color:var(--soft)}
.self{background:repeating-linear-gradient(135deg,transparent 0 5px,var(--line) 5px 6px)}
.off{opacity:.5}.off a{color:var(--soft)}
a:focus-visible,select:focus-visible,button:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid
var(--link);outline-offset:1px}
details{border:1px solid var(--line);border-radius:.4rem;background:var(--card);margin:.4rem 0}
summary{padding:.5rem .8rem;cursor:pointer}
.count{float:inline-end;min-width:1.8rem;text-align:center;border-radius:1rem;background:var(--s2);color:var(--sink);
font-size:.85rem;padding:0 .5rem}
.clauses{width:100%;font-size:.9rem;border-top:1px solid var(--line)}
.clauses th,.clauses td{vertical-align:top;text-align:start;padding:.55rem .8rem;border-bottom:1px solid var(--line)}
.clauses thead th{color:var(--soft);font-size:.8rem;font-weight:600}
.clauses tbody th{font-weight:400;width:17%}.clauses td{width:15%}.clauses td:nth-of-type(n+3){width:26%}
.id{font-weight:700;display:block}small{display:block;color:var(--soft);margin-top:.25rem}
.clauses ul{margin:0;padding-inline-start:1rem}
.tags{list-style:none;padding:0!important;display:flex;flex-wrap:wrap;gap:.25rem}
.tags li{border:1px solid var(--line);border-radius:1rem;padding:0 .5rem;font-size:.8rem}
code{font-size:.85em;color:var(--soft)}.one{display:block}
.need{color:var(--warn);font-weight:600}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@page{size:A4 landscape;margin:11mm}
@media print{:root{color-scheme:light}.filters{display:none}
body{max-width:none;padding:0;background:#fff;font-size:.72rem}h1{font-size:1.2rem}
.clauses{font-size:.68rem}.clauses th,.clauses td{padding:.2rem .5rem}.clauses tr{break-inside:avoid}
.tags{display:block}.tags li{display:inline;border:0;padding:0;font-size:inherit}.tags li+li::before{content:", "}
.some a{padding:.35rem .6rem}
details{border:0}summary{break-after:avoid}thead{break-after:avoid}
.scroll{overflow:visible}details:not([open])>*{display:block}
::details-content{content-visibility:visible;block-size:auto}.off{display:none}}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
"""

_SCRIPT: Final = """
"use strict";
const form = document.querySelector("form"), names = ["type", "purpose", "cats"];
form.hidden = false;
function show() {
  const want = names.map((name) => form.elements[name].value);
  let pairs = 0;
  for (const pair of document.querySelectorAll("details")) {
    let count = 0;
    for (const row of pair.querySelectorAll("tr[data-parts]")) {
      const parts = JSON.parse(row.dataset.parts);
      const fits = parts.some((part) => want.every((code, i) => !code || part[i].includes(code)));
      row.hidden = !fits;
      count += fits;
    }
    pair.hidden = count === 0;
    pairs += count > 0;
    pair.querySelector(".count").textContent = count;
    const link = document.querySelector(`a[data-pair="${pair.id}"]`);
    link.querySelector("b").textContent = count;
    link.parentElement.className = count ? `some d${Math.min(4, 1 + Math.floor(count / 3))}` : "some off";
  }
  const output = form.querySelector("output"), {left, one} = output.dataset;
  output.textContent = want.some(Boolean) ? (pairs === 1 ? one : left.replace("#", pairs)) : "";
}
form.addEventListener("change", show);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(show));
function unfold() {
  const pair = document.getElementById(location.hash.slice(1));
  if (pair && pair.tagName === "DETAILS") pair.open = true;
}
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((pair) => (pair.open = true)));
document.querySelector(".matrix").addEventListener("click", () => setTimeout(unfold));
unfold();
"""
