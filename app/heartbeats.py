"""Heartbeats: what keeps a lease alive while its holder works."""

import threading
from collections.abc import Callable

from storyloom.memory.errors import StoryloomError

_BEAT_SECONDS = 0.5


class Heartbeat:
    """Calls a beat twice a second, from a thread of its own, until it is stopped.

    Args:
        beat: prolongs the lease.
        name: the thread's.
    """

    def __init__(self, beat: Callable[[], None], *, name: str) -> None:
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; a beat in progress is waited for."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_BEAT_SECONDS):
            try:
                self._beat()
            except StoryloomError:
                # A beat may fail (a full disk, a locked database): the next one may not, and the
                # commit, which may not fail in silence, says what is wrong.
                continue
