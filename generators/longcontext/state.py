"""A memory as a value: what a model remembers of a text, apart from the text's keys and values.

A story keeps one a step. It is a dictionary of tensors, or safetensors bytes that say which model they are
of; the two turn into each other without losing a bit.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.cells import Cells, cells_of, give_cells
from storyloom.generators.longcontext.configuration import LongContextConfig
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.memory.errors import StateRefused

State = dict[str, Tensor]

_FORMAT = "storyloom-state"
_VERSION = "1"
_READ = "read"
# What a configuration says that changes nothing in what is remembered.
_ELSEWHERE = {"transformers_version", "architectures", "dtype", "use_cache", "_name_or_path"}


def state_dict_of(cache: Cache, config: LongContextConfig) -> State:
    """The memory in a cache, without attention's keys and values.

    Args:
        cache: that a model has read with; it isn't changed, and shares no tensor with what is returned.
        config: the model's.

    Returns:
        ``LAYER.NAME`` of each tensor of each memory, and ``LAYER.read``, how many tokens each row has read;
        the first axis of each is the batch.
    """
    state = {}
    for index in config.memory_layers or ():
        cells = cells_of(cache, index)
        state[f"{index}.{_READ}"] = torch.tensor(cells.read)
        for name, held in cells.tensors.items():
            state[f"{index}.{name}"] = held.detach().clone()
    return state


def cache_from(state: State | None, config: LongContextConfig, device: Any = None) -> DynamicCache:
    """An empty cache whose memory is a state: positions begin at 0, and the memory goes on.

    Args:
        state: of ``state_dict_of``; it isn't changed. None for a memory that has read nothing.
        config: the model's.
        device: where to put it; None leaves it where it is.
    """
    cache = DynamicCache()
    give_cells(cache, config)
    for name, held in (state or {}).items():
        index, _, rest = name.partition(".")
        _put(cells_of(cache, int(index)), rest, held.to(device, copy=True))
    return cache


def read(model: LongContextForCausalLM, ids: Tensor, state: State | None, *, at_once: int = 2048) -> State:
    """What a model remembers after reading a text.

    Args:
        model: in evaluation mode.
        ids: [batch, tokens].
        state: what it remembered before; None for nothing.
        at_once: tokens that are read in one call. It changes last bits only.
    """
    cache = cache_from(state, model.config, model.device)
    with torch.inference_mode():
        for part in ids.to(model.device).split(at_once, dim=1):
            model.model(input_ids=part, past_key_values=cache, use_cache=True)
    return state_dict_of(cache, model.config)


def state_bytes(state: State, model: LongContextForCausalLM, *, mark: str | None = None) -> bytes:
    """Turn a state into safetensors bytes that say which model they are of; equal states give equal bytes.

    Args:
        state: of ``state_dict_of``.
        model: that it is of.
        mark: the model's fingerprint, where it is known already.
    """
    state = {name: held.cpu().contiguous() for name, held in state.items()}
    told = {
        "version": _VERSION,
        "family": model.config.model_type,
        "model": mark or fingerprint(model),
        "sum": _sum(state),
    }
    # In one value: safetensors writes several in no order.
    return save(state, metadata={_FORMAT: json.dumps(told)})


def state_from(data: bytes, model: LongContextForCausalLM, *, mark: str | None = None) -> State:
    """Turn bytes of ``state_bytes`` back into a state.

    Args:
        data: the bytes.
        model: that shall go on with it.
        mark: the model's fingerprint, where it is known already.

    Raises:
        StateRefused: they are damaged, or of another model or version.
    """
    told = _told(data)
    if told.get("version") != _VERSION:
        raise StateRefused(
            f"This memory has format {told.get('version')}, but this version of Storyloom reads {_VERSION}. "
            "Use the version that wrote it, or make it again from the text."
        )
    mark = mark or fingerprint(model)
    if told.get("family") != model.config.model_type or told.get("model") != mark:
        raise StateRefused(
            f"This memory is of another model ({told.get('family')} {told.get('model', '')[:12]}), not of "
            f"{model.config.model_type} {mark[:12]}. Go on with the model that the story was "
            "written with, or make it again from the text with this one."
        )
    try:
        state = dict(load(data))
    except SafetensorError as error:
        raise StateRefused(_damaged(error)) from error
    if told.get("sum") != _sum(state):
        raise StateRefused(_damaged(ValueError("its checksum is another")))
    return state


def fingerprint(model: LongContextForCausalLM) -> str:
    """SHA-256 over the config and the weights of the memories, in hexadecimal.

    The rest of the weights isn't read, which would take a second for each gigabyte: whoever trains those
    trains the memories too.
    """
    config = {key: value for key, value in model.config.to_dict().items() if key not in _ELSEWHERE}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for index in sorted(model.config.memory_layers or ()):
        _take_in(digest, model.model.layers[index].state_dict())
    return digest.hexdigest()


def _sum(state: State) -> str:
    """SHA-256 over the tensors, in hexadecimal: safetensors itself doesn't see a bit that has changed."""
    digest = hashlib.sha256()
    _take_in(digest, state)
    return digest.hexdigest()


def _take_in(digest: Any, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())


def _put(cells: Cells, name: str, held: Tensor) -> None:
    if name == _READ:
        cells.read = [int(count) for count in held.tolist()]
    else:
        cells.tensors[name] = held


def _told(data: bytes) -> dict[str, str]:
    """What safetensors bytes say of themselves: a length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    try:
        head = json.loads(data[8 : 8 + length])
        told = (head.get("__metadata__") or {}).get(_FORMAT)
        if told is None:
            raise StateRefused("These bytes are no memory of a model. It can be made again from the text.")
        return dict(json.loads(told))
    except (ValueError, AttributeError, TypeError) as error:
        raise StateRefused(_damaged(error)) from error


def _damaged(error: Exception) -> str:
    gist = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return f"This memory is damaged ({gist}). It can be made again from the text."
