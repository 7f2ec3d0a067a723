"""What is particular to PostgreSQL, and errors of the server in sentences that say what to do."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError

from storyloom.memory.errors import InvalidText, StoreUnavailable
from storyloom.memory.story import Passage, Step, Story
from storyloom.storage.database import Database
from tests.postgresql import PostgresqlServer


@pytest.fixture
def database_url(postgresql_url: str) -> str:
    return postgresql_url


@contextmanager
def other_writer(url: str, story_id: str) -> Iterator[None]:
    """Another program in the middle of a change of the story."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1 FROM story WHERE id = %s FOR UPDATE", (story_id,))
        yield
        connection.rollback()


def end_connections(url: str) -> None:
    """What a restart of the server does to everybody's connections."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_url_of_either_form_opens_it(postgresql_url: str, scheme: str) -> None:
    database = Database(postgresql_url.replace("postgresql", scheme, 1))
    assert database.check() == []
    assert database.location.startswith(f"{make_url(postgresql_url).database} on ")
    database.close()
    database.close()


def test_a_server_that_isnt_there_is_named_without_the_password() -> None:
    with pytest.raises(
        StoreUnavailable, match=r"stories on 127\.0\.0\.1:1 can't be reached.*refused"
    ) as told:
        Database("postgresql://me:secret@127.0.0.1:1/stories")
    assert "secret" not in str(told.value)


def test_a_database_that_isnt_there_is_named(postgresql_server: PostgresqlServer) -> None:
    with pytest.raises(StoreUnavailable, match='"nowhere" does not exist'):
        Database(postgresql_server.url("nowhere"))


@pytest.mark.parametrize("package", ["psycopg", "pgvector"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StoreUnavailable, match=r"pip install 'storyloom\[postgres\]'"):
        Database("postgresql://localhost/stories")


def test_a_database_that_cant_hold_every_language_is_refused(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(StoreUnavailable, match="latin keeps text as LATIN1"):
            Database(postgresql_url.replace(f"/{make_url(postgresql_url).database}?", "/latin?"))
    finally:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE latin")


def test_a_held_story_is_waited_for_and_then_told(
    database_url: str, story: Story, new_step: Callable[..., Step], new_story: Callable[..., Story]
) -> None:
    database = Database(database_url, busy_seconds=0.05)
    with other_writer(database_url, story.id):
        with (
            pytest.raises(StoreUnavailable, match="is locked: another program"),
            database.unit_of_work() as work,
        ):
            work.steps.append(new_step("main", 1))
        with database.unit_of_work(write=False) as work:  # readers never wait
            assert work.steps.depth("main") == 0
        with database.unit_of_work() as work:  # nor do writers of another story
            work.stories.add(new_story())
            work.commit()
    with database.unit_of_work() as work:  # and the connection is fit for use again
        work.steps.append(new_step("main", 1))
        work.commit()
    database.close()


@pytest.mark.usefixtures("story")
def test_of_two_claims_the_second_waits_and_sees_the_first(database: Database) -> None:
    answers: list[object] = []

    def claim() -> None:
        with database.unit_of_work() as work:
            answers.append(work.jobs.claim("main", "second", 60.0))
            work.commit()

    other = threading.Thread(target=claim)
    with database.unit_of_work() as work:
        assert work.jobs.claim("main", "first", 60.0) is not None
        other.start()
        wait_for_a_lock(database)
        work.commit()
    other.join()
    assert answers == [None]


@pytest.mark.usefixtures("story")
def test_passages_of_one_story_get_their_ids_in_the_order_of_commits(database: Database) -> None:
    """A cache that has seen an id looks for greater ones only."""

    def add(depth: int) -> None:
        with database.unit_of_work() as work:
            work.passages.add([Passage(strand_id="main", depth=depth, text="later")])
            work.commit()

    later = threading.Thread(target=add, args=(2,))
    with database.unit_of_work() as work:
        work.passages.add([Passage(strand_id="main", depth=1, text="first")])
        later.start()
        wait_for_a_lock(database)
        work.passages.add([Passage(strand_id="main", depth=3, text="first too")])
        work.commit()
    later.join()
    with database._engine.connect() as connection:
        depths = connection.execute(text("SELECT depth FROM passage ORDER BY id")).scalars().all()
    assert depths == [1, 3, 2]


def wait_for_a_lock(database: Database) -> None:
    """Until somebody waits for what another holds."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(5_000):
        with database._engine.connect() as connection:
            if connection.execute(waiting).scalar():
                return
    pytest.fail("nobody waits")


def test_a_server_that_was_started_anew_is_found_again(
    database: Database, database_url: str, new_story: Callable[..., Story]
) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.stories.list("local") == []
    end_connections(database_url)
    with database.unit_of_work() as work:
        work.stories.add(new_story())
        end_connections(database_url)  # in the middle of the work
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.stories.list("local") == []
    assert database.check() == []


def test_a_nul_becomes_the_character_that_stands_for_what_cant_be_shown(
    database: Database, story: Story, new_step: Callable[..., Step]
) -> None:
    assert story
    with database.unit_of_work() as work:
        work.steps.append(new_step("main", 1, paragraph="a\0b"))
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.steps.paragraphs("main") == [(1, "a\ufffdb")]


def test_half_a_character_is_the_persons_to_mend(database: Database, new_story: Callable[..., Story]) -> None:
    with (
        pytest.raises(InvalidText, match="half of a two-part character"),
        database.unit_of_work() as work,
    ):
        work.stories.add(new_story(premise="\ud83d"))


def test_a_fault_in_our_own_sql_isnt_blamed_on_the_server(database: Database) -> None:
    with database._engine.connect() as connection, pytest.raises(ProgrammingError, match="does not exist"):
        connection.execute(text("SELECT * FROM nowhere"))


def test_a_user_without_rights_is_told(database_url: str, database: Database) -> None:
    assert database.check() == []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    guest = database_url.replace("postgres:@", "guest:@")
    try:
        with pytest.raises(StoreUnavailable, match="doesn't allow this user"):
            Database(guest)
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP ROLE guest")


def test_the_doctor_hears_of_an_unfinished_index_and_of_an_unchecked_rule(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_job_story_id'::regclass"
        )
        connection.execute("ALTER TABLE step ADD CONSTRAINT long CHECK (words > 0) NOT VALID")
    assert database.check() == [
        "the index ix_job_story_id is unfinished",
        "rows of table step may break the rule long",
    ]
