import io
import sys
from pathlib import Path

import pytest

from storyloom.memory.errors import InvalidText
from storyloom.ui import given


def test_text_stands_as_it_is() -> None:
    assert given.text("Mara keeps a lighthouse — 灯台", "premise") == "Mara keeps a lighthouse — 灯台"


def test_text_comes_from_a_file_without_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "premise.txt"
    file.write_bytes(b"\xef\xbb\xbfA door in the sea.\n")
    assert given.text(f"@{file}", "premise") == "A door in the sea.\n"


def test_text_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Über das Meer".encode())))
    assert given.text("-", "premise") == "Über das Meer"


@pytest.mark.parametrize("name", ["missing.txt", ".", "nul\0"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidText, match="premise can't be read"):
        given.text(f"@{tmp_path}/{name}", "premise")


def test_a_file_must_be_utf8(tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes("Müller".encode("latin-1"))
    with pytest.raises(InvalidText, match=r"latin\.txt isn't UTF-8"):
        given.text(f"@{file}", "plan")


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(InvalidText, match="larger than"):
        given.text("@/dev/zero", "premise")


def test_bytes_that_the_shell_could_not_decode_are_refused() -> None:
    undecodable = b"caf\xe9".decode("utf-8", errors="surrogateescape")
    with pytest.raises(InvalidText, match="story isn't valid UTF-8"):
        given.spoken(undecodable, "story")
