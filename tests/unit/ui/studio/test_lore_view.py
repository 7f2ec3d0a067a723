import json
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.memory.errors import ImportRefused, InvalidSetting, InvalidText, LoreNotFound, StoryNotFound
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.ui import serve
from storyloom.ui.studio import book_view, form, lore_fields, lore_view, stale_view
from storyloom.ui.studio.book_view import CHARACTERS, CLOSED, LORE, Opened
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def place(house: House) -> Place:
    """A page with a story of one paragraph, in whose prompt a constant entry stood."""
    begun = house.studio.begin(Beginning(premise=PREMISE, title="The Lamp"), Listener())
    house.studio.lore.entries.add(
        begun.story.id, {"name": "Lamp", "keys": "lamp", "content": "It burns under water.", "constant": True}
    )
    list(house.studio.write(begun.story.id, Listener()))
    return Place(begun.story.id, begun.strand.id)


def entry(house: House, place: Place) -> LoreEntry:
    return house.studio.lore.entries.list(place.story_id)[0]


def opened(house: House, place: Place) -> Opened:
    view = book_view.pick(LORE, house, place, {"pick": "open", "id": entry(house, place).id}, CLOSED)
    assert view.opened is not None
    return view.opened


def typed(shown: Opened, **changed: Any) -> tuple[Any, ...]:
    """The form's values after a person has changed some."""
    names = [field.name for field in lore_fields.ENTRY]
    return tuple(changed.get(name, value) for name, value in zip(names, shown.values, strict=True))


def revisions_in(told: str | None) -> str:
    assert told is not None
    return told.split('data-revisions="')[1].split('"')[0]


def test_every_field_that_a_person_may_set_is_in_the_form() -> None:
    for fields, blank in ((lore_fields.ENTRY, LoreEntry(id="")), (lore_fields.CHARACTER, CHARACTERS.blank)):
        names = {field.name for field in fields}
        assert names == set(type(blank).__dataclass_fields__) - {"id", "extensions"}


def test_a_form_shows_and_reads_every_kind_of_value() -> None:
    one = LoreEntry(id="x", keys=("a, b", "c"), groups=("d", "e"), case_sensitive=False, order=7)
    values = form.shown(lore_fields.ENTRY, one)
    shown = {field.name: value for field, value in zip(lore_fields.ENTRY, values, strict=True)}
    assert shown["keys"] == '["a, b", "c"]'
    assert shown["groups"] == "d, e"
    assert (shown["case_sensitive"], shown["whole_words"]) == ("false", "")
    assert (shown["logic"], shown["scan_depth"], shown["order"]) == ("and_any", None, 7)
    assert form.changed(lore_fields.ENTRY, values, values) == {}
    cleared = tuple(None if value == 7 else value for value in values)
    assert form.changed(lore_fields.ENTRY, values, cleared) == {"order": ""}


def test_an_entry_is_changed_in_its_form(house: House, place: Place) -> None:
    shown = opened(house, place)
    new = typed(shown, content="It is out.", whole_words="false", keys='["lamp", "a, b"]', order=3)
    view = book_view.save(LORE, house, place, shown, *new)
    after = entry(house, place)
    assert (after.content, after.whole_words, after.keys, after.order) == (
        "It is out.",
        False,
        ("lamp", "a, b"),
        3,
    )
    assert "“Lamp” is changed. Paragraph 1 is stale, because the lore entry" in (view.told or "")
    assert (view.panel, view.opened) == (Visible(False), CLOSED)
    undone = book_view.undo(LORE, house, place, {"revisions": revisions_in(view.told)})
    assert entry(house, place).content == "It burns under water."
    assert "It is as it was." in (undone.told or "")


def test_a_form_without_changes_closes(house: House, place: Place) -> None:
    shown = opened(house, place)
    view = book_view.save(LORE, house, place, shown, *shown.values)
    assert (view.told, view.panel) == (None, Visible(False))


def test_an_entry_is_added(house: House, place: Place) -> None:
    view = book_view.add(LORE, house, place, CLOSED)
    assert view.opened is not None
    assert view.remove == Visible(False)
    with pytest.raises(InvalidText, match="nothing in it"):
        book_view.save(LORE, house, place, view.opened, *view.opened.values)
    told = book_view.save(LORE, house, place, view.opened, *typed(view.opened, name="Sea", content="Cold."))
    assert "“Sea” is added. Nothing that is written becomes stale by it." in (told.told or "")
    assert [one.name for one in house.studio.lore.entries.list(place.story_id)] == ["Lamp", "Sea"]


def test_an_entry_is_removed_and_brought_back(house: House, place: Place) -> None:
    shown = opened(house, place)
    view = book_view.remove(LORE, house, place, shown)
    assert "“Lamp” is removed. Paragraph 1 is stale" in (view.told or "")
    assert "No lore yet" in (view.table or "")
    with pytest.raises(LoreNotFound):
        book_view.remove(LORE, house, place, shown)
    book_view.undo(LORE, house, place, {"revisions": revisions_in(view.told)})
    assert entry(house, place).name == "Lamp"


def test_what_isnt_saved_yet_stays_in_the_form(house: House, place: Place) -> None:
    shown = opened(house, place)
    new = typed(shown, content="It is out.")
    id_ = entry(house, place).id
    off = {"pick": "switch", "id": id_, "field": "enabled", "on": "true"}
    for view in (
        book_view.pick(LORE, house, place, {"pick": "open", "id": id_}, shown, *new),
        book_view.pick(LORE, house, place, off, shown, *new),
        book_view.add(LORE, house, place, shown, *new),
    ):
        assert view.fields is None
        assert "saved yet" in (view.notice or "")
    assert entry(house, place).enabled


def test_a_switch_turns_a_flag_over(house: House, place: Place) -> None:
    id_ = entry(house, place).id
    off = {"pick": "switch", "id": id_, "field": "constant", "on": "true"}
    view = book_view.pick(LORE, house, place, off, CLOSED)
    assert "“Lamp” is no longer constant." in (view.told or "")
    assert not entry(house, place).constant
    assert view.fields is None
    shown = opened(house, place)
    again = book_view.pick(LORE, house, place, {**off, "on": "false"}, shown, *shown.values)
    assert again.opened is not None
    assert again.opened.values == typed(shown, constant=True)
    assert book_view.pick(LORE, house, place, {"pick": "paragraph"}, CLOSED) == book_view.View()


def test_a_character_is_added_and_can_be_downloaded(house: House, place: Place) -> None:
    assert book_view.listed(CHARACTERS, house, place).links == ""
    view = book_view.add(CHARACTERS, house, place, CLOSED)
    assert view.opened is not None
    values = ("Tobias", *view.opened.values[1:])
    added = book_view.save(CHARACTERS, house, place, view.opened, *values)
    assert "“Tobias” is added" in (added.told or "")
    assert f'href="lore/{place.story_id}.png"' in (added.links or "")
    assert [one.name for one in house.studio.lore.characters.list(place.story_id)] == ["Tobias"]
    assert isinstance(CHARACTERS.blank, CharacterSheet)


def test_what_would_fire_is_told_with_the_key(house: House, place: Place) -> None:
    house.studio.lore.entries.add(place.story_id, {"name": "Sea", "keys": "wave", "content": "Cold."})
    house.studio.lore.entries.add(
        place.story_id, {"name": "Gull", "keys": "wave", "content": "It cries.", "delay": 9}
    )
    quiet = lore_view.firing(house, place, "").firing or ""
    assert "it is constant" in quiet
    assert "Sea" not in quiet
    told = lore_view.firing(house, place, "A wave comes.").firing or ""
    assert "fires: its key <q>wave</q> stands in what happens next" in told
    assert "does not fire, because the story is too short yet; its cause: its key <q>wave</q>" in told


def test_a_file_is_brought_in_and_thrown_away(house: House, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    book = {
        "entries": {"0": {"uid": 0, "key": ["sea"], "comment": "Sea", "content": "Cold.", "vectorized": True}}
    }
    file.write_text(json.dumps(book))
    view = lore_view.bring_in(LORE, house, place, str(file))
    assert "1 entry and 0 characters came with the file." in (view.told or "")
    assert "Sea" in (view.table or "")
    assert not file.exists()
    book_view.undo(LORE, house, place, {"revisions": revisions_in(view.told)})
    assert [one.name for one in house.studio.lore.entries.list(place.story_id)] == ["Lamp"]


def test_a_file_of_another_kind_is_refused_by_its_name(house: House, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text("nothing of the kind")
    with pytest.raises(ImportRefused, match=r"^world\.json can't be imported"):
        lore_view.bring_in(LORE, house, place, str(file))
    assert not file.exists()


def test_the_authors_note_is_kept_and_brought_back(house: House, place: Place) -> None:
    assert lore_view.note(house, place).shown == ("", "")
    saved = lore_view.save_note(house, place, "Keep it grim.", "2")
    settings = house.studio.settings.of(place.story_id)
    assert (settings["authors_note"], settings["note_depth"]) == ("Keep it grim.", 2)
    assert (saved.note, saved.depth, saved.shown) == ("Keep it grim.", "2", ("Keep it grim.", "2"))
    typing = lore_view.note(house, place, "Keep it gr", "2", ("Keep it grim.", "2"))
    assert typing.note is None
    with pytest.raises(InvalidSetting, match="note_depth"):
        lore_view.save_note(house, place, "Keep it grim.", "deep")
    undone = lore_view.undo_note(house, place, {"revisions": revisions_in(saved.told)})
    assert (undone.note, undone.depth) == ("", "")


def test_lore_is_downloaded_by_its_owner_alone(house: House, place: Place) -> None:
    answer = serve.exported_lore(house.studio, place.story_id, "json")
    assert b"It burns under water." in bytes(answer.body)
    assert "The%20Lamp.json" in answer.headers["Content-Disposition"]
    with pytest.raises(StoryNotFound):
        serve.exported_lore(house.studio.of_owner("tom"), place.story_id, "json")


def test_what_is_shown_anew_after_an_edit_takes_no_notice_away(house: House, place: Place) -> None:
    assert stale_view.refreshed(house, place).notice is None
    assert book_view.listed(LORE, house, place).notice is None
