"""Makes a long-context model out of one that a SPEC names."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyloom.app.settings import Settings
from storyloom.generators.rope import parse_rope
from storyloom.generators.spec import gguf_path, parse_spec
from storyloom.memory.errors import InvalidSetting

if TYPE_CHECKING:
    from storyloom.generators.conversion import Converted


def convert(
    settings: Settings,
    spec: str,
    family: str,
    folder: Path,
    *,
    assignments: Sequence[str],
    seed: int,
    rope: str | None = None,
) -> "Converted":
    """Convert a model's weights into a new folder, which appears whole or not at all.

    Args:
        settings: name the folder of the starter's weights.
        spec: of a LLaMA whose weights are here: ``starter``, ``gguf:PATH`` or ``hf:REPO_OR_DIR``.
        family: the long-context family's name.
        folder: where to; it mustn't exist.
        assignments: of the family's options, ``FIELD=VALUE`` each, the value as in JSON.
        seed: what the new weights are drawn from.
        rope: ``NAME:FACTOR``, how the new model shall read longer texts than the source; None for as it does.

    Raises:
        InvalidSetting: a SPEC, family, option, RoPE or folder that can't be.
        ModelUnavailable: the source can't be loaded, or is no LLaMA.
        StoreUnavailable: the folder can't be written.
    """
    target = local_target(settings, spec, "be converted")
    options = dict(_assigned(assignment) for assignment in assignments)
    longer = None if rope is None else parse_rope(rope)
    from storyloom.generators.conversion import convert as convert_files

    return convert_files(target, family, folder.expanduser(), options=options, seed=seed, rope=longer)


def local_target(settings: Settings, spec: str, what: str) -> str:
    """Where the weights are that a SPEC names: a hub id, a folder or the path of a .gguf file.

    Args:
        settings: name the folder of the starter's weights.
        spec: ``starter``, ``gguf:PATH`` or ``hf:REPO_OR_DIR``.
        what: the model shall do, for the error.

    Raises:
        InvalidSetting: a SPEC that can't be, or whose weights are elsewhere.
        ModelUnavailable: the starter isn't fetched yet.
    """
    named = parse_spec(spec)
    if named.kind not in ("starter", "gguf", "hf"):
        raise InvalidSetting(
            f"{spec} can't {what}, since its weights aren't here. Name starter, gguf:PATH or hf:REPO_OR_DIR."
        )
    return named.target if named.kind == "hf" else str(gguf_path(named, settings.models_dir))


def _assigned(assignment: str) -> tuple[str, Any]:
    """``FIELD=VALUE`` as a pair; a value that isn't JSON is a text."""
    field, equals, value = assignment.partition("=")
    if not (field.strip() and equals):
        raise InvalidSetting(f"{assignment!r} sets nothing. Write FIELD=VALUE, such as memory_chunk=32.")
    try:
        return field.strip(), json.loads(value)
    except ValueError:
        return field.strip(), value.strip()
