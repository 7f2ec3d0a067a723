"""Stale marks: what was made from texts that have been edited since."""

from collections.abc import Iterable, Sequence

from sqlmodel import Session, col, delete, select

from storyloom.memory.story import Segment, Stale, StalePart
from storyloom.storage.tables import StaleRow


class StaleMarks:
    """The stale marks of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, marks: Iterable[Stale]) -> None:
        """Keep new marks; a mark that is there already keeps its first cause."""
        for mark in marks:
            if self._session.get(StaleRow, (mark.strand_id, mark.depth, mark.part.value)) is None:
                self._session.add(_row(mark))
        self._session.flush()

    def path(self, segments: Sequence[Segment]) -> list[Stale]:
        """The marks on a strand's steps through ancestry, oldest step first."""
        found: list[Stale] = []
        for segment in segments:
            query = select(StaleRow).where(
                StaleRow.strand_id == segment.strand_id, col(StaleRow.depth) <= segment.depth
            )
            found += [_mark(row) for row in self._session.exec(query)]
        return sorted(found, key=lambda mark: (mark.depth, mark.part))

    def of_strand(self, strand_id: str) -> list[Stale]:
        """The marks on the strand's own steps, by depth."""
        query = select(StaleRow).where(StaleRow.strand_id == strand_id)
        order = (col(StaleRow.depth), col(StaleRow.part))
        return [_mark(row) for row in self._session.exec(query.order_by(*order))]

    def remove(self, strand_id: str, depth: int, parts: Iterable[StalePart]) -> None:
        """Take marks away: what they stood on was refreshed, or a person lets it stand."""
        self._session.exec(
            delete(StaleRow).where(
                col(StaleRow.strand_id) == strand_id,
                col(StaleRow.depth) == depth,
                col(StaleRow.part).in_([part.value for part in parts]),
            )
        )


def _row(mark: Stale) -> StaleRow:
    return StaleRow(
        strand_id=mark.strand_id,
        depth=mark.depth,
        part=mark.part.value,
        cause=mark.cause,
        created_at=mark.created_at,
    )


def _mark(row: StaleRow) -> Stale:
    return Stale(**row.model_dump(exclude={"part"}), part=StalePart(row.part))
