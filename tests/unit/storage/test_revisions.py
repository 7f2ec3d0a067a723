from collections.abc import Callable
from datetime import timedelta

from storyloom.memory.story import Revision, Story
from storyloom.storage.database import Database


def test_revisions_come_back_newest_first_and_only_the_storys(
    database: Database, story: Story, new_story: Callable[..., Story]
) -> None:
    def revision(number: int, story_id: str, **place: object) -> Revision:
        return Revision(
            id=f"r{number}",
            story_id=story_id,
            strand_id=place.get("strand_id"),  # type: ignore[arg-type]
            depth=place.get("depth"),  # type: ignore[arg-type]
            subject="short_memory",
            old="old \x01 text",
            new="",
            created_at=story.created_at + timedelta(seconds=number % 3),
        )

    other = new_story()
    ours = [revision(number, story.id, strand_id="main", depth=number) for number in range(3)]
    ours.append(revision(5, story.id))
    with database.unit_of_work() as work:
        work.stories.add(other)
        for made in (*ours, revision(9, other.id)):
            work.revisions.add(made)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.revisions.of_story(story.id) == [ours[3], ours[2], ours[1], ours[0]]
        assert work.revisions.of_story("nothing") == []
