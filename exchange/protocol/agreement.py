"""Agreements: who signed which terms, and notices by which one party stops them (AGR-12 to AGR-16, AGR-22 to AGR-24).

An agreement is a JWS with one signature pair per party over the same payload; the digest of that payload
is its only identity. This module verifies who has signed. What a payload may say is in ``terms``, which
agreements are in force in ``policy``, and what they allow in ``decision``; all by `spec/agreements.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from exchange.protocol.errors import (
    AgreementRefused,
    FederationMismatch,
    NoticeRefused,
    SignedTwice,
    SignerNotParty,
)
from exchange.protocol.terms import AgreementTerms, NoticeTerms, parse_notice, parse_terms
from keys.errors import Refusal
from keys.signing import Signature, Statement, Typ, parse_statement, verify_pair

if TYPE_CHECKING:
    from keys.trust import Directory

NOTICE_SKEW: Final = timedelta(minutes=5)
"""How far after the log's clock a notice may be dated (AGR-24)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement whose signatures, as far as there are any, were verified at ``at`` (log time)."""

    digest: str
    statement: Statement
    terms: AgreementTerms
    signed_by: tuple[str, ...]
    at: datetime

    @property
    def missing(self) -> tuple[str, ...]:
        """The parties that have not signed, in the order the terms list them; empty means complete."""
        return tuple(party for party in self.terms.parties if party not in self.signed_by)

    def has(self, agency: str) -> bool:
        """Whether this agency is a party."""
        return agency in self.terms.parties

    @property
    def effective(self) -> datetime:
        """From when it counts: its start, or when its last signature was logged if that was later."""
        return max(self.terms.start, self.at)


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notice; it counts from ``at``, the time it was logged, and never before."""

    digest: str
    statement: Statement
    terms: NoticeTerms
    at: datetime


def read_agreement(data: bytes, directory: Directory, at: datetime) -> Agreement:
    """Verify an agreement and every signature it carries so far; ``missing`` says who has yet to sign.

    Each pair must belong to a party, each party at most once, with keys valid at ``at`` (AGR-12 to AGR-15).
    """
    statement = parse_statement(data)
    terms = parse_terms(statement.payload)
    if terms.fed != directory.fed:
        raise FederationMismatch("the agreement belongs to another federation")
    for party in terms.parties:
        directory.agency(party)
    signed: list[str] = []
    for pair in statement.pairs:
        party = _signer(pair, terms.parties, directory)
        if party in signed:
            raise SignedTwice(f"`{party}` has signed this agreement twice")
        verify_pair(statement.raw_payload, pair, directory.signing_lookup(party, at), Typ.AGREEMENT)
        signed.append(party)
    return Agreement(statement.digest, statement, terms, tuple(signed), at)


def _signer(pair: tuple[Signature, Signature], parties: tuple[str, ...], directory: Directory) -> str:
    owner = directory.owner(pair[0].kid)
    if owner not in parties:
        raise SignerNotParty(f"`{owner}` has signed, but is no party to this agreement")
    return owner


def join_signatures(offered: Agreement, earlier: Statement, directory: Directory) -> Agreement:
    """Add to an offered copy the signatures an earlier copy collected, as far as they still count (AGR-16).

    A pair whose key has expired or was revoked since falls away: that party has to sign again. What the
    offered copy brings stands before what was there.
    """
    if offered.statement.raw_payload != earlier.raw_payload:
        raise AgreementRefused("the two copies have different terms, so their signatures do not add up")
    pairs, signed = list(offered.statement.pairs), list(offered.signed_by)
    for pair in earlier.pairs:
        try:
            party = _signer(pair, offered.terms.parties, directory)
            verify_pair(earlier.raw_payload, pair, directory.signing_lookup(party, offered.at), Typ.AGREEMENT)
        except Refusal:
            continue
        if party not in signed:
            pairs.append(pair)
            signed.append(party)
    statement = Statement(earlier.raw_payload, earlier.payload, tuple(pairs))
    return Agreement(offered.digest, statement, offered.terms, tuple(signed), offered.at)


def read_notice(data: bytes, directory: Directory, at: datetime) -> Notice:
    """Verify a notice by the one party that gives it, with keys valid at ``at`` (AGR-22 to AGR-24)."""
    statement = parse_statement(data)
    terms = parse_notice(statement.payload)
    if terms.fed != directory.fed:
        raise FederationMismatch("the notice belongs to another federation")
    if len(statement.pairs) != 1:
        raise NoticeRefused("a notice carries exactly one pair of signatures, by the party that gives it")
    if terms.ts > at + NOTICE_SKEW:
        raise NoticeRefused("the notice is dated in the future")
    verify_pair(statement.raw_payload, statement.pairs[0], directory.signing_lookup(terms.by, at), Typ.NOTICE)
    return Notice(statement.digest, statement, terms, at)
