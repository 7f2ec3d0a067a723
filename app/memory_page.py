"""The page of short-term memory that a strand's next step reads: where it is kept, read and replaced."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from storyloom.memory.page_changes import edited
from storyloom.memory.short_term import first_memory
from storyloom.memory.story import (
    Dropped,
    MemoryChange,
    Note,
    Origin,
    Revision,
    ShortMemory,
    Step,
    Story,
    Strand,
)
from storyloom.storage.unit_of_work import UnitOfWork

SHORT_MEMORY = "short_memory"  # the subject of the revisions of a page that a person changed
REBUILT_MEMORY = "rebuilt_memory"  # and of those that were made again after an edit


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """The page at a strand's head.

    Attributes:
        memory: the page.
        depth: the step that it comes after, 0 before the first.
        step: that step, where it is the strand's own and not one that it shares with its parent.
    """

    memory: ShortMemory
    depth: int
    step: Step | None


@dataclass(frozen=True, slots=True)
class PageBefore:
    """What a revision of the page keeps, so that it can be undone and explained.

    Attributes:
        memory: the page as it was.
        dropped: what the edit took out of it, and why.
        decided: the proposals that the edit decided.
        reopened: the proposals that wait again since the edit.
        origin: where the page came from; None where no step had it.
        change: what its step counted as having changed; None where the edit left that alone.
    """

    memory: ShortMemory
    dropped: tuple[Dropped, ...] = ()
    decided: tuple[MemoryChange, ...] = ()
    reopened: tuple[MemoryChange, ...] = ()
    origin: Origin | None = None
    change: MemoryChange | None = None

    def state(self) -> dict[str, Any]:
        """As JSON data."""
        return _PAGE_BEFORE.dump_python(self, mode="json")  # type: ignore[no-any-return]

    @staticmethod
    def of(revision: Revision) -> "PageBefore":
        """What a revision of the page kept; one from before that was kept holds its text alone."""
        if revision.state is None:
            return PageBefore(ShortMemory())
        return _PAGE_BEFORE.validate_python(revision.state)


_PAGE_BEFORE = TypeAdapter(PageBefore)


def read_page(work: UnitOfWork, story: Story, strand: Strand) -> MemoryPage:
    """The page that the strand's next step will read."""
    return page_at(story, work.strands.get(strand.id), work.steps.head(strand.id))


def page_at(story: Story, strand: Strand, head: Step | None) -> MemoryPage:
    """The page after the strand's last step, or the one that a person gave a strand without steps."""
    own = head if head is not None and head.strand_id == strand.id else None
    depth = head.depth if head else 0
    if strand.memory is not None and own is None:
        return MemoryPage(strand.memory, depth, None)
    return MemoryPage(head.memory if head else first_memory(story.premise), depth, own)


def edited_notes(
    work: UnitOfWork, story: Story, strand: Strand, head: Step | None, page: MemoryPage
) -> tuple[Note, ...]:
    """What a person has changed on the page since its step was committed; nothing of old, unkept edits."""
    is_shared = head is not None and head.strand_id != strand.id and strand.memory is None
    owner = head.strand_id if is_shared and head is not None else strand.id
    first = work.revisions.first(story.id, SHORT_MEMORY, owner, page.depth)
    if first is None or first.state is None:
        return ()
    return edited(PageBefore.of(first).memory, page.memory)


def page_as_it_was(page: MemoryPage, dropped: tuple[Dropped, ...] = ()) -> PageBefore:
    """A page as the revision of its next edit keeps it."""
    return PageBefore(page.memory, dropped, origin=page.step.memory_origin if page.step else None)


def change_of(step: Step) -> MemoryChange:
    """What a step changed in short-term memory."""
    return MemoryChange(strand_id=step.strand_id, depth=step.depth, added=step.added, dropped=step.dropped)


def write_page(
    work: UnitOfWork,
    strand: Strand,
    step: Step | None,
    new: ShortMemory,
    *,
    origin: Origin = Origin.PERSON,
    change: MemoryChange | None = None,
) -> None:
    """Put another page in a page's place. A shared step's page stays: the branch keeps one of its own.

    Args:
        work: keeps it; the caller commits.
        strand: whose page it is.
        step: the strand's own step after which it stands; None for the page before the first of them.
        new: the page.
        origin: where it comes from.
        change: what the step then counts as having changed; as before when it isn't given.
    """
    if step is None:
        work.strands.set_memory(strand.id, new)
    else:
        work.steps.set_memory(strand.id, step.depth, new, origin=origin, change=change)
