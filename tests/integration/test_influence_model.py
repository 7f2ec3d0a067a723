"""The real starter tells which memory a paragraph was written from."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.agents.scene_weaver import SceneWeaver
from storyloom.app.events import Listener
from storyloom.app.influence import Influence
from storyloom.app.profiles import SMALL
from storyloom.app.shelf import Shelf
from storyloom.app.templates import Templates
from storyloom.generators.scoring_apart import load_scorer
from storyloom.generators.spec import parse_spec
from storyloom.memory.ports import Scorer
from storyloom.memory.story import Origin, Provenance, ShortMemory, Step, Strand
from storyloom.memory.weaver import Item
from storyloom.storage.database import Database
from tests.unit.app.scenes import STORY, Counting, scene

NAMES = "Old Ezrabel Thornquist sold her brass astrolabe to the widow Marrowby for nine silver crowns."
OTHERS = (
    "The bakery on the corner smelled of warm bread, and the children waited at its door.",
    "It had rained for most of the week, and the road to the harbour was soft with mud.",
)
PARAGRAPH = "Ezrabel Thornquist asked the widow Marrowby what had become of the astrolabe."
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A story of one step, which recalled three passages."""
    texts = (OTHERS[0], NAMES, OTHERS[1])
    recalled = tuple(Item(text=text, source=f"step:s:{place}") for place, text in enumerate(texts, start=1))
    woven = SceneWeaver("writer", Counting(), SMALL, Templates(tmp_path / "templates")).weave(
        scene(recalled=recalled), Listener(), max_tokens=200, prefill=True, opening=""
    )
    step = Step(
        strand_id="strand000001",
        depth=1,
        plan="Anna opens the gate.",
        plan_origin=Origin.MODEL,
        paragraph=PARAGRAPH,
        paragraph_origin=Origin.MODEL,
        memory=ShortMemory(),
        memory_origin=Origin.MODEL,
        added=(),
        dropped=(),
        plans=(),
        model="starter",
        seed=1,
        sampling={},
        seconds=1.0,
        prompt_tokens=1,
        completion_tokens=1,
        created_at=NOW,
    )
    opened = Database(f"sqlite:///{tmp_path / 'test.db'}")
    with opened.unit_of_work() as work:
        work.stories.add(STORY)
        work.strands.add(Strand(id=step.strand_id, story_id=STORY.id, created_at=NOW))
        work.steps.append(step)
        provenance = Provenance(slots=woven.records, calls=(), weaving=woven.weaving)
        work.provenance.add(step.strand_id, step.depth, provenance)
        work.commit()
    yield opened
    opened.close()


@pytest.mark.model
def test_the_passage_with_the_paragraph_s_names_made_it_likelier(
    database: Database, tmp_path: Path, starter_weights: Path
) -> None:
    def load(spec: str) -> Scorer:
        return load_scorer(parse_spec(spec), models_dir=starter_weights.parent, threads=1)

    influence = Influence(Shelf(database, STORY.owner), Templates(tmp_path / "templates"), load)
    found = influence.why(STORY.id, 1, Listener())
    first, *others = found.effects
    assert first.record.text == NAMES
    assert {effect.record.text for effect in others} == {*OTHERS, "Anna has a key."}
    assert first.change > 10
    assert all(abs(effect.change) < first.change / 5 for effect in others)
