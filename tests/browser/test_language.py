"""The studio in the languages that it speaks: as the browser asks, or as chosen in Settings."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import PREMISE, no_sideways_scroll, streams, written
from tests.page_server import SLOWLY

pytestmark = pytest.mark.browser


def choose(page: Page, language: str) -> None:
    """Choose a language in Settings; the page is fetched again."""
    page.goto(page.url.split("?")[0])
    page.locator("#home").get_by_role("tab").last.click()
    with page.expect_navigation():
        page.locator("#languages").get_by_text(language, exact=True).click()
    page.locator("#premise textarea").wait_for()


def test_a_language_is_chosen_and_kept(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    choose(page, "Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("button", name="Beginnen")).to_be_visible()
    page.get_by_label("Wovon handelt die Geschichte?").fill(f"{PREMISE} It opens {SLOWLY}.")
    page.screenshot(path=shots / "begin-de-1440.png")
    page.locator("#begin").click()
    streams(page)
    expect(page.locator("#status")).to_contain_text("Absatz 1")  # what a stream says, too
    written(page, 1)
    expect(page.get_by_role("tab", name="Schreiben")).to_be_visible()
    expect(page.locator("#plans h3")).to_have_text("Was als Nächstes geschieht")
    page.locator("#memory textarea").fill("Mara hat den Schlüssel verloren.")
    page.locator("#save-memory").click()
    expect(page.locator("#memory-note")).to_contain_text("Gespeichert")
    page.screenshot(path=shots / "write-de-1440.png")
    for tab in ("Gedächtnis", "Karte"):
        page.get_by_role("tab", name=tab).click()
    expect(page.locator("#map-tree")).to_contain_text("1 Absatz")
    page.set_viewport_size({"width": 390, "height": 844})
    no_sideways_scroll(page)
    page.screenshot(path=shots / "map-de-390.png")
    choose(page, "中文")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#begin")).to_have_text("开始")
    no_sideways_scroll(page)
    page.screenshot(path=shots / "begin-zh-390.png")
    choose(page, "跟随浏览器")
    expect(page.locator("#begin")).to_have_text("Begin")


def test_the_browser_s_language_is_spoken_where_none_is_chosen(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url, locale="de-AT")
    expect(page.locator("#begin")).to_have_text("Beginnen")
