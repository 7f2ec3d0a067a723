"""What a landmark LLaMA's options are, and which fit each other."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from storyloom.generators.longcontext.configuration import LongContextConfig

POSITIONS = ("true", "near")


@strict
class LandmarkConfig(LongContextConfig):
    """A LLaMA with landmark attention, in all layers where none are named.

    Attributes:
        landmark_block: tokens a block.
        landmark_top_k: how many blocks a token chooses by their landmarks; None for all, which is attention
            without any limit. While a model trains it sees all of them, as in the paper. What it was made of
            it equals on texts of up to ``landmark_top_k + landmark_local`` blocks.
        landmark_local: how many of the last blocks a token always sees, its own included; they weigh by their
            tokens, whatever their landmarks say.
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
