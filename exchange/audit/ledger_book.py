"""Reading a ledger that was handed in, and believing of it only what is signed (LOG-100).

A folder as a node exports it (NODE-193): the ledger's head, tiles and entry bundles, and the proofs that the node was
given by the log. What does not verify is a finding and is used against nobody else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from exchange.audit.finding import Finding
from exchange.audit.gossip import RootAt
from exchange.audit.ledger_lines import HeldProof, LedgerBook, Line
from exchange.audit.log_book import BROKER
from exchange.audit.tree import Read, TreeAudit, audit_tree
from exchange.protocol.act import Act as Signed
from exchange.protocol.act import read_act
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, LogEntry, NodeHeadEntry, ReceiptEntry
from exchange.protocol.errors import AuditImpossible, CheckpointInvalid, ProofMismatch
from exchange.protocol.ledger_act import must_be_plain
from exchange.protocol.ledger_head import ledger_origin, read_head, verify_head
from exchange.protocol.log import (
    MAX_TIMESTAMP,
    Checkpoint,
    parse_entry,
    parse_tlog_proof,
    split_note,
    unverified_checkpoint,
    verify_tree,
)
from exchange.protocol.manifest import Manifest, parse_manifest
from exchange.protocol.merkle import Tree, leaf_hash, verify_inclusion
from exchange.protocol.receipt import ReceiptBatch, verify_receipts
from exchange.protocol.seen import signed_by_log
from exchange.protocol.vocabulary import Act
from keys.encoding import b64u, digest, instant, read_json, unb64u
from keys.errors import KeyNotValid, KeyUnknown, MalformedEncoding, Refusal
from keys.signing import Typ, parse_statement, verify_pair
from keys.trust import Directory

HEAD: Final = "checkpoint"
PROOFS: Final = "proofs"
MEMBERS: Final = (
    "v", "typ", "n", "ts", "act", "agency", "by", "code", "why", "purpose", "agr", "clauses", "case", "msg", "from",
    "to", "persons", "cats", "outcome", "reasons", "index", "released_by",
)  # fmt: skip
"""Of an act, in their order (NODE-51)."""
_TEXTS: Final = ("by", "code", "why", "purpose", "agr", "case", "msg", "from", "released_by")
_SAID: Final = ("ts", "act", "outcome")
_LISTS: Final = ("clauses", "to", "persons", "cats", "reasons")
_MAX_ACT: Final = 2**16 - 1
_CLOSED: Final = "ledger_closed"
"""Outcome of the first act behind a ledger of the version before (NODE-195)."""
_MAX_PROOF: Final = 1024 * 1024
_HELD: Final = ("v", "typ", "msg", "entry", "proof", "manifest", "statement")
"""Members of a held proof, in their order (NODE-194)."""
_INVALID: Final = (KeyNotValid, KeyUnknown)


class LogKeysReplaced(Exception):
    """A held proof of another tree, signed by keys that were the log's once: its own word, or that of a thief."""


@dataclass(frozen=True, slots=True)
class Believed:
    """What ledgers are judged by: the directory as of any place in the log, and the log's own root at any size."""

    directory: Directory
    at: Callable[[int], Directory]
    root: RootAt
    entries: Mapping[int, LogEntry]
    base: Callable[[str], int] = field(default=lambda _: 0)
    """Where the tree of a name begins in the log."""


@dataclass(slots=True)
class Taken:
    """A ledger that was read: the book if its head is its agency's, what is wrong, what was signed beside proofs."""

    agency: str
    book: LedgerBook | None = None
    findings: list[Finding] = field(default_factory=list)
    batches: dict[str, ReceiptBatch] = field(default_factory=dict)
    acts: dict[str, Signed] = field(default_factory=dict)
    unjudged: set[str] = field(default_factory=set)
    """Names of held proofs that only keys bear out which the log has no more."""


def read_ledger(read: Read, proofs: Iterable[str], believed: Believed, now: datetime) -> Taken:
    """Read one ledger; ``proofs`` are the names of its held proofs. ``AuditImpossible`` if it is none of this log's."""
    note = read(HEAD)
    if note is None:
        raise AuditImpossible(f"a ledger has the file `{HEAD}`; this folder has not")
    taken = Taken(_whose(note, believed.directory))
    try:
        head = _verify(note, taken.agency, believed.directory, now)
    except Refusal as refusal:
        code = "key_not_valid_then" if isinstance(refusal, _INVALID) else "ledger_altered"
        taken.findings.append(_wrong(taken.agency, refusal.sentence, {"path": HEAD}, code))
        return taken
    try:
        tree = audit_tree(read, head.size, head.root)
    except AuditImpossible as refusal:
        taken.findings.append(_wrong(taken.agency, refusal.sentence, {"path": HEAD}))
        return taken
    taken.findings += [_damage(taken.agency, one) for one in tree.findings]
    if tree.findings:
        return taken  # what cannot be read is not missing
    lines = tuple(_lines(taken, tree))
    held = [one for name in sorted(proofs) if (one := _held(taken, read, name, believed)) is not None]
    sizes = {e.size for e in believed.entries.values() if isinstance(e, NodeHeadEntry) and e.by == taken.agency}
    roots = _roots(tree, {size for size in sizes if size <= head.size})
    since = lines[0].ts if lines and (lines[0].act, lines[0].outcome) == (Act.REVIEW, _CLOSED) else None
    taken.book = LedgerBook(
        taken.agency,
        lines,
        head.at,
        tuple(held),
        head.size,
        head.root,
        roots,
        since,
        unjudged=frozenset(taken.unjudged),
    )
    return taken


def _whose(note: bytes, directory: Directory) -> str:
    """The agency whose ledger a head is, by its origin; nothing is believed yet."""
    try:
        origin = unverified_checkpoint(read_head(note))[0]
    except Refusal as refusal:
        raise AuditImpossible(f"`{HEAD}` is not the head of a ledger: {refusal.sentence}") from None
    for record in directory.agencies():
        if origin == ledger_origin(directory.root.log.origin, record.agency):
            return record.agency
    raise AuditImpossible(f"`{origin}` is no ledger of an agency of this federation")


def _verify(note: bytes, agency: str, directory: Directory, now: datetime) -> Checkpoint:
    text = read_head(note)
    at = _dated(text)
    if at > now:
        verify_head(text, agency, directory, directory.root.log.origin, now)  # refuses what is dated ahead of now
    return verify_head(text, agency, directory, directory.root.log.origin, at)


def _dated(note: str) -> datetime:
    """When the second line of a head says that it was signed."""
    lines = split_note(note)[1]
    stamped = lines[-1].signature[:8]
    seconds = struct.unpack(">Q", stamped)[0] if len(stamped) == 8 else MAX_TIMESTAMP + 1
    if seconds > MAX_TIMESTAMP:
        raise CheckpointInvalid("the head says no time")
    return datetime.fromtimestamp(seconds, UTC)


def _damage(agency: str, one: Finding) -> Finding:
    evidence = dict(one.evidence) | {"audit": one.code, "ledger": agency}
    sentence = one.sentence if one.index is None else f"act {one.index + 1} is not the one under the signed root"
    return Finding("ledger_altered", sentence, None, evidence | {"proof": f"the head signed by `{agency}`"}, agency)


def _wrong(agency: str, sentence: str, evidence: dict[str, str], code: str = "ledger_altered") -> Finding:
    proof = f"the ledger as `{agency}` handed it in"
    return Finding(code, sentence, None, {"ledger": agency, **evidence, "proof": proof}, agency)


# --- acts -----------------------------------------------------------------------------------------------


def _lines(taken: Taken, tree: TreeAudit) -> Iterator[Line]:
    for place, body in enumerate(tree.entries):
        if body is None or place in tree.doubtful:
            continue
        try:
            yield read_line(body, taken.agency, place + 1)
        except (Refusal, ValueError) as wrong:
            said = wrong.sentence if isinstance(wrong, Refusal) else str(wrong)
            evidence = {"n": str(place + 1)}
            taken.findings.append(_wrong(taken.agency, f"act {place + 1} is not as NODE-51 says: {said}", evidence))


def read_line(body: bytes, agency: str, n: int) -> Line:
    """Read one act as it is a leaf of the ledger; a ``Refusal`` or ``ValueError`` says what is not as it must be."""
    act: Any = read_json(body, limit=_MAX_ACT)
    if type(act) is not dict or tuple(act) != MEMBERS:
        raise ValueError("other members, or in another order")
    if (act["v"], act["typ"], act["n"], act["agency"]) != ("ix/1", "act", n, agency):
        raise ValueError("another number or agency")
    if any(type(act[name]) not in (str, type(None)) for name in _TEXTS) or any(
        type(act[name]) is not str for name in _SAID
    ):
        raise ValueError("a member that is not a text")
    if any(type(act[name]) is not list or any(type(one) is not str for one in act[name]) for name in _LISTS):
        raise ValueError("a member that is not a list of texts")
    if type(act["index"]) not in (int, type(None)):
        raise ValueError("an index that is not a number")
    must_be_plain(act)
    known = act["from"] is not None
    return Line(
        Act(act["act"]), act["msg"], act["index"], n, instant(act["ts"]), act["agr"], act["from"], tuple(act["to"]),
        tuple(act["clauses"]) if known else None, act["purpose"],
        frozenset(act["persons"] + act["cats"]) if known else None, act["outcome"], act["by"],
        bool(act["code"] and act["why"]),
    )  # fmt: skip


def _roots(tree: TreeAudit, sizes: set[int]) -> dict[int, bytes]:
    whole, found = Tree(), dict[int, bytes]()
    for body in tree.entries:
        whole.append([leaf_hash(body or b"")])
        if whole.size in sizes:
            found[whole.size] = whole.root()
    return found


# --- held proofs ----------------------------------------------------------------------------------------


def _held(taken: Taken, read: Read, name: str, believed: Believed) -> HeldProof | None:
    path = f"{PROOFS}/{name}.json"
    try:
        held = read_json(read(path) or b"", limit=_MAX_PROOF)
        proof = _prove(held, name, believed)
    except LogKeysReplaced:
        said = "a proof of another log than this is signed with keys that the federation has replaced"
        taken.unjudged.add(name)
        taken.findings.append(_beside(taken, path, "held_proof_refused", said))
        return None
    except Refusal as refusal:
        _refused(taken, path, refusal.sentence)
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        _refused(taken, path, "it is not of the form of NODE-194")
        return None
    try:
        return _with_statements(taken, held, proof, believed.at(proof.index))
    except (KeyNotValid, KeyUnknown) as refusal:  # not bound to the proof: whoever had it could put it there
        said = f"what stands beside a proof was signed with a key that was not valid then: {refusal.sentence}"
        taken.findings.append(_beside(taken, path, "key_not_valid_then", said))
    except Refusal as refusal:
        _refused(taken, path, refusal.sentence)
    except (ValueError, TypeError, AttributeError):
        _refused(taken, path, "it is not of the form of NODE-194")
    return proof


def _refused(taken: Taken, path: str, sentence: str) -> None:
    said = f"a proof that `{taken.agency}` handed in does not hold: {sentence}"
    taken.findings.append(_wrong(taken.agency, said, {"path": path}, "held_proof_refused"))


def _beside(taken: Taken, path: str, code: str, sentence: str) -> Finding:
    """What the broker may have given so, and whoever had it since may have put there."""
    return Finding(code, sentence, None, {"path": path, "ledger": taken.agency}, f"{taken.agency} or {BROKER}")


def _prove(held: Any, name: str, believed: Believed) -> HeldProof:
    """What a held proof proves by itself, of this log or of another that it signed."""
    if (held["v"], held["typ"], held["msg"]) != ("ix/1", "held-proof", name):
        raise ValueError("another name")
    if list(held) != [name for name in _HELD if name in held]:
        raise ValueError("a member that nobody knows")
    body = unb64u(held["entry"])
    index, path, note = parse_tlog_proof(held["proof"])
    origin, size, root = unverified_checkpoint(note)
    verify_inclusion(leaf_hash(body), index, size, path, root)
    base = believed.base(origin)
    index, size = base + index, base + size  # in the whole log, earlier shards included (LOG-121)
    entry = parse_entry(body)
    if _named(entry, body) != name:
        raise ProofMismatch("the entry is about something else than the proof is named by")
    if believed.root(size) != root:  # else the export's own checkpoint vouches for it
        _must_be_signed(note, believed.directory)
    return HeldProof(name, index, entry, size, root)


def _must_be_signed(note: str, directory: Directory) -> None:
    try:
        verify_tree(note, directory.root.log)
    except CheckpointInvalid:
        if signed_by_log(note, directory) is None:
            raise
        raise LogKeysReplaced from None


def _with_statements(taken: Taken, held: Any, proof: HeldProof, trusted: Directory) -> HeldProof:
    """The proof with the manifest beside it, if it has one; other statements are kept of whom they bind."""
    if "statement" in held:
        _signed(taken, unb64u(held["statement"]), proof.entry, trusted)
    return replace(proof, manifest=_manifest(held["manifest"], proof.entry, trusted)) if "manifest" in held else proof


def _named(entry: LogEntry, body: bytes) -> str:
    """By what digest a held proof of this entry goes (NODE-194)."""
    if isinstance(entry, DisclosureEntry | DenialEntry):
        return entry.msg
    if isinstance(entry, ActEntry):
        return entry.statement
    return entry.head if isinstance(entry, NodeHeadEntry) else digest(body)


def _manifest(data: str, entry: LogEntry, trusted: Directory) -> Manifest:
    statement = parse_statement(unb64u(data))
    manifest = parse_manifest(statement.payload)
    if not isinstance(entry, DisclosureEntry | DenialEntry) or statement.digest != entry.msg:
        raise ProofMismatch("the manifest is of another message than the entry")
    if len(statement.pairs) != 1 or manifest.fed != trusted.fed:
        raise ProofMismatch("a manifest is signed by its sender alone, and of this federation")
    verify_pair(
        statement.raw_payload, statement.pairs[0], trusted.signing_lookup(manifest.from_, entry.at), Typ.MESSAGE
    )
    return manifest


def _signed(taken: Taken, data: bytes, entry: LogEntry, trusted: Directory) -> None:
    """Verify what stands beside a proof, and keep what others signed: it counts like what the export has."""
    if isinstance(entry, ActEntry):
        act = read_act(data, trusted, entry.at)
        if (act.digest, act.terms.by) != (entry.statement, entry.by):
            raise ProofMismatch("the act is another than the entry names")
        taken.acts[act.digest] = act
    elif isinstance(entry, ReceiptEntry):
        batch = taken.batches.get(entry.batch) or verify_receipts(data, trusted, entry.at)
        if (batch.digest, batch.by) != (entry.batch, entry.by):
            raise ProofMismatch("the batch is another than the entry names")
        taken.batches[batch.digest] = batch
    elif isinstance(entry, NodeHeadEntry):
        said = verify_head(read_head(data), entry.by, trusted, trusted.root.log.origin, entry.at)
        if digest(data) != entry.head or (said.size, b64u(said.root)) != (entry.size, entry.root):
            raise ProofMismatch("the head is another than the entry names")
    else:
        raise MalformedEncoding("nothing of that kind stands beside such a proof")
