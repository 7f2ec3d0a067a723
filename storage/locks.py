"""Locks: on PostgreSQL whoever changes a story holds its row, and others who change it wait.

SQLite lets one writer at a time change anything, so there is nothing left to hold. PostgreSQL lets many:
with one lock a story, taken before anything is read that the change rests on, a story's writers come one
after another there too, and never wait for each other in a circle.
"""

from sqlmodel import Session, select

from storyloom.storage.tables import StoryRow, StrandRow

_HELD = "storyloom_held"


def hold_story(session: Session, story_id: str) -> None:
    """Hold a story until the unit of work ends; one that isn't there is no error."""
    if _is_new(session, story_id):
        _hold(session, story_id)


def hold_strand(session: Session, strand_id: str) -> None:
    """Hold the story that a strand belongs to; no such strand is no error."""
    if _is_new(session, strand_id):
        story_id = session.exec(select(StrandRow.story_id).where(StrandRow.id == strand_id)).first()
        if story_id is not None:
            hold_story(session, story_id)


def _is_new(session: Session, id_: str) -> bool:
    """Whether a lock is needed that this unit of work doesn't hold yet."""
    if session.get_bind().dialect.name == "sqlite":
        return False
    held: set[str] = session.info.setdefault(_HELD, set())
    new = id_ not in held
    held.add(id_)
    return new


def _hold(session: Session, story_id: str) -> None:
    # No key of a story ever changes: this weaker lock lets others insert rows that refer to it.
    session.exec(select(StoryRow.id).where(StoryRow.id == story_id).with_for_update(key_share=True)).first()
