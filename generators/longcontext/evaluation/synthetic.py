"""A cache as if a long text had been read, for timing where reading it would take an hour.

Attention's keys and values are drawn, in the shapes and the number that a text of that length leaves. A
memory whose size doesn't depend on the length is what a short real text has left in it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from storyloom.generators.longcontext.cells import CountingLayer
from storyloom.generators.longcontext.evaluation.reading import cache_for, state_of
from storyloom.generators.longcontext.landmark import LandmarkAttention
from storyloom.generators.longcontext.landmark_cache import Blocks
from storyloom.memory.errors import UnsupportedRequest

# Tokens that are really read, and a little more: so many that the rest is a whole number of their number, so
# that a memory's chunk is as full as after the whole text.
_READ = 1024


@torch.inference_mode()
def synthetic_cache(model: Any, length: int, *, seed: int = 0, at_once: int = 512) -> Cache:
    """A cache of one row that holds as much as if ``length`` tokens had been read with it.

    Args:
        model: in evaluation mode.
        length: tokens.
        seed: what tokens, keys and values are drawn from.
        at_once: tokens that are read, or put in, at a time; at most 512.

    Raises:
        UnsupportedRequest: the model has a memory that grows in a way that isn't known here.
    """
    generator = torch.Generator().manual_seed(seed)
    read = length if length <= _READ else _READ + length % _READ
    cache = _read(model, read, at_once, generator)
    for index, layer in enumerate(cache.layers):
        attention = _attention(model, index)
        if isinstance(attention, LandmarkAttention):
            _fill_blocks(layer, attention, length, at_once, generator)
        elif isinstance(layer, CountingLayer):
            layer.columns = length
        elif isinstance(layer, DynamicSlidingWindowLayer):
            _fill(layer, min(length, layer.sliding_window - 1), generator)
            layer.cumulative_length = length
        elif isinstance(layer, DynamicLayer):
            _fill(layer, length, generator)
    return cache


def _read(model: Any, length: int, at_once: int, generator: torch.Generator) -> Cache:
    """Read drawn tokens; halfway and at the end every memory must be of one size."""
    cache = cache_for(model)
    ids = torch.randint(model.config.vocab_size, (1, length), generator=generator).to(model.device)
    parts = ids.split(at_once, dim=1)
    sizes = []
    for place, part in enumerate(parts, start=1):
        model.model(input_ids=part, past_key_values=cache, use_cache=True)
        if place in (len(parts) // 2, len(parts)):
            held = (state_of(model, cache) or {}).items()
            sizes.append({name: tensor.shape for name, tensor in held if not _is_filled(model, name)})
    if length >= _READ and sizes[0] != sizes[-1]:
        raise UnsupportedRequest(
            f"The memory of a {model.config.model_type} grows with the text, and can't be filled without "
            "reading one. Measure to a shorter length."
        )
    return cache


def _is_filled(model: Any, name: str) -> bool:
    """Whether a tensor of a state is in a layer whose memory is filled here."""
    return isinstance(_attention(model, int(name.partition(".")[0])), LandmarkAttention)


def _attention(model: Any, index: int) -> Any:
    """A layer's attention; None where something else stands in its place."""
    return getattr(model.model.layers[index], "self_attn", None)


def _fill(layer: Any, length: int, generator: torch.Generator) -> None:
    """Add drawn keys and values behind those that were read, [1, kv_heads, tokens, width]."""
    missing = length - layer.keys.shape[-2]
    if missing <= 0:
        return
    batch, heads, _, width = layer.keys.shape
    for name in ("keys", "values"):
        held = getattr(layer, name)
        drawn = _drawn((batch, heads, min(missing, _READ), width), held, generator)
        rest = drawn.repeat(1, 1, -(-missing // drawn.shape[2]), 1)[:, :, :missing]
        setattr(layer, name, torch.cat([held, rest], dim=-2))


def _fill_blocks(
    layer: Any, attention: LandmarkAttention, length: int, at_once: int, generator: torch.Generator
) -> None:
    """Write drawn keys and values as the layer itself writes those of a text."""
    options, cells = attention.options, layer.cells
    like = attention.k_proj.weight
    shape = (1, at_once, len(like) // attention.head_dim, attention.head_dim)
    keys, values = (_drawn(shape, like, generator) for _ in range(2))
    while cells.read[0] < length:
        new = min(at_once, length - cells.read[0])
        blocks = Blocks(
            cells,
            block=options.landmark_block,
            most=options.landmark_most_blocks,
            offload=options.landmark_offload,
        )
        blocks.write(keys[:, :new], values[:, :new], attention.pool)
        blocks.keep((new,))
        cells.advance((new,))
    layer.columns = length


def _drawn(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator).to(like.device, like.dtype)
