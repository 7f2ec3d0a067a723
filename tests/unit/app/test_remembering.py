"""The use cases of memory: where its sentences come from, pins, and changes that a person approves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Origin

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with four steps."""
    return studio.import_file(told(4), Listener()).id


def write(studio: Studio, story: str, paragraphs: int = 1, strand: str | None = None) -> None:
    list(studio.write(story, Listener(), paragraphs=paragraphs, strand=strand))


def prompts(studio: Studio, story: str, depth: int) -> str:
    return "\n".join(call.prompt for call in studio.provenance(story, depth).calls)


# Blame


def test_every_sentence_names_its_step_and_every_dropped_one_step_and_reason(
    studio: Studio, story: str
) -> None:
    write(studio, story, 10)
    steps = studio.show(story).steps
    blame = studio.remembering.blame(story)
    assert blame.notes == steps[-1].memory.notes
    for note in blame.notes:
        assert note.depth == 0 or note in steps[note.depth - 1].added
    dropped = [(one, step.depth) for step in steps for one in step.dropped]
    assert dropped
    assert {(gone.dropped, gone.depth) for gone in blame.gone} == set(dropped)
    assert [gone.depth for gone in blame.gone] == sorted((gone.depth for gone in blame.gone), reverse=True)
    assert all("the page was full" in gone.dropped.reason for gone in blame.gone)


def test_what_a_person_took_out_is_gone_until_it_is_brought_back(studio: Studio, story: str) -> None:
    page = studio.remembering.page(story)
    studio.remembering.rewrite(story, page.notes[0].text)
    gone = studio.remembering.blame(story).gone
    assert {one.dropped.note for one in gone} >= set(page.notes[1:])
    assert {one.dropped.reason for one in gone if one.depth == 4} == {"taken out by hand"}
    studio.editing.undo(story)
    assert not {one.dropped.note for one in studio.remembering.blame(story).gone} & set(page.notes)
    assert studio.remembering.blame(story).notes == page.notes


def test_a_branch_sees_only_what_its_ancestors_dropped(studio: Studio, story: str) -> None:
    early = studio.branch(story, at=2)
    late = studio.branch(story, at=4)
    kept = studio.remembering.page(story).notes[0].text
    studio.remembering.rewrite(story, kept)
    by_hand = "taken out by hand"
    assert by_hand in {one.dropped.reason for one in studio.remembering.blame(story, late.id).gone}
    assert by_hand not in {one.dropped.reason for one in studio.remembering.blame(story, early.id).gone}
    studio.remembering.rewrite(story, "The sea is dry.", early.id)
    assert "The sea is dry." not in {one.dropped.note.text for one in studio.remembering.blame(story).gone}


def test_sentences_are_told_apart_in_the_storys_language(studio: Studio, story: str) -> None:
    studio.settings.change(story, {"language": "ja"})
    page = studio.remembering.rewrite(story, "花子は駅へ行った。太郎は泳いだ。")
    assert [note.text for note in page.notes] == ["花子は駅へ行った。", "太郎は泳いだ。"]


def test_the_same_page_again_is_no_edit(studio: Studio, story: str) -> None:
    assert studio.remembering.rewrite(story, studio.remembering.page(story).text)
    assert studio.editing.revisions(story) == []


# Pins


def test_a_pinned_sentence_survives_whatever_the_keeper_does(studio: Studio, story: str) -> None:
    page = studio.remembering.page(story)
    pinned = page.notes[1]
    free = page.notes[2]
    assert not pinned.pinned
    studio.remembering.pin(story, pinned.text)
    write(studio, story, 14)
    notes = studio.remembering.page(story).notes
    assert replace(pinned, pinned=True) in notes
    assert free not in notes
    studio.remembering.pin(story, pinned.text, pinned=False)
    write(studio, story, 14)
    assert pinned.text not in {note.text for note in studio.remembering.page(story).notes}


def test_a_pin_is_a_revision_and_leaves_the_pages_origin(studio: Studio, story: str) -> None:
    before = studio.show(story, last=1).steps[0]
    studio.remembering.pin(story, "2")
    studio.remembering.pin(story, "2")
    assert len(studio.editing.revisions(story)) == 1
    after = studio.show(story, last=1).steps[0]
    assert (after.memory.text, after.memory_origin) == (before.memory.text, before.memory_origin)
    studio.editing.undo(story)
    assert studio.show(story, last=1).steps[0] == before


@pytest.mark.parametrize("which", ["0", "99", "Mara", "no such words", ""])
def test_a_pin_on_nothing_or_on_several_is_refused(studio: Studio, story: str, which: str) -> None:
    with pytest.raises(InvalidText):
        studio.remembering.pin(story, which)
    assert studio.editing.revisions(story) == []


def test_a_pin_on_a_fresh_branch_is_the_branchs_own(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=4)
    pinned = studio.remembering.pin(story, "2", branch.id).notes[1]
    assert pinned.pinned
    assert not studio.remembering.page(story).notes[1].pinned
    write(studio, story, 12, branch.id)
    assert pinned in studio.remembering.page(story, branch.id).notes


# Approval


@pytest.fixture
def careful(studio: Studio, story: str) -> str:
    """The same story, whose memory a person approves, with two more steps."""
    studio.settings.change(story, {"approve_memory": "true"})
    write(studio, story, 2)
    return story


def test_a_proposal_is_in_no_prompt_before_it_is_approved(studio: Studio, careful: str) -> None:
    first, second = studio.remembering.proposals(careful)
    assert (first.depth, second.depth) == (5, 6)
    page = studio.remembering.page(careful)
    assert page == studio.show(careful).steps[3].memory
    assert page.text in prompts(studio, careful, 6)
    assert studio.show(careful).steps[4].added == ()
    new = studio.remembering.decide(careful, 5, approve=True)
    assert new.notes[-1] == first.added[0]
    assert studio.remembering.proposals(careful) == [second]
    write(studio, careful)
    woven = "\n".join(slot.text for slot in studio.provenance(careful, 7).slots if slot.slot == "memory")
    assert first.added[0].text in woven
    assert second.added[0].text not in woven


def test_all_are_approved_in_order_and_the_step_says_so(studio: Studio, careful: str) -> None:
    proposed = studio.remembering.proposals(careful)
    page = studio.remembering.decide(careful, None, approve=True)
    assert [note.depth for note in page.notes[-2:]] == [5, 6]
    head = studio.show(careful, last=1).steps[0]
    assert head.memory == page
    assert head.added == tuple(note for one in proposed for note in one.added)
    assert head.memory_origin is not Origin.PERSON
    assert studio.remembering.proposals(careful) == []


def test_a_rejected_change_never_comes_and_undo_brings_it_back(studio: Studio, careful: str) -> None:
    before = studio.remembering.page(careful)
    proposed = studio.remembering.proposals(careful)
    assert studio.remembering.decide(careful, 6, approve=False) == before
    assert studio.remembering.proposals(careful) == proposed[:1]
    studio.editing.undo(careful)
    assert studio.remembering.proposals(careful) == proposed
    assert studio.remembering.page(careful) == before


@pytest.mark.parametrize("depth", [5, None])
def test_undo_of_an_approval_is_undone_by_undo(studio: Studio, careful: str, depth: int | None) -> None:
    before = studio.show(careful).steps
    proposed = studio.remembering.proposals(careful)
    studio.remembering.decide(careful, depth, approve=True)
    approved, waiting = studio.show(careful).steps, studio.remembering.proposals(careful)
    (decision,) = [one for one in studio.editing.revisions(careful) if one.subject == "short_memory"]
    for _ in range(2):
        studio.editing.undo(careful, decision.id)  # the second time it is undone already
        assert studio.show(careful).steps == before
        assert studio.remembering.proposals(careful) == proposed
    studio.editing.undo(careful, studio.editing.revisions(careful)[1].id)
    assert studio.show(careful).steps == approved
    assert studio.remembering.proposals(careful) == waiting


def test_an_approved_drop_is_blamed_on_the_keepers_reason(studio: Studio, careful: str) -> None:
    studio.remembering.rewrite(
        careful, " ".join(f"The {place}th gull came from the sea." for place in range(30))
    )
    write(studio, careful)
    full = studio.remembering.proposals(careful)[-1]
    assert full.dropped
    studio.remembering.decide(careful, full.depth, approve=True)
    gone = {one.dropped: one.depth for one in studio.remembering.blame(careful).gone}
    assert {one: gone.get(one) for one in full.dropped} == dict.fromkeys(full.dropped, 7)


@pytest.mark.parametrize("depth", [1, 7])
def test_a_decision_where_nothing_waits_is_refused(studio: Studio, careful: str, depth: int) -> None:
    with pytest.raises(InvalidText, match="5, 6"):
        studio.remembering.decide(careful, depth, approve=True)


def test_a_branch_has_no_say_in_its_parents_proposals(studio: Studio, careful: str) -> None:
    branch = studio.branch(careful, at=6)
    assert studio.remembering.proposals(careful, branch.id) == []
    with pytest.raises(InvalidText, match="none"):
        studio.remembering.decide(careful, None, branch.id, approve=True)


def test_a_changed_page_marks_the_branches_that_went_on_from_it(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=4)
    write(studio, story, 2, branch.id)
    studio.remembering.rewrite(story, "The key is lost.")
    assert [(one.strand_id, one.depth) for one in studio.editing.stale(story, branch.id)] == [
        (branch.id, 5),
        (branch.id, 6),
    ]
    assert studio.editing.stale(story) == []


def test_one_sentence_is_taken_out_and_brought_back(studio: Studio, story: str) -> None:
    page = studio.remembering.page(story)
    after = studio.remembering.remove(story, page.notes[1].text)
    assert after.notes == (page.notes[0], *page.notes[2:])
    gone = [one for one in studio.remembering.blame(story).gone if one.dropped.note == page.notes[1]]
    assert [(one.depth, one.dropped.reason) for one in gone] == [(4, "taken out by hand")]
    studio.editing.undo(story)
    assert studio.remembering.page(story) == page
    with pytest.raises(InvalidText, match="no sentence 99"):
        studio.remembering.remove(story, "99")


# What was just edited


def edited(studio: Studio, story: str, strand: str | None = None) -> list[str]:
    """What stood before the plan of the last paragraph, as told by a person since the one before."""
    depth = studio.show(story, strand).steps[-1].depth
    return [one.text for one in studio.provenance(story, depth, strand).slots if one.slot == "edited"]


def test_what_a_person_wrote_or_reworded_stands_before_the_next_plan_alone(
    studio: Studio, story: str
) -> None:
    page = studio.remembering.page(story)
    studio.remembering.rewrite(
        story, page.text.replace(page.notes[-1].text, f"{page.notes[-1].text} At noon.")
    )
    studio.remembering.rewrite(story, f"{studio.remembering.page(story).text} The lamp burns green.")
    write(studio, story)
    told = edited(studio, story)
    assert told[-1] == "The lamp burns green."
    assert "At noon." in " ".join(told[:-1])
    assert not {note.text for note in page.notes} & set(told)
    prompt = studio.provenance(story, 5).calls[0].prompt
    assert prompt.index("The lamp burns green.") < prompt.index("To bear in mind: The lamp burns green.")
    assert (
        "To bear in mind" in prompt[prompt.index("The last paragraph:") : prompt.index("What happens now:")]
    )
    write(studio, story)
    assert edited(studio, story) == []


def test_an_edit_that_was_undone_is_no_news(studio: Studio, story: str) -> None:
    studio.remembering.rewrite(story, f"{studio.remembering.page(story).text} The lamp burns green.")
    studio.editing.undo(story)
    write(studio, story)
    assert edited(studio, story) == []


def test_a_branch_has_its_parents_news_and_its_own(studio: Studio, story: str) -> None:
    page = studio.remembering.page(story).text
    studio.remembering.rewrite(story, f"{page} The lamp burns green.")
    late, early = studio.branch(story, at=4), studio.branch(story, at=3)
    own = studio.branch(story, at=4)
    studio.remembering.rewrite(story, f"{page} The lamp burns green. The gull limps.", own.id)
    for strand in (late, early, own):
        write(studio, story, strand=strand.id)
    assert edited(studio, story, late.id) == ["The lamp burns green."]
    assert edited(studio, story, early.id) == []
    assert edited(studio, story, own.id) == ["The gull limps."]


def test_what_is_pinned_or_was_approved_is_no_news(studio: Studio, careful: str) -> None:
    write(studio, careful)
    studio.remembering.decide(careful, None, approve=True)
    studio.remembering.pin(careful, studio.remembering.page(careful).notes[-1].text)
    write(studio, careful)
    assert edited(studio, careful) == []
