"""Kernels of the two-layer fast-weight memory: M(x) = W2 silu(W1 x).

As in the linear memory's, only the states run from chunk to chunk; a program takes a whole memory there, a
tile of its hidden units at a time, twice a chunk: once for the error at the output, once to write. A slot of
states holds W1 and S1 as [width, hidden], then W2 and S2 as [value_width, hidden]. In the names, the first
layer is U (its momenta M) and the second X (its momenta Y); Z is what enters silu, H what leaves it, E1 and
E2 are the errors.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.backend import interpreted
from storyloom.kernels.fast_weight_mixing_triton import Gates, mix, mix_gradients
from storyloom.kernels.fast_weight_tiles_triton import (
    Shape,
    dot,
    load_tile,
    options,
    rows_contiguous,
    sigmoid,
    store_tile,
    strides,
    tile,
)


@triton.jit
def _slope(Z, gate):
    """The first derivative of silu."""
    return gate * (1.0 + Z * (1.0 - gate))


@triton.jit
def _bend(Z, gate):
    """The second derivative of silu."""
    return gate * (1.0 - gate) * (2.0 + Z * (1.0 - 2.0 * gate))


@triton.jit
def _load_layers(slot, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES):
    """The tiles of U, M, X and Y that belong to some hidden units."""
    second = slot + 2 * WIDTH * HIDDEN
    U = load_tile(slot, width, unit, HIDDEN, width_in, unit_in)
    M = load_tile(slot + WIDTH * HIDDEN, width, unit, HIDDEN, width_in, unit_in)
    X = load_tile(second, value, unit, HIDDEN, value_in, unit_in)
    Y = load_tile(second + HIDDEN * VALUES, value, unit, HIDDEN, value_in, unit_in)
    return U, M, X, Y


@triton.jit
def _store_layers(slot, U, M, X, Y, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES):
    second = slot + 2 * WIDTH * HIDDEN
    store_tile(slot, U, width, unit, HIDDEN, width_in, unit_in)
    store_tile(slot + WIDTH * HIDDEN, M, width, unit, HIDDEN, width_in, unit_in)
    store_tile(second, X, value, unit, HIDDEN, value_in, unit_in)
    store_tile(second + HIDDEN * VALUES, Y, value, unit, HIDDEN, value_in, unit_in)


@triton.jit
def _states_kernel(
    k, v, vectors, states, errors,
    k_b, k_l, k_h, v_b, v_l, v_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Chunk after chunk: the errors, and the state that each chunk starts with.

    What every tile of units needs, here and below, is loaded anew for each: kept across them, the operands'
    shared memory wouldn't fit.
    """
    memory = tl.program_id(0).to(tl.int64)
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.arange(0, V)
    width_in = width < WIDTH
    value_in = value < VALUES
    k += memory // HEADS * k_b + memory % HEADS * k_h
    v += memory // HEADS * v_b + memory % HEADS * v_h
    errors += memory * LENGTH * VALUES
    vectors += memory * CHUNKS * N * C
    states += memory * (CHUNKS + 1) * 2 * (WIDTH + VALUES) * HIDDEN
    for chunk in range(CHUNKS):
        token_in = (token < CHUNK) & (chunk * CHUNK + token < LENGTH)
        E2 = tl.zeros((C, V), tl.float32)
        for first in range(0, HIDDEN, F):
            unit = first + tl.arange(0, F)
            unit_in = unit < HIDDEN
            K = load_tile(k, token, width, k_l, token_in, width_in)
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            E2 += dot(Z * sigmoid(Z), tl.trans(X), DOT, PRECISION)
        E2 = 2.0 * (E2 - load_tile(v, token, value, v_l, token_in, value_in).to(tl.float32))
        store_tile(errors, E2, token, value, VALUES, token_in, value_in)
        tl.debug_barrier()
        update = tl.load(vectors + 3 * C + token)[:, None]
        surprise = tl.load(vectors + 4 * C + token)[:, None]
        kept = tl.load(vectors + 5 * C)
        carried = tl.load(vectors + 5 * C + 1)
        restart = tl.load(vectors + 5 * C + 2)
        for first in range(0, HIDDEN, F):
            unit = first + tl.arange(0, F)
            unit_in = unit < HIDDEN
            K = load_tile(k, token, width, k_l, token_in, width_in)
            E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
            U, M, X, Y = _load_layers(
                states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            Z = dot(K, U, DOT, PRECISION)
            gate = sigmoid(Z)
            H = Z * gate
            E1 = dot(E2, X, DOT, PRECISION) * _slope(Z, gate)
            U = kept * U + carried * M - dot(tl.trans(K), update * E1, DOT, PRECISION)
            M = restart * M - dot(tl.trans(K), surprise * E1, DOT, PRECISION)
            X = kept * X + carried * Y - dot(tl.trans(E2), update * H, DOT, PRECISION)
            Y = restart * Y - dot(tl.trans(E2), surprise * H, DOT, PRECISION)
            _store_layers(
                states + 2 * (WIDTH + VALUES) * HIDDEN,
                U, M, X, Y, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES,
            )  # fmt: skip
        # The next chunk's loads see what every thread has stored.
        tl.debug_barrier()
        states += 2 * (WIDTH + VALUES) * HIDDEN
        k += CHUNK * k_l
        v += CHUNK * v_l
        errors += CHUNK * VALUES
        vectors += N * C


@triton.jit
def _read_kernel(
    q, k, mixing, vectors, states, errors, output,
    q_b, q_l, q_h, k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A chunk's reads."""
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.arange(0, V)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    value_in = value < VALUES
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    E2 = load_tile(errors + (memory * LENGTH + start) * VALUES, token, value, VALUES, token_in, value_in)
    G = tl.load(mixing + place * C * C + token[:, None] * C + token[None, :])
    kept = tl.load(vectors + place * N * C + token)[:, None]
    carried = tl.load(vectors + place * N * C + C + token)[:, None]
    mixed = G * dot(Q, tl.trans(K), DOT, PRECISION)
    alike = tl.zeros((C, C), tl.float32)
    read = tl.zeros((C, V), tl.float32)
    for first in range(0, HIDDEN, F):
        unit = first + tl.arange(0, F)
        unit_in = unit < HIDDEN
        U, M, X, Y = _load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        Z = dot(K, U, DOT, PRECISION)
        gate = sigmoid(Z)
        E1 = dot(E2, X, DOT, PRECISION) * _slope(Z, gate)
        asked = kept * dot(Q, U, DOT, PRECISION) + carried * dot(Q, M, DOT, PRECISION)
        asked -= dot(mixed, E1, DOT, PRECISION)
        asked *= sigmoid(asked)
        alike += dot(asked, tl.trans(Z * gate), DOT, PRECISION)
        read += kept * dot(asked, tl.trans(X), DOT, PRECISION)
        read += carried * dot(asked, tl.trans(Y), DOT, PRECISION)
    read -= dot(G * alike, E2, DOT, PRECISION)
    output += ((batch * LENGTH + start) * HEADS + head) * VALUES
    store_tile(output, read, token, value, HEADS * VALUES, token_in, value_in)


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
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.arange(0, V)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    value_in = value < VALUES
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
    kept = tl.load(vectors + place * N * C + token)
    carried = tl.load(vectors + place * N * C + C + token)
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
        unit = first + tl.arange(0, F)
        unit_in = unit < HIDDEN
        Q = load_tile(q, token, width, q_l, token_in, width_in)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
        d_O = load_tile(d_output, token, value, d_output_l, token_in, value_in).to(tl.float32)
        U, M, X, Y = _load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        Z = dot(K, U, DOT, PRECISION)
        gate = sigmoid(Z)
        H = Z * gate
        E1 = dot(E2, X, DOT, PRECISION) * _slope(Z, gate)
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
        d_asked *= _slope(asked, gate)
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
        _store_layers(
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
    width = tl.arange(0, D)
    value = tl.arange(0, V)
    width_in = width < WIDTH
    value_in = value < VALUES
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
        update = tl.load(vectors + 3 * C + token)[:, None]
        surprise = tl.load(vectors + 4 * C + token)[:, None]
        kept = tl.load(vectors + 5 * C)
        carried = tl.load(vectors + 5 * C + 1)
        restart = tl.load(vectors + 5 * C + 2)
        for first in range(0, HIDDEN, F):
            unit = first + tl.arange(0, F)
            unit_in = unit < HIDDEN
            K = load_tile(k, token, width, k_l, token_in, width_in)
            d_U, d_M, d_X, d_Y = _load_layers(
                later, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            gate = sigmoid(Z)
            d_E1 = load_tile(d_first, token, unit, HIDDEN, token_in, unit_in)
            d_E1 -= update * dot(K, d_U, DOT, PRECISION) + surprise * dot(K, d_M, DOT, PRECISION)
            store_tile(d_first, d_E1, token, unit, HIDDEN, token_in, unit_in)
            d_E2 += dot(d_E1 * _slope(Z, gate), tl.trans(X), DOT, PRECISION)
            d_E2 -= update * dot(Z * gate, tl.trans(d_X), DOT, PRECISION)
            d_E2 -= surprise * dot(Z * gate, tl.trans(d_Y), DOT, PRECISION)
        store_tile(d_errors, d_E2, token, value, VALUES, token_in, value_in)
        store_tile(d_v, -2.0 * d_E2, token, value, HEADS * VALUES, token_in, value_in)
        # What is loaded next, here and at the loop's end, other threads may have stored.
        tl.debug_barrier()
        for first in range(0, HIDDEN, F):
            unit = first + tl.arange(0, F)
            unit_in = unit < HIDDEN
            K = load_tile(k, token, width, k_l, token_in, width_in)
            d_U, d_M, d_X, d_Y = _load_layers(
                later, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            gate = sigmoid(Z)
            slope = _slope(Z, gate)
            d_E1 = load_tile(d_first, token, unit, HIDDEN, token_in, unit_in)
            d_H = load_tile(d_hidden, token, unit, HIDDEN, token_in, unit_in)
            E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
            d_E2 = load_tile(d_errors, token, value, VALUES, token_in, value_in)
            d_H += 2.0 * dot(d_E2, X, DOT, PRECISION)
            d_H -= update * dot(E2, d_X, DOT, PRECISION) + surprise * dot(E2, d_Y, DOT, PRECISION)
            d_Z = d_E1 * dot(E2, X, DOT, PRECISION) * _bend(Z, gate) + d_H * slope
            store_tile(d_hidden, d_Z, token, unit, HIDDEN, token_in, unit_in)
            read_U, read_M, read_X, read_Y = _load_layers(
                d_states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            new_U = read_U + kept * d_U + dot(tl.trans(K), d_Z, DOT, PRECISION)
            new_M = read_M + carried * d_U + restart * d_M
            new_X = read_X + kept * d_X + dot(tl.trans(d_E2), 2.0 * Z * gate, DOT, PRECISION)
            new_X += dot(tl.trans(E2), d_E1 * slope, DOT, PRECISION)
            new_Y = read_Y + carried * d_X + restart * d_Y
            _store_layers(
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
def _write_gradient_kernel(  # noqa: PLR0915
    k, vectors, states, errors, d_vectors, d_states, d_hidden, d_k, d_key,
    k_b, k_l, k_h, LENGTH, HEADS, CHUNKS,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, VALUES: tl.constexpr, N: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, V: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A chunk's remaining gradients: of its keys, and of the vectors with which it wrote."""
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    batch = memory // HEADS
    head = memory % HEADS
    token = tl.arange(0, C)
    width = tl.arange(0, D)
    value = tl.arange(0, V)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    width_in = width < WIDTH
    value_in = value < VALUES
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    d_states += (place + memory + 1) * 2 * (WIDTH + VALUES) * HIDDEN
    d_hidden += (memory * LENGTH + start) * HIDDEN
    vectors += place * N * C
    d_vectors += place * N * C
    at = ((batch * LENGTH + start) * HEADS + head) * WIDTH
    k += batch * k_b + head * k_h + start * k_l
    errors += (memory * LENGTH + start) * VALUES
    update = tl.load(vectors + 3 * C + token)[:, None]
    surprise = tl.load(vectors + 4 * C + token)[:, None]
    d_K = load_tile(d_k + at, token, width, HEADS * WIDTH, token_in, width_in)
    d_update = tl.zeros((C,), tl.float32)
    d_surprise = tl.zeros((C,), tl.float32)
    d_kept = tl.zeros((F,), tl.float32)
    d_carried = tl.zeros((F,), tl.float32)
    d_restart = tl.zeros((F,), tl.float32)
    for first in range(0, HIDDEN, F):
        unit = first + tl.arange(0, F)
        unit_in = unit < HIDDEN
        K = load_tile(k, token, width, k_l, token_in, width_in)
        E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
        U, M, X, Y = _load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        d_U, d_M, d_X, d_Y = _load_layers(
            d_states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        Z = dot(K, U, DOT, PRECISION)
        gate = sigmoid(Z)
        H = Z * gate
        E1 = dot(E2, X, DOT, PRECISION) * _slope(Z, gate)
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
    tl.store(d_vectors + 3 * C + token, d_update)
    tl.store(d_vectors + 4 * C + token, d_surprise)
    tl.store(d_vectors + 5 * C, tl.sum(d_kept, 0))
    tl.store(d_vectors + 5 * C + 1, tl.sum(d_carried, 0))
    tl.store(d_vectors + 5 * C + 2, tl.sum(d_restart, 0))


Layers = tuple[Tensor, Tensor, Tensor, Tensor]


def forward(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, layers: Layers, chunk: int, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The reads; the states, [memories, chunks + 1, slot_size]; the errors, [memories, length, value_width].

    ``layers`` are W1, W2, S1 and S2.
    """
    shape = Shape.of(q, v, chunk)
    q, k, v = (rows_contiguous(tensor) for tensor in (q, k, v))
    hidden = layers[0].shape[-2]
    output = q.new_empty(v.shape)
    states = layers[0].new_empty((shape.rows, shape.chunks + 1, slot_size(shape, hidden)))
    errors = states.new_empty((shape.rows, shape.length, shape.values))
    if not shape.rows:
        return output, states, errors
    _fill(states, 0, layers)
    mixing, vectors, _ = mix(gates, shape, window)
    config = _config(q, shape, hidden)
    _states_kernel[(shape.rows,)](k, v, vectors, states, errors, *strides(k, v), **config)
    _read_kernel[(shape.rows * shape.chunks,)](
        q, k, mixing, vectors, states, errors, output, *strides(q, k), **config
    )
    return output, states, errors


def backward(
    d_output: Tensor,
    d_layers: Layers,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    states: Tensor,
    errors: Tensor,
    chunk: int,
    window: int,
) -> tuple[Tensor, ...]:
    """Gradients of q, k, v, momentum, rate, decay, W1, W2, S1 and S2."""
    shape = Shape.of(q, v, chunk)
    q, k, d_output = (rows_contiguous(tensor) for tensor in (q, k, d_output))
    hidden = d_layers[0].shape[-2]
    d_q, d_key, d_v = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    if not shape.rows:
        return (
            d_q,
            d_key,
            d_v,
            *(gate.new_empty(gate.shape) for gate in gates),
            *(torch.empty_like(layer) for layer in d_layers),
        )
    d_k = k.new_empty(k.shape, dtype=torch.float32)
    d_states, d_errors = torch.empty_like(states), torch.empty_like(errors)
    d_first = states.new_empty((shape.rows, shape.length, hidden))
    d_hidden = torch.empty_like(d_first)
    _fill(d_states, shape.chunks, d_layers)
    mixing = mix(gates, shape, window, surprises=True)
    d_matrix, d_vectors = torch.empty_like(mixing.matrix), torch.empty_like(mixing.vectors)
    config = _config(q, shape, hidden)
    places = (shape.rows * shape.chunks,)
    _read_gradient_kernel[places](
        q, k, d_output, mixing.matrix, mixing.vectors, states, errors,
        d_matrix, d_vectors, d_states, d_errors, d_first, d_hidden, d_q, d_k,
        *strides(q, k, d_output), **config,
    )  # fmt: skip
    _states_gradient_kernel[(shape.rows,)](
        k, mixing.vectors, states, errors, d_states, d_errors, d_first, d_hidden, d_v, *strides(k), **config
    )
    _write_gradient_kernel[places](
        k, mixing.vectors, states, errors, d_vectors, d_states, d_hidden, d_k, d_key, *strides(k), **config
    )
    given = mix_gradients(gates, shape, window, mixing, d_matrix, d_vectors)
    return d_q, d_key, d_v, *given, *layers_of(d_states, 0, d_layers)


def layers_of(states: Tensor, slot: int, like: Layers) -> Layers:
    """Copies of a slot's W1, W2, S1 and S2, in the layout of ``like``."""
    first, second, held_first, held_second = _views(states, slot, like)
    return (
        torch.empty_like(like[0]).copy_(first),
        torch.empty_like(like[1]).copy_(second),
        torch.empty_like(like[2]).copy_(held_first),
        torch.empty_like(like[3]).copy_(held_second),
    )


def slot_size(shape: Shape, hidden: int) -> int:
    """Numbers in a slot: weights and momenta of both layers."""
    return 2 * (shape.width + shape.values) * hidden


def _fill(states: Tensor, slot: int, layers: Layers) -> None:
    for view, layer in zip(_views(states, slot, layers), layers, strict=True):
        view.copy_(layer)


def _views(states: Tensor, slot: int, like: Layers) -> list[Tensor]:
    """A slot's W1, W2, S1 and S2 where they lie, shaped like ``like``."""
    batch, heads, hidden, width = like[0].shape
    values = like[1].shape[-2]
    sizes = [width * hidden] * 2 + [hidden * values] * 2
    parts = states[:, slot].view(batch, heads, states.shape[-1]).split(sizes, -1)
    first, held_first = (part.view(batch, heads, width, hidden).mT for part in parts[:2])
    second, held_second = (part.view(batch, heads, values, hidden) for part in parts[2:])
    return [first, second, held_first, held_second]


def _config(q: Tensor, shape: Shape, hidden: int) -> dict[str, Any]:
    units = min(tile(hidden), 64 if interpreted() else 32)
    warps = 8 if shape.tile > 32 else 4
    tiles = {"F": units, "V": tile(shape.values)}
    return {**options(q, shape), **tiles, "HIDDEN": hidden, "num_warps": warps, "num_stages": 1}
