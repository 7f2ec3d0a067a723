"""Times of several ways to do the same, taken in turn, and what the device can do at best."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

Run = Callable[[], object]
# Written before each timed run on a GPU, so that none finds its inputs in the cache: 256 MiB, several caches.
_CACHE_NUMBERS = 64 * 1024 * 1024


@dataclass(frozen=True)
class Ceiling:
    """What a device reaches, measured on it."""

    copied_bytes_per_s: float
    matmul_flops_per_s: float


class Clock:
    """Times runs on one device: device events on a GPU, the wall clock on a CPU."""

    def __init__(self, device: torch.device, *, warm_ups: int, rounds: int) -> None:
        self._device = device
        self._warm_ups = warm_ups
        self._rounds = rounds
        cuda = device.type == "cuda"
        self._cache = torch.empty(_CACHE_NUMBERS, dtype=torch.int32, device=device) if cuda else None

    def medians(self, runs: Mapping[str, Run]) -> dict[str, float]:
        """Median seconds of each, one after the other in every round so that drift meets all alike.

        Args:
            runs: what to time, by name. Each is warmed first: compiled, and tuned where it tunes itself.
        """
        for run in runs.values():
            for _ in range(self._warm_ups):
                run()
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(self._rounds):
            turn = list(runs.items())
            for name, run in turn[number % len(turn) :] + turn[: number % len(turn)]:
                seconds[name].append(self._seconds(run))
        return {name: median(taken) for name, taken in seconds.items()}

    def _seconds(self, run: Run) -> float:
        if self._cache is None:
            started = time.perf_counter()
            run()
            return time.perf_counter() - started
        self._cache.zero_()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000


def measure_ceiling(clock: Clock, device: torch.device, dtype: torch.dtype) -> Ceiling:
    """The bandwidth of a large copy, and the rate of a large matrix product in the dtype."""
    large = device.type == "cuda"
    source = torch.ones((1 << 29) if large else (1 << 20), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    size = 8192 if large else 256
    left = torch.ones(size, size, dtype=dtype, device=device)
    taken = clock.medians({"copy": lambda: target.copy_(source), "matmul": lambda: left @ left})
    return Ceiling(2 * source.numel() / taken["copy"], 2 * size**3 / taken["matmul"])


def release(device: torch.device) -> None:
    """Give back what the last case held, so that the next one starts alike; compiled code too."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def with_gradients(call: Callable[..., Tensor], inputs: tuple[Tensor, ...], trained: int) -> Run:
    """Forward and backward: gradients of the first ``trained`` inputs for an upstream one of ones."""
    leaves = [one.detach().requires_grad_() for one in inputs[:trained]]

    def run() -> object:
        out = call(*leaves, *inputs[trained:])
        return torch.autograd.grad(out, leaves, torch.ones_like(out), allow_unused=True)

    return run


def without_gradients(call: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Run:
    """Forward alone."""

    def run() -> object:
        with torch.no_grad():
            return call(*inputs)

    return run
