"""Activations for every kernel. No finite input overflows in them, and NaN stays NaN."""

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    """1 / (1 + e⁻ˣ)."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x < 0, small, 1.0) / (1.0 + small)


@triton.jit
def tanh(x):
    """The hyperbolic tangent, by an exponential."""
    small = tl.exp(-2 * tl.abs(x))
    return tl.where(x < 0, small - 1, 1 - small) / (1 + small)


@triton.jit
def log_sigmoid(x):
    """The logarithm of the sigmoid."""
    return tl.minimum(x, 0.0) - tl.log(1 + tl.exp(-tl.abs(x)))


@triton.jit
def silu_slope(x, gate):
    """The first derivative of silu, which is x · gate with gate = sigmoid(x)."""
    return gate * (1.0 + x * (1.0 - gate))


@triton.jit
def silu_bend(x, gate):
    """The second derivative of silu."""
    return gate * (1.0 - gate) * (2.0 + x * (1.0 - 2.0 * gate))
