"""How a way to longer contexts is named, and by how much a base is raised."""

import pytest

from storyloom.generators.rope import Rope, parse_rope, raised_base
from storyloom.memory.errors import InvalidSetting


@pytest.mark.parametrize(
    ("text", "rope"),
    [
        ("linear:4", Rope("linear", 4)),
        (" dynamic:1.5 ", Rope("dynamic", 1.5)),
        ("yarn:4.0", Rope("yarn", 4)),
        ("abf:2e1", Rope("abf", 20)),
        ("truncated:16", Rope("truncated", 16)),
    ],
)
def test_a_way_is_read_as_it_is_said(text: str, rope: Rope) -> None:
    assert parse_rope(text) == rope
    assert parse_rope(str(rope)) == rope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yarn",
        "yarn:",
        "yarn:1",
        "yarn:0.5",
        "yarn:-4",
        "yarn:inf",
        "yarn:nan",
        "ntk:4",
        "Yarn:4",
        "yarn:4:2",
    ],
)
def test_what_makes_nothing_longer_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"names no way.*NAME:FACTOR.*such as yarn:4"):
        parse_rope(text)


def test_the_length_grows_by_the_factor() -> None:
    assert Rope("yarn", 4).longer(2048) == 8192
    assert Rope("linear", 1.5).longer(1001) == 1501


@pytest.mark.parametrize(
    ("base", "factor", "width"), [(10_000.0, 4.0, 64), (100_000.0, 2.0, 128), (1e4, 8.0, 4)]
)
def test_a_raised_base_divides_the_slowest_frequency_by_the_factor(
    base: float, factor: float, width: int
) -> None:
    slowest = -(width - 2) / width
    raised = raised_base(base, factor, width)
    assert raised**slowest == pytest.approx(base**slowest / factor, rel=1e-12)
    assert raised > base
