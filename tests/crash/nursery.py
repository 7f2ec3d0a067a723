"""Workers that start at once: a process that has imported everything, and forks one for each line it reads.

A line is JSON: the arguments of ``storyloom``, the environment, and the file that takes what is said. The
answer is the process's id. What is forked is a process like any other, and can be killed like one. The text
model and the embedder are stand-ins that need no weights, unless the argument ``real`` is given.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from storyloom.ui import worker as _loaded_before_the_first_fork  # noqa: F401
from storyloom.ui.cli import main
from tests.crash.slow_model import use_stand_ins


def serve() -> None:
    """Fork a command for each line, until there are no more lines."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who was killed leaves no zombie
    for line in sys.stdin:
        arguments, environment, said = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(arguments, environment, Path(said))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(arguments: list[str], environment: dict[str, str], said: Path) -> NoReturn:
    """Be the command, and end with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with said.open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    sys.argv = ["storyloom", *arguments]
    main()
    sys.exit()


if __name__ == "__main__":
    if sys.argv[1:] != ["real"]:
        use_stand_ins()
    serve()
