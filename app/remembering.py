"""The use cases of memory: its page read, rewritten, pinned and approved; the past searched."""

from collections.abc import Callable
from dataclasses import dataclass

from storyloom.app.given_text import LONGEST_MEMORY, LONGEST_PLAN, required
from storyloom.app.memory_page import SHORT_MEMORY, MemoryPage, PageBefore, read_page, write_page
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf, revision
from storyloom.memory.errors import InvalidText
from storyloom.memory.page_changes import with_change, with_pin
from storyloom.memory.short_term import rewritten
from storyloom.memory.story import Dropped, MemoryChange, Note, Origin, ShortMemory
from storyloom.memory.weaver import Item

# A page as it was, and what of it a change made by hand took out.
_Change = Callable[[MemoryPage], tuple[ShortMemory, tuple[Dropped, ...]]]


@dataclass(frozen=True, slots=True)
class Gone:
    """A sentence that left short-term memory: after which step, and why."""

    dropped: Dropped
    depth: int


@dataclass(frozen=True, slots=True)
class Blame:
    """Where every sentence of the page comes from, and what became of those that left it."""

    notes: tuple[Note, ...]
    gone: tuple[Gone, ...]


class Remembering:
    """What a story remembers, for a person who reads or changes it.

    Args:
        shelf: whose stories.
        recurrence: searches the past as a step does.
    """

    def __init__(self, shelf: Shelf, recurrence: Recurrence) -> None:
        self._shelf = shelf
        self._recurrence = recurrence

    def page(self, reference: str, strand: str | None = None) -> ShortMemory:
        """The short-term memory that the next step will read."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            return read_page(work, story, line).memory

    def search(self, reference: str, query: str, strand: str | None = None) -> tuple[Item, ...]:
        """Long-term memory's answer to a query, best first, with its scores."""
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            segments = work.steps.segments(line.id)
            depth = work.steps.depth(line.id)
        return self._recurrence.recall(segments, required(query, "query", LONGEST_PLAN), before=depth + 1)

    def rewrite(self, reference: str, text: str, strand: str | None = None) -> ShortMemory:
        """Replace the page by a person's text; the old one becomes a revision."""
        page = required(text, "short-term memory", LONGEST_MEMORY)

        def change(old: MemoryPage) -> tuple[ShortMemory, tuple[Dropped, ...]]:
            new, _, dropped = rewritten(old.memory, page, depth=old.depth, origin=Origin.PERSON)
            return new, dropped

        return self._change(reference, strand, change)

    def pin(
        self, reference: str, which: str, strand: str | None = None, *, pinned: bool = True
    ) -> ShortMemory:
        """Pin a sentence, so that the memory keeper may not drop it, or set it free.

        Args:
            reference: the story.
            which: the sentence's number on the page, from 1, or words that only it holds.
            strand: the strand, the main one by default.
            pinned: pinned or free.

        Raises:
            InvalidText: no sentence answers to ``which``, or more than one does.
        """
        return self._change(reference, strand, lambda old: (with_pin(old.memory, which, pinned=pinned), ()))

    def blame(self, reference: str, strand: str | None = None) -> Blame:
        """Which step brought each sentence, and after which step and why the others left, newest first."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            memory = read_page(work, story, line).memory
            by_keeper = [
                Gone(one, change.depth)
                for change in work.steps.memory_changes(line.id)
                for one in change.dropped
            ]
            lines = {segment.strand_id: segment.depth for segment in work.steps.segments(line.id)}
            by_hand = [
                Gone(dropped, one.depth or 0)
                for one in work.revisions.of_story(story.id)
                if one.subject == SHORT_MEMORY and (one.depth or 0) <= lines.get(one.strand_id or "", -1)
                for dropped in PageBefore.of(one).dropped
            ]
        gone = sorted([*by_keeper, *by_hand], key=lambda one: one.depth, reverse=True)
        return Blame(memory.notes, tuple(gone))

    def proposals(self, reference: str, strand: str | None = None) -> list[MemoryChange]:
        """What the memory keeper would change, waiting for a person's word, oldest first."""
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.proposals.of_strand(line.id)

    def decide(
        self, reference: str, depth: int | None, strand: str | None = None, *, approve: bool
    ) -> ShortMemory:
        """Take up what the memory keeper proposed, or turn it down.

        Args:
            reference: the story.
            depth: the step whose proposal is meant; None for all.
            strand: the strand, the main one by default.
            approve: take it up or turn it down.

        Returns:
            The page afterwards.

        Raises:
            InvalidText: nothing is proposed there.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            proposals = work.proposals.of_strand(line.id)
            meant = [one for one in proposals if depth in {None, one.depth}]
            if not meant:
                waiting = ", ".join(str(one.depth) for one in proposals) or "none"
                raise InvalidText(
                    f"No change of memory waits for a decision there; steps with one: {waiting}."
                )
            old = read_page(work, story, line)
            new = old.memory
            for proposal in meant if approve else ():
                new = with_change(new, proposal.added, proposal.dropped)
            work.proposals.remove(meant)
            if approve:
                write_page(work, line, old, new)
            dropped = tuple(one for proposal in meant for one in proposal.dropped) if approve else ()
            state = PageBefore(old.memory, dropped, tuple(meant)).state()
            work.revisions.add(
                revision(
                    story, SHORT_MEMORY, old.memory.text, new.text, strand=line, depth=old.depth, state=state
                )
            )
            work.commit()
        return new

    def _change(self, reference: str, strand: str | None, change: _Change) -> ShortMemory:
        """Put a changed page in the place of the one there is, and keep that one as a revision."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            old = read_page(work, story, line)
            new, dropped = change(old)
            write_page(work, line, old, new)
            work.revisions.add(
                revision(
                    story,
                    SHORT_MEMORY,
                    old.memory.text,
                    new.text,
                    strand=line,
                    depth=old.depth,
                    state=PageBefore(old.memory, dropped).state(),
                )
            )
            work.commit()
        return new
