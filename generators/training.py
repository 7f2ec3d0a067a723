"""Trains the model in a folder, in slices; the folder's model is replaced when the training is whole.

What isn't whole yet is in the folder's ``.training``: a checkpoint, the losses and their picture.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from storyloom.generators.hf_loading import Source, load_source
from storyloom.generators.longcontext.baselines import check_llama
from storyloom.generators.longcontext.corpus import Corpus, read_corpus
from storyloom.generators.longcontext.training import checkpoint, saving
from storyloom.generators.longcontext.training.guarding import alone, memory_told
from storyloom.generators.longcontext.training.log import Log, Logged
from storyloom.generators.longcontext.training.loop import Limits, Training
from storyloom.generators.longcontext.training.plan import Plan
from storyloom.memory.errors import InvalidSetting, ModelUnavailable

WORK = ".training"

_CHECKPOINT_SECONDS = 60.0
# Is told of each step, and how many tokens the training reads in all.
OnProgress = Callable[[Logged, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Where a training is.

    Attributes:
        folder: the model's.
        plan: what is done.
        steps: done so far.
        tokens: read so far.
        total: tokens to read in all.
        loss: the mean of the last steps, in nats a token; None before the first.
        seconds: what all steps took.
        done: whether the model was replaced by the trained one.
        picture: the drawn losses; None where they couldn't be drawn.
    """

    folder: Path
    plan: Plan
    steps: int
    tokens: int
    total: int
    loss: float | None
    seconds: float
    done: bool
    picture: Path | None


def train_folder(
    folder: Path,
    text: Path | None,
    wanted: Mapping[str, Any],
    *,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    threads: int | None = None,
) -> Trained:
    """Train a model, or go on where the last slice of its training ended.

    Args:
        folder: the model's, long-context or LLaMA, in safetensors.
        text: a folder with books; None for that of the training that goes on.
        wanted: fields of the ``Plan``; others are its defaults, or those of the training that goes on.
        limits: when the slice ends.
        on_progress: is told of each step.
        threads: CPU threads of torch, for the whole process, or None to leave them as they are. With another
            number the last bits differ.

    Raises:
        InvalidSetting: what can't be: a plan, a folder, other options than those of the training that goes
            on, two trainings at once, a model in which nothing would learn, too little memory.
        InvalidText: no text, or none that can be read.
        ModelUnavailable: the model can't be loaded, a package is missing, or the checkpoint is damaged.
        StoreUnavailable: the disk is full; the checkpoint of before is still there.
    """
    Plan(**wanted)
    _check_folder(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    work = folder / WORK
    with alone(folder, work):
        if saving.settle(folder, work):
            checkpoint.remove(work)
        kept = checkpoint.load(work)
        books = text or _books_of(kept or saving.recorded(folder))
        source = load_source(str(folder))
        check_llama(source.model, folder)
        corpus = read_corpus(books, source.tokenizer, work)
        if kept is None and _is_done(saving.recorded(folder), wanted, corpus):
            return _recorded(folder)
        plan = Plan(**wanted) if kept is None else _plan_of(kept, wanted, corpus, folder)
        slice_ = _Slice(folder, books, corpus, plan, source)
        return slice_.run(kept, limits or Limits(), on_progress)


class _Slice:
    """One call's part of a training."""

    def __init__(self, folder: Path, books: Path, corpus: Corpus, plan: Plan, source: Source):
        self._folder, self._work = folder, folder / WORK
        self._books, self._corpus, self._plan, self._source = books, corpus, plan, source
        # As they were saved: a hybrid keeps some in float32 beside bfloat16.
        self._dtypes = {name: weight.dtype for name, weight in source.model.named_parameters()}
        self._weights = saving.weights_digest(folder)
        self._saved_at = time.monotonic()

    def run(self, kept: dict[str, Any] | None, limits: Limits, on_progress: OnProgress | None) -> Trained:
        with memory_told(self._plan, self._work):
            training = self._begin(kept)
            self._log = Log(self._work, training.steps)

            def on_step(logged: Logged) -> None:
                self._log.add(logged)
                if time.monotonic() - self._saved_at >= _CHECKPOINT_SECONDS:
                    self._keep(training)
                if on_progress is not None:
                    on_progress(logged, training.total)

            training.run(limits, on_step)
        self._keep(training)
        if training.done:
            self._finish(training)
        return self._told(training)

    def _begin(self, kept: dict[str, Any] | None) -> Training:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model: Any = _float32(self._source.model).to(device)
        training = Training(
            model,
            self._corpus,
            self._plan,
            tokenizer=self._source.tokenizer,
            teacher=_teacher(self._plan.teacher, model),
        )
        if kept is None:
            return training
        if kept.get("weights") != self._weights:
            raise ModelUnavailable(
                f"The model in {self._folder} was changed since its training began. Put the old one back, or "
                f"remove {self._work} to train this one from the beginning."
            )
        try:
            training.go_to(kept["training"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise ModelUnavailable(
                f"The checkpoint in {self._work} doesn't fit ({type(error).__name__}). Remove that folder to "
                "train from the beginning."
            ) from error
        return training

    def _keep(self, training: Training) -> None:
        checkpoint.save(self._work, {"training": training.state(), "weights": self._weights, **self._about()})
        self._log.draw()
        self._saved_at = time.monotonic()

    def _about(self) -> dict[str, Any]:
        return {
            "plan": self._plan.as_json(),
            "text": str(self._books.absolute()),
            "digest": self._corpus.digest,
        }

    def _finish(self, training: Training) -> None:
        training.finish()
        told = self._told(training)
        record = {
            **self._about(),
            "steps": told.steps,
            "tokens": told.tokens,
            "total": told.total,
            "loss": told.loss,
            "seconds": told.seconds,
        }
        for name, weight in training.model.named_parameters():
            weight.data = weight.data.to(self._dtypes[name])
        saving.save(training.model, record, self._folder, self._work)
        checkpoint.remove(self._work)

    def _told(self, training: Training) -> Trained:
        return Trained(
            folder=self._folder,
            plan=self._plan,
            steps=training.steps,
            tokens=training.tokens,
            total=training.total,
            loss=self._log.mean(),
            seconds=round(sum(line.seconds for line in self._log.lines), 3),
            done=training.done,
            picture=_picture(self._work),
        )


def _check_folder(folder: Path) -> None:
    if folder.suffix == ".gguf":
        raise InvalidSetting(
            f"{folder} is a .gguf file, which can't be trained. Make a folder of it with storyloom models "
            "convert gguf:PATH, and train that."
        )
    if not (folder / "config.json").is_file():
        raise InvalidSetting(
            f"{folder} is no folder with a model. Make one with storyloom models convert SRC --to FAMILY DIR."
        )


def _books_of(kept: Mapping[str, Any]) -> Path:
    if "text" not in kept:
        raise InvalidSetting("There is nothing to learn from. Name a folder with books by --text FOLDER.")
    return Path(kept["text"])


def _plan_of(kept: Mapping[str, Any], wanted: Mapping[str, Any], corpus: Corpus, folder: Path) -> Plan:
    """The plan of the training that goes on."""
    try:
        plan, digest, text = Plan.from_json(kept["plan"]), kept["digest"], kept["text"]
    except (KeyError, TypeError, InvalidSetting) as error:
        raise ModelUnavailable(
            f"The checkpoint in {folder / WORK} is damaged. Remove that folder to train from the beginning."
        ) from error
    for name, value in wanted.items():
        if getattr(plan, name) != value:
            raise InvalidSetting(
                f"{folder} is in the middle of a training whose {name} is {getattr(plan, name)!r}, not "
                f"{value!r}. Call again without options to go on, or remove {folder / WORK} to begin anew."
            )
    if digest != corpus.digest:
        raise InvalidSetting(
            f"{folder} is in the middle of a training on other text ({text} as it was then). Give "
            f"it that text, or remove {folder / WORK} to begin anew."
        )
    return plan


def _is_done(record: Mapping[str, Any], wanted: Mapping[str, Any], corpus: Corpus) -> bool:
    """Whether the training that is asked for is the one that the model has had last."""
    if record.get("digest") != corpus.digest:
        return False
    asked = Plan(**wanted).as_json() if wanted else record.get("plan")
    return bool(asked == record.get("plan"))


def _recorded(folder: Path) -> Trained:
    record = saving.recorded(folder)
    return Trained(
        folder=folder,
        plan=Plan.from_json(record["plan"]),
        **{name: record[name] for name in ("steps", "tokens", "total", "loss", "seconds")},
        done=True,
        picture=_picture(folder / WORK),
    )


def _picture(work: Path) -> Path | None:
    return work / "loss.svg" if (work / "loss.svg").is_file() else None


def _teacher(target: str, student: PreTrainedModel) -> PreTrainedModel | None:
    if not target:
        return None
    model: Any = load_source(target).model
    for name in ("vocab_size", "hidden_size", "num_hidden_layers"):
        own, its = getattr(student.config, name), getattr(model.config, name, None)
        if own != its:
            raise InvalidSetting(
                f"{target} can't teach this model: its {name} is {its}, not {own}. Choose the LLaMA that the "
                "model was made from."
            )
    teacher: PreTrainedModel = _float32(model).to(student.device)
    return teacher


def _float32(model: Any) -> Any:
    """Not by the model's own method, which refuses one that came out of a .gguf file."""
    return torch.nn.Module.float(model)
