import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import Logic, LoreEntry, LoreSettings, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import entries, write_lorebook
from tests.unit.storage.formats.lorebooks.samples import read, world_entry, world_info


def exported(folder: Path, lorebook: Lorebook) -> dict[str, Any]:
    write_lorebook(folder / "out.json", lorebook)
    data: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return data


def test_every_field_is_read(tmp_path: Path) -> None:
    lorebook = read(tmp_path, world_info())
    assert lorebook.refused == ()
    assert (lorebook.format, lorebook.name) == ("sillytavern", "The marsh")
    assert lorebook.settings == replace(LoreSettings(), scan_depth=3, budget_cap=500, recursive=False)
    plain, rich, ignored = (replace(entry, extensions={}) for entry in lorebook.entries)
    content = "Vesna tends the lanterns. <b>{{user}}</b> owes her {{ 7 * 7 }}."
    base = LoreEntry(
        id="id1",
        name="Vesna of the marsh",
        content=content,
        keys=("Vesna", "/\\bmarsh(es)?\\b/i"),
        secondary_keys=("lantern",),
    )
    assert plain == base
    assert rich == replace(
        base,
        id="id2",
        logic=Logic.AND_ALL,
        enabled=False,
        constant=True,
        semantic=True,
        case_sensitive=True,
        whole_words=False,
        position=Position.AT_DEPTH,
        depth=0,
        role="assistant",
        order=-20,
        probability=37.5,
        groups=("weather", "omens"),
        group_weight=7,
        group_override=True,
        group_scoring=True,
        scan_depth=9,
        ignore_budget=True,
        exclude_recursion=True,
        prevent_recursion=True,
        delay_until_recursion=2,
        sticky=3,
        cooldown=4,
        delay=5,
        scans=("persona", "characters", "personality", "scenario", "notes"),
        characters=("Vesna",),
        without_characters=True,
        triggers=("normal", "continue"),
    )
    assert ignored == replace(base, id="id3", secondary_keys=(), position=Position.OUTLET, outlet="x")


@pytest.mark.parametrize(
    ("number", "logic"),
    [(0, Logic.AND_ANY), (1, Logic.NOT_ALL), (2, Logic.NOT_ANY), (3, Logic.AND_ALL)],
)
def test_the_numbers_of_the_logics(tmp_path: Path, number: int, logic: Logic) -> None:
    (entry,) = read(tmp_path, {"entries": [world_entry(selectiveLogic=number)]}).entries
    assert entry.logic is logic


@pytest.mark.parametrize(
    ("number", "position"),
    [
        (0, Position.BEFORE_CHARACTERS),
        (1, Position.AFTER_CHARACTERS),
        (2, Position.BEFORE_NOTE),
        (3, Position.AFTER_NOTE),
        (4, Position.AT_DEPTH),
        (5, Position.BEFORE_EXAMPLES),
        (6, Position.AFTER_EXAMPLES),
        (7, Position.OUTLET),
    ],
)
def test_the_numbers_of_the_positions(tmp_path: Path, number: int, position: Position) -> None:
    (entry,) = read(tmp_path, {"entries": {"0": world_entry(position=number)}}).entries
    assert entry.position is position


def test_an_unedited_book_is_exported_as_it_was(tmp_path: Path) -> None:
    assert exported(tmp_path, read(tmp_path, world_info())) == world_info()


def test_an_edit_is_exported_and_what_it_doesnt_touch_stays(tmp_path: Path) -> None:
    lorebook = read(tmp_path, world_info())
    *others, last = lorebook.entries
    edited = replace(last, probability=55.0, secondary_keys=("fog",))
    data = exported(tmp_path, replace(lorebook, entries=(*others, edited)))
    out = data["entries"]["6"]
    assert (out["probability"], out["useProbability"]) == (55, True)
    assert (out["keysecondary"], out["selective"], out["outletName"]) == (["fog"], True, "x")
    again = read(tmp_path, data).entries[2]
    assert replace(again, extensions={}) == replace(edited, extensions={})


def test_a_minimal_entry_has_the_defaults(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, {"entries": {"0": {"key": ["a"], "content": "b"}}}).entries
    assert entry == LoreEntry(id="id1", keys=("a",), content="b")


def test_values_of_another_type_are_taken_where_they_are_plain(tmp_path: Path) -> None:
    loose = {
        "key": "sea, /sa{1,2}lt/i , ",
        "comment": 7,
        "order": "12",
        "constant": "true",
        "disable": 0,
        "depth": 3.0,
        "sticky": True,
        "probability": "1e3",
        "caseSensitive": "",
        "position": "after_char",
        "group": None,
    }
    (entry,) = read(tmp_path, {"entries": [loose]}).entries
    assert replace(entry, extensions={}) == LoreEntry(
        id="id1",
        name="7",
        keys=("sea", "/sa{1,2}lt/i"),
        order=12,
        constant=True,
        depth=3,
        sticky=1,
        position=Position.AFTER_CHARACTERS,
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("order", [1], "order must be a number"),
        ("order", "many", "order must be a number"),
        ("order", "nan", "order must be a number"),
        ("constant", "perhaps", "constant must be true or false"),
        ("constant", 2, "constant must be true or false"),
        ("key", {"a": 1}, "key must be text"),
        ("key", [["a"]], "key must be text"),
        ("content", ["a"], "content must be text"),
        ("content", True, "content must be text"),
        ("selectiveLogic", 9, "selectiveLogic must be a number from 0 to 3"),
        ("position", "nowhere", "position must be a number"),
        ("content", "x" * 200_001, "content has 200,001 characters, and at most 200,000 are taken"),
        ("key", ["x" * 2_001], "keys has an item of more than 2,000 characters"),
        ("key", ["x"] * 1_001, "keys has 1,001 items, and at most 1,000 are taken"),
        ("comment", "x" * 10_001, "name has 10,001 characters, and at most 10,000 are taken"),
    ],
)
def test_one_bad_entry_costs_only_itself(tmp_path: Path, field: str, value: Any, reason: str) -> None:
    bad = {"comment": "Bad one", field: value}
    lorebook = read(tmp_path, {"entries": [world_entry(), bad, world_entry()]})
    assert len(lorebook.entries) == 2
    (told,) = lorebook.refused
    assert told.startswith("Entry 2")
    assert reason in told


def test_numbers_out_of_range_become_the_nearest_that_fits(tmp_path: Path) -> None:
    far = world_entry(order=10**15, depth=-3, probability=-1, scanDepth=-2)
    (entry,) = read(tmp_path, {"entries": [far]}).entries
    assert (entry.order, entry.depth, entry.probability, entry.scan_depth) == (2**31 - 1, 0, 0, 0)


def test_repeated_uids_are_told_apart_at_export(tmp_path: Path) -> None:
    lorebook = read(tmp_path, {"entries": [world_entry(uid=1), world_entry(uid=1), world_entry(uid="x")]})
    assert [entry.id for entry in lorebook.entries] == ["id1", "id2", "id3"]
    assert [entry["uid"] for entry in exported(tmp_path, lorebook)["entries"].values()] == [1, 0, 2]


def test_decorators_that_sillytavern_knows_are_fields(tmp_path: Path) -> None:
    data = {
        "entries": {"0": world_entry(content="@@activate\nAlways."), "1": world_entry(content="@@mention me")}
    }
    always, other = read(tmp_path, data).entries
    assert (always.content, always.constant) == ("Always.", True)
    assert (other.content, other.constant) == ("", False)
    assert exported(tmp_path, read(tmp_path, data))["entries"]["1"]["content"] == "@@mention me\n"


def test_more_entries_than_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_ENTRIES", 3)
    lorebook = read(tmp_path, {"entries": [{"key": "a"}] * 5})
    assert len(lorebook.entries) == 3
    assert lorebook.refused == ("The last 2 entries were left out: at most 3 are taken.",)


def test_a_field_too_large_to_keep_is_told(tmp_path: Path) -> None:
    lorebook = read(tmp_path, {"entries": [world_entry(scripts="x" * 2**20)], "blob": "x" * 2**20})
    assert lorebook.refused == (
        "Entry 1 (“Vesna of the marsh”) came without its field scripts: it is too large.",
        "The book came without its field blob: it is too large.",
    )


def test_a_books_settings_that_cant_be_read_are_told(tmp_path: Path) -> None:
    lorebook = read(tmp_path, {"entries": [world_entry()], "scan_depth": "deep"})
    assert lorebook.settings is None
    assert len(lorebook.entries) == 1
    assert lorebook.refused == ("The book's own settings were left out: scan_depth must be a number.",)


@pytest.mark.parametrize("raws", [None, 3, "x"])
def test_entries_of_no_kind(tmp_path: Path, raws: Any) -> None:
    with pytest.raises(ImportRefused, match="neither an object nor a list"):
        read(tmp_path, {"entries": raws})
