"""Self-modifying Titans (arXiv 2512.24695, section 8): a memory that makes its own keys, values and gates.

Five memories M_□, □ in key, value, rate, decay and memory, are linear with a residual, M(x) = x + W x. All
are taken at the W′ that a chunk began with, and all are written by the same rule, with a value of their own:

    k_t = M_key(x_t)    v_t = M_value(x_t)    η_t, α_t from M_rate(x_t), M_decay(x_t)    v̂_□t = M_□(v_t)
    W_□ ← W_□ (α_t I − η_t k_t k_tᵀ) − η_t (M_□(k_t) − v̂_□t) k_tᵀ        o_t = M_memory(q_t), q static

(equations 88, 91 and 93). With M's residual, and with the term of Delta Gradient Descent at W′ like the
gradient, the two terms with η are one:

    −η (W′ k + W′ k + k − v̂) kᵀ  =  −η · 2 (W′ k − (v̂ − k) / 2) kᵀ

which is a step of Titans' memory with rate η towards the value (v̂ − k) / 2: ``fast_weight`` does all five.

What differs from the paper, and why:

- The memories are linear; there they are perceptrons of two layers, whose Delta Gradient Descent is no
  descent of ``fast_weight``'s. Their inputs x are Titans' projections, by head and with a short convolution.
- The delta term takes W at the chunk's start, as the gradient does; the decay goes on token by token.
- Decay leads back to the learned start, not to 0. Written under the same keys, memories that forget where
  they began become one and the same: after 40,000 drawn tokens they were 3% of their length apart.
- k and v̂ have length 1. A chunk's steps, Σ 2 η ≤ 1, then bring W nearer to values that are no longer than 1;
  values of a memory's own making would else grow with W, and W with them.
- A token reads ``memory`` with what its chunk wrote up to it, as in Titans, not only at the chunk's start.
- One chunk's length serves all five; the paper has one for ``memory`` and another for the rest.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.chunks import Tensors, read_in_chunks
from storyloom.generators.longcontext.configuration import HeadsConfig
from storyloom.generators.longcontext.forgetting import kept
from storyloom.generators.longcontext.modeling import WideNorm
from storyloom.generators.longcontext.projections import HeadProjections
from storyloom.generators.longcontext.rows import Rows
from storyloom.kernels.fast_weight import fast_weight

_KEY, _VALUE, _RATE, _DECAY, _MEMORY = range(5)
_COUNT = 5
_SHORTEST, _LONGEST = 256, 16_384  # tokens after which half is forgotten, at first, from head to head


class Readout(nn.Module):
    """Step size and decay of each token and head, from what their memories say of it.

    Decay begins small and different from head to head, as Titans' does.

    Args:
        heads: of the memory.
        width: of a head.
        largest: the largest step of a token.
    """

    def __init__(self, heads: int, width: int, largest: float):
        super().__init__()
        self.largest = largest
        self.weight = nn.Parameter(torch.zeros(2, heads, width))
        self.bias = nn.Parameter(torch.zeros(2, heads))

    def initialise(self) -> None:
        """Set where the gates begin."""
        initialization.normal_(self.weight, std=0.5)
        decay = 1 - kept(_SHORTEST, _LONGEST, self.bias.shape[1])
        initialization.copy_(self.bias, torch.stack([torch.zeros_like(decay), torch.logit(decay)]))

    def forward(self, rate: Tensor, decay: Tensor) -> tuple[Tensor, Tensor]:
        """Two of [batch, tokens, heads, width] to two of [batch, tokens, heads], in float32 at least."""
        wide = torch.promote_types(rate.dtype, torch.float32)
        raw = [
            (said.to(wide) * weight.to(wide)).sum(-1) + bias.to(wide)
            for said, weight, bias in zip((rate, decay), self.weight, self.bias, strict=True)
        ]
        return torch.sigmoid(raw[0]) * self.largest, torch.sigmoid(raw[1])


class Start(nn.Module):
    """The five W that the memories begin with, [5, heads, width, width]: small, beside M's residual."""

    def __init__(self, heads: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(_COUNT, heads, width, width))

    def initialise(self) -> None:
        """Draw them."""
        initialization.normal_(self.weight, std=0.5 * self.weight.shape[-1] ** -0.5)


class SelfModifyingMemory(nn.Module):
    """Five memories of which one is read, normed by head; see ``places``.

    Args:
        config: heads, chunk and convolution.
        rate: the largest step that a chunk takes in all.
    """

    def __init__(self, config: HeadsConfig, *, rate: float):
        super().__init__()
        assert config.memory_heads is not None
        self.heads, width = config.memory_heads, config.memory_width
        self.width = self.heads * width
        self.chunk = config.memory_chunk
        self.projections = HeadProjections(config.hidden_size, self.heads, width, kernel=config.memory_conv)
        self.gates = Readout(self.heads, width, rate / (2 * self.chunk))
        self.start = Start(self.heads, width)
        self.norm = WideNorm(width, eps=config.rms_norm_eps)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to [batch, columns, width]."""
        q, k, v = self.projections(hidden, rows, cells)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        blank = self.start.weight.new_zeros((len(hidden), *self.start.weight.shape), dtype=wide)
        read = read_in_chunks(
            self._step, (q,), (k, v), (blank,), rows=rows, cells=cells, name="self", chunk=self.chunk
        )
        # The norm sums in float32: in one order, however a call's length lays the tensor out.
        return self.norm((q + read).contiguous()).flatten(-2)

    def _step(self, asks: Tensors, writes: Tensors, states: Tensors) -> tuple[Tensor, Tensors]:
        (learned,) = states
        pieces = []
        for q, k, v in zip(*(tensor.split(self.chunk, dim=1) for tensor in (*asks, *writes)), strict=True):
            read, learned = self._chunk(q, k, v, learned)
            pieces.append(read)
        return torch.cat(pieces, dim=1), (learned,)

    def _chunk(self, q: Tensor, k: Tensor, v: Tensor, learned: Tensor) -> tuple[Tensor, Tensor]:
        """Read and write a chunk; [batch, tokens, heads, width] each, and [batch, 5, heads, width, width]."""
        start = self.start.weight.to(learned.dtype).expand_as(learned)
        begun, now = start.to(k.dtype), (start + learned).to(k.dtype)
        key = normalize(k + _through(now[:, [_KEY]], k)[:, :, 0], dim=-1)
        value = v + _through(now[:, [_VALUE]], v)[:, :, 0]
        gates = k[:, :, None] + _through(now[:, [_RATE, _DECAY]], k)
        rate, decay = self.gates(*gates.unbind(2))
        # A chunk that isn't whole is read again by the next call; only then do the other four learn from it.
        first = 0 if q.shape[1] == self.chunk else _MEMORY
        own = normalize(value[:, :, None] + _through(now[:, first:], value), dim=-1)
        # What is learned makes up for what the start already says.
        wanted = (own - key[:, :, None]) / 2 - _through(begun[:, first:], key)
        rate, decay = (_of_each(gate, _COUNT - first) for gate in (rate, decay))
        read, (after,), _ = fast_weight(
            _of_each(q, _COUNT - first),
            _of_each(key, _COUNT - first),
            wanted.flatten(2, 3),
            torch.zeros_like(rate),
            rate,
            decay,
            (learned[:, first:].flatten(1, 2),),
            chunk=self.chunk,
        )
        if not first:
            learned = after.unflatten(1, (_COUNT, self.heads))
        return read[:, :, -self.heads :] + _through(begun[:, [_MEMORY]], q)[:, :, 0], learned


def _through(weights: Tensor, tokens: Tensor) -> Tensor:
    """W x of each memory, [batch, tokens, memories, heads, width]."""
    return torch.einsum("bnhij,bthj->btnhi", weights, tokens)


def _of_each(tokens: Tensor, count: int) -> Tensor:
    """The same for each memory: [batch, tokens, heads, ...] to [batch, tokens, count × heads, ...]."""
    shape = (-1, -1, count, *[-1] * (tokens.ndim - 2))
    return tokens[:, :, None].expand(*shape).flatten(2, 3)
