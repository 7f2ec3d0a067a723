from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Message, Prompt
from storyloom.memory.text import sentences
from storyloom.memory.weaver import Item, Slot, Texts, Woven, weave


def count(prompt: Prompt) -> int:
    """Words are tokens, and every chat turn costs two more."""
    if isinstance(prompt, str):
        return len(prompt.split())
    return sum(2 + len(message.content.split()) for message in prompt)


def render(texts: Texts) -> Prompt:
    lines = [f"{name}: {' | '.join(parts)}" for name, parts in texts.items() if parts]
    return (Message("system", "Write."), Message("user", "\n".join(lines)))


def slot(name: str, *texts: str, **rules: object) -> Slot:
    items = tuple(Item(text=text, source=f"{name}:{place}") for place, text in enumerate(texts))
    return replace(Slot(name=name, items=items), **rules)  # type: ignore[arg-type]


def woven(*slots: Slot, budget: int) -> Woven:
    return weave(slots, render=render, count=count, budget=budget)


def text_of(result: Woven) -> str:
    assert not isinstance(result.prompt, str)
    return result.prompt[-1].content


def test_what_fits_is_left_alone() -> None:
    result = woven(slot("premise", "A fox.", gives_way="never"), slot("recall", "One.", "Two."), budget=100)
    assert text_of(result) == "premise: A fox.\nrecall: One. | Two."
    assert result.tokens == count(result.prompt)
    assert [record.cut for record in result.records] == ["", "", ""]
    assert [record.source for record in result.records] == ["premise:0", "recall:0", "recall:1"]


def test_whole_items_go_last_one_first() -> None:
    result = woven(slot("recall", "best of all", "second best", "third"), budget=2 + 1 + 2 + 1 + 3 + 1 + 2)
    assert text_of(result) == "recall: best of all | second best"
    assert [record.cut for record in result.records] == ["", "", "third"]
    assert [record.tokens for record in result.records] == [3, 2, 0]
    assert result.records[2].text == "third"


def test_a_beginning_goes_sentence_by_sentence() -> None:
    last = "He came home. He sat down.\n\nHe slept."
    result = woven(slot("last", last, gives_way="start"), budget=2 + 1 + 2 + 1 + 2)
    assert text_of(result) == "last: He slept."
    assert result.records[0].cut == "He came home. He sat down."
    assert result.records[0].text == "He slept."


def test_lower_priority_goes_first_and_of_equals_the_later() -> None:
    slots = (
        slot("first", "a b c"),
        slot("kept", "d e f", priority=1),
        slot("second", "g h i"),
    )
    whole = count(render({"first": ("a b c",), "kept": ("d e f",), "second": ("g h i",)}))
    names = [
        [record.slot for record in woven(*slots, budget=budget).records if record.cut]
        for budget in (whole - 1, whole - 5, whole - 9)
    ]
    assert names == [["second"], ["first", "second"], ["first", "kept", "second"]]


def test_a_slot_keeps_to_its_own_maximum_even_where_there_is_room() -> None:
    result = woven(
        slot("recall", "one two", "three four", "five", max_tokens=4),
        slot("last", "He came. He saw. He won.", gives_way="start", max_tokens=3),
        budget=1000,
    )
    assert text_of(result) == "recall: one two | three four\nlast: He won."


def test_a_maximum_of_nothing_empties_the_slot() -> None:
    result = woven(slot("recall", "one", max_tokens=0), slot("plan", "Go."), budget=1000)
    assert text_of(result) == "plan: Go."


def test_of_the_best_passage_some_stays_where_it_is_larger_than_its_slot() -> None:
    best, second = "He came. He saw. He won.", "Rain fell."
    result = woven(slot("recall", best, second, gives_way="end", max_tokens=5), budget=100)
    assert text_of(result) == "recall: He came. He saw."
    first, other = result.records
    assert (first.text, first.cut, other.cut) == ("He came. He saw.", "He won.", second)


def test_what_never_gives_way_is_never_capped() -> None:
    result = woven(slot("plan", "one two three", gives_way="never", max_tokens=1), budget=1000)
    assert text_of(result) == "plan: one two three"


def test_a_prompt_that_cannot_fit_is_refused_with_what_to_do() -> None:
    with pytest.raises(PromptTooLong, match=r"needs \d+ tokens and only 5 fit.*Shorten the premise"):
        woven(slot("premise", "word " * 50, gives_way="never"), slot("recall", "x"), budget=5)


def test_a_budget_below_nothing_is_told_as_none() -> None:
    with pytest.raises(PromptTooLong, match="only 0 fit"):
        woven(slot("plan", "Go."), budget=-7)


def test_two_slots_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        woven(slot("plan", "One."), slot("plan", "Two."), budget=100)


def test_scores_stay_with_their_items() -> None:
    item = Item(text="A passage.", source="step:s:3", score=1.5, parts={"bm25": 0.5, "dense": 1.0})
    record = woven(Slot(name="recall", items=(item,)), budget=100).records[0]
    assert (record.source, record.score, record.parts) == ("step:s:3", 1.5, {"bm25": 0.5, "dense": 1.0})


def test_a_huge_page_is_measured_a_few_times_only() -> None:
    measured = 0

    def counting(prompt: Prompt) -> int:
        nonlocal measured
        measured += 1
        return count(prompt)

    page = " ".join(f"He took step number {number}." for number in range(5000))
    memory = slot("memory", page, gives_way="start")
    result = weave((memory,), render=render, count=counting, budget=500)
    assert 490 < result.tokens <= 500
    assert measured < 40


def test_sentences_of_a_script_without_spaces_go_one_by_one() -> None:
    def characters(prompt: Prompt) -> int:
        return len(prompt) if isinstance(prompt, str) else sum(len(turn.content) for turn in prompt)

    result = weave(
        (slot("last", "雨が降った。彼は走った。", gives_way="start"),),
        render=render,
        count=characters,
        budget=len("Write.last: 彼は走った。"),
        language="ja",
    )
    assert text_of(result) == "last: 彼は走った。"


def test_whole_items_may_go_the_first_one_first() -> None:
    result = woven(slot("lore", "least", "more", "most", gives_way="early_items"), budget=2 + 1 + 2 + 1 + 3)
    assert text_of(result) == "lore: more | most"
    assert [record.cut for record in result.records] == ["least", "", ""]


def test_a_slot_keeps_its_minimum_while_another_has_more_than_its_own() -> None:
    slots = (
        slot("recall", "a b", "c d", "e f", min_tokens=2),
        slot("memory", "He came. He saw. He won.", gives_way="start", priority=5, min_tokens=2),
    )
    lines = dict.fromkeys(text_of(woven(*slots, budget=budget)) for budget in range(30, 4, -1))
    assert list(lines) == [
        "recall: a b | c d | e f\nmemory: He came. He saw. He won.",
        "recall: a b | c d\nmemory: He came. He saw. He won.",
        "recall: a b\nmemory: He came. He saw. He won.",
        "recall: a b\nmemory: He saw. He won.",
        "recall: a b\nmemory: He won.",
        "memory: He won.",
        "",
    ]


def test_a_minimum_is_kept_in_whole_pieces() -> None:
    memory = slot("memory", "He came home. He slept.", gives_way="start", min_tokens=3)
    result = woven(memory, slot("recall", "a", "b", priority=1), budget=2 + 1 + 2 + 1 + 5)
    assert text_of(result) == "memory: He came home. He slept."


def test_what_is_pinned_goes_last_of_all_and_is_named() -> None:
    notes = (Item(text="One.", source="n:1", pinned=True), Item(text="Two.", source="n:2"))
    memory = Slot(name="memory", items=notes, gives_way="start", max_tokens=0)
    last = slot("last", "He slept.", gives_way="start", priority=9)
    roomy = woven(memory, last, budget=100)
    assert text_of(roomy) == "memory: One.\nlast: He slept."
    assert roomy.lost == ()
    tight = woven(memory, last, budget=2 + 1 + 2 + 2)
    assert text_of(tight) == "memory: One."
    assert tight.lost == ()
    tightest = woven(memory, last, budget=2 + 1 + 2)
    assert text_of(tightest) == ""
    assert [(record.source, record.cut) for record in tightest.lost] == [("n:1", "One.")]


def test_a_page_of_fifty_thousand_words_costs_few_countings() -> None:
    measured = 0

    def counting(prompt: Prompt) -> int:
        nonlocal measured
        measured += 1
        return count(prompt)

    notes = tuple(Item(text=f"He took step number {number}.", source="note:1") for number in range(10_000))
    memory = Slot(name="memory", items=notes, gives_way="start", min_tokens=100, max_tokens=300)
    result = weave((memory,), render=render, count=counting, budget=500)
    assert result.tokens == 5 + 1 + 60 * 5 + 59
    assert [record.entered for record in result.records].index(True) == 10_000 - 60
    assert measured < 60 + 40


# --- properties ---------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["He came.", "She saw it!", "Why?", "no end", "“Go,” he said.", "雨。", "\n\n", "", " "]
)
TEXTS = st.lists(PIECES, max_size=5).map(" ".join)


@st.composite
def slots_of(draw: st.DrawFn) -> tuple[Slot, ...]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5))
    return tuple(
        Slot(
            name=name,
            items=tuple(
                Item(text=text, source=f"{name}:{place}", pinned=draw(st.booleans()))
                for place, text in enumerate(draw(st.lists(TEXTS, max_size=4)))
            ),
            priority=draw(st.integers(0, 2)),
            gives_way=draw(st.sampled_from(["items", "early_items", "end", "start", "never"])),
            min_tokens=draw(st.integers(0, 6)),
            max_tokens=draw(st.none() | st.integers(0, 8)),
        )
        for name in names
    )


def entered(slots: tuple[Slot, ...], budget: int) -> tuple[Woven, Mapping[str, tuple[str, ...]]] | None:
    """What was woven, with the texts that the last rendering got; None when it was refused."""
    seen: dict[Prompt, Texts] = {}

    def noting(texts: Texts) -> Prompt:
        seen[render(texts)] = texts
        return render(texts)

    try:
        result = weave(slots, render=noting, count=count, budget=budget)
    except PromptTooLong:
        return None
    return result, seen[result.prompt]


def never_only(slots: tuple[Slot, ...]) -> int:
    texts = {
        each.name: tuple(item.text for item in each.items if item.text) if each.gives_way == "never" else ()
        for each in slots
    }
    return count(render(texts))


@settings(max_examples=150, deadline=None)
@given(slots=slots_of(), budget=st.integers(0, 60))
def test_nothing_is_over_budget_lost_or_left_to_chance(slots: tuple[Slot, ...], budget: int) -> None:
    outcome = entered(slots, budget)
    if outcome is None:
        assert never_only(slots) > budget
        return
    result, texts = outcome
    assert result.tokens == count(result.prompt) <= budget
    assert entered(slots, budget) == outcome
    for each in slots:
        if each.gives_way == "never":
            assert texts[each.name] == tuple(item.text for item in each.items if item.text)
        elif each.max_tokens is not None and not any(item.pinned for item in each.items):
            assert sum(count(text) for text in texts[each.name]) <= each.max_tokens


@settings(max_examples=150, deadline=None)
@given(slots=slots_of(), budget=st.integers(0, 60))
def test_provenance_covers_what_was_kept_and_what_was_cut(slots: tuple[Slot, ...], budget: int) -> None:
    outcome = entered(slots, budget)
    if outcome is None:
        return
    result, texts = outcome
    items = [(each, item) for each in slots for item in each.items]
    assert len(result.records) == len(items)
    for record, (each, item) in zip(result.records, items, strict=True):
        assert (record.slot, record.source) == (each.name, item.source)
        if record.cut == item.text:
            assert record.tokens == 0
            assert record.text == item.text
        else:
            parts = [record.cut, record.text] if each.gives_way == "start" else [record.text, record.cut]
            assert item.text.split() in ("".join(parts).split(), " ".join(parts).split())
            assert not item.text or record.text in texts[each.name]
            assert record.tokens == count(record.text)


def kept_tokens(texts: Texts, name: str) -> int:
    return sum(count(text) for text in texts[name])


@settings(max_examples=150, deadline=None)
@given(slots=slots_of(), budget=st.integers(0, 60))
def test_what_is_pinned_is_cut_only_when_nothing_else_is_left_and_never_in_silence(
    slots: tuple[Slot, ...], budget: int
) -> None:
    outcome = entered(slots, budget)
    if outcome is None:
        return
    result, texts = outcome
    items = [(each, item) for each in slots for item in each.items]
    cut = [
        record for record, (_, item) in zip(result.records, items, strict=True) if item.pinned and record.cut
    ]
    assert list(result.lost) == cut
    if cut:
        loose = [
            record
            for record, (each, item) in zip(result.records, items, strict=True)
            if not item.pinned and each.gives_way != "never" and record.entered
        ]
        assert loose == []
    assert texts == result.texts


@settings(max_examples=150, deadline=None)
@given(slots=slots_of(), budget=st.integers(0, 60))
def test_minimums_and_priorities_are_respected(slots: tuple[Slot, ...], budget: int) -> None:
    outcome, whole = entered(slots, budget), entered(slots, 1000)
    if outcome is None or whole is None or outcome[0].tokens == whole[0].tokens:
        return
    before, after = whole[1], outcome[1]
    cut = [each for each in slots if before[each.name] != after[each.name]]
    below = [each for each in cut if kept_tokens(after, each.name) < each.min_tokens]
    for each in slots:
        if each.gives_way == "never" or any(item.pinned for item in each.items):
            continue
        at_minimum = len(after[each.name]) == 0 or _would_fall(each, after)
        if below:  # then every slot had come down to its minimum first
            assert at_minimum
        for other in cut:
            is_lower = each.priority < other.priority
            if is_lower and kept_tokens(after, other.name) >= other.min_tokens:
                assert at_minimum  # the less important one had nothing left to spare
            if is_lower and kept_tokens(after, other.name) < other.min_tokens and other in below:
                assert not any(after[each.name])  # its minimum went before the other's


def _would_fall(each: Slot, texts: Texts) -> bool:
    """Whether the slot's next piece would bring it below its minimum."""
    kept = texts[each.name]
    told = sentences(kept[0]) or kept
    last = told[-1] if len(kept) == 1 else kept[-1]
    pieces = {"items": kept[-1], "early_items": kept[0], "end": last, "start": told[0]}
    return kept_tokens(texts, each.name) - count(pieces[each.gives_way]) < each.min_tokens


@settings(max_examples=100, deadline=None)
@given(slots=slots_of(), budget=st.integers(0, 60), more=st.integers(1, 10))
def test_more_room_never_keeps_less(slots: tuple[Slot, ...], budget: int, more: int) -> None:
    less, greater = entered(slots, budget), entered(slots, budget + more)
    if less is not None:
        assert greater is not None
        assert greater[0].tokens >= less[0].tokens


@given(TEXTS)
def test_a_slot_that_gives_way_from_its_start_keeps_whole_sentences(text: str) -> None:
    parts = sentences(text)
    for budget in range(30):
        outcome = entered((slot("last", text, gives_way="start"),), budget)
        if outcome is not None and (kept := outcome[1]["last"]):
            assert sentences(kept[0]) == parts[len(parts) - len(sentences(kept[0])) :]
