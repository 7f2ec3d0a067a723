import json
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field

from storyloom.generators.salvage import salvage


class Departure(BaseModel):
    sentence: str
    why: str


class Answer(BaseModel):
    paragraph: Annotated[str, Field(min_length=1)]
    short_memory: Annotated[str, Field(validation_alias=AliasChoices("short_memory", "memory"))]
    dropped: list[Departure] = Field(default_factory=list)
    plans: Annotated[list[str], Field(min_length=3, max_length=3)]


WHOLE: dict[str, object] = {
    "paragraph": "The rain fell. Mara ran.",
    "short_memory": "Mara is at the gate.",
    "dropped": [{"sentence": "Mara sleeps.", "why": "She woke."}],
    "plans": ["She climbs.", "She waits.", "She calls."],
}
TEXT = json.dumps(WHOLE)


def test_a_sound_answer_is_taken_as_it_is() -> None:
    got = salvage(TEXT, Answer)
    assert got.repaired is False
    assert got.missing == ()
    assert got.parts["paragraph"] == "The rain fell. Mara ran."
    assert got.parts["dropped"] == [Departure(sentence="Mara sleeps.", why="She woke.")]


@pytest.mark.parametrize(
    "text",
    [
        f"Sure! Here is the JSON you asked for:\n{TEXT}\nLet me know if I should change anything.",
        f"I use {{curly}} braces and [brackets] a lot.\n{TEXT}",
        f"```json\n{TEXT}\n```",
        f"Of course:\n\n```\n{TEXT}\n```\nHope this helps!",
        json.dumps(TEXT),
        json.dumps(json.dumps(TEXT)),
        json.dumps({"answer": TEXT}),
        json.dumps({"output": WHOLE, "status": "ok"}),
        json.dumps([WHOLE]),
        f'<think>{{"paragraph": "A draft."}}</think>{TEXT}',
        TEXT.replace(", ", ",\n") + "\x00",
        TEXT[:-1] + ",}",
        TEXT.replace('"', "'"),
        TEXT.replace('"paragraph"', '"Paragraph"').replace('"short_memory"', '"Short memory"'),
        TEXT.replace('"short_memory"', '"memory"') + ".",
    ],
)
def test_wrapping_is_taken_off(text: str) -> None:
    got = salvage(text, Answer)
    assert got.repaired is True
    assert got.missing == ()
    assert got.parts["paragraph"] == WHOLE["paragraph"]
    assert got.parts["short_memory"] == WHOLE["short_memory"]
    assert got.parts["plans"] == WHOLE["plans"]


@pytest.mark.parametrize(
    ("text", "parts", "missing"),
    [
        ('{"paragraph": "The rain fell and she sa', {"paragraph": "The rain fell and she sa"}, 2),
        ('{"paragraph": "The rain.", "memory": "Ma', {"paragraph": "The rain.", "short_memory": "Ma"}, 1),
        ('{"paragraph": "The rain.", "plans": ["One go', {"paragraph": "The rain."}, 2),
        ('{"paragraph": "She said "no" and left.", "plans": 3}', {"paragraph": 'She said "no" and left.'}, 2),
        ('{"paragraph": "One\nTwo", "plans": null}', {"paragraph": "One\nTwo"}, 2),
        ('{"paragraph": "", "short_memory": "Rain."}', {"short_memory": "Rain."}, 2),
        ('{"paragraph": 5, "short_memory": {"a": 1, "b": 2}}', {}, 3),
        ('{"paragraph": ["The rain.", "The sun."]}', {"paragraph": "The rain.\nThe sun."}, 2),
        ('{"paragraph": "A \\ud83d B"}', {"paragraph": "A  B"}, 2),
        (r'{"paragraph": "A "no" \ud83d\ude00 B.", "plans": 1}', {"paragraph": 'A "no" 😀 B.'}, 2),
        ('{"paragraph": "A."} {"plans": ["x", "y", "z"]}', {"paragraph": "A.", "plans": ["x", "y", "z"]}, 1),
    ],
)
def test_what_is_valid_by_itself_is_kept(text: str, parts: dict[str, object], missing: int) -> None:
    got = salvage(text, Answer)
    assert dict(got.parts) == parts
    assert len(got.missing) == missing
    assert not set(got.missing) & set(got.parts)


@pytest.mark.parametrize(
    "plans",
    [
        ["x", 7, "y", "z"],
        ["x", None, "y", {"a": 1}, "z"],
        ["x", "y", "z", "too many"],
        [{"plan": "x"}, {"plan": "y"}, {"id": 3, "plan": "z"}],
        {"1": "x", "2": "y", "3": "z"},
        "1. x\n2. y\n3. z",
        "- x\n- y\n- z",
        "x\ny\nz",
    ],
)
def test_a_list_is_mended(plans: object) -> None:
    got = salvage(json.dumps({"paragraph": "P.", "plans": plans}), Answer)
    assert got.parts["plans"] == ["x", "y", "z"]


def test_a_list_that_is_too_short_is_missing() -> None:
    got = salvage('{"paragraph": "P.", "short_memory": "M.", "plans": ["x", "y"]}', Answer)
    assert got.missing == ("plans",)


def test_numbered_keys_make_a_list() -> None:
    got = salvage('{"plan_1": "x", "Plan 2": "y", "plans 3": "z"}', _Plans)
    assert got.parts == {"plans": ["x", "y", "z"]}


class _Plans(BaseModel):
    plans: Annotated[list[str], Field(min_length=3, validation_alias=AliasChoices("plans", "plan"))]


def test_an_item_without_its_parts_is_left_out() -> None:
    dropped: list[object] = [{"sentence": "A.", "why": "B."}, {"x": 1}, {"sentence": "C."}, "D."]
    dropped.append({"sentence": "E.", "why": "F."})
    got = salvage(json.dumps({"paragraph": "P.", "dropped": dropped}), Answer)
    assert got.parts["dropped"] == [
        Departure(sentence="A.", why="B."),
        Departure(sentence="E.", why="F."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "**Paragraph:** The *rain* fell.\nAnd: it stayed.\n\n**Short memory:** Mara waits.\n\n"
        "**Plans:**\n1. x\n2. y\n3. z\n",
        "Here.\n\n## Paragraph\n\nThe *rain* fell.\nAnd: it stayed.\n\n## Short-memory\n\nMara waits.\n\n"
        "## Plans\n\n- x\n- y\n- z\n",
        "paragraph: The *rain* fell.\nAnd: it stayed.\nmemory: Mara waits.\nplans:\n* x\n* y\n* z",
        "**Paragraph**\nThe *rain* fell.\nAnd: it stayed.\n**MEMORY**\n\nMara waits.\n\n**Plans**\n\nx\ny\nz",
    ],
)
def test_labels_stand_for_keys(text: str) -> None:
    got = salvage(text, Answer)
    assert got.parts == {
        "paragraph": "The *rain* fell.\nAnd: it stayed.",
        "short_memory": "Mara waits.",
        "plans": ["x", "y", "z"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry, but I can't help with that.",
        'She said "hello" and left. Then: nothing.',
        "Once upon a time {there was} a [fox].",
        " \n\t" * 30_000,
        "{" * 100_000,
        "[" * 100_000,
        '{"paragraph":' * 20_000,
        '"' * 100_000,
        "asdf {[: \x00 \ufffd '" * 5_000,
        "# " * 50_000,
        "> " * 50_000,
        "- " * 50_000,
        "null",
        "7",
        "[]",
        "{}",
    ],
)
def test_rubbish_gives_nothing_and_says_so(text: str) -> None:
    got = salvage(text, Answer)
    assert got.parts == {}
    assert got.missing == ("paragraph", "short_memory", "plans")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    got = salvage(text, Answer)
    assert set(got.missing).isdisjoint(got.parts)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='{}[]":,\\ \n*#-`abparghplns', max_size=200))
def test_nothing_like_json_or_markdown_raises(text: str) -> None:
    salvage(text, Answer)


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(TEXT)))
def test_a_cut_answer_never_gives_words_that_it_did_not_hold(cut: int) -> None:
    got = salvage(TEXT[:cut], Answer)
    paragraph = got.parts.get("paragraph", "")
    assert str(WHOLE["paragraph"]).startswith(paragraph)
