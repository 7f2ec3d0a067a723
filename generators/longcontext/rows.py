"""Which tokens of a padded batch are real, and the rows without their padding.

A memory must not see padding: it would write it, and its chunks would begin at another token. So each row's
real tokens are moved to the left edge before a memory reads them, and what it gives is moved back.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """The real tokens of one call of a model, [batch, columns] in all.

    Attributes:
        lengths: how many real tokens each row has.
        columns: how many tokens each row has with its padding.
        real: [batch, columns], True where a token is real; None where all are.
    """

    lengths: tuple[int, ...]
    columns: int
    real: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor | None, batch: int, columns: int) -> "Rows":
        """Read an attention mask.

        Args:
            mask: [batch, tokens], not 0 where a token is real, the newest last; it may begin before this
                call's tokens. None for no padding.
            batch: rows of this call.
            columns: tokens a row of this call.

        Raises:
            ValueError: the mask has another shape.
        """
        if mask is None:
            return cls((columns,) * batch, columns)
        if mask.ndim != 2 or mask.shape[0] != batch or mask.shape[1] < columns:
            raise ValueError(
                f"attention_mask has shape {list(mask.shape)}; a model with a memory needs [batch, tokens], "
                f"here [{batch}, at least {columns}]."
            )
        real = mask[:, mask.shape[1] - columns :] != 0
        lengths = tuple(int(length) for length in real.sum(1).tolist())
        return cls(lengths, columns, None if min(lengths, default=columns) == columns else real)

    def align(self, hidden: Tensor) -> Tensor:
        """Move each row's real tokens to the left edge, zeros behind them; [batch, columns, ...]."""
        if self.real is None:
            return hidden
        order = torch.argsort(~self.real, dim=1, stable=True)
        return _hide(take(hidden, order), take(self.real, order))

    def cut(self, aligned: Tensor) -> Tensor:
        """Set what is behind each row's real tokens to zero; [batch, columns, ...]."""
        if self.real is None:
            return aligned
        lengths = torch.tensor(self.lengths, device=aligned.device)[:, None]
        return _hide(aligned, torch.arange(self.columns, device=aligned.device) < lengths)

    def restore(self, aligned: Tensor) -> Tensor:
        """Move them back to where they were, zeros at the padding."""
        if self.real is None:
            return aligned
        place = (self.real.cumsum(1) - 1).clamp(min=0)
        return _hide(take(aligned, place), self.real)


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Each row's tokens by column: [batch, columns, ...] and [batch, taken] to [batch, taken, ...]."""
    row = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
    return tokens[row, index]


def _hide(tokens: Tensor, seen: Tensor) -> Tensor:
    return tokens.masked_fill(~seen.reshape(*seen.shape, *[1] * (tokens.ndim - 2)), 0)
