"""Who of the entries with a cause enters: groups, chance and the budget, in this order. Looks at no text."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from storyloom.memory.lore import LoreSettings
from storyloom.memory.lore_draws import draw
from storyloom.memory.lore_groups import Candidate, losers
from storyloom.memory.lore_macros import with_names
from storyloom.memory.lore_results import Cause, FiredLore, HeldLore, Obstacle


class Admission:
    """The entries that entered so far, and those that were held back.

    ``is_full`` tells that the budget is used up, ``undecided`` who lost in a group at last of which then
    no one entered: they may try again.

    Args:
        settings: for what entries leave open.
        count: tokens of a text.
        budget: most tokens of all that enters together, or None.
        names: what the macros in texts stand for.
        seed: the step's.
    """

    def __init__(
        self,
        settings: LoreSettings,
        *,
        count: Callable[[str], int],
        budget: int | None,
        names: Mapping[str, str],
        seed: int,
    ) -> None:
        self.fired: dict[str, FiredLore] = {}
        self.held: dict[str, HeldLore] = {}
        self.is_full = False
        self.undecided: set[str] = set()
        self._settings = settings
        self._count = count
        self._budget = budget
        self._names = names
        self._seed = seed
        self._tokens = 0
        self._taken: set[str] = set()

    def is_settled(self, entry_id: str) -> bool:
        """Whether an entry entered, or had its one chance and lost it."""
        held = self.held.get(entry_id)
        return entry_id in self.fired or (held is not None and held.obstacle is Obstacle.PROBABILITY)

    def hold(self, candidates: Iterable[Candidate], obstacle: Obstacle) -> None:
        """Say what keeps candidates out; a later round may let them in."""
        self.held |= {
            one.entry.id: HeldLore(entry=one.entry, why=one.why, obstacle=obstacle) for one in candidates
        }

    def admit(self, candidates: Sequence[Candidate]) -> list[FiredLore]:
        """Let in whoever may of those that would enter together: constant ones first, then by order."""
        lost = losers(candidates, self._taken, self._settings, self._seed)
        self.hold((one for one in candidates if one.entry.id in lost), Obstacle.GROUP)
        entered = []
        for one in sorted(candidates, key=_rank):
            if one.entry.id in lost:
                continue
            if not self._is_lucky(one):
                self.hold([one], Obstacle.PROBABILITY)
            elif (fired := self._paid(one)) is None:
                self.hold([one], Obstacle.BUDGET)
            else:
                entered.append(fired)
        groups = {one.entry.id: one.entry.groups for one in candidates if one.entry.id in lost}
        self.undecided = {entry_id for entry_id, own in groups.items() if self._taken.isdisjoint(own)}
        return entered

    def _is_lucky(self, one: Candidate) -> bool:
        """An entry that stays isn't drawn for again."""
        if one.why.cause is Cause.STICKY:
            return True
        return 100 * draw(self._seed, "probability", one.entry.id) < one.entry.probability

    def _paid(self, one: Candidate) -> FiredLore | None:
        """The entry in its place, or None when the budget doesn't hold it: then no later one pays either."""
        text = with_names(one.entry.content, self._names)
        tokens = self._count(text) if text else 0
        if self._budget is not None and not one.entry.ignore_budget:
            self.is_full = self.is_full or self._tokens + tokens > self._budget
            if self.is_full:
                return None
        self._tokens += tokens
        self._taken.update(one.entry.groups)
        self.held.pop(one.entry.id, None)
        fired = FiredLore(entry=one.entry, text=text, why=one.why, tokens=tokens)
        self.fired[one.entry.id] = fired
        return fired


def _rank(one: Candidate) -> tuple[bool, bool, int, int]:
    """Who pays first from the budget: constant, then sticky ones, then the highest order."""
    return (not one.entry.constant, one.why.cause is not Cause.STICKY, -one.entry.order, one.place)
