"""A model server on loopback that answers every prompt, until a test troubles it."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.stand_ins import sentence

Trouble = Literal["hang", "500", "cut"]

_SENTENCES = 7
_PATIENCE_SECONDS = 60.0


class ModelServer(ThreadingHTTPServer):
    """Speaks OpenAI's interface; equal requests get equal answers.

    Attributes:
        trouble: what goes wrong with every answer from now on: none comes, a 500 comes, or it breaks off
            in its middle. None: nothing.
        url: where it is.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.trouble: Trouble | None = None
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_GET(self) -> None:
        self._answer(200, "application/json", json.dumps({"data": [{"id": "mini"}]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        trouble = self.server.trouble
        if trouble == "hang":
            self.server.closing.wait(_PATIENCE_SECONDS)
        elif trouble == "500":
            self._answer(500, "application/json", b'{"error": {"message": "out of order"}}')
        else:
            events = _events(_told(body))
            whole = b"".join(events)
            # The length that is told is the whole answer's: who reads it knows that some is missing.
            sent = b"".join(events[: len(events) // 2]) if trouble == "cut" else whole
            self._answer(200, "text/event-stream", sent, length=len(whole))
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, kind: str, data: bytes, *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(length or len(data)))
        self.end_headers()
        self.wfile.write(data)


def _told(body: bytes) -> str:
    """A whole step as the form asks for it, drawn from the request's own words."""
    chance = random.Random(body)
    told = [sentence(chance) for _ in range(_SENTENCES)]
    answer: dict[str, Any] = {
        "paragraph": " ".join(told),
        "short_memory": told[0],
        "added": told[:1],
        "dropped": [],
        "plans": [sentence(chance) for _ in range(3)],
        "choice": 1,
    }
    return json.dumps(answer) if b"json_schema" in body else " ".join(told)


def _events(text: str) -> list[bytes]:
    """The answer as server-sent events, a word each."""
    words = [{"choices": [{"delta": {"content": f"{word} "}}]} for word in text.split()]
    ends: list[object] = [*words, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    return [*(f"data: {json.dumps(event)}\n\n".encode() for event in ends), b"data: [DONE]\n\n"]


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A server until the block ends."""
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()
