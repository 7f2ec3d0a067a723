import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.short_term import bounded, first_memory, holds, remember, rewritten, supported
from storyloom.memory.story import Note, Origin, ShortMemory
from storyloom.memory.text import count_words

PREMISE = Note("Mara keeps a lighthouse.", 0, Origin.PERSON, pinned=True)
STEMS = ("Tom", "hid", "lamp", "under", "gull", "boat", "rope", "bell")


def note(depth: int) -> Note:
    """A note of eight words that has none in common with the others."""
    return Note(" ".join(f"{stem}{depth}" for stem in STEMS) + ".", depth)


def filled(count: int, *, max_words: int = 1000) -> ShortMemory:
    memory = ShortMemory((PREMISE,))
    for depth in range(1, count + 1):
        memory, _ = remember(memory, note(depth), max_words=max_words)
    return memory


def test_the_first_memory_is_the_pinned_premise_in_one_line() -> None:
    assert first_memory("Mara keeps\n a lighthouse. ") == ShortMemory((PREMISE,))
    assert first_memory("  ") == ShortMemory()


def test_of_a_long_premise_the_beginning_is_pinned() -> None:
    (premise,) = first_memory("word " * 200_000).notes
    assert count_words(premise.text) == 60
    assert premise.text.endswith("word…")


def test_a_note_is_added_at_the_end() -> None:
    memory, dropped = remember(ShortMemory((PREMISE,)), note(1), max_words=50)
    assert memory.notes == (PREMISE, note(1))
    assert dropped == ()


@pytest.mark.parametrize(
    "again", ["Mara keeps a lighthouse.", "Mara keeps the lighthouse!", "The lighthouse: Mara keeps it.", "…"]
)
def test_a_note_that_says_nothing_new_changes_nothing(again: str) -> None:
    memory = ShortMemory((PREMISE,))
    assert remember(memory, Note(again, 3), max_words=50) == (memory, ())


def test_a_full_page_drops_several_notes_at_once_and_says_why() -> None:
    memory = filled(6, max_words=59)
    memory, dropped = remember(memory, note(7), max_words=59)
    assert count_words(memory.text) <= 44
    assert len(dropped) > 1
    assert dropped[0].note == note(1)
    assert "the page was full" in dropped[0].reason
    assert "since step 1" in dropped[0].reason


def test_after_a_drop_the_page_only_grows_for_a_while() -> None:
    memory, _ = remember(filled(6, max_words=59), note(7), max_words=59)
    later, dropped = remember(memory, note(8), max_words=59)
    assert dropped == ()
    assert later.text.startswith(memory.text)


def test_what_later_notes_speak_of_stays_longest() -> None:
    memory = ShortMemory((PREMISE, Note("Elias drowned with the silver compass.", 1)))
    for depth in range(2, 7):
        memory, _ = remember(memory, note(depth), max_words=59)
    memory, dropped = remember(memory, Note("Mara found the silver compass again.", 7), max_words=51)
    assert [each.note.depth for each in dropped] == [2, 3, 4]
    assert any("Elias drowned" in each.text for each in memory.notes)


def test_pinned_notes_and_the_newest_stay_even_when_they_alone_are_too_long() -> None:
    memory, dropped = remember(filled(2), note(3), max_words=5)
    assert memory.notes == (PREMISE, note(3))
    assert [each.note for each in dropped] == [note(1), note(2)]


@given(st.lists(st.integers(1, 400), max_size=40), st.integers(30, 120))
def test_the_page_stays_inside_its_bound(depths: list[int], bound: int) -> None:
    memory = ShortMemory((PREMISE,))
    for depth in depths:
        before = memory.notes
        memory, dropped = remember(memory, note(depth), max_words=bound)
        assert count_words(memory.text) <= bound
        assert memory.notes[0] == PREMISE
        assert set(before) <= {*memory.notes, *(each.note for each in dropped)}


def test_a_huge_page_is_brought_down_at_the_next_step() -> None:
    page = ". ".join(f"Tom saw the {stem} of ship {number}" for number in range(1100) for stem in STEMS)
    memory, _, _ = rewritten(ShortMemory((PREMISE,)), f"{PREMISE.text} {page}.", 3, Origin.PERSON)
    assert count_words(memory.text) > 50_000
    memory, dropped = remember(memory, Note("Mara found a whale in the attic.", 4), max_words=100)
    assert count_words(memory.text) <= 100
    assert len(dropped) > 8_000


def test_a_huge_page_can_be_rewritten_again() -> None:
    page = " ".join(f"The {number}th gull flew over house {number % 77}." for number in range(6_000))
    memory, _, _ = rewritten(ShortMemory(), page, 3, Origin.PERSON)
    again, added, dropped = rewritten(memory, page.replace("flew", "walked"), 4, Origin.PERSON)
    assert len(again.notes) == len(added) == len(dropped) == 6_000


def test_holds_looks_at_each_sentence_of_a_note() -> None:
    memory = ShortMemory((Note("Mara keeps a lighthouse. Elias drowned at sea.", 0),))
    assert holds(memory, "Elias drowned at sea.")
    assert not holds(memory, "Elias opened the door.")


PARAGRAPH = (
    "Mara opened the green door and saw 3 gulls. She never told Elias that the sailors carried lanterns."
)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Mara opened the door.", True),
        ("Mara opens a green door.", True),
        ("A sailor carried a lantern.", True),
        ("Mara saw 3 gulls.", True),
        ("Mara saw 13 gulls.", False),
        ("Tom opened the door.", False),
        ("Maria opened the door.", False),
        ("Mara closed the door.", False),
        ("She did it.", False),
        ("", False),
    ],
)
def test_supported(sentence: str, expected: bool) -> None:
    assert supported(sentence, PARAGRAPH) is expected


@pytest.mark.parametrize(
    ("sentence", "paragraph", "expected"),
    [
        ("Mara trusted Tom.", "Mara did not trust Tom.", False),
        ("Mara never trusted Tom.", "Mara trusted Tom.", False),
        ("Mara waited.", "Mara waited at the gate, but nobody came.", True),
        ("Tom killed Mara.", "Mara killed Tom.", False),
        ("Mara followed Mara.", "Mara came, and Tom followed her.", False),
    ],
)
def test_who_did_what_and_who_did_not(sentence: str, paragraph: str, expected: bool) -> None:
    assert supported(sentence, paragraph) is expected


@pytest.mark.parametrize(
    ("language", "sentence", "expected"),
    [
        ("de", "Anna öffnete die Tür.", True),
        ("de", "Anna schloss die Tür.", False),
        ("ja", "花子は駅へ行った。", True),
        ("ja", "花子は海で泳いだ。", False),
    ],
)
def test_supported_in_other_languages(language: str, sentence: str, expected: bool) -> None:
    told = {"de": "Am Abend öffnete Anna leise die alte Tür.", "ja": "朝、花子は一人で駅へ行った。"}
    assert supported(sentence, told[language], language) is expected


def test_rewriting_keeps_the_notes_whose_sentences_stayed() -> None:
    old = ShortMemory((PREMISE, note(1), note(2)))
    page = f"{PREMISE.text}\n- {note(2).text} Elias is alive."
    memory, added, dropped = rewritten(old, page, 5, Origin.PERSON)
    assert memory.notes == (PREMISE, note(2), Note("Elias is alive.", 5, Origin.PERSON))
    assert added == memory.notes[2:]
    assert [(each.note, each.reason) for each in dropped] == [(note(1), "taken out by hand")]


def test_a_reworded_sentence_keeps_its_depth_and_pin() -> None:
    memory, added, dropped = rewritten(
        ShortMemory((PREMISE, note(1))), "Mara keeps a tall lighthouse.", 5, Origin.PERSON
    )
    assert memory.notes == (Note("Mara keeps a tall lighthouse.", 0, Origin.PERSON, pinned=True),)
    assert added == memory.notes
    assert {each.reason for each in dropped} == {"reworded by hand", "taken out by hand"}


def test_another_case_or_comma_leaves_a_note_what_it_was() -> None:
    old = ShortMemory((Note("Tom, the smith, left.", 4, Origin.MODEL),))
    memory, _, _ = rewritten(old, "Tom the smith left!", 9, Origin.PERSON)
    assert memory.notes == (Note("Tom the smith left!", 4, Origin.MODEL),)


def test_a_note_of_several_sentences_stays_one_note() -> None:
    premise = Note("Mara keeps a lighthouse. Her brother drowned.", 0, Origin.PERSON, pinned=True)
    memory, added, dropped = rewritten(
        ShortMemory((premise,)), f"Tom left. {premise.text} Tom came back.", 2, Origin.PERSON
    )
    assert [each.text for each in memory.notes] == ["Tom left.", premise.text, "Tom came back."]
    assert memory.notes[1] == premise
    assert len(added) == 2
    assert dropped == ()


def test_a_person_may_take_out_everything() -> None:
    memory, added, dropped = rewritten(ShortMemory((PREMISE, note(1))), " \n", 2, Origin.PERSON)
    assert memory == ShortMemory()
    assert added == ()
    assert len(dropped) == 2


def test_a_model_can_not_take_out_what_is_pinned() -> None:
    memory, _, dropped = rewritten(
        ShortMemory((PREMISE, note(1))), "Elias came back to the island.", 2, Origin.MODEL
    )
    assert memory.notes == (PREMISE, Note("Elias came back to the island.", 2, Origin.MODEL))
    assert [(each.note, each.reason) for each in dropped] == [(note(1), "taken out by the model")]


def test_a_model_can_not_reword_what_is_pinned() -> None:
    page = f"Mara keeps the old lighthouse. {note(1).text} Elias came back to the island."
    memory, added, dropped = rewritten(ShortMemory((PREMISE, note(1))), page, 2, Origin.MODEL)
    assert memory.notes == (PREMISE, note(1), Note("Elias came back to the island.", 2, Origin.MODEL))
    assert added == memory.notes[2:]
    assert dropped == ()
    again, _, _ = rewritten(memory, "mara keeps a lighthouse!", 3, Origin.REPAIRED)
    assert again.notes == (PREMISE,)


@given(
    st.lists(st.text("abc. !é", max_size=20), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.text("abc. !é\n", max_size=80),
)
def test_pins_outlive_every_page_that_a_model_writes(texts: list[str], pins: set[int], page: str) -> None:
    notes = tuple(Note(text, depth, pinned=depth in pins) for depth, text in enumerate(texts))
    memory, _, dropped = rewritten(ShortMemory(notes), page, 9, Origin.MODEL)
    memory, left = bounded(memory, max_words=3)
    assert {each for each in notes if each.pinned} <= set(memory.notes)
    assert not any(each.note.pinned for each in (*dropped, *left))


@given(st.lists(st.text(max_size=30), max_size=8), st.text(max_size=80))
def test_rewriting_loses_no_word_and_no_note(texts: list[str], page: str) -> None:
    old = ShortMemory(tuple(Note(text, depth) for depth, text in enumerate(texts)))
    memory, added, dropped = rewritten(old, page, 9, Origin.PERSON)
    assert set(memory.notes) >= set(added)
    assert len(dropped) <= len(old.notes)
    assert count_words(memory.text) == count_words(page)
