"""What the memory of a layer holds between calls, kept in the layer of transformers' cache.

A model with a memory takes transformers' ``DynamicCache``, made by ``generate()`` or by hand; ``give_cells``
puts its own layers into it. They keep attention's keys and values as transformers does, and beside them the
layer's ``Cells``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from storyloom.generators.longcontext.configuration import LongContextConfig


class Cells:
    """The memory of one layer, of every row of a batch.

    What a memory learned is kept as its difference from where it began, so that zeros are a memory that
    has read nothing.

    Attributes:
        tensors: by name; the first axis of each is the batch.
        read: how many tokens each row has read, padding not counted; empty before the first.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.read: list[int] = []

    def begin(self, batch: int) -> None:
        """Make sure that it has a row for each row of a call.

        Raises:
            ValueError: it holds another number of rows.
        """
        if not self.read:
            self.read = [0] * batch
        if len(self.read) != batch:
            raise ValueError(f"The cache holds {len(self.read)} rows, but {batch} are to be read.")

    def get(self, name: str, blank: Tensor) -> Tensor:
        """What is held under a name, or ``blank`` where nothing is yet."""
        return self.tensors.get(name, blank)

    def advance(self, lengths: Sequence[int]) -> None:
        """Count the tokens of a call, once all of the layer has read them."""
        self.read = [before + new for before, new in zip(self.read, lengths, strict=True)]

    def select(self, rows: Tensor) -> None:
        """Keep these rows in this order; one may come twice."""
        self.tensors = {
            name: held.index_select(0, rows.to(held.device)) for name, held in self.tensors.items()
        }
        self.read = [self.read[row] for row in rows.tolist()] if self.read else []

    def to(self, device: Any) -> None:
        """Move it to a device."""
        self.tensors = {name: held.to(device, non_blocking=True) for name, held in self.tensors.items()}

    def detach(self) -> None:
        """Let no gradient flow into what was read before."""
        self.tensors = {name: held.detach() for name, held in self.tensors.items()}

    def clear(self) -> None:
        """Forget everything."""
        self.tensors = {}
        self.read = []


class _WithCells:
    """A layer of a dynamic cache, and its cells. A memory can't be turned back: it can't be cropped."""

    is_croppable = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cells = Cells()

    def reset(self) -> None:
        super().reset()  # type: ignore[misc]
        self.cells.clear()

    def offload(self) -> None:
        super().offload()  # type: ignore[misc]
        self.cells.to("cpu")

    def prefetch(self) -> None:
        super().prefetch()  # type: ignore[misc]
        self.cells.to(self.device)  # type: ignore[attr-defined]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        super().reorder_cache(beam_idx)  # type: ignore[misc]
        self.cells.select(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)  # type: ignore[misc]
        self.cells.select(indices.nonzero()[:, 0] if indices.dtype is torch.bool else indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)  # type: ignore[misc]
        self.cells.select(torch.arange(len(self.cells.read)).repeat_interleave(repeats))

    def crop(self, tokens_to_remove: int) -> None:
        if tokens_to_remove:
            raise ValueError(
                "A memory can't unread tokens. Keep a copy of the cache from before they were read."
            )


class FullLayer(_WithCells, DynamicLayer):
    """All keys and values, and the cells."""


class SlidingLayer(_WithCells, DynamicSlidingWindowLayer):
    """The window's keys and values, and the cells."""


class CountingLayer(FullLayer):
    """A layer without attention's keys and values: all it keeps is in its cells; itself it counts columns."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = 0

    def count(self, hidden: Tensor) -> None:
        """Note that a call's columns, [batch, columns, ...], are in the cells; padding counts too."""
        if not self.is_initialized:
            # Transformers reorders a layer's keys; of these there are none, for as many rows.
            self.lazy_initialization(hidden, hidden)
            self.keys = self.values = hidden.new_zeros(hidden.shape[0], 0)
        self.columns += hidden.shape[1]

    def get_seq_length(self) -> int:
        """Columns that were read in this text; what a state brought along isn't of it."""
        return self.columns

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self.columns = 0


def give_cells(cache: Cache, config: LongContextConfig) -> None:
    """Put layers with cells into a cache where the config has a memory.

    Args:
        cache: a ``DynamicCache``, empty or one that went through here before.
        config: of the model that will read with it.

    Raises:
        ValueError: it is of another kind, or another model has read with it.
    """
    layers: list[Any] = cache.layers
    if not layers:
        layers.extend(_plain(config) for _ in range(config.num_hidden_layers))
    for index in config.memory_layers or ():
        layer = layers[index]
        if isinstance(layer, _WithCells):
            if isinstance(layer, CountingLayer) == config.keeps_keys:
                raise ValueError(
                    f"Layer {index} of the cache was begun by a model that "
                    f"{'keeps no' if config.keeps_keys else 'keeps'} keys there. Give an empty DynamicCache."
                )
            continue
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) or layer.is_initialized:
            raise ValueError(
                f"Layer {index} of the cache is a {type(layer).__name__} without room for a memory. "
                "Give an empty DynamicCache(config=model.config)."
            )
        layers[index] = _with_cells(config)


def cells_of(cache: Cache | None, index: int) -> Cells:
    """The cells of a layer; without a cache, cells that are forgotten after the call."""
    if cache is None:
        return Cells()
    layer: Any = cache.layers[index]
    cells: Cells = layer.cells
    return cells


def _with_cells(config: LongContextConfig) -> DynamicLayer:
    if not config.keeps_keys:
        return CountingLayer()
    window = config.sliding_window
    return FullLayer() if window is None else SlidingLayer(sliding_window=window)


def _plain(config: LongContextConfig) -> DynamicLayer:
    window = config.sliding_window
    return DynamicLayer() if window is None else DynamicSlidingWindowLayer(sliding_window=window)
