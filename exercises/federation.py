"""A whole federation out of nothing: the root ceremony, every enrolment, every signature on every agreement.

``Federation.found`` makes one in memory, for a world in one process. ``settle_on_disk`` writes one out as
the folders from which a real broker and real nodes start, each with its own keys and passphrase:

    federation.json      names and addresses, for people and for the demo
    trust.json           the directory: roots and records
    authority/           root and enrolment keys (in earnest: in a safe, on paper, in two buildings)
    broker/              broker.json, keys.json, trust.json
    nodes/<agency>/      node.json, keys.json, trust.json, profile.json
    agreements/          each signed by all its parties

Every passphrase is random, and lies in a file of its own with mode 0600 next to what it opens. That is fit
for a simulation and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agencies.profiles import Plan
from exchange.protocol.terms import write_notice, write_terms
from keys.ceremony import RootPlan, enrol, federation_id, new_root
from keys.encoding import b64u
from keys.keystore import Authority, BrokerKeys, Identity
from keys.sealing import new_content_key
from keys.signing import Signer, Typ, cosign, sign
from keys.trust import Directory

NAME: Final = "Federation of the Two Shores (SIMULATION)"
BROKER: Final = "broker.ix.sim"
ORIGIN: Final = "ix.sim/log"
ROOT_SIGNERS: Final = 3
THRESHOLD: Final = 2


def new_passphrase() -> str:
    """Draw a passphrase nobody has to remember (256 bits)."""
    return b64u(new_content_key())


@dataclass(slots=True)
class Federation:
    """Everybody's keys in one place, which is what makes it an exercise."""

    fed: str
    root: Authority
    enrolment: Authority
    broker: BrokerKeys
    plans: dict[str, Plan]
    identities: dict[str, Identity]
    directory: Directory
    agreements: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def found(cls, plans: Iterable[Plan], now: datetime, *, name: str = NAME) -> Federation:
        """Hold the root ceremony and enrol every agency."""
        planned = {plan.id: plan for plan in plans}
        root = Authority("root", tuple(Signer.generate() for _ in range(ROOT_SIGNERS)))
        enrolment = Authority("enrolment", (Signer.generate(),))
        broker = BrokerKeys.generate(BROKER)
        written = RootPlan(
            name=name,
            root_keys=tuple(signer.public for signer in root.signers),
            threshold=THRESHOLD,
            enrolment=tuple(signer.public for signer in enrolment.signers),
            origin=ORIGIN,
            log=broker.log.public,
            broker=broker.broker,
            transport=(broker.transport.public,),
        )
        first = new_root(written, root.signers[:THRESHOLD], now=now)
        fed = federation_id(first)
        identities = {agency: Identity.generate(agency) for agency in planned}
        records = [
            enrol_agency(fed, plan, identities[agency], enrolment.signers[0], now) for agency, plan in planned.items()
        ]
        directory = Directory.build([first], records, fed=fed, now=now)
        return cls(fed, root, enrolment, broker, planned, identities, directory)

    def agree(self, name: str, terms: Mapping[str, Any]) -> bytes:
        """Sign terms by every party they name, and keep the agreement under a short name."""
        payload = write_terms({**terms, "fed": self.fed})
        first, *others = (self.identities[party].signer for party in terms["parties"])
        statement = sign(payload, first, Typ.AGREEMENT)
        for signer in others:
            statement = cosign(statement, signer, Typ.AGREEMENT)
        self.agreements[name] = statement.to_bytes()
        return self.agreements[name]

    def notice(self, act: str, agreement: str, by: str, now: datetime, reason: str) -> bytes:
        """Sign a notice by one party alone: suspend, resume or leave."""
        payload = write_notice(act, fed=self.fed, agreement=agreement, by=by, ts=now, reason=reason)
        return sign(payload, self.identities[by].signer, Typ.NOTICE).to_bytes()


def enrol_agency(fed: str, plan: Plan, identity: Identity, authority: Signer, now: datetime) -> bytes:
    """Sign the first record of a planned agency."""
    return enrol(
        fed,
        identity.public,
        authority,
        agency=plan.id,
        name=plan.name,
        roles=plan.roles,
        territory=plan.territory,
        ceiling=plan.ceiling,
        now=now,
    )
