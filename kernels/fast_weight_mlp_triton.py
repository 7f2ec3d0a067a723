"""Kernels of the two-layer fast-weight memory, forward: M(x) = W2 silu(W1 x).

As in the linear memory's, only the states run from chunk to chunk; a program takes a whole memory there, a
tile of its hidden units at a time, twice a chunk: once for the error at the output, once to write. A slot of
states holds W1 and S1 as [width, hidden], then W2 and S2 as [value_width, hidden]. In the names, the first
layer is U (its momenta M) and the second X (its momenta Y); Z is what enters silu, H what leaves it, E1 and
E2 are the errors.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import sigmoid, silu_slope
from storyloom.kernels.backend import interpreted
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
    strides,
)
from storyloom.kernels.tiles_triton import tile_of


@triton.jit
def load_layers(slot, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES):
    """The tiles of U, M, X and Y that belong to some hidden units."""
    U, M = load_pair(slot, width, unit, width_in, unit_in, WIDTH, HIDDEN)
    X, Y = load_pair(slot + 2 * WIDTH * HIDDEN, value, unit, value_in, unit_in, VALUES, HIDDEN)
    return U, M, X, Y


@triton.jit
def store_layers(slot, U, M, X, Y, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES):
    """The way back from :func:`load_layers`."""
    store_pair(slot, U, M, width, unit, width_in, unit_in, WIDTH, HIDDEN)
    store_pair(slot + 2 * WIDTH * HIDDEN, X, Y, value, unit, value_in, unit_in, VALUES, HIDDEN)


@triton.jit
def hidden_units(K, E2, U, X, DOT: tl.constexpr, PRECISION: tl.constexpr):
    """H and E1 of some units, from the keys and from the errors at the output."""
    Z = dot(K, U, DOT, PRECISION)
    gate = sigmoid(Z)
    return Z * gate, dot(E2, X, DOT, PRECISION) * silu_slope(Z, gate)


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
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    k += memory // HEADS * k_b + memory % HEADS * k_h
    v += memory // HEADS * v_b + memory % HEADS * v_h
    errors += memory * LENGTH * VALUES
    vectors += memory * CHUNKS * N * C
    states += memory * (CHUNKS + 1) * 2 * (WIDTH + VALUES) * HIDDEN
    for chunk in range(CHUNKS):
        token_in = (token < CHUNK) & (chunk * CHUNK + token < LENGTH)
        E2 = tl.zeros((C, V), tl.float32)
        for first in range(0, HIDDEN, F):
            unit, unit_in = span(first, F, HIDDEN)
            K = load_tile(k, token, width, k_l, token_in, width_in)
            Z = dot(K, load_tile(states, width, unit, HIDDEN, width_in, unit_in), DOT, PRECISION)
            X = load_tile(states + 2 * WIDTH * HIDDEN, value, unit, HIDDEN, value_in, unit_in)
            E2 += dot(Z * sigmoid(Z), tl.trans(X), DOT, PRECISION)
        E2 = 2.0 * (E2 - load_tile(v, token, value, v_l, token_in, value_in).to(tl.float32))
        store_tile(errors, E2, token, value, VALUES, token_in, value_in)
        tl.debug_barrier()
        update, surprise, kept, carried, restart = load_writing(vectors, token, C)
        update, surprise = update[:, None], surprise[:, None]
        for first in range(0, HIDDEN, F):
            unit, unit_in = span(first, F, HIDDEN)
            K = load_tile(k, token, width, k_l, token_in, width_in)
            E2 = load_tile(errors, token, value, VALUES, token_in, value_in)
            U, M, X, Y = load_layers(
                states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
            )
            H, E1 = hidden_units(K, E2, U, X, DOT, PRECISION)
            U = kept * U + carried * M - dot(tl.trans(K), update * E1, DOT, PRECISION)
            M = restart * M - dot(tl.trans(K), surprise * E1, DOT, PRECISION)
            X = kept * X + carried * Y - dot(tl.trans(E2), update * H, DOT, PRECISION)
            Y = restart * Y - dot(tl.trans(E2), surprise * H, DOT, PRECISION)
            store_layers(
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
    place, memory, batch, head, start, token, token_in = own_chunk(LENGTH, HEADS, CHUNKS, CHUNK, C)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    states += (place + memory) * 2 * (WIDTH + VALUES) * HIDDEN
    Q = load_tile(q + batch * q_b + head * q_h + start * q_l, token, width, q_l, token_in, width_in)
    K = load_tile(k + batch * k_b + head * k_h + start * k_l, token, width, k_l, token_in, width_in)
    E2 = load_tile(errors + (memory * LENGTH + start) * VALUES, token, value, VALUES, token_in, value_in)
    G = tl.load(mixing + place * C * C + token[:, None] * C + token[None, :])
    kept, carried = load_reading(vectors + place * N * C, token, C)
    kept, carried = kept[:, None], carried[:, None]
    mixed = G * dot(Q, tl.trans(K), DOT, PRECISION)
    alike = tl.zeros((C, C), tl.float32)
    read = tl.zeros((C, V), tl.float32)
    for first in range(0, HIDDEN, F):
        unit, unit_in = span(first, F, HIDDEN)
        U, M, X, Y = load_layers(
            states, width, unit, value, width_in, unit_in, value_in, WIDTH, HIDDEN, VALUES
        )
        H, E1 = hidden_units(K, E2, U, X, DOT, PRECISION)
        asked = kept * dot(Q, U, DOT, PRECISION) + carried * dot(Q, M, DOT, PRECISION)
        asked -= dot(mixed, E1, DOT, PRECISION)
        asked *= sigmoid(asked)
        alike += dot(asked, tl.trans(H), DOT, PRECISION)
        read += kept * dot(asked, tl.trans(X), DOT, PRECISION)
        read += carried * dot(asked, tl.trans(Y), DOT, PRECISION)
    read -= dot(G * alike, E2, DOT, PRECISION)
    output += ((batch * LENGTH + start) * HEADS + head) * VALUES
    store_tile(output, read, token, value, HEADS * VALUES, token_in, value_in)


def forward(q: Tensor, k: Tensor, v: Tensor, own: Chunks, output: Tensor, shape: Shape) -> None:
    """Write the states, the errors and the reads; the mixing and the first state are there."""
    config = config_of(q, shape)
    _states_kernel[(shape.rows,)](k, v, own.vectors, own.states, own.errors, *strides(k, v), **config)
    _read_kernel[(shape.rows * shape.chunks,)](q, k, *own, output, *strides(q, k), **config)


def config_of(q: Tensor, shape: Shape) -> dict[str, Any]:
    """What every kernel of a perceptron is launched with."""
    units = min(tile_of(shape.hidden), 64 if interpreted() else 32)
    warps = 8 if shape.tile > 32 else 4
    tiles = {"F": units, "V": tile_of(shape.values)}
    return {**options(q, shape), **tiles, "HIDDEN": shape.hidden, "num_warps": warps, "num_stages": 1}
