from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.lore import Logic, LoreEntry, LoreSettings, Position
from storyloom.memory.lore_results import Cause, LoreScan, LoreState, Obstacle
from storyloom.memory.lore_scan import Seen, scan
from storyloom.memory.text import count_words

DEFAULTS = LoreSettings()


def entry(id_: str, *keys: str, content: str | None = None, **fields: Any) -> LoreEntry:
    return LoreEntry(id=id_, keys=keys, content=f"About {id_}." if content is None else content, **fields)


def look(
    book: Sequence[LoreEntry],
    text: str = "",
    *,
    choices: LoreSettings = DEFAULTS,
    budget: int | None = None,
    state: LoreState | None = None,
    depth: int = 9,
    paragraphs: tuple[str, ...] | None = None,
    **further: Any,
) -> LoreScan:
    paragraphs = (text,) if paragraphs is None else paragraphs
    seen = Seen(depth=depth, paragraphs=paragraphs, **further)
    return scan(book, seen, choices, count=count_words, budget=budget, state=state)


def fired(*args: Any, **kwargs: Any) -> list[str]:
    return [one.entry.id for one in look(*args, **kwargs).fired]


def held(*args: Any, **kwargs: Any) -> dict[str, Obstacle]:
    return {one.entry.id: one.obstacle for one in look(*args, **kwargs).held}


# Keys


def test_a_key_fires_its_entry_and_says_where_it_stood() -> None:
    (one,) = look([entry("cow", "Bessie", "cow")], "The cow slept.").fired
    assert (one.entry.id, one.text, one.tokens, one.source) == ("cow", "About cow.", 2, "lore:cow")
    assert str(one.why) == "key 'cow' in step:8"


def test_the_nearest_text_is_named() -> None:
    (one,) = look([entry("a", "cow")], paragraphs=("cow", "cow"), plan="The cow wakes.").fired
    assert one.why.where == "plan"


@pytest.mark.parametrize(
    ("logic", "text", "fires"),
    [
        (Logic.AND_ANY, "king sword", True),
        (Logic.AND_ANY, "king", False),
        (Logic.AND_ALL, "king sword crown", True),
        (Logic.AND_ALL, "king sword", False),
        (Logic.NOT_ANY, "king", True),
        (Logic.NOT_ANY, "king sword", False),
        (Logic.NOT_ALL, "king sword", True),
        (Logic.NOT_ALL, "king sword crown", False),
    ],
)
def test_secondary_keys_count_as_the_logic_says(logic: Logic, text: str, fires: bool) -> None:
    one = entry("a", "king", secondary_keys=("sword", "crown"), logic=logic)
    assert fired([one], text) == ["a"] * fires


@pytest.mark.parametrize("logic", Logic)
def test_secondary_keys_alone_fire_nothing(logic: Logic) -> None:
    assert fired([entry("a", "king", secondary_keys=("sword",), logic=logic)], "sword crown") == []


def test_entries_that_are_off_or_have_no_key_stay_silent() -> None:
    assert fired([entry("off", "king", enabled=False), entry("none"), entry("blank", " ")], "king") == []


def test_a_constant_entry_needs_no_key() -> None:
    assert [str(one.why) for one in look([entry("a", constant=True)]).fired] == ["constant"]


def test_what_an_entry_leaves_open_is_the_books() -> None:
    book = [entry("own", "rose", case_sensitive=True), entry("open", "rose"), entry("part", "ros")]
    assert fired(book, "Rose") == ["open"]
    assert fired(book, "Rose", choices=replace(DEFAULTS, case_sensitive=True)) == []
    assert fired(book, "rose", choices=replace(DEFAULTS, whole_words=False)) == ["own", "open", "part"]


def test_macros_in_keys_and_texts_are_names() -> None:
    one = entry("a", "{{char}}", "/^{{user}}$/", content="{{char}} {{user}} {{x}}")
    result = look([one], "A. waits", names={"char": "A.", "user": "x"}, plan="AB")
    assert [found.text for found in result.fired] == ["A. x {{x}}"]
    assert result.fired[0].why.key == "{{char}}"


# Depth


def test_each_entry_looks_as_far_back_as_it_says() -> None:
    book = [entry("book", "x"), entry("none", "x", scan_depth=0), entry("far", "x", scan_depth=3)]
    past = ("x", "", "")
    assert fired(book, paragraphs=past) == ["far"]
    assert fired(book, paragraphs=past, choices=replace(DEFAULTS, scan_depth=3)) == ["book", "far"]
    assert fired(book, paragraphs=past, plan="x") == ["book", "none", "far"]


def test_other_sources_are_looked_at_only_for_those_who_ask() -> None:
    book = [entry("asks", "x", scans=("premise",)), entry("other", "x", scans=("notes",)), entry("no", "x")]
    (one,) = look(book, sources={"premise": "x"}).fired
    assert (one.entry.id, one.why.where) == ("asks", "premise")


def test_too_few_activations_look_further_back() -> None:
    book = [entry("near", "n"), entry("mid", "m"), entry("far", "f"), entry("own", "f", scan_depth=1)]
    past = ("f", "m", "", "n")
    choices = replace(DEFAULTS, scan_depth=1, min_activations=2)
    assert fired(book, paragraphs=past, choices=choices) == ["near", "mid"]
    assert fired(book, paragraphs=past, choices=replace(choices, min_activations=9)) == ["near", "mid", "far"]
    bounded = replace(choices, min_activations=9, max_scan_depth=2)
    assert fired(book, paragraphs=past, choices=bounded) == ["near"]


def test_what_was_found_further_back_may_fire_others() -> None:
    book = [entry("far", "f", content="n"), entry("next", "n")]
    choices = replace(DEFAULTS, scan_depth=0, min_activations=1)
    assert fired(book, paragraphs=("f", ""), choices=choices) == ["far", "next"]


# Recursion


def test_an_entrys_text_fires_others() -> None:
    book = [entry("a", "Bessie", content="A friend of Rufus."), entry("b", "Rufus")]
    assert [str(one.why) for one in look(book, "Bessie").fired] == [
        "key 'Bessie' in step:8",
        "key 'Rufus' in lore:a",
    ]
    assert fired(book, "Bessie", choices=replace(DEFAULTS, recursive=False)) == ["a"]


def test_keys_of_text_and_recursion_count_together() -> None:
    book = [entry("a", "x", content="sword"), entry("b", "x", secondary_keys=("sword",))]
    assert fired(book, "x") == ["a", "b"]


def test_recursion_can_be_closed_to_and_from_an_entry() -> None:
    start = entry("start", "x", content="y")
    assert held([start, entry("closed", "y", exclude_recursion=True)], "x") == {"closed": Obstacle.RECURSION}
    assert fired([replace(start, prevent_recursion=True), entry("b", "y")], "x") == ["start"]


def test_recursion_ends_after_its_most_rounds() -> None:
    chain = [entry(f"e{n}", f"k{n}", content=f"k{n + 1}") for n in range(6)]
    assert len(fired(chain, "k0")) == 6
    assert len(fired(chain, "k0", choices=replace(DEFAULTS, max_recursion=2))) == 3


def test_a_cycle_fires_each_entry_once() -> None:
    book = [entry("a", "x", "z", content="y"), entry("b", "y", content="z x"), entry("c", "z", content="z")]
    assert Counter(fired(book, "x")) == Counter("abc")


def test_levels_of_recursion_open_one_after_the_other() -> None:
    first = entry("first", "x", content="spark")
    one = entry("one", "x", delay_until_recursion=1)
    two = entry("two", "x", delay_until_recursion=2, secondary_keys=("about one",))
    assert fired([two, one, first], "x") == ["two", "one", "first"]
    assert held([one, replace(first, keys=())], "x") == {"one": Obstacle.RECURSION}
    unequal = replace(two, secondary_keys=("About one.",), logic=Logic.NOT_ANY)
    assert fired([unequal, one, first], "x") == ["one", "first"]


# Chance, groups, filters


def test_probability_is_a_draw_of_the_steps_seed() -> None:
    book = [entry("a", "x", probability=30), entry("never", "x", probability=0)]
    times = sum(bool(fired(book, "x", seed=seed)) for seed in range(1000))
    assert 250 < times < 350
    assert held(book, "x", seed=0)["never"] is Obstacle.PROBABILITY


def test_an_unlucky_entry_gets_no_second_chance_and_its_group_is_free() -> None:
    book = [
        entry("winner", "x", groups=("g",), group_override=True, probability=0),
        entry("loser", "x", groups=("g",)),
        entry("other", "x", content="y"),
    ]
    assert fired(book, "x") == ["loser", "other"]
    assert held(book, "x") == {"winner": Obstacle.PROBABILITY}


def test_a_group_that_fired_is_closed_to_recursion() -> None:
    book = [entry("a", "x", content="y", groups=("g",)), entry("b", "y", groups=("g",), group_override=True)]
    assert fired(book, "x") == ["a"]
    assert held(book, "x") == {"b": Obstacle.GROUP}


def test_group_scoring_counts_the_keys_found() -> None:
    book = [
        entry("plain", "song", "sing", groups=("g",)),
        entry("ghosts", "song", "sing", "ghosts", groups=("g",)),
    ]
    choices = replace(DEFAULTS, group_scoring=True)
    assert all(fired(book, "sing a song of ghosts", choices=choices, seed=s) == ["ghosts"] for s in range(30))
    drawn = {tuple(fired(book, "sing a song", choices=choices, seed=seed)) for seed in range(30)}
    assert drawn == {("plain",), ("ghosts",)}


def test_filters_ask_for_characters_and_triggers() -> None:
    book = [
        entry("mara", "x", characters=("mara",)),
        entry("not", "x", characters=("Mara", "Tom"), without_characters=True),
        entry("swipe", "x", triggers=("swipe",)),
    ]
    assert fired(book, "x", present=frozenset({"Mara"})) == ["mara"]
    assert held(book, "x", present=frozenset({"Ada"})) == {
        "mara": Obstacle.CHARACTER,
        "swipe": Obstacle.TRIGGER,
    }
    assert "swipe" in fired(book, "x", trigger="swipe")


def test_a_semantic_entry_fires_by_its_likeness_or_its_key() -> None:
    book = [
        entry("near", semantic=True),
        entry("far", semantic=True),
        entry("keyed", "x"),
        entry("both", "x", semantic=True),
    ]
    likeness = {"near": 0.6, "far": 0.4, "keyed": 0.9, "both": 0.9}
    result = look(book, "", likeness=likeness)
    assert [(one.entry.id, one.why.cause, one.score) for one in result.fired] == [
        ("near", Cause.SEMANTIC, 0.6),
        ("both", Cause.SEMANTIC, 0.9),
    ]
    assert str(result.fired[0].why) == "like the text in meaning (0.60)"
    assert [one.why.cause for one in look(book, "x", likeness=likeness).fired][1:] == [Cause.KEY, Cause.KEY]


# Budget and order


def test_the_budget_takes_constant_ones_first_then_the_highest_order() -> None:
    book = [
        entry("low", "x", order=1, content="a b c"),
        entry("high", "x", order=9, content="a b c"),
        entry("constant", constant=True, order=0, content="a b c"),
    ]
    assert fired(book, "x", budget=6) == ["constant", "high"]
    assert held(book, "x", budget=6) == {"low": Obstacle.BUDGET}


def test_after_the_first_that_does_not_fit_only_those_enter_that_ignore_the_budget() -> None:
    book = [
        entry("large", "x", order=9, content="a b c d"),
        entry("small", "x", order=5, content="y"),
        entry("free", "x", order=1, content="a b c d e f", ignore_budget=True),
        entry("next", "y"),
    ]
    assert fired(book, "x", budget=3) == ["free"]
    assert held(book, "x", budget=3) == {"large": Obstacle.BUDGET, "small": Obstacle.BUDGET}


def test_direct_mentions_come_before_recursion() -> None:
    book = [
        entry("second", "y", order=999),
        entry("first", "x", content="y"),
        entry("direct", "x", content="a"),
    ]
    assert fired(book, "x", budget=2) == ["first", "direct"]


def test_the_prompts_order_is_position_depth_and_order() -> None:
    book = [
        entry("note", constant=True, position=Position.BEFORE_NOTE),
        entry("near", constant=True, position=Position.AT_DEPTH, depth=0),
        entry("deep", constant=True, position=Position.AT_DEPTH, depth=4),
        entry("last", constant=True, order=200),
        entry("first", constant=True, order=100),
        entry("after", constant=True, order=100),
    ]
    assert fired(book) == ["first", "after", "last", "note", "deep", "near"]


# What must hold of any book


def test_a_catastrophic_expression_is_a_problem_of_its_entry_alone() -> None:
    book = [entry("bad", "/(a|aa)+$/", "honey"), entry("good", "/hon(e|i)y/"), entry("odd", "/(/")]
    result = look(book, "a" * 80 + "b honey /(/")
    assert [one.entry.id for one in result.fired] == ["bad", "good", "odd"]
    assert [one.entry.id for one in result.problems] == ["odd", "bad"]
    assert "takes too long" in result.problems[1].text


def test_ten_thousand_entries_that_name_each_other_in_a_circle() -> None:
    many = 10_000
    book = [entry(f"e{n}", f"name {n}.", content=f"See name {(n + 1) % many}.") for n in range(many)]
    assert len(fired(book, "name 77.", budget=300)) == 100
    assert len(fired(book, "name 77.")) == many


def test_a_book_of_expressions_is_bounded_as_a_whole() -> None:
    long = "x" * 1990
    book = [entry(f"e{number}", f"/{long}{number}/") for number in range(101)]
    problems = look(book).problems
    assert [one.entry.id for one in problems] == ["e100"]
    assert "200,000 characters" in problems[0].text


def test_many_levels_and_absurd_depths_end() -> None:
    book = [
        entry(f"e{number}", "x", delay_until_recursion=number, scan_depth=10**12) for number in range(3000)
    ]
    assert len(fired(book, "x", choices=replace(DEFAULTS, scan_depth=10**12, min_activations=10**12))) == 3000


WORDS = st.sampled_from(["ash", "birch", "cedar", "dew", "elm"])
PHRASES = st.lists(WORDS, max_size=4).map(" ".join)


@st.composite
def books(draw: st.DrawFn) -> list[LoreEntry]:
    return [
        LoreEntry(
            id=f"e{number}",
            keys=tuple(draw(st.lists(WORDS, max_size=2))),
            secondary_keys=tuple(draw(st.lists(WORDS, max_size=2))),
            logic=draw(st.sampled_from(Logic)),
            content=draw(PHRASES),
            constant=draw(st.integers(0, 9)) == 0,
            order=draw(st.integers(0, 3)),
            probability=draw(st.sampled_from([100.0, 60.0, 0.0])),
            groups=tuple(draw(st.lists(st.sampled_from("gh"), max_size=2, unique=True))),
            group_override=draw(st.booleans()),
            ignore_budget=draw(st.integers(0, 5)) == 0,
            exclude_recursion=draw(st.booleans()),
            prevent_recursion=draw(st.booleans()),
            delay_until_recursion=draw(st.integers(0, 2)),
            sticky=draw(st.integers(0, 2)),
            cooldown=draw(st.integers(0, 2)),
            scan_depth=draw(st.none() | st.integers(0, 3)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@settings(max_examples=150, deadline=None)
@given(
    book=books(),
    past=st.lists(PHRASES, max_size=3),
    budget=st.none() | st.integers(0, 8),
    seed=st.integers(0, 9),
    fewest=st.integers(0, 4),
    shuffled=st.randoms(use_true_random=False),
)
def test_any_book_ends_within_its_budget_the_same_each_time(
    book: list[LoreEntry], past: list[str], budget: int | None, seed: int, fewest: int, shuffled: Random
) -> None:
    choices = replace(DEFAULTS, min_activations=fewest)
    state = LoreState()
    for depth in (3, 4):
        seen = Seen(depth=depth, paragraphs=past, seed=seed)
        found = scan(book, seen, choices, count=count_words, state=state, budget=budget)
        assert found == scan(book, seen, choices, count=count_words, state=state, budget=budget)
        ids = [one.entry.id for one in found.fired]
        assert len(set(ids)) == len(ids)
        assert not set(ids) & {one.entry.id for one in found.held}
        paid = sum(one.tokens for one in found.fired if not one.entry.ignore_budget)
        assert budget is None or paid <= budget
        for group in "gh":
            members = [one for one in found.fired if group in one.entry.groups]
            assert len(members) <= 1 or any(one.why.cause is Cause.STICKY for one in members)
        state = found.state
    distinct = [replace(one, order=place) for place, one in enumerate(book)]
    mixed = list(distinct)
    shuffled.shuffle(mixed)
    assert fired(mixed, paragraphs=past, seed=seed) == fired(distinct, paragraphs=past, seed=seed)
