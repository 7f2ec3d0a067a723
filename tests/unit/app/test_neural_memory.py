"""The neural memory of a strand: a fold over its paragraphs, whatever happened between them."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from storyloom.app import neural_memory
from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled, Listener
from storyloom.app.studio import Studio
from storyloom.memory.neural import NeuralState, stays
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel, RecollectingModel
from tests.unit.app.conftest import open_studio

NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."


class Heard(Listener):
    """Notes what it is told, and stops once so many paragraphs were read again."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.notices: list[str] = []
        self.progress: list[tuple[int, int]] = []
        self._stop_after = stop_after

    def on_notice(self, text: str) -> None:
        self.notices.append(text)

    def on_progress(self, what: str, done: int, total: int) -> None:
        if what == neural_memory.READING:
            self.progress.append((done, total))

    def cancelled(self) -> bool:
        return len(self.progress) >= self._stop_after


@pytest.fixture
def model() -> RecollectingModel:
    return RecollectingModel()


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with six steps that the model hasn't read."""
    return studio.import_file(told(6), Listener()).id


def write(studio: Studio, story: str, paragraphs: int = 1, strand: str | None = None) -> None:
    list(studio.write(story, Listener(), paragraphs=paragraphs, strand=strand))


def folded(studio: Studio, story: str, depth: int, strand: str | None = None) -> bytes:
    """What a model remembers that reads the first steps one after the other."""
    texts = [step.paragraph for step in studio.show(story, strand).steps[:depth]]
    return reduce(lambda state, text: state + f"\n{text}".encode(), texts, b"recollecting")


def kept(database: Database, state: NeuralState) -> bytes | None:
    with database.unit_of_work(write=False) as work:
        return work.neural_states.data(state)


def overwrite(database: Database, state: NeuralState, data: bytes) -> None:
    with database.unit_of_work() as work:
        work.neural_states.put(state, data)
        work.commit()


def begun_with(model: InstantModel) -> set[bytes | None]:
    """The states that the model's last calls began with."""
    found = {request.state for request in model.requests}
    model.requests.clear()
    return found


def test_the_writer_begins_with_what_was_read_and_the_others_with_nothing(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    write(studio, story)
    begun_with(model)
    for depth in (8, 9):
        write(studio, story)
        assert begun_with(model) == {None, folded(studio, story, depth - 1)}


def test_a_state_is_kept_with_each_step(
    studio: Studio, story: str, model: RecollectingModel, database: Database
) -> None:
    write(studio, story, 3)
    assert model.read == [step.paragraph for step in studio.show(story).steps]
    states = studio.neural_states(story)
    assert list(states) == list(range(1, 10))
    for depth, state in states.items():
        whole = folded(studio, story, depth)
        assert (state.model, state.size, state.is_stale) == ("instant", len(whole), False)
        assert state.is_kept == stays(depth, 9, state.size)
        assert kept(database, state) == (whole if state.is_kept else None)


def test_the_first_step_begins_with_nothing(studio: Studio, model: RecollectingModel) -> None:
    story = studio.begin(Beginning(premise="Mara finds a door in the sea."), Listener()).story.id
    write(studio, story)
    assert begun_with(model) == {None}
    write(studio, story)
    assert begun_with(model) == {None, folded(studio, story, 1)}


def test_a_model_without_a_memory_leaves_none(
    database: Database, told: Callable[[int], Path], tmp_path: Path
) -> None:
    plain = InstantModel()
    studio = open_studio(database, plain, tmp_path)
    story = studio.import_file(told(2), Listener()).id
    write(studio, story)
    assert begun_with(plain) == {None}
    assert studio.neural_states(story) == {}


def test_text_depends_on_the_memory_and_not_on_restarts(
    database: Database, told: Callable[[int], Path], tmp_path: Path
) -> None:
    texts = []
    for sittings in ((4,), (1, 3), (1, 1, 1, 1)):
        for paragraphs in sittings:
            studio = open_studio(database, RecollectingModel(), tmp_path)
            if paragraphs == sittings[0] and studio.stories() == []:
                story = studio.import_file(told(2), Listener()).id
            write(studio, story, paragraphs)
        texts.append([step.paragraph for step in studio.show(story).steps])
        studio.delete(story)
    assert texts[0] == texts[1] == texts[2]
    studio = open_studio(database, InstantModel(), tmp_path)
    story = studio.import_file(told(2), Listener()).id
    write(studio, story, 4)
    assert [step.paragraph for step in studio.show(story).steps[2:]] != texts[0][2:]


def test_an_edit_makes_what_read_it_stale_and_the_next_step_reads_again(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    write(studio, story, 2)
    model.read.clear()
    studio.editing.paragraph(story, 7, NEW)
    assert [depth for depth, state in studio.neural_states(story).items() if state.is_stale] == [7, 8]
    heard = Heard()
    list(studio.write(story, heard))
    steps = studio.show(story).steps
    assert model.read == [step.paragraph for step in steps[6:]]
    assert heard.progress == [(0, 2), (1, 2), (2, 2)]
    assert folded(studio, story, 8) in begun_with(model)
    assert not any(state.is_stale for state in studio.neural_states(story).values())


def test_an_undone_edit_makes_nothing_stale(studio: Studio, story: str, model: RecollectingModel) -> None:
    write(studio, story, 2)
    model.read.clear()
    studio.editing.paragraph(story, 3, NEW)
    studio.editing.undo(story)
    write(studio, story)
    assert len(model.read) == 1


def test_an_edit_while_a_step_is_written_makes_its_state_stale(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    write(studio, story)

    class Editing(Listener):
        def on_stage(self, stage: str, depth: int) -> None:
            if stage == "writing":
                studio.editing.paragraph(story, depth - 1, NEW)

    list(studio.write(story, Editing()))
    assert [depth for depth, state in studio.neural_states(story).items() if state.is_stale] == [7, 8]
    begun_with(model)
    write(studio, story)
    assert folded(studio, story, 8) in begun_with(model)


def test_a_branch_goes_on_from_the_memory_where_it_forks(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    write(studio, story, 2)
    branch = studio.branch(story, at=7)
    model.read.clear()
    write(studio, story, strand=branch.id)
    own = studio.show(story, branch.id).steps[7].paragraph
    assert model.read == [own]
    assert studio.neural_states(story, branch.id)[8] != studio.neural_states(story)[8]
    assert folded(studio, story, 7) in begun_with(model)


def test_a_branch_from_a_step_without_a_kept_memory_reads_what_it_must(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    write(studio, story, 3)
    assert not studio.neural_states(story)[5].is_kept
    branch = studio.branch(story, at=5)
    model.read.clear()
    begun_with(model)
    write(studio, story, strand=branch.id)
    steps = studio.show(story, branch.id).steps
    assert model.read == [steps[4].paragraph, steps[5].paragraph]
    assert folded(studio, story, 5) in begun_with(model)


def test_an_edit_of_a_shared_step_reaches_every_branch(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    branch = studio.branch(story, at=5)
    write(studio, story, 2, branch.id)
    studio.editing.paragraph(story, 4, NEW)
    begun_with(model)
    write(studio, story, strand=branch.id)
    assert folded(studio, story, 7, branch.id) in begun_with(model)


def test_each_model_reads_for_itself(
    studio: Studio, story: str, model: RecollectingModel, database: Database, tmp_path: Path
) -> None:
    write(studio, story)
    other = RecollectingModel("another")
    write(open_studio(database, other, tmp_path), story)
    assert len(other.read) == 8
    model.read.clear()
    write(studio, story)
    assert len(model.read) == 2  # what the other wrote, and its own


def test_a_damaged_memory_is_told_and_read_again(
    studio: Studio, story: str, model: RecollectingModel, database: Database
) -> None:
    write(studio, story, 2)
    states = studio.neural_states(story)
    overwrite(database, states[8], b"rubbish")
    model.read.clear()
    begun_with(model)
    heard = Heard()
    list(studio.write(story, heard))
    assert heard.notices == ["The model's memory after step 8 is read again: This memory is damaged."]
    assert len(model.read) == 2
    assert folded(studio, story, 8) in begun_with(model)


def test_a_stop_while_it_is_read_again_keeps_what_was_read(
    studio: Studio, story: str, model: RecollectingModel
) -> None:
    with pytest.raises(Cancelled, match="3 of 6 paragraphs for the model's memory were read again"):
        list(studio.write(story, Heard(stop_after=3)))
    assert len(studio.show(story).steps) == 6
    assert len(model.read) == 3
    write(studio, story)
    # From the last of those whose bytes stayed, as it would when six are behind it.
    assert model.read[3:] == [step.paragraph for step in studio.show(story).steps[2:]]


def test_a_rebuild_reads_again_and_leaves_nothing_stale(
    studio: Studio, story: str, model: RecollectingModel, database: Database, tmp_path: Path
) -> None:
    write(open_studio(database, RecollectingModel("another"), tmp_path), story)
    write(studio, story, 2)
    studio.editing.paragraph(story, 8, NEW)
    model.read.clear()
    assert len(studio.rebuilding.stale_states(story)) == 2
    assert studio.rebuilding.rebuild(story, Listener()).states == 2
    assert model.read == [NEW, studio.show(story).steps[8].paragraph]
    assert studio.rebuilding.stale_states(story) == []
    studio.editing.paragraph(story, 2, NEW)
    # Six by each model of the steps from 2 to 7, and two by this one.
    assert len(studio.rebuilding.stale_states(story)) == 14
    assert studio.rebuilding.rebuild(story, Listener()).states == 8
    assert studio.rebuilding.stale_states(story) == []
    assert studio.rebuilding.rebuild(story, Listener()).states == 0


def test_what_is_too_large_is_held_while_the_process_lives(
    studio: Studio,
    story: str,
    model: RecollectingModel,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neural_memory, "MOST_BYTES", 100)
    heard = Heard()
    list(studio.write(story, heard, paragraphs=3))
    assert len(model.read) == 9
    assert len(heard.notices) == 1
    assert "more than the 0 MB that are kept with a step" in heard.notices[0]
    assert not any(state.is_kept for state in studio.neural_states(story).values())
    again = RecollectingModel()
    write(open_studio(database, again, tmp_path), story)
    assert len(again.read) == 10
