"""Editing: a paragraph or a field of the story changed by hand, what that makes stale, and undoing it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from storyloom.app.given_text import LONGEST_PARAGRAPH, required
from storyloom.app.lore_edits import CHARACTER, LORE, undo_lore
from storyloom.app.memory_page import SHORT_MEMORY, PageBefore, read_page, write_page
from storyloom.app.shelf import Shelf, revision
from storyloom.app.story_settings import SUBJECT, undo_setting
from storyloom.memory.errors import InvalidText
from storyloom.memory.short_term import rewritten
from storyloom.memory.story import Origin, Revision, Stale, StalePart, Step, Story, Strand
from storyloom.storage.unit_of_work import UnitOfWork

PARAGRAPH = "paragraph"


@dataclass(frozen=True, slots=True)
class Edited:
    """A changed step, and everything that was made from what it was before."""

    step: Step
    stale: tuple[Stale, ...]


class Editing:
    """Changes by hand, each with a revision that brings the old value back."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def paragraph(self, reference: str, depth: int, text: str, strand: str | None = None) -> Edited:
        """Replace a paragraph; what the keeper noted of it and every later page of memory become stale.

        Raises:
            StrandNotFound: the strand has no such step of its own.
            InvalidText: the text is empty or too long.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            edited = edit_paragraph(
                work, story, line, depth, required(text, "paragraph", LONGEST_PARAGRAPH), Origin.PERSON
            )
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
            for mark in marks:
                work.stale.remove(mark.strand_id, mark.depth, [mark.part])
            work.commit()
        return len(marks)

    def undo(self, reference: str, which: str = "") -> Revision:
        """Bring back the value that a revision replaced; undoing that again is possible too.

        Args:
            reference: the story.
            which: the revision's id or the beginning of it; the newest by default.

        Returns:
            The revision that was undone.

        Raises:
            InvalidText: there is no such revision, or more than one.
        """
        story, _ = self._shelf.find(reference)
        with self._shelf.database.unit_of_work() as work:
            found = _one(work.revisions.of_story(story.id), which)
            undo = undo_setting if found.subject.startswith(SUBJECT) else _UNDO.get(found.subject)
            if undo is None:
                raise InvalidText(f"An edit of {found.subject!r} can't be undone by this Storyloom.")
            undo(work, story, found)
            work.commit()
        return found


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


def later_pages(work: UnitOfWork, line: Strand, depth: int, cause: str) -> Iterator[Stale]:
    """A mark for every page of memory that follows a step, on its strand and on those that share it."""
    sharing = {line.id}
    now = datetime.now(UTC)
    for strand in work.strands.of_story(line.story_id):  # a branch is younger than what it forks from
        if strand.id != line.id:
            if strand.parent_id not in sharing or strand.fork_depth < depth:
                continue
            sharing.add(strand.id)
        first = max(depth, strand.fork_depth) + 1
        for later in range(first, work.steps.depth(strand.id) + 1):
            yield Stale(strand_id=strand.id, depth=later, part=StalePart.PAGE, cause=cause, created_at=now)


def _one(revisions: list[Revision], which: str) -> Revision:
    found = [one for one in revisions if one.id.startswith(which)] if which else revisions[:1]
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
    line = work.strands.get(edit.strand_id or "")
    depth = edit.depth or 0
    origin = Origin((edit.state or {}).get("origin", Origin.PERSON))
    marks = [
        mark
        for strand in work.strands.of_story(story.id)
        for mark in work.stale.of_strand(strand.id)
        if mark.cause == _cause(depth)
    ]
    own = next((mark for mark in marks if mark.strand_id == line.id and mark.part is StalePart.NOTE), None)
    if own is None:
        edit_paragraph(work, story, line, depth, edit.old, origin)
        return
    _replace_paragraph(work, story, line, depth, edit.old, origin)
    if own.created_at >= edit.created_at:
        for mark in marks:
            work.stale.remove(mark.strand_id, mark.depth, [mark.part])


def _cause(depth: int) -> str:
    return f"the paragraph of step {depth} was edited"


def _undo_page(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring a page back where it stood; on a step that others follow, their pages become stale."""
    line = work.strands.get(edit.strand_id or "")
    depth, before = edit.depth or 0, PageBefore.of(edit)
    page = read_page(work, story, line)
    old = before.memory if edit.state else rewritten(page.memory, edit.old, depth, Origin.PERSON)[0]
    if page.depth == depth or not _is_own(work, line, depth):
        replaced = page.memory
        write_page(work, line, page, old)
    else:
        replaced = work.steps.at(line.id, depth).memory
        work.steps.set_memory(line.id, depth, old)
        work.stale.add(later_pages(work, line, depth, f"the memory after step {depth} was edited"))
    for proposal in before.decided:
        work.proposals.add(proposal)
    work.revisions.add(
        revision(
            story,
            SHORT_MEMORY,
            replaced.text,
            old.text,
            strand=line,
            depth=depth,
            state=PageBefore(replaced).state(),
        )
    )


def _is_own(work: UnitOfWork, line: Strand, depth: int) -> bool:
    return line.fork_depth < depth <= work.steps.depth(line.id)


_UNDO: dict[str, Callable[[UnitOfWork, Story, Revision], Any]] = {
    PARAGRAPH: _undo_paragraph,
    SHORT_MEMORY: _undo_page,
    LORE: undo_lore,
    CHARACTER: undo_lore,
}
