"""Documents: texts beside a story. What recall finds of them are passages, which the caller keeps in step."""

from collections.abc import Iterable

from sqlalchemy import delete
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import Session, col, select

from storyloom.memory.story import Document
from storyloom.storage.locks import hold_story
from storyloom.storage.tables import DocumentRow


class Documents:
    """The documents of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, documents: Iterable[Document]) -> None:
        """Keep documents; each takes the place of its story's document of the same id."""
        for document in documents:
            hold_story(self._session, document.story_id)
            row = self._session.merge(
                DocumentRow(
                    story_id=document.story_id,
                    id=document.id,
                    text=document.text,
                    about=dict(document.about),
                )
            )
            flag_modified(row, "about")  # 1 and True are equal, and not the same
        self._session.flush()

    def get(self, story_id: str, ids: Iterable[str]) -> list[Document]:
        """The story's documents of these ids, in their order; those that aren't there are left out."""
        rows = (self._session.get(DocumentRow, (story_id, id_)) for id_ in ids)
        return [_document(row) for row in rows if row is not None]

    def of_story(self, story_id: str) -> list[Document]:
        """All documents of a story, by id."""
        query = select(DocumentRow).where(DocumentRow.story_id == story_id).order_by(col(DocumentRow.id))
        return [_document(row) for row in self._session.exec(query)]

    def remove(self, story_id: str, ids: Iterable[str]) -> None:
        """Remove the story's documents of these ids; one that isn't there is no error."""
        for id_ in ids:
            self._session.exec(
                delete(DocumentRow).where(col(DocumentRow.story_id) == story_id, col(DocumentRow.id) == id_)
            )


def _document(row: DocumentRow) -> Document:
    return Document(**row.model_dump())
