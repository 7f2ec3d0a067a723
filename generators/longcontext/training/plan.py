"""What a training does, and how fast it learns at which of its tokens."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from storyloom.memory.errors import InvalidSetting

BACKBONES = ("frozen", "lora", "full")
OPTIMIZERS = ("adamw", "muon")

_BACKBONE_RATE, _LORA_RATE = 2e-5, 2e-4
_WARM_UP = 0.02  # of the tokens, in which the rate rises to its height
_LAST = 0.1  # of the rate, at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training; whatever is in here makes another model, so a slice can't change it.

    Attributes:
        tokens: to read in all; 0 for every book once.
        lengths: tokens of a segment, in which gradients flow; each for an equal share of the training.
        rows: books that are read side by side.
        learning_rate: of the weights that the LLaMA hasn't.
        backbone: whether the LLaMA's own weights stay (``frozen``), learn by small factors that are
            multiplied into them at the end (``lora``), or learn themselves (``full``).
        backbone_rate: their learning rate; None for 2e-5, or 2e-4 for LoRA's factors, which take ten times
            what the weights take.
        optimizer: ``adamw``, or ``muon`` for the matrices of the stack (and AdamW for the rest).
        needles: share of the steps that read texts with hidden keys, from 0 to below 1.
        teacher: SPEC's target of the model whose logits and layers are to be met; empty to learn from the
            text.
        anneal: share of the training in which a hybrid's attention beside Mamba goes from all to nothing,
            and is dropped at the end; or in which a landmark LLaMA's landmarks come to say a block's whole
            weight. 0 leaves it as it is.
        seed: what the books' order and new factors are drawn from.
    """

    tokens: int = 0
    lengths: tuple[int, ...] = (2048,)
    rows: int = 1
    learning_rate: float = 1e-3
    backbone: str = "frozen"
    backbone_rate: float | None = None
    optimizer: str = "adamw"
    needles: float = 0.0
    teacher: str = ""
    anneal: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            InvalidSetting: a number out of its range, or a word that isn't known.
        """
        checks = (
            (self.tokens >= 0, "tokens", "0 or more"),
            (bool(self.lengths) and all(2 <= n <= 2**20 for n in self.lengths), "lengths", "2 or more each"),
            (1 <= self.rows <= 4096, "rows", "from 1 to 4096"),
            (0 < self.learning_rate <= 1, "learning_rate", "above 0 and at most 1"),
            (0 < self.own_backbone_rate <= 1, "backbone_rate", "above 0 and at most 1"),
            (self.backbone in BACKBONES, "backbone", " or ".join(BACKBONES)),
            (self.optimizer in OPTIMIZERS, "optimizer", " or ".join(OPTIMIZERS)),
            (0 <= self.needles < 1, "needles", "from 0 to below 1"),
            (0 <= self.anneal <= 1, "anneal", "from 0 to 1"),
            (self.seed >= 0, "seed", "0 or more"),
        )
        for holds, name, rule in checks:
            if not holds:
                raise InvalidSetting(f"{name} is {getattr(self, name)!r}; it must be {rule}.")

    @property
    def own_backbone_rate(self) -> float:
        """The backbone's learning rate, chosen where it wasn't given."""
        if self.backbone_rate is None:
            return _LORA_RATE if self.backbone == "lora" else _BACKBONE_RATE
        return self.backbone_rate

    def length_at(self, done: int, total: int) -> int:
        """Tokens of the segment that comes after ``done`` of ``total`` tokens."""
        return self.lengths[min(len(self.lengths) * done // max(1, total), len(self.lengths) - 1)]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Plan":
        """The plan of ``as_json``."""
        return cls(**{**document, "lengths": tuple(document["lengths"])})

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {**asdict(self), "lengths": list(self.lengths)}


def rate_at(done: int, total: int) -> float:
    """What the learning rates are multiplied by after so many tokens: up in a line, down as a cosine."""
    share = min(1.0, done / max(1, total))
    if share < _WARM_UP:
        return max(share, 1e-3 * _WARM_UP) / _WARM_UP
    down = (share - _WARM_UP) / (1 - _WARM_UP)
    return _LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * down))
