"""The process apart that scores: ``python -m storyloom.generators.scoring_process``.

It reads one line of JSON, ``{"target", "name", "threads", "rope", "prompts", "text"}``, where a prompt is a
string or a list of ``[role, content]``, and rope is ``NAME:FACTOR`` or null. It writes a line for each thing
that it knows: ``{"ready": true}`` once the model is loaded, ``{"log_probability", "tokens"}`` for each prompt
in turn, or ``{"error", "message"}`` with the name of an error's class. Whatever a library prints goes to
standard error.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from storyloom.generators.rope import parse_rope
from storyloom.memory.errors import StoryloomError
from storyloom.memory.generation import Message, Prompt

Line = dict[str, Any]


def main() -> None:
    """Answer the one request of standard input."""
    tell = _teller()
    request = json.loads(sys.stdin.buffer.readline())
    try:
        _score(request, tell)
    except StoryloomError as error:
        tell({"error": type(error).__name__, "message": str(error)})


def _teller() -> Callable[[Line], None]:
    """Writes lines to what was standard output; from here on nothing else can write there."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(line: Line) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    return tell


def _score(request: Line, tell: Callable[[Line], None]) -> None:
    from storyloom.generators.scoring import TransformersScorer

    rope = request.get("rope")
    scorer = TransformersScorer(
        request["target"],
        name=request["name"],
        threads=request["threads"],
        rope=parse_rope(rope) if rope else None,
    )
    tell({"ready": True})
    for found in scorer.score([_prompt(given) for given in request["prompts"]], request["text"]):
        tell({"log_probability": found.log_probability, "tokens": found.tokens})


def _prompt(given: str | list[list[Any]]) -> Prompt:
    return given if isinstance(given, str) else tuple(Message(role, content) for role, content in given)


if __name__ == "__main__":
    main()
