from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from storyloom.memory.errors import StepConflict, StoryNotFound
from storyloom.memory.story import Mode, Provenance, Revision, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.text_search import text_search

NewStory = Callable[..., Story]


@pytest.fixture
def three(database: Database, new_story: NewStory) -> list[Story]:
    stories = [
        new_story(id="aaaa11112222", title="The Lamp"),
        new_story(id="aaaa33334444", title="Straße nach  Süden"),
        new_story(id="bbbb55556666", title="The Lamp II", owner="somebody"),
    ]
    with database.unit_of_work() as work:
        for story in stories:
            work.stories.add(story)
        work.commit()
    return stories


def test_every_field_comes_back(database: Database, new_story: NewStory) -> None:
    story = new_story(
        mode=Mode.FICTION,
        language="ar",
        premise="ليلة طويلة\u202e and 鐘",
        settings={"nested": {"list": [1, 2.5, None, True, "x"]}},
        version=41,
    )
    with database.unit_of_work() as work:
        work.stories.add(story)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.stories.get(story.id) == story


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("aaaa11112222", 0),
        ("aaaa1", 0),
        ("the lamp", 0),
        ("  THE   Lamp ", 0),
        ("aaaa3", 1),
        ("STRASSE nach süden", 1),
    ],
)
def test_a_story_is_found_by_id_prefix_or_title(
    database: Database, three: list[Story], reference: str, found: int
) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.stories.find(reference, "local") == three[found]


@pytest.mark.parametrize(
    "reference",
    ["aaa", "cccc", "The", "%", "____________", "", "'; DROP TABLE story; --", "bbbb55556666", "x" * 9999],
)
def test_what_isnt_there_is_told_with_the_way_to_look(
    database: Database, three: list[Story], reference: str
) -> None:
    assert three
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(StoryNotFound, match="storyloom list") as refused,
    ):
        work.stories.find(reference, "local")
    assert len(str(refused.value)) < 200


def test_an_ambiguous_prefix_names_the_candidates(database: Database, three: list[Story]) -> None:
    assert three
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(StoryNotFound, match=r"any of 2 stories: .*aaaa33334444 \(Straße") as refused,
    ):
        work.stories.find("aaaa", "local")
    assert "aaaa11112222 (The Lamp)" in str(refused.value)


def test_a_title_that_many_stories_have_names_a_few(database: Database, new_story: NewStory) -> None:
    with database.unit_of_work() as work:
        for _ in range(7):
            work.stories.add(new_story(title="Untitled"))
        with pytest.raises(StoryNotFound, match=r"any of 7 stories.*and 2 more"):
            work.stories.find("untitled", "local")


def test_an_exact_id_wins_over_a_title(database: Database, new_story: NewStory) -> None:
    story, decoy = new_story(id="lamp0000"), new_story(title="lamp0000")
    with database.unit_of_work() as work:
        work.stories.add(story)
        work.stories.add(decoy)
        assert work.stories.find("lamp0000", "local") == story


def test_the_list_counts_the_main_strand_newest_first_in_two_queries(
    database: Database,
    story: Story,
    new_story: NewStory,
    grow: Callable[..., None],
    branch: Callable[..., Strand],
) -> None:
    grow("main", 1, 3, {1: "One two three.", 2: "四五", 3: "six"})
    branch("side", "main", 1)
    grow("side", 2, 4)
    empty = new_story(id="empty0000000", title="Empty", updated_at=datetime(2030, 1, 1, tzinfo=UTC))
    with database.unit_of_work() as work:
        work.stories.add(empty)
        work.stories.add(new_story(owner="somebody"))
        work.commit()
    statements: list[str] = []
    event.listen(
        database._engine,
        "before_cursor_execute",
        lambda _conn, _cursor, statement, *_: statements.append(statement),
    )
    with database.unit_of_work(write=False) as work:
        first, second = work.stories.list("local")
    assert (first.id, first.words, first.steps) == (empty.id, 0, 0)
    assert (second.id, second.words, second.steps) == (story.id, 6, 3)
    assert len([statement for statement in statements if statement != "BEGIN"]) == 2


def test_a_new_step_brings_its_story_to_the_top(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 1)
    with database.unit_of_work(write=False) as work:
        changed = work.stories.get(story.id)
    assert changed.updated_at == story.updated_at + timedelta(minutes=1)
    assert changed.version == story.version  # a step is no change of the story's own fields


def test_saving_raises_the_version_and_a_stale_copy_is_refused(database: Database, story: Story) -> None:
    with database.unit_of_work() as work:
        saved = work.stories.save(replace(story, title="The Bell"))
        work.commit()
    assert (saved.title, saved.version) == ("The Bell", story.version + 1)
    with database.unit_of_work() as work:
        assert work.stories.get(story.id) == saved
        assert work.stories.find("the bell", "local") == saved
        with pytest.raises(StepConflict, match="changed by somebody else"):
            work.stories.save(replace(story, title="The Gong"))
    with database.unit_of_work(write=False) as work:
        assert work.stories.get(story.id).title == "The Bell"


def test_saving_a_deleted_story_says_so(database: Database, new_story: NewStory) -> None:
    with database.unit_of_work() as work, pytest.raises(StoryNotFound):
        work.stories.save(new_story())


def test_deleting_takes_all_that_belongs_to_the_story_and_nothing_else(
    database: Database,
    story: Story,
    new_story: NewStory,
    grow: Callable[..., None],
    branch: Callable[..., Strand],
    provenance: Provenance,
) -> None:
    grow("main", 1, 3)
    branch("side", "main", 2)
    grow("side", 3, 4)
    other = new_story(title="Stays")
    with database.unit_of_work() as work:
        work.provenance.add("main", 2, provenance)
        work.revisions.add(revision(story.id))
        work.jobs.claim("side", "worker", 4.0)
        work.stories.add(other)
        work.strands.add(Strand(id="other", story_id=other.id, created_at=other.created_at))
        work.commit()
    grow("other", 1, 2)
    with database.unit_of_work() as work:
        work.stories.delete(story.id)
        work.commit()
    with database._engine.connect() as connection:
        left = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
            for table in ("story", "strand", "step", "passage", "revision", "job", "call", "slot")
        }
    assert left == {
        "story": 1,
        "strand": 1,
        "step": 2,
        "passage": 2,
        "revision": 0,
        "job": 0,
        "call": 0,
        "slot": 0,
    }
    with database.unit_of_work(write=False) as work:
        (found,) = text_search(work._session).holders(["paragraph"], first=1, last=1000, most=1000)
        assert len(found) == 2
    assert database.check() == []


def revision(story_id: str) -> Revision:
    return Revision(
        id="revision",
        story_id=story_id,
        strand_id="main",
        depth=2,
        subject="paragraph",
        old="a",
        new="b",
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )


def test_deleting_what_isnt_there_says_so(database: Database) -> None:
    with database.unit_of_work() as work, pytest.raises(StoryNotFound, match="storyloom list"):
        work.stories.delete("nothing")
