"""``ix send`` and ``ix inbox``: what an officer does, from a terminal (CLI).

Both talk to a running node with the officer's bearer token. A token comes from ``IX_TOKEN`` or a file;
without one the officer signs in with a passphrase, and out again when the command is done. Exit codes: 0
done; 1 refused or denied, with one sentence on standard error; 2 the command was misused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints
from urllib.parse import quote

import typer

from exchange.protocol.vocabulary import Justification
from keys.commands import plain, read_passphrase

app = typer.Typer(name="parties", no_args_is_help=True, rich_markup_mode=None)

Node = Annotated[str, typer.Option("--node", envvar="IX_NODE", help="The node's address.")]
Who = Annotated[str, typer.Option("--officer", envvar="IX_OFFICER", help="Sign in as this officer.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="IX_OFFICER_PASSPHRASE_FILE",
        dir_okay=False,
        help="A file whose first line is the officer's passphrase; else IX_PASSPHRASE, else you are asked.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="IX_TOKEN_FILE", dir_okay=False, help="A file with a token, instead; else IX_TOKEN."
    ),
]
Code = Annotated[str, typer.Option("--code", help=f"The justification's code: {', '.join(Justification)}.")]
Reason = Annotated[str, typer.Option("--why", help="The justification, in a sentence of at least 20 characters.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the node's whole answer.")]
HERE: Final = "http://127.0.0.1:8401"

NOTHING: Final[Mapping[str, str]] = {}
Session = Callable[[], AbstractContextManager[Callable[..., Any]]]
"""Signs an officer in at a node, and out again; a command enters it once it knows that it was not misused.

What it gives is called with method, path and body, and perhaps with headers, such as a reason (NODE-71).
"""


def at_a_node(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which node and which officer, and ``session`` in their place."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        one.replace(annotation=hints[name]) for name, one in signature(command).parameters.items() if name != "session"
    ]
    last = len(own) - (bool(own) and own[-1].name == "as_json")
    options = [*own[:last], *_WHO_AND_WHERE, *own[last:]]

    def at_the_terminal(**given: Any) -> None:
        asked = [given.pop(one.name) for one in _WHO_AND_WHERE]
        command(session=lambda: signed_in(*asked), **given)

    at_the_terminal.__name__, at_the_terminal.__doc__ = command.__name__, command.__doc__
    at_the_terminal.__module__ = command.__module__
    at_the_terminal.__annotations__ = {one.name: one.annotation for one in options}
    at_the_terminal.__signature__ = Signature(options)  # type: ignore[attr-defined]
    return at_the_terminal


_WHO_AND_WHERE: Final = [
    Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
    for name, kind, default in (
        ("node", Node, HERE), ("officer", Who, ""), ("passphrase_file", PassphraseFile, None),
        ("token_file", TokenFile, None),
    )
]  # fmt: skip


@app.command(
    "send",
    epilog="Example: ix send draft.json --node http://127.0.0.1:8405 "
    "--officer np-duty-1 --why 'the harbour case needs the route'",
)
@at_a_node
def send(
    session: Session,
    draft: Annotated[
        Path,
        typer.Argument(help="The draft: JSON (NODE-20 in spec/nodes.md), or `-` for standard input.", allow_dash=True),
    ],
    why: Reason,
    code: Code = "case_assigned",
    check: Annotated[bool, typer.Option("--check", help="Only say what would happen; nothing leaves.")] = False,
    ruling: Annotated[bool, typer.Option("--ruling", help="Submit it even if it is denied here.")] = False,
    key: Annotated[str | None, typer.Option(help="Name this request: sent twice, it discloses once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send one draft, or ask what would happen to it."""
    asked: dict[str, Any] = {"draft": _parsed(text_of(draft, "draft"))}
    with session() as call:
        if check:
            found = call("POST", "/v1/messages/check", asked)
            tell(found, as_json, f"{found['outcome']}: {found['code']}", found.get("recipients", []))
            _tell_lapsed(found, as_json)
            raise typer.Exit(0 if found["outcome"] == "permit" else 1)
        asked |= {"justification": {"code": code, "text": why}}
        asked |= {"ruling": True} if ruling else {}
        asked |= {"key": key} if key else {}
        found = call("POST", "/v1/messages", asked)
    recipients = (found["reasons"] or {}).get("recipients", [])
    tell(found, as_json, f"{found['state']}: {found['msg'] or found['ref']}", recipients)
    _tell_lapsed(found["reasons"] or {}, as_json)
    raise typer.Exit(0 if found["state"] in ("sent", "pending", "pending_release") else 1)


@app.command(
    "inbox",
    epilog="Example: ix inbox --node http://127.0.0.1:8405 "
    "--officer np-duty-1 --open DIGEST --why 'assigned to me this morning'",
)
@at_a_node
def inbox(
    session: Session,
    collect: Annotated[bool, typer.Option("--collect", help="Look into the mailbox first.")] = False,
    open_: Annotated[str | None, typer.Option("--open", help="Open this message; needs --why.")] = None,
    condition: Annotated[bool, typer.Option("--condition", help="Of --open: show the handling text alone.")] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="Of --open: acknowledge the handling text, and open it.")
    ] = False,
    why: Reason = "",
    code: Code = "case_assigned",
    as_json: AsJson = False,
) -> None:
    """List what came in, or open one message."""
    with session() as call:
        if open_:
            reason = {"justification": {"code": code, "text": why}}
            if condition or acknowledge:
                text = call("POST", f"/v1/messages/{open_}/condition", reason)["handling_text"]
                show(f"handling text: {text}" if text else "it has no handling text", err=not condition)
                if condition:
                    return
                call("POST", f"/v1/messages/{open_}/acknowledge", reason)
            found = call("POST", f"/v1/messages/{open_}/open", reason)
            typer.echo(pretty(found["content"]))
            return
        if collect:
            call("POST", "/v1/collect", None)
        found = call("GET", "/v1/inbox", None)
    if as_json:
        typer.echo(pretty(found))
        return
    for one in found["messages"]:
        state = "erased" if one["erased"] else "opened" if one["opened"] else "new"
        show(f"{one['msg']}  {state:6}  {one['received']}  {one['from']}  {one['type']}  {one['urgency']}")
    for one in found["rejected"]:
        show(f"{one['msg']}  rejected: {one['code']}")
    if not found["messages"] and not found["rejected"]:
        show("nothing has come in")


def show(line: str, *, err: bool = False) -> None:
    """Print one line of what others may have written."""
    typer.echo(plain(line), err=err)


def in_headers(code: str, why: str) -> dict[str, str]:
    """A reason as a GET takes it (NODE-71); nothing where none was given."""
    return {"Justification-Code": str(code), "Justification": quote(why)} if why else {}


def pretty(value: Any) -> str:
    """Write JSON for people, and escape in it what a terminal would not print."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)


def text_of(path: Path, what: str) -> str:
    """The text of a file somebody named, or of standard input; what cannot be read is misuse (CLI-3)."""
    try:
        return typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as wrong:
        raise typer.BadParameter(f"the {what} `{path}` cannot be read: {wrong.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"the {what} `{path}` is not text in UTF-8") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"the draft is not JSON: {wrong}") from None


def tell(found: dict[str, Any], as_json: bool, line: str, recipients: Sequence[dict[str, Any]] = ()) -> None:
    """Print a node's answer: the whole of it, or one line and what was decided about each recipient."""
    if as_json:
        typer.echo(pretty(found))
        return
    show(line)
    for one in recipients:
        under = f" under {', '.join(one['clauses'])}" if one.get("clauses") else ""
        show(f"  {one['id']}: {one['code']}{under}", err=True)
        for near in one.get("nearest", []):
            show(f"    nearest {near['clause']}: {near['sentence']}", err=True)


def _tell_lapsed(reasons: dict[str, Any], as_json: bool) -> None:
    for sentence in () if as_json else reasons.get("not_in_force", ()):
        show(f"  not in force: {sentence}", err=True)


_HOW: Final = {"not_acknowledged": " (ix inbox --open: --condition shows it, --acknowledge takes note of it and opens)"}
"""What to do about a refusal with this command, where the node's sentence cannot know."""


class _Call:
    """Calls one node in one officer's name."""

    def __init__(self, line: Any, token: str) -> None:
        self._line, self._headers = line, {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any, headers: Mapping[str, str] = NOTHING) -> Any:
        answer = self._line.request(method, path, json=body, headers={**self._headers, **headers})
        found = answer.json()
        if answer.status_code != 200:
            code = found.get("code", answer.status_code)
            _refuse(f"{code}: {found.get('detail', '')}{_HOW.get(code, '')}")
        return found


def _refuse(sentence: str) -> None:
    show(sentence, err=True)
    raise typer.Exit(1)


@contextmanager
def signed_in(node: str, officer: str, passphrase_file: Path | None, token_file: Path | None) -> Iterator[_Call]:
    """Call a node with the token there is, or with one for as long as the command runs."""
    import httpx

    from agencies.node.broker_client import new_client

    token = text_of(token_file, "token file").strip() if token_file else os.environ.get("IX_TOKEN", "")
    if not token and not officer:
        raise typer.BadParameter("say who you are: --officer, or a token in IX_TOKEN or --token-file")
    try:
        with new_client(node) as line:
            if token:
                yield _Call(line, token)
                return
            told = {"officer": officer, "passphrase": read_passphrase(passphrase_file)}
            call = _Call(line, _Call(line, "")("POST", "/v1/sign-in", told)["token"])
            try:
                yield call
            finally:
                call("POST", "/v1/sign-out", None)
    except httpx.HTTPError as wrong:
        _refuse(f"the node at `{node}` does not answer: {type(wrong).__name__}")
