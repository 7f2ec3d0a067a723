"""How much memory is free, what of it keys and values may fill, and a bound for work that may want more."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FREE = Path("/proc/meminfo")
_OWN = Path("/proc/self/status")
_LIMIT = Path("/sys/fs/cgroup/memory.max")
# What torch says when memory is at its end; for a GPU's it has a RuntimeError of its own.
_FULL = ("not enough memory", "can't allocate memory", "out of memory")
# The rest is left to weights that are still to be loaded, and to the machine's other work.
_SHARE = 4


def cells_for(cell_bytes: int, context_tokens: int, slots: int, free: int) -> int:
    """How many tokens may be kept: a whole context for each slot, or as many as there is room for.

    Args:
        cell_bytes: what one token takes.
        context_tokens: the longest request; so many tokens may always be kept.
        slots: how many requests run at once.
        free: bytes of memory that are free.
    """
    room = free // _SHARE // max(1, cell_bytes)
    return max(context_tokens, min(slots * context_tokens, room))


def free_bytes(device: Any = "cpu") -> int:
    """Memory that is free on a torch device, within a container's limit; 0 where nobody tells."""
    if str(device).startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    available = _kilobytes(_FREE, "MemAvailable")
    return min(available, _limit() or available)


@contextmanager
def within_free_memory() -> Iterator[None]:
    """Refuse this process more memory than is free now; where nobody tells how much that is, nothing.

    Linux promises more than there is, and kills a process that calls it in, without a word. Where the promise
    is refused, torch and Python raise an error, which can be told. Counts what is written to and isn't
    shared; see RLIMIT_DATA in getrlimit(2).
    """
    free, held = free_bytes(), _kilobytes(_OWN, "VmData")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [most for most in (soft, hard) if most != resource.RLIM_INFINITY]
    if free and held:
        resource.setrlimit(resource.RLIMIT_DATA, (min([held + free, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def is_memory_full(error: Exception) -> bool:
    """Whether an error, of Python's or torch's, says that memory is at its end."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def _kilobytes(file: Path, name: str) -> int:
    """What a file of /proc has in kB, in bytes; 0 where it doesn't tell."""
    try:
        line = next(line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _limit() -> int | None:
    """Bytes that the container may hold, or None where there is no limit."""
    try:
        return int(_LIMIT.read_text())
    except (OSError, ValueError):
        return None
