"""Decision cases: mandated decisions as data, in a form that any implementation can run (AGR-68).

A file has agencies, agreements and notices, and cases. A case says what was logged and when, the instant, what is
asked, and what must be decided: outcome, codes, clauses, obligations, the nearest clauses of a denial, the policy's
name. Nothing is signed: whoever runs it takes each agreement as signed by all its parties, each notice by its giver.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from exchange.protocol.terms import AgencyId, AgreementTerms, Digest, Instant, NoticeTerms

MAX_CASES: Final = 4 * 1024 * 1024
_Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 ,'-]{0,119}$")]
_Member = Literal[
    "from", "to", "type", "purpose", "crime", "urgency", "class", "ceiling", "cats", "handling", "territory", "copy",
    "source",
]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=False)


class CaseAgency(_Part):
    """An agency, as its newest record has it."""

    id: AgencyId
    roles: tuple[_Code, ...]
    ceiling: _Code
    territory: _Code


class CaseAgreement(_Part):
    """An agreement by its digest: of ``terms`` without white space, members in the order they have in the file."""

    name: _Name
    digest: Digest
    terms: AgreementTerms


class CaseNotice(_Part):
    """A notice by its digest, as an agreement by its."""

    name: _Name
    digest: Digest
    terms: NoticeTerms


class CaseEntry(_Part):
    """What was logged, and when."""

    statement: Digest
    at: Instant


class CaseConsent(_Part):
    """A consent that a source's originator gave for it."""

    holder: AgencyId
    to: tuple[AgencyId, ...]
    purposes: tuple[_Code, ...]
    until: Instant
    withdrawn: bool
    fields: tuple[Annotated[str, Field(max_length=200)], ...]


class CaseSource(_Part):
    """What the log says at that instant of a message that this one is derived from (AGR-60)."""

    msg: Digest
    originator: AgencyId
    holder_had: bool
    stopped: bool
    onward: _Code
    parties: tuple[AgencyId, ...]
    consents: tuple[CaseConsent, ...]


class CaseRequest(_Part):
    """What is asked; codes may be unknown to the vocabulary, for that too must be decided."""

    from_: AgencyId = Field(alias="from")
    to: tuple[AgencyId, ...]
    agr: Digest
    type: _Code
    purpose: _Code
    crime: _Code
    cats: tuple[_Code, ...]
    class_: _Code = Field(alias="class")
    handling: tuple[_Code, ...]
    urgency: _Code
    exempt: _Code | None = None
    sources: tuple[CaseSource, ...]


class CaseReaders(_Part):
    """Who at the recipient may open it (AGR-55)."""

    clearance: _Code | None = None
    training: tuple[_Code, ...]
    roles: tuple[_Code, ...] | None = None


class CaseObligations(_Part):
    """What a permit ties to the disclosure (AGR-36)."""

    onward: _Code
    evidence: bool
    human_release: bool
    second_approver: bool
    retention_days: int | None = None
    review_days: int | None = None
    purge_days: int | None = None
    readers: CaseReaders | None = None


class CaseNear(_Part):
    """A nearest clause with what it missed, in the order of AGR-8; or a forbid with the categories it caught."""

    agreement: Digest
    clause: _Code
    missed: tuple[_Member, ...] | None = None
    caught: tuple[_Code, ...] | None = None


class CaseRecipient(_Part):
    """What must be decided about one recipient: ``clauses`` as AGR-33 and AGR-42 name them."""

    id: AgencyId
    code: _Code
    clauses: tuple[_Code, ...]
    obligations: CaseObligations | None = None
    nearest: tuple[CaseNear, ...]


class CaseExpected(_Part):
    """What must be decided."""

    outcome: Literal["permit", "deny"]
    code: _Code
    policy: Digest
    recipients: tuple[CaseRecipient, ...]


class Case(_Part):
    """One mandated decision, and the requirements it follows from."""

    name: _Name
    rules: Annotated[tuple[Annotated[str, Field(pattern=r"^AGR-[1-9][0-9]*$")], ...], Field(min_length=1)]
    log: tuple[CaseEntry, ...]
    now: Instant
    request: CaseRequest
    expected: CaseExpected


class DecisionCases(_Part):
    """A file of them."""

    notice: str
    agencies: tuple[CaseAgency, ...]
    agreements: tuple[CaseAgreement, ...]
    notices: tuple[CaseNotice, ...]
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


def read_cases(data: bytes) -> DecisionCases:
    """Read a file of cases strictly; ``ValueError`` says what does not fit its form."""
    if len(data) > MAX_CASES:
        raise ValueError("that is too long for a file of cases")
    return DecisionCases.model_validate_json(data)
