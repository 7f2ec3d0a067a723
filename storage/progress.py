"""Progress of stories without their texts: what a watcher asks many times a minute."""

from collections.abc import Collection

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from storyloom.memory.progress import Measured, StepFigures
from storyloom.memory.story import JobState
from storyloom.storage.tables import JobRow, StepRow, StrandRow

# Built once: a watcher runs it for every story that is being written.
_STEPS_AFTER = (
    select(StepRow.depth, StepRow.words, StepRow.completion_tokens, StepRow.seconds)
    .join(StrandRow, col(StrandRow.id) == col(StepRow.strand_id))
    .where(
        StrandRow.story_id == bindparam("story_id"),
        col(StrandRow.parent_id).is_(None),
        StepRow.depth > bindparam("depth"),
    )
    .order_by(col(StepRow.depth))
)


class Progress:
    """What the stories of one unit of work have come to, on their main strands."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def steps_after(self, story_id: str, depth: int) -> list[StepFigures]:
        """The story's steps deeper than ``depth``, oldest first; none where there is no such story.

        The cost goes by their number, not by the story's length.
        """
        found = self._session.exec(_STEPS_AFTER, params={"story_id": story_id, "depth": depth})
        return [StepFigures(*row) for row in found]

    def measured(self, model: str, last: int) -> Measured | None:
        """What a model's ``last`` steps cost, of any story; None where it wrote none."""
        lately = (
            select(StepRow.words, StepRow.prompt_tokens, StepRow.completion_tokens, StepRow.seconds)
            .where(StepRow.model == model)
            .order_by(col(StepRow.created_at).desc())
            .limit(last)
        )
        steps = self._session.exec(lately).all()
        if not steps:
            return None
        words, prompt_tokens, completion_tokens, seconds = map(sum, zip(*steps, strict=True))
        return Measured(
            words=words, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, seconds=seconds
        )

    def at_hand(self, story_ids: Collection[str]) -> dict[str, str]:
        """The words that have come of each paragraph being written, by story."""
        query = (
            select(StrandRow.story_id, JobRow.journal)
            .join(JobRow, col(JobRow.strand_id) == col(StrandRow.id))
            .where(
                col(StrandRow.story_id).in_(story_ids),
                col(StrandRow.parent_id).is_(None),
                JobRow.state == JobState.RUNNING.value,
            )
        )
        return dict(self._session.exec(query).all())
