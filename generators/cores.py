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
    """Let threads that wait for each other sleep neither too late nor too soon.

    It must run before torch or llama.cpp is imported; what a person has set themselves is left alone. By
    itself the OpenMP library lets a waiting thread spin 300,000 times, several milliseconds: beside other
    work the threads then burn the time that the one they wait for needs. And once the process holds more such
    threads than processors (a second model, or torch on two threads), it lets them spin 100 times only, and
    waking them costs more than the work. ``active`` makes that 1,000. The starter's tokens a second on two
    cores:

    |                          | as it is   | with this |
    |--------------------------|------------|-----------|
    | idle machine             | 60         | 66        |
    | two other busy processes | 0.6 to 2   | 4 to 18   |
    | two models loaded        | 36         | 57        |
    | after torch on 2 threads | 34         | 52        |
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ.update(GOMP_SPINCOUNT=_SPINS, OMP_WAIT_POLICY="active")
