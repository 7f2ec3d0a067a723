"""Leave one memory out: how likely a paragraph is without each remembered item that its prompt held.

Knows no engine. What is scored is the paragraph as it stands today, edited or not, right behind the prompt
that the step's first call was made with, whole: an opening that was given to the model counts as its first
words, and draws that were taken up again from kept sentences count as one text. Agents that answer with a
form have it begun for them up to the paragraph.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from storyloom.app.events import Cancelled, Listener
from storyloom.app.shelf import Shelf
from storyloom.app.templates import Templates
from storyloom.app.weaving import rebuild
from storyloom.memory.errors import NotRecorded
from storyloom.memory.generation import Likelihood, Prompt
from storyloom.memory.ports import Scorer
from storyloom.memory.story import Origin, SlotRecord, Step, Weaving

# What is no memory: the story's frame, the paragraphs right before, and the question of the step.
_NO_MEMORY = frozenset({"style", "premise", "outline", "authors_note", "last", "plan"})
# Agents whose answer is a form: how it begins.
_FORMS: Mapping[str, str] = {"one_call": '{"paragraph": "'}
_SCORED = "prompts scored"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one item did.

    Attributes:
        record: the item, as it entered the prompt.
        change: the paragraph's log-probability with it less that without it, in nats: above 0 where the
            item made the paragraph likelier.
        change_per_token: the same, spread over the paragraph's tokens.
    """

    record: SlotRecord
    change: float
    change_per_token: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a paragraph came out as it did.

    Attributes:
        depth: its step.
        model: SPEC of the model that wrote the step, and scored it here.
        likelihood: of the paragraph with everything.
        is_edited: the paragraph is a person's: what is scored was not written by the model.
        effects: one an item, the strongest first.
    """

    depth: int
    model: str
    likelihood: Likelihood
    is_edited: bool
    effects: tuple[Effect, ...]


class Influence:
    """Explains paragraphs.

    Args:
        shelf: whose stories.
        templates: make the prompts again.
        load: makes the scorer of a model's SPEC.
    """

    def __init__(self, shelf: Shelf, templates: Templates, load: Callable[[str], Scorer]) -> None:
        self._shelf = shelf
        self._templates = templates
        self._load = load

    def model(self, reference: str, depth: int, strand: str | None = None) -> str:
        """SPEC of the model whose weights ``why`` needs.

        Raises:
            StoryNotFound, StrandNotFound: there is no such step.
            NotRecorded: the step can't be explained.
        """
        return self._step(reference, depth, strand)[0].model

    def why(self, reference: str, depth: int, listener: Listener, strand: str | None = None) -> Explanation:
        """Score the paragraph at ``depth`` with everything, and without each remembered item.

        Args:
            reference: the story.
            depth: the step.
            listener: hears how many prompts are scored, and may stop it.
            strand: one of the story's, the main one by default.

        Raises:
            StoryNotFound, StrandNotFound: there is no such step.
            NotRecorded: the step keeps no record of how its prompt was made.
            UnsupportedRequest, ModelUnavailable, ModelFailed, PromptTooLong: it can't be scored.
            Cancelled: the listener asked to stop.
        """
        step, records, weaving = self._step(reference, depth, strand)
        scorer = self._load(step.model)
        weaving, text = _scored(weaving, step.paragraph)
        places = [at for at, record in enumerate(records) if record.entered and record.slot not in _NO_MEMORY]
        prompts = [rebuild(records, weaving, self._templates, without=at) for at in (None, *places)]
        whole, *without = _heard(scorer, prompts, text, listener)
        effects = [
            Effect(records[at], change := whole.log_probability - one.log_probability, change / whole.tokens)
            for at, one in zip(places, without, strict=True)
        ]
        return Explanation(
            depth=depth,
            model=step.model,
            likelihood=whole,
            is_edited=step.paragraph_origin is Origin.PERSON,
            effects=tuple(sorted(effects, key=lambda effect: -abs(effect.change))),
        )

    def _step(
        self, reference: str, depth: int, strand: str | None
    ) -> tuple[Step, tuple[SlotRecord, ...], Weaving]:
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            step = work.steps.at(line.id, depth)
            provenance = work.provenance.get(step.strand_id, depth)
        if provenance.weaving is None:
            raise NotRecorded(
                f"Step {depth} keeps no record of how its prompt was made: it comes from a manuscript, or "
                "from a Storyloom that didn't keep it yet. Steps written from now on can be explained."
            )
        return step, provenance.slots, provenance.weaving


def _scored(weaving: Weaving, paragraph: str) -> tuple[Weaving, str]:
    """The weaving with the answer begun up to the paragraph, and the paragraph as the answer holds it."""
    form = _FORMS.get(str(weaving.values["agent"]), "")
    begun = replace(weaving, values={**weaving.values, "opening": form})
    return begun, json.dumps(paragraph, ensure_ascii=False)[1:-1] if form else paragraph


def _heard(scorer: Scorer, prompts: Sequence[Prompt], text: str, listener: Listener) -> list[Likelihood]:
    """Every score, told one by one."""
    scores: list[Likelihood] = []
    listener.on_progress(_SCORED, 0, len(prompts))
    with closing(scorer.score(prompts, text)) as found:
        for likelihood in found:
            scores.append(likelihood)
            listener.on_progress(_SCORED, len(scores), len(prompts))
            if listener.cancelled():
                raise Cancelled("Stopped. Nothing was changed.")
    return scores
