"""The JSON shapes of ``lore`` and ``characters``: a contract, told in ``docs/cli.md``."""

from dataclasses import asdict
from typing import Any

from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.memory.lore_results import LoreScan, Why

Json = dict[str, Any]


def entry(value: LoreEntry | CharacterSheet) -> Json:
    """All fields by their names; what other programs keep in it is left out."""
    return {name: content for name, content in asdict(value).items() if name != "extensions"}


def scan(value: LoreScan) -> Json:
    """What ``lore fire`` prints: ``fired`` in the order of the prompt."""
    return {
        "fired": [
            {
                **_named(one.entry),
                "text": one.text,
                "position": one.entry.position.value,
                "why": _why(one.why),
            }
            for one in value.fired
        ],
        "held": [
            {**_named(one.entry), "obstacle": one.obstacle.value, "why": _why(one.why)} for one in value.held
        ],
        "problems": [{**_named(one.entry), "problem": one.text} for one in value.problems],
    }


def _named(value: LoreEntry) -> Json:
    return {"id": value.id, "name": label(value)}


def _why(value: Why) -> Json:
    return {
        "text": str(value),
        "cause": value.cause.value,
        "key": value.key,
        "secondary": list(value.secondary),
        "where": value.where,
        "likeness": value.likeness,
        "since": value.since,
    }
