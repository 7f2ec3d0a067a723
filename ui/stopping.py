"""Ctrl-C and SIGTERM: stop at once, or after what should not be cut short."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPING = b"\nStopping; Ctrl-C once more stops at once.\n"


def exit_code(number: int | None) -> int:
    """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (number or signal.SIGINT)


class Stop:
    """Turns a signal into ``KeyboardInterrupt`` with its number, or into a request while ``patient`` is set.

    Used as a context manager; outside it the earlier handlers stand again. Off the main thread,
    where Python hears no signals, it does nothing.

    Attributes:
        patient: the work at hand asks ``asked`` soon, or should be finished first; a second signal
            interrupts it all the same.
        asked: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.patient = False
        self.asked: int | None = None
        self._before: dict[int, signal._HANDLER] = {}

    @property
    def exit_code(self) -> int:
        """The exit code that tells of the signal."""
        return exit_code(self.asked)

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        again = self.asked is not None
        self.asked = number
        if again or not self.patient:
            raise KeyboardInterrupt(number)
        # Straight to the descriptor: a handler may not write to a stream that it interrupted.
        os.write(sys.stderr.fileno(), _STOPPING)
