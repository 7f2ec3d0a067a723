"""What a training in a folder is held by: one process at a time, and memory that is told of when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from storyloom.generators.free_memory import is_memory_full, within_free_memory
from storyloom.generators.longcontext.training.plan import Plan
from storyloom.memory.errors import InvalidSetting


@contextmanager
def alone(folder: Path, work: Path) -> Iterator[None]:
    """Hold the folder's training for this process.

    Raises:
        InvalidSetting: another process holds it.
    """
    work.mkdir(exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            yield
    except Timeout as error:
        raise InvalidSetting(
            f"Another process is training {folder}. Wait for it, or stop it: its work is kept."
        ) from error


@contextmanager
def memory_told(plan: Plan, work: Path) -> Iterator[None]:
    """Say what to do where the memory doesn't hold a step.

    Raises:
        InvalidSetting: it doesn't.
    """
    # A GPU's driver reserves more of the CPU's memory than it ever fills.
    bound = nullcontext() if torch.cuda.is_available() else within_free_memory()
    try:
        with bound:
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory_full(error):
            raise
        anew = f" and remove {work}, to begin anew" if (work / "checkpoint.pt").is_file() else ""
        raise InvalidSetting(
            f"The memory is too small for steps of {plan.rows} rows of up to {max(plan.lengths):,} tokens. "
            f"Lower --lengths or --rows{anew}. Nothing of the model was changed."
        ) from error
