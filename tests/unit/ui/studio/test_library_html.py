from datetime import UTC, datetime

import pytest

from storyloom.memory.lore import CharacterSheet
from storyloom.memory.story import Mode, Story, StorySummary
from storyloom.ui.studio import library_html, new_story_html

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=alert(1)>\" ' & ${1} {{2}}"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
SUMMARY = StorySummary(id=HOSTILE, title=HOSTILE, mode=Mode.NOVEL, words=1_234, steps=1, updated_at=NOW)
STORY = Story(
    id="story",
    owner="local",
    title=HOSTILE,
    premise=HOSTILE,
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline=f"{HOSTILE}\n\nThe end.",
    authors_note="",
    settings={},
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(
    "html",
    [
        library_html.shelf([SUMMARY]),
        library_html.shelf([], HOSTILE),
        library_html.deleted(HOSTILE),
        new_story_html.summary(STORY, [CharacterSheet(id="c", name=HOSTILE)]),
    ],
)
def test_nothing_that_was_written_is_markup(html: str) -> None:
    assert "<script" not in html
    assert "<img" not in html
    assert 'alert(1)>"' not in html


def test_a_shelf_links_to_stories_and_counts_them() -> None:
    html = library_html.shelf([SUMMARY])
    assert "Novel · 1,234 words · 1 paragraph · 4 March 2026" in html
    assert html.count('data-pick="') == 2


def test_an_empty_shelf_says_so() -> None:
    assert "No story yet" in library_html.shelf([])


def test_the_trail_marks_one_step() -> None:
    assert '<li aria-current="step">Outline</li>' in new_story_html.trail(1)
    assert new_story_html.trail(1).count("aria-current") == 1


def test_a_summary_leaves_out_what_there_is_none_of() -> None:
    html = new_story_html.summary(STORY, [])
    assert "Characters" not in html
    assert '<p dir="auto">The end.</p>' in html
