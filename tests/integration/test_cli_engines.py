"""The same commands with other engines: the starter's weights by transformers, and behind a server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PREMISE = "Mara keeps a lighthouse on a cliff. One night at low tide she finds a door in the sea."
KEY = "not-a-secret"


@pytest.fixture
def server(starter_weights: Path) -> Iterator[str]:
    """A llama.cpp server on loopback, with a key; gives its address."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(starter_weights)
    settings.n_ctx = 4096
    settings.n_parallel = 1
    settings.port = 0
    settings.api_keys = [KEY]
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    settings.verbosity = -1
    running = xllamacpp.Server(settings)
    yield running.listening_address
    del running


def printed(*arguments: str, **environment: str) -> dict[str, Any]:
    """What a command in a process of its own prints as JSON."""
    command = [str(Path(sys.executable).with_name("storyloom")), *arguments, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def begin(spec: str, **environment: str) -> dict[str, Any]:
    """Start a story of one step."""
    begun = printed("write", PREMISE, "--paragraphs", "1", "--seed", "5", "--model", spec, **environment)
    (first,) = begun["steps"]
    check(first, spec)
    return begun


def check(step: dict[str, Any], spec: str) -> None:
    assert step["model"] == spec
    assert len(step["paragraph"].split()) > 20
    assert len({plan for plan in step["plans"] if plan.strip()}) == 3


# That one goes on with transformers in another process is shown by `test_cli_neural.py`, with a small model.
@pytest.mark.model
def test_a_story_is_begun_with_transformers(starter_weights: Path) -> None:
    begin(f"hf:{starter_weights}")


@pytest.mark.model
def test_the_same_commands_work_with_a_server(server: str) -> None:
    """Start a story, steer it, and look at what the writer saw."""
    spec, key = f"openai:starter@{server}/v1", {"STORYLOOM_API_KEY": KEY}
    story = begin(spec, **key)["story"]["id"]
    printed("memory", story, "--set-short", "The heron waits on the roof.", **key)
    (second,) = printed("continue", story, "--plan", "Mara climbs to the heron.", **key)["steps"]
    check(second, spec)
    seen = printed("show", story, "--prompt", "2", **key)
    assert "The heron waits on the roof." in seen["prompt"]
    assert "Mara climbs to the heron." in seen["prompt"]
