"""A real server of the page with a model that writes by script, for a browser or a client to ask."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from storyloom.app import wiring
from storyloom.generators.embedder import MiniLMEmbedder
from tests.integration.conftest import LAUNCHER, Cli, HashEmbedder

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# The model writes at once. Where these words stand it takes its time: long enough to be watched, or as long
# as it takes to be stopped and killed. No prompt of ours has them.
SLOWLY, VERY_SLOWLY = "unhurriedly", "very unhurriedly"
HOSTILE = (
    "HOSTILE <script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'> ${window.pwned = 3} "
    "{{7*7}} \" ' &amp; </textarea></pre> مرحبا بالعالم " + "extraordinarily" * 30
)
HOSTILE_PARAGRAPH = (
    "Mara read <script>window.pwned = 4</script> aloud to the gulls, and the gulls flew up. On the slate "
    "stood <img src=x onerror='window.pwned = 5'> in a hand she knew. She wiped it away with her sleeve. "
    "By noon the same marks had come back, deeper than before, and the tide had left a word as long as the "
    f"landing stage: {'extraordinarily' * 20}. Nobody believed her when she told them at the harbour office."
)
PARAGRAPHS = (Path(__file__).parent / "paragraphs.txt").read_text(encoding="utf-8").splitlines()
# They go on from any of the planner's openers.
FIRST_PLANS = [
    " lamp room, and the door answers with three knocks.",
    " harbour bell rope before the sea rises over the rock.",
    " brass lantern that burns under water, and nobody believes it.",
]
REWRITINGS = [
    "A lantern hissed in the rain on the empty bench.",
    "Rain drummed on the empty bench and put the lantern out.",
]
SENTENCES = [
    ("Mara opens the door with her brass lantern held high.", "A supply boat brings a stranger who limps.",
     "Mara puts out the lamp and waits in the dark."),
    ("Somebody answers from under the studs.", "The stranger asks Mara for a bed.", "Mara burns the chart."),
    ("The house noise turns out to be a clock.", "Mara writes to the harbour office.", "A gull speaks."),
    ("Mara knocks back, four times.", "Rain fills the landing stage.", "The handbook names the knocker."),
    ("The ring turns by itself.", "Mara fetches an axe.", "The laughing child sings a hymn."),
    ("Fifty gulls lift the door.", "The bell stops and the tide with it.", "Mara rows to the harbour."),
    ("Mara counts the knots aloud.", "A candle goes out below her.", "Her grandfather calls her name."),
    ("Mara signs the log.", "She reads yesterday’s page.", "Another cup is filled for her."),
]  # fmt: skip


def answer(number: int) -> str:
    """What one call brings: a step of the story."""
    paragraph = PARAGRAPHS[number % len(PARAGRAPHS)]
    first = paragraph.split(". ")[0] + "."
    return json.dumps(
        {
            "paragraph": paragraph,
            "short_memory": first,
            "added": [first],
            "dropped": [],
            "plans": SENTENCES[number % len(SENTENCES)],
            "choice": 1,
        }
    )


def script(folder: Path, *, delay: float = 0.0) -> str:
    """Write the model's script; gives its SPEC.

    Args:
        folder: where it is kept.
        delay: seconds a word, where nothing else is asked for.
    """
    hostile = json.dumps(
        {
            "paragraph": HOSTILE_PARAGRAPH,
            "short_memory": "Mara read <script>window.pwned = 4</script> aloud.",
            "added": ["Mara read <script>window.pwned = 4</script> aloud."],
            "dropped": [],
            "plans": [
                "Mara carves <script>window.pwned = 5</script> into the door.",
                "The stranger hands over <img src=x onerror='window.pwned = 6'> and runs.",
                "Fifty gulls spell ${window.pwned = 7} {{7*7}} above her lamp.",
            ],
            "choice": 1,
        }
    )
    rules = [
        {"match": "FAIL HERE", "replies": [{"error": "The engine broke off: <b>no</b> such lamp."}]},
        {"match": "You find titles", "replies": ["The Door in the Sea"]},
        {
            "match": "You tell the whole",
            "replies": ["Mara finds a door in the sea.\nIt knocks.\nShe opens it.\nShe is relieved at last."],
        },
        {"match": "You plan a story", "replies": FIRST_PLANS},
        {"match": f"make it rain {VERY_SLOWLY}", "replies": REWRITINGS, "delay_seconds": 0.5},
        {"match": "You rewrite passages", "replies": REWRITINGS},
        # The editor, who picks the first plan, is asked once before the writer.
        {"match": "HOSTILE", "replies": [hostile, hostile, answer(1)]},
        *(
            {"match": match, "replies": [answer(number) for number in range(1, 8)], "delay_seconds": delay}
            for match, delay in ((VERY_SLOWLY, 0.15), (SLOWLY, 0.04))
        ),
    ]
    document = {
        "rules": rules,
        "default": [answer(number) for number in range(len(PARAGRAPHS))],
        "delay_seconds": delay,
    }
    path = folder / "script.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return f"scripted:{path}"


@dataclass
class Server:
    """A server in a process of its own, and the command line beside it."""

    home: Path
    model: str
    url: str = ""
    process: subprocess.Popen[str] | None = None
    command: tuple[str, ...] = ()

    def start(self, *arguments: str) -> None:
        """Start it; the address is told on its standard output once it answers."""
        with (self.home / "ui.log").open("a") as log:
            self.process = subprocess.Popen(
                [*self.command, "ui", "--port", "0", *arguments],
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "http://" in line, f"no address: {line!r}\n{(self.home / 'ui.log').read_text()}"
        self.url = line.split("at ", 1)[1].split(" ")[0]

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        with self.process:
            self.process.kill()

    def cli(self, *arguments: str) -> dict[str, Any]:
        """What the command line says about the same stories; in this process, which has it loaded already."""
        with ThreadPoolExecutor(1) as apart:  # Playwright's loop runs in the test's own thread
            return apart.submit(self._said, arguments).result()

    def _said(self, arguments: tuple[str, ...]) -> dict[str, Any]:
        embedder = MiniLMEmbedder if self.command == real_command() else HashEmbedder
        with patch.dict(os.environ, self._environment()), patch.object(wiring, "MiniLMEmbedder", embedder):
            return Cli().json(*arguments)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "STORYLOOM_HOME": str(self.home), "STORYLOOM_MODEL": self.model}


def scripted_command() -> tuple[str, ...]:
    return (sys.executable, "-c", LAUNCHER, str(ROOT / "tests" / "integration" / "conftest.py"))


def real_command() -> tuple[str, ...]:
    return (sys.executable, "-c", "from storyloom.ui.cli import main; main()")
