import errno
import io
import json
import sys

import pytest

from storyloom.ui import output


def ascii_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """A standard output that speaks ASCII only."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    return raw


def test_an_ascii_terminal_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    output.prepare()
    output.say("“Mara” — 灯台")
    assert raw.getvalue() == b"?Mara? ? ??\n"


def test_json_is_utf8_on_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    output.prepare()
    output.emit({"title": "灯台"})
    assert json.loads(raw.getvalue().decode("utf-8")) == {"title": "灯台"}
    assert "灯台".encode() in raw.getvalue()


def test_half_a_character_is_still_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    output.emit({"file": "caf\udce9"})
    assert json.loads(raw.getvalue().decode("utf-8")) == {"file": "caf\udce9"}


def test_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a\x1b[2Jb\x07c\x9bd\r\ne\tf")
    assert capsys.readouterr().out == "a[2Jbcd\ne\tf\n"


def test_a_problem_is_one_paragraph(capsys: pytest.CaptureFixture[str]) -> None:
    output.problem("It broke.\n\n  Mend it.")
    assert capsys.readouterr() == ("", "storyloom: It broke. Mend it.\n")


class Broken(io.StringIO):
    """A stream that can't be written to."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, _text: str) -> int:
        raise OSError(self._number, "no")


def test_a_note_is_lost_rather_than_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Broken(errno.ENOSPC))
    output.note("The disk is full.")
    monkeypatch.setattr(sys, "stderr", Broken(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        output.note("Nobody reads.")
