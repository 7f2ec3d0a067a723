"""``--help`` imports nothing heavy, for any command, so that it comes at once."""

import json
import subprocess
import sys

import pytest
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

# Runs the command line and prints which of the heavy packages it had imported when it left.
PROBE = """
import json, sys
from storyloom.ui.cli import main
heavy, sys.argv[1:] = json.loads(sys.argv[1]), sys.argv[2:]
try:
    main()
except SystemExit as left:
    print()
    print(json.dumps({"code": left.code, "heavy": [name for name in heavy if name in sys.modules]}))
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


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    arguments = [sys.executable, "-c", PROBE, json.dumps(HEAVY), *words, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"code": 0, "heavy": []}
    assert "Usage: storyloom" in done.stdout


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
