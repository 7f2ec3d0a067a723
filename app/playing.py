"""A story as its reader plays it: the last turn told another way, and the way back to an earlier one.

Nothing is lost: whatever is left behind stays as a strand.
"""

from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Step, Strand


def retry(studio: Studio, reference: str, strand: str | None = None) -> tuple[Strand, Wish]:
    """A new strand without the last turn, and the wish that tells the same turn another way on it.

    Raises:
        InvalidText: no turn stands before the last one.
        StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
    """
    *before, last = _last_two(studio, reference, strand)
    offered = [plan.text for plan in before[-1].plans]
    wish = Wish(choice=offered.index(last.plan) + 1) if last.plan in offered else Wish(plan=last.plan)
    return studio.branch(reference, last.depth - 1, strand), wish


def undo(studio: Studio, reference: str, strand: str | None = None) -> Strand:
    """A new strand without the last turn.

    Raises:
        InvalidText: no turn stands before the last one.
        StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
    """
    last = _last_two(studio, reference, strand)[-1]
    return studio.branch(reference, last.depth - 1, strand)


def _last_two(studio: Studio, reference: str, strand: str | None) -> tuple[Step, ...]:
    steps = studio.show(reference, strand, last=2).steps
    if len(steps) < 2:
        raise InvalidText("The story's first paragraph stands: there is nothing before it to go back to.")
    return steps
