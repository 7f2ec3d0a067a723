"""The state of Mamba-2 through a whole book, and what keeps it from collapsing (arXiv 2410.07145).

A state that was trained on short texts goes on collecting behind their length, until nothing in it can be
told apart. Two of that paper's remedies act on the state and are here; the third, scales of what is
inserted and of the decay, are factors before it. Both act where a chunk ends, counted from each row's first
real token. So token by token is as at once, and within a chunk the kernels run as always.

- A cap holds each head's norm: a larger state is scaled down to it.
- A window subtracts what is older than it. What each chunk has added is kept apart, decayed as the state
  is: with n chunks in a window, n − 1 states. A token sees at least n − 1 chunks before itself, at most the
  window. To take the sum of the kept chunks for the state, rather than to subtract from it, is the same but
  for rounding, which would stay in a state that is only ever subtracted from.
"""

import torch
from torch import Tensor, nn

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.turns import Turn, joined, moved, turns
from storyloom.kernels.ssd import ssd, ssd_step


class Scan(nn.Module):
    """Mamba-2's recurrence over calls; it holds no weights.

    In the cells it keeps ``state``, [batch, heads, width, width], in float32 (float64 in a model of that);
    with a window also ``parts``, [batch, window / chunk − 1, heads, width, width], and ``since``, [batch,
    heads]. The starter (9 heads of 64) has 147 kB a layer and row, and 1.03 MB more with a window of 2,048
    tokens and chunks of 256, however long the text is.

    Args:
        chunk: tokens after which the remedies act.
        cap: the largest norm of a head's state; None for any.
        window: tokens that a state reaches back over, a multiple of ``chunk``; None for all.
    """

    def __init__(self, *, chunk: int, cap: float | None, window: int | None):
        super().__init__()
        self.chunk, self.cap = chunk, cap
        self.kept = None if window is None else window // chunk - 1

    def forward(self, x: Tensor, a: Tensor, b: Tensor, c: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """Read a call's tokens, rows aligned, x and a 0 behind them.

        Args:
            x: what is written, [batch, columns, heads, width].
            a: logarithm of the decay, [batch, columns, heads].
            b: under what, like x.
            c: what is asked, like x.
            rows: the call's real tokens.
            cells: of the layer.

        Returns:
            What was read, like x.
        """
        batch, _, heads, width = x.shape
        state = cells.get("state", a.new_zeros(batch, heads, b.shape[-1], width))
        if self.cap is None and self.kept is None:
            read, cells.tensors["state"] = scan_tokens(x, a, b, c, state)
            return read
        parts = cells.get("parts", state.new_zeros(batch, self.kept or 0, *state.shape[1:]))
        since = cells.get("since", a.new_zeros(batch, heads))
        pieces: list[tuple[Turn, Tensor]] = []
        for turn in turns(rows, cells.read, self.chunk, x.device):
            written, log_decay, under, asked = (turn.mask(held[:, turn.columns]) for held in (x, a, b, c))
            read, state = scan_tokens(written, log_decay, under, asked, state)
            pieces.append((turn, read))
            since = since + log_decay.sum(1)
            before = state, parts, since
            state, parts, since = moved(before, self._at_end(*before), turn.ended)
        cells.tensors["state"] = state
        if self.kept is not None:
            cells.tensors.update(parts=parts, since=since)
        return joined(pieces, x)

    def _at_end(self, state: Tensor, parts: Tensor, since: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the end of a chunk makes of the states; ``since`` is its decay's logarithm."""
        if self.kept is not None:
            decay = since.exp()[..., None, None]
            newest = state - decay * parts.sum(1)
            parts = torch.cat([parts[:, 1:] * decay[:, None], newest[:, None]], dim=1)
            state = parts.sum(1)
        if self.cap is not None:
            norm = torch.linalg.vector_norm(state, dim=(-2, -1), keepdim=True)
            smaller = self.cap / norm.clamp(min=self.cap)
            state, parts = state * smaller, parts * smaller[:, None]
        return state, parts, torch.zeros_like(since)


def scan_tokens(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """``ssd``, by the kernel for one token where there is one; that has no backward."""
    if x.shape[1] != 1 or state is None or torch.is_grad_enabled():
        return ssd(x, a, b, c, initial_state=state)
    read, state = ssd_step(x[:, 0], a[:, 0], b[:, 0], c[:, 0], state)
    return read[:, None], state
