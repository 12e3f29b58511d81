"""The import rules that import-linter cannot say, because they are about files and not about packages.

One fact each: only ``keys`` imports cryptography and draws chance; only a ``store.py`` speaks SQL; only ``routes*.py``,
``app.py`` and ``exchange/http.py`` speak FastAPI; only ``broker_client.py``, ``witness_client.py`` and the commands
speak httpx; the exercises may do what the parties do, for they play them; ``exchange.protocol`` does none of it and
asks nobody for the time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ROOMS = ("keys", "exchange", "agencies", "exercises")


def sources() -> list[Path]:
    """Every module of the project, the joining `ix.py` included."""
    found = [path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]
    return [*found, REPOSITORY / "ix.py"]


@dataclass(frozen=True)
class Source:
    """One parsed module and how rules name it."""

    path: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    def imports(self) -> Iterator[tuple[str, int]]:
        """Each imported module's dotted name, with its line; functions' own imports count as well."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, node.lineno

    def attributes(self) -> Iterator[tuple[str, int]]:
        """Each dotted use such as `os.urandom` or `datetime.now`, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}", node.lineno


@pytest.fixture(scope="module")
def modules() -> list[Source]:
    return [
        Source(path.relative_to(REPOSITORY).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sources()
        if path.exists()
    ]


def offenders(modules: list[Source], packages: set[str], allowed: tuple[str, ...]) -> list[str]:
    """Where one of ``packages`` is imported by a file whose path none of ``allowed`` begins or ends."""
    return [
        f"{module.path}:{line} imports {name}"
        for module in modules
        if not module.path.startswith(allowed) and not module.path.endswith(allowed)
        for name, line in module.imports()
        if name.split(".")[0] in packages
    ]


def test_only_keys_imports_cryptography(modules: list[Source]) -> None:
    assert offenders(modules, {"cryptography"}, ("keys/",)) == []


def test_only_keys_draws_chance(modules: list[Source]) -> None:
    """One source of randomness, so that a test can replace it and a reader can find it (ADR 0008)."""
    drawn = [
        f"{module.path}:{line} uses {name}"
        for module in modules
        if not module.path.startswith("keys/")
        for name, line in module.attributes()
        if name in {"os.urandom", "os.getrandom", "random.SystemRandom", "uuid.uuid4", "uuid.uuid1"}
    ]
    assert drawn == []
    assert offenders(modules, {"secrets", "uuid"}, ("keys/",)) == []
    assert offenders(modules, {"random"}, ("exercises/",)) == []


def test_only_a_store_speaks_sql(modules: list[Source]) -> None:
    """Its tables may be a module beside it; exercises may open a database by hand, because they also break one."""
    assert (
        offenders(
            modules,
            {"sqlmodel", "sqlalchemy"},
            ("/store.py", "/store_acts.py", "/store_schema.py", "/tables.py", "exercises/"),
        )
        == []
    )
    assert offenders(modules, {"sqlite3"}, ("/store.py", "exercises/")) == []


def test_only_the_edge_speaks_fastapi(modules: list[Source]) -> None:
    """A module of routes may be several: `routes.py`, and `routes_*.py` beside it."""
    more = tuple(m.path for m in modules if m.name.startswith("routes_"))
    edge = ("/app.py", "/routes.py", *more, "exchange/http.py", "exercises/")
    assert offenders(modules, {"fastapi", "starlette"}, edge) == []


def test_only_the_way_out_speaks_httpx(modules: list[Source]) -> None:
    """The broker calls nobody but the witnesses its operator named, and from one module: what else could it leak to?"""
    allowed = ("/broker_client.py", "/commands.py", "exchange/broker/witness_client.py", "exercises/")
    assert offenders(modules, {"httpx"}, allowed) == []


def test_the_rules_are_pure(modules: list[Source]) -> None:
    """`exchange.protocol` opens no file and no socket, keeps no log, and takes `now` as an argument."""
    rules = [
        module
        for module in modules
        if module.path.startswith(("exchange/protocol/", "exchange/audit/", "exchange/drafting/"))
    ]
    assert rules
    barred = {"os", "io", "pathlib", "tempfile", "shutil", "subprocess", "threading", "asyncio", "logging", "structlog"}
    barred |= {"time", "random", "secrets", "uuid", "socket", "sqlite3", "sqlmodel", "sqlalchemy", "httpx", "fastapi"}
    assert offenders(rules, barred, ("nowhere",)) == []
    asked = [
        f"{module.path}:{line} uses {name}"
        for module in rules
        for name, line in module.attributes()
        if name in {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
    ]
    opened = [
        f"{module.path}:{node.lineno} calls {node.func.id}"
        for module in rules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert asked + opened == []


def test_only_the_keystore_of_the_keys_opens_files(modules: list[Source]) -> None:
    keys = [module for module in modules if module.path.startswith("keys/")]
    assert offenders(keys, {"pathlib", "tempfile", "shutil", "io"}, ("/keystore.py", "/commands.py")) == []


def test_the_broker_cannot_reach_what_opens_a_message(modules: list[Source]) -> None:
    """Nothing of the broker names the classes and functions that unwrap, open or compose a message."""
    openers = {"OpeningKey", "open_body", "open_parcel", "compose", "Identity"}
    named = [
        f"{module.path}:{node.lineno} imports {alias.name}"
        for module in modules
        if module.path.startswith("exchange/broker/")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in openers
    ]
    assert named == []
