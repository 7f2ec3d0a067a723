"""Steps: read along a strand's ancestry, appended one at a time, edited by hand."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from storyloom.memory.errors import StepConflict, StrandNotFound
from storyloom.memory.measures import StepMeasure
from storyloom.memory.story import MemoryChange, Origin, Plan, Segment, ShortMemory, Step
from storyloom.memory.text import count_words
from storyloom.storage import ancestry, rows
from storyloom.storage.ancestry import Span
from storyloom.storage.locks import hold_strand
from storyloom.storage.passages import Passages
from storyloom.storage.tables import StepRow, StoryRow, StrandRow

_ROWS_AT_A_TIME = 500


class Steps:
    """The steps of one unit of work. "Through ancestry" means that shared steps count as the strand's."""

    def __init__(self, session: Session, *, passages: Passages) -> None:
        self._session = session
        self._passages = passages

    def segments(self, strand_id: str) -> tuple[Segment, ...]:
        """The strand's ancestry: itself with its head's depth first, then its ancestors cut at the forks.

        Raises:
            StrandNotFound: there is no such strand (as from every method here).
        """
        return ancestry.segments(self._session, strand_id)

    def depth(self, strand_id: str) -> int:
        """Depth of the last step through ancestry; 0 when there is none."""
        return ancestry.head_depth(self._session, strand_id)

    def head(self, strand_id: str) -> Step | None:
        """The last step through ancestry."""
        spans = ancestry.spans(self._session, strand_id)
        return self._step_in(spans, spans[0].depth) if spans[0].depth else None

    def at(self, strand_id: str, depth: int) -> Step:
        """The step at a depth through ancestry.

        Raises:
            StrandNotFound: the strand has no such depth.
        """
        return self._step_in(ancestry.spans(self._session, strand_id), depth)

    def path(self, strand_id: str, first: int = 1, last: int | None = None) -> list[Step]:
        """Steps ``first`` to ``last`` through ancestry, oldest first; ``last=None`` is the head."""
        found: list[Step] = []
        spans = ancestry.spans(self._session, strand_id)
        for owner_id, low, high in _ranges(spans, first, last):
            query = select(StepRow).where(
                StepRow.strand_id == owner_id, col(StepRow.depth).between(low, high)
            )
            found += [rows.step(row) for row in self._session.exec(query.order_by(col(StepRow.depth)))]
        return found

    def paragraphs(self, strand_id: str, first: int = 1, last: int | None = None) -> list[tuple[int, str]]:
        """(depth, paragraph) of steps ``first`` to ``last`` through ancestry, oldest first."""
        found: list[tuple[int, str]] = []
        spans = ancestry.spans(self._session, strand_id)
        for owner_id, low, high in _ranges(spans, first, last):
            query = select(StepRow.depth, StepRow.paragraph).where(
                StepRow.strand_id == owner_id, col(StepRow.depth).between(low, high)
            )
            found += self._session.exec(query.order_by(col(StepRow.depth))).all()
        return found

    def words(self, strand_id: str) -> int:
        """How many words the paragraphs through ancestry have."""
        own, *shared = ancestry.spans(self._session, strand_id)
        # No depth for the strand's own: its index holds the words, and no row is read.
        total = self._sum(StepRow.strand_id == own.strand_id)
        for span in shared:
            depths = col(StepRow.depth).between(span.after + 1, span.depth)
            total += self._sum(StepRow.strand_id == span.strand_id, depths)
        return total

    def recent_plans(self, strand_id: str, limit: int) -> list[str]:
        """The plans that the last ``limit`` steps through ancestry followed, newest first."""
        found: list[str] = []
        spans = ancestry.spans(self._session, strand_id)
        for owner_id, low, high in _ranges(spans, spans[0].depth - limit + 1, None):
            query = select(StepRow.plan).where(
                StepRow.strand_id == owner_id, col(StepRow.depth).between(low, high)
            )
            found += self._session.exec(query.order_by(col(StepRow.depth))).all()
        return found[::-1]

    def memory_changes(self, strand_id: str, first: int = 1, last: int | None = None) -> list[MemoryChange]:
        """What steps ``first`` to ``last`` through ancestry changed in short-term memory, oldest first."""
        found: list[MemoryChange] = []
        for owner_id, low, high in _ranges(ancestry.spans(self._session, strand_id), first, last):
            query = select(StepRow.depth, StepRow.added, StepRow.dropped).where(
                StepRow.strand_id == owner_id, col(StepRow.depth).between(low, high)
            )
            found += [
                rows.memory_change(owner_id, *row)
                for row in self._session.exec(query.order_by(col(StepRow.depth)))
            ]
        return found

    def measures(self, strand_id: str, first: int = 1) -> list[StepMeasure]:
        """What the steps from ``first`` on through ancestry cost, oldest first; no paragraph is read."""
        found: list[StepMeasure] = []
        for owner_id, low, high in _ranges(ancestry.spans(self._session, strand_id), first, None):
            query = select(StepRow.depth, StepRow.memory, StepRow.seconds, StepRow.completion_tokens).where(
                StepRow.strand_id == owner_id, col(StepRow.depth).between(low, high)
            )
            found += [
                StepMeasure(depth, count_words(rows.load_memory(memory).text), seconds, tokens)
                for depth, memory, seconds, tokens in self._session.exec(query.order_by(col(StepRow.depth)))
            ]
        return found

    def append(self, step: Step) -> None:
        """Add the step that follows the strand's head; its story counts as changed at that moment.

        Raises:
            StepConflict: somebody else committed a step there first, or the step leaves a gap.
        """
        hold_strand(self._session, step.strand_id)
        deepest = self.depth(step.strand_id)
        if step.depth != deepest + 1:
            raise _conflict(step.depth, deepest)
        self._session.add(rows.step_row(step))
        try:
            self._session.flush()
        except IntegrityError as error:
            raise _conflict(step.depth, deepest) from error
        story_id = select(StrandRow.story_id).where(StrandRow.id == step.strand_id).scalar_subquery()
        self._session.exec(
            update(StoryRow)
            .where(col(StoryRow.id) == story_id)
            .values(updated_at=step.created_at)
            .execution_options(synchronize_session=False)
        )

    def restore(self, steps: Sequence[Step]) -> None:
        """Put steps in as they are, for an import that has checked their depths."""
        for start in range(0, len(steps), _ROWS_AT_A_TIME):  # a whole novel's rows would fill the memory
            self._session.add_all(rows.step_row(step) for step in steps[start : start + _ROWS_AT_A_TIME])
            self._session.flush()

    def set_memory(
        self,
        strand_id: str,
        depth: int,
        memory: ShortMemory,
        *,
        origin: Origin = Origin.PERSON,
        change: MemoryChange | None = None,
    ) -> None:
        """Replace the short-term memory after a step that the strand itself owns.

        Args:
            strand_id: the strand.
            depth: the step.
            memory: the new page.
            origin: where it comes from.
            change: what the step then counts as having changed; as before when it isn't given.

        Raises:
            StrandNotFound: the strand has no step of its own there.
        """
        row = self._held(strand_id, depth)
        row.memory = rows.dump_memory(memory)
        row.memory_origin = origin.value
        if change is not None:
            row.added, row.dropped = rows.dump_change(change)
        self._session.flush()

    def set_paragraph(self, strand_id: str, depth: int, text: str, *, origin: Origin = Origin.PERSON) -> None:
        """Replace the text of a step that the strand itself owns; its passage loses its vector.

        Raises:
            StrandNotFound: the strand has no step of its own there.
        """
        row = self._held(strand_id, depth)
        row.paragraph = text
        row.paragraph_origin = origin.value
        row.words = count_words(text)
        self._session.flush()
        self._passages.set_text(strand_id, depth, text)

    def set_plans(self, strand_id: str, depth: int, plans: Sequence[Plan]) -> None:
        """Replace the plans offered after a step that the strand itself owns.

        Raises:
            StrandNotFound: the strand has no step of its own there.
        """
        self._held(strand_id, depth).plans = rows.dump_plans(tuple(plans))
        self._session.flush()

    def _sum(self, *where: ColumnElement[bool] | bool) -> int:
        return self._session.exec(select(func.sum(StepRow.words)).where(*where)).one() or 0

    def _held(self, strand_id: str, depth: int) -> StepRow:
        hold_strand(self._session, strand_id)
        return self._row(strand_id, depth)

    def _row(self, strand_id: str, depth: int) -> StepRow:
        row = self._session.get(StepRow, (strand_id, depth))
        if row is None:
            raise StrandNotFound(
                f"The strand {strand_id!r} has no step {depth} of its own. A shared step belongs to the "
                "strand that it was written on: change it there."
            )
        return row

    def _step_in(self, spans: Sequence[Span], depth: int) -> Step:
        for span in spans:
            if span.after < depth <= span.depth:
                return rows.step(self._row(span.strand_id, depth))
        deepest = spans[0].depth
        raise StrandNotFound(
            f"There is no step {depth}: the strand has steps 1 to {deepest}."
            if deepest
            else "The strand has no step yet."
        )


def _ranges(spans: Sequence[Span], first: int, last: int | None) -> Iterator[tuple[str, int, int]]:
    """(owning strand, first depth, last depth) of each part of the path, oldest first."""
    for span in reversed(spans):
        low = max(first, span.after + 1)
        high = span.depth if last is None else min(last, span.depth)
        if low <= high:
            yield span.strand_id, low, high


def _conflict(depth: int, deepest: int) -> StepConflict:
    return StepConflict(
        f"Step {depth} can't be added: the strand has {deepest} steps by now, because another is writing "
        "it. Nothing of theirs was touched; continue from the new last step."
    )
