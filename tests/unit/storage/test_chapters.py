from collections.abc import Callable

from storyloom.memory.story import Chapter, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats import json_format


def test_a_branch_sees_the_chapters_before_its_fork_and_its_own(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    grow("main", 1, 6)
    branch("side", "main", 4)
    grow("side", 5, 6)
    first, late, own = (
        Chapter(strand_id=strand, depth=depth, title=title)
        for strand, depth, title in (("main", 1, "One"), ("main", 5, "Two"), ("side", 6, "Another"))
    )
    with database.unit_of_work() as work:
        work.chapters.add([late, first, own])
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.chapters.path("main") == [first, late]
        assert work.chapters.path("side") == [first, own]
        assert work.chapters.of_strand("side") == [own]
        assert (work.chapters.count("main"), work.chapters.count("side")) == (2, 2)
        exported = json_format.load_story(json_format.dump_story(work, story.id))
    assert exported.chapters == (first, late, own)


def test_a_file_of_version_one_is_read_still(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 2)
    with database.unit_of_work(write=False) as work:
        text = json_format.dump_story(work, story.id)
    old = text.replace('"version": 3', '"version": 1').replace('"chapters": [\n\n],\n', "")
    assert old != text
    assert json_format.load_story(old).chapters == ()
