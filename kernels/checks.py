"""Checks of arguments that every operation makes, the same for both backends. None waits for a device.

An error names the operation, the argument, what it was, and what it must be.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_shape(operation: str, name: str, tensor: Tensor, shape: Iterable[int | str], **sizes: int) -> None:
    """Hold a tensor to a shape.

    Args:
        operation: the public function's name.
        name: the argument's.
        tensor: the argument.
        shape: a size an axis, as a number or as the name of one in ``sizes``.
        sizes: what the named sizes are.

    Raises:
        ValueError: the tensor has another shape.
    """
    wanted = tuple(shape)
    expected = tuple(sizes[size] if isinstance(size, str) else size for size in wanted)
    if tuple(tensor.shape) != expected:
        told = ", ".join(f"{size}={sizes[size]}" if isinstance(size, str) else str(size) for size in wanted)
        raise ValueError(f"{operation}: {name} has shape {list(tensor.shape)}; it must be [{told}].")


def check_axes(operation: str, name: str, tensor: Tensor, axes: str) -> tuple[int, ...]:
    """Hold a tensor to a number of axes, none empty but the first (the batch); gives its sizes.

    Args:
        operation: the public function's name.
        name: the argument's.
        tensor: the argument.
        axes: the axes' names, by spaces: ``"batch length heads width"``.

    Raises:
        ValueError: the tensor has another number of axes, or one of them but the batch is empty.
    """
    named = axes.split()
    if tensor.dim() != len(named):
        told = f"{len(named)} axes: [{', '.join(named)}]"
        raise ValueError(f"{operation}: {name} has shape {list(tensor.shape)}; it must have {told}.")
    for axis, size in zip(named[1:], tensor.shape[1:], strict=True):
        if size == 0:
            raise ValueError(
                f"{operation}: {name} has shape {list(tensor.shape)}; its axis {axis} must have at least 1."
            )
    return tuple(tensor.shape)


def check_alike(operation: str, model: str, tensor: Tensor, **others: Tensor | None) -> None:
    """Hold tensors to the device and the floating dtype of another.

    Args:
        operation: the public function's name.
        model: the name of the argument that the others are held to.
        tensor: that argument.
        others: the other arguments by name; one that is None is left out.

    Raises:
        ValueError: a tensor lies on another device, or has another dtype, or the first has no float dtype.
    """
    if tensor.dtype not in FLOATS:
        known = ", ".join(str(kind).removeprefix("torch.") for kind in FLOATS)
        raise ValueError(f"{operation}: {model} has dtype {tensor.dtype}; it must be one of {known}.")
    for name, other in others.items():
        if other is not None:
            check_device(operation, name, other, tensor.device, model)
            if other.dtype != tensor.dtype:
                raise ValueError(
                    f"{operation}: {name} has dtype {other.dtype}; it must be {tensor.dtype}, like {model}."
                )


def check_device(operation: str, name: str, tensor: Tensor, device: torch.device, model: str) -> None:
    """Hold a tensor to a device.

    Raises:
        ValueError: it lies on another one.
    """
    if tensor.device != device:
        raise ValueError(f"{operation}: {name} is on {tensor.device}; it must be on {device}, like {model}.")


def check_dtype(operation: str, name: str, tensor: Tensor, *allowed: torch.dtype) -> None:
    """Hold a tensor to one of several dtypes.

    Raises:
        ValueError: it has another one.
    """
    if tensor.dtype not in allowed:
        told = " or ".join(str(kind) for kind in allowed)
        raise ValueError(f"{operation}: {name} has dtype {tensor.dtype}; it must be {told}.")


def check_choice(operation: str, name: str, value: object, allowed: Iterable[object]) -> None:
    """Hold an option to the values that it may have.

    Raises:
        ValueError: it has another one.
    """
    known = list(allowed)
    if value not in known:
        raise ValueError(f"{operation}: {name} is {value!r}; it must be one of {known}.")
