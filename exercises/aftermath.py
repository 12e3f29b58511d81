"""How the demo's story ends: an audit with nothing running, and one after somebody edited the books."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from exercises.markers import search
from exercises.scene import HUB, NGO, NORTH, SOUTH, Scene, expect
from exercises.stage import Stage


def audit(stage: Stage) -> Scene:
    """Nobody runs any more; an auditor verifies every entry from files and the federation's id alone."""
    stage.silence()
    folder = stage.evidence / "export"
    exported = stage.run("audit", "export", "--from", stage.home / "broker", "--out", folder)
    expect(exported.returncode == 0, f"the log should be exported: {exported.stderr}")
    verified = stage.run("audit", "verify", folder, "--fed", stage.federation.fed, "--json")
    expect(verified.returncode == 0, f"the audit should be clean: {verified.stderr}{verified.stdout[-500:]}")
    report = json.loads(verified.stdout)
    stage.keep_evidence("audit.json", verified.stdout)
    expect(report["clean"] and not report["findings"], "the audit should find nothing")
    told = {d["msg"]: d for d in report["disclosures"]}
    request, referral = told[stage.facts["request"]["msg"]], told[stage.facts["referral"]["msg"]]
    expect(request["to"][0]["clauses"] == ["ask"], "the audit should know under which clause the request went")
    expect(referral["to"][0]["id"] == NGO, "the audit should know who got the referral")
    codes = {d["code"] for d in report["denials"]}
    expect(codes == {"no_clause", "forbidden", "consent_missing"}, f"every denial should be there: {codes}")
    onward = told[stage.facts["onward"]["msg"]]
    expect(onward["src"] == [stage.facts["hit"]["msg"]], "the audit should know what was passed on")
    (recalled,) = report["followed"]
    answers = {one["id"]: one.get("answer", {}).get("outcome") for one in recalled["holders"]}
    expect(answers == {SOUTH: "erased", NORTH: "retained", HUB: None}, f"and who answered the recall: {answers}")
    acts = report["counts"].get("act", 0)
    again = f"{report['counts']['decided_again']} decisions made again, with {acts} signed acts"
    stands = ", ".join(f"{agency} {answer or 'is silent'}" for agency, answer in answers.items())
    said = (
        "Every process has been ended. The auditor has a folder of files and the federation's id, and no one to ask.",
        f"{report['log']['size']} entries, one signed root; every signature checked, {again}. Clean.",
        *(_disclosed(one) for one in report["disclosures"]),
        *(f"{d['from']} was not allowed to tell {d['to'][0]['id']}: `{d['code']}`." for d in report["denials"]),
        f"{recalled['by']} recalled its message: {stands}.",
        f"{len(stage.secrets)} passages of the messages were looked for in all the broker's files: none is there.",
        "The victim's name was looked for in everybody's files, and in all of this evidence: it is nowhere.",
    )
    found = search(stage.home / "broker", stage.secrets) + search(folder, stage.secrets)
    found += search(stage.home, {stage.facts["name"]}) + search(stage.evidence, {stage.facts["name"]})
    expect(not found, f"no word of any message should lie where it can be read: {found[:3]}")
    sees = {"the auditor": "who disclosed what kind of thing to whom, when, why and under which clause; no content"}
    counts = {"entries": report["log"]["size"], "counts": report["counts"], "recall": answers}
    return Scene(
        said,
        sees,
        {**counts, "findings": [], "disclosures": len(told), "denials": len(report["denials"]), "plaintext_found": 0},
    )


def _disclosed(one: dict[str, Any]) -> str:
    told = " and ".join(f"{to['id']} ({_receipts(to)})" for to in one["to"])
    passed_on = ", passed on" if one.get("src") else ""
    return f"{one['from']} told {told}: {one['type']}{passed_on}, clause {', '.join(one['to'][0]['clauses'])}."


def _receipts(to: dict[str, Any]) -> str:
    return ", ".join(to["receipts"]).replace("rejected", "rejected: it would not open") or "no receipt"


def tamper(stage: Stage) -> Scene:
    """The broker's own database is edited behind its back; the auditor names the entry."""
    index, copy = stage.facts["referral"]["index"], stage.evidence / "tampered"
    copy.mkdir()
    for part in (stage.home / "broker").glob("broker.db*"):
        shutil.copyfile(part, copy / part.name)
    edited = rewrite(copy / "broker.db", index, NGO.encode(), HUB.encode())
    expect(edited, "there should be something to edit")
    exported = stage.run("audit", "export", "--from", copy, "--out", copy / "export")
    expect(exported.returncode == 0, f"the edited log should be exported: {exported.stderr}")
    verified = stage.run("audit", "verify", copy / "export", "--fed", stage.federation.fed, "--json")
    expect(verified.returncode == 1, f"the audit should fail with 1, not {verified.returncode}: {verified.stderr}")
    report = json.loads(verified.stdout)
    stage.keep_evidence("tampered/audit.json", verified.stdout)
    found = [finding for finding in report["findings"] if finding.get("index") == index]
    expect(found, f"the audit should name entry {index}: {report['findings']}")
    said = (
        f"Somebody opens the broker's database and edits entry {index}: now the referral went to the hub.",
        f"The log is exported again. The auditor, with the same id, says: {found[0]['sentence']}.",
    )
    facts = {"edited": index, "named": sorted({finding["index"] for finding in found}), "code": found[0]["code"]}
    return Scene(said, facts={**facts, "exit": verified.returncode})


def rewrite(database: Path, index: int, old: bytes, new: bytes) -> bool:
    """Edit one log entry in a broker's database, as somebody with the disk could; says whether it changed."""
    with closing(sqlite3.connect(database)) as books:
        (data,) = books.execute("SELECT data FROM entry WHERE seq = ?", (index,)).fetchone()
        edited = bytes(data).replace(old, new)
        books.execute("UPDATE entry SET data = ? WHERE seq = ?", (edited, index))
        books.commit()
    return edited != bytes(data)
