"""What goes wrong with an OpenAI-compatible server, told so that a person can act on it."""

import json
from dataclasses import dataclass

import httpx

from storyloom.memory.errors import (
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    StoryloomError,
    UnsupportedRequest,
)

_BUSY = frozenset({429, 500, 502, 503, 504})
_REFUSED = frozenset({400, 413, 422})


class Busy(Exception):
    """A failure that may pass by itself; ``told`` is what is said when it doesn't."""

    def __init__(self, told: StoryloomError, wait_seconds: float | None = None):
        super().__init__(str(told))
        self.told = told
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class Blame:
    """Makes the errors of one server.

    Attributes:
        address: its base URL, without name and password.
        has_key: whether an API key is sent.
        tries: how often a request is sent before giving up.
        timeout_seconds: longest silence.
    """

    address: str
    has_key: bool
    tries: int
    timeout_seconds: float

    def unreachable(self) -> Busy:
        """Nobody listens there."""
        return Busy(
            ModelUnavailable(
                f"No model server answers at {self.address}. Start it, or check the address after the @ of "
                "openai:MODEL@BASE_URL."
            )
        )

    def hung_up(self, error: Exception) -> Busy:
        """The connection was closed before any answer."""
        return Busy(
            ModelFailed(
                f"The server at {self.address} hangs up without an answer ({type(error).__name__}). Look "
                "into its log, then ask again."
            )
        )

    def silent(self) -> ModelFailed:
        """Nothing came for too long."""
        return ModelFailed(
            f"The server at {self.address} said nothing for {self.timeout_seconds:g} seconds. Look whether "
            "it still works, or allow more time."
        )

    def broke_off(self) -> ModelFailed:
        """The answer began, and never ended."""
        return ModelFailed(
            f"The server at {self.address} broke off in the middle of its answer. Ask again, and look into "
            "its log if it happens again."
        )

    def incompatible(self, why: str) -> ModelUnavailable:
        """Something else listens there."""
        return ModelUnavailable(
            f"{self.address} is no OpenAI-compatible server: {why}. Check the address after the @ of "
            "openai:MODEL@BASE_URL; it often ends with /v1."
        )

    def refusal(self, response: httpx.Response, models: tuple[str, ...]) -> StoryloomError | Busy:
        """The error for an answer whose status is not 200; ``models`` are those that the server lists."""
        status = response.status_code
        said = f"{status}{_message(response)}"
        if status in _BUSY:
            return Busy(
                ModelFailed(
                    f"The server at {self.address} turned the request away, {self.tries} times ({said}). "
                    "Wait until it is less busy or look into its log, then ask again."
                ),
                _retry_after(response),
            )
        if status in {401, 403}:
            what = "refuses the API key" if self.has_key else "wants an API key"
            return ModelUnavailable(
                f"The server at {self.address} {what} ({said}). Put the right one into the environment "
                "variable STORYLOOM_API_KEY."
            )
        if response.has_redirect_location:
            return ModelUnavailable(
                f"The server at {self.address} sends requests on to {response.headers['location']}, and "
                "Storyloom doesn't follow. If you trust that address, name it in openai:MODEL@BASE_URL."
            )
        if status == 404:
            known = (
                f"Its models: {', '.join(models[:20])}." if models else "Check both in openai:MODEL@BASE_URL."
            )
            return ModelUnavailable(
                f"The server at {self.address} doesn't know the model or the path "
                f"{response.request.url.path} ({said}). {known}"
            )
        if status in _REFUSED and "context" in said.lower():
            return PromptTooLong(
                f"The server at {self.address} says that the prompt doesn't fit ({said}). Shorten the prompt."
            )
        return UnsupportedRequest(
            f"The server at {self.address} refuses the request ({said}). It may lack a sampler or a form of "
            "answer that was asked for: choose others, or another model."
        )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header; its other form, a date, is ignored."""
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _message(response: httpx.Response) -> str:
    """What the server said, as ``: words``, short and on one line; empty when it said nothing useful."""
    try:
        response.read()
        error = json.loads(response.text)
    except (httpx.TransportError, ValueError):
        return ""
    return said_in(error)


def said_in(error: object) -> str:
    """The words of an error object, as ``: words``, short and on one line."""
    while isinstance(error, dict):
        error = error.get("error", error.get("message", error.get("detail")))
    if not isinstance(error, str):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in error).split())
    return f": {line[:300]}"
