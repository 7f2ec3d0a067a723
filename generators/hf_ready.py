"""A loaded transformers model with all that belongs to it: who writes with it, what is kept between calls."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from storyloom.generators.free_memory import cells_for, free_bytes
from storyloom.generators.hf_alone import Alone
from storyloom.generators.hf_loading import Loaded
from storyloom.generators.hf_prompts import Prompts
from storyloom.generators.hf_rows import cell_bytes
from storyloom.generators.hf_together import Together
from storyloom.generators.prefix_cache import PrefixCache

if TYPE_CHECKING:
    from storyloom.generators.hf_memory import Memory

# Beginnings of prompts: every story has several agents, each with its own.
_KEPT_A_SLOT = 4


@dataclass(frozen=True, slots=True)
class Ready:
    """A loaded model and what belongs to it; ``memory`` where it has a neural one."""

    loaded: Loaded
    prompts: Prompts
    cache: PrefixCache
    writer: Alone | Together
    memory: "Memory | None"

    @property
    def vocabulary(self) -> int:
        """How many scores the model gives for each token."""
        model: Any = self.loaded.model
        return int(model.get_output_embeddings().weight.shape[0])


def made_ready(
    loaded: Loaded, *, name: str, context: int, slots: int, threads: int | None, reuse_prefix: bool
) -> Ready:
    """Choose how a model writes: several rows at once where it can, else one text after the other.

    Args:
        loaded: the model.
        name: the SPEC that it was made from.
        context: how many tokens prompt and completion may hold together.
        slots: how many requests are written at once, at most.
        threads: CPU threads of torch, or None to leave them as they are.
        reuse_prefix: keep keys and values between calls.
    """
    size = cell_bytes(loaded.model)
    cells = cells_for(size, context, slots, free_bytes(loaded.model.device)) if size else context
    cache = PrefixCache(cells, most_kept=_KEPT_A_SLOT * slots)
    prefixes = cache if reuse_prefix else None
    memory = _memory_of(loaded.model)
    writer: Alone | Together = Alone(loaded, prefixes, threads, memory)
    if size is not None:
        writer = Together(loaded, prefixes, threads, rows=slots, cells=cells)
    return Ready(loaded, Prompts(loaded.tokenizer, name), cache, writer, memory)


def _memory_of(model: PreTrainedModel) -> "Memory | None":
    # Here: they bring the kernels along, and a model's type is known only once it is loaded.
    from storyloom.generators.hf_memory import Memory
    from storyloom.generators.longcontext.modeling import LongContextForCausalLM

    return Memory(model) if isinstance(model, LongContextForCausalLM) else None
