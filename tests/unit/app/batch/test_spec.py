"""The batch file's schema."""

import json

from storyloom.app.batch.spec import json_schema
from tests.conftest import ROOT


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((ROOT / "docs/batch.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "run: storyloom batch --schema > docs/batch.schema.json"


def test_an_editor_sees_what_every_field_is() -> None:
    schema = json_schema()
    story = schema["$defs"]["StoryItem"]
    assert story["additionalProperties"] is False
    assert all("description" in field for field in story["properties"].values())
    assert story["properties"]["lore"]["anyOf"][0] == {"type": "string"}
