import logging
import sys
from pathlib import Path

import pytest

from storyloom.generators.longcontext.training.log import Log, Logged


def logged(step: int, loss: float = 2.0, *, needles: bool = False) -> Logged:
    return Logged(step=step, tokens=10 * step, length=10, loss=loss, rate=1.0, seconds=0.5, needles=needles)


def filled(folder: Path, steps: int) -> Log:
    log = Log(folder, 0)
    for step in range(1, steps + 1):
        log.add(logged(step, loss=float(step)))
    return log


def test_lines_are_there_again(tmp_path: Path) -> None:
    lines = filled(tmp_path, 5).lines
    assert Log(tmp_path, 5).lines == lines


def test_lines_behind_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    log = Log(tmp_path, 3)
    log.add(logged(4, loss=9.0))
    assert [line.loss for line in Log(tmp_path, 4).lines] == [1, 2, 3, 9]


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    log = filled(tmp_path, 3)
    log.path.write_text(log.path.read_text()[:-20])
    assert [line.step for line in Log(tmp_path, 3).lines] == [1, 2]


def test_the_mean_is_of_the_last_steps_that_read_books(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    assert log.mean() is None
    for step in range(1, 31):
        log.add(logged(step, loss=100.0 if step <= 10 else 2.0))
    log.add(logged(31, loss=50.0, needles=True))
    assert log.mean() == 2.0


def test_the_losses_are_drawn(tmp_path: Path) -> None:
    log = filled(tmp_path, 4)
    log.draw()
    without = log.picture.read_text()
    assert without.startswith("<?xml")
    assert "hidden keys" not in without
    log.draw()
    assert log.picture.read_text() == without
    log.add(logged(5, needles=True))
    log.draw()
    assert "hidden keys" in log.picture.read_text()


def test_without_matplotlib_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    log = filled(tmp_path, 2)
    with caplog.at_level(logging.WARNING):
        log.draw()
    assert "pip install 'storyloom[train]'" in caplog.text
    assert not log.picture.exists()
