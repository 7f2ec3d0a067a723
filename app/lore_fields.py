"""Fields of lore entries and characters as a person gives them, checked. Knows no story."""

import json
import re
from collections.abc import Mapping
from dataclasses import Field, asdict, fields, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from storyloom.memory.errors import InvalidText
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.text import clean
from storyloom.storage.formats.lorebooks.entries import LONGEST_CONTENT, LONGEST_KEY, check_size
from storyloom.storage.formats.lorebooks.values import Unreadable

T = TypeVar("T", LoreEntry, CharacterSheet)
_GREATEST = 10**6
# The database's, and other programs': not a person's to set.
_NOT_GIVEN = frozenset({"id", "extensions"})


def with_fields(old: T, given: Mapping[str, Any]) -> T:
    """An entry or a sheet with fields changed.

    Args:
        old: it as it is.
        given: new values by name. A text may stand for any kind of value: a list's items with commas
            between them or as JSON, and nothing for the default.

    Raises:
        InvalidText: there is no such field, or the value can't be one of its kind.
    """
    known = {field.name: field for field in fields(old) if field.name not in _NOT_GIVEN}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InvalidText(f"There is no field {unknown[0][:40]!r}. There are {', '.join(known)}.")
    values = {name: _value(known[name], getattr(old, name), value) for name, value in given.items()}
    try:
        checked = TypeAdapter(type(old)).validate_python({**asdict(old), **values})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in wrong["loc"])
        raise InvalidText(
            f"The field {name} can't be {str(wrong['input'])[:40]!r}: {wrong['msg']}."
        ) from error
    return replace(checked, **{name: _bounded(name, getattr(checked, name)) for name in given})


def _value(field: "Field[Any]", old: Any, given: Any) -> Any:
    """What a person's words for a value mean."""
    if not isinstance(given, str) or type(old) is str:
        return given
    if not given.strip():
        return field.default
    if not isinstance(old, tuple):
        return given
    if given.lstrip().startswith("["):
        try:
            return json.loads(given)
        except (ValueError, RecursionError) as error:
            raise InvalidText(f"The field {field.name} is no list in JSON: {error}.") from error
    return [part.strip() for part in re.split("[,，、]", given) if part.strip()]


def _bounded(name: str, value: Any) -> Any:
    """The value fit to store.

    Raises:
        InvalidText: it is too long, or a number out of all bounds.
    """
    try:
        check_size(name, value, LONGEST_CONTENT, LONGEST_CONTENT if name == "greetings" else LONGEST_KEY)
    except Unreadable as error:
        raise InvalidText(f"The field can't be taken: {error}.") from error
    if isinstance(value, str):
        return clean(value).strip() if type(value) is str else value  # an enumeration's stays one
    if isinstance(value, tuple):
        return tuple(clean(part).strip() for part in value)
    if name == "probability" and not 0 <= value <= 100:
        raise InvalidText(f"The field probability must be from 0 to 100, and is {value}.")
    if value is not None and not -_GREATEST <= value <= _GREATEST:
        raise InvalidText(f"The field {name} can't be {value}: it is out of all bounds.")
    return value
