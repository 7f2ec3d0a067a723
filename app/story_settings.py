"""A story's own settings: how it is told, what its memory does; each checked by what it must be."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from storyloom.app.given_text import (
    LONGEST_OUTLINE,
    LONGEST_STYLE,
    LONGEST_TITLE,
    checked_language,
    checked_premise,
    optional,
    required,
)
from storyloom.app.shelf import Shelf, revision
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
    "language": checked_language,
}
_GROUPS: dict[str, Any] = {RECALL: RecallRule, LORE: LoreSettings}
_DEEPEST_NOTE = 1_000


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
        """Every setting of a story by name, those that it leaves at their defaults included."""
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
                old = self._shown(changed, name)
                changed = self._with(changed, name, value)
                state = {"value": _kept(story, name)}
                new = self._shown(changed, name)
                work.revisions.add(revision(story, SUBJECT + name, old, new, state=state))
            changed = work.stories.save(changed)
            work.commit()
        return self._all(changed)

    def _all(self, story: Story) -> dict[str, Any]:
        texts = {name: getattr(story, name) for name in _TEXTS}
        groups = {
            f"{group}.{name}": value
            for group, kind in _GROUPS.items()
            for name, value in asdict(_group(story, group, self._default(kind))).items()
        }
        return {
            **texts,
            WEAVER: strategy_of(story.settings).name,
            NOTE_DEPTH: story.settings.get(NOTE_DEPTH),
            APPROVE_MEMORY: approves_memory(story),
            **groups,
        }

    def _default(self, kind: Any) -> Any:
        return self._rule if kind is RecallRule else kind()

    def _shown(self, story: Story, name: str) -> str:
        """The value as a person reads it.

        Raises:
            InvalidSetting: there is no such setting.
        """
        settings = self._all(story)
        if name not in settings:
            raise InvalidSetting(f"A story has no setting {name[:40]!r}. There are {', '.join(settings)}.")
        value = settings[name]
        return value if isinstance(value, str) else json.dumps(value)

    def _with(self, story: Story, name: str, value: str) -> Story:
        """The story with one setting changed."""
        if name in _TEXTS:
            return replace(story, **{name: _TEXTS[name](value)})
        settings = dict(story.settings)
        group, _, field = name.partition(".")
        if field:
            own = dict(settings.get(group, {}))
            _set(own, field, _checked(name, _kind(_GROUPS[group], field), value))
            settings[group] = own
        else:
            _set(settings, name, _checked_single(name, value))
        return replace(story, settings=settings)


def rule_of(story: Story, rule: RecallRule) -> RecallRule:
    """How recall chooses for a story: ``rule`` but for what the story sets itself."""
    return _group(story, RECALL, rule)  # type: ignore[no-any-return]


def lore_settings(story: Story) -> LoreSettings:
    """How a story's lore fires."""
    return _group(story, LORE, LoreSettings())  # type: ignore[no-any-return]


def approves_memory(story: Story) -> bool:
    """Whether a person approves the memory keeper's changes before they count."""
    return story.settings.get(APPROVE_MEMORY) is True


def undo_setting(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring a setting's old value back, inside a unit of work."""
    name = edit.subject.removeprefix(SUBJECT)
    before = (edit.state or {}).get("value")
    work.revisions.add(revision(story, edit.subject, edit.new, edit.old, state={"value": _kept(story, name)}))
    if name in _TEXTS:
        work.stories.save(replace(story, **{name: before}))
        return
    settings = dict(story.settings)
    group, _, field = name.partition(".")
    if field:
        settings[group] = dict(settings.get(group, {}))
        _set(settings[group], field, before)
    else:
        _set(settings, name, before)
    work.stories.save(replace(story, settings=settings))


def _kept(story: Story, name: str) -> Any:
    """What the story itself says of a setting; None where it says nothing."""
    if name in _TEXTS:
        return getattr(story, name)
    group, _, field = name.partition(".")
    return story.settings.get(group, {}).get(field) if field else story.settings.get(name)


def _set(settings: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        settings.pop(name, None)
    else:
        settings[name] = value


def _group(story: Story, group: str, default: Any) -> Any:
    own = story.settings.get(group)
    known = {field.name for field in fields(default)}
    given = {name: value for name, value in own.items() if name in known} if isinstance(own, dict) else {}
    try:
        return TypeAdapter(type(default)).validate_python({**asdict(default), **given})
    except ValidationError as error:
        name = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidSetting(
            f"The story's setting {group}.{name} can't be used: {error.errors()[0]['msg']}. "
            f"Set it anew with: storyloom settings STORY {group}.{name}=…"
        ) from error


def _kind(group: Any, field: str) -> Any:
    return next(each.type for each in fields(group) if each.name == field)


def _checked_single(name: str, value: str) -> Any:
    if not value:
        return None
    if name == WEAVER:
        return strategy_of({WEAVER: value}).name
    if name == APPROVE_MEMORY:
        return _checked(name, bool, value)
    depth = _checked(name, int, value)
    if not 0 <= depth <= _DEEPEST_NOTE:
        raise InvalidSetting(f"{name} must be from 0 to {_DEEPEST_NOTE:,}, and is {depth}.")
    return depth


def _checked(name: str, kind: Any, value: str) -> Any:
    if not value:
        return None
    try:
        checked = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InvalidSetting(
            f"{value[:40]!r} can't be the setting {name}: {error.errors()[0]['msg']}."
        ) from error
    if isinstance(checked, (int, float)) and not -1e9 <= checked <= 1e9:
        raise InvalidSetting(f"{value[:40]!r} can't be the setting {name}: it is out of all bounds.")
    return checked
