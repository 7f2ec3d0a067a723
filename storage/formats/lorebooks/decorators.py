"""Decorators: lines at the head of an entry's text that set what no field of its form does.

They are Character Card V3's (kwaroran/character-card-spec-v3, "Decorators"); SillyTavern knows two of them.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from storyloom.memory.lore import Logic, LoreEntry, Position
from storyloom.storage.formats.lorebooks import values

FIELD = "@@"  # where they stand in an entry's fields between file and value
_ALWAYS = 1_000_000  # steps; no story is so long
_LINE = re.compile(r"@@@?([A-Za-z_]+)(?:[ \t]+(.*))?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_POSITIONS = {"before_desc": Position.BEFORE_CHARACTERS, "after_desc": Position.AFTER_CHARACTERS}
_ROLES = {role: role for role in ("system", "user", "assistant")}


def _whole(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError(value)
    return int(value)


def _secondary(value: str, logic: Logic) -> dict[str, Any]:
    keys = values.keys({"": value}, "")
    if not keys:
        raise ValueError(value)
    return {"secondary_keys": keys, "logic": logic}


# What each sets; a KeyError or ValueError says that its value is none. A later one goes before an earlier.
_CHANGES: dict[str, Callable[[str], dict[str, Any]]] = {
    "activate": lambda _: {"constant": True},
    "dont_activate": lambda _: {"enabled": False},
    "depth": lambda value: {"position": Position.AT_DEPTH, "depth": _whole(value)},
    "position": lambda value: {"position": _POSITIONS[value]},
    "role": lambda value: {"role": _ROLES[value]},
    "scan_depth": lambda value: {"scan_depth": _whole(value)},
    "activate_only_after": lambda value: {"delay": _whole(value)},
    "keep_activate_after_match": lambda _: {"sticky": _ALWAYS},
    "dont_activate_after_match": lambda _: {"cooldown": _ALWAYS},
    "exclude_keys": lambda value: _secondary(value, Logic.NOT_ANY),
    "additional_keys": lambda value: _secondary(value, Logic.AND_ANY),
}


def split(raw: Any) -> Any:
    """An entry's fields with the decorators out of ``content``, each with its fallbacks, by their place."""
    content = raw.get("content") if isinstance(raw, Mapping) and not raw.get(FIELD) else None
    if not isinstance(content, str) or not content.lstrip("\n").startswith("@@"):
        return raw
    lines = content.lstrip("\n").split("\n")
    blocks: list[str] = []
    while lines and (lines[0].startswith("@@") or not lines[0].strip()):
        line = lines.pop(0)
        if line.startswith("@@@") and blocks:
            blocks[-1] += f"\n{line}"
        elif line.strip():
            blocks.append(line)
    found = {str(place): block for place, block in enumerate(blocks)}
    return {**raw, "content": "\n".join(lines), FIELD: found}


def joined(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with the decorators back at the head of ``content``."""
    rest = {name: value for name, value in raw.items() if name != FIELD}
    blocks = [block for block in values.mapping(raw, FIELD).values() if isinstance(block, str)]
    if blocks:
        rest["content"] = "\n".join([*blocks, rest["content"]])
    return rest


def applied(entry: LoreEntry, blocks: Mapping[str, Any]) -> LoreEntry:
    """The entry with what its decorators say; those without a field of ours change nothing."""
    found: dict[str, dict[str, Any]] = {}
    for block in blocks.values():
        name, change = next(_understood(block), ("", {}))
        found.setdefault(name, change)
    if "activate" in found:
        found.pop("dont_activate", None)
    if entry.secondary_keys:
        found = {name: change for name, change in found.items() if "secondary_keys" not in change}
    changes: dict[str, Any] = {}
    for name in _CHANGES:
        changes |= found.get(name, {})
    return replace(entry, **changes) if changes else entry


def _understood(block: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a decorator and its fallbacks set, as far as they are known and their values are valid."""
    for line in block.split("\n") if isinstance(block, str) else ():
        match = _LINE.fullmatch(line.rstrip())
        if match and match.group(1) in _CHANGES:
            with contextlib.suppress(KeyError, ValueError):
                yield match.group(1), _CHANGES[match.group(1)]((match.group(2) or "").strip())
