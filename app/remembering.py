"""The use cases of memory: its page read, rewritten, pinned and approved; the past searched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.given_text import LONGEST_MEMORY, LONGEST_PLAN, required
from storyloom.app.memory_page import (
    SHORT_MEMORY,
    MemoryPage,
    PageBefore,
    change_of,
    page_as_it_was,
    read_page,
    write_page,
)
from storyloom.app.recalling import Recalling
from storyloom.app.shelf import Shelf, revision
from storyloom.app.stale_pages import later_pages
from storyloom.app.story_settings import rule_of
from storyloom.app.summaries import refresh_summaries
from storyloom.memory.errors import InvalidText
from storyloom.memory.page_changes import with_pin, with_proposal, without_sentence
from storyloom.memory.recall import SEARCH_LIMIT
from storyloom.memory.recall_query import question
from storyloom.memory.short_term import rewritten
from storyloom.memory.story import (
    Dropped,
    MemoryChange,
    Note,
    Origin,
    ShortMemory,
    Step,
    Story,
    Strand,
)
from storyloom.memory.weaver import Item
from storyloom.storage.unit_of_work import UnitOfWork


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
        recalling: searches the past as a step does.
        embedding: makes the vectors that the search lacks.
    """

    def __init__(self, shelf: Shelf, recalling: Recalling, embedding: Embedding) -> None:
        self._shelf = shelf
        self._recalling = recalling
        self._embedding = embedding

    def page(self, reference: str, strand: str | None = None) -> ShortMemory:
        """The short-term memory that the next step will read."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            return read_page(work, story, line).memory

    def search(
        self, reference: str, query: str, strand: str | None = None, listener: Listener | None = None
    ) -> tuple[Item, ...]:
        """Long-term memory's answer to a query, best first, with its scores.

        It goes by the story's own rule, but shows more than a prompt has room for. Vectors that it
        lacks are made, in the background where there are many; the listener hears of them.
        """
        asked = required(query, "query", LONGEST_PLAN)
        story, line = self._shelf.find(reference, strand)
        self._embedding.catch_up(line, listener or Listener())
        with self._shelf.database.unit_of_work(write=False) as work:
            segments = work.steps.segments(line.id)
            depth = work.steps.depth(line.id)
        rule = rule_of(story, replace(self._recalling.rule, limit=SEARCH_LIMIT))
        return self._recalling.items(segments, question(asked, story.language), depth + 1, rule=rule)

    def rewrite(self, reference: str, text: str, strand: str | None = None) -> ShortMemory:
        """Replace the page by a person's text; the old one becomes a revision."""
        told = required(text, "short-term memory", LONGEST_MEMORY)
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            old = read_page(work, story, line)
            new, _, dropped = rewritten(
                old.memory, told, depth=old.depth, origin=Origin.PERSON, language=story.language
            )
            if new != old.memory:
                write_page(work, line, old.step, new)
                _keep(work, story, line, old, new, page_as_it_was(old, dropped))
            work.commit()
        return new

    def remove(self, reference: str, which: str, strand: str | None = None) -> ShortMemory:
        """Take one sentence out of the page; undoing the edit brings it back.

        Args:
            reference: the story.
            which: the sentence's number on the page, from 1, or words that only it holds.
            strand: the strand, the main one by default.

        Raises:
            InvalidText: no sentence answers to ``which``, or more than one does.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            old = read_page(work, story, line)
            new, left = without_sentence(old.memory, which)
            write_page(work, line, old.step, new)
            _keep(work, story, line, old, new, page_as_it_was(old, (Dropped(left, "taken out by hand"),)))
            work.commit()
        return new

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
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            old = read_page(work, story, line)
            new = with_pin(old.memory, which, pinned=pinned)
            if new != old.memory:
                # The page's text is what it was, and so is its origin: an edit before it still spreads.
                origin = old.step.memory_origin if old.step else Origin.PERSON
                write_page(work, line, old.step, new, origin=origin)
                _keep(work, story, line, old, new, page_as_it_was(old))
            work.commit()
        return new

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
        gone: dict[tuple[str, int], Gone] = {}
        for one in sorted([*by_hand, *reversed(by_keeper)], key=lambda one: one.depth, reverse=True):
            gone.setdefault((one.dropped.note.text, one.dropped.note.depth), one)
        for note in memory.notes:  # what came back has not left
            gone.pop((note.text, note.depth), None)
        return Blame(memory.notes, tuple(gone.values()))

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
            before = replace(page_as_it_was(old), decided=tuple(meant))
            work.proposals.remove(meant)
            if approve and old.step is not None:  # it is there: its strand proposes something
                new, change = _approved(old.step, meant)
                write_page(work, line, old.step, new, origin=_origin(old.step, change), change=change)
                before = replace(before, change=change_of(old.step))
                refresh_summaries(work, story, old.depth)
            _keep(work, story, line, old, new, before)
            work.commit()
        return new


def _approved(head: Step, proposals: Sequence[MemoryChange]) -> tuple[ShortMemory, MemoryChange]:
    """The head's page with what was proposed, and what the head's step then counts as having changed."""
    page, added, dropped = head.memory, list(head.added), list(head.dropped)
    for proposal in proposals:
        page, came, left = with_proposal(page, proposal)
        added += came
        dropped += left
    return page, replace(change_of(head), added=tuple(added), dropped=tuple(dropped))


def _origin(head: Step, change: MemoryChange) -> Origin:
    """Where a page comes from once changes were approved: from where its newest note does."""
    if head.memory_origin is Origin.PERSON or not change.added:
        return head.memory_origin
    return change.added[-1].origin


def _keep(
    work: UnitOfWork, story: Story, line: Strand, old: MemoryPage, new: ShortMemory, before: PageBefore
) -> None:
    """Keep the page as it was among the revisions, and mark the pages that were made from it."""
    edit = revision(
        story,
        SHORT_MEMORY,
        old.memory.text,
        new.text,
        strand=line,
        depth=old.depth,
        state=before.state(),
    )
    work.revisions.add(edit)
    if new.text != old.memory.text:
        cause = f"the memory after step {old.depth} was edited"
        work.stale.add(later_pages(work, line, old.depth, cause))
