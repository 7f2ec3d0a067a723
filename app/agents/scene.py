"""Where the story stands when an agent is asked: the same value for all of them."""

from dataclasses import dataclass, field

from storyloom.memory.lore import CharacterSheet
from storyloom.memory.lore_results import LoreScan
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import Note, Plan, ShortMemory, Story
from storyloom.memory.weaver import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The state of a strand before the step at ``depth`` is written.

    Attributes:
        story: title, premise, outline, style, language and author's note.
        depth: the step to write, 1 for the opening.
        plan: what shall happen next; empty only while plans are being made.
        memory: short-term memory before the step.
        last: the paragraph before, empty at the opening.
        earlier: the paragraphs before that one, oldest first, as many as were loaded.
        recalled: passages of long-term memory, best first.
        recent_plans: the plans chosen lately, newest first.
        index: the n-grams of everything written on this strand.
        seed: the step's seed; an agent derives its own draws from it.
        offered: the plans that the step before offered, for want of better ones.
        characters: the sheets that enter the prompt.
        lore: what the story's lore says to the step.
        chapter: what happens in the chapter that the step stands in; empty where the text has none.
        words: about how many the paragraph shall have; None: as many as the profile says.
        edited: notes of the memory that a person has changed since the last paragraph.
        state: what the writer's model remembers of the story so far, where it has a neural memory. The other
            agents begin without: they may be other models, and what they say of a text is the same when they
            are asked again later.
    """

    story: Story
    depth: int
    plan: str
    memory: ShortMemory
    last: str
    recalled: tuple[Item, ...]
    recent_plans: tuple[str, ...]
    index: StoryIndex
    seed: int
    offered: tuple[Plan, ...] = ()
    earlier: tuple[str, ...] = ()
    characters: tuple[CharacterSheet, ...] = ()
    lore: LoreScan = field(default_factory=LoreScan)
    chapter: str = ""
    words: int | None = None
    edited: tuple[Note, ...] = ()
    state: bytes | None = field(default=None, repr=False)
