"""A command line that writes by script: no weights, no embedder, the same words every time."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."

# Puts the embedder below in the place of MiniLM, whose load takes seconds, and runs the command line.
LAUNCHER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("conftest_of_cli", sys.argv[1])
conftest = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = conftest
spec.loader.exec_module(conftest)
from storyloom.app import wiring
wiring.MiniLMEmbedder = conftest.HashEmbedder
sys.argv[:2] = ["storyloom"]
from storyloom.ui.cli import main
main()
"""


class HashEmbedder:
    """Bags of words as unit vectors: texts are alike when they share words."""

    name = "hash"
    dimensions = 64

    def __init__(self, **_settings: Any) -> None: ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        counts = [0.0] * self.dimensions
        for word in text.lower().split() or [""]:
            counts[int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimensions] += 1.0
        length = sum(count * count for count in counts) ** 0.5
        return [count / length for count in counts]


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Makes scripts; each seed tells other paragraphs. Gives the SPEC."""

    def make(seed: int = 1, *, steps: int = 12, delay: float = 0.0) -> str:
        chance = random.Random(seed)
        rules = [
            {"match": "You find titles", "replies": ["The Door in the Sea"]},
            {"match": "You rewrite passages", "replies": ["Rain fell on all of it.", "It rained."]},
            {
                "match": "You tell the whole",
                "replies": [
                    "Mara finds a door in the sea at low tide.\nThe door opens and the lamp goes out.\n"
                    "Mara learns who built the door.\nShe closes it and lights the lamp again."
                ],
            },
        ]
        document = {
            "rules": rules,
            "default": [json.dumps(_answer(chance)) for _ in range(steps)],
            "delay_seconds": delay,
        }
        path = tmp_path / f"script-{seed}-{delay}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return f"scripted:{path}"

    return make


def _answer(chance: random.Random) -> dict[str, Any]:
    """What one call brings, in words that no other call brings."""
    told = [_sentence(chance) for _ in range(7)]
    return {
        "paragraph": " ".join(told),
        "short_memory": told[0],
        "added": [told[0]],
        "dropped": [],
        "plans": [_sentence(chance) for _ in range(3)],
        "choice": 1,
    }


def _sentence(chance: random.Random) -> str:
    def word() -> str:
        return "".join(chance.choice("bdfglmnprst") + chance.choice("aeiou") for _ in range(3))

    return f"Mara {' '.join(word() for _ in range(8))}."


@dataclass
class Cli:
    """Runs commands in this process."""

    runner: CliRunner = field(default_factory=CliRunner)

    def __call__(self, *arguments: str, code: int = 0, given: str | bytes | None = None) -> Result:
        from storyloom.ui.cli import app

        result = self.runner.invoke(app, list(arguments), input=given, prog_name="storyloom")
        assert result.exit_code == code, f"{result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr
        return result

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        document = json.loads(self(*arguments, "--json", code=code).stdout)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Commands in this process, with vectors that cost nothing."""
    from storyloom.app import wiring

    monkeypatch.setattr(wiring, "MiniLMEmbedder", HashEmbedder)
    return Cli()


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts commands in processes of their own, and ends what a test left running."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *arguments: str | bytes, stdout: int = subprocess.PIPE, **environment: str
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, __file__, *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # closes its pipes and waits
            process.kill()
