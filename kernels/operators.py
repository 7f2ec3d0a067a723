"""How Triton's launches become operators that autograd and torch.compile see."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor


def operator(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Register a function that launches kernels and changes none of its arguments.

    Triton launches on the current device, whichever the tensors lie on: the operator makes it theirs.

    Args:
        name: the operator's, as torch.library wants it: ``storyloom::ssd``.

    Returns:
        A decorator. The operator still needs ``register_fake``, and ``register_autograd`` where it has a
        backward.
    """

    def register(launches: Callable[..., Any]) -> Any:
        @wraps(launches)
        def run(*args: Any) -> Any:
            first = next(arg for arg in args if isinstance(arg, Tensor))
            with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
                return launches(*args)

        return torch.library.custom_op(name, run, mutates_args=())

    return register
