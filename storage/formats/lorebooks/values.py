"""One field of a file as the type it should have: other programs write it as text, number or null too."""

import math
import re
from collections.abc import Mapping
from typing import Any

GREATEST = 2**31 - 1  # what every database's integer holds
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
PATTERN = re.compile(r"/(?:[^/\\\n]|\\.)+/[a-z]*")
SLASH = re.compile(r"(?<!\\)/")
# A regular expression between slashes may hold commas; anything else ends at one.
_KEY = re.compile(r"\s*(/(?:[^/\\\n]|\\.)+/[a-z]*(?=\s*(?:,|$))|[^,]*)\s*(?:,|$)")


class Unreadable(ValueError):
    """A field has a type or a value whose meaning isn't plain."""


def text(raw: Mapping[str, Any], name: str, default: str = "") -> str:
    """A text; a number is written out.

    Raises:
        Unreadable: it is neither.
    """
    value = raw.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(f"{name} must be text")


def flag(raw: Mapping[str, Any], name: str, default: bool) -> bool:
    """True or false, also as 1 or "true".

    Raises:
        Unreadable: it is none of these.
    """
    found = maybe_flag(raw, name)
    return default if found is None else found


def maybe_flag(raw: Mapping[str, Any], name: str) -> bool | None:
    """As ``flag``; None where nothing is said.

    Raises:
        Unreadable: it is no flag.
    """
    value = raw.get(name)
    if isinstance(value, str):
        word = value.strip().lower()
        value = True if word in _TRUE else False if word in _FALSE else value if word else None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    raise Unreadable(f"{name} must be true or false")


def number(raw: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    """A number, also as text; one outside the bounds becomes the nearest bound.

    Raises:
        Unreadable: it is no number.
    """
    value = raw.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return default
    if isinstance(value, str | int | float):
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if math.isfinite(found):
            return min(max(found, least), most)
    raise Unreadable(f"{name} must be a number")


def whole(raw: Mapping[str, Any], name: str, default: int, least: int = 0) -> int:
    """A whole number of 32 bits; a fraction is cut off, true and false are 1 and 0.

    Raises:
        Unreadable: it is no number.
    """
    return int(number(raw, name, default, least, GREATEST))


def plain(found: float) -> float:
    """A number as other programs write it: without a fraction where it has none."""
    return int(found) if found.is_integer() else found


def maybe_whole(raw: Mapping[str, Any], name: str) -> int | None:
    """As ``whole``, 0 at least; None where nothing is said.

    Raises:
        Unreadable: it is no number.
    """
    found = whole(raw, name, -1, -1)
    return None if raw.get(name) in (None, "") else max(found, 0)


def keys(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Keys: a list, or one text with commas between them; blank ones are left out.

    Raises:
        Unreadable: it is neither, or the list holds something else.
    """
    value = raw.get(name)
    if isinstance(value, str):
        return tuple(found for match in _KEY.finditer(value) if (found := match.group(1).strip()))
    return texts(raw, name)


def texts(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, or one of them alone; blank ones are left out.

    Raises:
        Unreadable: it is neither, or the list holds something else.
    """
    value = raw.get(name)
    if isinstance(value, list | tuple):
        found = [text({name: item}, name) for item in value]
    else:
        found = [text(raw, name)]
    return tuple(item for item in found if item.strip())


def mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object's fields; none where there is no object."""
    value = raw.get(name)
    return value if isinstance(value, Mapping) else {}
