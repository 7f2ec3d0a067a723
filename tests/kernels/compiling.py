"""Compiles kernels for an H100, which needs none: the interpreter lets mistakes of type through."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module

# Where the kernel is (``module:name``), the pointers' types by name, and the constants. Other arguments are
# int32; a constant may be a dtype by its name in Triton.
Job = tuple[str, Mapping[str, str], Mapping[str, object]]


def compile_for_gpu(*jobs: Job, timeout_s: int = 100) -> None:
    """Compile each kernel down to the GPU's instructions; fails with the compiler's message.

    Another process does it: in this one the kernels belong to the interpreter.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.kernels.compiling", json.dumps(jobs)],
            env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]


def _compile(where: str, pointers: Mapping[str, str], constants: Mapping[str, object]) -> None:
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module, name = where.split(":")
    kernel = getattr(import_module(module), name)
    names = list(kernel.arg_names)
    typed = {"fp32": tl.float32, "fp64": tl.float64}
    signature = {one: "constexpr" if one in constants else pointers.get(one, "i32") for one in names}
    values = {(names.index(one),): typed.get(str(value), value) for one, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=values)
    triton.compile(source, target=GPUTarget("cuda", 90, 32))


if __name__ == "__main__":
    for job in json.loads(sys.argv[1]):
        _compile(*job)
