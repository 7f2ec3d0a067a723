"""Batches as HTML: a heading and a line for each, and a row a story."""

from collections.abc import Callable, Mapping
from html import escape

from storyloom.app.batch.overview import Overview
from storyloom.app.batch.snapshot import Snapshot, StoryProgress
from storyloom.memory.orders import TaskState
from storyloom.ui.batch_table import chosen
from storyloom.ui.batch_text import duration
from storyloom.ui.studio.languages import count, gettext, gettext_noop, ngettext

_MOST_ROWS = 60
_COUNTED: Mapping[TaskState, Callable[[int], str]] = {
    TaskState.DONE: lambda number: ngettext("{number} done", "{number} done", number),
    TaskState.RUNNING: lambda number: ngettext("{number} being written", "{number} being written", number),
    TaskState.QUEUED: lambda number: ngettext("{number} waiting", "{number} waiting", number),
    TaskState.FAILED: lambda number: ngettext("{number} failed", "{number} failed", number),
    TaskState.CANCELLED: lambda number: ngettext("{number} cancelled", "{number} cancelled", number),
}
_STATES = {
    TaskState.QUEUED: gettext_noop("waiting"),
    TaskState.DONE: gettext_noop("done"),
    TaskState.FAILED: gettext_noop("failed"),
    TaskState.CANCELLED: gettext_noop("cancelled"),
}


def batches(overview: Overview) -> str:
    """All of an owner's batches."""
    if not overview.snapshots:
        return f'<p class="quiet">{gettext("No batch yet.")}</p>{_how()}'
    found = "".join(_batch(one, overview.titles) for one in overview.snapshots)
    older = overview.left_out
    left_out = ngettext("{number} older batch left out.", "{number} older batches left out.", older)
    more = f'<p class="quiet">{left_out}</p>' if older else ""
    return f"{found}{more}{_how()}"


def _how() -> str:
    told = gettext(
        "Many stories are written by one command, from a file that lists them: "
        "{command}. How far they are is shown here.",
        command="<code>storyloom batch FILE</code>",
    )
    return f'<p class="quiet">{told}</p>'


def _batch(snapshot: Snapshot, titles: Mapping[str, str]) -> str:
    numbers = [(snapshot.count(state), counted) for state, counted in _COUNTED.items()]
    parts = [counted(number) for number, counted in numbers if number]
    parts.append(ngettext("{number} word", "{number} words", snapshot.words))
    if (left := snapshot.seconds_left or 0.0) >= 1:  # not in its last moment
        parts.append(gettext("about {time} left", time=duration(left)))
    shown = chosen(snapshot.stories, _MOST_ROWS)
    left_out = len(snapshot.stories) - len(shown)
    others = ngettext("… and {number} more story", "… and {number} more stories", left_out)
    more = f'<p class="quiet">{others}</p>' if left_out else ""
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
    share, label = round(100 * story.share), gettext("How much is written")
    return (
        f"<li>{name}"
        f'<progress max="100" value="{share}" aria-label="{label}">{share}%</progress>'
        f"<span>{_standing(story)} · {_doing(story)}</span>{_button(story, title or task.key)}"
        f"{_error(story)}</li>"
    )


def _standing(story: StoryProgress) -> str:
    """How far it is, in the unit that was asked for."""
    order, words = story.task.order, count(story.words)
    if order.words is not None:
        return ngettext("{words} of {number} word", "{words} of {number} words", order.words, words=words)
    return ngettext(
        "{words} words, {steps} of {number} paragraph",
        "{words} words, {steps} of {number} paragraphs",
        order.paragraphs or 0,
        words=words,
        steps=count(story.steps),
    )


def _doing(story: StoryProgress) -> str:
    if story.task.state is not TaskState.RUNNING:
        return gettext(_STATES[story.task.state])
    told = [gettext("writing paragraph {depth}", depth=story.steps + 1)]
    if story.words_at_hand:
        told.append(ngettext("{number} word so far", "{number} words so far", story.words_at_hand))
    if story.task.cancelling:
        told.append(gettext("ends soon"))
    return ", ".join(told)


def _button(story: StoryProgress, name: str) -> str:
    task = story.task
    if task.state not in {TaskState.QUEUED, TaskState.RUNNING} or task.cancelling:
        return ""
    return (
        f'<button type="button" data-pick="cancel" data-task="{escape(task.id)}" '
        f'aria-label="{gettext("Cancel {name}", name=escape(name))}">{gettext("Cancel")}</button>'
    )


def _error(story: StoryProgress) -> str:
    task = story.task
    if not task.error or task.state is TaskState.DONE:
        return ""
    error = escape(task.error)
    told = error if task.state is TaskState.FAILED else gettext("The last try failed: {error}", error=error)
    return f'<p class="problem" dir="auto">{told}</p>'
