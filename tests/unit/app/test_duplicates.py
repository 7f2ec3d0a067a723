"""A duplicate is compared by its exported file: the old ids renamed to the new must make them equal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import StoryNotFound
from storyloom.memory.story import Story

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def story(studio: Studio) -> Story:
    """A story with everything that names something by its id."""
    begun = studio.begin(Beginning(premise=PREMISE, title="The Lamp", seed=7), Listener()).story
    entry = {"name": "The door", "content": "It knocks.", "constant": "true", "sticky": "3"}
    studio.lore.entries.add(begun.id, entry)
    gone = studio.lore.entries.add(begun.id, {"name": "Gone", "content": "Lost."})
    studio.lore.characters.add(begun.id, {"name": "Mara", "description": "A keeper — of lamps."})
    list(studio.write(begun.id, Listener(), paragraphs=3))
    studio.lore.entries.remove(begun.id, gone.id)
    branch = studio.branch(begun.id, 2, name="Elsewhere")
    list(studio.write(begun.id, Listener(), strand=branch.id))
    studio.remembering.rewrite(begun.id, "Mara has lost the key.")
    studio.editing.paragraph(begun.id, 1, "Mara sat down.")
    return studio.show(begun.id).story


def exported(studio: Studio, story: str, file: Path) -> dict[str, Any]:
    data = json.loads(studio.export(story, file).read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def ids(data: dict[str, Any]) -> Iterator[str]:
    """Every id in a file, in its order; those of removed entries stand in revisions alone."""
    yield data["story"]["id"]
    for name in ("strands", "lore", "characters", "revisions"):
        yield from (one["id"] for one in data[name])
    for one in data["revisions"]:
        if one["subject"] in {"lore", "character"}:
            yield from (each["id"] for text in (one["old"], one["new"]) for each in json.loads(text))


def with_ids(data: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(data, ensure_ascii=False)
    for old, new in names.items():
        text = text.replace(old, new)
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_everything_is_equal_but_the_ids_and_the_title(studio: Studio, story: Story, tmp_path: Path) -> None:
    before = exported(studio, story.id, tmp_path / "before.json")
    copy = studio.duplicate(story.id)
    made = exported(studio, copy.id, tmp_path / "copy.json")
    names = dict(zip(ids(before), ids(made), strict=True))
    assert not set(names) & set(names.values())
    wanted = with_ids(before, names)
    assert made["story"].pop("title") == "The Lamp (copy)"
    made["story"].pop("updated_at")
    del wanted["story"]["title"], wanted["story"]["updated_at"]
    for data in (made, wanted):
        for one in data["revisions"]:
            if one["state"] and "ids" in one["state"]:
                one["state"]["ids"].sort()
        for one in data["provenance"]:  # the marks of timed lore are made of the entries with their ids
            for firing in one["weaving"]["lore"].get("firings", {}).values():
                firing.pop("mark")
    assert made == wanted
    assert exported(studio, story.id, tmp_path / "after.json") == before


def test_both_go_on_by_themselves(studio: Studio, story: Story) -> None:
    copy = studio.duplicate(story.id)
    list(studio.write(copy.id, Listener()))
    assert len(studio.show(copy.id).steps) == 4
    assert len(studio.show(story.id).steps) == 3
    studio.delete(story.id)
    assert [one.id for one in studio.stories()] == [copy.id]


def test_timed_lore_stays_as_long_in_the_duplicate(studio: Studio, story: Story) -> None:
    copy = studio.duplicate(story.id)
    causes = [
        [(one.entry.name, one.why.cause) for one in studio.lore.would_fire(which.id).fired]
        for which in (story, copy)
    ]
    assert causes[0] == causes[1] != []


def test_what_was_removed_comes_back_in_each_alone(studio: Studio, story: Story) -> None:
    copy = studio.duplicate(story.id)
    for which in (story.id, copy.id):
        edit = next(
            one for one in studio.editing.revisions(which) if one.subject == "lore" and one.new == "[]"
        )
        studio.editing.undo(which, edit.id)
        assert {one.name for one in studio.lore.entries.list(which)} == {"The door", "Gone"}


def test_a_long_title_is_kept_within_bounds_and_another_owners_story_is_unknown(studio: Studio) -> None:
    begun = studio.begin(Beginning(premise=PREMISE, title="x" * 300), Listener()).story
    assert studio.duplicate(begun.id).title == "x" * 293 + " (copy)"
    with pytest.raises(StoryNotFound):
        studio.of_owner("tom").duplicate(begun.id)
