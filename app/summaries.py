"""Summaries: what the memory keeper noted of some steps in a row, kept as a passage that recall finds.

They cost no model: each note is a sentence on its step already. What a single paragraph is too narrow
to answer, such as what became of somebody, twenty notes in a row may.
"""

from collections.abc import Iterable

from storyloom.memory.story import UNNAMED_CHAPTER, Note, Passage, PassageKind, Story
from storyloom.storage.unit_of_work import UnitOfWork


def is_due(depth: int) -> bool:
    """Whether a summary stands after the step of this depth."""
    return depth % UNNAMED_CHAPTER == 0


def summary(work: UnitOfWork, strand_id: str, depth: int, newest: Iterable[Note] = ()) -> Passage | None:
    """The summary that stands after a step, without a vector; None where nothing was noted.

    Args:
        work: reads the notes.
        strand_id: the strand that owns the step.
        depth: the step, for which ``is_due`` holds.
        newest: the step's own notes where it isn't committed yet.
    """
    changes = work.steps.memory_changes(strand_id, first=depth - UNNAMED_CHAPTER + 1, last=depth)
    notes = [note.text for change in changes for note in change.added] + [note.text for note in newest]
    if not notes:
        return None
    return Passage(strand_id=strand_id, depth=depth, text=" ".join(notes), kind=PassageKind.SUMMARY)


def refresh_summaries(work: UnitOfWork, story: Story, depth: int) -> None:
    """Make the summaries that speak of the step at ``depth`` again, on every strand; their vectors go."""
    at = -(-depth // UNNAMED_CHAPTER) * UNNAMED_CHAPTER
    for strand in work.strands.of_story(story.id):
        if strand.fork_depth < at <= work.steps.depth(strand.id):
            fresh = summary(work, strand.id, at)
            if fresh is not None:
                work.passages.replace(fresh)
