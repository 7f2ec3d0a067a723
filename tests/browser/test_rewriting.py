"""Words of a paragraph marked in the box, put otherwise by the model, kept, and taken back."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import forms, no_sideways_scroll
from tests.browser.test_paragraphs import BOOK, pick, reads, said
from tests.page_server import REWRITINGS, VERY_SLOWLY

pytestmark = pytest.mark.browser

SENTENCE = "A lantern burned on the empty bench."


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A manuscript of three paragraphs."""
    file = tmp_path / "The Empty Boat.txt"
    file.write_text("\n\n".join(BOOK), encoding="utf-8")
    return file


@pytest.fixture
def story(server: Any, book: Path) -> str:
    """The id of its story."""
    return str(server.cli("import", str(book))["story"]["id"])


@pytest.fixture
def page(server: Any, tabs: Any, story: str) -> Page:
    """The page with that story open."""
    shown: Page = tabs.open(f"{server.url}?story={story}")
    return shown


def mark(page: Page, words: str) -> None:
    """Mark words in the box with the keyboard, as a person does who types."""
    box = page.locator("#rewrite-words textarea")
    text = box.input_value()
    start = text.index(words)
    box.press("Control+Home")
    for _ in range(start):
        page.keyboard.press("ArrowRight")
    for _ in range(len(words)):
        page.keyboard.press("Shift+ArrowRight")


def opened(page: Page, depth: int = 2) -> None:
    pick(page, depth)
    page.locator("#rewrite").click()
    expect(page.locator("#rewrite-words textarea")).to_have_value(BOOK[depth - 1])


def test_marked_words_are_proposed_compared_kept_and_undone(
    server: Any, page: Page, story: str, shots: Path
) -> None:
    opened(page)
    meant = page.locator("#rewrite-meant")
    expect(meant).to_contain_text("Nothing is marked")
    page.locator("#propose").click()
    expect(page.locator("#notice")).to_contain_text("instruction is empty")
    mark(page, SENTENCE)
    expect(meant).to_have_text(f"To be rewritten: “{SENTENCE}”")
    page.locator("#rewrite-instruction textarea").fill("make it rain")
    expect(meant).to_have_text(f"To be rewritten: “{SENTENCE}”")
    page.screenshot(path=shots / "rewrite-marked-1440.png")
    page.locator("#rewrite-instruction textarea").press("Control+Enter")
    expect(page.locator("#notice")).to_be_empty()
    proposal = page.locator("#proposal textarea")
    expect(proposal).to_have_value(re.compile("|".join(REWRITINGS)))
    first = proposal.input_value()
    expect(page.locator("#rewrite-shown .was")).to_contain_text(SENTENCE)
    expect(page.locator("#rewrite-shown .now")).to_contain_text(first)
    expect(page.locator("#rewrite-shown mark").first).to_be_visible()
    page.locator("#keep-rewrite").scroll_into_view_if_needed()
    page.screenshot(path=shots / "rewrite-1440.png")
    page.locator("#rewrite-again").click()
    second = next(one for one in REWRITINGS if one != first)
    expect(proposal).to_have_value(second)
    reads(page, *BOOK)
    page.locator("#keep-rewrite").click()
    said(page, "The new words of paragraph 2 are saved")
    changed = BOOK[1].replace(SENTENCE, second)
    reads(page, BOOK[0], changed, BOOK[2])
    expect(page.locator("#rewriting")).to_be_hidden()
    expect(page.locator("#stale")).to_contain_text("noted of paragraph 2")
    assert server.cli("show", story)["steps"][1]["paragraph"] == changed
    page.locator("#undo").click()
    reads(page, *BOOK)
    page.locator("#redo").click()
    reads(page, BOOK[0], changed, BOOK[2])


def test_a_proposal_is_changed_before_it_is_kept_and_another_is_thrown_away(
    page: Page,
) -> None:
    opened(page)
    # With the mouse: a double click marks a word.
    box = page.locator("#rewrite-words textarea")
    box.dblclick(position={"x": 40, "y": 20})
    expect(page.locator("#rewrite-meant")).to_contain_text("To be rewritten: “")
    word = page.evaluate(
        "() => { const box = document.querySelector('#rewrite-words textarea');"
        "return box.value.slice(box.selectionStart, box.selectionEnd).trim(); }"
    )
    page.locator("#rewrite-instruction textarea").fill("make it rain")
    page.locator("#propose").click()
    expect(page.locator("#rewrite-shown .was p")).to_have_text(word)
    page.locator("#throw-away").click()
    expect(page.locator("#proposal")).to_be_hidden()
    reads(page, *BOOK)
    page.locator("#propose").click()
    page.locator("#proposal textarea").fill("thing")
    page.locator("#edit").click()  # the form beside it leaves this one alone
    expect(page.locator("#proposal textarea")).to_have_value("thing")
    page.locator("#rewrite").click()
    expect(page.locator("#notice")).to_contain_text("aren't kept")
    page.locator("#proposal textarea").press("Control+Enter")
    said(page, "are saved")
    reads(page, BOOK[0], BOOK[1].replace(word, "thing", 1), BOOK[2])


def test_a_rewriting_is_stopped_and_fits_a_narrow_page(
    server: Any, story: str, tabs: Any, shots: Path
) -> None:
    narrow = tabs.open(f"{server.url}?story={story}", width=390, height=844)
    opened(narrow)
    narrow.locator("#rewrite-instruction textarea").fill(f"make it rain {VERY_SLOWLY}")
    narrow.locator("#propose").click()
    expect(narrow.locator("#rewrite-shown .now")).to_be_visible()
    narrow.keyboard.press("Escape")
    expect(narrow.locator("#rewrite-shown")).to_contain_text("Stopped. The paragraph is as it was.")
    expect(narrow.locator("#propose")).to_be_visible()
    narrow.locator("#rewrite-instruction textarea").fill("make it rain")
    narrow.locator("#propose").click()
    expect(narrow.locator("#keep-rewrite")).to_be_visible()
    no_sideways_scroll(narrow)
    narrow.locator("#keep-rewrite").scroll_into_view_if_needed()
    for form in forms(narrow, 390):
        narrow.screenshot(path=shots / f"rewrite-{form}.png")
    narrow.reload()
    reads(narrow, *BOOK)
