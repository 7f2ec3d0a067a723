import json

import json_repair
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.generators.partial_json import FieldStream

PARAGRAPH = 'She said "no" and left.\nRain\tfell — 😀 \\ again: {brace} [list], and so on to the very end.'
WHOLE = json.dumps({"paragraph": PARAGRAPH, "short_memory": "paragraph", "plans": ["a", "b", "c"]})


def shown(text: str, *, size: int = 1) -> list[str]:
    seen: list[str] = []
    stream = FieldStream("paragraph", seen.append)
    for start in range(0, len(text), size):
        stream.feed(text[start : start + size])
    assert "".join(seen) == stream.text
    return seen


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        json.dumps(json.loads(WHOLE), ensure_ascii=False, indent=2),
        f"Sure! Here is the JSON:\n```json\n{WHOLE}\n```\nBye.",
        '{"title": "T", ' + WHOLE[1:],
    ],
)
def test_a_sound_field_is_shown_whole(text: str, size: int) -> None:
    assert "".join(shown(text, size=size)) == PARAGRAPH


def test_it_comes_as_it_is_written() -> None:
    assert len(shown(WHOLE)) > len(PARAGRAPH) * 0.9


def test_nothing_else_is_shown() -> None:
    text = json.dumps({"short_memory": "The paragraph: x", "plans": ["paragraph"], "paragraph": "Rain."})
    assert "".join(shown(text)) == "Rain."


def test_a_broken_string_is_mended_on_the_way() -> None:
    text = '{"paragraph": "She said "no" and\nleft. ' + 'He asked "why" again. ' * 20 + '", "plans": ["a"]}'
    seen = "".join(shown(text))
    assert seen.startswith('She said "no" and\nleft. He asked "why" again.')
    assert len(seen) > 300
    whole = json_repair.loads(text)
    assert isinstance(whole, dict)
    assert whole["paragraph"].startswith(seen)


def test_curly_brackets_in_front_are_survived() -> None:
    text = f"I like {{curly}} ones. {WHOLE} " + "And more, and more. " * 10
    assert "".join(shown(text)) == PARAGRAPH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry, but I can't.",
        '{"paragraph": 5}',
        '{"paragraph": ["x"]}',
        "[]",
        " \n" * 20_000,
        "{" * 100_000,
    ],
)
def test_no_field_shows_nothing(text: str) -> None:
    assert shown(text, size=50) == []


def test_a_long_broken_answer_is_mended_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    repair = json_repair.loads

    def counting(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        return repair(*args, **options)

    monkeypatch.setattr(json_repair, "loads", counting)
    shown("{'paragraph': '" + "word, " * 3000, size=6)
    assert 0 < calls < 60


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), size=st.integers(1, 9), ascii_only=st.booleans())
def test_any_text_arrives_unchanged(text: str, size: int, ascii_only: bool) -> None:
    answer = json.dumps({"paragraph": text, "plans": ["a"]}, ensure_ascii=ascii_only)
    assert "".join(shown(answer, size=size)) == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='{}[]":,\\ \npargh', max_size=150))
def test_no_text_raises(text: str) -> None:
    shown(text, size=3)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 20),
    opening=st.sampled_from(['{"paragraph": "He said "no" ', "{'paragraph': 'It rained ", "{oops} "]),
)
def test_escapes_are_never_shown_by_halves(size: int, opening: str) -> None:
    text = opening + r"and \ud83d\ude00 then \"yes\" \u2014 once more \\ and on. " * 12
    seen = "".join(shown(text, size=size))
    assert "\\u" not in seen
    assert "\ud83d" not in seen
