"""Worker processes of a test: started, killed, and looked after."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from storyloom.memory.orders import Task
from tests.conftest import ROOT

PATIENCE_SECONDS = 600.0


class Workers:
    """Processes that run ``storyloom worker --until-done``.

    Args:
        folder: where what they say is kept, a file a process.
        real: with the real models; with stand-ins that need no weights otherwise.
    """

    def __init__(self, folder: Path, *, real: bool = False) -> None:
        self._folder = folder
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", *(["real"] if real else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: list[int] = []
        self._killed: set[int] = set()

    def start(self, *command: str, **environment: str) -> int:
        """One more worker, or another command: its process id."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        said = self._folder / f"said-{len(self._started)}.txt"
        order = [command or ["worker", "--until-done"], {**os.environ, **environment}, str(said)]
        self._nursery.stdin.write(f"{json.dumps(order)}\n")
        self._nursery.stdin.flush()
        pid = int(self._nursery.stdout.readline())
        self._started.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """``kill -9``; the process is gone when this returns."""
        self._killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        see_off(pid, self.said)

    def replace(self) -> None:
        """Another one takes the place of the one that was killed."""
        self.start()

    def living(self) -> list[int]:
        """Those that run."""
        return [pid for pid in self._started if pid not in self._killed and is_running(pid)]

    def wait(self) -> None:
        """Until all have ended by themselves."""
        for pid in self.living():
            see_off(pid, self.said)

    def said(self) -> str:
        """All that they said."""
        return "".join(file.read_text(encoding="utf-8") for file in sorted(self._folder.glob("said-*.txt")))

    def close(self) -> None:
        """End what a test left running."""
        for pid in self.living():
            self.kill(pid)
        with self._nursery:
            self._nursery.kill()


def pid_of(task: Task) -> int:
    """The process that holds a task: a worker's name is its machine, its process and a number."""
    return int(task.worker.split(":")[1])


def see_off(pid: int, said: Callable[[], str]) -> None:
    """Wait for a process's end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline, f"the process {pid} doesn't end\n{said()}"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
