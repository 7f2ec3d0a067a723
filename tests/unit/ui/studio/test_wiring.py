"""What a handler says reaches the components that it names."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import gradio as gr
import pytest

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Asking, Choices, Visible
from storyloom.ui.studio.whereabouts import Whereabouts
from storyloom.ui.studio.wiring import Frame, Wiring


@dataclass(frozen=True)
class Parts:
    word: str
    sheet: tuple[str, str]
    status: str = "the tab's own status"


@dataclass(frozen=True)
class Plain:
    word: str


@dataclass(frozen=True)
class View:
    word: Any = None
    sheet: Any = None
    status: Any = None
    notice: Any = None
    place: Any = None
    tab: Any = None


class Visitor:
    username = None
    session_hash = "page"
    headers: Mapping[str, str] = {}


@pytest.fixture
def frame() -> Frame:
    names: Any = {name: f"the page's {name}" for name in ("place", "notice", "status", "tabs", "strands")}
    return Frame(**names)


def asked(frame: Frame, handler: Callable[..., View], parts: Any) -> dict[Any, Any]:
    """What an event's function gives Gradio."""
    nothing = cast("Any", None)
    wiring = Wiring(lambda _user: cast("House", None), frame, nothing, nothing, nothing, Whereabouts())
    given: list[Any] = []
    wiring.on(lambda function, *_rest, **_settings: given.append(function), handler, parts)
    changes: dict[Any, Any] = given[0](Visitor(), Place())
    return changes


def told(frame: Frame, view: View, parts: Any) -> dict[Any, Any]:
    return asked(frame, lambda *_values: view, parts)


def test_what_is_none_stays(frame: Frame) -> None:
    assert told(frame, View(word="Mara"), Parts("word", ("a", "b"))) == {"word": "Mara"}
    assert list(told(frame, View(), Parts("word", ("a", "b")))) == ["the page's notice"]


def test_a_tuple_of_components_takes_as_many_values(frame: Frame) -> None:
    found = told(frame, View(sheet=("x", Visible(False))), Parts("word", ("a", "b")))
    assert found == {"a": "x", "b": gr.update(visible=False)}


def test_the_page_is_told_where_the_tab_has_none_of_its_own(frame: Frame) -> None:
    view = View(status="Stopped.", notice="No.", place=Place("s"), tab="write")
    own = told(frame, view, Parts("word", ("a", "b")))
    assert own["the tab's own status"] == "Stopped."
    assert "the page's status" not in own
    page = told(frame, view, Plain("word"))
    assert page == {
        "the page's status": "Stopped.",
        "the page's notice": "No.",
        "the page's place": Place("s"),
        "the page's tabs": gr.update(selected="write"),
    }


def test_choices_are_gradios(frame: Frame) -> None:
    found = told(frame, View(word=Choices([("One", 1)], 1)), Plain("word"))
    assert found == {"word": gr.update(choices=[("One", 1)], value=1)}


def test_a_box_that_asks_keeps_its_text(frame: Frame) -> None:
    found = told(frame, View(word=Asking("What happens?")), Plain("word"))
    assert found == {"word": gr.update(label="What happens?", placeholder="What happens?")}
    assert "value" not in found["word"]


def test_a_problem_is_told_in_a_paragraph(frame: Frame) -> None:
    def refuse(*_values: object) -> View:
        raise InvalidText("Write <b>something</b>.")

    (notice,) = asked(frame, refuse, Plain("word")).values()
    assert notice == '<p role="alert">Write &lt;b&gt;something&lt;/b&gt;.</p>'


def test_a_stream_that_fails_tells_why_and_keeps_what_it_showed(frame: Frame) -> None:
    async def follow(*_values: Any) -> AsyncIterator[View]:
        yield View(word="one")
        raise InvalidText("The story is gone.")

    nothing = cast("Any", None)
    wiring = Wiring(lambda _user: cast("House", None), frame, nothing, nothing, nothing, Whereabouts())
    given: list[Any] = []
    wiring.on_stream(lambda function, *_rest, **_settings: given.append(function), follow, Plain("a box"))

    async def all_of() -> list[dict[Any, Any]]:
        return [changes async for changes in given[0](Visitor(), Place())]

    *_, shown, last = asyncio.run(all_of())
    assert shown == {"a box": "one"}
    assert list(last) == ["the page's notice"]
    assert "The story is gone." in last["the page's notice"]
