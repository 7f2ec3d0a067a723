"""``memory --why``: from the command line to the process that scores, and back."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.ui.cli import app  # noqa: F401  (imported before a test changes the streams)

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that reads a whole prompt."""
    from tests.tiny_model import make_tokenizer, save_model

    folder = tmp_path_factory.mktemp("tiny")
    save_model(make_tokenizer(), folder, context_tokens=8192)
    return folder


@pytest.fixture
def scripted(cli: Any, script: Callable[..., str]) -> str:
    """The id of a story of three steps that no weights wrote."""
    document = cli.json("write", PREMISE, "--paragraphs", "3", "--model", script(), "--seed", "7")
    return str(document["story"]["id"])


@pytest.fixture
def story(cli: Any, scripted: str, weights: Path, tmp_path: Path) -> str:
    """The same story as if the tiny model had written it."""
    file = tmp_path / "story.json"
    cli("export", scripted, str(file))
    file.write_text(re.sub(r'"scripted:[^"]*"', json.dumps(f"hf:{weights}"), file.read_text()))
    cli("delete", scripted)
    cli("import", str(file))
    return scripted


def test_prints_the_contract(cli: Any, story: str, weights: Path) -> None:
    document = cli.json("memory", story, "--why", "3")
    assert (document["depth"], document["model"], document["edited"]) == (3, f"hf:{weights}", False)
    assert document["log_probability"] < 0
    assert document["log_probability_per_token"] * document["tokens"] == pytest.approx(
        document["log_probability"]
    )
    slots = cli.json("show", story, "--prompt", "3")["slots"]
    remembered = {slot["text"] for slot in slots if slot["slot"] in {"memory", "recall"} and not slot["cut"]}
    items = document["items"]
    assert {item["text"] for item in items} == remembered
    for item in items:
        assert {"slot", "source", "text", "tokens", "change", "change_per_token"} == item.keys()
        assert math.isclose(item["change_per_token"] * document["tokens"], item["change"])
        assert item["change"] != 0
    changes = [abs(item["change"]) for item in items]
    assert changes == sorted(changes, reverse=True)


def test_tells_it_as_text_and_its_progress_beside(cli: Any, story: str) -> None:
    cli("edit", story, "3", "Mara shut the door and slept.")
    done = cli("memory", story, "--why", "3")
    first, _empty, head, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"Step 3: log-probability -\d+\.\d over \d+ tokens, -\d+\.\d\d each, by hf:.*", first)
    assert "in nats" in head
    assert lines
    assert all(re.match(r" *[+-]\d+\.\d\d  memory  note:\d+  \w", line) for line in lines)
    assert f"prompts scored: {len(lines) + 1} of {len(lines) + 1}" in done.stderr
    assert "edited by hand" in done.stderr


def test_what_cannot_be_explained_is_told(cli: Any, scripted: str, tmp_path: Path) -> None:
    assert "script has no log-probabilities" in cli("memory", scripted, "--why", "2", code=1).stderr
    assert "no step 9" in cli("memory", scripted, "--why", "9", code=1).stderr
    cli("memory", scripted, "--why", "0", code=2)
    cli("memory", scripted, "--why", "2", "--blame", code=2)
    tale = tmp_path / "tale.txt"
    tale.write_text("The lamp burned.\n\nNobody came.\n")
    cli("import", str(tale))
    assert "comes from a manuscript" in cli("memory", "tale", "--why", "2", code=1).stderr
