import asyncio
from collections.abc import Callable
from typing import Any, cast

import gradio as gr
import pytest

from storyloom.memory.errors import InvalidText, StoryloomError, StoryNotFound
from storyloom.ui.studio import api
from storyloom.ui.studio.place import House

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."


class Visitor:
    username = None


@pytest.fixture
def story(house: House) -> str:
    """A story with three paragraphs."""

    async def made() -> str:
        begun = await api.begin(house, PREMISE)
        for _ in range(2):
            await api.write(house, begun["story"]["id"])
        return str(begun["story"]["id"])

    return asyncio.run(made())


def test_a_story_is_begun_with_its_first_paragraph(house: House) -> None:
    begun = asyncio.run(api.begin(house, PREMISE, title="The Door", mode="fiction", language="en"))
    assert (begun["story"]["title"], begun["story"]["mode"]) == ("The Door", "fiction")
    assert [step["depth"] for step in begun["steps"]] == [1]
    assert [one["id"] for one in api.stories(house)["stories"]] == [begun["story"]["id"]]


def test_it_goes_on_by_a_plan_or_a_choice(house: House, story: str) -> None:
    offered = api.read(house, story, last=1)["steps"][0]["plans"]
    chosen = asyncio.run(api.write(house, story, choice=2))["steps"]
    assert [(step["depth"], step["plan"]) for step in chosen] == [(4, offered[1])]
    planned = asyncio.run(api.write(house, story, plan="Mara rows out."))["steps"]
    assert [(step["depth"], step["plan"]) for step in planned] == [(5, "Mara rows out.")]


@pytest.mark.parametrize(
    ("text", "manner", "plan"),
    [("open the door", "do", "You open the door."), ("Who is there?", "say", 'You say: "Who is there?"')],
)
def test_a_reader_acts(house: House, story: str, text: str, manner: str, plan: str) -> None:
    assert asyncio.run(api.act(house, story, text, manner))["steps"][0]["plan"] == plan


def test_a_window_is_read(house: House, story: str) -> None:
    def depths(last: int = 60, before: int = 0) -> list[int]:
        return [step["depth"] for step in api.read(house, story, last=last, before=before)["steps"]]

    assert depths() == [1, 2, 3]
    assert depths(last=2) == [2, 3]
    assert depths(last=1, before=3) == [2]
    assert depths(last=5, before=3) == [1, 2]
    assert depths(last=5, before=99) == [1, 2, 3]
    assert depths(before=1) == []
    assert depths(last=0) == []


def test_a_branch_goes_its_own_way(house: House, story: str) -> None:
    new = api.branch(house, story, at=1, name="Other")["strand"]
    written = asyncio.run(api.write(house, story, strand="Other"))
    assert (written["strand"], written["steps"][0]["depth"]) == (new["id"], 2)
    assert [line["steps"] for line in api.strands(house, story)["strands"]] == [3, 2]


def test_memory_is_read_and_replaced(house: House, story: str) -> None:
    before = api.memory(house, story)
    after = api.set_memory(house, story, "Mara is afraid of nine.")
    assert after["short_memory"] == "Mara is afraid of nine."
    assert api.memory(house, story) == after
    assert after["revisions"][0]["old"] == before["short_memory"]


def test_the_past_is_searched(house: House, story: str) -> None:
    words = api.read(house, story)["steps"][0]["paragraph"].split(".")[0]
    assert api.search(house, story, words)["hits"][0]["depth"] == 1


@pytest.mark.parametrize("form", ["md", "txt", "json"])
def test_a_story_is_exported(house: House, story: str, form: str) -> None:
    first = api.read(house, story)["steps"][0]["paragraph"].split(".")[0]
    assert first in api.export(house, story, form)


@pytest.mark.parametrize(
    "asked",
    [
        lambda house, _: asyncio.run(api.begin(house, " ")),
        lambda house, _: asyncio.run(api.begin(house, PREMISE, mode="poem")),
        lambda house, story: asyncio.run(api.write(house, story, plan="x", choice=1)),
        lambda house, story: asyncio.run(api.write(house, story, choice=4)),
        lambda house, story: asyncio.run(api.act(house, story, "  ")),
        lambda house, story: asyncio.run(api.act(house, story, "x", "shout")),
        lambda house, story: api.read(house, story, last=-1),
        lambda house, story: api.export(house, story, "../x"),
        lambda house, story: api.search(house, story, ""),
    ],
)
def test_what_cannot_be_used_is_told(house: House, story: str, asked: Callable[..., Any]) -> None:
    with pytest.raises((InvalidText, gr.Error)) as told:
        asked(house, story)
    assert str(told.value)
    assert [step["depth"] for step in api.read(house, story)["steps"]] == [1, 2, 3]


def ask(house: House, endpoint: Callable[..., Any], *values: Any) -> Any:
    """As Gradio does: with its request first, whatever a script sent after it."""
    return asyncio.run(api.called(endpoint, lambda _user: house)(cast("gr.Request", Visitor()), *values))


def test_a_problem_is_a_sentence_for_whoever_asked(house: House) -> None:
    with pytest.raises(gr.Error, match="nothing") as told:
        ask(house, api.read, "nothing", "", 1, 0)
    assert told.value.print_exception is False
    assert isinstance(told.value.__cause__, StoryNotFound)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((["a"], "", 1, 0), "story must be a text"),
        ((None, "", 1, 0), "story must be a text"),
        (("a", "", "1", 0), "last must be a whole number"),
        (("a", "", True, 0), "last must be a whole number"),
        (("a", "", 10**30, 0), "last is too large"),
        (("\ud800", "", 1, 0), "story has half of a character"),
    ],
)
def test_other_json_than_an_endpoint_takes_is_refused(
    house: House, values: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(gr.Error, match=told):
        ask(house, api.read, *values)


def test_whose_stories_they_are_is_said_by_the_request_alone(house: House, story: str) -> None:
    other = House(house.studio.of_owner("tom"), house.writers)
    assert ask(other, api.stories) == {"stories": []}
    with pytest.raises(gr.Error, match=story):
        ask(other, api.memory, story, "")


def test_what_the_model_failed_at_is_told(house: House, story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoryloomError("The engine broke off.")

    monkeypatch.setattr(type(house.studio), "write", fail)
    with pytest.raises(gr.Error, match="broke off"):
        asyncio.run(api.write(house, story))


def test_a_script_that_goes_away_leaves_its_paragraph_to_be_written(house: House, story: str) -> None:
    async def gone() -> None:
        asking = asyncio.ensure_future(api.write(house, story))
        while not (writing := list(house.writers._writings.values())[-1]).progress.strand_id or writing.done:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert writing.ended_within(20)

    asyncio.run(gone())
    assert [step["depth"] for step in api.read(house, story)["steps"]] == [1, 2, 3, 4]
