"""How much of the free memory the keys and values of several requests may fill."""

from pathlib import Path
from typing import Any

_FREE = Path("/proc/meminfo")
_LIMIT = Path("/sys/fs/cgroup/memory.max")
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
    try:
        free = next(line for line in _FREE.read_text().splitlines() if line.startswith("MemAvailable:"))
        available = int(free.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 0
    return min(available, _limit() or available)


def _limit() -> int | None:
    """Bytes that the container may hold, or None where there is no limit."""
    try:
        return int(_LIMIT.read_text())
    except (OSError, ValueError):
        return None
