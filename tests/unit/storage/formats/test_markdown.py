"""What a Markdown reader makes of the book is held to be the text itself, whatever the text."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from storyloom.memory.story import Step, Story
from storyloom.memory.text import clean
from storyloom.storage.formats.markdown import render

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TRICKY = "ab1 \n\t\\`*_{}[]()#+-.!|<>~=:&;\"'$^/鐘é١\u3000"


def read(text: str) -> list[tuple[str, str]]:
    """(tag, text) of each block as a reader shows it; anything but text and breaks fails."""
    blocks = []
    tokens = READER.parse(text)
    for opened, inline in itertools.pairwise(tokens):
        if inline.type != "inline":
            assert opened.type in {"inline", "paragraph_close", "heading_close"}, opened
            continue
        parts = []
        for child in inline.children or ():
            assert child.type in {"text", "hardbreak", "text_special"}, child
            parts.append("\n" if child.type == "hardbreak" else child.content)
        blocks.append((opened.tag, "".join(parts)))
    return blocks


def shown(text: str) -> list[tuple[str, str]]:
    """A paragraph's text as it should be read: blank lines part, white space at line ends is nothing."""
    parts = re.split(r"\n\s*\n", clean(text).strip())
    return [("p", "\n".join(line.strip() for line in part.split("\n"))) for part in parts if part]


def test_the_book_is_a_heading_and_paragraphs(
    new_story: Callable[..., Story], new_step: Callable[..., Step]
) -> None:
    story = new_story(title="The *Lamp*", premise="secret")
    paragraphs = ["He said:\n- No.\n\nShe left.", "1. End"]
    steps = [new_step("main", depth, paragraph=text) for depth, text in enumerate(paragraphs, 1)]
    assert render(story, steps, {}) == "# The \\*Lamp\\*\n\nHe said:\\\n\\- No.\n\nShe left.\n\n1\\. End\n"


@pytest.mark.parametrize(
    "text",
    [
        "# no heading",
        "---",
        "===",
        "a\n===",
        "a\n---",
        "> no quote",
        "- no list",
        "+ no list",
        "* * *",
        "12) no",
        "    no code",
        "\tno code",
        "```\nno code\n```",
        "~~~",
        "<b>no</b>",
        "<!-- no -->",
        "&copy; &#35;",
        "a | b\n--|--",
        "[no](link)",
        "![no](image)",
        "[no]: link",
        "<https://no.link>",
        "*no* __no__ `no` ~~no~~",
        "end\\",
        "a\\\nb",
        "#",
        "1.",
        "：no",
        ": no",
        "\u3000第一",
        "snake_case_word",
        "$x$",
        "a  \nb",
        "\\",
        "\\*",
        "Ⅳ. no",
        "١. no",
    ],
)
def test_text_is_never_read_as_markup(
    new_story: Callable[..., Story], new_step: Callable[..., Step], text: str
) -> None:
    book = render(new_story(title=text), [new_step("main", 1, paragraph=text)], {})
    heading, *paragraphs = read(book)
    assert heading == ("h1", " ".join(clean(text).split()))
    assert paragraphs == shown(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=TRICKY, max_size=40))
def test_any_text_is_read_as_itself(
    new_story: Callable[..., Story], new_step: Callable[..., Step], text: str
) -> None:
    book = render(new_story(title="T"), [new_step("main", 1, paragraph=text)], {})
    assert read(book)[1:] == shown(text)
