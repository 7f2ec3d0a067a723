"""The studio: what a front can ask, whose stories it sees, and that nothing a person wrote is lost."""

from pathlib import Path

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.given_text import LONGEST_PREMISE
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import (
    ImportRefused,
    InvalidText,
    ModelFailed,
    StoryNotFound,
    StrandNotFound,
)
from storyloom.memory.story import Mode, Origin
from tests.stand_ins import InstantModel

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def story(studio: Studio) -> str:
    """The id of a story with four steps."""
    begun = studio.begin(Beginning(premise=PREMISE, seed=7), Listener()).story.id
    list(studio.write(begun, Listener(), paragraphs=4))
    return begun


def prompts(studio: Studio, story: str, depth: int, strand: str | None = None) -> str:
    return "\n".join(call.prompt for call in studio.provenance(story, depth, strand).calls)


def test_a_story_begins_with_title_and_outline_and_keeps_what_it_was_given(studio: Studio) -> None:
    begun = studio.begin(
        Beginning(premise=PREMISE, title="The Door", mode=Mode.FICTION, language="de", seed=3), Listener()
    ).story
    assert (begun.title, begun.premise, begun.mode, begun.language) == ("The Door", PREMISE, "fiction", "de")
    assert begun.outline
    assert begun.settings["seed"] == 3
    assert [one.title for one in studio.stories()] == ["The Door"]


def test_the_premise_survives_a_model_that_fails(
    studio: Studio, model: InstantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_request: object) -> None:
        raise ModelFailed("The engine stopped.")

    monkeypatch.setattr(model, "stream", fail)
    with pytest.raises(ModelFailed):
        studio.begin(Beginning(premise=PREMISE), Listener())
    (kept,) = studio.stories()
    assert studio.show(kept.id).story.premise == PREMISE


@pytest.mark.parametrize("premise", ["", "  \n ", "\x00\x01", "x" * (LONGEST_PREMISE + 1)])
def test_a_premise_that_cannot_be_used_is_refused(studio: Studio, premise: str) -> None:
    with pytest.raises(InvalidText, match="premise"):
        studio.begin(Beginning(premise=premise), Listener())
    assert studio.stories() == []


@pytest.mark.parametrize(
    "premise", ["مرا حارسة المنارة تجد بابا في البحر", "灯台守のマラが海に扉を見つける。"]
)
def test_premises_of_every_script_are_kept(studio: Studio, premise: str) -> None:
    begun = studio.begin(Beginning(premise=premise), Listener()).story
    assert studio.show(begun.id).story.premise == premise


def test_control_characters_are_taken_out(studio: Studio) -> None:
    begun = studio.begin(Beginning(premise="A door\x1b[31m in\r\nthe sea\x07 waits."), Listener()).story
    assert begun.premise == "A door[31m in\nthe sea waits."


def test_an_edit_of_short_memory_reaches_the_next_prompt_and_keeps_the_old(
    studio: Studio, story: str
) -> None:
    old = studio.remembering.page(story)
    new = studio.remembering.rewrite(story, "Mara has lost the key. The keeper is blind.")
    assert new.text == "Mara has lost the key. The keeper is blind."
    assert {note.origin for note in new.notes} == {Origin.PERSON}
    list(studio.write(story, Listener()))
    assert "The keeper is blind." in prompts(studio, story, 5)
    (revision,) = studio.editing.revisions(story)
    assert (revision.subject, revision.old, revision.new, revision.depth) == (
        "short_memory",
        old.text,
        new.text,
        4,
    )


def test_an_edit_on_a_fresh_branch_leaves_the_parent_alone(studio: Studio, story: str) -> None:
    before = studio.remembering.page(story)
    branch = studio.branch(story, at=4)
    studio.remembering.rewrite(story, "On this way the sea is dry.", branch.id)
    assert studio.remembering.page(story) == before
    list(studio.write(story, Listener(), strand=branch.id))
    list(studio.write(story, Listener()))
    assert "the sea is dry" in prompts(studio, story, 5, branch.id)
    assert "the sea is dry" not in prompts(studio, story, 5)


def test_memory_before_the_first_step_can_be_edited(studio: Studio) -> None:
    begun = studio.begin(Beginning(premise=PREMISE), Listener()).story.id
    assert studio.remembering.page(begun).text
    studio.remembering.rewrite(begun, "It is winter.")
    list(studio.write(begun, Listener()))
    assert "It is winter." in prompts(studio, begun, 1)


def test_search_finds_what_was_written(studio: Studio, story: str) -> None:
    wanted = studio.show(story).steps[1]
    found = studio.remembering.search(story, " ".join(wanted.paragraph.split()[3:9]))
    assert found[0].text == wanted.paragraph
    assert found[0].score is not None


def test_branches_are_listed_with_what_a_reader_sees(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=2, name="the other way")
    lines = studio.branches(story)
    assert [(line.parent_id, steps) for line, steps in lines] == [(None, 4), (lines[0][0].id, 2)]
    assert studio.show(story, "the other way").strand.id == branch.id


@pytest.mark.parametrize("depth", [0, 5, -1])
def test_a_branch_from_nowhere_is_refused(studio: Studio, story: str, depth: int) -> None:
    with pytest.raises(StrandNotFound):
        studio.branch(story, at=depth)


def test_a_choice_without_plans_is_refused(studio: Studio) -> None:
    begun = studio.begin(Beginning(premise=PREMISE), Listener()).story.id
    with pytest.raises(InvalidText, match="Plan 2"):
        list(studio.write(begun, Listener(), wish=Wish(choice=2)))


def test_an_unknown_story_is_told(studio: Studio) -> None:
    with pytest.raises(StoryNotFound, match="nowhere"):
        studio.show("nowhere")


def test_only_the_owner_sees_a_story(studio: Studio, story: str) -> None:
    stranger = studio.of_owner("stranger")
    assert stranger.stories() == []
    for ask in (
        stranger.show,
        stranger.branches,
        stranger.delete,
        stranger.remembering.page,
        stranger.remembering.blame,
        stranger.remembering.proposals,
        stranger.editing.revisions,
        stranger.editing.stale,
        stranger.editing.undo,
        stranger.settings.of,
        stranger.rebuilding.needs_keeper,
        stranger.rebuilding.stale_states,
        stranger.neural_states,
    ):
        with pytest.raises(StoryNotFound):
            ask(story)


def test_json_comes_back_equal_and_is_refused_twice(studio: Studio, story: str, tmp_path: Path) -> None:
    studio.branch(story, at=2)
    studio.remembering.rewrite(story, "Mara has lost the key.")
    first = studio.export(story, tmp_path / "first.json")
    with pytest.raises(ImportRefused):
        studio.import_file(first, Listener())
    before = studio.show(story)
    studio.delete(story)
    studio.import_file(first, Listener())
    assert studio.show(story) == before
    second = studio.export(story, tmp_path / "second.json")
    assert first.read_bytes() == second.read_bytes()


def test_nothing_in_the_trash_is_ever_replaced(studio: Studio, story: str) -> None:
    """Another user may have a story of the same id, once this one is deleted."""
    first = studio.delete(story)
    words = first.read_bytes()
    stranger = studio.of_owner("tom")
    stranger.import_file(first, Listener())
    stranger.settings.change(story, {"premise": "A thief keeps a lighthouse."})
    second = stranger.delete(story)
    assert second != first
    assert first.read_bytes() == words
    assert b"A thief" in second.read_bytes()


def test_a_deleted_story_lies_in_the_trash_and_can_come_back(studio: Studio, story: str) -> None:
    before = studio.show(story)
    kept = studio.delete(story)
    assert studio.stories() == []
    studio.import_file(kept, Listener())
    assert studio.show(story).steps == before.steps


def test_books_hold_the_paragraphs_of_the_strand(studio: Studio, story: str, tmp_path: Path) -> None:
    for suffix in (".md", ".txt"):
        book = studio.export(story, tmp_path / f"book{suffix}").read_text(encoding="utf-8")
        places = [book.index(step.paragraph[:40]) for step in studio.show(story).steps]
        assert places == sorted(places)


def test_last_shows_only_the_end(studio: Studio, story: str) -> None:
    assert [step.depth for step in studio.show(story, last=2).steps] == [3, 4]
