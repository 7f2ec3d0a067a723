import asyncio
from dataclasses import fields
from typing import cast

import pytest

from storyloom.app.studio import Studio
from storyloom.ui.studio import page
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


def test_plans_are_choices_beside_no_choice(parts: page.Parts) -> None:
    change = page.shown(View(plans=("One.", "Two.", "Three.")), parts)[parts.plans]
    assert change["choices"] == [("One.", 1), ("Two.", 2), ("Three.", 3), ("Let Storyloom choose", 0)]
    assert change["value"] == 0


def test_while_busy_stop_stands_where_write_was(parts: page.Parts) -> None:
    busy = page.shown(View(busy=True), parts)
    assert (busy[parts.write]["visible"], busy[parts.stop]["visible"]) == (False, True)
    assert busy[parts.plans]["interactive"] is False


def test_a_strand_is_chosen_among_all(parts: page.Parts) -> None:
    view = View(place=Place("t", "b"), strands=(("Main", "a"), ("Other", "b")))
    assert page.shown(view, parts)[parts.strands]["value"] == "b"


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
