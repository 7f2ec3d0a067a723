"""The use cases of lore: entries and characters read, changed, brought in, written to files, tried out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

from storyloom.app.given_text import LONGEST_PARAGRAPH, optional
from storyloom.app.lore import LoreKeeper
from storyloom.app.lore_edits import change_characters, change_entries
from storyloom.app.lore_fields import with_fields
from storyloom.app.lore_files import bring_in, has_book, lorebook_of
from storyloom.app.recurrence import derived_seed
from storyloom.app.shelf import Shelf, new_id
from storyloom.memory.errors import InvalidText
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.lore_results import LoreScan
from storyloom.memory.story import Story
from storyloom.storage.formats.lorebooks import read_lorebook, write_lorebook
from storyloom.storage.lore import Lore
from storyloom.storage.unit_of_work import UnitOfWork

T = TypeVar("T", LoreEntry, CharacterSheet)
_ID_BYTES = 6  # as long as any id


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """What a file brought, and what of it was left out or changed, a sentence each."""

    entries: tuple[LoreEntry, ...]
    characters: tuple[CharacterSheet, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A story's entries, or its characters, for a person who reads or changes them.

    Every change is a revision that can be undone, and marks the paragraphs that it makes stale. Fields are
    given by their names in ``LoreEntry`` and ``CharacterSheet``; a text may stand for any kind of value.

    Attributes:
        shelf: whose stories.
        blank: one without anything.
        repository: where they are kept.
        change: puts some in the place of others.
    """

    shelf: Shelf
    blank: T
    repository: Callable[[UnitOfWork], Lore[T]]
    change: Callable[[UnitOfWork, Story, Sequence[T], Sequence[T]], None]

    def list(self, reference: str) -> list[T]:
        """All of a story's, in the order of its book."""
        story, _ = self.shelf.find(reference)
        with self.shelf.database.unit_of_work(write=False) as work:
            return self.repository(work).of_story(story.id)

    def get(self, reference: str, which: str) -> T:
        """One of a story's, by its id, the beginning of it, or its name.

        Raises:
            LoreNotFound: none answers to ``which``, or more than one does.
        """
        story, _ = self.shelf.find(reference)
        with self.shelf.database.unit_of_work(write=False) as work:
            return self.repository(work).find(story.id, which)

    def add(self, reference: str, fields: Mapping[str, Any]) -> T:
        """Add one to the end of the book.

        Raises:
            InvalidText: a field is unknown or can't be what it is given, or all are empty.
        """
        new = with_fields(self.blank, fields)
        if new == self.blank:
            raise InvalidText("There is nothing in it. Give it a name and a text.")
        new = replace(new, id=new_id())
        story, _ = self.shelf.find(reference)
        with self.shelf.database.unit_of_work() as work:
            self.change(work, story, [], [new])
            work.commit()
        return new

    def edit(self, reference: str, which: str, fields: Mapping[str, Any]) -> T:
        """Change fields of one.

        Args:
            reference: the story.
            which: its id, the beginning of it, or its name.
            fields: new values by name.

        Raises:
            LoreNotFound: none answers to ``which``, or more than one does.
            InvalidText: a field is unknown or can't be what it is given.
        """
        story, _ = self.shelf.find(reference)
        with self.shelf.database.unit_of_work() as work:
            old = self.repository(work).find(story.id, which)
            new = with_fields(old, fields)
            if new != old:
                self.change(work, story, [old], [new])
                work.commit()
        return new

    def remove(self, reference: str, which: str) -> T:
        """Remove one; undoing brings it back.

        Raises:
            LoreNotFound: none answers to ``which``, or more than one does.
        """
        story, _ = self.shelf.find(reference)
        with self.shelf.database.unit_of_work() as work:
            old = self.repository(work).find(story.id, which)
            self.change(work, story, [old], [])
            work.commit()
        return old


class LoreShelf:
    """A story's lore and characters.

    Args:
        shelf: whose stories.
        keeper: scans the lore as a step does.

    Attributes:
        entries: the lore.
        characters: the characters' sheets.
    """

    def __init__(self, shelf: Shelf, keeper: LoreKeeper) -> None:
        self._shelf = shelf
        self._keeper = keeper
        self.entries = Kept(shelf, LoreEntry(id=""), lambda work: work.lore, change_entries)
        self.characters = Kept(
            shelf, CharacterSheet(id="", name=""), lambda work: work.characters, change_characters
        )

    def would_fire(self, reference: str, text: str = "", strand: str | None = None) -> LoreScan:
        """Which entries would fire at a strand's next step, and why; which would not, and why not.

        Args:
            reference: the story.
            text: the next step's plan; the last paragraphs are looked at in any case.
            strand: the strand, the main one by default.
        """
        story, line = self._shelf.find(reference, strand)
        plan = optional(text, "text", LONGEST_PARAGRAPH)
        with self._shelf.database.unit_of_work(write=False) as work:
            lines = [one.id for one in work.strands.of_story(story.id)]
            depth = work.steps.depth(line.id) + 1
        seed = derived_seed(derived_seed(story.settings.get("seed", 0), lines.index(line.id)), depth)
        return self._keeper.would_fire(story, line, plan, seed=seed)

    def bring_in(self, reference: str, file: Path) -> BroughtIn:
        """Add the lore and characters of another program's file.

        Raises:
            ImportRefused: the file can't be read or is in no known form.
        """
        story, _ = self._shelf.find(reference)
        book = read_lorebook(file, new_id)
        with self._shelf.database.unit_of_work() as work:
            left = bring_in(work, story, book)
            work.commit()
        return BroughtIn(book.entries, book.characters, (*book.refused, *left))

    def bring_in_once(self, reference: str, files: Sequence[Path]) -> None:
        """Add the lore and characters of files to a story that has none of any file yet, all or nothing.

        Their ids follow from the story's: chance, which draws by ids, is the same however often it is tried.

        Raises:
            ImportRefused: a file can't be read or is in no known form.
        """
        story, _ = self._shelf.find(reference)
        if not files or has_book(story):
            return
        numbers = count()

        def next_id() -> str:
            return blake2b(f"{story.id}:{next(numbers)}".encode(), digest_size=_ID_BYTES).hexdigest()

        books = [read_lorebook(file, next_id) for file in files]
        with self._shelf.database.unit_of_work() as work:
            story = work.stories.get(story.id)
            if not has_book(story):
                for book in books:
                    bring_in(work, work.stories.get(story.id), book, next_id)
                work.commit()

    def write_out(
        self, reference: str, file: Path, *, form: str = "", picture: Path | None = None
    ) -> tuple[str, ...]:
        """Write lore and characters in another program's form.

        Args:
            reference: the story.
            file: where to; its suffix means a form where none is named.
            form: one of ``storage.formats.lorebooks.FORMATS``.
            picture: for a card as .png, the PNG that it is put in.

        Returns:
            What the form has no place for, a sentence each.

        Raises:
            InvalidSetting: neither ``form`` nor the suffix names a form, or the book doesn't fit it.
            ImportRefused: the picture can't be read.
            StoreUnavailable: the file can't be written.
        """
        story, _ = self._shelf.find(reference)
        is_novelai = (form or file.suffix.lower().lstrip(".")) in {"novelai", "lorebook"}
        with self._shelf.database.unit_of_work(write=False) as work:
            book = lorebook_of(work, story, with_texts=is_novelai)
        return write_lorebook(file, book, format=form, picture=picture)
