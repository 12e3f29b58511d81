"""Every HTTP call is documented, every refusal has its status, and every setting is explained."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from exchange.http import STATUS
from tests.house.test_spec import refusals

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def calls(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each method and path of an app; of routers that were included as well."""
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(inner, "routes"):
            yield from calls(inner.routes, prefix + getattr(route, "path", ""))
        elif getattr(route, "include_in_schema", True):
            for method in sorted((getattr(route, "methods", None) or set()) - {"HEAD"}):
                yield method, prefix + route.path


def broker_calls() -> list[tuple[str, str]]:
    from exchange.broker.routes import add_routes, direct_calls

    app = FastAPI(openapi_url=None)
    add_routes(app, None, None, direct_calls(None, None, 0))  # type: ignore[arg-type]  # nothing is called
    return list(calls(app.routes))


def node_calls() -> list[tuple[str, str]]:
    from agencies.node.routes import add_routes
    from agencies.node.routes_witness import add_witness

    app = FastAPI(openapi_url=None)
    add_routes(app, None, None, None)  # type: ignore[arg-type]  # nothing is called
    add_witness(app, None)  # type: ignore[arg-type]  # nothing is called
    return list(calls(app.routes))


@pytest.mark.parametrize(
    ("listed", "documents"),
    [(broker_calls, ("http.md", "log.md")), (node_calls, ("nodes.md", "safeguards.md", "witness.md"))],
)
def test_every_call_is_documented(listed: Any, documents: tuple[str, ...]) -> None:
    text = "".join((REPOSITORY / "spec" / name).read_text(encoding="utf-8") for name in documents)
    found = listed()
    assert len(found) >= 10
    missing = []
    for method, path in found:
        words = [part for part in path.split("/") if part and "{" not in part]
        if not all(re.search(rf"[/`]{re.escape(word)}\b", text) for word in words):
            missing.append(f"{method} {path}")
    assert missing == []


def test_every_refusal_has_its_status() -> None:
    assert sorted({one.code for one in refusals()} - set(STATUS)) == []


def test_every_status_is_that_of_a_refusal() -> None:
    assert sorted(set(STATUS) - {one.code for one in refusals()} - {"refused", "fault"}) == []


@pytest.mark.parametrize("room", ["exchange.broker", "agencies.node"])
def test_every_setting_is_explained_with_its_default(room: str) -> None:
    """Settings that a home's file may hold; what is read from the home's other files is not among them."""
    settings = importlib.import_module(f"{room}.settings").Settings
    defaults = {one.name: one.default for one in dataclasses.fields(settings) if one.default is not dataclasses.MISSING}
    text = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [name for name, default in defaults.items() if f"| `{name}` | `{default}` |" not in text] == []
