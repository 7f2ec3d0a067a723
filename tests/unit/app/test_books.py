"""Whole books: an order is written to its end, from wherever it was broken off, and nothing twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.books import Books
from storyloom.app.events import Cancelled, Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import (
    ImportRefused,
    InvalidSetting,
    InvalidText,
    StoryNotFound,
)
from storyloom.memory.generation import Piece, Request
from storyloom.memory.length import length_score
from storyloom.memory.orders import Order
from storyloom.memory.story import Mode, Origin, Step
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel
from tests.unit.app.conftest import open_studio

ORDER = Order(
    story_id="book00000001",
    premise="Mara keeps a lighthouse on a cliff and finds a door in the sea.",
    seed=7,
    paragraphs=4,
)
OUTLINE = "The Door: Mara finds a door in the sea.\nMara opens it at low tide.\nMara closes it for good."
CHAPTERS = replace(ORDER, outline=OUTLINE, paragraphs=7)
DISTURBED = {"paragraphs": ORDER, "words": replace(CHAPTERS, paragraphs=None, words=700)}


class Killed(BaseException):
    """The process ended: nobody catches this."""


@pytest.fixture
def books(studio: Studio) -> Books:
    """What writes them."""
    return Books(studio)


def told(steps: list[Step] | tuple[Step, ...]) -> list[tuple[int, str, str]]:
    return [(step.depth, step.plan, step.paragraph) for step in steps]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str, str]]]:
    """What orders become in a database of their own, nothing going wrong."""
    texts = {}
    for name, order in DISTURBED.items():
        folder = tmp_path_factory.mktemp(name)
        database = Database(f"sqlite:///{folder / 'book.db'}")
        texts[name] = told(
            list(Books(open_studio(database, InstantModel(), folder)).write(order, Listener()))
        )
        database.close()
    return texts


def test_an_order_is_written_to_its_end_and_not_beyond(books: Books, studio: Studio) -> None:
    order = replace(ORDER, mode=Mode.FICTION, language="de", style="spare", title="The Door")
    steps = list(books.write(order, Listener()))
    assert [step.depth for step in steps] == [1, 2, 3, 4]
    story = studio.show(order.story_id).story
    assert (story.mode, story.language, story.style, story.title) == ("fiction", "de", "spare", "The Door")
    assert list(books.write(order, Listener())) == []
    assert told(studio.show(order.story_id).steps) == told(steps)


@pytest.mark.parametrize(
    ("name", "stopped_at"),
    [*(("paragraphs", place) for place in (0, 5, 11, 16, 19)), *(("words", place) for place in (3, 14, 33))],
)
def test_a_book_broken_off_anywhere_ends_with_the_text_of_an_undisturbed_one(
    database: Database,
    model: InstantModel,
    tmp_path: Path,
    undisturbed: dict[str, list[tuple[int, str, str]]],
    name: str,
    stopped_at: int,
) -> None:
    working = model.stream

    def breaking(request: Request) -> Iterator[Piece]:
        if len(model.requests) == stopped_at:
            raise Killed
        yield from working(request)

    model.stream = breaking  # type: ignore[method-assign]
    with pytest.raises(Killed):
        list(Books(open_studio(database, model, tmp_path)).write(DISTURBED[name], Listener()))
    model.stream = working  # type: ignore[method-assign]
    # As another process would: nothing is known but what the database holds.
    studio = open_studio(database, model, tmp_path)
    list(Books(studio).write(DISTURBED[name], Listener()))
    assert told(studio.show(ORDER.story_id).steps) == undisturbed[name]
    assert len(chapters_of(studio, database)) == (3 if name == "words" else 0)


def test_stopping_keeps_what_is_committed(books: Books, studio: Studio) -> None:
    class Stopping(Listener):
        stopped = False

        def on_step(self, step: Step) -> None:
            self.stopped = step.depth == 2

        def cancelled(self) -> bool:
            return self.stopped

    with pytest.raises(Cancelled):
        list(books.write(ORDER, Stopping()))
    assert studio.progress(ORDER.story_id).paragraphs == 2
    assert [step.depth for step in books.write(ORDER, Listener())] == [3, 4]


def test_a_running_book_is_corrected_and_goes_on_with_the_correction(
    books: Books, studio: Studio, model: InstantModel
) -> None:
    """A person opens the novel while it is written, corrects memory and text, and lets it go on."""
    lie, truth = "Mara sold the lamp to a pedlar called Orsino.", "Mara keeps the lamp under the floor."

    class Correcting(Listener):
        asked = 0

        def on_step(self, step: Step) -> None:
            if step.depth == 2:
                studio.editing.paragraph(ORDER.story_id, 2, truth)
                studio.remembering.rewrite(ORDER.story_id, lie)
                self.asked = len(model.requests)

    correcting = Correcting()
    steps = list(books.write(ORDER, correcting))
    assert [step.depth for step in steps] == [1, 2, 3, 4]
    assert studio.show(ORDER.story_id).steps[1].paragraph == truth
    after = [str(request.prompt) for request in model.requests[correcting.asked :]]
    assert any(lie in text for text in after)
    assert any(truth in text for text in after)


def test_an_outline_and_a_title_that_are_given_are_kept_and_cost_no_model(
    books: Books, studio: Studio, model: InstantModel
) -> None:
    order = replace(ORDER, title="The Door", outline="Mara finds a door.\nShe opens it.", paragraphs=0)
    list(books.write(order, Listener()))
    assert studio.show(ORDER.story_id).story.outline == order.outline
    assert model.requests == []


def test_lore_comes_in_once_whatever_happens(books: Books, studio: Studio, tmp_path: Path) -> None:
    files = []
    for name in ("keeper", "sea"):
        book = {
            "entries": {"0": {"uid": 0, "key": [name], "content": f"The {name} is old.", "comment": name}}
        }
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(book), encoding="utf-8")
    broken = replace(ORDER, lore=(str(files[0]), str(tmp_path / "absent.json")))
    with pytest.raises(ImportRefused):
        list(books.write(broken, Listener()))
    assert studio.lore.entries.list(ORDER.story_id) == []
    order = replace(ORDER, lore=tuple(map(str, files)))
    for _ in range(2):
        list(books.write(order, Listener()))
        entries = studio.lore.entries.list(ORDER.story_id)
        assert [entry.content for entry in entries] == ["The keeper is old.", "The sea is old."]


def test_lore_has_ids_that_are_the_same_in_every_database(tmp_path: Path) -> None:
    file = tmp_path / "lore.json"
    entry = {"uid": 0, "key": ["door"], "content": "The door is old.", "probability": 50}
    file.write_text(json.dumps({"entries": {"0": entry}}), encoding="utf-8")
    ids = []
    for number in range(2):
        database = Database(f"sqlite:///{tmp_path / f'{number}.db'}")
        studio = open_studio(database, InstantModel(), tmp_path)
        list(Books(studio).write(replace(ORDER, lore=(str(file),), paragraphs=0), Listener()))
        ids.append([entry.id for entry in studio.lore.entries.list(ORDER.story_id)])
        database.close()
    assert ids[0] == ids[1]


def test_sampling_wins_over_the_profile_and_is_recorded(books: Books, model: InstantModel) -> None:
    steps = list(books.write(replace(ORDER, sampling={"temperature": 0.3, "top_k": 7}), Listener()))
    assert all(step.sampling["temperature"] == 0.3 and step.sampling["top_k"] == 7 for step in steps)
    assert all(step.sampling["min_p"] == 0.1 for step in steps)  # the profile's
    assert any(request.sampling.top_k == 7 for request in model.requests)


@pytest.mark.parametrize(
    "sampling", [{"heat": 1}, {"temperature": -1}, {"top_p": 2}, {"min_p": "much"}, {"top_k": 1.5}]
)
def test_sampling_that_cannot_be_used_is_refused_before_anything_is_kept(
    books: Books, studio: Studio, sampling: dict[str, float]
) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(sampling))):
        list(books.write(replace(ORDER, sampling=sampling), Listener()))
    assert studio.stories() == []


def test_the_text_is_exported_at_the_end_and_again(books: Books, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "book.md"
    order = replace(ORDER, exports=(str(file), str(tmp_path / "book.json")))
    steps = list(books.write(order, Listener()))
    assert all(step.paragraph[:40] in file.read_text(encoding="utf-8") for step in steps)
    file.write_text("old", encoding="utf-8")
    list(books.write(order, Listener()))
    assert steps[0].paragraph[:40] in file.read_text(encoding="utf-8")


def test_somebody_elses_story_is_left_alone(books: Books, studio: Studio) -> None:
    list(books.write(ORDER, Listener()))
    with pytest.raises(StoryNotFound):
        list(Books(studio.of_owner("stranger")).write(replace(ORDER, paragraphs=9), Listener()))
    assert studio.progress(ORDER.story_id).paragraphs == 4


def chapters_of(studio: Studio, database: Database) -> list[tuple[int, str]]:
    line = studio.show(ORDER.story_id).strand
    with database.unit_of_work(write=False) as work:
        return [(chapter.depth, chapter.title) for chapter in work.chapters.path(line.id)]


def test_each_chapter_begins_with_its_line_of_the_outline_and_has_a_title(
    books: Books, studio: Studio, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "book.md"
    steps = list(books.write(replace(CHAPTERS, exports=(str(file),)), Listener()))
    begun = chapters_of(studio, database)
    assert [depth for depth, _ in begun] == [1, 3, 6]
    assert [steps[depth - 1].plan for depth, _ in begun] == OUTLINE.splitlines()
    outlined = {step.depth for step in steps if step.plan_origin is Origin.OUTLINE}
    assert outlined == {depth for depth, _ in begun}
    assert begun[0][1] == "The Door"
    headings = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert headings == [f"## {title}" for _, title in begun]
    assert len(headings) == 3


def test_chapters_come_back_with_the_story(
    books: Books, studio: Studio, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "book.json"
    list(books.write(replace(CHAPTERS, exports=(str(file),)), Listener()))
    before, begun = studio.show(ORDER.story_id), chapters_of(studio, database)
    studio.delete(ORDER.story_id)
    studio.import_file(file, Listener())
    assert (studio.show(ORDER.story_id), chapters_of(studio, database)) == (before, begun)


def test_the_planner_makes_as_many_lines_as_there_are_chapters(
    books: Books, studio: Studio, database: Database
) -> None:
    list(books.write(replace(ORDER, chapters=3, paragraphs=6), Listener()))
    outline = studio.show(ORDER.story_id).story.outline.splitlines()
    assert len(outline) == 3
    steps = studio.show(ORDER.story_id).steps
    assert [steps[depth - 1].plan for depth, _ in chapters_of(studio, database)] == outline


@pytest.mark.parametrize("order", [ORDER, replace(ORDER, chapters=1), replace(ORDER, outline="Mara leaves.")])
def test_a_short_text_has_no_chapters(books: Books, studio: Studio, database: Database, order: Order) -> None:
    list(books.write(order, Listener()))
    assert chapters_of(studio, database) == []


@pytest.mark.parametrize("words", [600, 1100])
def test_words_are_met(books: Books, studio: Studio, words: int) -> None:
    list(books.write(replace(ORDER, paragraphs=None, words=words), Listener()))
    assert length_score(words, studio.progress(ORDER.story_id).words) >= 95


def test_an_able_model_has_its_chapter_in_sight(
    books: Books, studio: Studio, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "parameters", 3_000_000_000)
    list(books.write(CHAPTERS, Listener()))
    calls = [
        call for call in studio.provenance(ORDER.story_id, 4).calls if call.agent in {"writer", "planner"}
    ]
    assert {call.agent for call in calls} == {"writer", "planner"}
    assert all("In this chapter: Mara opens it at low tide." in call.prompt for call in calls)


def test_a_small_models_prompts_stay_as_they_are(books: Books, studio: Studio) -> None:
    list(books.write(CHAPTERS, Listener()))
    calls = studio.provenance(ORDER.story_id, 4).calls
    assert not any("In this chapter" in call.prompt for call in calls)


def test_an_order_without_a_length_is_refused(books: Books, studio: Studio) -> None:
    with pytest.raises(InvalidSetting, match="How long"):
        list(books.write(replace(ORDER, paragraphs=None), Listener()))
    assert studio.stories() == []


def test_an_outline_alone_is_enough_and_neither_is_not(books: Books, studio: Studio) -> None:
    list(books.write(replace(CHAPTERS, premise="", paragraphs=3), Listener()))
    assert studio.show(ORDER.story_id).story.premise == OUTLINE.splitlines()[0]
    with pytest.raises(InvalidText, match="premise"):
        list(books.write(replace(ORDER, story_id="book00000002", premise=""), Listener()))


def test_a_chapter_too_long_for_a_plan_is_refused_before_a_word_is_written(
    books: Books, studio: Studio
) -> None:
    outline = f"Mara finds a door.\n{'very ' * 1000}late.\nShe leaves."
    with pytest.raises(InvalidText, match="chapter"):
        list(books.write(replace(ORDER, outline=outline), Listener()))
    assert studio.progress(ORDER.story_id).paragraphs == 0
