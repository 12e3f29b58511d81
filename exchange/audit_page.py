"""An audit as one page: the verdict, what is wrong, who told whom what, in one file (LOG-71, LOG-72).

No script, no resource from anywhere. It works with a keyboard and a screen reader, in the dark and on paper. Everything
in it that somebody else wrote is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

Json = Mapping[str, Any]
MOST_ROWS: Final = 2_000
"""Rows of one table; a page with more is not read, and says what it leaves out."""
LIMITS: Final = (
    "This page is about the log. What was passed on outside of it, on paper or by telephone, is in no log.",
    "The log has no content, no names and no cases: whether what was told is true, or was needed, it cannot show.",
    "A receipt, an answer and an erasure are the word of the agency that signed it.",
    "That this is the only log the broker shows anybody is for witnesses to say, not for one export.",
)


def audit_page(report: Json) -> str:
    """The page for what ``ix audit report --json`` gives."""
    title = f"Audit of {report['federation']['name'] or 'a log that is not believed'}"
    parts = [_verdict(report), _facts(report), _findings(report["findings"]), _notes(report["unusual"])]
    parts += [_pairs(report), _disclosures(report["disclosures"]), _denials(report["denials"])]
    parts += [_followed(report["followed"]), _heads(report["heads"]), _limits()]
    return document(title, parts)


def document(title: str, parts: Iterable[str]) -> str:
    """One page that needs nothing else, of these parts."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the answer</a>\n'
        f'<header><p class="banner">SIMULATION. Synthetic agencies and data only.</p>'
        f"<h1>{escape(title)}</h1></header>\n"
        f'<main id="main">\n{"".join(part for part in parts if part)}</main>\n</body>\n</html>\n'
    )


def _verdict(report: Json) -> str:
    wrong = sum(one["severity"] == "error" for one in report["findings"])
    if report["clean"]:
        counts, unsigned = report["counts"], report["counts"].get("unsigned_receipts", 0)
        decided = counts.get("decided_again", 0)
        said = (
            f"Every entry is the one that was signed, and each of {decided} decisions follows from the agreements "
            "logged before it."
        )
        if unsigned:
            said += f" For {unsigned} receipts only the log vouches: their signed batches were not exported."
        return f'<section class="verdict good"><h2>Clean</h2><p>{said}</p></section>\n'
    noun = "finding" if wrong == 1 else "findings"
    said = "This log is not to be relied on before each is explained."
    return f'<section class="verdict bad"><h2>{wrong} {noun}</h2><p>{said}</p></section>\n'


def _facts(report: Json) -> str:
    head, counts = report["log"], report["counts"]
    rows = [("Federation", f"<code>{escape(report['federation']['id'])}</code>")]
    if head is not None:
        rows += [
            ("Log", f"{escape(head['origin'])}, {head['size']} entries, signed {when(head['signed'])}"),
            ("Root", f"<code>{escape(head['root'])}</code>"),
        ]
    kinds = ("disclosure", "denial", "receipt", "act", "agreement", "suspension", "record", "signature", "node-head")
    said = ", ".join(f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in kinds if counts.get(kind))
    rows.append(("Entries", escape(said or "none")))
    if counts.get("not_judged"):
        rows.append(
            ("Not judged", f"{counts['not_judged']} entries that cannot be believed, or rest on one that cannot")
        )
    return f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{value}</dd></div>' for name, value in rows)}</dl>\n"


def _findings(findings: Iterable[Json]) -> str:
    found = sorted(findings, key=lambda one: one["severity"] != "error")
    if not found:
        return ""
    rows = [
        f'<tr class="{escape(one["severity"])}"><td>{place(one["index"])}</td><th scope="row">'
        f"<code>{escape(one['code'])}</code>"
        f"<small>{escape(one['severity'])}</small></th><td>{escape(one['sentence'])}{evidence_list(one['evidence'])}</td></tr>"
        for one in found
    ]
    return table("What was found", ("entry", "finding", "what it says, with the evidence"), rows)


def evidence_list(evidence: Mapping[str, str]) -> str:
    if not evidence:
        return ""
    rows = "".join(f"<li>{escape(name)}: <code>{escape(value)}</code></li>" for name, value in evidence.items())
    return f'<ul class="evidence">{rows}</ul>'


def _notes(notes: Iterable[Json]) -> str:
    rows = [
        f'<tr><td>{place(one["index"])}</td><th scope="row"><code>{escape(one["code"])}</code></th>'
        f"<td>{escape(one['sentence'])}</td></tr>"
        for one in notes
    ]
    return table("Unusual: reasons to ask, not verdicts", ("entry", "note", "what it says"), rows) if rows else ""


def _pairs(report: Json) -> str:
    told = Counter((one["from"], to["id"]) for one in report["disclosures"] for to in one["to"])
    denied = Counter((one["from"], to["id"]) for one in report["denials"] for to in one["to"])
    agencies = sorted({agency for pair in (*told, *denied) for agency in pair})
    if not agencies:
        return ""
    head = "".join(f'<th scope="col">{_agency(one)}</th>' for one in agencies)
    body = "".join(
        f'<tr><th scope="row">{_agency(one)}</th>{"".join(_cell(one, other, told, denied) for other in agencies)}</tr>'
        for one in agencies
    )
    return (
        '<section><h2>Who told whom</h2><div class="scroll" tabindex="0" role="region" aria-label="Who told whom">'
        '<table class="matrix"><caption>Disclosures from the agency of the row to that of the column; denials behind a '
        f"minus sign.</caption><thead><tr>"
        f"<td>tells</td>{head}</tr></thead><tbody>{body}</tbody></table></div></section>\n"
    )


def _cell(one: str, other: str, told: Counter[tuple[str, str]], denied: Counter[tuple[str, str]]) -> str:
    if one == other:
        return '<td class="self"><span class="sr">itself</span></td>'
    n, no = told[one, other], denied[one, other]
    if not n and not no:
        return '<td class="none"><span class="sr">nothing</span></td>'
    minus = (
        f' <span class="no"><span aria-hidden="true">\u2212{no}</span><span class="sr">, {no} denied</span></span>'
        if no
        else ""
    )
    return f'<td class="some d{min(4, len(str(n)) if n else 0)}"><b>{n}</b>{minus}</td>'


def _disclosures(rows: list[Json]) -> str:
    if not rows:
        return ""
    lines = [
        f'<tr><td>{place(one["index"])}</td><td>{when(one["ts"])}</td><th scope="row">{_agency(one["from"])}'
        f"{_to(one)}</th><td>{escape(_words(one['type']))}<small>for {escape(_words(one['purpose']))}, about "
        f"{escape(_words(one['crime']))}; {escape(one['class'])}</small></td><td>{_tags(one['cats'])}</td>"
        f"<td>{''.join(_told(one, to) for to in one['to'])}</td></tr>"
        for one in rows[:MOST_ROWS]
    ]
    names = ("entry", "when (UTC)", "from and to", "what, why", "carrying", "under which clause, received")
    return table("Who disclosed what to whom", names, lines, left=len(rows) - len(lines))


def _to(one: Json) -> str:
    return "".join(
        f'<br><span aria-hidden="true">\u2192</span> <span class="sr">to</span> {_agency(to["id"])}' for to in one["to"]
    )


def _told(one: Json, to: Json) -> str:
    name = f"{escape(to['id'])}: " if len(one["to"]) > 1 else ""
    receipts = "".join(f"<small>{escape(status)} {when(ts)}</small>" for status, ts in to["receipts"].items())
    got = receipts or '<small class="need">no receipt</small>'
    return f"<div>{name}{escape(one['agreement'])} <b>{escape(' '.join(to['clauses']))}</b>{got}</div>"


def _denials(rows: list[Json]) -> str:
    if not rows:
        return ""
    lines = [
        f"<tr><td>{place(one['index'])}</td><td>{when(one['ts'])}</td>"
        f'<th scope="row">{_agency(one["from"])}{_to(one)}</th>'
        f"<td>{escape(_words(one['type']))}<small>for {escape(_words(one['purpose']))}</small></td>"
        f"<td>{_tags(one['cats'])}</td>"
        f"<td><code>{escape(one['code'])}</code>{_nearest(one)}</td></tr>"
        for one in rows[:MOST_ROWS]
    ]
    names = ("entry", "when (UTC)", "from and to", "what, why", "carrying", "why not")
    return table("What was denied", names, lines, left=len(rows) - len(lines))


def _nearest(one: Json) -> str:
    clauses = sorted({to["nearest"] for to in one["to"] if "nearest" in to})
    return f"<small>nearest clause {escape(', '.join(clauses))}</small>" if clauses else ""


def _followed(rows: list[Json]) -> str:
    lines = [
        f'<tr><td>{place(one["index"])}</td><td>{when(one["ts"])}</td><th scope="row">{escape(one["act"])} by '
        f"{_agency(one['by'])}</th><td>"
        f"{''.join(_answer(holder) for holder in one['holders']) or 'nobody holds it'}</td></tr>"
        for one in rows[:MOST_ROWS]
    ]
    names = ("entry", "when (UTC)", "what", "each holder's answer")
    return table("Recalled, restricted or rectified", names, lines, left=len(rows) - len(lines)) if lines else ""


def _answer(holder: Json) -> str:
    answer = holder.get("answer")
    if answer is None:
        return f'<div>{escape(holder["id"])}: <span class="need">no answer</span></div>'
    ground = f" ({escape(_words(answer['ground']))})" if "ground" in answer else ""
    return f"<div>{escape(holder['id'])}: {escape(answer['outcome'])}{ground}</div>"


def _heads(rows: list[Json]) -> str:
    lines = [
        f'<tr><td>{place(one["index"])}</td><td>{when(one["ts"])}</td><th scope="row">{_agency(one["by"])}</th>'
        f"<td>{one['size']}</td><td><code>{escape(one['root'])}</code></td></tr>"
        for one in rows[:MOST_ROWS]
    ]
    names = ("entry", "when (UTC)", "whose ledger", "acts", "root")
    return table("Ledgers that agencies signed", names, lines, left=len(rows) - len(lines)) if lines else ""


def _limits() -> str:
    return f"<section><h2>What this cannot show</h2><ul>{''.join(f'<li>{one}</li>' for one in LIMITS)}</ul></section>\n"


def table(title: str, names: tuple[str, ...], rows: list[str], left: int = 0) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    more = f"<p>{left} more are not on this page; the JSON report has all.</p>" if left > 0 else ""
    return (
        f'<section><h2>{title} <span class="count">{len(rows) + max(left, 0)}</span></h2>'
        f'<div class="scroll" tabindex="0" '
        f'role="region" aria-label="{title}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"{more}</section>\n"
    )


def place(index: int | None) -> str:
    return "" if index is None else str(index)


def when(ts: str) -> str:
    return f'<time datetime="{escape(ts)}">{escape(ts[:10])} {escape(ts[11:19])}</time>'


def _agency(agency: str) -> str:
    return escape(agency)


def _words(code: str) -> str:
    return code.replace("_", " ")


def _tags(codes: Iterable[str]) -> str:
    return f'<ul class="tags">{"".join(f"<li>{escape(_words(code))}</li>" for code in codes)}</ul>'


_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#566170;--paper:#fbfbfa;--card:#fff;--line:#d8dce2;--link:#0b4f9e;
--good:#12552a;--goodback:#e3f0e6;--bad:#8c1616;--badback:#fae6e4;--warn:#7a4a00;--s:#dfeaf6}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a7b1bf;--paper:#14181e;--card:#1b2028;--line:#343c48;
--link:#8fc1ff;--good:#b9ecc8;--goodback:#1d3325;--bad:#ffb9b3;--badback:#43201f;--warn:#f0c27a;--s:#22344a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:80rem;padding:1rem 1.25rem 4rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;margin:.3rem 0 1rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
.banner{margin:0;font-size:.8rem;letter-spacing:.04em;color:var(--warn);font-weight:600}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.4rem .8rem}
.verdict{border-radius:.5rem;padding:.9rem 1.2rem;border-left:.45rem solid}
.verdict h2{margin:0;font-size:1.35rem}
.verdict p{margin:.2rem 0 0}.good{background:var(--goodback);color:var(--good)}
.bad{background:var(--badback);color:var(--bad)}
dl{margin:1rem 0;display:grid;gap:.25rem}dl div{display:grid;grid-template-columns:7rem 1fr;gap:.5rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.85em;overflow-wrap:anywhere}
.scroll{overflow-x:auto}.scroll:focus-visible,a:focus-visible{outline:3px solid var(--link);outline-offset:1px}
table{border-collapse:collapse;background:var(--card);width:100%;font-size:.9rem;border:1px solid var(--line)}
th,td{text-align:left;vertical-align:top;padding:.5rem .7rem;border-bottom:1px solid var(--line);font-weight:400}
thead th,thead td{color:var(--soft);font-size:.8rem;font-weight:600}
tbody td:first-child{color:var(--soft);font-variant-numeric:tabular-nums}
tbody th[scope=row]{white-space:nowrap}time{white-space:nowrap;font-variant-numeric:tabular-nums}
tr.error{box-shadow:inset .3rem 0 var(--bad)}tr.error th code{color:var(--bad);font-weight:600}
small{display:block;color:var(--soft)}.need{color:var(--warn);font-weight:600}
.evidence{margin:.3rem 0 0;padding-left:1.1rem;color:var(--soft);font-size:.85rem}
.tags{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:.25rem}
.tags li{border:1px solid var(--line);border-radius:1rem;padding:0 .5rem;font-size:.8rem;white-space:nowrap}
.count{font-size:.85rem;font-weight:400;color:var(--soft)}
.matrix{width:auto}
.matrix caption{caption-side:bottom;text-align:left;color:var(--soft);font-size:.85rem;padding:.5rem 0}
.matrix th,.matrix td{border:1px solid var(--line);text-align:center}
.matrix th[scope=row]{text-align:left;font-weight:600}
.matrix tbody td:first-child{color:inherit}.matrix .some{background:var(--s)}.no{color:var(--bad);white-space:nowrap}
.self{background:repeating-linear-gradient(135deg,transparent 0 5px,var(--line) 5px 6px)}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@page{size:A4 landscape;margin:11mm}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--card:#fff;--line:#bbb;--good:#12552a;
--goodback:#fff;--bad:#8c1616;--badback:#fff;--warn:#7a4a00;--s:#eee}
body{max-width:none;padding:0;font-size:.75rem}table{font-size:.68rem}th,td{padding:.2rem .4rem}tr{break-inside:avoid}
.skip{display:none}.scroll{overflow:visible}thead{display:table-header-group}}
"""
