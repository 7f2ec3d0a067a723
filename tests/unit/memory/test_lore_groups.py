from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from storyloom.memory.lore import LoreEntry, LoreSettings
from storyloom.memory.lore_groups import Candidate, losers
from storyloom.memory.lore_results import Cause, Why

DEFAULTS = LoreSettings()


def candidate(
    id_: str,
    place: int = 0,
    *,
    matches: int = 1,
    cause: Cause = Cause.KEY,
    groups: tuple[str, ...] = ("g",),
    **fields: Any,
) -> Candidate:
    entry = LoreEntry(id=id_, groups=groups, **fields)
    return Candidate(entry=entry, place=place, why=Why(cause=cause), matches=matches)


def winners(
    candidates: Sequence[Candidate],
    *,
    taken: Collection[str] = (),
    settings: LoreSettings = DEFAULTS,
    seed: int = 1,
) -> set[str]:
    lost = losers(candidates, taken, settings, seed)
    return {one.entry.id for one in candidates} - lost


def test_one_of_a_group_stays() -> None:
    members = [candidate(name) for name in "abc"]
    assert len(winners(members)) == 1


def test_entries_without_a_group_are_left_alone() -> None:
    assert winners([candidate("a", groups=()), candidate("b", groups=())]) == {"a", "b"}


def test_the_draw_follows_the_weights() -> None:
    members = [candidate("heavy", group_weight=300), candidate("light", group_weight=100)]
    drawn = Counter(winners(members, seed=seed).pop() for seed in range(2000))
    assert 1400 < drawn["heavy"] < 1600


def test_the_draw_depends_neither_on_order_nor_on_losers() -> None:
    members = [candidate(name) for name in "abcdef"]
    for seed in range(50):
        won = winners(members, seed=seed)
        assert winners(members[::-1], seed=seed) == won
        assert winners([one for one in members if one.entry.id in {*won, "a"}], seed=seed) == won


def test_a_weight_of_nothing_wins_only_without_others() -> None:
    nothing = candidate("nothing", group_weight=0)
    assert all(winners([nothing, candidate("b")], seed=seed) == {"b"} for seed in range(50))
    assert winners([nothing]) == {"nothing"}


def test_the_highest_order_wins_among_those_that_override() -> None:
    members = [
        candidate("low", 0, group_override=True, order=1),
        candidate("high", 1, group_override=True, order=2),
        candidate("heavy", 2, group_weight=10**6, order=99),
    ]
    assert winners(members) == {"high"}


def test_scoring_leaves_those_with_most_keys_found() -> None:
    members = [candidate("two", matches=2), candidate("three", matches=3)]
    scoring = replace(DEFAULTS, group_scoring=True)
    assert all(winners(members, settings=scoring, seed=seed) == {"three"} for seed in range(50))


def test_an_entry_takes_part_in_scoring_or_not_by_itself() -> None:
    unscored = candidate("two", matches=2, group_scoring=False, group_override=True)
    members = [unscored, candidate("three", matches=3)]
    assert winners(members, settings=replace(DEFAULTS, group_scoring=True)) == {"two"}
    scored = candidate("two", matches=2, group_scoring=True, group_override=True)
    assert winners([scored, candidate("three", matches=3)]) == {"three"}


def test_a_group_that_is_taken_lets_no_one_in() -> None:
    assert winners([candidate("a"), candidate("b", groups=("h",))], taken={"g"}) == {"b"}


def test_sticky_entries_stay_whoever_comes() -> None:
    members = [candidate("s", cause=Cause.STICKY), candidate("n", group_override=True, order=999)]
    assert winners(members) == {"s"}
    assert winners(members, taken={"g"}) == {"s"}


def test_an_entry_of_two_groups_keeps_both_for_itself() -> None:
    both = candidate("both", groups=("g", "h"), group_override=True)
    assert winners([both, candidate("a"), candidate("b", groups=("h",))]) == {"both"}
