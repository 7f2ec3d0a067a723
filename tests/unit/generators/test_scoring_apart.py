"""The process apart: it scores as this process does, and whatever becomes of it is told plainly."""

import json
import os
import sys
from pathlib import Path

import pytest

from storyloom.generators.rope import Rope
from storyloom.generators.scoring_apart import COMMAND, ScorerApart, load_scorer
from storyloom.generators.spec import parse_spec
from storyloom.memory.errors import (
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    StoryloomError,
    UnsupportedRequest,
)
from storyloom.memory.generation import Likelihood, Message, Prompt

CHAT: Prompt = (Message("system", "You are a novelist."), Message("user", "Write \ud800 about 雨."))
READY = "print('{\"ready\": true}', flush=True)"
SCORED = 'print(\'{"log_probability": -2.5, "tokens": 3}\', flush=True)'


def apart(*lines: str, patience: float = 30.0) -> ScorerApart:
    """A scorer whose process runs these lines instead."""
    code = "\n".join(("import json, os, signal, sys, time", "request = sys.stdin.readline()", *lines))
    return ScorerApart("target", name="hf:x", command=(sys.executable, "-c", code), patience=patience)


def scored(scorer: ScorerApart, prompts: int = 1) -> list[Likelihood]:
    return list(scorer.score([CHAT] * prompts, "The keeper slept."))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_scores_as_this_process_does(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storyloom.generators.scoring import TransformersScorer

    (tmp_path / "transformers.py").write_text("raise SystemExit('taken from the working folder')")
    monkeypatch.chdir(tmp_path)
    prompts = [CHAT, "The keeper", (*CHAT, Message("assistant", "The"))]
    text = " keeper slept. \ud800雨\n"
    here = list(TransformersScorer(str(folder), name="hf:tiny", threads=1).score(prompts, text))
    scorer = load_scorer(parse_spec(f"hf:{folder}"), models_dir=tmp_path, threads=1)
    there = list(scorer.score(prompts, text))
    assert scorer.name == f"hf:{folder}"
    assert [found.tokens for found in there] == [found.tokens for found in here]
    assert [found.log_probability for found in there] == pytest.approx(
        [found.log_probability for found in here], abs=1e-4
    )


def test_the_process_reads_as_far_as_its_rope_lets_it(folder: Path, tmp_path: Path) -> None:
    spec, rope = parse_spec(f"hf:{folder}"), Rope("yarn", 4)
    scorer = load_scorer(spec, models_dir=tmp_path, threads=1, rope=rope)
    (found,) = scorer.score(["The keeper slept. " * 300], "The lamp burned.")
    assert found.log_probability < 0


def test_an_error_of_the_scorer_is_raised_here(tmp_path: Path) -> None:
    scorer = load_scorer(parse_spec(f"gguf:{tmp_path}/no.gguf"), models_dir=tmp_path)
    with pytest.raises(ModelUnavailable, match=r"no\.gguf"):
        list(scorer.score([CHAT], "text"))


def test_nothing_of_the_text_is_on_the_command_line() -> None:
    words = 'print(json.dumps({"log_probability": -1, "tokens": len(sys.argv)}))'
    assert scored(apart(READY, words)) == [Likelihood(-1.0, 1)]
    assert COMMAND[0] == sys.executable
    assert COMMAND[-2:] == ("-m", "storyloom.generators.scoring_process")


def test_the_request_holds_what_was_asked(tmp_path: Path) -> None:
    kept = tmp_path / "request"
    list(apart(READY, f"open({str(kept)!r}, 'w').write(request)", SCORED).score([CHAT], "\ud800雨"))
    request = json.loads(kept.read_text())
    assert request["prompts"] == [[["system", "You are a novelist."], ["user", "Write \ud800 about 雨."]]]
    assert (request["target"], request["name"], request["text"]) == ("target", "hf:x", "\ud800雨")


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (["sys.exit(3)"], ModelUnavailable, "exit code 3"),
        (["os.kill(os.getpid(), signal.SIGKILL)"], ModelUnavailable, "want of memory"),
        ([READY, "os.kill(os.getpid(), signal.SIGTERM)"], ModelFailed, "signal 15"),
        ([READY, SCORED, "raise ValueError('no such layer')"], ModelFailed, "ValueError: no such layer"),
        ([READY, SCORED], ModelFailed, "exit code 0"),
        (["print('Loading weights')"], ModelUnavailable, "no score: Loading weights"),
        (["print('[1, 2]')"], ModelUnavailable, r"no score: \[1, 2\]"),
        (["print('{}')"], ModelUnavailable, "no score"),
        ([READY, 'print(\'{"log_probability": null, "tokens": 3}\')'], ModelFailed, "no score"),
        ([READY, "print('{\"tokens\": 3}')"], ModelFailed, "no score"),
        (["sys.stdout.buffer.write(b'\\xff\\xfe' * 5000)"], ModelUnavailable, "no score"),
        (
            [READY, 'print(\'{"error": "PromptTooLong", "message": "Too long."}\')'],
            PromptTooLong,
            "Too long.",
        ),
        ([READY, 'print(\'{"error": "KeyboardInterrupt", "message": "x"}\')'], ModelFailed, "x"),
    ],
)
def test_whatever_becomes_of_the_process_is_told(
    lines: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        scored(apart(*lines), prompts=2)


def test_a_process_that_hangs_is_stopped_with_its_last_words() -> None:
    lines = (READY, "print('layer 7\\n', file=sys.stderr, flush=True)", "time.sleep(600)")
    with pytest.raises(ModelFailed, match=r"nothing for 1 seconds.*layer 7") as told:
        scored(apart(*lines, patience=1.0))
    assert "\n" not in str(told.value)


def test_a_process_that_reads_nothing_does_not_block() -> None:
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    scorer = ScorerApart("target", name="hf:x", command=command, patience=1.0)
    with pytest.raises(ModelUnavailable, match="nothing for 1 seconds"):
        list(scorer.score(["word " * 1_000_000], "text"))


def test_a_program_that_is_not_there_is_told() -> None:
    scorer = ScorerApart("target", name="hf:x", command=("/no/such/program",))
    with pytest.raises(ModelUnavailable, match="can't be started"):
        scored(scorer)


def test_closing_ends_the_process() -> None:
    tell = 'print(json.dumps({"log_probability": -1, "tokens": os.getpid()}), flush=True)'
    answers = apart(READY, tell, "time.sleep(600)").score([CHAT] * 2, "text")
    pid = next(answers).tokens
    assert is_running(pid)
    answers.close()
    assert not is_running(pid)


def test_no_prompt_starts_no_process() -> None:
    assert list(ScorerApart("target", name="hf:x", command=("/no/such/program",)).score([], "text")) == []


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("openai:m@http://127.0.0.1:1/v1", UnsupportedRequest, "server gives no log-probabilities"),
        ("scripted:story.json", UnsupportedRequest, "script has no"),
        ("starter", ModelUnavailable, "models pull starter"),
    ],
)
def test_a_model_that_cannot_score_is_refused(
    spec: str, error: type[StoryloomError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        load_scorer(parse_spec(spec), models_dir=tmp_path)
