"""A reconciliation as one page: who, what, and with which proof, in one file (LOG-107, LOG-108).

Made like the page of an audit, and of what ``--json`` gives: nobody who reads the one learns more than from the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from exchange.audit_page import MOST_ROWS, document, evidence_list, place, table, when

Json = Mapping[str, Any]


def reconcile_page(said: Json) -> str:
    """The page for what ``ix audit reconcile --json`` gives."""
    title = f"Three books of {said['federation']['name'] or 'a log that is not believed'}"
    return document(title, [_verdict(said), _facts(said), _findings(said), _ledgers(said), _limits(said)])


def _wrong(said: Json) -> list[Json]:
    return [one for one in said["findings"] if one["severity"] == "error"]


def _verdict(said: Json) -> str:
    wrong = _wrong(said)
    if said["clean"]:
        text = "The log and every ledger that was handed in tell one story."
        return f'<section class="verdict good"><h2>Clean</h2><p>{text}</p></section>\n'
    counts = Counter(one["who"] for one in wrong).most_common()
    named = ", ".join(f"{escape(who)} ({count})" for who, count in counts)
    noun = "finding" if len(wrong) == 1 else "findings"
    return f'<section class="verdict bad"><h2>{len(wrong)} {noun}</h2><p>Answerable: {named}.</p></section>\n'


def _facts(said: Json) -> str:
    head, waiting = said["log"], sum(said["on_its_way"].values())
    rows = [("Federation", f"<code>{escape(said['federation']['id'])}</code>")]
    if head is not None:
        log = f"{escape(head['origin'])}, {head['size']} entries, signed {when(head['signed'])}"
        rows += [("Log", log), ("Root", f"<code>{escape(head['root'])}</code>")]
    patience = f"{waiting} {'fact' if waiting == 1 else 'facts'} that another book may still lack: "
    patience += f"younger than {said['grace_hours']:g} hours, or than two clocks may differ"
    rows.append(("On its way", patience))
    if said["not_handed_in"]:
        rows.append(("No ledger of", escape(", ".join(said["not_handed_in"]))))
    return f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{value}</dd></div>' for name, value in rows)}</dl>\n"


def _findings(said: Json) -> str:
    found = sorted(said["findings"], key=lambda one: one["severity"] != "error")
    rows = [_finding(one) for one in found[:MOST_ROWS]]
    names = ("entry", "who", "finding", "what it says, with the proof")
    return table("Who, what, and with which proof", names, rows, len(found) - len(rows)) if rows else ""


def _finding(one: Json) -> str:
    evidence = {name: value for name, value in one["evidence"].items() if name != "proof"}
    proof = one["evidence"].get("proof") or "none that tells which of them; ask both for what they signed"
    return (
        f'<tr class="{escape(one["severity"])}"><td>{place(one["index"])}</td><th scope="row">{escape(one["who"])}</th>'
        f"<td><code>{escape(one['code'])}</code></td><td>{escape(one['sentence'])}"
        f"<small>Proof: {escape(proof)}</small>{evidence_list(evidence)}</td></tr>"
    )


def _ledgers(said: Json) -> str:
    rows = [_ledger(one) for one in said["ledgers"]]
    names = ("ledger", "acts", "signed", "heads in the log", "proofs held")
    return table("The ledgers", names, rows) if rows else ""


def _ledger(one: Json) -> str:
    acts = "not believed" if one["acts"] is None else one["acts"]
    cells = (acts, when(one["signed"]) if one["signed"] else "", one["heads"], one["proofs"])
    return f'<tr><th scope="row">{escape(one["agency"])}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _limits(said: Json) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in said["cannot_show"])
    return f"<h2>What no comparison of books can show</h2>\n<ul>{items}</ul>\n"
