"""Every requirement of ``spec/`` is cited by a test, every citation exists, and every refusal is documented.

A requirement is written ``**LOG-5** A broker MUST ...``. A test cites it with ``@pytest.mark.spec("LOG-5")`` or by
naming it in its docstring. The source cites requirements too; a number that does not exist is an error there as well.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

from keys.errors import Refusal

REPOSITORY = Path(__file__).resolve().parent.parent.parent
REQUIREMENT = re.compile(r"\*\*([A-Z]{2,8}-\d+[a-z]?)\*\*")
CITATION = re.compile(r"(?<![\w-])([A-Z]{2,8}-\d+[a-z]?)(?![\w-])")
BINDING = re.compile(r"\b(MUST|SHALL|REQUIRED)\b")


def spec_files() -> list[Path]:
    return sorted((REPOSITORY / "spec").glob("*.md"))


def requirements() -> dict[str, str]:
    """Each requirement's number and its text, up to the next number or heading."""
    found: dict[str, str] = {}
    for path in spec_files():
        text = path.read_text(encoding="utf-8")
        marks = list(REQUIREMENT.finditer(text))
        for mark, following in zip(marks, [*marks[1:], None], strict=False):
            end = following.start() if following else len(text)
            found[mark.group(1)] = re.split(r"\n#", text[mark.end() : end])[0]
    return found


def cited_by_tests() -> dict[str, set[str]]:
    """Each number cited by a test's mark or docstring, with the files that cite it."""
    cited: dict[str, set[str]] = {}
    for path in sorted((REPOSITORY / "tests").rglob("*.py")):
        if path.parent.name == "house":
            continue
        name = path.relative_to(REPOSITORY).as_posix()
        for number in _citations(ast.parse(path.read_text(encoding="utf-8"))):
            cited.setdefault(number, set()).add(name)
    return cited


def _citations(tree: ast.Module) -> set[str]:
    numbers: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            numbers |= set(CITATION.findall(ast.get_docstring(node) or ""))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.spec":
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            numbers |= {number for word in words for number in CITATION.findall(word)}
    return numbers


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return requirements()


def test_no_requirement_is_numbered_twice() -> None:
    counted = Counter(n for path in spec_files() for n in REQUIREMENT.findall(path.read_text(encoding="utf-8")))
    assert [number for number, times in counted.items() if times > 1] == []


def test_every_file_of_the_specification_is_in_its_index() -> None:
    index = (REPOSITORY / "spec" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in spec_files() if f"({path.name})" not in index and path.name != "README.md"] == []


def test_every_requirement_is_cited_by_a_test(known: dict[str, str]) -> None:
    binding = {number for number, text in known.items() if BINDING.search(text)}
    assert binding, "spec/ holds no numbered requirement"
    assert sorted(binding - set(cited_by_tests())) == []


def test_every_number_a_test_cites_exists(known: dict[str, str]) -> None:
    families = {number.split("-")[0] for number in known}
    unknown = {n: files for n, files in cited_by_tests().items() if n.split("-")[0] in families and n not in known}
    assert unknown == {}


def test_every_number_the_source_cites_exists(known: dict[str, str]) -> None:
    families = {number.split("-")[0] for number in known}
    unknown = [
        f"{path.relative_to(REPOSITORY).as_posix()} cites {number}"
        for room in ("keys", "exchange", "agencies", "exercises")
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for number in sorted(set(CITATION.findall(path.read_text(encoding="utf-8"))))
        if number.split("-")[0] in families and number not in known
    ]
    assert unknown == []


def refusals() -> list[type[Refusal]]:
    """Every refusal class of the project, wherever it is written."""
    for room in ("keys", "exchange", "agencies"):
        for module in pkgutil.walk_packages([str(REPOSITORY / room)], f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, waiting = [], list(Refusal.__subclasses__())
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__.split(".")[0] in {"keys", "exchange", "agencies"}:
            found.append(one)
    return found


def documented_codes() -> set[str]:
    """The codes in the first column of the tables of ``spec/errors.md``."""
    text = (REPOSITORY / "spec" / "errors.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| *`([a-z0-9_]+)` *\|", text, flags=re.MULTILINE))


def test_every_refusal_has_its_own_code() -> None:
    counted = Counter(one.__dict__.get("code") for one in refusals())
    assert None not in counted, [one.__name__ for one in refusals() if "code" not in one.__dict__]
    assert [code for code, times in counted.items() if times > 1] == []


def test_every_refusal_is_documented_and_every_documented_code_exists() -> None:
    codes = {one.code for one in refusals()} | {Refusal.code}
    assert sorted(codes - documented_codes()) == []
    assert sorted(documented_codes() - codes) == []


def test_every_refusal_says_in_its_docstring_which_rule_was_broken(known: dict[str, str]) -> None:
    silent = [one.__name__ for one in refusals() if not set(CITATION.findall(one.__doc__ or "")) & set(known)]
    assert silent == []
