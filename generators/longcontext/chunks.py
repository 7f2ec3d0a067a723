"""Reads tokens into a memory that learns a chunk at a time, however the tokens are split over calls.

A memory like Titans' takes every gradient of a chunk at the state that the chunk began with. So what is kept
between calls is that state and the tokens of the chunk that isn't whole yet; the next call reads those again
before its own. Chunks are counted from each row's first real token. Then word by word, in pieces and at once
give the same, and rows don't know of each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.rows import Rows, take
from storyloom.generators.longcontext.turns import moved

Tensors = tuple[Tensor, ...]
# Takes what asks and what is written, [batch, tokens, ...] each, and the states before the first token, at a
# chunk's beginning. Gives what was read, [batch, tokens, ...], and the states after the last token, which
# are used where that ended with a whole chunk.
Step = Callable[[Tensors, Tensors, Tensors], tuple[Tensor, Tensors]]


@dataclass(frozen=True, slots=True)
class _Joined:
    """Where this call's tokens come to lie behind those that waited.

    Attributes:
        waiting: how many tokens of its unfinished chunk each row had.
        totals: how many it has with this call's.
        chunk: tokens in a chunk.
    """

    waiting: list[int]
    totals: list[int]
    chunk: int

    @property
    def whole(self) -> list[int]:
        """How many whole chunks each row has."""
        return [total // self.chunk for total in self.totals]

    def join(self, held: Tensor, new: Tensor) -> Tensor:
        """[batch, chunk − 1, ...] that waited and [batch, columns, ...] give each row in one piece."""
        longest = max(self.waiting)
        both = torch.cat([held[:, :longest].to(new.dtype), new], dim=1)
        if min(self.waiting) == longest:
            return both
        column = torch.arange(both.shape[1], device=new.device)
        waiting = torch.tensor(self.waiting, device=new.device)[:, None]
        source = torch.where(column < waiting, column, column + longest - waiting)
        return take(both, source.clamp(max=both.shape[1] - 1))

    def newest(self, read: Tensor, columns: int) -> Tensor:
        """Of what was read, this call's columns."""
        if min(self.waiting) == max(self.waiting):
            return read[:, self.waiting[0] : self.waiting[0] + columns]
        column = torch.arange(columns, device=read.device)
        return take(read, column + torch.tensor(self.waiting, device=read.device)[:, None])

    def rest(self, tokens: Tensor) -> Tensor:
        """The tokens of each row's unfinished chunk, zeros behind them: [batch, chunk − 1, ...]."""
        column = torch.arange(self.chunk - 1, device=tokens.device)
        starts = torch.tensor([count * self.chunk for count in self.whole], device=tokens.device)[:, None]
        totals = torch.tensor(self.totals, device=tokens.device)[:, None]
        source = starts + column
        taken = take(tokens, source.clamp(max=tokens.shape[1] - 1))
        hidden = (source >= totals).reshape(*source.shape, *[1] * (tokens.ndim - 2))
        return taken.masked_fill(hidden, 0)


def read_in_chunks(
    step: Step,
    asks: Tensors,
    writes: Tensors,
    blank: Tensors,
    *,
    rows: Rows,
    cells: Cells,
    name: str,
    chunk: int,
) -> Tensor:
    """Read one call's tokens, and keep in the cells what the next call needs.

    Args:
        step: the memory; it is given whole chunks of all rows at once, then what is left a chunk at a time.
        asks: what only this call's tokens need, such as queries: [batch, columns, ...] each, rows aligned.
        writes: what the memory learns of a token, such as keys, values and gates: the same.
        blank: the states of a memory that has read nothing, [batch, ...] each; zeros.
        rows: the call's real tokens.
        cells: of the layer.
        name: of this memory in the cells, where a layer has several.
        chunk: tokens in a chunk.

    Returns:
        What was read, [batch, columns, ...]; at the padding behind a row's tokens it means nothing.
    """
    waiting = [count % chunk for count in cells.read]
    joined = _Joined(waiting, [a + b for a, b in zip(waiting, rows.lengths, strict=True)], chunk)
    wrote = tuple(
        joined.join(cells.get(f"{name}.waiting.{place}", _room(new, chunk)), new)
        for place, new in enumerate(writes)
    )
    asked = tuple(joined.join(_room(new, chunk), new) for new in asks)
    states = tuple(cells.get(f"{name}.state.{place}", state) for place, state in enumerate(blank))
    read, states = _read(step, asked, wrote, states, joined)
    for place, state in enumerate(states):
        cells.tensors[f"{name}.state.{place}"] = state
    for place, tokens in enumerate(wrote):
        cells.tensors[f"{name}.waiting.{place}"] = joined.rest(tokens)
    return joined.newest(read, rows.columns)


def _read(
    step: Step, asked: Tensors, wrote: Tensors, states: Tensors, joined: _Joined
) -> tuple[Tensor, Tensors]:
    """All rows' tokens; a row's states move on only with its own whole chunks."""
    chunk, longest = joined.chunk, max(1, *joined.totals)
    together = min(joined.whole) * chunk
    pieces = []
    if together:
        read, states = step(_cut(asked, 0, together), _cut(wrote, 0, together), states)
        pieces.append(read)
    for start in range(together, longest, chunk):
        end = min(start + chunk, longest)
        read, after = step(_cut(asked, start, end), _cut(wrote, start, end), states)
        pieces.append(read)
        states = moved(states, after, [count * chunk > start for count in joined.whole])
    read = torch.cat(pieces, dim=1)
    missing = wrote[0].shape[1] - read.shape[1]
    return pad(read, (0, 0) * (read.ndim - 2) + (0, missing)), states


def _cut(tensors: Tensors, start: int, end: int) -> Tensors:
    return tuple(tensor[:, start:end] for tensor in tensors)


def _room(tokens: Tensor, chunk: int) -> Tensor:
    """Zeros for the tokens of an unfinished chunk."""
    return tokens.new_zeros((tokens.shape[0], chunk - 1, *tokens.shape[2:]))
