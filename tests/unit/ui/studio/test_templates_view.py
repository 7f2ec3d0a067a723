"""The templates' editor without a browser."""

from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.memory.errors import InvalidSetting
from storyloom.ui.studio import templates_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled, Visible
from storyloom.ui.studio.templates_view import Box, View
from tests.page_server import ROOT
from tests.unit.ui.studio.telling import began, went_on

NOWHERE = Place()
HOSTILE = "<script>window.pwned = 1</script>"
MINE = (
    '{% call turn("system") %}\nObey <script>\n{% endcall %}\n'
    '{% call turn("user") %}\n{{ premise | join(" ") }} {{ plan | join(" ") }}\n{% endcall %}\n'
)


def opened(
    house: House, name: str = "writer", box: Box | None = None, source: str = ""
) -> tuple[View, Box, str]:
    """The editor with a template in it: the view, the box and what stands in it."""
    view = templates_view.pick(house, NOWHERE, {"pick": "open", "name": name}, box or Box(), source)
    assert view.box is not None
    assert view.source is not None
    return view, view.box, view.source


def test_the_list_says_what_each_is_for_and_whose_it_is(house: House) -> None:
    first = templates_view.opened(house, NOWHERE, Box(), "")
    assert first.section == Visible(True)
    many = len(list((ROOT / "app" / "prompts").glob("*.j2")))
    assert (first.listing or "").count("<li>") == many
    assert (first.listing or "").count('class="ours"') == many
    assert first.source is None
    assert templates_view.pick(house, NOWHERE, {}, Box(), "") == View()


def test_a_guest_has_no_editor_and_is_refused_by_every_handler(house: House) -> None:
    guest = replace(house, studio=house.studio.of_owner("tom"))
    assert templates_view.opened(guest, NOWHERE, Box(), "") == View(section=Visible(False))
    box = Box(name="writer", before="x")
    saved = templates_view.save(guest, NOWHERE, box, MINE)
    assert "without --auth-file" in (saved.told or "")
    for attempt in (
        lambda: templates_view.pick(guest, NOWHERE, {"pick": "open", "name": "writer"}, box, ""),
        lambda: templates_view.typed(guest, NOWHERE, box, MINE),
        lambda: templates_view.back(guest, NOWHERE, box, MINE),
        lambda: templates_view.bring_back(guest, NOWHERE, box, MINE, "2025-01-01T00:00:00+00:00"),
        lambda: templates_view.put_back(guest, NOWHERE, {"pick": "put-back"}, box, MINE),
    ):
        with pytest.raises(InvalidSetting, match="without --auth-file"):
            attempt()  # type: ignore[no-untyped-call]
    assert not house.studio.templates.open("writer").is_own


def test_a_text_is_saved_used_and_taken_back(house: House, tmp_path: Path) -> None:
    place = began(house)
    view, box, source = opened(house)
    assert "Ours is used." in (view.heading or "")
    assert "word for word" in (view.difference or "")
    assert view.back == Enabled(False)
    typed = templates_view.typed(house, place, box, MINE)
    assert typed.source is None  # what is being written is left to the person
    assert "isn’t saved yet" in (typed.heading or "")
    assert '<mark class="slot-premise"' in (typed.preview or "")
    assert 'class="turn system"' in (typed.preview or "")
    assert "With the values of “The Lamp”" in (typed.preview or "")
    assert "never asks for: " in (typed.preview or "")
    assert '<span class="added">+Obey &lt;script&gt;</span>' in (typed.difference or "")
    assert "<script" not in (typed.preview or "") + (typed.difference or "")
    assert typed.box is not None
    saved = templates_view.save(house, place, typed.box, MINE)
    assert saved.box is not None
    assert (saved.source, saved.back, saved.box.names) == (MINE, Enabled(True), frozenset())
    assert 'class="yours"' in (saved.listing or "")
    after = went_on(house, place)
    prompt = house.studio.inspecting.paragraph(after.story_id).prompt
    assert "Obey <script>" in prompt[0].text
    back = templates_view.back(house, place, saved.box, MINE)
    assert (back.source, back.back, back.put_away) == (source, Enabled(False), Visible(True))
    assert back.former is not None
    assert back.box is not None
    when = back.former.options[1][1]
    again = templates_view.bring_back(house, place, back.box, source, when)
    assert again.source == MINE
    assert again.box is not None
    assert again.box.names == {"writer"}
    assert not (tmp_path / "templates" / "writer.j2").exists()  # it isn't used before it is saved
    assert templates_view.bring_back(house, place, again.box, MINE, "") == View()


def test_a_broken_text_is_told_with_its_line_and_not_saved(house: House) -> None:
    _, box, source = opened(house)
    broken = f"{{% if %}}{HOSTILE}"
    typed = templates_view.typed(house, NOWHERE, box, broken)
    assert "line 1" in (typed.preview or "")
    told = templates_view.save(house, NOWHERE, box, broken).told or ""
    assert "line 1" in told
    assert "Nothing is saved." in told
    assert "<script" not in told + (typed.preview or "") + (typed.difference or "")
    assert opened(house)[2] == source


def test_an_unsaved_text_waits_while_another_template_is_looked_at(house: House) -> None:
    _, box, source = opened(house)
    other, box, text = opened(house, "editor", box, "half an edit {{")
    assert text == house.studio.templates.open("editor").source
    assert "not saved yet" in (other.listing or "")
    again = templates_view.opened(house, NOWHERE, box, text)  # the tab was opened anew
    assert again.source is None
    assert again.box is not None
    assert again.box.names == {"writer"}
    back, box, text = opened(house, "writer", again.box, text)
    assert text == "half an edit {{"
    assert "line 1" in (back.preview or "")
    # Written back as it was, nothing waits any more.
    assert opened(house, "editor", box, source)[1].names == frozenset()


def test_an_edit_that_made_way_can_be_put_back(house: House) -> None:
    _, box, _ = opened(house)
    saved = templates_view.save(house, NOWHERE, box, MINE)
    assert saved.box is not None
    back = templates_view.back(house, NOWHERE, saved.box, "my unsaved words")
    assert "Put my edit back" in (back.told or "")
    assert back.box is not None
    assert back.source is not None
    put = templates_view.put_back(house, NOWHERE, {"pick": "put-back"}, back.box, back.source)
    assert put.source == "my unsaved words"
    assert put.box is not None
    assert put.box.names == {"writer"}
    assert templates_view.put_back(house, NOWHERE, {}, put.box, "x") == View()


def test_without_a_story_the_preview_says_whose_values_it_has(house: House) -> None:
    view, _, _ = opened(house, "planner_actions")
    assert "sample’s values" in (view.preview or "")
    assert 'class="turn lines"' in (view.preview or "")
    assert templates_view.typed(house, NOWHERE, Box(), "x") == View()
