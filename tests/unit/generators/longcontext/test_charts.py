import math
import sys
from xml.etree import ElementTree

import pytest

from storyloom.generators.longcontext.charts import Point, line_chart
from storyloom.memory.errors import ModelUnavailable

LINES: dict[str, list[Point]] = {
    "on & off": [(512, 3.0, 2.5, 3.5), (1024, 2.5, 2.0, 3.0)],
    "gaps": [(512, math.nan), (1024, 2.0), (2048, 1.0)],
}


def texts(chart: str) -> str:
    """All words in a chart."""
    return " ".join("".join(ElementTree.fromstring(chart).itertext()).split())


def test_a_chart_says_what_it_shows() -> None:
    found = texts(line_chart("Loss <1>", "tokens", "nats", LINES))
    for word in ("Loss <1>", "tokens", "nats", "on & off", "gaps"):
        assert word in found


def test_the_same_lines_give_the_same_bytes() -> None:
    assert line_chart("t", "x", "y", LINES) == line_chart("t", "x", "y", LINES)
    assert line_chart("t", "x", "y", LINES) != line_chart("t", "x", "y", {"gaps": LINES["gaps"]})


def test_a_logarithmic_axis_counts_in_powers_of_two() -> None:
    curved, straight = (line_chart("t", "x", "y", LINES, logarithmic=log) for log in (True, False))
    assert curved != straight
    assert "$2^{10}$" in curved or "2^{10}" in curved


def test_lines_of_one_colour_differ_in_their_dashes() -> None:
    lines: dict[str, list[Point]] = {str(number): [(1.0, number), (2.0, number)] for number in range(13)}
    drawn = [node.get("style") for node in ElementTree.fromstring(line_chart("t", "x", "y", lines)).iter()]
    strokes = [style for style in drawn if style and "stroke-width: 1.5" in style]
    # Each is drawn in the chart and beside its name.
    assert len(strokes) == 2 * len(lines)
    assert len(set(strokes)) == len(lines)


@pytest.mark.parametrize("lines", [{}, {"none": []}, {"lost": [(1.0, math.inf)]}])
def test_nothing_to_draw_is_an_empty_chart(lines: dict[str, list[Point]]) -> None:
    assert "Loss" in texts(line_chart("Loss", "x", "y", lines))


def test_without_matplotlib_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'storyloom\[train\]'"):
        line_chart("t", "x", "y", LINES)
