"""Keys and values of several texts side by side, so that one pass of a model writes a token of each.

Each row begins at the left edge and is as long as its own text. A key knows its token's place, so nothing
has to stand in line: the next token's goes behind the last of its row, and a mask hides what lies beyond.
No row has to move when another comes.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from storyloom.generators.prefix_cache import takes_cache

_COLUMNS_AT_ONCE = 256


def cell_bytes(model: Any) -> int | None:
    """Bytes that a model keeps of each token; None where its rows can't be laid side by side.

    Models with windows that slide or with states of their own are such, and those that can't be told a
    token's place. One token is read to see it.
    """
    asked = inspect.signature(model.forward).parameters
    if not takes_cache(model) or not {"position_ids", "logits_to_keep"} <= asked.keys():
        return None
    cache = DynamicCache(config=model.config)
    if not _plain(cache):
        return None
    with torch.inference_mode():
        token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
        model(input_ids=token, past_key_values=cache, use_cache=True)
    if not _plain(cache) or cache.get_seq_length() != 1:
        return None
    return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in _layers(cache))


class Rows:
    """The rows of one model. For one thread.

    Attributes:
        lengths: how many tokens each row holds.
        columns: for how many tokens a row there is room.
    """

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.columns = 0
        self._cache = DynamicCache()

    def add(self, cache: DynamicCache, columns: int) -> None:
        """Append a row that begins with what was read already.

        Args:
            cache: of one text; it is copied.
            columns: how many tokens the row may grow to.
        """
        row, length = len(self.lengths), cache.get_seq_length()
        self.columns = max(self.columns, -(-columns // _COLUMNS_AT_ONCE) * _COLUMNS_AT_ONCE)
        if not self.lengths:
            self._cache.layers = [_RowsLayer() for _ in cache.layers]
        for layer, read in zip(_layers(self._cache), _layers(cache), strict=True):
            layer.keys = _grown(layer.keys, read.keys, row + 1, self.columns)
            layer.values = _grown(layer.values, read.values, row + 1, self.columns)
            layer.keys[row, :, :length] = read.keys[0]
            layer.values[row, :, :length] = read.values[0]
        self.lengths.append(length)

    def remove(self, row: int) -> DynamicCache:
        """Take a row out as a text's own cache; the last row gets its number."""
        cache, length = DynamicCache(), self.lengths[row]
        for number, layer in enumerate(_layers(self._cache)):
            held = slice(row, row + 1), slice(None), slice(length)
            cache.update(layer.keys[held].clone(), layer.values[held].clone(), number)
        last = self.lengths.pop()
        if row < len(self.lengths):
            self.lengths[row] = last
            for layer in _layers(self._cache):
                for cells in (layer.keys, layer.values):
                    cells[row, :, :last] = cells[len(self.lengths), :, :last]
        if not self.lengths:
            self.clear()
        return cache

    def clear(self) -> None:
        """Drop all rows, and free their memory."""
        self.lengths.clear()
        self._cache.layers = []
        self.columns = 0

    def read(self, model: Any, tokens: Sequence[int]) -> torch.Tensor:
        """Let a model read one more token of each row.

        Args:
            model: the one whose rows these are.
            tokens: one a row.

        Returns:
            The scores of what follows, shape (rows, vocabulary).
        """
        places = torch.tensor(self.lengths, device=model.device)
        width = max(self.lengths) + 1
        for layer in _layers(self._cache):
            layer.places, layer.width = places, width
        scores = model(
            input_ids=torch.tensor(tokens, device=model.device)[:, None],
            attention_mask=(torch.arange(width, device=model.device) <= places[:, None]).long(),
            position_ids=places[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).logits
        self.lengths = [length + 1 for length in self.lengths]
        return torch.as_tensor(scores[:, -1])


class _RowsLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers' __init_subclass__
    """One layer's keys and values, shape (rows, heads, columns, size of a head).

    Attributes:
        places: where each row's next token goes, shape (rows,).
        width: columns that the longest row fills with its next token.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_initialized = True
        self.places = torch.empty(0)
        self.width = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put one token behind each row."""
        rows = torch.arange(len(self.places), device=key_states.device)
        seen = []
        for cells, new in ((self.keys, key_states), (self.values, value_states)):
            assert cells is not None
            cells[rows, :, self.places] = new[:, :, 0]
            seen.append(cells[: len(self.places), :, : self.width])
        return seen[0], seen[1]

    def get_seq_length(self) -> int:
        """Tokens before the next one, of the longest row."""
        return max(0, self.width - 1)


def _layers(cache: DynamicCache) -> list[Any]:
    """The layers, whose tensors the library types as perhaps missing."""
    return list(cache.layers)


def _plain(cache: DynamicCache) -> bool:
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _grown(cells: torch.Tensor | None, like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Room for so many rows and columns. Zeros, since what a mask hides must still be a number."""
    if cells is not None and cells.shape[0] >= rows and cells.shape[2] >= columns:
        return cells
    held = 0 if cells is None else cells.shape[0]
    room = like.new_zeros((max(rows, held), like.shape[1], columns, like.shape[3]))
    if cells is not None:
        room[:held, :, : cells.shape[2]] = cells
    return room
