"""Reads the head of a GGUF file: metadata and tensor shapes, never the weights. Knows no engine.

The ``gguf`` package reads the same, but takes over a second for a vocabulary of 49,152 entries; this is
what a model waits for before its first token. The form is told in ggml's ``docs/gguf.md`` (versions 2, 3).
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from storyloom.memory.errors import ModelUnavailable

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_UNKNOWN, _CONTROL = 2, 3  # values of tokenizer.ggml.token_type
# No honest head is longer: a larger length is damage, and must not be read into memory.
_MAX_LENGTH = 1 << 28


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What a GGUF file says of itself.

    Attributes:
        metadata: its key-value pairs, arrays as lists.
        parameters: how many weights all tensors hold together.
        tensor_data_at: least size of the file in bytes: the last tensor begins before it.
    """

    metadata: Mapping[str, Any]
    parameters: int
    tensor_data_at: int

    @property
    def training_context(self) -> int | None:
        """How many tokens of context the model was trained with, where the file tells."""
        length = self.told("context_length")
        return int(length) if length else None

    @property
    def cell_bytes(self) -> int:
        """Bytes that llama.cpp keeps of one token: keys and values of all layers, at two bytes a number."""
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        shared = self._number("attention.head_count_kv") or heads
        size = self._number("embedding_length") // max(1, heads)
        both = (self._number("attention.key_length") or size) + (
            self._number("attention.value_length") or size
        )
        return 2 * layers * shared * both

    @property
    def turned_channels(self) -> int:
        """Channels of a head that its RoPE turns; 0 where the file tells none."""
        told = self._number("rope.dimension_count") or self._number("attention.key_length")
        return told or self._number("embedding_length") // max(1, self._number("attention.head_count"))

    def told(self, key: str, default: Any = None) -> Any:
        """What the file tells of its architecture under a key."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}", default)

    def _number(self, key: str) -> int:
        """A number of the architecture, the largest where each layer has its own; 0 where there is none."""
        value = self.told(key, 0)
        return max(value, default=0) if isinstance(value, list) else int(value)

    def control_tokens(self) -> dict[str, int]:
        """Tokens that steer the model, such as the ends of turns: text to id."""
        tokens: list[str] = self.metadata.get("tokenizer.ggml.tokens", [])
        types: list[int] = self.metadata.get("tokenizer.ggml.token_type", [])
        return {
            text: number
            for number, (text, kind) in enumerate(zip(tokens, types, strict=False))
            # Some conversions mark ends of turns as user-defined; the engine takes them for control tokens.
            if text and (kind in (_UNKNOWN, _CONTROL) or (text.startswith("<|") and text.endswith("|>")))
        }


def read_head(path: Path) -> GgufHead:
    """Read metadata and tensor shapes.

    Raises:
        ModelUnavailable: there is no such file, or it isn't a whole GGUF file; the text names it.
    """
    try:
        with path.open("rb") as file:
            head = _Reader(file).head()
        size = path.stat().st_size
    except OSError as error:
        raise ModelUnavailable(
            f"The model file {path} can't be read: {error.strerror or error}. Check the path, or fetch the "
            "starter with `storyloom models pull starter`."
        ) from error
    except (ValueError, KeyError, struct.error, OverflowError) as error:
        raise ModelUnavailable(_damaged(path, str(error))) from error
    if size <= head.tensor_data_at:
        raise ModelUnavailable(_damaged(path, f"it ends after {size} bytes, before its last tensor"))
    return head


def _damaged(path: Path, why: str) -> str:
    return (
        f"The model file {path} is no whole GGUF file ({why}). Fetch or copy it again; the starter is "
        "fetched with `storyloom models pull starter`."
    )


class _Reader:
    """Reads the head from the front to the back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def head(self) -> GgufHead:
        if self._bytes(4) != _MAGIC:
            raise ValueError("it doesn't begin with GGUF")
        version = self._number("I")
        if version not in _VERSIONS:
            raise ValueError(f"its version is {version}, not 2 or 3")
        tensors, pairs = self._number("Q"), self._number("Q")
        metadata = {}
        for _ in range(pairs):
            key = self._string()
            metadata[key] = self._value(self._number("I"))
        parameters, last_tensor = self._tensors(tensors)
        return GgufHead(metadata, parameters, self._file.tell() + last_tensor)

    def _tensors(self, count: int) -> tuple[int, int]:
        """Number of weights in all tensors, and offset of the last one in the tensor data."""
        parameters, last = 0, 0
        for _ in range(count):
            self._string()
            dimensions = self._numbers("Q", self._number("I"))
            self._number("I")
            parameters += math.prod(dimensions)
            last = max(last, self._number("Q"))
        return parameters, last

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(_SCALARS[kind])
        item_kind, count = self._number("I"), self._number("Q")
        if item_kind in _SCALARS:
            return list(self._numbers(_SCALARS[item_kind], count))
        if count > _MAX_LENGTH:
            raise ValueError("an array's length is absurd")
        return [self._value(item_kind) for _ in range(count)]

    def _string(self) -> str:
        return self._bytes(self._number("Q")).decode("utf-8", "replace")

    def _number(self, form: str) -> Any:
        return self._numbers(form, 1)[0]

    def _numbers(self, form: str, count: int) -> tuple[Any, ...]:
        layout = struct.Struct(f"<{count}{form}")
        return layout.unpack(self._bytes(layout.size))

    def _bytes(self, length: int) -> bytes:
        if length > _MAX_LENGTH:
            raise ValueError("a length in its head is absurd")
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("it ends within its head")
        return data
