"""What can be undone and done again, read from the edits themselves: an undo is an edit too."""

from collections.abc import Sequence
from dataclasses import dataclass

from storyloom.memory.story import Revision


@dataclass(frozen=True, slots=True)
class History:
    """The next step back and the next one forward.

    Attributes:
        undo: the edit that is undone next; None where there is none.
        redo: the undo that is undone next, which does the edit again.
    """

    undo: Revision | None = None
    redo: Revision | None = None


def history_of(edits: Sequence[Revision]) -> History:
    """Read the edits of some texts, newest first; one that brings back what the last changed is its undo."""
    done: list[Revision] = []
    undone: list[Revision] = []
    for edit in reversed(edits):
        if undone and _reverses(edit, undone[-1]):
            undone.pop()
            done.append(edit)
        elif done and _reverses(edit, done[-1]):
            done.pop()
            undone.append(edit)
        else:
            done.append(edit)
            undone.clear()
    return History(done[-1] if done else None, undone[-1] if undone else None)


def _reverses(edit: Revision, other: Revision) -> bool:
    place = (other.subject, other.strand_id, other.depth, other.new, other.old)
    return (edit.subject, edit.strand_id, edit.depth, edit.old, edit.new) == place
