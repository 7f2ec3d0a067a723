"""What stands between a command and the shell: errors told in one paragraph, and exit codes."""

import errno
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

import typer

from storyloom.memory.errors import InvalidSpec, StoryloomError
from storyloom.ui import output
from storyloom.ui.stopping import Stop, exit_code

PROBLEM = 1
# As a shell has it when a program dies of SIGPIPE: 128 and 13.
PIPE_CLOSED = 141
_LARGEST_LOG = 1_000_000
_BRIEF = 300

logger = logging.getLogger("storyloom")


@contextmanager
def boundary() -> Iterator[None]:
    """Run a command: whatever goes wrong ends in one paragraph on stderr and an exit code."""
    output.prepare()
    with Stop():
        try:
            yield
            sys.stdout.flush()
        except InvalidSpec as error:
            output.problems(str(error).splitlines())
            raise typer.Exit(PROBLEM) from error
        except StoryloomError as error:
            output.problem(str(error))
            raise typer.Exit(PROBLEM) from error
        except KeyboardInterrupt as error:
            output.note("Stopped.")
            raise typer.Exit(exit_code(next(iter(error.args), None))) from error
        except OSError as error:
            raise typer.Exit(_told(error)) from error
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise  # an exit code, or wrong usage: typer tells of it and exits with 2
        except Exception as error:
            place = _log_to_file()
            logger.exception("unexpected")
            output.problem(
                f"Something unexpected went wrong: {type(error).__name__}: {_brief(error)}. Nothing that was "
                f"committed is lost. The full traceback is in {place}; please report it."
            )
            raise typer.Exit(PROBLEM) from error


def _told(error: OSError) -> int:
    """Tell of a file, disk or pipe that failed; the exit code."""
    if error.errno == errno.EPIPE:
        # Nobody reads any more, and Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    place = f" ({error.filename})" if error.filename else ""
    output.problem(
        f"The system refused: {error.strerror or error}{place}. Nothing that was committed is lost."
    )
    return PROBLEM


def _brief(error: Exception) -> str:
    """The beginning of an error's text, which may hold a whole SQL statement."""
    return " ".join(str(error).split())[:_BRIEF].rstrip(".")


def _log_to_file() -> Path:
    """Send the log to a file in the data folder, or beside temporary files where that can't be written."""
    from storyloom.app.settings import data_folder

    for folder in (data_folder(), Path(tempfile.gettempdir())):
        place = folder / "storyloom.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(place, maxBytes=_LARGEST_LOG, backupCount=1, encoding="utf-8")
        except OSError:
            continue
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
        return place
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return Path(os.devnull)
