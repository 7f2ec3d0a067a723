"""The weaver's strategies: in which order a prompt's slots are read, and which of them twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from storyloom.memory.errors import InvalidSetting

SETTING: Final = "weaver"  # of a story
# What doesn't change from step to step stands first: a model's prefix cache keeps it.
_STABLE = (
    "premise",
    "outline",
    "lore_before",
    "characters",
    "lore_after",
    "before_note",
    "authors_note",
    "after_note",
    "chapter",
    "memory",
)
_MATERIAL, _QUESTION = ("lore", "recall"), ("plan",)
_FIRST_READING = "first reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """An order of the slots.

    Attributes:
        name: what a story's setting ``weaver`` calls it.
        order: the slots as they are read after the system's turn, ``first reading`` among them where
            ``twice`` is read for the first time.
        twice: runs of slots that are read once before their place in ``order``, the smaller run first.
        most_paragraphs: most of the story's last paragraphs, or None for as many as a profile allows.
        most_recalled: most recalled passages, or None for all.
    """

    name: str
    order: tuple[str, ...]
    twice: tuple[tuple[str, ...], ...] = ()
    most_paragraphs: int | None = None
    most_recalled: int | None = None

    def reading(self, tokens: Callable[[tuple[str, ...]], int]) -> tuple[str, ...]:
        """The slots in the order in which they are read.

        Args:
            tokens: how many tokens a run of slots holds.
        """
        runs = sorted(self.twice, key=tokens)
        first = tuple(chain.from_iterable(runs))
        return tuple(chain.from_iterable(first if name == _FIRST_READING else (name,) for name in self.order))


BUDGETED = Strategy(name="budgeted", order=(*_STABLE, *_MATERIAL, "last", *_QUESTION))

# The order of RecurrentGPT's prompt (arXiv 2305.13304, recurrentgpt.py): memory, one paragraph, the
# instruction, then the two passages that are most like it. What it has no slot for stands before.
PLAIN = Strategy(
    name="plain",
    order=(*_STABLE, "last", *_QUESTION, *_MATERIAL),
    most_paragraphs=1,
    most_recalled=2,
)

# JRT-Prompt (arXiv 2407.05483): material and question twice. A model whose memory is bounded must carry
# what it reads first until it meets the rest, so the smaller run stands first; the second reading ends
# with the question, from which the paragraph goes on.
READ_TWICE = Strategy(
    name="read-twice",
    order=(*_STABLE, _FIRST_READING, "last", *_MATERIAL, *_QUESTION),
    twice=(_QUESTION, _MATERIAL),
)

STRATEGIES: Mapping[str, Strategy] = {each.name: each for each in (BUDGETED, PLAIN, READ_TWICE)}


def strategy_of(settings: Mapping[str, Any]) -> Strategy:
    """The strategy that a story's settings name; ``budgeted`` where they name none.

    Raises:
        InvalidSetting: there is no such strategy.
    """
    name = settings.get(SETTING, BUDGETED.name)
    if not isinstance(name, str) or name not in STRATEGIES:
        raise InvalidSetting(
            f"There is no weaver named {str(name)[:40]!r}. Set the story's setting `{SETTING}` to one of "
            f"{', '.join(STRATEGIES)}, or leave it out to take {BUDGETED.name}."
        )
    return STRATEGIES[name]
