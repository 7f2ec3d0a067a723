import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import HEIGHTS, PREMISE, forms, no_sideways_scroll, story_id
from tests.page_server import SLOWLY, VERY_SLOWLY

pytestmark = pytest.mark.browser

QUESTIONS = {"Do": "What do you do?", "Say": "What do you say?", "Story": "What happens?"}
# The bar at the foot of the screen hides nothing of it.
ENDS_ABOVE_THE_BAR = (
    "part => document.querySelector(part).getBoundingClientRect().bottom"
    " <= document.querySelector('#play-bar').getBoundingClientRect().top"
)


def begin(page: Page, premise: str = PREMISE) -> str:
    """Start a game on the page and wait for its first paragraph; gives the story's id."""
    page.locator("#premise textarea").fill(premise)
    page.locator("#mode").get_by_text("A game to play").click()
    page.locator("#begin").click()
    told(page, 1)
    return story_id(page)


def told(page: Page, turns: int) -> None:
    """Wait until that many turns are committed and the next can be played."""
    expect(page.locator("#play-text .turn")).to_have_count(turns)
    expect(page.locator("#play-send")).to_be_visible()


def play(page: Page, words: str, turns: int, manner: str = "Do") -> None:
    page.locator("#play-manner").get_by_text(manner, exact=True).click()
    expect(page.locator("#play-action textarea")).to_have_attribute("placeholder", QUESTIONS[manner])
    page.locator("#play-action textarea").fill(words)
    page.locator("#play-action textarea").press("Enter")
    told(page, turns)


def streams(page: Page, letters: int = 40) -> None:
    """Wait until words of the answer have come."""
    words = "document.querySelector('#play-draft .answer')?.innerText"
    page.wait_for_function(f"letters => ({words} || '').length > letters", arg=letters)


def act_so(page: Page, words: str) -> None:
    """Do something that is told slowly or very slowly, and wait until words of the answer have come."""
    page.locator("#play-action textarea").fill(words)
    page.locator("#play-action textarea").press("Enter")
    streams(page)


def test_a_game_opens_to_be_played_and_answers(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    expect(page.locator("#play-text h1")).to_have_text("The Door in the Sea")
    page.screenshot(path=shots / "play-first-1440.png")
    act_so(page, f"open the door {SLOWLY}")
    told(page, 2)
    expect(page.locator("#play-action textarea")).to_have_value("")
    expect(page.locator("#play-text .action")).to_have_text([f"You open the door {SLOWLY}."])
    play(page, "Who is there?", 3, "Say")
    play(page, "A gull lands on the rail", 4, "Story")
    steps = server.cli("show", story)["steps"]
    assert [step["plan"] for step in steps[1:]] == [
        f"You open the door {SLOWLY}.",
        'You say: "Who is there?"',
        "A gull lands on the rail",
    ]
    prompt = server.cli("show", story, "--prompt", "2")["prompt"]
    assert 'the reader is "you"' in prompt
    assert f"What the reader does: You open the door {SLOWLY}." in prompt
    page.screenshot(path=shots / "play-1440.png")
    page.reload()
    told(page, 4)
    expect(page.locator("#play-text .turn").last).to_contain_text("A gull lands on the rail")


def test_a_suggestion_is_played_and_the_send_button_sends(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    second = page.locator("#play-offers button").nth(1)
    chosen = second.inner_text()
    second.click()
    told(page, 2)
    page.locator("#play-action textarea").fill("wait")
    page.locator("#play-send").click()
    told(page, 3)
    assert [step["plan"] for step in server.cli("show", story)["steps"][1:]] == [chosen, "You wait."]


def test_a_turn_is_told_again_taken_back_and_gone_back_to(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    expect(page.locator("#play-retry")).to_be_hidden()
    play(page, "open the door", 2)
    first = page.locator("#play-text .turn").last.inner_text()
    page.locator("#play-retry").click()
    expect(page.locator("#play-text .turn").last).not_to_have_text(first, use_inner_text=True)
    expect(page.locator("#play-text .action")).to_have_text(["You open the door."])
    told(page, 2)
    play(page, "wait", 3)
    page.locator("#play-undo").click()
    told(page, 2)
    play(page, "knock", 3)
    play(page, "run", 4)
    page.locator("#play-text summary").nth(1).click()
    page.screenshot(path=shots / "play-back-1440.png")
    before = page.url
    page.get_by_role("button", name="Go back to here").click()
    told(page, 2)
    expect(page).not_to_have_url(before)
    page.reload()
    told(page, 2)
    strands = server.cli("branches", story)["strands"]
    assert sorted(strand["steps"] for strand in strands) == [2, 2, 3, 4]


def test_a_stopped_turn_gives_the_reader_s_words_back(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    act_so(page, f"open the door {VERY_SLOWLY}")
    page.locator("#play-stop").click()
    told(page, 1)
    expect(page.locator("#play-action textarea")).to_have_value(f"You open the door {VERY_SLOWLY}.")
    expect(page.locator("#play-status")).to_contain_text("kept in the Write tab")
    page.get_by_role("tab", name="Write").click()
    expect(page.locator("#cut-off blockquote")).to_be_visible()
    expect(page.locator("#own-plan textarea")).to_have_value("")
    assert len(server.cli("show", story)["steps"]) == 1


def test_a_page_that_is_closed_or_loaded_again_finds_the_words(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    act_so(page, f"open the door {SLOWLY}")
    page.reload()
    streams(page, 60)
    expect(page.locator("#play-draft .action")).to_have_text(f"You open the door {SLOWLY}.")
    other = tabs.open(f"{server.url}?story={story}")
    streams(other, 80)
    page.close()
    told(other, 2)
    assert len(server.cli("show", story)["steps"]) == 2


def test_both_tabs_show_the_same(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    play(page, "open the door", 2)
    act_so(page, f"wait {SLOWLY}")
    page.get_by_role("tab", name="Write").click()
    expect(page.locator("#draft [aria-busy]")).to_be_visible()
    expect(page.locator("#text .paragraph")).to_have_count(3)
    page.locator("#write").click()
    page.get_by_role("tab", name="Play").click()
    told(page, 4)


def test_a_game_that_is_written_on_lies_at_its_end(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url, height=500)
    begin(page)
    for turns in range(2, 5):
        play(page, "open the door", turns)
    page.get_by_role("tab", name="Write").click()
    expect(page.locator("#text .paragraph").last).to_be_in_viewport()
    page.wait_for_function("scrollY > 200")


def test_a_novel_opens_to_be_written_and_can_be_played(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    page.locator("#premise textarea").fill(PREMISE)
    page.locator("#begin").click()
    expect(page.locator("#text .paragraph")).to_have_count(1)
    expect(page.locator("#write")).to_be_visible()
    page.get_by_role("tab", name="Play").click()
    told(page, 1)
    play(page, "open the door", 2)


def test_nothing_and_too_much_are_refused(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    page.locator("#play-send").click()
    expect(page.locator("#notice")).to_contain_text("Write what you do first")
    page.locator("#play-action textarea").fill("run " * 1000)
    page.locator("#play-action textarea").press("Enter")
    expect(page.locator("#notice")).to_contain_text("Shorten it")
    expect(page.locator("#play-action textarea")).to_have_value(re.compile("run run run"))
    told(page, 1)


def test_hostile_text_is_shown_and_never_run(server: Any, tabs: Any, hostile: str) -> None:
    page = tabs.open(server.url, width=390, height=844)
    page.locator("#title").get_by_role("textbox").fill("HOSTILE <img src=x onerror='window.pwned = 9'>")
    begin(page, hostile)
    expect(page.locator("#play-offers")).to_contain_text("<script>window.pwned = 5</script>")
    play(page, hostile, 2)
    expect(page.locator("#play-text")).to_contain_text("<script>window.pwned = 1</script>")
    expect(page.locator("#play-text")).to_contain_text("<script>window.pwned = 4</script>")
    no_sideways_scroll(page)
    assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_its_end_is_in_sight(server: Any, tabs: Any, shots: Path, width: int) -> None:
    page = tabs.open(server.url, width=width, height=HEIGHTS[width])
    begin(page)
    play(page, "open the door", 2)
    play(page, "Who is there?", 3, "Say")
    no_sideways_scroll(page)
    expect(page.locator("#play-offers button")).to_have_count(3)
    for part in ("#play-turns", "#play-offers"):
        page.wait_for_function(ENDS_ABOVE_THE_BAR, arg=part)
    page.wait_for_function("document.querySelector('#play-offers').getBoundingClientRect().top >= 0")
    for form in forms(page, width):
        page.screenshot(path=shots / f"play-{form}.png")
    column = page.locator("#play-text .answer p").first.bounding_box()
    assert column is not None
    assert column["width"] <= 600
