"""Disclosures and denials: sender, log and recipient, each against the next (LOG-103)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exchange.audit.ledger_lines import LedgerBook, Line
from exchange.audit.log_book import BROKER, Decided
from exchange.audit.pairs.bench import Bench, either
from exchange.protocol.entry import DenialEntry, DisclosureEntry
from exchange.protocol.vocabulary import Act
from keys.encoding import stamp


class Decisions:
    """What passed, in three books."""

    def __init__(self, on: Bench) -> None:
        self.on = on

    def sent(self, book: LedgerBook) -> None:
        for msg, line in book.sent.items():
            found = self.on.log.disclosure(msg)
            if found is not None and found[1].from_ == book.agency:
                self._compare(book, line, *found)
            else:
                self.on.unlogged(book, line, "disclosed_not_logged", "says that it disclosed a message")

    def denied(self, book: LedgerBook) -> None:
        for msg, line in book.denied.items():
            disclosed, denied = self.on.log.disclosure(msg), self.on.log.denial(msg)
            if disclosed is not None and (disclosed[0] == line.index or line.sender not in (None, book.agency)):
                continue  # an attempt inside the node, about a message that the log has
            if denied is not None and denied[1].from_ == book.agency:
                self._compare(book, line, *denied)
            elif line.sender in (None, book.agency):
                self.on.unlogged(book, line, "not_in_log", "says that the broker denied a message")

    def received(self, book: LedgerBook) -> None:
        for msg, lines in book.received.items():
            found = self.on.log.disclosure(msg)
            if found is not None and any(to.id == book.agency for to in found[1].to):
                for line in lines:
                    self._compare(book, line, *found)
            else:
                self.on.unlogged(book, lines[-1], "disclosed_not_logged", "says that it received a message")

    def _compare(self, book: LedgerBook, line: Line, index: int, entry: Decided) -> None:
        """One decision, as a ledger and as the log has it."""
        differ = _differences(line, index, entry)
        msg, me = entry.msg, book.agency
        if "index" in differ and line.index is not None and line.index >= self.on.same_until:
            differ.pop("index")  # the log was moved there: whoever did it is named by the proofs
        manifest = self.on.manifest(msg)
        if manifest is not None and manifest[1].manifest is not None and line.act is Act.DISCLOSE:
            signed = manifest[1].manifest
            if line.by and line.ts and line.by != signed.by and stamp(line.ts)[:7] == signed.ts[:7]:
                differ["by"] = (line.by, signed.by)
        if line.act is Act.RECEIVE and line.outcome not in (None, "delivered"):
            differ = {name: values for name, values in differ.items() if name == "index"}
        if differ:
            who, proof = self._who_differs(book, entry, differ)
            code = "clause_differs" if set(differ) == {"clauses"} else "facts_differ"
            said = {name: f"ledger {mine}, log {theirs}" for name, (mine, theirs) in differ.items()}
            sentence = f"the ledger of `{me}` and the log disagree about a message: {', '.join(differ)}"
            self.on.find(code, sentence, who, index, proof, msg=msg, act=line.act, ledger=me, **said)
        if line.ts is not None and line.ts + self.on.patience.tolerance < entry.at:
            sentence = f"`{me}` wrote down before it was logged what the log had told it"
            self.on.late(book, line, sentence, either(me, BROKER), entry.at, "", index)

    def _who_differs(self, book: LedgerBook, entry: Decided, differ: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
        me, msg = book.agency, entry.msg
        if against := self.on.contradicting(msg, entry):
            return BROKER, self.on.rests_on(against)
        if (found := self.on.manifest(msg)) is not None and found[1].manifest is not None:
            signed, sender = found[1].manifest, entry.from_
            if wrong := _unlike(signed, entry):
                return BROKER, f"the manifest signed by `{sender}` says otherwise than the entry: {', '.join(wrong)}"
            if set(differ) - {"clauses", "index", "outcome"}:
                return me, f"the manifest signed by `{sender}`, held by `{found[0].agency}`, says what the log says"
        if own := self.on.own(book, msg):
            return me, f"its own proof of entry {own.index}, signed by the log, says what the log says"
        return either(me, BROKER), ""

    def decisions(self) -> None:
        for index, entry in self.on.log.decided.values():
            sender = self.on.ledgers.get(entry.from_)
            if isinstance(entry, DenialEntry):
                if sender is not None and entry.msg not in sender.denied:
                    self._unwritten(sender, index, entry, "not_in_ledger", "the log denied a message of")
                continue
            if sender is not None and entry.msg not in sender.sent:
                self._unwritten(sender, index, entry, "logged_not_disclosed", "the log has a disclosure by")
            for to in entry.to:
                book = self.on.ledgers.get(to.id)
                if book is not None and entry.msg not in book.received:
                    self._undelivered(book, index, entry)

    def _unwritten(self, book: LedgerBook, index: int, entry: Decided, code: str, said: str) -> None:
        me, own, manifest = book.agency, self.on.own(book, entry.msg), self.on.manifest(entry.msg)
        if self.on.before(book, entry.at) or not self.on.due_there(book, entry.at, knew=own is not None):
            self.on.wait(code)
            return
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        elif manifest is not None:
            who, proof = me, f"the manifest signed by `{me}`, held by `{manifest[0].agency}`"
        else:
            who, proof = either(me, BROKER), ""
        sentence = f"{said} `{me}`; its ledger has not"
        self.on.find(code, sentence, who, index, proof, msg=entry.msg, ledger=me)

    def _undelivered(self, book: LedgerBook, index: int, entry: DisclosureEntry) -> None:
        me, msg = book.agency, entry.msg
        receipts = self.on.log.receipts.get((me, msg), [])
        if self.on.before(book, entry.at):
            self.on.wait("logged_not_delivered")
            return
        signed = [(i, one) for i, one in receipts if self.on.log.batch(one)]
        if receipts:
            place, one = (signed or receipts)[0]
            if not self.on.due_there(book, one.at, knew=True):
                self.on.wait("receipt_without_message")
                return
            who = me if signed else either(me, BROKER)
            proof = f"the receipt batch `{one.batch}`, signed by `{me}`" if signed else ""
            sentence = f"the log has a receipt of `{me}`; its ledger has not the message"
            told = {"msg": msg, "ledger": me, "batch": one.batch, "receipt": place}
            self.on.find("receipt_without_message", sentence, who, index, proof, **told)
            return
        own, used = self.on.own(book, msg), book.local.get(msg)
        if not (used or self.on.due_there(book, entry.at, knew=own is not None)):
            self.on.wait("logged_not_delivered")
            return
        who, proof = either(me, BROKER), ""
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        elif used:
            who, proof = me, f"act {used[0].n} of its own ledger, `{used[0].act}`, about the message"
        sentence = f"the log has a disclosure to `{me}`; its ledger has not the message"
        self.on.find("logged_not_delivered", sentence, who, index, proof, msg=msg, ledger=me)


def _differences(line: Line, index: int, entry: Decided) -> dict[str, tuple[str, str]]:
    """What an act and an entry say differently, by name: as the ledger has it, as the log has it."""
    pairs: dict[str, tuple[object, object]] = {"index": (line.index, index)}
    if line.agr is not None:
        pairs["agreement"] = (line.agr, entry.agr)
    if line.sender is not None:
        mine, theirs = (line.sender, *sorted(line.to)), (entry.from_, *sorted(to.id for to in entry.to))
        pairs["parties"] = (" ".join(mine), " ".join(theirs))
    if line.purpose is not None:
        pairs["purpose"] = (line.purpose, entry.purpose)
    if line.cats is not None:
        pairs["categories"] = (" ".join(sorted(line.cats)), " ".join(entry.cats))
    if line.clauses is not None:
        pairs["clauses"] = (" ".join(line.clauses), " ".join(_clauses(entry)))
    if isinstance(entry, DenialEntry) and line.outcome is not None:
        pairs["outcome"] = (line.outcome, entry.code)
    return {name: (str(one), str(other)) for name, (one, other) in pairs.items() if one != other}


def _clauses(entry: Decided) -> Iterator[str]:
    if isinstance(entry, DisclosureEntry):
        yield from dict.fromkeys(clause for to in entry.to for clause in to.clauses)
    else:
        yield from dict.fromkeys(to.nearest for to in entry.to if to.nearest)


def _unlike(manifest: object, entry: Decided) -> list[str]:
    """Which facts of an entry are not those that its sender signed (LOG-39)."""
    names = ("id", "from_", "agr", "type", "purpose", "crime", "class_", "urgency", "exempt")
    wrong = [name.strip("_") for name in names if getattr(manifest, name) != getattr(entry, name)]
    if [to.id for to in manifest.to] != [to.id for to in entry.to]:  # type: ignore[attr-defined]
        wrong.append("to")
    lists = ("handling", "cats", "src")
    wrong += [name for name in lists if tuple(getattr(manifest, name) or ()) != tuple(getattr(entry, name) or ())]
    if isinstance(entry, DisclosureEntry) and manifest.re != entry.re:  # type: ignore[attr-defined]
        wrong.append("re")
    return wrong
