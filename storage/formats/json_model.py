"""The shape of a story file. A change of shape gets a new version, and old ones stay readable."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.story import (
    Call,
    Chapter,
    Document,
    MemoryChange,
    Mode,
    PassageKind,
    Revision,
    SlotRecord,
    Stale,
    Step,
    Strand,
    Weaving,
)

FORMAT: Final = "storyloom.story"
VERSION: Final = 3


class _Entry(BaseModel):
    """Unknown fields are refused rather than lost; types are taken as they are, never guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StoryEntry(_Entry):
    """The story itself, without its owner: who imports it owns it."""

    id: str
    title: str
    premise: str
    mode: Mode
    language: str
    style: str
    outline: str
    authors_note: str
    settings: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int


class PassageEntry(_Entry):
    """A passage; its vector is base64 of little-endian float32."""

    strand_id: str
    depth: int
    text: str
    kind: PassageKind = PassageKind.PARAGRAPH
    source: str = ""
    part: int = 0
    embedder: str
    vector: str | None


class ProvenanceEntry(_Entry):
    """What went into one step."""

    strand_id: str
    depth: int
    slots: tuple[SlotRecord, ...]
    calls: tuple[Call, ...]
    weaving: Weaving | None = None


class StoryFile(_Entry):
    """A whole story: strands oldest first, steps and what belongs to them by strand and depth.

    What has a default was not there in version 1, nor was an archived strand before version 3.
    """

    format: Literal["storyloom.story"]
    version: Literal[1, 2, 3]
    story: StoryEntry
    strands: tuple[Strand, ...]
    steps: tuple[Step, ...]
    passages: tuple[PassageEntry, ...]
    chapters: tuple[Chapter, ...] = ()
    proposals: tuple[MemoryChange, ...] = ()
    stale: tuple[Stale, ...] = ()
    documents: tuple[Document, ...] = ()
    lore: tuple[LoreEntry, ...] = ()
    characters: tuple[CharacterSheet, ...] = ()
    provenance: tuple[ProvenanceEntry, ...]
    revisions: tuple[Revision, ...]
