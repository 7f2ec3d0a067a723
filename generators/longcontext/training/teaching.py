"""A teacher whose logits and layers a model is to meet: how attention becomes something else.

As MaTVLM (arXiv 2503.13440) does it: KL of the logits, and for each layer that was changed the squared
distance to what the teacher's layer says of the teacher's own hidden states.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from storyloom.generators.longcontext.training.books import IGNORED, Segment
from storyloom.generators.longcontext.training.losses import distillation_loss


class Teacher:
    """Holds the model that teaches, and compares.

    Args:
        model: a LLaMA as deep and as wide as the student; it isn't changed.
        student: the model that learns.
        layers: indices of the layers that are compared one by one.
    """

    def __init__(self, model: PreTrainedModel, student: Any, layers: Sequence[int]):
        self._model: Any = model.eval().requires_grad_(False)
        self._student = student
        self._layers = list(layers)
        self._given: dict[int, dict[str, Any]] = {}
        self._hooks = [
            student.model.layers[index].register_forward_pre_hook(self._keeper(index), with_kwargs=True)
            for index in self._layers
        ]

    def close(self) -> None:
        """Leave the student as it was."""
        for hook in self._hooks:
            hook.remove()

    def loss(self, hidden: Tensor, segment: Segment) -> Tensor:
        """What the student's last reading of a segment is away from the teacher's.

        Args:
            hidden: the student's stack's output.
            segment: what it has just read.
        """
        with torch.no_grad():
            said = self._model.model(
                input_ids=segment.ids,
                attention_mask=segment.mask,
                use_cache=False,
                output_hidden_states=True,
            )
        loss = distillation_loss(
            (hidden, self._student.lm_head), (said.last_hidden_state, self._model.lm_head), segment.labels
        )
        counts = (segment.labels != IGNORED)[..., None]
        for index in self._layers:
            loss = loss + self._distance(index, said.hidden_states, counts) / len(self._layers)
        return loss

    def _distance(self, index: int, states: Sequence[Tensor], counts: Tensor) -> Tensor:
        layer: nn.Module = self._student.model.layers[index]
        given = {**self._given.pop(index), "past_key_values": None}
        met = nn.Module.__call__(layer, states[index], **given)
        self._given.pop(index, None)
        # The last of the teacher's states has gone through the final norm.
        last = index + 1 == len(self._model.model.layers)
        found = self._student.model.norm(met) if last else met
        apart = (found.float() - states[index + 1].float()).square().masked_fill(~counts, 0)
        size = states[index + 1].float().square().masked_fill(~counts, 0).sum()
        return apart.sum() / size.clamp(min=1e-12)

    def _keeper(self, index: int) -> Any:
        def keep(_layer: nn.Module, _given: tuple[Any, ...], told: dict[str, Any]) -> None:
            self._given[index] = told

        return keep
