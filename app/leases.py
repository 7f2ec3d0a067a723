"""Leases: who may write the next step of a strand, kept alive by a heartbeat, with a journal.

A lease is a row, so that it holds between processes and outlives none: when its holder dies, the row
runs out within seconds and the words that had come stand in its journal. The lease only saves work;
that no step is doubled is held by the database, where (strand, depth) is unique.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storyloom.app.events import Cancelled, Listener
from storyloom.app.heartbeats import Heartbeat
from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Job, JobState
from storyloom.storage.database import Database

LEASE_SECONDS = 4.0
_POLL_SECONDS = 0.1


class Lease:
    """A held place in a strand. Text is journalled as it comes, by the heartbeat's thread."""

    def __init__(self, database: Database, job: Job) -> None:
        self.job = job
        self._database = database
        self._lock = threading.Lock()
        self._text = ""
        self._written = ""
        self._heartbeat = Heartbeat(self._save, name=f"lease-{job.id}")

    def write(self, text: str) -> None:
        """Add to the journal."""
        with self._lock:
            self._text += text

    def restart(self) -> None:
        """Forget the draw that was thrown away."""
        with self._lock:
            self._text = ""

    def close(self) -> None:
        """Stop the heartbeat and journal what is left."""
        self._heartbeat.stop()
        self._save()

    def _save(self) -> None:
        with self._lock:
            text = self._text
        with self._database.unit_of_work() as work:
            work.jobs.heartbeat(self.job.id, self.job.worker, LEASE_SECONDS)
            if text != self._written:
                work.jobs.write_journal(self.job.id, self.job.worker, text)
            work.commit()
        self._written = text


class Leases:
    """Hands out leases in the name of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = f"{socket.gethostname()}:{os.getpid()}"

    @contextmanager
    def hold(self, strand_id: str, plan: str, listener: Listener) -> Iterator[Lease]:
        """Wait until nobody else writes this strand, then hold it.

        Leaving by an error marks the job interrupted (the person stopped it) or failed; its journal
        stays. Leaving without one is the committer's word that the job was finished in the commit.

        Raises:
            Cancelled: the listener stopped while waiting.
        """
        lease = Lease(self._database, self._claim(strand_id, plan, listener))
        try:
            yield lease
        except StoryloomError as error:
            lease.close()
            state = JobState.INTERRUPTED if isinstance(error, Cancelled) else JobState.FAILED
            self._finish(lease.job, state, str(error))
            raise
        except BaseException as error:
            lease.close()
            self._finish(lease.job, JobState.INTERRUPTED, type(error).__name__)
            raise
        else:
            lease.close()

    def _claim(self, strand_id: str, plan: str, listener: Listener) -> Job:
        worker = f"{self._process}:{secrets.token_hex(4)}"
        waiting = False
        while True:
            with self._database.unit_of_work() as work:
                job = work.jobs.claim(strand_id, worker, LEASE_SECONDS, plan)
                work.commit()
            if job is not None:
                return job
            if not waiting:
                waiting = True
                listener.on_stage("waiting", 0)
            if listener.cancelled():
                raise Cancelled("Stopped while another writer held this strand. Nothing was changed.")
            time.sleep(_POLL_SECONDS)

    def _finish(self, job: Job, state: JobState, error: str) -> None:
        with self._database.unit_of_work() as work:
            work.jobs.finish(job.id, job.worker, state, error)
            work.commit()
