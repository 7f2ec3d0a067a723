import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from storyloom.memory.story import Step, Story
from storyloom.ui.progress import PrintedProgress, Progress
from storyloom.ui.stopping import Stop


def test_stopping_waits_only_while_words_come_or_a_paragraph_stands(step: Step) -> None:
    stop = Stop()
    progress = Progress(stop)
    patience = []
    events: tuple[Callable[[], None], ...] = (
        lambda: progress.on_stage("planning", 1),
        lambda: progress.on_stage("writing", 1),
        lambda: progress.on_text("Mara"),
        lambda: progress.on_stage("remembering", 1),
        lambda: progress.on_stage("planning", 1),
        lambda: progress.on_stage("saving", 1),
        lambda: progress.on_step(step),
        lambda: progress.on_stage("recalling", 2),
    )
    for event in events:
        event()
        patience.append(stop.patient)
    assert patience == [False, False, True, True, True, True, True, False]


def test_a_signal_cancels() -> None:
    stop = Stop()
    progress = Progress(stop)
    assert not progress.cancelled()
    stop.asked = signal.SIGINT
    assert progress.cancelled()


def test_stages_and_notices_go_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Stop())
    progress.on_stage("loading", 0)
    progress.on_stage("writing", 2)
    progress.on_notice("The plan was shortened.")
    assert capsys.readouterr() == (
        "",
        "loading the model …\nstep 2: writing …\nThe plan was shortened.\n",
    )


def test_printed_is_what_was_committed(story: Story, step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    progress = PrintedProgress(Stop())
    progress.on_story(replace(story, outline=""))
    progress.on_story(story)
    progress.on_text("a draft that is thr")
    progress.on_redraw("too short")
    progress.on_step(step)
    assert capsys.readouterr().out == (
        "The Door in the Sea\n\nShe opens it. It opens her.\n\nMara knocked, and the sea\nknocked back.\n\n"
    )
    assert progress.steps == [step]
    assert progress.story == story


def test_only_much_work_beside_the_writing_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Stop())
    for done, total in ((0, 1), (1, 1), (0, 2000), (32, 2000), (2000, 2000)):
        progress.on_progress("passages to embed", done, total)
    assert capsys.readouterr().err == "passages to embed: 0 of 2,000\npassages to embed: 2,000 of 2,000\n"
