"""Line charts as SVG, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from html import escape

# A value, and where it is known the ends of its confidence interval.
Point = tuple[float, float] | tuple[float, float, float, float]

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 180, 40, 50
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TICKS = 5


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
        logarithmic: whether the horizontal axis is; every x must then be above 0.
    """
    known = {
        name: [point for point in line if all(map(math.isfinite, point))] for name, line in lines.items()
    }
    points = [point for line in known.values() for point in line] or [(1.0, 0.0)]
    place = _Scale(points, logarithmic)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        *_axes(place, across, up),
    ]
    for index, (name, line) in enumerate(known.items()):
        parts += _line(place, line, _COLOURS[index % len(_COLOURS)])
        parts += _legend(index, name, _COLOURS[index % len(_COLOURS)])
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """From values to places on the page."""

    def __init__(self, points: Sequence[Point], logarithmic: bool):
        self.logarithmic = logarithmic
        across = [self._x(point[0]) for point in points]
        up = [value for point in points for value in point[1:]]
        self.left, self.right = min(across), max(across)
        self.low, self.high = min(up), max(up)
        if self.left == self.right:
            self.right += 1
        if self.low == self.high:
            self.high += 1

    def _x(self, value: float) -> float:
        return math.log2(value) if self.logarithmic else value

    def x(self, value: float) -> float:
        share = (self._x(value) - self.left) / (self.right - self.left)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def ticks(self) -> tuple[list[float], list[float]]:
        """Values for marks along both axes."""
        steps = [place / (_TICKS - 1) for place in range(_TICKS)]
        across = [self.left + step * (self.right - self.left) for step in steps]
        up = [self.low + step * (self.high - self.low) for step in steps]
        return [2**value if self.logarithmic else value for value in across], up


def _axes(place: _Scale, across: str, up: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>",
    ]
    columns, heights = place.ticks()
    for value in columns:
        parts.append(
            f'<text x="{place.x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{value:,.6g}</text>'
        )
    for value in heights:
        parts.append(
            f'<text x="{_LEFT - 6}" y="{place.y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    return parts


def _line(place: _Scale, line: Sequence[Point], colour: str) -> list[str]:
    parts = []
    sure = [point for point in line if len(point) == 4]
    if sure:
        edge = [(point[0], point[3]) for point in sure] + [(point[0], point[2]) for point in reversed(sure)]
        parts.append(f'<polygon points="{_path(place, edge)}" fill="{colour}" fill-opacity="0.15"/>')
    drawn = _path(place, [(point[0], point[1]) for point in line])
    parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return parts


def _path(place: _Scale, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y in points)


def _legend(index: int, name: str, colour: str) -> list[str]:
    x, y = _WIDTH - _RIGHT + 12, _TOP + 18 * index
    return [
        f'<rect x="{x}" y="{y}" width="12" height="4" fill="{colour}"/>',
        f'<text x="{x + 18}" y="{y + 7}">{escape(name)}</text>',
    ]
