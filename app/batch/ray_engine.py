"""A batch on Ray: replicas as actors, on this machine or on a cluster's.

Ray brings the processes up and tells when one is lost. Who writes which story is settled by the leases in
the database, as between any workers: with an actor or a machine only the steps in flight are lost.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storyloom.app.batch.engines import OnNotice
from storyloom.app.batch.ray_replica import Replica
from storyloom.app.settings import Settings
from storyloom.generators.cores import physical_cores
from storyloom.memory.errors import EngineUnavailable, InvalidSetting
from storyloom.memory.orders import Batch

# Losses of one actor without a committed step between them, after which its work is given up.
_MOST_LOSSES = 10
_LAST_WORDS_SECONDS = 5.0
# Ray's least; nothing but settings and notices goes through it.
_OBJECT_STORE_BYTES = 80 * 2**20
# Not the system's temporary folder: Ray makes sockets in it, whose paths may have 100 characters.
_SHORT_FOLDER = Path("/tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class RayPlan:
    """How a batch is spread.

    Attributes:
        workers: how many actors write, each with models of its own.
        stories: how many stories each of them writes side by side.
        gpus: that each of them reserves; 0 shows it none. A part of one is allowed.
        address: of a cluster, as ``auto`` or ``host:port``; empty: a Ray of the batch's own, on this machine.
    """

    workers: int
    stories: int
    gpus: float = 0.0
    address: str = ""


class RayEngine:
    """Workers as Ray actors.

    Args:
        settings: what was set; travels to the actors.
        specs: SPECs of the models that may be asked.
        plan: how many actors, and where.
        on_notice: hears what a person should know.

    Raises:
        InvalidSetting: actors on other machines can't share an SQLite file.
    """

    def __init__(
        self, settings: Settings, specs: Sequence[str], plan: RayPlan, *, on_notice: OnNotice
    ) -> None:
        if plan.address and settings.url.startswith("sqlite"):
            raise InvalidSetting(
                f"The stories are in the SQLite file {settings.place}, and the machines of a cluster can't "
                "share it. Keep them in PostgreSQL: set STORYLOOM_DATABASE_URL (docs/postgresql.md)."
            )
        self._plan = plan
        self._threads = settings.threads or (1 if plan.address else max(1, physical_cores() // plan.workers))
        self._settings = settings.model_copy(
            update={
                "home": settings.home.resolve(),
                "database_url": settings.url,
                "threads": self._threads,
                "slots": max(settings.slots, plan.stories),
            }
        )
        self._specs = tuple(specs)
        self._on_notice = on_notice
        self._ray: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._seats: list[_Seat] = []
        self._errors: list[Exception] = []
        self._stopping = False

    def start(self, batch: Batch) -> None:
        """Bring the actors up; they work until no task of the batch is left.

        Raises:
            EngineUnavailable: Ray isn't installed, or can't be started or reached.
            InvalidSetting: this machine hasn't as many GPUs.
        """
        self._ray = _imported()
        with _signals_kept():
            self._connect()
        try:
            self._check_gpus()
        except InvalidSetting:
            self._disconnect()
            raise
        actor = self._ray.remote(
            num_cpus=self._threads, num_gpus=self._plan.gpus, max_concurrency=2, max_restarts=0
        )(Replica)
        for number in range(1, self._plan.workers + 1):
            seat = _Seat(
                self._ray,
                lambda: actor.remote(self._settings, self._specs, self._plan.stories),
                batch,
                name=f"Worker {number}",
                on_notice=self._on_notice,
            )
            self._seats.append(seat)

    def working(self) -> bool:
        """Whether any actor is still at it; one that was lost is started anew."""
        for seat in self._seats:
            try:
                seat.look(stopping=self._stopping)
            except Exception as error:  # noqa: BLE001  (whatever it was is raised by close)
                self._errors.append(error)
                self.stop()
        return any(seat.taken for seat in self._seats)

    def stop(self) -> None:
        """Ask all actors to stop between two words."""
        self._stopping = True
        for seat in self._seats:
            seat.stop()

    def close(self) -> None:
        """Let go of Ray; one that was started here ends, with all of its processes.

        Raises:
            Exception: whatever ended an actor that shouldn't have.
        """
        self._disconnect()
        if self._errors:
            raise self._errors[0]

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        try:
            if self._plan.address:
                self._ray.init(address=self._plan.address, **quiet)
            else:
                self._start_here(quiet)
        except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            self._disconnect()
            where = f"at {self._plan.address} can't be reached" if self._plan.address else "can't be started"
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise EngineUnavailable(
                f"Ray {where}: {reason}. `ray status` tells whether a cluster runs; without --ray-address "
                "one is started here, and without --engine ray none is needed."
            ) from error
        # By itself it prints losses to stdout, where a program may be reading; they are told as notices.
        self._ray._private.worker._worker_logs_enabled = False

    def _start_here(self, quiet: dict[str, Any]) -> None:
        folder = str(_SHORT_FOLDER) if _SHORT_FOLDER.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(
            prefix="storyloom-", dir=folder, ignore_cleanup_errors=True
        )
        self._ray.init(
            address="local",  # also where RAY_ADDRESS is set
            num_cpus=self._threads * self._plan.workers,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=self._folder.name,
            **quiet,
        )

    def _check_gpus(self) -> None:
        wanted = self._plan.gpus * self._plan.workers
        there = self._ray.cluster_resources().get("GPU", 0.0)
        if wanted <= there:
            return
        if not self._plan.address:
            raise InvalidSetting(
                f"{self._plan.workers} workers with {self._plan.gpus:g} GPUs each need {wanted:g}, and this "
                f"machine has {there:g}. Take fewer --workers, or a smaller part with --gpus-per-worker."
            )
        self._on_notice(f"The cluster has {there:g} GPUs and {wanted:g} are asked for: some workers wait.")

    def _disconnect(self) -> None:
        self._seats.clear()
        self._ray.shutdown()
        if self._folder is not None:
            self._folder.cleanup()


class _Seat:
    """A place at work: an actor, and another one after it was lost."""

    def __init__(
        self, ray: Any, make: Callable[[], Any], batch: Batch, *, name: str, on_notice: OnNotice
    ) -> None:
        self.taken = True
        self._ray = ray
        self._make = make
        self._batch = batch
        self._name = name
        self._on_notice = on_notice
        self._losses = 0
        self._take()

    def look(self, *, stopping: bool) -> None:
        """Pass on what the actor has to tell, and see to its end.

        Raises:
            EngineUnavailable: it can't be started, or was lost too often.
            Exception: whatever ended its work.
        """
        if not self.taken:
            return
        self._hear()
        if not self._is_there(self._work):
            return
        try:
            self._ray.get(self._work)
        except self._ray.exceptions.RayActorError as error:
            self._lost(error, stopping=stopping)
        except self._ray.exceptions.RayTaskError as error:
            self._hear(_LAST_WORDS_SECONDS)
            self._leave()
            raise error.cause from error
        else:
            self._hear(_LAST_WORDS_SECONDS)
            self._leave()

    def stop(self) -> None:
        """Ask the actor to stop soon; one that waits for a machine, or is being started, isn't waited for."""
        if not self.taken:
            return
        if self._answered:
            self._actor.stop.remote()
        else:
            self._leave()

    def _take(self) -> None:
        self._actor = self._make()
        self._work = self._actor.write.remote(self._batch)
        self._answered = False
        self._asked = self._actor.hear.remote()

    def _hear(self, patience: float = 0.0) -> None:
        if not self._is_there(self._asked, patience):
            return
        with suppress(self._ray.exceptions.RayError):  # the end of its work tells why
            steps, notices = self._ray.get(self._asked)
            self._answered = True
            if steps:
                self._losses = 0
            for notice in notices:
                self._on_notice(notice)
            self._asked = self._actor.hear.remote()

    def _lost(self, error: Any, *, stopping: bool) -> None:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        self._losses += 1
        if stopping:
            self._leave()
        elif error.actor_init_failed:
            self._leave()
            raise EngineUnavailable(
                f"{self._name} can't be started: {reason}. Every machine of the cluster needs the same "
                "Storyloom and Python."
            ) from error
        elif self._losses > _MOST_LOSSES:
            self._leave()
            raise EngineUnavailable(
                f"{self._name} was lost {self._losses} times without a paragraph between them: {reason}. "
                "It may need more memory than its machine has. What is committed stands."
            ) from error
        else:
            self._on_notice(f"{self._name} was lost, and another takes its place: {reason}.")
            self._take()

    def _leave(self) -> None:
        """Free what the actor holds."""
        self._ray.kill(self._actor)
        self.taken = False

    def _is_there(self, answer: Any, patience: float = 0.0) -> bool:
        return bool(self._ray.wait([answer], timeout=patience)[0])


def _imported() -> Any:
    # Read when it is imported; what a command turned off already stays so.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise EngineUnavailable(
            "--engine ray needs a package that isn't installed: python -m pip install 'storyloom[ray]'."
        ) from error
    return ray


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give SIGTERM back to whoever had it: Ray takes it for itself when it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
