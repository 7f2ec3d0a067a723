"""``batch --dry-run`` and ``--schema``: what a file may say, what it asks for, and about what that costs."""

import json
from pathlib import Path
from typing import Any

from storyloom.app import weights
from storyloom.app.batch.estimate import Estimate, estimate, total
from storyloom.app.batch.matrix import Planned, expand
from storyloom.app.batch.reading import read_spec
from storyloom.app.batch.spec import Spec, json_schema
from storyloom.app.offline import stay_offline
from storyloom.app.profiles import SMALL, Profile
from storyloom.app.settings import load_settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_works
from storyloom.memory.errors import ModelUnavailable
from storyloom.storage.database import Database
from storyloom.ui import output
from storyloom.ui.batch_text import counted, duration

Json = dict[str, Any]

# Of a model, as many of its last steps tell what the next ones cost.
_STEPS = 200
_COLUMNS = ("story", "model", "seed", "paragraphs", "words", "prompt tokens", "text tokens", "time")
_LEFT = 2  # columns of words; the others are numbers
_LONGEST = 40


def show_schema() -> None:
    """Print the JSON schema of a batch's file."""
    output.say(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def show(file: Path, *, as_json: bool) -> None:
    """Print the plan of a batch; nothing is queued and no model writes."""
    spec = read_spec(file)
    planned = expand(spec, folder=file.parent)
    settings = load_settings()
    default = settings.models.get("writer")
    stay_offline(weights.asked(settings, (one.order for one in planned)))
    with open_works(settings) as (shelf, studio):
        costs = _Costs(shelf.database, studio)
        named = [default or one.order.model or settings.model for one in planned]
        found = [costs.of(one, model) for one, model in zip(planned, named, strict=True)]
    if as_json:
        output.emit({"event": "plan", **_document(spec, planned, named, found)}, indent=None)
    else:
        _print(planned, named, found)


class _Costs:
    """Estimates stories; each model is asked once."""

    def __init__(self, database: Database, studio: Studio) -> None:
        self._database = database
        self._studio = studio
        self._profiles: dict[str, Profile] = {}

    def of(self, one: Planned, model: str) -> Estimate:
        """What one story costs."""
        if model not in self._profiles:
            self._profiles[model] = self._profile(model)
        with self._database.unit_of_work(write=False) as work:
            measured = work.progress.measured(model, _STEPS)
        return estimate(one.order, self._profiles[model], measured)

    def _profile(self, model: str) -> Profile:
        try:
            return self._studio.profile(model)
        except ModelUnavailable as error:
            output.note(f"{error} Its stories are planned as a small model's.")
            return SMALL


def _document(spec: Spec, planned: list[Planned], models: list[str], costs: list[Estimate]) -> Json:
    return {
        "batch": spec.name,
        "stories": [
            {
                "key": one.key,
                "model": model,
                "seed": one.order.seed,
                "asked": {"words": one.order.words, "paragraphs": one.order.paragraphs},
                "exports": list(one.order.exports),
                **_figures(cost),
            }
            for one, model, cost in zip(planned, models, costs, strict=True)
        ],
        "totals": {"stories": len(planned), **_figures(total(costs))},
    }


def _figures(cost: Estimate) -> Json:
    return {
        "steps": cost.steps,
        "words": cost.words,
        "tokens": {"prompt": cost.prompt_tokens, "completion": cost.completion_tokens},
        "seconds": None if cost.seconds is None else round(cost.seconds, 1),
    }


def _print(planned: list[Planned], models: list[str], costs: list[Estimate]) -> None:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    rows += [
        (_short(one.key), _short(model), str(one.order.seed), *_numbers(cost))
        for one, model, cost in zip(planned, models, costs, strict=True)
    ]
    output.say_table(rows, left=_LEFT)
    whole = total(costs)
    time = (
        "of unknown time" if whole.seconds is None else f"about {duration(whole.seconds)} one after another"
    )
    output.say()
    output.say(
        f"{counted(len(planned), 'story', 'stories')}: {counted(whole.steps, 'paragraph')}, "
        f"{whole.words:,} words, {time}. Nothing was queued."
    )


def _numbers(cost: Estimate) -> tuple[str, ...]:
    return (
        f"{cost.steps:,}",
        f"{cost.words:,}",
        f"{cost.prompt_tokens:,}",
        f"{cost.completion_tokens:,}",
        "unknown" if cost.seconds is None else duration(cost.seconds),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
