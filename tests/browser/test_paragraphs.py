"""The picked paragraph on the page: written again, edited, split, filled in before, deleted, undone."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_page import forms, no_sideways_scroll, streams
from tests.page_server import SLOWLY, VERY_SLOWLY

pytestmark = pytest.mark.browser

BOOK = (
    "Mara lit the lamp before the gulls woke. The sea lay flat and grey beneath her.",
    "A boat came in without a sound. Nobody stood at its tiller. A lantern burned on the empty bench.",
    "She knocked on the door in the sea. Nobody came, and the tide turned under her feet.",
)
NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."


def imported(server: Any, folder: Path, paragraphs: tuple[str, ...] = BOOK) -> str:
    """The id of a story of three paragraphs that no model wrote."""
    book = folder / "The Empty Boat.txt"
    book.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return str(server.cli("import", str(book))["story"]["id"])


@pytest.fixture
def story(server: Any, tmp_path: Path) -> str:
    return imported(server, tmp_path)


@pytest.fixture
def page(server: Any, tabs: Any, story: str) -> Page:
    """The page with that story open."""
    opened: Page = tabs.open(f"{server.url}?story={story}")
    return opened


def paragraphs(page: Page) -> Locator:
    return page.locator("#text .paragraph")


def reads(page: Page, *texts: str) -> None:
    """Wait until the page shows these paragraphs and nothing else."""
    expect(paragraphs(page)).to_have_text([re.compile(re.escape(text)) for text in texts])


def pick(page: Page, depth: int) -> None:
    page.locator(f"#text [data-depth='{depth}']").click()
    expect(page.locator("#provenance h4")).to_have_text(f"What went into paragraph {depth}")
    expect(page.locator("#depth input")).to_have_value(str(depth))


def said(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_contain_text(text)


def version(page: Page, text: str) -> None:
    expect(page.locator("#version")).to_have_text(text)


def test_a_paragraph_is_written_again_and_each_version_is_opened(
    server: Any, page: Page, story: str, shots: Path
) -> None:
    pick(page, 2)
    expect(page.locator("#version")).to_be_empty()
    page.locator("#again").click()
    version(page, "Version 2 of 2")
    expect(page.locator("#write")).to_be_visible()
    expect(paragraphs(page)).to_have_count(2)
    second = paragraphs(page).nth(1).locator("p").inner_text()
    assert BOOK[1] not in second
    page.screenshot(path=shots / "paragraph-versions-1440.png")
    page.locator("#earlier-version").click()
    reads(page, *BOOK)
    version(page, "Version 1 of 2")
    said(page, "version 1 of 2")
    page.locator("#later-version").click()
    version(page, "Version 2 of 2")
    expect(paragraphs(page).nth(1)).to_contain_text(second)
    page.reload()
    expect(paragraphs(page).nth(1)).to_contain_text(second)
    assert [step["paragraph"] for step in server.cli("show", story)["steps"]] == list(BOOK)


def test_a_paragraph_is_edited_its_memory_made_again_and_the_edit_undone(
    server: Any, page: Page, story: str, shots: Path
) -> None:
    expect(page.locator("#undo")).to_be_hidden()
    pick(page, 2)
    page.locator("#edit").click()
    words = page.locator("#words textarea")
    expect(words).to_have_value(BOOK[1])
    page.locator("#cancel-form").click()
    expect(words).to_be_hidden()
    page.locator("#edit").click()
    expect(words).to_have_value(BOOK[1])
    words.fill(" ")
    page.locator("#save-form").click()
    expect(page.locator("#notice")).to_contain_text("paragraph is empty")
    words.fill(NEW)
    page.locator("#insert").click()
    expect(page.locator("#notice")).to_contain_text("aren't saved")
    expect(words).to_have_value(NEW)
    page.screenshot(path=shots / "paragraph-edit-1440.png")
    page.locator("#save-form").click()
    reads(page, BOOK[0], NEW, BOOK[2])
    said(page, "Paragraph 2 is saved")
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator("#stale")).to_contain_text("noted of paragraph 2 and the memory after paragraph 3")
    page.screenshot(path=shots / "paragraph-stale-1440.png")
    page.locator("#rebuild").click()
    said(page, "Made again: 1 note")
    expect(page.locator("#stale")).to_be_empty()
    page.locator("#undo").click()
    reads(page, *BOOK)
    said(page, "Undone: the edit of paragraph 2")
    expect(page.locator("#undo")).to_be_hidden()
    page.locator("#redo").click()
    reads(page, BOOK[0], NEW, BOOK[2])
    expect(page.locator("#redo")).to_be_hidden()
    assert server.cli("show", story)["steps"][1]["paragraph"] == NEW


def test_a_paragraph_is_inserted_split_and_deleted_and_the_old_text_stays(
    server: Any, page: Page, story: str, shots: Path
) -> None:
    pick(page, 2)
    page.locator("#insert").click()
    page.locator("#words textarea").fill(NEW)
    page.screenshot(path=shots / "paragraph-insert-1440.png")
    page.locator("#save-form").click()
    reads(page, BOOK[0], NEW, BOOK[1], BOOK[2])
    said(page, "Your paragraph 2 is there")
    version(page, "Version 2 of 2")
    pick(page, 3)
    page.locator("#split").click()
    page.get_by_role("radio", name="A lantern burned on the empty bench.").check()
    page.screenshot(path=shots / "paragraph-split-1440.png")
    page.locator("#save-form").click()
    first, second = BOOK[1].rsplit(" A lantern", 1)[0], "A lantern burned on the empty bench."
    reads(page, BOOK[0], NEW, first, second, BOOK[2])
    pick(page, 2)
    page.locator("#remove").click()
    reads(page, BOOK[0], first, second, BOOK[2])
    said(page, "without paragraph 2")
    page.screenshot(path=shots / "paragraph-removed-1440.png")
    pick(page, 3)
    page.locator("#branch").click()
    reads(page, BOOK[0], first, second)
    page.locator("#look").click()
    expect(page.locator("#provenance h4")).to_have_text("What went into paragraph 3")
    steps = server.cli("show", story)["steps"]
    assert [step["paragraph"] for step in steps] == list(BOOK)
    assert len(server.cli("branches", story)["strands"]) == 5


def test_a_typed_number_picks_a_paragraph(page: Page) -> None:
    page.locator("#about-paragraph button.label-wrap").click()
    box = page.locator("#depth input")
    expect(box).to_have_value("3")
    box.fill("1")
    page.locator("#edit").click()
    expect(page.locator("#words textarea")).to_have_value(BOOK[0])
    page.locator("#cancel-form").click()
    box.fill("9")
    page.locator("#remove").click()
    expect(page.locator("#notice")).to_contain_text("There is no step 9")
    reads(page, *BOOK)


def test_the_keys_write_stop_turn_to_versions_and_undo(page: Page) -> None:
    pick(page, 3)
    page.locator("#own-plan textarea").fill(f"Mara waits {VERY_SLOWLY}.")
    page.locator("#text [data-depth='3']").press("Control+Enter")
    streams(page)
    page.keyboard.press("Escape")
    expect(page.locator("#cut-off blockquote")).to_be_visible()
    expect(page.locator("#write")).to_be_visible()
    reads(page, *BOOK)
    page.locator("#remove").click()
    reads(page, *BOOK[:2])
    pick(page, 2)
    page.locator("#insert").click()
    page.locator("#words textarea").fill(NEW)
    page.locator("#words textarea").press("Control+Enter")
    reads(page, BOOK[0], NEW, BOOK[1])
    version(page, "Version 2 of 2")
    page.locator("#text [data-depth='2']").press("Alt+ArrowLeft")
    version(page, "Version 1 of 2")
    page.keyboard.press("Alt+ArrowLeft")
    page.keyboard.press("Alt+ArrowRight")
    version(page, "Version 2 of 2")
    reads(page, BOOK[0], NEW, BOOK[1])
    page.locator("#edit").click()
    page.locator("#words textarea").fill("Only this.")
    page.locator("#save-form").click()
    reads(page, BOOK[0], "Only this.", BOOK[1])
    page.locator("#text [data-depth='2']").press("Control+z")
    reads(page, BOOK[0], NEW, BOOK[1])
    page.locator("#text [data-depth='2']").press("Control+Shift+Z")
    reads(page, BOOK[0], "Only this.", BOOK[1])
    page.locator("#own-plan textarea").fill("A plan")
    page.locator("#own-plan textarea").press("Control+z")
    reads(page, BOOK[0], "Only this.", BOOK[1])


def test_a_failure_to_write_again_is_told_and_the_version_before_is_open(page: Page, shots: Path) -> None:
    pick(page, 2)
    page.locator("#edit").click()
    page.locator("#words textarea").fill("FAIL HERE")
    page.locator("#save-form").click()
    reads(page, BOOK[0], "FAIL HERE", BOOK[2])
    pick(page, 3)
    page.locator("#again").click()
    expect(page.locator("#notice")).to_contain_text("The engine broke off")
    said(page, "The other version of paragraph 3 didn't come, so the one before is open again.")
    reads(page, BOOK[0], "FAIL HERE", BOOK[2])
    expect(page.locator("#write")).to_be_visible()
    expect(page.locator("#own-plan textarea")).to_have_value("")
    page.screenshot(path=shots / "paragraph-again-failed-1440.png")


def test_another_version_that_is_stopped_leaves_the_one_before_open(
    server: Any, tabs: Any, tmp_path: Path
) -> None:
    book = (f"{BOOK[0]} She came down {SLOWLY}.", *BOOK[1:])
    page = tabs.open(f"{server.url}?story={imported(server, tmp_path, book)}")
    pick(page, 2)
    page.locator("#again").click()
    streams(page)
    page.keyboard.press("Escape")
    said(page, "The other version of paragraph 2 was stopped, so the one before is open again.")
    said(page, "kept on the strand “Another paragraph 2”")
    reads(page, *book)
    expect(page.locator("#write")).to_be_visible()
    page.reload()
    reads(page, *book)


def test_the_panel_fits_a_narrow_page(server: Any, tabs: Any, story: str, shots: Path, hostile: str) -> None:
    page = tabs.open(f"{server.url}?story={story}", width=390, height=844)
    pick(page, 2)
    page.locator("#edit").click()
    page.locator("#words textarea").fill(f"{hostile}. She laughed. He left.")
    no_sideways_scroll(page)
    page.locator("#save-form").click()
    said(page, "Paragraph 2 is saved")
    expect(paragraphs(page).nth(1)).to_contain_text("<script>window.pwned = 1</script>")
    page.locator("#split").click()
    expect(page.locator("#cut")).to_be_visible()
    page.locator("#cut").scroll_into_view_if_needed()
    for form in forms(page, 390):
        no_sideways_scroll(page)
        page.screenshot(path=shots / f"paragraph-{form}.png")
    assert page.evaluate("window.pwned") is None
