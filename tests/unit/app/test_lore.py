"""The lore in a step: what fires stands in the prompt, and what it leaves goes on with the strand."""

from collections.abc import Callable

import pytest

from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.lore_results import Cause, Obstacle
from storyloom.memory.story import PassageKind, SlotRecord, Strand
from storyloom.storage.database import Database

STORY = "story0000001"


class Noting(Listener):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def on_notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def write(studio: Studio, strand: Strand) -> Callable[..., list[SlotRecord]]:
    """Writes a step by a plan, and gives what of the lore stood in its prompt."""

    def step(plan: str, line: str | None = None, listener: Listener | None = None) -> list[SlotRecord]:
        (written,) = studio.write(STORY, listener or Listener(), wish=Wish(plan=plan), strand=line)
        slots = studio.provenance(STORY, written.depth, line or strand.id).slots
        return [slot for slot in slots if slot.source.startswith(("lore:", "character:"))]

    return step


def test_what_fires_stands_in_the_prompt_with_its_source(
    studio: Studio, write: Callable[..., list[SlotRecord]]
) -> None:
    entry = studio.lore.entries.add(
        STORY, {"keys": ["bell"], "content": "{{char}} forged the bell for {{user}} {{2+2}}."}
    )
    studio.lore.entries.add(STORY, {"keys": ["gong"], "content": "The gong is lost."})
    sheet = studio.lore.characters.add(STORY, {"name": "Ada", "description": "A smith."})
    slots = write("Mara rings the bell.")
    assert {(slot.source, slot.text) for slot in slots} == {
        (f"lore:{entry.id}", "Ada forged the bell for you {{2+2}}."),
        (f"character:{sheet.id}", "Ada: A smith."),
    }
    assert all(slot.tokens for slot in slots)


def test_sticky_and_cooldown_go_on_from_step_to_step_and_fork(
    studio: Studio, write: Callable[..., list[SlotRecord]]
) -> None:
    studio.lore.entries.add(STORY, {"keys": ["storm"], "content": "Storms.", "sticky": 1, "cooldown": 1})
    assert [len(write(plan)) for plan in ("a storm", "calm")] == [1, 1]
    branch = studio.branch(STORY, at=1)
    assert [len(write("calm", branch.id)), len(write("a storm", branch.id))] == [1, 0]
    assert [len(write("a storm")), len(write("a storm"))] == [0, 1]


def test_semantic_entries_are_embedded_once_and_fire_by_likeness(
    studio: Studio, database: Database, strand: Strand
) -> None:
    text = "Whales sing beneath the ice of winter."
    near = studio.lore.entries.add(STORY, {"content": text, "semantic": True})
    studio.lore.entries.add(STORY, {"content": "Bread needs salt and flour.", "semantic": True})
    for _ in range(2):
        (fired,) = studio.lore.would_fire(STORY, "whales sing beneath winter ice").fired
        assert (fired.entry, fired.why.cause) == (near, Cause.SEMANTIC)
        assert fired.score is not None
        assert 0.5 < fired.score <= 1
    with database.unit_of_work(write=False) as work:
        kept = dict(work.passages.vectors(strand.id, PassageKind.LORE, embedder="words"))
    assert len(kept) == 2


def test_the_budget_is_a_share_of_the_context(studio: Studio, write: Callable[..., list[SlotRecord]]) -> None:
    for number in range(3):
        studio.lore.entries.add(STORY, {"keys": ["x"], "content": "word " * 40, "order": number})
    studio.settings.change(STORY, {"lore.budget_cap": "90"})
    assert len(write("x")) == 2
    studio.settings.change(STORY, {"lore.budget_cap": "", "lore.budget": "0.005"})
    assert len(write("x")) == 1  # 41 of 8,192 tokens


def test_a_catastrophic_expression_is_told_once_and_the_step_is_written(
    studio: Studio, write: Callable[..., list[SlotRecord]]
) -> None:
    studio.lore.entries.add(STORY, {"name": "Bad", "keys": ["/(a|aa)+$/", "bell"], "content": "A bell."})
    noting = Noting()
    for _ in range(2):
        assert len(write("a" * 80 + "b bell", listener=noting)) == 1
    assert [notice for notice in noting.notices if "Bad" in notice] == [
        "The lore entry 'Bad': The regular expression /(a|aa)+$/ can't be used: it takes too long, and it is "
        "passed over."
    ]


def test_lore_that_fired_is_not_recalled_a_second_time(
    studio: Studio, write: Callable[..., list[SlotRecord]]
) -> None:
    text = "The drowned bell of Carrow tolls before every shipwreck."
    studio.lore.entries.add(STORY, {"keys": ["bell"], "content": text})
    for number in range(5):
        write(f"Mara walks {number}.")
    (slot,) = write("The drowned bell of Carrow tolls before a shipwreck.")
    assert slot.slot != "recall"


def test_what_would_fire_is_told_with_reasons(studio: Studio, write: Callable[..., list[SlotRecord]]) -> None:
    studio.lore.entries.add(STORY, {"name": "A", "keys": ["bell"], "content": "See the tower."})
    studio.lore.entries.add(STORY, {"name": "B", "keys": ["tower"], "content": "b"})
    studio.lore.entries.add(STORY, {"name": "C", "keys": ["bell"], "content": "c", "probability": 0})
    write("calm")
    found = studio.lore.would_fire(STORY, "the bell")
    told = {one.entry.name: str(one.why) for one in found.fired}
    assert told["A"] == "key 'bell' in plan"
    assert told["B"].startswith("key 'tower' in lore:")
    assert [(one.entry.name, one.obstacle) for one in found.held] == [("C", Obstacle.PROBABILITY)]
    assert studio.lore.would_fire(STORY).fired == ()


def test_entries_may_ask_for_other_texts(studio: Studio, strand: Strand) -> None:  # noqa: ARG001
    studio.lore.entries.add(STORY, {"keys": ["lighthouse"], "content": "x", "scans": ["premise"]})
    (fired,) = studio.lore.would_fire(STORY, "calm").fired
    assert fired.why.where == "premise"
