"""What a model can be asked, and how: measured once a size, never guessed in an agent."""

from dataclasses import dataclass

from storyloom.memory.errors import InvalidSetting
from storyloom.memory.generation import Sampling
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How the agents use a model.

    Attributes:
        name: what the setting ``profile`` calls it.
        one_call: a step is one structured call; otherwise several small plain ones.
        paragraph_words: about how many words a paragraph has.
        turn_words: the same where a reader plays: a shorter answer comes sooner and stays with what was done.
        memory_words: most words that short-term memory holds.
        recalled_words: most words of recalled passages that the writer sees.
        reads_outline: the writer sees the outline. A small model that does writes summaries instead of
            scenes; its plans carry the outline.
        last_words: how much of the last paragraphs the writer sees, in words; more than one paragraph
            only where that is more than ``paragraph_words``.
        redraws: how often a paragraph is taken up again, or drawn anew, before the best is kept.
        insists: a paragraph that takes up nothing of what a person has just edited in memory is drawn once
            more, begun with the edited sentence itself.
        max_overlap: highest share of a sentence's four-word runs that the story may hold already.
        max_repeated: the same of a whole paragraph, one run forgiven.
        new_names: most proper names that a paragraph may bring, those of its plan excepted.
        heat: added to the writer's temperature with each redraw.
        follows: it does what an instruction says; of one that doesn't, several rewritings are compared.
        rewrites: how often a rewriting is drawn anew before the best is proposed.
        writing: sampling of the writer.
        noting: sampling of the memory keeper.
        planning: sampling of the planner and the editor.
        rewriting: sampling of the rewriter.
    """

    name: str
    one_call: bool
    paragraph_words: int
    turn_words: int
    memory_words: int
    recalled_words: int
    reads_outline: bool
    last_words: int
    redraws: int
    insists: bool
    max_overlap: float
    max_repeated: float
    new_names: int
    heat: float
    follows: bool
    rewrites: int
    writing: Sampling
    noting: Sampling
    planning: Sampling
    rewriting: Sampling

    def words_of(self, mode: Mode) -> int:
        """About how many words a paragraph of such a story has."""
        return self.turn_words if mode is Mode.FICTION else self.paragraph_words


# Measured with the starter (135M); its figures are in `make bench NAME=prose`.
SMALL = Profile(
    name="small",
    one_call=False,
    paragraph_words=120,
    turn_words=70,
    memory_words=120,
    recalled_words=120,
    reads_outline=False,
    last_words=110,
    redraws=9,
    insists=True,  # by itself it takes up one edited sentence in six
    max_overlap=0.2,
    max_repeated=0.015,
    new_names=0,
    heat=0.06,
    follows=False,
    rewrites=4,
    # XTC makes as many new phrases and breaks the scene: likeness with the plan falls from 0.55 to 0.45.
    writing=Sampling(temperature=0.75, min_p=0.1, repetition_penalty=1.12, repetition_window=320),
    noting=Sampling(temperature=0.2),
    # No penalty here: it wears names down (Ada becomes Adi), and the rules refuse what repeats.
    planning=Sampling(temperature=0.8, min_p=0.1),
    # A penalty would forbid the words that shall stay.
    rewriting=Sampling(temperature=0.6, min_p=0.1),
)

# 1B to 7B: follows instructions, fills small schemas, still loops when left alone.
MEDIUM = Profile(
    name="medium",
    one_call=False,
    paragraph_words=160,
    turn_words=110,
    memory_words=220,
    recalled_words=500,
    reads_outline=True,
    last_words=200,
    redraws=3,
    insists=False,
    max_overlap=0.2,
    max_repeated=0.02,
    new_names=1,
    heat=0.05,
    follows=True,
    rewrites=2,
    writing=Sampling(temperature=0.8, min_p=0.05, repetition_penalty=1.05, repetition_window=256),
    noting=Sampling(temperature=0.2),
    planning=Sampling(temperature=0.8, min_p=0.05),
    rewriting=Sampling(temperature=0.7, min_p=0.05),
)

# Strong models: one structured call a step, plain sampling.
LARGE = Profile(
    name="large",
    one_call=True,
    paragraph_words=200,
    turn_words=150,
    memory_words=400,
    recalled_words=600,
    reads_outline=True,
    last_words=400,
    redraws=2,
    insists=False,
    max_overlap=0.25,
    max_repeated=0.05,
    new_names=3,
    heat=0.0,
    follows=True,
    rewrites=2,
    writing=Sampling(temperature=0.8),
    noting=Sampling(temperature=0.3),
    planning=Sampling(temperature=0.8),
    rewriting=Sampling(temperature=0.8),
)

PROFILES = {profile.name: profile for profile in (SMALL, MEDIUM, LARGE)}

_MEDIUM_FROM = 1_000_000_000
_LARGE_FROM = 7_000_000_000


def profile_for(model: TextModel, name: str | None = None) -> Profile:
    """The profile that a person named, or the one that fits the model's size.

    A model whose engine doesn't tell its size (a server) and that can fill a schema counts as
    large: whoever runs a server rarely runs a small model on it.

    Raises:
        InvalidSetting: no profile has that name.
    """
    if name:
        if name not in PROFILES:
            raise InvalidSetting(
                f"There is no profile named {name!r}. Choose one of {', '.join(PROFILES)}, "
                "or leave the setting `profile` out to take the one that fits the model."
            )
        return PROFILES[name]
    if model.parameters is None:
        return LARGE if "schema" in model.features else MEDIUM
    if model.parameters < _MEDIUM_FROM:
        return SMALL
    return LARGE if model.parameters >= _LARGE_FROM and "schema" in model.features else MEDIUM
