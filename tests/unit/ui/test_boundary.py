import os
import signal

import pytest
import typer

from storyloom.memory.errors import InvalidSpec, StoryNotFound
from storyloom.ui.boundary import boundary
from storyloom.ui.stopping import Stop


def test_a_storyloom_error_is_one_paragraph_and_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, boundary():
        raise StoryNotFound("There is no such story.\nList them.")
    assert left.value.exit_code == 1
    assert capsys.readouterr() == ("", "storyloom: There is no such story. List them.\n")


def test_each_problem_of_a_batchs_file_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, boundary():
        raise InvalidSpec("a.yaml:3: one\na.yaml:4: two")
    assert left.value.exit_code == 1
    assert capsys.readouterr() == ("", "storyloom: a.yaml:3: one\nstoryloom: a.yaml:4: two\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_no_command_told_of(number: signal.Signals, code: int) -> None:
    with pytest.raises(typer.Exit) as left, boundary(), Stop():
        os.kill(os.getpid(), number)
    assert left.value.exit_code == code


def test_a_file_that_the_system_refuses_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, boundary():
        raise PermissionError(13, "Permission denied", "/etc/shadow")
    assert left.value.exit_code == 1
    assert "Permission denied (/etc/shadow)" in capsys.readouterr().err


def test_wrong_usage_is_left_to_typer() -> None:
    with pytest.raises(typer.BadParameter), boundary():
        raise typer.BadParameter("not both")
