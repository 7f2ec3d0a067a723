"""A tiny model for the tests that need transformers; the others don't import it."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The tiny model's tokenizer."""
    from tests.tiny_model import make_tokenizer

    return make_tokenizer()


@pytest.fixture(scope="session")
def folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny model is saved."""
    from tests.tiny_model import save_model

    folder = tmp_path_factory.mktemp("tiny")
    save_model(tokenizer, folder)
    return folder
