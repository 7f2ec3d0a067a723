"""A story's own settings: how it is told, what its memory does; each checked by what it must be."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from storyloom.app.given_text import (
    LONGEST_OUTLINE,
    LONGEST_STYLE,
    LONGEST_TITLE,
    checked_language,
    checked_premise,
    optional,
    required,
)
from storyloom.app.sampling import FIELDS, SAMPLING, checked_sampling, sampling_of
from storyloom.app.shelf import Shelf, revision
from storyloom.app.stale_pages import later_pages
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.lore import LoreSettings
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Revision, Story
from storyloom.memory.weaver_strategies import SETTING as WEAVER
from storyloom.memory.weaver_strategies import strategy_of
from storyloom.storage.unit_of_work import UnitOfWork

SUBJECT = "setting:"  # of its revisions, before the setting's name
NOTE_DEPTH = "note_depth"
APPROVE_MEMORY = "approve_memory"
RECALL, LORE = "recall", "lore"

_TEXTS: dict[str, Callable[[str], str]] = {
    "title": lambda text: required(text, "title", LONGEST_TITLE),
    "premise": checked_premise,
    "outline": lambda text: optional(text, "outline", LONGEST_OUTLINE),
    "style": lambda text: optional(text, "style", LONGEST_STYLE),
    "authors_note": lambda text: optional(text, "author's note", LONGEST_STYLE),
    "language": lambda text: checked_language(required(text, "language", LONGEST_TITLE)),
}
_GROUPS: dict[str, Any] = {RECALL: RecallRule, LORE: LoreSettings}
_KINDS: dict[str, Any] = {
    NOTE_DEPTH: int,
    APPROVE_MEMORY: bool,
    **{f"{group}.{each.name}": each.type for group, kind in _GROUPS.items() for each in fields(kind)},
}
# The writer's sampling, whole or by one of its fields.
_SAMPLINGS = (SAMPLING, *(f"{SAMPLING}.{name}" for name in FIELDS))
# Every number is 0 or more; the largest that each may be, where it isn't the usual one.
_LARGEST = 1_000_000
_MOST = {
    NOTE_DEPTH: 1_000,
    "recall.alike": 1,
    "recall.limit": 1_000,
    "lore.budget": 1,
    "lore.likeness": 1,
}


class StorySettings:
    """The settings of stories, for a person who reads or changes them.

    Args:
        shelf: whose stories.
        rule: how recall chooses where a story says nothing else.
    """

    def __init__(self, shelf: Shelf, rule: RecallRule) -> None:
        self._shelf = shelf
        self._rule = rule

    def of(self, reference: str) -> dict[str, Any]:
        """Every setting of a story by name, those that it leaves at their defaults included.

        Raises:
            InvalidSetting: the story came with one that can't be used.
        """
        story, _ = self._shelf.find(reference)
        return self._all(story)

    def change(self, reference: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Change settings, each with a revision of its own; an empty value goes back to the default.

        Args:
            reference: the story.
            given: new values by name, as a person writes them.

        Returns:
            Every setting afterwards.

        Raises:
            InvalidSetting: there is no such setting, or the value isn't one of its kind.
            InvalidText: a text is too long or empty.
        """
        story, _ = self._shelf.find(reference)
        with self._shelf.database.unit_of_work() as work:
            story = work.stories.get(story.id)
            changed = story
            for name, value in given.items():
                changed = _with(changed, name, _read(name, value))
                _keep(work, story, changed, name)
            changed = work.stories.save(changed)
            work.commit()
        return self._all(changed)

    def _all(self, story: Story) -> dict[str, Any]:
        groups: dict[str, Any] = {RECALL: rule_of(story, self._rule), LORE: lore_settings(story)}
        sampling = sampling_of(story)
        return {
            **{name: getattr(story, name) for name in _TEXTS},
            WEAVER: strategy_of(story.settings).name,
            NOTE_DEPTH: _kept(story, NOTE_DEPTH),
            APPROVE_MEMORY: approves_memory(story),
            **{
                f"{group}.{name}": value
                for group, kind in groups.items()
                for name, value in asdict(kind).items()
            },
            **{f"{SAMPLING}.{name}": sampling.get(name) for name in FIELDS},
        }


def rule_of(story: Story, rule: RecallRule) -> RecallRule:
    """How recall chooses for a story: ``rule`` but for what the story sets itself.

    Raises:
        InvalidSetting: the story came with a value that can't be used.
    """
    return replace(rule, **_group(story, RECALL))


def lore_settings(story: Story) -> LoreSettings:
    """How a story's lore fires.

    Raises:
        InvalidSetting: the story came with a value that can't be used.
    """
    return LoreSettings(**_group(story, LORE))


def approves_memory(story: Story) -> bool:
    """Whether a person approves the memory keeper's changes before they count."""
    return story.settings.get(APPROVE_MEMORY) is True


def undo_setting(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring a setting's old value back, inside a unit of work."""
    name = edit.subject.removeprefix(SUBJECT)
    changed = _with(story, name, (edit.state or {}).get("value"))
    _keep(work, story, changed, name)
    work.stories.save(changed)


def _keep(work: UnitOfWork, story: Story, changed: Story, name: str) -> None:
    """Keep a setting's old value, and mark the pages that begin with an old premise."""
    old = _kept(story, name)
    work.revisions.add(
        revision(story, SUBJECT + name, _told(old), _told(_kept(changed, name)), state={"value": old})
    )
    if changed.premise != story.premise:
        work.stale.add(later_pages(work, work.strands.main(story.id), 0, "the premise was edited"))


def _told(value: Any) -> str:
    """A value as a person reads it; nothing where the default holds."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _kept(story: Story, name: str) -> Any:
    """What the story itself says of a setting; None where it says nothing."""
    if name in _TEXTS:
        return getattr(story, name)
    group, _, field = name.partition(".")
    return _own(story, group).get(field) if field else story.settings.get(name)


def _own(story: Story, group: str) -> Mapping[str, Any]:
    """What the story itself says of a group; an imported file can say anything there."""
    own = story.settings.get(group)
    return own if isinstance(own, Mapping) else {}


def _with(story: Story, name: str, value: Any) -> Story:
    """The story with another value of a setting, or with none."""
    if name in _TEXTS:
        text: dict[str, Any] = {name: value}
        return replace(story, **text)
    group, _, field = name.partition(".")
    settings = dict(story.settings)
    if field:
        settings[group] = _set(dict(_own(story, group)), field, value) or None
    else:
        settings[name] = value
    return replace(story, settings={each: said for each, said in settings.items() if said is not None})


def _set(settings: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    settings.pop(name, None)
    return settings if value is None else {**settings, name: value}


def _group(story: Story, group: str) -> dict[str, Any]:
    """The values that a story sets in a group, checked: they may come from a file."""
    own = _own(story, group)
    known = (each.name for each in fields(_GROUPS[group]))
    return {name: _checked(f"{group}.{name}", own[name]) for name in known if own.get(name) is not None}


def _read(name: str, value: str) -> Any:
    """A value as a person wrote it; None goes back to the default.

    Raises:
        InvalidSetting, InvalidText: there is no such setting, or it can't have this value.
    """
    if name in _TEXTS:
        return _TEXTS[name](value)
    if name != WEAVER and name not in _KINDS and name not in _SAMPLINGS:
        known = [*_TEXTS, WEAVER, *_KINDS, *_SAMPLINGS]
        raise InvalidSetting(f"A story has no setting {name[:40]!r}. There are {', '.join(known)}.")
    if not value:
        return None
    if name in _SAMPLINGS:
        return _sampling(name, value)
    return strategy_of({WEAVER: value}).name if name == WEAVER else _checked(name, value)


def _sampling(name: str, value: str) -> Any:
    """A field of the writer's sampling, or the whole of it as a JSON object; what it leaves out is unset."""
    try:
        said = json.loads(value)
    except (ValueError, RecursionError):
        said = value
    field = name.partition(".")[2]
    if field:
        return checked_sampling({field: said})[field]
    if not isinstance(said, dict):
        raise InvalidSetting(
            f"{value[:40]!r} can't be a story's sampling. Give one value, such as "
            f"{SAMPLING}.temperature=0.7, "
            f'or all of them as JSON, such as {SAMPLING}=\'{{"temperature": 0.7, "min_p": 0.1}}\'.'
        )
    return checked_sampling(said) or None


def _checked(name: str, value: Any) -> Any:
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        raise InvalidSetting(
            f"{str(value)[:40]!r} can't be the setting {name}: {error.errors()[0]['msg']}. "
            f"Another value is set with: storyloom settings STORY {name}=VALUE"
        ) from error


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    kind: Any = _KINDS[name]
    if kind in {int, float}:
        bounds = Field(ge=0, le=_MOST.get(name, _LARGEST))
        kind = Annotated[FiniteFloat if kind is float else int, bounds]
    elif kind is str:
        kind = Annotated[str, Field(max_length=LONGEST_TITLE)]
    return TypeAdapter(kind)
