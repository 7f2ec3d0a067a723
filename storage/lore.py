"""Lore and characters: each story's entries and sheets in the order of its book.

What recall finds of them are passages, which the caller keeps in step.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from storyloom.memory.errors import LoreNotFound
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.storage.locks import hold_story
from storyloom.storage.rows import title_key
from storyloom.storage.tables import LoreRow

_SHORTEST_PREFIX = 4
_MOST_NAMED = 5

# Built once: every unit of work needs them, and building one takes milliseconds.
_ADAPTERS: dict[type, TypeAdapter[Any]] = {shape: TypeAdapter(shape) for shape in (LoreEntry, CharacterSheet)}

T = TypeVar("T", LoreEntry, CharacterSheet)


class Lore(Generic[T]):
    """The entries, or the characters' sheets, of one unit of work.

    Args:
        session: the unit's session.
        shape: what is kept: ``LoreEntry`` or ``CharacterSheet``.
        kind: how the table tells the two apart.
        called: what a person calls one of them, for errors.
    """

    def __init__(self, session: Session, shape: type[T], *, kind: str, called: str) -> None:
        self._session = session
        self._adapter: TypeAdapter[T] = _ADAPTERS[shape]
        self._kind = kind
        self._called = called

    def add(self, story_id: str, values: Sequence[T]) -> None:
        """Keep new ones after those that are there, in their order."""
        hold_story(self._session, story_id)
        first = self._next_place(story_id)
        self._session.add_all(
            LoreRow(
                id=value.id,
                story_id=story_id,
                kind=self._kind,
                place=place,
                name=value.name,
                content=self._adapter.dump_python(value, mode="json"),
            )
            for place, value in enumerate(values, start=first)
        )
        self._session.flush()

    def save(self, value: T) -> None:
        """Keep a changed one in its place.

        Raises:
            LoreNotFound: it was removed meanwhile.
        """
        row = self._session.get(LoreRow, value.id)
        if row is None or row.kind != self._kind:
            raise self._not_found(value.id)
        row.name = value.name
        row.content = self._adapter.dump_python(value, mode="json")
        self._session.flush()

    def remove(self, story_id: str, id_: str) -> None:
        """Remove one; one that isn't there is no error."""
        self._session.exec(
            delete(LoreRow).where(
                col(LoreRow.id) == id_,
                col(LoreRow.story_id) == story_id,
                col(LoreRow.kind) == self._kind,
            )
        )

    def of_story(self, story_id: str) -> list[T]:
        """All of a story's, in the order of its book."""
        query = (
            select(LoreRow.content)
            .where(LoreRow.story_id == story_id, LoreRow.kind == self._kind)
            .order_by(col(LoreRow.place), col(LoreRow.id))
        )
        return [self._adapter.validate_python(content) for content in self._session.exec(query)]

    def find(self, story_id: str, reference: str) -> T:
        """The one that a person means by an id, the beginning of one, or a name.

        Raises:
            LoreNotFound: none of the story's answers to it, or more than one does.
        """
        query = select(LoreRow).where(LoreRow.story_id == story_id, LoreRow.kind == self._kind)
        rows = self._session.exec(query.order_by(col(LoreRow.place))).all()
        key = title_key(reference)
        found = [row for row in rows if row.id == reference] or [
            row
            for row in rows
            if (key and title_key(row.name) == key)
            or (len(reference) >= _SHORTEST_PREFIX and row.id.startswith(reference))
        ]
        if len(found) == 1:
            return self._adapter.validate_python(found[0].content)
        if not found:
            raise self._not_found(reference)
        named = ", ".join(f"{row.id} ({row.name})" for row in found[:_MOST_NAMED])
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise LoreNotFound(
            f"{reference[:80]!r} could be any of {len(found)}: {named}{more}. Use the whole id."
        )

    def _next_place(self, story_id: str) -> int:
        query = select(func.max(LoreRow.place)).where(
            LoreRow.story_id == story_id, LoreRow.kind == self._kind
        )
        last = self._session.exec(query).one()
        return 0 if last is None else last + 1

    def _not_found(self, reference: str) -> LoreNotFound:
        return LoreNotFound(f"The story has no {self._called} {reference[:80]!r}.")
