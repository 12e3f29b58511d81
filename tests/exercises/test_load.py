"""The load is sent as written, answered in order and measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exercises.load import fire, write_request


class _Counting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).upper()
        self.send_response(201)
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\n" + body[:3] + b"\r\n%x\r\n" % len(body[3:]) + body[3:] + b"\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/", "/chunked?x=1"])
def test_answers_come_back_in_the_order_of_the_requests(url: str, path: str) -> None:
    requests = [write_request("POST", url + path, b"message %d" % n, {"X-Name": "north"}) for n in range(40)]
    volley = fire(url, requests, callers=4)
    assert [answer.body for answer in volley.answers] == [b"MESSAGE %d" % n for n in range(40)]
    assert {answer.status for answer in volley.answers} == {201}
    assert volley.seconds > 0
    assert 0 < volley.percentile_ms(0.5) <= volley.percentile_ms(0.99) <= volley.percentile_ms(1.0)
