"""Which implementation of an operation runs. Knows no operation.

``auto`` takes Triton where the tensors lie on a CUDA device and the plain-torch reference elsewhere.
Triton's interpreter (``TRITON_INTERPRET=1``) runs the same kernels on a CPU, slowly: it must be asked
for by name.
"""

import logging
import os
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

Backend = Literal["auto", "reference", "triton"]
Chosen = Literal["reference", "triton"]

_log = logging.getLogger(__name__)
# Looked up once: a traced call can't look for packages.
_TRITON_INSTALLED = find_spec("triton") is not None


def choose_backend(
    operation: str, backend: Backend, tensor: Tensor, obstacle: str = "", *, float64: bool = False
) -> Chosen:
    """The implementation that a call takes; the choice of ``auto`` is logged once an operation and device.

    Args:
        operation: the public function's name, for messages.
        backend: what the caller asked for.
        tensor: any of the operation's tensors; the others are on the same device, and are float64
            where it is.
        obstacle: why the operation's own kernels can't take this call; empty when they can.
        float64: the operation's kernels compute in float64 too.

    Raises:
        ValueError: there is no such backend.
        RuntimeError: Triton was asked for by name and can't run here.
    """
    if backend not in get_args(Backend):
        raise ValueError(
            f"{operation}: backend is {backend!r}; it must be one of {', '.join(get_args(Backend))}."
        )
    if backend == "reference":
        return "reference"
    if tensor.dtype is torch.float64 and not float64:
        obstacle = "the tensors are float64, and only the reference computes in it."
    obstacle = obstacle or _obstacle(tensor)
    if backend == "triton":
        if obstacle:
            raise RuntimeError(f'{operation}: backend="triton" can\'t run here: {obstacle}')
        return "triton"
    chosen: Chosen = "triton" if tensor.is_cuda and not obstacle else "reference"
    if not torch.compiler.is_compiling():  # a traced call can't log
        _log_once(operation, chosen, str(tensor.device.type), obstacle)
    return chosen


def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "") == "1"


def _obstacle(tensor: Tensor) -> str:
    """Why Triton can't run on the tensor's device; empty when it can."""
    if not _TRITON_INSTALLED:
        return "the package triton isn't installed. Install it with: pip install triton."
    if tensor.is_cuda or (interpreted() and tensor.device.type == "cpu"):
        return ""
    return (
        f"the tensors are on {tensor.device.type}, and Triton needs a CUDA device. Move them there, or set "
        "TRITON_INTERPRET=1 before Python starts to run its interpreter on a CPU."
    )


@cache
def _log_once(operation: str, chosen: str, device: str, obstacle: str) -> None:
    _log.info(
        "%s on %s takes its %s backend%s", operation, device, chosen, f": {obstacle}" if obstacle else ""
    )
