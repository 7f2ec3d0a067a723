from datetime import UTC, datetime

import pytest

from storyloom.memory.story import Stale, StalePart
from storyloom.ui.studio import paragraph_html

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def mark(depth: int, part: StalePart) -> Stale:
    return Stale(strand_id="s", depth=depth, part=part, cause="<b>", created_at=NOW)


def test_the_only_version_is_not_counted() -> None:
    assert paragraph_html.versions(1, 1) == paragraph_html.versions(1, 0) == ""
    assert "Version 2 of 3" in paragraph_html.versions(2, 3)


def test_an_edit_of_a_paragraph_of_one_strand_needs_no_warning() -> None:
    assert paragraph_html.shared(3, 1) == ""
    assert "4 strands share paragraph 3" in paragraph_html.shared(3, 4)


@pytest.mark.parametrize(
    ("depths", "told"),
    [
        ([3], "the memory after paragraph 3."),
        ([3, 4], "the memory after paragraphs 3 to 4."),
        ([2, 4, 5, 6, 9], "the memory after paragraphs 2, 4 to 6 and 9."),
    ],
)
def test_what_is_stale_is_told_in_runs(depths: list[int], told: str) -> None:
    assert told in paragraph_html.stale([mark(depth, StalePart.PAGE) for depth in depths])


def test_notes_and_pages_are_told_together_and_paragraphs_let_stand() -> None:
    both = paragraph_html.stale([mark(3, StalePart.NOTE), mark(4, StalePart.PAGE)])
    assert "what was noted of paragraph 3 and the memory after paragraph 4." in both
    assert paragraph_html.stale([mark(3, StalePart.PARAGRAPH)]) == ""


def test_a_long_sentence_is_cut_between_words() -> None:
    assert paragraph_html.cut_label("She\nknocks.") == "She knocks."
    long = paragraph_html.cut_label("knock " * 40)
    assert long.endswith("knock…")
    assert len(long) <= 91
