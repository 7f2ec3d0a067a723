"""One step after another: reads a segment of every row's book, and moves the weights.

It knows no folder: ``generators.training`` keeps what is made here in one.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.training.books import Segment, Shelf
from storyloom.generators.longcontext.training.carry import Carry
from storyloom.generators.longcontext.training.hidden_keys import HiddenKeys
from storyloom.generators.longcontext.training.log import Logged
from storyloom.generators.longcontext.training.losses import next_token_loss
from storyloom.generators.longcontext.training.plan import Plan, rate_at
from storyloom.generators.longcontext.training.recompute import recomputing
from storyloom.generators.longcontext.training.teaching import Teacher
from storyloom.generators.longcontext.training.weights import Learning
from storyloom.memory.errors import InvalidSetting

# Tokens of a step from which on layers are read twice rather than kept in memory.
_LONG = 8192

OnStep = Callable[[Logged], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a slice of a training ends, beside the training's own end.

    Attributes:
        seconds: after so many; None for no limit.
        steps: after so many; None for no limit.
        stopped: whether somebody asks to stop; it is asked between steps.
    """

    seconds: float | None = None
    steps: int | None = None
    stopped: Callable[[], bool] = lambda: False


class Training:
    """A model on its way through the books.

    Args:
        model: in float32, on its device; a long-context model or a LLaMA. It is changed in place.
        corpus: the books.
        plan: what is done.
        tokenizer: the model's; only needles need it.
        teacher: whose logits and layers are to be met; None to learn from the text.

    Attributes:
        steps: done so far.
        tokens: read so far.
        total: tokens to read in all.

    Raises:
        InvalidSetting: nothing in the model would learn, or needles without a tokenizer.
        ModelUnavailable: a package is missing.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        corpus: Corpus,
        plan: Plan,
        *,
        tokenizer: Any = None,
        teacher: PreTrainedModel | None = None,
    ):
        self.plan = plan
        self.steps, self.tokens = 0, 0
        _check_annealing(model, plan)
        self._keys = _hidden_keys(corpus, plan, tokenizer)
        self.model: Any = model.train()
        self._learning = Learning(model, plan)
        self._shelf = Shelf(corpus, plan.rows, plan.seed)
        self._carry = Carry(model)
        self._teacher = None if teacher is None else Teacher(teacher, model, _changed_layers(model))
        self.total = plan.tokens or round((len(corpus.tokens) - len(corpus)) / (1 - plan.needles))

    @property
    def done(self) -> bool:
        """Whether all tokens were read."""
        return self.tokens >= self.total

    def run(self, limits: Limits | None = None, on_step: OnStep | None = None) -> None:
        """Take steps until the end or a limit.

        Raises:
            InvalidSetting: the loss is no number any more; the last step moved nothing.
        """
        limits = limits or Limits()
        began, first = time.monotonic(), self.steps
        with torch.random.fork_rng():
            while not self.done and not limits.stopped():
                logged = self.step()
                if on_step is not None:
                    on_step(logged)
                if limits.steps is not None and self.steps - first >= limits.steps:
                    break
                if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
                    break

    def step(self) -> Logged:
        """Read the next segment and move the weights.

        Raises:
            InvalidSetting: the loss is no number; nothing was moved.
        """
        began = time.monotonic()
        length = self.plan.length_at(self.tokens, self.total)
        keys = self._keys if self._needles_next() else None
        needles = keys is not None
        part = self._shelf.next(length) if keys is None else keys.segment(self.steps, self.plan.rows, length)
        part = part.to(self.model.device)
        if self.plan.anneal:
            self.model.anneal(min(1.0, self.tokens / (self.plan.anneal * self.total)))
        # A model with dropout draws the same in a training that was stopped between.
        torch.manual_seed(_mixed(self.plan.seed, self.steps))
        loss = self._loss(part, alone=needles)
        found = float(loss.detach())
        if not math.isfinite(found):
            raise InvalidSetting(
                f"The loss of step {self.steps + 1} is {found}: the weights or the memory moved too fast. "
                "Begin anew with a lower rate."
            )
        loss.backward()
        rate = rate_at(self.tokens, self.total)
        self._learning.step(rate)
        self.steps += 1
        self.tokens += part.tokens
        return Logged(
            step=self.steps,
            tokens=self.tokens,
            length=length,
            loss=found,
            rate=rate,
            seconds=round(time.monotonic() - began, 4),
            needles=needles,
        )

    def finish(self) -> None:
        """Make the model whole: LoRA's factors go into its weights, and what was annealed is at its end."""
        if self._teacher is not None:
            self._teacher.close()
        self._learning.finish()
        if self.plan.anneal:
            self.model.anneal(1.0)
            self.model.finish_annealing()
        self.model.requires_grad_(False)
        self.model.eval()

    def state(self) -> dict[str, Any]:
        """What a training that goes on to the bit needs; it shares tensors with the model."""
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "shelf": self._shelf.position(),
            "memory": self._carry.state,
            "learning": self._learning.state(),
        }

    def go_to(self, state: dict[str, Any]) -> None:
        """Go on at a state of a training of the same model, books and plan."""
        self.steps, self.tokens = state["steps"], state["tokens"]
        self._shelf.go_to(state["shelf"])
        self._carry.state = state["memory"]
        self._learning.go_to(state["learning"])

    def _loss(self, part: Segment, *, alone: bool) -> Tensor:
        """What the model's reading of a segment is to make small.

        Args:
            part: the segment.
            alone: whether the memory begins empty and isn't kept, the books' memory being left as it is.
        """
        carry = Carry(self.model) if alone else self._carry
        cache = carry.cache(part.fresh)
        long = part.ids.numel() >= _LONG
        with recomputing(self.model) if long else nullcontext(), self._autocast():
            hidden = self.model.model(
                input_ids=part.ids,
                attention_mask=part.mask,
                past_key_values=cache,
                use_cache=cache is not None,
            ).last_hidden_state
            carry.keep(cache, part.ids.shape[1])
            if self._teacher is not None:
                return self._teacher.loss(hidden, part)
            return next_token_loss(hidden, self.model.lm_head, part.labels)

    def _autocast(self) -> Any:
        kind = self.model.device.type
        single = self.model.dtype == torch.float32  # and not float64, as where bits are compared
        return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" and single)

    def _needles_next(self) -> bool:
        """Whether the step reads hidden keys; the same however often the training was stopped before it."""
        drawn = np.random.default_rng([self.plan.seed, self.steps]).random()
        return bool(drawn < self.plan.needles)


def train(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: Plan,
    *,
    tokenizer: Any = None,
    teacher: PreTrainedModel | None = None,
    on_step: OnStep | None = None,
) -> Training:
    """Train a model in memory, to the end of the plan; see ``Training``."""
    training = Training(model, corpus, plan, tokenizer=tokenizer, teacher=teacher)
    training.run(on_step=on_step)
    training.finish()
    return training


def _hidden_keys(corpus: Corpus, plan: Plan, tokenizer: Any) -> HiddenKeys | None:
    if not plan.needles:
        return None
    if tokenizer is None:
        raise InvalidSetting("Texts with hidden keys need the model's tokenizer. Give it.")
    made = HiddenKeys(corpus, tokenizer, plan.seed)
    for length in plan.lengths:
        made.check(length)
    return made


def _check_annealing(model: PreTrainedModel, plan: Plan) -> None:
    if plan.anneal and not getattr(model, "can_anneal", False):
        raise InvalidSetting(
            "Only a landmark LLaMA, or a hybrid that still has attention beside Mamba, can be annealed. Make "
            "one with storyloom models convert SRC --to landmark DIR, or --to hybrid DIR."
        )


def _changed_layers(model: PreTrainedModel) -> list[int]:
    return list(model.config.memory_layers or ()) if isinstance(model, LongContextForCausalLM) else []


def _mixed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
