"""Steps that follow again on a new strand, once something before them was put in, taken out or cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from storyloom.app.summaries import is_due, summary
from storyloom.memory import pieces
from storyloom.memory.story import Chapter, Dropped, MemoryChange, Note, Passage, Step, Story, Strand
from storyloom.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where steps of one strand come to stand on another.

    Attributes:
        first: the depth of the first that moves.
        by: how much deeper it stands then; below 0: less deep.
        strand_id: the strand on which it stands then.
    """

    first: int
    by: int
    strand_id: str

    def depth(self, old: int) -> int:
        """The depth of a step; what a step that stays away has left in memory counts as the one before's."""
        return old + self.by if old >= self.first else min(old, self.first + self.by - 1)

    def step(self, step: Step, now: datetime) -> Step:
        """A step as it stands then: its texts and where they come from stay."""
        change = self.change(
            MemoryChange(strand_id=step.strand_id, depth=step.depth, added=step.added, dropped=step.dropped)
        )
        return replace(
            step,
            strand_id=self.strand_id,
            depth=change.depth,
            memory=replace(step.memory, notes=self._notes(step.memory.notes)),
            added=change.added,
            dropped=change.dropped,
            created_at=now,
        )

    def change(self, change: MemoryChange) -> MemoryChange:
        """What a step changed in memory, as it stands then."""
        return MemoryChange(
            strand_id=self.strand_id,
            depth=self.depth(change.depth),
            added=self._notes(change.added),
            dropped=tuple(Dropped(self._note(one.note), one.reason) for one in change.dropped),
        )

    def _notes(self, notes: Sequence[Note]) -> tuple[Note, ...]:
        return tuple(map(self._note, notes))

    def _note(self, note: Note) -> Note:
        return replace(note, depth=self.depth(note.depth))


def keep_steps(work: UnitOfWork, story: Story, steps: Sequence[Step]) -> None:
    """Keep the steps of a new strand, with the passages that recall finds; vectors are made later."""
    work.steps.restore(steps)
    wholes = [Passage(strand_id=one.strand_id, depth=one.depth, text=one.paragraph) for one in steps]
    for step in steps:
        if is_due(step.depth) and (found := summary(work, step.strand_id, step.depth)):
            wholes.append(found)
    work.passages.add([piece for whole in wholes for piece in pieces.passages(whole, story.language)])


def carry_along(work: UnitOfWork, line: Strand, steps: Sequence[Step], move: Move) -> None:
    """Keep with moved steps what belongs to them: provenance, waiting proposals, stale marks.

    Args:
        work: keeps it; the caller commits.
        line: the strand that the steps are read from.
        steps: the steps as they stand there.
        move: where they have come to stand.
    """
    places = {(step.strand_id, step.depth) for step in steps}
    for strand_id, depth in sorted(places):
        work.provenance.add(move.strand_id, move.depth(depth), work.provenance.get(strand_id, depth))
    for owner in sorted({strand_id for strand_id, _ in places}):
        for proposal in work.proposals.of_strand(owner):
            if (owner, proposal.depth) in places:
                work.proposals.add(move.change(proposal))
    marks = work.stale.path(work.steps.segments(line.id))
    work.stale.add(
        replace(mark, strand_id=move.strand_id, depth=move.depth(mark.depth))
        for mark in marks
        if (mark.strand_id, mark.depth) in places
    )


def keep_chapters(work: UnitOfWork, line: Strand, new: Strand, moved: Callable[[int], int]) -> None:
    """Let the chapters of a strand begin on a new one too, each where ``moved`` puts its first step.

    Where two come to begin with one step, the later one does.
    """
    last = work.steps.depth(new.id)
    found = {
        moved(chapter.depth): chapter.title
        for chapter in work.chapters.path(line.id)
        if chapter.depth > new.fork_depth
    }
    work.chapters.add(
        Chapter(strand_id=new.id, depth=depth, title=title) for depth, title in found.items() if depth <= last
    )
