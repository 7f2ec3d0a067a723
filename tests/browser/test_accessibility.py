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
# What is Gradio's own and can't be mended from here: the rule, a part of the element's selector, why.
GRADIOS_OWN: tuple[tuple[str, str], ...] = ()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with a model that writes at once."""
    home = tmp_path_factory.mktemp("accessible")
    one = Server(home, script(home, delay=0.0), command=scripted_command())
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
        if not any(rule["id"] == own and part in str(node["target"]) for own, part in GRADIOS_OWN)
    ]


def shade(page: Page, chosen: str) -> None:
    page.evaluate("shade => storyloomShade.choose(shade)", chosen)
    page.wait_for_timeout(250)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(300)


def examined(page: Page, names: tuple[str, ...]) -> list[str]:
    """The faults of each tab, in the light with every rule, in the dark those of colour."""
    told: list[str] = []
    for name in names:
        open_tab(page, name)
        if name == "Write":
            page.locator("#text [data-depth='2']").click()
            folded = page.locator("#margin button.label-wrap:not(.open):visible")
            while folded.count():
                folded.first.click()
                page.wait_for_timeout(100)
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
    assert told == []
