"""A chart of each suite's result, as an SVG document."""

from storyloom.generators.longcontext.charts import Point, line_chart
from storyloom.generators.longcontext.evaluation.cost import Costs
from storyloom.generators.longcontext.evaluation.needles import Needles
from storyloom.generators.longcontext.evaluation.nouns import NounRecall
from storyloom.generators.longcontext.evaluation.perplexity import Perplexity


def draw_perplexity(found: Perplexity) -> str:
    """The loss by position, a line for each memory."""
    lines: dict[str, list[Point]] = {}
    for bucket in found.buckets:
        for memory, loss in bucket.loss.items():
            lines.setdefault(f"memory {memory}", []).append(loss.point(bucket.end))
    title = f"Loss by position, {found.way}, {found.books} books"
    return line_chart(title, "position up to, tokens", "nats a token", lines, logarithmic=True)


def draw_needles(found: Needles) -> str:
    """The shares of keys that were written and that were chosen, by length."""
    lines: dict[str, list[Point]] = {}
    for spot in found.lengths:
        kind = spot.kind.replace("_", "–")
        lines.setdefault(f"{kind}, written", []).append(spot.exact.point(spot.length))
        lines.setdefault(f"{kind}, chosen", []).append(spot.chosen.point(spot.length))
    return line_chart("Keys found in long texts", "length, tokens", "share", lines, logarithmic=True)


def draw_nouns(found: NounRecall) -> str:
    """How much less surprising a list is than other nouns in its place, a line for each size."""
    lines: dict[str, list[Point]] = {}
    for one in found.found:
        lines.setdefault(f"{one.size} nouns", []).append(one.verbatim.point(one.gap))
    return line_chart(
        "Verbatim recall: other nouns less the same", "text between, tokens", "nats a noun", lines,
        logarithmic=True,
    )  # fmt: skip


def draw_costs(found: Costs) -> str:
    """Milliseconds of a token by length, a line for each model."""
    lines: dict[str, list[Point]] = {}
    for cost in found.costs:
        lines.setdefault(cost.model, []).append((cost.length, 1000 * cost.seconds_a_token))
    synthetic = [cost.length for cost in found.costs if cost.synthetic]
    title = f"Cost of a token, {found.device}"
    if synthetic:
        title += f" (from {min(synthetic):,} tokens on caches are synthetic)"
    return line_chart(title, "tokens before", "milliseconds", lines, logarithmic=True)
