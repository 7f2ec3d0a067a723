"""A story as long as a bench wants it, every paragraph with its memory, passage and provenance."""

import random
from collections import deque
from dataclasses import replace
from pathlib import Path

from storyloom.app.beginning import Beginning
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence
from storyloom.app.settings import Settings
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.memory.ports import Embedder
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Dropped, Note, Passage
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel, sentence

# So many are written by the recurrence; those after them have other words, and the rest from these in turn.
_WRITTEN = 24
_SENTENCES = 10
_ON_THE_PAGE = 8
_A_TRANSACTION = 500


def long_story(settings: Settings, embedder: Embedder, home: Path, spec: str, paragraphs: int) -> str:
    """Put it into the settings' database; gives its id.

    Args:
        settings: name the database and the owner.
        embedder: makes the passages' vectors.
        home: the data folder.
        spec: the model that the story is to be gone on with.
        paragraphs: how many.
    """
    database = Database(settings.url)
    castings = Castings(
        load=lambda _spec: InstantModel(),
        embedder=embedder,
        templates=Templates(home / "templates"),
        writer=spec,
        others={},
        profile="small",
    )
    studio = Studio(
        shelf=Shelf(database, settings.owner),
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=castings,
        embedding=Embedding(database, embedder),
        language="en",
        trash=home / "trash",
        presets=home / "presets",
    )
    beginning = Beginning(premise="Mara keeps a lighthouse and finds a door in the sea.", title="The Door")
    begun = studio.begin(beginning, Listener())
    deque(studio.write(begun.story.id, Listener(), paragraphs=min(_WRITTEN, paragraphs)), maxlen=0)
    for first in range(_WRITTEN + 1, paragraphs + 1, _A_TRANSACTION):
        last = min(first + _A_TRANSACTION - 1, paragraphs)
        _lengthen(database, embedder, begun.strand.id, first, last)
    database.close()
    return begun.story.id


def _lengthen(database: Database, embedder: Embedder, strand: str, first: int, last: int) -> None:
    dice = random.Random(first)
    with database.unit_of_work() as work:
        written = work.steps.path(strand, last=_WRITTEN)
        records = [work.provenance.get(strand, step.depth) for step in written]
        for depth in range(first, last + 1):
            at = depth % _WRITTEN
            text = " ".join(sentence(dice) for _ in range(_SENTENCES))
            step = replace(written[at], depth=depth, paragraph=text, dropped=(_left(dice, depth),))
            work.steps.append(step)
            work.provenance.add(strand, depth, records[at])
            (vector,) = embedder.embed([text])
            passage = Passage(
                strand_id=strand, depth=depth, text=text, vector=tuple(vector), embedder=embedder.name
            )
            work.passages.add([passage])
        work.commit()


def _left(dice: random.Random, depth: int) -> Dropped:
    """A sentence that was on the page for a while: on a full page one leaves with each paragraph."""
    return Dropped(Note(sentence(dice), depth - _ON_THE_PAGE), "the page is full")
