"""The recurrence: a step is whole or not there, recalls its ancestors only, and takes its place."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.agents.calls import readable
from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled, Listener
from storyloom.app.recurrence import Wish, derived_seed
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.app.weaving import rebuild
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Piece, Request
from storyloom.memory.story import Origin, Step
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


class Watching(Listener):
    """Keeps what it hears; stops once ``stop_after`` pieces of text have come."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stages: list[str] = []
        self.text = ""
        self.steps: list[Step] = []
        self._left = stop_after

    def on_stage(self, stage: str, depth: int) -> None:  # noqa: ARG002
        self.stages.append(stage)

    def on_text(self, text: str) -> None:
        self.text += text
        if self._left is not None:
            self._left -= 1

    def on_redraw(self, reason: str) -> None:  # noqa: ARG002
        self.text = ""

    def on_step(self, step: Step) -> None:
        self.steps.append(step)

    def cancelled(self) -> bool:
        return self._left is not None and self._left <= 0


@pytest.fixture
def story(studio: Studio) -> str:
    """The id of a story with title and outline, and no step."""
    return studio.begin(Beginning(premise=PREMISE, seed=7), Listener()).story.id


def write(studio: Studio, story: str, number: int = 1, **wish: str | int) -> list[Step]:
    return list(studio.write(story, Listener(), paragraphs=number, wish=Wish(**wish)))  # type: ignore[arg-type]


def test_steps_follow_each_other_and_each_is_complete(studio: Studio, story: str) -> None:
    steps = write(studio, story, 5)
    assert [step.depth for step in steps] == [1, 2, 3, 4, 5]
    for step in steps:
        assert step.paragraph
        assert step.memory.text
        assert len({plan.text for plan in step.plans}) == 3
        assert all(plan.text for plan in step.plans)
        assert step.prompt_tokens > 0
    assert tuple(steps) == studio.show(story).steps


def test_the_editor_chooses_one_of_the_plans_that_were_offered(studio: Studio, story: str) -> None:
    first, second = write(studio, story, 2)
    assert second.plan in {plan.text for plan in first.plans}


def test_a_chosen_plan_and_a_plan_of_ones_own_are_followed(studio: Studio, story: str) -> None:
    (first,) = write(studio, story)
    (second,) = write(studio, story, choice=3)
    (third,) = write(studio, story, plan="Mara burns the letters.")
    assert second.plan == first.plans[2].text
    assert (third.plan, third.plan_origin) == ("Mara burns the letters.", Origin.PERSON)
    assert "Mara burns the letters." in _writer_prompt(studio, story, 3)


def test_a_plan_steers_only_the_first_of_several_steps(studio: Studio, story: str) -> None:
    steps = write(studio, story, 2, plan="Mara burns the letters.")
    assert steps[0].plan == "Mara burns the letters."
    assert steps[1].plan != steps[0].plan


def test_equal_seeds_write_equal_stories(studio: Studio) -> None:
    told = []
    for _ in range(2):
        story = studio.begin(Beginning(premise=PREMISE, seed=11), Listener()).story.id
        told.append([(step.paragraph, step.plan, step.seed) for step in write(studio, story, 3)])
    assert told[0] == told[1]
    other = studio.begin(Beginning(premise=PREMISE, seed=12), Listener()).story.id
    assert [step.paragraph for step in write(studio, other, 3)] != [paragraph for paragraph, _, _ in told[0]]


def test_seeds_are_distinct_and_fit_in_31_bits() -> None:
    seeds = {derived_seed(seed, place) for seed in range(20) for place in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_stages_come_in_order_and_the_stream_ends_in_the_step(studio: Studio, story: str) -> None:
    watching = Watching()
    list(studio.write(story, watching))
    told = [stage for stage in watching.stages if stage != "loading"]
    assert told == ["planning", "writing", "remembering", "planning", "saving"]
    assert len(watching.steps) == 1
    assert " ".join(watching.text.split()).startswith(watching.steps[0].paragraph.split(".")[0])


def test_recall_leaves_out_the_newest_steps_and_everything_that_is_no_ancestor(
    studio: Studio, story: str
) -> None:
    write(studio, story, 8)
    branch = studio.branch(story, at=5)
    list(studio.write(story, Listener(), paragraphs=4, strand=branch.id))
    main = studio.show(story).strand
    for depth in range(6, 10):
        recalled = [
            slot.source for slot in studio.provenance(story, depth, branch.id).slots if slot.slot == "recall"
        ]
        assert recalled
        for source in recalled:
            _, strand, place = source.split(":")
            assert int(place) < depth - 3 + 1
            assert strand == branch.id if int(place) > 5 else strand == main.id


def test_the_prompt_of_every_step_can_be_made_again(studio: Studio, story: str, tmp_path: Path) -> None:
    write(studio, story, 6)
    for depth in range(1, 7):
        found = studio.provenance(story, depth)
        assert found.weaving is not None
        prompt = rebuild(found.slots, found.weaving, Templates(tmp_path))
        assert readable(prompt) == _writer_prompt(studio, story, depth)


def test_an_able_model_sees_the_paragraph_before_the_last_and_never_one_twice(
    studio: Studio, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "parameters", 3_000_000_000)
    story = studio.begin(Beginning(premise=PREMISE, seed=7), Listener()).story.id
    steps = write(studio, story, 6)
    slots = studio.provenance(story, 6).slots
    last = [slot for slot in slots if slot.slot == "last"]
    assert [slot.source for slot in last] == ["step:4", "step:5"]
    assert steps[3].paragraph.endswith(last[0].text)
    assert last[1].text == steps[4].paragraph
    recalled = {slot.text for slot in slots if slot.slot == "recall"}
    assert recalled.isdisjoint({steps[3].paragraph, steps[4].paragraph})


def test_a_branch_goes_its_own_way_and_leaves_its_parent_alone(studio: Studio, story: str) -> None:
    before = write(studio, story, 4)
    branch = studio.branch(story, at=2)
    (step,) = studio.write(story, Listener(), strand=branch.id)
    assert step.depth == 3
    assert step.paragraph != before[2].paragraph
    assert list(studio.show(story).steps) == before
    assert [own.depth for own in studio.show(story, branch.id).steps] == [1, 2, 3]


def test_stopping_keeps_what_was_committed_and_offers_the_rest_back(studio: Studio, story: str) -> None:
    write(studio, story)
    with pytest.raises(Cancelled):
        list(studio.write(story, Watching(stop_after=2)))
    assert len(studio.show(story).steps) == 1
    (job,) = studio.interrupted(story)
    assert job.depth == 2
    assert job.journal.strip()
    write(studio, story)
    assert studio.show(story).steps[-1].depth == 2
    studio.dismiss(job)
    assert studio.interrupted(story) == []


def test_a_model_that_breaks_off_leaves_the_story_as_it_was(
    studio: Studio, story: str, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = write(studio, story)
    working = model.stream

    def breaking(_request: Request) -> Iterator[Piece]:
        yield Piece("Mara opened")
        raise ModelFailed("The engine stopped.")

    monkeypatch.setattr(model, "stream", breaking)
    with pytest.raises(ModelFailed, match="engine stopped"):
        write(studio, story)
    assert studio.show(story).steps == (first,)
    monkeypatch.setattr(model, "stream", working)
    (second,) = write(studio, story)
    assert second.depth == 2


def test_two_writers_at_once_lose_and_double_nothing(studio: Studio, story: str) -> None:
    done: list[int] = []

    def run() -> None:
        done.extend(step.depth for step in studio.write(story, Listener(), paragraphs=4))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(1, 9))
    assert [step.depth for step in studio.show(story).steps] == list(range(1, 9))


def test_a_step_that_lost_its_place_is_written_again_after_the_winner(
    studio: Studio, story: str, database: Database
) -> None:
    """Somebody who holds no lease commits in the middle of the step: the database holds the rule."""
    (first,) = write(studio, story)

    class Intruder(Listener):
        def on_stage(self, stage: str, depth: int) -> None:
            if stage == "saving" and depth == 2:
                with database.unit_of_work() as work:
                    work.steps.append(replace(first, depth=2, paragraph="The intruder wrote this."))
                    work.commit()

    (step,) = studio.write(story, Intruder())
    assert step.depth == 3
    assert [one.paragraph for one in studio.show(story).steps][1:] == [
        "The intruder wrote this.",
        step.paragraph,
    ]
    assert studio.interrupted(story) == []


def _writer_prompt(studio: Studio, story: str, depth: int) -> str:
    return next(call.prompt for call in studio.provenance(story, depth).calls if call.agent == "writer")
