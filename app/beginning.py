"""How a story begins: what a person gives, made fit to keep, and the story without a word of its own."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from storyloom.app.agents.planner import OUTLINE_LINES
from storyloom.app.given_text import (
    LONGEST_OUTLINE,
    LONGEST_STYLE,
    LONGEST_TITLE,
    checked_language,
    checked_premise,
    optional,
)
from storyloom.app.sampling import SAMPLING, checked_sampling
from storyloom.app.shelf import new_id
from storyloom.memory.story import Mode, Story, Strand

# Titles that come from a premise, until the planner finds a better one.
_PROVISIONAL_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a person gives to start a story.

    Attributes:
        premise: what it is about.
        title: empty: the planner finds one.
        mode: what kind of text it is.
        language: a BCP 47 tag; empty: the setting's.
        style: how it is told.
        seed: where chance starts from; None: anywhere.
        id: the story's; empty: a new one. With an id a beginning can be repeated: it is the same story.
        outline: a line a part; empty: the planner makes one.
        lines: how many lines the planner's outline shall have.
        sampling: how the writer draws, by ``Sampling``'s field names, where the profile draws otherwise.
    """

    premise: str
    title: str = ""
    mode: Mode = Mode.NOVEL
    language: str = ""
    style: str = ""
    seed: int | None = None
    id: str = ""
    outline: str = ""
    lines: int = OUTLINE_LINES
    sampling: Mapping[str, Any] = field(default_factory=dict)


def checked_beginning(given: Beginning) -> Beginning:
    """A beginning whose texts and values can be kept.

    Raises:
        InvalidText: the premise is empty, a text is too long, or the language has no tag's form.
        InvalidSetting: a value of the sampling can't be used.
    """
    return replace(
        given,
        premise=checked_premise(given.premise),
        title=optional(given.title, "title", LONGEST_TITLE),
        style=optional(given.style, "style", LONGEST_STYLE),
        outline=optional(given.outline, "outline", LONGEST_OUTLINE),
        language=checked_language(given.language),
        sampling=checked_sampling(given.sampling),
    )


def new_story(
    beginning: Beginning, owner: str, language: str, settings: Mapping[str, Any]
) -> tuple[Story, Strand]:
    """A story without steps, and its main strand.

    Args:
        beginning: what was given, checked.
        owner: whose story it is.
        language: its language where the beginning names none.
        settings: what it keeps beside its seed and sampling.
    """
    now = datetime.now(UTC)
    seed = secrets.randbelow(2**31) if beginning.seed is None else beginning.seed
    sampling = {SAMPLING: dict(beginning.sampling)} if beginning.sampling else {}
    story = Story(
        id=beginning.id or new_id(),
        owner=owner,
        title=beginning.title or " ".join(beginning.premise.split()[:_PROVISIONAL_WORDS]),
        premise=beginning.premise,
        mode=beginning.mode,
        language=beginning.language or language,
        style=beginning.style,
        outline="",  # comes with the title: what has one has both
        authors_note="",
        settings={**settings, **sampling, "seed": seed},
        created_at=now,
        updated_at=now,
    )
    return story, Strand(id=new_id(), story_id=story.id, created_at=now)
