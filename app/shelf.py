"""The shelf: whose stories these are, and how a person's words for one of them are understood."""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from storyloom.memory.story import Revision, Story, Strand
from storyloom.storage.database import Database


@dataclass(frozen=True, slots=True)
class Shelf:
    """The stories of one owner; nobody else's are found.

    Attributes:
        database: where they live.
        owner: whose they are.
    """

    database: Database
    owner: str

    def of_owner(self, owner: str) -> "Shelf":
        """Somebody else's stories in the same database."""
        return replace(self, owner=owner)

    def find(self, reference: str, strand: str | None = None) -> tuple[Story, Strand]:
        """A story and one of its strands, the main one by default.

        Args:
            reference: the story's id, the beginning of it, or its title.
            strand: the strand's id, the beginning of it, or its name.

        Raises:
            StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
        """
        with self.database.unit_of_work(write=False) as work:
            story = work.stories.find(reference, self.owner)
            line = work.strands.main(story.id) if strand is None else work.strands.find(story.id, strand)
        return story, line


def new_id() -> str:
    """Twelve hexadecimal digits: short enough to type, and a clash of two is a refused insert."""
    return secrets.token_hex(6)


def revision(
    story: Story,
    subject: str,
    old: str,
    new: str,
    *,
    strand: Strand | None = None,
    depth: int | None = None,
    state: dict[str, Any] | None = None,
) -> Revision:
    """An edit by hand, made now."""
    return Revision(
        id=new_id(),
        story_id=story.id,
        strand_id=strand.id if strand else None,
        depth=depth,
        subject=subject,
        old=old,
        new=new,
        created_at=datetime.now(UTC),
        state=state,
    )
