import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import begin, no_sideways_scroll, offered, written
from tests.page_server import SLOWLY, VERY_SLOWLY

pytestmark = pytest.mark.browser


def plan(page: Page, number: int) -> Any:
    return page.locator(f"#plan-{number} textarea")


def drafted(page: Page, count: int = 3) -> None:
    """Wait until that many drafts can be kept."""
    expect(page.get_by_role("button", name="Keep this one")).to_have_count(count)


def test_a_plan_is_written_as_offered_changed_or_one_s_own(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    third = offered(page, 3)
    page.screenshot(path=shots / "plans-1440.png", full_page=True)
    page.locator("#write-plan-3").click()
    written(page, 2)
    plan(page, 1).fill("Mara rows out to meet the boat.")
    page.locator("#write-plan-1").click()
    written(page, 3)
    plan(page, 2).fill("A gull speaks her name.")
    page.locator("#write").click()
    written(page, 4)
    plan(page, 2).fill("Mara sleeps.")
    page.locator("#own-plan textarea").fill("Mara wakes.")
    page.locator("#write").click()
    expect(page.locator("#notice")).to_contain_text("More than one plan")
    expect(page.locator("#own-plan textarea")).to_have_value("Mara wakes.")
    expect(plan(page, 2)).to_have_value("Mara sleeps.")
    assert [step["plan"] for step in server.cli("show", story)["steps"][1:]] == [
        third,
        "Mara rows out to meet the boat.",
        "A gull speaks her name.",
    ]


def test_speed_and_the_prompt_s_budget_stand_beside_the_status(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    begin(page)
    expect(page.locator("#gauge")).to_have_text(re.compile(r"[\d,]+ of [\d,]+ tokens"))
    page.screenshot(path=shots / "gauge-1440.png")
    page.locator("#own-plan textarea").fill(f"Mara waits {VERY_SLOWLY}.")
    page.locator("#write").click()
    expect(page.locator("#gauge")).to_have_text(re.compile(r"\d+ tokens/s"))
    page.locator("#stop").click()
    written(page, 1)
    expect(page.locator("#gauge meter")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_three_drafts_are_written_and_one_is_kept(
    server: Any, tabs: Any, shots: Path, width: int, height: int
) -> None:
    page = tabs.open(server.url, width=width, height=height)
    story = begin(page)
    plans = [offered(page, 1), f"Mara rows out {SLOWLY}.", offered(page, 3)]
    plan(page, 2).fill(plans[1])
    page.locator("#draft-all").click()
    expect(page.locator("#drafts h4")).to_have_text(plans)
    expect(page.locator("#draft-all")).to_be_hidden()
    expect(page.locator("#drafts section p:not(.state)").first).to_be_visible()
    page.reload()
    drafted(page)
    no_sideways_scroll(page)
    page.locator("#drafts").scroll_into_view_if_needed()
    page.screenshot(path=shots / f"drafts-{width}.png", full_page=True)
    kept = page.locator("#drafts section p").nth(1).inner_text()
    page.get_by_role("button", name="Keep this one").nth(1).click()
    written(page, 2)
    expect(page.locator("#text .paragraph p").last).to_have_text(kept)
    expect(page.locator("#drafts h4")).to_have_count(0)
    strands = server.cli("branches", story)["strands"]
    assert sorted(strand["steps"] for strand in strands) == [1, 2, 2, 2]
    assert {strand["name"] for strand in strands} >= {f"Mara rows out {SLOWLY}"}


def test_drafts_are_stopped_and_closed(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    plan(page, 1).fill(f"Mara waits {VERY_SLOWLY}.")
    page.locator("#draft-all").click()
    expect(page.locator("#drafts section p:not(.state)").first).to_be_visible()
    page.get_by_role("button", name="Stop drafting").click()
    expect(page.locator("#drafts")).to_contain_text("Stopped.")
    page.get_by_role("button", name="Close the drafts").click()
    expect(page.locator("#drafts h4")).to_have_count(0)
    expect(page.locator("#draft-all")).to_be_visible()
    assert len(server.cli("show", story)["steps"]) == 1


def test_hostile_plans_are_shown_and_never_run(server: Any, tabs: Any, hostile: str) -> None:
    page = tabs.open(server.url, width=390, height=844)
    begin(page, hostile)
    plan(page, 2).fill(hostile)
    page.locator("#draft-all").click()
    expect(page.locator("#drafts")).to_contain_text("<script>window.pwned = 1</script>")
    drafted(page)
    no_sideways_scroll(page)
    assert page.evaluate("window.pwned") is None
