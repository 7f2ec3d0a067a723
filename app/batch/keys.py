"""Keys of a batch's stories: readable, usable in file names, and the same each time the file is read."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from storyloom.app.batch.sampling_fields import SamplingFields

_WORDS = 6
_LONGEST = 60
_WORD = re.compile(r"[^\W_]+")
_BETWEEN = re.compile(r"[\s._-]+")


def slug(text: str, *, words: int = _WORDS) -> str:
    """The text's first words in small letters with hyphens between; empty where it has none."""
    return "-".join(_WORD.findall(text.lower())[:words])[:_LONGEST].strip("-")


def digest(text: str, size: int) -> bytes:
    """So many bytes that follow from the text alone."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def label(name: str, value: Any) -> str:
    """What a value of the matrix adds to the keys of its stories.

    A number says which field it is of. Where the words leave out what tells a value from others, a few
    hexadecimal digits follow that don't.
    """
    whole = _text(name, value)
    shown = slug(_model_name(whole) if name == "model" else whole)
    if shown == _BETWEEN.sub("-", whole.lower()):
        return shown
    return f"{shown}-{digest(whole, 2).hex()}".lstrip("-")


def story_key(base: str, labels: Mapping[str, str]) -> str:
    """A story's key: its own, and what the matrix adds."""
    return "-".join(part for part in (base, *labels.values()) if part)


def seed_of(key: str) -> int:
    """The seed of a story that names none: the same for the same key."""
    return int.from_bytes(digest(key, 4), "big") >> 1


def _text(name: str, value: Any) -> str:
    match value:
        case SamplingFields():
            return " ".join(f"{name} {found}" for name, found in value.model_dump(exclude_none=True).items())
        case list():
            return "\n".join(value)
        case int():
            return f"{name} {value}"
        case _:
            return str(value)


def _model_name(text: str) -> str:
    """``openai:llama-3@http://host`` is llama-3, ``gguf:/models/llama.gguf`` is llama.gguf."""
    return text.partition("@")[0].rpartition("/")[2].rpartition(":")[2]
