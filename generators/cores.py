"""Threads of engines: how many, one a physical core that this process may run on, and how they wait."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# Turns of a thread that waits for another before it sleeps.
_SPINS = "10000"


def physical_cores() -> int:
    """Physical cores open to this process, at least 1.

    Two hyper-threads of one core gain nothing for a model and count once. A container's processor quota
    counts too: more threads than it allows are stopped in turn, and every thread waits for the stopped one.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def _siblings(cpu: int) -> str:
    """The logical processors that share a core with this one, in the kernel's words."""
    try:
        return (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int | None:
    """Whole processors of the container's quota, or None where there is none."""
    try:
        limit, period = _QUOTA.read_text().split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return None


def calm_openmp() -> None:
    """Let threads that wait for each other sleep soon. It must run before torch or llama.cpp is imported.

    The OpenMP library lets a waiting thread spin 300,000 times, several milliseconds. On a machine that does
    other work too, the threads then burn the time that the one they wait for needs: on two busy cores the
    starter wrote 0.6 to 1.3 tokens a second, with this 7 to 18; on two idle cores nothing is lost.
    What a person has set themselves is left alone.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
