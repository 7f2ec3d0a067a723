import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storyloom.memory.errors import ImportRefused, StoryNotFound
from storyloom.memory.story import Note, Passage, Provenance, Revision, ShortMemory, Step, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats.json_format import dump_story, import_story, load_story


@pytest.fixture
def other(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """A second, empty database."""
    file = tmp_path / "other.sqlite3"
    file.write_bytes(migrated_file.read_bytes())
    opened = Database(f"sqlite:///{file}")
    yield opened
    opened.close()


@pytest.fixture
def exported(
    database: Database,
    story: Story,
    grow: Callable[..., None],
    branch: Callable[..., Strand],
    new_step: Callable[..., Step],
    provenance: Provenance,
) -> str:
    """A story that has everything a story can have."""
    grow("main", 1, 4, {2: 'Quotes " and \\ and \0 and \u2028 and 鐘 and \U0001f514.'})
    branch("b-side", "main", 3, name="Darker", memory=ShortMemory((Note("Kept.", 2, pinned=True),)))
    branch("a-side", "b-side", 2, archived=True)
    with database.unit_of_work() as work:
        work.steps.append(new_step("b-side", 4, seconds=0.1 + 0.2, seed=2**63 - 1))
        work.passages.add(
            [Passage(strand_id="b-side", depth=4, text="x", vector=(0.1, -1e-40, 3.4e38), embedder="e")]
        )
        work.provenance.add("main", 2, provenance)
        work.revisions.add(
            Revision(
                id="r1",
                story_id=story.id,
                strand_id="main",
                depth=2,
                subject="paragraph",
                old="before",
                new="after",
                created_at=story.created_at,
            )
        )
        work.stories.save(replace(story, settings={"zeta": 1, "alpha": {"b": [1e-9, None], "a": "ü"}}))
        work.jobs.claim("main", "w", 4.0)
        work.commit()
    with database.unit_of_work(write=False) as work:
        return dump_story(work, story.id)


def test_export_import_export_gives_equal_bytes(exported: str, other: Database, story: Story) -> None:
    with other.unit_of_work() as work:
        imported = import_story(work, exported, owner="somebody else")
        work.commit()
    assert (imported.id, imported.owner) == (story.id, "somebody else")
    with other.unit_of_work(write=False) as work:
        assert dump_story(work, story.id).encode() == exported.encode()
    assert other.check() == []


def test_everything_is_there_again(
    database: Database, other: Database, exported: str, story: Story, provenance: Provenance
) -> None:
    with other.unit_of_work() as work:
        import_story(work, exported, owner="local")
        work.commit()
    with database.unit_of_work(write=False) as old, other.unit_of_work(write=False) as new:
        assert new.stories.get(story.id) == old.stories.get(story.id)
        assert new.strands.of_story(story.id) == old.strands.of_story(story.id)
        for strand in ("main", "b-side", "a-side"):
            assert new.steps.path(strand) == old.steps.path(strand)
            assert list(new.passages.of_strand(strand)) == list(old.passages.of_strand(strand))
        assert new.provenance.get("main", 2) == provenance
        assert new.revisions.of_story(story.id) == old.revisions.of_story(story.id)
        assert new.stories.list("local") == old.stories.list("local")
        segments = new.steps.segments("main")
        assert new.passages.search(
            terms={"鐘": 1.0}, vector=(), embedder="", segments=segments, before=99, limit=5
        )


def test_a_file_from_before_there_was_an_archive_is_read_still(exported: str) -> None:
    old = exported.replace('"version": 3', '"version": 2')
    old = old.replace(',"archived":false', "").replace(',"archived":true', "")
    assert "archived" in exported
    assert "archived" not in old
    assert [strand.archived for strand in load_story(exported).strands] == [False, False, True]
    assert [strand.archived for strand in load_story(old).strands] == [False, False, False]


def test_a_fresh_story_can_be_exported(database: Database, story: Story, other: Database) -> None:
    with database.unit_of_work(write=False) as work:
        text = dump_story(work, story.id)
    with other.unit_of_work() as work:
        import_story(work, text, owner="local")
        assert dump_story(work, story.id) == text


def test_only_a_story_can_be_exported(database: Database) -> None:
    with database.unit_of_work(write=False) as work, pytest.raises(StoryNotFound):
        dump_story(work, "nothing")


def test_the_owner_isnt_in_the_file(exported: str) -> None:
    assert "owner" not in exported


def test_a_story_that_is_there_is_left_alone(database: Database, exported: str) -> None:
    with database.unit_of_work() as work, pytest.raises(ImportRefused, match="is there already"):
        import_story(work, exported, owner="local")


def test_an_id_of_another_storys_part_is_refused(database: Database, exported: str) -> None:
    data = json.loads(exported)
    data["story"]["id"] = "fresh"
    for part in (*data["strands"], *data["revisions"]):
        part["story_id"] = "fresh"
    with database.unit_of_work() as work, pytest.raises(ImportRefused, match="part of another story"):
        import_story(work, json.dumps(data), owner="local")
    assert database.check() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("null", "format: must be"),
        ("[]", "format: must be"),
        ('{"format": "other"}', "format: must be"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("1" * 10_000, "no JSON"),
        ('{"format": "storyloom.story", "version": 4}', "newer Storyloom"),
        ('{"format": "storyloom.story", "version": "1"}', "version: Input should be 1"),
        ('{"format": "storyloom.story", "version": 0}', "version: Input should be 1"),
        ('{"format": "storyloom.story", "version": 1}', "story: Field required"),
        ('{"format": "storyloom.story", "a": NaN}', "NaN is no number"),
        ('{"format": "storyloom.story", "a": -Infinity}', "Infinity is no number"),
        ('{"format": "storyloom.story", "a": 1e999}', "a number is too large"),
        ('{"format": "storyloom.story", "a": 9223372036854775808}', "a whole number is too large"),
    ],
)
def test_what_is_no_story_file_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ImportRefused, match=reason) as refused:
        load_story(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("story", "title"), 7, "story.title: "),
        (("story", "mode"), "opera", "story.mode: "),
        (("story", "settings"), [], "story.settings: "),
        (("story", "created_at"), "yesterday", "story.created_at: "),
        (("story", "extra"), 1, "story.extra: "),
        (("steps", 2, "depth"), "3", "steps.2.depth: "),
        (("steps", 0, "depth"), 1.5, "steps.0.depth: "),
        (("steps", 0, "paragraph"), None, "steps.0.paragraph: "),
        (("steps", 0, "memory", "notes", 0, "origin"), "angel", "steps.0.memory.notes.0.origin: "),
        (("steps", 0, "evil"), "__import__('os')", "steps.0.evil: "),
        (("passages", 4, "vector"), "not base64!", "passages.4.vector: "),
        (("provenance", 0, "calls", 1, "seconds"), "1", "provenance.0.calls.1.seconds: "),
        (("strands",), {}, "strands: "),
    ],
)
def test_the_first_wrong_field_is_named(
    exported: str, path: tuple[str | int, ...], value: object, field: str
) -> None:
    data = json.loads(exported)
    part: Any = data
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(ImportRefused, match=field):
        load_story(json.dumps(data))


def test_half_a_character_is_refused(exported: str) -> None:
    with pytest.raises(ImportRefused):
        load_story(exported.replace('"The Lamp"', '"The \\ud800Lamp"'))


def test_a_refused_import_leaves_nothing(exported: str, other: Database) -> None:
    data = json.loads(exported)
    data["steps"][3]["depth"] = 9
    with other.unit_of_work() as work:
        with pytest.raises(ImportRefused, match=r"steps\.3\.depth: must be 4"):
            import_story(work, json.dumps(data), owner="local")
        assert work.stories.list("local") == []
