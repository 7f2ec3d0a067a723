import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import InvalidSetting
from storyloom.memory.lore import CharacterSheet, Logic, LoreEntry, LoreSettings, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import write_lorebook
from tests.unit.storage.formats.lorebooks.samples import book_entry, card_v2, card_v3, read


def exported(folder: Path, lorebook: Lorebook, version: str) -> dict[str, Any]:
    write_lorebook(folder / "out.json", lorebook, format=version)
    data: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return data


def bare(entry: LoreEntry) -> LoreEntry:
    return replace(entry, id="", extensions={})


def test_a_v2_card_with_its_book(tmp_path: Path) -> None:
    lorebook = read(tmp_path, card_v2())
    assert lorebook.refused == ()
    (sheet,) = lorebook.characters
    assert replace(sheet, extensions={}) == CharacterSheet(
        id="id3",
        name="Ilse",
        description="Ilse, keeper of the light.",
        personality="Patient.",
        scenario="A storm is near.",
        greeting="“You are late,” says Ilse.",
        greetings=("Rain.", "Fog."),
        examples="<START>\n{{user}}: Hello\n{{char}}: Hm.",
        notes="Slow burn.",
        system_prompt="Write as {{char}}.",
        last_instruction="Stay brief.",
        tags=("sea", "slow"),
        author="somebody",
        card_version="1.2",
    )
    assert sheet.extensions["card"]["data"]["extensions"]["depth_prompt"]["prompt"] == "Cold."
    assert lorebook.name == "Ilse's book"
    assert lorebook.settings == replace(LoreSettings(), scan_depth=6, budget_cap=300, recursive=True)


def test_the_entries_of_a_book(tmp_path: Path) -> None:
    theirs, plain = map(bare, read(tmp_path, card_v2()).entries)
    assert theirs == LoreEntry(
        id="",
        name="The pier",
        content="The pier creaks.",
        keys=("pier",),
        secondary_keys=("night",),
        logic=Logic.NOT_ANY,
        position=Position.AT_DEPTH,
        depth=2,
        role="user",
        order=90,
        probability=80,
        groups=("places",),
        group_scoring=False,
        exclude_recursion=True,
        sticky=2,
        scans=("scenario",),
    )
    assert plain == LoreEntry(
        id="",
        name="Tide",
        content="The tide comes twice.",
        keys=("tide",),
        enabled=False,
        constant=True,
        case_sensitive=True,
        position=Position.BEFORE_CHARACTERS,
        order=10,
    )


def test_what_v3_has_beyond_v2(tmp_path: Path) -> None:
    lorebook = read(tmp_path, card_v3())
    assert lorebook.characters[0].nickname == "Il"
    assert lorebook.characters[0].extensions["card"]["data"]["source"] == ["https://example.org/ilse"]
    assert bare(lorebook.entries[2]) == LoreEntry(
        id="",
        content="Gulls cry.",
        keys=("/gull(s|)/i", "/ba\\/r/i"),
        position=Position.AT_DEPTH,
        depth=3,
        role="user",
        delay=6,
        order=5,
    )


@pytest.mark.parametrize("version", ["card-v2", "card-v3"])
@pytest.mark.parametrize("card", [card_v2(), card_v3()], ids=["v2", "v3"])
def test_a_card_comes_back_equal(tmp_path: Path, card: dict[str, Any], version: str) -> None:
    first = read(tmp_path, card)
    again = read(tmp_path, exported(tmp_path, first, version))
    assert again.characters == first.characters or version == "card-v3"
    assert [replace(sheet, extensions={}) for sheet in again.characters] == [
        replace(sheet, extensions={}) for sheet in first.characters
    ]
    assert list(map(bare, again.entries)) == list(map(bare, first.entries))
    assert (again.name, again.settings) == (first.name, first.settings)


def test_an_unedited_v3_card_keeps_everything(tmp_path: Path) -> None:
    data = exported(tmp_path, read(tmp_path, card_v3()), "card-v3")
    original = card_v3()
    assert {name: data["data"][name] for name in original["data"] if name != "character_book"} == {
        name: value for name, value in original["data"].items() if name != "character_book"
    }
    book, before = data["data"]["character_book"], original["data"]["character_book"]
    assert (data["spec"], data["spec_version"], data["create_date"]) == ("chara_card_v3", "3.0", "2024-02-29")
    assert book["extensions"] == {"a": 1}
    assert {**book["entries"][0], "name": ""} == {**before["entries"][0], "name": ""} | {
        "extensions": before["entries"][0]["extensions"]
        | {name: book["entries"][0]["extensions"][name] for name in book["entries"][0]["extensions"]}
    }
    assert book["entries"][0]["extensions"]["my_tool/mood"] == "grim"
    assert book["entries"][1]["priority"] == 10
    assert book["entries"][2]["content"].startswith(
        "@@depth 3\n@@role user\n@@is_greeting 1\n@@unknown_one 4\n@@@act"
    )


def test_an_edited_entry_keeps_the_decorators_that_still_hold(tmp_path: Path) -> None:
    lorebook = read(tmp_path, card_v3())
    edited = replace(lorebook.entries[2], depth=1, content="Gulls sleep.")
    data = exported(tmp_path, replace(lorebook, entries=(edited,)), "card-v3")
    (entry,) = data["data"]["character_book"]["entries"]
    assert entry["content"] == "\n".join(
        ["@@role user", "@@is_greeting 1", "@@unknown_one 4", "@@@activate_only_after 6", "Gulls sleep."]
    )
    assert bare(read(tmp_path, data).entries[0]) == bare(edited)


def test_a_v1_card_is_flat(tmp_path: Path) -> None:
    flat = {"name": "Bo", "description": "A cook.", "first_mes": "Soup?", "mood": "warm"}
    (sheet,) = read(tmp_path, flat).characters
    assert (sheet.name, sheet.description, sheet.greeting) == ("Bo", "A cook.", "Soup?")
    assert sheet.extensions == {"card": {"data": {"mood": "warm"}}}


def test_a_lorebook_of_v3_alone(tmp_path: Path) -> None:
    book = {"name": "Alone", "extensions": {}, "entries": [book_entry()]}
    for data in ({"spec": "lorebook_v3", "data": book}, book):
        lorebook = read(tmp_path, data)
        assert (lorebook.name, lorebook.entries[0].keys, lorebook.characters) == ("Alone", ("pier",), ())


def test_patterns_and_words_of_sillytaverns_entries_stay_as_they_are(tmp_path: Path) -> None:
    """It says ``use_regex`` of every entry, and "Mr. (Big)" is no pattern."""
    entry = book_entry(keys=["Mr. (Big)", "/big+/i"])
    (found,) = read(tmp_path, {"spec": "lorebook_v3", "data": {"entries": [entry]}}).entries
    assert found.keys == ("Mr. (Big)", "/big+/i")


@pytest.mark.parametrize("name", [None, "", "  ", ["x"]])
def test_a_card_without_a_name_still_gives_its_book(tmp_path: Path, name: Any) -> None:
    card = card_v2()
    card["data"]["name"] = name
    lorebook = read(tmp_path, card)
    assert lorebook.characters == ()
    assert len(lorebook.entries) == 2
    assert lorebook.refused[0].startswith("The character was left out: ")


def test_a_book_that_cant_be_read_doesnt_cost_the_character(tmp_path: Path) -> None:
    card = card_v2()
    card["data"]["character_book"] = {"entries": 5}
    lorebook = read(tmp_path, card)
    assert lorebook.characters[0].name == "Ilse"
    assert lorebook.refused == ("The card's book can't be read: its “entries” are no list.",)


@pytest.mark.parametrize("position", [None, "", "after_char"])
def test_an_entry_without_a_place_stands_after_the_character(tmp_path: Path, position: Any) -> None:
    entry = {"keys": ["a"], "content": "b", "position": position}
    (found,) = read(tmp_path, {"spec": "lorebook_v3", "data": {"entries": [entry]}}).entries
    assert found.position is Position.AFTER_CHARACTERS


def test_a_card_without_lore_has_no_book(tmp_path: Path) -> None:
    lorebook = Lorebook(characters=(CharacterSheet(id="a", name="Ada"),))
    assert "character_book" not in exported(tmp_path, lorebook, "card-v2")["data"]
    assert exported(tmp_path, replace(lorebook, name="B"), "card-v2")["data"]["character_book"]["name"] == "B"


def test_a_card_field_too_large_to_keep_is_told(tmp_path: Path) -> None:
    card = card_v3()
    card["data"]["assets"] = [{"uri": "data:" + "A" * 2**20}]
    lorebook = read(tmp_path, card)
    assert lorebook.refused == ("Ilse came without the card's field assets: it is too large.",)
    assert "source" in lorebook.characters[0].extensions["card"]["data"]


def test_a_card_needs_a_character(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="there is none"):
        write_lorebook(tmp_path / "out.png", Lorebook())
    assert not (tmp_path / "out.png").exists()
