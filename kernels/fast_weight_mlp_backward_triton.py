"""Kernels of the two-layer fast-weight memory, backward. Names are as in ``fast_weight_mlp_triton``."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import sigmoid, silu_bend, silu_slope
from storyloom.kernels.fast_weight_mlp_triton import config_of, hidden_units, load_layers, store_layers
from storyloom.kernels.fast_weight_tiles_triton import (
    Chunks,
    Shape,
    dot,
    load_reading,
    load_tile,
    load_writing,
    own_chunk,
    span,
    store_tile,
    store_writing,
    strides,
)


@triton.jit
def _read_gradient_kernel(  # noqa: PLR0915
    q, k, d_output, mixing, vectors, states, errors,
    d_mixing, d_vectors, d_states, d_errors, d_first, d_hidden, d_q, d_k,
    q_b, q_l, q_h, k_b, k_l, k_h, d_output_b, d_output_l, d_output_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What a chunk's reads alone give: all of d_q and d_mixing, the others' first part."""
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    d_states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    d_first += (memory * LENGTH + start) * HIDDEN
    d_hidden += (memory * LENGTH + start) * HIDDEN
    q += batch * q_b + head * q_h + start * q_l
    k += batch * k_b + head * k_h + start * k_l
    errors += (memory * LENGTH + start) * VALUES
    Q = load_tile(q, token, width, q_l, token_in, width_in)
    K = load_tile(k, token, width, k_l, token_in, width_in)
    E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
    d_output += batch * d_output_b + head * d_output_h + start * d_output_l
    d_O = load_tile(d_output, token, value, d_output_l, token_in, value_in).to(tl.float32)
    square = token[:, None] * C + token[None, :]
    G = tl.load(mixing + place * C * C + square)
    kept, carried = load_reading(vectors + place * N * C, token, C)
    alike_1 = dot(Q, tl.trans(K), DOT, PRECISION)
    mixed = G * alike_1
    alike_2 = tl.zeros((C, C), tl.float32)
    d_mixed_1 = tl.zeros((C, C), tl.float32)
    d_mixed_2 = -dot(d_O, tl.trans(E2), DOT, PRECISION)
    d_alike = d_mixed_2 * G
    d_Q = tl.zeros((C, D), tl.float32)
    d_kept = tl.zeros((C,), tl.float32)
    d_carried = tl.zeros((C,), tl.float32)
    for first in range(0, HIDDEN, F):
        unit, unit_in = span(first, F, HIDDEN)
        Q = load_tile(q, token, width, q_l, token_in, width_in)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
        d_O = load_tile(d_output, token, value, d_output_l, token_in, value_in).to(tl.float32)
        U, M, X, Y = load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        H, E1 = hidden_units(K, E2, U, X, DOT, PRECISION)
        asked = kept[:, None] * dot(Q, U, DOT, PRECISION) + carried[:, None] * dot(Q, M, DOT, PRECISION)
        asked -= dot(mixed, E1, DOT, PRECISION)
        gate = sigmoid(asked)
        known = asked * gate
        alike_2 += dot(known, tl.trans(H), DOT, PRECISION)
        by_X = dot(d_O, X, DOT, PRECISION)
        by_Y = dot(d_O, Y, DOT, PRECISION)
        d_kept += tl.sum(by_X * known, 1)
        d_carried += tl.sum(by_Y * known, 1)
        d_asked = kept[:, None] * by_X + carried[:, None] * by_Y + dot(d_alike, H, DOT, PRECISION)
        d_asked *= silu_slope(asked, gate)
        d_mixed_1 -= dot(d_asked, tl.trans(E1), DOT, PRECISION)
        by_U = dot(d_asked, tl.trans(U), DOT, PRECISION)
        by_M = dot(d_asked, tl.trans(M), DOT, PRECISION)
        d_kept += tl.sum(by_U * Q, 1)
        d_carried += tl.sum(by_M * Q, 1)
        d_Q += kept[:, None] * by_U + carried[:, None] * by_M
        d_E1 = -dot(tl.trans(mixed), d_asked, DOT, PRECISION)
        store_tile(d_first, d_E1, token, unit, HIDDEN, token_in, unit_in)
        d_H = dot(tl.trans(d_alike), known, DOT, PRECISION)
        store_tile(d_hidden, d_H, token, unit, HIDDEN, token_in, unit_in)
        d_U = dot(tl.trans(Q), kept[:, None] * d_asked, DOT, PRECISION)
        d_M = dot(tl.trans(Q), carried[:, None] * d_asked, DOT, PRECISION)
        d_X = dot(tl.trans(kept[:, None] * d_O), known, DOT, PRECISION)
        d_Y = dot(tl.trans(carried[:, None] * d_O), known, DOT, PRECISION)
        store_layers(
            d_states,
            d_U, d_M, d_X, d_Y, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES,
        )  # fmt: skip
    d_O = load_tile(d_output, token, value, d_output_l, token_in, value_in).to(tl.float32)
    d_E2 = -dot(tl.trans(G * alike_2), d_O, DOT, PRECISION)
    store_tile(d_errors + (memory * LENGTH + start) * VALUES, d_E2, token, value, VALUES, token_in, value_in)
    past = token[:, None] >= token[None, :]
    d_G = tl.where(past, d_mixed_1 * alike_1 + d_mixed_2 * alike_2, 0.0)
    tl.store(d_mixing + place * C * C + square, d_G)
    tl.store(d_vectors + place * N * C + token, d_kept)
    tl.store(d_vectors + place * N * C + C + token, d_carried)
    d_alike = d_mixed_1 * G
    Q = load_tile(q, token, width, q_l, token_in, width_in)
    K = load_tile(k, token, width, k_l, token_in, width_in)
    d_Q += dot(d_alike, K, DOT, PRECISION)
    d_K = dot(tl.trans(d_alike), Q, DOT, PRECISION)
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    store_tile(d_q + at, d_Q, token, width, HEADS * WIDTH, token_in, width_in)
    store_tile(d_k + at, d_K, token, width, HEADS * WIDTH, token_in, width_in)


@triton.jit
def _states_gradient_kernel(  # noqa: PLR0915
    k, vectors, states, errors, d_states, d_errors, d_first, d_hidden, d_v,
    k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Chunk before chunk: adds to each slot what comes from the later ones; leaves d_Z in d_hidden."""
    memory = tl.program_id(0).to(tl.int64)
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    place = memory * CHUNKS + CHUNKS - 1
    start = (place - memory * CHUNKS) * CHUNK
    k += batch * k_b + head * k_h + start * k_l
    d_v += ((batch * LENGTH + start) * HEADS + head) * VALUES
    errors += (memory * LENGTH + start) * VALUES
    d_errors += (memory * LENGTH + start) * VALUES
    d_first += (memory * LENGTH + start) * HIDDEN
    d_hidden += (memory * LENGTH + start) * HIDDEN
    vectors += place * N * C
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    d_states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    for back in range(CHUNKS):
        token_in = (token < CHUNK) & ((CHUNKS - 1 - back) * CHUNK + token < LENGTH)
        later = d_states + 2 * (WIDTH + VALUES) * HIDDEN
        d_E2 = load_tile(d_errors, token, value, VALUES, token_in, value_in)
        update, surprise, kept, carried, restart = load_writing(vectors, token, C)
        update, surprise = update[:, None], surprise[:, None]
        for first in range(0, HIDDEN, F):
            unit, unit_in = span(first, F, HIDDEN)
            K = load_tile(k, token, width, k_l, token_in, width_in)
            d_U, d_M, d_X, d_Y = load_layers(
                later, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            gate = sigmoid(Z)
            d_E1 = load_tile(d_first, token, unit, HIDDEN, token_in, unit_in)
            d_E1 -= update * dot(K, d_U, DOT, PRECISION) + surprise * dot(K, d_M, DOT, PRECISION)
            store_tile(d_first, d_E1, token, unit, HIDDEN, token_in, unit_in)
            d_E2 += dot(d_E1 * silu_slope(Z, gate), tl.trans(X), DOT, PRECISION)
            d_E2 -= update * dot(Z * gate, tl.trans(d_X), DOT, PRECISION)
            d_E2 -= surprise * dot(Z * gate, tl.trans(d_Y), DOT, PRECISION)
        store_tile(d_errors, d_E2, token, value, VALUES, token_in, value_in)
        store_tile(d_v, -2.0 * d_E2, token, value, HEADS * VALUES, token_in, value_in)
        # What is loaded next, here and at the loop's end, other threads may have stored.
        tl.debug_barrier()
        for first in range(0, HIDDEN, F):
            unit, unit_in = span(first, F, HIDDEN)
            K = load_tile(k, token, width, k_l, token_in, width_in)
            d_U, d_M, d_X, d_Y = load_layers(
                later, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            gate = sigmoid(Z)
            slope = silu_slope(Z, gate)
            d_E1 = load_tile(d_first, token, unit, HIDDEN, token_in, unit_in)
            d_H = load_tile(d_hidden, token, unit, HIDDEN, token_in, unit_in)
            E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
            d_E2 = load_tile(d_errors, token, value, VALUES, token_in, value_in)
            d_H += 2.0 * dot(d_E2, X, DOT, PRECISION)
            d_H -= update * dot(E2, d_X, DOT, PRECISION) + surprise * dot(E2, d_Y, DOT, PRECISION)
            d_Z = d_E1 * dot(E2, X, DOT, PRECISION) * silu_bend(Z, gate) + d_H * slope
            store_tile(d_hidden, d_Z, token, unit, HIDDEN, token_in, unit_in)
            read_U, read_M, read_X, read_Y = load_layers(
                d_states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            new_U = read_U + kept * d_U + dot(tl.trans(K), d_Z, DOT, PRECISION)
            new_M = read_M + carried * d_U + restart * d_M
            new_X = read_X + kept * d_X + dot(tl.trans(d_E2), 2.0 * Z * gate, DOT, PRECISION)
            new_X += dot(tl.trans(E2), d_E1 * slope, DOT, PRECISION)
            new_Y = read_Y + carried * d_X + restart * d_Y
            store_layers(
                d_states, new_U, new_M, new_X, new_Y,
                width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES,
            )  # fmt: skip
        tl.debug_barrier()
        k -= CHUNK * k_l
        d_v -= CHUNK * HEADS * VALUES
        errors -= CHUNK * VALUES
        d_errors -= CHUNK * VALUES
        d_first -= CHUNK * HIDDEN
        d_hidden -= CHUNK * HIDDEN
        vectors -= N * C
        states -= 2 * (WIDTH + VALUES) * HIDDEN
        d_states -= 2 * (WIDTH + VALUES) * HIDDEN


@triton.jit
def _write_gradient_kernel(
    k, vectors, states, errors, d_vectors, d_states, d_hidden, d_k, d_key,
    k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A chunk's remaining gradients: of its keys, and of the vectors with which it wrote."""
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    d_states += (place + memory + 1) * 2 * (WIDTH + VALUES) * HIDDEN
    d_hidden += (memory * LENGTH + start) * HIDDEN
    vectors += place * N * C
    d_vectors += place * N * C
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    k += batch * k_b + head * k_h + start * k_l
    errors += (memory * LENGTH + start) * VALUES
    update, surprise, _kept, _carried, _restart = load_writing(vectors, token, C)
    update, surprise = update[:, None], surprise[:, None]
    d_K = load_tile(d_k + at, token, width, HEADS * WIDTH, token_in, width_in)
    d_update = tl.zeros((C,), tl.float32)
    d_surprise = tl.zeros((C,), tl.float32)
    d_kept = tl.zeros((F,), tl.float32)
    d_carried = tl.zeros((F,), tl.float32)
    d_restart = tl.zeros((F,), tl.float32)
    for first in range(0, HIDDEN, F):
        unit, unit_in = span(first, F, HIDDEN)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
        U, M, X, Y = load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        d_U, d_M, d_X, d_Y = load_layers(
            d_states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        H, E1 = hidden_units(K, E2, U, X, DOT, PRECISION)
        by_U = dot(E1, tl.trans(d_U), DOT, PRECISION)
        by_M = dot(E1, tl.trans(d_M), DOT, PRECISION)
        d_Z = load_tile(d_hidden, token, unit, HIDDEN, token_in, unit_in)
        d_K += dot(d_Z, tl.trans(U), DOT, PRECISION) - update * by_U - surprise * by_M
        d_update -= tl.sum(by_U * K, 1) + tl.sum(dot(H, tl.trans(d_X), DOT, PRECISION) * E2, 1)
        d_surprise -= tl.sum(by_M * K, 1) + tl.sum(dot(H, tl.trans(d_Y), DOT, PRECISION) * E2, 1)
        d_kept += tl.sum(d_U * U, 0) + tl.sum(d_X * X, 0)
        d_carried += tl.sum(d_U * M, 0) + tl.sum(d_X * Y, 0)
        d_restart += tl.sum(d_M * M, 0) + tl.sum(d_Y * Y, 0)
    store_tile(d_key + at, d_K, token, width, HEADS * WIDTH, token_in, width_in)
    store_writing(d_vectors, token, d_update, d_surprise, d_kept, d_carried, d_restart, C)


def backward(
    q: Tensor, k: Tensor, d_output: Tensor, own: Chunks, given: Chunks,
    d_qkv: tuple[Tensor, Tensor, Tensor], shape: Shape,
) -> None:  # fmt: skip
    """Write the gradients of q, k, v and, in ``given``, of all else; that of the last state is there."""
    d_q, d_k, d_v = d_qkv
    by_reads = k.new_empty(k.shape, dtype=torch.float32)
    d_first, d_hidden = (own.states.new_empty((shape.rows, shape.length, shape.hidden)) for _ in range(2))
    config = config_of(q, shape)
    places = (shape.rows * shape.chunks,)
    _read_gradient_kernel[places](
        q, k, d_output, *own, *given, d_first, d_hidden, d_q, by_reads, *strides(q, k, d_output), **config
    )
    _states_gradient_kernel[(shape.rows,)](
        k, own.vectors, own.states, own.errors, given.states, given.errors, d_first, d_hidden, d_v,
        *strides(k), **config,
    )  # fmt: skip
    _write_gradient_kernel[places](
        k, own.vectors, own.states, own.errors, given.vectors, given.states, d_hidden, by_reads, d_k,
        *strides(k), **config,
    )  # fmt: skip
