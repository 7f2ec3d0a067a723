"""One scan of a book of lore: which entries enter a step's prompt, and why. Knows no prompt and no model.

The semantics are SillyTavern's (docs.sillytavern.app, "World Info"). Rounds follow each other: first the
texts before the step are looked at, then the texts of the entries that entered, until nothing new fires.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from storyloom.memory.lore import LoreEntry, LoreSettings, Position
from storyloom.memory.lore_admission import Admission
from storyloom.memory.lore_evidence import Evidence, Gaze, Kind, Text
from storyloom.memory.lore_groups import Candidate
from storyloom.memory.lore_results import Cause, FiredLore, LoreScan, LoreState, Obstacle, Why
from storyloom.memory.lore_timing import Timing

_POSITIONS = {position: place for place, position in enumerate(Position)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the lore sees of a story before a step.

    Attributes:
        depth: the step to write, 1 for the opening.
        plan: what shall happen in it; always looked at.
        paragraphs: those written before, oldest first, the last being that of the step before.
        sources: further texts by the names that entries ask for, such as ``premise``.
        present: names of the story's characters, for the entries' filters.
        trigger: the kind of generation, by SillyTavern's names.
        likeness: cosine of semantic entries with the text, by id.
        names: what the macros ``char`` and ``user`` stand for.
        seed: the step's; all draws come from it.
    """

    depth: int
    plan: str = ""
    paragraphs: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    trigger: str = "normal"
    likeness: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def scan(
    book: Iterable[LoreEntry],
    seen: Seen,
    settings: LoreSettings,
    *,
    count: Callable[[str], int],
    state: LoreState | None = None,
    budget: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> LoreScan:
    """Which entries enter the prompt of a step.

    The same arguments give the same result, but for expressions near the limit of their time.

    Args:
        book: every entry of the story, in its order; ids are unique.
        seen: what the keys are looked for in.
        settings: what entries leave open, and how the rounds go.
        count: tokens of a text.
        state: what the step before left of timed effects.
        budget: most tokens of all that enters together, or None. An entry beyond it ends the scan but
            for those that ignore the budget.
        clock: seconds, for the limit of the expressions' time.
    """
    entries = [entry for entry in book if entry.enabled]
    evidence = Evidence(entries, settings, seen.names, clock)
    timing = Timing(state or LoreState(), seen.depth)
    admission = Admission(settings, count=count, budget=budget, names=seen.names, seed=seen.seed)
    _Rounds(entries, seen, settings, evidence, timing, admission).run()
    places = {entry.id: place for place, entry in enumerate(entries)}
    fired = sorted(admission.fired.values(), key=lambda one: _prompt_order(one, places))
    return LoreScan(
        fired=tuple(fired),
        held=tuple(sorted(admission.held.values(), key=lambda one: places[one.entry.id])),
        problems=evidence.problems,
        state=timing.after(entries, fired),
    )


class _Rounds:
    """The rounds of one scan: what is looked at in which order, and who has a cause to enter."""

    def __init__(
        self,
        entries: Sequence[LoreEntry],
        seen: Seen,
        settings: LoreSettings,
        evidence: Evidence,
        timing: Timing,
        admission: Admission,
    ) -> None:
        self._entries = {entry.id: (place, entry) for place, entry in enumerate(entries)}
        self._seen = seen
        self._settings = settings
        self._evidence = evidence
        self._timing = timing
        self._admission = admission
        self._present = frozenset(name.casefold() for name in seen.present)
        self._reach = settings.scan_depth
        self._touched_by: dict[int, set[str]] = {}
        self._by_level: defaultdict[int, set[str]] = defaultdict(set)
        for entry in entries:
            if entry.delay_until_recursion:
                self._by_level[entry.delay_until_recursion].add(entry.id)
        self._levels = sorted(self._by_level, reverse=True)
        self._level = self._levels.pop() if self._levels else 0
        self._recursions = 0

    def run(self) -> None:
        """Look at the story, then at what entered, until nothing new fires or the budget is used up."""
        self._look_at_story()
        entered = self._round(self._entries)
        while not self._admission.is_full:
            spreading = [one for one in entered if one.text and not one.entry.prevent_recursion]
            if spreading and self._may_recurse:
                entered = self._recurse(spreading)
            elif self._may_look_back:
                entered = self._look_back()
            elif self._levels and self._may_recurse:
                self._level = self._levels.pop()
                entered = self._recurse(())
            else:
                break

    @property
    def _may_recurse(self) -> bool:
        most = self._settings.max_recursion
        return self._settings.recursive and (not most or self._recursions < most)

    @property
    def _may_look_back(self) -> bool:
        furthest = self._settings.max_scan_depth or len(self._seen.paragraphs)
        too_few = len(self._admission.fired) < self._settings.min_activations
        return too_few and self._reach < min(furthest, len(self._seen.paragraphs))

    def _look_at_story(self) -> None:
        seen, entries = self._seen, [entry for _, entry in self._entries.values()]
        self._evidence.read([Text(kind=Kind.PLAN, where="plan", text=seen.plan)])
        own = (entry.scan_depth for entry in entries if entry.scan_depth is not None)
        for back in range(1, min(max((self._reach, *own)), len(seen.paragraphs)) + 1):
            self._read_paragraph(back)
        asked = {name for entry in entries for name in entry.scans}
        self._evidence.read(
            [
                Text(kind=Kind.SOURCE, where=name, text=text)
                for name, text in seen.sources.items()
                if name in asked
            ]
        )

    def _recurse(self, spreading: Sequence[FiredLore]) -> list[FiredLore]:
        """A round in which the texts of entries count; those that wait for its level have their turn."""
        self._recursions += 1
        touched = self._evidence.read(
            [Text(kind=Kind.LORE, where=one.source, text=one.text) for one in spreading]
        )
        if self._recursions == 1 or not spreading:
            # They may have had a cause before, and waited only for this level.
            touched |= self._by_level[self._level]
        return self._round(touched | self._admission.undecided)

    def _look_back(self) -> list[FiredLore]:
        """A round that looks one paragraph further back."""
        self._reach += 1
        return self._round(self._read_paragraph(self._reach) | self._admission.undecided)

    def _read_paragraph(self, back: int) -> set[str]:
        """Look at a paragraph, once; gives the ids of the entries that it touches."""
        if back > len(self._seen.paragraphs):
            return set()
        if back not in self._touched_by:
            where, text = f"step:{self._seen.depth - back}", self._seen.paragraphs[-back]
            self._touched_by[back] = self._evidence.read(
                [Text(kind=Kind.PARAGRAPH, where=where, text=text, back=back)]
            )
        return self._touched_by[back]

    def _round(self, entry_ids: Iterable[str]) -> list[FiredLore]:
        candidates = []
        for place, entry in sorted(self._entries[entry_id] for entry_id in entry_ids):
            if self._admission.is_settled(entry.id):
                continue
            candidate, obstacle = self._weighed(place, entry)
            if candidate is None:
                continue
            if obstacle is None:
                candidates.append(candidate)
            else:
                self._admission.hold([candidate], obstacle)
        return self._admission.admit(candidates)

    def _weighed(self, place: int, entry: LoreEntry) -> tuple[Candidate | None, Obstacle | None]:
        """An entry with its cause to enter, if it has one, and what is in its way."""
        found = self._evidence.why(entry, self._gaze(entry, lore=not entry.exclude_recursion))
        why, matches = found or (None, 0)
        why = self._standing_cause(entry) or why or self._likeness(entry)
        if why is not None:
            candidate = Candidate(entry=entry, place=place, why=why, matches=matches)
            return candidate, self._obstacle(entry, why)
        if entry.exclude_recursion and (found := self._evidence.why(entry, self._gaze(entry, lore=True))):
            return Candidate(entry=entry, place=place, why=found[0]), Obstacle.RECURSION
        return None, None

    def _gaze(self, entry: LoreEntry, *, lore: bool) -> Gaze:
        return Gaze(self._reach if entry.scan_depth is None else entry.scan_depth, lore)

    def _standing_cause(self, entry: LoreEntry) -> Why | None:
        """A cause that asks for no key."""
        since = self._timing.sticky_since(entry)
        if since is not None:
            return Why(cause=Cause.STICKY, since=since)
        return Why(cause=Cause.CONSTANT) if entry.constant else None

    def _likeness(self, entry: LoreEntry) -> Why | None:
        likeness = self._seen.likeness.get(entry.id) if entry.semantic else None
        if likeness is None or likeness < self._settings.likeness:
            return None
        return Why(cause=Cause.SEMANTIC, likeness=likeness)

    def _obstacle(self, entry: LoreEntry, why: Why) -> Obstacle | None:
        """What keeps an entry out before groups, chance and budget are asked."""
        stays = why.cause is Cause.STICKY
        if entry.characters and self._is_present(entry) is entry.without_characters:
            return Obstacle.CHARACTER
        if entry.triggers and self._seen.trigger not in entry.triggers:
            return Obstacle.TRIGGER
        if self._timing.is_early(entry):
            return Obstacle.DELAY
        if self._timing.is_cooling(entry):
            return Obstacle.COOLDOWN
        level = entry.delay_until_recursion
        if level and not stays and (not self._recursions or level > self._level):
            return Obstacle.RECURSION
        return None

    def _is_present(self, entry: LoreEntry) -> bool:
        return any(name.casefold() in self._present for name in entry.characters)


def _prompt_order(one: FiredLore, places: Mapping[str, int]) -> tuple[int, int, str, int, int]:
    """By position, the deeper one first; at one place the highest order stands last."""
    entry = one.entry
    depth = entry.depth if entry.position is Position.AT_DEPTH else 0
    return (_POSITIONS[entry.position], -depth, entry.outlet, entry.order, places[entry.id])
