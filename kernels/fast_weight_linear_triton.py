"""Kernels of the linear fast-weight memory: M(x) = W x.

Only the states run from chunk to chunk, and their columns are independent of one another: a program takes a
memory and a tile of its values. Everything else is a program a chunk. A state is stored transposed, [width,
value_width], weights then momenta, one slot a chunk's start and one after the last. The names are the
equation's: E the errors, G the mixing matrix, W and S weights and momenta, d_ a gradient.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.fast_weight_mixing_triton import Gates, mix, mix_gradients
from storyloom.kernels.fast_weight_tiles_triton import (
    Shape,
    dot,
    load_tile,
    options,
    rows_contiguous,
    store_tile,
    strides,
    value_tile,
)


@triton.jit
def _states_kernel(
    k, v, vectors, states, errors,
    k_b, k_l, k_h, v_b, v_l, v_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Chunk after chunk: the errors, and the state that each chunk starts with."""
    memory = tl.program_id(0).to(tl.int64)
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.program_id(1) * V + tl.arange(0, V)
    width_in = width < WIDTH
    value_in = value < VALUES
    k += memory // HEADS * k_b + memory % HEADS * k_h
    v += memory // HEADS * v_b + memory % HEADS * v_h
    errors += memory * LENGTH * VALUES
    vectors += memory * CHUNKS * N * C
    states += memory * (CHUNKS + 1) * 2 * WIDTH * VALUES
    W = load_tile(states, width, value, VALUES, width_in, value_in)
    S = load_tile(states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
    for chunk in range(CHUNKS):
        token_in = (token < CHUNK) & (chunk * CHUNK + token < LENGTH)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E = 2.0 * (
            dot(K, W, DOT, PRECISION) - load_tile(v, token, value, v_l, token_in, value_in).to(tl.float32)
        )
        store_tile(errors, E, token, value, VALUES, token_in, value_in)
        update = tl.load(vectors + 3 * C + token)
        surprise = tl.load(vectors + 4 * C + token)
        kept = tl.load(vectors + 5 * C)
        carried = tl.load(vectors + 5 * C + 1)
        restart = tl.load(vectors + 5 * C + 2)
        W = kept * W + carried * S - dot(tl.trans(K), update[:, None] * E, DOT, PRECISION)
        S = restart * S - dot(tl.trans(K), surprise[:, None] * E, DOT, PRECISION)
        states += 2 * WIDTH * VALUES
        store_tile(states, W, width, value, VALUES, width_in, value_in)
        store_tile(states + WIDTH * VALUES, S, width, value, VALUES, width_in, value_in)
        k += CHUNK * k_l
        v += CHUNK * v_l
        errors += CHUNK * VALUES
        vectors += N * C


@triton.jit
def _read_kernel(
    q, k, mixing, vectors, states, errors, output,
    q_b, q_l, q_h, k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A chunk's reads, a tile of values."""
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.program_id(1) * V + tl.arange(0, V)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    value_in = value < VALUES
    states += (place + memory) * 2 * WIDTH * VALUES
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    G = tl.load(mixing + place * C * C + token[:, None] * C + token[None, :])
    kept = tl.load(vectors + place * N * C + token)
    carried = tl.load(vectors + place * N * C + C + token)
    E = load_tile(errors + (memory * LENGTH + start) * VALUES, token, value, VALUES, token_in, value_in)
    W = load_tile(states, width, value, VALUES, width_in, value_in)
    S = load_tile(states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
    read = kept[:, None] * dot(Q, W, DOT, PRECISION) + carried[:, None] * dot(Q, S, DOT, PRECISION)
    read -= dot(G * dot(Q, tl.trans(K), DOT, PRECISION), E, DOT, PRECISION)
    output += ((batch * LENGTH + start) * HEADS + head) * VALUES
    store_tile(output, read, token, value, HEADS * VALUES, token_in, value_in)


@triton.jit
def _read_gradient_kernel(  # noqa: PLR0915
    q, k, d_output, mixing, vectors, states, errors, d_mixing, d_vectors, d_states, d_errors, d_q, d_k,
    q_b, q_l, q_h, k_b, k_l, k_h, d_output_b, d_output_l, d_output_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What a chunk's reads alone give: all of d_q and d_mixing, the others' first part."""
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    states += (place + memory) * 2 * WIDTH * VALUES
    d_states += (place + memory) * 2 * WIDTH * VALUES
    errors += (memory * LENGTH + start) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    d_output += batch * d_output_b + head * d_output_h + start * d_output_l
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    square = token[:, None] * C + token[None, :]
    G = tl.load(mixing + place * C * C + square)
    kept = tl.load(vectors + place * N * C + token)
    carried = tl.load(vectors + place * N * C + C + token)
    alike = dot(Q, tl.trans(K), DOT, PRECISION)
    mixed = tl.trans(G * alike)
    d_mixed = tl.zeros((C, C), tl.float32)
    d_Q = tl.zeros((C, D), tl.float32)
    d_kept = tl.zeros((C,), tl.float32)
    d_carried = tl.zeros((C,), tl.float32)
    for first in range(0, VALUES, V):
        value = first + tl.arange(0, V)
        value_in = value < VALUES
        W = load_tile(states, width, value, VALUES, width_in, value_in)
        S = load_tile(states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
        E = load_tile(errors, token, value, VALUES, token_in, value_in)
        d_O = load_tile(d_output, token, value, d_output_l, token_in, value_in).to(tl.float32)
        d_mixed -= dot(d_O, tl.trans(E), DOT, PRECISION)
        by_W = dot(d_O, tl.trans(W), DOT, PRECISION)
        by_S = dot(d_O, tl.trans(S), DOT, PRECISION)
        d_Q += kept[:, None] * by_W + carried[:, None] * by_S
        d_kept += tl.sum(by_W * Q, 1)
        d_carried += tl.sum(by_S * Q, 1)
        store_tile(d_errors, -dot(mixed, d_O, DOT, PRECISION), token, value, VALUES, token_in, value_in)
        d_W = dot(tl.trans(Q), kept[:, None] * d_O, DOT, PRECISION)
        d_S = dot(tl.trans(Q), carried[:, None] * d_O, DOT, PRECISION)
        store_tile(d_states, d_W, width, value, VALUES, width_in, value_in)
        store_tile(d_states + WIDTH * VALUES, d_S, width, value, VALUES, width_in, value_in)
    past = token[:, None] >= token[None, :]
    tl.store(d_mixing + place * C * C + square, tl.where(past, d_mixed * alike, 0.0))
    tl.store(d_vectors + place * N * C + token, d_kept)
    tl.store(d_vectors + place * N * C + C + token, d_carried)
    d_alike = d_mixed * G
    d_Q += dot(d_alike, K, DOT, PRECISION)
    d_K = dot(tl.trans(d_alike), Q, DOT, PRECISION)
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    store_tile(d_q + at, d_Q, token, width, HEADS * WIDTH, token_in, width_in)
    store_tile(d_k + at, d_K, token, width, HEADS * WIDTH, token_in, width_in)


@triton.jit
def _states_gradient_kernel(
    k, vectors, d_states, d_errors, d_v,
    k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Chunk before chunk: adds to each slot, and to the errors' gradient, what the later ones give."""
    memory = tl.program_id(0).to(tl.int64)
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.program_id(1) * V + tl.arange(0, V)
    width_in = width < WIDTH
    value_in = value < VALUES
    place = memory * CHUNKS + CHUNKS - 1
    start = (place - memory * CHUNKS) * CHUNK
    k += batch * k_b + head * k_h + start * k_l
    d_v += ((batch * LENGTH + start) * HEADS + head) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    vectors += place * N * C
    d_states += (place + memory + 1) * 2 * WIDTH * VALUES
    d_W = load_tile(d_states, width, value, VALUES, width_in, value_in)
    d_S = load_tile(d_states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
    for back in range(CHUNKS):
        token_in = (token < CHUNK) & ((CHUNKS - 1 - back) * CHUNK + token < LENGTH)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        update = tl.load(vectors + 3 * C + token)
        surprise = tl.load(vectors + 4 * C + token)
        kept = tl.load(vectors + 5 * C)
        carried = tl.load(vectors + 5 * C + 1)
        restart = tl.load(vectors + 5 * C + 2)
        d_E = load_tile(d_errors, token, value, VALUES, token_in, value_in)
        d_E -= update[:, None] * dot(K, d_W, DOT, PRECISION)
        d_E -= surprise[:, None] * dot(K, d_S, DOT, PRECISION)
        store_tile(d_errors, d_E, token, value, VALUES, token_in, value_in)
        store_tile(d_v, -2.0 * d_E, token, value, HEADS * VALUES, token_in, value_in)
        d_states -= 2 * WIDTH * VALUES
        d_S = carried * d_W + restart * d_S
        d_S += load_tile(d_states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
        d_W = kept * d_W + 2.0 * dot(tl.trans(K), d_E, DOT, PRECISION)
        d_W += load_tile(d_states, width, value, VALUES, width_in, value_in)
        store_tile(d_states, d_W, width, value, VALUES, width_in, value_in)
        store_tile(d_states + WIDTH * VALUES, d_S, width, value, VALUES, width_in, value_in)
        k -= CHUNK * k_l
        d_v -= CHUNK * HEADS * VALUES
        d_errors -= CHUNK * VALUES
        vectors -= N * C


@triton.jit
def _write_gradient_kernel(
    k, vectors, states, errors, d_vectors, d_states, d_errors, d_k, d_key,
    k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A chunk's remaining gradients: of its keys, and of the vectors with which it wrote."""
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    states += (place + memory) * 2 * WIDTH * VALUES
    d_states += (place + memory + 1) * 2 * WIDTH * VALUES
    errors += (memory * LENGTH + start) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    vectors += place * N * C
    d_vectors += place * N * C
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    update = tl.load(vectors + 3 * C + token)
    surprise = tl.load(vectors + 4 * C + token)
    d_K = load_tile(d_k + at, token, width, HEADS * WIDTH, token_in, width_in)
    d_update = tl.zeros((C,), tl.float32)
    d_surprise = tl.zeros((C,), tl.float32)
    d_kept = tl.zeros((D,), tl.float32)
    d_carried = tl.zeros((D,), tl.float32)
    d_restart = tl.zeros((D,), tl.float32)
    for first in range(0, VALUES, V):
        value = first + tl.arange(0, V)
        value_in = value < VALUES
        W = load_tile(states, width, value, VALUES, width_in, value_in)
        S = load_tile(states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
        d_W = load_tile(d_states, width, value, VALUES, width_in, value_in)
        d_S = load_tile(d_states + WIDTH * VALUES, width, value, VALUES, width_in, value_in)
        E = load_tile(errors, token, value, VALUES, token_in, value_in)
        d_E = load_tile(d_errors, token, value, VALUES, token_in, value_in)
        by_W = dot(E, tl.trans(d_W), DOT, PRECISION)
        by_S = dot(E, tl.trans(d_S), DOT, PRECISION)
        d_K += 2.0 * dot(d_E, tl.trans(W), DOT, PRECISION)
        d_K -= update[:, None] * by_W + surprise[:, None] * by_S
        d_update -= tl.sum(by_W * K, 1)
        d_surprise -= tl.sum(by_S * K, 1)
        d_kept += tl.sum(d_W * W, 1)
        d_carried += tl.sum(d_W * S, 1)
        d_restart += tl.sum(d_S * S, 1)
    store_tile(d_key + at, d_K, token, width, HEADS * WIDTH, token_in, width_in)
    tl.store(d_vectors + 3 * C + token, d_update)
    tl.store(d_vectors + 4 * C + token, d_surprise)
    tl.store(d_vectors + 5 * C, tl.sum(d_kept, 0))
    tl.store(d_vectors + 5 * C + 1, tl.sum(d_carried, 0))
    tl.store(d_vectors + 5 * C + 2, tl.sum(d_restart, 0))


def forward(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, weight: Tensor, held: Tensor, chunk: int, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The reads; the states [memories, chunks + 1, 2, width, values]; errors [memories, length, values]."""
    shape = Shape.of(q, v, chunk)
    q, k, v = (rows_contiguous(tensor) for tensor in (q, k, v))
    output = q.new_empty(v.shape)
    states = weight.new_empty((shape.rows, shape.chunks + 1, 2, shape.width, shape.values))
    errors = weight.new_empty((shape.rows, shape.length, shape.values))
    if not shape.rows:
        return output, states, errors
    states[:, 0, 0].copy_(weight.flatten(0, 1).transpose(-1, -2))
    states[:, 0, 1].copy_(held.flatten(0, 1).transpose(-1, -2))
    mixing, vectors, _ = mix(gates, shape, window)
    apart, split = _config(q, shape, split=False), _config(q, shape, split=True)
    _states_kernel[(shape.rows, triton.cdiv(shape.values, split["V"]))](
        k, v, vectors, states, errors, *strides(k, v), **split
    )
    _read_kernel[(shape.rows * shape.chunks, triton.cdiv(shape.values, apart["V"]))](
        q, k, mixing, vectors, states, errors, output, *strides(q, k), **apart
    )
    return output, states, errors


def backward(
    d_output: Tensor,
    d_weight: Tensor,
    d_held: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    states: Tensor,
    errors: Tensor,
    chunk: int,
    window: int,
) -> tuple[Tensor, ...]:
    """Gradients of q, k, v, momentum, rate, decay, the weights and the momenta."""
    shape = Shape.of(q, v, chunk)
    q, k, d_output = (rows_contiguous(tensor) for tensor in (q, k, d_output))
    d_q, d_key, d_v = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    if not shape.rows:
        empty = (gate.new_empty(gate.shape) for gate in gates)
        return d_q, d_key, d_v, *empty, torch.empty_like(d_weight), torch.empty_like(d_held)
    d_k = k.new_empty(k.shape, dtype=torch.float32)
    d_states, d_errors = torch.empty_like(states), torch.empty_like(errors)
    d_states[:, -1, 0].copy_(d_weight.flatten(0, 1).transpose(-1, -2))
    d_states[:, -1, 1].copy_(d_held.flatten(0, 1).transpose(-1, -2))
    mixing = mix(gates, shape, window, surprises=True)
    d_matrix, d_vectors = torch.empty_like(mixing.matrix), torch.empty_like(mixing.vectors)
    apart, split = _config(q, shape, split=False), _config(q, shape, split=True)
    places = (shape.rows * shape.chunks,)
    _read_gradient_kernel[places](
        q, k, d_output, mixing.matrix, mixing.vectors, states, errors,
        d_matrix, d_vectors, d_states, d_errors, d_q, d_k,
        *strides(q, k, d_output), **apart,
    )  # fmt: skip
    _states_gradient_kernel[(shape.rows, triton.cdiv(shape.values, split["V"]))](
        k, mixing.vectors, d_states, d_errors, d_v, *strides(k), **split
    )
    _write_gradient_kernel[places](
        k, mixing.vectors, states, errors, d_vectors, d_states, d_errors, d_k, d_key, *strides(k), **apart
    )
    given = mix_gradients(gates, shape, window, mixing, d_matrix, d_vectors)
    return d_q, d_key, d_v, *given, state(d_states, 0, 0, d_weight), state(d_states, 0, 1, d_held)


def state(states: Tensor, slot: int, part: int, like: Tensor) -> Tensor:
    """A copy of a slot's weights (part 0) or momenta (part 1), in the layout of ``like``."""
    return torch.empty_like(like).copy_(states[:, slot, part].transpose(-1, -2).reshape(like.shape))


def _config(q: Tensor, shape: Shape, *, split: bool) -> dict[str, Any]:
    values = value_tile(shape, split=split)
    warps = 8 if shape.tile > 32 and (shape.width > 64 or not split) else 4
    # Half the bytes of float32 leave room for the next chunk's tiles.
    stages = 2 if q.dtype is torch.bfloat16 else 1
    return {**options(q, shape), "V": values, "num_warps": warps, "num_stages": stages}
