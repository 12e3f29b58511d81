"""Onward: may what a message was taken from be passed on to this recipient? (AGR-60 to AGR-63)

A message that is derived from others is bound by what they are bound to, however it is worded now. What the log
says of each source comes in with the request; this module judges it for one recipient. One's own information
is free, and so is telling an originator what came from it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exchange.protocol.explanation import Condition
from exchange.protocol.matching import Consent, Party, Request, Source
from exchange.protocol.vocabulary import Onward

SOURCE_UNKNOWN: Final = "source_unknown"
SOURCE_STOPPED: Final = "source_stopped"
ONWARD_FORBIDDEN: Final = "onward_forbidden"
CONSENT_MISSING: Final = "consent_missing"
SOURCE_CODES: Final = (SOURCE_UNKNOWN, SOURCE_STOPPED, ONWARD_FORBIDDEN, CONSENT_MISSING)
"""In the order in which one source, and among several the recipient, gets the first that applies (AGR-61)."""

WHOLE: Final = ""
"""The JSON pointer to a whole content, among the fields of a consent."""
SHOWN: Final = 8
"""Sources that one denial names at most."""


def judge_source(source: Source, request: Request, recipient: Party, now: datetime) -> str | None:
    """What stands against telling this recipient what came from this source; nothing, if nothing does."""
    discloser = request.discloser.id
    if not source.holder_had:
        return SOURCE_UNKNOWN
    if source.originator == discloser:
        return None
    if source.stopped:
        return SOURCE_STOPPED
    if source.originator == recipient.id:
        return None
    if source.onward == Onward.WITHIN_PARTIES:
        if recipient.id in source.parties:
            return None
    elif source.onward not in (Onward.BY_CONSENT, Onward.BY_FIELD):
        return ONWARD_FORBIDDEN  # `none`, and whatever nobody knows
    if any(allows(source, consent, request, recipient.id, now) for consent in source.consents):
        return None
    return CONSENT_MISSING


def allows(source: Source, consent: Consent, request: Request, recipient: str, now: datetime) -> bool:
    """Whether a consent is live and means this holder, recipient, purpose, and fields as the source asks (AGR-62)."""
    whole = WHOLE in consent.fields
    return (
        consent.holder == request.discloser.id
        and recipient in consent.to
        and request.purpose in consent.purposes
        and now < consent.until
        and not consent.withdrawn
        and bool(consent.fields)
        and not (whole and source.onward == Onward.BY_FIELD)
    )


def judge_sources(request: Request, recipient: Party, now: datetime) -> tuple[str, tuple[Condition, ...]] | None:
    """The recipient's code, and a condition for each of the first sources that stand against it; nothing, if none does.

    A message may come from very many; an answer that names a few says what to do, and stays small (AGR-63).
    """
    found = [(code, s) for s in request.sources if (code := judge_source(s, request, recipient, now))]
    if not found:
        return None
    against = sorted(found, key=lambda item: SOURCE_CODES.index(item[0]))
    return against[0][0], tuple(_say(code, source, request, recipient) for code, source in against[:SHOWN])


def _say(code: str, source: Source, request: Request, recipient: Party) -> Condition:
    discloser, name = request.discloser.id, f"message `{source.msg}`"
    if code == SOURCE_UNKNOWN:
        return _without(source, f"it takes nothing from {name}: by the log, `{discloser}` never had it")
    if code == SOURCE_STOPPED:
        return _without(source, f"it takes nothing from {name}: that was recalled, restricted or erased")
    if code == ONWARD_FORBIDDEN:
        return _without(source, f"it takes nothing from {name}: `{source.originator}` lets nobody pass that on")
    sentence = (
        f"`{source.originator}` consents that `{discloser}` tells `{recipient.id}` what is in {name}"
        f" for `{request.purpose}`"
    )
    return Condition("source", (source.msg,), (source.originator,), sentence)


def _without(source: Source, sentence: str) -> Condition:
    return Condition("source", (source.msg,), (), sentence)
