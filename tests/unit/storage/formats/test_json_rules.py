from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.story import Document, PassageKind, Provenance, Revision, Step, Story, Strand
from storyloom.storage.formats.json_model import (
    FORMAT,
    VERSION,
    PassageEntry,
    ProvenanceEntry,
    StoryEntry,
    StoryFile,
)
from storyloom.storage.formats.json_rules import faults, parents_first

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001
FIRST_DAY = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def parts(new_story: Callable[..., Story], new_step: Callable[..., Step]) -> dict[str, Any]:
    """The parts of a file in which all is well."""
    story = new_story(id="s")
    entry = StoryEntry(**{name: getattr(story, name) for name in StoryEntry.model_fields})
    strands = [
        Strand(id="main", story_id="s", created_at=story.created_at),
        Strand(id="side", story_id="s", parent_id="main", fork_depth=1, created_at=story.created_at),
    ]
    steps = [new_step("main", 1), new_step("main", 2), new_step("side", 2)]
    revision = Revision(
        id="r", story_id="s", strand_id=None, depth=None, subject="title", old="", new="", created_at=NOW
    )
    return {
        "story": entry,
        "strands": strands,
        "steps": steps,
        "passages": [
            PassageEntry(strand_id="main", depth=1, text="a", embedder="e", vector="AACAPw=="),
            PassageEntry(strand_id="main", depth=2, text="b", embedder="", vector=None),
        ],
        "documents": [Document(story_id="s", id="d", text="c")],
        "lore": [LoreEntry(id="l", content="c")],
        "characters": [CharacterSheet(id="c", name="n")],
        "provenance": [ProvenanceEntry(strand_id="main", depth=1, slots=(), calls=())],
        "revisions": [revision],
    }


NOW = datetime(2024, 1, 1, tzinfo=UTC)


def found(parts: dict[str, Any]) -> list[str]:
    return list(faults(StoryFile.model_construct(format=FORMAT, version=VERSION, **parts)))


def test_a_good_file_has_no_fault(parts: dict[str, Any]) -> None:
    assert found(parts) == []


def put(name: str, place: int, **fields: Any) -> Change:
    def change(parts: dict[str, Any]) -> None:
        old = parts[name][place]
        new = old.model_copy(update=fields) if hasattr(old, "model_copy") else replace(old, **fields)
        parts[name][place] = new

    return change


def put_story(**fields: Any) -> Change:
    def change(parts: dict[str, Any]) -> None:
        parts["story"] = parts["story"].model_copy(update=fields)

    return change


def drop(name: str, place: int) -> Change:
    return lambda parts: parts[name].pop(place)


def double(name: str, place: int) -> Change:
    return lambda parts: parts[name].append(parts[name][place])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put_story(id=""), "story.id: is empty"),
        (put_story(version=0), "story.version: must be 1 or more"),
        (put_story(version=2**31), "story.version: must be 1 or more"),
        (put_story(created_at=NAIVE), "story.created_at: has no time zone"),
        (put_story(updated_at=FIRST_DAY), "story.updated_at: is out of the calendar"),
        (put("steps", 1, created_at=NAIVE), "steps.1.created_at: has no time zone"),
        (put("strands", 1, created_at=NAIVE), "strands.1.created_at: has no time zone"),
        (put("revisions", 0, created_at=NAIVE), "revisions.0.created_at: has no time zone"),
        (put("strands", 0, story_id="x"), "strands.0.story_id: is another story's"),
        (put("strands", 1, id=""), "strands.1.id: is empty or stands there twice"),
        (double("strands", 1), "strands.2.id: is empty or stands there twice"),
        (put("strands", 1, parent_id=None), "strands: exactly one must have no parent"),
        (put("strands", 0, parent_id="side"), "strands: exactly one must have no parent"),
        (put("strands", 1, parent_id="side"), "strands.1.parent_id: leads to no main strand"),
        (put("strands", 1, parent_id="gone"), "strands.1.parent_id: leads to no main strand"),
        (put("strands", 0, fork_depth=1), "strands.0.fork_depth: must be 0 to 0"),
        (put("strands", 0, archived=True), "strands.0.archived: the main strand can't be"),
        (put("strands", 1, fork_depth=3), "strands.1.fork_depth: must be 0 to 2"),
        (put("strands", 1, fork_depth=-1), "strands.1.fork_depth: must be 0 to 2"),
        (put("steps", 0, strand_id="gone"), "steps.0.strand_id: there is no such strand"),
        (drop("steps", 0), "steps.0.depth: must be 1"),
        (double("steps", 1), "steps.3.depth: must be 3"),
        (put("steps", 2, depth=1), "steps.2.depth: must be 2"),
        (put("passages", 0, kind=PassageKind.LORE, source="x"), "passages.0.source: there is no such lore"),
        (put("passages", 0, strand_id="gone"), "passages.0.strand_id: there is no such strand"),
        (put("passages", 0, depth=0), "passages.0.depth: is below 1 or stands there twice"),
        (double("passages", 0), "passages.2.depth: is below 1 or stands there twice"),
        (put("passages", 1, embedder="e"), "passages.1.vector: is missing"),
        (put("passages", 0, vector="AACA"), "passages.0.vector: must be base64 of float32 numbers"),
        (put("passages", 0, vector=""), "passages.0.vector: must be base64 of float32 numbers"),
        (put("passages", 0, vector="é"), "passages.0.vector: must be base64 of float32 numbers"),
        (put("documents", 0, id=""), "documents.0.id: is empty or stands there twice"),
        (double("documents", 0), "documents.1.id: is empty or stands there twice"),
        (put("lore", 0, id=""), "lore.0.id: is empty or stands there twice"),
        (double("lore", 0), "lore.1.id: is empty or stands there twice"),
        (put("characters", 0, id="l"), "characters.0.id: is empty or stands there twice"),
        (put("documents", 0, story_id="x"), "documents.0.story_id: is another story's"),
        (
            put("passages", 0, kind=PassageKind.DOCUMENT, source="x"),
            "passages.0.source: there is no such document",
        ),
        (
            put("provenance", 0, depth=9),
            "provenance.0.depth: there is no such step",
        ),
        (double("provenance", 0), "provenance.1.depth: stands there twice"),
        (double("revisions", 0), "revisions.1.id: stands there twice"),
        (put("revisions", 0, story_id="x"), "revisions.0.story_id: is another story's"),
    ],
)
def test_each_rule_names_the_field_that_breaks_it(parts: dict[str, Any], change: Change, fault: str) -> None:
    change(parts)
    assert fault in found(parts)


def test_parents_come_first_however_deep_the_forks(new_story: Callable[..., Story]) -> None:
    when = new_story().created_at
    chain = [
        Strand(id=str(number), story_id="s", created_at=when, parent_id=str(number - 1) if number else None)
        for number in range(2000)
    ]
    assert parents_first(tuple(reversed(chain))) == chain


def test_a_circle_of_forks_ends() -> None:
    circle = tuple(
        Strand(id=own, story_id="s", created_at=NOW, parent_id=parent)
        for own, parent in (("a", "b"), ("b", "a"))
    )
    assert parents_first(circle) == []


def test_provenance_is_part_of_the_shape(provenance: Provenance) -> None:
    entry = ProvenanceEntry(strand_id="main", depth=1, slots=provenance.slots, calls=provenance.calls)
    assert ProvenanceEntry.model_validate_json(entry.model_dump_json()) == entry
