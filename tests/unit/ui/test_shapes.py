import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storyloom.app.remembering import Blame, Gone
from storyloom.memory.neural import NeuralState
from storyloom.memory.story import (
    Call,
    Dropped,
    Job,
    JobState,
    MemoryChange,
    Note,
    Origin,
    Provenance,
    Revision,
    ShortMemory,
    SlotRecord,
    Stale,
    StalePart,
    Step,
    Story,
    StorySummary,
    Strand,
)
from storyloom.memory.weaver import Item
from storyloom.ui import shapes

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
CALL = Call(
    agent="planner",
    model="starter",
    prompt="<user>\nPlan.",
    reply="Run.",
    prompt_tokens=10,
    completion_tokens=2,
    cached_tokens=4,
    seed=1,
    seconds=0.5,
    verdict="kept",
)

STATE = NeuralState(
    strand_id="s",
    depth=3,
    model="hf:titans",
    fingerprint="f",
    digest="d",
    size=10_712_624,
    seconds=0.6,
    created_at=NOW,
    is_kept=False,
    is_stale=True,
)


def test_written_holds_the_contract(story: Story, step: Step) -> None:
    document = shapes.written(story, "5trand", [step], {})
    assert document["strand"] == "5trand"
    assert {"id", "title", "premise", "mode", "language", "outline"} <= document["story"].keys()
    assert document["story"]["mode"] == "novel"
    (one,) = document["steps"]
    assert one["short_memory"] == "Mara found a door. Mara knocked."
    assert one["plans"] == ["Open it.", "Run.", "Wait."]
    assert one["origin"] == {
        "plan": "person",
        "paragraph": "repaired",
        "short_memory": "quoted",
        "plans": ["model", "model", "repaired"],
    }
    assert one["tokens"] == {"prompt": 900, "completion": 140}
    assert one["dropped"][0]["reason"] == "no longer matters"
    assert {"depth", "plan", "paragraph", "model", "seed", "seconds"} <= one.keys()


def test_a_step_tells_of_the_memory_after_it(story: Story, step: Step) -> None:
    (with_state,) = shapes.written(story, "s", [step], {step.depth: STATE})["steps"]
    assert with_state["neural_state"] == {
        "model": "hf:titans",
        "bytes": 10_712_624,
        "seconds": 0.6,
        "kept": False,
        "stale": True,
    }
    (without,) = shapes.written(story, "s", [step], {step.depth + 1: STATE})["steps"]
    assert without["neural_state"] is None


def test_a_stale_memory_stands_among_what_is_stale() -> None:
    mark = Stale(strand_id="s", depth=3, part=StalePart.NOTE, cause="an edit", created_at=NOW)
    assert shapes.stale_state(STATE).keys() == shapes.stale(mark).keys()
    assert shapes.stale_state(STATE)["part"] == "state"


def test_every_shape_is_json(story: Story, step: Step) -> None:
    summary = StorySummary(id="a", title="T", mode=story.mode, words=12, steps=3, updated_at=NOW)
    strand = Strand(id="s", story_id="a", created_at=NOW, parent_id="p", fork_depth=2, name="what if")
    job = Job(
        id="j",
        story_id="a",
        strand_id="s",
        depth=4,
        state=JobState.INTERRUPTED,
        worker="w",
        lease_until=NOW,
        plan="",
        journal="Mara op",
        error="",
        created_at=NOW,
    )
    revision = Revision(
        id="r", story_id="a", strand_id="s", depth=3, subject="short_memory", old="x", new="y", created_at=NOW
    )
    documents = [
        shapes.written(story, "s", [step], {step.depth: STATE}),
        shapes.stale_state(STATE),
        shapes.summaries([summary]),
        shapes.strand(strand, 5),
        shapes.memory(step.memory, [revision]),
        shapes.provenance(Provenance(slots=(), calls=(CALL,))),
        shapes.journal(job),
    ]
    assert json.loads(json.dumps(documents)) == documents
    assert shapes.strand(strand, 5)["fork_depth"] == 2
    assert shapes.strand(strand, 5)["archived"] is False
    assert shapes.memory(ShortMemory(), [revision])["revisions"][0]["old"] == "x"
    assert shapes.journal(job)["text"] == "Mara op"


def test_a_hit_tells_its_depth() -> None:
    item = Item(text="The lamp went out.", source="step:5trand:12", score=1.25, parts={"bm25": 0.5})
    (hit,) = shapes.hits([item])["hits"]
    assert (hit["depth"], hit["score"], hit["text"]) == (12, 1.25, "The lamp went out.")


def test_provenance_shows_the_writers_first_prompt() -> None:
    slot = SlotRecord(
        slot="recall", source="step:s:2", text="The lamp.", tokens=3, score=0.4, cut="went out."
    )
    calls = (
        CALL,
        replace(CALL, agent="writer", prompt="<user>\nWrite."),
        replace(CALL, agent="writer", prompt="<user>\nWrite.\n<assistant>\nMara"),
    )
    document = shapes.provenance(Provenance(slots=(slot,), calls=calls))
    assert document["prompt"] == "<user>\nWrite."
    assert {"slot", "source", "text", "tokens", "score", "cut"} <= document["slots"][0].keys()
    assert [call["agent"] for call in document["calls"]] == ["planner", "writer", "writer"]


def test_the_prompt_is_found_where_one_call_does_all() -> None:
    found = Provenance(slots=(), calls=(CALL, replace(CALL, agent="one_call", prompt="All of it.")))
    assert shapes.writers_prompt(found) == "All of it."


def test_where_the_writer_helped_out_its_prompt_is_shown() -> None:
    calls = (replace(CALL, agent="one_call", prompt="All."), replace(CALL, agent="writer", prompt="Write."))
    assert shapes.writers_prompt(Provenance(slots=(), calls=calls)) == "Write."


@pytest.mark.parametrize(
    ("source", "depth"), [("summary:5trand:20", 20), ("lore:123456", 0), ("document:a:7", 0), ("lore:abc", 0)]
)
def test_what_belongs_to_the_whole_story_has_no_depth(source: str, depth: int) -> None:
    (hit,) = shapes.hits([Item(text="The lamp.", source=source)])["hits"]
    assert (hit["depth"], hit["source"]) == (depth, source)


def test_memorys_shapes_are_json() -> None:
    note, gone = Note("Mara knocked.", 3, Origin.QUOTED, pinned=True), Dropped(Note("It rained.", 1), "full")
    change = MemoryChange(strand_id="s", depth=3, added=(note,), dropped=(gone,))
    mark = Stale(strand_id="s", depth=3, part=StalePart.PAGE, cause="step 1 was edited", created_at=NOW)
    documents = [
        shapes.blame(Blame((note,), (Gone(gone, 4),))),
        shapes.memory_change(change),
        shapes.stale(mark),
    ]
    assert json.loads(json.dumps(documents)) == documents
    told = {"text": "It rained.", "depth": 1, "origin": "model", "pinned": False, "reason": "full"}
    assert documents[0]["gone"] == [{**told, "left": 4}]
    assert documents[1]["dropped"] == [told]
    assert documents[1]["added"] == [
        {"text": "Mara knocked.", "depth": 3, "origin": "quoted", "pinned": True}
    ]
    assert (documents[2]["part"], documents[2]["cause"]) == ("page", "step 1 was edited")
