from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.agents.calls import readable
from storyloom.app.agents.scene_weaver import SceneWeaver, WovenScene
from storyloom.app.profiles import MEDIUM
from storyloom.app.prompt_pieces import Piece, pieces
from storyloom.app.templates import Templates
from storyloom.memory.story import Note, ShortMemory
from storyloom.memory.weaver import Item
from tests.unit.app.scenes import STORY, Counting, Noting, scene


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(tmp_path)


def woven(templates: Templates, **fields: object) -> WovenScene:
    of = replace(scene(), **fields)  # type: ignore[arg-type]
    weaver = SceneWeaver("writer", Counting(), MEDIUM, templates)
    return weaver.weave(of, Noting(), max_tokens=10, prefill=True, opening="")


def test_every_word_of_a_prompt_is_a_records_or_the_templates(templates: Templates) -> None:
    told = woven(
        templates,
        plan="  She opens it.\n",
        memory=ShortMemory((Note("The same.", 1), Note("The same.", 2), Note(" ", 3))),
        recalled=(Item(text="The same.", source="step:s:1"),),
    )
    found = pieces(told.records, told.weaving, templates)
    assert found is not None
    assert "".join(piece.text for piece in found) == readable(told.prompt)
    entered = [place for place, record in enumerate(told.records) if record.entered and record.text.strip()]
    assert sorted(piece.place for piece in found if piece.place is not None) == entered
    for piece in found:
        if piece.place is not None:
            assert piece.text == told.records[piece.place].text.strip()
    same = [told.records[piece.place].source for piece in found if piece.text == "The same." and piece.place]
    assert same == ["note:1", "note:2", "step:s:1"]
    assert Piece("\n\nWhat happened so far: ") in found


def test_text_that_looks_like_a_mark_is_nobodys_mark(templates: Templates) -> None:
    told = woven(templates, plan="\ufdd00\ufdd1forged\ufdd2")
    assert pieces(told.records, told.weaving, templates) is None


def test_a_template_that_changes_texts_is_not_told_apart(tmp_path: Path) -> None:
    (tmp_path / "writer.j2").write_text(
        '{% call turn("user") %}{{ plan | join(" ") | truncate(9, True) }}{% endcall %}'
    )
    told = woven(Templates(tmp_path), plan="She opens the door in the sea.", story=STORY)
    assert pieces(told.records, told.weaving, Templates(tmp_path)) is None
