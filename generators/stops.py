"""Ends streamed text at a stop string, without ever showing a part of one."""

from collections.abc import Sequence


class StopFilter:
    """Holds back what may become a stop string, and lets through what no longer can.

    Args:
        stops: the strings; empty ones are ignored.
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take more text; return what may be shown now. After a stop string nothing more comes."""
        if self.stopped:
            return ""
        self._held += text
        # The one that ends first, so that it makes no difference how the text was cut into pieces.
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)[1]], ""
            return shown
        kept = self._longest_beginning()
        shown, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return shown

    def flush(self) -> str:
        """What was held back when the text ended without a stop string."""
        shown, self._held = self._held, ""
        return shown

    def _longest_beginning(self) -> int:
        """How many characters at the end of the text could be the beginning of a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
