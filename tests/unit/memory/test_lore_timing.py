from collections.abc import Sequence
from dataclasses import replace

from storyloom.memory.lore import LoreEntry, LoreSettings
from storyloom.memory.lore_results import Cause, LoreState, Obstacle
from storyloom.memory.lore_scan import Seen, scan
from storyloom.memory.text import count_words

ENTRY = LoreEntry(id="e", keys=("storm",), content="Storms last.", sticky=3, cooldown=2, delay=1)


def told(
    entries: Sequence[LoreEntry], depth: int, state: LoreState, plan: str = "a storm"
) -> tuple[dict[str, Cause | Obstacle], LoreState]:
    """One step: what happened to each entry, and the state that it leaves."""
    seen = Seen(depth=depth, plan=plan)
    result = scan(entries, seen, LoreSettings(), count=count_words, state=state)
    fates: dict[str, Cause | Obstacle] = {one.entry.id: one.why.cause for one in result.fired}
    fates |= {one.entry.id: one.obstacle for one in result.held}
    return fates, result.state


def test_delay_sticky_and_cooldown_follow_each_other_as_documented() -> None:
    state, fates = LoreState(), []
    for depth in range(1, 9):
        fate, state = told([ENTRY], depth, state)
        fates.append(fate["e"])
    sticky, cooling = [Cause.STICKY] * 3, [Obstacle.COOLDOWN] * 2
    assert fates == [Obstacle.DELAY, Cause.KEY, *sticky, *cooling, Cause.KEY]


def test_a_sticky_entry_stays_without_its_key_and_without_a_draw() -> None:
    entry = replace(ENTRY, delay=0)
    _, state = told([entry], 1, LoreState())
    unlucky = LoreEntry(id="u", keys=("storm",), content="x", probability=0, sticky=3)
    assert told([entry, unlucky], 2, state, plan="calm")[0] == {"e": Cause.STICKY}


def test_an_edit_ends_the_effects() -> None:
    entry = replace(ENTRY, delay=0)
    _, state = told([entry], 1, LoreState())
    fates, state = told([replace(entry, content="Storms pass.")], 2, state, plan="calm")
    assert fates == {}
    assert state == LoreState()


def test_the_state_holds_only_what_is_not_over() -> None:
    plain = LoreEntry(id="p", keys=("storm",), content="x")
    brief = LoreEntry(id="b", keys=("storm",), content="x", cooldown=1)
    _, state = told([plain, brief], 1, LoreState())
    assert set(state.firings) == {"b"}
    _, state = told([plain, brief], 2, state)
    assert state == LoreState()


def test_two_branches_go_on_from_one_state_by_themselves() -> None:
    entry = replace(ENTRY, delay=0)
    _, state = told([entry], 4, LoreState())
    left, _ = told([entry], 5, state)
    right, _ = told([entry], 5, state, plan="calm")
    assert left == right == {"e": Cause.STICKY}


def test_a_state_from_a_later_step_has_no_effect() -> None:
    _, state = told([replace(ENTRY, delay=0)], 9, LoreState())
    assert told([replace(ENTRY, delay=0)], 3, state)[0] == {"e": Cause.KEY}
