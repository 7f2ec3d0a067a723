"""What a model can be asked, and how: measured once a size, never guessed in an agent."""

from dataclasses import dataclass

from storyloom.memory.generation import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How the agents use a model.

    Attributes:
        name: what the setting ``profile`` calls it.
        one_call: a step is one structured call; otherwise several small plain ones.
        paragraph_words: about how many words a paragraph has.
        memory_words: most words that short-term memory holds.
        last_words: how much of the paragraph before the writer sees, in words.
        redraws: how often a paragraph is drawn again before the best draw is kept.
        writing: sampling of the writer.
        noting: sampling of the memory keeper.
        planning: sampling of the planner and the editor.
    """

    name: str
    one_call: bool
    paragraph_words: int
    memory_words: int
    last_words: int
    redraws: int
    writing: Sampling
    noting: Sampling
    planning: Sampling
