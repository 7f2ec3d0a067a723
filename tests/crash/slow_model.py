"""A stand-in that takes its time, so that something can happen while it writes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storyloom.app import wiring
from storyloom.generators.spec import Spec
from storyloom.memory.generation import Piece, Request
from tests.stand_ins import InstantModel, WordEmbedder


class SlowModel(InstantModel):
    """Writes what ``InstantModel`` writes, with a pause before each sentence.

    Args:
        name: its SPEC.
        pause_seconds: the pause.
    """

    def __init__(self, name: str, pause_seconds: float) -> None:
        super().__init__()
        self.name = name
        self._pause_seconds = pause_seconds

    def stream(self, request: Request) -> Iterator[Piece]:
        """As many sentences as fit, a piece each."""
        for piece in super().stream(request):
            time.sleep(self._pause_seconds)
            yield piece


def use_stand_ins() -> None:
    """This process needs no weights any more: ``scripted:0.02`` is the slow model with that pause.

    A batch's file makes a path of what stands behind the colon.
    """

    def load_model(spec: Spec, **_settings: Any) -> SlowModel:
        return SlowModel(spec.text, float(Path(spec.target).name))

    def embedder(**_settings: Any) -> WordEmbedder:
        return WordEmbedder()

    vars(wiring).update(load_model=load_model, MiniLMEmbedder=embedder)
