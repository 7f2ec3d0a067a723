"""Keys and values of several texts side by side."""

from typing import Any

import torch
from transformers import DynamicCache

from storyloom.generators.hf_rows import Rows

HEADS, SIZE = 2, 3


def read(length: int, seed: int) -> DynamicCache:
    """A text's cache of two layers, with random keys and values."""
    dice = torch.Generator().manual_seed(seed)
    cache = DynamicCache()
    for layer in range(2):
        keys, values = torch.randn((2, 1, HEADS, length, SIZE), generator=dice)
        cache.update(keys, values, layer)
    return cache


def same(one: DynamicCache, other: DynamicCache) -> bool:
    layers: list[tuple[Any, Any]] = list(zip(one.layers, other.layers, strict=True))
    return all(torch.equal(a.keys, b.keys) and torch.equal(a.values, b.values) for a, b in layers)


def test_rows_come_out_as_they_went_in_whatever_comes_and_goes_between() -> None:
    texts = [read(length, seed) for seed, length in enumerate((5, 300, 1, 40))]
    rows = Rows()
    for text in texts[:3]:
        rows.add(text, text.get_seq_length() + 10)
    assert same(rows.remove(0), texts[0])  # the last row gets its number
    rows.add(texts[3], 600)
    assert rows.lengths == [1, 300, 40]
    assert same(rows.remove(1), texts[1])
    assert same(rows.remove(1), texts[3])
    assert same(rows.remove(0), texts[2])
    assert (rows.lengths, rows.columns) == ([], 0)


def test_room_is_made_for_the_longest() -> None:
    rows = Rows()
    rows.add(read(5, 0), 20)
    assert rows.columns == 256
    rows.add(read(5, 0), 257)
    assert rows.columns == 512
