"""``lore`` and ``characters`` in this process, on a story that a script wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.ui.cli import app  # noqa: F401  (imported before a test changes the streams)

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."


@pytest.fixture
def story(cli: Any, script: Callable[..., str]) -> str:
    """The id of a story of one step."""
    written = cli.json("write", PREMISE, "--paragraphs", "1", "--model", script(), "--seed", "7")
    return str(written["story"]["id"])


def test_an_entry_is_added_listed_changed_and_removed(cli: Any, story: str, tmp_path: Path) -> None:
    text = tmp_path / "bell.txt"
    text.write_text("The bell of Carrow, cast in 灯.", encoding="utf-8")
    added = cli.json(
        *("lore", story, "add", "--name", "Bell", "--content", f"@{text}", "--key", "bell"),
        *("--key", "/gongs?, loud/i", "--secondary", "tower", "--set", "logic=not_all", "--set", "sticky=2"),
    )["entry"]
    assert added["content"] == "The bell of Carrow, cast in 灯."
    assert added["keys"] == ["bell", "/gongs?, loud/i"]
    assert (added["logic"], added["sticky"], added["constant"]) == ("not_all", 2, False)
    changed = cli.json("lore", story, "edit", "bell", "--constant", "--disable")["entry"]
    assert changed == {**added, "constant": True, "enabled": False}
    assert cli.json("lore", story, "list") == {"entries": [changed]}
    assert "Bell" in cli("lore", story, "list").stdout
    assert cli.json("lore", story, "remove", added["id"][:6]) == {"removed": added["id"]}
    assert cli.json("lore", story, "list") == {"entries": []}
    cli("undo", story)
    assert cli.json("lore", story, "list") == {"entries": [changed]}


def test_characters_are_added_listed_changed_and_removed(cli: Any, story: str) -> None:
    added = cli.json("characters", story, "add", "Ada", "--description", "A smith.", "--set", "tags=a, b")
    sheet = added["character"]
    assert (sheet["name"], sheet["description"], sheet["tags"]) == ("Ada", "A smith.", ["a", "b"])
    changed = cli.json("characters", story, "edit", "ada", "--set", "nickname=Addie")["character"]
    assert cli.json("characters", story, "list") == {"characters": [changed]}
    assert "Ada" in cli("characters", story, "list").stdout
    cli("characters", story, "remove", "Ada")
    assert cli.json("characters", story, "list") == {"characters": []}


def test_fire_says_what_would_enter_and_why(cli: Any, story: str) -> None:
    cli("lore", story, "add", "--name", "Bell", "--key", "bell", "--content", "See the tower.")
    cli("lore", story, "add", "--name", "Tower", "--key", "tower", "--content", "Tall.")
    cli("lore", story, "add", "--name", "Never", "--key", "bell", "--content", "x", "--set", "probability=0")
    cli("lore", story, "add", "--name", "Bad", "--key", "/(a|aa)+$/", "--content", "x")
    found = cli.json("lore", story, "fire", "a bell " + "a" * 80 + "b")
    assert [(one["name"], one["why"]["cause"]) for one in found["fired"]] == [
        ("Bell", "key"),
        ("Tower", "key"),
    ]
    assert found["fired"][0]["why"]["text"] == "key 'bell' in plan"
    assert [(one["name"], one["obstacle"]) for one in found["held"]] == [("Never", "probability")]
    assert [one["name"] for one in found["problems"]] == ["Bad"]
    told = cli("lore", story, "fire", "a bell").stdout
    assert "Bell: key 'bell' in plan" in told
    assert "not Never: probability" in told


def test_what_fires_is_shown_with_the_prompt(cli: Any, story: str, script: Callable[..., str]) -> None:
    entry = cli.json("lore", story, "add", "--key", "whale", "--content", "Whales sing.")["entry"]
    cli("continue", story, "--plan", "A whale comes.", "--model", script())
    slots = cli.json("show", story, "--prompt", "2")["slots"]
    assert [slot["text"] for slot in slots if slot["source"] == f"lore:{entry['id']}"] == ["Whales sing."]


def test_a_file_comes_in_and_goes_out(cli: Any, story: str, tmp_path: Path) -> None:
    file, out = tmp_path / "world.json", tmp_path / "out.json"
    entries = {"0": {"uid": 0, "key": ["bell"], "content": "A bell."}, "1": "nonsense"}
    file.write_text(json.dumps({"entries": entries}))
    brought = cli.json("lore", story, "import", str(file))
    assert [one["content"] for one in brought["entries"]] == ["A bell."]
    assert len(brought["refused"]) == 1
    assert cli.json("lore", story, "export", str(out)) == {"file": str(out), "left_out": []}
    written = json.loads(out.read_text())["entries"].values()
    assert [(one["key"], one["content"]) for one in written] == [(["bell"], "A bell.")]
    told = cli("lore", story, "import", str(file))
    assert "1 lore entries" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lore", "add", "--content", " "), "nothing in it"),
        (("lore", "add", "--set", "colour=red"), "no field 'colour'"),
        (("lore", "edit", "nobody", "--name", "x"), "no lore entry 'nobody'"),
        (("lore", "remove", "nobody"), "no lore entry 'nobody'"),
        (("lore", "import", "/nowhere/x.json"), "can't be imported"),
        (("lore", "export", "lore.xml"), "can't be exported"),
        (("characters", "remove", "nobody"), "no character 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_paragraph(
    cli: Any, story: str, arguments: tuple[str, ...], told: str
) -> None:
    group, *rest = arguments
    done = cli(group, story, *rest, code=1)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_field_without_a_value_is_wrong_usage(cli: Any, story: str) -> None:
    cli("lore", story, "add", "--set", "sticky", code=2)
