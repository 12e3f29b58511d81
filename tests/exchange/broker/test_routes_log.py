"""The log is served as C2SP tlog-tiles has it, to callers, caches and scripts in web pages alike."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from exchange.broker.routes_log import takes_gzip
from exchange.protocol.log import bundle
from exchange.protocol.merkle import bundles, entries_path, tile_path, tiles
from exercises.processes import free_ports
from tests.exchange.broker.host import hosted, make_home
from tests.exchange.broker.office import HOST, NORTH, SOUTH, Office, open_office

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A log of 307 entries: one full tile and bundle, one partial of each, and one level above."""
    with open_office(tmp_path_factory.mktemp("log")) as office:
        agreement = office.agree(NORTH, SOUTH)
        for _ in range(3):
            office.submit_batch([office.cast.compose(agreement) for _ in range(100)])
        assert office.size == 307
        yield office


def ask(office: Office, path: str, method: str = "GET", **fields: str) -> tuple[httpx.Response, bytes]:
    """One call with these header fields and no others; the answer, and its body as it went over the line."""

    async def call() -> tuple[httpx.Response, bytes]:
        headers = {"host": HOST, **{name.replace("_", "-"): value for name, value in fields.items()}}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url=f"http://{HOST}") as client:
            client.headers.clear()
            async with client.stream(method, f"/log/{path}", headers=headers) as answer:
                return answer, b"".join([piece async for piece in answer.aiter_raw()])

    return office.loop.run_until_complete(call())


def files(office: Office) -> dict[str, bytes]:
    """Every file that the checkpoint requires, from the books."""
    size = office.size
    with office.broker._store.reading() as view:
        found = {tile_path(*t): view.tile(t[0], t[1])[: t[2] * 32] for t in tiles(size)}
        found |= {entries_path(n, w): bundle(view.entries(n * 256, n * 256 + w)) for n, w in bundles(size)}
    return found


@pytest.mark.spec("HTTP-42", "HTTP-47", "HTTP-48")
def test_every_file_has_its_type_its_caching_and_no_packing_unless_asked(office: Office) -> None:
    wanted = files(office)
    assert len(wanted) == 5
    for path, data in wanted.items():
        answer, body = ask(office, path)
        assert (answer.status_code, body) == (200, data)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == FOREVER
        assert answer.headers["content-length"] == str(len(data))
        assert "content-encoding" not in answer.headers
        assert answer.headers.get("vary") == ("Accept-Encoding" if "entries" in path else None)
    answer, body = ask(office, "checkpoint", accept_encoding="gzip")
    assert body.decode() == office.broker.checkpoint().decode()
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "text/plain; charset=utf-8",
        "no-cache",
    )
    assert "content-encoding" not in answer.headers
    assert "content-encoding" not in ask(office, "tile/0/000", accept_encoding="gzip")[0].headers


@pytest.mark.spec("HTTP-42")
def test_a_name_has_its_own_width_and_no_other(office: Office) -> None:
    """A narrower partial one is what a smaller checkpoint asked for, and exactly so wide."""
    wanted = files(office)
    for width in (1, 100, 255):
        assert ask(office, f"tile/0/000.p/{width}")[1] == wanted["tile/0/000"][: width * 32]
        assert wanted["tile/entries/000"].startswith(ask(office, f"tile/entries/000.p/{width}")[1])
    assert ask(office, "tile/0/001.p/51")[1] == wanted["tile/0/001.p/51"]
    for path in (
        "tile/0/001",
        "tile/0/001.p/52",
        "tile/entries/001",
        "tile/1/000",
        "tile/0/000.p/256",
        "tile/2/000.p/1",
    ):
        answer, _ = ask(office, path)
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.spec("HTTP-47")
def test_what_a_caller_has_already_is_not_sent_again(office: Office) -> None:
    for path in (*files(office), "checkpoint"):
        first, _ = ask(office, path)
        tag = first.headers["etag"]
        assert tag.startswith('"')
        for known in (tag, f'"another", {tag}', f"W/{tag}", "*"):
            again, body = ask(office, path, if_none_match=known)
            assert (again.status_code, body) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["cache-control"] == first.headers["cache-control"]
            assert "content-length" not in again.headers
        assert ask(office, path, if_none_match=f'"{tag[1:-2]}"')[0].status_code == 200
    before = ask(office, "checkpoint")[0].headers["etag"]
    office.clock.advance(seconds=5)
    office.agree(NORTH, SOUTH, id="another-agreement")
    assert ask(office, "checkpoint", if_none_match=before)[0].status_code == 200


@pytest.mark.spec("HTTP-48")
def test_a_bundle_is_packed_for_whoever_asks_and_is_another_file_to_a_cache(office: Office) -> None:
    plain, data = ask(office, "tile/entries/000", accept_encoding="identity")
    packed, body = ask(office, "tile/entries/000", accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == data
    assert len(body) < len(data) / 2
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert ask(office, "tile/entries/000", accept_encoding="gzip")[1] == body, "the same every time"
    for known, encoding, status in (
        (packed.headers["etag"], "gzip", 304),
        (packed.headers["etag"], "identity", 200),
        (plain.headers["etag"], "gzip", 200),
    ):
        answer, _ = ask(office, "tile/entries/000", accept_encoding=encoding, if_none_match=known)
        assert answer.status_code == status
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.spec("HTTP-48")
@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("", False), ("identity", False), ("br, zstd", False), ("gzip", True), ("GZIP", True), ("*", True),
        ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.000", False), ("*;q=0", False),
        ("gzip;q=0, *", False), ("x-gzip", True),
    ],
)  # fmt: skip
def test_who_asks_for_gzip_is_told_from_who_does_not(field: str, taken: bool) -> None:
    assert takes_gzip(field) is taken


@pytest.mark.spec("HTTP-48")
def test_scripts_in_web_pages_may_read_every_answer(office: Office) -> None:
    tag = ask(office, "checkpoint")[0].headers["etag"]
    answers = [ask(office, path)[0] for path in ("checkpoint", "tile/0/000", "tile/entries/000", "tile/0/999")]
    for answer in (*answers, ask(office, "checkpoint", if_none_match=tag)[0]):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.spec("HTTP-42")
def test_head_says_what_get_would(office: Office) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000", "tile/0/999"):
        got, body = ask(office, path)
        head, nothing = ask(office, path, "HEAD")
        assert (head.status_code, head.headers, nothing) == (got.status_code, got.headers, b"")
        assert head.headers["content-length"] == str(len(body))
    assert ask(office, "checkpoint", "POST")[0].status_code == 405


@pytest.mark.spec("HTTP-42", "HTTP-47")
def test_a_real_server_sends_these_answers_as_they_are(tmp_path: Path) -> None:
    """HEAD and 304 have no body, and the line is good for the next call."""
    make_home(tmp_path / "home")
    (port,) = free_ports(1)

    async def talk() -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        said = []
        for start, fields in (("GET", ""), ("HEAD", ""), ("GET", "if-none-match: *\r\n"), ("GET", "")):
            writer.write(f"{start} /log/checkpoint HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{fields}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length) if start == "GET" else b""
            said.append(head.splitlines()[0] + b" %d" % len(body))
        writer.close()
        return said

    with hosted(tmp_path / "home", tmp_path / "host.log") as host:
        host.start(port)
        said = asyncio.run(talk())
    full = said[0]
    assert int(full.split()[-1]) > 3000
    assert said == [full, b"HTTP/1.1 200 OK 0", b"HTTP/1.1 304 Not Modified 0", full]
