"""ATLAS (arXiv 2505.23735): Titans' memory that learns from a window of tokens, by orthogonalised steps.

Three things differ from Titans: each update sums the gradients of the last tokens (the Omega rule, equation
9); keys and queries are polynomials of themselves, so that a memory of the same size holds more (section
3.1); and the momentum is orthogonalised by Newton–Schulz before it is added (section 5). The last is done
once a chunk, not once a token, which would cost thirty times the rest: within its chunk a token reads plain
Omega steps, and at the chunk's end the weights go on from where it began by the orthogonalised momentum.
"""

import math

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import initialization

from storyloom.generators.longcontext.chunks import Tensors
from storyloom.generators.longcontext.configuration import MemoryConfig
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.places import PlacedModel
from storyloom.generators.longcontext.titans import TitansConfig, TitansMemory
from storyloom.kernels.fast_weight import fast_weight
from storyloom.kernels.newton_schulz import newton_schulz


@strict
class AtlasConfig(TitansConfig):
    """A LLaMA with ATLAS' memory.

    Attributes:
        memory_window: how many of the last tokens' gradients each update sums, within a chunk.
        memory_degree: of the polynomial; 1 leaves keys and queries as they are.
        memory_orthogonal: whether Newton–Schulz is taken of the momentum.
    """

    model_type = "storyloom_atlas"

    memory_window: int = 8
    memory_degree: int = 2
    memory_orthogonal: bool = True

    def validate_atlas(self) -> None:
        """Hold window and degree to what the kernels take."""
        self.check_range("memory_window", 1, self.memory_chunk)
        self.check_range("memory_degree", 1, 8)
        if self.memory_width * self.memory_degree > self.widest_head:
            raise ValueError(
                f"A polynomial of degree {self.memory_degree} of {self.memory_width} channels has "
                f"{self.memory_width * self.memory_degree}; the most is {self.widest_head}. Lower "
                "memory_degree, or choose more memory_heads."
            )


class Polynomial(nn.Module):
    """The powers of each channel, side by side, with a learned coefficient each that begins at 1 / i!.

    Channels are scaled to a variance of 1 first, for else the higher powers would vanish, and the result
    has length 1 as Titans' keys have.
    """

    def __init__(self, degree: int):
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(degree))

    def initialise(self) -> None:
        """Begin as the exponential's series does."""
        series = [1 / math.factorial(power) for power in range(1, len(self.coefficients) + 1)]
        initialization.copy_(self.coefficients, torch.tensor(series))

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width], of length 1, to [..., degree × width], of length 1."""
        scaled = tokens * tokens.shape[-1] ** 0.5
        powers = [factor * scaled**power for power, factor in enumerate(self.coefficients.unbind(), start=1)]
        return normalize(torch.cat(powers, dim=-1), dim=-1)


class AtlasMemory(TitansMemory):
    """Titans' memory with ATLAS' three changes."""

    def __init__(self, config: AtlasConfig):
        super().__init__(config, inputs=config.memory_width * config.memory_degree)
        self.window = config.memory_window
        self.orthogonal = config.memory_orthogonal
        # Of degree 1 nothing is left to learn: the result's length is 1 whatever the coefficient.
        self.polynomial = Polynomial(config.memory_degree) if config.memory_degree > 1 else nn.Identity()

    def features(self, tokens: Tensor) -> Tensor:
        """Queries or keys, [batch, columns, heads, head's width], as polynomials."""
        found: Tensor = self.polynomial(tokens)
        return found

    def descend(
        self, q: Tensor, writes: Tensors, weights: Tensors, momenta: Tensors
    ) -> tuple[Tensor, Tensors, Tensors]:
        """Read and write tokens from a chunk's beginning on, orthogonalising at every chunk's end."""
        if not self.orthogonal:
            return self._omega(q, writes, weights, momenta)
        pieces = []
        parts = (tensor.split(self.chunk, dim=1) for tensor in (q, *writes))
        for asked, *wrote in zip(*parts, strict=True):
            read, _, momenta = self._omega(asked, tuple(wrote), weights, momenta)
            weights = self._orthogonal_step(weights, momenta, tuple(wrote))
            pieces.append(read)
        return torch.cat(pieces, dim=1), weights, momenta

    def _omega(
        self, q: Tensor, writes: Tensors, weights: Tensors, momenta: Tensors
    ) -> tuple[Tensor, Tensors, Tensors]:
        k, v, momentum, rate, decay = writes
        return fast_weight(
            q,
            k,
            v,
            momentum,
            rate / self.window,  # a window sums as many gradients
            decay,
            weights,
            momenta=momenta,
            chunk=self.chunk,
            window=self.window,
        )

    def _orthogonal_step(self, weights: Tensors, momenta: Tensors, writes: Tensors) -> Tensors:
        """A chunk's weights decay by its tokens' decays, and move as far as its tokens' rates say in all."""
        *_, rate, decay = writes
        kept = (1 - decay).prod(dim=1)[..., None, None]
        far = 2 * rate.sum(dim=1)[..., None, None]
        return tuple(
            kept * weight + far * newton_schulz(held) for weight, held in zip(weights, momenta, strict=True)
        )


class AtlasModel(PlacedModel):
    """LLaMA's stack with ATLAS' memory."""

    config_class = AtlasConfig

    def make_memory(self, config: MemoryConfig) -> nn.Module:
        """One layer's memory."""
        assert isinstance(config, AtlasConfig)
        return AtlasMemory(config)


class AtlasForCausalLM(LongContextForCausalLM):
    """ATLAS as a language model."""

    config_class = AtlasConfig
    model_class = AtlasModel
