"""Agreements as files: terms that people wrote, payloads, signed agreements, and the agencies they speak of.

What a file says is read here and judged elsewhere. YAML is read without aliases, without tags that run anything and
without a member written twice; every place in it keeps its line, so that a finding can be looked up.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from exchange.drafting.boxes import TooManyPieces
from exchange.drafting.finding import Place
from exchange.protocol.errors import AgreementMalformed
from exchange.protocol.labels import Language
from exchange.protocol.matching import Party
from exchange.protocol.terms import MAX_TERMS, AgreementTerms, parse_terms, write_terms
from keys.encoding import instant, read_json
from keys.errors import Refusal
from keys.signing import Statement, parse_statement
from keys.trust import Directory

REFUSED: Final = 1
NOBODY: Final = "A" * 43
"""Stands for the federation, and for the version before, while terms are only being thought about."""

TermsFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="Terms (YAML or JSON), a payload, or a signed agreement.")
]
TermsFiles = Annotated[
    list[Path],
    typer.Argument(exists=True, dir_okay=False, help="Agreements: terms (YAML or JSON), payloads, or signed ones."),
]
Fed = Annotated[str, typer.Option("--fed", envvar="IX_FED", help="The federation id the agreement belongs to.")]
TrustFile = Annotated[
    Path | None,
    typer.Option(
        "--trust", exists=True, dir_okay=False, help="The federation's trust.json, to know agencies and keys."
    ),
]
AgencyFolder = Annotated[
    Path | None,
    typer.Option(
        "--agencies",
        envvar="IX_AGENCIES",
        exists=True,
        file_okay=False,
        help="Instead of --trust: a folder of agency plans (YAML with id, roles, territory, ceiling).",
    ),
]
At = Annotated[str, typer.Option("--at", help="Judge as of this instant, 2026-11-21T16:20:00Z; else now.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Lang = Annotated[
    Language | None,
    typer.Option("--lang", help="Instead of English sentences: each code beside its label in this language."),
]


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, as it was written: the members of the terms, and the line of each place."""

    members: dict[str, Any]
    statement: Statement | None
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest thing around it."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None


def read_written(data: bytes) -> Written:
    """The terms in a file of any of its three forms, whether or not they could be signed."""
    try:
        statement, payload = read_statement(data)
    except Refusal:
        members = load(data)
        if "signatures" in members:
            raise
        return Written(members, None, _lines(data))
    if statement is not None:
        return Written(read_json(payload, limit=MAX_TERMS), statement, {})
    return Written(load(data), None, _lines(data))


def read_terms(data: bytes, fed: str) -> tuple[AgreementTerms, Statement | None, bytes]:
    """Terms from whatever the file holds, its signatures if it has any, and the payload that is or would be signed."""
    try:
        statement, payload = read_statement(data)
        return parse_terms(payload), statement, payload
    except Refusal:
        members = load(data)
        if "signatures" in members:
            raise
        payload = write_terms(completed(members, fed))
        return parse_terms(payload), None, payload


def completed(members: Mapping[str, Any], fed: str) -> dict[str, Any]:
    """The same with stand-ins for what ``ix agreement new`` is given beside the file."""
    version = members.get("version")
    later = {"replaces": NOBODY} if type(version) is int and version > 1 else {}
    return {"fed": fed or NOBODY, **later, **members}


def read_statement(data: bytes) -> tuple[Statement | None, bytes]:
    """A signed agreement with its payload, or a payload alone."""
    try:
        statement = parse_statement(data)
    except Refusal:
        if data.startswith(b'{"payload":'):
            raise
        return None, data
    return statement, statement.payload


_OFFICE: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"%PDF")
"""How files of word processors begin."""
_ADVICE: Final = {
    "'\\t'": ": a tab stands there; indent with spaces",
    "mapping values are not allowed": ": put quotes around a text that has `: ` in it, and begin members that belong "
    "together in one column",
    "could not find expected ':'": ": a `:` is missing after a name, there or in the line before",
    "expected <block end>": ": what belongs together has to begin in one column",
}
"""What the YAML reader complains of, and what to do about it."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, tags that run anything, or a member written twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise AgreementMalformed("an alias (`*name`) is used: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            line = node.start_mark.line + 1
            raise AgreementMalformed(
                f"member `{min(map(str, twice))[:40]}` is written twice, in what begins at line {line}"
            )
        return super().construct_mapping(node, deep)

    def construct_time(self, node: yaml.ScalarNode) -> Any:
        """A time with its zone as YAML reads it; anything else that looks like one as it was written."""
        try:
            value = self.construct_yaml_timestamp(node)
        except ValueError:  # 31 November
            return node.value
        return value if isinstance(value, datetime) and value.tzinfo else node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_time)


def load(data: bytes) -> dict[str, Any]:
    """What a YAML or JSON file says, as members with names."""
    if len(data) > MAX_TERMS:
        raise AgreementMalformed(f"{len(data)} bytes where at most {MAX_TERMS} are allowed")
    try:
        value = yaml.load(data, _Loader)  # noqa: S506 - a safe loader, made stricter
    except yaml.MarkedYAMLError as wrong:
        raise AgreementMalformed(f"the file is neither YAML nor JSON{_broken(wrong)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        what = ": it looks like a word processor's; save it as plain text" if data.startswith(_OFFICE) else ""
        raise AgreementMalformed(f"the file is neither YAML nor JSON{what}") from None
    if value is None:
        raise AgreementMalformed("the file is empty")
    if type(value) is not dict or not all(type(name) is str for name in value):
        raise AgreementMalformed("terms are members with names, such as `title:` and `clauses:`")
    return value


def _broken(wrong: yaml.MarkedYAMLError) -> str:
    """Where YAML ends to be YAML, and what to do about it where that is known."""
    problem = wrong.problem or ""
    what = next((advice for sign, advice in _ADVICE.items() if sign in problem), "")
    return f", at line {wrong.problem_mark.line + 1}{what}" if wrong.problem_mark else ""


def _lines(data: bytes) -> dict[Place, int]:
    root = yaml.compose(data, _Loader)
    return dict(_walk(root, ())) if root is not None else {}


def _walk(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield (*place, str(name.value)), name.start_mark.line + 1
            yield from (
                (spot, line)
                for spot, line in _walk(value, (*place, str(name.value)))
                if spot != (*place, str(name.value))
            )
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _walk(value, (*place, position))


# --- who the agencies are --------------------------------------------------------------------------------------------


def directory_of(trust: Path | None, fed: str, at: str) -> Directory | None:
    """The directory in a trust file, believed only under the id that whoever runs the command pins."""
    if trust is None:
        return None
    if not fed:
        raise typer.BadParameter("a trust file is believed only with --fed, the federation id it must have")
    return Directory.from_bytes(trust.read_bytes(), fed=fed, now=instant_of(at))


def parties_of(directory: Directory | None, folder: Path | None) -> dict[str, Party] | None:
    """The agencies a command was told of, by id; nothing if it was told of none."""
    if directory is not None:
        return {r.agency: Party(r.agency, tuple(r.roles), r.ceiling, r.territory) for r in directory.agencies()}
    if folder is None:
        return None
    found = dict[str, Party]()
    for file in sorted(folder.glob("*.yaml")):
        plan = load(file.read_bytes())
        try:
            party = Party(str(plan["id"]), tuple(map(str, plan["roles"])), str(plan["ceiling"]), str(plan["territory"]))
        except (KeyError, TypeError):
            raise typer.BadParameter(f"`{file}` is no agency plan: it needs id, roles, ceiling and territory") from None
        found[party.id] = party
    return found


def instant_of(text: str) -> datetime:
    """The instant a command is asked about, or now."""
    return instant(text) if text else datetime.now(UTC)


@contextmanager
def answering() -> Iterator[None]:
    """A refusal is printed and ends the command with 1; so does a file that cannot be had."""
    try:
        yield
    except Refusal as refusal:
        typer.echo(f"{refusal.code}: {refusal.sentence}", err=True)
        raise typer.Exit(REFUSED) from None
    except TooManyPieces:
        typer.echo("this can be worked out in too many ways to be exact: take fewer clauses at a time", err=True)
        raise typer.Exit(REFUSED) from None
    except OSError as wrong:
        typer.echo(f"file: {wrong.strerror}: `{wrong.filename}`", err=True)
        raise typer.Exit(REFUSED) from None
