"""What a memory asks, under what it writes, and what: projections with a short causal convolution each."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, normalize, silu
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.rows import Rows, take

_QUIET = 0.1


def quiet_gates(proj: nn.Linear) -> None:
    """Let gates begin nearly where their biases put them, whatever the source draws its weights by.

    Decays that a token may multiply by a hundred empty a memory within a page.
    """
    initialization.normal_(proj.weight, std=_QUIET * proj.in_features**-0.5)


class CausalConv(nn.Module):
    """A depthwise convolution over a token and those before it, however they are split over calls.

    Args:
        channels: convolved each on its own.
        kernel: tokens it reaches over, itself included.
        lag: how many tokens before it the one lies that it begins near.
    """

    def __init__(self, channels: int, kernel: int, *, lag: int = 0):
        super().__init__()
        self.lag = lag
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel))

    def initialise(self) -> None:
        """Begin near the token itself, or the one so many before it."""
        initialization.normal_(self.weight, std=0.02)
        with torch.no_grad():
            own = torch.zeros_like(self.weight)
            own[..., -1 - self.lag] = 1
        initialization.copy_(self.weight, self.weight + own)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells, name: str) -> Tensor:
        """Convolve [batch, columns, channels], rows aligned; the last tokens stay in the cells."""
        reach = self.weight.shape[-1] - 1
        blank = hidden.new_zeros((hidden.shape[0], reach, hidden.shape[2]))
        joined = torch.cat([cells.get(name, blank), hidden], dim=1)
        lengths = torch.tensor(rows.lengths, device=hidden.device)[:, None]
        cells.tensors[name] = take(joined, lengths + torch.arange(reach, device=hidden.device))
        mixed = conv1d(joined.transpose(1, 2), self.weight, groups=self.weight.shape[0])
        return mixed.transpose(1, 2)


class HeadProjections(nn.Module):
    """Queries, keys and values of a memory, [batch, columns, heads, head's width] each.

    All have length 1: without that a memory that learns by descent overshoots and ends in NaN. Titans' paper
    leaves values as they are; while a perceptron memory of a small LLaMA was trained, they grew, its weights
    grew to fit them, and at the 21st step neither was a number any more.

    Args:
        hidden: width of the hidden state.
        heads: of the memory.
        width: of a head.
        kernel: of the convolutions; 1 for none.
    """

    def __init__(self, hidden: int, heads: int, width: int, *, kernel: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * heads * width, bias=False)
        self.conv = CausalConv(3 * heads * width, kernel) if kernel > 1 else None

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> tuple[Tensor, Tensor, Tensor]:
        """Read [batch, columns, hidden size], rows aligned."""
        mixed = self.qkv(hidden)
        if self.conv is not None:
            mixed = self.conv(mixed, rows, cells, "conv")
        q, k, v = silu(mixed).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return normalize(q, dim=-1), normalize(k, dim=-1), normalize(v, dim=-1)
