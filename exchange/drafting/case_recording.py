"""A file of decision cases as a recording, so that a draft can be tried on what somebody mandated (DRF-34)."""

from __future__ import annotations

from exchange.drafting.rehearsal import Recorded
from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.decision import decide
from exchange.protocol.decision_cases import CaseRequest, CaseSource, DecisionCases
from exchange.protocol.matching import Consent, Party, Request, Source
from exchange.protocol.policy import PolicyBook
from keys.signing import Statement


def record_cases(file: DecisionCases) -> list[Recorded]:
    """Every case decided by the books it names, as far as it names agencies and statements that the file has."""
    parties = {a.id: Party(a.id, a.roles, a.ceiling, a.territory) for a in file.agencies}
    agreements = {one.digest: one.terms for one in file.agreements}
    notices = {one.digest: one.terms for one in file.notices}
    found = list[Recorded]()
    for case in file.cases:
        logged = list[Agreement | Notice]()
        for entry in case.log:
            unsigned = Statement("", b"", ())
            if entry.statement in agreements:
                terms = agreements[entry.statement]
                logged.append(Agreement(entry.statement, unsigned, terms, terms.parties, entry.at))
            else:
                logged.append(Notice(entry.statement, unsigned, notices[entry.statement], entry.at))
        book, request = PolicyBook.replay(logged), _request(case.request, parties)
        found.append(Recorded(f"case `{case.name}`", case.now, request, book, decide(request, book, case.now)))
    return found


def _request(asked: CaseRequest, parties: dict[str, Party]) -> Request:
    return Request(
        discloser=parties[asked.from_],
        recipients=tuple(parties[to] for to in asked.to),
        agreement=asked.agr,
        type=asked.type,
        purpose=asked.purpose,
        crime=asked.crime,
        cats=frozenset(asked.cats),
        classification=asked.class_,
        handling=frozenset(asked.handling),
        urgency=asked.urgency,
        exempt=asked.exempt,
        sources=tuple(map(_source, asked.sources)),
    )


def _source(one: CaseSource) -> Source:
    consents = tuple(
        Consent(c.holder, frozenset(c.to), frozenset(c.purposes), c.until, c.withdrawn, c.fields) for c in one.consents
    )
    return Source(
        one.msg, one.originator, one.holder_had, one.stopped, one.onward, frozenset(one.parties), consents
    )  # fmt: skip
