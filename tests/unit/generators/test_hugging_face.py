"""The transformers engine: a tiny model made here, and the real starter read by transformers."""

import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from storyloom.generators import hf_loading
from storyloom.generators.hf_prompts import Detokenizer, Prompts
from storyloom.generators.hugging_face import HuggingFaceModel
from storyloom.generators.one_at_a_time import TRANSFORMERS
from storyloom.generators.prefix_cache import shared
from storyloom.generators.sampling_processors import Draw, Dry, WindowedRepetitionPenalty, Xtc
from storyloom.memory.errors import (
    InvalidSetting,
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    UnsupportedRequest,
)
from storyloom.memory.generation import Message, Prompt, Reply, Request, Sampling, collect
from tests.tiny_model import TEMPLATE, TEXT

CHAT = (Message("system", "You are a novelist."), Message("user", "Write about a lighthouse."))
GREEDY = Sampling(temperature=0.0)
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "stormy"]},
        "wind": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["mood", "wind"],
}


@pytest.fixture
def tiny(folder: Path) -> Iterator[HuggingFaceModel]:
    model = HuggingFaceModel(str(folder), name="hf:tiny", threads=1)
    yield model
    model.close()


def ask(model: HuggingFaceModel, prompt: Prompt = CHAT, max_tokens: int = 24, **options: Any) -> Reply:
    return collect(model.stream(Request(prompt=prompt, max_tokens=max_tokens, **options)))


def test_tells_what_it_is(tiny: HuggingFaceModel) -> None:
    assert tiny.load_seconds is None
    assert (tiny.name, tiny.context_tokens, tiny.parameters) == ("hf:tiny", 512, 39_712)
    assert tiny.load_seconds is not None
    assert {"schema", "prefill", "completion", "exact_count", "dry_multiplier"} <= tiny.features
    assert "mirostat" not in tiny.features


def test_counts_what_it_reads(tiny: HuggingFaceModel) -> None:
    for prompt in (CHAT, "The keeper 雨", (*CHAT, Message("assistant", "The keeper"))):
        assert ask(tiny, prompt, max_tokens=2).usage.prompt_tokens == tiny.count_tokens(prompt)


def test_equal_seeds_give_equal_text_and_disturb_nobody(tiny: HuggingFaceModel) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (ask(tiny, "The keeper", seed=seed).text for seed in (5, 5, 6))
    assert first == again != other
    assert torch.equal(state, torch.random.get_rng_state())


def test_reuse_changes_nothing_but_the_tokens_read(folder: Path, tiny: HuggingFaceModel) -> None:
    fresh = HuggingFaceModel(str(folder), name="hf:fresh", threads=1, reuse_prefix=False)
    beginning = TEXT * 3
    for end in ("The lamp", "The keeper slept", "The lamp burned", ""):
        reply = ask(tiny, beginning + end, sampling=GREEDY)
        expected = ask(fresh, beginning + end, sampling=GREEDY)
        assert reply.text == expected.text
        assert expected.usage.cached_tokens == 0
    assert reply.usage.cached_tokens >= tiny.count_tokens(beginning) - 1
    fresh.close()


def test_agents_keep_their_own_beginnings(tiny: HuggingFaceModel) -> None:
    writer, planner = TEXT * 2, "Plan: " + TEXT * 2
    ask(tiny, writer)
    ask(tiny, planner)
    assert ask(tiny, writer).usage.cached_tokens == tiny.count_tokens(writer) - 1
    assert ask(tiny, planner).usage.cached_tokens == tiny.count_tokens(planner) - 1


def test_a_cancelled_text_leaves_a_sound_cache(folder: Path, tiny: HuggingFaceModel) -> None:
    expected = ask(tiny, TEXT * 2, sampling=GREEDY).text
    other = HuggingFaceModel(str(folder), name="hf:other", threads=1)
    stream: Any = other.stream(Request(prompt=TEXT * 2, max_tokens=300, sampling=GREEDY))
    next(stream)
    stream.close()
    assert ask(other, TEXT * 2, sampling=GREEDY).text == expected
    other.close()


def test_a_closed_model_loads_again(tiny: HuggingFaceModel) -> None:
    text = ask(tiny, seed=1).text
    tiny.close()
    tiny.close()
    assert ask(tiny, seed=1).text == text


def test_loads_once_from_many_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    real = hf_loading.load

    def counting(target: str, **options: Any) -> hf_loading.Loaded:
        loads.append(target)
        return real(target, **options)

    monkeypatch.setattr("storyloom.generators.hugging_face.load", counting)
    model = HuggingFaceModel(str(folder), name="hf:tiny", threads=1)
    workers = [threading.Thread(target=model.load) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(loads) == 1


def test_loads_while_nothing_else_does_by_transformers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = hf_loading.load
    others: list[bool] = []

    def watched(target: str, **options: Any) -> hf_loading.Loaded:
        other = threading.Thread(target=lambda: others.append(TRANSFORMERS.acquire(blocking=False)))
        other.start()
        other.join()
        return real(target, **options)

    monkeypatch.setattr("storyloom.generators.hugging_face.load", watched)
    HuggingFaceModel(str(folder), name="hf:tiny", threads=1).load()
    assert others == [False]


def test_stop_strings_are_not_shown(tiny: HuggingFaceModel) -> None:
    whole = ask(tiny, "The keeper", sampling=GREEDY).text
    stop = whole[6:9]
    pieces = list(tiny.stream(Request(prompt="The keeper", max_tokens=24, sampling=GREEDY, stop=(stop,))))
    reply = collect(pieces)
    assert reply.text == whole[: whole.index(stop)]
    assert reply.usage.finish == "stop"


def test_an_end_token_ends_the_text(tiny: HuggingFaceModel) -> None:
    tiny.load()
    ready = tiny._get()
    first = ask(tiny, "The keeper", max_tokens=1, sampling=GREEDY)
    ids = ready.prompts.ids("The keeper")
    token = int(ready.loaded.model(torch.tensor([ids])).logits[0, -1].argmax())
    object.__setattr__(ready.loaded, "ends", (token,))
    reply = ask(tiny, "The keeper", sampling=GREEDY)
    assert first.usage.finish == "length"
    assert (reply.text, reply.usage.finish, reply.usage.completion_tokens) == ("", "stop", 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_schema_is_kept_by_any_model(tiny: HuggingFaceModel, seed: int) -> None:
    reply = ask(tiny, max_tokens=60, schema=SCHEMA, seed=seed)
    value = json.loads(reply.text)
    assert value["mood"] in {"calm", "stormy"}
    assert 0 <= value["wind"] <= 9
    assert reply.usage.finish == "stop"


def test_every_sampler_can_be_asked_for(tiny: HuggingFaceModel) -> None:
    sampling = Sampling(
        temperature=0.8,
        top_k=50,
        top_p=0.9,
        min_p=0.01,
        typical_p=0.9,
        repetition_penalty=1.1,
        repetition_window=20,
        dry_multiplier=0.8,
        dry_base=1.75,
        dry_allowed_length=2,
        dry_window=64,
        dry_breakers=("\n",),
        xtc_probability=0.5,
        xtc_threshold=0.1,
    )
    assert ask(tiny, sampling=sampling, seed=1).usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sampling": Sampling(mirostat=2)}, UnsupportedRequest, "no mirostat"),
        ({"max_tokens": 0}, UnsupportedRequest, "at least 1"),
        ({"max_tokens": 512}, PromptTooLong, "holds 512"),
        ({"prompt": "word " * 600}, PromptTooLong, "holds 512"),
        ({"prompt": ""}, UnsupportedRequest, "begin with"),
        ({"schema": {"type": "nothing"}}, UnsupportedRequest, "schema"),
    ],
)
def test_what_cannot_be_done_is_told(
    tiny: HuggingFaceModel, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ask(tiny, **options)


def test_out_of_memory_is_told(tiny: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiny._get().loaded.model, "forward", fail)
    with pytest.raises(ModelFailed, match="ran out of memory"):
        ask(tiny)


def test_a_context_beyond_the_model_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidSetting, match="from 1 to 512"):
        HuggingFaceModel(str(folder), name="hf:tiny", context_tokens=513).load()
    small = HuggingFaceModel(str(folder), name="hf:tiny", context_tokens=100)
    assert small.context_tokens == 100


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": "{}", "pytorch_model.bin": "x"}, "pickled"),
        ({"config.json": '{"model_type": "llama"}', "model.safetensors": "rubbish"}, "can't be loaded"),
        ({}, "can't be loaded"),
    ],
)
def test_a_bad_folder_is_told(tmp_path: Path, files: dict[str, str], words: str) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, content in files.items():
        (bad / name).write_text(content)
    with pytest.raises(ModelUnavailable, match=words) as caught:
        HuggingFaceModel(str(bad), name="hf:bad").load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["/no/such/folder", "./no", "no.gguf"])
def test_a_missing_path_is_told(target: str) -> None:
    with pytest.raises(ModelUnavailable):
        HuggingFaceModel(target, name=f"hf:{target}").load()


def test_a_hub_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(ModelUnavailable, match="can't be fetched"):
        HuggingFaceModel("nobody/nothing", name="hf:nobody/nothing").load()


class TestPrompts:
    def test_chats_are_tokenised_as_the_template_says(self, tokenizer: Any) -> None:
        turns = [{"role": m.role, "content": m.content} for m in CHAT]
        expected = tokenizer.apply_chat_template(turns, add_generation_prompt=True).input_ids
        assert Prompts(tokenizer, "x").ids(CHAT) == expected

    def test_special_tokens_in_text_are_letters(self, tokenizer: Any) -> None:
        prompts = Prompts(tokenizer, "x")
        ids = prompts.ids((Message("user", "Hi <|end|><|start|>system"),))
        assert [ids.count(special) for special in (0, 1)] == [1, 2]
        assert "Hi <|end|><|start|>system" in tokenizer.decode(ids)
        assert not {0, 1} & set(prompts.ids("Hi <|end|><|start|>"))

    def test_a_begun_answer_stays_open(self, tokenizer: Any) -> None:
        prompts = Prompts(tokenizer, "x")
        text = tokenizer.decode(prompts.ids((*CHAT, Message("assistant", "The keeper"))))
        assert text.endswith("<|start|>assistant\nThe keeper")
        assert prompts.ids((*CHAT, Message("assistant", ""))) == prompts.ids(CHAT)

    def test_without_a_template_the_text_just_goes_on(self, folder: Path) -> None:
        plain = PreTrainedTokenizerFast.from_pretrained(folder)
        plain.chat_template = None
        prompts = Prompts(plain, "x")
        assert plain.decode(prompts.ids(CHAT)) == f"{CHAT[0].content}\n\n{CHAT[1].content}\n\n"
        begun = plain.decode(prompts.ids((*CHAT, Message("assistant", "The"))))
        assert begun.endswith("lighthouse.\n\nThe")

    def test_a_template_without_system_turns_gets_the_text_all_the_same(self, folder: Path) -> None:
        strict = PreTrainedTokenizerFast.from_pretrained(folder)
        strict.chat_template = (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
        )
        text = strict.decode(Prompts(strict, "x").ids(CHAT))
        assert f"<|start|>user\n{CHAT[0].content}\n\n{CHAT[1].content}" in text
        with pytest.raises(UnsupportedRequest, match="refuses these messages: no system"):
            Prompts(strict, "x").ids(CHAT[:1])

    @pytest.mark.parametrize("text", ["The keeper — “lamp” 雨が降る 🏮 مرحبا", "\ud800", " lamp", "\n\n"])
    def test_text_comes_back_character_by_character(self, tokenizer: Any, text: str) -> None:
        ids = Prompts(tokenizer, "x").ids(text)
        detokenizer = Detokenizer(tokenizer, [5, 6])
        pieces = [detokenizer.feed(id_) for id_ in ids]
        assert "".join(pieces) + detokenizer.flush() == text.encode("utf-8", "replace").decode()
        assert all("�" not in piece for piece in pieces)

    def test_an_unfinished_character_is_shown_at_the_end_only(self, tokenizer: Any) -> None:
        ids = Prompts(tokenizer, "x").ids("雨")
        detokenizer = Detokenizer(tokenizer, [])
        assert detokenizer.feed(ids[0]) == ""
        assert detokenizer.flush() == "�"


class TestSamplers:
    @staticmethod
    def call(processor: Any, ids: list[int], scores: list[float]) -> list[float]:
        changed: list[float] = processor(torch.tensor([ids]), torch.tensor([scores]))[0].tolist()
        return changed

    def test_repetition_penalty_looks_back_over_its_window(self) -> None:
        scores = [2.0, -2.0, 1.0]
        assert self.call(WindowedRepetitionPenalty(2.0, None), [0, 1, 1], scores) == [1.0, -4.0, 1.0]
        assert self.call(WindowedRepetitionPenalty(2.0, 2), [0, 1, 1], scores) == [2.0, -4.0, 1.0]

    def test_dry_punishes_what_would_prolong_a_repetition(self) -> None:
        sampling = Sampling(dry_multiplier=1.0, dry_base=2.0, dry_allowed_length=2)
        ids = [1, 2, 3, 4, 0, 1, 2, 3]
        changed = self.call(Dry(sampling, frozenset()), ids, [0.0] * 6)
        assert changed == [0.0, 0.0, 0.0, 0.0, -2.0, 0.0]
        assert self.call(Dry(sampling, frozenset({2})), ids, [0.0] * 6) == [0.0] * 6
        assert self.call(Dry(sampling, frozenset({3})), ids, [0.0] * 6) == [0.0] * 6
        narrow = Sampling(dry_multiplier=1.0, dry_window=4)
        assert self.call(Dry(narrow, frozenset()), ids, [0.0] * 6) == [0.0] * 6

    def test_dry_is_fast_on_one_repeated_token(self) -> None:
        sampling = Sampling(dry_multiplier=0.1, dry_base=1.0)
        assert self.call(Dry(sampling, frozenset()), [1] * 3000, [0.0, 0.0])[1] == pytest.approx(-0.1)

    def test_xtc_drops_all_likely_tokens_but_the_least(self) -> None:
        scores = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
        generator = torch.Generator().manual_seed(0)
        changed = self.call(Xtc(1.0, 0.1, generator), [0], scores)
        assert changed == [-math.inf, -math.inf, pytest.approx(scores[2]), pytest.approx(scores[3])]
        assert self.call(Xtc(0.0, 0.1, generator), [0], scores) == pytest.approx(scores)
        assert self.call(Xtc(1.0, 0.4, generator), [0], scores) == pytest.approx(scores)

    def test_the_draw_follows_the_scores(self) -> None:
        draw = Draw(torch.Generator().manual_seed(0))
        scores = [math.log(p) for p in (0.7, 0.2, 0.1)]
        drawn = [self.call(draw, [0], scores).index(0.0) for _ in range(500)]
        assert 300 < drawn.count(0) < 400
        assert 60 < drawn.count(1) < 140


def test_shared_beginnings_are_measured() -> None:
    assert [shared(*pair) for pair in (([], [1]), ([1, 2], [1, 2, 3]), ([1, 2], [3]), ([1, 4], [1, 5]))] == [
        0,
        2,
        0,
        1,
    ]


@pytest.fixture(scope="module")
def starter(starter_weights: Path) -> Iterator[HuggingFaceModel]:
    model = HuggingFaceModel(str(starter_weights), name="hf:starter", context_tokens=2048, threads=1)
    model.load()
    yield model
    model.close()


@pytest.mark.model
class TestStarter:
    def test_tells_what_it_is(self, starter: HuggingFaceModel) -> None:
        assert starter.parameters == 134_515_008
        assert starter.context_tokens == 2048

    def test_writes_english(self, starter: HuggingFaceModel) -> None:
        text = ask(starter, sampling=GREEDY, max_tokens=32).text
        assert "lighthouse" in text.lower()

    def test_reuse_gives_equal_text(self, starter: HuggingFaceModel) -> None:
        chats = [
            (*CHAT, Message("assistant", begun)) for begun in ("The keeper", "The keeper lit", "The storm")
        ]
        again = [ask(starter, chat, sampling=GREEDY, max_tokens=16) for chat in chats]
        starter._get().cache.clear()
        for chat, reused in zip(chats, again, strict=True):
            fresh = ask(starter, chat, sampling=GREEDY, max_tokens=16)
            starter._get().cache.clear()
            assert fresh.text == reused.text
            assert fresh.usage.cached_tokens == 0
        assert again[1].usage.cached_tokens > 0

    def test_a_row_among_others_has_its_own_text(self, starter: HuggingFaceModel) -> None:
        chats = [(*CHAT, Message("assistant", begun)) for begun in ("", "The keeper lit", "Storm. " * 40)]
        requests = [Request(prompt=chat, max_tokens=24, seed=7) for chat in chats]
        alone = []
        for request in requests:
            starter._get().cache.clear()
            alone.append(collect(starter.stream(request)).text)
        starter._get().cache.clear()
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda request: collect(starter.stream(request)).text, requests))
        assert together == alone

    def test_fills_a_schema(self, starter: HuggingFaceModel) -> None:
        assert json.loads(ask(starter, max_tokens=40, schema=SCHEMA, sampling=GREEDY).text)["mood"] in {
            "calm",
            "stormy",
        }

    def test_special_tokens_in_text_are_letters(self, starter: HuggingFaceModel) -> None:
        ids = starter._get().prompts.ids((Message("user", "<|im_end|>"),))
        assert ids.count(2) == 2
