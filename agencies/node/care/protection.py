"""Protected identities, and the safeguards that every draft passes (`spec/safeguards.md`, SAFE-1 to SAFE-21).

A victim's identity is sealed to a role whose key this process cannot open: an officer of the role gives the
passphrase that unlocks it, the ledger says so first, and the identity is shown once and kept nowhere. What
an officer wants to send is held against the safeguards before anything else: an organisation that supports
victims asks for nothing, no refusal tells what it is to hide, and nothing leads a persecutor to a claimant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agencies.node.care.asylum import Firewall
from agencies.node.errors import (
    DraftMalformed,
    NgoCannotQuery,
    NgoMayNotSee,
    NoLongerHere,
    NotHere,
    RefusalWouldTell,
    Restricted,
    RoleKeyMissing,
    SafeguardRefused,
)
from agencies.node.held.holding import Holdings, Stopped
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.draft import OfficerDraft
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from exchange.protocol.blocks import SealedPart
from exchange.protocol.content import CaseMessage, content_from, parse_content
from exchange.protocol.identity import ProtectedIdentity, open_identity, read_identity, refuse_if_exposed, seal_identity
from exchange.protocol.neutral import public_ground
from exchange.protocol.synthetic import FICTIONAL_COUNTRY
from exchange.protocol.vocabulary import Act, Category, MessageType, RefusalGround, Role
from keys.encoding import read_json, write_json
from keys.errors import Refusal
from keys.rolekey import RoleKey

LIMIT: Final = 256 * 1024
ASKING: Final = frozenset({MessageType.INFO_REQUEST, MessageType.CLARIFICATION_REQUEST})
"""What an organisation that supports victims does not send."""
NOT_FOR_NGOS: Final = frozenset(
    {
        Category.PERSON_SUSPECT,
        Category.PERSON_POTENTIAL_OFFENDER,
        Category.PERSON_INFORMANT,
        Category.DATA_CRIMINAL_CONDUCT,
    }
)
"""What an organisation that supports victims is not shown, however it came."""
_TERRITORY = re.compile(FICTIONAL_COUNTRY.replace("$", r"\Z"))
DESK: Final = Officer("answering desk", frozenset({OfficerRole.OFFICER}), "sends neutral answers at their hour")
"""Who sends a neutral answer, whoever decided: its pseudonym in the manifest tells nothing. No profile has this id."""


class Protection:
    """Keeps the safeguards of one office. ``persecutors`` are territories that the node's settings name."""

    def __init__(
        self, office: Office, holdings: Holdings, role_key: RoleKey | None = None, persecutors: Iterable[str] = ()
    ) -> None:
        self._office, self._holdings, self._role_key = office, holdings, role_key
        self.firewall = Firewall(office, persecutors)

    # -- what an officer wants to send --

    def must_pass(self, draft: OfficerDraft, officer: Officer, why: Why | None) -> None:
        """Return if no safeguard stands in the way; else ``Stopped``, with the act for the caller to record."""
        content = draft.read.case
        try:
            self._must_ask_nothing(content)
            if officer.id != DESK.id:
                self._must_not_tell(draft, content)
            self.firewall.must_pass(draft, content)
        except SafeguardRefused as refusal:
            act = refusal.act
            stopped: Refusal = refusal
        except (NgoCannotQuery, RefusalWouldTell) as refusal:
            act, stopped = self._denied(draft, content, refusal.code), refusal
        else:
            return
        raise Stopped(stopped, replace(act, officer=officer.id, why=why)) from None

    def _must_ask_nothing(self, content: CaseMessage) -> None:
        if content.type in ASKING and self.is_ngo:
            raise NgoCannotQuery("an organisation that supports victims refers and receives; it asks for nothing")

    def _must_not_tell(self, draft: OfficerDraft, content: CaseMessage) -> None:
        if content.refusal is None:
            return
        ground = content.refusal.ground
        if ground == RefusalGround.CANNOT_RESPOND or public_ground(ground, self._asked(draft.re)) != ground:
            raise RefusalWouldTell("this ground would tell what it is to hide; have the answering desk refuse with it")

    def _asked(self, message: str | None) -> tuple[str, ...]:
        """The categories of the request that a draft answers; unknown ones are as if they were about somebody."""
        with self._office.store.reading() as books:
            row = books.get("inbox", msg=message) if message else None
        if row is None:
            return ("person_unknown",)
        return tuple(read_json(row.summary.encode(), limit=LIMIT)["cats"])

    def _denied(self, draft: OfficerDraft, content: CaseMessage, code: str) -> LedgerAct:
        office = self._office
        return LedgerAct(
            Act.ATTEMPT_DENIED, purpose=str(draft.purpose), agreement=draft.agr,
            case=office.scribe.case_name(content.case.reference), sender=office.me, recipients=draft.to,
            categories=content.categories, outcome=code,
        )  # fmt: skip

    def must_reach(self, message: str, agencies: Collection[str], officer: Officer, why: Why) -> None:
        """Refuse to consent that a message of ours goes where a draft with its content could not (SAFE-16)."""
        sender, row, content = self._message(message)
        rule = self.firewall.must_not_reach(content, agencies)
        if rule is not None:
            act = replace(
                self._release(row, sender, content, officer, why), act=Act.ATTEMPT_DENIED,
                recipients=tuple(agencies), outcome=str(RefusalGround.ASYLUM_CONFIDENTIALITY), reasons=(rule,),
            )  # fmt: skip
            self._office.record_alone(act)
            raise SafeguardRefused(act)

    # -- what an organisation that supports victims is shown --

    @property
    def is_ngo(self) -> bool:
        """Whether this agency's record says it is one."""
        return Role.NGO in self._office.trust.directory.agency(self._office.me).roles

    def must_be_shown(self, messages: Sequence[str]) -> None:
        """Refuse to show this agency what its kind may not see, even if somebody sent it (SAFE-21)."""
        if not self.is_ngo:
            return
        with self._office.store.reading() as books:
            rows = books.inbox_of(messages)
        if any(not NOT_FOR_NGOS.isdisjoint(read_json(row.summary.encode(), limit=LIMIT)["cats"]) for row in rows):
            raise NgoMayNotSee("this has data about suspects or sources: it is not for this agency to see; recall it")

    # -- protected identities --

    def seal(
        self, identity: Mapping[str, Any], content: Mapping[str, Any], to: Sequence[str], officer: Officer, why: Why
    ) -> dict[str, Any]:
        """Seal a person's identity for the protection roles of these agencies: a member of ``sealed_parts``.

        ``content`` is the content it is to stand in, without it. Nothing of the identity is kept here.
        """
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER, OfficerRole.PROTECTION_OFFICER)
        office, now = self._office, self._office.clock()
        read, case = read_identity(write_json(dict(identity))), content_from(dict(content))
        person = next((one for one in case.persons if one.id == read.subject), None)
        if person is None or person.never_named:
            raise DraftMalformed("the identity is of nobody in this content, or of somebody who is never named")
        if not to or len(set(to)) != len(to):
            raise DraftMalformed("name each agency whose protection role is to open it, once")
        refuse_if_exposed(read, case)
        act = LedgerAct(
            Act.COMBINE, officer.id, why, case=office.scribe.case_name(case.case.reference), sender=office.me,
            recipients=tuple(to), categories=(*case.categories, str(Category.DATA_SEALED_IDENTITY)),
            outcome="identity_sealed",
        )  # fmt: skip
        if (rule := self.firewall.would_tell(read, case, to)) is not None:
            denied = replace(act, act=Act.ATTEMPT_DENIED, outcome=str(RefusalGround.ASYLUM_CONFIDENTIALITY))
            office.record_alone(replace(denied, reasons=(rule,)))
            raise SafeguardRefused(denied)
        directory = office.trust.directory
        keys = [(agency, directory.protection_key(agency, now)) for agency in to]
        office.record_alone(act)
        if person.feared:
            self.firewall.note(read, person.feared, (case.case.reference,))
        return seal_identity(
            read, fed=directory.fed, sender=office.me, case=case.case.reference, recipients=keys, chance=office.chance
        )

    def open(self, message: str, part: str, passphrase: str, officer: Officer, why: Why) -> dict[str, Any]:
        """Show one sealed identity to an officer of the role, after the ledger says so; nothing is kept."""
        officer.must_be(OfficerRole.PROTECTION_OFFICER)
        self.must_be_shown([message])
        office = self._office
        sender, row, content = self._message(message)
        found = next((one for one in content.sealed_parts if one.id == part), None)
        if found is None:
            raise NotHere("this message has no such sealed part")
        act = self._release(row, sender, content, officer, why)
        try:
            self._must_read(row, sender, officer)
            identity = self._open(found, sender, content, officer, passphrase, act)
        except Refusal as refusal:
            office.record_alone(replace(act, act=Act.ATTEMPT_DENIED, outcome=refusal.code))
            raise
        person = next(one for one in content.persons if one.id == found.subject)
        if person.feared:
            self.firewall.note(identity, person.feared, (content.case.reference,))
        return identity.to_json()

    def _open(
        self, part: SealedPart, sender: str, content: CaseMessage, officer: Officer, passphrase: str, act: LedgerAct
    ) -> ProtectedIdentity:
        office = self._office
        if self._role_key is None:
            raise RoleKeyMissing("this node has no role key for protected identities")
        keys = {key.public.kid: key for key in self._role_key.unlock(officer.id, passphrase)}
        if not any(key.id == office.me and key.kid in keys for key in part.keys):
            raise RoleKeyMissing("this identity was not sealed to a role key of this agency")
        office.record_alone(act)  # on disk before anything is shown
        return open_identity(
            part, fed=office.trust.directory.fed, sender=sender, case=content.case.reference, me=office.me, keys=keys
        )

    def _must_read(self, row: Any, sender: str, officer: Officer) -> None:
        """Ask what binds the message; a handling text is for whoever reads the content, so nobody acknowledges it."""
        holdings, level = self._holdings, read_json(row.summary.encode(), limit=LIMIT)["class"]
        with self._office.store.reading() as books:
            now = holdings.now(books)
            if sender == self._office.me:
                return holdings.must_read(officer, row.case_name, level, None, now)
            held = holdings.of(books, row.msg)
            if held.row.state == "erased" or holdings.over(held, now):
                raise NoLongerHere("the time for which this message may be held is over")
            if held.row.state == "restricted":
                raise Restricted("this message is restricted: nobody's identity is shown from it")
            return holdings.must_read(officer, row.case_name, level, held.owes, now)

    def claim(
        self, identity: Mapping[str, Any], against: Sequence[str], officer: Officer, why: Why,
        references: Sequence[str] = (),
    ) -> int:  # fmt: skip
        """Tell the firewall of a claimant whom no message here describes; only marks are kept. How many were new."""
        officer.must_be(OfficerRole.PROTECTION_OFFICER)
        read = read_identity(write_json(dict(identity)))
        if not against or any(_TERRITORY.fullmatch(one) is None for one in against):
            raise DraftMalformed("name the territories that are feared, by their codes")
        self._office.record_alone(LedgerAct(Act.COLLECT, officer.id, why, outcome="claim_noted"))
        return self.firewall.note(read, against, references)

    def parts(self, message: str, officer: Officer, why: Why) -> list[dict[str, Any]]:
        """The sealed parts of a message: of whom, for which role, and whether this agency has a key; nothing sealed."""
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER, OfficerRole.PROTECTION_OFFICER)
        self.must_be_shown([message])
        sender, row, content = self._message(message)
        act = replace(self._release(row, sender, content, officer, why), act=Act.CONSULT, outcome="sealed_parts")
        try:
            self._must_read(row, sender, officer)
        except Refusal as refusal:
            self._office.record_alone(replace(act, act=Act.ATTEMPT_DENIED, outcome=refusal.code))
            raise
        self._office.record_alone(act)  # on disk before anything is shown
        return [
            {
                "id": part.id,
                "for": str(part.for_),
                "subject": part.subject,
                "ours": any(key.id == self._office.me for key in part.keys),
            }
            for part in content.sealed_parts
        ]

    def _message(self, message: str) -> tuple[str, Any, CaseMessage]:
        office = self._office
        with office.store.reading() as books:
            row, mine = books.get("inbox", msg=message), False
            if row is None:
                row, mine = books.get("outbox", msg=message), True
        if row is None:
            raise NotHere("there is no message of that digest here")
        if row.content is None:
            raise NoLongerHere("the content of this message is not here any more")
        context = f"outbox content {row.ref}" if mine else f"inbox {row.msg}"
        return office.me if mine else row.sender, row, parse_content(office.vault.unlock(row.content, context))

    def _release(self, row: Any, sender: str, content: CaseMessage, officer: Officer, why: Why) -> LedgerAct:
        facts = read_json(row.summary.encode(), limit=LIMIT)
        return LedgerAct(
            Act.KEY_RELEASE, officer.id, why, facts["purpose"], facts["agr"], case=row.case_name, message=row.msg,
            sender=sender, recipients=(self._office.me,), categories=content.categories, index=row.seq,
        )  # fmt: skip
