from dataclasses import dataclass, field

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.drafting import DraftListener, draft, strand_name
from storyloom.app.events import Cancelled, Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Strand

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@dataclass
class Ear(DraftListener):
    strands: list[Strand] = field(default_factory=list)
    stopped: bool = False

    def on_strand(self, strand: Strand) -> None:
        self.strands.append(strand)

    def cancelled(self) -> bool:
        return self.stopped


@pytest.fixture
def story(studio: Studio) -> str:
    begun = studio.begin(Beginning(premise=PREMISE, seed=7), Listener())
    list(studio.write(begun.story.id, Listener()))
    return begun.story.id


def test_each_plan_is_written_on_a_strand_of_its_own(studio: Studio, story: str) -> None:
    plans = [plan.text for plan in studio.show(story).steps[0].plans]
    ear = Ear()
    for plan in plans:
        draft(studio, story, plan, ear, at=1)
    assert [strand.fork_depth for strand in ear.strands] == [1, 1, 1]
    assert [strand.name for strand in ear.strands] == [strand_name(plan) for plan in plans]
    written = [studio.show(story, strand.id).steps for strand in ear.strands]
    assert [steps[-1].plan for steps in written] == plans
    assert len({steps[-1].paragraph for steps in written}) == 3
    assert len(studio.show(story).steps) == 1


def test_nothing_is_made_of_an_empty_plan_or_after_a_stop(studio: Studio, story: str) -> None:
    with pytest.raises(InvalidText):
        draft(studio, story, " ", Ear(), at=1)
    with pytest.raises(Cancelled):
        draft(studio, story, "Mara rows out.", Ear(stopped=True), at=1)
    assert len(studio.branches(story)) == 1


def test_a_strand_s_name_is_the_plan_s_first_words() -> None:
    assert strand_name("Mara  rows\nout.") == "Mara rows out"
    assert strand_name("word " * 30) == "word " * 11 + "word…"
    assert len(strand_name("x" * 500)) == 61
