"""Line charts as SVG, drawn by matplotlib: the same lines give the same bytes."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from storyloom.memory.errors import ModelUnavailable

# A value, and where it is known the ends of its confidence interval.
Point = tuple[float, float] | tuple[float, float, float, float]

_SIZE = (8.0, 4.5)  # inches
_WITH_INTERVAL = 4
# Colours that colour-blind people tell apart (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# Names in the file from a fixed salt, and letters as letters: else no two files would be equal.
_SETTINGS: Any = {"svg.hashsalt": "storyloom", "svg.fonttype": "none"}


def line_chart(
    title: str, across: str, up: str, lines: Mapping[str, Sequence[Point]], *, logarithmic: bool = False
) -> str:
    """A chart as an SVG document.

    Args:
        title: over the chart.
        across: what the horizontal axis is.
        up: what the vertical axis is.
        lines: by name; a point is ``(x, y)`` or ``(x, y, low, high)``, whose interval is shaded. Points that
            aren't finite are left out.
        logarithmic: whether the horizontal axis is, in powers of 2; every x must then be above 0.

    Raises:
        ModelUnavailable: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModelUnavailable(
            "The package that draws plots is missing. Install it with pip install 'storyloom[train]'."
        ) from error
    with rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=across, ylabel=up)
        if logarithmic:
            axes.set_xscale("log", base=2)
        for place, (name, line) in enumerate(lines.items()):
            colour = _COLOURS[place % len(_COLOURS)]
            known = [point for point in line if all(map(math.isfinite, point))]
            axes.plot([p[0] for p in known], [p[1] for p in known], color=colour, label=name)
            sure: list[Any] = [point for point in known if len(point) == _WITH_INTERVAL]
            low, high = [p[2] for p in sure], [p[3] for p in sure]
            axes.fill_between([p[0] for p in sure], low, high, color=colour, alpha=0.15, linewidth=0)
        if lines:
            axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
