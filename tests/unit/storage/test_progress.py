from collections.abc import Callable

import pytest

from storyloom.memory.progress import StepFigures
from storyloom.memory.story import JobState, Story, Strand
from storyloom.storage.database import Database


def test_only_later_steps_of_the_main_strand_are_read(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    grow("main", 1, 3, {2: "The bell rang twice."})
    branch("side", "main", 1)
    grow("side", 2, 5)
    with database.unit_of_work(write=False) as work:
        assert work.progress.steps_after(story.id, 1) == [
            StepFigures(depth=2, words=4, tokens=130, seconds=1.25),
            StepFigures(depth=3, words=4, tokens=130, seconds=1.25),
        ]
        assert work.progress.steps_after(story.id, 3) == []
        assert work.progress.steps_after("nobody", 0) == []


@pytest.mark.usefixtures("story")
def test_what_a_models_last_steps_cost(database: Database, grow: Callable[..., None]) -> None:
    grow("main", 1, 3)
    with database.unit_of_work(write=False) as work:
        two = work.progress.measured(work.steps.at("main", 1).model, 2)
        assert two is not None
        assert (two.words, two.completion_tokens, two.seconds) == (8, 260, 2.5)
        assert work.progress.measured("another", 2) is None


def test_words_at_hand_are_those_of_the_running_job(database: Database, story: Story) -> None:
    with database.unit_of_work() as work:
        assert work.progress.at_hand([story.id]) == {}
        job = work.jobs.claim("main", "w1", 4.0)
        assert job is not None
        work.jobs.write_journal(job.id, "w1", "She opened the")
        assert work.progress.at_hand([story.id, "another"]) == {story.id: "She opened the"}
        assert work.progress.at_hand([]) == {}
        work.jobs.finish(job.id, "w1", JobState.DONE)
        assert work.progress.at_hand([story.id]) == {}
