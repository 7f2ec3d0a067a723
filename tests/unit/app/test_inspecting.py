import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import StrandNotFound


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path], tmp_path: Path) -> str:
    """A story with eight paragraphs."""
    return studio.import_file(Path(shutil.copy(told(8), tmp_path / "told.json")), Listener()).id


def test_a_paragraph_is_shown_with_the_prompt_that_its_writer_was_asked_with(
    studio: Studio, story: str
) -> None:
    for step in studio.show(story).steps:
        found = studio.inspecting.paragraph(story, step.depth)
        assert (found.step, found.last) == (step, 8)
        assert found.first_call is not None
        assert "".join(piece.text for piece in found.prompt) == found.first_call.prompt
        assert found.is_matched
        colours = {found.provenance.slots[one.place].slot for one in found.prompt if one.place is not None}
        assert colours >= {"premise", "memory", "plan"} - ({"memory"} if step.depth == 1 else set())
        assert found.unseen == frozenset()
    assert studio.inspecting.paragraph(story).step.depth == 8
    with pytest.raises(StrandNotFound):
        studio.inspecting.paragraph(story, 9)


def test_a_shared_paragraph_is_shown_from_a_branch(studio: Studio, story: str) -> None:
    branch = studio.branch(story, 3)
    list(studio.write(story, Listener(), strand=branch.id, wish=Wish(plan="Mara rows out.")))
    own = studio.inspecting.paragraph(story, strand=branch.id)
    assert (own.step.depth, own.step.plan, own.last) == (4, "Mara rows out.", 4)
    shared = studio.inspecting.paragraph(story, 2, branch.id)
    assert shared.provenance == studio.inspecting.paragraph(story, 2).provenance
    assert [one.depth for one in studio.inspecting.history(story, branch.id).moments] == [1, 2, 3, 4]


def test_a_prompt_of_a_template_with_no_place_for_a_slot_says_so(
    studio: Studio, story: str, tmp_path: Path
) -> None:
    own = tmp_path / "templates" / "writer.j2"
    own.parent.mkdir()
    own.write_text('{% call turn("user") %}{{ plan | join(" ") | truncate(9, True) }}{% endcall %}')
    list(studio.write(story, Listener()))
    found = studio.inspecting.paragraph(story)
    assert "memory" in found.unseen
    assert not found.is_matched
    assert found.first_call is not None
    assert [(piece.text, piece.place) for piece in found.prompt] == [(found.first_call.prompt, None)]


def test_a_manuscript_was_asked_of_nobody(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_text("She ran. He came.\n\nThe sea was calm and nobody spoke.")
    found = studio.inspecting.paragraph(studio.import_file(file, Listener()).id)
    assert (found.prompt, found.is_matched, found.first_call) == ((), False, None)


def test_the_history_tells_what_each_step_cost(studio: Studio, story: str) -> None:
    history = studio.inspecting.history(story)
    assert history.last == 8
    for step, moment in zip(studio.show(story).steps, history.moments, strict=True):
        found = studio.inspecting.paragraph(story, step.depth).provenance
        assert found.weaving is not None
        assert sum(moment.slots.values()) == sum(one.tokens for one in found.slots)
        assert sum(moment.slots.values()) + moment.template_tokens == found.weaving.tokens
        assert moment.budget == found.weaving.budget
        assert moment.memory_words == len(step.memory.text.split())
        assert (moment.seconds, moment.completion_tokens) == (step.seconds, step.completion_tokens)
        recalled = [one.source for one in found.slots if one.slot == "recall" and one.entered]
        assert [f":{depth}" for depth in moment.recalled] == [f":{one.split(':')[-1]}" for one in recalled]
    assert [one.depth for one in studio.inspecting.history(story, most=3).moments] == [6, 7, 8]
