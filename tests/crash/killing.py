"""``kill -9``, again and again, at moments that chance picks; and how soon the work went on."""

import random
import time
from dataclasses import dataclass
from typing import Protocol

from storyloom.memory.orders import Task, TaskState
from storyloom.storage.database import Database
from tests.crash.batches import Ledger, tasks_of
from tests.crash.workers import is_running, pid_of

_LOOK_SECONDS = 0.05
_MOST_SECONDS = 1200.0


class Crew(Protocol):
    """Who is killed."""

    def kill(self, pid: int) -> None:
        """``kill -9``; the process is gone when this returns."""

    def replace(self) -> None:
        """Another one takes the place of the one that was killed."""

    def said(self) -> str:
        """What they said, for a test that fails."""


@dataclass(frozen=True)
class _Lost:
    """A task whose worker was killed, and when."""

    task: Task
    at: float


class Killing:
    """Kills workers that hold a task.

    Args:
        database: where the queue is.
        ledger: looked at after each kill.
        seed: of the moments and of the choice.

    Attributes:
        done: how many were killed.
        resumed: seconds from a kill until another worker held the task, a number a kill.
    """

    def __init__(self, database: Database, ledger: Ledger, *, seed: int) -> None:
        self.done = 0
        self.resumed: list[float] = []
        self._database = database
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._lost: list[_Lost] = []
        self._deadline = time.monotonic() + _MOST_SECONDS

    def strike(self, crew: Crew, kills: int, *, pause: tuple[float, float]) -> None:
        """Kill so many, with a pause before each, and wait until all their tasks are held again.

        Args:
            crew: whom to kill.
            kills: how many.
            pause: shortest and longest, in seconds.
        """
        while self.done < kills:
            self._watch(crew, self._chance.uniform(*pause))
            self._kill_one(crew)
        while self._lost:
            self._watch(crew, _LOOK_SECONDS)

    def figures(self) -> str:
        """How many kills there were, and how soon the work went on."""
        return f"{self.done} kills; the work went on after {max(self.resumed):.1f} s at the longest"

    def _kill_one(self, crew: Crew) -> None:
        tasks = tasks_of(self._database)
        assert any(task.ended_at is None for task in tasks), "the batch was too short"
        held = [task for task in tasks if _is_held(task) and is_running(pid_of(task))]
        if not held:
            return
        victim = self._chance.choice(held)
        crew.kill(pid_of(victim))
        at = time.monotonic()
        self.done += 1
        crew.replace()
        left = {task.id: task for task in tasks_of(self._database)}[victim.id]
        if _is_held(left) and left.worker == victim.worker:  # it hadn't come to its end at that moment
            self._lost.append(_Lost(left, at))
        self._ledger.look()

    def _watch(self, crew: Crew, seconds: float) -> None:
        """Look at the rows for so long, and note whose task is held again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert time.monotonic() < self._deadline, f"the work doesn't go on\n{crew.said()}"
            time.sleep(_LOOK_SECONDS)
            now = {task.id: task for task in tasks_of(self._database)}
            for lost in list(self._lost):
                if now[lost.task.id].worker != lost.task.worker:
                    self.resumed.append(time.monotonic() - lost.at)
                    self._lost.remove(lost)


def _is_held(task: Task) -> bool:
    return task.state is TaskState.RUNNING
