"""A model's SPEC, such as ``gguf:PATH``, and the engine that it names, imported when it is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from storyloom.generators.rope import Rope
from storyloom.memory.errors import InvalidSetting, ModelUnavailable
from storyloom.memory.ports import TextModel

Kind = Literal["starter", "gguf", "hf", "openai", "scripted"]

_FORMS = "starter, gguf:PATH, hf:REPO_OR_DIR, openai:MODEL@BASE_URL or scripted:FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Which model is meant.

    Attributes:
        text: the SPEC as it was given; it names the model in stories and reports.
        kind: which engine runs it.
        target: a path, a repository, or the model's name on a server; empty for the starter.
        base_url: where the server answers, for ``openai`` only.
    """

    text: str
    kind: Kind
    target: str = ""
    base_url: str = ""


def parse_spec(text: str) -> Spec:
    """Read a SPEC.

    Raises:
        InvalidSetting: it has none of the known forms.
    """
    text = text.strip()
    if text == "starter":
        return Spec(text=text, kind="starter")
    kind, _, target = text.partition(":")
    for known in get_args(Kind):
        if kind == known != "starter" and target.strip():
            return _server(text, target) if known == "openai" else Spec(text=text, kind=known, target=target)
    raise InvalidSetting(f"{text!r} names no model. Write {_FORMS}.")


def load_model(
    spec: Spec,
    *,
    models_dir: Path,
    context_tokens: int | None = None,
    slots: int = 4,
    threads: int | None = None,
    api_key: str | None = None,
    reproducible: bool = False,
    rope: Rope | None = None,
) -> TextModel:
    """Make the model that a SPEC names. Local weights are read at its first use.

    Args:
        spec: which model.
        models_dir: where fetched weights are kept.
        context_tokens: tokens of prompt and completion together; None for the engine's own choice.
        slots: how many requests a model in this process runs at once.
        threads: None for one a physical core.
        api_key: for a server that asks for one.
        reproducible: equal requests give equal text, where the engine can promise it.
        rope: how a model in this process reads longer texts than it was trained with; None for as it is.

    Raises:
        ModelUnavailable: the starter isn't fetched yet, or what the engine needs isn't installed.
        InvalidSetting: a script is malformed.
    """
    if spec.kind in ("starter", "gguf"):
        from storyloom.generators.llama_cpp import LlamaCppModel

        return LlamaCppModel(
            gguf_path(spec, models_dir),
            name=spec.text,
            context_tokens=context_tokens,
            slots=slots,
            threads=threads,
            reproducible=reproducible,
            rope=rope,
        )
    if spec.kind == "hf":
        from storyloom.generators.cores import physical_cores
        from storyloom.generators.one_at_a_time import TRANSFORMERS

        with TRANSFORMERS:
            from storyloom.generators.hugging_face import HuggingFaceModel

        return HuggingFaceModel(
            spec.target,
            name=spec.text,
            context_tokens=context_tokens,
            slots=1 if reproducible else slots,
            # Said always: the embedder beside it may have set torch to one thread.
            threads=threads or physical_cores(),
            # A cached beginning changes the last bits of sums.
            reuse_prefix=not reproducible,
            rope=rope,
        )
    if spec.kind == "openai":
        from storyloom.generators.openai_compatible import OpenAICompatibleModel

        return OpenAICompatibleModel(
            model=spec.target,
            base_url=spec.base_url,
            name=spec.text,
            api_key=api_key,
            context_tokens=context_tokens,
        )
    from storyloom.generators.scripted import ScriptedModel

    return ScriptedModel(Path(spec.target).expanduser(), name=spec.text, context_tokens=context_tokens)


def _server(text: str, target: str) -> Spec:
    # A model's name may hold an @, its server's address may hold one too: the address begins at ://.
    name, at, address = target.rpartition("@http")
    base_url = f"http{address}"
    if not (name and at and _is_http(base_url)):
        raise InvalidSetting(
            f"{text!r} names no server. Write openai:MODEL@BASE_URL, such as "
            "openai:my-model@http://127.0.0.1:8080/v1."
        )
    return Spec(text=text, kind="openai", target=name, base_url=base_url)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def gguf_path(spec: Spec, models_dir: Path) -> Path:
    """Where the weights of a ``starter`` or ``gguf`` SPEC are.

    Raises:
        ModelUnavailable: the starter isn't fetched yet.
    """
    if spec.kind == "gguf":
        return Path(spec.target).expanduser()
    from storyloom.generators.weights import starter_path

    path = starter_path(models_dir)
    if not path.exists():
        raise ModelUnavailable(
            f"The starter's weights aren't in {models_dir}. Fetch them with `storyloom models pull starter`, "
            "or name another model, such as gguf:PATH."
        )
    return path
