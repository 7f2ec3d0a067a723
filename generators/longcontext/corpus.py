"""A folder of books as one row of tokens, which is kept in a file and read from there."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storyloom.memory.errors import InvalidText

Tokens = NDArray[Any]

_SHORTEST = 2  # tokens from which something can be learned: one to read, one to foretell


@dataclass(frozen=True, slots=True)
class Corpus:
    """Books in the order of their files' names.

    Attributes:
        names: a book's file within the folder.
        starts: where each book begins in ``tokens``, and where the last one ends.
        tokens: of all books, uint16 or uint32.
        digest: SHA-256 over the books and the tokenizer, in hexadecimal.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    tokens: Tokens
    digest: str

    def __len__(self) -> int:
        return len(self.names)

    def book(self, index: int) -> Tokens:
        """One book's tokens."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def longer_than(self, tokens: int) -> list[int]:
        """Indices of the books with more tokens than that."""
        return [index for index in range(len(self)) if len(self.book(index)) > tokens]


def read_corpus(folder: Path, tokenizer: Any, cache: Path | None = None) -> Corpus:
    """The books of a folder and the folders in it: each ``.txt`` file is one.

    Args:
        folder: with UTF-8 files.
        tokenizer: the model's.
        cache: a folder to keep the tokens in, so that they are made once; None keeps them in memory.

    Raises:
        InvalidText: no such folder, no text in it, or a file that isn't UTF-8.
    """
    paths = _paths(folder)
    digest = _digest(folder, paths, tokenizer)
    if cache is None:
        return _tokenised(folder, paths, tokenizer, digest)
    found = _kept(cache, digest)
    if found is None:
        _keep(cache, _tokenised(folder, paths, tokenizer, digest))
        found = _kept(cache, digest)
    assert found is not None
    return found


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InvalidText(f"There is no folder {folder}. Name a folder with books as .txt files.")
    paths = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not paths:
        raise InvalidText(f"{folder} holds no .txt file. Put the books there, a UTF-8 text file each.")
    return paths


def _tokenised(folder: Path, paths: Sequence[Path], tokenizer: Any, digest: str) -> Corpus:
    kind = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    names, books = [], []
    for path in paths:
        ids = tokenizer(_text(path), add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= _SHORTEST:
            names.append(str(path.relative_to(folder)))
            books.append(np.array(ids, dtype=kind))
    if not books:
        raise InvalidText(f"The .txt files in {folder} hold no text. Put the books there.")
    starts = np.cumsum([0, *map(len, books)]).tolist()
    return Corpus(tuple(names), tuple(starts), np.concatenate(books), digest)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InvalidText(
            f"{path} can't be read as UTF-8 text ({error}). Save it as UTF-8, or move it away."
        ) from error


def _digest(folder: Path, paths: Sequence[Path], tokenizer: Any) -> str:
    digest = hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    for path in paths:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _files(cache: Path, digest: str) -> tuple[Path, Path]:
    return cache / f"tokens-{digest[:16]}.npy", cache / f"tokens-{digest[:16]}.json"


def _keep(cache: Path, corpus: Corpus) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    tokens, index = _files(cache, corpus.digest)
    partial = tokens.with_name(f".{tokens.name}")
    np.save(partial.with_suffix(".part.npy"), corpus.tokens)
    partial.with_suffix(".part.npy").replace(tokens)
    # The index comes last: where it is, the tokens are whole.
    partial = index.with_name(f".{index.name}")
    partial.write_text(json.dumps({"names": corpus.names, "starts": corpus.starts}), encoding="utf-8")
    partial.replace(index)


def _kept(cache: Path, digest: str) -> Corpus | None:
    tokens, index = _files(cache, digest)
    if not index.is_file():
        return None
    told = json.loads(index.read_text(encoding="utf-8"))
    return Corpus(tuple(told["names"]), tuple(told["starts"]), np.load(tokens, mmap_mode="r"), digest)
