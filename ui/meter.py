"""How fast text comes: the same figure on a terminal and on the page."""

import time


class Meter:
    """Pieces a second since the first one came; with local models a piece is a token."""

    def __init__(self) -> None:
        self._pieces = 0
        self._first = self._last = 0.0

    def add(self) -> None:
        """A piece came."""
        self._pieces += 1
        self._last = time.monotonic()
        self._first = self._first or self._last

    @property
    def speed(self) -> float:
        """Pieces a second; 0 before there are two."""
        seconds = self._last - self._first
        return (self._pieces - 1) / seconds if seconds > 0 else 0.0
