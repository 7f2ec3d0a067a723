"""A manuscript becomes a story: a step a paragraph, no model run, so that it is searched and continued."""

from dataclasses import replace
from datetime import UTC, datetime

from storyloom.app.agents.scene import Scene
from storyloom.app.agents.telling import passages
from storyloom.memory import pieces
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.short_term import first_memory, remember
from storyloom.memory.story import (
    Chapter,
    MemoryChange,
    Note,
    Origin,
    Passage,
    ShortMemory,
    Step,
    Story,
    Strand,
)
from storyloom.storage.formats import Manuscript
from storyloom.storage.unit_of_work import UnitOfWork

_MEMORY_WORDS = 120  # of the page, as for the smallest model
# The page holds about ten sentences: what stands further back couldn't be on it any more.
_REMEMBERED = 60


def add_manuscript(work: UnitOfWork, manuscript: Manuscript, story: Story, strand: Strand) -> None:
    """Keep a new story whose steps are a manuscript's paragraphs.

    Its short-term memory is quoted from its last paragraphs, sentence by sentence, so that the next
    paragraph goes on from there. Vectors are made later.

    Args:
        work: keeps it; the caller commits.
        manuscript: the paragraphs.
        story: the story, without steps.
        strand: its main strand.
    """
    work.stories.add(story)
    work.strands.add(strand)
    now = datetime.now(UTC)
    memory = first_memory(story.premise)
    last = ""
    steps = []
    for depth, block in enumerate(manuscript.blocks, start=1):
        change = MemoryChange(strand_id=strand.id, depth=depth, added=(), dropped=())
        if depth > len(manuscript.blocks) - _REMEMBERED:
            memory, change = quoted(story, memory, change, block.text, last)
        steps.append(step_by_hand(block.text, memory, change, now))
        last = block.text
    work.steps.restore(steps)
    wholes = (Passage(strand_id=strand.id, depth=step.depth, text=step.paragraph) for step in steps)
    work.passages.add([piece for whole in wholes for piece in pieces.passages(whole, story.language)])
    work.chapters.add(
        Chapter(strand_id=strand.id, depth=depth, title=block.heading)
        for depth, block in enumerate(manuscript.blocks, start=1)
        if block.heading
    )


def quoted(
    story: Story, memory: ShortMemory, none: MemoryChange, paragraph: str, last: str
) -> tuple[ShortMemory, MemoryChange]:
    """The page after a paragraph: its most telling sentence, word for word, where it has one."""
    scene = Scene(
        story=story,
        depth=none.depth,
        plan="",
        memory=memory,
        last=last,
        recalled=(),
        recent_plans=(),
        index=StoryIndex(),
        seed=0,
    )
    quotable = next((one for one in passages(scene, paragraph) if one.is_quotable), None)
    if quotable is None:
        return memory, none
    note = Note(quotable.text, none.depth, Origin.QUOTED)
    page, dropped = remember(memory, note, max_words=_MEMORY_WORDS, language=story.language)
    return page, replace(none, added=(note,), dropped=dropped)


def step_by_hand(paragraph: str, memory: ShortMemory, change: MemoryChange, now: datetime) -> Step:
    """A step whose paragraph a person wrote: no plan was followed, no model ran."""
    return Step(
        strand_id=change.strand_id,
        depth=change.depth,
        plan="",
        plan_origin=Origin.PERSON,
        paragraph=paragraph,
        paragraph_origin=Origin.PERSON,
        memory=memory,
        memory_origin=Origin.QUOTED if change.added else Origin.CARRIED,
        added=change.added,
        dropped=change.dropped,
        plans=(),
        model="",
        seed=0,
        sampling={},
        seconds=0.0,
        prompt_tokens=0,
        completion_tokens=0,
        created_at=now,
    )
