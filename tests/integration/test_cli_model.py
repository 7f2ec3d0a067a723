"""The main job with the real starter and the real embedder, and nothing but loopback to talk to."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PREMISE = "Mara keeps a lighthouse on a cliff. One night at low tide she finds a door in the sea."

# Ends the process at the first connection, look-up or datagram that would leave the machine.
OFFLINE = """
import ipaddress, os, socket, sys
LOCAL = {None, "", "localhost", b"localhost"}

def is_local(host):
    if host in LOCAL:
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False

def watch(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        sock, address = arguments[0], arguments[-1]
        outside = sock.family in {socket.AF_INET, socket.AF_INET6} and not (address and is_local(address[0]))
    else:
        outside = event in {"socket.getaddrinfo", "socket.gethostbyname"} and not is_local(arguments[0])
    if outside:
        os.write(2, f"LEFT THE MACHINE: {event} {arguments}\\n".encode())
        os._exit(99)

sys.addaudithook(watch)
from storyloom.ui.cli import main
main()
"""


@pytest.fixture
def with_starter(home: Path, starter_weights: Path) -> None:
    """The starter's weights in the test's own data folder."""
    home.mkdir(parents=True)
    (home / "models").symlink_to(starter_weights.parent)


def storyloom(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose process may not leave the machine."""
    # What a person's shell has, not what the tests set: the command itself must keep libraries offline.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", OFFLINE, *arguments], capture_output=True, text=True, check=False, env=plain
    )


def printed(*arguments: str) -> dict[str, Any]:
    done = storyloom(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.model
@pytest.mark.usefixtures("with_starter")
def test_a_story_is_written_edited_and_continued_offline() -> None:
    begun = printed("write", PREMISE, "--paragraphs", "2", "--seed", "5")
    story = begun["story"]
    assert story["title"]
    assert story["outline"]
    for step in begun["steps"]:
        assert len(step["paragraph"].split()) > 20
        assert len({plan for plan in step["plans"] if plan.strip()}) == 3
        assert step["model"] == "starter"
    printed("memory", story["id"], "--set-short", "Mara owes the heron a lamp. The heron waits on the roof.")
    printed("continue", story["id"], "--choose", "1")
    assert "The heron waits on the roof." in printed("show", story["id"], "--prompt", "3")["prompt"]
    revision = printed("memory", story["id"])["revisions"][0]
    assert revision["old"] == begun["steps"][-1]["short_memory"]
    opening = " ".join(begun["steps"][0]["paragraph"].split()[:12])
    found = printed("memory", story["id"], "--search", opening)["hits"]
    assert opening in " ".join(found[0]["text"].split())
    steps = printed("show", story["id"])["steps"]
    assert [step["depth"] for step in steps] == [1, 2, 3]
    # What was put into memory is told in the next paragraph, by a model that hardly ever does so by itself.
    assert {"heron", "roof"} & set(re.findall(r"\w+", steps[2]["paragraph"].lower()))
    # The page belongs to step 2 since it was edited; everything else stands as it was written.
    assert [step["paragraph"] for step in steps[:2]] == [step["paragraph"] for step in begun["steps"]]


@pytest.mark.model
@pytest.mark.usefixtures("with_starter")
def test_marked_words_are_rewritten_and_no_other_character_changes(tmp_path: Path) -> None:
    before = "Mara lit the lamp —  before the gulls woke. "
    words = "The sea lay flat and grey beneath her."
    after = " A boat came in without a sound;\tnobody stood at its tiller."
    book = tmp_path / "The Lamp.txt"
    book.write_text(f"{before}{words}{after}", encoding="utf-8")
    story = printed("import", str(book))["story"]["id"]
    kept = printed("show", story)["steps"][0]["paragraph"]
    first, last = kept.split(words)
    done = printed("rewrite", story, "--at", "1", "--instruction", "make it rain", "--words", words, "--keep")
    assert done["new"].strip()
    assert done["new"] != words
    assert done["new"][0].isupper()
    assert done["new"][-1] in '.!?…”"'
    assert len(done["new"].split()) <= 40
    assert printed("show", story)["steps"][0]["paragraph"] == f"{first}{done['new']}{last}"
    printed("undo", story)
    assert printed("show", story)["steps"][0]["paragraph"] == kept


def test_the_watch_ends_a_process_that_leaves_the_machine() -> None:
    leaving = OFFLINE.replace(
        "from storyloom.ui.cli import main\nmain()", "socket.create_connection(('192.0.2.1', 9))"
    )
    done = subprocess.run([sys.executable, "-c", leaving], capture_output=True, text=True, check=False)
    assert done.returncode == 99
    assert "LEFT THE MACHINE" in done.stderr
