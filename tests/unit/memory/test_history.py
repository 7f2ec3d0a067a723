from datetime import UTC, datetime

from storyloom.memory.history import History, history_of
from storyloom.memory.story import Revision


def edit(number: int, old: str, new: str, depth: int = 3) -> Revision:
    return Revision(
        id=str(number),
        story_id="t",
        strand_id="s",
        depth=depth,
        subject="paragraph",
        old=old,
        new=new,
        created_at=datetime(2026, 3, 4, 0, 0, number, tzinfo=UTC),
    )


FIRST, SECOND = edit(1, "a", "b"), edit(2, "b", "c")
BACK, FURTHER_BACK = edit(3, "c", "b"), edit(4, "b", "a")
FORTH, FURTHER_FORTH = edit(5, "a", "b"), edit(6, "b", "c")


def told(*edits: Revision) -> History:
    return history_of(edits[::-1])


def test_without_edits_there_is_nothing_to_undo() -> None:
    assert told() == History()


def test_edits_are_undone_one_after_another() -> None:
    assert told(FIRST, SECOND) == History(SECOND, None)
    assert told(FIRST, SECOND, BACK) == History(FIRST, BACK)
    assert told(FIRST, SECOND, BACK, FURTHER_BACK) == History(None, FURTHER_BACK)


def test_what_was_undone_is_done_again_in_its_order() -> None:
    undone = (FIRST, SECOND, BACK, FURTHER_BACK)
    assert told(*undone, FORTH) == History(FORTH, BACK)
    assert told(*undone, FORTH, FURTHER_FORTH) == History(FURTHER_FORTH, None)
    assert told(*undone, FORTH, FURTHER_FORTH, edit(7, "c", "b")) == History(FORTH, edit(7, "c", "b"))


def test_after_a_new_edit_nothing_is_done_again() -> None:
    other = edit(4, "b", "d")
    assert told(FIRST, SECOND, BACK, other) == History(other, None)


def test_the_same_words_elsewhere_undo_nothing() -> None:
    elsewhere = edit(2, "b", "a", depth=4)
    assert told(FIRST, elsewhere) == History(elsewhere, None)
