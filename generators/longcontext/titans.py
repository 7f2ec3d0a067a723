"""Titans (arXiv 2501.00663): a memory that learns while it reads, by gradient descent with momentum."""

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.chunks import Tensors, read_in_chunks
from storyloom.generators.longcontext.configuration import MemoryConfig
from storyloom.generators.longcontext.forgetting import kept
from storyloom.generators.longcontext.modeling import LongContextForCausalLM, WideNorm
from storyloom.generators.longcontext.places import PlacedModel
from storyloom.generators.longcontext.projections import HeadProjections, quiet_gates
from storyloom.generators.longcontext.rows import Rows
from storyloom.kernels.fast_weight import fast_weight

_SHORTEST, _LONGEST = 256, 16_384  # tokens after which half is forgotten, at first, from head to head
_MOMENTUM = 0.9


@strict
class TitansConfig(MemoryConfig):
    """A LLaMA with Titans' memory.

    Attributes:
        memory_depth: 1 for a linear memory, 2 for a perceptron with one hidden layer.
        memory_expansion: hidden units of the perceptron, in widths of a head.
        memory_rate: the largest step that a chunk takes in all. At 1 the descent of a linear memory with
            normalised keys can't overshoot, whatever the text.
        memory_momentum: whether the past surprise goes on.
        memory_decay: whether it forgets.
    """

    model_type = "storyloom_titans"

    memory_depth: int = 2
    memory_expansion: int = 4
    memory_rate: float = 1.0
    memory_momentum: bool = True
    memory_decay: bool = True

    def validate_titans(self) -> None:
        """Hold the memory's own shape to what there is."""
        if self.memory_depth not in (1, 2):
            raise ValueError(
                f"memory_depth is {self.memory_depth}; it must be 1 (linear) or 2 (a perceptron)."
            )
        if not 1 <= self.memory_expansion <= 16:
            raise ValueError(f"memory_expansion is {self.memory_expansion}; it must be from 1 to 16.")
        if not 0 < self.memory_rate <= 1000:
            raise ValueError(f"memory_rate is {self.memory_rate}; it must be above 0 and at most 1000.")


class Gates(nn.Module):
    """Momentum, step size and decay of each token and head, from the hidden state.

    The step is that of momentum as an average, (1 − η) θ: else momentum would enlarge it tenfold. Decay
    begins small and different from head to head, so that some remember a page and some a chapter.
    """

    def __init__(self, config: TitansConfig):
        super().__init__()
        self.config = config
        assert config.memory_heads is not None
        self.heads = config.memory_heads
        self.proj = nn.Linear(config.hidden_size, 3 * self.heads, bias=False)
        self.bias = nn.Parameter(torch.zeros(3, self.heads))

    def initialise(self) -> None:
        """Set where the gates begin."""
        decay = 1 - kept(_SHORTEST, _LONGEST, self.heads)
        momentum = torch.full_like(decay, _MOMENTUM)
        start = torch.stack([torch.logit(momentum), torch.zeros_like(decay), torch.logit(decay)])
        initialization.copy_(self.bias, start)
        quiet_gates(self.proj)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, columns, hidden size] to three of [batch, columns, heads], in float32 at least."""
        raw = self.proj(hidden).unflatten(-1, (3, self.heads))
        wide = torch.promote_types(raw.dtype, torch.float32)
        momentum, rate, decay = torch.sigmoid(raw.to(wide) + self.bias.to(wide)).unbind(-2)
        momentum = momentum if self.config.memory_momentum else torch.zeros_like(momentum)
        decay = decay if self.config.memory_decay else torch.zeros_like(decay)
        largest = self.config.memory_rate / (2 * self.config.memory_chunk)
        return momentum, (1 - momentum) * rate * largest, decay


class StartWeights(nn.ParameterList):
    """The weights that a memory begins with, [heads, outputs, inputs] each."""

    def initialise(self) -> None:
        """Draw them for outputs as large as inputs."""
        for weight in self:
            initialization.normal_(weight, std=weight.shape[-1] ** -0.5)


class TitansMemory(nn.Module):
    """Fast weights that every token is written into, and that every token reads; normed by head.

    Args:
        config: the family's.
        inputs: channels of what is asked and written under; None for those of a head.
    """

    def __init__(self, config: TitansConfig, *, inputs: int | None = None):
        super().__init__()
        assert config.memory_heads is not None
        heads, width = config.memory_heads, config.memory_width
        inputs = inputs or width
        self.width = heads * width
        self.chunk = config.memory_chunk
        self.projections = HeadProjections(config.hidden_size, heads, width, kernel=config.memory_conv)
        self.gates = Gates(config)
        hidden = config.memory_expansion * width
        shapes = [(width, inputs)] if config.memory_depth == 1 else [(hidden, inputs), (width, hidden)]
        self.start = StartWeights(torch.zeros(heads, *shape) for shape in shapes)
        self.norm = WideNorm(width, eps=config.rms_norm_eps)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to [batch, columns, width]; see ``places``."""
        q, k, v = self.projections(hidden, rows, cells)
        gates = self.gates(hidden)
        # Twice: what the weights have learned, and the momentum.
        blank = tuple(weight.new_zeros(len(hidden), *weight.shape) for weight in self._start(gates[0])) * 2
        read = read_in_chunks(
            self._step,
            (self.features(q),),
            (self.features(k), v, *gates),
            blank,
            rows=rows,
            cells=cells,
            name="titans",
            chunk=self.chunk,
        )
        return self.norm(read).flatten(-2)

    def features(self, tokens: Tensor) -> Tensor:
        """What is asked or written under: queries or keys, [batch, columns, heads, head's width]."""
        return tokens

    def _start(self, like: Tensor) -> Tensors:
        return tuple(weight.to(like.dtype) for weight in self.start)

    def _step(self, asks: Tensors, writes: Tensors, states: Tensors) -> tuple[Tensor, Tensors]:
        start = self._start(states[0])
        learned, momenta = states[: len(start)], states[len(start) :]
        weights = tuple(weight + delta for weight, delta in zip(start, learned, strict=True))
        read, weights, momenta = self.descend(asks[0], writes, weights, momenta)
        learned = tuple(after - weight for after, weight in zip(weights, start, strict=True))
        return read, (*learned, *momenta)

    def descend(
        self, q: Tensor, writes: Tensors, weights: Tensors, momenta: Tensors
    ) -> tuple[Tensor, Tensors, Tensors]:
        """Read and write tokens from a chunk's beginning on; see ``fast_weight``."""
        k, v, momentum, rate, decay = writes
        return fast_weight(q, k, v, momentum, rate, decay, weights, momenta=momenta, chunk=self.chunk)


class TitansModel(PlacedModel):
    """LLaMA's stack with Titans' memory."""

    config_class = TitansConfig

    def make_memory(self, config: MemoryConfig) -> nn.Module:
        """One layer's memory."""
        assert isinstance(config, TitansConfig)
        return TitansMemory(config)


class TitansForCausalLM(LongContextForCausalLM):
    """Titans as a language model."""

    config_class = TitansConfig
    model_class = TitansModel
