"""The matrix as one page: who may tell whom what, in a file that needs nothing else (CLI-52).

No resource from anywhere, no script needed to read it: script only filters. It works with a keyboard and a screen
reader, in the dark and on paper. Everything in it that somebody wrote is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Final

from exchange.protocol.matrix import Matrix, Row
from exchange.protocol.wording import said

_FILTERS: Final = (("type", "message type"), ("purpose", "purpose"), ("cats", "category"))


def matrix_page(matrix: Matrix, title: str, notes: Iterable[str]) -> str:
    """The page as text; ``notes`` say which agreements it is about and as of when."""
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    head = "".join(f'<th scope="col">{_name(agency)}</th>' for agency in matrix.agencies)
    body = "".join(_line(matrix, agency) for agency in matrix.agencies)
    pairs = "".join(_pair(one, other, rows) for (one, other), rows in matrix.cells.items() if rows)
    filters = "".join(_filter(matrix, name, label) for name, label in _FILTERS)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><p class="banner">SIMULATION. Synthetic agencies and agreements only.</p><h1>{escape(title)}</h1>'
        f'<ul class="notes">{lines}</ul></header>\n<main>\n'
        f'<form class="filters" aria-label="Show only" hidden>{filters}'
        '<button type="reset">Show all</button><output aria-live="polite"></output></form>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Who may tell whom">'
        '<table class="matrix"><caption>A number is how many clauses let the agency of the row tell the agency of the '
        "column something. Follow it to read them.</caption>"
        f'<thead><tr><td class="corner">tells <span aria-hidden="true">\u2192</span></td>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
        f"<h2>Clause by clause</h2>\n{pairs or '<p>Nobody may tell anybody anything.</p>'}\n</main>\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _name(agency: str) -> str:
    first, *rest = agency.removesuffix(".sim").split(".")
    return f'<abbr title="{escape(agency)}">{escape(first)}<br>{escape(" ".join(rest))}</abbr>'


def _anchor(one: str, other: str) -> str:
    return f"{one}--{other}".replace(".", "-")


def _line(matrix: Matrix, one: str) -> str:
    cells = "".join(_cell(one, other, matrix.cells.get((one, other), ())) for other in matrix.agencies)
    return f'<tr><th scope="row">{_name(one)}</th>{cells}</tr>'


def _cell(one: str, other: str, rows: tuple[Row, ...]) -> str:
    if one == other:
        return '<td class="self" aria-label="itself"></td>'
    where, whom = _anchor(one, other), f"{one} may tell {other} nothing"
    if not rows:
        return f'<td class="none"><span class="sr">{escape(whom)}</span><span aria-hidden="true">\u2013</span></td>'
    noun = "clause" if len(rows) == 1 else "clauses"
    said_ = f'<span class="sr">{noun} let {escape(one)} tell {escape(other)} something</span>'
    depth = min(4, 1 + len(rows) // 3)
    return f'<td class="some d{depth}"><a href="#{where}" data-pair="{where}"><b>{len(rows)}</b>{said_}</a></td>'


def _pair(one: str, other: str, rows: tuple[Row, ...]) -> str:
    lines = "".join(_clause(row) for row in rows)
    return (
        f'<details id="{_anchor(one, other)}"><summary><b>{escape(one)}</b> may tell <b>{escape(other)}</b> '
        f'<span class="count">{len(rows)}</span></summary><div class="scroll"><table class="clauses"><thead><tr>'
        '<th scope="col">clause</th><th scope="col">as</th><th scope="col">for</th><th scope="col">carrying</th>'
        f'<th scope="col">strings attached</th></tr></thead><tbody>{lines}</tbody></table></div></details>\n'
    )


def _clause(row: Row) -> str:
    parts = json.dumps([[list(part[name]) for name, _ in _FILTERS] for part in row.parts], separators=(",", ":"))
    cats = "".join(f"<li>{escape(said([cat]))}</li>" for cat in row.codes["cats"]) or "<li>nothing listed</li>"
    needs = "".join(f'<li class="need">{escape(need)}</li>' for need in row.needs)
    ties = "".join(f"<li>{escape(tie)}</li>" for tie in row.ties)
    highest = row.codes["class"][-1] if row.codes["class"] else ""
    return (
        f'<tr data-parts="{escape(parts)}"><th scope="row"><span class="id">{escape(row.clause)}</span> '
        f"{escape(row.title)}<small>{escape(row.agreement)} version {row.version}</small></th>"
        f"<td>{escape(said(row.codes['type'], 'or'))}<small>up to {escape(highest)}</small></td>"
        f"<td>{escape(said(row.codes['purpose'], 'or'))}"
        f"<small>about {escape(said(row.codes['crime'], 'or'))}</small></td>"
        f'<td><ul class="tags">{cats}</ul></td><td><ul>{needs}{ties}</ul></td></tr>'
    )


def _filter(matrix: Matrix, name: str, label: str) -> str:
    rows = [row for found in matrix.cells.values() for row in found]
    codes = sorted({code for row in rows for code in row.codes[name]})
    options = "".join(f'<option value="{escape(code)}">{escape(said([code]))}</option>' for code in codes)
    return f'<label>{escape(label)} <select name="{name}"><option value="">any</option>{options}</select></label>'


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
.notes{margin:.2rem 0 1rem;padding-left:1.1rem;color:var(--soft);font-size:.9rem}
.filters{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:end;margin:0 0 1rem}
.filters[hidden]{display:none}
.filters label{display:grid;font-size:.8rem;color:var(--soft)}
select,button{font:inherit;font-size:.95rem;height:2.2rem;padding:0 .6rem;border:1px solid var(--line);
border-radius:.35rem;background:var(--card);color:var(--ink)}
button{cursor:pointer}output{color:var(--soft);font-size:.9rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:var(--card)}
.matrix{margin:0}.matrix caption{caption-side:bottom;text-align:left;color:var(--soft);font-size:.85rem;padding:.5rem 0}
.matrix th,.matrix td{border:1px solid var(--line);text-align:center;padding:0}
.matrix th{padding:.45rem .7rem;font-weight:600;font-size:.85rem;line-height:1.25}
.matrix th[scope=row]{text-align:left;position:sticky;left:0;background:var(--card)}
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
.count{float:right;min-width:1.8rem;text-align:center;border-radius:1rem;background:var(--s2);color:var(--sink);
font-size:.85rem;padding:0 .5rem}
.clauses{width:100%;font-size:.9rem;border-top:1px solid var(--line)}
.clauses th,.clauses td{vertical-align:top;text-align:left;padding:.55rem .8rem;border-bottom:1px solid var(--line)}
.clauses thead th{color:var(--soft);font-size:.8rem;font-weight:600}
.clauses tbody th{font-weight:400;width:20%}.clauses td{width:20%}
.id{font-weight:700;display:block}small{display:block;color:var(--soft);margin-top:.25rem}
.clauses ul{margin:0;padding-left:1rem}.tags{list-style:none;padding:0!important;display:flex;flex-wrap:wrap;gap:.25rem}
.tags li{border:1px solid var(--line);border-radius:1rem;padding:0 .5rem;font-size:.8rem}
.need{color:var(--warn);font-weight:600}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@page{size:A4 landscape;margin:11mm}
@media print{:root{color-scheme:light}.filters{display:none}
body{max-width:none;padding:0;background:#fff;font-size:.72rem}h1{font-size:1.2rem}
.clauses{font-size:.68rem}.clauses th,.clauses td{padding:.2rem .5rem}.clauses tr{break-inside:avoid}
.tags{display:block}.tags li{display:inline;border:0;padding:0;font-size:inherit}.tags li+li::before{content:", "}
.some a{padding:.35rem .6rem}
details{break-inside:avoid;border:0}.scroll{overflow:visible}details:not([open])>*{display:block}
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
  const left = pairs === 1 ? "1 pair remains" : `${pairs} pairs remain`;
  form.querySelector("output").textContent = want.some(Boolean) ? left : "";
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
