"""A broker that looks things up in its books and an auditor who reads the whole log must decide alike. ADM-51, ACT-20.

Nodes tell, pass on, consent, withdraw, recall, answer and lie at random; whatever the broker decided, from the part of
its books it looked at, is decided again from the export alone. ``ACTS_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit.export import verify_export
from exchange.commands_audit import app as audit
from tests.exchange.broker.office import FIU, NGO, NORTH, SOUTH, Office, open_office
from tests.exchange.broker.test_acts import agree

AGENCIES = (NORTH, SOUTH, FIU, NGO)
WORDS_BROKEN = {"erasure_contradicted", "recall_unanswered", "act_unanswered"}
"""What is said of nodes that do not keep their word; of the broker, nothing may be said."""


class Play:
    """One federation whose members do anything."""

    def __init__(self, office: Office, chance: random.Random) -> None:
        self.office, self.chance = office, chance
        self.agreements = [
            agree(office, *AGENCIES, onward=onward, id=f"all-{place}")
            for place, onward in enumerate(("by_consent", "within_parties", "none"))
        ] + [agree(office, NORTH, SOUTH, id="two", onward="by_consent")]
        self.messages: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.acts: dict[str, tuple[str, str, str, Any]] = {}
        self.ledgers: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def step(self) -> None:
        self.office.clock.advance(seconds=self.chance.randrange(3))
        self.chance.choice(
            (self.tell, self.tell, self.tell, self.consent, self.ask, self.after, self.answer, self.head)
        )()

    def tell(self) -> None:
        sender = self.chance.choice(AGENCIES)
        to = self.chance.sample([one for one in AGENCIES if one != sender], self.chance.choice((1, 1, 2)))
        had = [name for name, (by, got) in self.messages.items() if by == sender or sender in got]
        known = had if self.chance.random() < 0.85 else list(self.messages)
        src = tuple(sorted(self.chance.sample(known, min(len(known), self.chance.choice((0, 1, 1, 2))))))
        agreement = self.chance.choice(self.agreements)
        answer = self.office.submit(self.office.derived(agreement, *to, sender=sender, src=src), sender).json
        self.said[answer["code"]] += 1
        if answer["outcome"] == "permit":
            self.messages[answer["msg"]] = (sender, tuple(to))

    def head(self) -> None:
        """Of a ledger that grows, and now and then of one that does not or is another one."""
        by = self.chance.choice(AGENCIES)
        size = max(1, self.ledgers[by] + self.chance.choice((-1, 0, 1, 2, 40)))
        root = self.chance.choice((b"", b"", b"", bytes(32)))
        got = self.office.head(by, size, root)
        self.said[f"head {got.json.get('code', 'logged')}"] += 1
        if got.status == 200:
            self.ledgers[by] = size

    def _do(self, kind: str, by: str, msg: str, **members: Any) -> None:
        got = self.office.act(kind, by, msg, **members)
        self.said[f"{kind} {got.json.get('code', 'logged')}"] += 1
        if got.status == 200:
            self.acts[got.json["act"]] = (kind, by, msg, members)

    def _message(self) -> str:
        return self.chance.choice(list(self.messages) or ["A" * 43])

    def _by(self, msg: str) -> str:
        originator = self.messages.get(msg, (NORTH, ()))[0]
        return originator if self.chance.random() < 0.9 else self.chance.choice(AGENCIES)

    def _terms(self) -> dict[str, Any]:
        until = self.office.clock.now + timedelta(seconds=self.chance.choice((2, 3600)))
        return {"want": "onward", "to": self.chance.sample(AGENCIES, 2), "purposes": ["investigate"], "fields": [""],
                "until": until}  # fmt: skip

    def consent(self) -> None:
        msg = self._message()
        asked = [name for name, (kind, _, about, _) in self.acts.items() if kind == "ask" and about == msg]
        re = {"re": self.chance.choice(asked)} if asked and self.chance.random() < 0.5 else {}
        self._do("consent", self._by(msg), msg, holder=self.chance.choice(AGENCIES), **self._terms(), **re)

    def ask(self) -> None:
        self._do("ask", self.chance.choice(AGENCIES), self._message(), **self._terms())

    def after(self) -> None:
        consents = [(name, act) for name, act in self.acts.items() if act[0] == "consent"]
        if consents and self.chance.random() < 0.5:
            name, (_, by, msg, _) = self.chance.choice(consents)
            self._do("withdraw", by, msg, re=name)
        elif self.chance.random() < 0.4:
            msg, kind = self._message(), self.chance.choice(("restrict", "recall", "rectify"))
            more = {"by_msg": self._message()} if kind == "rectify" else {}
            if more.get("by_msg") != msg:
                self._do(kind, self._by(msg), msg, ground="inaccurate", **more)

    def answer(self) -> None:
        asked = [(name, act) for name, act in self.acts.items() if act[0] in ("restrict", "recall", "rectify")]
        if asked:
            name, (_, _, msg, _) = self.chance.choice(asked)
            outcome = self.chance.choice(("erased", "restricted", "retained"))
            ground = {"ground": "case_open"} if outcome == "retained" else {}
            self._do("answer", self.chance.choice(AGENCIES), msg, re=name, outcome=outcome, **ground)


@pytest.mark.spec("ADM-51", "ADM-55", "ACT-20", "LOG-42")
def test_whatever_nodes_do_broker_and_auditor_decide_alike(tmp_path: Path) -> None:
    seed = int(os.environ.get("ACTS_SEED") or random.SystemRandom().randrange(10**9))
    sys.stderr.write(f"ACTS_SEED={seed}\n")  # pytest shows it if anything fails
    with open_office(tmp_path) as office:
        play = Play(office, random.Random(seed))
        for _ in range(260):
            play.step()
        out = tmp_path / "evidence"
        done = CliRunner().invoke(audit, ["export", "--from", str(tmp_path), "--out", str(out)])
        assert done.exit_code == 0, done.output
        files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        report = verify_export(files.get, fed=office.cast.fed, now=office.clock.now)
        wrong = [finding for finding in report.findings if finding.code not in WORDS_BROKEN]
        assert wrong == [], play.said
        office.second().close()  # and the books say the same as the log
    assert play.said["permitted"] > 10, play.said
    assert play.said["head logged"] > 3, play.said
    assert len(play.said) > 8, play.said
