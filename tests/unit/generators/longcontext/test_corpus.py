from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storyloom.generators.longcontext import corpus as corpus_module
from storyloom.generators.longcontext.corpus import read_corpus
from storyloom.memory.errors import InvalidText
from tests.tiny_model import TEXT, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    (folder / "b").mkdir(parents=True)
    (folder / "c.txt").write_text("\ufeffThe third.", encoding="utf-8")
    (folder / "a.txt").write_text(TEXT * 2, encoding="utf-8")
    (folder / "b" / "x.txt").write_text("Émile and the lamp.", encoding="utf-8")
    (folder / "empty.txt").write_text("", encoding="utf-8")
    (folder / "notes.md").write_text("Not a book.", encoding="utf-8")
    return folder


def test_each_text_file_is_a_book(books: Path, tokenizer: Any) -> None:
    found = read_corpus(books, tokenizer)
    assert found.names == ("a.txt", str(Path("b") / "x.txt"), "c.txt")
    assert [tokenizer.decode(found.book(index)) for index in range(len(found))] == [
        TEXT * 2,
        "Émile and the lamp.",
        "The third.",
    ]
    assert found.longer_than(len(found.book(1))) == [0]


def test_tokens_are_made_once(
    books: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_corpus(books, tokenizer, tmp_path / "cache")

    def never(*_arguments: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(corpus_module, "_tokenised", never)
    again = read_corpus(books, tokenizer, tmp_path / "cache")
    assert (again.names, again.starts, again.digest) == (first.names, first.starts, first.digest)
    assert np.array_equal(again.tokens, first.tokens)
    (books / "a.txt").write_text("Changed.", encoding="utf-8")
    with pytest.raises(AssertionError, match="made again"):
        read_corpus(books, tokenizer, tmp_path / "cache")


def test_what_holds_no_text_is_told(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(InvalidText, match="There is no folder"):
        read_corpus(tmp_path / "none", tokenizer)
    with pytest.raises(InvalidText, match=r"holds no \.txt file"):
        read_corpus(tmp_path, tokenizer)
    (tmp_path / "a.txt").write_text("", encoding="utf-8")
    with pytest.raises(InvalidText, match="hold no text"):
        read_corpus(tmp_path, tokenizer)
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InvalidText, match="can't be read as UTF-8"):
        read_corpus(tmp_path, tokenizer)
