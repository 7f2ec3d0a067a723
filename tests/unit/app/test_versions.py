"""Versions: what stands in a paragraph's place elsewhere, and strands whose paragraphs stand otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText, StrandNotFound
from storyloom.memory.story import Chapter, MemoryChange, Note, Origin, PassageKind, Step
from storyloom.storage.database import Database
from storyloom.storage.unit_of_work import UnitOfWork

NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with six steps."""
    return studio.import_file(told(6), Listener()).id


@contextmanager
def changing(database: Database) -> Iterator[UnitOfWork]:
    with database.unit_of_work() as work:
        yield work
        work.commit()


def texts(studio: Studio, story: str, strand: str | None = None) -> list[str]:
    return [step.paragraph for step in studio.show(story, strand).steps]


def write(studio: Studio, story: str, strand: str, wish: Wish | None = None) -> Step:
    (step,) = studio.write(story, Listener(), wish=wish, strand=strand)
    return step


def marks(studio: Studio, story: str, strand: str) -> list[tuple[int, str]]:
    return [(one.depth, one.part.value) for one in studio.editing.stale(story, strand)]


def missing(database: Database, strand: str) -> list[tuple[int, str]]:
    with database.unit_of_work(write=False) as work:
        segments = work.steps.segments(strand)
        return [
            (one.depth, one.text)
            for one in work.passages.missing_vectors(segments, embedder="words", limit=99)
        ]


# Alternatives


def test_a_paragraph_that_nobody_wrote_again_is_the_only_one(studio: Studio, story: str) -> None:
    (only,) = studio.versions.alternatives(story, 3)
    assert (only.step, only.strand, only.is_shown, only.sharing) == (
        studio.show(story).steps[2],
        studio.show(story).strand,
        True,
        1,
    )


def test_what_is_on_archived_strands_alone_isnt_offered(studio: Studio, story: str) -> None:
    again = studio.versions.again(story, 3).id
    write(studio, story, again)
    child = studio.branch(story, 3, again).id
    studio.strands.archive(story, again)
    shown, other = studio.versions.alternatives(story, 3)
    assert (shown.is_shown, other.strand.id, other.sharing) == (True, child, 2)  # the branch of it has it too
    studio.strands.archive(story, child)
    assert [one.is_shown for one in studio.versions.alternatives(story, 3)] == [True]
    there = studio.versions.alternatives(story, 3, again)  # but to whom is on it
    assert [(one.is_shown, one.strand.id) for one in there] == [
        (False, studio.show(story).strand.id),
        (True, again),
    ]


def test_a_paragraph_written_again_stands_beside_the_first(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    again = studio.versions.again(story, 3)
    assert (again.fork_depth, again.name) == (2, "Another paragraph 3")
    new = write(studio, story, again.id, studio.versions.same_plan(story, 3))
    assert new.paragraph != before[2].paragraph
    assert (new.plan, new.plan_origin) == (before[2].plan, before[2].plan_origin)
    assert studio.show(story).steps == before
    first, second = studio.versions.alternatives(story, 3, again.id)
    assert [one.step for one in (first, second)] == [before[2], new]
    assert [one.is_shown for one in (first, second)] == [False, True]
    assert [one.strand.id for one in (first, second)] == [before[0].strand_id, again.id]


def test_what_follows_another_text_is_no_alternative(studio: Studio, story: str) -> None:
    again = studio.versions.again(story, 3)
    write(studio, story, again.id)
    write(studio, story, again.id)
    assert len(studio.versions.alternatives(story, 4)) == 1
    assert len(studio.versions.alternatives(story, 4, again.id)) == 1
    assert [one.sharing for one in studio.versions.alternatives(story, 2)] == [2]


def test_an_alternative_opens_on_its_longest_strand_and_the_newest_of_these(
    studio: Studio, story: str
) -> None:
    again = studio.versions.again(story, 3)
    write(studio, story, again.id)
    studio.branch(story, at=3, strand=again.id)
    newest = studio.branch(story, at=3, strand=again.id)
    assert studio.versions.alternatives(story, 3)[1].strand == newest
    write(studio, story, again.id)
    assert studio.versions.alternatives(story, 3)[1].strand == again
    assert studio.versions.alternatives(story, 3)[1].sharing == 3


def test_the_first_paragraph_has_versions_too(studio: Studio, story: str) -> None:
    again = studio.versions.again(story, 1)
    assert len(studio.versions.alternatives(story, 1)) == 1
    plan = studio.show(story).steps[0].plan
    write(studio, story, again.id, studio.versions.same_plan(story, 1))
    assert studio.show(story, again.id).steps[0].plan == plan
    assert len(studio.versions.alternatives(story, 1)) == 2


def test_a_person_s_plan_is_followed_again_as_theirs(studio: Studio, story: str) -> None:
    step = write(studio, story, studio.show(story).strand.id, Wish(plan="Mara sells the lamp."))
    assert studio.versions.same_plan(story, step.depth) == Wish(plan="Mara sells the lamp.")


def test_it_is_written_again_with_the_memory_that_it_was_written_with(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=2)
    studio.remembering.rewrite(story, "Mara fears the number nine.", branch.id)
    write(studio, story, branch.id)
    again = studio.versions.again(story, 3, branch.id)
    assert studio.remembering.page(story, again.id).text == "Mara fears the number nine."


@pytest.mark.parametrize("depth", [0, 7, -1])
def test_a_step_that_is_not_there_is_told(studio: Studio, story: str, depth: int) -> None:
    versions = studio.versions
    for use in (versions.alternatives, versions.again, versions.same_plan, versions.cuts, versions.remove):
        with pytest.raises(StrandNotFound, match=f"step {depth}"):
            use(story, depth)
    with pytest.raises(StrandNotFound, match=f"step {depth}"):
        versions.insert(story, depth, NEW)
    with pytest.raises(StrandNotFound, match=f"step {depth}"):
        versions.split(story, depth, 9)
    assert len(studio.branches(story)) == 1


# Without a paragraph


def test_a_paragraph_is_removed_on_a_strand_of_its_own(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    new = studio.versions.remove(story, 3)
    assert (new.fork_depth, new.name) == (2, "Without paragraph 3")
    after = studio.show(story, new.id).steps
    assert [step.paragraph for step in after] == [step.paragraph for step in (*before[:2], *before[3:])]
    assert studio.show(story).steps == before
    same = ("plan", "plan_origin", "paragraph_origin", "memory_origin", "plans", "model", "seed", "sampling")
    for old, copy in zip(before[3:], after[2:], strict=True):
        assert [getattr(copy, name) for name in same] == [getattr(old, name) for name in same]
        assert [(note.text, note.depth) for note in copy.added] == [
            (note.text, old.depth - 1) for note in old.added
        ]
    assert [step.depth for step in after] == [1, 2, 3, 4, 5]


def test_memory_forgets_a_removed_paragraph_once_it_is_made_again(studio: Studio, story: str) -> None:
    gone = studio.show(story).steps[2].added[0].text
    new = studio.versions.remove(story, 3)
    assert marks(studio, story, new.id) == [(3, "page"), (4, "page"), (5, "page")]
    assert marks(studio, story, studio.show(story).strand.id) == []
    assert gone in studio.remembering.page(story, new.id).text
    made = studio.rebuilding.rebuild(story, Listener(), new.id)
    assert (made.notes, made.pages) == (0, 3)
    assert marks(studio, story, new.id) == []
    page = studio.remembering.page(story, new.id)
    assert gone not in page.text
    kept = [note.text for step in studio.show(story, new.id).steps for note in step.added]
    assert [note.text for note in page.notes if note.depth] == kept
    assert gone in studio.remembering.page(story).text


def test_what_was_known_of_the_later_steps_follows(studio: Studio, story: str, database: Database) -> None:
    strand = studio.show(story).strand.id
    studio.editing.paragraph(story, 5, NEW)
    waiting = MemoryChange(strand_id=strand, depth=6, added=(Note("The key is lost.", 6),), dropped=())
    with changing(database) as work:
        work.proposals.add(waiting)
    new = studio.versions.remove(story, 3)
    assert studio.provenance(story, 4, new.id) == studio.provenance(story, 5)
    assert studio.provenance(story, 5, new.id).calls
    assert (4, "note") in marks(studio, story, new.id)
    with database.unit_of_work(write=False) as work:
        assert work.proposals.of_strand(new.id) == [
            MemoryChange(strand_id=new.id, depth=5, added=(Note("The key is lost.", 5),), dropped=())
        ]
        assert work.proposals.of_strand(strand) == [waiting]


def test_the_later_steps_are_found_where_they_stand_now(
    studio: Studio, story: str, database: Database
) -> None:
    before = texts(studio, story)
    new = studio.versions.remove(story, 3)
    assert missing(database, new.id) == [(3, before[3]), (4, before[4]), (5, before[5])]
    found = studio.remembering.search(story, before[3], strand=new.id)[0]
    assert found.text == before[3]
    write(studio, story, new.id)
    assert missing(database, new.id) == []
    assert studio.remembering.search(story, before[2], strand=new.id)[0].text != before[2]


def test_the_last_paragraph_and_the_only_one_are_removed(studio: Studio, story: str) -> None:
    new = studio.versions.remove(story, 6)
    assert texts(studio, story, new.id) == texts(studio, story)[:5]
    assert marks(studio, story, new.id) == []
    short = studio.branch(story, at=1)
    none = studio.versions.remove(story, 1, short.id)
    assert texts(studio, story, none.id) == []
    assert write(studio, story, none.id).depth == 1


def test_a_chapter_begins_with_what_follows_its_removed_beginning(
    studio: Studio, story: str, database: Database
) -> None:
    strand = studio.show(story).strand.id
    with changing(database) as work:
        work.chapters.add(
            Chapter(strand_id=strand, depth=depth, title=f"Of {depth}") for depth in (1, 3, 5, 6)
        )

    def chapters(strand_id: str) -> list[tuple[int, str]]:
        with database.unit_of_work(write=False) as work:
            return [(one.depth, one.title) for one in work.chapters.path(strand_id)]

    versions = studio.versions
    assert chapters(versions.remove(story, 3).id) == [(1, "Of 1"), (3, "Of 3"), (4, "Of 5"), (5, "Of 6")]
    assert chapters(versions.remove(story, 5).id) == [(1, "Of 1"), (3, "Of 3"), (5, "Of 6")]
    assert chapters(versions.remove(story, 6).id) == [(1, "Of 1"), (3, "Of 3"), (5, "Of 5")]
    assert chapters(versions.insert(story, 5, NEW).id) == [(1, "Of 1"), (3, "Of 3"), (6, "Of 5"), (7, "Of 6")]
    at = versions.cuts(story, 3)[0].at
    assert chapters(versions.split(story, 3, at).id) == [(1, "Of 1"), (3, "Of 3"), (6, "Of 5"), (7, "Of 6")]


# With another paragraph


def test_a_person_s_paragraph_stands_before_another(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    new = studio.versions.insert(story, 3, f" {NEW}\r\n")
    assert (new.fork_depth, new.name) == (2, "With a new paragraph 3")
    after = studio.show(story, new.id).steps
    old = [step.paragraph for step in before]
    assert [step.paragraph for step in after] == [*old[:2], NEW, *old[2:]]
    own = after[2]
    assert (own.paragraph_origin, own.plan, own.model, own.plans) == (Origin.PERSON, "", "", ())
    assert NEW in own.memory.text
    assert studio.show(story).steps == before
    assert marks(studio, story, new.id) == [(3, "note"), (4, "page"), (5, "page"), (6, "page"), (7, "page")]
    studio.rebuilding.rebuild(story, Listener(), new.id)
    assert marks(studio, story, new.id) == []
    assert NEW in studio.remembering.page(story, new.id).text
    assert studio.remembering.search(story, "Elias whale attic", strand=new.id)[0].text == NEW


def test_a_story_can_begin_with_a_person_s_paragraph(studio: Studio, story: str) -> None:
    new = studio.versions.insert(story, 1, NEW)
    assert texts(studio, story, new.id) == [NEW, *texts(studio, story)]
    assert studio.show(story, new.id).steps[0].memory.notes[0].depth == 0


def test_a_paragraph_of_nothing_is_refused(studio: Studio, story: str) -> None:
    with pytest.raises(InvalidText, match="empty"):
        studio.versions.insert(story, 3, " \n")
    assert len(studio.branches(story)) == 1


# In two


def test_a_paragraph_is_cut_before_a_sentence(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    whole = before[2].paragraph
    cuts = studio.versions.cuts(story, 3)
    assert len(cuts) >= 1
    assert all(whole[cut.at :].startswith(cut.sentence) for cut in cuts)
    new = studio.versions.split(story, 3, cuts[-1].at)
    after = studio.show(story, new.id).steps
    assert f"{after[2].paragraph} {after[3].paragraph}" == whole
    assert after[3].paragraph == cuts[-1].sentence
    assert [step.paragraph for step in after[4:]] == [step.paragraph for step in before[3:]]
    assert studio.show(story).steps == before
    assert [step.plan for step in after[2:4]] == [before[2].plan] * 2
    assert sum(step.completion_tokens for step in after) == sum(step.completion_tokens for step in before)
    assert studio.provenance(story, 3, new.id) == studio.provenance(story, 4, new.id)
    assert studio.provenance(story, 4, new.id) == studio.provenance(story, 3)


def test_memory_is_the_same_after_both_halves(studio: Studio, story: str, database: Database) -> None:
    before = studio.show(story).steps
    new = studio.versions.split(story, 3, studio.versions.cuts(story, 3)[0].at)
    after = studio.show(story, new.id).steps
    assert after[2].memory == before[1].memory
    assert [step.memory.text for step in after[3:]] == [step.memory.text for step in before[2:]]
    assert marks(studio, story, new.id) == []
    assert missing(database, new.id) == [(step.depth, step.paragraph) for step in after[2:]]
    studio.editing.paragraph(story, 3, NEW, new.id)
    studio.rebuilding.rebuild(story, Listener(), new.id)
    assert NEW in studio.remembering.page(story, new.id).text


def test_a_single_sentence_has_no_place_to_be_cut(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 3, NEW)
    assert studio.versions.cuts(story, 3) == ()


@pytest.mark.parametrize("at", [-3, 0, 100_000])
def test_a_paragraph_is_not_cut_outside_itself(studio: Studio, story: str, at: int) -> None:
    with pytest.raises(InvalidText, match="inside the paragraph"):
        studio.versions.split(story, 3, at)
    assert len(studio.branches(story)) == 1


# On strands that share


def test_what_a_strand_shares_is_copied_where_it_changes(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=4)
    write(studio, story, branch.id)
    old = texts(studio, story, branch.id)
    new = studio.versions.remove(story, 2, branch.id)
    assert texts(studio, story, new.id) == [old[0], *old[2:]]
    assert studio.provenance(story, 4, new.id) == studio.provenance(story, 5, branch.id)
    again = studio.versions.remove(story, 2, new.id)
    assert texts(studio, story, again.id) == [old[0], *old[3:]]
    assert texts(studio, story, branch.id) == old


def test_summaries_are_made_for_where_the_steps_stand(
    studio: Studio, tmp_path: Path, database: Database
) -> None:
    book = tmp_path / "book.md"
    book.write_text("\n\n".join(f"Mara counts {number} gulls on the rail." for number in range(41)), "utf-8")
    story = studio.import_file(book, Listener()).id
    new = studio.versions.insert(story, 30, NEW)
    with database.unit_of_work(write=False) as work:
        found = [one for one in work.passages.of_strand(new.id) if one.kind is PassageKind.SUMMARY]
        shown = work.steps.path(new.id, first=21, last=40)
    assert [one.depth for one in found] == [40]
    assert found[0].text == " ".join(note.text for step in shown for note in step.added)


def test_a_failure_in_the_middle_leaves_nothing(
    studio: Studio, story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storyloom.app import versions

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(versions, "keep_chapters", fail)
    at = studio.versions.cuts(story, 3)[0].at
    with pytest.raises(OSError, match="disk"):
        studio.versions.remove(story, 3)
    with pytest.raises(OSError, match="disk"):
        studio.versions.insert(story, 3, NEW)
    with pytest.raises(OSError, match="disk"):
        studio.versions.split(story, 3, at)
    assert len(studio.branches(story)) == 1


def test_a_change_counts_as_one_of_the_story(studio: Studio, story: str) -> None:
    before = studio.show(story).story
    studio.versions.remove(story, 3)
    after = studio.show(story).story
    assert after.updated_at > before.updated_at
    assert replace(after, updated_at=before.updated_at, version=before.version) == before
