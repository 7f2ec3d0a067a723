import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from storyloom.memory.orders import Batch, Order, TaskState, queued
from storyloom.storage.database import Database
from tests.browser.test_page import PREMISE, forms, no_sideways_scroll, story_id, written
from tests.page_server import Server, script, scripted_command

pytestmark = pytest.mark.browser

PLACES = ("sea", "cellar", "tower", "garden", "quarry", "chapel", "orchard", "harbour", "attic", "mill")
# One for each time that a test asks: what was asked once doesn't come again.
OUTLINES = [
    f"Mara finds a door in the {place}.\nIt knocks at night.\nShe opens it at last.\nShe goes home by boat."
    for place in PLACES
]
NOW = datetime(2025, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with a model that knows more than one outline."""
    home = tmp_path_factory.mktemp("library")
    model = script(home)
    path = home / "script.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    rule = next(one for one in document["rules"] if one["match"] == "You tell the whole")
    rule["replies"] = OUTLINES
    path.write_text(json.dumps(document), encoding="utf-8")
    one = Server(home, model, command=scripted_command())
    one.start()
    yield one
    one.kill()


def open_tab(page: Page, name: str) -> None:
    page.locator("#home").get_by_role("tab", name=name).click()


def begin(page: Page, title: str) -> str:
    """A story of one paragraph, and back among the stories."""
    page.locator("#premise textarea").fill(PREMISE)
    page.locator("#title").get_by_role("textbox").fill(title)
    page.locator("#begin").click()
    written(page, 1)
    story = story_id(page)
    page.locator("#masthead nav > a").click()
    expect(row(page, title)).to_have_count(1)
    return story


def row(page: Page, title: str) -> Any:
    return page.locator("#shelf li").filter(has=page.get_by_role("link", name=title, exact=True))


def test_a_story_is_duplicated_deleted_and_brought_back(library: Server, tabs: Any, shots: Path) -> None:
    page = tabs.open(library.url)
    story = begin(page, "The Lamp")
    row(page, "The Lamp").get_by_role("button", name="Duplicate").click()
    expect(row(page, "The Lamp (copy)")).to_have_count(1)
    expect(page.locator("#told")).to_contain_text("top of the list")
    row(page, "The Lamp").get_by_role("button", name="Delete").click()
    expect(page.locator("#told")).to_contain_text("“The Lamp” was deleted.")
    expect(row(page, "The Lamp")).to_have_count(0)
    row(page, "The Lamp (copy)").get_by_role("button", name="Delete").click()
    expect(row(page, "The Lamp (copy)")).to_have_count(0)
    page.screenshot(path=shots / "library-deleted-1440.png")
    page.locator("#undo").click()
    expect(row(page, "The Lamp (copy)")).to_have_count(1)
    expect(page.locator("#told")).to_contain_text("“The Lamp” was deleted.")
    page.locator("#undo").click()
    expect(page.locator("#told")).to_contain_text("“The Lamp” is back.")
    expect(page.locator("#undo")).to_be_hidden()
    page.locator(f"#shelf a[href='?story={story}']").click()
    expect(page.locator("#text .paragraph")).to_have_count(1)


def test_files_are_imported(library: Server, tabs: Any, tmp_path: Path) -> None:
    page = tabs.open(library.url)
    manuscript = tmp_path / "Night Watch.md"
    manuscript.write_text("# Night Watch\n\nTobias rowed out.\n\nThe bell rang.\n", encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(manuscript)
    expect(row(page, "Night Watch")).to_contain_text("2 paragraphs")
    story = begin(page, "The Bell")
    file = tmp_path / "bell.json"
    file.write_bytes(page.request.get(f"{library.url}export/{story}.json").body())
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(file)
    expect(page.locator("#notice")).to_contain_text("is there already")
    row(page, "The Bell").get_by_role("button", name="Delete").click()
    expect(row(page, "The Bell")).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(file)
    expect(page.locator("#told")).to_contain_text("“The Bell” is here.")
    expect(row(page, "The Bell")).to_have_count(1)


def outlined(page: Page, premise: str = PREMISE) -> str:
    """Step by step to an outline; gives it."""
    open_tab(page, "New story")
    page.locator("#draft-premise textarea").fill(premise)
    page.locator("#draft-to-outline").click()
    outline = page.locator("#draft-outline textarea")
    expect(outline).to_have_value(re.compile("."))
    return outline.input_value()


def test_an_outline_is_made_again_and_taken_back(library: Server, tabs: Any, shots: Path) -> None:
    page = tabs.open(library.url)
    open_tab(page, "New story")
    page.locator("#draft-to-outline").click()
    expect(page.locator("#notice")).to_contain_text("premise is empty")
    page.locator("#draft-mode").get_by_label("A document").check()
    page.screenshot(path=shots / "new-premise-1440.png")
    first = outlined(page)
    outline = page.locator("#draft-outline textarea")
    expect(page.locator("#draft-title").get_by_role("textbox")).to_have_value("The Door in the Sea")
    page.locator("#draft-another").click()
    expect(outline).not_to_have_value(first)
    page.locator("#draft-former").click()
    expect(outline).to_have_value(first)
    page.screenshot(path=shots / "new-outline-1440.png")
    outline.fill("Mara goes down.\nMara comes up.")
    page.locator("#draft-back-1").click()
    page.locator("#draft-premise textarea").fill(f"{PREMISE} It knocks.")
    page.locator("#draft-to-outline").click()
    expect(outline).to_be_visible()
    expect(outline).to_have_value("Mara goes down.\nMara comes up.")
    open_tab(page, "Stories")
    expect(row(page, "The Door in the Sea").first).to_contain_text("Document · 0 words")


def test_a_story_begins_step_by_step(library: Server, tabs: Any, shots: Path) -> None:
    page = tabs.open(library.url)
    outlined(page)
    page.locator("#draft-outline textarea").fill("Mara goes down.\nMara comes up.")
    page.locator("#draft-to-characters").click()
    page.locator("#draft-name-1").get_by_role("textbox").fill("Mara")
    page.locator("#draft-about-1 textarea").fill("Keeps the lamp and is afraid of the number nine.")
    page.locator("#draft-more").click()
    page.locator("#draft-about-3 textarea").fill("Limps.")
    page.locator("#draft-to-first").click()
    expect(page.locator("#notice")).to_contain_text("has no name")
    page.locator("#draft-name-3").get_by_role("textbox").fill("Tobias")
    page.screenshot(path=shots / "new-characters-1440.png")
    page.locator("#draft-to-first").click()
    expect(page.locator("#draft-summary")).to_contain_text("Mara, Tobias")
    page.locator("#draft-back-3").click()
    page.locator("#draft-back-2").click()
    page.locator("#draft-to-characters").click()
    page.locator("#draft-to-first").click()
    expect(page.locator("#draft-summary")).to_contain_text("Mara comes up.")
    page.locator("#draft-plan textarea").fill("Mara counts the stairs.")
    page.screenshot(path=shots / "new-first-1440.png")
    page.locator("#draft-write").click()
    written(page, 1)
    story = story_id(page)
    kept = library.cli("show", story)
    assert kept["steps"][0]["plan"] == "Mara counts the stairs."
    assert kept["story"]["outline"] == "Mara goes down.\nMara comes up."
    assert "afraid of the number nine" in library.cli("show", story, "--prompt", "1")["prompt"]


def test_many_stories_are_searched(library: Server, tabs: Any, hostile: str, shots: Path) -> None:
    page = tabs.open(library.url)
    begin(page, "The Needle")
    for _ in range(10):
        row(page, "The Needle").get_by_role("button", name="Duplicate").click()
        expect(page.locator("#told")).to_contain_text("top of the list")
        page.reload()
        expect(row(page, "The Needle")).to_have_count(1)
    page.locator("#search").get_by_role("textbox").fill("no such title")
    expect(page.locator("#shelf")).to_contain_text("No title has “no such title” in it.")
    page.locator("#search").get_by_role("textbox").fill(hostile)
    expect(page.locator("#shelf")).to_contain_text("HOSTILE")
    no_sideways_scroll(page)
    page.locator("#search").get_by_role("textbox").fill("needle")
    expect(page.locator("#shelf li").first).to_contain_text("The Needle (copy)")
    page.screenshot(path=shots / "library-search-1440.png", full_page=True)
    assert page.evaluate("window.pwned") is None


def give_batch(home: Path, story: str, hostile: str) -> None:
    """A batch with a story being written, one that waits, and one that failed."""
    batch = Batch(id="batch", owner="local", name="Lamps of the coast", created_at=NOW)
    premise = "Mara keeps a lamp."
    tasks = [
        queued(
            batch,
            task_id=key,
            key=key,
            position=place,
            order=Order(story_id=story if not place else f"story-{key}", premise=premise, paragraphs=4),
            at=NOW,
        )
        for place, key in enumerate(("mara-keeps-a-lamp", "tobias-rows-out", "the-bell"))
    ]
    tasks[2] = replace(tasks[2], state=TaskState.FAILED, error=f"The server is down. {hostile}", ended_at=NOW)
    database = Database(f"sqlite:///{home / 'storyloom.db'}")
    with database.unit_of_work() as work:
        work.tasks.add(batch, tasks)
        work.tasks.claim("worker", 3600.0)
        work.commit()
    database.close()


def test_batches_are_watched_and_a_story_cancelled(
    library: Server, tabs: Any, hostile: str, shots: Path
) -> None:
    page = tabs.open(library.url)
    story = begin(page, "The Coast")
    open_tab(page, "Batch")
    batches = page.locator("#batches")
    expect(batches).to_contain_text("No batch yet")
    give_batch(library.home, story, hostile)
    expect(batches).to_contain_text("1 being written · 1 waiting · 1 failed")  # by the timer alone
    expect(batches.get_by_role("link", name="The Coast")).to_be_visible()
    expect(batches).to_contain_text("writing paragraph 2")
    expect(batches.locator(".problem")).to_contain_text("The server is down.")
    page.screenshot(path=shots / "batch-1440.png")
    batches.get_by_role("button", name="Cancel tobias-rows-out").click()
    expect(batches).to_contain_text("1 failed · 1 cancelled")
    batches.get_by_role("button", name="Cancel The Coast").click()
    expect(batches).to_contain_text("ends soon")
    page.set_viewport_size({"width": 390, "height": 844})
    no_sideways_scroll(page)
    page.screenshot(path=shots / "batch-390.png")
    open_tab(page, "Stories")
    open_tab(page, "Batch")
    assert page.evaluate("window.pwned") is None
    batches.get_by_role("link", name="The Coast").click()
    expect(page.locator("#text h1")).to_have_text("The Coast")


def test_colours_are_chosen_and_kept_and_the_machine_is_looked_at(
    library: Server, tabs: Any, shots: Path
) -> None:
    page = tabs.open(library.url)
    body = page.locator("body")
    open_tab(page, "Settings")
    expect(page.get_by_label("As the system")).to_be_checked()
    page.get_by_label("Dark").check()
    expect(body).to_have_class(re.compile(r"\bdark\b"))
    page.route("**/*.js", lambda _: None)  # Gradio begins only once its scripts are let through
    page.reload(wait_until="commit")
    page.wait_for_function("document.body && document.body.classList.contains('dark')")
    page.unroute("**/*.js")
    expect(page.locator("#premise")).to_be_visible()
    expect(body).to_have_class(re.compile(r"\bdark\b"))
    open_tab(page, "Settings")
    expect(page.get_by_label("Dark")).to_be_checked()
    page.screenshot(path=shots / "settings-1440-dark.png")
    page.get_by_label("As the system").check()
    expect(body).not_to_have_class(re.compile(r"\bdark\b"))
    page.emulate_media(color_scheme="dark")
    expect(body).to_have_class(re.compile(r"\bdark\b"))
    page.get_by_label("Light", exact=True).check()
    expect(body).not_to_have_class(re.compile(r"\bdark\b"))
    expect(page.locator("#models")).to_contain_text("The starter")
    page.locator("#examine").click()
    expect(page.locator("#doctor tr.ok").first).to_be_visible()
    expect(page.locator("#examine")).to_be_enabled()
    page.screenshot(path=shots / "settings-1440.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    no_sideways_scroll(page)
    page.screenshot(path=shots / "settings-390.png", full_page=True)


def test_the_tabs_fit_a_phone(library: Server, tabs: Any, shots: Path) -> None:
    page = tabs.open(library.url, width=390, height=844)
    for name in ("Stories", "New story", "Batch", "Settings"):
        open_tab(page, name)
        for form in forms(page, 390):
            no_sideways_scroll(page)
            page.screenshot(path=shots / f"home-{name.lower().replace(' ', '-')}-{form}.png")
