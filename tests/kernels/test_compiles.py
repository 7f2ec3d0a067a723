"""What the interpreter can't tell: that every kernel is code for a GPU, and fits one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.conftest import HAS_GPU

# What Triton has compiled, under a hash of the kernel, its arguments and the compiler: it is kept.
COMPILED = Path(__file__).resolve().parents[2] / "build" / "triton"

pytestmark = pytest.mark.skipif(HAS_GPU, reason="the other tests compile the kernels")


@pytest.mark.parametrize(
    "operations",
    [("ssd", "gather_decode", "lact", "slstm"), ("landmark", "newton_schulz", "fast_weight", "affine_scan")],
    ids="+".join,
)
def test_every_kernel_compiles_for_an_h100(operations: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.kernels.compile_launches", *operations],
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(COMPILED)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == list(operations)
    assert " 0 kernels" not in done.stdout
