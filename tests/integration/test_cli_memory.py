"""Memory's commands in this process: blame, pins, approval, edits, undo, rebuilds, settings, manuscripts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.ui.cli import app  # noqa: F401  (imported before a test changes the streams)

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."
BOOK = (
    "The Tide\n\n\nEbb\n\nMara buried the compass under the pear tree. Nobody saw it.\n\n"
    "Tom rowed out before dawn, and the sea was as flat as a plate.\n\n\nFlood\n\n"
    "In the evening the water came back, and with it the door.\n"
)


@pytest.fixture
def story(cli: Any, script: Callable[..., str]) -> str:
    """The id of a story of three steps."""
    document = cli.json("write", PREMISE, "--paragraphs", "3", "--model", script(), "--seed", "7")
    return str(document["story"]["id"])


def test_blame_and_pins(cli: Any, story: str) -> None:
    blame = cli.json("memory", story, "--blame")
    assert blame["notes"] == cli.json("memory", story)["notes"]
    assert {note["depth"] for note in blame["notes"]} <= {0, 1, 2, 3}
    assert "  1. " in cli("memory", story, "--blame").stdout
    number = str(len(blame["notes"]))
    assert cli.json("memory", story, "--pin", number)["notes"][-1]["pinned"]
    assert "pinned" in cli("memory", story, "--blame").stdout
    words = blame["notes"][-1]["text"]
    assert not cli.json("memory", story, "--unpin", words)["notes"][-1]["pinned"]
    assert "--blame" in cli("memory", story, "--pin", "99", code=1).stderr
    cli("memory", story, "--pin", "1", "--blame", code=2)


def test_an_edit_is_told_listed_rebuilt_and_undone(
    cli: Any, story: str, script: Callable[..., str], tmp_path: Path
) -> None:
    del script
    old = cli.json("show", story)["steps"][1]["paragraph"]
    file = tmp_path / "new.txt"
    file.write_text(NEW, encoding="utf-8")
    done = cli("edit", story, "2", f"@{file}")
    assert "1 later pages" in done.stderr
    assert "--rebuild" in done.stderr
    stale = cli.json("memory", story, "--stale")["stale"]
    assert [(mark["depth"], mark["part"]) for mark in stale] == [(2, "note"), (3, "page")]
    assert "step 2 was edited" in cli("memory", story, "--stale").stdout
    made = cli.json("memory", story, "--rebuild")
    assert (made["notes"], made["pages"], made["kept"]) == (1, 1, 0)
    assert "Nothing is stale" in cli("memory", story, "--stale").stderr
    assert cli.json("memory", story, "--search", "whale attic stairs")["hits"][0]["text"] == NEW
    (rebuilt, edit) = cli.json("revisions", story)["revisions"]
    assert (rebuilt["subject"], edit["subject"], edit["old"]) == ("rebuilt_memory", "paragraph", old)
    assert edit["id"] in cli("revisions", story).stdout
    assert cli.json("undo", story)["undone"] == edit
    assert cli.json("show", story)["steps"][1]["paragraph"] == old
    assert "paragraph of step 2" in cli("undo", story, edit["id"][:6]).stdout
    assert "says that already" in cli("edit", story, "2", old).stderr
    assert "no revision" in cli("undo", story, "nowhere", code=1).stderr
    assert "steps 1 to 3" in cli("edit", story, "9", NEW, code=1).stderr
    cli("edit", story, "0", NEW, code=2)
    assert cli.json("memory", story, "--settle") == {"settled": 0}


def test_words_are_rewritten_printed_and_kept(cli: Any, story: str, script: Callable[..., str]) -> None:
    cli("edit", story, "2", NEW)
    words, model = "a whale to the attic", script(3)
    asked = ("rewrite", story, "--at", "2", "--instruction", "make it rain", "--words", words)
    said = cli(*asked, "--model", model)
    assert said.stdout.strip() == "rain fell on all of it"
    assert "Nothing was changed" in said.stderr
    assert cli.json("show", story)["steps"][1]["paragraph"] == NEW
    done = cli.json(*asked, "--model", model, "--keep")
    new = NEW.replace(words, "rain fell on all of it")
    assert (done["old"], done["new"], done["paragraph"], done["kept"]) == (
        words,
        "rain fell on all of it",
        new,
        True,
    )
    assert [(mark["depth"], mark["part"]) for mark in done["stale"]] == [(2, "note"), (3, "page")]
    assert cli.json("show", story)["steps"][1]["paragraph"] == new
    cli("undo", story)
    assert cli.json("show", story)["steps"][1]["paragraph"] == NEW
    assert "storyloom undo" in cli(*asked, "--model", model, "--keep").stderr
    for wrong, told in (("no such words", "don't stand in paragraph 2"), ("o", "times")):
        assert told in cli(*asked[:-1], wrong, code=1).stderr
    assert "instruction is empty" in cli(*asked[:4], "--instruction", " ", code=1).stderr
    cli(*asked[:4], code=2)


def test_changes_of_memory_wait_for_a_word(cli: Any, story: str, script: Callable[..., str]) -> None:
    cli("settings", story, "approve_memory=true")
    page = cli.json("memory", story)["short_memory"]
    cli("continue", story, "--paragraphs", "2", "--model", script(2))
    pending = cli.json("memory", story, "--pending")["pending"]
    assert [change["depth"] for change in pending] == [4, 5]
    assert cli.json("memory", story)["short_memory"] == page
    assert f"+ {pending[0]['added'][0]['text']}" in cli("memory", story, "--pending").stdout
    approved = cli.json("memory", story, "--approve", "4")
    assert pending[0]["added"][0] in approved["notes"]
    assert cli.json("memory", story, "--reject", "all")["notes"] == approved["notes"]
    assert "No change of memory waits" in cli("memory", story, "--pending").stderr
    cli("undo", story)
    assert cli.json("memory", story, "--pending")["pending"] == pending[1:]
    assert "no step" in cli("memory", story, "--approve", "soon", code=1).stderr
    assert "no step" in cli("memory", story, "--approve", "9" * 5000, code=1).stderr
    assert "steps with one: 5" in cli("memory", story, "--approve", "9", code=1).stderr


def test_settings_are_shown_set_and_refused(cli: Any, story: str) -> None:
    shown = cli.json("settings", story)["settings"]
    assert shown["premise"] == PREMISE
    changed = cli.json("settings", story, "recall.limit=5", "authors_note=no dragons = none")["settings"]
    assert changed == {**shown, "recall.limit": 5, "authors_note": "no dragons = none"}
    assert "approve_memory = false\n" in cli("settings", story).stdout
    assert cli("settings", story, "recall.limit=").stdout == f"recall.limit = {shown['recall.limit']}\n"
    assert "setting recall.limit" in cli("undo", story).stdout
    assert "recall.limit" in cli("settings", story, "recall.limits=5", code=1).stderr
    assert "NAME=VALUE" in cli("settings", story, "recall.limit", code=1).stderr


def test_a_preset_is_chosen_by_its_name(cli: Any, story: str) -> None:
    wild = {"sampling.temperature": 1.25, "sampling.min_p": 0.1, "sampling.top_p": 0.95}
    before = cli.json("settings", story)["settings"]
    assert cli.json("settings", story, "preset=wild")["settings"] == {**before, **wild}
    assert cli("settings", story, "preset=Wild").stdout.count("sampling.") == len(
        [name for name in before if name.startswith("sampling.")]
    )
    assert "There are Steady, Balanced" in cli("settings", story, "preset=tame", code=1).stderr
    assert "by itself" in cli("settings", story, "preset=Wild", "recall.limit=5", code=1).stderr
    cli("undo", story)
    assert cli.json("settings", story)["settings"] == before


def test_a_manuscript_comes_in_and_goes_on(cli: Any, script: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(BOOK, encoding="utf-8")
    story = cli.json("import", str(file))["story"]
    assert (story["title"], story["premise"]) == ("The Tide", "")
    hits = cli.json("memory", "The Tide", "--search", "What did Mara bury under the pear tree?")["hits"]
    assert hits[0]["depth"] == 1
    cli("continue", story["id"], "--model", script())
    steps = cli.json("show", story["id"])["steps"]
    assert [step["origin"]["paragraph"] for step in steps[:3]] == ["person"] * 3
    assert len(steps) == 4
    book = tmp_path / "out.txt"
    cli("export", story["id"], str(book))
    assert book.read_text("utf-8").startswith(BOOK.rstrip())
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in cli("import", str(tmp_path / "bad.md"), code=1).stderr
