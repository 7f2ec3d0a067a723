"""Weights in the data folder: what is there, what a model lacks, and how it is fetched."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from storyloom.app.settings import Settings
from storyloom.generators.weights import pull_starter, starter_path
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.orders import Order

STARTER = "starter"

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """Weights that a SPEC names; ``size`` is in bytes, 0 while they aren't here."""

    name: str
    spec: str
    path: Path
    size: int

    @property
    def present(self) -> bool:
        """Whether the file is here; whether it is whole is the checksum's business."""
        return self.size > 0


def listed(settings: Settings) -> list[ModelFile]:
    """The starter, and every other .gguf file in the models' folder by name."""
    starter = starter_path(settings.models_dir)
    others = sorted(path for path in settings.models_dir.glob("**/*.gguf") if path != starter)
    return [
        _model_file(STARTER, STARTER, starter),
        *(_model_file(path.stem, f"gguf:{path}", path) for path in others),
    ]


def asked(settings: Settings, orders: Iterable[Order]) -> list[str]:
    """SPECs of all models that the orders' writing asks; without any order, the setting's."""
    default = settings.models.get("writer")
    writers = {default or order.model or settings.model for order in orders}
    return [*sorted(writers or {default or settings.model}), *settings.models.values()]


def missing(settings: Settings, specs: Iterable[str]) -> list[str]:
    """Names of the models that can be fetched, are asked for and aren't here."""
    wanted = STARTER in {spec.strip() for spec in specs} and not starter_path(settings.models_dir).exists()
    return [STARTER] if wanted else []


def pull(settings: Settings, name: str, on_progress: OnProgress) -> Path:
    """Fetch a model's weights; those that are here and whole are left alone.

    Args:
        settings: name the folder.
        name: the model's.
        on_progress: gets bytes done and bytes in all.

    Raises:
        InvalidSetting: no model of that name can be fetched.
        ModelUnavailable: the weights can't be fetched, or are damaged.
    """
    if name != STARTER:
        raise InvalidSetting(
            f"No model named {name!r} can be fetched; only {STARTER!r} can. For any other, give its file as "
            "gguf:PATH, a folder or hub id as hf:REPO_OR_DIR, or a server as openai:MODEL@BASE_URL."
        )
    return pull_starter(settings.models_dir, on_progress)


def _model_file(name: str, spec: str, path: Path) -> ModelFile:
    return ModelFile(name=name, spec=spec, path=path, size=path.stat().st_size if path.is_file() else 0)
