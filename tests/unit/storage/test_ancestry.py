"""Random trees of forks against a model that copies every step, as the design says nothing is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyloom.memory.story import Passage, Step, Story, Strand
from storyloom.storage.database import Database

# Each act: (which strand, by number; None makes a step, a number forks at that share of its depth).
ACTS = st.lists(
    st.tuples(st.integers(0, 30), st.one_of(st.none(), st.none(), st.floats(0, 1))), min_size=1, max_size=25
)
VECTOR = (1.0, 0.0)


@dataclass
class Model:
    """What every strand consists of, copied in full: (owner, depth) of each step."""

    strands: list[str] = field(default_factory=list)
    steps: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Database]:
    file = tmp_path_factory.mktemp("ancestry") / "stories.sqlite3"
    file.write_bytes(migrated_file.read_bytes())
    opened = Database(f"sqlite:///{file}")
    yield opened
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_reads_and_searches_follow_any_tree_of_forks(
    shared: Database,
    new_story: Callable[..., Story],
    new_step: Callable[..., Step],
    acts: list[tuple[int, float | None]],
) -> None:
    with shared.unit_of_work() as work:  # never committed: each example starts afresh
        story = new_story()
        work.stories.add(story)
        work.strands.add(Strand(id="s0", story_id=story.id, created_at=story.created_at))
        model = Model(["s0"], {"s0": []})
        for number, fork in acts:
            strand = model.strands[number % len(model.strands)]
            path = model.steps[strand]
            if fork is None:
                depth = len(path) + 1
                text = f"Paragraph {depth} of {strand}."
                work.steps.append(new_step(strand, depth, paragraph=text))
                work.passages.add(
                    [Passage(strand_id=strand, depth=depth, text=text, vector=VECTOR, embedder="e")]
                )
                path.append((strand, depth))
                continue
            child = f"s{len(model.strands)}"
            at = round(fork * len(path))
            work.strands.add(
                Strand(
                    id=child, story_id=story.id, parent_id=strand, fork_depth=at, created_at=story.created_at
                )
            )
            model.strands.append(child)
            model.steps[child] = path[:at]
        for strand, path in model.steps.items():
            segments = work.steps.segments(strand)
            assert segments[0].strand_id == strand
            assert segments[0].depth == work.steps.depth(strand) == len(path)
            assert [(step.strand_id, step.depth) for step in work.steps.path(strand)] == path
            before = 1 + len(path) // 2
            for terms, vector in (({"paragraph": 1.0}, ()), ({}, VECTOR), ({"paragraph": 1.0}, VECTOR)):
                found = work.passages.search(
                    terms=terms, vector=vector, embedder="e", segments=segments, before=before, limit=100
                )
                assert sorted((hit.depth, hit.strand_id) for hit in found) == [
                    (depth, owner) for owner, depth in path[: before - 1]
                ]
