"""Outlines: each line is a chapter's, in its own words, and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.outline import given_title, outline_chapters


def test_lines_are_chapters_without_the_marks_of_a_list() -> None:
    outline = (
        "1. Mara finds a door.\n\n- She opens it.\n  12) 1984 begins behind it.\n• Chapter 4: Mara leaves."
    )
    assert outline_chapters(outline, 9) == (
        "Mara finds a door.",
        "She opens it.",
        "1984 begins behind it.",
        "Chapter 4: Mara leaves.",
    )


@given(
    lines=st.lists(st.from_regex(r"[A-Z][a-z]{1,8}\.", fullmatch=True), max_size=12), most=st.integers(0, 15)
)
def test_lines_beyond_the_most_share_chapters_evenly_and_in_order(lines: list[str], most: int) -> None:
    chapters = outline_chapters("\n".join(lines), most)
    assert len(chapters) == min(len(lines), most)
    if chapters:
        assert " ".join(chapters) == " ".join(lines)
        sizes = [chapter.count(".") for chapter in chapters]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("chapter", "title"),
    [
        ("The Door: Mara finds it at low tide.", "The Door"),
        ("Mara finds a door.", ""),
        ("The Door:", ""),
        (": Mara finds a door.", ""),
        ("Mara, who has kept the lamp for twenty years, learns: the door is hers.", ""),
    ],
)
def test_what_stands_before_a_colon_is_a_title_where_it_is_short(chapter: str, title: str) -> None:
    assert given_title(chapter) == title
