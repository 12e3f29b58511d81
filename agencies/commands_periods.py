"""``ix node periods``, ``ix node hold``, ``ix node shred``: a node's months (CLI; NODE-214 to NODE-218).

Each talks to a running node with a release officer's bearer token. Exit codes: 0 done; 1 refused, with one sentence on
standard error; 2 the command was misused.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from agencies.commands import AsJson, Code, Reason, Session, at_a_node, show, tell

app = typer.Typer(name="periods", no_args_is_help=True, rich_markup_mode=None)

Hold = Annotated[str, typer.Option("--lift", help="End the hold of this name.")]


@app.command("periods", epilog="Example: ix node periods --node http://127.0.0.1:8401 --officer np-release")
@at_a_node
def periods(session: Session, as_json: AsJson = False) -> None:
    """List the months of a node: which keys are here, which were destroyed, and what is held."""
    with session() as call:
        found = call("GET", "/v1/periods", None)
    lines = []
    for one in found["periods"]:
        state = f"destroyed {one['destroyed']}" if one["destroyed"] else "here"
        rest = ["and the file not yet written anew"] if one["destroyed"] and not one["wiped"] else []
        lines.append("  ".join([one["period"], state, *rest, *(f"held by {name}" for name in one["holds"])]))
    lines += [f"hold {one['id']}: {one['first']} to {one['last']}, since {one['since']}" for one in found["holds"]]
    tell(found, as_json, f"{len(found['periods'])} months; the last {found['keep']} before the present one are kept")
    if not as_json:
        for line in lines:
            show(line)


@app.command(
    "hold",
    epilog="Example: ix node hold --from 2026-03 --to 2026-05 --officer np-release --code supervision "
    "--why 'the court has asked for everything about spring'",
)
@at_a_node
def hold(
    session: Session,
    why: Reason,
    first: Annotated[str, typer.Option("--from", help="The first month to keep, such as 2026-03.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last month to keep; else the first alone.")] = "",
    lift: Hold = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Keep the keys of months whatever their age, or lift such a hold (release officers)."""
    if bool(lift) == bool(first):
        raise typer.BadParameter("say a month with --from, or a hold with --lift")
    reason = {"justification": {"code": code, "text": why}}
    with session() as call:
        if lift:
            found = call("POST", f"/v1/holds/{quote(lift, safe='')}/lift", reason)
        else:
            found = call("POST", "/v1/holds", {"first": first, "last": last or first, **reason})
    tell(found, as_json, f"{'lifted' if lift else 'held'}: {found['first']} to {found['last']}, {found['id']}")


@app.command(
    "shred",
    epilog="Example: ix node shred --before 2023-11 --officer np-release --code supervision "
    "--why 'the three years for which it is kept are over'",
)
@at_a_node
def shred(
    session: Session,
    before: Annotated[str, typer.Option(help="Destroy the keys of all months before this one, such as 2023-11.")],
    why: Reason,
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """Destroy the keys of old months for good: their acts name nobody any more, and still verify (release officers).

    There is no way back. Backups of the node keep the keys for as long as they are kept themselves.
    """
    with session() as call:
        found = call("POST", "/v1/periods/shred", {"before": before, "justification": {"code": code, "text": why}})
    tell(found, as_json, f"shredded: {', '.join(found['shredded'])}")
