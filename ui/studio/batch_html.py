"""Batches as HTML: a heading and a line for each, and a row a story."""

from collections.abc import Mapping
from html import escape

from storyloom.app.batch.overview import Overview
from storyloom.app.batch.snapshot import Snapshot, StoryProgress
from storyloom.memory.orders import TaskState
from storyloom.ui.batch_table import chosen
from storyloom.ui.batch_text import counted, duration, standing

_MOST_ROWS = 60
_HOW = (
    '<p class="quiet">Many stories are written by one command, from a file that lists them: '
    "<code>storyloom batch FILE</code>. How far they are is shown here.</p>"
)
_COUNTED = (
    (TaskState.DONE, "done"),
    (TaskState.RUNNING, "being written"),
    (TaskState.QUEUED, "waiting"),
    (TaskState.FAILED, "failed"),
    (TaskState.CANCELLED, "cancelled"),
)


def batches(overview: Overview) -> str:
    """All of an owner's batches."""
    if not overview.snapshots:
        return f'<p class="quiet">No batch yet.</p>{_HOW}'
    found = "".join(_batch(one, overview.titles) for one in overview.snapshots)
    older = overview.left_out
    more = f'<p class="quiet">{counted(older, "older batch", "older batches")} left out.</p>' if older else ""
    return f"{found}{more}{_HOW}"


def _batch(snapshot: Snapshot, titles: Mapping[str, str]) -> str:
    numbers = [(snapshot.count(state), word) for state, word in _COUNTED]
    parts = [f"{number:,} {word}" for number, word in numbers if number]
    parts.append(f"{snapshot.words:,} words")
    if snapshot.seconds_left:
        parts.append(f"about {duration(snapshot.seconds_left)} left")
    shown = chosen(snapshot.stories, _MOST_ROWS)
    left_out = len(snapshot.stories) - len(shown)
    more = f'<p class="quiet">… and {counted(left_out, "more story", "more stories")}</p>' if left_out else ""
    rows = "".join(_story(story, titles) for story in shown)
    return (
        f'<section><h3 dir="auto">{escape(snapshot.batch.name)}</h3>'
        f'<p class="quiet">{" · ".join(parts)}</p><ul>{rows}</ul>{more}</section>'
    )


def _story(story: StoryProgress, titles: Mapping[str, str]) -> str:
    task = story.task
    title = titles.get(task.order.story_id)
    name = (
        f'<span class="name" dir="auto">{escape(task.order.title or task.key)}</span>'
        if title is None
        else f'<a class="name" href="?story={escape(task.order.story_id)}" dir="auto">{escape(title)}</a>'
    )
    share = round(100 * story.share)
    return (
        f"<li>{name}"
        f'<progress max="100" value="{share}" aria-label="How much is written">{share}%</progress>'
        f"<span>{_standing(story)} · {_doing(story)}</span>{_button(story, title or task.key)}"
        f"{_error(story)}</li>"
    )


def _standing(story: StoryProgress) -> str:
    """How far it is, in the unit that was asked for."""
    return standing(story) + (" paragraphs" if story.task.order.words is None else "")


def _doing(story: StoryProgress) -> str:
    match story.task.state:
        case TaskState.RUNNING:
            at_hand = f", {counted(story.words_at_hand, 'word')} so far" if story.words_at_hand else ""
            ends = ", ends soon" if story.task.cancelling else ""
            return f"writing paragraph {story.steps + 1}{at_hand}{ends}"
        case TaskState.QUEUED:
            return "waiting"
        case state:
            return state.value


def _button(story: StoryProgress, name: str) -> str:
    task = story.task
    if task.state not in {TaskState.QUEUED, TaskState.RUNNING} or task.cancelling:
        return ""
    return (
        f'<button type="button" data-pick="cancel" data-task="{escape(task.id)}" '
        f'aria-label="Cancel {escape(name)}">Cancel</button>'
    )


def _error(story: StoryProgress) -> str:
    task = story.task
    if not task.error or task.state is TaskState.DONE:
        return ""
    before = "" if task.state is TaskState.FAILED else "The last try failed: "
    return f'<p class="problem" dir="auto">{before}{escape(task.error)}</p>'
