"""Rebuilding: what an edit made stale, made again as if it had been written in that order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.app.embedding import Embedding
from storyloom.app.events import Cancelled, Listener
from storyloom.app.neural_memory import NeuralMemory
from storyloom.app.rebuilding import Rebuilding, Rebuilt
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.memory.errors import ModelFailed
from storyloom.memory.story import Origin
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel, WordEmbedder

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."


class Heard(Listener):
    """Notes progress, and stops after so many looks."""

    def __init__(self, looks: int = 10**9) -> None:
        self.progress: list[tuple[str, int, int]] = []
        self._looks = looks

    def on_progress(self, what: str, done: int, total: int) -> None:
        self.progress.append((what, done, total))

    def cancelled(self) -> bool:
        self._looks -= 1
        return self._looks < 0


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with twelve steps, whose page was full more than once."""
    return studio.import_file(told(12), Listener()).id


def write(studio: Studio, story: str, paragraphs: int = 1, strand: str | None = None) -> None:
    list(studio.write(story, Listener(), paragraphs=paragraphs, strand=strand))


def pages(studio: Studio, story: str, strand: str | None = None) -> list[str]:
    return [step.memory.text for step in studio.show(story, strand).steps]


def test_what_is_not_stale_is_left_alone(studio: Studio, story: str) -> None:
    before = studio.show(story)
    heard = Heard()
    assert studio.rebuilding.rebuild(story, heard) == Rebuilt()
    assert studio.show(story) == before
    assert heard.progress == []


def test_an_edit_and_its_undo_rebuilt_give_every_page_back(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    assert any(step.dropped for step in before)
    studio.editing.paragraph(story, 3, NEW)
    made = studio.rebuilding.rebuild(story, Listener())
    assert (made.notes, made.pages, made.kept, made.vectors) == (1, 9, 0, 1)
    after = studio.show(story).steps
    assert [one.memory for one in after[:2]] == [one.memory for one in before[:2]]
    assert after[2].added != before[2].added
    assert after[2].added[0] in after[3].memory.notes
    assert before[2].added[0] not in {note for step in after for note in step.memory.notes}
    studio.editing.undo(story)
    studio.rebuilding.rebuild(story, Listener())
    again = studio.show(story).steps
    assert [(one.memory, one.added, one.dropped) for one in again] == [
        (one.memory, one.added, one.dropped) for one in before
    ]


def test_the_new_note_is_what_the_keeper_says_of_the_new_text(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 2, NEW)
    studio.rebuilding.rebuild(story, Listener())
    step = studio.show(story).steps[1]
    assert [note.text for note in step.added] == [NEW]
    assert (step.added[0].origin, step.added[0].depth) == (Origin.QUOTED, 2)
    assert studio.remembering.search(story, NEW)[0].text == NEW


def test_a_stop_keeps_what_was_made_and_the_next_run_goes_on(studio: Studio, story: str) -> None:
    for depth in (2, 5, 8):
        studio.editing.paragraph(story, depth, f"{NEW} It was step {depth}.")
    heard = Heard(3)
    with pytest.raises(Cancelled, match="4 of 11 steps"):  # two notes and the pages between them
        studio.rebuilding.rebuild(story, heard)
    stopped = studio.show(story).steps
    assert stopped[1].added[0].text.startswith("Elias")
    assert "note" not in {one.part.value for one in studio.editing.stale(story) if one.depth < 8}
    assert min(one.depth for one in studio.editing.stale(story)) == 6
    made = studio.rebuilding.rebuild(story, Listener())
    assert (made.notes, studio.editing.stale(story)) == (1, [])
    assert [one.memory for one in studio.show(story).steps[:5]] == [one.memory for one in stopped[:5]]


def test_a_rebuild_in_parts_is_the_rebuild_in_one(studio: Studio, story: str, tmp_path: Path) -> None:
    for depth in (2, 5, 8):
        studio.editing.paragraph(story, depth, f"{NEW} It was step {depth}.")
    file = studio.export(story, tmp_path / "edited.json")
    studio.rebuilding.rebuild(story, Listener())
    at_once = pages(studio, story)
    studio.delete(story)
    studio.import_file(file, Listener())
    for looks in (1, 2, 1):
        with pytest.raises(Cancelled):
            studio.rebuilding.rebuild(story, Heard(looks))
    studio.rebuilding.rebuild(story, Listener())
    assert pages(studio, story) == at_once


def test_a_page_by_hand_stands(studio: Studio, story: str) -> None:
    studio.remembering.rewrite(story, "The key is lost.")
    write(studio, story, 2)
    studio.editing.paragraph(story, 12, "By hand, too.")
    studio.editing.paragraph(story, 3, NEW)
    made = studio.rebuilding.rebuild(story, Listener())
    assert (made.notes, made.kept, made.pages) == (1, 1, 10)
    assert pages(studio, story)[11] == "The key is lost."
    assert NEW not in studio.remembering.page(story).text
    assert NEW in pages(studio, story)[10] or "whale" in pages(studio, story)[3]


def test_a_pin_does_not_keep_an_edit_from_spreading(studio: Studio, story: str) -> None:
    last = studio.remembering.page(story).notes[-2]
    studio.remembering.pin(story, last.text)
    studio.editing.paragraph(story, 12, NEW)
    studio.rebuilding.rebuild(story, Listener())
    page = studio.remembering.page(story)
    assert NEW in page.text
    assert [note.text for note in page.notes if note.pinned and note.depth] == [last.text]


def test_a_branch_is_rebuilt_with_the_steps_that_it_shares(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=5)
    write(studio, story, 3, branch.id)
    studio.editing.paragraph(story, 4, NEW)
    made = studio.rebuilding.rebuild(story, Listener(), branch.id)
    assert (made.notes, made.pages) == (1, 4)
    assert all(NEW in page for page in pages(studio, story, branch.id)[3:])
    assert min(one.depth for one in studio.editing.stale(story)) == 6
    studio.rebuilding.rebuild(story, Listener())
    assert studio.editing.stale(story) == []


def test_a_rebuilt_note_can_be_undone_and_the_edit_stays(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    studio.editing.paragraph(story, 3, NEW)
    studio.rebuilding.rebuild(story, Listener())
    rebuilt = next(one for one in studio.editing.revisions(story) if one.subject == "rebuilt_memory")
    studio.editing.undo(story, rebuilt.id)
    step = studio.show(story).steps[2]
    assert (step.paragraph, step.memory, step.added) == (NEW, before[2].memory, before[2].added)
    studio.rebuilding.rebuild(story, Listener())
    assert pages(studio, story) == [one.memory.text for one in before]


def test_where_a_person_approves_a_new_note_waits(studio: Studio, story: str) -> None:
    studio.settings.change(story, {"approve_memory": "true"})
    write(studio, story, 2)
    studio.remembering.decide(story, 13, approve=True)
    page = studio.remembering.page(story)
    studio.editing.paragraph(story, 13, NEW)
    studio.editing.paragraph(story, 14, NEW.replace("Elias", "Tom"))
    studio.rebuilding.rebuild(story, Listener())
    assert studio.remembering.page(story) == page
    proposed = studio.remembering.proposals(story)
    assert [(one.depth, one.added[0].text[:5]) for one in proposed] == [(13, "Elias"), (14, "Tom b")]
    new = studio.remembering.decide(story, None, approve=True)
    assert [note.depth for note in new.notes].count(13) == 1
    assert studio.show(story, last=1).steps[0].memory == new


def test_what_was_approved_survives_a_later_edit(studio: Studio, story: str) -> None:
    studio.settings.change(story, {"approve_memory": "true"})
    write(studio, story, 3)
    studio.remembering.decide(story, None, approve=True)
    studio.settings.change(story, {"approve_memory": "false"})
    approved = [note for note in studio.remembering.page(story).notes if note.depth in {13, 14}]
    assert len(approved) == 2
    studio.editing.paragraph(story, 15, NEW)
    studio.editing.paragraph(story, 11, "The whale of Elias ate the old lamp at noon.")
    studio.rebuilding.rebuild(story, Listener())
    page = studio.remembering.page(story)
    assert set(approved) < set(page.notes)
    assert NEW in page.text
    assert "The whale of Elias ate the old lamp at noon." in page.text


def test_an_edit_that_comes_while_the_model_notes_is_not_lost(
    studio: Studio, story: str, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.editing.paragraph(story, 3, NEW)
    stream: Callable[..., object] = model.stream
    left = [1]

    def meanwhile(request: object) -> object:
        if left:
            left.pop()
            studio.editing.paragraph(story, 3, NEW.replace("whale", "walrus"))
        return stream(request)

    monkeypatch.setattr(model, "stream", meanwhile)
    studio.rebuilding.rebuild(story, Listener())
    assert "walrus" in studio.show(story).steps[2].added[0].text
    assert studio.editing.stale(story) == []


def test_a_model_that_fails_keeps_what_came_before(
    studio: Studio, story: str, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.editing.paragraph(story, 3, NEW)
    studio.editing.paragraph(story, 6, "Tom went to sea in an old green boat.")

    def fail(_request: object) -> None:
        raise ModelFailed("The engine stopped.")

    calls = iter([model.stream])

    def once(request: object) -> object:
        return next(calls, fail)(request)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "stream", once)
    with pytest.raises(ModelFailed):
        studio.rebuilding.rebuild(story, Listener())
    assert {one.depth for one in studio.editing.stale(story)} <= set(range(3, 13))
    monkeypatch.undo()
    studio.rebuilding.rebuild(story, Listener())
    assert studio.editing.stale(story) == []


def test_without_a_stale_note_no_model_is_needed(studio: Studio, story: str, model: InstantModel) -> None:
    assert not studio.rebuilding.needs_keeper(story)
    studio.editing.paragraph(story, 3, NEW)
    assert studio.rebuilding.needs_keeper(story)
    studio.rebuilding.rebuild(story, Listener())
    studio.remembering.rewrite(story, "The key is lost.")
    write(studio, story)
    studio.editing.undo(story)
    assert not studio.rebuilding.needs_keeper(story)
    asked = len(model.requests)
    assert studio.rebuilding.rebuild(story, Listener()).pages == 1
    assert len(model.requests) == asked


class OtherEmbedder(WordEmbedder):
    """Makes vectors of another width."""

    name = "others"
    dimensions = 48


def test_a_changed_embedders_vectors_are_made_again(studio: Studio, story: str, database: Database) -> None:
    embedding = Embedding(database, OtherEmbedder())
    strand = studio.show(story).strand
    rebuilding = Rebuilding(Shelf(database, "local"), studio._castings, embedding, NeuralMemory(database))
    heard = Heard()
    made = rebuilding.rebuild(story, heard)
    assert made.vectors >= 12
    assert embedding.missing(strand) == 0
    assert heard.progress[0] == ("passages to embed", 0, made.vectors)
    assert heard.progress[-1] == ("passages to embed", made.vectors, made.vectors)
    with database.unit_of_work(write=False) as work:
        kept = {(one.embedder, len(one.vector or ())) for one in work.passages.of_strand(strand.id)}
    assert kept == {("others", 48)}
