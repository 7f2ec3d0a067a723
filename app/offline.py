"""Nothing leaves the machine that wasn't asked for: libraries are told so before they are imported."""

import os
from collections.abc import Iterable
from pathlib import Path

# Read once by each library, when it is imported.
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}
_NO_HUB = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def stay_offline(specs: Iterable[str]) -> None:
    """Turn telemetry off, and the model hub too unless one of the models is named by its hub id.

    Call it before anything heavy is imported; later it is too late.

    Args:
        specs: the models that will be used, such as ``starter`` or ``hf:REPO_OR_DIR``.
    """
    os.environ.update(_QUIET)
    if not any(is_hub_id(spec) for spec in specs):
        os.environ.update(_NO_HUB)


def is_hub_id(spec: str) -> bool:
    """Whether a SPEC can only be a repository on the hub: no such file or folder is here."""
    kind, _, target = spec.partition(":")
    return kind == "hf" and not Path(target).expanduser().exists()
