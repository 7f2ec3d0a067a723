"""Lore as a person changes it: every edit kept, undone, and felt by what was made from it."""

import json
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.lore_fields import with_fields
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import ImportRefused, InvalidText, LoreNotFound
from storyloom.memory.lore import CharacterSheet, Logic, LoreEntry, Position
from storyloom.memory.story import PassageKind, StalePart, Strand
from storyloom.storage.database import Database

STORY = "story0000001"

pytestmark = pytest.mark.usefixtures("strand")


def mirrored(database: Database) -> dict[str, str]:
    """What recall finds of the lore, by entry."""
    with database.unit_of_work(write=False) as work:
        found = list(work.passages.of_strand("strand000001"))
    return {one.source: one.text for one in found if one.kind is PassageKind.LORE}


def test_a_list_may_have_the_commas_of_chinese() -> None:
    assert with_fields(LoreEntry(id="e"), {"keys": "灯塔，钟、 潮, bell"}).keys == (
        "灯塔",
        "钟",
        "潮",
        "bell",
    )


def test_a_persons_words_become_fields() -> None:
    given = {
        "keys": "bell, tower",
        "secondary_keys": '["/a,b/", "c"]',
        "logic": "not_any",
        "position": "at_depth",
        "constant": "true",
        "sticky": "3",
        "probability": "12.5",
        "case_sensitive": "false",
        "scan_depth": "0",
        "content": " A bell.\r\nOf bronze.\x00 ",
    }
    entry = with_fields(LoreEntry(id="e"), given)
    assert entry == LoreEntry(
        id="e",
        keys=("bell", "tower"),
        secondary_keys=("/a,b/", "c"),
        logic=Logic.NOT_ANY,
        position=Position.AT_DEPTH,
        constant=True,
        sticky=3,
        probability=12.5,
        case_sensitive=False,
        scan_depth=0,
        content="A bell.\nOf bronze.",
    )
    assert with_fields(entry, dict.fromkeys(given, "")) == LoreEntry(id="e")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"colour": "red"}, "no field 'colour'"),
        ({"id": "x"}, "no field 'id'"),
        ({"sticky": "soon"}, "sticky can't be 'soon'"),
        ({"logic": "xor"}, "logic can't be 'xor'"),
        ({"probability": "101"}, "from 0 to 100"),
        ({"probability": "nan"}, "from 0 to 100"),
        ({"depth": "9999999"}, "out of all bounds"),
        ({"keys": "[1"}, "no list in JSON"),
        ({"keys": "[1]"}, "keys.0 can't be '1'"),
        ({"keys": ["k" * 3000]}, "more than 2,000"),
        ({"content": "x" * 200_001}, "at most 200,000"),
    ],
)
def test_what_cannot_be_a_field_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidText, match=told.replace("(", r"\(")):
        with_fields(LoreEntry(id="e"), given)


def test_entries_are_added_changed_and_removed_and_recall_finds_them(
    studio: Studio, database: Database
) -> None:
    lore = studio.lore.entries
    bell = lore.add(STORY, {"name": "Bell", "content": "A bell."})
    empty = lore.add(STORY, {"name": "Empty"})
    assert lore.list(STORY) == [bell, empty]
    assert mirrored(database) == {bell.id: "A bell."}
    changed = lore.edit(STORY, "bell", {"content": "A gong.", "keys": ["gong"]})
    assert (changed.id, changed.name, changed.keys) == (bell.id, "Bell", ("gong",))
    assert mirrored(database) == {bell.id: "A gong."}
    lore.edit(STORY, bell.id, {"enabled": False})
    assert mirrored(database) == {}
    lore.remove(STORY, bell.id[:6])
    assert lore.list(STORY) == [empty]
    with pytest.raises(LoreNotFound):
        lore.edit(STORY, "Bell", {})


def test_an_empty_entry_is_refused(studio: Studio) -> None:
    with pytest.raises(InvalidText, match="nothing in it"):
        studio.lore.entries.add(STORY, {"content": " "})


def test_every_change_can_be_undone_and_the_undoing_too(studio: Studio, database: Database) -> None:
    lore = studio.lore.entries
    first = lore.add(STORY, {"name": "Bell", "content": "A bell."})
    second = lore.edit(STORY, "Bell", {"content": "A gong."})
    lore.remove(STORY, "Bell")
    states = []
    for _ in range(3):
        studio.editing.undo(STORY)
        states.append(lore.list(STORY))
    assert states == [[second], [], [second]]  # each undoing is itself the newest edit
    edits = studio.editing.revisions(STORY)
    assert [json.loads(one.old) for one in edits[-3:]][::-1][0] == []
    studio.editing.undo(STORY, edits[-2].id)
    assert lore.list(STORY) == [first]
    assert mirrored(database) == {first.id: "A bell."}


def test_paragraphs_made_from_an_edited_text_become_stale(studio: Studio, strand: Strand) -> None:
    lore = studio.lore.entries
    lore.add(STORY, {"name": "Bell", "keys": ["bell"], "content": "A bell."})
    sheet = studio.lore.characters.add(STORY, {"name": "Ada", "description": "A smith."})
    for plan in ("the bell", "calm"):
        list(studio.write(STORY, Listener(), wish=Wish(plan=plan)))
    lore.edit(STORY, "Bell", {"order": 7})
    assert studio.editing.stale(STORY) == []
    lore.edit(STORY, "Bell", {"content": "A gong."})
    (mark,) = studio.editing.stale(STORY)
    assert (mark.strand_id, mark.depth, mark.part) == (strand.id, 1, StalePart.PARAGRAPH)
    assert mark.cause == "the lore entry 'Bell' was edited"
    studio.lore.characters.remove(STORY, sheet.id)
    assert [one.depth for one in studio.editing.stale(STORY)] == [1, 2]


def test_characters_are_kept_like_entries(studio: Studio) -> None:
    characters = studio.lore.characters
    ada = characters.add(STORY, {"name": "Ada", "tags": "smith, north"})
    assert ada == CharacterSheet(id=ada.id, name="Ada", tags=("smith", "north"))
    assert characters.edit(STORY, "ada", {"nickname": "Addie"}).nickname == "Addie"
    studio.editing.undo(STORY)
    assert characters.list(STORY) == [ada]
    assert studio.lore.entries.list(STORY) == []


def test_another_owner_finds_nothing(studio: Studio) -> None:
    with pytest.raises(Exception, match="no story"):
        studio.of_owner("other").lore.entries.list(STORY)


WORLD = {
    "name": "Carrow",
    "scan_depth": 5,
    "entries": {
        "0": {"uid": 0, "key": ["bell"], "content": "A bell.", "comment": "Bell", "position": 4, "depth": 2},
        "1": 7,
        "2": {"uid": 2, "key": [], "constant": True, "content": "Always.", "vendor": {"x": 1}},
    },
}


def test_a_file_is_brought_in_and_written_out(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text(json.dumps(WORLD))
    brought = studio.lore.bring_in(STORY, file)
    assert [entry.content for entry in studio.lore.entries.list(STORY)] == ["A bell.", "Always."]
    assert brought.entries == tuple(studio.lore.entries.list(STORY))
    assert len(brought.refused) == 1
    assert studio.settings.of(STORY)["lore.scan_depth"] == 5
    out = tmp_path / "out.json"
    studio.lore.write_out(STORY, out)
    written = json.loads(out.read_text())
    assert written["name"] == "Carrow"
    assert [one["content"] for one in written["entries"].values()] == ["A bell.", "Always."]
    assert list(written["entries"].values())[1]["vendor"] == {"x": 1}
    studio.editing.undo(
        STORY, next(one.id for one in studio.editing.revisions(STORY) if one.subject == "lore")
    )
    assert studio.lore.entries.list(STORY) == []


def test_a_second_files_settings_and_note_do_not_replace_the_storys(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text(json.dumps(WORLD))
    studio.settings.change(STORY, {"lore.scan_depth": "3"})
    brought = studio.lore.bring_in(STORY, file)
    assert studio.settings.of(STORY)["lore.scan_depth"] == 3
    assert any("settings of lore" in told for told in brought.refused)


def test_a_file_that_is_no_lorebook_changes_nothing(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text("[]")
    with pytest.raises(ImportRefused):
        studio.lore.bring_in(STORY, file)
    assert studio.lore.entries.list(STORY) == []
