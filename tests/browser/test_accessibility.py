"""Every tab as a screen reader, a keyboard and weak eyes have it: axe-core's rules, and the Tab key."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client
from playwright.sync_api import Page, expect

from tests.page_server import Server, script, scripted_command

pytestmark = pytest.mark.browser

HOME_TABS = ("Stories", "New story", "Batch", "Settings")
STORY_TABS = ("Write", "Play", "Memory", "Inspect", "Map")
WIDTHS = {1440: 900, 390: 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with a model that writes at once."""
    home = tmp_path_factory.mktemp("accessible")
    one = Server(home, script(home), command=scripted_command())
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def story(server: Server) -> str:
    """A story with two strands, lore apart."""
    asked = Client(server.url, verbose=False, analytics_enabled=False)
    begun = asked.predict("Mara keeps a lighthouse and finds a door in the sea.", api_name="/begin")
    found = str(begun["story"]["id"])
    for _ in range(2):
        asked.predict(found, api_name="/write")
    other = asked.predict(found, at=1, api_name="/branch")["strand"]["id"]
    asked.predict(found, strand=other, api_name="/write")
    asked.close()
    return found


def faults(page: Page, where: str, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe-core calls serious or critical, an element a line."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{where}: {rule['id']} ({rule['impact']}): {node['target']}: {node['html'][:160]} "
        + " ".join(one["message"] for one in (*node["any"], *node["all"], *node["none"]))
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def shade(page: Page, chosen: str) -> None:
    page.evaluate("shade => storyloomShade.choose(shade)", chosen)
    page.wait_for_timeout(250)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(300)


def unfold(page: Page) -> None:
    """The Write tab with all that it can show: a picked paragraph, and every fold of the margin open."""
    page.locator("#text [data-depth='2']").click()
    folded = page.locator("#margin button.label-wrap:not(.open):visible")
    while folded.count():
        folded.first.click()
        page.wait_for_timeout(100)
    page.wait_for_timeout(600)


def examined(page: Page, names: tuple[str, ...]) -> list[str]:
    """The faults of each tab, in the light with every rule, in the dark those of colour."""
    told: list[str] = []
    for name in names:
        open_tab(page, name)
        if name == "Write":
            unfold(page)
        told += faults(page, name)
        shade(page, "dark")
        told += faults(page, f"{name}, dark", ("color-contrast", "link-in-text-block"))
        shade(page, "light")
    return told


@pytest.mark.parametrize("width", WIDTHS)
def test_every_tab_keeps_the_rules(server: Server, story: str, tabs: Any, width: int) -> None:
    page = tabs.open(server.url, width=width, height=WIDTHS[width])
    told = examined(page, HOME_TABS)
    page.goto(f"{server.url}?story={story}")
    expect(page.locator("#text .paragraph")).to_have_count(3)
    told += examined(page, STORY_TABS)
    assert not told, "\n".join(told)


# What is pressed: Tab must reach it, and Enter must be a click on it.
PRESSABLE = "button, a[href], summary, [role=button]"
# No click does anything while the keys are tried; whatever Enter clicks is remembered.
_TRYING = """pressable => {
  window.tried = {seen: new Set(), clicked: new Set(), first: null};
  window.tried.hear = event => {
    event.stopImmediatePropagation();
    event.preventDefault();
    window.tried.clicked.add(event.target.closest(pressable));
  };
  window.addEventListener('click', window.tried.hear, true);
}"""
_STEP = """pressable => {
  const at = document.activeElement, {tried} = window;
  if (at === document.body) return 'pass';
  if (at === tried.first) return 'end';
  tried.first ??= at;
  tried.seen.add(at);
  return at.matches(pressable) ? 'press' : 'pass';
}"""
_MISSED = """pressable => {
  const {seen, clicked, hear} = window.tried;
  window.removeEventListener('click', hear, true);
  const told = (why, each) => `${why}: ${each.outerHTML.slice(0, 160)}`;
  const shown = each => each.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const wanted = [...document.querySelectorAll(pressable)].filter(each =>
    // Gradio measures its tabs by a second row of them that nobody sees.
    shown(each) && !each.disabled && !each.closest('[aria-hidden=true]'));
  return [
    ...wanted.filter(each => !seen.has(each)).map(each => told('not reached by Tab', each)),
    ...wanted.filter(each => seen.has(each) && !clicked.has(each)).map(each => told('not pressed', each)),
    ...[...seen].filter(each => each.isConnected && !shown(each) && !each.matches('input'))
      .map(each => told('unseen', each)),
  ];
}"""
_MOST_KEYS = 200


def missed(page: Page, where: str) -> list[str]:
    """What the keyboard can't reach or press on the page as it is, and what it reaches that nobody sees."""
    page.evaluate(_TRYING, PRESSABLE)
    for _ in range(_MOST_KEYS):
        page.keyboard.press("Tab")
        step = page.evaluate(_STEP, PRESSABLE)
        if step == "end":
            break
        if step == "press":
            page.keyboard.press("Enter")
    return [f"{where}: {told}" for told in page.evaluate(_MISSED, PRESSABLE)]


def test_every_button_is_reached_and_pressed_by_keys(server: Server, story: str, tabs: Any) -> None:
    page = tabs.open(server.url)
    told: list[str] = []
    for name in HOME_TABS:
        open_tab(page, name)
        told += missed(page, name)
    page.goto(f"{server.url}?story={story}")
    expect(page.locator("#text .paragraph")).to_have_count(3)
    for name in STORY_TABS:
        open_tab(page, name)
        if name == "Write":
            unfold(page)
        told += missed(page, name)
    assert not told, "\n".join(told)
