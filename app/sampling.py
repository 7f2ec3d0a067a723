"""How a story's writer draws its tokens, where it says so itself: checked, for it may come from a file."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from storyloom.memory.errors import InvalidSetting
from storyloom.memory.generation import Sampling
from storyloom.memory.story import Story

SAMPLING: Final = "sampling"  # a story's setting
_NAMES = {field.name: field.type for field in fields(Sampling)}
FIELDS: Final = tuple(_NAMES)
# Every number is 0 or more; the largest that each may be, where it isn't the usual one.
_LARGEST = 1_000_000
_MOST = {
    "temperature": 10,
    "top_p": 1,
    "min_p": 1,
    "typical_p": 1,
    "repetition_penalty": 10,
    "xtc_probability": 1,
    "xtc_threshold": 1,
}


def sampling_of(story: Story) -> dict[str, Any]:
    """What a story says of its writer's sampling, by ``Sampling``'s field names.

    Raises:
        InvalidSetting: the story came with a value that can't be used.
    """
    own = story.settings.get(SAMPLING)
    return checked_sampling(own) if isinstance(own, Mapping) else {}


def checked_sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for fields of ``Sampling``, each as the field has it.

    Raises:
        InvalidSetting: there is no such field, or it can't have this value.
    """
    return {name: _checked(name, value) for name, value in given.items()}


def _checked(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise InvalidSetting(f"There is no sampling {str(name)[:40]!r}. There are {', '.join(_NAMES)}.")
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        raise InvalidSetting(
            f"{str(value)[:40]!r} can't be the sampling {name}: {error.errors()[0]['msg']}. "
            "Give it another value, or leave it out to sample as the model's profile does."
        ) from error


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    kind: Any = _NAMES[name]
    if kind == float | None:
        kind = Annotated[kind, Field(ge=0, le=_MOST.get(name, _LARGEST), allow_inf_nan=False)]
    elif kind == int | None:
        kind = Annotated[kind, Field(ge=0, le=_LARGEST)]
    return TypeAdapter(kind)
