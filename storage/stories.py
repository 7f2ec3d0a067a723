"""Stories: kept, found by what a person types, listed and deleted."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, func, or_, update
from sqlmodel import Session, col, select

from storyloom.memory.errors import StepConflict, StoryNotFound
from storyloom.memory.story import Mode, Story, StorySummary
from storyloom.storage import rows
from storyloom.storage.tables import StepRow, StoryRow, StrandRow

_SHORTEST_PREFIX = 4
_MOST_NAMED = 5


class Stories:
    """The stories of one unit of work."""

    def __init__(self, session: Session, *, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock

    def add(self, story: Story) -> None:
        """Keep a new story."""
        self._session.add(StoryRow(**rows.story_fields(story)))
        self._session.flush()

    def get(self, story_id: str) -> Story:
        """The story of exactly this id, whoever owns it.

        Raises:
            StoryNotFound: there is none.
        """
        row = self._session.get(StoryRow, story_id)
        if row is None:
            raise _not_found(story_id)
        return rows.story(row)

    def exists(self, story_id: str) -> bool:
        """Whether a story has this id, whoever owns it."""
        return self._session.exec(select(StoryRow.id).where(StoryRow.id == story_id)).first() is not None

    def find(self, reference: str, owner: str) -> Story:
        """The owner's story that a person means by an id, the beginning of one, or a title.

        Args:
            reference: an id, at least the first 4 characters of an id, or a title in any letter case.
            owner: whose stories are looked through.

        Raises:
            StoryNotFound: no story answers to it, or more than one does.
        """
        mine = col(StoryRow.owner) == owner
        exact = self._session.exec(select(StoryRow).where(StoryRow.id == reference, mine)).first()
        if exact is not None:
            return rows.story(exact)
        answers = [col(StoryRow.title_key) == rows.title_key(reference)]
        if len(reference) >= _SHORTEST_PREFIX:
            answers.append(col(StoryRow.id).startswith(reference, autoescape=True))
        newest_first = col(StoryRow.updated_at).desc()
        found = self._session.exec(select(StoryRow).where(mine, or_(*answers)).order_by(newest_first)).all()
        if not found:
            raise _not_found(reference)
        if len(found) > 1:
            named = ", ".join(f"{row.id} ({row.title})" for row in found[:_MOST_NAMED])
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise StoryNotFound(
                f"{reference!r} could be any of {len(found)} stories: {named}{more}. Use the whole id."
            )
        return rows.story(found[0])

    def list(self, owner: str) -> list[StorySummary]:
        """The owner's stories, the last changed first, with the words and steps of their main strands."""
        totals = self._totals(owner)
        query = (
            select(StoryRow.id, StoryRow.title, StoryRow.mode, StoryRow.updated_at)
            .where(StoryRow.owner == owner)
            .order_by(col(StoryRow.updated_at).desc(), col(StoryRow.id))
        )
        found = []
        for story_id, title, mode, updated_at in self._session.exec(query):
            words, steps = totals.get(story_id, (0, 0))
            found.append(
                StorySummary(
                    id=story_id, title=title, mode=Mode(mode), words=words, steps=steps, updated_at=updated_at
                )
            )
        return found

    def save(self, story: Story) -> Story:
        """Keep a changed story; what comes back has the next version and the moment of the change.

        Raises:
            StepConflict: somebody else saved the story since this copy was read.
            StoryNotFound: the story was deleted meanwhile.
        """
        saved = replace(story, version=story.version + 1, updated_at=self._clock())
        change = (
            update(StoryRow)
            .where(col(StoryRow.id) == story.id, col(StoryRow.version) == story.version)
            .values(**rows.story_fields(saved))
        )
        if self._session.exec(change).rowcount == 1:
            return saved
        if not self.exists(story.id):
            raise _not_found(story.id)
        raise StepConflict(
            f"The story {story.title!r} was changed by somebody else meanwhile, and your change was not "
            "saved. Look at the story again and repeat the change."
        )

    def delete(self, story_id: str) -> None:
        """Delete a story and everything that belongs to it.

        Raises:
            StoryNotFound: there is none.
        """
        # The database's own foreign keys and triggers take the rest.
        if self._session.exec(delete(StoryRow).where(col(StoryRow.id) == story_id)).rowcount == 0:
            raise _not_found(story_id)

    def _totals(self, owner: str) -> dict[str, tuple[int, int]]:
        """(words, steps) of the main strands that have steps, by story."""
        query = (
            select(StrandRow.story_id, func.sum(StepRow.words), func.count(col(StepRow.words)))
            .join(StoryRow, col(StoryRow.id) == col(StrandRow.story_id))
            .join(StepRow, col(StepRow.strand_id) == col(StrandRow.id))
            .where(StoryRow.owner == owner, col(StrandRow.parent_id).is_(None))
            .group_by(col(StrandRow.story_id))
        )
        return {story_id: (words, steps) for story_id, words, steps in self._session.exec(query)}


def _not_found(reference: str) -> StoryNotFound:
    shown = reference if len(reference) <= 80 else reference[:80] + "…"
    return StoryNotFound(
        f"There is no story {shown!r}. `storyloom list` shows the ids and titles of all stories."
    )
