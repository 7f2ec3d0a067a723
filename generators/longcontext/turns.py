"""Goes through a call's tokens chunk by chunk, for memories whose tokens don't see others of their own chunk.

Such a memory is read at the state that a chunk began with, and what a chunk's tokens add to it is a sum. So
what is kept between calls is that state and the sum so far, however long a chunk is; no token is read twice.
``chunks`` serves the memories whose tokens do see each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from storyloom.generators.longcontext.rows import Rows


@dataclass(frozen=True, slots=True)
class Turn:
    """The columns of a call in which every row reads tokens of at most one of its chunks.

    Attributes:
        columns: they are ``hidden[:, columns]``.
        here: [batch, columns], which tokens are read in this turn; None where all are.
        ended: [batch], which rows' chunks are whole after it.
    """

    columns: slice
    here: Tensor | None
    ended: tuple[bool, ...]

    def mask(self, tokens: Tensor) -> Tensor:
        """[batch, columns, ...] of the turn with zeros for the tokens that aren't read in it."""
        if self.here is None:
            return tokens
        here = self.here.reshape(*self.here.shape, *[1] * (tokens.ndim - 2))
        return tokens.masked_fill(~here, 0)


def turns(rows: Rows, read: Sequence[int], chunk: int, device: torch.device) -> Iterator[Turn]:
    """Cut a call where any row's chunk ends.

    Args:
        rows: the call's real tokens, aligned.
        read: how many tokens each row has read before.
        chunk: tokens in a chunk, counted from each row's first real token.
        device: of the masks.
    """
    waiting = [count % chunk for count in read]
    last = max((w + n for w, n in zip(waiting, rows.lengths, strict=True)), default=0)
    for start in range(0, last, chunk):
        firsts = [max(0, start - w) for w in waiting]
        ends = [min(n, start + chunk - w) for w, n in zip(waiting, rows.lengths, strict=True)]
        present = [pair for pair in zip(firsts, ends, strict=True) if pair[0] < pair[1]]
        if not present:
            continue
        columns = slice(min(first for first, _ in present), max(end for _, end in present))
        ended = tuple(start + chunk <= w + n for w, n in zip(waiting, rows.lengths, strict=True))
        whole = all((a, b) == (columns.start, columns.stop) for a, b in zip(firsts, ends, strict=True))
        yield Turn(columns, None if whole else _between(columns, firsts, ends, device), ended)


def joined(pieces: Sequence[tuple[Turn, Tensor]], like: Tensor) -> Tensor:
    """Put together what was read in each turn, zeros elsewhere: [batch, columns, ...].

    Args:
        pieces: what was read of a turn's columns.
        like: [batch, columns, ...], shaped as the result.
    """
    columns = like.shape[1]
    if pieces and all(turn.here is None for turn, _ in pieces):
        read = torch.cat([piece for _, piece in pieces], dim=1)
        return _padded(read, pieces[0][0].columns.start, columns)
    total = torch.zeros_like(like)
    for turn, piece in pieces:
        total = total + _padded(turn.mask(piece), turn.columns.start, columns)
    return total


def moved(before: Sequence[Tensor], after: Sequence[Tensor], rows: Sequence[bool]) -> tuple[Tensor, ...]:
    """The states after for these rows, those before for the others; [batch, ...] each."""
    if not any(rows):
        return tuple(before)
    if all(rows):
        return tuple(after)
    chosen = []
    for old, new in zip(before, after, strict=True):
        moves = torch.tensor(rows, device=old.device).reshape(-1, *[1] * (old.ndim - 1))
        chosen.append(torch.where(moves, new, old))
    return tuple(chosen)


def _between(columns: slice, firsts: list[int], ends: list[int], device: torch.device) -> Tensor:
    column = torch.arange(columns.start, columns.stop, device=device)
    first, end = (torch.tensor(places, device=device)[:, None] for places in (firsts, ends))
    return (column >= first) & (column < end)


def _padded(piece: Tensor, start: int, columns: int) -> Tensor:
    behind = columns - start - piece.shape[1]
    return pad(piece, (0, 0) * (piece.ndim - 2) + (start, behind))
