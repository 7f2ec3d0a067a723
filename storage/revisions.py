"""Revisions: every edit by hand, with the value it replaced."""

from sqlmodel import Session, col, select

from storyloom.memory.story import Revision
from storyloom.storage import rows
from storyloom.storage.tables import RevisionRow


class Revisions:
    """The revisions of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, revision: Revision) -> None:
        """Keep a new revision."""
        self._session.add(rows.revision_row(revision))
        self._session.flush()

    def first(self, story_id: str, subject: str, strand_id: str, depth: int) -> Revision | None:
        """The oldest revision of something at a place of a strand: what stood there before any edit."""
        query = (
            select(RevisionRow)
            .where(RevisionRow.story_id == story_id)
            .where(RevisionRow.subject == subject)
            .where(RevisionRow.strand_id == strand_id)
            .where(RevisionRow.depth == depth)
            .order_by(col(RevisionRow.created_at), col(RevisionRow.id))
        )
        found = self._session.exec(query).first()
        return rows.revision(found) if found is not None else None

    def of_story(self, story_id: str) -> list[Revision]:
        """The story's revisions, newest first."""
        query = (
            select(RevisionRow)
            .where(RevisionRow.story_id == story_id)
            .order_by(col(RevisionRow.created_at).desc(), col(RevisionRow.id).desc())
        )
        return [rows.revision(row) for row in self._session.exec(query)]
