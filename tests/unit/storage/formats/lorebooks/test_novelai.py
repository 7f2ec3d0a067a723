import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import LoreEntry, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import write_lorebook
from tests.unit.storage.formats.lorebooks.samples import novelai, novelai_entry, read


def exported(folder: Path, lorebook: Lorebook) -> dict[str, Any]:
    write_lorebook(folder / "out.lorebook", lorebook)
    data: dict[str, Any] = json.loads((folder / "out.lorebook").read_text(encoding="utf-8"))
    return data


def test_the_fields_of_entries(tmp_path: Path) -> None:
    orla, bell, crab = (replace(entry, extensions={}) for entry in read(tmp_path, novelai()).entries)
    assert orla == LoreEntry(
        id="id1",
        name="Orla",
        content="Orla is a ferryman.",
        keys=("Orla", "/ferr(y|ies)/i"),
        order=400,
        exclude_recursion=True,
    )
    assert (bell.constant, bell.position, bell.depth, bell.order) == (True, Position.AT_DEPTH, 3, -200)
    assert (crab.enabled, crab.exclude_recursion) == (False, False)  # its category is disabled


def test_an_unedited_lorebook_is_exported_as_it_was(tmp_path: Path) -> None:
    data = exported(tmp_path, read(tmp_path, novelai()))
    original = novelai()
    original["entries"][1]["contextConfig"] = data["entries"][1]["contextConfig"]  # has the defaults besides
    assert data == {**original, "order": [*original["order"], original["entries"][0]["id"], "c"]}


def test_an_entry_switched_on_leaves_the_disabled_category(tmp_path: Path) -> None:
    lorebook = read(tmp_path, novelai())
    crab = replace(lorebook.entries[2], enabled=True)
    data = exported(tmp_path, replace(lorebook, entries=(crab,)))
    assert (data["entries"][0]["enabled"], data["entries"][0]["category"]) == (True, "")
    assert read(tmp_path, data).entries[0].enabled


def test_entries_of_other_origin_get_ids_of_their_own(tmp_path: Path) -> None:
    lorebook = Lorebook(entries=(LoreEntry(id="a", name="A"), LoreEntry(id="b", name="B")))
    data = exported(tmp_path, lorebook)
    assert data["order"] == [entry["id"] for entry in data["entries"]]
    assert len(set(data["order"])) == 2
    assert data == exported(tmp_path, lorebook)


def test_a_storys_lorebook_memory_and_note(tmp_path: Path) -> None:
    content = {"lorebook": novelai(), "context": [{"text": "A river."}, {"text": "Slow."}], "story": {}}
    story = {"storyContainerVersion": 1, "metadata": {"title": "The ferry"}, "content": content}
    scenario = {"scenarioVersion": 3, "title": "The ferry", "prompt": "x", **content}
    for data in (story, scenario):
        lorebook = read(tmp_path, data)
        assert (lorebook.name, lorebook.memory, lorebook.authors_note) == ("The ferry", "A river.", "Slow.")
        assert len(lorebook.entries) == 3


@pytest.mark.parametrize("context", [None, [], ["x"], [{"text": "only memory"}]])
def test_a_story_without_note(tmp_path: Path, context: Any) -> None:
    lorebook = read(tmp_path, {"storyContainerVersion": 1, "content": {"context": context}})
    assert lorebook.authors_note == ""


def test_texts_that_are_none_are_told(tmp_path: Path) -> None:
    lorebook = read(tmp_path, {"scenarioVersion": 1, "context": [{"text": ["x"]}], "lorebook": novelai()})
    assert len(lorebook.entries) == 3
    assert lorebook.refused == ("Title, memory and author's note were left out: text must be text.",)


def test_malformed_parts(tmp_path: Path) -> None:
    data = {
        "lorebookVersion": 5,
        "categories": "x",
        "order": 7,
        "entries": [novelai_entry(keys=3, category=[]), 4],
    }
    lorebook = read(tmp_path, data)
    assert lorebook.entries[0].keys == ("3",)
    assert lorebook.refused == ("Entry 2 was left out: it is no object.",)
    assert exported(tmp_path, lorebook)["order"] == [novelai_entry()["id"]]
    with pytest.raises(ImportRefused, match="are no list"):
        read(tmp_path, {"lorebookVersion": 5, "entries": "x"})
