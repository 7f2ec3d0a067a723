"""What a step costs besides the model and the embedder, at 1,000 steps and at 10,000.

The recurrence, the database, recall, the weaver and provenance are the product's own; model and embedder
are stand-ins whose time is measured and taken off, so that what is left is Storyloom's own work.
Prints milliseconds and their ratio as one JSON line.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import TypeVar

from storyloom.app.castings import Castings
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence, Wish
from storyloom.app.templates import Templates
from storyloom.memory.generation import Piece, Prompt, Request
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import (
    Mode,
    Note,
    Origin,
    Passage,
    Plan,
    ShortMemory,
    Step,
    Story,
    Strand,
)
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel, sentence

_DIMENSIONS = 384
T = TypeVar("T")


class Clock:
    """Seconds spent outside Storyloom's own code."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def measure(self, call: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds += time.perf_counter() - started


class TimedModel(InstantModel):
    """The stand-in, its own time taken."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def stream(self, request: Request) -> Iterator[Piece]:
        self.requests.clear()
        stream = super().stream
        yield from self._clock.measure(lambda: list(stream(request)))

    def count_tokens(self, prompt: Prompt) -> int:
        count = super().count_tokens
        return self._clock.measure(lambda: count(prompt))


class TimedEmbedder:
    """Random unit vectors, the time they take taken."""

    name = "timed"
    dimensions = _DIMENSIONS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._random = random.Random(1)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return self._clock.measure(lambda: [vector(self._random) for _ in texts])


def vector(dice: random.Random) -> list[float]:
    raw = [dice.gauss(0, 1) for _ in range(_DIMENSIONS)]
    length = sum(value * value for value in raw) ** 0.5
    return [value / length for value in raw]


def fill(database: Database, strand: Strand, first: int, last: int, dice: random.Random) -> None:
    """Steps as the recurrence leaves them, many in a transaction."""
    memory = ShortMemory(tuple(Note(sentence(dice), depth) for depth in range(8)))
    plans = tuple(Plan(sentence(dice)) for _ in range(3))
    template = Step(
        strand_id=strand.id,
        depth=1,
        plan=plans[0].text,
        plan_origin=Origin.MODEL,
        paragraph="",
        paragraph_origin=Origin.MODEL,
        memory=memory,
        memory_origin=Origin.MODEL,
        added=(),
        dropped=(),
        plans=plans,
        model="instant",
        seed=1,
        sampling={},
        seconds=1.0,
        prompt_tokens=1,
        completion_tokens=1,
        created_at=datetime.now(UTC),
    )
    for start in range(first, last + 1, 500):
        with database.unit_of_work() as work:
            for depth in range(start, min(start + 500, last + 1)):
                text = " ".join(sentence(dice) for _ in range(10))
                work.steps.append(replace(template, depth=depth, paragraph=text))
                passage = Passage(
                    strand_id=strand.id,
                    depth=depth,
                    text=text,
                    vector=tuple(vector(dice)),
                    embedder="timed",
                )
                work.passages.add([passage])
            work.commit()


def measure(
    recurrence: Recurrence, castings: Castings, strand: Strand, clock: Clock, steps: int
) -> list[float]:
    """Milliseconds of each step that were not the model's or the embedder's."""
    cast = castings.cast()
    recurrence.step(strand, Wish(), 1, cast, Listener())  # fills the caches: a warm process
    own: list[float] = []
    for _ in range(steps):
        clock.seconds = 0.0
        started = time.perf_counter()
        recurrence.step(strand, Wish(), 1, cast, Listener())
        own.append((time.perf_counter() - started - clock.seconds) * 1000)
    return own


def run(folder: Path, depths: Sequence[int], steps: int) -> dict[str, float]:
    database = Database(f"sqlite:///{folder / 'bench.db'}")
    clock = Clock()
    embedder = TimedEmbedder(clock)
    recurrence = Recurrence(database=database, embedder=embedder, rule=RecallRule())
    castings = Castings(
        load=lambda _spec: TimedModel(clock),
        embedder=embedder,
        templates=Templates(folder / "templates"),
        writer="instant",
        others={},
        profile="small",
    )
    now, dice = datetime.now(UTC), random.Random(2)
    story = Story(
        id="bench",
        owner="local",
        title="Bench",
        premise="Mara keeps a lighthouse.",
        mode=Mode.NOVEL,
        language="en",
        style="",
        outline="",
        authors_note="",
        settings={},
        created_at=now,
        updated_at=now,
    )
    strand = Strand(id="strand", story_id=story.id, created_at=now)
    with database.unit_of_work() as work:
        work.stories.add(story)
        work.strands.add(strand)
        work.commit()
    figures: dict[str, float] = {}
    done = 0
    for depth in depths:
        fill(database, strand, done + 1, depth, dice)
        own = measure(recurrence, castings, strand, clock, steps)
        done = depth + steps + 1
        figures[f"p50_ms_at_{depth}"] = round(median(own), 2)
        figures[f"p95_ms_at_{depth}"] = round(quantiles(own, n=20)[-1], 2)
    figures["p95_ratio"] = round(figures[f"p95_ms_at_{depths[-1]}"] / figures[f"p95_ms_at_{depths[0]}"], 3)
    figures["p50_ratio"] = round(figures[f"p50_ms_at_{depths[-1]}"] / figures[f"p50_ms_at_{depths[0]}"], 3)
    database.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--depths", type=int, nargs="+", default=[1000, 10_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"bench": "step", **run(Path(folder), arguments.depths, arguments.steps)}))


if __name__ == "__main__":
    main()
