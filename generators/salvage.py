"""Saves the parts of a structured answer that can be used, however badly it is wrapped.

Works on text and shapes alone; asks no model. A well-kept parser does the reading in every case:
json-repair for anything like JSON, markdown-it for answers written under headings or bold labels,
pydantic for the types.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import json_repair
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from pydantic import AliasChoices, AliasPath, BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from storyloom.generators.partial_json import paired
from storyloom.memory.text import words

# json-repair takes seconds on some rubbish ("{" again and again); no honest answer is like that.
_MOST_CHARACTERS = 24_000
_MOST_BRACKETS = 500
_MOST_NESTING = 4
_MENDING_ROUNDS = 3
_MARKDOWN = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What could be used of an answer.

    Attributes:
        parts: the valid value of each field that could be saved, by the field's name.
        missing: the required fields that could not, in the shape's order.
        repaired: some part had to be mended, or taken out of text around it.
    """

    parts: Mapping[str, Any]
    missing: tuple[str, ...]
    repaired: bool


def salvage(text: str, shape: type[BaseModel]) -> Salvaged:
    """Read an answer as ``shape``; never raises on any text.

    Of several objects in the text the one with most usable fields counts, the last of equals, and the
    others only fill its gaps. An answer with no usable object is read as Markdown whose headings or
    labels are the fields' names. Field names match whatever their case, spaces and underscores.
    """
    try:
        value = shape.model_validate_json(text)
    except ValidationError:
        pass
    else:
        return Salvaged(
            parts={name: getattr(value, name) for name in value.model_fields_set}, missing=(), repaired=False
        )
    names = _names(shape)
    head = text[:_MOST_CHARACTERS]
    found = list(_objects(head, names)) or [_labelled(head, names)]
    parts: dict[str, Any] = {}
    # Sorting is stable, so of equals the last in the text stands last and has the last word.
    for reading in sorted((_fitted(one, shape) for one in found), key=len):
        parts.update(reading)
    required = (name for name, field in shape.model_fields.items() if field.is_required())
    return Salvaged(
        parts={name: parts[name] for name in shape.model_fields if name in parts},
        missing=tuple(name for name in required if name not in parts),
        repaired=True,
    )


def _names(shape: type[BaseModel]) -> dict[str, str]:
    """Every way to write a field's name, folded, and the field that it means."""
    return {
        _folded(alias): name
        for name, field in shape.model_fields.items()
        for alias in (name, *_aliases(field))
    }


def _aliases(field: FieldInfo) -> Iterator[str]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return (choice for choice in choices if choice is not None and not isinstance(choice, AliasPath))


def _folded(label: str) -> str:
    """A label without case, punctuation and a number at its end: "Plan 2" is "plan"."""
    parts = words(label)
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return "".join(parts)


# --- finding values -----------------------------------------------------------------------------------


def _objects(text: str, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Every object in the text with at least one field of the shape, in order, as field → value."""
    return _within(_repaired(text), names, _MOST_NESTING)


def _repaired(text: str) -> Any:
    """JSON as json-repair reads it, or None. Plain prose comes back from it as an empty string."""
    if text.count("{") + text.count("[") > _MOST_BRACKETS:
        return None
    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):  # too deeply nested
        return None


def _within(value: Any, names: Mapping[str, str], nesting: int) -> Iterator[dict[str, Any]]:
    """Objects of the shape in ``value``: itself, in a wrapper, in a list, or encoded in a string."""
    if nesting == 0:
        return
    if isinstance(value, str) and value.lstrip().startswith(("{", "[", '"')):
        yield from _within(_repaired(value), names, nesting - 1)
    elif isinstance(value, list):
        for item in value:
            yield from _within(item, names, nesting - 1)
    elif isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = names.get(_folded(str(key)))
            if name is None:
                yield from _within(inner, names, nesting - 1)
            else:
                found[name] = _and(found.get(name), inner)
        if found:
            yield found


def _and(old: Any, new: Any) -> Any:
    """Fields that come in numbered parts ("plan 1", "plan 2") make one list."""
    if old is None:
        return new
    return [*(old if isinstance(old, list) else [old]), *(new if isinstance(new, list) else [new])]


def _labelled(text: str, names: Mapping[str, str]) -> dict[str, Any]:
    """An answer whose parts stand under headings or behind labels, read as Markdown."""
    found: dict[str, list[str]] = {}
    current: list[str] = []  # what stands before the first label belongs to nobody
    for line, loud, listed in _lines(text):
        label, colon, rest = line.partition(":")
        name = names.get(_folded(label)) if (colon or loud) and _is_plain(label) else None
        if name is not None:
            current = found.setdefault(name, [])
            current.append(rest.strip().removeprefix("**").strip())
        elif listed or not current:
            current.append(line)
        else:
            current[-1] = f"{current[-1]}\n{line}"
    entries = {name: [entry.strip() for entry in column if entry.strip()] for name, column in found.items()}
    return {name: column[0] if len(column) == 1 else column for name, column in entries.items() if column}


def _is_plain(label: str) -> bool:
    """Whether a label is words and emphasis only: broken JSON and sentences aren't."""
    return all(char.isalnum() or char in " -_*#" for char in label)


def _lines(text: str) -> Iterator[tuple[str, bool, bool]]:
    """Each line of a Markdown text, whether it stands out like a label, and whether it opens a list item."""
    for node in SyntaxTreeNode(_MARKDOWN.parse(text)).walk():
        if node.type not in {"inline", "fence", "code_block"}:
            continue
        block = node.parent
        heading = block is not None and block.type == "heading"
        in_list = block is not None and block.parent is not None and block.parent.type == "list_item"
        for place, line in enumerate(node.content.splitlines()):
            bold = line.startswith("**") and line.endswith("**")
            yield line, heading or bold, in_list and place == 0


# --- fitting values to the shape ----------------------------------------------------------------------


def _fitted(found: Mapping[str, Any], shape: type[BaseModel]) -> dict[str, Any]:
    """The fields that are valid by themselves, mended where their type allows."""
    fitted: dict[str, Any] = {}
    for name, value in found.items():
        # The bare type first: what is no item mustn't count as one when the length is judged.
        bare = TypeAdapter(shape.model_fields[name].annotation or Any)
        mended = _mended(value, bare.validate_python, outer=0)
        mended = _mended(mended, partial(_assigned, shape, name), outer=1)
        with suppress(ValidationError):
            fitted[name] = _assigned(shape, name, mended)
    return fitted


def _assigned(shape: type[BaseModel], name: str, value: Any) -> Any:
    """One field's value by that field's own rules."""
    model = shape.model_construct()
    shape.__pydantic_validator__.validate_assignment(model, name, value)
    return getattr(model, name)


def _mended(value: Any, validate: Callable[[Any], Any], *, outer: int) -> Any:
    """The value without what pydantic complains of, as far as a few rounds bring it.

    ``outer`` of the places that an error names lead to the value itself.
    """
    for _ in range(_MENDING_ROUNDS):
        try:
            validate(value)
        except ValidationError as error:
            # One error an item, and from the end, so that places stay what they were.
            first = {
                line["loc"][outer : outer + 1]: line for line in reversed(error.errors(include_url=False))
            }
            for line in first.values():
                value = _relieved(value, line, line["loc"][outer:])
        else:
            break
    return value


def _relieved(value: Any, error: ErrorDetails, place: tuple[int | str, ...]) -> Any:
    """The value with what is wrong at ``place`` cast into the right form, or left out of its list."""
    if not place:
        return _cast(value, error)
    if not isinstance(value, list) or not isinstance(place[0], int):
        return value
    cast = _cast(error["input"], error) if len(place) == 1 else error["input"]
    before, after = value[: place[0]], value[place[0] + 1 :]
    return [*before, *after] if cast is error["input"] else [*before, cast, *after]


def _cast(value: Any, error: ErrorDetails) -> Any:
    """The value in the form that was asked for, or the very same value where there is no such form."""
    cast = value
    match error["type"], value:
        case "string_type", list() if value and all(isinstance(item, str) for item in value):
            cast = "\n".join(value)
        case "string_type", dict():
            texts = [inner for inner in value.values() if isinstance(inner, str)]
            cast = texts[0] if len(texts) == 1 else value
        case "string_unicode", str():
            cast = paired(value)
        case "list_type", str():
            cast = _items(value)
        case "list_type", dict():
            cast = list(value.values())
        case "too_long", list():
            cast = value[: error["ctx"]["max_length"]]
    return cast


def _items(text: str) -> list[str]:
    """The items of a list that came as one text: those of a Markdown list, else its lines."""
    lines = [(line, listed) for line, _, listed in _lines(text)]
    return [line for line, listed in lines if listed] or [line for line, _ in lines if line.strip()]
