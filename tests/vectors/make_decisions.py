# ruff: noqa: E501  # one case, one line, as far as it goes
"""Write the mandated decisions: ``python -m tests.vectors.make_decisions``.

What must be decided is written here by hand, from the specification; nothing of it is computed by the code under test.
Only digests and the policy's name are worked out, by AGR-1 and AGR-28. Run it when a rule changes or a case is added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exchange.protocol.terms import write_notice, write_terms
from keys.encoding import digest, stamp

FILE: Final = Path(__file__).with_name("decisions.json")
NOTICE: Final = "TEST VECTORS. Nothing here is signed. SIMULATION - synthetic data only."
FED: Final = digest(b"the federation of the decision cases")
FLOOR: Final = digest((Path(__file__).parents[2] / "spec" / "floor.json").read_bytes())
T0: Final = datetime(2026, 11, 1, tzinfo=UTC)
NOW: Final = T0 + timedelta(days=20, hours=16, minutes=20)
TICK: Final = timedelta(milliseconds=1)
DAY: Final = timedelta(days=1)
UNKNOWN: Final = digest(b"an agreement that nobody signed")

NORTH, SOUTH, LOW, FAR = "north.police.sim", "south.police.sim", "low.police.sim", "far.police.sim"
EAST, FIU, HUB, NGO, COURT = "east.border.sim", "north.fiu.sim", "hub.sim", "harbour.ngo.sim", "north.prosecutor.sim"
AGENCIES: Final = [
    {"id": NORTH, "roles": ["police"], "ceiling": "secret", "territory": "XN"},
    {"id": SOUTH, "roles": ["police"], "ceiling": "secret", "territory": "XS"},
    {"id": LOW, "roles": ["police"], "ceiling": "unclassified", "territory": "XN"},
    {"id": FAR, "roles": ["police"], "ceiling": "secret", "territory": "XZ"},
    {"id": EAST, "roles": ["border_guard", "police"], "ceiling": "confidential", "territory": "XE"},
    {"id": FIU, "roles": ["fiu"], "ceiling": "confidential", "territory": "XN"},
    {"id": HUB, "roles": ["hub"], "ceiling": "secret", "territory": "XH"},
    {"id": NGO, "roles": ["ngo"], "ceiling": "restricted", "territory": "XS"},
    {"id": COURT, "roles": ["prosecutor"], "ceiling": "confidential", "territory": "XN"},
]
POLICE: Final = ["role:police"]
ALL: Final = [NORTH, SOUTH, LOW, FAR, EAST, FIU, HUB, NGO, COURT]


def permit(id_: str = "p1", **changes: Any) -> dict[str, Any]:
    """The usual permit, changed; what is not a member of a clause is one of its conditions."""
    conditions: dict[str, Any] = {
        "handling_required": [], "urgency": ["normal", "u_direct"], "onward": "by_consent", "retention_days": 365,
        "evidence": True, "human_release": False,
    }  # fmt: skip
    clause: dict[str, Any] = {
        "id": id_, "effect": "permit", "title": "Police may ask and answer", "from": POLICE, "to": POLICE,
        "types": ["info_request", "info_reply"], "purposes": ["investigate"], "crimes": ["immigrant_smuggling"],
        "cats": ["smug_a_routes", "person_suspect"], "class_max": "restricted",
    }  # fmt: skip
    for name, value in changes.items():
        member = name.rstrip("_")
        (clause if member in clause else conditions)[member] = value
    return {**clause, "conditions": {name: value for name, value in conditions.items() if value is not None}}


def forbid(id_: str = "f1", **changes: Any) -> dict[str, Any]:
    """A forbid that stands against everything, changed."""
    clause: dict[str, Any] = {
        "id": id_, "effect": "forbid", "title": "Not this", "from": ["party:any"], "to": ["party:any"], "types": ["any"],
        "purposes": ["any"], "crimes": ["any"], "cats": ["any"],
    }  # fmt: skip
    return {**clause, **{name.rstrip("_"): value for name, value in changes.items()}}


class File:
    """The cases so far, and the statements they are about."""

    def __init__(self) -> None:
        self.agreements: dict[str, dict[str, Any]] = {}
        self.notices: dict[str, dict[str, Any]] = {}
        self.cases: list[dict[str, Any]] = []

    def agree(self, *clauses: dict[str, Any], **changes: Any) -> str:
        """An agreement with these clauses; its digest. The same terms are kept once."""
        terms = {
            "fed": FED, "id": "smuggling-routes", "version": 1, "title": "Against smuggling, by sea and by land",
            "kind": "task_force", "parties": [NORTH, SOUTH, LOW, FIU], "bases": ["smuggling_prot_10"],
            "territory": ["XN", "XS"], "start": T0, "end": T0 + 365 * DAY, "clauses": list(clauses or [permit()]),
        }  # fmt: skip
        payload = write_terms({**terms, **changes})
        name = f"{changes.get('id', 'smuggling-routes')} {len(self.agreements) + 1}"
        found = {"name": name, "digest": digest(payload), "terms": json.loads(payload)}
        return str(self.agreements.setdefault(digest(payload), found)["digest"])

    def note(self, act: str, agreement: str, by: str, at: datetime) -> str:
        """A notice; its digest."""
        payload = write_notice(act, fed=FED, agreement=agreement, by=by, ts=at, reason="We look into something first.")
        found = {"name": f"{act} {len(self.notices) + 1}", "digest": digest(payload), "terms": json.loads(payload)}
        return str(self.notices.setdefault(digest(payload), found)["digest"])

    def case(
        self,
        name: str,
        rules: str,
        agreement: str,
        expected: Callable[[dict[str, Any]], list[dict[str, Any]]],
        *,
        log: Sequence[tuple[str, datetime]] = (),
        now: datetime = NOW,
        code: str = "",
        **asked: Any,
    ) -> None:
        """One case: ``log`` is what was logged besides the named agreement, in order after it unless it is in it."""
        entries = list(log) if any(entry[0] == agreement for entry in log) else [(agreement, T0), *log]
        entries = [entry for entry in entries if entry[0] != UNKNOWN]
        request: dict[str, Any] = {
            "from": NORTH, "to": [SOUTH], "agr": agreement, "type": "info_request", "purpose": "investigate",
            "crime": "immigrant_smuggling", "cats": ["smug_a_routes"], "class": "restricted", "handling": ["H0"],
            "urgency": "normal", "sources": [],
        }  # fmt: skip
        request |= {member.rstrip("_"): value for member, value in asked.items()}
        recipients = expected(request)
        denied = [one["code"] for one in recipients if one["code"] != "permitted"]
        assert code or len(set(denied)) <= 1, "say the message's code"
        told = code or (denied[0] if denied else "permitted")
        policy = digest(b"")
        for statement, at in entries:
            if at <= now:
                policy = digest(f"{policy}\n{statement}".encode("ascii"))
        outcome = "permit" if told == "permitted" else "deny"
        self.cases.append(
            {
                "name": name,
                "rules": [f"AGR-{number}" for number in rules.split()],
                "log": [{"statement": statement, "at": stamp(at)} for statement, at in entries],
                "now": stamp(now),
                "request": request,
                "expected": {"outcome": outcome, "code": told, "policy": policy, "recipients": recipients},
            }
        )


Expected = Callable[[dict[str, Any]], list[dict[str, Any]]]


def owed(**changes: Any) -> dict[str, Any]:
    """What the usual permit ties to a disclosure, changed; `None` leaves a member out."""
    usual = {
        "onward": "by_consent",
        "evidence": True,
        "human_release": False,
        "second_approver": False,
        "retention_days": 365,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def _permitted(id_: str, clauses: Sequence[str], obligations: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "code": "permitted", "clauses": list(clauses), "obligations": obligations, "nearest": []}


def yes(*clauses: str, **obligations: Any) -> Expected:
    """Every recipient is permitted by these clauses."""
    return lambda asked: [_permitted(id_, clauses or ["p1"], owed(**obligations)) for id_ in asked["to"]]


def no(code: str, *near: tuple[str, str, str]) -> Expected:
    """Every recipient is denied; nearest are (agreement, clause, the conditions it missed)."""

    def expected(asked: dict[str, Any]) -> list[dict[str, Any]]:
        nearest = [{"agreement": a, "clause": c, "missed": missed.split()} for a, c, missed in near]
        return [{"id": id_, "code": code, "clauses": [], "nearest": nearest} for id_ in asked["to"]]

    return expected


def never(*against: tuple[str, str, str]) -> Expected:
    """Every recipient is forbidden, by (agreement, clause, the categories it caught)."""

    def expected(asked: dict[str, Any]) -> list[dict[str, Any]]:
        nearest = [{"agreement": a, "clause": c, "caught": caught.split()} for a, c, caught in against]
        clauses = [clause for _, clause, _ in against]
        return [{"id": id_, "code": "forbidden", "clauses": clauses, "nearest": nearest} for id_ in asked["to"]]

    return expected


def each(*expected: Expected) -> Expected:
    """One expectation per recipient, in their order."""
    return lambda asked: [one({**asked, "to": [id_]})[0] for one, id_ in zip(expected, asked["to"], strict=True)]


def source(**changes: Any) -> dict[str, Any]:
    """A source that binds the discloser by consent and has none."""
    usual = {
        "msg": digest(b"a source"), "originator": FIU, "holder_had": True, "stopped": False, "onward": "by_consent",
        "parties": [NORTH, FIU], "consents": [],
    }  # fmt: skip
    return {**usual, **changes}


def consent(**changes: Any) -> dict[str, Any]:
    """A consent that covers the usual request."""
    usual = {
        "holder": NORTH, "to": [SOUTH], "purposes": ["investigate"], "until": stamp(NOW + DAY), "withdrawn": False,
        "fields": [""],
    }  # fmt: skip
    return {**usual, **changes}


def matching(f: File) -> None:
    """AGR-7 to AGR-11: what a permit covers, and each of its twelve conditions missed alone."""
    usual = f.agree()
    f.case("what a clause covers is permitted", "8 30 33 36", usual, yes())
    f.case(
        "every clause that matches is named, in the order of the agreement",
        "33 36",
        f.agree(permit("second"), permit("first")),
        yes("second", "first"),
    )
    f.case(
        "a clause of the opposite direction does not count",
        "8 30",
        f.agree(permit(to=["role:fiu"])),
        no("no_clause", (f.agree(permit(to=["role:fiu"])), "p1", "to")),
    )
    from_fiu = f.agree(permit(from_=["role:fiu"]))
    f.case("the discloser is not named", "8 41", from_fiu, no("no_clause", (from_fiu, "p1", "from")))
    f.case(
        "the recipient is not named", "8 41", usual, no("no_clause", (usual, "p1", "to")), to=[FIU], class_="restricted"
    )
    f.case("the type is not listed", "8 41", usual, no("no_clause", (usual, "p1", "type")), type="evidence_transfer")
    f.case("the purpose is not listed", "8 41", usual, no("no_clause", (usual, "p1", "purpose")), purpose="prosecute")
    f.case("the crime is not listed", "8 41", usual, no("no_clause", (usual, "p1", "crime")), crime="terrorism")
    f.case("the urgency is not listed", "8 41", usual, no("no_clause", (usual, "p1", "urgency")), urgency="u_indirect")
    f.case(
        "the classification is above the clause's",
        "8 41",
        usual,
        no("no_clause", (usual, "p1", "class")),
        class_="confidential",
    )
    f.case(
        "the classification is above the recipient's ceiling",
        "8 33 39",
        usual,
        no("above_ceiling", (usual, "p1", "ceiling")),
        to=[LOW],
    )
    f.case("a ceiling binds who receives, not who sends", "39", usual, yes(), from_=LOW)
    f.case(
        "one category is not listed",
        "8 41",
        usual,
        no("no_clause", (usual, "p1", "cats")),
        cats=["data_minor", "smug_a_routes"],
    )
    marked = f.agree(permit(handling_required=["H1", "H2"]))
    f.case("one handling code is not set", "8 41", marked, no("no_clause", (marked, "p1", "handling")), handling=["H2"])
    f.case("the handling codes are set", "8 53", marked, yes(evidence=False), handling=["H1", "H2"])
    abroad = f.agree(parties=[NORTH, FAR])
    f.case(
        "the recipient works outside the territory",
        "8 57",
        abroad,
        no("no_clause", (abroad, "p1", "territory")),
        to=[FAR],
    )
    f.case("the discloser may work outside the territory", "57", abroad, yes(), from_=FAR, to=[NORTH])
    based = f.agree(permit(transfer="safeguards"), parties=[NORTH, FAR])
    f.case("a basis reaches outside the territory", "57", based, yes(), to=[FAR])
    nowhere = f.agree(territory=[])
    f.case("an empty territory is nowhere", "7 57", nowhere, no("no_clause", (nowhere, "p1", "territory")))
    f.case(
        "up to its level a classification is covered", "8", f.agree(permit(class_max="secret")), yes(), class_="secret"
    )
    f.case(
        "several conditions missed are all named, in their order",
        "41",
        usual,
        no("no_clause", (usual, "p1", "type purpose urgency cats")),
        type="hit_report",
        purpose="prevent",
        urgency="none",
        cats=["data_minor"],
    )
    empty = f.agree(permit(from_=[]))
    f.case("an empty list of names is nobody", "7", empty, no("no_clause", (empty, "p1", "from")))
    untyped = f.agree(permit(types=[]))
    f.case("an empty list of types is none", "7", untyped, no("no_clause", (untyped, "p1", "type")))
    bare = f.agree(permit(cats=[]))
    f.case("an empty list of categories covers what carries none", "7", bare, yes(), cats=[])
    f.case("an empty list of categories covers nothing else", "7", bare, no("no_clause", (bare, "p1", "cats")))
    f.case("a message without categories meets any list of them", "8", usual, yes(), cats=[])
    f.case("names by agency", "11", f.agree(permit(from_=[NORTH], to=[SOUTH])), yes())
    f.case("names by territory", "11", f.agree(permit(from_=["territory:XN"], to=["territory:XS"])), yes())
    f.case("names any party", "11", f.agree(permit(from_=["party:any"], to=["party:any"])), yes())
    f.case(
        "any party is a party, not anybody",
        "11 33",
        f.agree(permit(from_=["party:any"], to=["party:any"])),
        no("not_a_party"),
        to=[COURT],
    )
    f.case(
        "an agency with two roles is named by either",
        "11",
        f.agree(permit(to=["role:border_guard"]), parties=[NORTH, EAST], territory=["XE"]),
        yes(),
        to=[EAST],
    )
    f.case("an unknown type matches no permit", "33", usual, no("no_clause", (usual, "p1", "type")), type="gossip")
    f.case(
        "an unknown classification is above every ceiling",
        "39",
        usual,
        no("above_ceiling", (usual, "p1", "class ceiling")),
        class_="cosmic",
    )


def messages(f: File) -> None:
    """AGR-30, AGR-31, AGR-35, AGR-40: several recipients, other agreements, what is nearest."""
    usual = f.agree()
    wide = f.agree(permit(to=["party:any"]))
    f.case("nobody to tell is nobody told", "35", usual, no("no_clause"), to=[], code="no_clause")
    f.case("two recipients, both permitted", "35", wide, yes(), to=[SOUTH, FIU])
    f.case(
        "one recipient denied denies the message",
        "35",
        usual,
        each(yes(), no("no_clause", (usual, "p1", "to"))),
        to=[SOUTH, FIU],
        code="no_clause",
    )
    f.case(
        "of two codes the message has the first in the list",
        "35",
        usual,
        each(no("above_ceiling", (usual, "p1", "ceiling")), no("no_clause", (usual, "p1", "to"))),
        to=[LOW, FIU],
        code="above_ceiling",
    )
    stop = f.agree(forbid(to=["role:fiu"]), permit(to=["party:any"]))
    f.case(
        "a forbidden recipient gives the message its code",
        "35",
        stop,
        each(no("above_ceiling", (stop, "p1", "ceiling")), never((stop, "f1", ""))),
        to=[LOW, FIU],
        code="forbidden",
    )
    other = f.agree(permit(purposes=["prosecute"]), id="courts")
    f.case(
        "a permit of another agreement does not help, and is pointed out",
        "31 40 41",
        usual,
        no("no_clause", (other, "p1", ""), (usual, "p1", "purpose")),
        log=[(other, T0)],
        purpose="prosecute",
    )
    two = f.agree(
        permit("far", types=["hit_report"], crimes=["terrorism"]),
        permit("near", types=["hit_report"]),
        permit("also", crimes=["terrorism"]),
        permit("more", crimes=["corruption"]),
    )
    f.case(
        "nearest are the two that miss least, ties in the order of clauses",
        "40",
        two,
        no("no_clause", (two, "near", "type"), (two, "also", "crime")),
    )
    level = f.agree(permit(crimes=["corruption"]), id="as-near")
    f.case(
        "another agreement that is only as near is not shown",
        "40",
        two,
        no("no_clause", (two, "near", "type"), (two, "also", "crime")),
        log=[(level, T0)],
    )
    f.case("who is no party is told nothing near either", "33 40", usual, no("not_a_party"), to=[COURT])
    f.case("a discloser that is no party", "33", usual, no("not_a_party"), from_=COURT)
    shared = f.agree(permit(to=["role:prosecutor"]), id="courts", parties=[NORTH, COURT])
    f.case(
        "not a party, but there is an agreement to name instead",
        "33 40",
        usual,
        no("not_a_party", (shared, "p1", "")),
        log=[(shared, T0)],
        to=[COURT],
    )


def states(f: File) -> None:
    """AGR-18 to AGR-26: an agreement counts from its instant to its instant, and not when somebody stopped it."""
    usual, end = f.agree(), T0 + 365 * DAY
    f.case("an agreement that nobody has signed", "18 33", UNKNOWN, no("agreement_unknown"))
    f.case(
        "an unknown agreement, while another would permit",
        "33 40",
        UNKNOWN,
        no("agreement_unknown", (usual, "p1", "")),
        log=[(usual, T0)],
    )
    late = f.agree(start=T0 + 30 * DAY)
    f.case("before its start", "18", late, no("agreement_not_in_force"), now=T0 + 30 * DAY - TICK)
    f.case("at its start", "18", late, yes(), now=T0 + 30 * DAY)
    f.case("before it was logged", "18 28", usual, no("agreement_not_in_force"), log=[(usual, NOW + TICK)])
    f.case("when it was logged", "18", usual, yes(), log=[(usual, NOW)])
    f.case("just before its end", "18", usual, yes(), now=end - TICK)
    f.case("at its end", "18 33", usual, no("agreement_expired"), now=end)
    new = f.agree(permit(crimes=["terrorism"]), version=2, replaces=usual, start=T0 + 10 * DAY)
    f.case(
        "a version takes over",
        "18 20 33",
        usual,
        no("agreement_superseded", (new, "p1", "crime")),
        log=[(new, T0 + DAY)],
    )
    f.case(
        "the version before counts until the next one starts",
        "18",
        usual,
        yes(),
        log=[(new, T0 + DAY)],
        now=T0 + 10 * DAY - TICK,
    )
    f.case(
        "the next version counts from its start",
        "18",
        new,
        yes(),
        log=[(usual, T0), (new, T0 + DAY)],
        crime="terrorism",
    )
    stopped = f.note("suspend", new, SOUTH, T0 + 15 * DAY)
    f.case(
        "a superseded version does not come back when the next is suspended",
        "21",
        usual,
        no("agreement_superseded"),
        log=[(new, T0 + DAY), (stopped, T0 + 15 * DAY)],
    )
    suspend, resume = f.note("suspend", usual, FIU, T0 + DAY), f.note("resume", usual, FIU, T0 + 2 * DAY)
    again, leave = f.note("suspend", usual, SOUTH, T0 + 3 * DAY), f.note("leave", usual, LOW, T0 + 4 * DAY)
    f.case(
        "suspended by a party that takes no part", "25 33", usual, no("agreement_suspended"), log=[(suspend, T0 + DAY)]
    )
    f.case("a suspension counts from its log time", "22", usual, yes(), log=[(suspend, NOW + TICK)])
    f.case("resumed", "25", usual, yes(), log=[(suspend, T0 + DAY), (resume, T0 + 2 * DAY)])
    f.case(
        "suspended by two, resumed by one",
        "25",
        usual,
        no("agreement_suspended"),
        log=[(again, T0 + DAY), (suspend, T0 + DAY), (resume, T0 + 2 * DAY)],
    )
    f.case("left by one is left for all", "26 33", usual, no("agreement_not_in_force"), log=[(leave, T0 + 4 * DAY)])


def forbids(f: File) -> None:
    """AGR-9, AGR-32, AGR-42, AGR-51, AGR-52: what is forbidden whatever is permitted."""
    caught = f.agree(permit(), forbid(cats=["person_suspect", "data_minor"]))
    f.case(
        "one forbidden category is enough",
        "9 32 42",
        caught,
        never((caught, "f1", "person_suspect")),
        cats=["person_suspect", "smug_a_routes"],
    )
    f.case("a forbid of other categories", "9", caught, yes())
    always = f.agree(permit(), forbid())
    f.case("any category, and none", "9", always, never((always, "f1", "")), cats=[])
    for member in ("from_", "to", "types", "purposes", "crimes", "cats"):
        f.case(
            f"a forbid with an empty list of {member.rstrip('_')} forbids nothing",
            "7",
            f.agree(permit(), forbid(**{member: []})),
            yes(),
        )
    usual = f.agree()
    beside = f.agree(forbid(cats=["smug_a_routes"]), id="no-routes")
    f.case(
        "a forbid of another agreement between the two",
        "32",
        usual,
        never((beside, "f1", "smug_a_routes")),
        log=[(beside, T0)],
    )
    first, last = f.agree(forbid("z"), forbid("a"), id="aa"), f.agree(forbid("m"), id="zz")
    f.case(
        "every forbid is named, by the agreements' ids and then their clauses",
        "42",
        usual,
        never((first, "z", ""), (first, "a", ""), (last, "m", "")),
        log=[(last, T0), (first, T0)],
    )
    elsewhere = f.agree(forbid(), id="no-routes", parties=[NORTH, COURT])
    f.case("a forbid of an agreement that only one of the two signed", "32", usual, yes(), log=[(elsewhere, T0)])
    ended = f.agree(forbid(), id="no-routes", end=T0 + DAY)
    f.case("a forbid that has ended", "18 32", usual, yes(), log=[(ended, T0)])
    held = f.note("suspend", beside, LOW, T0 + DAY)
    f.case("a forbid that is suspended", "18 32", usual, yes(), log=[(beside, T0), (held, T0 + DAY)])
    f.case(
        "a forbid comes before the state of the named agreement",
        "33",
        UNKNOWN,
        never((beside, "f1", "smug_a_routes")),
        log=[(beside, T0)],
    )
    bond = f.agree(forbid(reach="everyone", cats=["smug_a_routes"]), id="promise", parties=[NORTH, NGO])
    f.case(
        "a forbid that reaches everyone binds its party whoever it tells",
        "32 52",
        usual,
        never((bond, "f1", "smug_a_routes")),
        log=[(bond, T0)],
    )
    f.case("and nobody else", "52", usual, yes(), log=[(bond, T0)], from_=LOW)
    f.case("nor what its party is told", "52", usual, yes(), log=[(bond, T0)], from_=SOUTH, to=[NORTH])
    aimed = f.agree(forbid(reach="everyone", to=["territory:XS"]), id="promise", parties=[NORTH, NGO])
    f.case("it may name those who never signed it", "52", usual, never((aimed, "f1", "")), log=[(aimed, T0)])
    f.case("and leaves others alone", "52", f.agree(permit(to=["role:fiu"])), yes(), log=[(aimed, T0)], to=[FIU])


def groups(f: File) -> None:
    """AGR-51: a group names its members while it lives."""
    until = NOW + DAY
    team = {"id": "team", "members": [SOUTH], "until": stamp(until), "purposes": ["investigate"]}
    usual = f.agree(permit(to=["group:team"]), groups=[team])
    f.case("a member of a group", "11 51", usual, yes())
    f.case("a party that is no member", "51", usual, no("no_clause", (usual, "p1", "to")), to=[FIU])
    f.case("a group until its last instant", "51", usual, yes(), now=until - TICK)
    f.case("an expired group is nobody", "51", usual, no("no_clause", (usual, "p1", "to")), now=until)
    empty = f.agree(permit(to=["group:team"]), groups=[{**team, "members": []}])
    f.case("an empty group is nobody, not everyone", "7 51", empty, no("no_clause", (empty, "p1", "to")))
    kept = f.agree(permit(to=["party:any"]), forbid(to=["group:team"]), groups=[team])
    f.case("a forbid to a group", "51", kept, never((kept, "f1", "")))
    f.case("a forbid to an expired group", "51", kept, yes(), now=until)
    mine = f.agree(permit(), id="other-team", groups=[{**team, "members": [LOW]}])
    f.case("a group of one agreement means nothing in another", "51", usual, yes(), log=[(mine, T0)])


def copies(f: File) -> None:
    """AGR-58: whoever must have a copy takes part, or the message is exempt."""
    wide = {"to": ["role:police", "role:hub"], "copy_to": HUB}
    spoc = f.agree(permit(**wide), parties=[NORTH, SOUTH, HUB], territory=["XN", "XS", "XH"])
    f.case("without the copy", "8 58", spoc, no("no_clause", (spoc, "p1", "copy")))
    f.case("with the copy", "58", spoc, yes(), to=[SOUTH, HUB])
    f.case("to the one who would have the copy", "58", spoc, yes(), to=[HUB])
    hub = f.agree(permit(from_=["role:hub"], copy_to=HUB), parties=[NORTH, SOUTH, HUB])
    f.case("by the one who would have the copy", "58", hub, yes(), from_=HUB)
    f.case(
        "an exemption that the clause does not have",
        "58",
        spoc,
        no("no_clause", (spoc, "p1", "copy")),
        exempt="sensitive_case",
    )
    spared = f.agree(
        permit(**wide, copy_exempt=["sensitive_case"]), parties=[NORTH, SOUTH, HUB], territory=["XN", "XS", "XH"]
    )
    f.case("an exemption that the clause has", "58", spared, yes(), exempt="sensitive_case")
    f.case(
        "another exemption than the clause has",
        "58",
        spared,
        no("no_clause", (spared, "p1", "copy")),
        exempt="imminent_danger",
    )
    closed = f.agree(permit(copy_to=HUB), parties=[NORTH, SOUTH, HUB], territory=["XN", "XS", "XH"])
    f.case(
        "a copy that may not be told denies the message",
        "35 58",
        closed,
        each(yes(), no("no_clause", (closed, "p1", "to"))),
        to=[SOUTH, HUB],
        code="no_clause",
    )


def floor(f: File) -> None:
    """AGR-64 to AGR-67: what no agreement can sign away."""
    every = {
        "from_": ["party:any"],
        "to": ["party:any"],
        "types": ["info_request", "clarification_request", "victim_referral", "evidence_transfer", "info_reply"],
    }
    cats = [
        "smug_a_routes",
        "person_suspect",
        "person_victim",
        "data_victimisation",
        "data_protection_claim",
        "person_informant",
        "data_sealed_identity",
    ]
    open_ = f.agree(
        permit(
            **every,
            cats=cats,
            purposes=["investigate", "victim_protection", "border_check", "asylum_assessment"],
            crimes=["immigrant_smuggling", "human_trafficking"],
        ),
        id="all-of-it",
        parties=ALL,
        territory=["XN", "XS"],
    )
    f.case(
        "a support organisation does not query", "66", open_, never((FLOOR, "floor-query", "")), from_=NGO, to=[NORTH]
    )
    f.case(
        "nor does it ask to clarify",
        "66",
        open_,
        never((FLOOR, "floor-query", "")),
        from_=NGO,
        to=[NORTH],
        type="clarification_request",
        cats=[],
    )
    f.case(
        "a support organisation refers",
        "66",
        open_,
        yes(),
        from_=NGO,
        to=[NORTH],
        type="victim_referral",
        purpose="victim_protection",
        cats=["person_victim"],
    )
    f.case(
        "a support organisation receives a referral",
        "66",
        open_,
        yes(),
        to=[NGO],
        type="victim_referral",
        purpose="victim_protection",
        cats=["data_sealed_identity", "person_victim"],
    )
    f.case(
        "a support organisation learns nothing of suspects",
        "42 66",
        open_,
        never((FLOOR, "floor-ngo", "person_suspect")),
        to=[NGO],
        type="info_reply",
        cats=["person_suspect", "person_victim"],
    )
    f.case(
        "a victim is not used for a border check",
        "66",
        open_,
        never((FLOOR, "floor-victim", "person_victim")),
        purpose="border_check",
        cats=["person_victim", "smug_a_routes"],
    )
    f.case(
        "a claim to protection is not used in its assessment",
        "66",
        open_,
        never((FLOOR, "floor-victim", "data_protection_claim")),
        purpose="asylum_assessment",
        cats=["data_protection_claim"],
    )
    f.case(
        "an informant never becomes evidence",
        "66",
        open_,
        never((FLOOR, "floor-source", "person_informant")),
        type="evidence_transfer",
        cats=["person_informant"],
    )
    f.case(
        "the floor counts though the agreement is unknown",
        "66",
        UNKNOWN,
        never((FLOOR, "floor-source", "person_informant")),
        type="evidence_transfer",
        cats=["person_informant"],
    )
    mixed = f.agree(permit(), forbid(cats=["person_victim"]), id="zz-later", parties=ALL)
    f.case(
        "the floor and an agreement forbid",
        "42 66",
        mixed,
        never((FLOOR, "floor-victim", "person_victim"), (mixed, "f1", "person_victim")),
        purpose="border_check",
        cats=["person_victim"],
    )

    free = {"type": "exculpatory_notice", "cats": []}
    freed = yes("floor-exculp", onward="within_parties", retention_days=None)
    strict = f.agree(permit(), forbid())
    f.case("what speaks for an accused comes before every forbid", "67", strict, freed, **free)
    suspend = f.note("suspend", strict, SOUTH, T0 + DAY)
    f.case("and when the agreement is suspended", "67", strict, freed, log=[(suspend, T0 + DAY)], **free)
    f.case("and when it has ended", "67", strict, freed, now=T0 + 400 * DAY, **free)
    f.case(
        "and for every purpose, out of every territory, purged or not",
        "67",
        f.agree(parties=[NORTH, FAR], purge_days=7),
        freed,
        to=[FAR],
        purpose="asylum_assessment",
        crime="corruption",
        **free,
    )
    f.case("and its sources are not judged", "67", strict, freed, sources=[source(onward="none")], **free)
    f.case(
        "its handling codes tighten it",
        "53 67",
        strict,
        yes("floor-exculp", onward="by_consent", evidence=False, retention_days=None),
        handling=["H1", "H2"],
        **free,
    )
    f.case("but not under an unknown agreement", "67", UNKNOWN, no("agreement_unknown"), **free)
    f.case("but not between those who are no parties", "67", strict, no("not_a_party"), to=[COURT], **free)
    low = f.agree()
    f.case(
        "but not above the recipient's ceiling",
        "39 67",
        low,
        no("above_ceiling", (low, "p1", "type ceiling")),
        to=[LOW],
        **free,
    )
    f.case(
        "but not with anything else in it",
        "67",
        strict,
        never((strict, "f1", "")),
        type="exculpatory_notice",
        cats=["person_suspect"],
    )


def obligations(f: File) -> None:
    """AGR-36, AGR-53 to AGR-56: the strictest of all, and of the message itself."""
    loose, tight = (
        permit("loose", onward="within_parties", retention_days=None),
        permit("tight", onward="by_field", retention_days=30, evidence=False, human_release=True, review_days=10),
    )
    f.case(
        "the strictest of two clauses binds",
        "36",
        f.agree(loose, tight),
        yes("loose", "tight", onward="by_field", evidence=False, human_release=True, retention_days=30, review_days=10),
    )
    f.case(
        "none is stricter than by field",
        "36",
        f.agree(tight, permit("p2", onward="none")),
        yes("tight", "p2", onward="none", evidence=False, human_release=True, retention_days=30, review_days=10),
    )
    f.case(
        "a clause that does not match ties nothing",
        "36",
        f.agree(permit(), permit("p2", types=["hit_report"], onward="none")),
        yes(),
    )
    f.case("h1 is no evidence", "53", f.agree(), yes(evidence=False), handling=["H1"])
    f.case("h2 asks for consent", "53", f.agree(permit(onward="within_parties")), yes(), handling=["H2"])
    f.case("h2 loosens nothing", "53", f.agree(permit(onward="none")), yes(onward="none"), handling=["H2"])
    f.case(
        "a special category has two approvers",
        "53 56",
        f.agree(permit(cats=["data_special_category"])),
        yes(human_release=True, second_approver=True),
        cats=["data_special_category"],
    )
    second = f.agree(permit(second_approver="restricted"))
    f.case("from its level two approve", "56", second, yes(human_release=True, second_approver=True))
    f.case("below it they need not", "56", second, yes(), class_="unclassified")
    f.case("what is purged", "36 54", f.agree(purge_days=14), yes(purge_days=14))
    f.case("purged at once", "54", f.agree(purge_days=0), yes(purge_days=0))
    f.case("what is reviewed", "54", f.agree(permit(review_days=90)), yes(review_days=90))
    cleared, trained = (
        {"clearance": "restricted", "training": ["victim_care"]},
        {"clearance": "confidential", "training": ["financial"], "roles": ["officer", "protection_officer"]},
    )
    f.case("readers of one clause", "55", f.agree(permit(readers=cleared)), yes(readers=cleared))
    f.case(
        "readers of two clauses, one without roles",
        "36 55",
        f.agree(permit(readers=cleared), permit("p2", readers=trained)),
        yes(
            "p1",
            "p2",
            readers={
                "clearance": "confidential",
                "training": ["financial", "victim_care"],
                "roles": ["officer", "protection_officer"],
            },
        ),
    )
    f.case(
        "readers that have no role in common are nobody",
        "36 55",
        f.agree(permit(readers={"roles": ["officer"]}), permit("p2", readers={"roles": ["protection_officer"]})),
        yes("p1", "p2", readers={"training": [], "roles": []}),
    )


def sources(f: File) -> None:
    """AGR-60 to AGR-63: what a message was taken from binds it."""
    usual = f.agree()
    blocked = (usual, "p1", "source")

    def judged(name: str, expected: Expected, *what: dict[str, Any], rules: str = "61", **more: Any) -> None:
        f.case(name, rules, usual, expected, sources=list(what), **more)

    judged(
        "a source the discloser never had",
        no("source_unknown", blocked),
        source(holder_had=False, onward="within_parties"),
        rules="61 63",
    )
    judged("a source of one's own", yes(), source(originator=NORTH, onward="none", stopped=True))
    judged("a source that was recalled", no("source_stopped", blocked), source(stopped=True, consents=[consent()]))
    judged("a source told to its originator", yes(), source(originator=SOUTH, onward="none"))
    judged(
        "a recalled source told to its originator",
        no("source_stopped", blocked),
        source(originator=SOUTH, stopped=True),
    )
    judged("a source within the parties", yes(), source(onward="within_parties", parties=[NORTH, SOUTH]))
    judged(
        "a source within parties that the recipient is none of",
        no("consent_missing", blocked),
        source(onward="within_parties"),
    )
    judged("out of the parties by consent", yes(), source(onward="within_parties", consents=[consent()]), rules="61 62")
    judged(
        "a source that nobody passes on", no("onward_forbidden", blocked), source(onward="none", consents=[consent()])
    )
    judged(
        "a source with a rule that nobody knows",
        no("onward_forbidden", blocked),
        source(onward="by_weather", consents=[consent()]),
    )
    judged("a source without consent", no("consent_missing", blocked), source(), rules="61 63")
    judged("a source by consent", yes(), source(consents=[consent()]), rules="61 62")
    judged(
        "a source field by field",
        yes(),
        source(onward="by_field", consents=[consent(fields=["/persons/0/names"])]),
        rules="61 62",
    )
    judged(
        "a source field by field, and a consent to the whole",
        no("consent_missing", blocked),
        source(onward="by_field", consents=[consent()]),
        rules="62",
    )
    for name, change in (
        ("for another holder", {"holder": FIU}), ("for another recipient", {"to": [LOW]}), ("for another purpose", {"purposes": ["prosecute"]}),
        ("until now", {"until": stamp(NOW)}), ("that was withdrawn", {"withdrawn": True}), ("to nothing of it", {"fields": []}),
    ):  # fmt: skip
        judged(f"a consent {name}", no("consent_missing", blocked), source(consents=[consent(**change)]), rules="62")
    judged("one good consent among bad ones", yes(), source(consents=[consent(withdrawn=True), consent()]), rules="62")
    other = source(msg=digest(b"another source"), stopped=True)
    judged(
        "of two sources the worse gives the code, and both are shown",
        no("source_stopped", (usual, "p1", "source source")),
        source(),
        other,
        rules="61 63",
    )
    judged(
        "one source free, one not",
        no("consent_missing", blocked),
        source(originator=NORTH),
        source(msg=digest(b"another source")),
    )
    judged(
        "sources are judged after clauses",
        no("no_clause", (usual, "p1", "crime")),
        source(onward="none"),
        rules="33 61",
        crime="terrorism",
    )
    wide = f.agree(permit(to=["party:any"]))
    f.case(
        "each recipient for itself",
        "35 61",
        wide,
        each(no("consent_missing", (wide, "p1", "source")), yes()),
        to=[SOUTH, FIU],
        sources=[source()],
        code="consent_missing",
    )
    two = f.agree(permit("a"), permit("b"), permit("c"))
    f.case(
        "a denial for its sources shows the first two permits",
        "63",
        two,
        no("onward_forbidden", (two, "a", "source"), (two, "b", "source")),
        sources=[source(onward="none")],
    )


def write() -> str:
    """The text of the file."""
    file = File()
    for chapter in (matching, messages, states, forbids, groups, copies, floor, obligations, sources):
        chapter(file)
    used = {entry["statement"] for case in file.cases for entry in case["log"]}
    document = {
        "notice": NOTICE,
        "agencies": AGENCIES,
        "agreements": [one for one in file.agreements.values() if one["digest"] in used],
        "notices": [one for one in file.notices.values() if one["digest"] in used],
        "cases": file.cases,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(write(), encoding="utf-8")
