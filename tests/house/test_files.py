"""What may be in the repository: no machine's paths, no registry's host, no private key, no file too long to read."""

from __future__ import annotations

import re
import subprocess
import warnings
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# One letter of each is in brackets, so that this file does not hold what it looks for.
MACHINE = re.compile(r"(/[w]ork/|/[f]arm/|/[t]mp/[a-z]|/[r]oot/|/[h]ome/[a-z]+/)")
REGISTRY = re.compile(r"(py[p]i\.org|python[h]osted|npm[j]s\.|deb\.[d]ebian|proxy\.[g]olang)")
PRIVATE_KEY = re.compile(r"BEGIN (EC |RSA |OPENSSH |ENCRYPTED )?[P]RIVATE KEY")

THINK_AGAIN, TOO_LONG, TOO_LONG_FOR_TESTS = 400, 600, 1300
"""Lines of a Python module: a warning in words, and a failure. A list of what must be refused may be long."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout, so nothing is tracked")
    paths = [REPOSITORY / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data and "tile" not in path.parts:  # a tile is hashes, and may be without a zero by chance
            found[path.relative_to(REPOSITORY).as_posix()] = data.decode("utf-8")
    return found


def lines_with(texts: dict[str, str], pattern: re.Pattern[str], but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts.items()
        if not name.startswith(but or ("\0",))
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_somebodys_machine(texts: dict[str, str]) -> None:
    assert lines_with(texts, MACHINE) == []


def test_no_file_names_a_registry_host(texts: dict[str, str]) -> None:
    assert lines_with(texts, REGISTRY) == []


def test_no_private_key_is_kept_outside_the_test_vectors(texts: dict[str, str]) -> None:
    assert lines_with(texts, PRIVATE_KEY, but=("tests/vectors/",)) == []


def test_no_tracked_file_is_over_one_mebibyte() -> None:
    assert [path.name for path in tracked() if path.stat().st_size > 1 << 20] == []


def test_modules_stay_short_enough_to_read(texts: dict[str, str]) -> None:
    lengths = {name: text.count("\n") for name, text in texts.items() if name.endswith(".py")}
    bounds = {name: TOO_LONG_FOR_TESTS if name.startswith("tests/") else TOO_LONG for name in lengths}
    assert {name: count for name, count in lengths.items() if count > bounds[name]} == {}
    long = {name: count for name, count in lengths.items() if count > THINK_AGAIN and not name.startswith("tests/")}
    if long:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(f"over {THINK_AGAIN} lines, think again: {long}", stacklevel=1)


def test_the_locks_pin_every_package_with_a_hash_and_name_no_index(texts: dict[str, str]) -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        logical = texts[name].replace("\\\n", " ").splitlines()
        assert logical
        for line in logical:
            assert re.match(r"[a-z0-9.-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line), f"{name}: {line[:80]}"
        assert "://" not in texts[name]
        assert "--index" not in texts[name]


def test_the_locks_hold_what_the_project_declares(texts: dict[str, str]) -> None:
    import tomllib

    project = tomllib.loads(texts["pyproject.toml"])["project"]
    wanted = {"requirements.txt": [*project["dependencies"], *project["optional-dependencies"]["build"]]}
    wanted["requirements-dev.txt"] = wanted["requirements.txt"] + project["optional-dependencies"]["dev"]
    for lock, declared in wanted.items():
        pinned = set(re.findall(r"^([a-z0-9.-]+)==", texts[lock], flags=re.MULTILINE))
        names = {re.match(r"[A-Za-z0-9_.-]+", one)[0].lower().replace("_", "-") for one in declared}  # type: ignore[index]
        assert sorted(names - pinned) == [], lock
