"""Which of the models that are here fit this machine's memory."""

from dataclasses import dataclass

from storyloom.app.settings import Settings
from storyloom.app.weights import ModelFile, listed
from storyloom.generators.free_memory import free_bytes

# What a running model needs beside its weights: keys and values, the embedder, the page itself.
_BESIDE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as this machine has it.

    Attributes:
        file: its weights.
        writes: whether it writes the new stories.
        fits: whether there is memory for it now; None where that is unknown, or the weights aren't here.
    """

    file: ModelFile
    writes: bool
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models, and what there is for them.

    Attributes:
        models: those in the data folder, and the starter.
        writer: SPEC of the one that writes new stories; it may be none of them.
        free: bytes of memory that are free now; 0 where nobody tells.
    """

    models: tuple[Model, ...]
    writer: str
    free: int


def models_here(settings: Settings) -> Models:
    """The models that this machine has, without loading any."""
    free = free_bytes()
    writer = settings.models.get("writer", settings.model)
    return Models(
        models=tuple(
            Model(file=file, writes=file.spec == writer, fits=_fits(file, free)) for file in listed(settings)
        ),
        writer=writer,
        free=free,
    )


def _fits(file: ModelFile, free: int) -> bool | None:
    return file.size + _BESIDE <= free if file.present and free else None
