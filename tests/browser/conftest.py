"""A real server, a real Chromium, and a model that writes by script."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.page_server import CHROMIUM, FLAGS, HOSTILE, ROOT, Server, real_command, script, scripted_command

SHOTS = ROOT / "build" / "screenshots"
# What Gradio's own script says when a page is left or loaded again while a stream of its is open.
LEAVING = ("AbortError: signal is aborted without reason", "Unexpected error Connection errored out.")
# A page that has come: a story, to be read or to be played, or the form that begins one.
OPEN = "#text article:visible, #play-text article:visible, #premise textarea:visible"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the scripted model, and the stories of every test before."""
    home = tmp_path_factory.mktemp("page")
    one = Server(home, script(home), command=scripted_command())
    one.start()
    yield one
    one.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers of a test's own."""
    started: list[Server] = []

    def start(*arguments: str) -> Server:
        home = tmp_path / f"page{len(started)}"
        home.mkdir()
        one = Server(home, script(home), command=scripted_command())
        one.start(*arguments)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def starter_server(tmp_path: Path, starter_weights: Path) -> Iterator[Server]:
    """The page with the real starter and the real embedder."""
    (tmp_path / "models").mkdir()
    shutil.copy(starter_weights, tmp_path / "models" / starter_weights.name)
    one = Server(tmp_path, "starter", command=real_command())
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    assert Path(CHROMIUM).exists(), (
        "The browser tests need Chromium: `make chromium`, or `apt-get install chromium`."
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=60_000)
        yield chromium
        chromium.close()


@dataclass
class Tabs:
    """Opens pages, and hears what they complain of and whom they call."""

    browser: Browser
    complaints: list[str]

    def open(self, url: str, *, width: int = 1440, height: int = 900, **more: Any) -> Page:
        """A page of its own, as another person or another window would have it."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(60_000)
        tab = context.new_page()
        tab.on("console", lambda said: self._hear(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: self._hear(str(error)))
        tab.on("request", lambda asked: self._watch(asked.url))
        tab.goto(url)
        tab.locator(OPEN).first.wait_for()
        return tab

    def _hear(self, text: str) -> None:
        if not text.startswith(LEAVING):
            self.complaints.append(text)

    def _watch(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.complaints.append(f"a request left this machine: {url}")


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Pages; at the end none may have complained, or asked anything of another machine."""
    one = Tabs(browser, [])
    yield one
    for context in browser.contexts:
        context.close()
    assert one.complaints == []


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots go."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS


@pytest.fixture
def hostile() -> str:
    """Text that would be markup, a template, a script, or wider than any page."""
    return HOSTILE
