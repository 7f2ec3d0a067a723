"""Manuscripts: whatever a text looks like, its paragraphs and chapters are found and no word is lost."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storyloom.memory.errors import ImportRefused
from storyloom.memory.story import Step, Story
from storyloom.memory.text import clean, words
from storyloom.storage.formats import Block, Manuscript, manuscript, markdown, read_manuscript, text

PARAGRAPHS = (
    "Mara kept the lighthouse alone. Every evening she carried the lamp up two hundred stairs, and every "
    "morning she carried it down again, because the lamp had asked her to.",
    "“Who is there?” said Elias.",
    "Nobody answered. The sea had gone out so far that the boats lay on their sides like tired cattle, and "
    "between them, upright in the sand, there stood a door.",
    "She knocked.",
)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Manuscript]:
    """What becomes of a text."""

    def read(content: str | bytes, name: str = "The Book.txt") -> Manuscript:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_manuscript(file)

    return read


def texts(found: Manuscript) -> list[str]:
    return [block.text for block in found.blocks]


def chapters(found: Manuscript) -> dict[int, str]:
    return {place: block.heading for place, block in enumerate(found.blocks) if block.heading}


def told(found: Manuscript) -> list[str]:
    """Every word of it, in order."""
    return words(found.title) + [
        word for block in found.blocks for part in (block.heading, block.text) for word in words(part)
    ]


# The layout of plain text


def wrapped(width: int, indent: str = "", between: str = "\n\n") -> str:
    return between.join(textwrap.fill(one, width, initial_indent=indent) for one in PARAGRAPHS)


@pytest.mark.parametrize(
    "content",
    [
        "\n\n".join(PARAGRAPHS),
        "\n".join(PARAGRAPHS),
        "\r\n\r\n".join(PARAGRAPHS).encode(),
        b"\xef\xbb\xbf" + "\r".join(PARAGRAPHS).encode(),
        "\n\n\n\n  \t\n".join(PARAGRAPHS) + "\n\n\n",
        wrapped(72),
        wrapped(60),
        wrapped(66, "    ", "\n"),
        wrapped(72, "  "),
        "\f" + "\n \n".join(PARAGRAPHS) + "\x1a",
    ],
    ids=["blank lines", "lines", "CRLF", "BOM", "many blanks", "72", "60", "indented", "both", "control"],
)
def test_paragraphs_are_found_however_they_are_set(
    read: Callable[..., Manuscript], content: str | bytes
) -> None:
    assert read(content) == Manuscript("The Book", tuple(Block(one) for one in PARAGRAPHS))


def test_lines_are_paragraphs_where_blank_ones_part_scenes(read: Callable[..., Manuscript]) -> None:
    scene = "\n".join(one for one in PARAGRAPHS)
    assert texts(read(f"{scene}\n\n{scene}\n\n\n{scene}")) == [*PARAGRAPHS] * 3


def test_a_line_break_that_was_meant_stays(read: Callable[..., Manuscript]) -> None:
    verse = "The sea is green,\nThe sky is grey,\nAnd nobody\nHas come today."
    assert texts(read(f"{wrapped(72)}\n\n{verse}"))[-1] == verse
    assert texts(read(f"{verse}\n\n{verse}")) == [verse, verse]


def test_one_huge_line_is_parted_between_sentences(read: Callable[..., Manuscript]) -> None:
    sentence = "Mara carried the well-known lamp up two hundred stairs. "
    content = sentence * (2**20 // len(sentence))
    found = texts(read(content))
    assert " ".join(found) == content.strip()
    assert max(map(len, found)) <= 20_000
    assert all(one.endswith(".") for one in found)


def test_a_huge_line_without_a_sentence_or_a_blank_is_parted_too(read: Callable[..., Manuscript]) -> None:
    assert "".join(texts(read("x" * 50_000))) == "x" * 50_000
    found = texts(read("- lamp oil\n" * 5_000, "a.md"))
    assert len(found) > 1
    assert "\n".join(found) == ("- lamp oil\n" * 5_000).strip()


# Headings


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 1",
        "CHAPTER I.",
        "Chapter One: The Storm",
        "Chapter 12. In which Mara knocks. Twice.",
        "Chapter the Last",
        "Chapter 3 The Storm",
        "BOOK TWO",
        "Part II",
        "Part the First — Water",
        "Prologue",
        "Epilog",
        "Kapitel 3",
        "Erstes Kapitel",
        "Chapitre premier",
        "Capítulo 4: La puerta",
        "Capitolo primo",
        "Глава 1",
        "Rozdział 7",
        "第一章",
        "第十二回 夜の海",
        "第3章 门",
        "제1장 바다",
        "Act IV",
    ],
)
def test_a_line_that_names_a_chapter_is_a_heading(read: Callable[..., Manuscript], line: str) -> None:
    found = read(f"{PARAGRAPHS[0]}\n\n{line}\n\n{PARAGRAPHS[2]}")
    assert found.blocks == (Block(PARAGRAPHS[0]), Block(PARAGRAPHS[2], line))
    found = read(f"{line}\n\n{PARAGRAPHS[0]}")
    assert found == Manuscript("The Book", (Block(PARAGRAPHS[0], line),))


@pytest.mark.parametrize(
    "line",
    [
        "Part of me died.",
        "Book lovers unite.",
        "I.",
        "I",
        "Mix.",
        "Did.",
        "Vivid!",
        "1984",
        "7.",
        "Act one was over, and nobody clapped.",
        "Chapter two was missing from her copy.",
        "Letter after letter came.",
        "Band practice was cancelled.",
        "Part mild, part wild.",
        "Conclusion: none.",
        "第二天他回到了部里，看见了海。",
        "第一次回家的时候，门开着。",
        "“Chapter one,” she read.",
        "No",
        "Run!",
        "Volume up.",
    ],
)
def test_an_ordinary_short_line_is_none(read: Callable[..., Manuscript], line: str) -> None:
    found = read(f"{PARAGRAPHS[0]}\n\n{line}\n\n{PARAGRAPHS[2]}")
    assert texts(found) == [PARAGRAPHS[0], line, PARAGRAPHS[2]]
    assert chapters(found) == {}


@pytest.mark.parametrize("numbers", ["I II III", "1 2 3", "1. 2. 3.", "i. ii. iii."])
def test_numbers_count_chapters_where_they_go_on(read: Callable[..., Manuscript], numbers: str) -> None:
    parts = [f"{number}\n\n{PARAGRAPHS[0]}\n\n1984\n\n{PARAGRAPHS[3]}" for number in numbers.split()]
    found = read("\n\n".join(parts))
    assert chapters(found) == dict(zip((0, 3, 6), numbers.split(), strict=True))


def test_a_heading_may_stand_right_on_its_text(read: Callable[..., Manuscript]) -> None:
    content = "\n\n".join(f"CHAPTER {number}\n{textwrap.fill(PARAGRAPHS[0], 70)}" for number in "IVX")
    assert set(texts(read(content))) == {PARAGRAPHS[0]}
    assert list(chapters(read(content)).values()) == ["CHAPTER I", "CHAPTER V", "CHAPTER X"]


def test_a_wider_gap_before_a_short_line_makes_it_a_heading(read: Callable[..., Manuscript]) -> None:
    first, second, third, _ = PARAGRAPHS
    content = f"The Lamp\n\n\nWho Goes There?\n\n{first}\n\n{second}\n\n\nTHE DOOR.\n\n{third}"
    found = read(content)
    assert (found.title, chapters(found)) == ("The Lamp", {0: "Who Goes There?", 2: "THE DOOR."})


def test_headings_in_a_row_are_one_and_a_table_of_contents_is_none(read: Callable[..., Manuscript]) -> None:
    found = read(f"Book One\n\nPart I\n\nChapter 1\n\n{PARAGRAPHS[0]}")
    assert chapters(found) == {0: "Book One – Part I – Chapter 1"}
    contents = "\n\n".join(f"Chapter {number}" for number in range(1, 9))
    found = read(f"{contents}\n\nChapter 1\n\n{PARAGRAPHS[0]}")
    assert chapters(found) == {1: "Chapter 1"}
    assert found.blocks[0].text.startswith("Chapter 1\nChapter 2\n")


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_scene_breaks_go_with_what_follows(read: Callable[..., Manuscript], name: str) -> None:
    first, _, last, _ = PARAGRAPHS
    content = f"***\n\n{first}\n\n* * *\n\n{last}\n\n***\n\nChapter 2\n\n{first}\n\n---\n"
    assert texts(read(content.replace("Chapter", "# Chapter" if name == "a.md" else "Chapter"), name)) == [
        f"***\n\n{first}",
        f"* * *\n\n{last}",
        first,
    ]


def test_a_text_of_headings_only_is_kept(read: Callable[..., Manuscript]) -> None:
    assert texts(read("Chapter 1\n\nChapter 2\n")) == ["Chapter 1\nChapter 2"]
    assert texts(read("# One\n## Two\n## Three", "a.md")) == ["Two\nThree"]
    assert read("# One", "a.md") == Manuscript("a", (Block("One"),))
    assert read("The Sea") == Manuscript("The Book", (Block("The Sea"),))


# Markdown

BOOK = """---
title: "The Door"
author: M.
---

# Part *One*

First line of it
goes on\\
here &amp; there, with a snake\\_case.

## The Storm ##

- a list
- of *two*

> a quote
> goes on

    code  here

```py
more = code
```

<b>html</b>

| a | b |
|---|---|
| 1 | 2 |

[link]: https://example.org "Title"
With a [link] and  \na *break*.

Set text
========

The end."""


def test_markdown_keeps_what_it_is_made_of(read: Callable[..., Manuscript]) -> None:
    found = read(BOOK, "b.md")
    assert found.title == "The Door"
    assert list(found.blocks) == [
        Block("First line of it goes on\nhere & there, with a snake_case.", "Part *One*"),
        Block("- a list\n- of *two*", "The Storm"),
        Block("> a quote\n> goes on"),
        Block("code  here"),
        Block("```py\nmore = code\n```"),
        Block("<b>html</b>"),
        Block("| a | b |\n|---|---|\n| 1 | 2 |"),
        Block('[link]: https://example.org "Title"'),
        Block("With a [link] and\na *break*."),
        Block("The end.", "Set text"),
    ]


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("---\ntitle: The Door\n---\n", "The Door"),
        ("---\nauthor: M.\nTitle : 'The Door'\n...\n", "The Door"),
        ("---\nauthor: M.\n---\n# The Door\n", "The Door"),
        ("---\ntitle: The Door\n---\n# The Door\n", "The Door"),
        ("# The Door\n", "The Door"),
        ("The Door\n===\n", "The Door"),
        ("# Chapter 1\n", "b"),
        ("", "b"),
    ],
)
def test_the_title_is_in_the_head_or_the_first_heading_or_the_files_name(
    read: Callable[..., Manuscript], head: str, title: str
) -> None:
    found = read(f"{head}\n{PARAGRAPHS[0]}", "b.md")
    assert (found.title, texts(found)) == (title, [PARAGRAPHS[0]])


def test_a_rule_at_the_beginning_is_no_head(read: Callable[..., Manuscript]) -> None:
    assert texts(read("---\n\nMara ran.\n\n---\n\nTom left.", "b.md")) == [
        "---\n\nMara ran.",
        "---\n\nTom left.",
    ]


def test_only_a_single_highest_heading_is_the_title(read: Callable[..., Manuscript]) -> None:
    found = read("# One\n\nMara ran.\n\n# Two\n\nTom left.", "b.md")
    assert (found.title, chapters(found)) == ("b", {0: "One", 1: "Two"})


# Nothing is lost

LINES = st.sampled_from(
    [
        "",
        "",
        "  ",
        "Chapter 1",
        "II.",
        "***",
        "- one",
        "# Head",
        "Head\n---",
        "> said",
        "[a]: b",
        "```",
        "    four",
        "The Sea",
        *PARAGRAPHS,
        *textwrap.wrap(PARAGRAPHS[2], 60),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="&\0"), max_size=40)


@pytest.mark.parametrize("name", ["unnamed.txt", "unnamed.md"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=14))
@example(["[a]: b", "# Head #", "```", "x"])
@example(["1. one", "", "   two"])
@example(["# Head", "***"])
@example(["<!--", "# Head", "-->"])
def test_every_word_stands_in_a_paragraph_a_heading_or_the_title(
    read: Callable[..., Manuscript], name: str, lines: list[str]
) -> None:
    content = "\n".join(lines)
    expected = words(clean(content))
    try:
        found = read(content, name)
    except ImportRefused:
        assert expected == []
        return
    assert told(found)[found.title == "unnamed" :] == expected
    assert all(block.text.strip() for block in found.blocks)


def test_endless_blanks_take_no_time(read: Callable[..., Manuscript]) -> None:
    blanks = " " * 2**20
    assert texts(read(f"*Mara*{blanks}ran.", "a.md")) == ["*Mara* ran."]


# There and back

NAMES = st.text("abC ädé鐘*_#.!?`-1", min_size=1, max_size=25).filter(lambda name: words(name))
TOLD = st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=NAMES, told=TOLD, named=st.dictionaries(st.integers(1, 6), NAMES, max_size=4))
def test_markdown_comes_back_as_it_went(
    read: Callable[..., Manuscript],
    new_story: Callable[..., Story],
    new_step: Callable[..., Step],
    title: str,
    told: list[str],
    named: dict[int, str],
) -> None:
    steps = [new_step("main", depth, paragraph=one) for depth, one in enumerate(told, 1)]
    named = {depth: name for depth, name in named.items() if depth <= len(told)}
    book = markdown.render(new_story(title=title), steps, named)
    found = read(book, "b.md")
    assert texts(found) == told
    assert chapters(found) == {depth - 1: " ".join(name.split()) for depth, name in named.items()}
    assert found.title == " ".join(title.split())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=st.sampled_from(["The Lamp", "Who Goes There?", "灯台", "THE END."]),
    told=TOLD,
    named=st.dictionaries(
        st.integers(1, 6), st.sampled_from(["The Storm", "Chapter 1", "Why?", "Part I: Sea."]), max_size=4
    ),
)
def test_plain_text_comes_back_as_it_went(
    read: Callable[..., Manuscript],
    new_story: Callable[..., Story],
    new_step: Callable[..., Step],
    title: str,
    told: list[str],
    named: dict[int, str],
) -> None:
    steps = [new_step("main", depth, paragraph=one) for depth, one in enumerate(told, 1)]
    named = {depth: name for depth, name in named.items() if depth <= len(told)}
    found = read(text.render(new_story(title=title), steps, named))
    assert (found.title, texts(found)) == (title, told)
    assert chapters(found) == {depth - 1: name for depth, name in named.items()}


# What can't be read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no paragraph"),
        (b" \n\t\n\x0c", "no paragraph"),
        (b"***\n\n---", "no paragraph"),
        ("Mara ran.".encode("utf-16"), "UTF-8"),
        ("Mara ran.".encode("utf-16-le"), "UTF-8"),
        ("Märchen".encode("latin-1"), "UTF-8"),
        (bytes(range(256)), "UTF-8"),
        (bytes(100), "UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(read: Callable[..., Manuscript], content: bytes, reason: str) -> None:
    for name in ("a.txt", "a.md"):
        with pytest.raises(ImportRefused, match=reason):
            read(content, name)


def test_what_is_too_large_is_refused(
    read: Callable[..., Manuscript], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manuscript, "LARGEST_MANUSCRIPT", 2**20)
    read("x" * 2**20)
    with pytest.raises(ImportRefused, match="larger than 1 MB"):
        read("x" * 2**20 + "x")
    monkeypatch.setattr(manuscript, "MOST_PARAGRAPHS", 3)
    with pytest.raises(ImportRefused, match="4 paragraphs"):
        read("\n\n".join(PARAGRAPHS))


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    for name in ("folder.txt", "nothing.txt"):
        with pytest.raises(ImportRefused, match="can't be read"):
            read_manuscript(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["bad\n\x1b[31mname.txt", " .txt", "....txt", "<b>&.txt", "\x1b.txt", "a/../b.txt"]
)
def test_a_hostile_name_makes_a_plain_title(
    read: Callable[..., Manuscript], tmp_path: Path, name: str
) -> None:
    (tmp_path / "a").mkdir()
    title = read(PARAGRAPHS[0], name).title
    assert title.strip() == title != ""
    assert title.isprintable()
