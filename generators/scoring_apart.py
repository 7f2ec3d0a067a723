"""Scoring in a process apart: started for one text, killed at the end. Imports nothing heavy.

Apart, because torch on several threads would slow llama.cpp in this process for good, and because the weights
in float32 take their memory only as long as they are needed.
"""

import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.generators.rope import Rope
from storyloom.generators.spec import Spec, gguf_path
from storyloom.memory.errors import (
    InvalidSetting,
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    StoryloomError,
    UnsupportedRequest,
)
from storyloom.memory.generation import Likelihood, Prompt
from storyloom.memory.ports import Scorer

# The same interpreter; a module in the working folder can't take the place of one of ours.
COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "storyloom.generators.scoring_process")
_QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
# Loading a large model and reading a long prompt take minutes; a process that is silent for longer hangs.
_PATIENCE_SECONDS = 1800.0
_LONGEST_WORDS = 300
_TOLD = {
    kind.__name__: kind
    for kind in (InvalidSetting, ModelFailed, ModelUnavailable, PromptTooLong, UnsupportedRequest)
}

Line = dict[str, Any]


def load_scorer(
    spec: Spec, *, models_dir: Path, threads: int | None = None, rope: Rope | None = None
) -> Scorer:
    """A scorer of the model that a SPEC names. Nothing is loaded before the first text.

    Args:
        spec: which model.
        models_dir: where fetched weights are kept.
        threads: None for one a physical core.
        rope: how the model shall read longer texts than it was trained with; None for as it is.

    Raises:
        UnsupportedRequest: the SPEC names no weights that can be read here.
        ModelUnavailable: the starter isn't fetched yet.
    """
    if spec.kind in ("openai", "scripted"):
        where = "A server gives" if spec.kind == "openai" else "A script has"
        raise UnsupportedRequest(
            f"{where} no log-probabilities of a text that is given, so {spec.text} can score nothing. "
            "Name a model whose weights are on this machine: starter, gguf:PATH or hf:REPO_OR_DIR."
        )
    target = spec.target if spec.kind == "hf" else str(gguf_path(spec, models_dir))
    return ScorerApart(target, name=spec.text, threads=threads or physical_cores(), rope=rope)


class ScorerApart:
    """Scores with transformers in a process of its own, one a call of ``score``.

    Args:
        target: a hub id, a local folder, or the path of a .gguf file.
        name: the SPEC that it was made from.
        threads: CPU threads of the process.
        rope: how the model shall read longer texts than it was trained with; None for as it is.
        command: what starts it.
        patience: seconds without a word after which it counts as hanging.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str,
        threads: int | None = None,
        rope: Rope | None = None,
        command: Sequence[str] = COMMAND,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._target = target
        self._name = name
        self._threads = threads
        self._rope = rope
        self._command = tuple(command)
        self._patience = patience

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    def score(self, prompts: Sequence[Prompt], text: str) -> Generator[Likelihood]:
        """How likely the text is after each prompt, as ``Scorer`` has it; closing it kills the process.

        Raises:
            ModelUnavailable: the process didn't get so far as to have the model loaded.
            ModelFailed: it died later, hangs, or answers nonsense.
            InvalidSetting, PromptTooLong, UnsupportedRequest: as it told.
        """
        if not prompts:
            return
        request = {
            "target": self._target,
            "name": self._name,
            "threads": self._threads,
            "rope": None if self._rope is None else str(self._rope),
            "prompts": [_plain(prompt) for prompt in prompts],
            "text": text,
        }
        with _Process(self._name, self._command, self._patience) as process:
            process.ask(request)
            for _ in prompts:
                yield process.likelihood()


class _Process:
    """One run of the process: asked once, listened to line by line, killed at the end."""

    def __init__(self, name: str, command: Sequence[str], patience: float) -> None:
        self._name = name
        self._patience = patience
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_ready = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed at the end)
        calm_openmp()
        try:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **_QUIET},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            self._log.close()
            raise ModelUnavailable(
                f"The process that scores with {name} can't be started: {error.strerror or error}. Free some "
                "memory and try again."
            ) from error

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_raised: object) -> None:
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            with suppress(OSError):  # what was written to a process that has died can't be flushed
                pipe and pipe.close()

    def ask(self, request: Line) -> None:
        """Hand over the request, and wait until the model is loaded."""
        for work in (functools.partial(self._send, request), self._listen):
            self._threads.append(threading.Thread(target=work, name="storyloom-scoring", daemon=True))
            self._threads[-1].start()
        if "ready" not in (line := self._answer()):
            raise self._nonsense(line)
        self._is_ready = True

    def likelihood(self) -> Likelihood:
        """What it says of the next prompt."""
        line = self._answer()
        try:
            return Likelihood(float(line["log_probability"]), int(line["tokens"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense(line) from error

    def _send(self, request: Line) -> None:
        """In a thread: a process that doesn't read would block."""
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as pipe:
            pipe.write(json.dumps(request).encode() + b"\n")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _answer(self) -> Line:
        """The next line that it says."""
        try:
            said = self._lines.get(timeout=self._patience)
        except queue.Empty:
            raise self._problem(f"has said nothing for {self._patience:g} seconds and was stopped") from None
        if said is None:
            raise self._problem(_ending(self._process.wait()))
        try:
            line = json.loads(said)
        except ValueError as error:
            raise self._nonsense(said.decode("utf-8", "replace")) from error
        if not isinstance(line, dict):
            raise self._nonsense(line)
        if "error" in line:
            kind = _TOLD.get(str(line["error"]), ModelFailed)
            raise kind(str(line.get("message")))
        return line

    def _nonsense(self, line: object) -> StoryloomError:
        return self._problem(f"said something that is no score: {str(line)[:_LONGEST_WORDS].strip()}")

    def _problem(self, what: str) -> StoryloomError:
        """The error for a process that ``what``, with its last words."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        words = f" Its last words: {last[:_LONGEST_WORDS].rstrip('.')}." if last else ""
        kind = ModelFailed if self._is_ready else ModelUnavailable
        return kind(
            f"The process that scores with {self._name} {what}.{words} Try again, or name a smaller model."
        )


def _plain(prompt: Prompt) -> str | list[tuple[str, str]]:
    return prompt if isinstance(prompt, str) else [(turn.role, turn.content) for turn in prompt]


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed by the system, most often for want of memory"
    return f"was ended by signal {-code}" if code < 0 else f"ended early, with exit code {code}"
