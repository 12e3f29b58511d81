"""Acts: who gave them, who was told, and whether what was said to be erased is gone (LOG-103)."""

from __future__ import annotations

from exchange.audit.ledger_lines import GIVEN, HEARD, USED, LedgerBook, Line
from exchange.audit.log_book import BROKER
from exchange.audit.pairs.bench import Bench, either
from exchange.protocol.act import Answer
from exchange.protocol.entry import ActEntry
from exchange.protocol.vocabulary import Act


class Acts:
    """Signed acts, in the books of who gave them and of who was told."""

    def __init__(self, on: Bench) -> None:
        self.on = on

    def answering(self, book: LedgerBook) -> None:
        """What a ledger says of acts, its own and those it was told, against the log's entries."""
        for index, line in book.answering.items():
            entry, shown = self.on.log.entries.get(index), self.on.acts_shown(book).get((index, line.msg))
            if isinstance(entry, ActEntry) and entry.msg == line.msg and shown in (None, entry.statement):
                self._compare_act(book, line, index, entry)
            elif shown is None or index < self.on.same_until or shown not in self.on.log.statements:
                self.on.unlogged(book, line, "not_in_log", "names an act", shown)

    def _compare_act(self, book: LedgerBook, line: Line, index: int, entry: ActEntry) -> None:
        me, act = book.agency, self.on.log.acts.get(entry.statement)
        kinds = GIVEN if entry.by == me else HEARD
        differ: dict[str, tuple[str, str]] = {}
        if line.sender is not None:
            said = str(act.terms.outcome) if act and isinstance(act.terms, Answer) else str(entry.act)
            if line.act is not kinds[entry.act]:
                differ["act"] = (str(line.act), str(entry.act))
            if line.sender != entry.by:
                differ["by"] = (line.sender, entry.by)
            if line.outcome != said and (act is not None or str(entry.act) != "answer"):
                differ["outcome"] = (str(line.outcome), said)
        if differ:
            who = me if act is not None else either(me, BROKER)
            proof = f"the act `{entry.statement}`, signed by `{entry.by}`" if act is not None else ""
            said_so = {name: f"ledger {mine}, log {theirs}" for name, (mine, theirs) in differ.items()}
            sentence = f"the ledger of `{me}` and the log disagree about an act: {', '.join(differ)}"
            told = {"msg": entry.msg, "statement": entry.statement, "ledger": me, "n": line.n}
            self.on.find("facts_differ", sentence, who, index, proof, **told, **said_so)
        if line.ts is not None and line.ts + self.on.patience.tolerance < entry.at:
            sentence = f"`{me}` wrote down before it was logged what the log had told it"
            self.on.late(book, line, sentence, either(me, BROKER), entry.at, "", index)

    def acts(self) -> None:
        """The log's acts against the ledgers of who gave them and who was told."""
        for index, entry in self.on.log.given:
            given = self.on.ledgers.get(entry.by)
            if given is not None and not self._has_act(given, index, entry):
                self._not_given(given, index, entry)
            for name in self.on.log.told.get(entry.statement, ()):
                book = self.on.ledgers.get(name)
                if book is not None and not self._has_act(book, index, entry):
                    self._not_heard(book, index, entry)

    def _has_act(self, book: LedgerBook, index: int, entry: ActEntry) -> bool:
        line, shown = book.answering.get(index), self.on.acts_shown(book).get((index, entry.msg))
        if line is not None and line.msg == entry.msg and shown in (None, entry.statement):
            return True
        if index < self.on.same_until:
            return False
        own = next((p for one, p in self.on.shown.get(entry.statement, ()) if one is book), None)
        return own is not None and own.index in book.answering  # it stands where this book was shown it

    def _not_given(self, book: LedgerBook, index: int, entry: ActEntry) -> None:
        me, signed = book.agency, entry.statement in self.on.log.acts
        if self.on.before(book, entry.at) or not self.on.due_there(book, entry.at):
            self.on.wait("not_in_ledger")
            return
        who = me if signed else BROKER
        proof = f"the act `{entry.statement}`, signed by `{me}`" if signed else "the log, which cannot show the act"
        sentence = f"the log has an act `{entry.act}` in the name of `{me}`; its ledger does not say so"
        told = {"msg": entry.msg, "act": entry.act, "statement": entry.statement, "ledger": me}
        self.on.find("not_in_ledger", sentence, who, index, proof, **told)

    def _not_heard(self, book: LedgerBook, index: int, entry: ActEntry) -> None:
        me, own = book.agency, self.on.own(book, entry.statement)
        if self.on.before(book, entry.at) or not self.on.due_there(book, entry.at, knew=own is not None):
            self.on.wait("logged_not_delivered")
            return
        who, proof = either(me, BROKER), ""
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        sentence = f"the log has an act `{entry.act}` of `{entry.by}` for `{me}`; its ledger has not"
        told = {"msg": entry.msg, "act": entry.act, "statement": entry.statement, "ledger": me}
        self.on.find("logged_not_delivered", sentence, who, index, proof, **told)

    def erased(self, book: LedgerBook) -> None:
        """An agency's word that it erased something, against its ledger, and the other way round."""
        me, said = book.agency, set[str]()
        for index, entry, with_all in self.on.log.erasures(me):
            names = self.on.log.tree(entry.msg) if with_all else {entry.msg}
            said |= names
            act = self.on.log.acts.get(entry.statement)
            said_at = act.terms.signed_at if act else entry.at
            for msg in sorted(names):
                taken, gone = book.taken(msg), book.erased(msg)
                if taken is None or (self.on.where(msg) or index) > index:
                    continue
                told = {"msg": msg, "statement": entry.statement, "ledger": me}
                proof = f"the act `{entry.statement}`, signed by `{me}`"
                who = me if act else either(me, BROKER)
                if gone is None and not self.on.due_there(book, entry.at, knew=True):
                    self.on.wait("erasure_not_done")
                elif gone is None:
                    sentence = f"`{me}` said that it erased this message; its ledger has no such act"
                    self.on.find("erasure_not_done", sentence, who, index, proof, **told)
                elif gone.ts is not None and gone.ts > said_at + self.on.patience.tolerance:
                    self.on.late(book, gone, f"`{me}` said so before it erased this", who, said_at, proof, index)
        for msg, lines in book.local.items():
            gone = book.erased(msg)
            if gone is None or msg not in book.received:
                continue
            for line in lines:
                if line.act in USED and line.n > gone.n:
                    sentence = f"the ledger of `{me}` has `{line.act}` of a message behind its erasure"
                    own = f"the signed head of the ledger of `{me}`"
                    told = {"msg": msg, "ledger": me, "n": str(line.n), "erased": str(gone.n)}
                    self.on.find("erasure_not_done", sentence, me, line.index, own, **told)
            if msg not in said and self.on.log.disclosure(msg) is not None:
                self._untold(book, gone, msg)

    def _untold(self, book: LedgerBook, line: Line, msg: str) -> None:
        me = book.agency
        against = [
            (self.on.ledgers[agency], proof) for (agency, _), proof in self.on.against.items()
            if isinstance(entry := proof.entry, ActEntry) and entry.by == me
            and str(entry.act) in ("erased", "answer") and msg in self.on.log.tree(entry.msg)
        ]  # fmt: skip
        if not against and not self.on.due_here(line):
            self.on.wait("not_in_log")
            return
        who, proof = (BROKER, self.on.rests_on(against)) if against else (either(me, BROKER), "")
        sentence = f"the ledger of `{me}` says that it erased a message; the log has no act that says so"
        told = {"msg": msg, "act": Act.ERASE, "ledger": me, "n": line.n}
        self.on.find("not_in_log", sentence, who, line.index, proof, **told)
