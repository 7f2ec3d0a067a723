"""Stories for the recall benchmarks: chapters of paragraphs in a database of the product's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from storyloom.app.recalling import Recalling
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Chapter, Mode, Origin, Passage, Segment, ShortMemory, Step, Story, Strand
from storyloom.storage.database import Database

STRAND = "main"
_NOW = datetime(2024, 1, 1, tzinfo=UTC)
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A step's text, and the title of the chapter that it begins, if it begins one."""

    text: str
    title: str | None = None


@contextmanager
def told(paragraphs: Sequence[Paragraph], embedder: MiniLMEmbedder) -> Iterator[Database]:
    """A database that holds one story of these paragraphs, embedded; it goes when the block ends."""
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'stories.sqlite3'}")
        try:
            _tell(database, paragraphs, embedder)
            yield database
        finally:
            database.close()


def segments(paragraphs: Sequence[Paragraph]) -> tuple[Segment, ...]:
    """The whole story as an ancestry."""
    return (Segment(STRAND, len(paragraphs)),)


def new_story() -> Story:
    """A story of which only the text matters."""
    return Story(
        id="story",
        owner="local",
        title="Told",
        premise="",
        mode=Mode.NOVEL,
        language="en",
        style="",
        outline="",
        authors_note="",
        settings={},
        created_at=_NOW,
        updated_at=_NOW,
    )


def new_strand() -> Strand:
    """Its main strand."""
    return Strand(id=STRAND, story_id=new_story().id, created_at=_NOW)


def begin(database: Database) -> None:
    """An empty story with its main strand."""
    with database.unit_of_work() as work:
        work.stories.add(new_story())
        work.strands.add(new_strand())
        work.commit()


def add(
    database: Database, steps: Sequence[Step], passages: Sequence[Passage], chapters: Sequence[Chapter]
) -> None:
    """Keep a stretch of the story in one transaction."""
    with database.unit_of_work() as work:
        work.steps.restore(steps)
        work.passages.add(passages)
        work.chapters.add(chapters)
        work.commit()


def step(depth: int, text: str) -> Step:
    """A step of which only the paragraph matters."""
    return Step(
        strand_id=STRAND,
        depth=depth,
        plan="",
        plan_origin=Origin.PERSON,
        paragraph=text,
        paragraph_origin=Origin.PERSON,
        memory=ShortMemory(),
        memory_origin=Origin.PERSON,
        added=(),
        dropped=(),
        plans=(),
        model="none",
        seed=0,
        sampling={},
        seconds=0.0,
        prompt_tokens=0,
        completion_tokens=0,
        created_at=_NOW,
    )


def _tell(database: Database, paragraphs: Sequence[Paragraph], embedder: MiniLMEmbedder) -> None:
    recalling = Recalling(database=database, embedder=embedder, rule=RecallRule())
    begin(database)
    for start in range(0, len(paragraphs), _BATCH):
        batch = list(enumerate(paragraphs[start : start + _BATCH], start + 1))
        wholes = [Passage(strand_id=STRAND, depth=depth, text=one.text) for depth, one in batch]
        add(
            database,
            [step(depth, one.text) for depth, one in batch],
            recalling.embedded(wholes),
            [
                Chapter(strand_id=STRAND, depth=depth, title=one.title)
                for depth, one in batch
                if one.title is not None
            ],
        )
