"""Landmark LLaMA (arXiv 2305.16300): attention that reaches earlier blocks through a landmark of each."""

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import initialization
from transformers.cache_utils import Cache
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding, rotate_half

from storyloom.generators.longcontext.cells import cells_of
from storyloom.generators.longcontext.configuration import LongContextConfig
from storyloom.generators.longcontext.landmark_cache import Blocks
from storyloom.generators.longcontext.modeling import (
    LongContextForCausalLM,
    LongContextModel,
    ReadingLayer,
    ZeroScale,
)
from storyloom.generators.longcontext.rows import Rows
from storyloom.kernels.gather_decode import gather_decode, merge_attention
from storyloom.kernels.landmark import landmark_attention

POSITIONS = ("true", "near")
_AT_ONCE = 2**24  # Numbers that are fetched of the chosen blocks' keys at a time.
# A later block's advantage where blocks say the same: two of the same words do, seen from near positions,
# and rounding would choose between them.
_LATER = 1e-5


@strict
class LandmarkConfig(LongContextConfig):
    """A LLaMA with landmark attention, in all layers where none are named.

    Attributes:
        landmark_block: tokens a block.
        landmark_top_k: how many blocks a token chooses by their landmarks; None for all, which is attention
            without any limit. While a model trains it sees all of them, as in the paper. What it was made of
            it equals on texts of up to ``landmark_top_k + landmark_local`` blocks.
        landmark_local: how many of the last blocks a token always sees, its own included.
        landmark_positions: where a token sees the chosen blocks. ``true`` leaves them where they were
            read; ``near`` moves them together to just before its own block, or so many blocks before as it
            sees, so that no position lies beyond those that were trained. None for near where blocks are
            chosen, else true.
        landmark_offload: hold keys and values on the CPU, and move only the chosen blocks.
        landmark_most_blocks: hold so many whole blocks at most, the latest; None for all.
    """

    model_type = "storyloom_landmark"
    default_window: ClassVar[int | None] = None
    widest_head: ClassVar[int] = 128
    longest_block: ClassVar[int] = 128

    landmark_block: int = 64
    landmark_top_k: int | None = 8
    landmark_local: int = 16
    landmark_positions: str | None = None
    landmark_offload: bool = False
    landmark_most_blocks: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what wasn't said."""
        if self.memory_layers is None:
            self.memory_layers = list(range(self.num_hidden_layers))
        if self.landmark_positions is None:
            self.landmark_positions = "true" if self.landmark_top_k is None else "near"
        super().__post_init__(**kwargs)

    @property
    def landmark_seen(self) -> int:
        """How many blocks before its own a token sees at most, where it chooses."""
        return (self.landmark_top_k or 0) + self.landmark_local - 1

    @property
    def keeps_keys(self) -> bool:
        """They lie in the cells, by blocks."""
        return False

    def validate_landmark(self) -> None:
        """Hold the blocks to what the kernels take, and the options to each other."""
        width = getattr(self, "head_dim", None) or self.hidden_size // self.num_attention_heads
        if width > self.widest_head:
            raise ValueError(f"The heads have {width} channels; landmarks take at most {self.widest_head}.")
        if not 1 <= self.landmark_block <= self.longest_block:
            raise ValueError(
                f"landmark_block is {self.landmark_block}; it must be from 1 to {self.longest_block}."
            )
        if self.landmark_top_k is not None and self.landmark_top_k < 1:
            raise ValueError(f"landmark_top_k is {self.landmark_top_k}; it must be at least 1, or None.")
        if self.landmark_local < 1:
            raise ValueError(f"landmark_local is {self.landmark_local}; it must be at least 1.")
        if self.landmark_positions not in POSITIONS:
            known = ", ".join(POSITIONS)
            raise ValueError(f"landmark_positions is {self.landmark_positions!r}; it must be one of {known}.")
        if self.landmark_top_k is None:
            choosing = {"near positions": self.landmark_positions == "near"}
            choosing["landmark_most_blocks"] = self.landmark_most_blocks is not None
            for name, asked in choosing.items():
                if asked:
                    raise ValueError(f"With {name}, landmark_top_k must say how many blocks are chosen.")
        elif self.landmark_most_blocks is not None and self.landmark_most_blocks < self.landmark_seen:
            raise ValueError(
                f"landmark_most_blocks is {self.landmark_most_blocks}; a token sees {self.landmark_seen} "
                "blocks before its own, so it must be at least that."
            )


class Pool(nn.Module):
    """Makes a block's landmark of its keys: their weighted mean, mapped by head. It begins as the mean."""

    def __init__(self, heads: int, width: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(heads, width))
        self.map = nn.Parameter(torch.eye(width).repeat(heads, 1, 1))

    def initialise(self) -> None:
        """Begin as the mean."""
        initialization.zeros_(self.query)
        initialization.copy_(self.map, torch.eye(self.map.shape[-1]).expand_as(self.map))

    def forward(self, keys: Tensor) -> Tensor:
        """[batch, blocks, block, kv_heads, width] to [batch, blocks, kv_heads, width]."""
        weights = torch.softmax((keys * self.query).sum(-1, keepdim=True), dim=2)
        return torch.einsum("bnkd,ked->bnke", (weights * keys).sum(2), self.map)


class LandmarkAttention(LlamaAttention):
    """LLaMA's attention by blocks. A block of a landmark's weight, with which a gate of zero does nothing.

    Positions are counted by row, over what a state brought along too; ``position_ids`` don't matter.
    """

    def __init__(self, config: LandmarkConfig, index: int):
        super().__init__(config, index)
        self.index = index
        self.options = config
        assert config.num_key_value_heads is not None
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.pool = Pool(self.kv_heads, self.head_dim)
        self.gate = ZeroScale(self.heads)
        self.rotary = LlamaRotaryEmbedding(config=config)

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, *, rows: Rows, past_key_values: Cache | None = None, **_kwargs: Any
    ) -> tuple[Tensor, None]:
        """As ``LlamaAttention.forward``: [batch, columns, hidden size] to the same, and no weights."""
        hidden = rows.align(hidden_states)
        q, k, v = (
            proj(hidden).unflatten(-1, (-1, self.head_dim))
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        cells = cells_of(past_key_values, self.index)
        cells.begin(hidden.shape[0])
        options = self.options
        blocks = Blocks(
            cells,
            block=options.landmark_block,
            most=options.landmark_most_blocks,
            offload=options.landmark_offload,
        )
        blocks.write(k, v, self.pool)
        exact = self._exact(q, blocks)
        parts = [self._over_all(q[:, :exact], blocks)] if exact else []
        if exact < q.shape[1]:
            parts.append(self._over_chosen(q[:, exact:], blocks, exact))
        said = torch.cat(parts, dim=1) if parts else torch.empty_like(q)
        blocks.keep(rows.lengths)
        cells.advance(rows.lengths)
        if past_key_values is not None:
            layer: Any = past_key_values.layers[self.index]
            layer.count(hidden)
        return rows.restore(self.o_proj(said.flatten(-2))), None

    def _exact(self, q: Tensor, blocks: Blocks) -> int:
        """How many of the call's tokens have no more blocks before them than they may see.

        One token is as soon read by choosing: what it chooses are then all.
        """
        if self.training or self.options.landmark_top_k is None:
            return q.shape[1]
        seen = (self.options.landmark_seen + 1) * blocks.block - max(blocks.starts, default=0)
        return 0 if q.shape[1] == 1 else min(max(0, seen), q.shape[1])

    def _opened(self) -> Tensor:
        """The gate between 0 and 1; its gradient passes the ends, so that it can come back from there."""
        weight = self.gate.weight
        return weight + (weight.clamp(0, 1) - weight).detach()

    def _over_all(self, q: Tensor, blocks: Blocks) -> Tensor:
        """Attention to all tokens; rows with as many of them before the call go together."""
        said = torch.empty_like(q)
        parts = []
        for start in sorted(set(blocks.starts)):
            chosen = [row for row, own in enumerate(blocks.starts) if own == start]
            rows = torch.tensor(chosen, device=q.device)
            home = rows.to(blocks.keys.device)
            length = start + q.shape[1]
            count = -(-length // blocks.block)
            before = blocks.dropped[rows][:, None] * blocks.block
            places = before + torch.arange(length, device=q.device)
            middles = before + self._middles(torch.arange(count, device=q.device))
            o, _ = landmark_attention(
                self._rotate(q[rows], places[:, start:]),
                self._rotate(blocks.keys[home, :length].to(q.device), places),
                blocks.values[home, :length].to(q.device),
                self._rotate(blocks.landmarks[rows, :count], middles),
                self._opened(),
                block=blocks.block,
                scale=self.scaling,
            )
            parts.append((rows, o))
        for rows, o in parts:
            said = said.index_copy(0, rows, o)
        return said

    def _over_chosen(self, q: Tensor, blocks: Blocks, first: int) -> Tensor:
        """Attention of each token, from the call's ``first`` on, to the blocks that it chooses.

        Some tokens at a time.
        """
        block, seen = blocks.block, self.options.landmark_seen
        most = max(1, _AT_ONCE // (seen * block * self.kv_heads * self.head_dim * max(1, q.shape[0])))
        starts = torch.tensor(blocks.starts, device=q.device)[:, None]
        places = starts + first + torch.arange(q.shape[1], device=q.device)
        return torch.cat(
            [
                self._some_over_chosen(some, where, blocks)
                for some, where in zip(q.split(most, 1), places.split(most, 1), strict=True)
            ],
            dim=1,
        )

    def _some_over_chosen(self, q: Tensor, places: Tensor, blocks: Blocks) -> Tensor:
        """[batch, tokens, heads, width] at places, [batch, tokens], to the same."""
        block, seen = blocks.block, self.options.landmark_seen
        near = self.options.landmark_positions == "near"
        rows = torch.arange(len(q), device=q.device)[:, None].expand_as(places).flatten()
        dropped = blocks.dropped[rows]
        indices = self._choose(q, places, blocks).flatten(0, 1)
        own, inside = places.flatten() // block, places.flatten() % block
        # By how much the token and its own block come nearer to the text's beginning.
        nearer = (own + dropped - seen).clamp(min=0) if near else torch.zeros_like(own)
        begin = (own + dropped - nearer) * block
        asking = self._rotate(q.flatten(0, 1)[:, None], (begin + inside)[:, None])

        empty = indices < 0
        slots = torch.arange(indices.shape[-1], device=q.device).expand_as(indices)
        at = slots if near else indices + dropped[:, None, None]
        chosen = indices.clamp(min=0)
        k, v = blocks.fetch(rows, blocks.tokens(chosen).flatten(-2))
        k = self._rotate_by_head(k, blocks.tokens(at).flatten(-2))
        heads = torch.arange(self.kv_heads, device=q.device)
        landmarks = blocks.landmarks[rows[:, None, None], chosen.transpose(1, 2), heads]
        landmarks = self._rotate_by_head(landmarks, self._middles(at))
        o, lse = gather_decode(
            asking,
            k,
            v,
            torch.where(empty, -1, slots),
            scale=self.scaling,
            block=block,
            block_logits=self._logits(asking, landmarks),
            gate=self._opened(),
        )

        k, v = blocks.fetch(rows, blocks.tokens(own)[:, None].expand(-1, self.kv_heads, -1))
        k = self._rotate(k, begin[:, None] + torch.arange(block, device=q.device))
        own_o, own_lse = gather_decode(
            asking,
            k,
            v,
            torch.zeros_like(indices[..., :1]),
            scale=self.scaling,
            block=block,
            lengths=inside + 1,
        )
        o, _ = merge_attention(o, lse, own_o, own_lse)
        return o.reshape(q.shape)

    @torch.no_grad()
    def _choose(self, q: Tensor, places: Tensor, blocks: Blocks) -> Tensor:
        """The blocks that each token sees beside its own, [batch, tokens, kv_heads, seen], in order.

        The last local ones, and those whose landmarks say most to one of the key head's queries. -1 behind
        them where there are fewer. With near positions a block is chosen for what is in it alone: all are
        asked as if they lay just before the token's block.
        """
        block = blocks.block
        own = places // block
        count = int(own.max()) if own.numel() else 0
        landmarks = blocks.landmarks[:, : max(1, count)]
        each = torch.arange(landmarks.shape[1], device=q.device)
        if self.options.landmark_positions == "near":
            asking = self._rotate(q, places % block + block - (block - 1) / 2)
            advantage = _LATER * each
        else:
            before = blocks.dropped[:, None] * block
            asking = self._rotate(q, before + places)
            landmarks = self._rotate(landmarks, before + self._middles(each))
            advantage = torch.zeros_like(each)
        logits = self._logits(asking, landmarks).unflatten(2, (self.kv_heads, -1)).amax(3) + advantage
        own = own[..., None, None]
        logits = logits.masked_fill(each > own - self.options.landmark_local, torch.inf)
        hidden = each >= own
        if self.options.landmark_most_blocks is not None:
            hidden = hidden | (each < own - self.options.landmark_most_blocks)
        logits = logits.masked_fill(hidden, -torch.inf)
        best = logits.topk(min(self.options.landmark_seen, len(each)), dim=-1)
        found = torch.where(best.values == -torch.inf, len(each), best.indices).sort(-1).values
        return torch.where(found == len(each), -1, found)

    def _logits(self, q: Tensor, landmarks: Tensor) -> Tensor:
        """[n, queries, heads, width] and [n, blocks, kv_heads, width] give [n, queries, heads, blocks]."""
        grouped = q.unflatten(2, (self.kv_heads, -1))
        return self.scaling * torch.einsum("nqkgd,nbkd->nqkgb", grouped, landmarks).flatten(2, 3)

    def _middles(self, blocks: Tensor) -> Tensor:
        """Where the landmarks of blocks lie."""
        block = self.options.landmark_block
        return blocks * block + (block - 1) / 2

    def _rotate(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Turn [n, tokens, heads, width] to places, [n, tokens]."""
        cos, sin = (part[:, :, None] for part in self.rotary(tokens, places))
        return tokens * cos + rotate_half(tokens) * sin

    def _rotate_by_head(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Turn [n, tokens, kv_heads, width] to places, [n, kv_heads, tokens]."""
        flat = places.transpose(1, 2).flatten(1)
        return self._rotate(tokens.flatten(1, 2)[:, :, None], flat).reshape(tokens.shape)


class LandmarkModel(LongContextModel):
    """LLaMA's stack with landmark attention."""

    config_class = LandmarkConfig

    def make_layer(self, config: LongContextConfig, index: int) -> nn.Module:
        """LLaMA's layer with other attention."""
        assert isinstance(config, LandmarkConfig)
        layer = ReadingLayer(config, index)
        layer.self_attn = LandmarkAttention(config, index)
        return layer


class LandmarkForCausalLM(LongContextForCausalLM):
    """Landmark LLaMA as a language model."""

    config_class = LandmarkConfig
    model_class = LandmarkModel
