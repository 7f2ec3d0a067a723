"""Which pages of short-term memory were made from a step's: they are stale once it changes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from storyloom.memory.story import Stale, StalePart, Strand
from storyloom.storage.unit_of_work import UnitOfWork


def sharing(work: UnitOfWork, line: Strand, depth: int) -> list[Strand]:
    """The strand itself and every branch that shares its step at a depth."""
    others = work.strands.of_story(line.story_id)
    found = [line]
    for strand in found:  # grows as it is read: branches of branches follow
        found += [one for one in others if one.parent_id == strand.id and one.fork_depth >= depth]
    return found


def later_pages(work: UnitOfWork, line: Strand, depth: int, cause: str) -> Iterator[Stale]:
    """A mark for every page that follows a step, on its strand and on those that share it."""
    now = datetime.now(UTC)
    for strand in sharing(work, line, depth):
        first = max(depth, strand.fork_depth) + 1
        for later in range(first, work.steps.depth(strand.id) + 1):
            yield Stale(strand_id=strand.id, depth=later, part=StalePart.PAGE, cause=cause, created_at=now)
