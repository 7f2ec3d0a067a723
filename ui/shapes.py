"""The JSON shapes of the command line: a contract, told in ``docs/cli.md``."""

from collections.abc import Iterable, Mapping
from typing import Any

from storyloom.app.influence import Explanation
from storyloom.app.remembering import Blame
from storyloom.memory.neural import NeuralState
from storyloom.memory.story import (
    Dropped,
    Job,
    MemoryChange,
    Note,
    Provenance,
    Revision,
    ShortMemory,
    Stale,
    Step,
    Story,
    StorySummary,
    Strand,
    Weaving,
)
from storyloom.memory.weaver import Item

Json = dict[str, Any]
# The agents whose calls bring a paragraph; the writer helps out where one call for all didn't do.
_WRITERS = ("writer", "one_call")


def story(value: Story) -> Json:
    """A story without its steps."""
    return {
        "id": value.id,
        "title": value.title,
        "premise": value.premise,
        "mode": value.mode.value,
        "language": value.language,
        "style": value.style,
        "outline": value.outline,
        "authors_note": value.authors_note,
        "settings": dict(value.settings),
        "created_at": value.created_at.isoformat(),
        "updated_at": value.updated_at.isoformat(),
    }


def step(value: Step, state: NeuralState | None = None) -> Json:
    """A step, with the origin of each of its texts and what is known of the neural memory after it."""
    return {
        "depth": value.depth,
        "strand": value.strand_id,
        "plan": value.plan,
        "paragraph": value.paragraph,
        "short_memory": value.memory.text,
        "added": [note(one) for one in value.added],
        "dropped": [_dropped(one) for one in value.dropped],
        "plans": [plan.text for plan in value.plans],
        "origin": {
            "plan": value.plan_origin.value,
            "paragraph": value.paragraph_origin.value,
            "short_memory": value.memory_origin.value,
            "plans": [plan.origin.value for plan in value.plans],
        },
        "model": value.model,
        "seed": value.seed,
        "sampling": dict(value.sampling),
        "seconds": value.seconds,
        "tokens": {"prompt": value.prompt_tokens, "completion": value.completion_tokens},
        "neural_state": None if state is None else _neural_state(state),
        "created_at": value.created_at.isoformat(),
    }


def _neural_state(value: NeuralState) -> Json:
    return {
        "model": value.model,
        "bytes": value.size,
        "seconds": value.seconds,
        "kept": value.is_kept,
        "stale": value.is_stale,
    }


def written(of: Story, strand: str, steps: Iterable[Step], states: Mapping[int, NeuralState]) -> Json:
    """What ``write``, ``continue`` and ``show`` print; ``states`` are of the strand, by depth."""
    return {
        "story": story(of),
        "strand": strand,
        "steps": [step(one, states.get(one.depth)) for one in steps],
    }


def summaries(values: Iterable[StorySummary]) -> Json:
    """What ``list`` prints."""
    return {
        "stories": [
            {
                "id": one.id,
                "title": one.title,
                "mode": one.mode.value,
                "words": one.words,
                "steps": one.steps,
                "updated_at": one.updated_at.isoformat(),
            }
            for one in values
        ]
    }


def strand(value: Strand, steps: int) -> Json:
    """A strand; ``steps`` is how many a reader of it sees, the shared ones included."""
    return {
        "id": value.id,
        "name": value.name,
        "parent": value.parent_id,
        "fork_depth": value.fork_depth,
        "steps": steps,
        "created_at": value.created_at.isoformat(),
        "archived": value.archived,
    }


def note(value: Note) -> Json:
    """A sentence of short-term memory."""
    return {
        "text": value.text,
        "depth": value.depth,
        "origin": value.origin.value,
        "pinned": value.pinned,
    }


def memory(value: ShortMemory, revisions: Iterable[Revision]) -> Json:
    """What ``memory`` prints."""
    return {
        "short_memory": value.text,
        "notes": [note(one) for one in value.notes],
        "revisions": [revision(one) for one in revisions],
    }


def hits(values: Iterable[Item]) -> Json:
    """What ``memory --search`` prints, best first."""
    return {
        "hits": [
            {
                "depth": _depth(one.source),
                "text": one.text,
                "score": one.score,
                "parts": dict(one.parts),
                "source": one.source,
            }
            for one in values
        ]
    }


def _depth(source: str) -> int:
    """The step that a source stands at; 0 for what belongs to the whole story, as lore does."""
    kind, _, place = source.partition(":")
    return int(place.rpartition(":")[2]) if kind in {"step", "summary"} else 0


def provenance(value: Provenance) -> Json:
    """What ``show --prompt`` prints; ``prompt`` is the writer's as it was woven."""
    return {
        "prompt": writers_prompt(value),
        "weaving": _weaving(value.weaving),
        "slots": [
            {
                "slot": one.slot,
                "source": one.source,
                "text": one.text,
                "tokens": one.tokens,
                "score": one.score,
                "parts": dict(one.parts),
                "cut": one.cut,
            }
            for one in value.slots
        ],
        "calls": [
            {
                "agent": one.agent,
                "model": one.model,
                "prompt": one.prompt,
                "reply": one.reply,
                "tokens": {
                    "prompt": one.prompt_tokens,
                    "cached": one.cached_tokens,
                    "completion": one.completion_tokens,
                },
                "seed": one.seed,
                "seconds": one.seconds,
                "verdict": one.verdict,
            }
            for one in value.calls
        ],
    }


def _weaving(value: Weaving | None) -> Json | None:
    if value is None:  # an older Storyloom wrote the step
        return None
    return {
        "strategy": value.strategy,
        "budget": value.budget,
        "tokens": value.tokens,
        "template": value.template,
        "values": dict(value.values),
        "lore": dict(value.lore),
    }


def writers_prompt(value: Provenance) -> str:
    """The prompt as it was woven for the writer, before any redraw went on from kept sentences."""
    prompts = {call.agent: call.prompt for call in reversed(value.calls)}
    return next((prompts[agent] for agent in _WRITERS if agent in prompts), "")


def journal(value: Job) -> Json:
    """A paragraph that was cut off, with the words that had come."""
    return {
        "id": value.id,
        "strand": value.strand_id,
        "depth": value.depth,
        "plan": value.plan,
        "text": value.journal,
        "state": value.state.value,
        "error": value.error,
        "created_at": value.created_at.isoformat(),
    }


def blame(value: Blame) -> Json:
    """What ``memory --blame`` prints."""
    return {
        "notes": [note(one) for one in value.notes],
        "gone": [{**_dropped(one.dropped), "left": one.depth} for one in value.gone],
    }


def explanation(value: Explanation) -> Json:
    """What ``memory --why`` prints, the strongest item first; changes and log-probabilities in nats."""
    likelihood = value.likelihood
    return {
        "depth": value.depth,
        "model": value.model,
        "edited": value.is_edited,
        "log_probability": likelihood.log_probability,
        "log_probability_per_token": likelihood.log_probability / likelihood.tokens,
        "tokens": likelihood.tokens,
        "items": [
            {
                "slot": one.record.slot,
                "source": one.record.source,
                "text": one.record.text,
                "tokens": one.record.tokens,
                "change": one.change,
                "change_per_token": one.change_per_token,
            }
            for one in value.effects
        ],
    }


def memory_change(value: MemoryChange) -> Json:
    """A change of short-term memory that a step proposes."""
    return {
        "strand": value.strand_id,
        "depth": value.depth,
        "added": [note(one) for one in value.added],
        "dropped": [_dropped(one) for one in value.dropped],
    }


def stale(value: Stale) -> Json:
    """A part of a step that was made from what has been edited since."""
    return {
        "strand": value.strand_id,
        "depth": value.depth,
        "part": value.part.value,
        "cause": value.cause,
        "created_at": value.created_at.isoformat(),
    }


def stale_state(value: NeuralState) -> Json:
    """A neural state that was made of a text that has changed since, in the same form."""
    return {
        "strand": value.strand_id,
        "depth": value.depth,
        "part": "state",
        "cause": f"{value.model} read a paragraph that was edited since",
        "created_at": value.created_at.isoformat(),
    }


def _dropped(value: Dropped) -> Json:
    return {**note(value.note), "reason": value.reason}


def revision(value: Revision) -> Json:
    """An edit by hand."""
    return {
        "id": value.id,
        "subject": value.subject,
        "strand": value.strand_id,
        "depth": value.depth,
        "old": value.old,
        "new": value.new,
        "created_at": value.created_at.isoformat(),
    }
