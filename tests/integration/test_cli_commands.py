"""Every command in this process, on a story that a script wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.ui.cli import app  # noqa: F401  (imported before a test changes the streams)

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
ORIGINS = {"model", "repaired", "quoted", "carried", "person"}


@pytest.fixture
def written(cli: Any, script: Callable[..., str]) -> dict[str, Any]:
    """A story of two steps, as ``write --json`` printed it."""
    document: dict[str, Any] = cli.json(
        "write", PREMISE, "--paragraphs", "2", "--model", script(), "--seed", "7"
    )
    return document


def test_write_prints_the_contract(written: dict[str, Any]) -> None:
    story = written["story"]
    assert story["title"] == "The Door in the Sea"
    assert (story["premise"], story["mode"], story["language"]) == (PREMISE, "novel", "en")
    assert "Mara learns who built the door." in story["outline"]
    assert [step["depth"] for step in written["steps"]] == [1, 2]
    for step in written["steps"]:
        assert step["paragraph"]
        assert len(set(step["plans"])) == 3
        assert {
            step["origin"]["paragraph"],
            step["origin"]["short_memory"],
            *step["origin"]["plans"],
        } <= ORIGINS
        assert step["tokens"]["completion"] > 0
        assert step["strand"] == written["strand"]


def test_write_takes_every_option(cli: Any, script: Callable[..., str], tmp_path: Path) -> None:
    premise = tmp_path / "premise.txt"
    premise.write_text("Über das Meer kam ein Brief. 灯台。", encoding="utf-8")
    document = cli.json(
        *("write", f"@{premise}", "--title", "Der Brief", "--mode", "fiction", "--paragraphs", "1"),
        *("--model", script(), "--seed", "3", "--language", "de", "--style", "karg"),
    )
    story = document["story"]
    assert (story["title"], story["mode"], story["language"]) == ("Der Brief", "fiction", "de")
    assert story["premise"] == "Über das Meer kam ein Brief. 灯台。"
    assert story["style"] == "karg"
    assert story["settings"]["seed"] == 3
    assert len(document["steps"]) == 1


def test_text_output_is_the_story_and_hints_stand_beside_it(cli: Any, script: Callable[..., str]) -> None:
    done = cli("write", "-", "--paragraphs", "2", "--model", script(), given=PREMISE)
    title, _outline, first, second, _end = done.stdout.split("\n\n")
    assert title == "The Door in the Sea"
    steps = cli.json("show", title)["steps"]
    assert [first, second] == [step["paragraph"] for step in steps]
    assert "storyloom continue" in done.stderr
    assert steps[-1]["plans"][2] in done.stderr
    assert "storyloom.db" in done.stderr


def test_continue_follows_a_plan_or_a_choice(
    cli: Any, script: Callable[..., str], written: dict[str, Any]
) -> None:
    story = written["story"]["id"]
    chosen = cli.json("continue", story, "--choose", "2", "--model", script(2))["steps"]
    assert [(step["depth"], step["plan"]) for step in chosen] == [(3, written["steps"][-1]["plans"][1])]
    planned = cli.json("continue", story[:6], "--plan", "Mara burns the boat.", "--model", script(3))
    assert planned["steps"][0]["plan"] == "Mara burns the boat."
    assert planned["steps"][0]["origin"]["plan"] == "person"
    more = cli.json("continue", "The Door in the Sea", "--paragraphs", "2", "--model", script(4))
    assert [step["depth"] for step in more["steps"]] == [5, 6]


def test_show_prints_all_steps(cli: Any, written: dict[str, Any]) -> None:
    shown = cli.json("show", written["story"]["id"])
    assert shown == written
    text = cli("show", written["story"]["id"]).stdout
    assert text.startswith("The Door in the Sea\n\n")
    assert text.rstrip().endswith(written["steps"][-1]["paragraph"])


def test_list_counts_steps_and_words(cli: Any, written: dict[str, Any]) -> None:
    (line,) = cli.json("list")["stories"]
    assert line["id"] == written["story"]["id"]
    assert line["steps"] == 2
    assert line["words"] == sum(len(step["paragraph"].split()) for step in written["steps"])
    assert "The Door in the Sea" in cli("list").stdout


def test_an_edited_memory_reaches_the_next_prompt(
    cli: Any, script: Callable[..., str], written: dict[str, Any], tmp_path: Path
) -> None:
    story = written["story"]["id"]
    before = cli.json("memory", story)
    assert before["short_memory"] == written["steps"][-1]["short_memory"]
    page = tmp_path / "page.txt"
    page.write_text("Mara sold the lighthouse to a heron. The heron drinks tea.", encoding="utf-8")
    after = cli.json("memory", story, "--set-short", f"@{page}")
    assert after["short_memory"] == "Mara sold the lighthouse to a heron. The heron drinks tea."
    assert {note["origin"] for note in after["notes"]} <= {"person", "model"}
    assert after["revisions"][0]["old"] == before["short_memory"]
    cli("continue", story, "--model", script(2))
    seen = cli.json("show", story, "--prompt", "3")
    assert "The heron drinks tea." in seen["prompt"]
    assert any("heron" in slot["text"] for slot in seen["slots"] if slot["slot"] == "memory")
    assert any(call["agent"] in {"one_call", "writer"} for call in seen["calls"])
    assert cli("memory", story).stdout.strip()
    assert "The heron drinks tea." in cli("show", story, "--prompt", "3").stdout


def test_search_finds_an_old_paragraph(cli: Any, written: dict[str, Any]) -> None:
    words = written["steps"][0]["paragraph"].split()[1:5]
    hits = cli.json("memory", written["story"]["id"], "--search", " ".join(words))["hits"]
    assert hits[0]["depth"] == 1
    assert hits[0]["text"] == written["steps"][0]["paragraph"]
    assert {"depth", "text", "score"} <= hits[0].keys()
    assert words[0] in cli("memory", written["story"]["id"], "--search", " ".join(words)).stdout


def test_a_branch_keeps_its_steps_and_grows_apart(
    cli: Any, script: Callable[..., str], written: dict[str, Any]
) -> None:
    story = written["story"]["id"]
    new = cli.json("branch", story, "--at", "1", "--name", "what if")["strand"]
    assert (new["parent"], new["fork_depth"], new["steps"]) == (written["strand"], 1, 1)
    cli("continue", story, "--strand", "what if", "--model", script(2))
    shown = cli.json("show", story, "--strand", new["id"][:5])
    assert [step["depth"] for step in shown["steps"]] == [1, 2]
    assert shown["steps"][0] == written["steps"][0]
    assert shown["steps"][1]["paragraph"] != written["steps"][1]["paragraph"]
    strands = cli.json("branches", story)["strands"]
    assert [(line["id"], line["parent"], line["fork_depth"], line["steps"]) for line in strands] == [
        (written["strand"], None, 0, 2),
        (new["id"], written["strand"], 1, 2),
    ]
    assert "what if" in cli("branches", story).stdout
    assert cli("branch", story, "--at", "2").stdout.strip()


def test_a_strand_is_archived_and_comes_back(cli: Any, written: dict[str, Any]) -> None:
    story = written["story"]["id"]
    side = cli.json("branch", story, "--at", "1", "--name", "what if")["strand"]["id"]
    assert cli.json("branches", story, "--archive", "what if")["strand"]["archived"] is True
    assert [one["archived"] for one in cli.json("branches", story)["strands"]] == [False, True]
    assert "what if (archived)" in cli("branches", story).stdout
    assert "--restore" in cli("branches", story, "--archive", side).stderr
    assert cli("branches", story, "--restore", side).stdout.strip() == side
    assert [one["archived"] for one in cli.json("branches", story)["strands"]] == [False, False]
    refused = cli("branches", story, "--archive", written["strand"], code=1)
    assert "main strand can't be archived" in refused.stderr
    assert "not both" in cli("branches", story, "--archive", side, "--restore", side, code=2).stderr


def test_export_import_and_delete(cli: Any, written: dict[str, Any], tmp_path: Path) -> None:
    story = written["story"]["id"]
    first, again = tmp_path / "story.json", tmp_path / "again.json"
    assert cli.json("export", story, str(first)) == {"file": str(first)}
    cli("import", str(first), code=1)
    gone = cli.json("delete", story)
    assert gone["deleted"] == story
    assert cli.json("list") == {"stories": []}
    assert cli.json("import", str(first))["story"] == written["story"]
    cli("export", story, str(again))
    assert again.read_bytes() == first.read_bytes()
    assert cli.json("show", story) == written
    cli("delete", "The Door in the Sea")
    assert cli("import", gone["kept"]).stdout.strip() == story
    for suffix in ("md", "txt"):
        book = tmp_path / f"book.{suffix}"
        cli("export", story, str(book))
        assert written["steps"][1]["paragraph"] in book.read_text(encoding="utf-8")


def test_models_and_doctor(cli: Any, home: Path) -> None:
    (starter,) = cli.json("models", "list")["models"]
    assert (starter["name"], starter["spec"], starter["present"]) == ("starter", "starter", False)
    (home / "models").mkdir(parents=True)
    (home / "models" / "other.gguf").write_bytes(b"GGUF")
    names = [model["name"] for model in cli.json("models", "list")["models"]]
    assert names == ["starter", "other"]
    assert "other.gguf" in cli("models", "list").stdout
    report = cli.json("doctor")
    assert report["ok"]
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["python"] == states["database"] == states["data folder"] == "ok"
    assert states["starter"] == "warning"
    assert "storyloom" in cli("doctor").stdout


def test_a_failure_after_some_steps_still_prints_them(
    cli: Any, script: Callable[..., str], written: dict[str, Any], tmp_path: Path
) -> None:
    short = json.loads(Path(script(2, steps=1).removeprefix("scripted:")).read_text(encoding="utf-8"))
    short["loop"] = False
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(short), encoding="utf-8")
    done = cli(
        *("continue", written["story"]["id"], "--plan", "Mara rows out.", "--paragraphs", "3"),
        *("--model", f"scripted:{broken}", "--json"),
        code=1,
    )
    assert [step["depth"] for step in json.loads(done.stdout)["steps"]] == [3]
    assert "1 of 3 paragraphs" in done.stderr
    assert "no reply left" in done.stderr
