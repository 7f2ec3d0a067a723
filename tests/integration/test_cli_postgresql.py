"""The command line on PostgreSQL: the same commands, with nothing but a URL changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.settings import load_settings
from tests.postgresql import PostgresqlServer

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."


@pytest.fixture
def on_postgresql(postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that nothing was ever written to, by the environment."""
    name = postgresql_server.create(empty=True)
    monkeypatch.setenv("STORYLOOM_DATABASE_URL", postgresql_server.url(name))


@pytest.mark.usefixtures("on_postgresql")
def test_a_story_is_written_found_branched_edited_and_moved(
    cli: Any, script: Callable[..., str], home: Path, tmp_path: Path
) -> None:
    written = cli.json("write", PREMISE, "--paragraphs", "3", "--model", script())
    story = written["story"]["id"]
    word = written["steps"][0]["paragraph"].split()[1]
    assert cli.json("memory", story, "--search", word)["hits"][0]["depth"] == 1
    cli("branch", story, "--at", "2")
    assert len(cli.json("branches", story)["strands"]) == 2
    cli("edit", story, "2", "Mara leaves the key on the stairs.")
    assert cli.json("memory", story, "--search", "stairs")["hits"][0]["depth"] == 2
    cli("undo", story)
    cli("export", story, str(tmp_path / "whole.json"))
    cli("delete", story)
    cli("import", str(tmp_path / "whole.json"))
    cli("export", story, str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not (home / "storyloom.db").exists()


@pytest.mark.usefixtures("on_postgresql")
def test_the_doctor_finds_it_well(cli: Any) -> None:
    said = cli("doctor").stdout
    (line,) = [line for line in said.splitlines() if "database" in line]
    assert line.startswith("ok")
    assert load_settings().place.split("?")[0] in line
