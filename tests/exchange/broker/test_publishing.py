"""Publishing: what stands at `/log/checkpoint` under a policy of witnesses, and what does not wait for it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.broker.meters import Meters
from exchange.broker.publishing import Publisher
from exchange.broker.settings import UnsafeSettings
from exchange.broker.witness_client import MAX_ANSWER, Reply, WitnessClient
from exchange.commands_audit import app
from exchange.protocol.cosignature import Cosigner, log_keys
from exchange.protocol.errors import WitnessAhead
from exchange.protocol.log import Checkpoint, LogSigner, split_note, unverified_checkpoint, verify_checkpoint, year_of
from exchange.protocol.message import MEDIA_TYPE
from exchange.protocol.quorum import TrustPolicy, parse_policy
from exchange.protocol.witnessing import origin_of, parse_submission, witness
from keys.errors import Refusal
from keys.signing import Signer
from tests.exchange.broker.office import NORTH, ORIGIN, SOUTH, Office, cast, open_office

LOG = LogSigner(ORIGIN, cast().keys.log).identity


class Seer:
    """A witness in this process, by the rules and with real keys; it can be told to be away, or to lie."""

    def __init__(self, name: str) -> None:
        self.name, self.cosigner = name, Cosigner(f"{name}.sim/witness", Signer.generate())
        self.url = f"http://{name}.sim/witness"
        self.latest: Checkpoint | None = None
        self.shards: dict[str, Checkpoint] = {}
        self.away = self.lying = False
        self.asked: list[int] = []

    def lines(self) -> str:
        keys = "".join(f"witness {self.name}-{n} {key} {self.url}\n" for n, key in enumerate(self.cosigner.keys))
        return f"{keys}group {self.name} all {self.name}-0 {self.name}-1\n"

    def answer(self, body: bytes, now: datetime) -> Reply:
        if self.away:
            return Reply(0)
        asked = parse_submission(body)
        self.asked.append(asked.old)
        if self.lying:
            forger = Cosigner(self.cosigner.name, Signer.generate())
            return Reply(200, forger.cosign("x\n1\n" + "A" * 43 + "=\n", now).encode())
        origin = origin_of(asked.note)
        shard = year_of(ORIGIN, origin) is not None
        log, before = (replace(LOG, origin=origin), self.shards.get(origin)) if shard else (LOG, self.latest)
        try:
            shown, lines = witness(asked, [log], before, self.cosigner, now)
            self.shards[origin] = shown
            self.latest = self.latest if shard else shown
        except WitnessAhead as ahead:
            return Reply(409, f"{ahead.size}\n".encode())
        except Refusal:
            return Reply(422)
        return Reply(200, lines.encode())


class Stage:
    """An office that publishes by two of three witnesses."""

    def __init__(self, office: Office) -> None:
        self.office, self.seers = office, [Seer(name) for name in ("one", "two", "three")]
        lines = "".join(seer.lines() for seer in self.seers)
        self.policy = parse_policy(f"log {log_keys(LOG)[0]}\n{lines}group any2 2 one two three\nquorum any2\n".encode())
        self.meters = Meters()
        self.office.broker.publisher = self.publisher = self.start()

    def start(self) -> Publisher:
        clerk = self.office.broker.clerk
        return Publisher(self.policy, clerk.store, clerk.refresh, self.ask, self.meters, self.office.clock)

    async def ask(self, url: str, body: bytes) -> Reply:
        await asyncio.sleep(0)
        (seer,) = [one for one in self.seers if f"{one.url}/add-checkpoint" == url]
        return seer.answer(body, self.office.clock())

    def round(self) -> bool:
        return self.office.loop.run_until_complete(self.publisher.round())

    def shown(self) -> Any:
        return self.office.call(None, "GET", "/log/checkpoint")

    def send(self, agreement: str) -> None:
        got = self.office.submit(self.office.cast.compose(agreement, SOUTH, now=self.office.clock()))
        assert got.json["outcome"] == "permit"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_office(tmp_path) as office:
        yield Stage(office)


@pytest.mark.spec("WIT-41")
@pytest.mark.spec("WIT-42")
@pytest.mark.spec("WIT-43")
def test_what_enough_witnesses_saw_is_published_and_messages_wait_for_nobody(stage: Stage) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    stage.send(agreement)
    assert (stage.shown().status, stage.shown().code) == (404, "tile_path_invalid")
    assert stage.round()
    first = stage.shown().body.decode()
    assert set(stage.policy.verify(first)) == set(stage.policy.witnesses)
    assert len(split_note(first)[1]) == 2 + 6
    assert verify_checkpoint(first, LOG).size == stage.office.size
    assert stage.seers[0].asked == [0]
    before = stage.office.size
    stage.send(agreement)
    assert len(stage.office.mailbox(SOUTH)["items"]) >= 2
    assert stage.shown().body.decode() == first
    head = stage.office.call(None, "GET", "/log/head").body.decode()
    assert verify_checkpoint(head, LOG).size == stage.office.size > before
    assert stage.round()
    assert verify_checkpoint(stage.shown().body.decode(), LOG).size == stage.office.size
    assert stage.seers[0].asked == [0, before]


@pytest.mark.spec("WIT-41")
@pytest.mark.spec("WIT-44")
def test_with_too_few_the_last_one_stays_and_the_lag_is_told(stage: Stage) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    assert stage.round()
    first = stage.shown().body
    stage.seers[0].away, stage.seers[1].lying = True, True
    stage.send(agreement)
    assert not stage.round()
    stage.office.clock.advance(seconds=90)
    assert not stage.round()
    assert stage.shown().body == first
    told = stage.office.call(None, "GET", "/readyz").json
    size = stage.office.size
    assert told["ready"] is True
    assert told["publishing"] == {"log": size, "published": size - 1, "behind": 1, "seconds": 90}
    text = stage.office.call(None, "GET", "/metrics").body.decode()
    assert "ix_publishing_lag_seconds 90.0" in text
    assert f"ix_published_size {size - 1}.0" in text
    stage.seers[0].away = False  # one that is back is asked from where it stood
    assert stage.round()
    assert stage.office.call(None, "GET", "/readyz").json["publishing"]["seconds"] == 0


@pytest.mark.spec("WIT-41")
def test_a_broker_that_forgot_whom_it_asked_is_told_and_asks_from_there(stage: Stage) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    assert stage.round()
    size = stage.office.size
    stage.publisher = stage.start()
    stage.send(agreement)
    assert stage.round()
    assert stage.seers[0].asked == [0, 0, size]


@pytest.mark.spec("WIT-5")
def test_of_what_a_witness_says_only_lines_that_verify_are_added(stage: Stage) -> None:
    stage.office.agree(NORTH, SOUTH)
    stage.seers[2].lying = True
    assert stage.round()
    assert len(split_note(stage.shown().body.decode())[1]) == 2 + 4


@pytest.mark.spec("WIT-42")
def test_what_is_published_outlives_the_process_and_never_goes_back(stage: Stage) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    assert stage.round()
    old = stage.shown().body
    store = stage.office.broker.clerk.store
    with store.reading() as view:
        size, _ = view.published()
    stage.send(agreement)
    assert stage.round()
    new = stage.shown().body
    with store.writing() as view:
        view.publish(size, old.decode())  # another process, which was slower
    assert stage.shown().body == new
    with open_office(stage.office.path.parent) as again:
        second = Stage(again)
        second.policy = stage.policy
        assert second.shown().body == new


@pytest.mark.spec("WIT-41")
def test_while_one_round_asks_commits_gather_for_the_next(stage: Stage) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    envelopes = [stage.office.cast.compose(agreement, SOUTH, now=stage.office.clock()) for _ in range(5)]

    async def busy() -> None:
        publishing = asyncio.create_task(stage.publisher.run())
        for envelope in envelopes:
            await stage.office.acall(NORTH, "POST", "/v1/messages", envelope, media=MEDIA_TYPE)
        while stage.publisher.state()["behind"]:  # noqa: ASYNC110  # nobody tells when it is done
            await asyncio.sleep(0.05)
        publishing.cancel()

    stage.office.loop.run_until_complete(asyncio.wait_for(busy(), 20))
    assert len(stage.seers[0].asked) <= 3


@pytest.mark.spec("WIT-40")
def test_a_policy_under_which_nothing_could_be_published_does_not_start(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        seer, far = Seer("one"), Seer("two")
        strange = log_keys(LogSigner("other.sim/log", Signer.generate()).identity)[0]
        near = seer.lines() + far.lines().replace(far.url, "")
        for text, said in (
            (f"log {strange}\n{seer.lines()}quorum one\n", "not among them"),
            (f"{near}group both all one two\nquorum both\n", "too few"),
            (seer.lines().replace("http://", "file://") + "quorum one\n", "http or https"),
        ):
            with pytest.raises(UnsafeSettings, match=said):
                office.settings(policy=parse_policy(text.encode()))
        either = parse_policy(f"{near}group any1 any one two\nquorum any1\n".encode())
        assert isinstance(office.settings(policy=either).policy, TrustPolicy)
        assert office.call(None, "GET", "/log/checkpoint").status == 200
        assert "publishing" not in office.call(None, "GET", "/readyz").json


class _Strange(BaseHTTPRequestHandler):
    """A server that answers as its path says."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        status, body = {
            "/ahead": (409, b"7\n"), "/far": (302, b""), "/large": (200, b"x" * (MAX_ANSWER + 1)),
        }.get(self.path, (200, asked))  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/echo")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_the_way_out_follows_nobody_and_reads_no_more_than_it_must() -> None:
    """WIT-40: over real sockets; whatever is wrong is no answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"

    async def ask() -> list[Reply]:
        client = WitnessClient(patience=2)
        try:
            urls = (
                f"{base}/echo",
                f"{base}/ahead",
                f"{base}/far",
                f"{base}/large",
                "http://127.0.0.1:9/x",
                "http://[x",
            )
            return [await client.ask(url, b"hello") for url in urls]
        finally:
            await client.close()

    try:
        found = asyncio.run(ask())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found == [Reply(200, b"hello"), Reply(409, b"7\n"), Reply(302), Reply(0), Reply(0), Reply(0)]


def size_of(export: Path) -> int:
    return verify_checkpoint((export / "checkpoint").read_text(), LOG).size


@pytest.mark.spec("WIT-45")
def test_an_export_is_under_the_published_checkpoint_and_a_policy_is_demanded_of_it(
    stage: Stage, tmp_path: Path
) -> None:
    agreement = stage.office.agree(NORTH, SOUTH)
    stage.send(agreement)
    assert stage.round()
    size = stage.office.size
    stage.send(agreement)  # behind what is published
    again = stage.office.cast.agreement(NORTH, SOUTH, id="later").to_bytes()
    assert stage.office.statement(NORTH, "/v1/agreements", again).status == 200
    run, fed = CliRunner(), stage.office.cast.fed
    out = tmp_path / "export"
    assert run.invoke(app, ["export", "--from", str(tmp_path), "--out", str(out)]).exit_code == 0
    assert size_of(out) == stage.office.size  # what was published once counts while there is a policy
    shutil.rmtree(out)
    (tmp_path / "witnesses.policy").write_bytes(stage.policy.to_bytes())
    assert run.invoke(app, ["export", "--from", str(tmp_path), "--out", str(out)]).exit_code == 0
    (tmp_path / "good.policy").write_bytes(stage.policy.to_bytes())
    hard = parse_policy(stage.policy.to_bytes().replace(b"any2 2", b"any2 3"))
    (tmp_path / "hard.policy").write_bytes(hard.to_bytes())
    stranger = parse_policy(f"{Seer('four').lines()}quorum four\n".encode())
    (tmp_path / "stranger.policy").write_bytes(stranger.to_bytes())
    (tmp_path / "no.policy").write_bytes(b"quorum nobody\n")
    at = ["--at", stage.office.clock().strftime("%Y-%m-%dT%H:%M:%SZ")]
    codes = {}
    for name in ("good", "hard", "stranger", "no"):
        asked = ["verify", str(out), "--fed", fed, "--json", *at, "--policy", str(tmp_path / f"{name}.policy")]
        codes[name] = run.invoke(app, asked)
    report = json.loads(codes["good"].output)
    assert (codes["good"].exit_code, report["findings"]) == (0, [])
    assert size_of(out) == size < stage.office.size
    assert codes["hard"].exit_code == 0  # all three had seen it
    assert codes["stranger"].exit_code == 1
    assert [one["code"] for one in json.loads(codes["stranger"].output)["findings"]] == ["quorum_missing"]
    assert codes["no"].exit_code == 3


@pytest.mark.spec("WIT-55", "HTTP-52", "LOG-131")
def test_how_a_year_ended_is_seen_before_the_next_is_shown(stage: Stage, tmp_path: Path) -> None:
    office = stage.office
    office.clock.now = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
    agreement = office.agree(NORTH, SOUTH)
    assert stage.round()
    stage.send(agreement)  # nobody has seen this when the year is over
    size = office.size
    for seer in stage.seers:
        seer.away = True
    office.clock.now = datetime(2027, 1, 1, 1, 0, tzinfo=UTC)
    stage.send(agreement)
    assert not stage.round()
    assert office.call(None, "GET", "/log/shards").code == "tile_path_invalid"
    assert office.call(None, "GET", "/log/2027/checkpoint").code == "tile_path_invalid"
    assert unverified_checkpoint(office.call(None, "GET", "/log/head").body.decode())[0] == f"{ORIGIN}/2027"
    for seer in stage.seers:
        seer.away = False
    assert stage.round()
    assert unverified_checkpoint(stage.shown().body.decode())[1] == size
    shown = office.call(None, "GET", "/log/2027/checkpoint").body.decode()
    assert unverified_checkpoint(shown)[:2] == (f"{ORIGIN}/2027", 2)
    for note in (stage.shown().body.decode(), shown):
        stage.policy.verify(note)
    assert office.call(None, "GET", "/log/shards").body == b"2027\n"
    assert stage.publisher.state() == {"log": size + 2, "published": size + 2, "behind": 0, "seconds": 0}
