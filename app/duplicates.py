"""A story's duplicate: equal to it in everything but its ids and its title."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from storyloom.app.given_text import LONGEST_TITLE
from storyloom.app.lore_edits import CHARACTER, LORE
from storyloom.app.shelf import Shelf, new_id
from storyloom.memory.lore_timing import mark
from storyloom.memory.story import PassageKind, Revision, SlotRecord, Story, Strand, Weaving
from storyloom.storage.formats.json_format import add_story, whole_story
from storyloom.storage.formats.json_model import PassageEntry, ProvenanceEntry, StoryFile

_SUFFIX = " (copy)"
_BOOKS = frozenset({LORE, CHARACTER})


def duplicate(shelf: Shelf, reference: str) -> Story:
    """Keep a second story like one that is there, with all its strands; the first isn't touched.

    Which lore fires where chance decides goes by the entries' ids, and so may differ from now on.

    Raises:
        StoryNotFound: the reference names no story, or more than one.
    """
    story, _ = shelf.find(reference)
    with shelf.database.unit_of_work() as work:
        copy = add_story(work, renamed(whole_story(work, story.id)), owner=shelf.owner)
        work.commit()
    return copy


def renamed(file: StoryFile) -> StoryFile:
    """The same story under ids that nothing has yet, and under a title that tells it apart."""
    return _Renaming(file).whole()


class _Renaming:
    """Knows the new id of everything in one story."""

    def __init__(self, file: StoryFile) -> None:
        self._file = file
        self._ids = {old: new_id() for old in {file.story.id, *_ids_of(file)}}
        self._entries = {entry.id: entry for entry in file.lore}

    def whole(self) -> StoryFile:
        """The story's file with every id renamed, wherever it stands."""
        file, ids = self._file, self._ids
        story_id = ids[file.story.id]
        title = file.story.title[: LONGEST_TITLE - len(_SUFFIX)] + _SUFFIX
        told = {"id": story_id, "title": title, "updated_at": datetime.now(UTC)}
        of_steps = ("steps", "chapters", "proposals", "stale")
        return file.model_copy(
            update={
                "story": file.story.model_copy(update=told),
                "strands": tuple(self._strand(one, story_id) for one in file.strands),
                "passages": tuple(map(self._passage, file.passages)),
                "documents": tuple(replace(one, story_id=story_id) for one in file.documents),
                "lore": tuple(replace(one, id=ids[one.id]) for one in file.lore),
                "characters": tuple(replace(one, id=ids[one.id]) for one in file.characters),
                "provenance": tuple(map(self._provenance, file.provenance)),
                "revisions": tuple(map(self._revision, file.revisions)),
                **{
                    name: tuple(replace(one, strand_id=ids[one.strand_id]) for one in getattr(file, name))
                    for name in of_steps
                },
            }
        )

    def _strand(self, strand: Strand, story_id: str) -> Strand:
        parent_id = None if strand.parent_id is None else self._ids[strand.parent_id]
        return replace(strand, id=self._ids[strand.id], story_id=story_id, parent_id=parent_id)

    def _passage(self, passage: PassageEntry) -> PassageEntry:
        is_lore = passage.kind is PassageKind.LORE
        return passage.model_copy(
            update={
                "strand_id": self._ids[passage.strand_id],
                "source": self._ids[passage.source] if is_lore else passage.source,
            }
        )

    def _provenance(self, entry: ProvenanceEntry) -> ProvenanceEntry:
        return entry.model_copy(
            update={
                "strand_id": self._ids[entry.strand_id],
                "slots": tuple(map(self._slot, entry.slots)),
                "weaving": None if entry.weaving is None else self._weaving(entry.weaving),
            }
        )

    def _slot(self, slot: SlotRecord) -> SlotRecord:
        return replace(slot, source=self._source(slot.source))

    def _source(self, source: str) -> str:
        kind, *place = source.split(":")
        if kind == PassageKind.DOCUMENT:  # a document's id is its story's own affair
            return source
        return ":".join([kind, *(self._ids.get(part, part) for part in place)])

    def _weaving(self, weaving: Weaving) -> Weaving:
        """Timed lore goes on: a firing counts as long as its mark is that of the entry as it stands."""
        lore = dict(weaving.lore)
        if isinstance(firings := lore.get("firings"), Mapping):
            lore["firings"] = {
                self._ids.get(id_, id_): self._firing(id_, firing) for id_, firing in firings.items()
            }
        if isinstance(why := lore.get("why"), Mapping):
            lore["why"] = {self._source(source): cause for source, cause in why.items()}
        return replace(weaving, lore=lore)

    def _firing(self, id_: str, firing: Any) -> Any:
        entry = self._entries.get(id_)
        if entry is None or not isinstance(firing, Mapping) or firing.get("mark") != mark(entry):
            return firing
        return {**firing, "mark": mark(replace(entry, id=self._ids[id_]))}

    def _revision(self, revision: Revision) -> Revision:
        ids = self._ids
        moved = replace(
            revision,
            id=new_id(),
            story_id=ids[revision.story_id],
            strand_id=None if revision.strand_id is None else ids.get(revision.strand_id, revision.strand_id),
        )
        if revision.subject not in _BOOKS:
            return moved
        state = dict(revision.state or {})
        state["ids"] = sorted(ids.get(id_, id_) for id_ in state.get("ids", ()))
        return replace(moved, old=self._book(revision.old), new=self._book(revision.new), state=state)

    def _book(self, text: str) -> str:
        """Entries or characters as a revision tells them."""
        told = _told(text)
        if not told:
            return text
        moved = [{**one, "id": self._ids[one["id"]]} for one in told]
        return json.dumps(moved, ensure_ascii=False, separators=(",", ":"))


def _ids_of(file: StoryFile) -> Iterable[str]:
    """The ids of strands, entries and characters, with those that only an undo would bring back."""
    yield from (strand.id for strand in file.strands)
    yield from (entry.id for entry in file.lore)
    yield from (sheet.id for sheet in file.characters)
    for revision in file.revisions:
        if revision.subject in _BOOKS:
            yield from (one["id"] for text in (revision.old, revision.new) for one in _told(text))


def _told(text: str) -> list[dict[str, Any]]:
    """Entries or characters that a revision tells in full; none where it tells them by number."""
    try:
        data = json.loads(text)
    except ValueError:
        return []
    return [one for one in data if isinstance(one, dict) and "id" in one] if isinstance(data, list) else []
