"""How fast the kernels are beside others' kernels, our compiled references, and the device's ceiling.

``--device cuda`` times every kernel at the sizes of three models and four lengths, forward and with
gradients, in turn with its rivals. ``--device cpu`` times only the references, at tiny sizes, against eager
loops a token at a time: a test of this harness, no figure of speed. Writes a CSV, replacing what its own
device said of each kernel before, as soon as that kernel has run, and draws a plot beside it where matplotlib
is installed. Prints a line of JSON at the end.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tests.bench.kernel_cases import KERNELS, LENGTHS, SIZES, TINY, Bench, Case, Size
from tests.bench.kernel_plot import plot
from tests.bench.kernel_timing import (
    Ceiling,
    Clock,
    Run,
    measure_ceiling,
    release,
    with_gradients,
    without_gradients,
)

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "device", "torch", "triton", "kernel", "model", "batch", "length", "dtype", "pass", "contestant", "ms",
    "times_ours", "difference", "bytes", "flops", "gb_per_s", "tflop_per_s", "share_of_copy",
    "share_of_matmul", "note",
)  # fmt: skip
NO_GPU = "no GPU was available: tests the harness, claims no speed"
Row = dict[str, Any]
# What a rival may fail with: not there, another signature, sizes that it doesn't take, no memory.
_FAILURES = (ImportError, AttributeError, TypeError, ValueError, RuntimeError, AssertionError)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "kernels.csv")
    parser.add_argument("--only", choices=sorted(KERNELS), action="append")
    parser.add_argument("--quick", action="store_true", help="the smallest size and fewest rounds")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here; --device cpu tests the harness.")
    torch.manual_seed(0)
    clock = Clock(device, warm_ups=1 if options.quick else 3, rounds=3 if options.quick else 20)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    ceiling = measure_ceiling(clock, device, dtype)
    rows: list[Row] = []
    everything: list[Row] = []
    for name in options.only or KERNELS:
        of_kernel = bench(name, device, dtype, clock, ceiling, quick=options.quick)
        rows += of_kernel
        everything = write(options.out, of_kernel)
    plot(options.out.with_suffix(".svg"), everything)
    print(json.dumps(summary(rows, device, ceiling)))


def bench(
    name: str, device: torch.device, dtype: torch.dtype, clock: Clock, ceiling: Ceiling, *, quick: bool
) -> list[Row]:
    """Every row of one kernel; a kernel that isn't there is left out with its reason."""
    build, by_length = KERNELS[name]
    rows: list[Row] = []
    for at in places(device, dtype, quick=quick, by_length=by_length):
        release(device)
        try:
            case = build(at)
        except _FAILURES as error:
            print(f"{name} at {at.size.name}, {at.length}: left out: {_said(error)}")
            continue
        for passed in ("forward", "forward+backward") if case.trained else ("forward",):
            rows += contest(name, at, case, passed, clock, ceiling)
    return rows


def places(device: torch.device, dtype: torch.dtype, *, quick: bool, by_length: bool) -> Iterator[Bench]:
    """The sizes and lengths of a run."""
    sizes: tuple[Size, ...]
    lengths: tuple[int, ...]
    if device.type == "cpu":
        sizes, lengths = (TINY,), ((32,) if quick else (64, 256))
    else:
        sizes, lengths = (SIZES[:1], LENGTHS[:1]) if quick else (SIZES, LENGTHS)
    for size in sizes:
        for length in lengths if by_length else lengths[:1]:
            yield Bench(size, length, device, dtype)


def contest(name: str, at: Bench, case: Case, passed: str, clock: Clock, ceiling: Ceiling) -> list[Row]:
    """Ours and its rivals in one pass at one size."""
    backward = passed != "forward"
    runs: dict[str, Run] = {}
    differences: dict[str, float] = {}
    ours: Tensor | None = None
    for contestant, make in contestants(at, case).items():
        # Compiled, tuned, and found to fit before anything is timed.
        try:
            call = make()
            run = (
                with_gradients(call, case.inputs, case.trained)
                if backward
                else without_gradients(call, case.inputs)
            )
            run()
            with torch.no_grad():
                out = call(*case.inputs)
        except _FAILURES as error:
            print(f"{name} at {at.size.name}, {at.length}, {passed}: no {contestant}: {_said(error)}")
            continue
        ours = out if ours is None else ours
        runs[contestant] = run
        differences[contestant] = _difference(out, ours)
    taken = clock.medians(runs)
    first = next(iter(taken.values()), 0.0)
    read = sum(one.numel() * one.element_size() for one in case.inputs)
    written = 0 if ours is None else ours.numel() * ours.element_size()
    moved = case.moved or read + written
    moved, flops = (
        (moved + 2 * read + written, case.flops * (1 + case.backward)) if backward else (moved, case.flops)
    )
    rows = []
    for contestant, seconds in taken.items():
        rows.append({
            "device": _device_name(at.device), "torch": torch.__version__, "triton": _version("triton"),
            "kernel": name, "model": at.size.name, "batch": at.batch, "length": at.length,
            "dtype": str(at.dtype).removeprefix("torch."), "pass": passed, "contestant": contestant,
            "ms": _short(seconds * 1000), "times_ours": _short(seconds / first),
            "difference": _short(differences[contestant]), "bytes": int(moved), "flops": int(flops),
            "gb_per_s": _short(moved / seconds / 1e9), "tflop_per_s": _short(flops / seconds / 1e12),
            "share_of_copy": _short(moved / seconds / ceiling.copied_bytes_per_s),
            "share_of_matmul": _short(flops / seconds / ceiling.matmul_flops_per_s),
            "note": NO_GPU if at.device.type == "cpu" else "",
        })  # fmt: skip
    return rows


def contestants(at: Bench, case: Case) -> dict[str, Callable[[], Callable[..., Tensor]]]:
    """How each is had, ours first."""

    def backed(backend: str) -> Callable[..., Tensor]:
        return lambda *inputs: case.ours(*inputs, backend=backend)

    if at.device.type == "cpu":
        return {"reference": lambda: backed("reference"), "eager loop": lambda: case.loop}
    made: dict[str, Callable[[], Callable[..., Tensor]]] = {"triton": lambda: backed("triton")}
    if case.compiles:
        made["torch.compile of the reference"] = lambda: torch.compile(backed("reference"))
    return made | case.peers


def write(path: Path, rows: list[Row]) -> list[Row]:
    """Replace this device's rows of the kernels that ran; gives all rows of the file."""
    kept: list[Row] = []
    ran = {(row["device"], row["kernel"]) for row in rows}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if (row["device"], row["kernel"]) not in ran]
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = kept + rows
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(everything)
    return everything


def summary(rows: list[Row], device: torch.device, ceiling: Ceiling) -> dict[str, Any]:
    """What is printed last: the ceiling, and the median rival's time over ours by kernel."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        if row["contestant"] not in ("reference", "triton"):
            ratios.setdefault(f"{row['kernel']} {row['pass']} {row['contestant']}", []).append(
                row["times_ours"]
            )
    return {
        "device": _device_name(device),
        "copy_gb_per_s": _short(ceiling.copied_bytes_per_s / 1e9),
        "matmul_tflop_per_s": _short(ceiling.matmul_flops_per_s / 1e12),
        "rows": len(rows),
        "times_ours": {name: _short(median(values)) for name, values in ratios.items()},
    }


def _difference(out: Tensor, ours: Tensor) -> float:
    """How far a contestant's output lies from ours, root mean square; NaN where it has another shape."""
    if out.shape != ours.shape:
        return float("nan")
    scale = ours.double().square().mean().sqrt().clamp_min(1e-12)
    return float((out.double() - ours.double()).square().mean().sqrt() / scale)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _short(number: float) -> float:
    return float(f"{number:.4g}")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
