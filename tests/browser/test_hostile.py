"""Every field of the page filled with what would be markup or a script: it is shown, and never run."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from storyloom.ui.studio.form import Field, Kind
from storyloom.ui.studio.lore_fields import CHARACTER, ENTRY
from tests.browser.test_memory import add_entry, box, remembering, unfold
from tests.browser.test_page import no_sideways_scroll, story_id, write_on, written

pytestmark = pytest.mark.browser

WRITTEN = (Kind.TEXT, Kind.LINE, Kind.LIST)


def hostile(field: str) -> str:
    """A text for a field, which says of itself where it stands; no comma, which would part a list."""
    return (
        f"{field} <script>window.pwned = '{field}'</script><img src=x onerror=\"window.pwned = '{field}'\">"
        "</textarea></pre></svg> ${window.pwned = 1} {{7*7}} {% raw %} \" ' &amp; "
    ).strip()


def shows(place: Locator, *fields: str) -> None:
    """The fields' texts stand there, letter by letter."""
    for field in fields:
        expect(place).to_contain_text(hostile(field))


def unharmed(page: Page) -> None:
    """Nothing that was written has run, nor become a part of the page."""
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src='x']").count() == 0
    no_sideways_scroll(page)


def give(page: Page, field: str) -> None:
    """Fill a box, by its id."""
    page.locator(f"#{field}").locator("textarea, input").first.fill(hostile(field))


def begin(page: Page) -> str:
    """Begin a story step by step; gives its id."""
    page.get_by_role("tab", name="New story").click()
    give(page, "draft-premise")
    page.locator("#draft-to-outline").click()
    expect(page.locator("#draft-outline textarea")).to_have_value(re.compile("."))
    give(page, "draft-title")
    give(page, "draft-outline")
    page.locator("#draft-to-characters").click()
    for number in (1, 2):
        give(page, f"draft-name-{number}")
        give(page, f"draft-about-{number}")
    page.locator("#draft-to-first").click()
    shows(page.locator("#draft-summary"), "draft-title", "draft-outline", "draft-name-1", "draft-name-2")
    give(page, "draft-plan")
    unharmed(page)
    page.locator("#draft-write").click()
    written(page, 1)
    return story_id(page)


def fill_form(page: Page, form: str, fields: tuple[Field, ...]) -> None:
    """Add an entry or a character with every text there is, and read them in its form again."""
    page.locator(f"#{form}-add").click()
    page.locator(f"#{form}-form .more button.label-wrap").click()
    texts = [field for field in fields if field.kind in WRITTEN]
    for field in texts:
        box(page, form, field.label).fill(hostile(field.name))
    page.locator(f"#{form}-save").click()
    expect(page.locator(f"#{form}-told")).to_contain_text("is added")
    shows(page.locator(f"#{form}-table"), "name")
    unharmed(page)
    page.locator(f"#{form}-table").get_by_role("button", name=hostile("name"), exact=True).click()
    for field in texts:
        expect(box(page, form, field.label)).to_have_value(hostile(field.name))
    page.locator(f"#{form}-close").click()


def bring_in(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(file)


def in_write(page: Page) -> None:
    shows(page.locator("#masthead"), "draft-title")
    shows(page.locator("#text h1"), "draft-title")
    unfold(page, "#about-panel", "h4")
    shows(page.locator("#about"), "draft-premise", "draft-outline")
    give(page, "own-plan")
    write_on(page, 2)
    unharmed(page)


def in_memory(page: Page) -> None:
    remembering(page)
    unfold(page, "#page-text", "textarea").fill(hostile("page"))
    page.locator("#save-page").click()
    shows(page.locator("#notes li").first, "page")
    fill_form(page, "lore", ENTRY)
    fill_form(page, "characters", CHARACTER)
    add_entry(page, hostile("fires"), "firing-text, play-action", hostile("told"))
    shows(page.locator("#lore-table"), "fires")
    shows(page.locator("#characters-table"), "draft-name-1", "draft-name-2")
    give(page, "note-depth")
    page.locator("#save-note").click()
    expect(page.locator("#notice")).to_contain_text("note_depth")
    unharmed(page)
    page.locator("#note-depth").locator("textarea, input").first.fill("1")
    give(page, "authors-note")
    page.locator("#save-note").click()
    expect(page.locator("#note-told")).to_contain_text("Saved")
    give(page, "firing-text")
    page.locator("#firing-text textarea").press_sequentially(" now")
    shows(page.locator("#firing"), "fires")
    give(page, "query")
    page.locator("#search").click()
    expect(page.locator("#hits li").first).to_be_visible()
    unharmed(page)


def in_play(page: Page) -> None:
    page.get_by_role("tab", name="Play").click()
    give(page, "play-action")
    page.locator("#play-send").click()
    expect(page.locator("#play-text .turn")).to_have_count(3)
    expect(page.locator("#play-send")).to_be_visible()
    shows(page.locator("#play-text"), "own-plan", "play-action")
    unharmed(page)


def in_inspect(page: Page) -> None:
    page.get_by_role("tab", name="Inspect").click()
    inspected = ("style", "draft-premise", "authors-note", "draft-name-1", "page", "told")
    shows(page.locator("#inspect"), *inspected)
    unharmed(page)


def on_the_map(page: Page) -> None:
    page.get_by_role("tab", name="Map").click()
    expect(page.locator("#map-tree li").first).to_be_visible()
    give(page, "map-name")
    page.locator("#map-rename").click()
    shows(page.locator("#map-tree li").first, "map-name")
    shows(page.locator("#map-told"), "map-name")
    unharmed(page)


def among_the_stories(page: Page, folder: Path) -> None:
    page.locator("#masthead nav > a").click()
    shelf = page.locator("#shelf")
    shows(shelf, "draft-title")
    row = shelf.locator("li").filter(has_text="draft-title")
    row.get_by_role("button", name="Delete").click()
    shows(page.locator("#told"), "draft-title")
    page.locator("#undo").click()
    shows(shelf, "draft-title")
    name = "<img src=x onerror='window.pwned = 1'>"
    manuscript = folder / f"{name}.md"
    manuscript.write_text(f"# {hostile('heading')}\n\n{hostile('manuscript')}\n", encoding="utf-8")
    bring_in(page, manuscript)
    shows(shelf, "heading")
    broken = folder / f"{name}.json"
    broken.write_text(hostile("file"), encoding="utf-8")
    bring_in(page, broken)
    expect(page.locator("#notice")).to_contain_text("can't be imported")
    unharmed(page)


def test_what_is_written_into_any_field_is_shown_and_never_run(
    server: Any, tabs: Any, shots: Path, tmp_path: Path
) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    in_write(page)
    server.cli("settings", story, f"style={hostile('style')}")
    in_memory(page)
    page.screenshot(path=shots / "hostile-memory-1440.png", full_page=True)
    in_play(page)
    in_inspect(page)
    on_the_map(page)
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("Write", "Play", "Memory", "Inspect", "Map"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(500)  # until whatever would run has run
        unharmed(page)
        page.screenshot(path=shots / f"hostile-{tab.lower()}-390.png")
    page.reload()
    written(page, 3)
    unharmed(page)
    among_the_stories(page, tmp_path)
    page.screenshot(path=shots / "hostile-library-390.png")
