"""``ix node ledger``: what an auditor takes out of a node to check it elsewhere (CLI; `spec/nodes.md`, NODE-193).

Exit codes: 0 done; 1 refused, with one sentence on standard error; 2 the command was misused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from agencies.commands import Code, Reason, Session, at_a_node, show
from keys.encoding import unb64u

app = typer.Typer(name="ledger", no_args_is_help=True, rich_markup_mode=None)

_FILE: Final = re.compile(
    r"checkpoint|proofs/[A-Za-z0-9_-]{43}\.json"
    r"|tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,5}[0-9]{3}(\.p/[0-9]{1,3})?"
)


@app.command(
    "ledger",
    epilog="Example: ix node ledger --out north-ledger --node http://127.0.0.1:8401 --officer np-audit "
    "--code supervision --why 'the yearly inspection of what was looked up'",
)
@at_a_node
def ledger(
    session: Session,
    out: Annotated[Path, typer.Option(help="The folder to write; there must be nothing in it.", file_okay=False)],
    code: Code,
    why: Reason,
) -> None:
    """Export a node's ledger as a log in files, which others can check (auditors).

    It has digests, pseudonyms and codes, and no content; that it was taken out stands in it as its last act.
    """
    if out.exists() and any(out.iterdir()):
        raise typer.BadParameter(f"`{out}` is not empty: an export is a folder of its own")
    with session() as call:
        found = call("POST", "/v1/ledger/export", {"justification": {"code": code, "text": why}})
    strange = [path for path in found["files"] if not _FILE.fullmatch(path)]
    if strange:
        raise typer.BadParameter(f"the node names a file that no ledger has: `{strange[0]}`")
    for path, data in found["files"].items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(unb64u(data))
    show(f"{found['size']} acts, root {found['root']}: {len(found['files'])} files in `{out}`")
