"""Our exported log convinces Go's transparency log library, and no changed byte of it does.

Needs Go and its module ``golang.org/x/mod`` as Debian packages it (`golang-go`, `golang-golang-x-mod-dev`); where they
are missing the tests are skipped, saying so. Nothing is downloaded.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.log import LogSigner, bundle, sign_checkpoint, vkeys
from exchange.protocol.merkle import TileRow, Tree, entries_path, leaf_hash, tile_path
from exercises.processes import free_ports
from keys.trust import Directory
from tests.exchange.broker.host import hosted, make_home
from tests.exchange.test_commands_audit import served
from tests.vectors.stage import signer

HERE = Path(__file__).resolve().parent
GOPATH = Path("/usr/share/gocode")
NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
LOG = LogSigner("log.foreign.sim/ix", signer("foreign log"))


def write_log(folder: Path, entries: list[bytes]) -> Tree:
    """Write an export of these entries and nothing else; tiles as they stand at its size."""
    tree, tiles = Tree(), dict[tuple[int, int], TileRow]()
    for row in tree.append([leaf_hash(entry) for entry in entries]):
        tiles[row.level, row.index] = row
    files = {tile_path(row.level, row.index, row.width): row.hashes for row in tiles.values()}
    for n in range(0, len(entries), 256):
        some = entries[n : n + 256]
        files[entries_path(n // 256, len(some))] = bundle(some)
    files["checkpoint"] = sign_checkpoint(len(entries), tree.root(), LOG, NOW).encode()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return tree


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Any:
    go = shutil.which("go")
    if not go or not (GOPATH / "src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("Go or its packages golang.org/x/mod are not installed, so its verifier cannot be run")
    place = tmp_path_factory.mktemp("go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "GOCACHE": str(place)}
    built = subprocess.run(
        [go, "build", "-o", str(place / "verify"), str(HERE / "go" / "verify.go")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr

    def run(verb: str, folder: Path | str, *args: str, vkey: str = vkeys(LOG.identity)[0]) -> Any:
        done = subprocess.run(
            [place / "verify", verb, folder, vkey, *args], capture_output=True, text=True, timeout=300, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()

    return run


@pytest.mark.spec("LOG-1", "LOG-11", "LOG-12", "LOG-14", "LOG-16", "LOG-17", "LOG-22")
@pytest.mark.parametrize("size", [1, 7, 255, 256, 257, 700, 66_000])
def test_go_verifies_checkpoint_tiles_and_entries(judge: Any, tmp_path: Path, size: int) -> None:
    tree = write_log(tmp_path, [b"entry number %d" % n for n in range(size)])
    assert judge("log", tmp_path) == {
        "origin": LOG.origin,
        "size": size,
        "root": base64.b64encode(tree.root()).decode(),
    }


@pytest.mark.spec("LOG-80", "LOG-81")
def test_go_reads_the_log_from_any_web_server(judge: Any, tmp_path: Path) -> None:
    """Python's http.server shows the folder as it is; nobody tells Go anything but the address and the key."""
    tree = write_log(tmp_path, [b"entry number %d" % n for n in range(700)])
    with served(tmp_path) as url:
        said = judge("log", url)
        assert said == {"origin": LOG.origin, "size": 700, "root": base64.b64encode(tree.root()).decode()}
        (tmp_path / "tile" / "entries" / "001").write_bytes(bundle([b"another"] * 256))
        assert "entry 256 is not the one in its tile" in judge("log", url)


@pytest.mark.spec("HTTP-42", "LOG-81")
def test_go_reads_the_log_from_a_broker(judge: Any, tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    (port,) = free_ports(1)
    with hosted(tmp_path / "home", tmp_path / "host.log") as host:
        host.start(port)
        identity = Directory.from_bytes(
            (tmp_path / "home" / "trust.json").read_bytes(),
            fed=json.loads((tmp_path / "home" / "broker.json").read_bytes())["fed"],
            now=datetime.now(UTC),
        ).root.log
        said = judge("log", f"http://127.0.0.1:{port}/log", vkey=vkeys(identity)[0])
    assert (said["origin"], said["size"]) == (identity.origin, 4)


@pytest.mark.spec("LOG-7")
@pytest.mark.parametrize("old", [1, 2, 255, 256, 300, 700])
def test_go_verifies_that_the_log_only_grew(judge: Any, tmp_path: Path, old: int) -> None:
    tree = write_log(tmp_path, [b"entry number %d" % n for n in range(700)])
    proof = [base64.b64encode(one).decode() for one in tree.consistency(old)]
    said = judge("grown", tmp_path, str(old), base64.b64encode(tree.root(old)).decode(), *proof)
    assert said["size"] == 700
    other = base64.b64encode(leaf_hash(b"another history")).decode()
    assert "invalid" in judge("grown", tmp_path, str(old), other, *proof)


@pytest.mark.spec("LOG-6")
def test_go_refuses_what_we_refuse(judge: Any, tmp_path: Path) -> None:
    write_log(tmp_path, [b"entry number %d" % n for n in range(7)])
    another = vkeys(LogSigner(LOG.origin, signer("another foreign log")).identity)[0]
    assert "no verifiable signatures" in judge("log", tmp_path, vkey=another)
    note = tmp_path / "checkpoint"
    note.write_text(note.read_text().replace("\n7\n", "\n6\n"))
    assert "invalid signature" in judge("log", tmp_path)


@pytest.mark.spec("LOG-3")
def test_go_finds_every_changed_byte_of_every_tile_and_bundle(judge: Any, tmp_path: Path) -> None:
    write_log(tmp_path, [b"entry number %d" % n for n in range(259)])
    said = judge("sweep", tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "tile").rglob("*") if path.is_file())
    assert said == {"files": 5, "bytes": size, "detected": size, "missed": []}
