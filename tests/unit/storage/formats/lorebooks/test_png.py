import io
import zlib
from pathlib import Path

import pytest
from PIL import Image

from storyloom.memory.errors import ImportRefused
from storyloom.storage.formats.lorebooks import png as chunks
from storyloom.storage.formats.lorebooks import write_lorebook
from tests.unit.storage.formats.lorebooks.samples import card_v2, card_v3, chunk, novelai, packed, png, read


def text(keyword: bytes, value: bytes) -> bytes:
    return chunk(b"tEXt", keyword + b"\0" + value)


def test_v3_goes_before_v2(tmp_path: Path) -> None:
    picture = png(text(b"chara", packed(card_v2())), text(b"ccv3", packed(card_v3())))
    lorebook = read(tmp_path, picture)
    assert lorebook.characters[0].nickname == "Il"
    assert lorebook.refused == ()


@pytest.mark.parametrize(
    "stored",
    [
        chunk(b"tEXt", b"Chara\0" + packed(card_v2())),
        chunk(b"tEXt", b"chara\0" + packed(card_v2()).rstrip(b"=")[:-4] + b"\r\n" + packed(card_v2())[-4:]),
        chunk(b"zTXt", b"chara\0\0" + zlib.compress(packed(card_v2()))),
        chunk(b"iTXt", b"chara\0\0\0\0\0" + packed(card_v2())),
        chunk(b"iTXt", b"chara\0\1\0en\0keyword\0" + zlib.compress(packed(card_v2()))),
    ],
    ids=["capital", "line break", "zTXt", "iTXt", "iTXt compressed"],
)
def test_the_kinds_of_text_chunks(tmp_path: Path, stored: bytes) -> None:
    if b"\r\n" in stored[:-4]:
        stored = chunk(
            b"tEXt", b"chara\0" + packed(card_v2())[:8] + b"\r\n" + packed(card_v2())[8:].rstrip(b"=")
        )
    assert read(tmp_path, png(stored)).characters[0].name == "Ilse"


def test_a_novelai_lorebook_in_a_picture(tmp_path: Path) -> None:
    lorebook = read(tmp_path, png(text(b"naidata", packed(novelai()))))
    assert (lorebook.format, len(lorebook.entries)) == ("novelai", 3)


def bomb() -> bytes:
    packer = zlib.compressobj(9)
    zeros = b"0" * 2**20
    return b"".join([*(packer.compress(zeros) for _ in range(65)), packer.flush()])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (text(b"ccv3", b"!!!"), "no base64"),
        (text(b"ccv3", b"AAAAA"), "no base64"),
        (text(b"ccv3", b"e30="), "no lorebook"),
        (text(b"ccv3", packed([1])), "no lorebook"),
        (chunk(b"tEXt", b"ccv3\0" + packed(card_v3()), checksum=7), "checksum is wrong"),
        (chunk(b"zTXt", b"ccv3\0\0" + b"rubbish"), "can't be read"),
        (chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(packed(card_v3()))[:-9]), "cut short"),
        (chunk(b"zTXt", b"ccv3\0\0" + bomb()), "unpacks to more than 64 MB"),
        (chunk(b"iTXt", b"ccv3\0\1\0en"), "cut short"),
    ],
    ids=["rubbish", "length", "empty", "list", "checksum", "zlib", "zlib cut", "bomb", "iTXt cut"],
)
def test_a_broken_chunk_is_told_and_the_other_taken(tmp_path: Path, broken: bytes, reason: str) -> None:
    lorebook = read(tmp_path, png(broken, text(b"chara", packed(card_v2()))))
    assert lorebook.characters[0].name == "Ilse"
    assert reason in lorebook.refused[0]
    with pytest.raises(ImportRefused, match=reason):
        read(tmp_path, png(broken))


def test_a_picture_cut_short(tmp_path: Path) -> None:
    whole = png(text(b"chara", packed(card_v2())))
    with pytest.raises(ImportRefused, match="cut short"):
        read(tmp_path, whole[:200])
    lorebook = read(tmp_path, whole[:-6])  # the card stands before the damage
    assert lorebook.characters[0].name == "Ilse"
    assert lorebook.refused[0].startswith("The picture is cut short")


def test_a_chunk_longer_than_the_file(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="wrong length"):
        read(tmp_path, chunks.SIGNATURE + b"\xff\xff\xff\xfftEXtchara\0")


def test_a_picture_without_card(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="holds no character card"):
        read(tmp_path, png(text(b"Software", b"x")))


def test_too_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_MOST_CHUNKS", 5)
    with pytest.raises(ImportRefused, match="more than 5 chunks"):
        read(tmp_path, png(*[text(b"a", b"b")] * 6))


def test_a_card_in_a_plain_picture(tmp_path: Path) -> None:
    lorebook = read(tmp_path, card_v3())
    write_lorebook(tmp_path / "card.png", lorebook)
    with Image.open(tmp_path / "card.png") as image:
        image.load()
        assert image.size == (400, 600)
        assert {"chara", "ccv3"} <= image.info.keys()
    again = read(tmp_path, (tmp_path / "card.png").read_bytes())
    assert [entry.content for entry in again.entries] == [entry.content for entry in lorebook.entries]
    assert again.characters == lorebook.characters


def test_a_card_in_its_own_picture(tmp_path: Path) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(drawn, "PNG")
    old = text(b"ccv3", packed(card_v3())) + text(b"chara", packed(card_v3())) + text(b"Software", b"brush")
    place = drawn.getvalue().index(b"IDAT") - 4
    source = tmp_path / "source.png"
    source.write_bytes(drawn.getvalue()[:place] + old + drawn.getvalue()[place:])

    lorebook = read(tmp_path, card_v2())
    write_lorebook(tmp_path / "out.png", lorebook, format="card-v2", picture=source)
    with Image.open(tmp_path / "out.png") as image:
        assert image.getpixel((0, 0)) == (255, 0, 0)
        assert image.info.keys() >= {"Software", "chara"}
        assert "ccv3" not in image.info
    assert read(tmp_path, (tmp_path / "out.png").read_bytes()).characters == lorebook.characters


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0", png()[:60]])
def test_a_source_picture_that_is_none(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(content)
    with pytest.raises(ImportRefused, match="can't hold the card"):
        write_lorebook(tmp_path / "out.png", read(tmp_path, card_v2()), picture=source)
    assert not (tmp_path / "out.png").exists()
