from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.errors import InvalidText
from storyloom.memory.page_changes import replayed, untold, with_pin, with_proposal, without_notes_of
from storyloom.memory.short_term import remember, rewritten
from storyloom.memory.story import Dropped, MemoryChange, Note, Origin, ShortMemory

PREMISE = Note("Mara keeps a lighthouse.", 0, Origin.PERSON, pinned=True)
STEMS = ("Tom", "hid", "lamp", "under", "gull", "boat", "rope", "bell")

_Steps = list[tuple[ShortMemory, tuple[Note, ...], tuple[Dropped, ...]]]


def note(depth: int, word: str = "") -> Note:
    """A note of eight words that has none in common with the others."""
    return Note(" ".join(f"{stem}{word}{depth}" for stem in STEMS) + ".", depth)


def written(count: int, max_words: int, *, first: ShortMemory | None = None, anew: int = 0) -> _Steps:
    """The page after each step, with what it brought and took out; the note of ``anew`` is another."""
    memory = first or ShortMemory((PREMISE,))
    steps: _Steps = []
    for depth in range(1, count + 1):
        new = note(depth, "other" if depth == anew else "")
        memory, dropped = remember(memory, new, max_words=max_words)
        steps.append((memory, (new,), dropped))
    return steps


def proposal(depth: int, *added: str, dropped: tuple[Note, ...] = ()) -> MemoryChange:
    return MemoryChange(
        strand_id="main",
        depth=depth,
        added=tuple(Note(text, depth) for text in added),
        dropped=tuple(Dropped(one, "the page was full") for one in dropped),
    )


# Proposals


def test_an_approved_change_adds_and_takes_out() -> None:
    page = ShortMemory((PREMISE, note(1), note(2)))
    change = proposal(3, "The key is lost.", dropped=(note(1),))
    new, added, dropped = with_proposal(page, change)
    assert new.notes == (PREMISE, note(2), *change.added)
    assert (added, dropped) == (change.added, change.dropped)


def test_two_proposals_that_drop_the_same_sentence_drop_it_once_and_nothing_else() -> None:
    by_hand = tuple(Note(f"The {word} is blue.", 4, Origin.PERSON) for word in ("sea", "boat", "door"))
    page = ShortMemory((PREMISE, *by_hand))
    page, _, first = with_proposal(page, proposal(5, "Tom left.", dropped=by_hand[:1]))
    page, _, second = with_proposal(page, proposal(6, "Elias came.", dropped=by_hand[:1]))
    assert [one.text for one in page.notes[1:]] == [
        "The boat is blue.",
        "The door is blue.",
        "Tom left.",
        "Elias came.",
    ]
    assert [one.note for one in (*first, *second)] == [by_hand[0]]


def test_a_pinned_sentence_outlives_an_approved_change() -> None:
    pinned = replace(note(1), pinned=True)
    page, _, dropped = with_proposal(ShortMemory((pinned,)), proposal(2, "Tom left.", dropped=(pinned,)))
    assert pinned in page.notes
    assert dropped == ()


def test_a_second_proposal_of_a_step_takes_the_place_of_the_first() -> None:
    page, _, _ = with_proposal(ShortMemory((PREMISE,)), proposal(3, "Tom lost the key."))
    page, _, dropped = with_proposal(page, proposal(3, "Tom lost the lamp."))
    assert [one.text for one in page.notes] == [PREMISE.text, "Tom lost the lamp."]
    assert "step 3" in dropped[0].reason


def test_nothing_comes_in_twice() -> None:
    change = proposal(3, "Tom lost the key.")
    page, _, _ = with_proposal(ShortMemory(), change)
    assert with_proposal(page, change) == (page, (), ())


# Replays


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 14), bound=st.integers(20, 120))
def test_a_replay_of_what_was_not_edited_changes_nothing(count: int, bound: int) -> None:
    before = ShortMemory((PREMISE,))
    for page, added, dropped in written(count, bound):
        assert replayed(page, added, dropped, before) == page
        before = page


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=25), max_size=7), page=st.text(max_size=100))
def test_nor_does_a_replay_of_a_page_that_a_model_wrote_anew(texts: list[str], page: str) -> None:
    before = ShortMemory(tuple(Note(text, depth, pinned=depth == 0) for depth, text in enumerate(texts)))
    after, added, dropped = rewritten(before, page, 9, Origin.MODEL)
    assert replayed(after, added, dropped, before) == after


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 14), bound=st.integers(20, 120), data=st.data())
def test_a_replay_gives_what_writing_in_that_order_would_have_given(
    count: int, bound: int, data: st.DataObject
) -> None:
    edited = data.draw(st.integers(1, count))
    old, wanted = written(count, bound), written(count, bound, anew=edited)
    before = wanted[edited - 1][0]
    for (page, added, dropped), (goal, _, _) in zip(old[edited:], wanted[edited:], strict=True):
        before = replayed(page, added, dropped, before)
        assert before == goal


def test_what_the_keeper_dropped_is_dropped_in_its_new_wording_too() -> None:
    old, anew = note(2), note(2, "other")
    page = ShortMemory((PREMISE, note(8)))
    before = ShortMemory((PREMISE, anew))
    assert replayed(page, (note(8),), (Dropped(old, "full"),), before) == page


def test_a_note_where_none_was_goes_when_later_ones_have_to() -> None:
    page = ShortMemory((PREMISE, note(7), note(8)))
    before = ShortMemory((PREMISE, note(2, "new"), note(3), note(7)))
    dropped = (Dropped(note(3), "full"),)
    assert replayed(page, (note(8),), dropped, before) == page
    assert note(2, "new") in replayed(page, (note(8),), (), before).notes


def test_a_pin_on_the_page_stays_and_a_new_wording_stands_beside_it() -> None:
    pinned = replace(note(2), pinned=True)
    page = ShortMemory((PREMISE, pinned, note(3)))
    before = ShortMemory((PREMISE, note(2, "other")))
    assert replayed(page, (note(3),), (), before).notes == (PREMISE, note(2, "other"), pinned, note(3))


def test_a_new_premise_takes_the_place_of_the_old_one() -> None:
    other = replace(PREMISE, text="Mara keeps a mill.")
    page = ShortMemory((PREMISE, note(1), note(2)))
    before = ShortMemory((other, note(1)))
    assert replayed(page, (note(2),), (), before).notes == (other, note(1), note(2))


def test_without_the_notes_of_a_step_pins_stay() -> None:
    pinned = replace(note(2), pinned=True)
    assert without_notes_of(ShortMemory((note(1), note(2), pinned)), 2).notes == (note(1), pinned)


# Pins

PAGE = ShortMemory((PREMISE, Note("Tom left.", 1), Note("Tom left the boat.", 2), Note("It is 1984.", 3)))


@pytest.mark.parametrize(
    ("which", "place"),
    [("2", 1), (" 3 ", 2), ("the boat", 2), ("LIGHTHOUSE", 0), ("Tom left", 1), ("1984.", 3)],
)
def test_a_sentence_is_pinned_by_its_number_or_its_words(which: str, place: int) -> None:
    new = with_pin(PAGE, which, pinned=True)
    assert [one.text for one in new.notes] == [one.text for one in PAGE.notes]
    assert new.notes[place].pinned
    assert sum(one.pinned for one in new.notes) == (1 if place == 0 else 2)
    assert not with_pin(new, which, pinned=False).notes[place].pinned


@pytest.mark.parametrize("which", ["0", "5", "-1", "9" * 5000, "²", "", " ", "…", "Tom", "a whale", "\x00"])
def test_what_names_no_sentence_or_several_is_refused(which: str) -> None:
    with pytest.raises(InvalidText, match="--blame"):
        with_pin(PAGE, which, pinned=True)


def test_an_empty_page_has_nothing_to_pin() -> None:
    with pytest.raises(InvalidText):
        with_pin(ShortMemory(), "1", pinned=True)


# What a text tells of an edit

LAMP = "The lamp burns green."


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("The lamp lit the stairs.", LAMP),  # that there is a lamp was known
        ("A green light fell on the stairs.", ""),
        ("It burned all night.", ""),  # another form counts
        ("", LAMP),
    ],
)
def test_a_text_tells_what_is_new_in_a_note(text: str, missing: str) -> None:
    assert untold([Note(LAMP, 3)], text, "Mara trims the lamp.") == missing


def test_one_of_several_sentences_is_enough_and_the_last_is_what_is_missing() -> None:
    notes = [Note("The gull limps.", 1), Note("Tom has a red coat. He is blind.", 2)]
    assert untold(notes, "Tom hung his red coat on the door.", "Tom saw the gull.") == ""
    assert untold(notes, "Rain fell.", "Tom saw the gull.") == "He is blind."


@pytest.mark.parametrize(
    "notes",
    [[], [Note("It is Tom.", 1)], [Note("a red coat", 1)], [Note(" ".join(["far"] * 40) + ".", 1)]],
    ids=["none", "nothing new", "no sentence", "too long"],
)
def test_what_cant_be_told_is_not_missing(notes: list[Note]) -> None:
    assert untold(notes, "Rain fell.", "Tom sleeps.") == ""


def test_without_a_list_of_joining_words_short_ones_are_left_out() -> None:
    notes = [Note("Der Hund ist grau.", 1)]
    assert untold(notes, "Ein grauer Hund kam.", "Tom schläft.", "de") == ""
    assert untold(notes, "Das ist Tom.", "Tom schläft.", "de") == "Der Hund ist grau."
