"""A batch without a terminal: a line for whatever happens, in words or as JSON."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from storyloom.app.batch.changes import Change
from storyloom.app.batch.snapshot import Snapshot
from storyloom.ui import output
from storyloom.ui.batch_text import happened, summary


class BatchLines:
    """Says on stderr what happens: for pipes, files and plain terminals."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None: ...

    def show(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """A line a change, and how far all stories are whenever one ends."""
        for change in changes:
            output.note(happened(change))
            if change.kind == "done":
                output.note(summary(snapshot))

    def notice(self, text: str) -> None:
        """Pass it on."""
        output.note(text)


class BatchEvents(BatchLines):
    """Prints JSON Lines on stdout: for scripts."""

    def show(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:  # noqa: ARG002  (the front's signature)
        """A document a change."""
        for change in changes:
            output.emit(event(change), indent=None)

    def notice(self, text: str) -> None:
        """A document too."""
        output.emit({"event": "notice", "text": text}, indent=None)


def event(change: Change) -> dict[str, Any]:
    """A change as JSON data: a contract, told in ``docs/cli.md``."""
    task, step = change.story.task, change.step
    found: dict[str, Any] = {
        "event": change.kind,
        "key": task.key,
        "story": task.order.story_id,
        "words": change.words,
    }
    if step is not None:
        found |= {"step": step.depth, "tokens": step.tokens, "seconds": step.seconds}
    if change.kind in {"retry", "failed"}:
        found |= {"error": task.error}
    return found
