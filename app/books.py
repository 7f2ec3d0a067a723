"""Whole books: an order, written from its premise to its last paragraph.

Nothing is remembered between two paragraphs but what is committed: a book that was broken off, however
it was, is written on by the same call. An outline becomes chapters: each begins with its line as the plan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from storyloom.app.agents.planner import OUTLINE_LINES
from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.given_text import LONGEST_PLAN, required
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.length import Length, coming, most_chapters, usual_chapters
from storyloom.memory.orders import Order
from storyloom.memory.outline import outline_chapters
from storyloom.memory.story import Step


class Books:
    """Writes orders.

    Args:
        studio: of the owner whose stories they are.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def write(self, order: Order, listener: Listener) -> Iterator[Step]:
        """Write what is missing of an order: its story, its lore, its paragraphs, its exports.

        Files that it exported before are replaced. Equal orders give equal text where the model can
        promise it, broken off or not.

        Args:
            order: what is to be written.
            listener: hears everything of its writing.

        Yields:
            Each step once it is committed.

        Raises:
            StoryNotFound: the story of that id is somebody else's.
            InvalidText, InvalidSetting, ImportRefused: the order can't be written as it is.
            ModelUnavailable, ModelFailed, StoreUnavailable: what is committed stands.
            Cancelled: the listener asked to stop; what is committed stands.
        """
        length = self._length(order)
        most = most_chapters(length) if order.outline else _chapters(order, length)
        story = self._studio.begin(_beginning(order, most), listener, model=order.model or None).story
        chapters = _checked(outline_chapters(story.outline, most))
        self._studio.lore.bring_in_once(order.story_id, [Path(file) for file in order.lore])
        wishes = self._wishes(story.id, replace(length, chapters=len(chapters)), chapters)
        yield from self._studio.follow(story.id, wishes, listener)
        for file in order.exports:
            self._studio.export(order.story_id, Path(file))

    def _length(self, order: Order) -> Length:
        if order.words is None and order.paragraphs is None:
            raise InvalidSetting(
                f"How long {order.premise[:40]!r} shall get isn't said. Ask for a number of words or of "
                "paragraphs."
            )
        usual = self._studio.profile(order.model or None).words_of(order.mode)
        return Length(words=order.words, paragraphs=order.paragraphs, usual=usual)

    def _wishes(self, story_id: str, length: Length, chapters: Sequence[str]) -> Iterator[Wish]:
        """What is asked of each next step, until the text is done."""
        while (paragraph := coming(length, self._studio.progress(story_id))) is not None:
            yield Wish(
                chapter=chapters[paragraph.chapter - 1] if paragraph.chapter else "",
                opens=paragraph.opens,
                words=paragraph.words,
            )


def _chapters(order: Order, length: Length) -> int:
    """How many chapters a text has whose outline isn't given; 0 where it would be one."""
    wanted = usual_chapters(length) if order.chapters is None else order.chapters
    chapters = min(wanted, most_chapters(length))
    return chapters if chapters > 1 else 0


def _checked(chapters: Sequence[str]) -> tuple[str, ...]:
    """The chapters of an outline, each short enough for a plan; a single one is the whole text."""
    if len(chapters) < 2:
        return ()
    return tuple(required(chapter, "outline's line of a chapter", LONGEST_PLAN) for chapter in chapters)


def _beginning(order: Order, chapters: int) -> Beginning:
    return Beginning(
        id=order.story_id,
        premise=order.premise or _first_line(order.outline),
        outline=order.outline,
        lines=chapters or OUTLINE_LINES,
        title=order.title,
        mode=order.mode,
        language=order.language,
        style=order.style,
        seed=order.seed,
        sampling=order.sampling,
    )


def _first_line(outline: str) -> str:
    """What a text is about whose outline alone is given: how it begins. A small model isn't shown more."""
    return next(iter(outline_chapters(outline, len(outline))), "")
