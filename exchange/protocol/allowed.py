"""What terms may say where: closed lists and limits of agreements, and each place in words (AGR-3, AGR-6, AGR-10)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from exchange.protocol.shape import Allowed
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    LegalBasis,
    MessageType,
    Onward,
    Purpose,
    TransferBasis,
    Urgency,
)

MAX_PARTIES: Final = 32
MAX_CLAUSES: Final = 64
MAX_GROUPS: Final = 16


class AgreementKind(StrEnum):
    """What sort of arrangement an agreement is; it changes no decision."""

    POLICE_COOPERATION = "police_cooperation"
    TASK_FORCE = "task_force"
    JOINT_INVESTIGATION_TEAM = "joint_investigation_team"
    FIU_EXCHANGE = "fiu_exchange"
    VICTIM_REFERRAL = "victim_referral"
    HUB = "hub"
    EXERCISE = "exercise"


class Reach(StrEnum):
    """Whom a forbid binds: disclosures between parties, or whatever a party discloses to anybody (AGR-52)."""

    PARTIES = "parties"
    EVERYONE = "everyone"


class NoticeAct(StrEnum):
    """What one party alone may say about an agreement."""

    SUSPEND = "suspend"
    RESUME = "resume"
    LEAVE = "leave"


_DIGEST_WORDS: Final = "a digest: 43 characters of base64url"
_TEXT_WORDS: Final = "a text of 1 to 200 characters, none of them invisible, without a space at either end"
_TIME_WORDS: Final = "a time such as `2026-01-31T12:00:00Z`"
_AGENCY_WORDS: Final = "the id of a simulated agency, such as `north.police.sim`"
_SHORT_WORDS: Final = "a letter of a to z and at most 11 more of a to z, 0 to 9, `_` and `-`"
_CODE_WORDS: Final = "a letter of a to z and at most 31 more of a to z, 0 to 9 and `_`"
_DAYS_WORDS: Final = "a number of days, 1 to 3650"
_PARTY_WORDS: Final = (
    "an agency id, `role:` and a role, `group:` and the id of a group, `territory:` and a code such as `XN`, "
    "or `party:any`"
)
_LEVELS: Final = Allowed.one_of("a classification", Classification)
_PARTY_LIST: Final = Allowed("a list of at most 64 names, each once", _PARTY_WORDS)
_LISTS: Final[dict[str, tuple[str, type[StrEnum]]]] = {
    "types": ("a message type", MessageType),
    "purposes": ("a purpose", Purpose),
    "crimes": ("a crime area", CrimeArea),
    "cats": ("a category", Category),
}
ALLOWED: Final[dict[tuple[str, ...], Allowed]] = {
    (): Allowed("an object with named members"),
    ("v",): Allowed("`ix/1`"),
    ("typ",): Allowed("`agreement`, or `notice` in a notice"),
    ("fed",): Allowed(f"the federation's id, {_DIGEST_WORDS}"),
    ("id",): Allowed("1 to 64 characters of a to z, 0 to 9 and `-`, the first no `-`"),
    ("version",): Allowed("a number from 1 to 9999"),
    ("replaces",): Allowed(_DIGEST_WORDS),
    ("title",): Allowed(_TEXT_WORDS),
    ("kind",): Allowed.one_of("a kind of agreement", AgreementKind),
    ("parties",): Allowed(f"a list of 2 to {MAX_PARTIES} agency ids, each once", _AGENCY_WORDS),
    ("groups",): Allowed(f"a list of at most {MAX_GROUPS} groups", "an object with the members of a group"),
    ("groups", "id"): Allowed(_SHORT_WORDS),
    ("groups", "members"): Allowed(f"a list of at most {MAX_PARTIES} agency ids, each once", _AGENCY_WORDS),
    ("groups", "until"): Allowed(_TIME_WORDS),
    ("groups", "purposes"): Allowed.several("a purpose", Purpose),
    ("bases",): Allowed.several("a legal basis", LegalBasis),
    ("territory",): Allowed("a list of codes, each once", "a code from `XA` to `XZ`, but not `XK`"),
    ("start",): Allowed(_TIME_WORDS),
    ("end",): Allowed(_TIME_WORDS),
    ("purge_days",): Allowed("a number of days, 0 to 28"),
    ("clauses",): Allowed(f"a list of 1 to {MAX_CLAUSES} clauses", "an object with the members of a clause"),
    ("clauses", "id"): Allowed(_SHORT_WORDS),
    ("clauses", "title"): Allowed(_TEXT_WORDS),
    ("clauses", "from"): _PARTY_LIST,
    ("clauses", "to"): _PARTY_LIST,
    **{("clauses", name): Allowed.several(*codes) for name, codes in _LISTS.items()},
    ("clauses", "reach"): Allowed.one_of("a reach", Reach),
    ("clauses", "class_max"): _LEVELS,
    ("clauses", "conditions"): Allowed("an object with the conditions of a permit"),
    ("clauses", "conditions", "handling_required"): Allowed.several("a handling code", Handling),
    ("clauses", "conditions", "urgency"): Allowed.several("an urgency", Urgency),
    ("clauses", "conditions", "copy_to"): Allowed(_AGENCY_WORDS),
    ("clauses", "conditions", "copy_exempt"): Allowed.several("an exemption", CopyExemption),
    ("clauses", "conditions", "transfer"): Allowed.one_of("a basis for a transfer", TransferBasis),
    ("clauses", "conditions", "onward"): Allowed.one_of("an onward rule", Onward),
    ("clauses", "conditions", "retention_days"): Allowed(_DAYS_WORDS),
    ("clauses", "conditions", "review_days"): Allowed(_DAYS_WORDS),
    ("clauses", "conditions", "evidence"): Allowed("`true` or `false`"),
    ("clauses", "conditions", "human_release"): Allowed("`true` or `false`"),
    ("clauses", "conditions", "second_approver"): _LEVELS,
    ("clauses", "conditions", "readers"): Allowed("an object with `clearance`, `training` or `roles`"),
    ("clauses", "conditions", "readers", "clearance"): _LEVELS,
    ("clauses", "conditions", "readers", "training"): Allowed("a list of codes, each once", _CODE_WORDS),
    ("clauses", "conditions", "readers", "roles"): Allowed("a list of codes, each once", _CODE_WORDS),
    ("act",): Allowed.one_of("an act", NoticeAct),
    ("agr",): Allowed(_DIGEST_WORDS),
    ("by",): Allowed(_AGENCY_WORDS),
    ("ts",): Allowed(_TIME_WORDS),
    ("reason",): Allowed(_TEXT_WORDS),
}
