"""Timed effects of lore: sticky, cooldown and delay, counted in steps.

An entry that fires at step 5 with a sticky of 3 and a cooldown of 2 stays in steps 6 to 8, can't fire in
9 and 10, and can again in 11 (docs.sillytavern.app, "Timed Effects"). An effect ends when its entry is
edited, and being named again doesn't prolong it.
"""

import hashlib
from collections.abc import Iterable

from storyloom.memory.lore import LoreEntry
from storyloom.memory.lore_results import Cause, FiredLore, Firing, LoreState


class Timing:
    """Where the timed effects stand at one step.

    Args:
        state: what the step before left.
        depth: the step to write.
    """

    def __init__(self, state: LoreState, depth: int) -> None:
        self._firings = state.firings
        self._depth = depth

    def sticky_since(self, entry: LoreEntry) -> int | None:
        """The step at which an entry fired that stays; None for any other."""
        firing = self._firing(entry)
        return firing.depth if firing and self._depth <= firing.depth + entry.sticky else None

    def is_cooling(self, entry: LoreEntry) -> bool:
        """Whether the entry fired too lately to fire again."""
        firing = self._firing(entry)
        return firing is not None and firing.depth + entry.sticky < self._depth <= _end(entry, firing)

    def is_early(self, entry: LoreEntry) -> bool:
        """Whether the story has too few steps yet."""
        return self._depth - 1 < entry.delay

    def after(self, book: Iterable[LoreEntry], fired: Iterable[FiredLore]) -> LoreState:
        """The state that the step leaves: what isn't over, and what fired anew."""
        kept = {
            entry.id: firing
            for entry in book
            if (firing := self._firing(entry)) is not None and self._depth < _end(entry, firing)
        }
        new = {
            found.entry.id: Firing(depth=self._depth, mark=mark(found.entry))
            for found in fired
            if found.why.cause is not Cause.STICKY and (found.entry.sticky or found.entry.cooldown)
        }
        return LoreState(firings=kept | new)

    def _firing(self, entry: LoreEntry) -> Firing | None:
        """The entry's last firing, if it was before this step and the entry is still the same."""
        firing = self._firings.get(entry.id)
        if firing is None or firing.depth >= self._depth or firing.mark != mark(entry):
            return None
        return firing


def mark(entry: LoreEntry) -> str:
    """A short mark that changes with anything of an entry."""
    return hashlib.blake2b(repr(entry).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _end(entry: LoreEntry, firing: Firing) -> int:
    """The last step that the firing has an effect on."""
    return firing.depth + entry.sticky + entry.cooldown
