"""The OpenAI-compatible engine: a real llama-server on loopback, and a small server that misbehaves."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from storyloom.generators.openai_compatible import OpenAICompatibleModel
from storyloom.memory.errors import (
    InvalidSetting,
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    UnsupportedRequest,
)
from storyloom.memory.generation import Message, Request, Sampling, Usage, collect
from storyloom.memory.ports import TextModel

CHAT = (Message("system", "You are a novelist."), Message("user", "Write about a lighthouse."))
KEY = "a-secret-key"

Answer = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the server's table of paths, and remembers what was asked."""

    server: "FakeServer"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {}))
        self.server.answers.get(self.path, missing)(self, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body))
        self.server.authorizations.append(self.headers.get("authorization"))
        self.server.answers.get(self.path, missing)(self, body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""

    def answer(self, status: int, content: str, kind: str = "application/json", **headers: str) -> None:
        data = content.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class FakeServer(ThreadingHTTPServer):
    """A server on loopback whose answers a test sets."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {"/v1/models": models("mini")}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.authorizations: list[str | None] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]


def missing(handler: Handler, _body: dict[str, Any]) -> None:
    handler.answer(404, '{"error": {"message": "not found"}}')


def answer(status: int, content: str, kind: str = "application/json", **headers: str) -> Answer:
    return lambda handler, _body: handler.answer(status, content, kind, **headers)


def models(*names: str, **facts: object) -> Answer:
    return answer(200, json.dumps({"data": [{"id": name, **facts} for name in names]}))


def events(*values: object) -> str:
    return "".join(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n" for value in values)


def chunk(text: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {} if text is None else {"content": text}, "finish_reason": finish}]}


def in_turn(*answers: Answer) -> Answer:
    left = list(answers)

    def next_one(handler: Handler, body: dict[str, Any]) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler, body)

    return next_one


SSE = "text/event-stream"
USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2}}
GOOD = answer(200, events(chunk("A "), chunk("lamp."), chunk(finish="stop"), USAGE, "[DONE]"), SSE)
CHATS = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model(server: FakeServer) -> Iterator[OpenAICompatibleModel]:
    model = make(server.url)
    yield model
    model.close()


def make(url: str, **options: Any) -> OpenAICompatibleModel:
    settings: dict[str, Any] = {
        "api_key": KEY,
        "timeout_seconds": 20,
        "retries": 2,
        "backoff_seconds": 0.001,
    } | options
    return OpenAICompatibleModel(model="mini", base_url=url, name=f"openai:mini@{url}", **settings)


def ask(model: TextModel, **options: Any) -> Any:
    settings: dict[str, Any] = {"prompt": CHAT, "max_tokens": 16} | options
    return collect(model.stream(Request(**settings)))


def test_streams_with_usage_and_key(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = GOOD
    pieces = list(model.stream(Request(prompt=CHAT, max_tokens=16, stop=("\n",), seed=7)))
    assert [piece.text for piece in pieces] == ["A ", "lamp.", ""]
    assert pieces[-1].usage == Usage(prompt_tokens=11, completion_tokens=2)
    body = server.bodies(CHATS)[0]
    assert body["messages"][1] == {"role": "user", "content": "Write about a lighthouse."}
    assert (body["model"], body["max_tokens"], body["seed"], body["stop"]) == ("mini", 16, 7, ["\n"])
    assert server.authorizations == [f"Bearer {KEY}"]


def test_unknown_servers_get_standard_fields_only(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = GOOD
    ask(model, sampling=Sampling(temperature=0.5))
    body = server.bodies(CHATS)[0]
    assert (body["temperature"], body["top_p"]) == (0.5, 1.0)
    assert "top_k" not in body
    assert model.features == {"temperature", "top_p", "schema", "completion"}
    with pytest.raises(UnsupportedRequest, match="min_p, top_k"):
        ask(model, sampling=Sampling(top_k=3, min_p=0.1))
    with pytest.raises(UnsupportedRequest, match="begun answer"):
        ask(model, prompt=(*CHAT, Message("assistant", "The")))


def test_stop_strings_beyond_the_fourth_are_watched_here(
    server: FakeServer, model: OpenAICompatibleModel
) -> None:
    server.answers[CHATS] = answer(
        200, events(chunk("A lamp. EN"), chunk("D more"), chunk(finish="stop")), SSE
    )
    reply = ask(model, stop=("1", "2", "3", "4", "END"))
    assert server.bodies(CHATS)[0]["stop"] == ["1", "2", "3", "4"]
    assert (reply.text, reply.usage.finish) == ("A lamp. ", "stop")


def test_schema_goes_as_response_format(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = GOOD
    ask(model, schema={"type": "object"})
    form = server.bodies(CHATS)[0]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == {"type": "object"}


def test_without_usage_pieces_are_counted(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = answer(200, events(chunk("A "), chunk("lamp"), chunk(finish="length")), SSE)
    usage = ask(model).usage
    assert usage == Usage(
        prompt_tokens=model.count_tokens(CHAT), completion_tokens=2, cached_tokens=0, finish="length"
    )


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: FakeServer, model: OpenAICompatibleModel, status: int) -> None:
    busy = answer(status, '{"error": "busy"}', retry_after="0")
    server.answers[CHATS] = in_turn(busy, busy, GOOD)
    assert ask(model).text == "A lamp."
    assert len(server.bodies(CHATS)) == 3


def test_retries_are_bounded(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = answer(500, '{"error": {"message": "out of\\nmemory"}}')
    with pytest.raises(ModelFailed, match=r"3 times \(500: out of memory\)"):
        ask(model)
    assert len(server.bodies(CHATS)) == 3


def hang_up(handler: Handler, _body: dict[str, Any]) -> None:
    handler.close_connection = True


def test_a_dropped_connection_is_tried_again(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = in_turn(hang_up, GOOD)
    assert ask(model).text == "A lamp."


def cut(handler: Handler, _body: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("content-type", SSE)
    handler.send_header("content-length", "10000")
    handler.end_headers()
    handler.wfile.write(events(chunk("A ")).encode())
    handler.close_connection = True


@pytest.mark.parametrize("broken", [cut, answer(200, events(chunk("A ")), SSE)])
def test_a_stream_cut_in_the_middle_is_no_reply(
    server: FakeServer, model: OpenAICompatibleModel, broken: Answer
) -> None:
    server.answers[CHATS] = broken
    stream = model.stream(Request(prompt=CHAT, max_tokens=16))
    assert next(stream).text == "A "
    with pytest.raises(ModelFailed, match="broke off in the middle"):
        next(stream)
    assert len(server.bodies(CHATS)) == 1


def hang(handler: Handler, _body: dict[str, Any]) -> None:
    handler.server.released.wait(30)
    handler.close_connection = True


def test_a_silent_server_is_given_up(server: FakeServer) -> None:
    server.answers[CHATS] = hang
    model = make(server.url, timeout_seconds=0.2)
    with pytest.raises(ModelFailed, match=r"said nothing for 0\.2 seconds"):
        ask(model)
    assert len(server.bodies(CHATS)) == 1
    model.close()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (answer(200, events("{not json"), SSE), "no JSON object"),
        (answer(200, events("[1]"), SSE), "no JSON object"),
        (answer(200, events({"error": {"message": "slot lost"}}), SSE), "slot lost"),
        (answer(200, 'error: {"message": "slot lost"}\n\n', SSE), "slot lost"),
        (answer(200, events(chunk("A", "content_filter")), SSE), "content filter"),
        (answer(200, "<html>hello</html>", "text/html"), "text/html"),
        (answer(200, "{}"), "doesn't stream"),
    ],
)
def test_rubbish_is_told_plainly(
    server: FakeServer, model: OpenAICompatibleModel, broken: Answer, words: str
) -> None:
    server.answers[CHATS] = broken
    with pytest.raises(ModelFailed, match=words):
        ask(model)


def test_odd_but_harmless_events_are_passed_over(server: FakeServer, model: OpenAICompatibleModel) -> None:
    odd = [{"choices": None}, {"choices": [None]}, {"choices": [{"delta": None}]}, {"choices": [{"text": 3}]}]
    content = ": ping\n\nevent: x\n\n" + events(
        *odd, {"usage": {"prompt_tokens": "many"}}, chunk("A", "stop")
    )
    server.answers[CHATS] = answer(200, content, SSE)
    assert ask(model).text == "A"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"error": {"message": "maximum context length is 4096 tokens"}}, PromptTooLong),
        ({"error": {"message": "response_format is not supported"}}, UnsupportedRequest),
        ({"detail": [{"msg": "x"}]}, UnsupportedRequest),
    ],
)
def test_a_refused_request_is_not_sent_again(
    server: FakeServer, model: OpenAICompatibleModel, content: object, error: type[Exception]
) -> None:
    server.answers[CHATS] = answer(400, json.dumps(content))
    with pytest.raises(error):
        ask(model)
    assert len(server.bodies(CHATS)) == 1


def test_nobody_listening_names_the_address() -> None:
    server = FakeServer()
    url = server.url
    server.server_close()
    model = make(url)
    with pytest.raises(ModelUnavailable, match="No model server answers") as caught:
        ask(model)
    assert url in str(caught.value)
    model.close()


@pytest.mark.parametrize(("key", "words"), [(KEY, "refuses the API key"), (None, "wants an API key")])
def test_a_wrong_key_names_the_variable_and_not_the_key(
    server: FakeServer, key: str | None, words: str
) -> None:
    server.answers["/v1/models"] = answer(401, '{"error": {"message": "bad key"}}')
    model = make(server.url, api_key=key)
    with pytest.raises(ModelUnavailable, match=words) as caught:
        ask(model)
    assert "STORYLOOM_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)
    model.close()


def test_an_unknown_model_lists_the_known(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers["/v1/models"] = models("big", "bigger")
    with pytest.raises(ModelUnavailable, match="Its models: big, bigger"):
        ask(model)


def test_more_requests_at_once_than_a_client_holds_by_itself(
    server: FakeServer, model: OpenAICompatibleModel
) -> None:
    everybody = threading.Barrier(110, timeout=20)

    def together(handler: Handler, body: dict[str, Any]) -> None:
        everybody.wait()
        GOOD(handler, body)

    server.answers[CHATS] = together
    with ThreadPoolExecutor(110) as pool:
        replies = list(pool.map(lambda _: ask(model), range(110)))
    assert {reply.text for reply in replies} == {"A lamp."}


def test_redirects_are_not_followed(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = answer(307, "", location="http://elsewhere.test/v1")
    with pytest.raises(ModelUnavailable, match=r"elsewhere\.test"):
        ask(model)


@pytest.mark.parametrize(
    "listing", [answer(200, "<html>", "text/html"), answer(200, "[]"), answer(200, '{"data": 3}')]
)
def test_another_kind_of_server_is_recognised(
    server: FakeServer, model: OpenAICompatibleModel, listing: Answer
) -> None:
    server.answers["/v1/models"] = listing
    with pytest.raises(ModelUnavailable, match="no OpenAI-compatible server"):
        ask(model)


def test_a_server_without_a_list_of_models_will_do(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers = {CHATS: GOOD}
    assert ask(model).text == "A lamp."
    assert model.context_tokens == 4096


def test_context_is_told_by_the_server_or_set(server: FakeServer) -> None:
    server.answers["/v1/models"] = models("mini", context_length=8192)
    for setting, expected in [(None, 8192), (1000, 1000), (100_000, 8192)]:
        model = make(server.url, context_tokens=setting)
        assert model.context_tokens == expected
        model.close()


def test_a_prompt_that_cannot_fit_is_not_sent(server: FakeServer, model: OpenAICompatibleModel) -> None:
    server.answers[CHATS] = GOOD
    with pytest.raises(PromptTooLong, match="4096"):
        ask(model, prompt="word " * 4000)
    with pytest.raises(PromptTooLong):
        ask(model, max_tokens=4096)
    assert server.bodies(CHATS) == []


def test_closing_the_stream_closes_the_connection(server: FakeServer, model: OpenAICompatibleModel) -> None:
    gone = threading.Event()

    def endless(handler: Handler, _body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("content-type", SSE)
        handler.end_headers()
        try:
            while not handler.server.released.is_set():
                handler.wfile.write(events(chunk("more ")).encode())
        except OSError:
            gone.set()

    server.answers[CHATS] = endless
    stream = model.stream(Request(prompt=CHAT, max_tokens=16))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert gone.wait(20)


def test_vllm_counts_and_goes_on_from_a_begun_answer(
    server: FakeServer, model: OpenAICompatibleModel
) -> None:
    server.answers |= {
        "/v1/models": models("mini", owned_by="vllm", max_model_len=2048),
        "/tokenize": answer(200, '{"count": 42, "max_model_len": 2048, "tokens": []}'),
        CHATS: GOOD,
    }
    assert model.count_tokens("text") == 42
    ask(model, prompt=(*CHAT, Message("assistant", "The")), sampling=Sampling(top_k=5, min_p=0.1))
    for body in [server.bodies("/tokenize")[-1], server.bodies(CHATS)[0]]:
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    sent = server.bodies(CHATS)[0]
    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (5, 0.1, 1.0)
    assert {"prefill", "exact_count", "top_k"} <= model.features
    assert model.context_tokens == 2048


def test_the_estimate_is_never_far_below_the_bytes(model: OpenAICompatibleModel) -> None:
    assert model.count_tokens("abc" * 10) == 10
    assert model.count_tokens("雨") == 2
    assert model.count_tokens("\ud800") == 1
    assert model.count_tokens(CHAT) > sum(len(message.content) for message in CHAT) / 3


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host/v1", "http://", "http://host:port/v1"])
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="no address"):
        make(url)


def test_a_key_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="STORYLOOM_API_KEY"):
        make("http://127.0.0.1:1", api_key="schlüssel")


@pytest.fixture(scope="module")
def llama_server(starter_weights: Path) -> Iterator[OpenAICompatibleModel]:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(starter_weights)
    settings.n_ctx = 1024
    settings.n_parallel = 1
    settings.port = 0
    settings.api_keys = [KEY]
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.ui = settings.warmup = settings.endpoint_slots = False
    settings.verbosity = -1
    running = xllamacpp.Server(settings)
    model = make(running.listening_address, timeout_seconds=120)
    yield model
    model.close()
    del running


@pytest.mark.model
class TestLlamaServer:
    def test_tells_what_it_is(self, llama_server: OpenAICompatibleModel) -> None:
        assert llama_server.context_tokens == 1024
        assert llama_server.parameters == 134_515_008
        assert {"prefill", "schema", "completion", "exact_count", "dry_multiplier"} <= llama_server.features

    @pytest.mark.parametrize(
        "prompt", [CHAT, (*CHAT, Message("assistant", "The keeper")), "Once upon a time, 雨 fell."]
    )
    def test_counts_exactly(self, llama_server: OpenAICompatibleModel, prompt: Any) -> None:
        reply = ask(llama_server, prompt=prompt, max_tokens=4)
        assert reply.usage.prompt_tokens == llama_server.count_tokens(prompt)
        assert reply.usage.completion_tokens <= 4

    def test_equal_seeds_give_equal_text(self, llama_server: OpenAICompatibleModel) -> None:
        sampling = Sampling(temperature=1.0, top_k=50)
        first, again, other = (
            ask(llama_server, seed=seed, sampling=sampling, max_tokens=12).text for seed in (5, 5, 6)
        )
        assert first == again != other

    def test_goes_on_from_a_begun_answer(self, llama_server: OpenAICompatibleModel) -> None:
        text = ask(
            llama_server, prompt=(*CHAT, Message("assistant", "The lighthouse keeper")), max_tokens=8
        ).text
        assert text
        assert "The lighthouse keeper" not in text

    @pytest.mark.parametrize("prompt", [CHAT, "A JSON object:"])
    def test_fills_a_schema(self, llama_server: OpenAICompatibleModel, prompt: Any) -> None:
        schema = {
            "type": "object",
            "properties": {"mood": {"enum": ["calm", "stormy"]}},
            "required": ["mood"],
            "additionalProperties": False,
        }
        text = ask(llama_server, prompt=prompt, schema=schema, max_tokens=60, seed=1).text
        assert json.loads(text)["mood"] in {"calm", "stormy"}

    def test_takes_every_sampler(self, llama_server: OpenAICompatibleModel) -> None:
        sampling = Sampling(
            temperature=0.8,
            top_k=40,
            top_p=0.95,
            min_p=0.05,
            typical_p=0.9,
            repetition_penalty=1.1,
            dry_multiplier=0.8,
            dry_base=1.75,
            dry_allowed_length=3,
            dry_breakers=("\n",),
            xtc_probability=0.3,
            xtc_threshold=0.1,
        )
        assert ask(llama_server, sampling=sampling, max_tokens=8, seed=2**40).text
        unbroken = Sampling(dry_multiplier=0.8, dry_breakers=())
        assert ask(llama_server, sampling=unbroken, max_tokens=8, seed=1).text
        mirostat = Sampling(temperature=0.8, mirostat=2, mirostat_tau=5.0, mirostat_eta=0.1)
        assert ask(llama_server, sampling=mirostat, max_tokens=8, seed=1).text

    def test_mirostat_works_alone(self, llama_server: OpenAICompatibleModel) -> None:
        with pytest.raises(UnsupportedRequest, match="top_k would be ignored"):
            ask(llama_server, sampling=Sampling(mirostat=2, top_k=4))

    def test_an_empty_beginning_is_none(self, llama_server: OpenAICompatibleModel) -> None:
        assert llama_server.count_tokens((*CHAT, Message("assistant", ""))) == llama_server.count_tokens(CHAT)

    def test_stops_before_the_stop_string(self, llama_server: OpenAICompatibleModel) -> None:
        sampling = Sampling(temperature=0.0)
        whole = ask(llama_server, sampling=sampling, max_tokens=24).text
        word = whole.split()[5]
        reply = ask(llama_server, sampling=sampling, max_tokens=24, stop=(word,))
        assert reply.text == whole[: whole.index(word)]
        assert reply.usage.finish == "stop"

    def test_a_cut_text_says_so(self, llama_server: OpenAICompatibleModel) -> None:
        reply = ask(llama_server, max_tokens=3)
        assert (reply.usage.completion_tokens, reply.usage.finish) == (3, "length")

    def test_a_wrong_key_is_refused(self, llama_server: OpenAICompatibleModel) -> None:
        model = make(llama_server._server.address, api_key="wrong")
        with pytest.raises(ModelUnavailable, match="refuses the API key"):
            ask(model)
        model.close()
