"""Prompt tokens that are read again each step, and how long the first word of a paragraph takes.

A short story is written by the product with the starter; every prompt of it is kept, and the time from a
woven prompt to its first token is taken. Then the same prompts go, one after the other, through a fresh
engine twice: as they are, stable slots first, and in RecurrentGPT order (what changes stands first: plan,
last paragraph, memory; premise and instructions after). The engine says how many it read. Prints one JSON
line.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from storyloom.app.beginning import Beginning
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.llama_cpp import LlamaCppModel
from storyloom.generators.weights import pull_starter
from storyloom.memory.generation import Message, Piece, Prompt, Request, collect
from storyloom.memory.recall import RecallRule
from storyloom.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
PREMISE = "A lighthouse keeper named Mara finds a door in the sea, and her brother Tom behind it."


class Recorder(LlamaCppModel):
    """Keeps every request of each step, and the seconds to its first token."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, name="starter")
        self.requests: list[Request] = []
        self.waits: list[float] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        self.requests.append(request)
        started = time.perf_counter()
        with closing(super().stream(request)) as pieces:  # type: ignore[type-var]
            for number, piece in enumerate(pieces):
                if number == 0:
                    self.waits.append(time.perf_counter() - started)
                yield piece


def recurrentgpt_order(prompt: Prompt) -> Prompt:
    """The same text with what changes before what stays: the last turn's blocks reversed, then the rest."""
    assert not isinstance(prompt, str)
    place = max(number for number, message in enumerate(prompt) if message.role == "user")
    blocks = reversed(prompt[place].content.split("\n\n"))
    stable = (message.content for message in prompt[:place])
    return (Message("user", "\n\n".join([*blocks, *stable])), *prompt[place + 1 :])


def evaluated(path: Path, requests: list[Request], *, reorder: bool) -> list[tuple[int, int]]:
    """(tokens of the prompt, tokens read) of each request, through an engine that starts empty."""
    model = LlamaCppModel(path, name="starter")
    figures: list[tuple[int, int]] = []
    for request in requests:
        prompt = recurrentgpt_order(request.prompt) if reorder else request.prompt
        usage = collect(model.stream(replace(request, prompt=prompt, max_tokens=1, stop=()))).usage
        figures.append((usage.prompt_tokens, usage.prompt_tokens - usage.cached_tokens))
    model.close()
    return figures


def record(path: Path, folder: Path, steps: int) -> tuple[Recorder, int]:
    """A story's every request, and how many of them came before its first step."""
    model = Recorder(path)
    embedder = MiniLMEmbedder(threads=1)
    database = Database(f"sqlite:///{folder / 'bench.db'}")
    castings = Castings(
        load=lambda _spec: model,
        embedder=embedder,
        templates=Templates(folder / "templates"),
        writer="starter",
        others={},
        profile=None,
    )
    studio = Studio(
        shelf=Shelf(database, "local"),
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=castings,
        embedding=Embedding(database, embedder),
        language="en",
        trash=folder / "trash",
        presets=folder / "presets",
    )
    story = studio.begin(Beginning(premise=PREMISE, seed=1), Listener()).story
    before = len(model.requests)
    for _ in studio.write(story.id, Listener(), paragraphs=steps):
        pass
    castings.close()
    database.close()
    return model, before


def _is_writers(request: Request) -> bool:
    return any("Write the next paragraph" in message.content for message in request.prompt)  # type: ignore[union-attr]


def run(steps: int) -> dict[str, float]:
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    with tempfile.TemporaryDirectory() as folder:
        recorded, before = record(path, Path(folder), steps)
    ours = evaluated(path, recorded.requests, reorder=False)[before:]
    theirs = evaluated(path, recorded.requests, reorder=True)[before:]
    waits = [
        wait for wait, request in zip(recorded.waits, recorded.requests, strict=True) if _is_writers(request)
    ][1:]  # the first loads nothing any more, and still warms the caches
    read, read_theirs = (sum(tokens for _, tokens in figures) for figures in (ours, theirs))
    return {
        "calls_per_step": round(len(ours) / steps, 2),
        "prompt_tokens_per_step": round(sum(tokens for tokens, _ in ours) / steps, 1),
        "read_per_step_stable_first": round(read / steps, 1),
        "read_per_step_recurrentgpt_order": round(read_theirs / steps, 1),
        "ratio": round(read / read_theirs, 3),
        "first_token_seconds_median": round(median(waits), 3),
        "first_token_seconds_worst": round(max(waits), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16)
    steps = parser.parse_args().steps
    print(json.dumps({"bench": "prefix", "steps": steps, **run(steps)}))


if __name__ == "__main__":
    main()
