"""Writes every command's help into ``docs/cli.md``: ``python -m storyloom.ui.help_page docs/cli.md``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from storyloom.ui.cli import app

BEGINNING = "<!-- The help below is generated: python -m storyloom.ui.help_page docs/cli.md -->\n"
_WIDTH = 100


def refreshed(page: str) -> str:
    """The page with today's help after its mark; what stands before it stays.

    Raises:
        ValueError: the page has no such mark.
    """
    before, mark, _ = page.partition(BEGINNING)
    if not mark:
        raise ValueError(f"the page has no line {BEGINNING.strip()!r}")
    return before + mark + "".join(_sections(typer.main.get_command(app), "storyloom", None))


def _sections(command: Any, path: str, parent: Any) -> Iterator[str]:
    """A section a command, the program itself first."""
    context = command.make_context(
        path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True, terminal_width=_WIDTH
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"\n## {path}\n\n```text\n{text}\n```\n"
    for name, child in getattr(command, "commands", {}).items():
        yield from _sections(child, f"{path} {name}", context)


def main() -> None:
    """Refresh the page that is named."""
    page = Path(sys.argv[1])
    page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
