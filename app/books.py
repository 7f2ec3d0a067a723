"""Whole books: an order, written from its premise to its last paragraph.

Nothing is remembered between two paragraphs but what is committed: a book that was broken off, however
it was, is written on by the same call.
"""

from collections.abc import Iterator
from pathlib import Path

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.orders import Order
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
        self._studio.begin(_beginning(order), listener, model=order.model or None)
        files = [Path(file) for file in order.lore]
        self._studio.lore.bring_in_once(order.story_id, files)
        yield from self._studio.follow(order.story_id, self._wishes(order), listener)
        for file in order.exports:
            self._studio.export(order.story_id, Path(file))

    def _wishes(self, order: Order) -> Iterator[Wish]:
        """What is asked of each next step, until the text is done."""
        while self._studio.progress(order.story_id).paragraphs < (order.paragraphs or 0):
            yield Wish()


def _beginning(order: Order) -> Beginning:
    return Beginning(
        id=order.story_id,
        premise=order.premise,
        outline=order.outline,
        title=order.title,
        mode=order.mode,
        language=order.language,
        style=order.style,
        seed=order.seed,
        sampling=order.sampling,
    )
