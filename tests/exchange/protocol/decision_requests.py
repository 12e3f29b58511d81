"""A request as JSON and back: that of a decision case, with what their records say in place of the agencies' ids."""

from __future__ import annotations

from typing import Any

from exchange.protocol.matching import Consent, Party, Request, Source
from keys.encoding import instant, stamp


def write_request(request: Request) -> dict[str, Any]:
    """Everything a decision may depend on, parties with their records' roles, ceiling and territory."""
    members = {
        "from": _write_party(request.discloser),
        "to": [_write_party(party) for party in request.recipients],
        "agr": request.agreement,
        "type": request.type,
        "purpose": request.purpose,
        "crime": request.crime,
        "cats": sorted(request.cats),
        "class": request.classification,
        "handling": sorted(request.handling),
        "urgency": request.urgency,
        "sources": [_write_source(source) for source in request.sources],
    }
    return members if request.exempt is None else {**members, "exempt": request.exempt}


def read_request(members: dict[str, Any]) -> Request:
    """The request that ``write_request`` wrote."""
    return Request(
        _read_party(members["from"]),
        tuple(_read_party(party) for party in members["to"]),
        members["agr"],
        members["type"],
        members["purpose"],
        members["crime"],
        frozenset(members["cats"]),
        members["class"],
        frozenset(members["handling"]),
        members["urgency"],
        members.get("exempt"),
        tuple(read_source(source) for source in members.get("sources", [])),
    )


def read_source(source: dict[str, Any]) -> Source:
    """One message that another is derived from."""
    consents = tuple(
        Consent(
            one["holder"],
            frozenset(one["to"]),
            frozenset(one["purposes"]),
            instant(one["until"]),
            one["withdrawn"],
            tuple(one["fields"]),
        )
        for one in source["consents"]
    )
    return Source(
        source["msg"],
        source["originator"],
        source["holder_had"],
        source["stopped"],
        source["onward"],
        frozenset(source["parties"]),
        consents,
    )


def _write_source(source: Source) -> dict[str, Any]:
    return {
        "msg": source.msg,
        "originator": source.originator,
        "holder_had": source.holder_had,
        "stopped": source.stopped,
        "onward": source.onward,
        "parties": sorted(source.parties),
        "consents": [
            {
                "holder": one.holder,
                "to": sorted(one.to),
                "purposes": sorted(one.purposes),
                "until": stamp(one.until),
                "withdrawn": one.withdrawn,
                "fields": list(one.fields),
            }
            for one in source.consents
        ],
    }


def _write_party(party: Party) -> dict[str, Any]:
    return {"id": party.id, "roles": list(party.roles), "ceiling": party.ceiling, "territory": party.territory}


def _read_party(party: dict[str, Any]) -> Party:
    return Party(party["id"], tuple(party["roles"]), party["ceiling"], party["territory"])
