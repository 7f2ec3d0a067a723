"""Long segments whose layers are read once more when gradients flow back, instead of being kept in memory.

A layer with a memory changes what the cache holds, so its second reading must begin at what the first one
began at. Transformers' own way drops the cache instead, and with it the memory; so this is done here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.modeling import ReadingLayer


@contextmanager
def recomputing(model: Any) -> Iterator[None]:
    """In here each layer of a model's stack keeps only what it was given.

    Args:
        model: a causal language model with ``model.layers``; each of its calls begins a text.
    """
    layers = list(model.model.layers)
    for index, layer in enumerate(layers):
        layer.forward = _twice(layer, index)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _twice(layer: Any, index: int) -> Callable[..., Tensor]:
    forward = layer.forward

    def read(hidden_states: Tensor, **given: Any) -> Tensor:
        if not torch.is_grad_enabled():
            found: Tensor = forward(hidden_states, **given)
            return found
        cache = given.pop("past_key_values", None)
        # Attention sees one call alone, so keys and values needn't be kept where there is no memory.
        cache = cache if isinstance(layer, ReadingLayer) else None
        begin = _beginning(cache, index)

        def once(hidden: Tensor) -> Tensor:
            begin()
            said: Tensor = forward(hidden, past_key_values=cache, **given)
            return said

        made: Any = checkpoint(once, hidden_states, use_reentrant=False)
        result: Tensor = made
        return result

    return read


def _beginning(cache: Cache | None, index: int) -> Callable[[], None]:
    """Puts a layer of the cache back to where it is now."""
    if cache is None:
        return lambda: None
    held: Any = cache.layers[index]
    before = dict(vars(held))
    tensors, counts = dict(held.cells.tensors), list(held.cells.read)

    def begin() -> None:
        vars(held).update(before)
        held.cells.tensors, held.cells.read = dict(tensors), list(counts)

    return begin
