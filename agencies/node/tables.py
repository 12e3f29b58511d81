"""The tables of a node's books; ``store`` writes and reads them (`spec/nodes.md`, NODE-60).

Whatever an officer, a case or a content says is locked or a pseudonym before it gets here.
"""

from __future__ import annotations

from sqlalchemy import LargeBinary
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Base(SQLModel, registry=registry()):
    """A registry of its own, so that a broker in the same process keeps its tables apart."""


class Outbox(Base, table=True):
    """One thing an officer asked to send. ``envelope`` is there from before the first attempt on."""

    __tablename__ = "outbox"
    n: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    request_key: str | None = Field(default=None, unique=True)
    request_digest: str | None = None
    state: str = Field(index=True)
    officer: str
    made: str
    act: bytes | None = Field(default=None, sa_type=LargeBinary)
    draft: bytes | None = Field(default=None, sa_type=LargeBinary)
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    ruling: bool = False
    recipients: str
    summary: str
    case_name: str = Field(index=True)
    msg: str | None = Field(default=None, unique=True)
    envelope: bytes | None = Field(default=None, sa_type=LargeBinary)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None
    code: str | None = None
    reasons: str | None = None
    seq: int | None = None
    entry: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof: str | None = None
    released_by: str | None = None
    approved_by: str | None = None
    src: str | None = None
    exempt: str | None = None


class Inbox(Base, table=True):
    """One message that passed every check; ``parcel`` as it came, ``content`` locked."""

    __tablename__ = "inbox"
    n: int | None = Field(default=None, primary_key=True)
    msg: str = Field(unique=True)
    seq: int
    sender: str
    received: str
    opened: str | None = None
    summary: str
    case_name: str = Field(index=True)
    parcel: bytes | None = Field(default=None, sa_type=LargeBinary)
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    erased: str | None = None


class HeldRow(Base, table=True):
    """What a received message ties this agency to, and what was done about it; ``seal`` is over all the rest.

    ``entry`` is the log's, from which the obligations follow; ``due`` is when something has to happen next.
    """

    __tablename__ = "held"
    msg: str = Field(primary_key=True)
    agr: str = Field(index=True)
    entry: bytes = Field(sa_type=LargeBinary)
    tlp: str | None = None
    state: str = Field(index=True)
    ground: str | None = None
    shown: str = "[]"
    acknowledged: str = "[]"
    warned: str | None = None
    kept: str | None = None
    kept_until: str | None = None
    cause: str | None = None
    due: str | None = Field(default=None, index=True)
    seal: bytes = Field(sa_type=LargeBinary)


class Claim(Base, table=True):
    """One mark of the blind index of claims to protection: a keyed hash, and a keyed hash of the territory feared."""

    __tablename__ = "claim"
    mark: str = Field(primary_key=True)
    place: str = Field(index=True)
    at: str


class AnswerRow(Base, table=True):
    """A request that is answered with a refusal: when it leaves; ``secret`` is the whole reason, locked."""

    __tablename__ = "answer"
    request: str = Field(primary_key=True)
    due: str = Field(index=True)
    state: str = Field(index=True)
    secret: bytes = Field(sa_type=LargeBinary)
    ref: str | None = None


class Task(Base, table=True):
    """An exculpatory notice that came, and by when somebody has to have acted on it."""

    __tablename__ = "task"
    msg: str = Field(primary_key=True)
    due: str = Field(index=True)
    done: str | None = None
    officer: str | None = None


class EmergencyRow(Base, table=True):
    """One opening in an emergency: by whom, for what danger, past which rules, and what a review said; all sealed."""

    __tablename__ = "emergency"
    id: str = Field(primary_key=True)
    msg: str = Field(index=True)
    officer: str
    second: str
    danger: str
    purpose: str
    passed: str
    at: str
    due: str
    ask: str
    verdict: str | None = Field(default=None, index=True)
    reviewer: str | None = None
    reviewed: str | None = None
    seal: bytes = Field(sa_type=LargeBinary)


class FlagRow(Base, table=True):
    """One case or message that cannot be executed here, until when; ``secret`` is the ground and reason, locked."""

    __tablename__ = "flag"
    id: str = Field(primary_key=True)
    kind: str
    name: str = Field(index=True)
    sender: str = Field(index=True)
    officer: str
    made: str
    until: str
    lifted: str | None = None
    secret: bytes = Field(sa_type=LargeBinary)


class Quoted(Base, table=True):
    """A MAC of words that came with a message, so that they are known again; with no message, words of our own."""

    __tablename__ = "quoted"
    quote: str = Field(primary_key=True)
    msg: str = Field(primary_key=True, index=True)


class Rejected(Base, table=True):
    """One parcel that failed a check: which, and nothing of what it held."""

    __tablename__ = "rejected"
    n: int | None = Field(default=None, primary_key=True)
    msg: str
    seq: int
    code: str
    at: str


class Doubt(Base, table=True):
    """Numbers behind ``after`` up to ``upto`` whose mail came spoiled, to be asked for again (NODE-49)."""

    __tablename__ = "doubt"
    n: int | None = Field(default=None, primary_key=True)
    after: int
    upto: int
    since: str
    attempts: int = 0
    due: str = Field(index=True)


class Owed(Base, table=True):
    """One receipt this node owes; ``batch`` is the signed batch it went into."""

    __tablename__ = "owed"
    n: int | None = Field(default=None, primary_key=True)
    msg: str
    status: str
    code: str | None = None
    batch: int | None = Field(default=None, index=True)


class Batch(Base, table=True):
    """A signed batch of receipts, kept as signed so that every attempt posts the same bytes."""

    __tablename__ = "batch"
    n: int | None = Field(default=None, primary_key=True)
    jws: bytes = Field(sa_type=LargeBinary)
    state: str = Field(index=True)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None


class Heard(Base, table=True):
    """A signed batch of receipts as it came; ``digest`` is of these very bytes."""

    __tablename__ = "heard"
    digest: str = Field(primary_key=True)
    jws: bytes = Field(sa_type=LargeBinary)


class Got(Base, table=True):
    """A receipt somebody gave for a message of ours, with its proof; ``batch`` is in ``heard``."""

    __tablename__ = "got"
    seq: int = Field(primary_key=True)
    msg: str = Field(index=True)
    by: str
    status: str
    code: str | None = None
    at: str
    batch: str
    entry: bytes = Field(sa_type=LargeBinary)
    proof: str


class Ledger(Base, table=True):
    """One act, a leaf of the ledger's tree; other columns are copies for searching, and checked against ``body``.

    ``who`` names the people in clear, locked under the month's key: it opens as long as that is here.
    """

    __tablename__ = "ledger"
    n: int = Field(primary_key=True)
    ts: str = Field(index=True)
    act: str
    by: str | None = Field(default=None, index=True)
    msg: str | None = Field(default=None, index=True)
    case_name: str | None = Field(default=None, index=True)
    body: bytes = Field(sa_type=LargeBinary)
    hash: str
    seal: bytes = Field(sa_type=LargeBinary)
    who: bytes | None = Field(default=None, sa_type=LargeBinary)


class LedgerClosed(Base, table=True):
    """One act of a ledger that was a chain, as it was kept then (NODE-195); nothing is added to it any more."""

    __tablename__ = "ledger_closed"
    n: int = Field(primary_key=True)
    ts: str
    act: str
    officer: str | None = None
    msg: str | None = None
    case_name: str | None = None
    body: bytes = Field(sa_type=LargeBinary)
    hash: str
    seal: bytes = Field(sa_type=LargeBinary)


class HeadRow(Base, table=True):
    """One signed head of the ledger: ``pending`` until the log's answer proves it, ``logged``, or ``refused``."""

    __tablename__ = "heads"
    size: int = Field(primary_key=True)
    root: bytes = Field(sa_type=LargeBinary)
    note: str
    digest: str = Field(unique=True)
    made: str
    state: str = Field(index=True)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None
    seq: int | None = None
    entry: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof: str | None = None


class PeriodRow(Base, table=True):
    """One month's key for pseudonyms and reasons, locked; none once it was destroyed. ``wiped``: the file as well."""

    __tablename__ = "period"
    name: str = Field(primary_key=True)
    secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    made: str
    destroyed: str | None = None
    wiped: str | None = None


class Given(Base, table=True):
    """One signed act about a message: of ours (``way`` out, committed before it is sent) or one that came in."""

    __tablename__ = "acts"
    n: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    way: str
    kind: str
    by: str
    msg: str = Field(index=True)
    re: str | None = Field(default=None, index=True)
    state: str = Field(index=True)
    jws: bytes = Field(sa_type=LargeBinary)
    made: str
    ledger: bytes | None = Field(default=None, sa_type=LargeBinary)
    attempts: int = 0
    due: str | None = None
    problem: str | None = None
    code: str | None = None
    at: str | None = None
    seq: int | None = None
    entry: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof: str | None = None


class Consented(Base, table=True):
    """One ask, or one consent, and what became of it; ``digest`` is the act's."""

    __tablename__ = "consents"
    digest: str = Field(primary_key=True)
    kind: str
    way: str
    msg: str = Field(index=True)
    originator: str
    holder: str
    want: str
    recipients: str
    purposes: str
    fields: str
    until: str
    state: str = Field(index=True)
    at: str
    answer: str | None = None
    ground: str | None = None
    officer: str | None = None


class Duty(Base, table=True):
    """What an originator told this holder to do, what it concerns here, by when, and what was answered."""

    __tablename__ = "duties"
    digest: str = Field(primary_key=True)
    kind: str
    msg: str = Field(index=True)
    originator: str
    ground: str
    by_msg: str | None = None
    held: str
    told: str
    due: str
    state: str = Field(index=True)
    outcome: str | None = None
    retained: str | None = None
    answer: str | None = None
    answered: str | None = None


class Logged(Base, table=True):
    """One entry of the log as read and verified here: who told whom, from what it was derived, and acts about it."""

    __tablename__ = "logged"
    seq: int = Field(primary_key=True)
    typ: str
    msg: str = Field(index=True)
    data: bytes = Field(sa_type=LargeBinary)


class Known(Base, table=True):
    """A checkpoint that was shown to be consistent with every other here."""

    __tablename__ = "known"
    size: int = Field(primary_key=True)
    """Of the whole log, earlier shards included; the root is of the checkpoint's own tree."""
    root: bytes = Field(sa_type=LargeBinary)
    text: str


class Shard(Base, table=True):
    """A later shard of the log: its first entry, with proof, and the checkpoint that closed the one before."""

    __tablename__ = "shard"
    base: int = Field(primary_key=True)
    origin: str
    entry: str
    proof: str
    closing: str


class Witnessed(Base, table=True):
    """Of one log, the checkpoint this node cosigned last: it moves forward by compare-and-swap and never back."""

    __tablename__ = "witnessed"
    origin: str = Field(primary_key=True)
    size: int
    root: bytes = Field(sa_type=LargeBinary)
    note: str


class Evidence(Base, table=True):
    """Something that should not be: kept whole, for whoever has to judge it."""

    __tablename__ = "evidence"
    n: int | None = Field(default=None, primary_key=True)
    at: str
    kind: str
    detail: str


class Signed(Base, table=True):
    """An agreement or notice as all its parties signed it, and when the log took it; also the directory.

    ``seal`` says that this node verified it then: later keys are no reason to judge it again (NODE-38).
    """

    __tablename__ = "signed"
    digest: str = Field(primary_key=True)
    kind: str
    jws: bytes = Field(sa_type=LargeBinary)
    at: str
    seal: bytes | None = Field(default=None, sa_type=LargeBinary)


class Session(Base, table=True):
    """A signed-in officer; the token itself is not here, only its hash."""

    __tablename__ = "session"
    token_hash: str = Field(primary_key=True)
    officer: str
    expires: str


class Meta(Base, table=True):
    """Single values: the cursor, the schema, whose books these are."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str
