"""Changes of lore and characters inside a unit of work, each of which can be undone.

With a change go its revision, marks on what it makes stale, and the passages by which recall finds it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from storyloom.app.lore import lore_passage
from storyloom.app.shelf import revision
from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.memory.pieces import passages as pieces_of
from storyloom.memory.story import Revision, Stale, StalePart, Story
from storyloom.storage.lore import Lore
from storyloom.storage.unit_of_work import UnitOfWork

# Subjects of revisions, and kinds of sources in provenance.
LORE, CHARACTER = "lore", "character"
_ENTRIES = TypeAdapter(list[LoreEntry])
_SHEETS = TypeAdapter(list[CharacterSheet])
_SHAPES: dict[str, TypeAdapter[Any]] = {LORE: _ENTRIES, CHARACTER: _SHEETS}
_CALLED = {LORE: "lore entry", CHARACTER: "character"}
# A revision tells what is new in full for a few entries, and by number for a whole book.
_MOST_TOLD = 20


def change_entries(
    work: UnitOfWork, story: Story, old: Sequence[LoreEntry], new: Sequence[LoreEntry]
) -> None:
    """Put lore entries in the place of others.

    Args:
        work: the unit, the caller's to commit.
        story: whose lore.
        old: entries as they are; those that ``new`` hasn't are removed.
        new: entries as they shall be; those that ``old`` hasn't are added.
    """
    _keep(work.lore, story, old, new)
    main = work.strands.main(story.id)
    for entry in old:
        work.passages.remove(lore_passage(main, entry))
    found = [entry for entry in new if entry.enabled and entry.content.strip()]
    work.passages.add([piece for entry in found for piece in pieces_of(lore_passage(main, entry))])
    after = {entry.id: entry for entry in new}
    changed = [entry for entry in old if entry.enabled and _told(after.get(entry.id)) != entry.content]
    _mark_stale(work, story, LORE, {entry.id: label(entry) for entry in changed})
    _record(work, story, LORE, old, new)


def change_characters(
    work: UnitOfWork, story: Story, old: Sequence[CharacterSheet], new: Sequence[CharacterSheet]
) -> None:
    """Put characters' sheets in the place of others; the arguments are as those of ``change_entries``."""
    _keep(work.characters, story, old, new)
    after = {sheet.id: sheet for sheet in new}
    changed = [sheet for sheet in old if sheet.enabled and after.get(sheet.id) != sheet]
    _mark_stale(work, story, CHARACTER, {sheet.id: sheet.name for sheet in changed})
    _record(work, story, CHARACTER, old, new)


def undo_lore(work: UnitOfWork, story: Story, edit: Revision) -> None:
    """Bring back what a change of lore or of characters replaced."""
    ids = set((edit.state or {}).get("ids", ()))
    if edit.subject == LORE:
        entries = [entry for entry in work.lore.of_story(story.id) if entry.id in ids]
        change_entries(work, story, entries, _ENTRIES.validate_json(edit.old))
    else:
        sheets = [sheet for sheet in work.characters.of_story(story.id) if sheet.id in ids]
        change_characters(work, story, sheets, _SHEETS.validate_json(edit.old))


def _keep(kept: Lore[Any], story: Story, old: Sequence[Any], new: Sequence[Any]) -> None:
    before, after = {one.id for one in old}, {one.id for one in new}
    for id_ in before - after:
        kept.remove(story.id, id_)
    for one in new:
        if one.id in before:
            kept.save(one)
    kept.add(story.id, [one for one in new if one.id not in before])


def _record(work: UnitOfWork, story: Story, subject: str, old: Sequence[Any], new: Sequence[Any]) -> None:
    adapter = _SHAPES[subject]
    told = adapter.dump_json(list(new)).decode() if len(new) <= _MOST_TOLD else f"{len(new)} of them"
    state = {"ids": sorted({one.id for one in (*old, *new)})}
    work.revisions.add(revision(story, subject, adapter.dump_json(list(old)).decode(), told, state=state))
    work.stories.save(work.stories.get(story.id))  # its version tells every reader of its texts


def _mark_stale(work: UnitOfWork, story: Story, subject: str, changed: Mapping[str, str]) -> None:
    """Mark the paragraphs whose prompts held what is different now; ``changed`` has names by id."""
    if not changed:
        return
    now = datetime.now(UTC)
    marks = []
    for source, strand, depth in work.provenance.of_kind(story.id, subject):
        name = changed.get(source.partition(":")[2])
        if name is not None:
            cause = f"the {_CALLED[subject]} {name!r} was edited"
            part = StalePart.PARAGRAPH
            marks.append(Stale(strand_id=strand, depth=depth, part=part, cause=cause, created_at=now))
    work.stale.add(marks)


def _told(entry: LoreEntry | None) -> str:
    """What an entry says in prompts."""
    return entry.content if entry is not None and entry.enabled else ""
