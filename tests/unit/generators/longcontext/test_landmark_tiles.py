"""Queries are laid by what they want, and find their own answers again."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from storyloom.generators.longcontext.landmark_tiles import Tiles


@given(wanted=st.lists(st.integers(-1, 5), max_size=40), size=st.integers(1, 7))
def test_each_lies_with_its_like_and_comes_back(wanted: list[int], size: int) -> None:
    tiles = Tiles(torch.tensor(wanted, dtype=torch.int64), size)
    queries = torch.arange(1, len(wanted) + 1)[:, None].double() + torch.tensor([0.0, 0.5])
    laid = tiles.lay(queries)
    assert laid.shape[1] <= size
    for key, tile in zip(tiles.key.tolist(), laid, strict=True):
        assert all(wanted[int(query) - 1] == key for query in tile[:, 0] if query)
    told = torch.tensor(wanted)[:, None] < 0
    assert torch.equal(tiles.pick(laid, -9.0), queries.masked_fill(told, -9.0))


def test_a_tile_is_no_larger_than_what_is_wanted_together() -> None:
    tiles = Tiles(torch.tensor([4, 2, 4, -1, 4]), 32)
    assert tiles.size == 3
    assert tiles.key.tolist() == [2, 4]
    assert len(Tiles(torch.tensor([3] * 65), 32).key) == 3
