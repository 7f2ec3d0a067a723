"""Prompt tokens that are read again each step: stable slots first, against RecurrentGPT's order.

A short story is written by the product with the starter, and every prompt of it is kept. Then the same
prompts go, one after the other, through a fresh engine twice: as they are, and in RecurrentGPT's order (what
changes stands first: plan, last paragraph, memory; premise and instructions after it). The engine says how
many tokens it read. Prints one JSON line.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from storyloom.app.castings import Castings
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence
from storyloom.app.studio import Beginning, Studio
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
    """Keeps every request of each step."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, name="starter")
        self.requests: list[Request] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        self.requests.append(request)
        return super().stream(request)


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


def record(path: Path, folder: Path, steps: int) -> tuple[list[Request], int]:
    """Every request of a story, and how many of them came before its first step."""
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
        database=database,
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=castings,
        owner="local",
        language="en",
        trash=folder / "trash",
    )
    story = studio.begin(Beginning(premise=PREMISE, seed=1), Listener()).story
    before = len(model.requests)
    for _ in studio.write(story.id, Listener(), paragraphs=steps):
        pass
    castings.close()
    database.close()
    return model.requests, before


def run(steps: int) -> dict[str, float]:
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    with tempfile.TemporaryDirectory() as folder:
        requests, before = record(path, Path(folder), steps)
    ours = evaluated(path, requests, reorder=False)[before:]
    theirs = evaluated(path, requests, reorder=True)[before:]
    read, read_theirs = (sum(tokens for _, tokens in figures) for figures in (ours, theirs))
    return {
        "calls_per_step": round(len(ours) / steps, 2),
        "prompt_tokens_per_step": round(sum(tokens for tokens, _ in ours) / steps, 1),
        "read_per_step_stable_first": round(read / steps, 1),
        "read_per_step_recurrentgpt_order": round(read_theirs / steps, 1),
        "ratio": round(read / read_theirs, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16)
    steps = parser.parse_args().steps
    print(json.dumps({"bench": "prefix", "steps": steps, **run(steps)}))


if __name__ == "__main__":
    main()
