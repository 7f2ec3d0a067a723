"""Keys and values by blocks, each with its landmark: what landmark attention keeps of a text.

They lie in the layer's cells, so they are the layer's memory too: they can be saved with a story and go on
before another text. Keys and landmarks are kept unrotated, so that a block can be read at any position.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.rows import take

_ROOM = 8  # One part in so many is left free, so that not every token has the whole copied.


class Blocks:
    """The blocks of all rows of a batch, read and written by one call of a layer.

    Tokens are counted from the oldest that a row still holds.

    Attributes:
        keys: [batch, room, kv_heads, width], unrotated; room is a multiple of the block.
        values: the same.
        landmarks: [batch, blocks, kv_heads, width], unrotated; a block's means nothing before it is whole.
        dropped: [batch], how many blocks each row held once and doesn't hold any more.
        starts: where each row's tokens of this call begin.
        gone: how many tokens each row held once and doesn't hold any more.

    Args:
        cells: of the layer, from before the call's tokens are counted.
        block: tokens a block.
        most: whole blocks to hold at most; None for all.
        offload: hold keys and values on the CPU.
    """

    def __init__(self, cells: Cells, *, block: int, most: int | None, offload: bool):
        self.cells, self.block, self.most, self.offload = cells, block, most, offload
        self._gone = [self._outgrown(read) for read in cells.read]
        self.gone = [block * count for count in self._gone]
        self.starts = [read - gone for read, gone in zip(cells.read, self.gone, strict=True)]

    def _outgrown(self, read: int) -> int:
        return 0 if self.most is None else max(0, read // self.block - self.most)

    def write(self, k: Tensor, v: Tensor, pool: Callable[[Tensor], Tensor]) -> None:
        """Add a call's tokens, [batch, columns, kv_heads, width], rows aligned.

        Args:
            k: unrotated.
            v: like k.
            pool: makes landmarks, [batch, blocks, kv_heads, width], of keys, [batch, blocks, block, kv_heads,
                width].
        """
        self.device = k.device
        self.dropped = torch.tensor(self._gone, device=k.device)
        self.keys = self._put("keys", k, self.starts, self.block, "cpu" if self.offload else k.device)
        self.values = self._put("values", v, self.starts, self.block, self.keys.device)
        first = [start // self.block for start in self.starts]
        touched = max((start % self.block + k.shape[1] - 1) // self.block + 1 for start in self.starts or [0])
        places = torch.tensor(first, device=k.device)[:, None] + torch.arange(touched, device=k.device)
        tokens = self.tokens(places).flatten(1).clamp(max=self.keys.shape[1] - 1).to(self.keys.device)
        keys = take(self.keys, tokens).to(k.device).unflatten(1, (touched, self.block))
        self.landmarks = self._put("landmarks", pool(keys), first, 1, k.device)

    def tokens(self, blocks: Tensor) -> Tensor:
        """The tokens of blocks: [..., n] to [..., n, block]."""
        return blocks[..., None] * self.block + torch.arange(self.block, device=blocks.device)

    def whole(self, rows: Tensor, heads: Tensor | slice, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of whole blocks, on the call's device.

        Args:
            rows: [...] or what expands to it, of the batch.
            heads: [...], one key head of each; or a slice of them for all.
            blocks: [...].

        Returns:
            Both [..., block, width]; [..., block, kv_heads, width] where a slice was asked for.
        """
        home = self.keys.device
        rows, blocks = rows.to(home), blocks.to(home)
        heads = heads if isinstance(heads, slice) else heads.to(home)
        k, v = (
            held.unflatten(1, (-1, self.block))[rows, blocks, :, heads].to(self.device)
            for held in (self.keys, self.values)
        )
        return k, v

    def keep(self, lengths: tuple[int, ...]) -> None:
        """Leave in the cells what the next call needs; ``lengths`` are the rows' tokens of this one."""
        totals = [read + new for read, new in zip(self.cells.read, lengths, strict=True)]
        gone = [self._outgrown(total) for total in totals]
        leaving = [after - before for after, before in zip(gone, self._gone, strict=True)]
        staying = max((t - self.block * g for t, g in zip(totals, gone, strict=True)), default=0)
        room = _with_room(staying, self.block)
        for name, tensor in (("keys", self.keys), ("values", self.values)):
            self.cells.tensors[name] = _without(tensor, [count * self.block for count in leaving], room)
        self.cells.tensors["landmarks"] = _without(self.landmarks, leaving, room // self.block)

    def _put(self, name: str, new: Tensor, starts: list[int], whole: int, home: Any) -> Tensor:
        """What is held under a name with what is new behind it, or over it."""
        held = self.cells.get(name, new.new_zeros(new.shape[0], 0, *new.shape[2:])).to(home)
        new = new.to(home)
        need = max(starts, default=0) + new.shape[1]
        frozen = held.is_inference() and not torch.is_inference_mode_enabled()
        if held.shape[1] < need or frozen:
            room = max(_with_room(need, whole), held.shape[1])
            held = torch.cat([held, held.new_zeros(held.shape[0], room - held.shape[1], *held.shape[2:])], 1)
        row = torch.arange(new.shape[0], device=home)[:, None]
        column = torch.tensor(starts, device=home)[:, None] + torch.arange(new.shape[1], device=home)
        if torch.is_grad_enabled():
            return held.index_put((row, column), new)
        held[row, column] = new
        return held


def without_oldest(cells: Mapping[str, Tensor], *, block: int, most: int) -> Mapping[str, Tensor]:
    """A layer's cells as if each row's text began later, with so many whole blocks at most.

    Args:
        cells: ``read``, ``keys``, ``values`` and ``landmarks``, of rows that hold all that they have read.
        block: tokens a block.
        most: whole blocks; a last one that isn't whole stays too.
    """
    leaving = [max(0, read // block - most) for read in cells["read"].tolist()]
    read = cells["read"] - block * torch.tensor(leaving)
    room = _with_room(int(read.max()), block)
    tokens = [block * count for count in leaving]
    return {
        "read": read,
        "keys": _without(cells["keys"], tokens, room),
        "values": _without(cells["values"], tokens, room),
        "landmarks": _without(cells["landmarks"], leaving, room // block),
    }


def _with_room(need: int, whole: int) -> int:
    """Places for so many, some free ones, and a multiple of ``whole`` in all."""
    return math.ceil((need + need // _ROOM) / whole) * whole


def _without(held: Tensor, leaving: list[int], most: int) -> Tensor:
    """Each row without its first tokens, and at most so many places of it."""
    if not any(leaving):
        return held
    index = torch.arange(min(held.shape[1] - min(leaving), most), device=held.device)
    index = index + torch.tensor(leaving, device=held.device)[:, None]
    return take(held, index.clamp(max=held.shape[1] - 1))
