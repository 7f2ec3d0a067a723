import pytest

from storyloom.app.batch.changes import Change, Kind, changes
from storyloom.memory.orders import TaskState
from storyloom.memory.progress import StepFigures
from storyloom.ui.batch_text import duration, happened, standing, summary
from tests.unit.ui.batches import progress, snapshot


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (59.6, "1:00"), (130, "2:10"), (3_730, "1:02:10"), (360_000, "100:00:00")],
)
def test_durations_look_like_a_clocks(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_story_stands_in_the_unit_that_was_asked_for() -> None:
    assert standing(progress("red", steps=3, words=1_240)) == "1,240 words, 3 of 10"
    by_words = progress("red", steps=3, words=1_240, paragraphs=None, asked_words=9_000)
    assert standing(by_words) == "1,240 of 9,000 words"


def test_the_summary_tells_what_is_known() -> None:
    waiting = snapshot(progress("red", TaskState.QUEUED), progress("green", TaskState.QUEUED))
    assert summary(waiting) == "0 of 2 stories done · 0 words"
    going = snapshot(
        progress("red", TaskState.DONE, steps=10, words=1_000),
        progress("green", TaskState.FAILED),
        progress("blue", steps=5, words=500, tokens_per_second=40.0, seconds_left=65.0),
    )
    assert summary(going) == "1 of 3 stories done · 1 failed · 1,500 words · 40 tokens/s · 1:05 left"


def test_what_happened_is_told_in_a_line() -> None:
    before = snapshot(progress("red", TaskState.QUEUED, steps=1, words=100))
    steps = (StepFigures(2, 120, 180, 4.0), StepFigures(3, 80, 120, 0.0))
    after = snapshot(progress("red", TaskState.DONE, steps=3, words=300, fresh=steps))
    assert [happened(change) for change in changes(before, after)] == [
        "red: goes on",
        "red: paragraph 2 of 10, 220 words, 45 tokens/s",
        "red: paragraph 3 of 10, 300 words",
        "red: done, 300 words in 3 paragraphs",
    ]


def test_a_paragraph_of_a_text_in_words_tells_its_words() -> None:
    story = progress("red", paragraphs=None, asked_words=900)
    change = Change(kind="step", story=story, step=StepFigures(2, 120, 180, 4.0), words=240)
    assert happened(change) == "red: paragraph 2, 240 of 900 words, 45 tokens/s"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("started", "red: begun"),
        ("retry", "red: try 2 failed and is repeated: The server is away."),
        ("cancelled", "red: cancelled"),
        ("failed", "red: failed: The server is away."),
    ],
)
def test_ends_and_failures_say_why(kind: Kind, text: str) -> None:
    story = progress("red", attempts=2, error="The server is away.")
    assert happened(Change(kind=kind, story=story)) == text
