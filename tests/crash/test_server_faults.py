"""A model server hangs, fails, or breaks off: the text waits in the queue, and goes on when that is over."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storyloom.generators.openai_compatible import OpenAICompatibleModel
from storyloom.memory.orders import TaskState
from storyloom.memory.story import Job
from storyloom.storage.database import Database
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, tasks_of, wait_for
from tests.crash.in_threads import working
from tests.crash.model_server import ModelServer, Trouble, model_server

pytestmark = pytest.mark.crash


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as started:
        yield started


@pytest.fixture
def model(server: ModelServer) -> Iterator[OpenAICompatibleModel]:
    """The server's model, asked by an impatient client."""
    made = OpenAICompatibleModel(
        model="mini",
        base_url=server.url,
        name=f"openai:mini@{server.url}",
        api_key=None,
        timeout_seconds=1.0,
        retries=1,
        backoff_seconds=0.01,
    )
    with closing(made):
        yield made


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("hang", "said nothing for 1 seconds"),
        ("500", "turned the request away"),
        ("cut", "broke off in the middle"),
    ],
)
def test_a_servers_fault_pauses_a_task_and_its_end_lets_it_go_on(
    trouble: Trouble,
    told: str,
    server: ModelServer,
    model: OpenAICompatibleModel,
    url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    orders = enqueue(database, 1, paragraphs=20, model=model.name, folder=tmp_path)
    ledger = Ledger(database, orders)
    with working(database, model, tmp_path):
        wait_for(lambda: ledger.look() >= 2, "two steps")
        server.trouble = trouble
        wait_for(lambda: tasks_of(database)[0].state is TaskState.QUEUED, "the task's pause")
        known = ledger.look()
        assert told in tasks_of(database)[0].error
        lost = interrupted(database, orders[0].story_id)
        server.trouble = None
        wait_for(lambda: is_done(database), "the end")
    assert bool(lost) == (trouble == "cut")
    assert all(job.depth == known + 1 and job.journal.startswith("Mara ") for job in lost)
    assert tasks_of(database)[0].attempts == 0
    ledger.look()
    assert_whole(database, url, orders)


def interrupted(database: Database, story_id: str) -> list[Job]:
    """Paragraphs that were cut off, with the words that had come."""
    with database.unit_of_work(write=False) as work:
        return work.jobs.interrupted(work.strands.main(story_id).id)
