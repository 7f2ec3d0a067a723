"""Which tokens come next: every row reads a whole book, segment after segment, and then another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from storyloom.generators.longcontext.corpus import Corpus

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Segment:
    """What one step reads.

    Attributes:
        ids: [rows, columns].
        labels: the token after each, [rows, columns]; ``IGNORED`` at padding.
        mask: [rows, columns], 0 at padding, which is at the right; None where there is none.
        fresh: [rows], whether a book begins here, so that the memory of the row must be empty.
    """

    ids: Tensor
    labels: Tensor
    mask: Tensor | None
    fresh: Tensor

    @property
    def tokens(self) -> int:
        """How many there are, padding not counted."""
        return self.ids.numel() if self.mask is None else int(self.mask.sum())

    def to(self, device: Any) -> "Segment":
        """The same on a device."""
        mask = None if self.mask is None else self.mask.to(device)
        return Segment(self.ids.to(device), self.labels.to(device), mask, self.fresh.to(device))


class Shelf:
    """Hands out the books, in another order in each pass, and remembers where every row is.

    Args:
        corpus: the books.
        rows: how many are read side by side.
        seed: of the order.
    """

    def __init__(self, corpus: Corpus, rows: int, seed: int):
        self._corpus = corpus
        self._seed = seed
        self._taken = 0
        self._rows = [(-1, 0)] * rows

    def next(self, length: int) -> Segment:
        """The next tokens of every row, at most ``length`` of each."""
        parts, fresh = [], []
        for row, (book, offset) in enumerate(self._rows):
            new = book < 0 or offset + 1 >= len(self._corpus.book(book))
            if new:
                book, offset = self._take(), 0
            part = self._corpus.book(book)[offset : offset + length + 1]
            parts.append(torch.from_numpy(part.astype(np.int64)))
            fresh.append(new)
            self._rows[row] = (book, offset + len(part) - 1)
        return segment(parts, torch.tensor(fresh))

    def position(self) -> dict[str, Any]:
        """Where it is, to go on there."""
        return {"taken": self._taken, "rows": [list(row) for row in self._rows]}

    def go_to(self, position: dict[str, Any]) -> None:
        """Go on at a position."""
        self._taken = position["taken"]
        self._rows = [(book, offset) for book, offset in position["rows"]]

    def _take(self) -> int:
        turn, place = divmod(self._taken, len(self._corpus))
        self._taken += 1
        return int(np.random.default_rng([self._seed, turn]).permutation(len(self._corpus))[place])


def segment(parts: list[Tensor], fresh: Tensor) -> Segment:
    """Rows of tokens side by side, padded at the right; each is read up to its last token but one."""
    columns = max(len(part) for part in parts) - 1
    ids = torch.zeros(len(parts), columns, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    for row, part in enumerate(parts):
        ids[row, : len(part) - 1] = part[:-1]
        labels[row, : len(part) - 1] = part[1:]
    padded = any(len(part) - 1 < columns for part in parts)
    return Segment(ids, labels, (labels != IGNORED).long() if padded else None, fresh)
