"""Talks HTTP with an OpenAI-compatible server: what it is, bounded retries, errors told plainly.

Knows nothing of prompts or sampling; ``openai_compatible.py`` does.
"""

import contextlib
import ipaddress
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from storyloom.generators.openai_errors import Blame, Busy
from storyloom.memory.errors import InvalidSetting

_LONGEST_WAIT = 20.0
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server tells about itself and one of its models."""

    kind: Literal["llama.cpp", "vllm", "other"]
    context_tokens: int | None
    parameters: int | None


class OpenAIServer:
    """One server, by its base URL. Safe to call from several threads.

    Redirects are never followed: they could carry the key and the story to another host. A server on
    this machine is never reached through a proxy.

    Args:
        base_url: such as ``http://127.0.0.1:8080/v1``; ``/v1`` is added where there is no path.
        api_key: sent as a bearer token, or None.
        timeout_seconds: longest silence, and longest wait for a connection.
        retries: how many more times a request is sent when the server is down or busy.
        backoff_seconds: the first pause between two tries; it doubles each time.

    Raises:
        InvalidSetting: the address or the key can't be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        timeout_seconds: float,
        retries: int,
        backoff_seconds: float,
    ):
        url = _parse(base_url)
        self._base = url
        self._root = url.copy_with(path=url.path.rstrip("/").removesuffix("/v1") + "/")
        self._retries = retries
        self._backoff = wait_exponential(multiplier=backoff_seconds, max=_LONGEST_WAIT) + wait_random(
            0, backoff_seconds / 2
        )
        self._client = httpx.Client(
            headers=_headers(api_key),
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=not _is_this_machine(url.host),
            # How many ask at once is for their callers to say, and for the server to bear.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )
        self._lock = threading.Lock()
        self._facts: dict[str, ServerFacts] = {}
        self._models: tuple[str, ...] = ()
        self.address = str(url.copy_with(username=None, password=None))
        self._blame = Blame(self.address, bool(api_key), retries + 1, timeout_seconds)

    def close(self) -> None:
        """Close all connections; calling it twice is harmless."""
        self._client.close()

    def facts(self, model: str) -> ServerFacts:
        """What the server is, asked once for each model.

        Raises:
            ModelUnavailable: it can't be reached, refuses the key, or is no OpenAI-compatible server.
            ModelFailed: it is busy or broken, even after the retries.
        """
        with self._lock:
            if model not in self._facts:
                self._facts[model] = self._ask_facts(model)
            return self._facts[model]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post JSON to a path beside ``/v1`` and read a JSON object.

        Raises:
            StoryloomError: as ``stream``.
        """
        with self._send("POST", self._root, path, body) as response:
            return self._read_object(response)

    @contextlib.contextmanager
    def stream(self, path: str, body: dict[str, Any]) -> Iterator[httpx.Response]:
        """Post JSON to a path under the base URL; the answer is open, its text unread.

        Raises:
            ModelUnavailable: unreachable, wrong key, or no such model.
            PromptTooLong: the server says that the prompt doesn't fit.
            UnsupportedRequest: the server refuses the request as such.
            ModelFailed: busy or broken even after the retries, or silent for too long.
        """
        with self._send("POST", self._base, path, body) as response:
            yield response

    def _ask_facts(self, model: str) -> ServerFacts:
        entries: list[dict[str, Any]] = []
        with self._send("GET", self._base, "models", allow=(404, 405)) as response:
            if response.status_code == 200:
                found = self._read_object(response).get("data")
                if not isinstance(found, list):
                    raise self._blame.incompatible("its list of models has no data")
                entries = [entry for entry in found if isinstance(entry, dict)]
        self._models = tuple(str(entry.get("id")) for entry in entries)
        # llama-server serves its one model whatever the request calls it.
        mine = next((entry for entry in entries if entry.get("id") == model), entries[0] if entries else {})
        owner = mine.get("owned_by")
        if owner == "llamacpp":
            return self._ask_llama_server(mine)
        if mine.get("id") != model:
            mine = {}
        context = next((size for key in _CONTEXT_KEYS if (size := _size(mine.get(key)))), None)
        return ServerFacts("vllm" if owner == "vllm" else "other", context, None)

    def _ask_llama_server(self, entry: dict[str, Any]) -> ServerFacts:
        """llama-server tells the context of one slot in ``/props``, and the weights in ``/models``."""
        meta = _object(entry.get("meta"))
        context = _size(meta.get("n_ctx")) or _size(meta.get("n_ctx_train"))
        with self._send("GET", self._root, "props", allow=(403, 404, 501)) as response:
            if response.status_code == 200:
                settings = _object(self._read_object(response).get("default_generation_settings"))
                context = _size(settings.get("n_ctx")) or context
        return ServerFacts("llama.cpp", context, _size(meta.get("n_params")))

    @contextlib.contextmanager
    def _send(
        self,
        method: str,
        root: httpx.URL,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        allow: tuple[int, ...] = (),
    ) -> Iterator[httpx.Response]:
        """Send until the server answers, as often as allowed; the answer's text is still unread."""
        url = root.copy_with(path=root.path.rstrip("/") + "/" + path)
        retrying = Retrying(
            stop=stop_after_attempt(self._retries + 1),
            wait=self._wait,
            retry=retry_if_exception_type(Busy),
            reraise=True,
        )
        try:
            response = retrying(self._try, self._client.build_request(method, url, json=body), allow)
        except Busy as busy:
            raise busy.told from busy
        try:
            yield response
        except httpx.TimeoutException as error:
            raise self._blame.silent() from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._blame.broke_off() from error
        finally:
            response.close()

    def _try(self, request: httpx.Request, allow: tuple[int, ...]) -> httpx.Response:
        """Send once and judge the status."""
        try:
            response = self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._blame.unreachable() from error
        except httpx.TimeoutException as error:
            raise self._blame.silent() from error
        except httpx.TransportError as error:
            raise self._blame.hung_up(error) from error
        if response.status_code != 200 and response.status_code not in allow:
            with contextlib.closing(response):
                raise self._blame.refusal(response, self._models)
        return response

    def _read_object(self, response: httpx.Response) -> dict[str, Any]:
        """Read the whole answer as a JSON object."""
        response.read()
        try:
            value = response.json()
        except ValueError as error:
            kind = response.headers.get("content-type", "no content type")
            raise self._blame.incompatible(f"it answers with {kind} that is no JSON") from error
        if not isinstance(value, dict):
            raise self._blame.incompatible("it answers with JSON that is no object")
        return value

    def _wait(self, state: RetryCallState) -> float:
        """The server's own Retry-After where it gives one, else a growing pause."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Busy) and error.wait_seconds is not None:
            return min(error.wait_seconds, _LONGEST_WAIT)
        return self._backoff(state)


def _parse(base_url: str) -> httpx.URL:
    """The base URL with a path and no slash at its end."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InvalidSetting(f"{base_url!r} is no address of a server ({error}).") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidSetting(
            f"{base_url!r} is no address of a server: it must begin with http:// or https:// and name a "
            "host, such as http://127.0.0.1:8080/v1."
        )
    return url.copy_with(path=url.path.rstrip("/") or "/v1", query=None, fragment=None)


def _headers(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    api_key = api_key.strip()
    if not (api_key.isascii() and api_key.isprintable()):
        raise InvalidSetting("STORYLOOM_API_KEY holds characters that no API key has; copy the key again.")
    return {"Authorization": f"Bearer {api_key}"}


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else a server may send."""
    return value if isinstance(value, dict) else {}


def _size(value: object) -> int | None:
    """A positive whole number, or None for anything else a server may send."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
