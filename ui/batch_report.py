"""The report of a batch as a table, as JSON and as Markdown."""

import json
from pathlib import Path
from typing import Any

from storyloom.app.batch.report import Report, StoryReport
from storyloom.memory.orders import TaskState
from storyloom.ui import output
from storyloom.ui.batch_text import duration

Json = dict[str, Any]

SUFFIXES = (".json", ".md")
_COLUMNS = (
    "story",
    "state",
    "words",
    "asked",
    "S_l",
    "rep-4",
    "rep-8",
    "dist-2",
    "steps",
    "time",
    "tokens/s",
)
_LEFT = 2  # columns of words; the others are numbers
_LONGEST_KEY = 40


def document(report: Report) -> Json:
    """The report as JSON data: a contract, told in ``docs/cli.md``."""
    snapshot = report.snapshot
    return {
        "batch": {"id": report.batch.id, "name": report.batch.name},
        "stories": [_story(story) for story in report.stories],
        "totals": {
            "stories": len(report.stories),
            "done": snapshot.count(TaskState.DONE),
            "failed": snapshot.count(TaskState.FAILED),
            "cancelled": snapshot.count(TaskState.CANCELLED),
            "unfinished": snapshot.count(TaskState.QUEUED, TaskState.RUNNING),
            "words": snapshot.words,
            "steps": sum(story.steps for story in snapshot.stories),
            "tokens": sum(story.tokens for story in snapshot.stories),
            "seconds": round(sum(story.seconds for story in snapshot.stories), 3),
            "length_score": _rounded(report.length_score, 2),
        },
    }


def write(report: Report, file: Path) -> None:
    """Write the report to a .json or .md file; its folder is made when missing.

    Raises:
        OSError: the file can't be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".json":
        text = json.dumps(document(report), ensure_ascii=False, indent=2) + "\n"
    else:
        text = markdown(report)
    file.write_text(text, encoding="utf-8")


def markdown(report: Report) -> str:
    """The report as a page: a table, and the errors of stories that failed under it."""
    rows = [_COLUMNS, tuple("---" if place < _LEFT else "---:" for place in range(len(_COLUMNS)))]
    rows += [_cells(story) for story in report.stories]
    lines = [f"# {report.batch.name}", "", totals(report), ""]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    if report.failed:
        lines += ["", *(f"- {line}" for line in failures(report))]
    return "\n".join(lines) + "\n"


def show(report: Report) -> None:
    """Print the report: a line a story, one for all, and why stories failed."""
    output.say_table([_COLUMNS, *(_cells(story) for story in report.stories)], left=_LEFT)
    output.say()
    output.say(totals(report))
    for line in failures(report):
        output.note(line)


def totals(report: Report) -> str:
    """All stories in a sentence."""
    whole = document(report)["totals"]
    score = f", length score {whole['length_score']:.1f}" if whole["length_score"] is not None else ""
    return (
        f"{whole['done']:,} of {whole['stories']:,} stories done: {whole['words']:,} words in "
        f"{whole['steps']:,} paragraphs, {duration(whole['seconds'])} of writing{score}."
    )


def failures(report: Report) -> list[str]:
    """A line for each story that ended without being whole: which, and why."""
    tasks = [story.progress.task for story in report.failed]
    return [f"{task.key}: {task.state.value}{': ' if task.error else ''}{task.error}" for task in tasks]


def _story(story: StoryReport) -> Json:
    progress, task = story.progress, story.progress.task
    told, made = story.repetition, story.story
    return {
        "key": task.key,
        "story": task.order.story_id,
        "title": made.title if made else "",
        "state": task.state.value,
        "model": made.settings["model"] if made else task.order.model,
        "seed": task.order.seed,
        "asked": {"words": task.order.words, "paragraphs": task.order.paragraphs},
        "words": progress.words,
        "steps": progress.steps,
        "length_score": round(story.length_score, 2),
        "repetition": {
            "words": told.words,
            "rep_4": round(told.rep_4, 5),
            "rep_8": round(told.rep_8, 5),
            "distinct_2": round(told.distinct_2, 5),
        }
        if told
        else None,
        "seconds": round(progress.seconds, 3),
        "tokens": progress.tokens,
        "tokens_per_second": _rounded(_speed(story), 2),
        "failed_tries": task.attempts,
        "error": task.error,
        "exports": list(task.order.exports),
    }


def _cells(story: StoryReport) -> tuple[str, ...]:
    progress, order, told = story.progress, story.progress.task.order, story.repetition
    key = progress.task.key
    speed = _speed(story)
    return (
        key if len(key) <= _LONGEST_KEY else key[: _LONGEST_KEY - 1] + "…",
        progress.task.state.value,
        f"{progress.words:,}",
        f"{order.words:,} words" if order.words is not None else f"{order.paragraphs} par.",
        f"{story.length_score:.1f}",
        f"{told.rep_4:.2%}" if told else "",
        f"{told.rep_8:.2%}" if told else "",
        f"{told.distinct_2:.3f}" if told else "",
        str(progress.steps),
        duration(progress.seconds),
        f"{speed:.0f}" if speed else "",
    )


def _speed(story: StoryReport) -> float | None:
    progress = story.progress
    return progress.tokens / progress.seconds if progress.seconds else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
