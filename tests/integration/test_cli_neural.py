"""The memory that belongs to the story, through the command line: long-context models write and go on."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.app import recurrence
from tests.integration.conftest import PREMISE

SMALL = ("--set", "memory_layers=[1]")


@pytest.fixture(autouse=True)
def _one_writer(script: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The other agents speak by script: only the paragraphs cost anything."""
    scripted = script()
    others = dict.fromkeys(("planner", "memory_keeper", "editor"), scripted)
    monkeypatch.setenv("STORYLOOM_MODELS", json.dumps(others))
    monkeypatch.setenv("STORYLOOM_PROFILE", "medium")
    monkeypatch.setenv("STORYLOOM_REPRODUCIBLE", "1")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_model import make_tokenizer, save_model

    folder = tmp_path_factory.mktemp("llama")
    save_model(make_tokenizer(), folder, context_tokens=4096)
    return folder


def opened(cli: Any, llama: Path, folder: Path, family: str, *options: str) -> str:
    """The SPEC of a model that the command line converts, with a memory that is heard."""
    cli("models", "convert", f"hf:{llama}", str(folder), "--to", family, *SMALL, *options)
    from transformers import AutoModelForCausalLM

    from tests.unit.generators.longcontext.proof import open_gates

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    open_gates(model, 3.0)  # so that another memory writes other words, and not only other scores
    model.save_pretrained(folder)
    return f"hf:{folder}"


def begin(cli: Any, spec: str, paragraphs: int) -> dict[str, Any]:
    written: dict[str, Any] = cli.json(
        "write", PREMISE, "--paragraphs", str(paragraphs), "--seed", "5", "--model", spec
    )
    return written


def texts(written: dict[str, Any]) -> list[str]:
    return [step["paragraph"] for step in written["steps"]]


def rows(home: Path) -> list[tuple[int, str, int]]:
    """(depth, model, bytes that are there) of each state in the database."""
    with sqlite3.connect(home / "storyloom.db") as connection:
        return connection.execute(
            "SELECT depth, model, length(data) FROM neural_state ORDER BY created_at"
        ).fetchall()


def test_every_family_writes_a_story_that_keeps_its_memory(
    cli: Any, home: Path, llama: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    # Not by parameters: to know the families is to import transformers, too early for the kernels' tests.
    from storyloom.generators.longcontext.families import FAMILIES

    for family in FAMILIES:
        with subtests.test(family):
            check_family(cli, home, opened(cli, llama, tmp_path / family, family))


def check_family(cli: Any, home: Path, spec: str) -> None:
    written = begin(cli, spec, 2)
    assert all(texts(written))
    states = [step["neural_state"] for step in written["steps"]]
    assert [state["model"] for state in states] == [spec, spec]
    assert all(state["bytes"] > 0 and state["kept"] and not state["stale"] for state in states)
    assert rows(home) == [(depth, spec, state["bytes"]) for depth, state in enumerate(states, start=1)]
    story = written["story"]["id"]
    assert cli.json("show", story)["steps"] == written["steps"]
    cli("delete", story)
    assert rows(home) == []


def test_a_story_goes_on_after_a_restart_as_if_it_had_never_stopped(
    cli: Any,
    llama: Path,
    tmp_path: Path,
    spawn: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = opened(cli, llama, tmp_path / "titans", "titans", "--set", "memory_chunk=16")
    whole = texts(begin(cli, spec, 3))
    story = begin(cli, spec, 1)["story"]["id"]
    process = spawn("continue", story, "--paragraphs", "2", "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert texts(cli.json("show", story)) == whole
    assert texts(json.loads(out)) == whole[1:]

    monkeypatch.setattr(recurrence, "memory_of", lambda _model: None)
    without = texts(begin(cli, spec, 2))
    assert without[0] == whole[0]
    assert without[1] != whole[1]


def test_edits_branches_and_lost_states_are_told_and_made_good(
    cli: Any, home: Path, llama: Path, tmp_path: Path
) -> None:
    spec = opened(cli, llama, tmp_path / "titans", "titans", "--set", "memory_chunk=16")
    story = begin(cli, spec, 2)["story"]["id"]
    with sqlite3.connect(home / "storyloom.db") as connection:
        kept = dict(connection.execute("SELECT depth, data FROM neural_state").fetchall())

    cli("edit", story, "1", "The lamp burned, and nobody slept.")
    shown = cli.json("show", story)
    assert [step["neural_state"]["stale"] for step in shown["steps"]] == [True, True]
    stale = cli.json("memory", story, "--stale")["stale"]
    assert [one["depth"] for one in stale if one["part"] == "state"] == [1, 2]
    assert cli.json("memory", story, "--rebuild")["states"] == 2
    assert cli.json("memory", story, "--stale")["stale"] == []
    cli("undo", story)
    assert cli.json("memory", story, "--rebuild")["states"] == 2
    with sqlite3.connect(home / "storyloom.db") as connection:
        assert dict(connection.execute("SELECT depth, data FROM neural_state").fetchall()) == kept

    branch = cli.json("branch", story, "--at", "1")["strand"]["id"]
    (forked,) = cli.json("continue", story, "--strand", branch)["steps"]
    assert forked["neural_state"]["bytes"] > 0
    with sqlite3.connect(home / "storyloom.db") as connection:
        connection.execute("UPDATE neural_state SET data = substr(data, 1, length(data) - 1) WHERE depth = 2")
    told = cli("continue", story)
    assert "memory after step 2 is read again: This memory is damaged" in " ".join(told.stderr.split())
    with sqlite3.connect(home / "storyloom.db") as connection:
        (again,) = connection.execute(
            "SELECT data FROM neural_state WHERE depth = 2 AND strand_id = ?", [shown["strand"]]
        ).fetchone()
    assert again == kept[2]
