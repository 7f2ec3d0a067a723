"""Turns table rows into storyloom.memory's values and back. The only file that knows both shapes."""

from typing import Any

from pydantic import TypeAdapter

from storyloom.memory.orders import Batch, Order, Task, TaskState
from storyloom.memory.story import (
    Call,
    Dropped,
    Job,
    JobState,
    MemoryChange,
    Mode,
    Note,
    Origin,
    Plan,
    Revision,
    ShortMemory,
    SlotRecord,
    Step,
    Story,
    Strand,
    Weaving,
)
from storyloom.memory.text import count_words
from storyloom.storage.tables import (
    BatchRow,
    CallRow,
    JobRow,
    ProposalRow,
    RevisionRow,
    SlotRow,
    StepRow,
    StoryRow,
    StrandRow,
    TaskRow,
    WeavingRow,
)

_MEMORY = TypeAdapter(ShortMemory)
_NOTES = TypeAdapter(tuple[Note, ...])
_DROPPED = TypeAdapter(tuple[Dropped, ...])
_PLANS = TypeAdapter(tuple[Plan, ...])
_ORDER = TypeAdapter(Order)


def title_key(title: str) -> str:
    """A title as searches compare it: letter case and runs of white space don't count."""
    return " ".join(title.casefold().split())


def dump_memory(memory: ShortMemory) -> dict[str, Any]:
    """Short-term memory as JSON data."""
    return _MEMORY.dump_python(memory, mode="json")  # type: ignore[no-any-return]


def load_memory(data: Any) -> ShortMemory:
    """Short-term memory from JSON data."""
    return _MEMORY.validate_python(data)


def dump_plans(plans: tuple[Plan, ...]) -> list[Any]:
    """Plans as JSON data."""
    return _PLANS.dump_python(plans, mode="json")  # type: ignore[no-any-return]


def story_fields(story: Story) -> dict[str, Any]:
    """A story as column values."""
    return {
        "id": story.id,
        "owner": story.owner,
        "title": story.title,
        "title_key": title_key(story.title),
        "premise": story.premise,
        "mode": story.mode.value,
        "language": story.language,
        "style": story.style,
        "outline": story.outline,
        "authors_note": story.authors_note,
        "settings": dict(story.settings),
        "created_at": story.created_at,
        "updated_at": story.updated_at,
        "version": story.version,
    }


def story(row: StoryRow) -> Story:
    """A story from its row."""
    fields = row.model_dump(exclude={"title_key", "mode"})
    return Story(**fields, mode=Mode(row.mode))


def strand_row(strand: Strand) -> StrandRow:
    """A row from a strand."""
    return StrandRow(
        id=strand.id,
        story_id=strand.story_id,
        parent_id=strand.parent_id,
        fork_depth=strand.fork_depth,
        name=strand.name,
        memory=None if strand.memory is None else dump_memory(strand.memory),
        created_at=strand.created_at,
        archived=strand.archived,
    )


def strand(row: StrandRow) -> Strand:
    """A strand from its row."""
    memory = None if row.memory is None else load_memory(row.memory)
    return Strand(**row.model_dump(exclude={"memory"}), memory=memory)


def step_row(step: Step) -> StepRow:
    """A row from a step; its words are counted here, once."""
    return StepRow(
        strand_id=step.strand_id,
        depth=step.depth,
        words=count_words(step.paragraph),
        plan=step.plan,
        plan_origin=step.plan_origin.value,
        paragraph=step.paragraph,
        paragraph_origin=step.paragraph_origin.value,
        memory=dump_memory(step.memory),
        memory_origin=step.memory_origin.value,
        added=_NOTES.dump_python(step.added, mode="json"),
        dropped=_DROPPED.dump_python(step.dropped, mode="json"),
        plans=dump_plans(step.plans),
        model=step.model,
        seed=step.seed,
        sampling=dict(step.sampling),
        seconds=step.seconds,
        prompt_tokens=step.prompt_tokens,
        completion_tokens=step.completion_tokens,
        created_at=step.created_at,
    )


def step(row: StepRow) -> Step:
    """A step from its row."""
    return Step(
        strand_id=row.strand_id,
        depth=row.depth,
        plan=row.plan,
        plan_origin=Origin(row.plan_origin),
        paragraph=row.paragraph,
        paragraph_origin=Origin(row.paragraph_origin),
        memory=load_memory(row.memory),
        memory_origin=Origin(row.memory_origin),
        added=_NOTES.validate_python(row.added),
        dropped=_DROPPED.validate_python(row.dropped),
        plans=_PLANS.validate_python(row.plans),
        model=row.model,
        seed=row.seed,
        sampling=dict(row.sampling),
        seconds=row.seconds,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        created_at=row.created_at,
    )


def revision_row(revision: Revision) -> RevisionRow:
    """A row from a revision."""
    return RevisionRow(**{name: getattr(revision, name) for name in RevisionRow.model_fields})


def revision(row: RevisionRow) -> Revision:
    """A revision from its row."""
    return Revision(**row.model_dump())


def job(row: JobRow) -> Job:
    """A job from its row."""
    return Job(**row.model_dump(exclude={"state", "dismissed"}), state=JobState(row.state))


def batch_row(batch: Batch) -> BatchRow:
    """A row from a batch."""
    return BatchRow(id=batch.id, owner=batch.owner, name=batch.name, created_at=batch.created_at)


def batch(row: BatchRow) -> Batch:
    """A batch from its row."""
    return Batch(**row.model_dump())


def dump_order(order: Order) -> dict[str, Any]:
    """An order as JSON data."""
    return _ORDER.dump_python(order, mode="json")  # type: ignore[no-any-return]


def task_row(task: Task) -> TaskRow:
    """A row from a task."""
    fields = {name: getattr(task, name) for name in TaskRow.model_fields}
    return TaskRow(**(fields | {"order": dump_order(task.order), "state": task.state.value}))


def task(row: TaskRow) -> Task:
    """A task from its row."""
    fields = row.model_dump(exclude={"order", "state"})
    return Task(**fields, order=_ORDER.validate_python(row.order), state=TaskState(row.state))


def call_row(call: Call, *, strand_id: str, depth: int, position: int) -> CallRow:
    """A row from an agent's call."""
    fields = {name: getattr(call, name) for name in CallRow.model_fields if hasattr(call, name)}
    return CallRow(strand_id=strand_id, depth=depth, position=position, **fields)


def call(row: CallRow) -> Call:
    """An agent's call from its row."""
    return Call(**row.model_dump(exclude={"strand_id", "depth", "position"}))


def proposal_row(proposal: MemoryChange) -> ProposalRow:
    """A row from what a step would change in short-term memory."""
    added, dropped = dump_change(proposal)
    return ProposalRow(
        strand_id=proposal.strand_id,
        depth=proposal.depth,
        added=added,
        dropped=dropped,
    )


def proposal(row: ProposalRow) -> MemoryChange:
    """What a step would change in short-term memory, from its row."""
    return memory_change(row.strand_id, row.depth, row.added, row.dropped)


def dump_change(change: MemoryChange) -> tuple[list[Any], list[Any]]:
    """The notes that were added and those that were dropped, as JSON data."""
    return _NOTES.dump_python(change.added, mode="json"), _DROPPED.dump_python(change.dropped, mode="json")


def memory_change(strand_id: str, depth: int, added: Any, dropped: Any) -> MemoryChange:
    """A change of short-term memory from its columns."""
    return MemoryChange(
        strand_id=strand_id,
        depth=depth,
        added=_NOTES.validate_python(added),
        dropped=_DROPPED.validate_python(dropped),
    )


def slot_row(slot: SlotRecord, *, strand_id: str, depth: int, position: int) -> SlotRow:
    """A row from an item of provenance."""
    return SlotRow(
        strand_id=strand_id,
        depth=depth,
        position=position,
        slot=slot.slot,
        source=slot.source,
        text=slot.text,
        tokens=slot.tokens,
        score=slot.score,
        parts=dict(slot.parts),
        cut=slot.cut,
    )


def slot(row: SlotRow) -> SlotRecord:
    """An item of provenance from its row."""
    return SlotRecord(**row.model_dump(exclude={"strand_id", "depth", "position"}))


def weaving_row(weaving: Weaving, *, strand_id: str, depth: int) -> WeavingRow:
    """A row from how a step's prompt was made."""
    return WeavingRow(
        strand_id=strand_id,
        depth=depth,
        strategy=weaving.strategy,
        budget=weaving.budget,
        tokens=weaving.tokens,
        template=weaving.template,
        values=dict(weaving.values),
        lore=dict(weaving.lore),
    )


def weaving(row: WeavingRow) -> Weaving:
    """How a step's prompt was made, from its row."""
    return Weaving(**row.model_dump(exclude={"strand_id", "depth"}))
