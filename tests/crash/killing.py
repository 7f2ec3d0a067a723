"""``kill -9``, again and again, at moments that chance picks; and how soon the work went on."""

import random
import time
from dataclasses import dataclass

from storyloom.memory.orders import Task, TaskState
from storyloom.storage.database import Database
from tests.crash.batches import Ledger, tasks_of
from tests.crash.workers import Workers, pid_of

_LOOK_SECONDS = 0.05
_MOST_SECONDS = 1200.0


@dataclass(frozen=True)
class _Lost:
    """A task whose worker was killed, and when."""

    task: Task
    at: float


class Killing:
    """Kills workers that hold a task, and starts another one for each.

    Args:
        database: where the queue is.
        workers: whom to kill.
        ledger: looked at after each kill.
        seed: of the moments and of the choice.

    Attributes:
        done: how many were killed.
        resumed: seconds from a kill until another worker held the task, a number a kill.
    """

    def __init__(self, database: Database, workers: Workers, ledger: Ledger, *, seed: int) -> None:
        self.done = 0
        self.resumed: list[float] = []
        self._database = database
        self._workers = workers
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._lost: list[_Lost] = []
        self._deadline = time.monotonic() + _MOST_SECONDS

    def strike(self, kills: int, *, pause: tuple[float, float]) -> None:
        """Kill so many, with a pause before each, and wait until all their tasks are held again.

        Args:
            kills: how many.
            pause: shortest and longest, in seconds.
        """
        while self.done < kills:
            self._watch(self._chance.uniform(*pause))
            self._kill_one()
        while self._lost:
            self._watch(_LOOK_SECONDS)

    def _kill_one(self) -> None:
        living = set(self._workers.living())
        held = [task for task in tasks_of(self._database) if _is_held(task) and pid_of(task) in living]
        assert any(task.ended_at is None for task in tasks_of(self._database)), "the batch was too short"
        if not held:
            return
        victim = self._chance.choice(held)
        self._workers.kill(pid_of(victim))
        at = time.monotonic()
        self.done += 1
        self._workers.start()
        left = {task.id: task for task in tasks_of(self._database)}[victim.id]
        if _is_held(left) and left.worker == victim.worker:  # it hadn't come to its end at that moment
            self._lost.append(_Lost(left, at))
        self._ledger.look()

    def _watch(self, seconds: float) -> None:
        """Look at the rows for so long, and note whose task is held again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert time.monotonic() < self._deadline, f"the work doesn't go on\n{self._workers.said()}"
            time.sleep(_LOOK_SECONDS)
            now = {task.id: task for task in tasks_of(self._database)}
            for lost in list(self._lost):
                if now[lost.task.id].worker != lost.task.worker:
                    self.resumed.append(time.monotonic() - lost.at)
                    self._lost.remove(lost)


def _is_held(task: Task) -> bool:
    return task.state is TaskState.RUNNING
