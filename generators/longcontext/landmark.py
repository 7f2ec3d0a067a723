"""Landmark LLaMA (arXiv 2305.16300): attention that reaches earlier blocks through a landmark of each."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.cache_utils import Cache
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding, rotate_half

from storyloom.generators.longcontext.cells import cells_of
from storyloom.generators.longcontext.configuration import LongContextConfig
from storyloom.generators.longcontext.landmark_cache import Blocks, without_oldest
from storyloom.generators.longcontext.landmark_config import LandmarkConfig
from storyloom.generators.longcontext.landmark_tiles import Tiles
from storyloom.generators.longcontext.modeling import (
    LongContextForCausalLM,
    LongContextModel,
    ReadingLayer,
    ZeroScale,
)
from storyloom.generators.longcontext.rows import Rows, take
from storyloom.kernels.gather_decode import gather_decode, merge_stacked
from storyloom.kernels.landmark import landmark_attention

_AT_ONCE = 2**23  # Numbers of the queries that are turned at a time, to each block that they chose.
_TILE = 32  # Tokens that share a block which is fetched.
# A later block's advantage where blocks say the same: two of the same words do, seen from near positions,
# and rounding would choose between them.
_LATER = 1e-5


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
    """LLaMA's attention by blocks; those before the last few weigh what their landmarks say.

    A gate of zero lets landmarks say nothing. The last blocks always weigh by their tokens: what stands just
    before a token is seen as the LLaMA sees it, wherever a block ends between them.

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
        said = self._attend(q, blocks)
        blocks.keep(rows.lengths)
        cells.advance(rows.lengths)
        if past_key_values is not None:
            layer: Any = past_key_values.layers[self.index]
            layer.count(hidden)
        return rows.restore(self.o_proj(said.flatten(-2))), None

    def _attend(self, q: Tensor, blocks: Blocks) -> Tensor:
        """[batch, tokens, heads, width] to the same: each token to all before it, or to what it chooses."""
        exact = [self._exact(q, start + gone) for start, gone in zip(blocks.starts, blocks.gone, strict=True)]
        first = min(exact, default=q.shape[1])
        said = q.new_zeros(q.shape)
        if first < q.shape[1]:
            said = torch.cat([said[:, :first], self._over_chosen(q[:, first:], blocks, first)], dim=1)
        # Rows with as many tokens before the call go together.
        for start, count in sorted(set(zip(blocks.starts, exact, strict=True))):
            if count:
                rows = [row for row, own in enumerate(blocks.starts) if own == start and exact[row] == count]
                said = self._over_all(q[:, :count], blocks, start, torch.tensor(rows, device=q.device), said)
        return said

    def _exact(self, q: Tensor, before: int) -> int:
        """How many of a row's tokens have no more blocks before them than they may see."""
        if self.training or self.options.landmark_top_k is None:
            return q.shape[1]
        seen = (self.options.landmark_seen + 1) * self.options.landmark_block - before
        return min(max(0, seen), q.shape[1])

    def _opened(self) -> Tensor:
        """The gate between 0 and 1; its gradient passes the ends, so that it can come back from there."""
        weight = self.gate.weight
        return weight + (weight.clamp(0, 1) - weight).detach()

    def _over_all(self, q: Tensor, blocks: Blocks, start: int, rows: Tensor, said: Tensor) -> Tensor:
        """``said`` with what some rows' first tokens hear from all before; ``start`` precede the call."""
        home = rows.to(blocks.keys.device)
        length = start + q.shape[1]
        count = -(-length // blocks.block)
        before = blocks.dropped[rows][:, None] * blocks.block
        places = before + torch.arange(length, device=q.device)
        middles = before + self._middles(torch.arange(count, device=q.device))
        o, _ = landmark_attention(
            self._turn_as_source(q[rows], places[:, start:]),
            self._turn_as_source(blocks.keys[home, :length].to(q.device), places),
            blocks.values[home, :length].to(q.device),
            self._turn_as_source(blocks.landmarks[rows, :count], middles),
            self._opened(),
            block=blocks.block,
            local=self.options.landmark_local,
            scale=self.scaling,
        )
        return said.index_put((rows[:, None], torch.arange(q.shape[1], device=q.device)), o)

    def _over_chosen(self, q: Tensor, blocks: Blocks, first: int) -> Tensor:
        """Attention of each token, from the call's ``first`` on, to the blocks that it chooses.

        Some tokens at a time.
        """
        most = max(
            1, _AT_ONCE // (self.options.landmark_seen * self.heads * self.head_dim * max(1, q.shape[0]))
        )
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
        chosen = self._choose(q, places, blocks)
        if q.shape[1] == 1:
            last_o, last_lse = self._over_own(q, places, blocks)
        else:
            last_o, last_lse = self._over_last(q, places, blocks)
            chosen = chosen[..., : self.options.landmark_top_k]
        o, lse = self._over_earlier(q, chosen, places, blocks)
        merged, _ = merge_stacked(torch.cat([o, last_o[None]]), torch.cat([lse, last_lse[None]]))
        return merged

    def _distances(self, chosen: Tensor, places: Tensor, blocks: Blocks) -> Tensor:
        """How far before a token the blocks that it chose begin, [batch, tokens, kv_heads, seen].

        Moved near, they lie side by side in their order, wherever they were read.
        """
        block, seen = blocks.block, self.options.landmark_seen
        own, inside = (part[..., None, None] for part in (places // block, places % block))
        if self.options.landmark_positions == "true":
            return (own - chosen) * block + inside
        before = (own + blocks.dropped[:, None, None, None]).clamp(max=seen)
        slots = torch.arange(chosen.shape[-1], device=chosen.device)
        return ((before - slots) * block + inside).expand_as(chosen)

    def _over_earlier(
        self, q: Tensor, chosen: Tensor, places: Tensor, blocks: Blocks
    ) -> tuple[Tensor, Tensor]:
        """Attention of each token to each of the earlier blocks that it chose.

        A block is fetched once for up to ``_TILE`` tokens. They are turned by how far they are from it, and
        its keys as if it began at 0.

        Returns:
            o, [seen, batch, tokens, heads, width], and lse, the landmarks' say of those before the last
            ones, [seen, batch, tokens, heads].
        """
        batch, _, kv_heads, _ = chosen.shape
        held = blocks.landmarks.shape[1]
        rows = torch.arange(batch, device=q.device)[:, None, None, None]
        heads = torch.arange(kv_heads, device=q.device)[:, None]
        wanted = ((rows * kv_heads + heads) * held + chosen).masked_fill(chosen < 0, -1)
        distances = self._distances(chosen, places, blocks)
        tiles = Tiles(wanted.flatten(), _TILE)
        row, head, which = tiles.key // (kv_heads * held), tiles.key // held % kv_heads, tiles.key % held

        grouped = q.unflatten(2, (kv_heads, 1, -1)).expand(-1, -1, -1, chosen.shape[3], -1, -1)
        asking = tiles.lay(self._turn(grouped.flatten(0, 3), distances.flatten()[:, None]))
        k, v = blocks.whole(row, head, which)
        k = self._turn(k, torch.arange(blocks.block, device=q.device)[None])
        o, lse = gather_decode(
            asking,
            k[:, :, None],
            v[:, :, None],
            torch.zeros_like(row)[:, None, None],
            scale=self.scaling,
            block=blocks.block,
        )
        landmarks = self._turn(blocks.landmarks[row, which, head], self._middles(torch.zeros_like(row)))
        logits = self.scaling * torch.einsum("nqgd,nd->nqg", asking, landmarks).to(lse.dtype)
        said = lse.lerp(logits, self._opened().unflatten(0, (kv_heads, -1))[head, None].to(lse.dtype))
        near = chosen > places[..., None, None] // blocks.block - self.options.landmark_local
        said = torch.where(tiles.lay(near.flatten())[..., None], lse, said)
        return (
            tiles.pick(o, 0).unflatten(0, chosen.shape).movedim(3, 0).flatten(3, 4),
            tiles.pick(said, -torch.inf).unflatten(0, chosen.shape).movedim(3, 0).flatten(3, 4),
        )

    def _over_last(self, q: Tensor, places: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Attention of each token to the last blocks, up to itself: o, like q, and lse without the width.

        A block's tokens all see the same ones.
        """
        block, local = blocks.block, self.options.landmark_local
        own = places // block
        first = own[:, :1]
        which = first + torch.arange(int((own[:, -1:] - first).max()) + 1, device=q.device)
        # The call's tokens by blocks; where a block has others too, any token stands in for them.
        column = (blocks.tokens(which) - places[:, :1, None]).clamp(0, q.shape[1] - 1).flatten(1)
        asking = take(q, column).unflatten(1, (-1, block)).flatten(0, 1)
        window = which[..., None] + torch.arange(1 - local, 1, device=q.device)
        window = window.clamp(0, blocks.landmarks.shape[1] - 1).flatten(0, 1)
        row = torch.arange(len(q), device=q.device).repeat_interleave(which.shape[1])[:, None]
        k, v = (x.flatten(1, 2) for x in blocks.whole(row, slice(None), window))
        at = torch.arange(local * block, device=q.device)[None]
        o, lse = landmark_attention(
            self._rotate(asking, at[:, -block:]),
            self._rotate(k, at),
            v,
            self._rotate(
                blocks.landmarks[row, window], self._middles(torch.arange(local, device=q.device))[None]
            ),
            self._opened(),
            block=block,
            local=local,
            scale=self.scaling,
        )
        back = places - first * block
        return (
            take(o.unflatten(0, which.shape).flatten(1, 2), back),
            take(lse.unflatten(0, which.shape).flatten(1, 2), back),
        )

    def _over_own(self, q: Tensor, places: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """As ``_over_last``, of one token a row to its own block alone: it shares the others with none."""
        own, inside = places[:, 0] // blocks.block, places[:, 0] % blocks.block
        row = torch.arange(len(q), device=q.device)
        k, v = blocks.whole(row, slice(None), own)
        return gather_decode(
            self._rotate(q, inside[:, None]),
            self._rotate(k, torch.arange(blocks.block, device=q.device)[None]),
            v,
            torch.zeros_like(own)[:, None, None].expand(-1, self.kv_heads, -1),
            scale=self.scaling,
            block=blocks.block,
            lengths=inside + 1,
        )

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
        """Turn [n, tokens, heads, width] to places, [n, tokens] or [1, tokens]."""
        return self._turn(tokens, places[:, :, None])

    def _turn(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Turn [..., width] to places, [...] or what expands to it.

        By exact angles: the same distance is then the same turn, wherever it is counted from.
        """
        wide = torch.promote_types(tokens.dtype, torch.float32)
        angles = places[..., None].to(wide) * self.rotary.inv_freq.to(tokens.device, wide)
        angles = torch.cat([angles, angles], dim=-1)
        cos, sin = (part * self.rotary.attention_scaling for part in (angles.cos(), angles.sin()))
        return tokens * cos.to(tokens.dtype) + rotate_half(tokens) * sin.to(tokens.dtype)

    def _turn_as_source(self, tokens: Tensor, places: Tensor) -> Tensor:
        """As ``_rotate``, by the source's own angles, which are float32's."""
        cos, sin = (part[:, :, None] for part in self.rotary(tokens, places))
        return tokens * cos + rotate_half(tokens) * sin


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
    can_anneal = True

    def latest(self, state: dict[str, Tensor], tokens: int) -> dict[str, Tensor]:
        """The last blocks alone: in training a token sees all that are held, and books fill any memory."""
        block = self.config.landmark_block
        if self.config.landmark_most_blocks is not None:
            return state
        found = dict(state)
        for index in self.config.memory_layers or ():
            cells = {name: state[f"{index}.{name}"] for name in ("read", "keys", "values", "landmarks")}
            for name, held in without_oldest(cells, block=block, most=-(-tokens // block)).items():
                found[f"{index}.{name}"] = held
        return found

    def anneal(self, done: float) -> None:
        """Let the landmarks say so much of a block's weight: 0 for nothing, as at first, 1 for all of it.

        A gate that has to find its way from zero by its gradient stays there: as long as landmarks say
        nothing, nobody learns to make them say something.
        """
        for layer in self.model.layers:
            if isinstance(layer.self_attn, LandmarkAttention):
                layer.self_attn.gate.weight.data.fill_(done)

    def finish_annealing(self) -> None:
        """The gates stay open."""
