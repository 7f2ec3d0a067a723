"""What must hold between the parts of a story file, beyond each field's type."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from storyloom.memory.story import PassageKind, Strand
from storyloom.storage.formats.json_model import StoryFile

_GREATEST = 2**31 - 1  # what every database's integer holds; seeds have twice the room


def faults(file: StoryFile) -> Iterator[str]:
    """Everything wrong with the file, each beginning with the field's path."""
    if not file.story.id:
        yield "story.id: is empty"
    if not 1 <= file.story.version <= _GREATEST:
        yield "story.version: must be 1 or more"
    yield from _moments(file)
    yield from _counts(file)
    yield from _strands(file)
    yield from _steps(file)
    yield from _documents(file)
    yield from _lore(file)
    yield from _passages(file)
    yield from _records(file)


def parents_first(strands: tuple[Strand, ...]) -> list[Strand]:
    """The strands in an order in which each comes after its parent; without those that can't."""
    children: defaultdict[str | None, list[Strand]] = defaultdict(list)
    for strand in strands:
        children[strand.parent_id].append(strand)
    ordered = children.pop(None, [])
    for strand in ordered:  # grows as it is read: children follow their parents
        ordered += children.pop(strand.id, [])
    return ordered


def _moments(file: StoryFile) -> Iterator[str]:
    yield from _moment("story.created_at", file.story.created_at)
    yield from _moment("story.updated_at", file.story.updated_at)
    moments = {
        "strands": [strand.created_at for strand in file.strands],
        "steps": [step.created_at for step in file.steps],
        "revisions": [revision.created_at for revision in file.revisions],
        "stale": [mark.created_at for mark in file.stale],
    }
    for name, created in moments.items():
        for place, moment in enumerate(created):
            yield from _moment(f"{name}.{place}.created_at", moment)


def _moment(path: str, moment: datetime) -> Iterator[str]:
    if moment.tzinfo is None:
        yield f"{path}: has no time zone"
        return
    try:
        moment.astimezone(UTC)
    except OverflowError:
        yield f"{path}: is out of the calendar"


def _counts(file: StoryFile) -> Iterator[str]:
    """Numbers that nothing else bounds: they must fit the database's columns."""
    counted: list[tuple[str, object, tuple[str, ...]]] = []
    for place, step in enumerate(file.steps):
        counted.append((f"steps.{place}", step, ("prompt_tokens", "completion_tokens")))
    for place, passage in enumerate(file.passages):
        counted.append((f"passages.{place}", passage, ("depth", "part")))
    for place, revision in enumerate(file.revisions):
        counted.append((f"revisions.{place}", revision, ("depth",)))
    for place, entry in enumerate(file.provenance):
        path = f"provenance.{place}"
        counted += [(f"{path}.slots.{at}", slot, ("tokens",)) for at, slot in enumerate(entry.slots)]
        told = ("prompt_tokens", "completion_tokens", "cached_tokens")
        counted += [(f"{path}.calls.{at}", call, told) for at, call in enumerate(entry.calls)]
        if entry.weaving is not None:
            counted.append((f"{path}.weaving", entry.weaving, ("budget", "tokens")))
    for path, holder, names in counted:
        for name in names:
            value = getattr(holder, name)
            if value is not None and not -_GREATEST <= value <= _GREATEST:
                yield f"{path}.{name}: must be from {-_GREATEST} to {_GREATEST}"


def _strands(file: StoryFile) -> Iterator[str]:
    seen: set[str] = set()
    for place, strand in enumerate(file.strands):
        if not strand.id or strand.id in seen:
            yield f"strands.{place}.id: is empty or stands there twice"
        if strand.story_id != file.story.id:
            yield f"strands.{place}.story_id: is another story's"
        if strand.archived and strand.parent_id is None:
            yield f"strands.{place}.archived: the main strand can't be"
        seen.add(strand.id)
    if sum(strand.parent_id is None for strand in file.strands) != 1:
        yield "strands: exactly one must have no parent"
    placed = {strand.id for strand in parents_first(file.strands)}
    for place, strand in enumerate(file.strands):
        if strand.id not in placed:
            yield f"strands.{place}.parent_id: leads to no main strand"


def _steps(file: StoryFile) -> Iterator[str]:
    """Each strand's own steps must follow its fork without a gap, and it must fork from a step there is."""
    depths: dict[str, int] = {}
    for strand in file.strands:
        depths.setdefault(strand.id, strand.fork_depth)
    for place, step in enumerate(file.steps):
        if step.strand_id not in depths:
            yield f"steps.{place}.strand_id: there is no such strand"
            continue
        depths[step.strand_id] += 1
        if step.depth != depths[step.strand_id]:
            yield f"steps.{place}.depth: must be {depths[step.strand_id]}"
    for place, strand in enumerate(file.strands):
        deepest = 0 if strand.parent_id is None else depths.get(strand.parent_id, 0)
        if not 0 <= strand.fork_depth <= deepest:
            yield f"strands.{place}.fork_depth: must be 0 to {deepest}"


def _documents(file: StoryFile) -> Iterator[str]:
    seen: set[str] = set()
    for place, document in enumerate(file.documents):
        if not document.id or document.id in seen:
            yield f"documents.{place}.id: is empty or stands there twice"
        if document.story_id != file.story.id:
            yield f"documents.{place}.story_id: is another story's"
        seen.add(document.id)


def _lore(file: StoryFile) -> Iterator[str]:
    """Entries and characters share one table, and so their ids."""
    seen: set[str] = set()
    for name, ids in {
        "lore": [entry.id for entry in file.lore],
        "characters": [sheet.id for sheet in file.characters],
    }.items():
        for place, id_ in enumerate(ids):
            if not id_ or id_ in seen:
                yield f"{name}.{place}.id: is empty or stands there twice"
            seen.add(id_)


def _passages(file: StoryFile) -> Iterator[str]:
    strands = {strand.id for strand in file.strands}
    sources = {
        PassageKind.DOCUMENT: {document.id for document in file.documents},
        PassageKind.LORE: {entry.id for entry in file.lore},
    }
    seen: set[tuple[str | int, ...]] = set()
    for place, passage in enumerate(file.passages):
        key = (passage.strand_id, passage.depth, passage.kind, passage.source, passage.part)
        if passage.strand_id not in strands:
            yield f"passages.{place}.strand_id: there is no such strand"
        if key in seen or passage.depth < _least_depth(passage.kind):
            yield f"passages.{place}.depth: is below {_least_depth(passage.kind)} or stands there twice"
        seen.add(key)
        if passage.source not in sources.get(passage.kind, {passage.source}):
            yield f"passages.{place}.source: there is no such {passage.kind.value}"
        if passage.vector is None and passage.embedder:
            yield f"passages.{place}.vector: is missing"
        elif passage.vector is not None and not _is_vector(passage.vector):
            yield f"passages.{place}.vector: must be base64 of float32 numbers"


def _parts_of_steps(file: StoryFile, steps: set[tuple[str, int]]) -> Iterator[str]:
    """Proposals and stale marks belong to a step, and at most one of a kind to each."""
    seen: set[tuple[str, int, str]] = set()
    keys = {
        "proposals": [(one.strand_id, one.depth, "proposal") for one in file.proposals],
        "stale": [(one.strand_id, one.depth, one.part.value) for one in file.stale],
    }
    for name, found in keys.items():
        for place, key in enumerate(found):
            if key[:2] not in steps or key in seen:
                yield f"{name}.{place}.depth: there is no such step, or it stands there twice"
            seen.add(key)


def _least_depth(kind: PassageKind) -> int:
    """What belongs to the whole story stands at depth 0."""
    return 0 if kind in {PassageKind.LORE, PassageKind.DOCUMENT} else 1


def _records(file: StoryFile) -> Iterator[str]:
    steps = {(step.strand_id, step.depth) for step in file.steps}
    yield from _parts_of_steps(file, steps)
    begun: set[tuple[str, int]] = set()
    for place, chapter in enumerate(file.chapters):
        key = (chapter.strand_id, chapter.depth)
        if key not in steps or key in begun:
            yield f"chapters.{place}.depth: there is no such step, or it stands there twice"
        begun.add(key)
    recorded: set[tuple[str, int]] = set()
    for place, entry in enumerate(file.provenance):
        if (entry.strand_id, entry.depth) not in steps:
            yield f"provenance.{place}.depth: there is no such step"
        if (entry.strand_id, entry.depth) in recorded:
            yield f"provenance.{place}.depth: stands there twice"
        recorded.add((entry.strand_id, entry.depth))
    seen: set[str] = set()
    for place, revision in enumerate(file.revisions):
        if revision.id in seen:
            yield f"revisions.{place}.id: stands there twice"
        if revision.story_id != file.story.id:
            yield f"revisions.{place}.story_id: is another story's"
        seen.add(revision.id)


def _is_vector(text: str) -> bool:
    try:
        stored = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(stored) % 4 == 0 and bool(stored)
