"""The log over HTTP, to the letter of C2SP tlog-tiles (HTTP-42, HTTP-47, HTTP-48; LOG-80 to LOG-82).

Open to everybody, scripts in web pages included, and unsigned: the log proves itself. What never changes
may be kept for ever; the checkpoint is asked for again each time, which costs nothing while it is the same;
what does not exist yet is not remembered as missing.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from fastapi import APIRouter, Request, Response

from exchange.broker.service import Broker
from exchange.http import PROBLEM, problem_bytes, status_of
from exchange.protocol.errors import TilePathInvalid
from keys.encoding import b64u
from keys.errors import Refusal

CHECKPOINT_TYPE: Final = "text/plain; charset=utf-8"
TILE_TYPE: Final = "application/octet-stream"
FOREVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
NOT_KEPT: Final = "no-store"
OPEN: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
    "X-Content-Type-Options": "nosniff",
}
READING: Final = ["GET", "HEAD"]

_YEAR = re.compile("[0-9]{4}", re.ASCII)
_TAG = re.compile(rb'(?:W/)?("[^"]*")')
_WEIGHT = re.compile(r"(?:^|;)\s*q\s*=\s*([0-9.]+)\s*(?:;|$)", re.ASCII | re.IGNORECASE)


def log_routes(broker: Broker) -> APIRouter:
    """Checkpoint, tiles and entry bundles."""
    router = APIRouter(prefix="/log", tags=["log"])

    @router.api_route("/checkpoint", methods=READING, response_class=Response)
    async def checkpoint(request: Request) -> Response:
        """Show the published checkpoint (C2SP tlog-tiles)."""
        return _answer(request, broker.checkpoint, CHECKPOINT_TYPE, ASK_AGAIN)

    @router.api_route("/head", methods=READING, response_class=Response)
    async def head(request: Request) -> Response:
        """Show the newest signed checkpoint, whether or not witnesses have seen it."""
        return _answer(request, broker.head, CHECKPOINT_TYPE, ASK_AGAIN)

    @router.api_route("/tile/{path:path}", methods=READING, response_class=Response)
    async def tile(request: Request, path: str) -> Response:
        """Show a tile or an entry bundle (C2SP tlog-tiles)."""
        return _answer(request, lambda: broker.tile(path), TILE_TYPE, FOREVER, packed=path.startswith("entries/"))

    @router.api_route("/shards", methods=READING, response_class=Response)
    async def shards(request: Request) -> Response:
        """Show which years have a shard of their own."""
        return _answer(request, broker.shards, CHECKPOINT_TYPE, ASK_AGAIN)

    @router.api_route("/closed/{digest}", methods=READING, response_class=Response)
    async def closed(request: Request, digest: str) -> Response:
        """Show the checkpoint that closed a shard, by its digest, as the next one's first entry has it."""
        return _answer(request, lambda: broker.closing(digest), CHECKPOINT_TYPE, FOREVER)

    @router.api_route("/{year}/checkpoint", methods=READING, response_class=Response)
    async def checkpoint_of(request: Request, year: str) -> Response:
        """Show the published checkpoint of a year's shard."""
        return _answer(request, lambda: broker.checkpoint(_year(year)), CHECKPOINT_TYPE, ASK_AGAIN)

    @router.api_route("/{year}/tile/{path:path}", methods=READING, response_class=Response)
    async def tile_of(request: Request, year: str, path: str) -> Response:
        """Show a tile or an entry bundle of a year's shard."""
        packed = path.startswith("entries/")
        return _answer(request, lambda: broker.tile(path, _year(year)), TILE_TYPE, FOREVER, packed=packed)

    return router


def _year(text: str) -> str:
    """The year of a shard as it stands in a path, in its one spelling."""
    if not _YEAR.fullmatch(text):
        raise TilePathInvalid("a shard has the four digits of its year")
    return text


def _answer(
    request: Request, read: Callable[[], bytes], media: str, keep: str, *, packed: bool | None = None
) -> Response:
    """The file, or that the caller has it already, or that there is none now.

    ``packed`` is None for what is never compressed; True for what is, for callers that ask.
    """
    try:
        body = read()
    except Refusal as refusal:
        headers = {**OPEN, "Cache-Control": NOT_KEPT}
        return _written(request, problem_bytes(refusal), status_of(refusal.code), PROBLEM, headers)
    headers = {**OPEN, "Cache-Control": keep}
    tag = b64u(sha256(body).digest())
    if packed:
        headers["Vary"] = "Accept-Encoding"
        if takes_gzip(request.headers.get("accept-encoding", "")):
            body, tag = gzip.compress(body, compresslevel=1, mtime=0), f"{tag}-gzip"
            headers["Content-Encoding"] = "gzip"
    headers["ETag"] = f'"{tag}"'
    if _has_it(request, headers["ETag"]):
        headers.pop("Content-Encoding", None)
        return Response(status_code=304, headers=headers)
    return _written(request, body, 200, media, headers)


def _written(request: Request, body: bytes, status: int, media: str, headers: Mapping[str, str]) -> Response:
    """With the length of what a GET gets, and for HEAD without it."""
    length = {"Content-Length": str(len(body))}
    return Response(b"" if request.method == "HEAD" else body, status, {**headers, **length}, media)


def _has_it(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this very file (RFC 9110 section 13.1.2); weak marks make no difference there."""
    asked = ",".join(request.headers.getlist("if-none-match")).encode()
    return asked.strip() == b"*" or tag.encode() in _TAG.findall(asked)


def takes_gzip(accepted: str) -> bool:
    """Whether a caller's Accept-Encoding names gzip, or everything, and not with weight 0 (RFC 9110 section 12.5.3)."""
    named = {}
    for part in accepted.lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        weight = _WEIGHT.search(parameters)
        named[coding.strip()] = weight is None or weight[1].strip("0.") != ""
    return named.get("gzip", named.get("x-gzip", named.get("*", False)))
