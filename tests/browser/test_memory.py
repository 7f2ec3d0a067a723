"""The tab Memory in a real browser: every button of it, against what the command line says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_page import begin, forms, no_sideways_scroll, write_on, written
from tests.page_server import SLOWLY

pytestmark = pytest.mark.browser


def remembering(page: Page) -> None:
    """Open the tab and wait until it is loaded."""
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#notes li, #notes .quiet").first).to_be_visible()
    expect(page.locator("#stale").get_by_text("stale").first).to_be_visible()


def unfold(page: Page, panel: str, inside: str) -> Locator:
    found = page.locator(f"{panel} {inside}").first
    if not found.is_visible():
        page.locator(f"{panel} button.label-wrap").click()
    expect(found).to_be_visible()
    return found


def box(page: Page, form: str, label: str) -> Locator:
    """A field of a form, by its label; the hint beside it belongs to its name too."""
    field = page.locator(f"#{form}-form .field").filter(has=page.get_by_text(label, exact=True))
    return field.locator("input, textarea").first


def fill(page: Page, form: str, label: str, text: str) -> None:
    box(page, form, label).fill(text)


def bring_in(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#lore-file").click()
    chooser.value.set_files(file)


def add_entry(page: Page, name: str, keys: str, content: str) -> None:
    page.locator("#lore-add").click()
    fill(page, "lore", "Name", name)
    fill(page, "lore", "Keys", keys)
    fill(page, "lore", "What the writer is told", content)
    page.locator("#lore-save").click()
    # Long names are told by their first letters.
    expect(page.locator("#lore-told")).to_contain_text(f"“{name[:40]}")
    expect(page.locator("#lore-told")).to_contain_text("is added")


def edit_entry(page: Page, name: str) -> None:
    page.locator("#lore-table").get_by_role("button", name=name, exact=True).click()
    expect(box(page, "lore", "Name")).to_have_value(name)


def test_sentences_are_pinned_removed_and_brought_back(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    write_on(page, 3)
    remembering(page)
    notes = page.locator("#notes li")
    expect(notes).to_have_count(2)
    expect(notes.last).to_contain_text("¶ 3")
    last = notes.last.locator("p").inner_text()
    notes.last.get_by_role("button", name="Pin").click()
    expect(page.locator("#memory-told")).to_contain_text("Pinned: the keeper can't drop it.")
    assert server.cli("memory", story)["notes"][-1]["pinned"] is True
    notes.last.get_by_role("button", name="Remove").click()
    expect(notes).to_have_count(1)
    expect(page.locator("#memory-told")).to_contain_text("The sentence is taken out.")
    unfold(page, "#left-page", "li")
    expect(page.locator("#left-page")).to_contain_text("taken out by hand")
    assert last not in server.cli("memory", story)["short_memory"]
    page.screenshot(path=shots / "memory-edited-1440.png", full_page=True)
    page.locator("#memory-told").get_by_role("button", name="Undo").click()
    expect(notes).to_have_count(2)
    unfold(page, "#last-change", "li")
    expect(page.locator("#last-change")).to_contain_text(last)
    page.get_by_role("tab", name="Write").click()
    expect(page.locator("#memory textarea")).to_have_value(re.compile(re.escape(last)))


def test_the_whole_page_is_rewritten(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    remembering(page)
    whole = unfold(page, "#page-text", "textarea")
    whole.fill("Mara fears the number nine.\nTobias is her brother.")
    page.locator("#notes li").last.get_by_role("button", name="Pin").click()
    expect(page.locator("#memory-told")).to_contain_text("Pinned")
    expect(whole).to_have_value("Mara fears the number nine.\nTobias is her brother.")
    page.locator("#save-page").click()
    expect(page.locator("#memory-told")).to_contain_text("Saved")
    expect(page.locator("#notes li")).to_have_count(2)
    expect(page.locator("#notes li").first).to_contain_text("by hand")
    assert server.cli("memory", story)["short_memory"] == "Mara fears the number nine. Tobias is her brother."
    page.get_by_role("tab", name="Write").click()
    written(page, 1)
    expect(page.locator("#memory textarea")).to_have_value(
        "Mara fears the number nine. Tobias is her brother."
    )


def test_a_number_leads_to_its_paragraph(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    write_on(page, 2)
    remembering(page)
    page.locator("#notes").get_by_role("button", name="Go to paragraph 2").first.click()
    expect(page.locator("#text [data-depth='2']")).to_be_focused()


def test_what_the_keeper_proposes_is_decided(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    remembering(page)
    page.locator("#asks").get_by_role("checkbox").check()
    expect(page.locator("#memory-told")).to_contain_text("the keeper proposes its changes here")
    page.get_by_role("tab", name="Write").click()
    write_on(page, 2)
    write_on(page, 3)
    remembering(page)
    proposals = page.locator("#proposals section")
    expect(proposals).to_have_count(2)
    page.screenshot(path=shots / "memory-proposals-1440.png")
    proposed = proposals.first.locator("li.added").first.inner_text()
    proposals.first.get_by_role("button", name="Approve").click()
    expect(page.locator("#memory-told")).to_contain_text("Approved")
    expect(page.locator("#notes")).to_contain_text(proposed)
    expect(proposals).to_have_count(1)
    proposals.first.get_by_role("button", name="Turn down").click()
    expect(page.locator("#memory-told")).to_contain_text("Turned down")
    expect(proposals).to_have_count(0)
    assert server.cli("memory", story, "--pending")["pending"] == []


def test_what_is_stale_is_made_again(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    write_on(page, 3)
    server.cli("edit", story, "1", "Mara sells the lighthouse to a man who limps.")
    remembering(page)
    expect(page.locator("#stale li")).to_have_count(2)
    expect(page.locator("#stale")).to_contain_text(
        "The memory after paragraphs 2 to 3 is stale, because paragraph 1 was edited."
    )
    page.screenshot(path=shots / "memory-stale-1440.png")
    page.locator("#again").click()
    expect(page.locator("#making")).to_contain_text("Made again: 1 note")
    expect(page.locator("#stale")).to_contain_text("Nothing is stale")
    expect(page.locator("#again")).to_be_hidden()
    assert server.cli("memory", story, "--stale")["stale"] == []


def test_making_again_is_stopped(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    server.cli("edit", story, "1", f"Mara sells the lighthouse {SLOWLY} to a man who limps.")
    remembering(page)
    page.locator("#again").click()
    expect(page.locator("#making")).to_contain_text("Making it again")
    page.locator("#stop-making").click()
    expect(page.locator("#making")).to_contain_text("Stopped")
    expect(page.locator("#again")).to_be_visible()


def test_the_past_is_asked(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    begin(page)
    for number in range(2, 6):
        write_on(page, number)
    words = page.locator("#text .paragraph p").first.inner_text().split()
    remembering(page)
    page.locator("#query textarea").fill(" ".join(words[:8]))
    page.locator("#search").click()
    expect(page.locator("#hits li").first).to_contain_text("score")
    page.locator("#hits summary").first.click()
    expect(page.locator("#hits th").first).to_have_text("its own words")
    page.locator("#hits").scroll_into_view_if_needed()
    page.screenshot(path=shots / "memory-search-1440.png", full_page=True)
    page.locator("#query textarea").fill("  ")
    page.locator("#query textarea").press("Enter")
    expect(page.locator("#notice")).to_contain_text("query is empty")


def test_lore_is_added_changed_and_fires(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    remembering(page)
    expect(page.locator("#lore-table")).to_contain_text("No lore yet")
    add_entry(page, "The Lamp", "brass lantern, lamp-oil", "The lantern burns under water.")
    page.locator("#firing-text textarea").press_sequentially("She lifts the brass lantern.")
    expect(page.locator("#firing")).to_contain_text("its key brass lantern stands in what happens next")
    edit_entry(page, "The Lamp")
    page.locator("#lore-form .more button.label-wrap").click()
    fill(page, "lore", "Order", "7")
    fill(page, "lore", "Rests for so many paragraphs", "2")
    page.screenshot(path=shots / "memory-lore-form-1440.png", full_page=True)
    page.locator("#lore-save").click()
    expect(page.locator("#lore-told")).to_contain_text("is changed")
    entry = server.cli("lore", story, "list")["entries"][0]
    assert (entry["order"], entry["cooldown"], entry["keys"]) == (7, 2, ["brass lantern", "lamp-oil"])
    page.locator("#lore-table").get_by_role("switch", name="The Lamp: constant").click()
    expect(page.locator("#lore-told")).to_contain_text("now constant")
    expect(page.locator("#firing")).to_contain_text("it is constant")
    page.get_by_role("tab", name="Write").click()
    write_on(page, 2)
    remembering(page)
    page.locator("#lore-table").get_by_role("switch", name="The Lamp: enabled").click()
    expect(page.locator("#lore-told")).to_contain_text("Paragraph 2 is stale")
    expect(page.locator("#stale")).to_contain_text("Paragraph 2 is stale")
    page.locator("#settle").click()
    expect(page.locator("#making")).to_contain_text("1 paragraph stands as it is")
    expect(page.locator("#stale")).to_contain_text("Nothing is stale")
    page.locator("#lore-table").get_by_role("button", name="The Lamp", exact=True).click()
    page.locator("#lore-delete").click()
    expect(page.locator("#lore-told")).to_contain_text("is removed")
    expect(page.locator("#lore-table")).to_contain_text("No lore yet")
    page.locator("#lore-told").get_by_role("button", name="Undo").click()
    expect(page.locator("#lore-table")).to_contain_text("The Lamp")


def test_a_form_with_edits_waits_for_its_save(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    remembering(page)
    add_entry(page, "One", "one", "The first.")
    add_entry(page, "Two", "two", "The second.")
    edit_entry(page, "One")
    fill(page, "lore", "What the writer is told", "The very first.")
    page.locator("#lore-table").get_by_role("button", name="Two", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("aren't saved yet")
    expect(box(page, "lore", "Name")).to_have_value("One")
    fill(page, "lore", "Order", "99999999")
    page.locator("#lore-save").click()
    expect(page.locator("#notice")).to_contain_text("out of all bounds")
    expect(box(page, "lore", "What the writer is told")).to_have_value("The very first.")
    page.locator("#lore-close").click()
    expect(page.locator("#lore-form")).to_be_hidden()


def test_lore_comes_from_a_file_and_goes_to_one(server: Any, tabs: Any, tmp_path: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    remembering(page)
    book = {
        "entries": {"0": {"uid": 0, "key": ["harbour"], "comment": "Harbour", "content": "A cold place."}}
    }
    file = tmp_path / "world.json"
    file.write_text(json.dumps(book))
    bring_in(page, file)
    expect(page.locator("#lore-told")).to_contain_text("1 entry and 0 characters came with the file")
    expect(page.locator("#lore-table")).to_contain_text("Harbour")
    with page.expect_download() as world:
        page.get_by_role("link", name="World info for SillyTavern").click()
    assert "A cold place." in world.value.path().read_text(encoding="utf-8")
    assert world.value.suggested_filename == "The Door in the Sea.json"
    assert page.request.get(f"{server.url}lore/{story}.exe").status == 404
    file.write_text("nothing of the kind")
    bring_in(page, file)
    expect(page.locator("#notice")).to_contain_text("world.json can't be imported.")


def test_characters_and_the_authors_note(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    remembering(page)
    page.locator("#characters-add").click()
    fill(page, "characters", "Name", "Tobias")
    fill(page, "characters", "Description", "Mara's brother, who limps.")
    page.locator("#characters-save").click()
    expect(page.locator("#characters-told")).to_contain_text("“Tobias” is added")
    with page.expect_download() as card:
        page.get_by_role("link", name="Card of the first character").click()
    assert card.value.path().read_bytes().startswith(b"\x89PNG")
    page.locator("#authors-note textarea").fill("Keep it grim.")
    page.locator("#note-depth input").fill("2")
    page.locator("#save-note").click()
    expect(page.locator("#note-told")).to_contain_text("Saved")
    settings = server.cli("settings", story)["settings"]
    assert (settings["authors_note"], settings["note_depth"]) == ("Keep it grim.", 2)
    page.locator("#note-told").get_by_role("button", name="Undo").click()
    expect(page.locator("#authors-note textarea")).to_have_value("")
    page.locator("#characters-table").get_by_role("button", name="Tobias", exact=True).click()
    page.locator("#characters-delete").click()
    expect(page.locator("#characters-table")).to_contain_text("No characters yet")


def test_the_tab_fits(server: Any, tabs: Any, shots: Path, hostile: str) -> None:
    page = tabs.open(server.url)
    begin(page)
    write_on(page, 2)
    remembering(page)
    add_entry(page, "The Lamp", "lamp, brass lantern, oil, wick, flame", "The lantern burns under water.")
    add_entry(page, hostile, hostile.split(",")[0], hostile)
    page.locator("#query textarea").fill("Mara lamp door")
    page.locator("#search").click()
    expect(page.locator("#hits li").first).to_be_visible()
    page.locator("#hits summary").first.click()
    for form in forms(page):
        no_sideways_scroll(page)
        page.screenshot(path=shots / f"memory-{form}.png", full_page=True)
    assert page.evaluate("window.pwned") is None
    page.locator("#lore-table").get_by_role("button", name="The Lamp", exact=True).click()
    expect(page.locator("#lore-form")).to_be_visible()
    no_sideways_scroll(page)
