"""What every long-context family's config has beside LLaMA's: which layers remember, and the window."""

from dataclasses import fields
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import LlamaConfig

_SPREAD = 4
PLACES = ("gate", "layer", "context")


@strict
class LongContextConfig(LlamaConfig):
    """A LLaMA plus a memory at some of its layers.

    A family subclasses it with a ``model_type`` that begins with ``storyloom_``, adds its own fields, each
    with a default, and checks them in a method whose name begins with ``validate_``.

    Attributes:
        memory_layers: indices of the layers that have the memory; None spreads four over the depth.
        sliding_window: how many of the last tokens attention sees, itself included, in every layer; None
            for all of them.
        layer_types: for transformers; it follows from ``sliding_window``.
    """

    model_type = "storyloom"
    # What a family starts from when a model is converted, where the user says nothing.
    default_window: ClassVar[int | None] = 2048

    memory_layers: list[int] | None = None
    sliding_window: int | None = None
    layer_types: list[str] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what wasn't said."""
        if self.memory_layers is None:
            self.memory_layers = spread(self.num_hidden_layers, _SPREAD)
        kind = "full_attention" if self.sliding_window is None else "sliding_attention"
        self.layer_types = [kind] * self.num_hidden_layers
        super().__post_init__(**kwargs)

    @property
    def keeps_keys(self) -> bool:
        """Whether the memory's layers keep attention's keys and values in the cache as transformers does."""
        return True

    def validate_memory_layers(self) -> None:
        """Hold the layers and the window to what exists."""
        layers = self.memory_layers or []
        if not layers or not all(0 <= layer < self.num_hidden_layers for layer in layers):
            raise ValueError(
                f"memory_layers is {layers}; name at least one layer from 0 to {self.num_hidden_layers - 1}."
            )
        if len(set(layers)) < len(layers):
            raise ValueError(f"memory_layers is {layers}; name each layer once.")
        if self.sliding_window is not None and self.sliding_window < 2:
            raise ValueError(f"sliding_window is {self.sliding_window}; it must be at least 2 tokens.")

    def check_range(self, name: str, least: float, most: float) -> None:
        """Refuse a number out of its range, both ends included."""
        if not least <= getattr(self, name) <= most:
            raise ValueError(f"{name} is {getattr(self, name)}; it must be from {least} to {most}.")

    @classmethod
    def own_options(cls) -> dict[str, Any]:
        """Names and defaults of the fields that the family adds to LLaMA's and to these."""
        known = {field.name for field in fields(LongContextConfig)}
        return {field.name: field.default for field in fields(cls) if field.name not in known}


def spread(layers: int, count: int) -> list[int]:
    """Indices of ``count`` layers, or of all where there are fewer, evenly over the depth."""
    count = min(count, layers)
    return [(2 * place + 1) * layers // (2 * count) for place in range(count)]


@strict
class HeadsConfig(LongContextConfig):
    """What the families have in common whose memory has heads and learns a chunk at a time.

    Attributes:
        memory_heads: of the memory; None for one a 64 channels, or the fewest that divide the width.
        memory_chunk: tokens that the memory learns from at once.
        memory_conv: tokens that the convolution of queries, keys and values reaches over; 1 for none.
    """

    # What the kernels take.
    widest_head: ClassVar[int] = 128
    longest_chunk: ClassVar[int] = 64

    memory_heads: int | None = None
    memory_chunk: int = 64
    memory_conv: int = 4

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what wasn't said."""
        if self.memory_heads is None:
            self.memory_heads = _heads(self.hidden_size)
        super().__post_init__(**kwargs)

    @property
    def memory_width(self) -> int:
        """Channels of one head of the memory."""
        return self.hidden_size // (self.memory_heads or 1)

    def validate_memory(self) -> None:
        """Hold the memory to what the kernels and the width allow."""
        heads = self.memory_heads or 0
        if heads < 1 or self.hidden_size % heads or self.memory_width > self.widest_head:
            raise ValueError(
                f"memory_heads is {heads}; it must divide the hidden size {self.hidden_size} into heads of "
                f"at most {self.widest_head} channels."
            )
        self.check_range("memory_chunk", 1, self.longest_chunk)
        self.check_range("memory_conv", 1, 64)


@strict
class MemoryConfig(HeadsConfig):
    """What the families have in common whose memory can stand at any place of a layer.

    Attributes:
        memory_place: ``gate`` beside attention, ``layer`` before it, ``context`` as what it attends to, a
            chunk of the memory as its segment.
        memory_persistent: learned tokens that ``context`` always sees.
    """

    memory_place: str = "gate"
    memory_persistent: int = 16

    def validate_place(self) -> None:
        """Hold the place to those there are."""
        if self.memory_place not in PLACES:
            raise ValueError(f"memory_place is {self.memory_place!r}; it must be one of {', '.join(PLACES)}.")
        self.check_range("memory_persistent", 1, 4096)


def _heads(width: int) -> int:
    """One head a 64 channels, or as near to it as divides the width."""
    return next(heads for heads in range(max(1, width // 64), width + 1) if width % heads == 0)
