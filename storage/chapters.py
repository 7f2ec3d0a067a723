"""Chapters: which steps begin one."""

from collections.abc import Iterable

from sqlalchemy import func
from sqlmodel import Session, col, select

from storyloom.memory.story import Chapter
from storyloom.storage import ancestry
from storyloom.storage.tables import ChapterRow


class Chapters:
    """The chapters of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, chapters: Iterable[Chapter]) -> None:
        """Keep new chapters; the steps that begin them must be there already."""
        self._session.add_all(
            ChapterRow(strand_id=chapter.strand_id, depth=chapter.depth, title=chapter.title)
            for chapter in chapters
        )
        self._session.flush()

    def of_strand(self, strand_id: str) -> list[Chapter]:
        """The chapters that the strand's own steps begin, by depth."""
        return self._between(strand_id, 1, None)

    def path(self, strand_id: str) -> list[Chapter]:
        """The chapters through ancestry, oldest first."""
        return [
            chapter
            for span in reversed(ancestry.spans(self._session, strand_id))
            for chapter in self._between(span.strand_id, span.after + 1, span.depth)
        ]

    def count(self, strand_id: str) -> int:
        """How many chapters begin through ancestry."""
        total = 0
        for span in ancestry.spans(self._session, strand_id):
            query = select(func.count()).select_from(ChapterRow).where(ChapterRow.strand_id == span.strand_id)
            inside = col(ChapterRow.depth).between(span.after + 1, span.depth)
            total += self._session.exec(query.where(inside)).one()
        return total

    def _between(self, strand_id: str, first: int, last: int | None) -> list[Chapter]:
        query = select(ChapterRow).where(ChapterRow.strand_id == strand_id, col(ChapterRow.depth) >= first)
        if last is not None:
            query = query.where(col(ChapterRow.depth) <= last)
        return [
            Chapter(**row.model_dump()) for row in self._session.exec(query.order_by(col(ChapterRow.depth)))
        ]
