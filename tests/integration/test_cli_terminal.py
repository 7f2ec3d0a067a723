"""Writing on a terminal: what streams is drawn over, what is committed stands."""

import os
import pty
import re
import subprocess
from collections.abc import Callable
from typing import Any

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def screen(raw: str) -> list[str]:
    """The lines that stand on an endless terminal when everything was written to it."""
    lines, row, column = [""], 0, 0
    for number, command, move, text in PIECE.findall(raw):
        if command == "A":
            row -= int(number or 1)
        elif command == "K":
            lines[row] = ""
        elif move == "\r":
            column = 0
        elif move == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
    return lines


def read_all(descriptor: int) -> str:
    """Everything that comes to a terminal until its last writer is gone."""
    data = b""
    while True:
        try:
            block = os.read(descriptor, 65536)
        except OSError:  # Linux says so when the other side was closed
            break
        if not block:
            break
        data += block
    return data.decode("utf-8")


def test_a_terminal_shows_the_story_as_it_was_stored(
    cli: Any, script: Callable[..., str], spawn: Callable[..., subprocess.Popen[bytes]]
) -> None:
    ours, theirs = pty.openpty()
    process = spawn(
        *("write", PREMISE, "--paragraphs", "2", "--model", script(delay=0.005)),
        stdout=theirs,
        TERM="xterm-256color",
        COLUMNS="100",
        LINES="30",
    )
    os.close(theirs)
    raw = read_all(ours)
    os.close(ours)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    shown = " ".join(" ".join(screen(raw)).split())
    document = cli.json("show", "The Door in the Sea")
    story, steps = document["story"], document["steps"]
    paragraphs = " ".join(
        rf"{step['depth']}\. {re.escape(step['plan'])} {re.escape(step['paragraph'])} \S+ s, \d+ tokens/s"
        for step in steps
    )
    plans = " ".join(f"{number}. {plan}" for number, plan in enumerate(steps[-1]["plans"], start=1))
    outline = " ".join(story["outline"].split())
    begun = rf"{story['title']} {re.escape(outline)} {paragraphs} "
    assert re.match(begun + rf"What could come next: {re.escape(plans)} The story {story['id']} is", shown)
    assert "step 2: writing … ·" in raw
