"""The page of short-term memory that a strand's next step reads: where it is kept, read and replaced."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from storyloom.memory.short_term import first_memory
from storyloom.memory.story import Dropped, MemoryChange, Revision, ShortMemory, Step, Story, Strand
from storyloom.storage.unit_of_work import UnitOfWork

SHORT_MEMORY = "short_memory"  # the subject of its revisions


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """The page at a strand's head.

    Attributes:
        memory: the page.
        depth: the step that it comes after, 0 before the first.
        is_own: whether that step is the strand's own, not one that it shares with its parent.
    """

    memory: ShortMemory
    depth: int
    is_own: bool


def read_page(work: UnitOfWork, story: Story, strand: Strand) -> MemoryPage:
    """The page that the strand's next step will read."""
    return page_at(story, work.strands.get(strand.id), work.steps.head(strand.id))


def page_at(story: Story, strand: Strand, head: Step | None) -> MemoryPage:
    """The page after the strand's last step, or the one that a person gave a strand without steps."""
    is_own = head is not None and head.strand_id == strand.id
    depth = head.depth if head else 0
    if strand.memory is not None and not is_own:
        return MemoryPage(strand.memory, depth, is_own)
    return MemoryPage(head.memory if head else first_memory(story.premise), depth, is_own)


def write_page(work: UnitOfWork, strand: Strand, page: MemoryPage, new: ShortMemory) -> None:
    """Put another page in a page's place. A shared step's page stays: the branch keeps one of its own."""
    if page.is_own:
        work.steps.set_memory(strand.id, page.depth, new)
    else:
        work.strands.set_memory(strand.id, new)


@dataclass(frozen=True, slots=True)
class PageBefore:
    """What a revision of the page keeps, so that it can be undone and explained.

    Attributes:
        memory: the page as it was.
        dropped: what the edit took out of it, and why.
        decided: the proposals that the edit decided.
    """

    memory: ShortMemory
    dropped: tuple[Dropped, ...] = ()
    decided: tuple[MemoryChange, ...] = ()

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
