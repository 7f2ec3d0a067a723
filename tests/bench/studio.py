"""What the page costs with a story of 2,000 paragraphs, in a real Chromium.

Measures how long it takes until a story can be read, each tab is there, and an edit is shown; how much of the
story's text is sent with the page; and what a paragraph written through the page takes over the same
paragraph by the command line's use case, in turns. The story is written by a stand-in, provenance and all;
the server's model writes by script, a word each 18 ms, as the starter does on two cores. ``--starter`` writes
with the starter itself.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest.mock import patch

from playwright.sync_api import Browser, Page, Response, sync_playwright

from storyloom.app import wiring
from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.settings import load_settings
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.weights import pull_starter
from storyloom.memory.ports import Embedder
from storyloom.ui.studio.place import WINDOW
from tests.bench.long_story import long_story
from tests.integration.conftest import HashEmbedder
from tests.page_server import (
    CHROMIUM,
    FLAGS,
    PARAGRAPHS,
    ROOT,
    Server,
    real_command,
    script,
    scripted_command,
)

# The starter's pace on two cores.
_SECONDS_A_WORD = 0.018
# Milliseconds in which a page that answers has settled.
_CALM = 500
# Milliseconds; in reproducible mode the starter reads its whole prompt at each call.
_PATIENCE = 180_000
_PLAN = "Mara rows out to meet the boat."
# What each tab shows once it is there.
_TABS = {
    "Play": "#play-text .turn",
    "Memory": "#notes li",
    "Inspect": "#inspect-charts figure svg",
    "Map": "#map-tree svg",
    "Write": "#text .paragraph",
}
_HOME_TABS = {
    "New story": "#trail li",
    "Batch": "#batches p",
    "Settings": "#models li",
    "Stories": "#shelf li",
}
_EDITS_A_TIME = 4  # an edit takes no page of its own
Figures = dict[str, float | int]


# Looked for when something changes: Playwright's own waiting looks but twice a second after a while, and a
# look at every frame takes from the model what is measured here.
_IS_THERE = """([selector, text, patience]) => new Promise((resolve, reject) => {
  const isThere = one => one.checkVisibility() && one.textContent.includes(text);
  const look = () => {
    if (![...document.querySelectorAll(selector)].some(isThere)) return;
    changes.disconnect();
    resolve();
  };
  const changes = new MutationObserver(look);
  changes.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
  setTimeout(() => reject(new Error(`${selector} never came`)), patience);
  look();
})"""


def until(page: Page, selector: str, act: Callable[[], object], text: str = "") -> float:
    """Seconds from an act until what it brings is on the page."""
    started = time.perf_counter()
    act()
    page.evaluate(_IS_THERE, [selector, text, _PATIENCE])
    return time.perf_counter() - started


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """A page of somebody who was never there: nothing is in the browser's cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(_PATIENCE)
    try:
        yield context.new_page()
    finally:
        context.close()


class Sent:
    """What the server answers a page with, files that never change apart."""

    def __init__(self, page: Page) -> None:
        self._answers: list[Response] = []
        page.on("response", lambda one: self._answers.append(one))

    def text(self) -> str:
        """All of it that has come."""
        spoken = [one for one in self._answers if "/assets/" not in one.url and "heartbeat" not in one.url]
        return "\n".join(
            one.text() for one in spoken if "event-stream" not in one.headers.get("content-type", "")
        )


def opening(browser: Browser, address: str, told: Sequence[str], times: int) -> Figures:
    """Opens the story again and again; tells which of its paragraphs came with the page."""
    seconds, sent = [], ""
    for _ in range(times):
        with opened(browser) as page:
            answers = Sent(page)
            seconds.append(until(page, "#text .paragraph", lambda: page.goto(address)))
            page.wait_for_timeout(_CALM)
            sent = answers.text()
    came = [len(text.encode()) for text in told if _mark(text) in sent]
    return {
        **spread("open_s", seconds),
        "paragraphs_sent": len(came),
        "story_bytes_sent": sum(came),
        "window_bytes": sum(len(text.encode()) for text in told[-WINDOW:]),
        "story_bytes": sum(len(text.encode()) for text in told),
        "answers_bytes": len(sent.encode()),
    }


def _mark(paragraph: str) -> str:
    """Words that only this paragraph has: its first ones may stand in memory too."""
    return ". ".join(paragraph.split(". ")[-3:-1])


def switching(browser: Browser, address: str, tabs: dict[str, str], times: int) -> Figures:
    """Opens each tab of fresh pages, so that each has everything to bring."""
    seconds: dict[str, list[float]] = {name: [] for name in tabs}
    for _ in range(times):
        with opened(browser) as page:
            page.goto(address)
            page.wait_for_selector("#text .paragraph, #shelf li")
            page.wait_for_timeout(_CALM)
            for name, brings in tabs.items():
                tab = page.get_by_role("tab", name=name, exact=True)
                seconds[name].append(until(page, brings, tab.click))
                page.wait_for_timeout(_CALM)
    return {
        key: value
        for name, each in seconds.items()
        for key, value in spread(f"tab_{name.lower().replace(' ', '_')}_s", each).items()
    }


def editing(browser: Browser, address: str, times: int) -> Figures:
    """Edits the last paragraph again and again."""
    seconds = []
    with opened(browser) as page:
        page.goto(address)
        page.wait_for_selector("#text .paragraph")
        page.locator("#text [data-depth]").last.click()
        for number in range(times):
            page.locator("#edit").click()
            words = page.locator("#words textarea")
            words.wait_for()
            text = f"Mara wrote this line {number} times."
            words.fill(text)
            page.wait_for_timeout(_CALM)
            seconds.append(until(page, "#text .paragraph p", page.locator("#save-form").click, text))
            words.wait_for(state="hidden")
    return spread("edit_s", seconds)


def streaming(browser: Browser, server: Server, story: str, paragraphs: int) -> Figures:
    """Writes paragraphs through the page and by the use case in turns, in two copies of the story.

    Copies have the same seeds, and with ``STORYLOOM_REPRODUCIBLE`` the starter writes both the same words.
    """
    through_page: list[float] = []
    by_use_case: list[float] = []
    with wiring.open_studio(load_settings()) as studio, opened(browser) as page:
        studio.warm_up().join()
        copy = studio.duplicate(story).id
        last = studio.show(story, last=1).steps[-1].depth
        page.goto(f"{server.url}?story={story}")
        page.wait_for_selector("#text .paragraph")
        for number in range(paragraphs + 1):  # the first wakes both engines
            page.locator("#own-plan textarea").fill(_PLAN)
            page.wait_for_timeout(_CALM)
            brings = f"#text .paragraph [data-depth='{last + number + 1}']"
            through_page.append(until(page, brings, page.locator("#write").click))
            page.locator("#write").wait_for()
            started = time.perf_counter()
            deque(studio.write(copy, Listener(), wish=Wish(plan=_PLAN)), maxlen=0)
            by_use_case.append(time.perf_counter() - started)
        both = [studio.show(one, last=paragraphs).steps for one in (story, copy)]
    own = [sum(step.seconds for step in each) for each in both]
    return {
        "paragraphs_with_the_same_words": sum(
            one.paragraph == other.paragraph for one, other in zip(*both, strict=True)
        ),
        "page_step_over_use_case_step": round(own[0] / own[1], 3),
        "page_paragraph_s": round(median(through_page[1:]), 3),
        "use_case_paragraph_s": round(median(by_use_case[1:]), 3),
        "streaming_ratio": round(sum(through_page[1:]) / sum(by_use_case[1:]), 3),
    }


def spread(name: str, seconds: Sequence[float]) -> Figures:
    """Median and the 95th percentile; of few values that is the largest."""
    ordered = sorted(seconds)
    at = min(len(ordered) - 1, round(0.95 * len(ordered)))
    return {f"{name}_p50": round(median(ordered), 3), f"{name}_p95": round(ordered[at], 3)}


def run(home: Path, arguments: argparse.Namespace) -> Figures:
    """All figures."""
    os.environ["STORYLOOM_HOME"] = str(home)
    if arguments.starter:
        os.environ["STORYLOOM_REPRODUCIBLE"] = "true"
        (home / "models").mkdir()
        weights = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
        shutil.copy(weights, home / "models" / weights.name)
        return measured(home, "starter", real_command(), MiniLMEmbedder(threads=1), arguments)
    spec = script(home, delay=_SECONDS_A_WORD)
    with patch.object(wiring, "MiniLMEmbedder", HashEmbedder):
        return measured(home, spec, scripted_command(), HashEmbedder(), arguments)


def measured(
    home: Path, spec: str, command: tuple[str, ...], embedder: Embedder, arguments: argparse.Namespace
) -> Figures:
    """Writes the story, starts a server beside it, and measures."""
    os.environ["STORYLOOM_MODEL"] = spec
    story = long_story(load_settings(), embedder, home, spec, arguments.paragraphs)
    server = Server(home, spec, command=command)
    server.start()
    try:
        told = [step["paragraph"] for step in server.cli("show", story)["steps"]]
        address = f"{server.url}?story={story}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            try:
                return {
                    "paragraphs": len(told),
                    "load": round(os.getloadavg()[0], 1),
                    **opening(browser, address, told, arguments.times),
                    **switching(browser, address, _TABS, arguments.times),
                    **switching(browser, server.url, _HOME_TABS, arguments.times),
                    **editing(browser, address, _EDITS_A_TIME * arguments.times),
                    **streaming(browser, server, story, arguments.written),
                }
            finally:
                browser.close()
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paragraphs", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--written", type=int, default=len(PARAGRAPHS) - 1)
    parser.add_argument("--starter", action="store_true", help="write with the starter, not by script")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"bench": "studio", **run(Path(folder), parser.parse_args())}))


if __name__ == "__main__":
    main()
