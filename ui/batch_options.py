"""What ``batch`` is told on the command line, beside its file."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class EngineName(StrEnum):
    """Who does a batch's work."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a batch is run.

    Attributes:
        engine: who writes.
        workers: how many stories are written side by side, or with Ray how many processes write, each with
            models of its own; None: what the file says, or what fits.
        gpus_per_worker: that each of Ray's processes reserves.
        ray_address: of a Ray cluster; empty: a Ray of the batch's own.
        report: a file for the report; None: it is only printed.
        as_json: events and the report as JSON Lines.
    """

    engine: EngineName
    workers: int | None
    gpus_per_worker: float
    ray_address: str
    report: Path | None
    as_json: bool
