"""JSON schemas as constrained decoding needs them. Knows no engine; the grammar library is llguidance."""

import json
from collections.abc import Mapping
from typing import Any

from storyloom.memory.errors import UnsupportedRequest

_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else")


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which objects hold no more than their named properties.

    JSON Schema lets an object hold anything else as well, and a small model that may invent keys does.
    Objects that say what they allow (``additionalProperties``) keep their word.
    """
    copy = dict(schema)
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(copy.get(key), Mapping):
            copy[key] = {name: _closed_part(part) for name, part in copy[key].items()}
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(copy.get(key), list):
            copy[key] = [_closed_part(part) for part in copy[key]]
    for key in _SCHEMAS:
        if key in copy:
            copy[key] = _closed_part(copy[key])
    if "properties" in copy:
        copy.setdefault("additionalProperties", False)
    return copy


def _closed_part(part: Any) -> Any:
    return closed(part) if isinstance(part, Mapping) else part


def constraint(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The closed schema, checked, and asking for one line: else a small model may write white space only.

    Raises:
        UnsupportedRequest: the schema is malformed or uses what the grammar library lacks.
    """
    from llguidance import LLMatcher

    checked = closed(schema)
    problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(checked)))
    if problem:
        raise UnsupportedRequest(f"This JSON schema can't steer a model: {problem}. Simplify the schema.")
    return {**checked, "x-guidance": {"whitespace_flexible": False}}
