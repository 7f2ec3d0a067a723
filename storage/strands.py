"""Strands: a story's main line and its branches."""

from sqlalchemy import func
from sqlmodel import Session, col, select

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.story import ShortMemory, Strand
from storyloom.storage import rows
from storyloom.storage.ancestry import head_depth
from storyloom.storage.tables import StepRow, StrandRow

_SHORTEST_PREFIX = 4


class Strands:
    """The strands of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, strand: Strand) -> None:
        """Keep a new strand. The story's first has no parent; every other forks from one of the story's.

        Raises:
            StrandNotFound: the story has no such parent, or the parent no step at the fork's depth.
        """
        if strand.parent_id is not None:
            parent = self.get(strand.parent_id)
            if parent.story_id != strand.story_id:
                raise StrandNotFound(
                    f"The strand {parent.id!r} belongs to another story and can't be branched here."
                )
            deepest = head_depth(self._session, parent.id)
            if not 0 <= strand.fork_depth <= deepest:
                raise StrandNotFound(
                    f"There is no step {strand.fork_depth} to branch from: the strand has {deepest}. "
                    "Choose one of these."
                )
        self._session.add(rows.strand_row(strand))
        self._session.flush()

    def get(self, strand_id: str) -> Strand:
        """The strand of exactly this id.

        Raises:
            StrandNotFound: there is none.
        """
        return rows.strand(self._row(strand_id))

    def find(self, story_id: str, reference: str) -> Strand:
        """The story's strand that a person means by an id, the beginning of one, or a name.

        Raises:
            StrandNotFound: no strand answers to it, or more than one does.
        """
        strands = self.of_story(story_id)
        for strand in strands:
            if strand.id == reference:
                return strand
        key = rows.title_key(reference)
        found = [
            strand
            for strand in strands
            if (key and rows.title_key(strand.name) == key)
            or (len(reference) >= _SHORTEST_PREFIX and strand.id.startswith(reference))
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise StrandNotFound(
                f"The story has no strand {reference[:80]!r}. `storyloom branches STORY` lists them."
            )
        named = ", ".join(strand.id for strand in found)
        raise StrandNotFound(f"{reference!r} could be any of these strands: {named}. Use the whole id.")

    def of_story(self, story_id: str) -> list[Strand]:
        """The story's strands, oldest first."""
        query = (
            select(StrandRow)
            .where(StrandRow.story_id == story_id)
            .order_by(col(StrandRow.created_at), col(StrandRow.id))
        )
        return [rows.strand(row) for row in self._session.exec(query)]

    def main(self, story_id: str) -> Strand:
        """The story's strand that forks from no other.

        Raises:
            StrandNotFound: the story has none, or doesn't exist.
        """
        query = select(StrandRow).where(StrandRow.story_id == story_id, col(StrandRow.parent_id).is_(None))
        row = self._session.exec(query).first()
        if row is None:
            raise StrandNotFound(
                f"The story {story_id!r} has no main strand. `storyloom list` shows all stories."
            )
        return rows.strand(row)

    def set_memory(self, strand_id: str, memory: ShortMemory | None) -> None:
        """Set or clear the short-term memory that stands in for the forked step's.

        Raises:
            StrandNotFound: there is no such strand.
        """
        self._row(strand_id).memory = None if memory is None else rows.dump_memory(memory)
        self._session.flush()

    def set_name(self, strand_id: str, name: str) -> None:
        """Name a strand; an empty name is none.

        Raises:
            StrandNotFound: there is no such strand.
        """
        self._row(strand_id).name = name
        self._session.flush()

    def set_archived(self, strand_id: str, archived: bool) -> None:
        """Put a strand out of the way, or bring it back; nothing of it changes.

        Raises:
            StrandNotFound: there is no such strand.
        """
        self._row(strand_id).archived = archived
        self._session.flush()

    def step_counts(self, story_id: str) -> dict[str, int]:
        """How many steps of its own each of the story's strands has."""
        query = (
            select(StrandRow.id, func.count(col(StepRow.words)))
            .select_from(StrandRow)
            .outerjoin(StepRow, col(StepRow.strand_id) == col(StrandRow.id))
            .where(StrandRow.story_id == story_id)
            .group_by(col(StrandRow.id))
        )
        return dict(self._session.exec(query).all())

    def _row(self, strand_id: str) -> StrandRow:
        row = self._session.get(StrandRow, strand_id)
        if row is None:
            raise StrandNotFound(f"There is no strand {strand_id!r}. `storyloom branches STORY` lists them.")
        return row
