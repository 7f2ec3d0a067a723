from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import ImportRefused, InvalidSetting, StoreUnavailable
from storyloom.memory.lore import CharacterSheet, LoreEntry, LoreSettings, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import FORMATS, files, read_lorebook, write_lorebook
from tests.unit.storage.formats.lorebooks.samples import card_v3, ids, kobold, novelai, read, world_info

SHARED = LoreEntry(id="e1", name="Fox", content="A fox.", keys=("fox",), order=7, exclude_recursion=True)


def bare(lorebook: Lorebook) -> list[LoreEntry]:
    return [replace(entry, id="", extensions={}) for entry in lorebook.entries]


@pytest.mark.parametrize("form", FORMATS)
def test_what_every_form_can_say_is_equal_in_all(tmp_path: Path, form: str) -> None:
    sheet = CharacterSheet(id="c", name="Ada")
    characters = (sheet,) if form.startswith("card") else ()
    book = Lorebook(entries=(SHARED, replace(SHARED, id="e2", constant=True)), characters=characters)
    assert write_lorebook(tmp_path / "book", book, format=form) == ()
    again = read_lorebook(tmp_path / "book", ids())
    assert bare(again) == bare(book)
    assert [replace(one, id="c", extensions={}) for one in again.characters] == list(characters)


@pytest.mark.parametrize(
    "source", [world_info(), card_v3(), novelai(), kobold()], ids=["st", "card", "nai", "kai"]
)
@pytest.mark.parametrize("form", ["sillytavern", "card-v3"])
def test_entries_of_any_form_are_equal_after_sillytaverns(tmp_path: Path, source: Any, form: str) -> None:
    lorebook = read(tmp_path, source)
    book = replace(lorebook, characters=(CharacterSheet(id="c", name="Ada"),))
    write_lorebook(tmp_path / "book", book, format=form)
    assert bare(read_lorebook(tmp_path / "book", ids())) == bare(lorebook)


def test_everything_that_a_form_lacks_is_told(tmp_path: Path) -> None:
    entry = replace(
        SHARED, sticky=3, scans=("premise",), position=Position.OUTLET, extensions={"card": {"id": 1}}
    )
    book = Lorebook(
        name="Foxes",
        entries=tuple(replace(entry, id=str(place), name=f"Fox {place}") for place in range(5)),
        characters=(CharacterSheet(id="a", name="Ada", enabled=False), CharacterSheet(id="b", name="Bo")),
        settings=LoreSettings(scan_depth=5, likeness=0.7),
        memory="m",
        authors_note="n",
        extensions={"koboldai": {"x": 1}},
    )
    begin = "Not written, for this form has no place for it: "
    foxes = "“Fox 0”, “Fox 1”, “Fox 2” and 2 more"
    assert write_lorebook(tmp_path / "a.lorebook", book) == (
        f"{begin}the field position of {foxes}.",
        f"{begin}the field sticky of {foxes}.",
        f"{begin}the field scans of {foxes}.",
        f"{begin}what only the form card has of {foxes}.",
        f"{begin}the characters “Ada”, “Bo”.",
        f"{begin}the settings scan_depth, likeness.",
        f"{begin}the book's name “Foxes”.",
        f"{begin}the text of the memory.",
        f"{begin}the author's note.",
        f"{begin}what only the form koboldai has of the book.",
    )
    assert write_lorebook(tmp_path / "a.png", book) == (
        f"{begin}the field scans of {foxes}.",
        f"{begin}the characters “Bo”.",
        f"{begin}that Ada is switched off.",
        f"{begin}the settings likeness.",
        f"{begin}the text of the memory.",
        f"{begin}the author's note.",
        f"{begin}what only the form koboldai has of the book.",
    )


@pytest.mark.parametrize(("name", "form"), [("a.JSON", "sillytavern"), ("a.lorebook", "novelai")])
def test_the_suffix_names_the_form(tmp_path: Path, name: str, form: str) -> None:
    write_lorebook(tmp_path / "new" / name, Lorebook(entries=(SHARED,)))
    assert read_lorebook(tmp_path / "new" / name, ids()).format == form


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("a.txt", {}, "The forms are sillytavern, card-v2, card-v3, novelai"),
        ("a.json", {"format": "koboldai"}, "as 'koboldai'"),
        ("a.png", {"format": "novelai"}, "Only a character card"),
        ("a.json", {"picture": Path("x.png")}, "Only a character card"),
    ],
)
def test_what_cant_be_written(tmp_path: Path, name: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        write_lorebook(tmp_path / name, Lorebook(entries=(SHARED,)), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable):
        write_lorebook(tmp_path / "file" / "a.json", Lorebook())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04card.json", "zip archive"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
        (b"\x89PNG", "isn't UTF-8"),
        (b"{}", "no lorebook"),
        (b"[]", "no lorebook"),
        (b'"entries"', "no lorebook"),
        (b'{"spec": "lorebook_v3", "data": []}', "no object"),
        (b'{"spec": "lorebook_v3", "data": {"entries": 5}}', "no list"),
    ],
)
def test_what_is_no_lorebook(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ImportRefused, match=reason) as refused:
        read(tmp_path, content)
    assert str(refused.value).startswith(f"{tmp_path / 'file'} can't be imported. ")


def test_a_file_that_isnt_there_or_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportRefused, match="No such file"):
        read_lorebook(tmp_path / "nothing.json", ids())
    with pytest.raises(ImportRefused, match="can't be read"):
        read_lorebook(tmp_path, ids())
    monkeypatch.setattr(files, "LARGEST_FILE", 2**20)
    with pytest.raises(ImportRefused, match="more than 1 MB"):
        read(tmp_path, b" " * (2**20 + 1))
