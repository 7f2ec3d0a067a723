import pytest

from storyloom.generators.json_schema import closed, constraint
from storyloom.memory.errors import UnsupportedRequest


def test_objects_are_closed_wherever_they_stand() -> None:
    part = {"type": "object", "properties": {"a": {"type": "string"}}}
    shut = {**part, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {"properties": part, "list": {"type": "array", "items": part}},
        "$defs": {"one": part},
        "anyOf": [part, True],
        "additionalProperties": part,
    }
    assert closed(schema) == {
        "type": "object",
        "properties": {"properties": shut, "list": {"type": "array", "items": shut}},
        "$defs": {"one": shut},
        "anyOf": [shut, True],
        "additionalProperties": shut,
    }
    assert "additionalProperties" not in part


def test_an_object_without_named_properties_stays_open() -> None:
    assert closed({"type": "object"}) == {"type": "object"}


def test_a_good_schema_is_taken() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert constraint(schema)["additionalProperties"] is False


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#/nowhere"}])
def test_a_bad_schema_is_refused(schema: dict[str, str]) -> None:
    with pytest.raises(UnsupportedRequest, match="can't steer a model"):
        constraint(schema)
