"""Rebuilding: what edits made stale is made again, in the order of the steps; it can stop and go on.

Only an edited paragraph's own note needs the memory keeper. The pages of memory after it are replayed: each
step's own additions and omissions on top of the page before, so that no other sentence changes. A neural
memory needs the model that it is of, which reads the paragraphs again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storyloom.app.agents.memory_keeper import MemoryUpdate
from storyloom.app.agents.scene import Scene
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Cancelled, Listener
from storyloom.app.memory_page import REBUILT_MEMORY, PageBefore, change_of, page_at
from storyloom.app.neural_memory import NeuralMemory
from storyloom.app.shelf import Shelf, revision
from storyloom.app.story_settings import approves_memory
from storyloom.app.summaries import refresh_summaries
from storyloom.memory.neural import NeuralState
from storyloom.memory.page_changes import replayed, without_notes_of
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import MemoryChange, Origin, ShortMemory, Stale, StalePart, Step, Story, Strand
from storyloom.storage.unit_of_work import UnitOfWork

_REBUILT = frozenset({StalePart.NOTE, StalePart.PAGE})
_AT_ONCE = 64  # pages that one transaction replays

_Marks = Mapping[int, Sequence[Stale]]  # by depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How much was made again: notes by the model, pages by replay, vectors, neural states.

    ``kept`` pages are by hand.
    """

    notes: int = 0
    pages: int = 0
    kept: int = 0
    vectors: int = 0
    states: int = 0

    def __add__(self, other: "Rebuilt") -> "Rebuilt":
        """Both together."""
        return Rebuilt(
            notes=self.notes + other.notes,
            pages=self.pages + other.pages,
            kept=self.kept + other.kept,
            vectors=self.vectors + other.vectors,
            states=self.states + other.states,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A step, the page before it and the paragraph before it."""

    step: Step
    before: ShortMemory
    last: str

    @property
    def replayed(self) -> ShortMemory:
        """The step's page on top of the page before it."""
        return replayed(self.step.memory, self.step.added, self.step.dropped, self.before)

    @property
    def other(self) -> MemoryChange:
        """What the step changed beside noting its own paragraph: rewordings, and what was approved there."""
        change, depth = change_of(self.step), self.step.depth
        added = tuple(note for note in change.added if note.depth != depth)
        return replace(change, added=added, dropped=change.dropped if added else ())

    @property
    def unnoted(self) -> ShortMemory:
        """The page without what the step noted of its own paragraph; pins set on it stay."""
        pins = {note for note in self.step.memory.notes if note.pinned}
        if not self.other.added and pins <= set(self.before.notes):
            return self.before
        return without_notes_of(self.replayed, self.step.depth)


class Rebuilding:
    """Makes stale memory and missing vectors again.

    Args:
        shelf: whose stories.
        castings: makes the memory keeper.
        embedding: makes vectors.
        neural: makes neural states.
    """

    def __init__(self, shelf: Shelf, castings: Castings, embedding: Embedding, neural: NeuralMemory) -> None:
        self._shelf = shelf
        self._castings = castings
        self._embedding = embedding
        self._neural = neural

    def needs_keeper(self, reference: str, strand: str | None = None) -> bool:
        """Whether an edited paragraph's note is stale, which the memory keeper's model makes again."""
        _, line = self._shelf.find(reference, strand)
        return any(_is_note(marks) for marks in self._marks(line).values())

    def stale_states(self, reference: str, strand: str | None = None) -> list[NeuralState]:
        """The neural states that are of texts that changed since; the writer's model makes them again."""
        _, line = self._shelf.find(reference, strand)
        return self._neural.stale(line)

    def rebuild(
        self, reference: str, listener: Listener, strand: str | None = None, *, model: str | None = None
    ) -> Rebuilt:
        """Make again whatever is stale on a strand and on the steps that it shares.

        A note is committed by itself and pages in small groups: what was made before a stop or a
        crash stands.

        Raises:
            Cancelled: the listener asked to stop.
            ModelUnavailable, ModelFailed: a note or a neural state can't be made; all before it stands.
        """
        story, line = self._shelf.find(reference, strand)
        made = self._pages(story, line, listener, model)
        made += Rebuilt(vectors=self._embedding.fill(line, listener))
        if self._neural.stale(line):
            writer = self._castings.writer(model or story.settings.get("model"))
            made += Rebuilt(states=self._neural.rebuild(line, writer, listener))
        return made

    def _pages(self, story: Story, line: Strand, listener: Listener, model: str | None) -> Rebuilt:
        made = Rebuilt()
        marks = self._marks(line)
        if not marks:
            return made
        first, last = min(marks), self._depth(line)
        total, depth = last - first + 1, first
        # To the end, marked or not: a step that was being written during the edit has no mark.
        while depth <= last:
            done = depth - first
            if listener.cancelled():
                raise Cancelled(f"Stopped. {done} of {total} steps were made again; run it again to go on.")
            listener.on_progress("pages of memory", done, total)
            until = _group_end(marks, depth, last)
            group = [mark for at in range(depth, until + 1) for mark in marks.get(at, ())]
            if _is_note(group):
                made += self._note(story, line, depth, group, model)
            else:
                made += self._replay(story, line, (depth, until), group)
            depth = until + 1
        listener.on_progress("pages of memory", total, total)
        return made

    def _marks(self, line: Strand) -> _Marks:
        with self._shelf.database.unit_of_work(write=False) as work:
            marks = work.stale.path(work.steps.segments(line.id))
        found: defaultdict[int, list[Stale]] = defaultdict(list)
        for mark in marks:
            if mark.part in _REBUILT:
                found[mark.depth].append(mark)
        return found

    def _depth(self, line: Strand) -> int:
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.steps.depth(line.id)

    def _note(
        self, story: Story, line: Strand, depth: int, marks: Sequence[Stale], model: str | None
    ) -> Rebuilt:
        """Note an edited paragraph anew, from the page before it; committed by itself."""
        while True:
            with self._shelf.database.unit_of_work(write=False) as work:
                place = _place(work, story, line, depth)
            if not _has_note(place.step):
                return self._replay(story, line, (depth, depth), marks)
            keeper = self._castings.keeper(model or story.settings.get("model"))
            update = keeper.update(_scene(story, place), place.step.paragraph)
            with self._shelf.database.unit_of_work() as work:
                if _place(work, story, line, depth) != place:
                    continue  # somebody changed it while the model ran
                _put(work, story, place, update)
                work.stale.remove(marks)
                work.commit()
            return Rebuilt(notes=1)

    def _replay(self, story: Story, line: Strand, depths: tuple[int, int], marks: Sequence[Stale]) -> Rebuilt:
        """Make pages again without the model, all in one transaction."""
        made = Rebuilt()
        marked = {mark.depth for mark in marks}
        with self._shelf.database.unit_of_work() as work:
            first, last = depths
            previous = work.steps.at(line.id, first - 1) if first > 1 else None
            owners = {strand.id: strand for strand in work.strands.of_story(story.id)}
            for step in work.steps.path(line.id, first, last):
                page = step.memory
                by_hand = step.memory_origin is Origin.PERSON
                if not by_hand:
                    before = page_at(story, owners[step.strand_id], previous).memory
                    page = replayed(page, step.added, step.dropped, before)
                if page != step.memory:
                    work.steps.set_memory(step.strand_id, step.depth, page, origin=step.memory_origin)
                if step.depth in marked or page != step.memory:
                    made += Rebuilt(kept=1) if by_hand else Rebuilt(pages=1)
                previous = replace(step, memory=page)
            work.stale.remove(marks)
            work.commit()
        return made


def _group_end(marks: _Marks, depth: int, last: int) -> int:
    """The last step that is made together with the one at ``depth``: a note is made by itself."""
    if _is_note(marks.get(depth, ())):
        return depth
    ends = (at - 1 for at in range(depth + 1, depth + _AT_ONCE) if _is_note(marks.get(at, ())))
    return next(ends, min(last, depth + _AT_ONCE - 1))


def _is_note(marks: Sequence[Stale]) -> bool:
    return any(mark.part is StalePart.NOTE for mark in marks)


def _has_note(step: Step) -> bool:
    """Whether the keeper has noted the step, or might have; what a person wrote stands as it is."""
    return step.memory_origin is not Origin.PERSON and bool(step.added or step.model)


def _place(work: UnitOfWork, story: Story, line: Strand, depth: int) -> _Place:
    step = work.steps.at(line.id, depth)
    previous = work.steps.at(line.id, depth - 1) if depth > 1 else None
    before = page_at(story, work.strands.get(step.strand_id), previous).memory
    return _Place(step, before, previous.paragraph if previous else "")


def _put(work: UnitOfWork, story: Story, place: _Place, update: MemoryUpdate) -> None:
    """Keep a step's new note: on its page, or as a proposal where a person approves first."""
    step = place.step
    noted = MemoryChange(
        strand_id=step.strand_id, depth=step.depth, added=update.added, dropped=update.dropped
    )
    waiting = [one for one in work.proposals.of_strand(step.strand_id) if one.depth == step.depth]
    work.proposals.remove(waiting)
    if approves_memory(story):
        if noted.added or noted.dropped:
            work.proposals.add(noted)
        page, origin, change = place.replayed, step.memory_origin, change_of(step)
    else:
        other = place.other
        page, origin = update.memory, update.origin
        change = replace(noted, added=(*other.added, *noted.added), dropped=(*other.dropped, *noted.dropped))
    work.steps.set_memory(step.strand_id, step.depth, page, origin=origin, change=change)
    refresh_summaries(work, story, step.depth)
    before = PageBefore(
        step.memory, decided=tuple(waiting), origin=step.memory_origin, change=change_of(step)
    )
    owner = work.strands.get(step.strand_id)
    work.revisions.add(
        revision(
            story,
            REBUILT_MEMORY,
            step.memory.text,
            page.text,
            strand=owner,
            depth=step.depth,
            state=before.state(),
        )
    )


def _scene(story: Story, place: _Place) -> Scene:
    """The scene as the memory keeper needs it."""
    return Scene(
        story=story,
        depth=place.step.depth,
        plan=place.step.plan,
        memory=place.unnoted,
        last=place.last,
        recalled=(),
        recent_plans=(),
        index=StoryIndex(),
        seed=place.step.seed,
    )
