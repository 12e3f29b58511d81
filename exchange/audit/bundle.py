"""Evidence in one file: chosen entries with proofs, and all they rest on, to verify anywhere (LOG-73 to LOG-77).

Made from a verified export; verified from the pinned federation id and nothing else. It holds every agreement and
notice logged before the last chosen entry, so that decisions are made again: the policy name in each decision's entry
is a chain over all of these, so a rule left out would show. What is not shown is that no *other* entry was left out.

The file has one spelling. Each of its bytes is held: by a signature, by a proof, or by being named by what is held so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from exchange.audit.export import CHECKPOINT, TRUST, Examined
from exchange.audit.finding import Finding
from exchange.audit.questions import Record, read_messages
from exchange.audit.replay import Replay, statement_path
from exchange.audit.report import AuditReport
from exchange.audit.shards import MAX_SHARDS
from exchange.audit.tree import Read
from exchange.protocol.entry import (
    ActEntry,
    AgreementEntry,
    DenialEntry,
    DisclosureEntry,
    LogEntry,
    NodeHeadEntry,
    NoticeEntry,
    ReceiptEntry,
    RecordEntry,
    ShardEntry,
    SignatureEntry,
    parse_entry,
)
from exchange.protocol.errors import CheckpointInvalid, EvidenceMalformed, InclusionInvalid, QuestionMalformed
from exchange.protocol.log import (
    Checkpoint,
    own_lines,
    split_note,
    unverified_checkpoint,
    verify_checkpoint,
    year_of,
)
from exchange.protocol.merkle import EMPTY_ROOT, HASH, MAX_SIZE, Tree, leaf_hash, tile_path, verify_inclusion
from keys.encoding import b64u, digest, read_json, unb64u, write_json
from keys.errors import Refusal
from keys.trust import Directory, LogIdentity

MAX_FILE: Final = 64 * 1024 * 1024
KINDS: Final = ("agreements", "notices", "acts", "receipts")
_MEMBERS: Final = ["v", "typ", "messages", "checkpoint", "trust", "entries", *KINDS]
CANNOT: Final = (
    "that nothing is missing: other messages, receipts and acts may be in the log that nobody chose for this file",
    "what was logged after its checkpoint: a recall, a revoked key, an erasure",
    "that everybody was shown the same log, unless enough witnesses signed its checkpoint",
    "what the messages said, and whether it was true",
)
"""What the file cannot show, whoever verifies it."""


# --- writing --------------------------------------------------------------------------------------------


def write_evidence(read: Read, examined: Examined, messages: Iterable[str]) -> bytes:
    """The file for these messages, from an export that was examined; refused if one was never decided."""
    head, asked = examined.report.checkpoint, list(dict.fromkeys(messages))
    record = Record(examined)
    for msg in asked:
        if msg not in record.disclosed and msg not in record.denied:
            raise QuestionMalformed("a message that is not in this log cannot be shown from it")
    if head is None or not asked:
        raise QuestionMalformed("there is no signed checkpoint, or no message, to show anything about")
    chosen = _chosen(examined, record.family(asked))
    trees = [(one, Tree.load(one.size, _tiles(read, one))) for one in (*examined.report.closed, head)]
    named: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    entries = []
    for index, data, entry in chosen:
        under, tree = next(pair for pair in trees if index < pair[0].end)
        proof = [b64u(one) for one in tree.inclusion(index - under.base)]
        entries.append({"index": index, "entry": data.decode(), "proof": proof})
        kind, digest = _names(entry)
        statement = read(statement_path(kind, digest)) if kind else None
        if statement is not None:
            named[kind][digest] = read_json(statement, limit=MAX_FILE)
    notes = [(read(_prefix(one) + CHECKPOINT) or b"").decode() for one, _ in trees]
    value = {
        "v": "ix/1", "typ": "evidence", "messages": sorted(asked), "checkpoint": notes.pop(),
        **({"closed": notes} if notes else {}),
        "trust": read_json(read(TRUST) or b"", limit=MAX_FILE), "entries": entries,
        **{kind: dict(sorted(found.items())) for kind, found in named.items()},
    }  # fmt: skip
    return write_json(value)


def _chosen(examined: Examined, family: set[str]) -> list[tuple[int, bytes, LogEntry]]:
    """Everything about these messages, and every rule logged before the last of it, in the order of the log."""
    found: list[tuple[int, bytes, LogEntry]] = []
    last, complete = -1, set()
    for index, data in enumerate(examined.entries):
        if data is None or index in examined.doubtful:
            continue
        try:
            entry = parse_entry(data)
        except Refusal:
            continue
        if isinstance(entry, NodeHeadEntry):
            continue
        about = isinstance(entry, DisclosureEntry | DenialEntry | ReceiptEntry | ActEntry)
        opens = isinstance(entry, ShardEntry)
        if about and entry.msg not in family:  # type: ignore[union-attr]  # all four are about a message
            continue
        found.append((index, data, entry))
        last = index if about or opens else last  # where each shard begins is shown, for its entries' numbers
        if isinstance(entry, AgreementEntry):
            complete.add(entry.agr)
    return [
        one for one in found
        if one[0] <= last and not (isinstance(one[2], SignatureEntry) and one[2].agr not in complete)
    ]  # fmt: skip


def _prefix(one: Checkpoint) -> str:
    """The folder of the shard that a checkpoint is of."""
    return f"{one.origin.rpartition('/')[2]}/" if one.base else ""


def _tiles(read: Read, head: Checkpoint) -> Any:
    def tile(level: int, n: int) -> bytes:
        width = min(256, (head.size >> (8 * level)) - 256 * n)
        return read(_prefix(head) + tile_path(level, n, width)) or b""

    return tile


def _names(entry: LogEntry) -> tuple[str, str]:
    """The statement an entry names: its folder and its digest; nothing for one that names none."""
    if isinstance(entry, AgreementEntry):
        return "agreements", entry.agr
    if isinstance(entry, NoticeEntry):
        return "notices", entry.notice
    if isinstance(entry, ActEntry):
        return "acts", entry.statement
    return ("receipts", entry.batch) if isinstance(entry, ReceiptEntry) else ("", "")


# --- reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the file says, nothing of it verified."""

    messages: tuple[str, ...]
    checkpoint: str
    closed: tuple[str, ...]
    """The checkpoints of the shards before, in order; none in a log of one tree."""
    trust: bytes
    entries: tuple[tuple[int, bytes, tuple[bytes, ...]], ...]
    statements: Mapping[str, bytes]
    """Statements under the names an export has for them."""


def read_evidence(data: bytes) -> Evidence:
    """Read the file strictly: its members, and the one spelling they have (LOG-74)."""
    try:
        value = _members(data)
        read = Evidence(
            _messages(value["messages"]), _text(value["checkpoint"]), _closed(value), write_json(value["trust"]),
            tuple(_entries(value["entries"])),
            {statement_path(kind, name): said for kind in KINDS for name, said in _statements(value[kind])},
        )  # fmt: skip
    except EvidenceMalformed:
        raise
    except (Refusal, TypeError, ValueError, KeyError, RecursionError) as wrong:
        sentence = wrong.sentence if isinstance(wrong, Refusal) else "a member has another form"
        raise EvidenceMalformed(f"the file cannot be read: {sentence}") from None
    return read


def _members(data: bytes) -> dict[str, Any]:
    value = read_json(data, limit=MAX_FILE)
    members = [*_MEMBERS[:4], "closed", *_MEMBERS[4:]] if type(value) is dict and "closed" in value else _MEMBERS
    if type(value) is not dict or list(value) != members or (value["v"], value["typ"]) != ("ix/1", "evidence"):
        raise EvidenceMalformed(f"the file is one JSON object with the members {', '.join(_MEMBERS)}")
    if write_json(value) != data:
        raise EvidenceMalformed("the file is not in its one spelling")
    return value


def _messages(value: Any) -> tuple[str, ...]:
    found = read_messages(write_json(value)) if type(value) is list else ()
    if not found or list(found) != sorted(set(value)) or len(found) != len(value):
        raise EvidenceMalformed("`messages` are digests in ascending order, each once")
    return found


def _text(value: Any) -> str:
    if type(value) is not str:
        raise EvidenceMalformed("the checkpoint and each entry are texts")
    return value


def _closed(value: dict[str, Any]) -> tuple[str, ...]:
    listed = value.get("closed", ())
    if "closed" in value and not (type(listed) is list and 0 < len(listed) <= MAX_SHARDS):
        raise EvidenceMalformed("`closed` is a list of checkpoints, absent where there are none")
    return tuple(map(_text, listed))


def _entries(value: Any) -> Iterator[tuple[int, bytes, tuple[bytes, ...]]]:
    before = -1
    for one in value:
        if list(one) != ["index", "entry", "proof"] or type(one["index"]) is not int:
            raise EvidenceMalformed("an entry has the members index, entry and proof")
        if not before < one["index"] <= MAX_SIZE:
            raise EvidenceMalformed("entries stand in the order of the log, each once")
        before, proof = one["index"], tuple(map(unb64u, one["proof"]))
        if any(len(part) != HASH for part in proof):
            raise EvidenceMalformed("a proof is a list of hashes")
        yield before, _text(one["entry"]).encode(), proof


def _statements(value: Any) -> Iterator[tuple[str, bytes]]:
    if type(value) is not dict or list(value) != sorted(value):
        raise EvidenceMalformed("statements stand under their digests, in ascending order")
    return ((name, write_json(said)) for name, said in value.items())


# --- verifying ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file shows: about which messages, by which checkpoint, with what is wrong."""

    messages: tuple[str, ...]
    report: AuditReport
    indices: tuple[int, ...]
    others: tuple[str, ...]
    """Names on the checkpoint beside the log's: witnesses, perhaps; nothing is known of their keys here."""

    @property
    def holds(self) -> bool:
        """Whether all of it could be verified."""
        return self.report.clean

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify-bundle --json`` writes them."""
        said = self.report.to_json()
        return {
            "holds": self.holds, "messages": list(self.messages), "federation": said["federation"], "log": said["log"],
            "entries": list(self.indices), "others": list(self.others), "counts": said["counts"],
            "findings": said["findings"], "disclosures": said["disclosures"], "denials": said["denials"],
            "followed": said["followed"], "cannot_show": list(CANNOT),
        }  # fmt: skip


def verify_evidence(data: bytes, *, fed: str, now: datetime) -> Verified:
    """Verify a file from the pinned federation id up; what is wrong with it is a finding (LOG-75, LOG-76)."""
    said = read_evidence(data)
    try:
        directory = Directory.from_bytes(said.trust, fed=fed, now=now)
    except Refusal as refusal:
        return _nothing(said, fed, "", Finding("trust_refused", refusal.sentence))
    try:
        trees = _trees(said, directory.root.log)
        checkpoint = trees[-1]
        others = sorted({line.name for line in split_note(said.checkpoint)[1]} - {checkpoint.origin})
    except Refusal as refusal:
        return _nothing(said, fed, directory.root.name, Finding("checkpoint_refused", refusal.sentence))
    findings = list(_unproven(said, trees))
    replay = Replay(said.statements.get, directory, findings)
    years = ((one.base, year_of(trees[0].origin, one.origin)) for one in trees[1:])
    replay.begins = {base: year for base, year in years if year is not None}
    if not findings:
        replay.take((index, entry) for index, entry, _ in said.entries)
        replay.compare_words({one.origin: (one.base, {one.size: one.root, 0: EMPTY_ROOT}.get) for one in trees})
        _check_names(said, replay)
    ordered = tuple(sorted(replay.findings, key=lambda one: -1 if one.index is None else one.index))
    report = AuditReport(
        fed, directory.root.name, checkpoint, ordered, tuple(replay.disclosures.values()), tuple(replay.denials),
        dict(replay.counts), replay.acts.lineage.followed(), closed=tuple(trees[:-1]),
    )  # fmt: skip
    return Verified(said.messages, report, tuple(index for index, _, _ in said.entries), tuple(others))


def _nothing(said: Evidence, fed: str, name: str, finding: Finding) -> Verified:
    return Verified(said.messages, AuditReport(fed, name, None, (finding,), (), (), {}), (), ())


def _trees(said: Evidence, log: LogIdentity) -> list[Checkpoint]:
    """The verified checkpoint of each shard, in order, each with the base that the one before leaves (LOG-130)."""
    trees: list[Checkpoint] = []
    entries = {index: data for index, data, _ in said.entries}
    for place, note in enumerate((*said.closed, said.checkpoint)):
        base = trees[-1].end if trees else 0
        origin = unverified_checkpoint(note)[0] if place else log.origin
        if place and year_of(log.origin, origin) is None:
            raise CheckpointInvalid("the checkpoint is of no shard of this log")
        one = verify_checkpoint(note, replace(log, shards=((origin, base),) if place else ()))
        if one.origin != origin or not _follows(one, trees, said.closed, entries.get(base), log):
            raise CheckpointInvalid(f"`{one.origin}` does not take up where the shard before it was closed")
        trees.append(one)
    return trees


def _follows(
    one: Checkpoint, before: Sequence[Checkpoint], notes: Sequence[str], first: bytes | None, log: LogIdentity
) -> bool:
    """Whether the first entry of a shard says how the one before ended as its checkpoint does; the first has none."""
    if not before:
        return True
    entry, last = _understood(first or b""), before[-1]
    if not isinstance(entry, ShardEntry):
        return False
    shown = (last.end, last.origin, last.size, b64u(last.root), digest(own_lines(notes[len(before) - 1], log).encode()))
    return shown == (entry.base, entry.origin, entry.size, entry.root, entry.checkpoint) and one.base == entry.base


def _unproven(said: Evidence, trees: Sequence[Checkpoint]) -> Iterator[Finding]:
    for index, entry, proof in said.entries:
        hashed = leaf_hash(entry)
        under = next((one for one in trees if index < one.end), trees[-1])
        try:
            verify_inclusion(hashed, index - under.base, under.size, proof, under.root)
        except InclusionInvalid:
            sentence = "the proof does not lead from this entry to the signed root"
            yield Finding("entry_altered", sentence, index, {"own_hash": b64u(hashed)})


def _check_names(said: Evidence, replay: Replay) -> None:
    """Nothing in the file is there for no reason: each message was decided, each statement is named by an entry."""
    decided = set(replay.disclosures) | {one.entry.msg for one in replay.denials}
    if not set(said.messages) <= decided:
        raise EvidenceMalformed("the file names a message of which it has no decision")
    named = {statement_path(*_names(entry)) for _, data, _ in said.entries if (entry := _understood(data))}
    if not set(said.statements) <= named:
        raise EvidenceMalformed("the file has a statement that none of its entries names")


def _understood(data: bytes) -> LogEntry | None:
    try:
        entry = parse_entry(data)
    except Refusal:
        return None
    unnamed = RecordEntry | SignatureEntry | DisclosureEntry | DenialEntry | NodeHeadEntry
    return None if isinstance(entry, unnamed) else entry
