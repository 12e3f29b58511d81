"""Admission: the broker's judgement of one envelope, in numbered steps (`spec/admission.md`, ADM-1 to ADM-12).

    on arrival          1  read it strictly            in the log's      8  seen before? first answer again
                        2  this federation             transaction       9  decide
                        3  the caller is the sender                     10  what must be written
                        4  the sender is known
                        5  both signatures, keys valid
                        6  sealed part as signed for
                        7  in time

Pure: what is known comes in as arguments, what must be written goes out as a value. A refusal leaves no
trace in the log, because anybody can write anybody's name; a decision, permit or deny, always does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exchange.protocol.decision import Decision, decide
from exchange.protocol.errors import FederationMismatch, MessageIdReused, SenderMismatch
from exchange.protocol.log import denial_entry, disclosure_entry
from exchange.protocol.manifest import Manifest, verify_times
from exchange.protocol.matching import Party, Request, Source
from exchange.protocol.message import Envelope, parse, verify
from exchange.protocol.policy import PolicyBook
from keys.signing import ALGORITHMS
from keys.trust import Directory

MAX_BATCH: Final = 100
"""Envelopes in one NDJSON post (ADM-13)."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the broker decided about one envelope, and all that must be written for it to be true."""

    decision: Decision
    entry: bytes
    deliveries: tuple[tuple[str, bytes], ...]
    """Each recipient with its own wrap; nobody, for a denial."""

    @property
    def permitted(self) -> bool:
        """Whether the message goes to its recipients."""
        return self.decision.permitted

    @property
    def explanation(self) -> dict[str, Any] | None:
        """The full reasons of a denial, for its sender alone."""
        return None if self.permitted else self.decision.to_json()


def read(data: bytes, caller: str, directory: Directory) -> Envelope:
    """Steps 1 to 3: an envelope of this federation, put forward by the agency it says it is from."""
    envelope = parse(data)
    if envelope.manifest.fed != directory.fed:
        raise FederationMismatch("the message belongs to another federation")
    if envelope.manifest.from_ != caller:
        raise SenderMismatch(f"`{caller}` may not submit a message of `{envelope.manifest.from_}`")
    return envelope


def verify_on_arrival(envelope: Envelope, directory: Directory, now: datetime) -> None:
    """Steps 4 to 7: everything about an envelope that can be judged without the books."""
    directory.agency(envelope.manifest.from_)
    verify(envelope, directory, now)
    verify_times(envelope.manifest, now)


def verify_at_log_time(envelope: Envelope, directory: Directory, at: datetime) -> None:
    """Repeat what may have changed since arrival: the keys' validity and the times, judged by the log's clock.

    The signatures were verified with these very keys and are not verified again. Whoever reads the log
    judges keys by the time in the entry, so the entry's own time is what must hold.
    """
    manifest = envelope.manifest
    lookup = directory.signing_lookup(manifest.from_, at)
    for signature, alg in zip(envelope.statement.pairs[0], ALGORITHMS, strict=True):
        lookup(signature.kid, alg)
    for addressee in manifest.to:
        directory.sealing_kid_valid(addressee.id, addressee.kid, at)
    verify_times(manifest, at)


def check_repetition(digest: str, earlier: str) -> None:
    """Step 8: an id that its sender used before names the same manifest bytes, or is refused."""
    if digest != earlier:
        raise MessageIdReused("this message id was used before, for other bytes: make a new message")


def request_of(manifest: Manifest, directory: Directory, sources: tuple[Source, ...] | None = None) -> Request:
    """Put the question that the agreements answer, with everybody's roles and ceilings as the directory has them.

    ``sources`` are what the message is derived from, as the books show them; whoever calls this for a manifest
    that names any has resolved them, for a source left out is one whose rules would not be kept.
    """
    if manifest.src is not None and sources is None:
        raise ValueError("a message derived from others is decided with its sources")
    return Request(
        discloser=_party(manifest.from_, directory),
        recipients=tuple([_party(addressee.id, directory) for addressee in manifest.to]),
        agreement=manifest.agr,
        type=manifest.type,
        purpose=manifest.purpose,
        crime=manifest.crime,
        cats=frozenset(manifest.cats),
        classification=manifest.class_,
        handling=frozenset(manifest.handling),
        urgency=manifest.urgency,
        exempt=manifest.exempt,
        sources=sources or (),
    )


def _party(agency: str, directory: Directory) -> Party:
    record = directory.agency(agency)
    return Party(agency, record.roles, record.ceiling, record.territory)


def admit(
    envelope: Envelope, directory: Directory, book: PolicyBook, at: datetime, sources: tuple[Source, ...] | None = None
) -> Admission:
    """Steps 9 and 10: decide at log time ``at``, and say what must be written together or not at all."""
    manifest = envelope.manifest
    decision = decide(request_of(manifest, directory, sources), book, at)
    if decision.permitted:
        clauses = [one.clauses for one in decision.per_recipient]
        entry = disclosure_entry(manifest, envelope.digest, clauses, decision.policy, at)
        wraps = tuple([(to.id, wrap) for to, (_, wrap) in zip(manifest.to, envelope.wraps, strict=True)])
        return Admission(decision, entry, wraps)
    reasons = [(one.code, one.logged_nearest) for one in decision.per_recipient]
    return Admission(decision, denial_entry(manifest, envelope.digest, reasons, decision.code, decision.policy, at), ())
