import json
from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from storyloom.memory.errors import LoreNotFound
from storyloom.memory.lore import CharacterSheet, Logic, LoreEntry, Position
from storyloom.memory.story import Passage, PassageKind, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats import json_format

FULL = LoreEntry(
    id="aaaa1111",
    name="The Bell",
    content="A bell\nof bronze 鐘.",
    keys=("bell", "/bells?/i"),
    secondary_keys=("tower",),
    logic=Logic.NOT_ALL,
    case_sensitive=True,
    whole_words=False,
    position=Position.AT_DEPTH,
    depth=2,
    probability=12.5,
    groups=("g", "h"),
    scan_depth=0,
    sticky=3,
    characters=("Mara",),
    triggers=("normal",),
    extensions={"sillytavern": {"vectorized": True, "n": [1, None]}},
)
PLAIN = LoreEntry(id="bbbb2222", name="the  bell")
SHEET = CharacterSheet(id="cccc3333", name="Mara", greetings=("Hello.",), extensions={"x": {"y": 1}})


@pytest.fixture
def book(database: Database, story: Story) -> Story:
    """A story with two entries and a character."""
    with database.unit_of_work() as work:
        work.lore.add(story.id, [FULL, PLAIN])
        work.characters.add(story.id, [SHEET])
        work.commit()
    return story


def test_entries_and_characters_come_back_whole_and_in_order(database: Database, book: Story) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.lore.of_story(book.id) == [FULL, PLAIN]
        assert work.characters.of_story(book.id) == [SHEET]
        assert work.lore.of_story("another") == []
        found = work.lore.find(book.id, FULL.id)
    for field in fields(LoreEntry):
        assert type(getattr(found, field.name)) is type(getattr(FULL, field.name)), field.name


def test_a_changed_entry_keeps_its_place_and_new_ones_come_last(database: Database, book: Story) -> None:
    with database.unit_of_work() as work:
        work.lore.save(replace(FULL, content="Iron."))
        work.lore.remove(book.id, PLAIN.id)
        work.lore.add(book.id, [LoreEntry(id="n")])
        work.lore.add(book.id, [PLAIN])
        assert [one.id for one in work.lore.of_story(book.id)] == [FULL.id, "n", PLAIN.id]
        assert work.lore.find(book.id, FULL.id).content == "Iron."


def test_what_is_gone_cannot_be_saved(database: Database, book: Story) -> None:
    with database.unit_of_work() as work:
        work.lore.remove(book.id, PLAIN.id)
        work.lore.remove(book.id, PLAIN.id)
        with pytest.raises(LoreNotFound):
            work.lore.save(PLAIN)
        with pytest.raises(LoreNotFound):
            work.lore.save(replace(PLAIN, id=SHEET.id))


def test_another_storys_entries_and_another_kind_are_not_removed(database: Database, book: Story) -> None:
    with database.unit_of_work() as work:
        work.lore.remove("another", FULL.id)
        work.lore.remove(book.id, SHEET.id)
        assert len(work.lore.of_story(book.id)) == 2
        assert work.characters.of_story(book.id) == [SHEET]


def test_a_person_finds_one_by_id_prefix_or_name(database: Database, book: Story) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.lore.find(book.id, "aaaa") == FULL
        assert work.characters.find(book.id, " MARA ") == SHEET
        with pytest.raises(LoreNotFound, match="any of 2"):
            work.lore.find(book.id, "The Bell")
        for unknown in ("aaa", "Mara", "", "zzzz"):
            with pytest.raises(LoreNotFound, match="no lore entry"):
                work.lore.find(book.id, unknown)


def test_lore_goes_with_its_story(database: Database, book: Story) -> None:
    with database.unit_of_work() as work:
        work.stories.delete(book.id)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.lore.of_story(book.id) == []
        assert work.characters.of_story(book.id) == []


def test_an_exported_story_has_its_lore(database: Database, book: Story) -> None:
    passage = Passage(strand_id="main", depth=0, text="A bell", kind=PassageKind.LORE, source=FULL.id)
    with database.unit_of_work() as work:
        work.passages.add([passage])
        text = json_format.dump_story(work, book.id)
        work.stories.delete(book.id)
        json_format.import_story(work, text, owner="local")
        assert work.lore.of_story(book.id) == [FULL, PLAIN]
        assert work.characters.of_story(book.id) == [SHEET]
        assert list(work.passages.of_strand("main")) == [passage]
        assert json_format.dump_story(work, book.id) == text


def test_a_file_without_lore_is_read(database: Database, new_story: Callable[..., Story]) -> None:
    old = new_story()
    with database.unit_of_work() as work:
        work.stories.add(old)
        work.strands.add(Strand(id="m", story_id=old.id, created_at=old.created_at))
        text = json_format.dump_story(work, old.id)
    data = json.loads(text)
    del data["lore"], data["characters"]
    kept = json_format.load_story(json.dumps(data))
    assert (kept.lore, kept.characters) == ((), ())
