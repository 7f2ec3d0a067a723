import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import begin, forms, no_sideways_scroll, write_on, written

pytestmark = pytest.mark.browser

NAME = "The <b>other</b> door"


def tree(page: Page) -> None:
    page.get_by_role("tab", name="Map").click()
    expect(page.locator("#map-tree svg")).to_be_visible()


def forked(server: Any, page: Page, story: str) -> None:
    """Open a strand that left the story after its first paragraph, and write its own second."""
    strand = server.cli("branch", story, "--at", "1")["strand"]["id"]
    page.goto(f"{server.url}?story={story}&strand={strand}")
    written(page, 1)
    write_on(page, 2)


def offers(page: Page, dropdown: str, *names: str) -> None:
    """Wait until a list of strands offers these and no others; how long each is stands behind its name."""
    page.locator(f"{dropdown} input").click()
    expect(page.get_by_role("option")).to_have_text([re.compile(rf"^(✓\s*)?{name} · ") for name in names])
    page.keyboard.press("Escape")


def choose(page: Page, name: str) -> None:
    page.locator("#map-chosen input").click()
    # Gradio answers what is asked of a strand that has left its list with an error: no button comes before.
    with page.expect_response(lambda answer: "/run/" in answer.url):
        page.get_by_role("option", name=name).click()


def test_a_strand_is_found_named_and_opened(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    write_on(page, 3)
    forked(server, page, story)
    tree(page)
    rows = page.locator("#map-tree li")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("3 paragraphs")
    expect(rows.nth(1)).to_contain_text("open · 2 paragraphs · 1 of its own, from paragraph 1")
    page.locator("#map-name").get_by_role("textbox").fill(NAME)
    page.locator("#map-rename").click()
    expect(rows.nth(1).locator("button")).to_have_text(NAME)
    expect(page.locator("#map-told")).to_contain_text(NAME)
    assert NAME in [strand["name"] for strand in server.cli("branches", story)["strands"]]
    page.screenshot(path=shots / "map-1440.png")

    rows.nth(0).locator("button").click()
    written(page, 3)
    tree(page)
    expect(rows.nth(0)).to_contain_text("open")
    choose(page, NAME)
    expect(page.locator("#map-name").get_by_role("textbox")).to_have_value(NAME)
    page.locator("#map-open").click()
    written(page, 2)
    tree(page)
    expect(rows.nth(1)).to_contain_text("open")  # the tree as it is now, not as it was left
    page.locator("#map-tree path.hit").first.click(force=True)
    written(page, 3)


def test_a_strand_is_archived_and_brought_back(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    forked(server, page, story)
    strands = page.locator("#strands input")
    tree(page)
    rows = page.locator("#map-tree li")
    page.locator("#map-archive").click()
    expect(page.locator("#notice")).to_contain_text("open strand, so it can't be archived")
    choose(page, "The story")
    page.locator("#map-archive").click()
    expect(page.locator("#notice")).to_contain_text("main strand can't be archived")
    rows.nth(0).locator("button").click()
    written(page, 2)
    tree(page)
    expect(page.locator("#map-archived")).to_be_hidden()
    choose(page, "From paragraph 1")
    page.locator("#map-archive").click()
    expect(rows).to_have_count(1)
    expect(page.locator("#map-told")).to_contain_text("“From paragraph 1” is archived")
    expect(page.locator("#notice")).to_be_empty()
    assert [one["archived"] for one in server.cli("branches", story)["strands"]] == [False, True]
    offers(page, "#map-chosen", "The story")
    page.get_by_role("tab", name="Write").click()
    page.get_by_role("button", name="Strands").click()
    expect(strands).to_have_value(re.compile("The story"))
    offers(page, "#strands", "The story")

    tree(page)
    page.get_by_label("Show archived").check()
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("archived · 2 paragraphs")
    choose(page, "From paragraph 1")
    expect(page.locator("#map-archive")).to_be_hidden()
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        no_sideways_scroll(page)
        page.locator("#map").screenshot(path=shots / f"map-archived-{width}.png")
    page.locator("#map-bring-back").click()
    expect(page.locator("#map-told")).to_contain_text("“From paragraph 1” is back.")
    expect(page.locator("#map-archived")).to_be_hidden()
    expect(rows.nth(1)).to_contain_text("2 paragraphs · 1 of its own")
    offers(page, "#map-chosen", "The story", "From paragraph 1")
    page.get_by_role("tab", name="Write").click()
    offers(page, "#strands", "The story", "From paragraph 1")


def test_a_strand_that_was_archived_elsewhere_leaves_the_list(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    side = server.cli("branch", story, "--at", "1")["strand"]["id"]
    tree(page)
    choose(page, "From paragraph 1")
    server.cli("branches", story, "--archive", side)
    page.get_by_role("tab", name="Write").click()
    tree(page)  # the list comes without it
    expect(page.locator("#map-tree li")).to_have_count(1)
    expect(page.locator("#map-chosen input")).to_have_value(re.compile("^The story"))


def test_two_strands_stand_side_by_side(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    write_on(page, 3)
    forked(server, page, story)
    tree(page)
    page.locator("#map-compare").click()
    expect(page.locator("#notice")).to_contain_text("choose another")
    choose(page, "The story")
    page.locator("#map-compare").click()
    expect(page.locator("#map-comparison")).to_contain_text("the same up to paragraph 1")
    expect(page.locator("#map-comparison h5")).to_have_text(["Paragraph 2", "Paragraph 3"])
    expect(page.locator("#map-comparison")).to_contain_text("It ends before.")
    expect(page.locator("#map-more")).to_be_hidden()
    expect(page.locator("#notice")).to_be_empty()
    page.locator("#map").screenshot(path=shots / "map-compared-1440.png")


def test_more_paragraphs_are_shown_when_asked_for(server: Any, tabs: Any, tmp_path: Path) -> None:
    file = tmp_path / "long.md"
    file.write_text("\n\n".join(f"Mara climbs stair {number}. She rests." for number in range(1, 31)))
    story = server.cli("import", str(file))["story"]["id"]
    server.cli("branch", story, "--at", "1")
    page = tabs.open(f"{server.url}?story={story}")
    tree(page)
    choose(page, "From paragraph 1")
    page.locator("#map-compare").click()
    expect(page.locator("#map-comparison h5")).to_have_count(20)
    expect(page.locator("#map-comparison")).to_contain_text("Shown up to paragraph 21 of 30.")
    page.locator("#map-more").click()
    expect(page.locator("#map-comparison h5")).to_have_count(29)
    expect(page.locator("#map-more")).to_be_hidden()


def test_the_map_fits_a_narrow_page(server: Any, tabs: Any, shots: Path, hostile: str) -> None:
    page = tabs.open(server.url, width=390, height=844)
    story = begin(page, hostile)
    write_on(page, 2)
    forked(server, page, story)
    tree(page)
    page.locator("#map-name").get_by_role("textbox").fill(hostile[:150])
    page.locator("#map-rename").click()
    expect(page.locator("#map-tree li").nth(1)).to_contain_text("<script>window.pwned = 1</script>")
    choose(page, "The story")
    page.locator("#map-compare").click()
    expect(page.locator("#map-comparison h5")).to_have_count(1)
    no_sideways_scroll(page)
    assert page.evaluate("window.pwned") is None
    for form in forms(page, 390):
        page.locator("#map").screenshot(path=shots / f"map-{form}.png")
