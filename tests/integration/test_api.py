"""A script and a real server: what is told in docs/api.md, whose stories are whose, and what stays shut."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from storyloom.ui.auth import user_line
from storyloom.ui.studio import api
from tests.page_server import ROOT, Server, script, scripted_command

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
NAMES = {f"/{endpoint.__name__}" for endpoint in api.ENDPOINTS}


def started(home: Path, *arguments: str, delay: float = 0.0) -> Server:
    home.mkdir(exist_ok=True)
    one = Server(home, script(home, delay=delay), command=scripted_command())
    one.start(*arguments)
    return one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = started(tmp_path_factory.mktemp("scripts"))
    yield one
    one.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two users."""
    home = tmp_path_factory.mktemp("shared")
    users = home / "users"
    users.write_text(f"{user_line('mara', 'her word')}\n{user_line('tom', 'his word')}\n", encoding="utf-8")
    one = started(home, "--auth-file", str(users))
    yield one
    one.kill()


def client(server: Server, known: str = "", **more: Any) -> Client:
    headers = {"Authorization": f"Basic {base64.b64encode(known.encode()).decode()}"} if known else {}
    return Client(server.url, headers=headers, verbose=False, analytics_enabled=False, **more)


def test_what_the_document_shows_is_true(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    document = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", document, re.DOTALL)[0]
    told: dict[str, Any] = {}
    exec(shown.replace("http://127.0.0.1:7860/", server.url), told)
    told["server"].close()
    assert told["third"]["depth"] == 4
    kept = server.cli("show", told["story"])["steps"]
    assert [step["depth"] for step in kept] == [1, 2, 3, 4]
    assert kept[1]["plan"] == told["first"]["plans"][1]
    assert kept[2]["plan"] == "Mara rows out to meet the boat."
    lines = server.cli("branches", told["story"])["strands"]
    assert [(line["name"], line["steps"]) for line in lines[1:]] == [("The other way", 2)]
    assert kept[3]["paragraph"].splitlines()[0] in capsys.readouterr().out
    named = set(re.findall(r"^\| `(/\w+)`", document, re.MULTILINE))
    assert named == NAMES


def test_nothing_but_the_names_is_open(server: Server) -> None:
    told = httpx.get(f"{server.url}gradio_api/info").json()
    assert set(told["named_endpoints"]) == NAMES
    assert told["unnamed_endpoints"] == {}
    everything = httpx.get(f"{server.url}gradio_api/info?all_endpoints=true").json()
    assert set(everything["named_endpoints"]) == NAMES
    wanted = {
        name: [one["parameter_name"] for one in each["parameters"]]
        for name, each in told["named_endpoints"].items()
    }
    assert wanted["/write"] == ["story", "plan", "choice", "strand"]
    assert told["named_endpoints"]["/write"]["description"].startswith("Write the next paragraph;")
    # What the page calls has no name that answers.
    hidden = [one for one in httpx.get(f"{server.url}config").json()["dependencies"] if one["backend_fn"]]
    assert {f"/{one['api_name']}" for one in hidden if one["api_visibility"] != "private"} == NAMES
    assert len(hidden) > len(NAMES) + 20


def test_a_problem_comes_without_a_traceback(server: Server) -> None:
    one = client(server)
    for asked, name in (
        (("No such story",), "/write"),
        (("No such story",), "/export"),
        ((" ",), "/begin"),
        (({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},), "/read"),
    ):
        with pytest.raises(AppError) as told:
            one.predict(*asked, api_name=name)
        assert "verbose" not in str(told.value)
        assert "Traceback" not in str(told.value)
    one.close()
    assert "Traceback" not in (server.home / "ui.log").read_text()


def test_two_users_see_their_own(shared: Server) -> None:
    mara, tom = client(shared, "mara:her word"), client(shared, "tom:his word")
    story = mara.predict(PREMISE, title="Mara's own", api_name="/begin")["story"]["id"]
    assert tom.predict(api_name="/stories") == {"stories": []}
    strand = mara.predict(story, api_name="/strands")["strands"][0]["id"]
    for name, asked in {
        "/read": (story, strand),
        "/write": (story, "", 0, strand),
        "/act": ("Mara's own", "open the door"),
        "/strands": (story,),
        "/branch": (story, 1),
        "/memory": (story,),
        "/set_memory": (story, "Tom was here."),
        "/search": (story, "door"),
        "/export": (story, "json"),
    }.items():
        with pytest.raises(AppError, match=r"[Nn]o story") as told:
            tom.predict(*asked, api_name=name)
        assert "lighthouse" not in str(told.value)
    assert [step["depth"] for step in mara.predict(story, api_name="/read")["steps"]] == [1]
    assert [one["title"] for one in mara.predict(api_name="/stories")["stories"]] == ["Mara's own"]
    mara.close()
    tom.close()


@pytest.mark.parametrize("known", ["", "mara:his word", "eve:her word"])
def test_who_gives_no_password_gets_nothing(shared: Server, known: str) -> None:
    auth = (known.split(":")[0], known.split(":")[1]) if known else None
    for path in ("gradio_api/call/stories", "gradio_api/queue/join", "gradio_api/run/stories"):
        answer = httpx.post(shared.url + path, json={"data": []}, auth=auth)
        assert (answer.status_code, "stories" in answer.text) == (401, False)
    assert httpx.get(f"{shared.url}gradio_api/info", auth=auth).status_code == 401


@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_another_site_cannot_use_it(server: Server, header: dict[str, str]) -> None:
    answer = httpx.post(f"{server.url}gradio_api/call/stories", json={"data": []}, headers=header)
    assert answer.status_code == 403


def test_what_a_lost_connection_asked_for_is_written(tmp_path: Path) -> None:
    slow = started(tmp_path / "slow", delay=0.005)
    try:
        begun = client(slow)
        story = begun.predict(PREMISE, api_name="/begin")["story"]["id"]
        begun.close()
        asked = httpx.post(f"{slow.url}gradio_api/call/write", json={"data": [story, "", 0, ""]})
        where = f"{slow.url}gradio_api/call/write/{asked.json()['event_id']}"
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(where, timeout=0.3)
        end = time.monotonic() + 30
        while len(slow.cli("show", story)["steps"]) < 2 and time.monotonic() < end:
            time.sleep(0.2)
        assert len(slow.cli("show", story)["steps"]) == 2
    finally:
        slow.kill()
