"""Turns an engine that calls back for every piece into an iterator of pieces. Knows no engine."""

import queue
import threading
from collections.abc import Callable, Iterator

from storyloom.memory.generation import Piece

# Returns True when nobody wants more: the engine should stop.
Emit = Callable[[Piece], bool]

# An engine that runs this far ahead of its reader waits for it.
_PIECES_AHEAD = 256


class _Ended:
    """The last thing in the queue, with the exception that broke the engine off, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def pump(run: Callable[[Emit], None]) -> Iterator[Piece]:
    """Run an engine in a thread of its own and yield what it emits.

    ``run(emit)`` is called once, when the first piece is asked for. It calls ``emit(piece)`` for every
    piece and stops soon after ``emit`` returns True. An empty piece without usage is not passed on: emit
    one to ask whether to stop. Closing the iterator, or an exception such as KeyboardInterrupt in the
    thread that reads it, tells the engine to stop and waits until it has.

    Raises:
        BaseException: whatever ``run`` raised, after the pieces that came before it.
    """
    pieces: queue.Queue[Piece | _Ended] = queue.Queue(_PIECES_AHEAD)
    stopped = threading.Event()

    def emit(piece: Piece) -> bool:
        if not stopped.is_set() and (piece.text or piece.usage):
            pieces.put(piece)
        return stopped.is_set()

    def work() -> None:
        error: BaseException | None = None
        try:
            run(emit)
        except BaseException as raised:  # noqa: BLE001  # it is raised again where the pieces are read
            error = raised
        pieces.put(_Ended(error))

    # A daemon, so that an engine stuck in native code can't keep the process from ending.
    worker = threading.Thread(target=work, name="storyloom-engine", daemon=True)
    worker.start()
    ended: _Ended | None = None
    try:
        while True:
            item = pieces.get()
            if isinstance(item, _Ended):
                ended = item
                break
            yield item
    finally:
        stopped.set()
        # The engine may be waiting for room in the queue: empty it up to the end mark.
        while ended is None:
            left = pieces.get()
            ended = left if isinstance(left, _Ended) else None
        worker.join()
    if ended.error is not None:
        raise ended.error
