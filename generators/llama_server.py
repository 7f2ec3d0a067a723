"""llama.cpp's server inside this process, by xllamacpp: loading, tokens, chat templates, completions.

Knows nothing of requests and samplers; ``llama_cpp`` does. The server always listens on a loopback port, so
it gets a random key, and every page, tool and list that it could offer there is off.
"""

import ctypes
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from storyloom.generators.free_memory import free_bytes
from storyloom.memory.errors import ModelFailed, ModelUnavailable, StoryloomError, UnsupportedRequest

# Tokens read between two looks at whether somebody wants to stop; smaller is no slower (measured).
_BATCH_TOKENS = 256
# The server drops idle connections after 5 s; ours must be gone before it may do so.
_KEEP_ALIVE_SECONDS = 3.0
_HTTP_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05

Chunk = dict[str, Any]


class LlamaServer:
    """One loaded model. Safe to call from several threads."""

    def __init__(
        self,
        path: Path,
        *,
        cells: int,
        shared: bool,
        slots: int,
        threads: int,
        kept_bytes: int | None,
        rope: Mapping[str, Any] | None = None,
    ) -> None:
        """Load the model.

        Args:
            path: the GGUF file.
            cells: tokens whose keys and values all slots hold together.
            shared: one pool of cells for all slots, instead of an equal part for each. Every token then looks
                through all of them: a whole request fits fewer cells, and takes twice as long beside others.
            slots: how many requests run at once; each keeps its last prompt's prefix.
            threads: for reading prompts and for writing.
            kept_bytes: memory for prefixes of prompts that had to leave their slot; None when not even a slot
                may keep what it read before.
            rope: common parameters of llama.cpp that change the model's RoPE.

        Raises:
            ModelUnavailable: llama.cpp or the model can't be loaded.
        """
        engine = _import_engine()
        key = secrets.token_urlsafe(32)
        params = engine.CommonParams()
        params.model.path = str(path)
        for name, value in (rope or {}).items():
            setattr(params, name, value)
        params.n_ctx = cells
        params.n_parallel = slots
        params.kv_unified = shared
        params.n_batch = params.n_ubatch = _BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_prompt = kept_bytes is not None
        params.cache_idle_slots = False
        params.cache_ram_mib = (kept_bytes or 0) >> 20
        params.warmup = False
        params.fit_params = bool(_accelerators(engine))
        params.offline = True
        params.verbosity = -1
        params.port = 0
        params.api_keys = [key]
        params.cors_origins = ""
        params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
        try:
            self._server = engine.Server(params)
        except RuntimeError as error:
            raise ModelUnavailable(
                f"llama.cpp can't load {path}: the file is damaged, of a kind it doesn't know, or larger "
                "than the free memory. Fetch it again, or name another with gguf:PATH."
            ) from error
        # No proxy from the environment: this never leaves the machine.
        self._http = httpx.Client(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=_HTTP_TIMEOUT_SECONDS,
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_SECONDS),
        )

    def tokenize(self, text: str, *, begin: bool, special: bool) -> list[int]:
        """Token ids of a text.

        Args:
            text: what to tokenize.
            begin: whether the model's first token, where it has one, is put before it.
            special: whether ``<|im_start|>`` and its like become control tokens or stay text.
        """
        body = {"content": text, "add_special": begin, "parse_special": special}
        ids: list[int] = self._post("/tokenize", body)["tokens"]
        return ids

    def render(self, turns: Sequence[dict[str, str]]) -> str:
        """A chat in the form the model was trained on, by its own template.

        Raises:
            UnsupportedRequest: the template refuses it, such as a system turn that it doesn't know.
        """
        # A model that can think aloud would do so in place of the story.
        body = {"messages": list(turns), "chat_template_kwargs": {"enable_thinking": False}}
        prompt: str = self._post("/apply-template", body)["prompt"]
        return prompt

    def complete(self, body: dict[str, Any], on_chunk: Callable[[Chunk], bool]) -> None:
        """Stream a completion; ``on_chunk`` returns True to stop it, and hears of a prompt half read too.

        Raises:
            UnsupportedRequest: the engine refuses what is asked.
            ModelFailed: the engine broke off.
        """
        raised: list[BaseException] = []

        def guarded(chunk: Chunk) -> bool:
            # The engine swallows what a callback raises.
            try:
                if "error" in chunk:
                    raise _as_error(chunk["error"])
                return on_chunk(chunk)
            except BaseException as error:  # noqa: BLE001  # it is raised again below
                raised.append(error)
                return True

        self._server.handle_completions({**body, "stream": True, "return_progress": True}, guarded)
        if raised:
            raise raised[0]

    def close(self) -> None:
        """Free the model, once the requests in flight have ended."""
        self._http.close()
        self._server = None

    def _post(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._http.post(route, json=body)
            content: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ModelFailed(f"llama.cpp broke off at {route}: {error}. Run the command again.") from error
        if "error" in content:
            raise _as_error(content["error"])
        return content


class Room:
    """Slots and cells of a server, given to one request each until it ends.

    Cells may be shared, so requests that don't fit together wait here, where they can be stopped, and don't
    fail in the engine.
    """

    def __init__(self, *, slots: int, tokens: int) -> None:
        self._slots = slots
        self._tokens = tokens
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, tokens: int, stopped: Callable[[], bool]) -> Iterator[bool]:
        """Wait for a slot and so many cells; False when stopped before they came free."""
        held = self._wait(tokens, stopped)
        try:
            yield held
        finally:
            if held:
                with self._freed:
                    self._slots += 1
                    self._tokens += tokens
                    self._freed.notify_all()

    def _wait(self, tokens: int, stopped: Callable[[], bool]) -> bool:
        with self._freed:
            while self._slots < 1 or self._tokens < tokens:
                if stopped():
                    return False
                self._freed.wait(_POLL_SECONDS)
            self._slots -= 1
            self._tokens -= tokens
            return True


def _as_error(problem: dict[str, Any]) -> StoryloomError:
    message = str(problem.get("message", problem)).rstrip(".")
    if problem.get("type") in ("invalid_request_error", "not_supported_error"):
        return UnsupportedRequest(
            f"llama.cpp refuses the request: {message}. Change the profile or the prompt."
        )
    return ModelFailed(f"llama.cpp broke off: {message}. Run the command again.")


def free_engine_bytes() -> int:
    """Memory that is free where models run: the accelerator's, where there is one.

    Raises:
        ModelUnavailable: llama.cpp can't be loaded.
    """
    accelerators = _accelerators(_import_engine())
    return max((int(device["memory_free"]) for device in accelerators), default=0) or free_bytes()


def _accelerators(engine: Any) -> list[dict[str, Any]]:
    processor = engine.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    return [device for device in engine.get_device_info() if device["type"] != processor]


def _import_engine() -> Any:
    """Import xllamacpp; where the system lacks the OpenMP library that it needs, torch's copy serves."""
    try:
        import xllamacpp
    except ImportError as first:
        torch = find_spec("torch")
        folders = torch.submodule_search_locations if torch else None
        library = Path(folders[0], "lib", "libgomp.so.1") if folders else None
        try:
            if "libgomp" not in str(first) or library is None:
                raise first
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            import xllamacpp
        except (ImportError, OSError) as error:
            raise ModelUnavailable(
                f"llama.cpp can't be loaded: {error}. Install it with `pip install xllamacpp` (it needs the "
                "system library libgomp1), or use hf:REPO_OR_DIR or openai:MODEL@BASE_URL."
            ) from error
    return xllamacpp
