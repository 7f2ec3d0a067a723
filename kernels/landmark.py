"""Landmark attention: a token of an earlier block is reached through its block's landmark (arXiv 2305.16300).

Training and prefill; ``gather_decode`` takes single steps over the blocks that the landmarks choose. Knows
nothing of how landmark keys are made.
"""

import math

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape
from storyloom.kernels.landmark_reference import landmark_attention_reference

_NAME = "landmark_attention"
_MAX_WIDTH = 128
_MAX_BLOCK = 128


def landmark_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    landmarks: Tensor,
    gate: Tensor,
    *,
    block: int = 64,
    local: int = 1,
    scale: float | None = None,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Causal attention in which earlier blocks weigh by their landmarks; flash form, forward and backward.

    The grouped softmax of arXiv 2305.16300, equations 1 to 4, with a gate of ours. With s_t = scale · q·k_t
    for a query in block C, the tokens of C and of the ``local`` − 1 blocks before it weigh exp(s_t), up to
    the query itself, and token t of an earlier block B

        exp(s_t − LSE_B) · exp L_B,   where LSE_B = log Σ_{t∈B} exp s_t
        and L_B = (1 − gate) · LSE_B + gate · scale · q·landmark_B,

    all divided by their sum. gate = 0 is ordinary causal softmax, exactly: L_B − LSE_B is then 0. gate = 1
    with local = 1 is the paper's, where a token sees even the one just before it through a landmark if a
    block ends between them. A landmark carries no value.

    Args:
        q: queries, [batch, queries, heads, width]; float16, bfloat16, float32 or (reference only) float64.
            Any strides. They belong to the last positions of k: as many as k has, or fewer where a prompt
            comes in pieces.
        k: keys, [batch, length, kv_heads, width], q's dtype, any strides. heads is a multiple of kv_heads;
            heads kv·(heads / kv_heads) and following share key head kv. A width of at most 128.
        v: values, like k.
        landmarks: a key a block, pooled or of a landmark token, [batch, blocks, kv_heads, width], q's dtype,
            with blocks = ceil(length / block). The last isn't used yet: its block is earlier than no query.
        gate: how much the landmarks count, [heads], q's dtype or float32, from 0 to 1.
        block: tokens a block, at most 128. Triton computes in tiles of the next power of two from 16 on.
        local: how many of the last blocks weigh by their tokens alone, the query's own included.
        scale: factor of q·k and q·landmark; width^-0.5 by default.
        backend: ``auto``, ``reference`` or ``triton``.

    Returns:
        o, like q; and lse, the logarithm of the sum above in nats, [batch, queries, heads], float32 (float64
        for float64). Both are differentiable with respect to q, k, v, landmarks and gate. Finite as long as
        every |scale · q·k| and |scale · q·landmark| is below 1e30, the values are finite, and no gradient of
        a logit overflows q's dtype. What isn't finite in a token reaches later queries of its sequence and
        key head, and as 0 · NaN earlier ones computed together with it (up to 128 queries on Triton, 512 on
        the reference), but no other sequence or key head.

    Raises:
        ValueError: an argument doesn't fit; the message names it, what it was and what it must be.
        RuntimeError: ``triton`` was asked for by name and can't run: no device, or float64.
    """
    _check(q, k, v, landmarks, gate, block, local)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose_backend(_NAME, backend, q) == "triton":
        from storyloom.kernels.landmark_triton import landmark_attention_triton

        o, lse = landmark_attention_triton(q, k, v, landmarks, gate, scale, block, local)
        return o, lse
    return landmark_attention_reference(q, k, v, landmarks, gate, scale, block, local)


def _check(q: Tensor, k: Tensor, v: Tensor, landmarks: Tensor, gate: Tensor, block: int, local: int) -> None:
    batch, queries, heads, width = check_axes(_NAME, "q", q, "batch queries heads width")
    _, length, kv_heads, _ = check_axes(_NAME, "k", k, "batch length kv_heads width")
    keys = {"batch": batch, "length": length, "kv_heads": kv_heads, "width": width}
    check_shape(_NAME, "k", k, keys, **keys)
    check_shape(_NAME, "v", v, keys, **keys)
    check_alike(_NAME, "q", q, k=k, v=v, landmarks=landmarks)
    if queries > length:
        raise ValueError(f"{_NAME}: q has {queries} queries; it must have at most k's length, {length}.")
    if heads % kv_heads:
        raise ValueError(f"{_NAME}: q has {heads} heads; it must have a multiple of k's {kv_heads}.")
    if width > _MAX_WIDTH:
        raise ValueError(f"{_NAME}: q has width {width}; it must be at most {_MAX_WIDTH}.")
    if not 1 <= block <= _MAX_BLOCK:
        raise ValueError(f"{_NAME}: block is {block}; it must be from 1 to {_MAX_BLOCK}.")
    if local < 1:
        raise ValueError(f"{_NAME}: local is {local}; it must be at least 1, the query's own block.")
    sizes = {"batch": batch, "blocks": math.ceil(length / block), "kv_heads": kv_heads, "width": width}
    check_shape(_NAME, "landmarks", landmarks, sizes, **sizes)
    check_shape(_NAME, "gate", gate, ["heads"], heads=heads)
    check_device(_NAME, "gate", gate, q.device, "q")
    check_dtype(_NAME, "gate", gate, q.dtype, torch.float32)
