"""A fast-weight call from end to end: its buffers, its mixing, and the kernels of its kind of memory.

A slot of states is one chunk's first weights and momenta, or the last ones, as the kernels read them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from storyloom.kernels import fast_weight_linear_triton as linear
from storyloom.kernels import fast_weight_mlp_backward_triton as mlp_backward
from storyloom.kernels import fast_weight_mlp_triton as mlp
from storyloom.kernels.fast_weight_mixing_triton import Gates, mix, mix_gradients
from storyloom.kernels.fast_weight_tiles_triton import Chunks, Shape, rows_contiguous

Three = tuple[Tensor, Tensor, Tensor]


def buffers(q: Tensor, v: Tensor, memory: Sequence[Tensor], chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the reads, the states [memories, chunks + 1, slot], and the errors."""
    batch, length, heads, _ = q.shape
    slot = sum(layer.shape[-2] * layer.shape[-1] for layer in memory)
    states = memory[0].new_empty((batch * heads, -(-length // chunk) + 1, slot))
    return q.new_empty(v.shape), states, states.new_empty((batch * heads, length, v.shape[-1]))


def forward(
    qkv: Three, gates: Gates, memory: Sequence[Tensor], chunk: int, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The reads, and for the backward the states and the errors; ``memory`` is weights and then momenta."""
    q, k, v = (rows_contiguous(tensor) for tensor in qkv)
    shape = Shape.of(q, v, memory, chunk)
    output, states, errors = buffers(q, v, memory, chunk)
    if shape.rows:
        _fill(states, 0, memory)
        mixing = mix(gates, shape, window)
        own = Chunks(mixing.matrix, mixing.vectors, states, errors)
        run = mlp.forward if shape.hidden else linear.forward
        run(q, k, v, own, output, shape)
    return output, states, errors


def backward(
    d_output: Tensor,
    d_memory: Sequence[Tensor],
    qkv: Three,
    gates: Gates,
    states: Tensor,
    errors: Tensor,
    chunk: int,
    window: int,
) -> tuple[Three, Three, list[Tensor]]:
    """Gradients of q, k and v, of momentum, rate and decay, and of the memory."""
    q, k, d_output = (rows_contiguous(tensor) for tensor in (qkv[0], qkv[1], d_output))
    shape = Shape.of(q, qkv[2], d_memory, chunk)
    d_q, d_k, d_v = (tensor.new_empty(tensor.shape) for tensor in qkv)
    if not shape.rows:
        d_momentum, d_rate, d_decay = (gate.new_empty(gate.shape) for gate in gates)
        return (d_q, d_k, d_v), (d_momentum, d_rate, d_decay), [torch.empty_like(layer) for layer in d_memory]
    mixing = mix(gates, shape, window, surprises=True)
    own = Chunks(mixing.matrix, mixing.vectors, states, errors)
    given = Chunks(*(torch.empty_like(tensor) for tensor in own))
    _fill(given.states, -1, d_memory)
    run = mlp_backward.backward if shape.hidden else linear.backward
    run(q, k, d_output, own, given, (d_q, d_k, d_v), shape)
    d_gates = mix_gradients(gates, shape, window, mixing, given.matrix, given.vectors)
    return (d_q, d_k, d_v), d_gates, memory_in(given.states, 0, d_memory)


def memory_in(states: Tensor, slot: int, like: Sequence[Tensor]) -> list[Tensor]:
    """A copy of a slot's weights and momenta, in the layout of ``like``."""
    views = _views(states, slot, like)
    return [torch.empty_like(layer).copy_(view) for layer, view in zip(like, views, strict=True)]


def _fill(states: Tensor, slot: int, memory: Sequence[Tensor]) -> None:
    for view, layer in zip(_views(states, slot, memory), memory, strict=True):
        view.copy_(layer)


def _views(states: Tensor, slot: int, like: Sequence[Tensor]) -> list[Tensor]:
    """A slot's weights and then its momenta where they lie, shaped like ``like``.

    Each layer's two lie side by side; those of the first layer, which reads the keys, are transposed.
    """
    layers = len(like) // 2
    order = [number for layer in range(layers) for number in (layer, layer + layers)]
    sizes = [like[number].shape[-2] * like[number].shape[-1] for number in order]
    parts = dict(zip(order, states[:, slot].split(sizes, -1), strict=True))
    return [
        parts[number].view(layer.shape) if number % layers else parts[number].view(layer.mT.shape).mT
        for number, layer in enumerate(like)
    ]
