import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled, Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio, Written
from storyloom.memory.errors import ModelFailed
from storyloom.memory.story import Mode, Story, Strand
from storyloom.ui.studio.writers import Writers
from storyloom.ui.studio.writing import Writing

NOW = datetime(2026, 3, 4, tzinfo=UTC)
WAIT = 20.0


def story(title: str) -> Story:
    return Story(
        id="story1",
        owner="local",
        title=title,
        premise="p",
        mode=Mode.NOVEL,
        language="en",
        style="",
        outline="",
        authors_note="",
        settings={},
        created_at=NOW,
        updated_at=NOW,
    )


class Slow:
    """A studio whose writing waits for the test at each word."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        self.go = threading.Event()
        self.came = threading.Event()
        self.fails = fails

    def begin(self, _beginning: Beginning, listener: Listener) -> Written:
        listener.on_story(story("Provisional"))
        listener.on_story(story("Found"))
        return Written(
            story=story("Found"), strand=Strand(id="s", story_id="story1", created_at=NOW), steps=()
        )

    def write(self, _story: str, listener: Listener, **_: Any) -> Iterator[None]:
        listener.on_stage("writing", 1)
        listener.on_plan("She opens it.", 1)
        listener.on_text("Thrown away.")
        listener.on_redraw("too short")
        listener.on_text("One ")
        listener.on_text("two")
        self.came.set()
        assert self.go.wait(WAIT)
        if self.fails:
            raise self.fails
        if listener.cancelled():
            raise Cancelled("stopped")
        yield None


@pytest.fixture
def writers() -> Iterator[Writers]:
    one = Writers()
    yield one
    one.close()


def start(writers: Writers, slow: Slow) -> Writing:
    writing = writers.go_on(cast("Studio", slow), "story1", "s", Wish(plan="She opens it."))
    assert slow.came.wait(WAIT)
    return writing


def test_progress_shows_the_draw_at_hand_and_its_plan(writers: Writers) -> None:
    slow = Slow()
    writing = start(writers, slow)
    assert (writing.progress.text, writing.progress.plan, writing.progress.stage) == (
        "One two",
        "She opens it.",
        "writing",
    )
    assert not writing.done
    assert writers.of_strand("s") is writing
    slow.go.set()
    assert writing.ended_within(WAIT)
    assert writing.error is None
    assert writing.message == ""
    assert writers.of_strand("s") is None
    assert writers.get(writing.id) is writing


def test_stop_ends_it_without_a_complaint(writers: Writers) -> None:
    slow = Slow()
    writing = start(writers, slow)
    writing.stop()
    slow.go.set()
    assert writing.ended_within(WAIT)
    assert writing.stopped
    assert writing.message == ""


def test_a_known_problem_is_told_as_it_is(writers: Writers) -> None:
    slow = Slow(fails=ModelFailed("The server is down. Start it."))
    writing = start(writers, slow)
    slow.go.set()
    assert writing.ended_within(WAIT)
    assert not writing.stopped
    assert writing.message == "The server is down. Start it."


def test_an_unforeseen_problem_goes_to_the_log_and_not_to_the_page(
    writers: Writers, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(fails=ZeroDivisionError("secret detail"))
    writing = start(writers, slow)
    slow.go.set()
    assert writing.ended_within(WAIT)
    assert "secret detail" not in writing.message
    assert "everything written before is kept" in writing.message.lower()
    writers.close()
    assert "secret detail" in caplog.text


def test_a_new_story_has_a_place_once_it_is_known(writers: Writers) -> None:
    slow = Slow()
    writing = writers.begin(cast("Studio", slow), Beginning(premise="p"))
    assert slow.came.wait(WAIT)
    assert (writing.progress.story_id, writing.progress.strand_id, writing.progress.title) == (
        "story1",
        "s",
        "Found",
    )
    slow.go.set()
    assert writing.ended_within(WAIT)


def test_closing_stops_and_waits_for_all(writers: Writers) -> None:
    slow = Slow()
    writing = start(writers, slow)
    threading.Timer(0.05, slow.go.set).start()
    writers.close()
    assert writing.stopped


def test_finished_writings_are_forgotten_in_the_end(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyloom.ui.studio.writers._KEPT", 1)
    ids = []
    for _ in range(3):
        slow = Slow()
        slow.go.set()
        writing = start(writers, slow)
        assert writing.ended_within(WAIT)
        ids.append(writing.id)
    assert [writers.get(one) is not None for one in ids] == [False, True, True]


def test_nobody_finds_a_writing_whose_end_is_not_told_yet() -> None:
    writers, writing = Writers(), Writing()

    class Threads(ThreadPoolExecutor):
        found: bool | None = None

        def submit(self, function: Any, /, *given: Any, **named: Any) -> Any:
            self.found = writing.id in writers._writings
            return super().submit(function, *given, **named)

    with Threads(1) as threads:
        writers.start(writing, lambda _writing: None, threads)
        assert threads.found is False
        assert writers.get(writing.id) is writing
        assert writing.ended_within(20)
