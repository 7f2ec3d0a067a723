"""Ray actors that write a batch, and can be killed like any process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from storyloom.app.batch import ray_engine
from storyloom.app.batch.ray_engine import RayEngine, RayPlan
from storyloom.app.batch.ray_replica import Replica
from storyloom.app.settings import load_settings
from storyloom.memory.orders import Batch
from tests.crash.slow_model import use_stand_ins
from tests.crash.workers import see_off

_LOOK_SECONDS = 0.1


class LightReplica(Replica):
    """A replica that needs no weights."""

    def write(self, batch: Any) -> None:
        use_stand_ins()
        super().write(batch)


class RayCrew:
    """Actors at work, tended by a thread of the test.

    Args:
        engine: theirs, started.
    """

    def __init__(self, engine: RayEngine, notices: list[str]) -> None:
        self.ended = threading.Event()
        self._engine = engine
        self._notices = notices
        self._thread = threading.Thread(target=self._tend, name="ray")
        self._thread.start()

    def kill(self, pid: int) -> None:
        """``kill -9``; the process is gone when this returns."""
        os.kill(pid, signal.SIGKILL)
        see_off(pid, self.said)

    def replace(self) -> None:
        """The engine does it when it sees the loss."""

    def said(self) -> str:
        """All notices."""
        return "\n".join(self._notices)

    def _tend(self) -> None:
        while self._engine.working():
            self.ended.wait(_LOOK_SECONDS)
        self.ended.set()

    def close(self) -> None:
        """Wait for the actors' end.

        Raises:
            Exception: whatever ended one that shouldn't have.
        """
        self._engine.stop()
        self._thread.join()
        self._engine.close()


@contextmanager
def ray_crew(batch: Batch, actors: int, model: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCrew]:
    """So many actors, a story each at a time."""
    monkeypatch.setattr(ray_engine, "Replica", LightReplica)
    notices: list[str] = []
    plan = RayPlan(workers=actors, stories=1)
    engine = RayEngine(load_settings(), [model], plan, on_notice=notices.append)
    engine.start(batch)
    crew = RayCrew(engine, notices)
    try:
        yield crew
    finally:
        crew.close()
