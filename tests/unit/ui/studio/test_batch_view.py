from dataclasses import replace

from storyloom.app.batch.overview import Overview
from storyloom.app.batch.snapshot import StoryProgress
from storyloom.memory.orders import TaskState
from storyloom.ui.studio import batch_html, batch_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Ticking
from tests.unit.ui.batches import BATCH, progress, snapshot

NOWHERE = Place()
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' &"


def html(*stories: StoryProgress, titles: dict[str, str] | None = None) -> str:
    return batch_html.batches(Overview(snapshots=(snapshot(*stories),), left_out=0, titles=titles or {}))


def test_the_timer_runs_once_the_tab_is_opened(house: House) -> None:
    shown = batch_view.opened(house, NOWHERE)
    assert shown.timer == Ticking(True)
    assert "No batch yet" in (shown.batches or "")
    assert batch_view.looked(house, NOWHERE).timer is None


def test_a_waiting_story_is_cancelled_once(house: House) -> None:
    task = progress("lamp", TaskState.QUEUED).task
    with house.studio.shelf.database.unit_of_work() as work:
        work.tasks.add(BATCH, [task])
        work.commit()
    picked = {"pick": "cancel", "task": task.id}
    shown = batch_view.cancel(house, NOWHERE, picked)
    assert "1 cancelled" in (shown.batches or "")
    assert shown.notice == ""
    assert "no more" not in (shown.batches or "")
    assert "Nothing is written there" in (batch_view.cancel(house, NOWHERE, picked).notice or "")


def test_stories_are_counted_and_the_begun_ones_open() -> None:
    shown = html(
        replace(progress("one", steps=2, words=200), words_at_hand=31),
        progress("two", TaskState.QUEUED),
        progress("three", TaskState.DONE, steps=10, words=1_500, paragraphs=None, asked_words=1_500),
        titles={"story-one": "The Lamp"},
    )
    assert "1 done · 1 being written · 1 waiting · 1,700 words" in shown
    assert '<a class="name" href="?story=story-one" dir="auto">The Lamp</a>' in shown
    assert '<span class="name" dir="auto">two</span>' in shown
    assert "200 words, 2 of 10 paragraphs" in shown
    assert "1,500 of 1,500 words · done" in shown
    assert "writing paragraph 3, 31 words so far" in shown
    assert shown.count('data-pick="cancel"') == 2


def test_a_story_that_ends_soon_cannot_be_cancelled_again() -> None:
    running = progress("one")
    shown = html(replace(running, task=replace(running.task, cancelling=True)))
    assert "ends soon" in shown
    assert "data-pick" not in shown


def test_problems_are_told_in_the_models_own_words_and_never_run() -> None:
    failed = progress(HOSTILE, TaskState.FAILED, error=HOSTILE)
    again = progress("two", TaskState.QUEUED, error="The server is down.")
    shown = html(failed, again, titles={f"story-{HOSTILE}": HOSTILE})
    assert "<script" not in shown
    assert "<img" not in shown
    assert "The last try failed: The server is down." in shown


def test_a_large_batch_is_shown_in_part() -> None:
    shown = html(*(progress(f"story{number}", TaskState.QUEUED) for number in range(80)))
    assert shown.count("<li>") == 60
    assert "… and 20 more stories" in shown
