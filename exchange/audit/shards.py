"""Auditing a log of several shards: each tree by itself, and that each takes up where the one before was closed.

A log is one tree after the other, the first under the log's own name and one for each year after (LOG-120 to LOG-132).
What is judged by rules is judged over all of them in order, because a decision rests on what was logged before it,
in whichever year. What is only a tree can be checked alone: ``audit_shard``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exchange.audit.finding import Finding
from exchange.audit.gossip import RootAt, Trees, roots
from exchange.audit.tree import Entries, Read, TreeAudit, audit_growth, audit_tree
from exchange.protocol.entry import ShardEntry, parse_entry
from exchange.protocol.errors import AuditImpossible, CheckpointInvalid
from exchange.protocol.log import (
    Checkpoint,
    own_lines,
    shard_origin,
    shard_prefix,
    unverified_checkpoint,
    verify_checkpoint,
    year_of,
)
from keys.encoding import b64u, digest
from keys.errors import Refusal
from keys.trust import LogIdentity

CHECKPOINT: Final = "checkpoint"
SHARDS: Final = "shards"
"""The file that names the years with a tree of their own; there is none beside a log of one tree."""
MAX_SHARDS: Final = 1000
MOST_UNSIGNED: Final = 2**20
"""Entries looked for under a checkpoint that nobody signed, so that a made-up size costs little."""
_YEARS = re.compile("(?:[0-9]{4}\n)+", re.ASCII)


@dataclass(slots=True)
class LogAudit:
    """Every tree of an export: what was signed over each, its entries, and what is wrong with them.

    Numbers, of doubtful entries and in findings, are those of the whole log.
    """

    identity: LogIdentity
    """The log with the shards that this export has."""
    trees: list[Checkpoint | None] = field(default_factory=list)
    parts: list[Entries] = field(default_factory=list)
    doubtful: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    begins: dict[int, int] = field(default_factory=dict)
    """The number of the first entry of each shard, and its year."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest, if each of them could be believed."""
        return self.trees[-1] if None not in self.trees else None

    @property
    def closed(self) -> tuple[Checkpoint, ...]:
        """Those of the shards before the newest."""
        return tuple(one for one in self.trees[:-1] if one is not None)

    @property
    def entries(self) -> Chain:
        """The entries of all trees."""
        return Chain(self.parts)

    def roots(self, read: Read) -> Trees:
        """The root of each tree at any size, and where it begins."""
        believed = [one for one in self.trees if one is not None]
        prefix = {one.origin: shard_prefix(self.identity.origin, one.origin) for one in believed}
        return {one.origin: (one.base, roots(prefixed(read, prefix[one.origin]), one)) for one in believed}

    def take(self, tree: TreeAudit, base: int, origin: str, *, prefix: str) -> None:
        """Take in what a tree's own audit says, under the numbers of the whole log."""
        self.parts.append(tree.entries)
        self.doubtful |= {base + index for index in tree.doubtful}
        self.findings += [_of_the_whole(one, base, origin) if prefix else one for one in tree.findings]


def roots_by_end(read: Read, trees: Sequence[Checkpoint]) -> RootAt:
    """The root of the tree in which a log ended when it had so many entries in all, for each such number."""
    known = [(one, roots(prefixed(read, folder(one)), one)) for one in trees]

    def root_at(end: int) -> bytes | None:
        for one, root in known:
            if end <= one.end:
                return root(end - one.base)
        return None

    return root_at


def folder(one: Checkpoint) -> str:
    """Where in an export the tree of a verified checkpoint is."""
    return f"{one.origin.rpartition('/')[2]}/" if one.base else ""


def base_in(trees: Sequence[Checkpoint], origin: str) -> int:
    """Where a tree begins in this log: one that the log does not have, where the next in the order of years does."""
    later = [one for one in trees if one.origin == origin or (one.base and one.origin > origin)]
    return 0 if origin == trees[0].origin else later[0].base if later else trees[-1].end


@dataclass(frozen=True, slots=True)
class Chain:
    """The entries of one tree after the other, read anew whenever they are walked."""

    parts: list[Entries]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[bytes | None]:
        for part in self.parts:
            yield from part


def _of_the_whole(finding: Finding, base: int, origin: str) -> Finding:
    index = None if finding.index is None else base + finding.index
    return replace(finding, index=index, evidence={**finding.evidence, "shard": origin})


def years(read: Read) -> tuple[str, ...]:
    """Which years have a tree of their own, as an export says; nobody vouches for it, the shards' entries do."""
    data = read(SHARDS)
    if data is None:
        return ()
    text = data.decode("ascii", "replace")
    found = tuple(text.split())
    if not _YEARS.fullmatch(text) or len(found) > MAX_SHARDS or list(found) != sorted(set(found)):
        raise AuditImpossible(f"`{SHARDS}` has the four digits of a year on each line, in ascending order")
    return found


def prefixed(read: Read, prefix: str) -> Read:
    """Reads what stands in the folder of one shard."""
    return (lambda path: read(prefix + path)) if prefix else read


def audit_log(read: Read, log: LogIdentity) -> LogAudit:
    """Verify the trees of an export, and how each shard takes up the one before."""
    audit = LogAudit(log)
    origins = [log.origin, *(shard_origin(log.origin, int(year)) for year in years(read))]
    base, before, text = 0, None, ""
    for origin in origins:
        prefix = shard_prefix(log.origin, origin)
        note = read(prefix + CHECKPOINT)
        checkpoint, size = _begin(audit, origin, base, note)
        tree = audit_tree(prefixed(read, prefix), size, checkpoint.root if checkpoint else None)
        if prefix:
            audit.findings += _follows(log, origin, before, text, tree, base)
        audit.trees.append(checkpoint)
        audit.take(tree, base, origin, prefix=prefix)
        before, text, base = checkpoint, (note or b"").decode("utf-8", "replace"), base + size
    return audit


def _begin(audit: LogAudit, origin: str, base: int, note: bytes | None) -> tuple[Checkpoint | None, int]:
    """The verified checkpoint of a tree; or none, a finding, and the size it claims to look at the rest."""
    evidence: dict[str, str] = {}
    year = year_of(audit.identity.origin, origin)
    if year is not None:
        audit.begins[base] = year
        audit.identity = replace(audit.identity, shards=(*audit.identity.shards, (origin, base)))
        evidence = {"shard": origin}
    if note is None:
        audit.findings.append(Finding("file_missing", f"the checkpoint of `{origin}` is missing", None, evidence))
        return None, 0
    text = ""
    try:
        text = note.decode()
        checkpoint = verify_checkpoint(text, audit.identity)
        if checkpoint.origin == origin:
            return checkpoint, checkpoint.size
        audit.findings.append(Finding("checkpoint_refused", "the checkpoint is of another shard", None, evidence))
    except UnicodeDecodeError:
        audit.findings.append(Finding("checkpoint_refused", "the checkpoint is not UTF-8", None, evidence))
        return None, 0
    except CheckpointInvalid as refusal:
        audit.findings.append(Finding("checkpoint_refused", refusal.sentence, None, evidence))
    try:
        return None, min(unverified_checkpoint(text)[1], MOST_UNSIGNED)
    except CheckpointInvalid:
        return None, 0


def _follows(
    log: LogIdentity, origin: str, before: Checkpoint | None, note: str, tree: TreeAudit, base: int
) -> Iterable[Finding]:
    """What is wrong with how a shard takes up the one before it (LOG-124, LOG-126)."""
    entry = first_entry(tree)
    if 0 in tree.doubtful or before is None:
        return  # said already: an entry, or a checkpoint, that is not to be believed
    if entry is None:
        yield Finding("shard_refused", f"`{origin}` does not begin with an entry of its kind", base, {"shard": origin})
        return
    said = {"shard": origin, "closed": before.origin, "entry_size": str(entry.size), "shown_size": str(before.size)}
    if (entry.origin, entry.base) != (before.origin, before.base + entry.size):
        sentence = f"`{origin}` begins behind another shard, or at another number, than it should"
        yield Finding("shard_refused", sentence, base, {**said, "after": entry.origin, "base": str(entry.base)})
    elif before.size > entry.size:
        sentence = f"the shard `{before.origin}` was closed with {entry.size} entries and is shown with {before.size}"
        yield Finding(
            "shard_reopened", sentence, base, {**said, "older": entry.checkpoint, "newer": digest(note.encode())}
        )
    elif (before.size, b64u(before.root)) != (entry.size, entry.root):
        sentence = f"the shard `{before.origin}` is not shown as it was closed"
        yield Finding("shard_refused", sentence, base, {**said, "entry_root": entry.root, "root": b64u(before.root)})
    elif digest(own_lines(note, log).encode()) != entry.checkpoint:
        sentence = f"the checkpoint shown of `{before.origin}` is not the one that closed it"
        yield Finding("shard_refused", sentence, base, {**said, "checkpoint": entry.checkpoint})


def first_entry(tree: TreeAudit) -> ShardEntry | None:
    """The entry a shard begins with, if it is of that kind."""
    data = next(iter(tree.entries), None)
    try:
        entry = parse_entry(data or b"")
    except Refusal:
        return None
    return entry if isinstance(entry, ShardEntry) else None


def audit_shard(read: Read, log: LogIdentity, year: str) -> LogAudit:
    """Verify the tree of one shard alone: its checkpoint, tiles and entries, and what it says of the one before.

    ``year`` is empty for the first. Whether what it holds was allowed only an audit of all before it can tell.
    """
    origin = shard_origin(log.origin, int(year)) if year else log.origin
    prefix = shard_prefix(log.origin, origin)
    base, audit = 0, LogAudit(log)
    if year:
        note = (read(prefix + CHECKPOINT) or b"").decode("utf-8", "replace")
        try:
            shown = verify_checkpoint(note, replace(log, shards=((origin, 0),)))
            entry = first_entry(audit_tree(prefixed(read, prefix), shown.size, shown.root))
            base = entry.base if entry else 0
        except CheckpointInvalid:
            base = 0
    checkpoint, size = _begin(audit, origin, base, read(prefix + CHECKPOINT))
    tree = audit_tree(prefixed(read, prefix), size, checkpoint.root if checkpoint else None)
    if year and first_entry(tree) is None and 0 not in tree.doubtful:
        sentence = f"`{origin}` does not begin with an entry of its kind"
        audit.findings.append(Finding("shard_refused", sentence, base, {"shard": origin}))
    audit.trees.append(checkpoint)
    audit.take(tree, base, origin, prefix=prefix)
    return audit


def audit_log_growth(read: Read, log: LogIdentity, older: Checkpoint) -> LogAudit:
    """Verify only what was added since a checkpoint that was verified before, also across the turn of a year (LOG-128).

    The shard it was of is read from its last bundle on, every later one whole. ``entries`` begin with that bundle.
    """
    audit = LogAudit(log)
    names = [log.origin, *(shard_origin(log.origin, int(year)) for year in years(read))]
    if older.origin not in names:
        sentence = f"the shard `{older.origin}`, seen before, is not in this export"
        audit.findings.append(Finding("log_rewritten", sentence, None, {"shard": older.origin}))
        return audit
    base, before, text = older.base, None, ""
    known = tuple((name, at) for name, at in log.shards if at < older.base)
    audit.identity = replace(log, shards=known)
    for origin in names[names.index(older.origin) :]:
        prefix = shard_prefix(log.origin, origin)
        note = read(prefix + CHECKPOINT)
        checkpoint, size = _begin(audit, origin, base, note)
        shard = prefixed(read, prefix)
        if origin == older.origin:
            audit.begins.clear()
            if checkpoint is None or checkpoint.size < older.size:
                sentence = f"the log had {older.size} entries when it was seen before, and is shown with less"
                audit.findings.append(Finding("log_rewritten", sentence, None, {"shard": origin}))
                return audit
            tree = audit_growth(shard, older.size, older.root, size, checkpoint.root)
        else:
            tree = audit_tree(shard, size, checkpoint.root if checkpoint else None)
            audit.findings += _follows(log, origin, before, text, tree, base)
        audit.trees.append(checkpoint)
        audit.take(tree, base, origin, prefix=prefix)
        before, text, base = checkpoint, (note or b"").decode("utf-8", "replace"), base + size
    return audit
