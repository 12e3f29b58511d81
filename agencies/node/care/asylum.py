"""The asylum firewall: nothing that shows a claim to protection, or lets one be inferred, goes to a state named as
persecutor (`spec/safeguards.md`, SAFE-10 to SAFE-17).

What is known here of claimants is kept as a *blind index*: keyed hashes of (what leads to the person,
territory), and of (case, territory). Whoever has the books but not the keystore learns how many, not who
nor against whom. Every draft is held against it before anything else is asked, also a draft that only asks,
and one that would reach the territory through somebody else. The officer is told that a safeguard stands
in the way; which one, the ledger and the auditor know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agencies.node.care.leads import case_fact, facts_of, facts_of_cases, facts_of_identity, facts_of_person
from agencies.node.errors import SafeguardRefused
from agencies.node.ledger import LedgerAct
from agencies.node.mail.draft import OfficerDraft
from agencies.node.office import Office
from agencies.node.store import Books
from exchange.protocol import marks
from exchange.protocol.content import CaseMessage, parse_content
from exchange.protocol.identity import ProtectedIdentity
from exchange.protocol.neutral import ABOUT_REQUEST
from exchange.protocol.vocabulary import Act, Category, MessageType, Onward, Purpose, RefusalGround
from keys.encoding import b64u, stamp
from keys.errors import Refusal
from keys.vault import Vault

PAGE: Final = 500
"""Messages learned from in one transaction."""
LIMIT: Final = 256 * 1024
TELLING: Final = frozenset({Purpose.ASYLUM_ASSESSMENT, Purpose.VICTIM_PROTECTION})
"""Purposes that say by themselves that somebody is being protected."""
_CLAIM: Final = str(Category.DATA_PROTECTION_CLAIM)


class Firewall:
    """Guards for one office. ``persecutors`` are territories named generally, by the node's settings."""

    def __init__(self, office: Office, persecutors: Iterable[str] = ()) -> None:
        self._office, self._general = office, frozenset(persecutors)
        self._vault = Vault.derive(office.identity.pseudonym_key, f"asylum {office.me}")
        self._upto: dict[str, int] = {}
        self._any = False

    # -- what is known --

    def learn(self) -> bool:
        """Index the claims in every message that came or went since the last time; says whether any claim is known."""
        while behind := self._behind():
            with self._office.store.writing() as books:
                for table in behind:
                    self._learn_from(books, table)
        return self._any

    def _behind(self) -> list[str]:
        """Where a message not learned from has a claim; how far it was looked is written down now and then."""
        seen: dict[str, tuple[int, int]] = {}
        with self._office.store.reading() as books:
            self._any = self._any or books.count("claim") > 0
            for table in ("inbox", "outbox"):
                last = books.last(table)
                if last != self._upto.get(table):
                    written = int(books.meta(f"claims {table}", "0"))
                    if books.beyond(table, written, _CLAIM, 1):
                        return [table]
                    seen[table] = last, written
        for table, (last, written) in seen.items():
            if last - written >= PAGE:
                with self._office.store.writing() as books:
                    books.set_meta(f"claims {table}", str(last))
            self._upto[table] = last
        return []

    def note(self, identity: ProtectedIdentity, against: Iterable[str], references: Iterable[str] = ()) -> int:
        """Index a claimant known from elsewhere, such as an opened identity; says how many marks were new."""
        facts = {*facts_of_identity(identity), *(case_fact(one) for one in references)}
        with self._office.store.writing() as books:
            return self._keep(books, facts, against)

    def _learn_from(self, books: Books, table: str) -> None:
        cursor = f"claims {table}"
        rows = books.beyond(table, int(books.meta(cursor, "0")), _CLAIM, PAGE)
        for row in rows:
            if row.content is not None:
                context = f"inbox {row.msg}" if table == "inbox" else f"outbox content {row.ref}"
                self._learn(books, parse_content(self._office.vault.unlock(row.content, context)))
        if rows:
            books.set_meta(cursor, str(rows[-1].n))

    def _learn(self, books: Books, content: CaseMessage) -> None:
        cases = facts_of_cases(content)
        for person in content.persons:
            self._keep(books, {*facts_of_person(person, content), *cases}, person.feared)

    def _keep(self, books: Books, facts: Iterable[str], against: Iterable[str]) -> int:
        now = stamp(self._office.clock())
        made = {
            self._blind(fact, territory): {"mark": self._blind(fact, territory), "place": self._place(territory)}
            for territory in against
            for fact in facts
        }
        new = made.keys() - books.marked(list(made))
        books.add("claim", [{**made[mark], "at": now} for mark in sorted(new)])
        return len(new)

    def _blind(self, fact: str, territory: str) -> str:
        return b64u(self._vault.seal(f"fact\n{territory}\n{fact}".encode()))

    def _place(self, territory: str) -> str:
        return b64u(self._vault.seal(f"place\n{territory}".encode()))

    # -- what may not pass --

    def must_pass(self, draft: OfficerDraft, content: CaseMessage) -> None:
        """Return if the draft tells no state named as persecutor of a claim; else refuse, with the act to record."""
        known = self.learn() or bool(self._general)
        if not known and not any(person.protection_claim for person in content.persons):
            return  # nobody known here fears anybody
        direct = self._territories(draft.to)
        reach = direct | self._reachable(draft)
        with self._office.store.reading() as books:
            rule = self._broken(books, draft, content, direct, reach)
        if rule is not None:
            raise self._refusal(draft, content, rule)

    def must_not_reach(self, content: CaseMessage, agencies: Iterable[str]) -> str | None:
        """Which rule passing a content on to these agencies would break, such as by a consent; none if none."""
        self.learn()
        places = self._territories(agencies)
        with self._office.store.reading() as books:
            return self._carries(books, content, self._named(books, content, places))

    def would_tell(self, identity: ProtectedIdentity, content: CaseMessage, agencies: Iterable[str]) -> str | None:
        """Which rule sealing an identity for these agencies would break: not even their protection role may know."""
        self.learn()
        places = self._territories(agencies)
        with self._office.store.reading() as books:
            named = self._named(books, content, places)
            if (rule := self._carries(books, content, named)) is not None:
                return rule
            return "person_known" if self._known(books, facts_of_identity(identity), named) else None

    def _broken(
        self, books: Books, draft: OfficerDraft, content: CaseMessage, direct: frozenset[str], reach: frozenset[str]
    ) -> str | None:
        named = self._named(books, content, reach)
        if not named:
            return None
        if (rule := self._carries(books, content, named)) is not None:
            return rule
        told = named & direct
        if told and content.type != MessageType.EXCULPATORY_NOTICE and self._tells(draft, content):
            return "purpose_tells"
        if told and draft.re is not None and (rule := self._answers(books, draft, content, told)) is not None:
            return rule
        return None

    def _named(self, books: Books, content: CaseMessage, places: frozenset[str]) -> frozenset[str]:
        """Of these territories, those that anybody known here, or this content, names as persecutor."""
        own = frozenset(territory for person in content.persons for territory in person.feared)
        known = {place for place in places if books.count("claim", place=self._place(place))}
        return places & (self._general | own | known)

    def _carries(self, books: Books, content: CaseMessage, named: frozenset[str]) -> str | None:
        if not named:
            return None
        if _CLAIM in content.categories:
            return "claim_carried"
        if content.sealed_parts and any(one.protection_claim for one in content.persons):
            return "claim_carried"
        if self._known(books, facts_of_cases(content), named):
            return "case_known"
        return "person_known" if self._known(books, facts_of(content), named) else None

    def _tells(self, draft: OfficerDraft, content: CaseMessage) -> bool:
        about = any(content.persons) or bool(content.sealed_parts)
        asylum = draft.purpose == Purpose.ASYLUM_ASSESSMENT
        return asylum or (about and (draft.purpose in TELLING or content.type == MessageType.VICTIM_REFERRAL))

    def _answers(self, books: Books, draft: OfficerDraft, content: CaseMessage, told: frozenset[str]) -> str | None:
        """A request that asks about a claimant gets no answer but a refusal that speaks of the request alone."""
        row = books.get("inbox", msg=draft.re)
        if row is None or row.content is None:
            return None
        asked = parse_content(self._office.vault.unlock(row.content, f"inbox {row.msg}"))
        neutral = content.refusal is not None and content.refusal.ground in ABOUT_REQUEST
        if neutral or content.type == MessageType.EXCULPATORY_NOTICE:
            return None
        return "answer_tells" if self._known(books, facts_of(asked), told) else None

    def knows(self, content: CaseMessage, agency: str) -> bool:
        """Whether a content is about a claimant whom this agency's state must not learn of."""
        self.learn()
        places = self._territories((agency,))
        with self._office.store.reading() as books:
            return self._carries(books, content, self._named(books, content, places)) is not None

    def _known(self, books: Books, facts: Iterable[str], named: Iterable[str]) -> bool:
        told = list(facts)
        marks_of = [self._blind(fact, territory) for territory in named for fact in told]
        return any(books.marked(marks_of[at : at + 5_000]) for at in range(0, len(marks_of), 5_000))

    def _territories(self, agencies: Iterable[str]) -> frozenset[str]:
        directory = self._office.trust.directory
        found = set()
        for agency in agencies:
            try:
                found.add(directory.agency(agency).territory)
            except Refusal:  # whoever is unknown is refused elsewhere, and by that name
                continue
        return frozenset(found)

    def _reachable(self, draft: OfficerDraft) -> frozenset[str]:
        """Where recipients may pass it on without asking: to the parties of its agreement, unless something binds."""
        tlp = draft.content.get("tlp")
        _, onward = marks.stricter(tlp if tlp in marks.MAPPING else None, draft.handling, Onward.WITHIN_PARTIES)
        if onward != Onward.WITHIN_PARTIES:
            return frozenset()
        parties = {self._office.me, *draft.to}
        book = self._office.trust.book
        agreements = (
            [a for a in book.agreements if a.digest == draft.agr] if draft.agr else book.in_force(self._office.clock())
        )
        reached = {one for a in agreements if parties <= set(a.terms.parties) for one in a.terms.parties}
        return self._territories(reached - {self._office.me})

    def _refusal(self, draft: OfficerDraft, content: CaseMessage, rule: str) -> SafeguardRefused:
        office = self._office
        act = LedgerAct(
            Act.ATTEMPT_DENIED, purpose=str(draft.purpose), agreement=draft.agr,
            case=office.scribe.case_name(content.case.reference), sender=office.me, recipients=draft.to,
            categories=content.categories, outcome=str(RefusalGround.ASYLUM_CONFIDENTIALITY), reasons=(rule,),
        )  # fmt: skip
        return SafeguardRefused(act)
