import json
from pathlib import Path

import pytest

from storyloom.app.batch.report import Repetition, Report, StoryReport
from storyloom.memory.orders import TaskState
from storyloom.memory.story import Story
from storyloom.ui import batch_report
from tests.unit.ui.batches import BATCH, progress, snapshot


@pytest.fixture
def report(story: Story) -> Report:
    """A story that is done, one that failed, and one that nobody began."""
    done = progress("red|lamp", TaskState.DONE, steps=10, words=1_200)
    failed = progress("green", TaskState.FAILED, steps=2, words=200, attempts=3, error="The server is away.")
    waiting = progress("blue", TaskState.QUEUED, paragraphs=None, asked_words=900)
    told = Repetition(words=1_200, rep_4=0.0123456, rep_8=0.0, distinct_2=0.81234)
    return Report(
        batch=BATCH,
        stories=(
            StoryReport(progress=done, story=story, length_score=100.0, repetition=told),
            StoryReport(progress=failed, story=story, length_score=0.0, repetition=told),
            StoryReport(progress=waiting, story=None, length_score=0.0, repetition=None),
        ),
        snapshot=snapshot(done, failed, waiting),
    )


def test_the_document_has_every_figure(report: Report) -> None:
    document = batch_report.document(report)
    assert document["batch"] == {"id": "ba7c4", "name": "lamps"}
    red, _, blue = document["stories"]
    assert red == {
        "key": "red|lamp",
        "story": "story-red|lamp",
        "title": "The Door in the Sea",
        "state": "done",
        "model": "starter",
        "seed": 7,
        "asked": {"words": None, "paragraphs": 10},
        "words": 1_200,
        "steps": 10,
        "length_score": 100.0,
        "repetition": {"words": 1_200, "rep_4": 0.01235, "rep_8": 0.0, "distinct_2": 0.81234},
        "seconds": 10.0,
        "tokens": 1_800,
        "tokens_per_second": 180.0,
        "failed_tries": 0,
        "error": "",
        "exports": [],
    }
    assert (blue["title"], blue["repetition"], blue["tokens_per_second"]) == ("", None, None)
    assert document["totals"] == {
        "stories": 3,
        "done": 1,
        "failed": 1,
        "cancelled": 0,
        "unfinished": 1,
        "words": 1_400,
        "steps": 12,
        "tokens": 2_100,
        "seconds": 12.0,
        "length_score": 100.0,
    }


def test_the_table_has_a_line_a_story_and_failures_go_to_stderr(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_report.show(report)
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == [
        *("story", "state", "words", "asked", "S_l", "rep-4", "rep-8", "dist-2", "steps", "time", "tokens/s")
    ]
    assert lines[1].split() == [
        *("red|lamp", "done", "1,200", "10", "par.", "100.0", "1.23%", "0.00%", "0.812", "10", "0:10", "180")
    ]
    assert lines[3].split() == ["blue", "queued", "0", "900", "words", "0.0", "0", "0:00"]
    assert lines[-1] == (
        "1 of 3 stories done: 1,400 words in 12 paragraphs, 0:12 of writing, length score 100.0."
    )
    assert captured.err == "green: failed: The server is away.\n"


def test_reports_are_written_as_their_suffix_says(report: Report, tmp_path: Path) -> None:
    page, data = tmp_path / "new" / "report.md", tmp_path / "report.JSON"
    batch_report.write(report, page)
    batch_report.write(report, data)
    assert json.loads(data.read_text(encoding="utf-8")) == batch_report.document(report)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# lamps"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert table[2].startswith("| red\\|lamp | done | 1,200 |")
    assert lines[-1] == "- green: failed: The server is away."
