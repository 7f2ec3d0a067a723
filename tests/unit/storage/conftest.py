"""A fresh database a test, and makers of values."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from storyloom.memory.story import (
    Call,
    Dropped,
    Mode,
    Note,
    Origin,
    Passage,
    Plan,
    Provenance,
    ShortMemory,
    SlotRecord,
    Step,
    Story,
    Strand,
    Weaving,
)
from storyloom.storage.database import Database

START = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind. A module that is about one kind names it for itself."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        return url
    return f"sqlite:///{request.getfixturevalue('database_file')}"


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    opened = Database(database_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def new_story() -> Callable[..., Story]:
    """Makes stories; each argument replaces a field."""
    numbers = itertools.count(1)

    def make(**fields: object) -> Story:
        values: dict[str, object] = {
            "id": f"story{next(numbers):07}",
            "owner": "local",
            "title": "The Lamp",
            "premise": "A keeper hears a second bell.",
            "mode": Mode.NOVEL,
            "language": "en",
            "style": "plain",
            "outline": "One. Two.",
            "authors_note": "",
            "settings": {"seed": 7, "model": "starter"},
            "created_at": START,
            "updated_at": START,
        }
        return Story(**(values | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def new_step() -> Callable[..., Step]:
    """Makes steps: ``new_step("strand", 3)``; each further argument replaces a field."""

    def make(strand_id: str, depth: int, **fields: object) -> Step:
        note = Note(f"Note {depth}.", depth)
        values: dict[str, object] = {
            "plan": f"Plan {depth}",
            "plan_origin": Origin.MODEL,
            "paragraph": f"Paragraph {depth} of {strand_id}.",
            "paragraph_origin": Origin.MODEL,
            "memory": ShortMemory((Note("The premise.", 0, Origin.PERSON, pinned=True), note)),
            "memory_origin": Origin.QUOTED,
            "added": (note,),
            "dropped": (Dropped(Note("Old.", 1, Origin.CARRIED), "oldest"),),
            "plans": (Plan("First"), Plan("Second", Origin.REPAIRED), Plan("Third")),
            "model": "starter",
            "seed": 2**62 + depth,
            "sampling": {"temperature": 0.8, "min_p": None, "dry_breakers": ["\n"]},
            "seconds": 1.25,
            "prompt_tokens": 900,
            "completion_tokens": 130,
            "created_at": START + timedelta(minutes=depth),
        }
        return Step(strand_id=strand_id, depth=depth, **(values | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def provenance() -> Provenance:
    return Provenance(
        slots=(
            SlotRecord(slot="premise", source="story:premise", text="A keeper.", tokens=3),
            SlotRecord(
                slot="recall",
                source="step:main:1",
                text="The bell.",
                tokens=3,
                score=1.5,
                parts={"bm25": 1.0, "dense": 0.5},
                cut=" It rang.",
            ),
        ),
        calls=(
            Call(
                agent="writer",
                model="starter",
                prompt="<system>\nYou are a novelist.",
                reply="It rang. 鐘",
                prompt_tokens=10,
                completion_tokens=4,
                cached_tokens=6,
                seed=None,
                seconds=0.5,
                verdict="",
            ),
            Call(
                agent="planner",
                model="starter",
                prompt="Plan",
                reply="",
                prompt_tokens=1,
                completion_tokens=0,
                cached_tokens=0,
                seed=2**63 - 1,
                seconds=0.0,
                verdict="too short",
            ),
        ),
        weaving=Weaving(
            strategy="budgeted",
            budget=7_000,
            tokens=412,
            template="{{ premise }} 鐘",
            values={"language": "en", "note_depth": None, "order": ["premise", "plan"]},
            lore={"firings": {"a": {"depth": 2, "mark": "x"}}},
        ),
    )


@pytest.fixture
def story(database: Database, new_story: Callable[..., Story]) -> Story:
    """A story with a main strand called "main" and no step."""
    made = new_story()
    with database.unit_of_work() as work:
        work.stories.add(made)
        work.strands.add(Strand(id="main", story_id=made.id, created_at=START))
        work.commit()
    return made


@pytest.fixture
def grow(database: Database, new_step: Callable[..., Step]) -> Callable[..., None]:
    """Writes steps with passages: ``grow("main", 1, 5)``; ``texts`` gives the paragraphs by depth."""

    def write(strand_id: str, first: int, last: int, texts: dict[int, str] | None = None) -> None:
        with database.unit_of_work() as work:
            for depth in range(first, last + 1):
                text = (texts or {}).get(depth, f"Paragraph {depth} of {strand_id}.")
                work.steps.append(new_step(strand_id, depth, paragraph=text))
                work.passages.add([Passage(strand_id=strand_id, depth=depth, text=text)])
            work.commit()

    return write


@pytest.fixture
def branch(database: Database, story: Story) -> Callable[..., Strand]:
    """Makes a branch: ``branch("id", "parent", 3)``."""
    numbers = itertools.count(1)

    def make(strand_id: str, parent_id: str, fork_depth: int, **fields: object) -> Strand:
        made = Strand(
            id=strand_id,
            story_id=story.id,
            parent_id=parent_id,
            fork_depth=fork_depth,
            created_at=START + timedelta(hours=next(numbers)),
            **fields,  # type: ignore[arg-type]
        )
        with database.unit_of_work() as work:
            work.strands.add(made)
            work.commit()
        return made

    return make
