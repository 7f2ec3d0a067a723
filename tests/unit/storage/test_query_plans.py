"""Nothing that a step does reads a whole table: SQLite's own plans say so, however busy the machine."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from storyloom.memory.neural import NeuralState
from storyloom.memory.story import JobState, Note, Passage, Plan, Provenance, ShortMemory, Step, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.unit_of_work import UnitOfWork

TABLES = "story|strand|step|passage|revision|job|call|slot|neural_state"
WHOLE_TABLE = re.compile(rf"^SCAN ({TABLES})\b")


@pytest.fixture
def database_url(database_file: Path) -> str:
    return f"sqlite:///{database_file}"


@contextmanager
def plans(database: Database) -> Iterator[list[tuple[str, str]]]:
    """(statement, one line of its plan) of all that runs inside."""
    lines: list[tuple[str, str]] = []

    def explain(
        connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Any,
        _context: object,
        many: bool,
    ) -> None:
        if statement.split()[0] not in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}:
            return
        raw = connection.connection.cursor()
        first = parameters[0] if many else parameters
        raw.execute(f"EXPLAIN QUERY PLAN {statement}", first)
        lines.extend((statement, row[3]) for row in raw.fetchall())
        raw.close()

    event.listen(database._engine, "before_cursor_execute", explain)
    yield lines
    event.remove(database._engine, "before_cursor_execute", explain)


@pytest.fixture
def filled(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> Database:
    assert story
    grow("main", 1, 8)
    branch("side", "main", 4)
    grow("side", 5, 7)
    return database


def neural_state(strand_id: str, depth: int) -> NeuralState:
    return NeuralState(
        strand_id=strand_id,
        depth=depth,
        model="hf:a",
        fingerprint="f",
        digest="d",
        size=5,
        seconds=0.1,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def read(work: UnitOfWork) -> None:
    work.stories.get("story0000001")
    work.stories.find("story0000001", "local")
    work.strands.get("side")
    work.strands.main("story0000001")
    work.strands.of_story("story0000001")
    work.strands.step_counts("story0000001")
    work.steps.head("side")
    work.steps.at("side", 3)
    work.steps.path("side", first=3, last=6)
    work.steps.paragraphs("side", first=6)
    work.steps.recent_plans("side", 5)
    segments = work.steps.segments("side")
    for terms in ({"paragraph": 1.0}, {"paragraph": 1.0, "side": 1.0, "absent": 1.0}):
        assert work.passages.search(
            terms=terms, vector=(1.0, 0.0), embedder="e", segments=segments, before=7, limit=5
        )
    work.passages.missing_vectors(segments, embedder="e", limit=3)
    work.provenance.get("side", 5)
    work.provenance.tokens(segments, first=3)
    work.steps.measures("side", first=3)
    work.neural_states.path("side", first=6, last=6)
    work.neural_states.data(neural_state("side", 6))
    work.revisions.of_story("story0000001")
    work.jobs.interrupted("side")
    work.progress.steps_after("story0000001", 6)
    work.progress.at_hand(["story0000001"])


def write(work: UnitOfWork, step: Step, provenance: Provenance) -> None:
    job = work.jobs.claim("side", "w", 4.0)
    assert job is not None
    work.jobs.heartbeat(job.id, "w", 4.0)
    work.jobs.write_journal(job.id, "w", "words")
    work.steps.append(step)
    work.passages.add(
        [Passage(strand_id="side", depth=step.depth, text=step.paragraph, vector=(1.0, 0.0), embedder="e")]
    )
    work.provenance.add("side", step.depth, provenance)
    work.neural_states.put(neural_state("side", step.depth), b"state")
    work.neural_states.thin_out("side", step.depth)
    work.jobs.finish(job.id, "w", JobState.DONE)
    work.jobs.dismiss(job.id)
    work.steps.set_memory("side", 5, ShortMemory((Note("x", 1),)))
    work.steps.set_plans("side", 5, (Plan("x"),))
    work.steps.set_paragraph("side", 5, "changed")
    work.passages.set_vectors(
        [Passage(strand_id="side", depth=5, text="changed", vector=(0.0, 1.0), embedder="e")]
    )
    work.stories.save(replace(work.stories.get("story0000001"), outline="changed"))
    work.commit()


def test_no_read_scans_a_table(filled: Database) -> None:
    with plans(filled) as lines, filled.unit_of_work(write=False) as work:
        read(work)
    assert len(lines) > 30
    assert [line for line in lines if WHOLE_TABLE.match(line[1])] == []


def test_no_write_scans_a_table(
    filled: Database, new_step: Callable[..., Step], provenance: Provenance
) -> None:
    with plans(filled) as lines, filled.unit_of_work() as work:
        write(work, new_step("side", 8), provenance)
    assert len(lines) > 15
    assert [line for line in lines if WHOLE_TABLE.match(line[1])] == []


def test_thinning_out_looks_at_no_state_without_bytes(filled: Database) -> None:
    with plans(filled) as lines, filled.unit_of_work() as work:
        work.neural_states.thin_out("side", 8)
    used = [plan for statement, plan in lines if statement.startswith("SELECT neural_state")]
    assert used == ["SEARCH neural_state USING INDEX ix_neural_state_kept (strand_id=?)"]


def test_the_list_of_stories_sums_words_without_reading_a_step(filled: Database) -> None:
    with plans(filled) as lines, filled.unit_of_work(write=False) as work:
        work.stories.list("local")
    of_steps = [plan for _, plan in lines if "step" in plan.split()]
    assert of_steps == ["SEARCH step USING COVERING INDEX ix_step_strand_id_words (strand_id=?)"]


def test_a_claim_sorts_nothing_however_long_the_queue(database: Database) -> None:
    with plans(database) as lines, database.unit_of_work() as work:
        assert work.tasks.claim("w", 4.0) is None
        assert not work.tasks.heartbeat("t", "w", 4.0).held
    used = {plan for _, plan in lines if "task" in plan or "TEMP" in plan}
    assert used == {
        "SEARCH task USING INDEX ix_task_state_created_at (state=?)",
        "SEARCH task USING INDEX sqlite_autoindex_task_1 (id=?)",
    }


def test_new_vectors_are_found_by_an_index_alone(filled: Database) -> None:
    with plans(filled) as lines, filled.unit_of_work(write=False) as work:
        segments = work.steps.segments("side")
        work.passages.search(terms={}, vector=(1.0,), embedder="e", segments=segments, before=9, limit=1)
        work.passages.missing_vectors(segments, embedder="e", limit=1)
    used = {plan for statement, plan in lines if "FROM passage" in statement}
    assert "SEARCH passage USING INDEX ix_passage_strand_id_id (strand_id=? AND id>?)" in used
    assert any("ix_passage_strand_id_embedder_depth (strand_id=? AND embedder<?)" in plan for plan in used)
    assert not any("TEMP B-TREE" in plan for plan in used)


def test_full_text_reads_its_own_index_alone(filled: Database) -> None:
    with plans(filled) as lines, filled.unit_of_work(write=False) as work:
        segments = work.steps.segments("side")
        work.passages.search(
            terms={"side": 1.0}, vector=(), embedder="", segments=segments, before=9, limit=1
        )
    used = [plan for statement, plan in lines if "MATCH" in statement]
    assert any(plan.startswith("SCAN passage_fts VIRTUAL TABLE INDEX") for plan in used)
    assert not any("TEMP B-TREE" in plan for plan in used)
