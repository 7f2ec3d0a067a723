"""Which weights of a model learn, how fast, and by which optimizer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from storyloom.generators.longcontext.baselines import is_backbone
from storyloom.generators.longcontext.training.plan import Plan
from storyloom.memory.errors import InvalidSetting, ModelUnavailable

_RANK = 16
_DECAY = 0.1
_BETAS = (0.9, 0.95)


class Learning:
    """A model's weights that learn, and what moves them.

    Args:
        model: in float32, on its device. Its other weights are frozen; for LoRA factors are put into it.
        plan: says which and how fast.

    Raises:
        InvalidSetting: nothing in it would learn.
        ModelUnavailable: the package for LoRA is missing.
    """

    def __init__(self, model: Any, plan: Plan):
        new = [name for name, _ in model.named_parameters() if not is_backbone(name)]
        if not new and plan.backbone == "frozen":
            raise InvalidSetting(
                "This isn't a long-context model, so nothing in it would learn while its backbone is frozen. "
                "Make one with storyloom models convert, or train the backbone with --backbone full or lora."
            )
        self._adapted = _with_lora(model, plan.seed) if plan.backbone == "lora" else None
        for name, weight in model.named_parameters():
            weight.requires_grad_(_learns(name, plan.backbone, set(new)))
        self.weights = {name: w for name, w in model.named_parameters() if w.requires_grad}
        matrices = {
            f"{name}.weight"
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and name != "lm_head"
        }
        self.optimizers = list(_optimizers(self.weights, plan, set(new), matrices))

    def step(self, scale: float) -> None:
        """Move the weights along their gradients, at their rates times ``scale``, and clear those."""
        nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["height"] * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def finish(self) -> None:
        """Multiply LoRA's factors into the weights that they stand beside; nothing learns after it."""
        if self._adapted is not None:
            self._adapted.merge_and_unload()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    @torch.no_grad()
    def go_to(self, state: dict[str, Any]) -> None:
        """Go on at what a checkpoint kept."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)


def _learns(name: str, backbone: str, new: set[str]) -> bool:
    return name in new or (backbone == "full" or ".lora_" in name)


def _with_lora(model: Any, seed: int) -> Any:
    """Put LoRA's factors (arXiv 2106.09685) beside every projection of the LLaMA."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise ModelUnavailable(
            "The package for LoRA is missing. Install it with pip install 'storyloom[train]', or choose "
            "--backbone frozen or full."
        ) from error
    places = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and is_backbone(f"{name}.weight") and name != "lm_head"
    ]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        chosen = LoraConfig(r=_RANK, lora_alpha=2 * _RANK, lora_dropout=0.0, target_modules=places)
        return LoraModel(model, {"default": chosen}, "default")


def _optimizers(
    weights: dict[str, Tensor], plan: Plan, new: set[str], matrices: set[str]
) -> Iterator[Optimizer]:
    """AdamW, and Muon for the projections where the plan says so."""

    def groups(names: list[str]) -> list[dict[str, Any]]:
        found = []
        for rate, own in ((plan.learning_rate, True), (plan.own_backbone_rate, False)):
            for decay, flat in ((_DECAY, False), (0.0, True)):
                chosen = [n for n in names if (n in new) == own and _stays(n, weights[n]) == flat]
                if chosen:
                    params = [weights[name] for name in chosen]
                    found.append({"params": params, "height": rate, "weight_decay": decay})
        return found

    turned = [name for name in weights if plan.optimizer == "muon" and name in matrices]
    others = [name for name in weights if name not in set(turned)]
    if others:
        yield torch.optim.AdamW(groups(others), lr=plan.learning_rate, betas=_BETAS)
    if turned:
        yield torch.optim.Muon(groups(turned), lr=plan.learning_rate, adjust_lr_fn="match_rms_adamw")


def _stays(name: str, weight: Tensor) -> bool:
    """Whether a weight isn't drawn towards zero: norms, scales and the biases of gates."""
    return weight.ndim < 2 or name.endswith("bias")
