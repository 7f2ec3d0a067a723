import asyncio
from dataclasses import fields, replace
from typing import cast

import pytest

from storyloom.app.studio import Studio
from storyloom.ui.studio import edits_view, page, paragraph_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.write_view import View
from storyloom.ui.studio.writers import Writers


@pytest.fixture
def parts() -> page.Parts:
    """The page's components; Gradio leaves event loops open where none runs."""

    async def build() -> page.Parts:
        return page.build()

    return asyncio.run(build())


def test_a_view_changes_what_it_names_and_nothing_else(parts: page.Parts) -> None:
    assert page.shown(View(text="<p>x</p>", own_plan=""), parts) == {
        parts.text: "<p>x</p>",
        parts.own_plan: "",
    }
    assert list(page.shown(View(), parts)) == [parts.notice]


def test_each_plan_is_a_card_and_none_are_no_cards(parts: page.Parts) -> None:
    told = page.shown(View(plans=("One.", "Two.", "Three.")), parts)
    assert [told[box]["value"] for box in parts.plans.boxes] == ["One.", "Two.", "Three."]
    assert told[parts.plans.cards]["visible"] is True
    assert page.shown(View(plans=()), parts)[parts.plans.cards]["visible"] is False


def test_while_busy_stop_stands_where_write_was(parts: page.Parts) -> None:
    busy = page.shown(View(busy=True), parts)
    assert (busy[parts.write]["visible"], busy[parts.stop]["visible"]) == (False, True)
    cards = (*parts.plans.boxes, *parts.plans.buttons)
    assert {busy[card]["interactive"] for card in cards} == {False}
    after = page.shown(View(busy=False, plans=("One.", "Two.", "Three.")), parts)
    assert {after[card]["interactive"] for card in cards} == {True}
    assert after[parts.plans.second]["value"] == "Two."


def test_while_busy_what_changes_the_text_waits(parts: page.Parts) -> None:
    panel = View(busy=True, paragraph=paragraph_view.nothing())
    shown = page.shown(panel, parts)
    assert shown[parts.paragraph.remove]["interactive"] is False
    assert shown[parts.paragraph.depth] == 1
    assert page.shown(View(edits=edits_view.nothing()), parts)[parts.edits.undo]["visible"] is False


def test_a_strand_is_chosen_among_all(parts: page.Parts) -> None:
    view = View(place=Place("t", "b"), strands=(("Main", "a"), ("Other", "b")))
    assert page.shown(view, parts)[parts.strands]["value"] == "b"
    for busy in (True, False):  # it waits while a paragraph comes, and can be used again after it
        shown = page.shown(replace(view, busy=busy), parts)[parts.strands]
        assert (shown["value"], shown["interactive"]) == ("b", not busy)


def test_every_value_of_a_view_has_its_part() -> None:
    names = {field.name for field in fields(page.Parts)}
    assert {field.name for field in fields(View)} - names == {"is_open", "busy", "has_earlier", "tab"}


def test_no_handler_is_an_endpoint_and_none_waits_for_another(parts: page.Parts) -> None:
    writers = Writers()

    async def connect() -> None:
        page.connect(parts, lambda _user: House(cast("Studio", None), writers))

    asyncio.run(connect())
    writers.close()
    handlers = [function for function in parts.page.fns.values() if function.fn is not None]
    assert handlers
    assert {function.api_visibility for function in handlers} == {"private"}
    assert {function.concurrency_limit for function in handlers} == {None}
