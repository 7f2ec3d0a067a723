import json
import time
from pathlib import Path
from typing import Any

import pytest

from storyloom.generators.scripted import ScriptedModel
from storyloom.memory.errors import InvalidSetting, ModelFailed, PromptTooLong
from storyloom.memory.generation import Message, Prompt, Request, Sampling, collect


def _model(tmp_path: Path, script: Any, **options: Any) -> ScriptedModel:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    return ScriptedModel(path, **options)


def _ask(model: ScriptedModel, prompt: Prompt = "go on", **options: Any) -> str:
    return collect(model.stream(Request(prompt=prompt, max_tokens=50, **options))).text


def test_replies_come_in_order_and_again(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["One.", "Two."]})
    assert [_ask(model) for _ in range(3)] == ["One.", "Two.", "One."]


def test_without_loop_the_script_ends(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["One."], "loop": False})
    _ask(model)
    with pytest.raises(ModelFailed, match="no reply left"):
        _ask(model)


def test_rules_are_chosen_by_the_prompt(tmp_path: Path) -> None:
    rules = [{"match": "plan", "replies": ["P1", "P2"]}, {"match": "memory", "replies": ["M"]}]
    model = _model(tmp_path, {"rules": rules, "default": ["D"]})
    chat = (Message("system", "s"), Message("user", "the memory"))
    assert [_ask(model, "a plan"), _ask(model, chat), _ask(model, "plan"), _ask(model)] == [
        "P1",
        "M",
        "P2",
        "D",
    ]


def test_a_prompt_that_no_rule_meets_fails(tmp_path: Path) -> None:
    model = _model(tmp_path, {"rules": [{"match": "plan", "replies": ["P"]}]})
    with pytest.raises(ModelFailed, match=r"script\.json"):
        _ask(model)


def test_call_number_and_seed_are_filled_in(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["{n} of {seed}: {other}"]})
    assert _ask(model, seed=7) == "1 of 7: {other}"
    assert _ask(model, seed=8) == "2 of 8: {other}"


def test_an_error_of_the_script_fails_the_call(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": [{"error": "the server fell over"}, "Fine."]})
    with pytest.raises(ModelFailed, match="the server fell over"):
        _ask(model)
    assert _ask(model) == "Fine."


def test_it_streams_words_and_counts_them(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["  The sea\n\nrose. "], "delay_seconds": 0.001})
    pieces = list(model.stream(Request(prompt="one two three", max_tokens=50)))
    assert [piece.text for piece in pieces] == ["  The", " sea", "\n\nrose.", " ", ""]
    usage = pieces[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.finish) == (3, "stop")
    assert model.count_tokens((Message("user", "one two"), Message("user", "three"))) == 3


def test_a_rule_may_take_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    slow = {"match": "slowly", "replies": ["One two."], "delay_seconds": 0.5}
    model = _model(tmp_path, {"rules": [slow], "default": ["Three."], "delay_seconds": 0.1})
    assert (_ask(model, "walk slowly"), waits) == ("One two.", [0.5, 0.5])
    assert (_ask(model, "walk"), waits) == ("Three.", [0.5, 0.5, 0.1])


def test_stop_and_length_cut_the_reply(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["one two three four"]})
    assert _ask(model, stop=("four", "three", "")) == "one two "
    reply = collect(model.stream(Request(prompt="p", max_tokens=3)))
    assert (reply.text, reply.usage.finish, reply.usage.completion_tokens) == ("one two three", "length", 3)


def test_a_prompt_beyond_the_context_is_refused(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ["x"], "context_tokens": 60})
    assert model.context_tokens == 60
    with pytest.raises(PromptTooLong, match="11 tokens and 50 more"):
        _ask(model, "w " * 11)
    assert _ask(_model(tmp_path, {"replies": ["x"]}, context_tokens=61), "w " * 11) == "x"


def test_a_text_file_is_a_list_of_replies(tmp_path: Path) -> None:
    path = tmp_path / "script.txt"
    path.write_text("One\nand a half.\n---\nTwo.\n", encoding="utf-8")
    model = ScriptedModel(path)
    assert [_ask(model), _ask(model)] == ["One\nand a half.", "Two."]
    assert model.name == f"scripted:{path}"


def test_it_takes_every_sampler_and_schema(tmp_path: Path) -> None:
    model = _model(tmp_path, {"replies": ['{"a": 1}']})
    assert _ask(model, schema={"type": "object"}, sampling=Sampling(mirostat=2, top_k=4)) == '{"a": 1}'
    assert {"schema", "prefill", "completion", "xtc_threshold"} <= model.features
    assert model.parameters is None
    model.close()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ({}, "holds no replies"),
        ({"replies": []}, "malformed at 'replies'"),
        ({"replies": ["a"], "default": ["b"]}, "both"),
        ({"replies": ["a"], "lop": True}, "malformed at 'lop'"),
        ({"rules": [{"match": "a"}]}, r"malformed at 'rules\.0\.replies'"),
        (["a"], "malformed"),
    ],
)
def test_a_malformed_script_says_where(tmp_path: Path, script: Any, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem):
        _model(tmp_path, script)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_an_unreadable_script_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(InvalidSetting, match=r"broken\.json can't be read"):
        ScriptedModel(path)
    with pytest.raises(InvalidSetting, match="missing"):
        ScriptedModel(tmp_path / "missing.txt")


def test_an_empty_text_file_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n---\n", encoding="utf-8")
    with pytest.raises(InvalidSetting, match=r"empty\.txt"):
        ScriptedModel(path)
