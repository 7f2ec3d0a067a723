from pathlib import Path

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.memory.errors import ImportRefused, StoryNotFound
from storyloom.ui.studio import library_view
from storyloom.ui.studio.library_view import Deleted
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible

NOWHERE = Place()
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def begin(house: House, title: str = "The Lamp") -> str:
    story = house.studio.begin(Beginning(premise=PREMISE, title=title), Listener()).story.id
    list(house.studio.write(story, Listener()))
    return story


def titles(house: House) -> list[str]:
    return [story.title for story in house.studio.stories()]


def test_an_empty_library_and_a_full_one(house: House) -> None:
    assert "No story yet" in (library_view.listed(house, NOWHERE, "").shelf or "")
    story = begin(house)
    shelf = library_view.listed(house, NOWHERE, "").shelf or ""
    assert f'<a href="?story={story}" dir="auto">The Lamp</a>' in shelf


def test_titles_are_searched_for_where_there_are_many(house: House) -> None:
    for number in range(10):
        house.studio.begin(Beginning(premise=PREMISE, title=f"Lamp {number}"), Listener())
    few = library_view.listed(house, NOWHERE, "lamp 3")
    assert few.search == Visible(False)
    assert "Lamp 4" in (few.shelf or "")
    house.studio.begin(Beginning(premise=PREMISE, title="The Straße"), Listener())
    found = library_view.listed(house, NOWHERE, "  STRASSE ")
    assert found.search == Visible(True)
    assert "The Straße" in (found.shelf or "")
    assert "Lamp" not in (found.shelf or "")
    assert "No title has “xyzzy” in it." in (library_view.listed(house, NOWHERE, "xyzzy").shelf or "")


def test_a_story_is_duplicated(house: House) -> None:
    picked = {"pick": "duplicate", "story": begin(house)}
    view = library_view.pressed(house, NOWHERE, picked, "", ())
    assert titles(house) == ["The Lamp (copy)", "The Lamp"]
    assert "The Lamp (copy)" in (view.shelf or "")
    assert "top of the list" in (view.told or "")


def test_deleted_stories_come_back_whole_one_by_one(house: House, tmp_path: Path) -> None:
    first, second = begin(house, "First"), begin(house, "Second")
    before = [house.studio.export(one, tmp_path / f"{one}.json").read_bytes() for one in (first, second)]
    view = library_view.pressed(house, NOWHERE, {"pick": "delete", "story": first}, "", ())
    view = library_view.pressed(house, NOWHERE, {"pick": "delete", "story": second}, "", view.deleted or ())
    assert titles(house) == []
    assert "“Second” was deleted." in (view.told or "")
    assert view.undo == Visible(True)
    view = library_view.undo(house, NOWHERE, "", view.deleted or ())
    assert titles(house) == ["Second"]
    assert "“First” was deleted." in (view.told or "")
    view = library_view.undo(house, NOWHERE, "", view.deleted or ())
    assert view.undo == Visible(False)
    assert view.deleted == ()
    after = [house.studio.export(one, tmp_path / f"{one}.json").read_bytes() for one in (first, second)]
    assert after == before


def test_what_is_there_again_is_not_undone_twice(house: House) -> None:
    story = begin(house)
    file = house.studio.delete(story)
    house.studio.import_file(file, Listener())
    with pytest.raises(ImportRefused, match="there already"):
        library_view.undo(house, NOWHERE, "", (Deleted("The Lamp", file),))


def test_a_file_is_brought_in_and_the_pages_copy_removed(house: House, tmp_path: Path) -> None:
    file = tmp_path / "Night Watch.md"
    file.write_text("# Night Watch\n\nTobias rowed out.\n\nThe bell rang.\n", encoding="utf-8")
    view = library_view.bring_in(house, NOWHERE, str(file), "")
    assert titles(house) == ["Night Watch"]
    assert "“Night Watch” is here." in (view.told or "")
    assert not file.exists()


def test_a_file_that_is_no_story_is_told(house: House, tmp_path: Path) -> None:
    assert "Reading" in (library_view.coming(house, NOWHERE).told or "")
    file = tmp_path / "broken.json"
    file.write_text("{", encoding="utf-8")
    view = library_view.bring_in(house, NOWHERE, str(file), "")
    assert "can&#x27;t be imported" in (view.notice or "")
    assert view.told == ""
    assert not file.exists()


def test_another_owner_can_touch_nothing(house: House) -> None:
    story = begin(house)
    other = House(house.studio.of_owner("tom"), house.writers)
    assert "No story yet" in (library_view.listed(other, NOWHERE, "").shelf or "")
    for button in ("duplicate", "delete"):
        with pytest.raises(StoryNotFound):
            library_view.pressed(other, NOWHERE, {"pick": button, "story": story}, "", ())
    assert titles(house) == ["The Lamp"]
