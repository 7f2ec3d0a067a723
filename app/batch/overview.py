"""An owner's batches as a page shows them, whoever writes them; and the end of a story that isn't wanted."""

from collections.abc import Mapping
from dataclasses import dataclass

from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.shelf import Shelf

_NEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Batches as they stand.

    Attributes:
        snapshots: of the newest batches, the newest first.
        left_out: how many older ones there are.
        titles: of the stories that have been begun, by their ids.
    """

    snapshots: tuple[Snapshot, ...]
    left_out: int
    titles: Mapping[str, str]


class Batches:
    """The batches of one owner.

    Args:
        shelf: whose batches.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def overview(self) -> Overview:
        """The newest batches, with what each of their stories has come to."""
        shelf = self._shelf
        with shelf.database.unit_of_work(write=False) as work:
            batches = work.tasks.batches(shelf.owner)
            keys = {
                batch.id: [task.key for task in work.tasks.of_batch(batch.id)] for batch in batches[:_NEWEST]
            }
            titles = {story.id: story.title for story in work.stories.list(shelf.owner)} if batches else {}
        return Overview(
            snapshots=tuple(
                Watch(shelf.database, batch, keys[batch.id]).take() for batch in batches[:_NEWEST]
            ),
            left_out=max(0, len(batches) - _NEWEST),
            titles=titles,
        )

    def cancel(self, task_id: str) -> bool:
        """End a story's writing: at once, or after the paragraph at hand; what is written stays.

        Returns:
            False where it had ended before, or is none of the owner's.
        """
        with self._shelf.database.unit_of_work() as work:
            task = work.tasks.get(task_id)
            mine = work.tasks.batches(self._shelf.owner)
            if task is None or task.batch_id not in {batch.id for batch in mine}:
                return False
            ended = work.tasks.cancel(task_id)
            work.commit()
        return ended
