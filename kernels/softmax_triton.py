"""Running softmax for attention a tile at a time. Logits are in base 2."""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def raise_top(top, highest):
    """Let a running softmax meet higher logits.

    Gives the highest so far; what to subtract from logits, which is that or 0 where nothing was seen yet; and
    the factor of what was summed before.
    """
    top_now = tl.maximum(top, highest)
    base = tl.where(top_now == float("-inf"), 0.0, top_now)
    return top_now, base, tl.exp2(top - base)
