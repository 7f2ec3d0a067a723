import io
import signal
import sys

import pytest

from storyloom.memory.story import Story
from storyloom.ui.bars import Bars
from storyloom.ui.stopping import Stop


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_says_when_work_begins_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars(Stop()) as bars:
        for done in (0, 32, 64, 2000):
            bars.on_progress("passages to embed", done, 2000)
        bars.on_progress("pages of memory", 0, 5)
        bars.on_notice("One was skipped.")
    assert capsys.readouterr().err == (
        "passages to embed: 0 of 2,000\npassages to embed: 2,000 of 2,000\npages of memory: 0 of 5\n"
        "One was skipped.\n"
    )


def test_a_terminal_gets_a_bar_for_each_kind_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Bars(Stop()) as bars:
        bars.on_progress("passages to embed", 3, 9)
        bars.on_progress("pages of memory", 1, 5)
        bars.on_progress("passages to embed", 9, 9)
    shown = terminal.getvalue()
    assert "passages to embed" in shown
    assert "9/9" in shown
    assert "1/5" in shown


def test_a_signal_waits_for_the_work_to_ask(story: Story) -> None:
    stop = Stop()
    with Bars(stop) as bars:
        assert stop.patient
        assert not bars.cancelled()
        stop.asked = signal.SIGINT
        assert bars.cancelled()
        bars.on_story(story)
    assert not stop.patient
    assert bars.story == story
