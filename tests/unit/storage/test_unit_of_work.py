from collections.abc import Callable

import pytest

from storyloom.memory.errors import StoryNotFound
from storyloom.memory.story import Story
from storyloom.storage.database import Database


def test_what_is_committed_lasts(database: Database, new_story: Callable[..., Story]) -> None:
    story = new_story()
    with database.unit_of_work() as work:
        work.stories.add(story)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.stories.get(story.id) == story


def test_what_isnt_committed_goes(database: Database, new_story: Callable[..., Story]) -> None:
    story = new_story()
    with database.unit_of_work() as work:
        work.stories.add(story)
    with database.unit_of_work(write=False) as work, pytest.raises(StoryNotFound):
        work.stories.get(story.id)


def test_an_error_takes_everything_back(database: Database, new_story: Callable[..., Story]) -> None:
    story = new_story()

    def fail_halfway() -> None:
        with database.unit_of_work() as work:
            work.stories.add(story)
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    with database.unit_of_work(write=False) as work:
        assert not work.stories.exists(story.id)


def test_a_reading_unit_sees_one_moment_and_never_waits(
    database: Database, new_story: Callable[..., Story]
) -> None:
    with database.unit_of_work(write=False) as reader:
        assert reader.stories.list("local") == []
        with database.unit_of_work() as writer:
            writer.stories.add(new_story())
            writer.commit()
        assert reader.stories.list("local") == []
    with database.unit_of_work(write=False) as reader:
        assert len(reader.stories.list("local")) == 1


def test_a_reading_unit_cant_be_committed(database: Database) -> None:
    with database.unit_of_work(write=False) as work, pytest.raises(RuntimeError, match="only reads"):
        work.commit()


def test_no_connection_is_kept_after_the_block(database: Database, new_story: Callable[..., Story]) -> None:
    for _ in range(40):  # more than the pool holds
        with database.unit_of_work() as work:
            work.stories.add(new_story())
        with database.unit_of_work(write=False) as work:
            work.stories.list("local")
    assert database._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
