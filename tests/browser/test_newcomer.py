"""Somebody who has never seen the page finds their way by the words on it alone."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page_server import Server, answer, script, scripted_command
from tests.stand_ins import sentence

pytestmark = pytest.mark.browser

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
CORRECTED = "Mara carries a green umbrella that never opens."
TURNS = (
    ("Do", "open the door"),
    ("Say", "Who is there?"),
    ("Do", "listen at the stones"),
    ("Story", "A gull lands on the rail."),
    ("Do", "light the lamp"),
    ("Do", "count the knots"),
    ("Say", "I am not afraid."),
    ("Do", "row to the harbour"),
    ("Do", "read the log"),
)


@pytest.fixture
def storyteller(tmp_path: Path) -> Iterator[Server]:
    """A server whose model never tells the same twice, and each time at the length that is asked for."""
    spec, file, dice = script(tmp_path), tmp_path / "script.json", random.Random(7)
    document = json.loads(file.read_text(encoding="utf-8"))
    told = [" ".join(sentence(dice) for _ in range(14)) for _ in range(60)]
    document["default"] = [
        json.dumps({**json.loads(answer(number)), "paragraph": text}) for number, text in enumerate(told)
    ]
    file.write_text(json.dumps(document), encoding="utf-8")
    one = Server(tmp_path, spec, command=scripted_command())
    one.start()
    yield one
    one.kill()


def newcomer(page: Page, *, patience: float = 60_000) -> None:
    """Begin a game, play ten turns, branch, correct the memory, ask why, and take the book along."""
    expect.set_options(timeout=patience)
    page.get_by_label("What is the story about?").fill(PREMISE)
    page.get_by_text("A game to play").click()
    page.get_by_role("button", name="Begin", exact=True).click()
    turns = page.locator("#play-text .turn")
    expect(turns).to_have_count(1)
    ready = page.get_by_role("button", name="Send")
    expect(ready).to_be_visible()
    page.get_by_role("group", name="What you could do").get_by_role("button").first.click()
    for number, (manner, words) in enumerate(TURNS, start=3):
        expect(turns).to_have_count(number - 1)
        expect(ready).to_be_visible()
        page.locator("#play-manner").get_by_text(manner, exact=True).click()
        page.locator("#play-action textarea").fill(words)
        ready.click()
    expect(turns).to_have_count(len(TURNS) + 2)
    expect(ready).to_be_visible()

    # Branch: back to an earlier turn, and on another way; the first way stays in the map.
    page.get_by_label("Turn 8").click()
    page.get_by_role("button", name="Go back to here").locator("visible=true").click()
    expect(turns).to_have_count(8)
    page.get_by_role("tab", name="Map").click()
    expect(page.locator("#map-tree li")).to_have_count(2)

    # Correct the memory; the next turn is told with it.
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#notes li").first).to_be_visible()  # what comes with it would take typed words away
    page.get_by_role("button", name="The page as a text").click()
    page.locator("#page-text textarea").fill(CORRECTED)
    page.locator("#page-text").get_by_role("button", name="Save").click()
    expect(page.locator("#notes")).to_contain_text("green umbrella")
    page.get_by_role("tab", name="Play").click()
    page.locator("#play-action textarea").fill("open my umbrella")
    ready.click()
    expect(turns).to_have_count(9)
    expect(ready).to_be_visible()

    # Why does it say what it says?
    page.get_by_role("tab", name="Inspect").click()
    expect(page.locator("#inspect-prompt mark[title='Short-term memory']")).to_contain_text("green umbrella")
    expect(page.locator("#inspect-prompt mark[title='Plan']")).to_contain_text("You open your umbrella.")

    # And out with it.
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as book:
        page.get_by_role("link", name="Markdown").click()
    text = book.value.path().read_text(encoding="utf-8")
    assert len(re.split(r"\n\n+", text.strip())) >= 9


def test_a_newcomer_plays_branches_corrects_asks_why_and_takes_the_book_along(
    storyteller: Server, tabs: Any
) -> None:
    newcomer(tabs.open(storyteller.url))
