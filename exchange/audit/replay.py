"""Replaying the log: every entry judged by the rules logged before it (LOG-41, LOG-42, LOG-51).

Walks the entries in order, keeping the agreements, notices, records and acts logged so far, and decides every
disclosure and denial again, with the sources it comes from. Entries that were altered or cannot be read are
named and not judged further; where such an entry may have changed the rules, later decisions are not judged
either, and the count says how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime

from exchange.audit.act_replay import ActReplay
from exchange.audit.finding import Finding, by_its_key
from exchange.audit.gossip import Trees, judge_seen
from exchange.audit.head_replay import HeadReplay
from exchange.audit.report import Denied, Disclosed, Told
from exchange.audit.tree import Read
from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.decision import Decision, decide
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
from exchange.protocol.errors import EntryMalformed
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.receipt import ReceiptBatch, verify_receipts
from keys.encoding import stamp
from keys.errors import AgencyUnknown, Refusal
from keys.trust import Directory


def statement_path(kind: str, digest: str) -> str:
    """Where an export keeps a signed statement or, under the kind ``heads``, the note of a ledger's head."""
    return f"{kind}/{digest}" if kind == "heads" else f"{kind}/{digest}.json"


class Replay:
    """One walk over the entries; ``disclosures``, ``denials``, ``findings`` and ``counts`` are what it leaves."""

    def __init__(self, read: Read, directory: Directory, findings: list[Finding]) -> None:
        self.read, self.directory, self.findings = read, directory, findings
        self._logged = directory.without_records()  # the records that stand before the entry being judged
        self.book = PolicyBook()
        self.acts = ActReplay(self._found)
        self.ledgers = HeadReplay(self._found)
        self.disclosures: dict[str, Disclosed] = {}
        self.denials: list[Denied] = []
        self.counts: Counter[str] = Counter()
        self._decided: dict[Hashable, int] = {}
        self._receipts: dict[tuple[str, str, str], int] = {}
        self._batches: dict[str, ReceiptBatch | Refusal | None] = {}
        self.words: dict[str, tuple[int, ReceiptBatch]] = {}
        """Batches that hold, each with the index of its first entry: for what they tell of the log (RCT-10)."""
        self._rules_known = True
        self._gaps = False
        self._records: dict[str, int] = {}
        self._parties: dict[str, Party] = {}
        self.latest: datetime | None = None
        """The time of the last entry judged."""
        self.begins: Mapping[int, int] = {}
        """The numbers at which shards begin, each with its year (LOG-122)."""

    def run(self, entries: Iterable[bytes | None], doubtful: set[int], *, whole: bool) -> None:
        """Judge every entry that is the one that was signed; ``whole`` says that there are no more of them."""
        for index, data in enumerate(entries):
            entry = self._parse(index, data, index in doubtful)
            if entry is None or index in doubtful:
                self._set_aside(entry)
            else:
                self.counts[entry.typ] += 1
                self._check_clock(index, entry)
                self._judge(index, entry)
        if whole:
            self._check_records()

    def take(self, chosen: Iterable[tuple[int, bytes]]) -> None:
        """Judge some proven entries, in order. All rules are taken to be among them, which their policy names show;

        of everything else there may be more, so what does not fit with the rest is not judged.
        """
        self._gaps = True
        for index, data in chosen:
            entry = self._parse(index, data, doubtful=False)
            if entry is None or isinstance(entry, NodeHeadEntry):  # heads stay in the export (LOG-98)
                self._set_aside(entry)
                continue
            self.counts[entry.typ] += 1
            self._check_clock(index, entry)
            self._judge(index, entry)

    def _parse(self, index: int, data: bytes | None, doubtful: bool) -> LogEntry | None:
        if data is None:
            return None
        try:
            return parse_entry(data)
        except EntryMalformed as refusal:
            if not doubtful:
                self.findings.append(Finding("entry_refused", refusal.sentence, index))
            return None

    def _set_aside(self, entry: LogEntry | None) -> None:
        """An entry not to be believed may have been anything, so what rests on it is not judged."""
        self.counts["not_judged"] += 1
        self._gaps = True
        if not isinstance(entry, DenialEntry | ReceiptEntry | NodeHeadEntry):
            self.acts.lose()
        if not isinstance(entry, DisclosureEntry | DenialEntry | ReceiptEntry | ActEntry | NodeHeadEntry):
            self._rules_known = False

    def _check_clock(self, index: int, entry: LogEntry) -> None:
        if self.latest is not None and entry.at < self.latest:
            evidence = {"ts": entry.ts, "before": stamp(self.latest)}
            self._found("clock_backwards", "the entry is dated before the one in front of it", index, evidence)
        if self.begins:
            self._check_year(index, entry)
        self.latest = max(entry.at, self.latest or entry.at)

    def _check_year(self, index: int, entry: LogEntry) -> None:
        """A shard has the entries of its year; the first tree has none of the year that closed it (LOG-122)."""
        begin = max((one for one in self.begins if one <= index), default=None)
        after = min(self.begins.values()) if begin is None else None
        wrong = entry.at.year >= after if after else begin is not None and entry.at.year != self.begins[begin]
        if wrong:
            self._found(
                "shard_refused", "the entry is dated in a year that is not its shard's", index, {"ts": entry.ts}
            )

    def _judge(self, index: int, entry: LogEntry) -> None:
        if isinstance(entry, DisclosureEntry):
            self._judge_disclosure(index, entry)
        elif isinstance(entry, DenialEntry):
            self.denials.append(Denied(index, entry))
            self._judge_decision(index, entry)
        elif isinstance(entry, ReceiptEntry):
            self._judge_receipt(index, entry)
        elif isinstance(entry, AgreementEntry):
            self._judge_agreement(index, entry)
        elif isinstance(entry, NoticeEntry):
            self._judge_notice(index, entry)
        elif isinstance(entry, SignatureEntry):
            self.acts.judge_signature(index, entry)
        elif isinstance(entry, ActEntry):
            self._judge_act(index, entry)
        elif isinstance(entry, NodeHeadEntry):
            self._judge_head(index, entry)
        elif isinstance(entry, ShardEntry):
            if index not in self.begins:
                self._found("shard_refused", "a shard does not begin in the middle of one", index)
        else:
            self._judge_record(index, entry)

    def _found(self, code: str, sentence: str, index: int, evidence: dict[str, str] | None = None) -> None:
        self.findings.append(Finding(code, sentence, index, evidence or {}))

    # -- decisions --

    def _judge_disclosure(self, index: int, entry: DisclosureEntry) -> None:
        agreement = self.book.get(entry.agr)
        name = f"{agreement.terms.id} v{agreement.terms.version}" if agreement else entry.agr
        told = tuple(Told(to.id, to.clauses) for to in entry.to)
        title = agreement.terms.title if agreement else ""
        self.disclosures.setdefault(entry.msg, Disclosed(index, entry, name, title, told))
        self._judge_decision(index, entry)
        self.acts.take_disclosure(index, entry, agreement.terms if agreement else None)

    def _judge_decision(self, index: int, entry: DisclosureEntry | DenialEntry) -> None:
        keys: tuple[Hashable, ...] = (entry.msg, (entry.from_, entry.id))
        first = min(self._decided.setdefault(key, index) for key in keys)
        if first != index:
            self._found("decided_twice", "this message or message id was decided before", index, {"first": str(first)})
        self.acts.judge_word(index, entry)
        if not self._rules_known or (entry.src and not self.acts.known):
            self.counts["not_judged"] += 1
            return
        try:
            decision = self.decided(index, entry, self._request(entry))
        except AgencyUnknown as refusal:
            self._found("party_unknown", refusal.sentence, index)
            return
        self.counts["decided_again"] += 1
        if isinstance(entry, DisclosureEntry):
            self._compare_disclosure(index, entry, decision)
        else:
            self._compare_denial(index, entry, decision)

    def decided(self, index: int, entry: DisclosureEntry | DenialEntry, request: Request) -> Decision:  # noqa: ARG002
        """Decide an entry again by what was logged before it; a rehearsal keeps what was asked (DRF-34)."""
        return decide(request, self.book, entry.at)

    def _request(self, entry: DisclosureEntry | DenialEntry) -> Request:
        return Request(
            discloser=self._party(entry.from_),
            recipients=tuple(self._party(to.id) for to in entry.to),
            agreement=entry.agr,
            type=entry.type,
            purpose=entry.purpose,
            crime=entry.crime,
            cats=frozenset(entry.cats),
            classification=entry.class_,
            handling=frozenset(entry.handling),
            urgency=entry.urgency,
            exempt=entry.exempt,
            sources=self.acts.sources(entry),
        )

    def _party(self, agency: str) -> Party:
        """The agency with the roles and the ceiling its record gave it at this place in the log."""
        party = self._parties.get(agency)
        if party is None:
            history = self.directory.history(agency)
            version = self._records.get(agency, 0)
            if not version:
                raise AgencyUnknown(f"`{agency}` had no record at this place in the log")
            record = history[version - 1]
            party = self._parties[agency] = Party(agency, record.roles, record.ceiling, record.territory)
        return party

    def _compare_disclosure(self, index: int, entry: DisclosureEntry, decision: Decision) -> None:
        if not decision.permitted:
            denied = [one for one in decision.per_recipient if one.outcome == "deny"]
            evidence = {one.recipient: one.sentence or one.code for one in denied}
            sentence = f"the agreements logged before do not permit this disclosure: {decision.code}"
            self._found("not_permitted", sentence, index, {"code": decision.code, **evidence})
            return
        theirs = {to.id: " ".join(to.clauses) for to in entry.to} | {"policy": entry.policy}
        ours = {one.recipient: " ".join(one.clauses) for one in decision.per_recipient} | {"policy": decision.policy}
        self._compare(index, theirs, ours)

    def _compare_denial(self, index: int, entry: DenialEntry, decision: Decision) -> None:
        if decision.permitted:
            clauses = {one.recipient: " ".join(one.clauses) for one in decision.per_recipient}
            self._found("wrongly_denied", "the agreements logged before permit what was denied here", index, clauses)
            return
        theirs = {to.id: f"{to.code} {to.nearest or ''}" for to in entry.to}
        theirs |= {"code": entry.code, "policy": entry.policy}
        ours = {one.recipient: f"{one.code} {one.logged_nearest or ''}" for one in decision.per_recipient}
        self._compare(index, theirs, ours | {"code": decision.code, "policy": decision.policy})

    def _compare(self, index: int, theirs: dict[str, str], ours: dict[str, str]) -> None:
        wrong = {name: f"logged {theirs.get(name)}, decided again {ours[name]}" for name in ours}
        wrong = {name: text for name, text in wrong.items() if theirs.get(name) != ours[name]}
        if wrong:
            self._found("decision_differs", "decided again, the reasons are others than those logged", index, wrong)

    # -- receipts --

    def _judge_receipt(self, index: int, entry: ReceiptEntry) -> None:
        said = (entry.msg, entry.by, entry.status.value)
        first = self._receipts.setdefault(said, index)
        if first != index:
            self._found("receipt_repeated", "the same receipt was logged before", index, {"first": str(first)})
            return
        disclosed = self.disclosures.get(entry.msg)
        told = next((one for one in disclosed.told if one.agency == entry.by), None) if disclosed else None
        sound = self._check_batch(index, entry)
        if told is not None:
            if sound:  # what its giver did not sign is no receipt, whatever the log says
                told.receipts[entry.status.value] = entry.ts
                batch = self._batches[entry.batch]
                self.acts.judge_receipt(index, entry, batch if isinstance(batch, ReceiptBatch) else None)
        elif self._gaps:
            self.counts["not_judged"] += 1  # the disclosure may be one of those set aside
        else:
            sentence = f"`{entry.by}` gave a receipt for a message that was not disclosed to it"
            self._found("receipt_unfounded", sentence, index, {"msg": entry.msg})

    def _check_batch(self, index: int, entry: ReceiptEntry) -> bool:
        """Whether nothing speaks against the signed batch; one that was not exported is counted and believed."""
        if entry.batch not in self._batches:
            self._batches[entry.batch] = self._read_batch(entry)
        batch = self._batches[entry.batch]
        if batch is None:
            self.counts["unsigned_receipts"] += 1
            return True
        if isinstance(batch, Refusal):
            self._found("receipt_refused", batch.sentence, index, {"batch": entry.batch} | by_its_key(batch))
            return False
        said = {(item.msg, item.status, item.code) for item in batch.items}
        if batch.digest != entry.batch or batch.by != entry.by or (entry.msg, entry.status, entry.code) not in said:
            sentence = "the signed batch does not say what this entry says"
            self._found("receipt_refused", sentence, index, {"batch": entry.batch})
            return False
        self.counts["signed_receipts"] += 1
        self.words.setdefault(entry.batch, (index, batch))
        return True

    def verified_batches(self) -> dict[str, ReceiptBatch]:
        """The exported batches that verify and are what they are named, by digest."""
        every = self._batches.items()
        return {name: one for name, one in every if isinstance(one, ReceiptBatch) and one.digest == name}

    def _read_batch(self, entry: ReceiptEntry) -> ReceiptBatch | Refusal | None:
        data = self.read(statement_path("receipts", entry.batch))
        if data is None:
            return None
        try:
            return verify_receipts(data, self._trusted, entry.at)
        except Refusal as refusal:
            return refusal

    def compare_words(self, trees: Trees) -> None:
        """Hold what the batches tell of the log against the log they stand in."""
        for finding in judge_seen(self.words.values(), trees, self.directory):
            self.counts["views_compared"] += 1
            self.findings += [] if finding is None else [finding]

    # -- what decisions rest on --

    def _judge_agreement(self, index: int, entry: AgreementEntry) -> None:
        self.acts.judge_agreement(index, entry, sure=self._rules_known)
        data = self._statement("agreements", entry.agr, index)
        if data is None:
            return
        try:
            agreement = read_agreement(data, self._trusted, entry.at)
            terms = agreement.terms
            if (agreement.digest, terms.parties, terms.replaces) != (entry.agr, entry.parties, entry.replaces):
                evidence = {"logged": entry.agr, "exported": agreement.digest, "parties": " ".join(terms.parties)}
                self._found("agreement_refused", "the signed agreement is not the one the entry names", index, evidence)
            if agreement.digest == entry.agr:
                self._admit(index, "agreement_refused", agreement)
            else:
                self._rules_known = False
        except Refusal as refusal:
            self._found("agreement_refused", refusal.sentence, index, {"agr": entry.agr} | by_its_key(refusal))
            self._rules_known = False

    def _judge_notice(self, index: int, entry: NoticeEntry) -> None:
        data = self._statement("notices", entry.notice, index)
        if data is None:
            return
        try:
            notice = read_notice(data, self._trusted, entry.at)
            said = (notice.digest, notice.terms.agr, notice.terms.by, notice.terms.act.value)
            if said != (entry.notice, entry.agr, entry.by, entry.act):
                self._found("notice_refused", "the signed notice does not say what the entry says", index)
            if notice.digest == entry.notice:
                self._admit(index, "notice_refused", notice)
            else:
                self._rules_known = False
        except Refusal as refusal:
            self._found("notice_refused", refusal.sentence, index, {"notice": entry.notice} | by_its_key(refusal))
            self._rules_known = False

    def _judge_act(self, index: int, entry: ActEntry) -> None:
        path = statement_path("acts", entry.statement)
        data = self.read(path)
        if data is None:
            self._found("file_missing", f"the signed statement `{path}` is missing", index, {"path": path})
        if not self.acts.judge_act(index, entry, data, self._trusted, sure=self._rules_known and not self._gaps):
            self.counts["not_judged"] += 1

    def _judge_head(self, index: int, entry: NodeHeadEntry) -> None:
        path = statement_path("heads", entry.head)
        note = self.read(path)
        if note is None:
            self._found("file_missing", f"the signed head `{path}` is missing", index, {"path": path})
            self.counts["not_judged"] += 1
        else:
            self.ledgers.judge(index, entry, note, self._trusted)

    def _admit(self, index: int, code: str, item: Agreement | Notice) -> None:
        try:
            self.book = self.book.admit(item)
        except Refusal as refusal:
            if self._rules_known:  # else what it does not fit with may be what is missing
                self._found(code, refusal.sentence, index, {"statement": item.digest})
            self._rules_known = False

    def _statement(self, kind: str, digest: str, index: int) -> bytes | None:
        path = statement_path(kind, digest)
        data = self.read(path)
        if data is None:
            self._found("file_missing", f"the signed statement `{path}` is missing", index, {"path": path})
            self._rules_known = False
        return data

    def _judge_record(self, index: int, entry: RecordEntry) -> None:
        try:
            history = self.directory.history(entry.agency)
        except AgencyUnknown as refusal:
            self._found("record_refused", refusal.sentence, index)
            return
        known = history[entry.version - 1].digest if entry.version <= len(history) else "none"
        if known != entry.record:
            evidence = {"logged": entry.record, "directory": known}
            self._found("record_refused", "the directory has another record of that version", index, evidence)
            return
        if self._rules_known and entry.version != self._records.get(entry.agency, 0) + 1:
            self._found("record_refused", "the record was logged out of order", index, {"record": entry.record})
        self._records[entry.agency] = entry.version
        self._parties.pop(entry.agency, None)
        if self._rules_known:
            self._take_up(index, history[entry.version - 1].statement.to_bytes(), entry)

    def _take_up(self, index: int, record: bytes, entry: RecordEntry) -> None:
        try:
            self._logged = self._logged.with_record(record, entry.at)
        except Refusal as refusal:
            self._found("record_refused", refusal.sentence, index, {"record": entry.record} | by_its_key(refusal))

    @property
    def _trusted(self) -> Directory:
        """Whose keys count here: those of the records logged so far, for a later one turns no earlier judgement.

        Where a record may be missing from the log, the whole directory has to do.
        """
        return self._logged if self._rules_known else self.directory

    def _check_records(self) -> None:
        """Every record of the directory must be in the log, or its keys and roles came from nowhere."""
        for record in self.directory.agencies() if self._rules_known else ():
            if record.version != self._records.get(record.agency, 0):
                sentence = f"the directory has version {record.version} of `{record.agency}`; the log has not"
                self.findings.append(Finding("record_not_logged", sentence, None, {"record": record.digest}))
