"""``models eval``: what a model remembers of long texts, and what it costs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from storyloom.app import evaluations
from storyloom.app.events import Cancelled
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.ui import output
from storyloom.ui.bars import Bars
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop

Json = dict[str, Any]
Rows = Sequence[Sequence[str]]


def evaluate(given: str, suite: str, plot: Path | None, *, as_json: bool, **asked: Any) -> None:
    """Measure a model, print what was measured and draw it."""
    settings = load_settings()
    spec = evaluations.spec_of(given)
    stay_offline([spec])
    fetch_missing(settings, [spec])
    with Stop() as stop, Bars(stop) as bars:
        try:
            found, files = evaluations.evaluate(settings, spec, suite, plot=plot, listener=bars, **asked)
        except (Cancelled, KeyboardInterrupt) as error:
            output.note(str(error) if isinstance(error, Cancelled) else "Stopped.")
            raise typer.Exit(stop.exit_code) from error
    results = {name: result.as_json() for name, result in found.results.items()}
    if as_json:
        output.emit(
            {
                "model": spec,
                "family": found.family,
                "parameters": found.parameters,
                "books": list(found.books),
                **results,
                "plots": {name: str(file) for name, file in files.items()},
            }
        )
        return
    for name, result in results.items():
        title, rows = _TABLES[name](result)
        output.say(f"{title}\n")
        output.say_table(rows, left=1)
        output.say(f"\n{files[name]}\n")


def perplexity(found: Json) -> tuple[str, Rows]:
    """The loss by position, and the differences that the memory makes."""
    stretches = [*found["buckets"], found["whole"]]
    if found["behind_first_segment"]:
        stretches.append(found["behind_first_segment"])
    losses, differences = list(found["whole"]["loss"]), list(found["whole"]["difference"])
    rows = [["tokens", *losses, *differences]]
    for one in stretches:
        cells = [_number(one["loss"][memory]["mean"], ".4f") for memory in losses]
        cells += [_interval(one["difference"][name], "+.4f") for name in differences]
        rows.append([f"{one['from']:,} to {one['to']:,}", *cells])
    return f"Loss by position, nats a token, {found['way']}, {found['books']} books:", rows


def needles(found: Json) -> tuple[str, Rows]:
    """Keys found, by length."""
    rows = [["hidden", "length", "texts", "written", "chosen", "by chance", "margin, nats"]]
    for one in found["lengths"]:
        rows.append(
            [
                one["kind"].replace("_", "–"),
                f"{one['length']:,}",
                str(one["tries"]),
                f"{one['exact']['mean']:.0%}",
                f"{one['chosen']['mean']:.0%}",
                f"{one['chosen_by_chance']:.0%}",
                _interval(one["margin_nats"], "+.2f"),
            ]
        )
    return "Keys found in long texts:", rows


def nouns(found: Json) -> tuple[str, Rows]:
    """Surprisal of lists, by size and by what lies between."""
    rows = [["nouns", "between", "first", "same again", "others", "others less same"]]
    for one in found["lists"]:
        means = [_number(one[name]["mean"], ".2f") for name in ("first", "same", "other")]
        rows.append([str(one["size"]), f"{one['gap']:,}", *means, _interval(one["verbatim"], "+.2f")])
    return "Surprisal of lists of nouns, nats a noun:", rows


def cost(found: Json) -> tuple[str, Rows]:
    """Time and bytes, by model and length."""
    rows = [["model", "tokens before", "tokens/s", "prefill, s", "attention, MB", "memory, MB"]]
    for one in found["costs"]:
        read = "synthetic" if one["synthetic"] else f"{one['prefill_seconds']:.2f}"
        size = [f"{one[name] / 1e6:,.2f}" for name in ("attention_bytes", "memory_bytes")]
        rows.append([one["model"], f"{one['length']:,}", f"{one['tokens_a_second']:.1f}", read, *size])
    ratio = found["ratio"]
    grown = ", ".join(f"{model} {value:.2f}" for model, value in ratio["by_model"].items())
    return f"Cost of a token; at {ratio['to']:,} tokens over {ratio['from']:,}: {grown}:", rows


_TABLES: dict[str, Callable[[Json], tuple[str, Rows]]] = {
    "perplexity": perplexity,
    "needles": needles,
    "nouns": nouns,
    "cost": cost,
}


def _interval(found: Json, form: str) -> str:
    mean = _number(found["mean"], form)
    if found["low"] is None:
        return mean
    return f"{mean} ({_number(found['low'], form)} to {_number(found['high'], form)})"


def _number(value: float | None, form: str) -> str:
    """A number; none is what came of a memory that has overflowed."""
    return "overflowed" if value is None else format(value, form)
