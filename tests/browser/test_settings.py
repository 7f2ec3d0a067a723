"""Sampling and the templates' editor in a real browser, against what the command line says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import begin, no_sideways_scroll, write_on

pytestmark = pytest.mark.browser


def to_settings(page: Page) -> None:
    page.locator("#masthead nav > a").click()
    page.locator("#home").get_by_role("tab", name="Settings").click()
    expect(page.locator("#presets li").first).to_be_visible()


def choose(page: Page, which: str, option: str) -> None:
    page.locator(f"{which} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def sampling(server: Any, story: str) -> dict[str, Any]:
    return {
        name.removeprefix("sampling."): value
        for name, value in server.cli("settings", story)["settings"].items()
        if name.startswith("sampling.") and value is not None
    }


def last_step(server: Any, story: str) -> dict[str, Any]:
    return server.cli("show", story)["steps"][-1]["sampling"]  # type: ignore[no-any-return]


def test_sampling_is_chosen_set_kept_and_taken_back(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    page.locator("#sampling-panel > button.label-wrap").click()
    expect(page.locator("#preset input")).to_have_value("Balanced")
    choose(page, "#preset", "Wild")
    expect(page.locator("#sampling-told")).to_contain_text("drawn by “Wild”")
    assert sampling(server, story) == {"temperature": 1.25, "min_p": 0.1, "top_p": 0.95}
    expect(page.locator("#sampling-now dd b").first).to_have_text("1.25")
    write_on(page, 2)
    expect(page.locator("#sampling-now dd b").first).to_have_text("1.25")
    page.locator("#dials > button.label-wrap").click()
    heat = page.locator("#dial-temperature input[type=number]")
    expect(heat).to_have_value("1.25")
    heat.fill("0.6")
    heat.blur()
    page.locator("#use-dials").click()
    expect(page.locator("#preset input")).to_have_value("This story’s own values")
    assert sampling(server, story)["temperature"] == 0.6
    page.locator("#preset-name input, #preset-name textarea").fill("Fog at dawn")
    page.locator("#keep-preset").click()
    expect(page.locator("#preset input")).to_have_value("Fog at dawn")
    page.locator("#margin").evaluate("margin => margin.scrollTop = margin.scrollHeight")
    page.screenshot(path=shots / "sampling-1440.png")
    page.locator("#margin").evaluate("margin => margin.scrollTop = 0")
    choose(page, "#preset", "Steady")
    expect(page.locator("#sampling-told")).to_contain_text("drawn by “Steady”")
    page.locator("#sampling-told").get_by_role("button", name="Undo").click()
    expect(page.locator("#preset input")).to_have_value("Fog at dawn")
    assert sampling(server, story)["temperature"] == 0.6
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#sampling-panel").scroll_into_view_if_needed()
    no_sideways_scroll(page)
    page.locator("#sampling-panel").screenshot(path=shots / "sampling-390.png")
    page.set_viewport_size({"width": 1440, "height": 900})
    to_settings(page)
    own = page.locator("#presets li").filter(has_text="Fog at dawn")
    own.get_by_role("button", name="Rename").click()
    page.locator("#new-preset-name input, #new-preset-name textarea").fill("Mist")
    page.locator("#rename-preset").click()
    expect(page.locator("#presets-told")).to_contain_text("“Fog at dawn” is “Mist” now.")
    page.locator("#presets").get_by_role("button", name="Delete Mist").click()
    expect(page.locator("#presets")).not_to_contain_text("Mist")
    page.locator("#presets-told").get_by_role("button", name="Undo").click()
    expect(page.locator("#presets")).to_contain_text("Mist")


def test_a_template_is_edited_previewed_saved_and_given_back(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    to_settings(page)
    page.locator("#template-list").get_by_role("button", name="one_call").click()
    source = page.locator("#template-source textarea")
    expect(page.locator("#preview .turn.system")).to_be_visible()
    expect(source).to_have_value(re.compile(r"\{%"))
    ours = source.input_value()
    expect(page.locator("#preview mark.slot-premise").first).to_be_visible()
    page.screenshot(path=shots / "templates-ours-1440.png", full_page=True)
    source.fill("{% if %}")
    expect(page.locator("#preview")).to_contain_text("line 1")
    page.locator("#save-template").click()
    expect(page.locator("#template-told")).to_contain_text("Nothing is saved.")
    mine = ours.replace("You can't see what you wrote before.", "Go on, HERE IS MINE.")
    assert mine != ours
    source.fill(mine)
    expect(page.locator("#preview")).to_contain_text("HERE IS MINE")
    # Another template is looked at, and the edit waits.
    page.locator("#template-list").get_by_role("button", name="editor").click()
    expect(page.locator("#template-heading")).to_contain_text("editor")
    expect(page.locator("#template-list .unsaved")).to_have_count(1)
    page.locator("#template-list").get_by_role("button", name="one_call").click()
    expect(source).to_have_value(mine)
    page.locator("#save-template").click()
    expect(page.locator("#template-told")).to_contain_text("Saved")
    expect(page.locator("#template-list .yours")).to_have_count(1)
    page.locator("#template-difference > button.label-wrap").click()
    expect(page.locator("#template-difference .added")).to_contain_text("HERE IS MINE")
    page.screenshot(path=shots / "templates-1440.png", full_page=True)
    page.locator("#template-editor").screenshot(path=shots / "template-editor-1440.png")
    page.set_viewport_size({"width": 390, "height": 844})
    no_sideways_scroll(page)
    page.screenshot(path=shots / "templates-390.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    writing = tabs.open(f"{server.url}?story={story}")
    write_on(writing, 2)
    assert "HERE IS MINE" in server.cli("show", story, "--prompt", "2")["prompt"]
    page.locator("#back-to-ours").click()
    expect(source).to_have_value(ours)
    page.locator("#former-texts input").click()
    page.get_by_role("option").nth(1).click()
    expect(source).to_have_value(mine)
    write_on(writing, 3)
    assert "HERE IS MINE" not in server.cli("show", story, "--prompt", "3")["prompt"]


def test_a_page_with_users_has_no_templates(
    own_server: Callable[..., Any], tabs: Any, tmp_path: Path
) -> None:
    from storyloom.ui.auth import user_line

    users = tmp_path / "users"
    users.write_text(user_line("mara", "secret") + "\n", encoding="utf-8")
    server = own_server("--auth-file", str(users))
    page = tabs.open(server.url, http_credentials={"username": "mara", "password": "secret"})
    page.locator("#home").get_by_role("tab", name="Settings").click()
    expect(page.locator("#presets li").first).to_be_visible()
    expect(page.locator("#models li").first).to_be_visible()
    expect(page.locator("#templates")).to_have_count(0)
