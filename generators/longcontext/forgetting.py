"""How much a memory keeps, said as the time after which half is forgotten."""

import math

import torch
from torch import Tensor


def kept(shortest: float, longest: float, count: int) -> Tensor:
    """What is left after one step, for half-lives that are spread from the shortest to the longest.

    Args:
        shortest: steps after which the first has forgotten half.
        longest: steps after which the last has.
        count: how many there are; their half-lives are evenly spaced in logarithms.

    Returns:
        [count], between 0 and 1.
    """
    half_lives = torch.logspace(math.log2(shortest), math.log2(longest), count, base=2)
    return torch.as_tensor(2 ** (-1 / half_lives))
