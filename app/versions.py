"""Versions: other paragraphs in a paragraph's place, and the text cut, filled in or shortened at any place.

Nothing is ever lost: each change is a new strand that shares everything before it, and the old one stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from storyloom.app.copies import Move, carry_along, keep_chapters, keep_steps
from storyloom.app.given_text import LONGEST_PARAGRAPH, required
from storyloom.app.manuscripts import quoted, step_by_hand
from storyloom.app.memory_page import page_at
from storyloom.app.recurrence import Wish
from storyloom.app.shelf import Shelf, new_id
from storyloom.app.stale_pages import later_pages
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import (
    MemoryChange,
    Origin,
    Segment,
    ShortMemory,
    Stale,
    StalePart,
    Step,
    Story,
    Strand,
)
from storyloom.memory.text import sentence_starts
from storyloom.storage.ancestry import owner
from storyloom.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of the paragraphs that can follow what stands before it.

    Attributes:
        step: the step that has it.
        strand: a strand to read it on.
        sharing: how many strands have the step, archived ones too.
        is_shown: whether it is the one of the strand that was asked about.
    """

    step: Step
    strand: Strand
    sharing: int
    is_shown: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a paragraph can be cut in two, and the sentence that begins there."""

    at: int
    sentence: str


class Versions:
    """Other versions of paragraphs, and strands whose paragraphs stand otherwise.

    Args:
        shelf: whose stories.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def alternatives(self, reference: str, depth: int, strand: str | None = None) -> tuple[Alternative, ...]:
        """The steps at a depth on all strands that are the same before it, oldest first.

        What is on archived strands alone is left out, unless it is the one that was asked about.

        Raises:
            StrandNotFound: the strand has no step at that depth.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            shown = work.steps.at(line.id, depth)
            before = _owner_before(work.steps.segments(line.id), depth)
            holders: dict[str, list[Strand]] = {}
            lengths: dict[str, int] = {}
            for other in work.strands.of_story(story.id):
                segments = work.steps.segments(other.id)
                lengths[other.id] = segments[0].depth
                if segments[0].depth >= depth and _owner_before(segments, depth) == before:
                    holders.setdefault(owner(segments, depth), []).append(other)
            readable = {
                one: [strand for strand in strands if strand.id == line.id or not strand.archived]
                for one, strands in holders.items()
            }
            steps = {one: work.steps.at(one, depth) for one, strands in readable.items() if strands}
        order = sorted(steps, key=lambda one: (steps[one].created_at, list(holders).index(one)))
        return tuple(
            Alternative(
                step=steps[one],
                strand=line if one == shown.strand_id else _longest(readable[one], lengths),
                sharing=len(holders[one]),
                is_shown=one == shown.strand_id,
            )
            for one in order
        )

    def again(self, reference: str, depth: int, strand: str | None = None) -> Strand:
        """A new strand on which another version of a paragraph can be written: it ends right before it.

        Raises:
            StrandNotFound: the strand has no step at that depth.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            new = _fork(work, line, depth, f"Another paragraph {depth}")
            work.stories.save(story)
            work.commit()
        return new

    def same_plan(self, reference: str, depth: int, strand: str | None = None) -> Wish:
        """The wish for a paragraph by the plan that the one at ``depth`` followed.

        A plan that was offered is chosen again, so that it stays known whose it is.
        """
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            plan = work.steps.at(line.id, depth).plan
            offered = work.steps.at(line.id, depth - 1).plans if depth > 1 else ()
        choices = (number for number, one in enumerate(offered, start=1) if one.text == plan)
        choice = next(choices, None)
        return Wish(plan=plan) if choice is None else Wish(choice=choice)

    def cuts(self, reference: str, depth: int, strand: str | None = None) -> tuple[Cut, ...]:
        """Where a paragraph can be cut in two: before each of its sentences but the first."""
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            text = work.steps.at(line.id, depth).paragraph
        starts = sentence_starts(text, story.language)[1:]
        return tuple(Cut(at, text[at:end].strip()) for at, end in pairwise([*starts, len(text)]))

    def split(self, reference: str, depth: int, at: int, strand: str | None = None) -> Strand:
        """A new strand on which a paragraph is two, the second beginning with the character at ``at``.

        Memory knows of both after the second what it knew after the whole.

        Raises:
            StrandNotFound: the strand has no step at that depth.
            InvalidText: one of the two would be empty.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            whole = work.steps.at(line.id, depth)
            first, second = whole.paragraph[: max(at, 0)].strip(), whole.paragraph[max(at, 0) :].strip()
            if not first or not second:
                raise InvalidText("There is nothing to split there. Choose a place inside the paragraph.")
            new = _fork(work, line, depth, f"Paragraph {depth} in two")
            half = _first_half(whole, first, _page_before(work, story, new), new)
            _follow(work, story, line, Move(first=depth, by=1, strand_id=new.id), [half])
            work.steps.set_paragraph(new.id, depth + 1, second, origin=whole.paragraph_origin)
            work.provenance.add(new.id, depth, work.provenance.get(whole.strand_id, depth))
            keep_chapters(work, line, new, lambda at: at + (at > depth))
            work.stories.save(story)
            work.commit()
        return new

    def insert(self, reference: str, before_depth: int, text: str, strand: str | None = None) -> Strand:
        """A new strand with a person's paragraph before another one.

        Memory quotes it; what the memory keeper would note of it, and every later page, are stale.

        Raises:
            StrandNotFound: the strand has no step at that depth.
            InvalidText: the text is empty or too long.
        """
        text = required(text, "paragraph", LONGEST_PARAGRAPH)
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            new = _fork(work, line, before_depth, f"With a new paragraph {before_depth}")
            move = Move(first=before_depth, by=1, strand_id=new.id)
            _follow(work, story, line, move, [_by_hand(work, story, new, text)])
            keep_chapters(work, line, new, lambda at: at + 1)
            cause = f"a paragraph was inserted as step {before_depth}"
            note = Stale(
                strand_id=new.id,
                depth=before_depth,
                part=StalePart.NOTE,
                cause=cause,
                created_at=new.created_at,
            )
            work.stale.add([note, *later_pages(work, new, before_depth, cause)])
            work.stories.save(story)
            work.commit()
        return new

    def remove(self, reference: str, depth: int, strand: str | None = None) -> Strand:
        """A new strand without a paragraph; the pages of memory after it are stale.

        Raises:
            StrandNotFound: the strand has no step at that depth.
        """
        story, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work() as work:
            new = _fork(work, line, depth, f"Without paragraph {depth}")
            _follow(work, story, line, Move(first=depth + 1, by=-1, strand_id=new.id), [])
            keep_chapters(work, line, new, lambda at: max(depth, at - 1))
            cause = f"the paragraph of step {depth} was taken out"
            work.stale.add(later_pages(work, new, depth - 1, cause))
            work.stories.save(story)
            work.commit()
        return new


def _fork(work: UnitOfWork, line: Strand, depth: int, name: str) -> Strand:
    """A new strand that shares everything before a step, the memory that the step was written with too."""
    step = work.steps.at(line.id, depth)
    wrote = work.strands.get(step.strand_id)
    new = Strand(
        id=new_id(),
        story_id=line.story_id,
        created_at=datetime.now(UTC),
        parent_id=line.id,
        fork_depth=depth - 1,
        name=name,
        memory=wrote.memory if wrote.fork_depth == depth - 1 else None,
    )
    work.strands.add(new)
    return new


def _follow(work: UnitOfWork, story: Story, line: Strand, move: Move, before: Sequence[Step]) -> None:
    """Keep the first steps of a new strand, and the later ones of the old strand after them."""
    later = work.steps.path(line.id, first=move.first)
    now = datetime.now(UTC)
    keep_steps(work, story, [*before, *(move.step(step, now) for step in later)])
    carry_along(work, line, later, move)


def _by_hand(work: UnitOfWork, story: Story, new: Strand, text: str) -> Step:
    """A person's paragraph as the first step of a new strand."""
    last = work.steps.at(new.id, new.fork_depth).paragraph if new.fork_depth else ""
    change = MemoryChange(strand_id=new.id, depth=new.fork_depth + 1, added=(), dropped=())
    memory, change = quoted(story, _page_before(work, story, new), change, text, last)
    return step_by_hand(text, memory, change, new.created_at)


def _first_half(whole: Step, text: str, page: ShortMemory, new: Strand) -> Step:
    """The first half of a step that is cut in two. What the whole cost counts once, with the second."""
    return replace(
        whole,
        strand_id=new.id,
        paragraph=text,
        memory=page,
        memory_origin=Origin.CARRIED,
        added=(),
        dropped=(),
        plans=(),
        seconds=0.0,
        prompt_tokens=0,
        completion_tokens=0,
        created_at=new.created_at,
    )


def _page_before(work: UnitOfWork, story: Story, new: Strand) -> ShortMemory:
    """The page of memory that the first step of a new strand is written with."""
    return page_at(story, new, work.steps.at(new.id, new.fork_depth) if new.fork_depth else None).memory


def _owner_before(segments: Sequence[Segment], depth: int) -> str:
    """The strand that owns the step before a depth: with it the whole path is the same."""
    return owner(segments, depth - 1) if depth > 1 else ""


def _longest(strands: Sequence[Strand], lengths: dict[str, int]) -> Strand:
    """The strand with the most paragraphs; the newest of several."""
    return max(reversed(strands), key=lambda one: lengths[one.id])
