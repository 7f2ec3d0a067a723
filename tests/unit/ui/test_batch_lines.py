import json

import pytest

from storyloom.app.batch.changes import changes
from storyloom.memory.orders import TaskState
from storyloom.memory.progress import StepFigures
from storyloom.ui.batch_lines import BatchEvents, BatchLines
from tests.unit.ui.batches import progress, snapshot

BEFORE = snapshot(progress("red", TaskState.QUEUED), progress("green", attempts=0))
AFTER = snapshot(
    progress("red", TaskState.DONE, steps=1, words=120, fresh=(StepFigures(1, 120, 180, 4.0),)),
    progress("green", TaskState.QUEUED, attempts=1, error="The server is away."),
)


def test_lines_go_to_stderr_with_a_summary_at_each_end(capsys: pytest.CaptureFixture[str]) -> None:
    with BatchLines() as front:
        front.show(AFTER, changes(BEFORE, AFTER))
        front.notice("The outline was shortened.")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "red: begun",
        "red: paragraph 1 of 10, 120 words, 45 tokens/s",
        "red: done, 120 words in 1 paragraph",
        "1 of 2 stories done · 120 words · 0:01 left",
        "green: try 1 failed and is repeated: The server is away.",
        "The outline was shortened.",
    ]


def test_events_are_json_lines_on_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with BatchEvents() as front:
        front.show(AFTER, changes(BEFORE, AFTER))
        front.notice("Die Gliederung\nwurde kürzer.")
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    red = {"key": "red", "story": "story-red"}
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"event": "started", **red, "words": 0},
        {"event": "step", **red, "words": 120, "step": 1, "tokens": 180, "seconds": 4.0},
        {"event": "done", **red, "words": 120},
        {
            "event": "retry",
            "key": "green",
            "story": "story-green",
            "words": 0,
            "error": "The server is away.",
        },
        {"event": "notice", "text": "Die Gliederung\nwurde kürzer."},
    ]
