import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.strands import Pair
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText, StrandNotFound


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path], tmp_path: Path) -> str:
    """A story with four paragraphs."""
    return studio.import_file(Path(shutil.copy(told(4), tmp_path / "told.json")), Listener()).id


def grown(studio: Studio, story: str, at: int, parent: str | None, paragraphs: int) -> str:
    """A branch with so many paragraphs of its own; gives its id."""
    branch = studio.branch(story, at, parent)
    wish = Wish(plan=f"Mara leaves at {branch.id}.")
    list(studio.write(story, Listener(), strand=branch.id, paragraphs=paragraphs, wish=wish))
    return branch.id


def main(studio: Studio, story: str) -> str:
    return studio.show(story).strand.id


def texts(studio: Studio, story: str, strand: str) -> list[str]:
    return [step.paragraph for step in studio.show(story, strand).steps]


def test_a_tree_tells_how_long_each_strand_is(studio: Studio, story: str) -> None:
    side = grown(studio, story, 2, None, 1)
    fresh = studio.branch(story, 1, side).id
    tree = studio.strands.tree(story)
    assert [(one.strand.id, one.depth, one.own) for one in tree] == [
        (main(studio, story), 4, 4),
        (side, 3, 1),
        (fresh, 1, 0),
    ]
    assert [(one.strand, one.depth) for one in tree] == studio.branches(story)


def test_strands_are_compared_from_their_fork_on(studio: Studio, story: str) -> None:
    side = grown(studio, story, 2, None, 1)
    found = studio.strands.compare(story, main(studio, story), side, most=20)
    whole, other = texts(studio, story, main(studio, story)), texts(studio, story, side)
    assert (found.shared, found.longest) == (2, 4)
    assert found.pairs == (Pair(3, whole[2], other[2]), Pair(4, whole[3], None))
    assert whole[2] != other[2]
    assert studio.strands.compare(story, main(studio, story), side, most=1).pairs == found.pairs[:1]


@pytest.mark.parametrize(("at", "shared"), [(1, 1), (2, 2), (3, 2)])
def test_the_fork_of_a_branch_of_a_branch_is_found(studio: Studio, story: str, at: int, shared: int) -> None:
    side = grown(studio, story, 2, None, 2)
    later = grown(studio, story, at, side, 1)
    assert studio.strands.compare(story, main(studio, story), later, most=1).shared == shared
    assert studio.strands.compare(story, side, later, most=1).shared == at


def test_a_strand_without_a_step_of_its_own_shares_all_that_it_has(studio: Studio, story: str) -> None:
    fresh = studio.branch(story, 3).id
    found = studio.strands.compare(story, main(studio, story), fresh, most=20)
    assert (found.shared, [pair.right for pair in found.pairs]) == (3, [None])
    same = studio.strands.compare(story, fresh, fresh, most=20)
    assert (same.shared, same.pairs) == (3, ())


def test_a_strand_is_named_and_found_by_its_name(studio: Studio, story: str) -> None:
    side = studio.branch(story, 2).id
    assert studio.strands.rename(story, side, "  The other  door ").name == "The other  door"
    assert studio.show(story, "the other door").strand.id == side
    assert studio.strands.rename(story, side, "").name == ""
    with pytest.raises(StrandNotFound):
        studio.show(story, "the other door")
    with pytest.raises(InvalidText, match="Shorten it"):
        studio.strands.rename(story, side, "x" * 5000)
    with pytest.raises(StrandNotFound):
        studio.of_owner("local").strands.rename(story, "nothing-like-it", "x")


def test_an_archived_strand_keeps_all_and_serves_its_branches(studio: Studio, story: str) -> None:
    side = grown(studio, story, 2, None, 2)
    child = grown(studio, story, 3, side, 1)
    before = texts(studio, story, side)
    assert studio.strands.archive(story, side).archived
    assert [one.strand.archived for one in studio.strands.tree(story)] == [False, True, False]
    assert texts(studio, story, side) == before
    assert texts(studio, story, child)[:3] == before[:3]
    list(studio.write(story, Listener(), strand=side))  # it can still be written on
    assert studio.show(story, side).strand.archived
    assert not studio.strands.bring_back(story, side).archived
    assert not any(one.strand.archived for one in studio.strands.tree(story))


def test_the_main_strand_cant_be_archived(studio: Studio, story: str) -> None:
    with pytest.raises(InvalidText, match="main strand can't be archived"):
        studio.strands.archive(story, main(studio, story))
    for change in (studio.strands.archive, studio.strands.bring_back):
        with pytest.raises(StrandNotFound):
            change(story, "nothing-like-it")


def test_a_duplicate_and_a_file_keep_what_is_archived(studio: Studio, story: str, tmp_path: Path) -> None:
    side = studio.branch(story, 2).id
    studio.strands.archive(story, side)
    copy = studio.duplicate(story).id
    assert [one.strand.archived for one in studio.strands.tree(copy)] == [False, True]
    file = studio.export(story, tmp_path / "archived.json")
    studio.delete(story)
    studio.import_file(file, Listener())
    assert [one.strand.archived for one in studio.strands.tree(story)] == [False, True]
