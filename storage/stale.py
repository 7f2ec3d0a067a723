"""Stale marks: what was made from texts that have been edited since."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, delete, select

from storyloom.memory.story import Segment, Stale, StalePart
from storyloom.storage.locks import hold_strand
from storyloom.storage.tables import StaleRow

_AT_ONCE = 500  # depths that one statement names


class StaleMarks:
    """The stale marks of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, marks: Iterable[Stale]) -> None:
        """Keep new marks; a mark that is there already keeps its first cause."""
        new = {(mark.strand_id, mark.depth, mark.part.value): mark for mark in reversed(list(marks))}
        there: set[tuple[str, int, str]] = set()
        for strand_id in {key[0] for key in new}:
            hold_strand(self._session, strand_id)
            query = select(StaleRow.strand_id, StaleRow.depth, StaleRow.part)
            there.update(self._session.exec(query.where(StaleRow.strand_id == strand_id)))
        rows = [_fields(mark) for key, mark in reversed(new.items()) if key not in there]
        if rows:
            self._session.execute(insert(StaleRow), rows)

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

    def remove(self, marks: Iterable[Stale]) -> None:
        """Take marks away: what they stood on was refreshed, or a person lets it stand."""
        depths: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for mark in marks:
            depths[mark.strand_id, mark.part.value].append(mark.depth)
        for (strand_id, part), found in depths.items():
            for start in range(0, len(found), _AT_ONCE):
                several = found[start : start + _AT_ONCE]
                self._session.exec(
                    delete(StaleRow).where(
                        col(StaleRow.strand_id) == strand_id,
                        col(StaleRow.part) == part,
                        col(StaleRow.depth).in_(several),
                    )
                )


def _fields(mark: Stale) -> dict[str, Any]:
    return {
        "strand_id": mark.strand_id,
        "depth": mark.depth,
        "part": mark.part.value,
        "cause": mark.cause,
        "created_at": mark.created_at,
    }


def _mark(row: StaleRow) -> Stale:
    return Stale(**row.model_dump(exclude={"part"}), part=StalePart(row.part))
