"""``--help`` imports nothing heavy, for any command, so that it comes at once."""

import json
import subprocess
import sys

import typer.main

from storyloom.ui.cli import app

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "gradio",
    "ray",
    "langchain_core",
    "sqlmodel",
    "sqlalchemy",
    "alembic",
    "xllamacpp",
    "numpy",
)

# Runs one command after another; tells of each how it ended and which heavy packages were there then.
PROBE = """
import contextlib, io, json, sys
from storyloom.ui.cli import main
heavy, told = json.loads(sys.argv[1]), []
for words in json.loads(sys.argv[2]):
    sys.argv[1:] = [*words, "--help"]
    code, out = None, io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as left:
            code = left.code
    found = [name for name in heavy if name in sys.modules]
    told.append({"code": code, "heavy": found, "usage": "Usage: storyloom" in out.getvalue()})
print(json.dumps(told))
"""


def commands() -> list[tuple[str, ...]]:
    """Every command and group by the words that call it, the program itself first."""
    root = typer.main.get_command(app)

    def below(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [words]
        for name, child in getattr(command, "commands", {}).items():
            found += below(child, (*words, name))
        return found

    return below(root, ())


def test_help_imports_nothing_heavy() -> None:
    words = commands()
    arguments = [sys.executable, "-c", PROBE, json.dumps(HEAVY), json.dumps(words)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    for command, told in zip(words, json.loads(done.stdout), strict=True):
        assert told == {"code": 0, "heavy": [], "usage": True}, command


def test_every_command_of_the_contract_is_there() -> None:
    names = {" ".join(words) for words in commands()}
    assert names == {
        "",
        "write",
        "continue",
        "list",
        "show",
        "memory",
        "edit",
        "rewrite",
        "revisions",
        "undo",
        "settings",
        "branch",
        "branches",
        "delete",
        "export",
        "import",
        "doctor",
        "batch",
        "worker",
        "ui",
        "lore",
        "lore list",
        "lore add",
        "lore edit",
        "lore remove",
        "lore import",
        "lore export",
        "lore fire",
        "characters",
        "characters list",
        "characters add",
        "characters edit",
        "characters remove",
        "models",
        "models list",
        "models pull",
        "models convert",
        "models train",
        "models eval",
    }
