import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_page import PREMISE, begin, forms, no_sideways_scroll, write_on

pytestmark = pytest.mark.browser

PARAGRAPHS = 6


def told(page: Page, paragraphs: int = PARAGRAPHS) -> str:
    """A story of so many paragraphs; gives its id."""
    story = begin(page)
    for depth in range(2, paragraphs + 1):
        write_on(page, depth)
    return story


def inspect(page: Page) -> None:
    page.get_by_role("tab", name="Inspect").click()


def shows(page: Page, depth: int) -> None:
    expect(page.locator("#inspect-paragraph h2")).to_contain_text(f"Paragraph {depth} of")
    expect(page.locator("#inspect-depth input")).to_have_value(str(depth))


def whole(shots: Path, page: Page, name: str, part: str) -> None:
    page.locator(part).screenshot(path=shots / f"{name}.png")


def slot(page: Page, title: str) -> Locator:
    return page.locator(f"#inspect-prompt mark[title='{title}']")


def test_any_paragraph_is_looked_into(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = told(page)
    inspect(page)
    shows(page, PARAGRAPHS)
    expect(page.locator("#inspect-ahead")).to_be_disabled()
    expect(slot(page, "Premise")).to_have_text(PREMISE)
    kept = server.cli("show", story, "--prompt", str(PARAGRAPHS))
    assert page.locator("#inspect-prompt pre.prompt").inner_text() == kept["prompt"]
    step = server.cli("show", story)["steps"][-1]
    expect(slot(page, "Plan")).to_have_text(step["plan"])
    expect(page.locator("#inspect-paragraph .facts")).to_contain_text(str(step["seed"]))
    whole(shots, page, "inspect-1440", "#inspect")
    page.screenshot(path=shots / "inspect-top-1440.png")

    page.locator("#inspect-back").click()
    shows(page, PARAGRAPHS - 1)
    page.locator("#inspect-ahead").click()
    shows(page, PARAGRAPHS)
    page.locator("#inspect-depth input").fill("1")
    shows(page, 1)
    expect(page.locator("#inspect-back")).to_be_disabled()
    expect(page.locator("#inspect-ahead")).to_be_enabled()
    page.locator("#inspect-depth input").fill("99")
    expect(page.locator("#notice")).to_contain_text("There is no step 99")
    page.locator("#inspect-depth input").fill("2")
    shows(page, 2)
    expect(page.locator("#notice")).to_be_empty()


def test_links_and_bars_open_their_paragraph(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    told(page)
    inspect(page)
    shows(page, PARAGRAPHS)
    link = page.locator("#inspect-prompt .link").first
    depth = int(link.get_attribute("data-depth") or 0)
    assert 0 < depth < PARAGRAPHS
    link.click()
    shows(page, depth)
    page.locator("#inspect-charts figure").first.locator("[data-depth='3']").click(force=True)
    shows(page, 3)
    whole(shots, page, "inspect-charts-1440", "#inspect-charts")
    fold = page.locator("#inspect-calls details").nth(1)
    expect(fold.locator("pre").first).to_be_hidden()
    fold.locator("summary").click()
    expect(fold.locator("pre").first).to_be_visible()


def test_a_model_that_cant_score_says_so(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    inspect(page)
    shows(page, 1)
    page.locator("#inspect-why").click()
    expect(page.locator("#notice")).to_contain_text(re.compile("score|weights"))
    expect(page.locator("#inspect-effects")).to_be_empty()
    expect(page.locator("#inspect-why")).to_be_enabled()


def test_a_paragraph_written_since_is_there_when_the_tab_is_opened_again(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    inspect(page)
    shows(page, 1)
    page.get_by_role("tab", name="Write").click()
    write_on(page, 2)
    inspect(page)
    shows(page, 2)


def test_it_fits_a_narrow_page_and_shows_hostile_text_as_text(
    server: Any, tabs: Any, shots: Path, hostile: str
) -> None:
    page = tabs.open(server.url, width=390, height=844)
    begin(page, hostile)
    write_on(page, 2)
    inspect(page)
    shows(page, 2)
    for form in forms(page, 390):
        whole(shots, page, f"inspect-{form}", "#inspect")
    expect(slot(page, "Premise")).to_contain_text("<script>window.pwned = 1</script>")
    for fold in page.locator("#inspect-calls summary").all():
        fold.click()
    no_sideways_scroll(page)
    assert page.evaluate("window.pwned") is None
