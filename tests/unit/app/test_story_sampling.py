"""A story's sampling: chosen by a preset or by values, kept as one revision, and drawn with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.presets import OURS
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidSetting
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel
from tests.unit.app.conftest import open_studio


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with one step."""
    return studio.import_file(told(1), Listener()).id


class StandardServer(InstantModel):
    """Knows no more than OpenAI's own servers."""

    features = frozenset({"completion", "temperature", "top_p"})


def drawn_with(studio: Studio, story: str) -> dict[str, object]:
    """What the next paragraph records of its sampling."""
    (step,) = studio.write(story, Listener())
    return dict(step.sampling)


def test_every_preset_reaches_the_next_paragraph(studio: Studio, story: str, model: InstantModel) -> None:
    before = drawn_with(studio, story)
    assert studio.sampling.of(story).preset == "Balanced"
    for preset in OURS:
        chosen, drawn = studio.sampling.choose(story, preset.name.upper())
        assert (chosen, drawn.preset, dict(drawn.own)) == (preset, preset.name, dict(preset.values))
        recorded = drawn_with(studio, story)
        assert recorded == drawn.values == {**before, **preset.values}
        asked = next(request for request in reversed(model.requests) if request.sampling.repetition_penalty)
        for name, value in preset.values.items():
            if name != "temperature":  # each redraw is a little hotter
                assert getattr(asked.sampling, name) == value
    studio.sampling.choose(story, "Balanced")
    assert "sampling" not in studio.show(story).story.settings
    assert drawn_with(studio, story) == before


def test_a_choice_is_one_revision_and_can_be_undone_and_redone(studio: Studio, story: str) -> None:
    studio.sampling.choose(story, "Wild")
    studio.sampling.choose(story, "Wild")
    assert len(studio.editing.revisions(story)) == 1
    studio.sampling.choose(story, "Steady")
    assert len(studio.editing.revisions(story)) == 2
    studio.editing.undo(story)
    assert studio.sampling.of(story).preset == "Wild"
    studio.editing.undo(story)
    assert studio.sampling.of(story).preset == "Steady"


def test_values_that_are_the_profiles_are_not_the_storys(studio: Studio, story: str) -> None:
    now = studio.sampling.of(story)
    unasked = {"top_k": 0, "top_p": 1.0, "dry_multiplier": 0.0, "xtc_probability": 0.0, "xtc_threshold": 0.1}
    assert studio.sampling.change(story, {**now.values, **unasked}) == now
    assert studio.editing.revisions(story) == []
    changed = studio.sampling.change(story, {**now.values, "temperature": 0.66, "min_p": 0.0})
    assert dict(changed.own) == {"temperature": 0.66, "min_p": 0.0}  # the profile cuts; the story doesn't
    assert changed.preset == ""
    assert dict(studio.sampling.change(story, {"min_p": 0.1}).own) == {"temperature": 0.66}
    assert drawn_with(studio, story)["temperature"] == 0.66
    with pytest.raises(InvalidSetting, match="top_p"):
        studio.sampling.change(story, {"top_p": 3})


def test_an_own_preset_is_chosen_and_known(studio: Studio, story: str) -> None:
    studio.presets.save("Mist", {"temperature": 0.6, "xtc_probability": 0.5})
    assert studio.sampling.choose(story, "mist")[1].preset == "Mist"
    assert drawn_with(studio, story)["xtc_probability"] == 0.5
    with pytest.raises(InvalidSetting, match="no preset 'Fog'"):
        studio.sampling.choose(story, "Fog")


def test_what_an_engine_lacks_is_left_out(
    database: Database, tmp_path: Path, told: Callable[[int], Path]
) -> None:
    studio = open_studio(database, StandardServer(), tmp_path)
    story = studio.import_file(told(1), Listener()).id
    _, drawn = studio.sampling.choose(story, "Wild")
    assert dict(drawn.own) == {"temperature": 1.25, "top_p": 0.95}
    assert drawn.preset == "Wild"
    assert set(drawn.profile) == {"temperature"}


def test_the_command_lines_names_are_the_same_settings(studio: Studio, story: str) -> None:
    assert studio.settings.change(story, {"sampling.temperature": "0.5"})["sampling.temperature"] == 0.5
    assert dict(studio.sampling.of(story).own) == {"temperature": 0.5}
    told = studio.settings.change(story, {"sampling": '{"min_p": 0.2, "dry_breakers": ["."]}'})
    assert (told["sampling.temperature"], told["sampling.min_p"]) == (None, 0.2)
    assert drawn_with(studio, story)["dry_breakers"] == (".",)
    assert studio.settings.change(story, {"sampling": ""})["sampling.min_p"] is None
    for wrong in ("warm", "3", "[]", '{"heat": 1}', '{"top_p": 2}'):
        with pytest.raises(InvalidSetting):
            studio.settings.change(story, {"sampling": wrong})
