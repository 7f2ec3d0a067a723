"""Hope (arXiv 2512.24695): self-modifying Titans beside attention, and MLPs that go on learning as it reads.

The paper's block is the first followed by the second; here both stand in a LLaMA's layer, which keeps its
attention. Either can be left out.
"""

from itertools import pairwise
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from storyloom.generators.longcontext.cells import cells_of
from storyloom.generators.longcontext.configuration import HeadsConfig, LongContextConfig
from storyloom.generators.longcontext.continuum import ContinuumMLP
from storyloom.generators.longcontext.modeling import LongContextForCausalLM, LongContextModel, ReadingLayer
from storyloom.generators.longcontext.places import Gated
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.self_modifying import SelfModifyingMemory

_PERIODS = (512, 2048)
_WIDTH = 128
_MOST_LEVELS = 8
_LONGEST_PERIOD = 2**20


@strict
class HopeConfig(HeadsConfig):
    """A LLaMA with Hope's memories; ``memory_`` fields are those of the self-modifying one.

    Attributes:
        hope_periods: the continuum's levels, the quickest first: how many tokens each reads before it
            changes. None for 512 and 2048; an empty list leaves the MLPs as they are. What is nearer than a
            period is attention's part, so the shortest should be no longer than attention's window.
        hope_width: directions of an MLP's hidden units in which a level learns; None for 128, or the hidden
            size where that is less. A level's state has 2 × hidden size × ``hope_width`` numbers a layer.
        hope_reach: how many tokens ahead a token's hidden units learn to foretell.
        hope_orthogonal: whether a level's step is orthogonalised by Newton–Schulz.
        hope_self_modifying: whether there is self-modifying Titans.
        memory_rate: the largest step that a chunk takes in all; see Titans.
    """

    model_type = "storyloom_hope"

    hope_periods: list[int] | None = None
    hope_width: int | None = None
    hope_reach: int = 4
    hope_orthogonal: bool = True
    hope_self_modifying: bool = True
    memory_rate: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what wasn't said."""
        if self.hope_periods is None:
            self.hope_periods = list(_PERIODS)
        if self.hope_width is None:
            self.hope_width = min(_WIDTH, self.hidden_size)
        super().__post_init__(**kwargs)

    def validate_hope(self) -> None:
        """Hold the levels to what can be, and the memory's rate to what is stable."""
        periods = self.hope_periods or []
        if not periods and not self.hope_self_modifying:
            raise ValueError("Without hope_periods and hope_self_modifying nothing would remember; set one.")
        if len(periods) > _MOST_LEVELS or not all(1 <= period <= _LONGEST_PERIOD for period in periods):
            raise ValueError(
                f"hope_periods is {periods}; name at most {_MOST_LEVELS}, from 1 to {_LONGEST_PERIOD} tokens."
            )
        if any(first >= then for first, then in pairwise(periods)):
            raise ValueError(f"hope_periods is {periods}; each must be longer than the one before.")
        self.check_range("hope_width", 1, min(self.hidden_size, self.intermediate_size))
        self.check_range("hope_reach", 1, 63)
        if not 0 < self.memory_rate <= 1:
            raise ValueError(f"memory_rate is {self.memory_rate}; it must be above 0 and at most 1.")


class HopeLayer(ReadingLayer):
    """A layer with self-modifying Titans beside its attention, and an MLP whose levels learn."""

    def __init__(self, config: HopeConfig, index: int):
        super().__init__(config, index)
        self.index = index
        self.branch: nn.Module | None = None
        if config.hope_self_modifying:
            self.branch = Gated(config, SelfModifyingMemory(config, rate=config.memory_rate))
        if config.hope_periods:
            assert config.hope_width is not None
            self.mlp = ContinuumMLP(
                config,
                periods=config.hope_periods,
                width=config.hope_width,
                reach=config.hope_reach,
                orthogonal=config.hope_orthogonal,
            )

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, *, rows: Rows, embedded: Tensor, **kwargs: Any
    ) -> Tensor:
        """As ``LlamaDecoderLayer.forward``, with the memory in the first sum and the levels in the second."""
        cells = cells_of(kwargs.get("past_key_values"), self.index)
        cells.begin(hidden_states.shape[0])
        normed = self.input_layernorm(hidden_states)
        attended, _ = self.self_attn(hidden_states=normed, **kwargs)
        hidden = hidden_states + attended
        if self.branch is not None:
            hidden = hidden + rows.restore(self.branch(rows.align(normed), rows, cells))
        normed = self.post_attention_layernorm(hidden)
        if isinstance(self.mlp, ContinuumMLP):
            hidden = hidden + self.mlp(normed, embedded, rows, cells)
        else:
            hidden = hidden + self.mlp(normed)
        cells.advance(rows.lengths)
        return hidden


class HopeModel(LongContextModel):
    """LLaMA's stack with Hope's layers."""

    config_class = HopeConfig

    def make_layer(self, config: LongContextConfig, index: int) -> nn.Module:
        """Hope's layer."""
        assert isinstance(config, HopeConfig)
        return HopeLayer(config, index)

    def reading(self, embedded: Tensor, rows: Rows) -> dict[str, Any]:
        """The rows, and the tokens' embeddings, of which the levels' targets are made."""
        return {"rows": rows, "embedded": embedded}


class HopeForCausalLM(LongContextForCausalLM):
    """Hope as a language model."""

    config_class = HopeConfig
    model_class = HopeModel
