"""A whole federation out of nothing: the root ceremony, every enrolment, every signature on every agreement.

``Federation.found`` makes one in memory, for a world in one process. ``settle_on_disk`` writes one out as
the folders from which a real broker and real nodes start, each with its own keys and passphrase:

    federation.json      names and addresses, for people and for the demo
    federation/          root and enrolment keys (in earnest: in a safe, in two buildings), trust.json
    broker/              broker.json, keys.json, trust.json
    nodes/<agency>/      node.json, keys.json, witness.keys, trust.json, profile.json, officers/; also protection.json

Every passphrase is random, and lies in a file of its own with mode 0600 next to what it opens. That is fit
for a simulation and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from agencies.node.care.offences import read_table
from agencies.node.profile import MIN_COST, new_officer, new_profile, read_rights
from agencies.node.settings import OFFENCES, ROLE_KEY, new_witness, write_home
from agencies.profiles import Plan, load_offences
from exchange.protocol.terms import write_notice, write_terms
from keys.ceremony import RootPlan, enrol, federation_id, new_root, protect
from keys.encoding import b64u, write_json
from keys.keystore import Authority, BrokerKeys, Identity, replace_file
from keys.rolekey import RoleKey
from keys.sealing import new_content_key
from keys.signing import Signer, Typ, cosign, sign
from keys.trust import Directory

NAME: Final = "Federation of the Two Shores (SIMULATION)"
BROKER: Final = "broker.ix.sim"
ORIGIN: Final = "ix.sim/log"
ROOT_SIGNERS: Final = 3
THRESHOLD: Final = 2
OFFICER_COST: Final = MIN_COST
"""Random passphrases of 256 bits need no slow hash; the least that a profile accepts."""


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


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everybody listens: ``broker`` and each node as host:port."""

    broker: str
    nodes: Mapping[str, str]


def settle_on_disk(federation: Federation, home: Path, at: Addresses, **node_settings: Any) -> None:
    """Write the homes of the broker and of every node, keys encrypted, passphrases in 0600 files beside them."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for agency in at.nodes:
        _settle_role(federation, home / "nodes" / agency, agency)
    _settle_authority(federation, home / "federation")
    settle_broker(federation, home / "broker", at.broker)
    for agency, address in at.nodes.items():
        _settle_node(federation, home / "nodes" / agency, agency, address, at.broker, node_settings)
    agencies = [
        {"id": agency, "name": federation.plans[agency].name, "url": f"http://{address}"}
        for agency, address in at.nodes.items()
    ]
    about = {"simulation": True, "fed": federation.fed, "broker": f"http://{at.broker}", "agencies": agencies}
    replace_file(home / "federation.json", write_json(about), 0o644)


def _settle_authority(federation: Federation, folder: Path) -> None:
    """The folder ``ix keys`` works on, so that keys can be rotated and revoked with it later."""
    passphrase = _passphrase(folder)
    for number, signer in enumerate(federation.root.signers, 1):
        Authority(f"root-{number}", (signer,)).save(folder / f"root-{number}.keys", passphrase)
    federation.enrolment.save(folder / "enrolment.keys", passphrase)
    replace_file(folder / "federation.id", f"{federation.fed}\n".encode(), 0o644)
    replace_file(folder / "trust.json", federation.directory.to_bytes(), 0o644)


def settle_broker(federation: Federation, folder: Path, address: str, **more: Any) -> None:
    """Write the broker's home; ``more`` are numbers of its settings."""
    federation.broker.save(folder / "keys.json", _passphrase(folder))
    replace_file(folder / "trust.json", federation.directory.to_bytes(), 0o644)
    settings = {"fed": federation.fed, "authorities": [address], "listen": address, **more}
    replace_file(folder / "broker.json", write_json(settings), 0o644)


def _settle_role(federation: Federation, folder: Path, agency: str) -> None:
    """Make the key of a protection role, if the agency has one, and list it in the agency's next record."""
    keepers = [one.id for one in federation.plans[agency].officers if "protection_officer" in one.roles]
    if not keepers:
        return
    passphrases = {keeper: _passphrase(folder / "officers", f"{keeper}.passphrase") for keeper in keepers}
    role, public = RoleKey.generate(agency, passphrases)
    replace_file(folder / ROLE_KEY, role.to_bytes())
    record = federation.directory.agency(agency)
    following = protect(federation.fed, record, public, federation.enrolment.signers[0], now=record.issued)
    federation.directory = federation.directory.with_record(following, record.issued)


def _settle_node(
    federation: Federation, folder: Path, agency: str, address: str, broker: str, more: Mapping[str, Any]
) -> None:
    officers = []
    for planned in federation.plans[agency].officers:
        kept = folder / "officers" / f"{planned.id}.passphrase"
        passphrase = kept.read_text("utf-8").strip() if kept.exists() else _passphrase(kept.parent, kept.name)
        made = new_officer(planned.id, passphrase, planned.roles, display=planned.display, cost=OFFICER_COST)
        officers.append(replace(made, **read_rights(planned.rights)))
    trust, profile = federation.directory.to_bytes(), new_profile(agency, officers)
    write_home(
        folder, fed=federation.fed, broker=f"http://{broker}", trust=trust, profile=profile, listen=address, **more
    )
    if agency in (tables := load_offences()):
        replace_file(folder / OFFENCES, read_table(tables[agency]).to_bytes())
    passphrase = _passphrase(folder)
    federation.identities[agency].save(folder / "keys.json", passphrase)
    new_witness(folder, agency, passphrase)


def _passphrase(folder: Path, name: str = "passphrase") -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = new_passphrase()
    replace_file(folder / name, f"{drawn}\n".encode())
    return drawn
