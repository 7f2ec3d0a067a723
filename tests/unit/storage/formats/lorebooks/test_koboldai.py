from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import Logic, LoreEntry
from tests.unit.storage.formats.lorebooks.samples import kobold, read


def test_a_save_of_lite(tmp_path: Path) -> None:
    lorebook = read(tmp_path, kobold())
    assert lorebook.refused == ()
    assert (lorebook.format, lorebook.memory, lorebook.authors_note) == (
        "koboldai",
        "A valley.",
        "Dry humour.",
    )
    mill, against = lorebook.entries
    assert replace(mill, extensions={}) == LoreEntry(
        id="id1",
        name="Mill",
        content="The mill stands still.",
        keys=("mill", "/wheel,s?/i"),
        secondary_keys=("water",),
        probability=60,
    )
    assert (against.secondary_keys, against.logic, against.enabled) == (("dream",), Logic.NOT_ANY, False)
    assert mill.extensions["koboldai"]["wigroup"] == "Places"


def test_a_save_of_united(tmp_path: Path) -> None:
    entry = {
        "uid": 3,
        "title": "Mill",
        "key": ["mill"],
        "keysecondary": [],
        "folder": "root",
        "constant": True,
        "content": "Still.",
        "comment": "",
        "selective": False,
    }
    book = {"folders": {"root": [3]}, "entries": {"3": entry}}
    save = {"worldinfo_v2": book, "memory": "A valley.", "authornote": "Dry."}
    for data in (save, book):
        (found,) = read(tmp_path, data).entries
        assert (found.name, found.keys, found.constant, found.content) == ("Mill", ("mill",), True, "Still.")
    assert read(tmp_path, save).authors_note == "Dry."


def test_a_save_without_world_info(tmp_path: Path) -> None:
    lorebook = read(tmp_path, {"gamestarted": True, "memory": "A valley."})
    assert (lorebook.entries, lorebook.memory) == ((), "A valley.")


@pytest.mark.parametrize("memory", [["x"], "x" * 200_001])
def test_a_memory_that_cant_be_taken_is_told(tmp_path: Path, memory: Any) -> None:
    lorebook = read(tmp_path, {**kobold(), "memory": memory})
    assert len(lorebook.entries) == 2
    assert lorebook.memory == ""
    assert lorebook.refused[0].startswith("Memory and author's note were left out: memory ")


def test_world_info_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no list of entries"):
        read(tmp_path, {"worldinfo": 3})
