"""A lorebook as a file holds it: entries, characters and what else belongs to them. A value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storyloom.memory.lore import CharacterSheet, LoreEntry, LoreSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lorebook:
    """What was read from a file, or is to be written to one.

    Attributes:
        format: the form of the file it came from, as ``storage.formats.lorebooks.FORMATS`` names it.
        name: what the book is called; empty where the file says nothing.
        entries: in the file's order.
        characters: a card has one, a book of lore none.
        settings: the book's own; None where the file has none.
        memory: a text that its program puts at the top of every prompt (NovelAI, KoboldAI).
        authors_note: its author's note (NovelAI, KoboldAI).
        refused: what of the file could not be taken or had to be changed, a sentence each.
        extensions: the book's other fields, kept for its export; one item a format.
    """

    format: str = ""
    name: str = ""
    entries: tuple[LoreEntry, ...] = ()
    characters: tuple[CharacterSheet, ...] = ()
    settings: LoreSettings | None = None
    memory: str = ""
    authors_note: str = ""
    refused: tuple[str, ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
