"""Jobs: durable leases for writing one step, with the words that came so far."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import and_, or_, update
from sqlmodel import Session, col, select

from storyloom.memory.story import Job, JobState
from storyloom.storage import rows
from storyloom.storage.ancestry import head_depth
from storyloom.storage.locks import hold_strand
from storyloom.storage.tables import JobRow, StrandRow

_RUNNING = JobState.RUNNING.value


class Jobs:
    """The jobs of one unit of work. Claiming needs a unit that writes: its lock lets one claim win."""

    def __init__(self, session: Session, *, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock

    def claim(self, strand_id: str, worker: str, lease_seconds: float, plan: str = "") -> Job | None:
        """Take the right to write the strand's next step, or get None while somebody living holds it.

        A holder whose lease ran out counts as dead: its job becomes interrupted and keeps its journal.

        Args:
            strand_id: the strand to write.
            worker: names this claim; a different one each time.
            lease_seconds: how long the claim lives without a heartbeat.
            plan: the plan that a person asked for, if any.

        Raises:
            StrandNotFound: there is no such strand.
        """
        hold_strand(self._session, strand_id)
        now = self._clock()
        depth = head_depth(self._session, strand_id) + 1
        held = self._session.exec(
            select(JobRow).where(JobRow.strand_id == strand_id, JobRow.state == _RUNNING)
        ).first()
        if held is not None:
            if held.lease_until > now:
                return None
            held.state = JobState.INTERRUPTED.value
            self._session.flush()
        row = JobRow(
            id=uuid4().hex,
            story_id=self._session.exec(select(StrandRow.story_id).where(StrandRow.id == strand_id)).one(),
            strand_id=strand_id,
            depth=depth,
            state=_RUNNING,
            worker=worker,
            lease_until=now + timedelta(seconds=lease_seconds),
            plan=plan,
            journal="",
            error="",
            dismissed=False,
            created_at=now,
        )
        self._session.add(row)
        self._session.flush()
        return rows.job(row)

    def heartbeat(self, job_id: str, worker: str, lease_seconds: float) -> bool:
        """Prolong the lease from now on; False when the job ended or somebody else took its place."""
        lease_until = self._clock() + timedelta(seconds=lease_seconds)
        return self._change(job_id, worker, (JobState.RUNNING,), lease_until=lease_until)

    def write_journal(self, job_id: str, worker: str, text: str) -> bool:
        """Replace the journal by all the words that came so far; False when the job is done."""
        return self._change(job_id, worker, (JobState.RUNNING, JobState.INTERRUPTED), journal=text)

    def finish(self, job_id: str, worker: str, state: JobState, error: str = "") -> bool:
        """End the job; False when it isn't this worker's, or was done already.

        A job that was taken for dead can still be finished by its worker: if its step could be
        committed after all, its words are in the story and must not be offered back.
        """
        changes: dict[str, object] = {"state": state.value, "error": error}
        if state is JobState.DONE:
            changes["journal"] = ""  # the step holds the words now
        return self._change(job_id, worker, (JobState.RUNNING, JobState.INTERRUPTED), **changes)

    def interrupted(self, strand_id: str) -> list[Job]:
        """Jobs that left words and no step, newest first: failed, stopped, or held by a dead process."""
        lost = and_(col(JobRow.state) == _RUNNING, col(JobRow.lease_until) <= self._clock())
        ended = col(JobRow.state).in_([JobState.INTERRUPTED.value, JobState.FAILED.value])
        query = (
            select(JobRow)
            .where(JobRow.strand_id == strand_id, or_(lost, ended))
            .where(JobRow.journal != "", col(JobRow.dismissed).is_(False))
            .order_by(col(JobRow.created_at).desc(), col(JobRow.id))
        )
        return [rows.job(row) for row in self._session.exec(query)]

    def dismiss(self, job_id: str) -> None:
        """Stop offering a job's journal; its words stay in the database."""
        self._session.exec(update(JobRow).where(col(JobRow.id) == job_id).values(dismissed=True))

    def _change(self, job_id: str, worker: str, states: tuple[JobState, ...], **values: object) -> bool:
        change = (
            update(JobRow)
            .where(col(JobRow.id) == job_id, col(JobRow.worker) == worker)
            .where(col(JobRow.state).in_([state.value for state in states]))
            .values(**values)
        )
        return self._session.exec(change).rowcount == 1
