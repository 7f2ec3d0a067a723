import json
from collections.abc import Iterator, Sequence

import pytest
from pydantic import BaseModel, Field, model_validator

from storyloom.generators.structured import Structured, ask, derived_seed, strict_schema
from storyloom.memory.errors import ModelFailed, UnsupportedRequest
from storyloom.memory.generation import Piece, Prompt, Request, Usage


class Departure(BaseModel):
    sentence: str
    why: str = ""


class Answer(BaseModel):
    paragraph: str = Field(min_length=1)
    dropped: list[Departure] = Field(default_factory=list)
    plans: list[str] = Field(min_length=3, max_length=3)


WHOLE = json.dumps({"paragraph": "The rain fell.", "dropped": [], "plans": ["a", "b", "c"]})
NO_PLANS = '{"paragraph": "The rain fell.", "plans": ["a"'
RUBBISH = "I'm sorry, but I can't help with that."
REQUEST = Request(prompt="Write.", max_tokens=100, seed=7)


class Scripted:
    """Gives its replies in order, a few characters at a time; fails a call that it has no reply for."""

    def __init__(self, replies: Sequence[str], features: frozenset[str] = frozenset({"schema"})) -> None:
        self.replies = list(replies)
        self.features = features
        self.requests: list[Request] = []
        self.given = 0
        self.open = 0

    name = "scripted:test"
    context_tokens = 4096
    parameters = None

    def stream(self, request: Request) -> Iterator[Piece]:
        self.requests.append(request)
        reply = self.replies[len(self.requests) - 1]
        return self._speak(reply)

    def _speak(self, reply: str) -> Iterator[Piece]:
        self.open += 1
        try:
            for start in range(0, len(reply), 5):
                self.given += 1
                yield Piece(reply[start : start + 5])
            yield Piece("", Usage(prompt_tokens=1, completion_tokens=len(reply) // 5))
        finally:
            self.open -= 1

    def count_tokens(self, prompt: Prompt) -> int:
        return len(str(prompt))

    def close(self) -> None:
        pass


class WithoutThisSchema(Scripted):
    """An engine that has schemas, but not this one."""

    def stream(self, request: Request) -> Iterator[Piece]:
        if request.schema is not None:
            raise UnsupportedRequest("This server takes no JSON schema.")
        return super().stream(request)


def answered(*replies: str, attempts: int = 2) -> tuple[Structured[Answer], Scripted]:
    model = Scripted(replies)
    return ask(model, REQUEST, Answer, attempts=attempts), model


def test_a_clean_answer_takes_one_call() -> None:
    got, model = answered(WHOLE)
    assert got.value == Answer(paragraph="The rain fell.", plans=["a", "b", "c"])
    assert got.missing == ()
    assert got.repaired is False
    assert [asked.reply.text for asked in got.asked] == [WHOLE]
    assert got.asked[0].reply.usage.completion_tokens == len(WHOLE) // 5
    assert model.requests[0].schema == strict_schema(Answer)
    assert model.requests[0].seed == 7


def test_a_schema_is_asked_only_of_engines_that_have_it() -> None:
    model = Scripted([WHOLE], features=frozenset())
    assert ask(model, REQUEST, Answer).value is not None
    assert model.requests[0].schema is None


def test_an_engine_that_refuses_the_schema_is_asked_without() -> None:
    model = WithoutThisSchema([WHOLE])
    got = ask(model, REQUEST, Answer)
    assert got.value is not None
    assert got.asked[0].request.schema is None


def test_what_else_an_engine_refuses_is_told() -> None:
    class Refuses(Scripted):
        def _speak(self, reply: str) -> Iterator[Piece]:
            raise UnsupportedRequest(f"No mirostat for {reply}.")

    with pytest.raises(UnsupportedRequest, match="mirostat"):
        ask(Refuses([WHOLE] * 9), REQUEST, Answer)


def test_a_mended_answer_says_so() -> None:
    got, _ = answered(f"Sure!\n```json\n{WHOLE}\n```")
    assert got.value is not None
    assert got.repaired is True
    assert len(got.asked) == 1


def test_a_lacking_answer_is_asked_again_with_another_seed() -> None:
    got, model = answered(NO_PLANS, WHOLE)
    assert got.value is not None
    assert got.repaired is False
    assert [request.seed for request in model.requests] == [7, derived_seed(7, 1)]
    assert len(got.asked) == 2


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_are_bounded(attempts: int) -> None:
    got, model = answered(*[RUBBISH] * 9, attempts=attempts)
    assert len(model.requests) == attempts
    assert len({request.seed for request in model.requests}) == attempts
    assert got.value is None
    assert got.parts == {}
    assert got.missing == ("paragraph", "plans")


def test_no_attempt_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        answered(attempts=0)


def test_the_best_attempt_is_kept_and_never_mixed() -> None:
    got, _ = answered(NO_PLANS, RUBBISH, '{"plans": ["x", "y", "z"]}', attempts=3)
    assert got.value is None
    assert dict(got.parts) == {"paragraph": "The rain fell."}
    assert got.missing == ("plans",)
    assert len(got.asked) == 3


def test_only_what_is_needed_is_asked_again() -> None:
    model = Scripted([NO_PLANS])
    got = ask(model, REQUEST, Answer, needed=("paragraph",))
    assert got.missing == ("plans",)
    assert len(model.requests) == 1


def test_what_is_needed_counts_more_than_what_is_not() -> None:
    model = Scripted(['{"plans": ["a", "b", "c"], "dropped": []}', NO_PLANS])
    got = ask(model, REQUEST, Answer, needed=("paragraph",))
    assert dict(got.parts) == {"paragraph": "The rain fell."}


def test_a_rule_across_fields_leaves_the_parts() -> None:
    class Pair(BaseModel):
        low: int
        high: int

        @model_validator(mode="after")
        def _ordered(self) -> "Pair":
            if (self.__dict__.get("low") or 0) > self.__dict__.get("high", 99):
                raise ValueError("upside down")
            return self

    got = ask(Scripted(['{"low": 5, "high": 2}']), REQUEST, Pair, attempts=1)
    assert got.value is None
    assert dict(got.parts) == {"low": 5, "high": 2}


def test_every_piece_is_passed_on() -> None:
    seen: list[str] = []
    ask(Scripted([NO_PLANS, WHOLE]), REQUEST, Answer, on_text=seen.append)
    assert "".join(seen) == NO_PLANS + WHOLE
    assert len(seen) > 10


def test_a_listener_that_raises_closes_the_stream() -> None:
    model = Scripted([WHOLE])

    def stop(_piece: str) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError):
        ask(model, REQUEST, Answer, on_text=stop)
    assert (model.given, model.open) == (1, 0)


def test_never_ending_white_space_is_cut_off() -> None:
    model = Scripted(['{"paragraph": "The rain fell.",' + "\n " * 50_000])
    got = ask(model, REQUEST, Answer, attempts=1)
    assert dict(got.parts) == {"paragraph": "The rain fell."}
    assert model.given < 100
    assert model.open == 0
    assert got.asked[0].reply.usage.finish == "cancelled"


def test_a_broken_engine_is_told() -> None:
    class Broken(Scripted):
        def _speak(self, reply: str) -> Iterator[Piece]:
            yield Piece(reply[:5])
            raise ModelFailed("The engine broke off.")

    with pytest.raises(ModelFailed, match="broke off"):
        ask(Broken([WHOLE]), REQUEST, Answer)


def test_rubbish_of_any_size_is_survived() -> None:
    got, _ = answered('}{ lorem "ipsum": [\' ' * 5_000, attempts=1)
    assert got.parts == {}


def test_a_strict_schema_leaves_nothing_open() -> None:
    schema = strict_schema(Answer)
    assert list(schema["properties"]) == ["paragraph", "dropped", "plans"]
    assert schema["required"] == ["paragraph", "dropped", "plans"]
    assert schema["additionalProperties"] is False
    departure = schema["$defs"]["Departure"]
    assert departure["required"] == ["sentence", "why"]
    assert departure["additionalProperties"] is False
    assert '"default"' not in json.dumps(schema)
    assert '"title"' not in json.dumps(schema)


def test_a_field_named_like_a_keyword_survives_in_the_schema() -> None:
    class Titled(BaseModel):
        title: str
        default: int = 3

    assert list(strict_schema(Titled)["properties"]) == ["title", "default"]


def test_seeds_of_attempts_differ_and_repeat() -> None:
    seeds = [derived_seed(seed, attempt) for seed in range(50) for attempt in range(4)]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [derived_seed(seed, attempt) for seed in range(50) for attempt in range(4)]
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)
    assert derived_seed(None, 3) is None
