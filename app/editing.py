"""Editing: a paragraph or a field of the story changed by hand, what that makes stale, and undoing it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from storyloom.app.given_text import LONGEST_PARAGRAPH, required
from storyloom.app.lore_edits import CHARACTER, LORE, undo_lore
from storyloom.app.memory_page import (
    REBUILT_MEMORY,
    SHORT_MEMORY,
    PageBefore,
    change_of,
    page_as_it_was,
    page_at,
    write_page,
)
from storyloom.app.shelf import Shelf, revision
from storyloom.app.stale_pages import later_pages, sharing
from storyloom.app.story_settings import SUBJECT, undo_setting
from storyloom.app.summaries import refresh_summaries
from storyloom.memory.errors import InvalidText, StrandNotFound
from storyloom.memory.history import History, history_of
from storyloom.memory.short_term import rewritten
from storyloom.memory.story import Dropped, Origin, Revision, Segment, Stale, StalePart, Step, Story, Strand
from storyloom.storage.ancestry import owner
from storyloom.storage.unit_of_work import UnitOfWork

PARAGRAPH = "paragraph"
_TEXTS = frozenset({PARAGRAPH, SHORT_MEMORY})


@dataclass(frozen=True, slots=True)
class Edited:
    """A changed step, and everything that was made from what it was before; nothing for the same text."""

    step: Step
    stale: tuple[Stale, ...]


class Editing:
    """Changes by hand, each with a revision that brings the old value back."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def paragraph(self, reference: str, depth: int, text: str, strand: str | None = None) -> Edited:
        """Replace a paragraph; what the keeper noted of it and every later page of memory become stale.

        Raises:
            StrandNotFound: the strand has no such step.
            InvalidText: the text is empty or too long, or the step belongs to another strand.
        """
        text = required(text, "paragraph", LONGEST_PARAGRAPH)
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            step = own_step(work, line, depth)
            if step.paragraph == text:
                return Edited(step, ())
            edited = edit_paragraph(work, story, line, depth, text, Origin.PERSON)
            work.commit()
        return edited

    def revisions(self, reference: str) -> list[Revision]:
        """Every edit by hand with the value it replaced, newest first."""
        story, _ = self._shelf.find(reference)
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.revisions.of_story(story.id)

    def stale(self, reference: str, strand: str | None = None) -> list[Stale]:
        """What was made from texts that were edited since, oldest step first."""
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.stale.path(work.steps.segments(line.id))

    def settle(self, reference: str, strand: str | None = None) -> int:
        """Let paragraphs stand that were written from what was edited since; how many there were."""
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            marks = [
                mark
                for mark in work.stale.path(work.steps.segments(line.id))
                if mark.part is StalePart.PARAGRAPH
            ]
            work.stale.remove(marks)
            work.commit()
        return len(marks)

    def history(self, reference: str, strand: str | None = None) -> History:
        """What can be undone and done again of the paragraphs and pages of memory of a strand."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            segments = work.steps.segments(line.id)
            found = work.revisions.of_story(story.id)
        return history_of([one for one in found if one.subject in _TEXTS and _stands(one, segments)])

    def undo(self, reference: str, which: str = "") -> Revision:
        """Bring back the value that a revision replaced; undoing that again is possible too.

        Args:
            reference: the story.
            which: the revision's id or the beginning of it; the newest edit by hand by default.

        Returns:
            The revision that was undone.

        Raises:
            InvalidText: there is no such revision, or more than one.
            StrandNotFound: what it changed isn't on a strand of the story.
        """
        story, _ = self._shelf.find(reference)
        with self._shelf.database.unit_of_work() as work:
            story = work.stories.get(story.id)
            found = _one(work.revisions.of_story(story.id), which)
            undo = undo_setting if found.subject.startswith(SUBJECT) else _UNDO.get(found.subject)
            if undo is None:
                raise InvalidText(f"An edit of {found.subject!r} can't be undone by this Storyloom.")
            undo(work, story, found)
            work.commit()
        return found


def own_step(work: UnitOfWork, line: Strand, depth: int) -> Step:
    """The step of a strand whose paragraph may be edited there.

    Raises:
        StrandNotFound: the strand has no such step.
        InvalidText: the step belongs to another strand.
    """
    step = work.steps.at(line.id, depth)
    if step.strand_id != line.id:
        raise InvalidText(
            f"Step {depth} is shared with the strand {step.strand_id}, which it was written on. "
            f"Edit it there with --strand {step.strand_id}; every branch that shares it changes too."
        )
    return step


def edit_paragraph(
    work: UnitOfWork, story: Story, line: Strand, depth: int, text: str, origin: Origin
) -> Edited:
    """Replace a paragraph inside a unit of work, and mark what depended on it."""
    step = _replace_paragraph(work, story, line, depth, text, origin)
    cause = _cause(depth)
    note = Stale(
        strand_id=line.id, depth=depth, part=StalePart.NOTE, cause=cause, created_at=datetime.now(UTC)
    )
    marks = (note, *later_pages(work, line, depth, cause))
    work.stale.add(marks)
    return Edited(step, marks)


def _one(revisions: list[Revision], which: str) -> Revision:
    by_hand = (one for one in revisions if one.subject != REBUILT_MEMORY)
    found = [one for one in revisions if one.id.startswith(which)] if which else list(islice(by_hand, 1))
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidText(
            f"There is no revision {which[:40]!r}. `storyloom revisions STORY` lists them."
            if which
            else "Nothing was edited by hand yet, so there is nothing to undo."
        )
    raise InvalidText(f"{which!r} could be {len(found)} revisions. Use the whole id.")


def _replace_paragraph(
    work: UnitOfWork, story: Story, line: Strand, depth: int, text: str, origin: Origin
) -> Step:
    old = work.steps.at(line.id, depth)
    work.steps.set_paragraph(line.id, depth, text, origin=origin)
    work.stories.save(story)  # its version tells every reader of its texts that they changed
    state = {"origin": old.paragraph_origin.value}
    work.revisions.add(revision(story, PARAGRAPH, old.paragraph, text, strand=line, depth=depth, state=state))
    return replace(old, paragraph=text, paragraph_origin=origin)


def _undo_paragraph(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring a paragraph back. What the edit made stale, and nobody made again since, fits it once more."""
    line = _line(work, story, edit)
    depth = edit.depth or 0
    origin = Origin((edit.state or {}).get("origin", Origin.PERSON))
    shared = [strand.id for strand in sharing(work, line, depth)]
    marks = [mark for strand in shared for mark in work.stale.of_strand(strand)]
    made = [mark for mark in marks if mark.cause == _cause(depth)]
    note = next((mark for mark in made if mark.part is StalePart.NOTE and mark.strand_id == line.id), None)
    if note is None:
        edit_paragraph(work, story, line, depth, edit.old, origin)
        return
    _replace_paragraph(work, story, line, depth, edit.old, origin)
    if note.created_at >= edit.created_at:
        gone = {mark for mark in made if mark.created_at >= edit.created_at}
        work.stale.remove(gone)
        _mark_for_others(work, story, edit, [mark for mark in marks if mark not in gone])


def _mark_for_others(work: UnitOfWork, story: Story, edit: Revision, marks: Iterable[Stale]) -> None:
    """Mark again what other edits made stale too: a page has one mark, with its first cause."""
    for mark in marks:
        if mark.part is StalePart.NOTE:
            work.stale.add(later_pages(work, work.strands.get(mark.strand_id), mark.depth, mark.cause))
    for one in work.revisions.of_story(story.id):
        if one.subject in {SHORT_MEMORY, REBUILT_MEMORY} and one.created_at > edit.created_at:
            line, depth = _line(work, story, one), one.depth or 0
            work.stale.add(later_pages(work, line, depth, _page_cause(depth)))


def _line(work: UnitOfWork, story: Story, edit: Revision) -> Strand:
    """The strand on which something was edited. A file from anywhere may name another story's there.

    Raises:
        StrandNotFound: the story has no such strand.
    """
    line = work.strands.get(edit.strand_id or "")
    if line.story_id != story.id:
        raise StrandNotFound(
            f"The edit {edit.id} names the strand {line.id}, which this story hasn't. It can't be undone."
        )
    return line


def _stands(edit: Revision, segments: Sequence[Segment]) -> bool:
    """Whether what a revision changed is read on the strand of this ancestry."""
    depth = edit.depth or 0
    return edit.strand_id == segments[0].strand_id or (
        depth <= segments[0].depth and edit.strand_id == owner(segments, depth)
    )


def _cause(depth: int) -> str:
    return f"the paragraph of step {depth} was edited"


def _page_cause(depth: int) -> str:
    return f"the memory after step {depth} was edited"


def _undo_page(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring a page back where it stood; the pages that follow it become stale."""
    line = _line(work, story, edit)
    depth, before = edit.depth or 0, PageBefore.of(edit)
    step = work.steps.at(line.id, depth) if depth > line.fork_depth else None
    shared = work.steps.at(line.id, depth) if depth and step is None else None
    page = page_at(story, line, step or shared)
    old = before.memory
    if edit.state is None:  # kept by an older Storyloom
        old, _, _ = rewritten(page.memory, edit.old, depth, Origin.PERSON, story.language)
    write_page(work, line, step, old, origin=before.origin or Origin.PERSON, change=before.change)
    if before.change:
        refresh_summaries(work, story, depth)
    waiting = work.proposals.of_strand(line.id)
    reopened = [one for one in before.decided if one.depth not in {other.depth for other in waiting}]
    decided = [one for one in waiting if one in before.reopened]
    for proposal in reopened:
        work.proposals.add(proposal)
    work.proposals.remove(decided)
    kept = {(note.text, note.depth) for note in old.notes}
    now = replace(
        page_as_it_was(page),
        dropped=tuple(
            Dropped(note, "an edit was undone")
            for note in page.memory.notes
            if (note.text, note.depth) not in kept
        ),
        decided=tuple(decided),
        reopened=tuple(reopened),
        change=change_of(step) if step and before.change else None,
    )
    work.revisions.add(
        revision(
            story,
            edit.subject,
            page.memory.text,
            old.text,
            strand=line,
            depth=depth,
            state=now.state(),
        )
    )
    if old.text != page.memory.text:
        work.stale.add(later_pages(work, line, depth, _page_cause(depth)))


_UNDO: dict[str, Callable[[UnitOfWork, Story, Revision], Any]] = {
    PARAGRAPH: _undo_paragraph,
    SHORT_MEMORY: _undo_page,
    REBUILT_MEMORY: _undo_page,
    LORE: undo_lore,
    CHARACTER: undo_lore,
}
