"""A story's strands: the tree that they are, two of them side by side, their names and their archive."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storyloom.app.given_text import LONGEST_TITLE, optional
from storyloom.app.shelf import Shelf
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Segment, Strand
from storyloom.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Branch:
    """A strand in its story's tree.

    Attributes:
        strand: the strand.
        depth: how many steps a reader of it sees.
        own: how many of them are its own.
    """

    strand: Strand
    depth: int
    own: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What two strands tell at one depth; None where one of them has ended."""

    depth: int
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two strands side by side.

    Attributes:
        left, right: the strands.
        shared: depth of the last step that they share; 0 when they share none.
        longest: steps of the longer one.
        pairs: their paragraphs after the fork, as many as were asked for.
    """

    left: Strand
    right: Strand
    shared: int
    longest: int
    pairs: tuple[Pair, ...]


class Strands:
    """The strands of one owner's stories.

    Args:
        shelf: whose stories.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def tree(self, reference: str) -> tuple[Branch, ...]:
        """Every strand of a story, oldest first; no step is read.

        Raises:
            StoryNotFound: there is no such story.
        """
        story, _ = self._shelf.find(reference)
        with self._shelf.database.unit_of_work(write=False) as work:
            own = work.strands.step_counts(story.id)
            return tuple(
                Branch(line, line.fork_depth + own[line.id], own[line.id])
                for line in work.strands.of_story(story.id)
            )

    def rename(self, reference: str, strand: str, name: str) -> Strand:
        """Name a strand; an empty name takes its name away.

        Raises:
            StoryNotFound, StrandNotFound: there is no such strand.
            InvalidText: the name is too long.
        """
        _, line = self._shelf.find(reference, strand)
        name = optional(name, "strand's name", LONGEST_TITLE)
        with self._shelf.database.unit_of_work() as work:
            work.strands.set_name(line.id, name)
            work.commit()
        return replace(line, name=name)

    def archive(self, reference: str, strand: str) -> Strand:
        """Put a strand out of the way: it keeps everything, and what forks from it still reads its steps.

        Raises:
            StoryNotFound, StrandNotFound: there is no such strand.
            InvalidText: it is the main strand.
        """
        _, line = self._shelf.find(reference, strand)
        if line.parent_id is None:
            raise InvalidText(
                "The main strand can't be archived, because every other strand begins in it. "
                "Archive another one."
            )
        return self._set_archived(line, True)

    def bring_back(self, reference: str, strand: str) -> Strand:
        """Take a strand out of the archive.

        Raises:
            StoryNotFound, StrandNotFound: there is no such strand.
        """
        _, line = self._shelf.find(reference, strand)
        return self._set_archived(line, False)

    def compare(self, reference: str, left: str, right: str, *, most: int) -> Comparison:
        """The first paragraphs of two strands after the fork, at most so many of each.

        Raises:
            StoryNotFound, StrandNotFound: there is no such strand.
        """
        _, one = self._shelf.find(reference, left)
        _, other = self._shelf.find(reference, right)
        with self._shelf.database.unit_of_work(write=False) as work:
            segments, others = work.steps.segments(one.id), work.steps.segments(other.id)
            shared = _shared(segments, others)
            longest = max(segments[0].depth, others[0].depth)
            last = min(longest, shared + most)
            told, retold = (_texts(work, line, shared + 1, last) for line in (one, other))
        pairs = (Pair(depth, told.get(depth), retold.get(depth)) for depth in range(shared + 1, last + 1))
        return Comparison(left=one, right=other, shared=shared, longest=longest, pairs=tuple(pairs))

    def _set_archived(self, line: Strand, archived: bool) -> Strand:
        with self._shelf.database.unit_of_work() as work:
            work.strands.set_archived(line.id, archived)
            work.commit()
        return replace(line, archived=archived)


def _texts(work: UnitOfWork, strand: Strand, first: int, last: int) -> dict[int, str]:
    return dict(work.steps.paragraphs(strand.id, first=first, last=last)) if first <= last else {}


def _shared(segments: Sequence[Segment], others: Sequence[Segment]) -> int:
    """Depth of the last step that two ancestries have in common."""
    shared = 0
    for one, other in zip(_owners(segments), _owners(others), strict=False):
        if one.strand_id != other.strand_id:
            break
        shared = min(one.depth, other.depth)
        if one.depth != other.depth:
            break
    return shared


def _owners(segments: Sequence[Segment]) -> list[Segment]:
    """Who owns the steps, from the first step on; a strand without a step of its own owns none."""
    owners: list[Segment] = []
    for segment in reversed(segments):
        if segment.depth > (owners[-1].depth if owners else 0):
            owners.append(segment)
    return owners
