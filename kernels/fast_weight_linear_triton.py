"""Kernels of the linear fast-weight memory: M(x) = W x.

Only the states run from chunk to chunk, and their columns are independent of one another: a program takes a
memory and a tile of its values. Everything else is a program a chunk. A slot of states holds W and S
transposed, [width, value_width]. The names are the equation's: E the errors, G the mixing matrix, W and S
weights and momenta, d_ a gradient.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.fast_weight_tiles_triton import (
    Chunks,
    Shape,
    dot,
    load_pair,
    load_reading,
    load_tile,
    load_writing,
    options,
    own_chunk,
    span,
    store_pair,
    store_tile,
    store_writing,
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
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(tl.program_id(1) * V, V, VALUES)
    k += memory // HEADS * k_b + memory % HEADS * k_h
    v += memory // HEADS * v_b + memory % HEADS * v_h
    errors += memory * LENGTH * VALUES
    vectors += memory * CHUNKS * N * C
    states += memory * (CHUNKS + 1) * 2 * WIDTH * VALUES
    W, S = load_pair(states, width, value, width_in, value_in, WIDTH, VALUES)
    for chunk in range(CHUNKS):
        token_in = (token < CHUNK) & (chunk * CHUNK + token < LENGTH)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E = 2.0 * (
            dot(K, W, DOT, PRECISION) - load_tile(v, token, value, v_l, token_in, value_in).to(tl.float32)
        )
        store_tile(errors, E, token, value, VALUES, token_in, value_in)
        update, surprise, kept, carried, restart = load_writing(vectors, token, C)
        W = kept * W + carried * S - dot(tl.trans(K), update[:, None] * E, DOT, PRECISION)
        S = restart * S - dot(tl.trans(K), surprise[:, None] * E, DOT, PRECISION)
        states += 2 * WIDTH * VALUES
        store_pair(states, W, S, width, value, width_in, value_in, WIDTH, VALUES)
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
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(tl.program_id(1) * V, V, VALUES)
    states += (place + memory) * 2 * WIDTH * VALUES
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    G = tl.load(mixing + place * C * C + token[:, None] * C + token[None, :])
    kept, carried = load_reading(vectors + place * N * C, token, C)
    E = load_tile(errors + (memory * LENGTH + start) * VALUES, token, value, VALUES, token_in, value_in)
    W, S = load_pair(states, width, value, width_in, value_in, WIDTH, VALUES)
    read = kept[:, None] * dot(Q, W, DOT, PRECISION) + carried[:, None] * dot(Q, S, DOT, PRECISION)
    read -= dot(G * dot(Q, tl.trans(K), DOT, PRECISION), E, DOT, PRECISION)
    output += ((batch * LENGTH + start) * HEADS + head) * VALUES
    store_tile(output, read, token, value, HEADS * VALUES, token_in, value_in)


@triton.jit
def _read_gradient_kernel(
    q, k, d_output, mixing, vectors, states, errors, d_mixing, d_vectors, d_states, d_errors, d_q, d_k,
    q_b, q_l, q_h, k_b, k_l, k_h, d_output_b, d_output_l, d_output_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What a chunk's reads alone give: all of d_q and d_mixing, the others' first part."""
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    states += (place + memory) * 2 * WIDTH * VALUES
    d_states += (place + memory) * 2 * WIDTH * VALUES
    errors += (memory * LENGTH + start) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    d_output += batch * d_output_b + head * d_output_h + start * d_output_l
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    square = token[:, None] * C + token[None, :]
    G = tl.load(mixing + place * C * C + square)
    kept, carried = load_reading(vectors + place * N * C, token, C)
    alike = dot(Q, tl.trans(K), DOT, PRECISION)
    mixed = tl.trans(G * alike)
    d_mixed = tl.zeros((C, C), tl.float32)
    d_Q = tl.zeros((C, D), tl.float32)
    d_kept = tl.zeros((C,), tl.float32)
    d_carried = tl.zeros((C,), tl.float32)
    for first in range(0, VALUES, V):
        value, value_in = span(first, V, VALUES)
        W, S = load_pair(states, width, value, width_in, value_in, WIDTH, VALUES)
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
        store_pair(d_states, d_W, d_S, width, value, width_in, value_in, WIDTH, VALUES)
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
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(tl.program_id(1) * V, V, VALUES)
    place = memory * CHUNKS + CHUNKS - 1
    start = (place - memory * CHUNKS) * CHUNK
    k += batch * k_b + head * k_h + start * k_l
    d_v += ((batch * LENGTH + start) * HEADS + head) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    vectors += place * N * C
    d_states += (place + memory + 1) * 2 * WIDTH * VALUES
    d_W, d_S = load_pair(d_states, width, value, width_in, value_in, WIDTH, VALUES)
    for back in range(CHUNKS):
        token_in = (token < CHUNK) & ((CHUNKS - 1 - back) * CHUNK + token < LENGTH)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        update, surprise, kept, carried, restart = load_writing(vectors, token, C)
        d_E = load_tile(d_errors, token, value, VALUES, token_in, value_in)
        d_E -= update[:, None] * dot(K, d_W, DOT, PRECISION)
        d_E -= surprise[:, None] * dot(K, d_S, DOT, PRECISION)
        store_tile(d_errors, d_E, token, value, VALUES, token_in, value_in)
        store_tile(d_v, -2.0 * d_E, token, value, HEADS * VALUES, token_in, value_in)
        d_states -= 2 * WIDTH * VALUES
        read_W, read_S = load_pair(d_states, width, value, width_in, value_in, WIDTH, VALUES)
        d_S = read_S + carried * d_W + restart * d_S
        d_W = read_W + kept * d_W + 2.0 * dot(tl.trans(K), d_E, DOT, PRECISION)
        store_pair(d_states, d_W, d_S, width, value, width_in, value_in, WIDTH, VALUES)
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
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    states += (place + memory) * 2 * WIDTH * VALUES
    d_states += (place + memory + 1) * 2 * WIDTH * VALUES
    errors += (memory * LENGTH + start) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    vectors += place * N * C
    d_vectors += place * N * C
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    update, surprise, _kept, _carried, _restart = load_writing(vectors, token, C)
    d_K = load_tile(d_k + at, token, width, HEADS * WIDTH, token_in, width_in)
    d_update = tl.zeros((C,), tl.float32)
    d_surprise = tl.zeros((C,), tl.float32)
    d_kept = tl.zeros((D,), tl.float32)
    d_carried = tl.zeros((D,), tl.float32)
    d_restart = tl.zeros((D,), tl.float32)
    for first in range(0, VALUES, V):
        value, value_in = span(first, V, VALUES)
        W, S = load_pair(states, width, value, width_in, value_in, WIDTH, VALUES)
        d_W, d_S = load_pair(d_states, width, value, width_in, value_in, WIDTH, VALUES)
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
    store_writing(d_vectors, token, d_update, d_surprise, d_kept, d_carried, d_restart, C)


def forward(q: Tensor, k: Tensor, v: Tensor, own: Chunks, output: Tensor, shape: Shape) -> None:
    """Write the states, the errors and the reads; the mixing and the first state are there."""
    apart, split = _config(q, shape, split=False), _config(q, shape, split=True)
    _states_kernel[(shape.rows, triton.cdiv(shape.values, split["V"]))](
        k, v, own.vectors, own.states, own.errors, *strides(k, v), **split
    )
    _read_kernel[(shape.rows * shape.chunks, triton.cdiv(shape.values, apart["V"]))](
        q, k, *own, output, *strides(q, k), **apart
    )


def backward(
    q: Tensor, k: Tensor, d_output: Tensor, own: Chunks, given: Chunks,
    d_qkv: tuple[Tensor, Tensor, Tensor], shape: Shape,
) -> None:  # fmt: skip
    """Write the gradients of q, k, v and, in ``given``, of all else; that of the last state is there."""
    d_q, d_k, d_v = d_qkv
    by_reads = k.new_empty(k.shape, dtype=torch.float32)
    apart, split = _config(q, shape, split=False), _config(q, shape, split=True)
    places = (shape.rows * shape.chunks,)
    _read_gradient_kernel[places](
        q, k, d_output, *own, *given, d_q, by_reads, *strides(q, k, d_output), **apart
    )
    _states_gradient_kernel[(shape.rows, triton.cdiv(shape.values, split["V"]))](
        k, own.vectors, given.states, given.errors, d_v, *strides(k), **split
    )
    _write_gradient_kernel[places](
        k, own.vectors, own.states, own.errors, given.vectors, given.states, given.errors, by_reads, d_k,
        *strides(k), **apart,
    )  # fmt: skip


def _config(q: Tensor, shape: Shape, *, split: bool) -> dict[str, Any]:
    values = value_tile(shape, split=split)
    warps = 8 if shape.tile > 32 and (shape.width > 64 or not split) else 4
    # Half the bytes of float32 leave room for the next chunk's tiles.
    stages = 2 if q.dtype is torch.bfloat16 else 1
    return {**options(q, shape), "V": values, "num_warps": warps, "num_stages": stages}
