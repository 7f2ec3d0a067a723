"""Line charts as SVG, drawn by matplotlib: the same lines give the same bytes."""

import io
import math
from collections.abc import Mapping, Sequence

from storyloom.memory.errors import ModelUnavailable

# A value, and where it is known the ends of its confidence interval.
Point = tuple[float, float] | tuple[float, float, float, float]

_SIZE = (8.0, 4.5)  # inches
# Colours that colour-blind people tell apart (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("solid", "dashed", "dotted")  # of the colours' first, second and third round


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
    # Names in the file come from a fixed salt, else no two files would be equal; letters stay letters.
    with rc_context({"svg.hashsalt": "storyloom", "svg.fonttype": "none"}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=across, ylabel=up)
        if logarithmic:
            axes.set_xscale("log", base=2)
        for place, (name, line) in enumerate(lines.items()):
            around, which = divmod(place, len(_COLOURS))
            colour, dashes = _COLOURS[which], _DASHES[around % len(_DASHES)]
            known = [point for point in line if all(map(math.isfinite, point))]
            xs, ys = [p[0] for p in known], [p[1] for p in known]
            axes.plot(xs, ys, color=colour, linestyle=dashes, label=name)
            sure = [point for point in known if len(point) == 4]
            low, high = [p[2] for p in sure], [p[3] for p in sure]
            axes.fill_between([p[0] for p in sure], low, high, color=colour, alpha=0.1, linewidth=0)
        if lines:
            figure.legend(loc="outside right upper", frameon=False)
        axes.grid(alpha=0.3)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
