"""The published JSON Schemas, drawn from the models so that they cannot lag behind (CNT-5, MSG-3, AGR-2, ACT-2).

``python -m exchange.protocol.schemas case-message`` writes one to standard output; a test compares all
of them with the files in ``spec/schemas/``. A schema says the form; the numbered requirements say the rest.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from exchange.protocol.act import READER as ACTS
from exchange.protocol.content import CaseMessage
from exchange.protocol.decision_cases import DecisionCases
from exchange.protocol.labels import Labels
from exchange.protocol.manifest import Manifest
from exchange.protocol.terms import AgreementTerms
from keys.signing import ALGORITHMS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Published(GenerateJsonSchema):
    """Draft 2020-12 without `null`: a member without a value is left out (CNT-4)."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """No: a title made from the member's own name says nothing."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What may stand there when the member is present."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The default, unless it is absence."""
        drawn = super().default_schema(schema)
        if drawn.get("default", ...) is None:
            del drawn["default"]
        return drawn

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """An empty tuple is an empty array."""
        return super().tuple_schema(schema) if schema["items_schema"] else {"type": "array", "maxItems": 0}


def _of(model: type[BaseModel], name: str, title: str) -> dict[str, Any]:
    return _headed(model.model_json_schema(by_alias=True, schema_generator=_Published), name, title)


def _headed(drawn: dict[str, Any], name: str, title: str) -> dict[str, Any]:
    head = {"$schema": DIALECT, "$id": f"urn:ix:1:{name}", "title": title}
    return {**head, **{member: value for member, value in drawn.items() if member != "title"}}


def _text(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, **more}


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


_BASE64URL: Final = "^[A-Za-z0-9_-]*$"
_DIGEST: Final = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"


def _envelope() -> dict[str, Any]:
    signature = _object(protected=_text(_BASE64URL, maxLength=512), signature=_text(_BASE64URL))
    key = _object(kid=_text(_DIGEST), wrap=_text(_BASE64URL))
    sealed = _object(
        suite={"const": "647a-0001-0002"},
        keys={"type": "array", "items": key, "minItems": 1, "maxItems": 20},
        body=_text(_BASE64URL),
    )
    whole = _object(
        payload=_text(_BASE64URL),
        signatures={"type": "array", "items": signature, "minItems": 2, "maxItems": 2},
        sealed=sealed,
    )
    return {"$schema": DIALECT, "$id": "urn:ix:1:envelope", "title": "Envelope of ix/1 (MSG-2)", **whole}


def published() -> dict[str, dict[str, Any]]:
    """Every schema by name."""
    manifest = _of(Manifest, "manifest", "Manifest of ix/1 (MSG-3)")
    manifest["properties"]["sig"] = {"const": list(ALGORITHMS)}
    return {
        "case-message": _of(CaseMessage, "case-message", "Case message of ix/1 (CNT-5)"),
        "manifest": manifest,
        "envelope": _envelope(),
        "agreement": _of(AgreementTerms, "agreement", "Payload of an agreement of ix/1 (AGR-2)"),
        "decision-cases": _of(DecisionCases, "decision-cases", "Mandated decisions of ix/1 (AGR-68)"),
        "act": _headed(ACTS.json_schema(schema_generator=_Published), "act", "Payload of an act of ix/1 (ACT-2)"),
        "labels": _of(Labels, "labels", "Labels of the codes of ix/1 (VOC-10)"),
    }


def write_schema(name: str) -> str:
    """One schema as the text of its file."""
    return json.dumps(published()[name], indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_schema(sys.argv[1]))
