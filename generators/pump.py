"""Turns an engine that calls back for every piece into an iterator of pieces. Knows no engine."""

import atexit
import queue
import threading
from collections.abc import Callable, Iterator

from storyloom.memory.generation import Piece

# Returns True when nobody wants more: the engine should stop.
Emit = Callable[[Piece], bool]

# An engine that runs this far ahead of its reader waits for it.
_PIECES_AHEAD = 256
# How long the end of the process waits for an engine that doesn't stop.
_EXIT_SECONDS = 10.0
# Between two looks at whether the reader has caught up.
_LOOK_SECONDS = 0.01


def pump(run: Callable[[Emit], None]) -> Iterator[Piece]:
    """Run an engine in a thread of its own and yield what it emits.

    ``run(emit)`` is called once, when the first piece is asked for. It calls ``emit(piece)`` for every
    piece and stops soon after ``emit`` returns True. An empty piece without usage is not passed on: emit
    one to ask whether to stop. Closing the iterator, or an exception such as KeyboardInterrupt in the
    thread that reads it, tells the engine to stop and waits until it has.

    Raises:
        BaseException: whatever ``run`` raised, after the pieces that came before it.
    """
    engine = _Engine(run)
    try:
        yield from engine.pieces()
    finally:
        engine.stop()
    if engine.error is not None:
        raise engine.error


class _Engine:
    """One run of an engine, and the queue between its thread and the reader's."""

    def __init__(self, run: Callable[[Emit], None]) -> None:
        self.error: BaseException | None = None
        self._run = run
        # None comes last, whatever happens. It has no bound of its own, but is written in C: a piece costs
        # the engine, which needs every core, a tenth of what queue.Queue's locks do.
        self._queue: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        # A daemon, so that an engine stuck in native code can't keep the process from ending.
        self._worker = threading.Thread(target=self._work, name="storyloom-engine", daemon=True)
        _running.add(self)
        self._worker.start()

    def pieces(self) -> Iterator[Piece]:
        while (piece := self._queue.get()) is not None:
            yield piece

    def stop(self, seconds: float | None = None) -> None:
        """Tell the engine to stop and wait for it, so many seconds at most."""
        self._stopped.set()
        self._worker.join(seconds)
        _running.discard(self)

    def _emit(self, piece: Piece) -> bool:
        while self._queue.qsize() >= _PIECES_AHEAD and not self._stopped.wait(_LOOK_SECONDS):
            pass
        if not self._stopped.is_set() and (piece.text or piece.usage):
            self._queue.put(piece)
        return self._stopped.is_set()

    def _work(self) -> None:
        try:
            self._run(self._emit)
        except BaseException as raised:  # noqa: BLE001  # it is raised again where the pieces are read
            self.error = raised
        self._queue.put(None)


_running: set[_Engine] = set()


@atexit.register
def _stop_all() -> None:
    """At the end of the process: a thread caught inside a native engine would make it crash."""
    for engine in list(_running):
        engine.stop(_EXIT_SECONDS)
