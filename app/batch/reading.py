"""Reading a batch's file: YAML to a spec, with every problem told at its line.

Scalars are YAML 1.2's, as editors with a schema read them: ``no`` is Norwegian and a date is text.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from storyloom.app.batch.places import Places, Problem, Where
from storyloom.app.batch.spec import Spec, StoryItem
from storyloom.app.given_text import LONGEST_TITLE
from storyloom.memory.errors import InvalidSpec
from storyloom.memory.text import clean

_LARGEST_BYTES = 4_000_000
# What an alias repeats counts each time, so that a small file can't stand for a huge one.
_MOST_VALUES = 500_000
_DEEPEST = 20
_TAG = "tag:yaml.org,2002:"
_MESSAGES = {
    "extra_forbidden": "is no field that is known here",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be lines of `name: value`",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length:,} characters",
    "greater_than_equal": "must be {ge:,} or more",
    "greater_than": "must be more than {gt:,}",
    "less_than_equal": "must be {le:,} or less",
    "enum": "must be one of {expected}",
    "literal_error": "must be {expected}",
}


def read_spec(path: Path) -> Spec:
    """A batch's file, checked; it is named after the file where it doesn't say otherwise.

    Raises:
        InvalidSpec: it can't be read, or not be used as it is; a line for each problem.
    """
    places, data = _Tree(path.name, _read(path)).read()
    try:
        spec = Spec.model_validate(data)
    except ValidationError as error:
        raise places.refusal(_problem(one) for one in error.errors(include_url=False)) from error
    if not spec.name:
        spec = spec.model_copy(update={"name": clean(path.stem).strip()[:LONGEST_TITLE] or "batch"})
    return spec.placed(places)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidSpec(f"{path}: can't be read: {error.strerror or error}.") from error
    if len(content) > _LARGEST_BYTES:
        raise InvalidSpec(f"{path}: has more than {_LARGEST_BYTES:,} bytes. Split it into several batches.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidSpec(f"{path.name}:{line}: isn't UTF-8. Save the file as UTF-8.") from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Tells scalars apart as YAML 1.2's core schema does."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


_NUMERIC = list("-+.0123456789")
for _kind, _form, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", _NUMERIC),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", _NUMERIC),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z", _NUMERIC),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_form), _first)


class _Tree:
    """A file's values and where they stand.

    Args:
        file: its name.
        text: what it holds.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._lines: dict[Where, int] = {}
        self._problems: list[Problem] = []

    def read(self) -> tuple[Places, dict[str, Any]]:
        """The values' places and the values.

        Raises:
            InvalidSpec: it is no YAML, or YAML that no batch needs.
        """
        root = self._composed()
        if root is None:
            raise InvalidSpec(f"{self._file}: is empty. List the stories under `stories`.")
        data = self._value(root, (), root.start_mark.line + 1)
        if not isinstance(data, dict):
            self._problems.append(Problem((), "must be lines of `name: value`, with `stories` among them"))
        places = Places(self._file, self._lines)
        if self._problems:
            raise places.refusal(self._problems)
        return places, data

    def _composed(self) -> yaml.Node | None:
        try:
            return yaml.compose(self._text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            raise self._refusal(error) from error
        except yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise InvalidSpec(
                f"{self._file}:{line}: has a character that no text file should have. Take it out."
            ) from error
        except RecursionError as error:
            raise InvalidSpec(f"{self._file}: is nested too deeply.") from error

    def _refusal(self, error: yaml.MarkedYAMLError) -> InvalidSpec:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "can't be understood"
        hint = " Indent with spaces, not with tabs." if "'\\t'" in problem else ""
        return InvalidSpec(f"{self._file}{line}: isn't valid YAML: {problem}.{hint}")

    def _value(self, node: yaml.Node, where: Where, line: int) -> Any:
        self._lines[where] = line
        if len(self._lines) > _MOST_VALUES or len(where) > _DEEPEST:
            raise InvalidSpec(f"{self._file}:{line}: holds too many values, or a value holds itself.")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, where)
            case yaml.SequenceNode():
                return [
                    self._value(item, (*where, place), item.start_mark.line + 1)
                    for place, item in enumerate(node.value)
                ]
            case _:
                return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        """Fields and their values; one without a value counts as left out."""
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._problems.append(Problem(where, f"has a field whose name is no text, on line {line}"))
            elif key.value in found:
                again = f"has the field {key.value!r} twice, again on line {line}"
                self._problems.append(Problem(where, again))
            else:
                found[key.value] = self._value(value, (*where, key.value), line)
        return {name: value for name, value in found.items() if value is not None}

    def _scalar(self, node: yaml.Node, where: Where) -> Any:
        try:
            return _scalar(node.tag.removeprefix(_TAG), node.value)
        except ValueError:
            self._problems.append(Problem(where, f"is no value that can be used: {node.value[:40]!r}"))
        except LookupError:
            self._problems.append(Problem(where, f"has the tag {node.tag[:80]!r}; no tags are taken here"))
        return None


def _scalar(kind: str, text: str) -> Any:
    """A scalar's value.

    Raises:
        ValueError: the text is none of that kind.
        LookupError: no such kind is taken.
    """
    match kind:
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        case "float":
            return float(re.sub(r"\.(inf|nan)\Z", r"\1", text.lower()))
        case _:
            raise LookupError(kind)


def _problem(error: ErrorDetails) -> Problem:
    """What pydantic found, in words for who wrote the file."""
    where = tuple(error["loc"])
    told = _MESSAGES.get(error["type"])
    context: Mapping[str, Any] = error.get("ctx", {})
    text = told.format(**context) if told else error["msg"]
    if error["type"] == "extra_forbidden":
        known = StoryItem if len(where) > 1 else Spec
        near = get_close_matches(str(where[-1]), known.model_fields, n=1)
        text += f"; did you mean {near[0]!r}?" if near else ""
    return Problem(where, text)
