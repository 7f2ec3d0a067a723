"""Hope's continuum memory system over a pretrained MLP (arXiv 2512.24695, its "ad-hoc level stacking").

An MLP's hidden units h = silu(gate x) ⊙ up x are read by W_down, which is what learns, as in In-Place TTT
(arXiv 2604.06169). A level ℓ keeps its own difference from the pretrained W_down and changes it every so many
tokens:

    y_t = W_down h_t + Σ_ℓ s_ℓ ⊙ A_ℓ q_ℓt,    q_ℓt = P_ℓ h_t / ‖P_ℓ h_t‖
    at a period's end:  A_ℓ ← κ_ℓ ⊙ A_ℓ + √(1 − κ_ℓ²) ⊙ NS(Σ_t v̂_t k_ℓtᵀ)

The target v̂_t is a learned projection of token t's embedding, and the key k_t is made of the hidden units of
t and of the tokens before it: so the units of a token learn to foretell the next ones. In-Place TTT convolves
the targets with what comes after, and cuts that off at a chunk's end; convolved keys are the same sum but for
the end, need no token that isn't read yet, and lose nothing there. A period is read first and learned from
after, so that no token hears of a later one.

What differs from the papers, and why:

- The levels stand side by side and are added, not one MLP after another: so any number of them leaves the
  pretrained layer as it was while every s_ℓ is zero.
- A level learns in ``width`` directions P_ℓ of the hidden units, not in all of them. The whole of W_down in
  two levels would be 28 MB of state in four of the starter's layers, for every step of a story.
- What is descended is −⟨A k, v̂⟩, of foretelling the embeddings, whose gradient needs no backward pass through
  the model. The paper's levels descend the next token's own loss.
- A step is orthogonalised, as in the paper's optimizer M3, so that its singular values are about 1 however
  often a period says the same. With the decay no text can then make a column of A_ℓ longer than about
  √((1 + κ) / (1 − κ)), and steps that have nothing in common keep it at 1: no norm need be clipped.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize
from transformers import LlamaConfig, initialization
from transformers.models.llama.modeling_llama import LlamaMLP

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.forgetting import kept
from storyloom.generators.longcontext.modeling import ZeroScale
from storyloom.generators.longcontext.projections import CausalConv
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.turns import joined, moved, turns
from storyloom.kernels.newton_schulz import newton_schulz

_SHORTEST, _LONGEST = 4, 64  # periods after which half is forgotten, at first, from direction to direction


class Level(nn.Module):
    """What W_down has learned at one frequency.

    The cells keep, of every row, the learned difference and the sum of the period that isn't whole yet, both
    [rows, hidden size, width], and the directions of the last tokens.

    Args:
        hidden: width of the hidden state.
        inner: hidden units of the MLP.
        width: directions of them in which it learns.
        period: tokens from change to change.
        reach: tokens ahead that are foretold.
        orthogonal: whether steps are orthogonalised; else they are the period's mean, at most 1 long.
    """

    def __init__(self, hidden: int, inner: int, *, width: int, period: int, reach: int, orthogonal: bool):
        super().__init__()
        self.period = period
        self.orthogonal = orthogonal
        self.directions = nn.Linear(inner, width, bias=False)
        self.conv = CausalConv(width, reach + 1, lag=1)
        self.keep = nn.Parameter(torch.zeros(width))
        self.scale = ZeroScale(hidden)

    def initialise(self) -> None:
        """Let some directions remember a scene and some a book."""
        initialization.copy_(self.keep, torch.logit(kept(_SHORTEST, _LONGEST, len(self.keep))))

    def forward(self, units: Tensor, targets: Tensor, rows: Rows, cells: Cells, name: str) -> Tensor:
        """What it adds to an MLP's output.

        Args:
            units: the MLP's hidden units, [batch, columns, inner].
            targets: of length 1, [batch, columns, hidden size], aligned.
            rows: the call's real tokens.
            cells: of the layer.
            name: of this level in the cells.

        Returns:
            [batch, columns, hidden size], aligned.
        """
        plain = rows.align(self.directions(units))
        queries = normalize(plain, dim=-1)
        keys = normalize(self.conv(plain, rows, cells, f"{name}.directions"), dim=-1)
        wide = torch.promote_types(units.dtype, torch.float32)
        blank = torch.zeros(
            len(units), targets.shape[-1], keys.shape[-1], dtype=wide, device=units.device
        )  # zeros are a level that has learned nothing
        learned, total = (cells.get(f"{name}.{what}", blank) for what in ("learned", "total"))
        pieces = []
        for turn in turns(rows, cells.read, self.period, units.device):
            read = queries[:, turn.columns] @ learned.to(queries.dtype).mT
            pieces.append((turn, read))
            wrote = turn.mask(targets[:, turn.columns]).to(wide)
            total = total + wrote.mT @ keys[:, turn.columns].to(wide)
            if any(turn.ended):
                after = (self._step(learned, total), blank)
                learned, total = moved((learned, total), after, turn.ended)
        cells.tensors[f"{name}.learned"], cells.tensors[f"{name}.total"] = learned, total
        # A reading of length 1 has channels of 1 / √hidden; the scale is to learn from channels of about 1.
        return self.scale(joined(pieces, targets) * targets.shape[-1] ** 0.5)

    def _step(self, learned: Tensor, total: Tensor) -> Tensor:
        step = newton_schulz(total) if self.orthogonal else total / self.period
        raw = self.keep.to(total.dtype)
        keep = torch.sigmoid(raw)
        # √(1 − κ²) by logarithms: near κ = 1 the root's own gradient would be infinite.
        share = torch.exp((logsigmoid(-raw) + torch.log1p(keep)) / 2)
        return keep * learned + share * step


class Target(nn.Linear):
    """What is foretold of a token: its embedding, at first as it is, since layers write near those."""

    def initialise(self) -> None:
        """Begin as the embedding itself."""
        initialization.copy_(self.weight, torch.eye(len(self.weight)))


class ContinuumMLP(LlamaMLP):
    """A LLaMA's MLP with levels that learn while it reads, each of its own period.

    Args:
        config: the LLaMA's.
        periods: of the levels, in tokens.
        width: see ``Level``.
        reach: see ``Level``.
        orthogonal: see ``Level``.
    """

    def __init__(
        self, config: LlamaConfig, *, periods: Sequence[int], width: int, reach: int, orthogonal: bool
    ):
        super().__init__(config)
        hidden, inner = config.hidden_size, config.intermediate_size
        self.target = Target(hidden, hidden, bias=False)
        self.levels = nn.ModuleList(
            Level(hidden, inner, width=width, period=period, reach=reach, orthogonal=orthogonal)
            for period in periods
        )

    def forward(  # type: ignore[override]
        self, hidden: Tensor, embedded: Tensor, rows: Rows, cells: Cells
    ) -> Tensor:
        """Apply it, and learn.

        Args:
            hidden: the normed hidden state, [batch, columns, hidden size].
            embedded: the tokens' embeddings, the same.
            rows: the call's real tokens.
            cells: of the layer.
        """
        units = self.act_fn(self.gate_proj(hidden)) * self.up_proj(hidden)
        targets = normalize(rows.align(self.target(embedded)), dim=-1)
        added = torch.zeros_like(targets)
        for place, level in enumerate(self.levels):
            added = added + level(units, targets, rows, cells, f"level.{place}")
        said: Tensor = self.down_proj(units) + rows.restore(added)
        return said
