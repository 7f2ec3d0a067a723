"""Compiles every kernel that an operation launches for an H100, which needs none; run as a program.

Triton's interpreter lets errors of type through, and knows no limit of shared memory. Here the operations run
on CPU tensors with their launches caught: each is compiled for its real arguments, down to the GPU's
instructions, and never run. Their results are whatever lay in memory.
"""

import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from storyloom.kernels import affine_scan_triton, backend
from storyloom.kernels.affine_scan import aaren, affine_scan
from storyloom.kernels.fast_weight import fast_weight, fast_weight_step
from storyloom.kernels.gather_decode import gather_decode
from storyloom.kernels.lact import lact_apply, lact_gradients
from storyloom.kernels.landmark import landmark_attention
from storyloom.kernels.newton_schulz import newton_schulz_add
from storyloom.kernels.slstm import gru, slstm
from storyloom.kernels.ssd import ssd, ssd_step

H100 = GPUTarget("cuda", 90, 32)
# What an H100 gives one program, and how many multiprocessors it has.
SHARED_BYTES = 232_448
PROCESSORS = 132
_TYPES = {
    torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.float64: "*fp64",
    torch.int32: "*i32", torch.int64: "*i64", torch.bool: "*i1",
}  # fmt: skip
_OPTIONS = ("num_warps", "num_stages", "num_ctas", "maxnreg")
_compiled: set[str] = set()


def compile_launch(kernel: Any, *args: Any, **named: Any) -> None:
    """Stands in for a launch: the kernel is compiled as Triton would for these arguments."""
    options = {name: named[name] for name in _OPTIONS if name in named}
    values = dict(zip((one.name for one in kernel.params), args, strict=False)) | named
    signature: dict[str, str] = {}
    constants: dict[tuple[int], Any] = {}
    attributes: dict[tuple[int], list[list[Any]]] = {}
    for place, parameter in enumerate(kernel.params):
        value = values.get(parameter.name, parameter.default)
        kind, divisible = _kind(value, parameter.is_constexpr)
        signature[parameter.name] = kind
        if kind == "constexpr":
            constants[place,] = value
        elif divisible:
            attributes[place,] = [["tt.divisibility", 16]]
    told = f"{kernel.fn.__module__}.{kernel.fn.__name__} {signature} {constants} {options}"
    if told in _compiled:
        return
    _compiled.add(told)
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    made = triton.compile(source, target=H100, options=options)
    assert made.metadata.shared <= SHARED_BYTES, f"{told}: {made.metadata.shared} bytes of shared memory"


def _kind(value: Any, is_constant: bool) -> tuple[str, bool]:
    """An argument's type for the compiler, and whether it is known to be a multiple of 16."""
    if isinstance(value, Tensor) and not is_constant:
        return _TYPES[value.dtype], True
    if is_constant or value is None or (isinstance(value, int) and value == 1):
        return "constexpr", False
    if isinstance(value, float):
        return "fp32", False
    return ("i64" if value >= 2**31 else "i32"), value % 16 == 0


def draw(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(shape, dtype=dtype).requires_grad_()


def backward(outcome: Tensor | tuple[Any, ...]) -> None:
    """Run the backward of every float output."""
    outputs = [outcome] if isinstance(outcome, Tensor) else _flat(outcome)
    loss = sum(output.float().sum() for output in outputs if output.requires_grad)
    assert isinstance(loss, Tensor)
    torch.autograd.backward(loss)


def _flat(nested: tuple[Any, ...]) -> list[Tensor]:
    return [one for part in nested for one in (_flat(part) if isinstance(part, tuple) else [part])]


def _ssd() -> None:
    x, b, c = draw(1, 256, 9, 64), draw(1, 256, 3, 64), draw(1, 256, 3, 64)
    a, state = -torch.rand(1, 256, 9), draw(1, 9, 64, 64, dtype=torch.float32)
    backward(ssd(x, a.requires_grad_(), b, c, initial_state=state, backend="triton"))
    bounds = torch.tensor([0, 100, 256])
    backward(ssd(x, a.detach().requires_grad_(), b, c, cu_seqlens=bounds, backend="triton"))
    with torch.no_grad():
        ssd_step(x[:, 0], a[:, 0].detach(), b[:, 0], c[:, 0], state, backend="triton")


def _fast_weight() -> None:
    q, k, v = draw(1, 256, 9, 64), draw(1, 256, 9, 64), draw(1, 256, 9, 64)
    eta, theta, alpha = (torch.rand(1, 256, 9, dtype=torch.bfloat16).requires_grad_() for _ in range(3))
    linear = (draw(1, 9, 64, 64, dtype=torch.float32),)
    deep = (draw(1, 9, 256, 64, dtype=torch.float32), draw(1, 9, 64, 256, dtype=torch.float32))
    for weights in (linear, deep):
        backward(fast_weight(q, k, v, eta, theta, alpha, weights, backend="triton"))
        with torch.no_grad():
            token = (q[:, 0], k[:, 0], v[:, 0], eta[:, 0], theta[:, 0], alpha[:, 0])
            fast_weight_step(*token, weights, backend="triton")


def _gather_decode() -> None:
    with torch.no_grad():
        q, k, v = draw(1, 1, 9, 64), draw(1, 4096, 3, 64), draw(1, 4096, 3, 64)
        blocks = torch.arange(8).expand(1, 3, 8)
        gather_decode(q, k, v, blocks, block=64, backend="triton")
        gather_decode(q, k, v, blocks, lengths=torch.tensor([4000]), backend="triton")


def _landmark() -> None:
    q, k, v, marks = draw(1, 256, 9, 64), draw(1, 256, 3, 64), draw(1, 256, 3, 64), draw(1, 4, 3, 64)
    backward(landmark_attention(q, k, v, marks, torch.rand(9).requires_grad_(), local=2, backend="triton"))


def _newton_schulz() -> None:
    for shape in ((64, 128), (192, 256)):
        g = draw(2, *shape)
        weights, norms = draw(2, *shape, dtype=torch.float32), torch.rand(2, shape[0]).requires_grad_()
        backward(newton_schulz_add(weights, g, norms, backend="triton"))


def _lact() -> None:
    w0, w1, w2 = draw(2, 384, 192), draw(2, 192, 384), draw(2, 384, 192)
    k, v = draw(2, 512, 192), draw(2, 512, 192)
    backward(lact_apply(w0, w1, w2, k, backend="triton"))
    backward(lact_gradients(w0, w1, w2, k, v, torch.rand(2, 512, 3), backend="triton"))


def _affine_scan() -> None:
    # Whole, and cut into chunks.
    for batch, length in ((64, 256), (1, 32_768)):
        backward(affine_scan(draw(batch, length, 576), draw(batch, length, 576), backend="triton"))
        backward(aaren(draw(batch, length, 9), draw(batch, length, 9, 64), backend="triton"))


def _slstm() -> None:
    backward(slstm(draw(2, 8, 9, 4, 64), draw(9, 4, 64, 64), backend="triton"))
    backward(gru(draw(2, 8, 9, 3, 64), draw(9, 3, 64, 64), backend="triton"))


OPERATIONS: dict[str, Callable[[], None]] = {
    "ssd": _ssd,
    "fast_weight": _fast_weight,
    "gather_decode": _gather_decode,
    "landmark": _landmark,
    "newton_schulz": _newton_schulz,
    "lact": _lact,
    "affine_scan": _affine_scan,
    "slstm": _slstm,
}


def main() -> None:
    JITFunction.run = compile_launch
    JITFunction.__getitem__ = lambda kernel, _grid: partial(compile_launch, kernel)
    backend._obstacle = lambda tensor: ""  # noqa: ARG005  (its name is the function's)
    affine_scan_triton._processors = cache(lambda _: PROCESSORS)
    for name in sys.argv[1:]:
        before = len(_compiled)
        OPERATIONS[name]()
        sys.stdout.write(f"{name}: {len(_compiled) - before} kernels\n")


if __name__ == "__main__":
    main()
