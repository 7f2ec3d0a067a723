"""A replica: a process of its own that writes a batch's tasks with its own models and connections.

It knows nothing of Ray, which only carries it to a machine.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from storyloom.app import weights
from storyloom.app.batch.engines import LocalEngine
from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.offline import stay_offline
from storyloom.app.settings import Settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_works
from storyloom.memory.orders import Batch, Order
from storyloom.memory.story import Step

_LOOK_SECONDS = 0.25


class Heard(NamedTuple):
    """What a replica has to tell: its committed steps so far, and its notices since it was last asked."""

    steps: int
    notices: list[str]


class Replica:
    """Works on a batch until none of its tasks is left.

    Args:
        settings: where the stories are, and which models write them.
        specs: SPECs of the models that may be asked.
        stories: how many are written side by side.
    """

    def __init__(self, settings: Settings, specs: Sequence[str], stories: int) -> None:
        self._settings = settings
        self._specs = specs
        self._stories = stories
        self._stopping = threading.Event()
        self._notices: SimpleQueue[str] = SimpleQueue()
        self._steps = 0
        self._counting = threading.Lock()

    def write(self, batch: Batch) -> None:
        """Write the batch's tasks, beside everybody else who does.

        Raises:
            StoryloomError: the database can't be opened, or the weights can't be fetched.
        """
        stay_offline(self._specs)
        for name in weights.missing(self._settings, self._specs):
            weights.pull(self._settings, name, lambda _done, _total: None)
        with open_works(self._settings) as (shelf, studio):
            studio.warm_up()
            books = _CountedBooks(studio, self._count)
            engine = LocalEngine(shelf.database, books, workers=self._stories, on_notice=self._notices.put)
            engine.start(batch)
            while engine.working() and not self._stopping.wait(_LOOK_SECONDS):
                pass
            if self._stopping.is_set():
                engine.stop()
            engine.close()

    def hear(self) -> Heard:
        """What there is to tell now."""
        notices: list[str] = []
        while True:
            try:
                notices.append(self._notices.get_nowait())
            except Empty:
                return Heard(steps=self._steps, notices=notices)

    def stop(self) -> None:
        """Ask for the end between two words; what is committed stands."""
        self._stopping.set()

    def _count(self) -> None:
        with self._counting:
            self._steps += 1


class _CountedBooks(Books):
    """Tells of each step that it commits."""

    def __init__(self, studio: Studio, on_step: Callable[[], None]) -> None:
        super().__init__(studio)
        self._on_step = on_step

    def write(self, order: Order, listener: Listener) -> Iterator[Step]:
        """As ``Books``."""
        for step in super().write(order, listener):
            self._on_step()
            yield step
