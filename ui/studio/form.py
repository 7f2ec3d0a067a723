"""The form of an entry's fields: what each is called and how its value is written. Knows no component."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How a field's value is written."""

    LINE = "line"
    TEXT = "text"
    LIST = "list"  # with commas between the items
    FLAG = "flag"
    OPEN = "open"  # yes, no, or whatever the story's lore has
    NUMBER = "number"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form.

    Attributes:
        name: the field's name in the entry.
        label: what a person reads.
        kind: how its value is written.
        hint: what it does, where the label doesn't say enough.
        options: what can be chosen, as (what a person reads, value).
        rare: it stands among those that are seldom needed.
    """

    name: str
    label: str
    kind: Kind
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    rare: bool = False


OPEN_OPTIONS = (("As the story has it", ""), ("Yes", "true"), ("No", "false"))


def shown(fields: Sequence[Field], one: Any) -> tuple[Any, ...]:
    """The values of an entry's fields as the form shows them."""
    return tuple(_shown(field.kind, getattr(one, field.name)) for field in fields)


def changed(fields: Sequence[Field], before: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    """What a person changed in the form, by the fields' names.

    Args:
        fields: the form's.
        before: the values that it showed.
        values: those that it has now.
    """
    return {
        field.name: "" if value is None else value
        for field, old, value in zip(fields, before, values, strict=True)
        if value != old
    }


def _shown(kind: Kind, value: Any) -> Any:
    if kind is Kind.LIST:
        return _listed(value)
    if kind is Kind.OPEN:
        return "" if value is None else str(value).lower()
    return str(value) if kind is Kind.CHOICE else value


def _listed(items: Sequence[str]) -> str:
    """Items with commas between them, or as JSON where one has a comma itself."""
    if any("," in item or item.startswith("[") or item != item.strip() for item in items):
        return json.dumps(list(items), ensure_ascii=False)
    return ", ".join(items)
