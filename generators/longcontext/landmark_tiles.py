"""Queries laid together by the block that they want, so that each block is fetched once for many."""

import torch
from torch import Tensor


class Tiles:
    """Rows of up to ``size`` queries that want the same; a query wants one thing, or nothing.

    Attributes:
        key: [tiles], what the queries of each want.

    Args:
        wanted: [queries], what each wants, from 0 on; -1 for nothing.
        size: of a tile at most.
    """

    def __init__(self, wanted: Tensor, size: int):
        self.count = len(wanted)
        order = wanted.argsort(stable=True)
        self.order = order[int((wanted < 0).sum()) :]
        keys, counts = wanted[self.order].unique_consecutive(return_counts=True)
        self.size = min(size, int(counts.max())) if len(counts) else 1
        tiles = -(-counts // self.size)
        self.key = keys.repeat_interleave(tiles)
        # Within its tiles, a query's place is its place among those who want the same.
        behind = (counts.cumsum(0) - counts).repeat_interleave(counts)
        before = ((tiles.cumsum(0) - tiles) * self.size).repeat_interleave(counts)
        self.place = before + torch.arange(len(self.order), device=wanted.device) - behind

    def lay(self, queries: Tensor) -> Tensor:
        """[queries, ...] to [tiles, size, ...], 0 where a tile isn't full."""
        laid = queries.new_zeros(len(self.key) * self.size, *queries.shape[1:])
        return laid.index_copy(0, self.place, queries[self.order]).unflatten(0, (-1, self.size))

    def pick(self, answers: Tensor, nothing: float) -> Tensor:
        """[tiles, size, ...] back to [queries, ...]; ``nothing`` where a query wanted nothing."""
        picked = answers.new_full((self.count, *answers.shape[2:]), nothing)
        return picked.index_copy(0, self.order, answers.flatten(0, 1)[self.place])
