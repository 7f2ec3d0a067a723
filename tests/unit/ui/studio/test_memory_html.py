from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storyloom.app.rebuilding import Rebuilt
from storyloom.app.remembering import Gone
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.lore_results import (
    Cause,
    FiredLore,
    HeldLore,
    LoreProblem,
    LoreScan,
    Obstacle,
    Why,
)
from storyloom.memory.story import Dropped, MemoryChange, Note, Stale, StalePart
from storyloom.memory.weaver import Item
from storyloom.ui.studio import lore_html, memory_html, search_html, stale_html

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' & ${1} {{2}}"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
NOTE = Note(HOSTILE, 1)
ENTRY = LoreEntry(id=HOSTILE, name=HOSTILE, keys=(HOSTILE,), content=HOSTILE)
KEY = Why(cause=Cause.KEY, key=HOSTILE, secondary=(HOSTILE,), where=f"lore:{HOSTILE}")
SCAN = LoreScan(
    fired=(FiredLore(entry=ENTRY, text=HOSTILE, why=KEY, tokens=1),),
    held=(HeldLore(entry=ENTRY, why=Why(cause=Cause.KEY, where=HOSTILE), obstacle=Obstacle.GROUP),),
    problems=(LoreProblem(entry=ENTRY, text=HOSTILE),),
)
CHANGE = MemoryChange(strand_id="s", depth=1, added=(NOTE,), dropped=(Dropped(NOTE, HOSTILE),))


def mark(depth: int, part: StalePart, cause: str) -> Stale:
    return Stale(strand_id="s", depth=depth, part=part, cause=cause, created_at=NOW)


@pytest.mark.parametrize(
    "html",
    [
        memory_html.notes([NOTE]),
        memory_html.gone([Gone(Dropped(NOTE, HOSTILE), 2)]),
        memory_html.proposals([CHANGE]),
        stale_html.stale([mark(1, StalePart.NOTE, HOSTILE)], []),
        stale_html.edited(HOSTILE, [], 0, [HOSTILE]),
        stale_html.rebuilding(HOSTILE, 1, 2),
        search_html.hits([Item(text=HOSTILE, source=HOSTILE, score=1.0, parts={HOSTILE: 0.5})], HOSTILE),
        lore_html.entries([ENTRY]),
        lore_html.characters([CharacterSheet(id=HOSTILE, name=HOSTILE, description=HOSTILE)]),
        lore_html.heading(HOSTILE),
        lore_html.brought([HOSTILE]),
        lore_html.firing(SCAN),
        lore_html.book_links(HOSTILE, [ENTRY]),
    ],
)
def test_hostile_text_is_shown_and_never_becomes_markup(html: str) -> None:
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;window.pwned = 1&lt;/script&gt;" in html
    assert 'alert(1)>"' not in html


def test_what_is_stale_is_told_in_sentences() -> None:
    cause = "the paragraph of step 3 was edited"
    marks = [mark(3, StalePart.NOTE, cause), *(mark(depth, StalePart.PAGE, cause) for depth in (4, 5, 6, 9))]
    lamp = "the lore entry 'Lamp' was edited"
    marks += [mark(depth, StalePart.PARAGRAPH, lamp) for depth in (2, 7)]
    assert stale_html.sentences(marks) == [
        "Paragraphs 2 and 7 are stale, because the lore entry 'Lamp' was edited.",
        "What was noted of paragraph 3 is stale, because paragraph 3 was edited.",
        "The memory after paragraphs 4 to 6 and 9 is stale, because paragraph 3 was edited.",
    ]


def test_what_was_made_again_is_counted() -> None:
    assert "Made again: 1 note, 2 pages of memory and 1,200 vectors." in stale_html.rebuilt(
        Rebuilt(notes=1, pages=2, vectors=1200)
    )
    nothing = stale_html.rebuilt(Rebuilt(kept=2))
    assert "Nothing had to be made again. 2 pages written by hand stand as they are." in nothing


def test_a_hit_says_where_it_stands_and_what_speaks_for_it() -> None:
    items = [
        Item(text="A", source="step:s:12", score=0.5, parts={"bm25": 0.6, "dense": -0.1}),
        Item(text="B", source="summary:s:20", score=0.4),
        Item(text="C", source="lore:x", score=0.3),
    ]
    html = search_html.hits(items, "")
    assert 'data-depth="12"' in html
    assert "score 0.50" in html
    assert 'its own words</th><td class="for"><span style="width: 60%"' in html
    assert 'likeness of meaning</th><td class="against"><span style="width: 10%"' in html
    assert "Summary up to" in html
    assert "<span>Lore</span>" in html
    assert "Nothing in the story answers to that" in search_html.hits([], "")


def test_nothing_is_told_as_nothing() -> None:
    assert "remembers nothing" in memory_html.notes([])
    assert "premise alone" in memory_html.change(None)
    assert "No sentence has left" in memory_html.gone([])


def test_a_long_list_of_sentences_that_left_begins_with_the_last() -> None:
    depths = range(900, 0, -1)
    left = [Gone(Dropped(replace(NOTE, text=f"Sentence {depth}."), "full"), depth) for depth in depths]
    told = memory_html.gone(left)
    assert "The last 60 of 900 sentences are shown." in told
    assert told.count("<li") == 60
    assert "Sentence 841." in told
    assert "Sentence 840." not in told
    assert "are shown" not in memory_html.gone(left[:60])
    assert "None would fire" in lore_html.firing(LoreScan())
    assert lore_html.brought([]) == lore_html.book_links("s", []) == lore_html.card_links("s", []) == ""
