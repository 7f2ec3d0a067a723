"""A whole story as JSON: nothing is lost, and export, import and export again give equal bytes.

Jobs stay behind: they belong to the machine that writes. A file is data only; nothing in it is run.
"""

import base64
import json
import math
from collections import defaultdict
from typing import Never

from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy.exc import IntegrityError

from storyloom.memory.errors import ImportRefused
from storyloom.memory.story import Passage, Provenance, Step, Story
from storyloom.storage.formats.json_model import (
    FORMAT,
    VERSION,
    PassageEntry,
    ProvenanceEntry,
    StoryEntry,
    StoryFile,
)
from storyloom.storage.formats.json_rules import faults, parents_first
from storyloom.storage.unit_of_work import UnitOfWork
from storyloom.storage.vectors import from_bytes, to_bytes

_GREATEST_NUMBER = 2**63


def dump_story(work: UnitOfWork, story_id: str) -> str:
    """The whole story as JSON text.

    Raises:
        StoryNotFound: there is no such story.
    """
    file = whole_story(work, story_id)
    fields = (f'"{name}": {_field_text(getattr(file, name))}' for name in StoryFile.model_fields)
    return "{\n" + ",\n".join(fields) + "\n}\n"


def whole_story(work: UnitOfWork, story_id: str) -> StoryFile:
    """The whole story as a file would hold it.

    Raises:
        StoryNotFound: there is no such story.
    """
    story = work.stories.get(story_id)
    strands = work.strands.of_story(story_id)
    return StoryFile(
        format=FORMAT,
        version=VERSION,
        story=StoryEntry(**{name: getattr(story, name) for name in StoryEntry.model_fields}),
        strands=tuple(strands),
        steps=tuple(
            step for strand in strands for step in work.steps.path(strand.id, first=strand.fork_depth + 1)
        ),
        passages=tuple(
            _passage_entry(passage) for strand in strands for passage in work.passages.of_strand(strand.id)
        ),
        chapters=tuple(chapter for strand in strands for chapter in work.chapters.of_strand(strand.id)),
        documents=tuple(work.documents.of_story(story_id)),
        lore=tuple(work.lore.of_story(story_id)),
        characters=tuple(work.characters.of_story(story_id)),
        proposals=tuple(change for strand in strands for change in work.proposals.of_strand(strand.id)),
        stale=tuple(mark for strand in strands for mark in work.stale.of_strand(strand.id)),
        provenance=tuple(
            ProvenanceEntry(
                strand_id=strand.id,
                depth=depth,
                slots=found.slots,
                calls=found.calls,
                weaving=found.weaving,
            )
            for strand in strands
            for depth, found in work.provenance.of_strand(strand.id)
        ),
        revisions=tuple(work.revisions.of_story(story_id)),
    )


def load_story(text: str) -> StoryFile:
    """Read and check a story file's text, and touch nothing.

    Raises:
        ImportRefused: it names the first field that is wrong.
    """
    _check_header(text)
    try:
        file = StoryFile.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _refused(f"{field}: {first['msg']}") from error
    for fault in faults(file):
        raise _refused(fault)
    return file


def import_story(work: UnitOfWork, text: str, *, owner: str) -> Story:
    """Bring a story in from a file's text; the ids are kept, and the unit is the caller's to commit.

    Raises:
        ImportRefused: the text is malformed, or a story with its ids is there already.
    """
    file = load_story(text)
    if work.stories.exists(file.story.id):
        raise ImportRefused(
            f"The story {file.story.title!r} can't be imported: a story with its id {file.story.id} is there "
            "already. Delete that one first if the file should take its place."
        )
    try:
        return add_story(work, file, owner=owner)
    except IntegrityError as error:
        raise _refused("a part of it has an id that a part of another story has already") from error


def add_story(work: UnitOfWork, file: StoryFile, *, owner: str) -> Story:
    """Keep all that a checked file holds, as somebody's story."""
    story = Story(owner=owner, **{name: getattr(file.story, name) for name in StoryEntry.model_fields})
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    for step in file.steps:
        steps[step.strand_id].append(step)
    work.stories.add(story)
    for strand in parents_first(file.strands):
        work.strands.add(strand)
        work.steps.restore(steps[strand.id])
    work.passages.add([_passage(entry) for entry in file.passages])
    work.chapters.add(file.chapters)
    for proposal in file.proposals:
        work.proposals.add(proposal)
    work.stale.add(file.stale)
    work.documents.put(file.documents)
    work.lore.add(story.id, file.lore)
    work.characters.add(story.id, file.characters)
    for entry in file.provenance:
        found = Provenance(slots=entry.slots, calls=entry.calls, weaving=entry.weaving)
        work.provenance.add(entry.strand_id, entry.depth, found)
    for revision in file.revisions:
        work.revisions.add(revision)
    return story


def _check_header(text: str) -> None:
    """Refuse what is no story file of ours, and numbers that no story holds, before anything is built."""
    try:
        data = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refused(f"it is no JSON that can be read: {reason}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _refused(f"format: must be {FORMAT!r}")
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ImportRefused(
            f"The file has version {version}, and this Storyloom reads up to {VERSION}: a newer Storyloom "
            "wrote it. Update Storyloom and import again."
        )


def _field_text(value: object) -> str:
    """A field as JSON, an entry a line: a story's file can be read, compared and searched by lines."""
    if isinstance(value, tuple):
        return "[\n" + ",\n".join(to_json(entry).decode() for entry in value) + "\n]"
    return to_json(value).decode()


def _whole(digits: str) -> int:
    number = int(digits)
    if not -_GREATEST_NUMBER <= number < _GREATEST_NUMBER:
        raise ValueError("a whole number is too large")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def _passage_entry(passage: Passage) -> PassageEntry:
    vector = None if passage.vector is None else base64.b64encode(to_bytes(passage.vector)).decode("ascii")
    return PassageEntry(
        strand_id=passage.strand_id,
        depth=passage.depth,
        text=passage.text,
        kind=passage.kind,
        source=passage.source,
        part=passage.part,
        embedder=passage.embedder,
        vector=vector,
    )


def _passage(entry: PassageEntry) -> Passage:
    vector = None if entry.vector is None else tuple(from_bytes(base64.b64decode(entry.vector)).tolist())
    return Passage(
        strand_id=entry.strand_id,
        depth=entry.depth,
        text=entry.text,
        kind=entry.kind,
        source=entry.source,
        part=entry.part,
        vector=vector,
        embedder=entry.embedder,
    )


def _refused(reason: str) -> ImportRefused:
    return ImportRefused(f"The file can't be imported; {reason}. Nothing was changed.")
