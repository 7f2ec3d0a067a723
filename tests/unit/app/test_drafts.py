import pytest

from storyloom.app.drafts import Sheet
from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText, StepConflict, StoryNotFound
from storyloom.memory.story import Mode

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
DRAFT = "draft0000001"


def test_an_outline_asked_for_again_is_of_the_same_story(studio: Studio) -> None:
    first = studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener())
    again = studio.drafts.outlined(DRAFT, f"{PREMISE} It knocks.", Mode.FICTION, Listener())
    assert (again.id, again.title, again.outline) == (DRAFT, first.title, first.outline)
    assert (again.premise, again.mode) == (f"{PREMISE} It knocks.", Mode.FICTION)
    assert len(studio.stories()) == 1


def test_what_is_the_same_is_no_edit(studio: Studio) -> None:
    story = studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener())
    studio.drafts.change(DRAFT, {"title": f" {story.title} ", "outline": story.outline}, Mode.NOVEL)
    assert studio.editing.revisions(DRAFT) == []
    assert studio.show(DRAFT).story.version == story.version


def test_every_other_outline_is_another_and_can_be_undone(studio: Studio) -> None:
    outlines = [studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener()).outline]
    outlines += [studio.drafts.another_outline(DRAFT, Listener()).outline for _ in range(3)]
    assert len(set(outlines)) == 4
    studio.editing.undo(DRAFT)
    assert studio.show(DRAFT).story.outline == outlines[2]


def test_sheets_keep_their_places_and_ids(studio: Studio) -> None:
    studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener())
    kept = studio.drafts.keep_characters(DRAFT, [Sheet(name="Mara"), Sheet(), Sheet(name="Tobias")])
    assert [bool(sheet.id) for sheet in kept] == [True, False, True]
    version = studio.show(DRAFT).story.version
    assert studio.drafts.keep_characters(DRAFT, kept) == kept
    assert studio.show(DRAFT).story.version == version
    with pytest.raises(InvalidText, match="has no name"):
        studio.drafts.keep_characters(DRAFT, [Sheet(id=kept[0].id, description="A keeper.")])
    assert {one.name for one in studio.lore.characters.list(DRAFT)} == {"Mara", "Tobias"}


def test_a_story_that_is_written_is_no_draft(studio: Studio) -> None:
    studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener())
    list(studio.write(DRAFT, Listener()))
    for change in (
        lambda: studio.drafts.change(DRAFT, {"title": "Another"}),
        lambda: studio.drafts.another_outline(DRAFT, Listener()),
        lambda: studio.drafts.keep_characters(DRAFT, [Sheet(name="Mara")]),
        lambda: studio.drafts.outlined(DRAFT, "Another.", Mode.NOVEL, Listener()),
    ):
        with pytest.raises(StepConflict, match="no draft any more"):
            change()


def test_another_owners_draft_is_unknown(studio: Studio) -> None:
    studio.drafts.outlined(DRAFT, PREMISE, Mode.NOVEL, Listener())
    with pytest.raises(StoryNotFound):
        studio.of_owner("tom").drafts.outlined(DRAFT, "Mine.", Mode.NOVEL, Listener())
